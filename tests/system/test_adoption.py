"""kill -9 or SIGTERM of a room server during a broadcast: the media server goes on, and so does the next run."""

from __future__ import annotations

import itertools
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from roomfsm.mediaserver.kurento.server_manager import MANAGER_ID
from tests.mediaserver import kurento_client
from tests.mediaserver.peer import VP8_KEYFRAME, TestPeer, open_test_peer
from tests.ports import reserved_port
from tests.processes import media_server_program
from tests.protocol_client import Client, Wire, open_client
from tests.system.cycles import PATIENCE, connect
from tests.system.program import Program
from tests.system.test_kurento_apart import open_program


@asynccontextmanager
async def filming() -> AsyncIterator[TestPeer]:
    """A camera that sends all the time, once it is connected."""
    async with open_test_peer("sendonly") as camera, trio.open_nursery() as nursery:

        async def send() -> None:
            await camera.connected.wait()
            # Each is a picture of its own: whoever comes late waits for the beginning of one.
            for timestamp in itertools.count(0, 4500):
                camera.send_rtp(VP8_KEYFRAME, timestamp=timestamp, marker=True)
                await trio.sleep(0.05)

        nursery.start_soon(send)
        yield camera
        nursery.cancel_scope.cancel()


async def sees(display: TestPeer) -> None:
    """Wait for so many new packets that those that were on their way cannot be all of them."""
    display.received_rtp()
    with trio.fail_after(PATIENCE):
        for _ in range(10):
            await display.receive_rtp()


async def endpoints_at(media: kurento_client.Client) -> set[str]:
    found: set[str] = set()
    for pipeline in await media.invoke(MANAGER_ID, "getPipelines"):
        reply = await media.request("invoke", {"object": pipeline, "operation": "getChildren"})
        if "error" not in reply:  # released since it was listed
            found.update(reply["result"]["value"])
    return found


async def kill(program: Program, *clients: Client, how: signal.Signals = signal.SIGKILL) -> list[str]:
    """End the program, and look at what its clients are told. Returns the tokens with which they come back."""
    program.process.send_signal(how)
    for client in clients:
        before = len(client.seen)
        await client.closed()
        told = [one for one in client.seen[before:] if one["type"] in ("closing", "streamEnded")]
        restarting = {"type": "closing", "scope": "server", "reason": "restarting"}
        assert told == ([restarting] if how is signal.SIGTERM else [])
    code = await trio.to_thread.run_sync(program.process.wait)
    assert code == (0 if how is signal.SIGTERM else -how)
    return [client.welcome["resumeToken"] for client in clients]


async def resume(client: Client, token: str) -> Wire:
    told = await client.ask("resume", token=token)
    assert told["type"] == "joined", told
    client.me = told["you"]
    return told


async def broadcast(camera: TestPeer, display: TestPeer, ada: Client, bob: Client) -> str:
    """Ada presents and Bob views it. Returns the stream's id."""
    await ada.join("blue", "Ada")
    await bob.join("blue", "Bob")
    await connect(camera, await ada.ask("publish", source="camera", sdp=camera.offer))
    stream = f"{ada.me}.camera"
    await connect(display, await bob.ask("view", stream=stream, sdp=display.offer))
    await sees(display)
    return stream


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
async def test_pictures_go_on_while_the_server_is_away_and_nothing_is_negotiated_again(
    tmp_path: Path, how: signal.Signals
) -> None:
    with media_server_program() as (url, _), reserved_port() as port:
        arguments = (f"--kurento={url}", f"--data={tmp_path / 'data'}", f"--port={port}")
        async with (
            filming() as camera,
            open_test_peer("recvonly") as display,
            open_test_peer("recvonly") as another,
            kurento_client.open_client(url) as monitor,
        ):
            async with (
                open_program(tmp_path, *arguments) as first,
                open_client(first.url) as ada,
                open_client(first.url) as bob,
            ):
                stream = await broadcast(camera, display, ada, bob)
                before = await endpoints_at(monitor)
                assert len(before) == 2
                tokens = await kill(first, ada, bob, how=how)
            await sees(display)
            assert await endpoints_at(monitor) == before
            # As if somebody had been answered, and the server was killed before it had noted that.
            (pipeline,) = await monitor.invoke(MANAGER_ID, "getPipelines")
            made = {"type": "WebRtcEndpoint", "constructorParams": {"mediaPipeline": pipeline}}
            assert await monitor.call("create", **made) in await endpoints_at(monitor) - before
            async with (
                open_program(tmp_path, *arguments) as second,
                open_client(second.url) as ada,
                open_client(second.url) as bob,
                open_client(second.url) as cyd,
            ):
                (seen,) = (await resume(bob, tokens[1]))["streams"]
                assert (seen["id"], seen["viewers"], seen["generation"]) == (stream, 1, 1)
                if seen["state"] != "live":
                    await bob.expect("streamChanged", stream=seen | {"state": "live"})
                await resume(ada, tokens[0])
                with trio.fail_after(PATIENCE):
                    while await endpoints_at(monitor) != before:  # noqa: ASYNC110 (it is another process)
                        await trio.sleep(0.05)
                await sees(display)
                # The room goes on in all that it does: somebody new views it, and it ends with its presenter.
                await cyd.join("blue", "Cyd")
                await connect(another, await cyd.ask("view", stream=stream, sdp=another.offer))
                await sees(another)
                await ada.ask("unpublish", stream=stream)
                assert (await bob.expect("streamEnded"))["reason"] == "unpublished"
                with trio.fail_after(PATIENCE):
                    while await endpoints_at(monitor):  # noqa: ASYNC110
                        await trio.sleep(0.05)
    assert "Traceback" not in (tmp_path / "server.log").read_text()


