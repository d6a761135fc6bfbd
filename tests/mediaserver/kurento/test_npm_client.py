"""npm's kurento-client, Kurento's own JavaScript client, drives the media server unmodified, with media."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

from roomfsm.peer import AUDIO_SSRC, VP8_TYPE
from tests.mediaserver.kurento_client import open_server
from tests.mediaserver.layered_presenter import layered_offer, present
from tests.mediaserver.peer import OPUS, VP8_KEYFRAME, TestPeer, open_test_peer
from tests.mediaserver.tcp_relay import open_relay

FOLDER = Path(__file__).parent / "npm"
PATIENCE = 180.0
"""Seconds for the whole story: Node is slow to start on a busy machine."""


@pytest.fixture
def node() -> str:
    found = shutil.which("node")
    installed = (FOLDER / "node_modules" / "kurento-client").is_dir()
    if found is None or not installed:
        if os.environ.get("CI") == "true":
            pytest.fail("no Node, or no kurento-client: npm ci in tests/mediaserver/kurento/npm")
        pytest.skip("needs Node, and npm ci in tests/mediaserver/kurento/npm")
    return found


class Story:
    """What `drive.mjs` tells, step by step."""

    def __init__(self, process: trio.Process) -> None:
        self._process = process
        self._buffer = b""

    async def tell(self, message: Any) -> None:
        assert self._process.stdin is not None
        await self._process.stdin.send_all(json.dumps(message).encode() + b"\n")

    async def step(self, name: str) -> dict[str, Any]:
        """The next step, which must be this one."""
        assert self._process.stdout is not None
        while b"\n" not in self._buffer:
            data = await self._process.stdout.receive_some()
            assert data, f"it ended before {name!r}"
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        told: dict[str, Any] = json.loads(line)
        assert told["step"] == name
        return told


@asynccontextmanager
async def story(node: str, url: str) -> AsyncIterator[Story]:
    """The program at work; it must end well."""
    async with trio.open_nursery() as nursery:
        run = partial(trio.run_process, cwd=FOLDER, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        process: trio.Process = await nursery.start(run, [node, "drive.mjs", url])
        yield Story(process)


async def send_media(peer: TestPeer) -> None:
    while True:
        peer.send_rtp(VP8_KEYFRAME, marker=True)
        peer.send_rtp(OPUS, ssrc=AUDIO_SSRC)
        await trio.sleep(0.02)


@pytest.mark.parametrize("layered", [False, True])
async def test_kurento_client_drives_a_whole_session(node: str, layered: bool) -> None:
    """With layers, too, of which it knows nothing: the viewer gets the picture without a further call."""
    with trio.fail_after(PATIENCE):
        async with (
            open_server() as server,
            open_relay(server.url) as relay,
            open_test_peer("sendonly") as sending,
            open_test_peer("recvonly") as receiving,
            trio.open_nursery() as media,
        ):
            async with story(node, relay.url) as told:
                offer = layered_offer(sending) if layered else sending.offer
                await told.tell({"offers": [offer, receiving.offer]})
                info = (await told.step("connected"))["info"]
                assert {module["name"] for module in info["modules"]} == {"core", "elements", "filters"}

                made = await told.step("made")
                pipeline, publisher, viewer = made["ids"]
                assert made["name"] == "a room"
                assert (made["tag"], made["bandwidth"], made["parent"]) == ("blue", 2000, pipeline)
                assert made["connections"] == [[kind, viewer] for kind in ("AUDIO", "DATA", "VIDEO")]

                answers = (await told.step("answered"))["answers"]
                for peer, answer in zip((sending, receiving), answers, strict=True):
                    await peer.accept(answer)
                assert ("a=simulcast:recv" in answers[0]) is layered
                media.start_soon(present if layered else send_media, sending)
                while (await receiving.receive_rtp()).payload_type != VP8_TYPE.number:
                    pass

                flowing = await told.step("flowing")
                assert flowing["states"] == ["CONNECTED", "CONNECTED"]
                assert flowing["flows"] == [True, True]
                assert [stats["type"] for stats in flowing["stats"]] == ["outboundrtp"]
                assert flowing["stats"][0]["packetsSent"] > 0
                assert flowing["keyframe"] is None

                committed = await told.step("committed")
                assert len(committed["children"]) == 2
                assert committed["connected"] == 3
                assert await told.step("refused") == {
                    "step": "refused",
                    "code": 40208,
                    "message": "Endpoint already negotiated",
                }

                await told.step("ready to be cut")
                relay.cut()
                reconnected = await told.step("reconnected")
                assert (reconnected["sameSession"], reconnected["name"]) == (True, "a room")
                assert reconnected["event"] == ["ElementDisconnected", "AUDIO"]

                released = await told.step("released")
                assert released["pipelines"] == []
            media.cancel_scope.cancel()
    types = {event["type"] for event in released["events"] if event["source"] == viewer}
    assert types == {
        "IceCandidateFound",
        "IceGatheringDone",
        "DtlsConnectionStateChange",
        "ConnectionStateChanged",
        "MediaStateChanged",
        "MediaFlowInStateChanged",
    }
    assert {event["type"] for event in released["events"] if event["source"] == publisher} >= {
        "ElementConnected",
        "MediaFlowOutStateChanged",
    }
