"""Given the story of the examples, when it is played with a real server, then everything happens as it says."""

from __future__ import annotations

import json
import re
import time
from contextlib import AsyncExitStack
from typing import Any, cast

import pytest
import trio

from roomfsm.documents.examples import (
    ADA,
    ADAS_TOKEN,
    BOB,
    BOBS_TOKEN,
    ICE_SERVERS,
    SAID_AT,
    STORY,
    Happening,
    wire,
)
from roomfsm.protocol.client import CLIENT_MESSAGES, SendFile
from roomfsm.protocol.server import SERVER_MESSAGES
from tests.documents.schemas import DOCUMENT, is_valid
from tests.mediaserver.peer import VP8_KEYFRAME, TestPeer, open_test_peer
from tests.processes import LOADED
from tests.protocol_client import Client, Wire, open_client
from tests.serving import Served, serving
from tests.web.http import get

PATIENCE = 60.0
BAN = 600
"""Seconds of the ban in the story."""
SESSIONS = {"Ada": ADA, "Bob": BOB}
TOKENS = {"Ada": ADAS_TOKEN, "Bob": BOBS_TOKEN}
CANDIDATE = re.compile(r"candidate:\S+ \d+ udp \d+ \S+ \d+ typ host", re.IGNORECASE)


class Stage:
    """Plays the story: it sends the people's messages with real ids, tokens and offers, and expects theirs."""

    def __init__(self, server: Served, peers: dict[str, TestPeer], stack: AsyncExitStack) -> None:
        self.server = server
        self.peers = peers
        self.stack = stack
        self.clients: dict[str, Client] = {}
        self.answers: dict[str, str] = {}
        self.live: dict[str, str] = {}
        """The real id or token for an example's one."""

    async def play(self, nursery: trio.Nursery) -> None:
        for who, what in ((line.who, line.what) for line in STORY):
            match what:
                case Happening.CONNECTS:
                    await self.connect(who)
                case Happening.MEDIA_FLOW:
                    await self.peers[who].accept(self.answers[who])
                    nursery.start_soon(send_media, self.peers[who])
                case Happening.BYTES_SENT:
                    await self.send_file(who)
                case Happening.IS_CUT_OFF:
                    await self.clients[who].websocket._stream.aclose()
                case Happening.SERVER_ENDS:
                    self.server.running.registry.close("shutdown")
                case _ if isinstance(what, CLIENT_MESSAGES):
                    await self.say(who, wire(what))
                case _:
                    await self.hear(who, wire(what))

    async def connect(self, who: str) -> None:
        client = await self.stack.enter_async_context(open_client(self.server.url))
        self.clients[who] = client
        # One who comes back gets a session that is given up for the one resumed.
        self.live.setdefault(SESSIONS[who], client.welcome["session"])
        self.live.setdefault(TOKENS[who], client.welcome["resumeToken"])

    async def send_file(self, who: str) -> None:
        """A picture as long as the one in the story."""
        announced = next(what for what in (line.what for line in STORY) if isinstance(what, SendFile))
        content = b"\x89PNG\r\n\x1a\n".ljust(announced.size, b".")
        (upload,) = (message for message in self.clients[who].seen if message["type"] == "upload")
        assert (await get(self.server, f"/{upload['path']}", "PUT", content)).status == 201

    async def say(self, who: str, example: Wire) -> None:
        peer = self.peers[who]
        message = self._enlivened(example)
        if "sdp" in message:
            message["sdp"] = peer.restart() if message["type"] == "restart" else peer.offer
        if "candidate" in message:
            port = str(peer.socket.getsockname()[1])
            message["candidate"] = message["candidate"].replace("192.0.2.20 51000", f"127.0.0.1 {port}")
            message["usernameFragment"] = peer.ufrag
        assert message.keys() == example.keys()
        await self.clients[who].send_text(json.dumps(message))

    async def hear(self, who: str, example: Wire) -> None:
        client, heard = self.clients[who], []
        if example["type"] == "welcome":
            assert self._normal(client.welcome, example) == example
            return
        with trio.move_on_after(PATIENCE):
            while True:
                message = await client.expect()
                if self._normal(message, example) == example:
                    if "sdp" in message:
                        self.answers[who] = message["sdp"]
                    return
                heard.append(message)
        raise AssertionError(f"{who} never heard {example}, but {heard}")

    def _enlivened(self, example: Wire) -> Wire:
        text = json.dumps(example)
        for told, live in self.live.items():
            text = text.replace(told, live)
        return cast(Wire, json.loads(text))

    def _normal(self, message: Wire, example: Wire) -> Wire:
        """The message with the example's values in place of those that differ in each run."""
        text = json.dumps(message)
        for told, live in self.live.items():
            text = text.replace(live, told)
        normal = cast(Wire, json.loads(text))
        if normal["type"] != example["type"]:
            return normal
        if "sdp" in normal:
            assert normal["sdp"].startswith("v=0\r\n")
            normal["sdp"] = example["sdp"]
        if "candidate" in normal:
            assert CANDIDATE.match(normal["candidate"])
            normal["candidate"] = example["candidate"]
        if normal["type"] == "upload":
            normal["path"] = example["path"]
        if normal["type"] == "chat" and "file" in normal["line"] and "file" in example["line"]:
            normal["line"]["file"]["path"] = example["line"]["file"]["path"]
        if "server" in normal:
            assert normal["server"].startswith("roomfsm/")
            normal["server"] = example["server"]
        for line in (*normal.get("chat", ()), *([normal["line"]] if normal["type"] == "chat" else ())):
            assert abs(line["at"] / 1000 - time.time()) < 60
            line["at"] = SAID_AT
        for one in normal.get("waiting", ()):
            assert abs(one["since"] / 1000 - time.time()) < 60
            one["since"] = SAID_AT
        for ban in normal.get("bans", ()):
            assert abs(ban["until"] / 1000 - BAN - time.time()) < 60
            ban["until"] = SAID_AT + 1000 * BAN
        return normal


async def send_media(peer: TestPeer) -> None:
    while True:
        peer.send_rtp(VP8_KEYFRAME, marker=True)
        await trio.sleep(0.02)


async def test_the_story_happens_with_a_real_server(media_server: str) -> None:
    with trio.fail_after(3 * LOADED):
        async with (
            open_test_peer("sendonly") as camera,
            open_test_peer("recvonly") as display,
            serving(media_server, ice_servers=ICE_SERVERS) as server,
            trio.open_nursery() as nursery,
            AsyncExitStack() as stack,
        ):
            # Only then it is known what the media server can do.
            await server.running.directory._pool.wait_ready()
            await Stage(server, {"Ada": camera, "Bob": display}, stack).play(nursery)
            nursery.cancel_scope.cancel()


@pytest.mark.parametrize("message", [*CLIENT_MESSAGES, *SERVER_MESSAGES], ids=lambda m: m.__name__)
def test_every_message_has_an_example_that_fits_its_schema(message: type[Any]) -> None:
    examples = DOCUMENT["components"]["messages"][message.__name__]["examples"]
    assert examples
    for example in examples:
        assert is_valid(example["payload"], message.__name__), example