async def test_ctrl_c_releases_everything_and_so_does_sigterm_of_a_server_that_keeps_nothing(
    tmp_path: Path,
) -> None:
    with media_server_program() as (url, _):
        for number, (how, data) in enumerate(
            [(signal.SIGINT, str(tmp_path / "data")), (signal.SIGTERM, "none")],
        ):
            async with (
                filming() as camera,
                open_test_peer("recvonly") as display,
                kurento_client.open_client(url) as monitor,
                open_program(tmp_path / str(number), f"--kurento={url}", f"--data={data}") as program,
                open_client(program.url) as ada,
                open_client(program.url) as bob,
            ):
                await broadcast(camera, display, ada, bob)
                program.process.send_signal(how)
                assert (await bob.expect("closing", scope="server"))["reason"] == "shutdown"
                assert (await bob.expect("streamEnded"))["reason"] == "shutdown"
                assert await trio.to_thread.run_sync(program.process.wait) == 0
                assert await endpoints_at(monitor) == set()


async def test_if_the_media_server_has_ended_as_well_the_streams_have_ended(tmp_path: Path) -> None:
    with reserved_port() as port:
        data, same = f"--data={tmp_path / 'data'}", f"--port={port}"
        with media_server_program() as (url, process):
            async with (
                filming() as camera,
                open_test_peer("recvonly") as display,
                open_program(tmp_path, f"--kurento={url}", data, same) as first,
                open_client(first.url) as ada,
                open_client(first.url) as bob,
            ):
                await broadcast(camera, display, ada, bob)
                tokens = await kill(first, ada, bob)
            process.kill()
            process.wait()
        with media_server_program() as (url, _):
            async with (
                filming() as camera,
                open_test_peer("recvonly") as display,
                open_program(tmp_path, f"--kurento={url}", data, same) as second,
                open_client(second.url) as ada,
                open_client(second.url) as bob,
            ):
                # It was clear before anybody was served, because this media server is another one.
                assert (await resume(ada, tokens[0]))["streams"] == []
                assert (await resume(bob, tokens[1]))["state"] == "waiting"
                await connect(camera, await ada.ask("publish", source="camera", sdp=camera.offer))
    assert "Traceback" not in (tmp_path / "server.log").read_text()


async def test_a_media_server_that_cannot_be_reached_does_not_keep_people_waiting(tmp_path: Path) -> None:
    with media_server_program() as (url, process), reserved_port() as port:
        arguments = (f"--kurento={url}", f"--data={tmp_path / 'data'}", f"--port={port}")
        async with (
            filming() as camera,
            open_test_peer("recvonly") as display,
            open_program(tmp_path, *arguments) as first,
            open_client(first.url) as ada,
            open_client(first.url) as bob,
        ):
            stream = await broadcast(camera, display, ada, bob)
            tokens = await kill(first, ada, bob)
        process.kill()
        process.wait()
        async with open_program(tmp_path, *arguments) as second, open_client(second.url) as bob:
            # It might be there in a moment, and have kept everything, so the stream does not end at once.
            if (await resume(bob, tokens[1]))["streams"]:
                ended = await bob.expect("streamEnded")
                assert (ended["stream"], ended["reason"]) == (stream, "media_unavailable")
            assert (await bob.ask("chat", text="without a picture"))["type"] == "chat"
    assert "Traceback" not in (tmp_path / "server.log").read_text()
