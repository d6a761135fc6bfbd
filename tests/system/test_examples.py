"""The examples run as their first lines say, against real servers."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
import trio

from roomfsm.peer import Peer, open_peer
from tests.protocol_client import Client, open_client
from tests.serving import serving

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
PATIENCE = 120


def command(name: str, *arguments: str) -> list[str]:
    return [sys.executable, str(ROOT / "examples" / name), *arguments]


async def printed_by(name: str, *arguments: str) -> str:
    """Everything that the example prints until it ends."""
    with trio.fail_after(PATIENCE):
        done = await trio.run_process(command(name, *arguments), capture_stdout=True)
    return done.stdout.decode()


async def present(ada: Client, peer: Peer) -> None:
    """Ada sends the test source into her room."""
    answer = await ada.ask("publish", source="camera", sdp=peer.offer)
    peer.take_answer(answer["sdp"])
    with trio.fail_after(PATIENCE):
        await peer.connect()
    peer.play("audio", "video")


async def test_a_media_server_is_driven_from_trio(media_server: str) -> None:
    text = await printed_by("drive_kurento.py", media_server, "--packets", "30")
    assert f"30 packets went through {media_server}\n" in text
    assert "sender: DtlsConnectionStateChange CONNECTED" in text
    assert "receiver: DtlsConnectionStateChange CONNECTED" in text
    assert "receiver: MediaFlowInStateChanged FLOWING" in text


async def test_without_a_media_server_the_example_says_so() -> None:
    with trio.fail_after(PATIENCE):
        run = partial(trio.run_process, capture_stderr=True, check=False)
        done = await run(command("drive_kurento.py", "ws://127.0.0.1:9/kurento"))
    assert done.returncode == 1
    assert "MediaServerUnavailable: no media server is ready within 5 s" in done.stderr.decode()


@pytest.mark.parametrize("comes", ["before", "after"])
async def test_a_robot_watches_whether_it_comes_before_or_after_the_presenter(
    media_server: str, comes: str
) -> None:
    told: list[str] = []
    waited: list[str] = []

    async def watch(url: str) -> None:
        with trio.fail_after(PATIENCE):
            line = command("robot.py", url, "blue", "--packets", "60")
            done = await trio.run_process(line, capture_stdout=True, capture_stderr=True)
        told.append(done.stdout.decode())
        waited.append(done.stderr.decode())

    async with serving(media_server) as served, open_client(served.url) as ada, open_peer("sendonly") as peer:
        await ada.join("blue")
        async with trio.open_nursery() as nursery:
            if comes == "after":
                await present(ada, peer)
                nursery.start_soon(watch, served.url)
            else:
                nursery.start_soon(watch, served.url)
                assert (await ada.expect("participantJoined"))["participant"]["name"] == "Robot"
                await present(ada, peer)
        assert (await ada.expect("participantLeft"))["type"] == "participantLeft"
    assert waited == ["" if comes == "after" else "waiting until somebody presents in blue\n"]
    (text,) = told
    found = re.fullmatch(r"(\S+): (\d+) packets of audio, (\d+) of video, (\d+) frames\n", text)
    assert found is not None, text
    audio, video, frames = (int(found[number]) for number in (2, 3, 4))
    assert found[1] == f"{ada.me}.camera"
    assert audio + video == 60
    # The test source's pictures fit into a packet each.
    assert 0 < video == frames < audio


async def test_a_robot_leaves_when_the_stream_ends(media_server: str) -> None:
    told: list[str] = []

    async def watch(url: str) -> None:
        told.append(await printed_by("robot.py", url, "blue", "--packets", "1000000"))

    async with serving(media_server) as served, open_client(served.url) as ada, open_peer("sendonly") as peer:
        await ada.join("blue")
        await present(ada, peer)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch, served.url)
            while (await ada.expect("streamChanged"))["stream"]["viewers"] == 0:
                pass
            reply = await ada.ask("unpublish", stream=f"{ada.me}.camera")
            assert reply["type"] == "streamEnded"
    assert told == ["the stream has ended\n"]


@contextmanager
def room_server(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """The example's server, which runs until the block ends."""
    line = command("room_server.py", "--port", "0", *arguments)
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def test_a_room_server_inside_another_program_closes_its_rooms_and_ends() -> None:
    async def visit(url: str) -> None:
        with trio.fail_after(PATIENCE):
            async with open_client(url) as ada:
                await ada.join("blue")
                while (await ada.expect("roomState"))["state"] != "closing":
                    pass

    with room_server("--hours", "0.0001") as process:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        trio.run(visit, address.replace("http", "ws", 1) + "ws")
        assert process.stdout.readline() == "closing blue: 1 people, 0 streams\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0
        assert process.stdout.read().splitlines()[-1].startswith("SIGTERM: everybody is told")


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: str(path.stem))
def test_every_example_is_short_and_listed(example: Path) -> None:
    assert len(example.read_text(encoding="utf-8").splitlines()) <= 80
    text = example.read_text(encoding="utf-8")
    needs_peer = "from roomfsm.peer" in text
    assert f"    uv run {'--extra peer ' if needs_peer else ''}python examples/{example.name} " in text
    assert f"examples/{example.name}" in (ROOT / "README.md").read_text(encoding="utf-8")
