"""The media server as a process: alone, and as a supervised child."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import structlog
import trio

from roomfsm.media_server_child import ChildSettings, ChildSettingsError, MediaServerChild, open_media_server_child
from roomfsm.supervise import ChildStartError
from tests.mediaserver.kurento_client import HANDSHAKE, PATIENCE, frame, open_client, tcp
from tests.processes import LOADED

COMMAND = [sys.executable, "-m", "roomfsm.mediaserver", "--port=0", "--media-host=127.0.0.1"]
SETTINGS = ChildSettings(media_host="127.0.0.1", first_delay=0.01)


class Log:
    """A logger that keeps its entries."""

    def __init__(self) -> None:
        self.entries: list[dict[str, Any]] = []
        self.logger: structlog.typing.FilteringBoundLogger = structlog.wrap_logger(
            None,
            processors=[structlog.processors.add_log_level, self._keep],
            wrapper_class=structlog.make_filtering_bound_logger(0),
        )

    def _keep(self, _logger: Any, _name: str, entry: Any) -> Any:
        self.entries.append(dict(entry))
        raise structlog.DropEvent


async def ends_with_parent(folder: Path) -> None:
    """Run a media server whose socket for parents is in this folder, until its parent is gone."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "parent"))
        listener.listen()
        process = await trio.lowlevel.open_process(
            [*COMMAND, "--exit-with-parent", f"--parent-socket={listener.fileno()}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            pass_fds=(listener.fileno(),),
        )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        async with process.stdin, process.stdout:
            with trio.fail_after(LOADED):
                assert b"ready" in await process.stdout.receive_some()
        assert await ended(process) == 0
    finally:
        process.kill()


async def test_at_its_end_it_removes_only_what_belongs_to_the_place_where_parents_meet() -> None:
    with TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "media-x").mkdir()
        await ends_with_parent(folder / "media-x")
        assert os.listdir(folder) == []
        (folder / "media-x").mkdir()
        (folder / "media-x" / "kept").touch()
        await ends_with_parent(folder / "media-x")
        await ends_with_parent(folder)
        assert sorted(os.listdir(folder)) == ["media-x", "parent"]
        assert os.listdir(folder / "media-x") == ["kept"]


@asynccontextmanager
async def started(*arguments: str) -> AsyncIterator[tuple[trio.Process, str]]:
    """The server as its own process, and the first line that it writes."""
    process = await trio.lowlevel.open_process(
        [*COMMAND, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert process.stdout is not None
    try:
        line = b""
        with trio.fail_after(PATIENCE):
            while not line.endswith(b"\n"):
                line += await process.stdout.receive_some()
        yield process, line.decode()
    finally:
        process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()


def address(line: str) -> str:
    """The URL that the server printed for a human."""
    found = re.search(r"ws://\S+/kurento", line)
    assert found is not None, line
    return found.group()


async def ended(process: trio.Process) -> int:
    """The exit code."""
    with trio.fail_after(PATIENCE):
        return await process.wait()


async def dies(child: MediaServerChild) -> None:
    """Kill the child and wait until its successor is ready."""
    starts = child.starts
    assert child.pid is not None
    os.kill(child.pid, signal.SIGKILL)
    with trio.fail_after(3 * PATIENCE):  # a process has to start, on a busy machine
        while child.starts == starts:  # noqa: ASYNC110 (the child tells of its starts by a count)
            await trio.sleep(0.005)


async def test_started_by_hand_it_prints_its_address() -> None:
    async with started() as (_, line):
        assert address(line).startswith("ws://127.0.0.1:")
        async with open_client(address(line)) as client:
            assert (await client.request("ping"))["result"] == {"value": "pong"}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_it_with_code_0_and_its_clients_are_told(number: signal.Signals) -> None:
    async with started() as (process, line), open_client(address(line)) as client:
        await client.endpoint(await client.pipeline())
        process.send_signal(number)
        assert (await client.closed())[0] == 1001
        assert await ended(process) == 0


async def test_signal_ends_it_while_a_client_does_not_read() -> None:
    async with started() as (process, line), await tcp(address(line)) as deaf:
        await deaf.send_all(HANDSHAKE)
        await deaf.receive_some()
        process.send_signal(signal.SIGTERM)
        assert await ended(process) == 0


async def test_a_ping_during_the_closing_handshake_affects_no_other_client() -> None:
    """trio-websocket answers this ping, and wsproto refuses that (its issue 184). The tests are guarded."""
    async with started() as (_, line), open_client(address(line)) as other:
        async with await tcp(address(line)) as stream:
            with trio.fail_after(PATIENCE):
                await stream.send_all(HANDSHAKE)
                await stream.receive_some()
                await stream.send_all(frame(1, b"not json"))
                assert (await stream.receive_some())[:1] == b"\x88", "a closing frame"
                await stream.send_all(frame(9, b""))
                with suppress(trio.BrokenResourceError):
                    while await stream.receive_some():
                        pass
        for _ in range(3):
            assert (await other.request("ping"))["result"] == {"value": "pong"}


async def test_collector_period_is_an_option() -> None:
    async with started("--collector-period=0.1") as (_, line), open_client(address(line)) as watch:
        await watch.call("subscribe", object="manager_ServerManager", type="ObjectDestroyed")
        async with open_client(address(line)) as leaver:
            pipeline = await leaver.pipeline()
        await watch.event("ObjectDestroyed", objectId=pipeline)


async def test_an_address_in_use_is_an_error_in_words() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with trio.fail_after(PATIENCE):
            result = await trio.run_process(
                [sys.executable, "-m", "roomfsm.mediaserver", f"--port={port}", "--media-host=127.0.0.1"],
                capture_stderr=True,
                check=False,
            )
    assert result.returncode == 2
    why = f"cannot listen on 127.0.0.1, port {port}: Address already in use (see --host and --port)"
    assert result.stderr.decode() == f"roomfsm mediaserver: {why}\n"


async def test_as_a_child_it_says_ready_in_json_and_ends_with_its_parent() -> None:
    async with started("--exit-with-parent") as (process, line):
        ready = json.loads(line)
        assert ready["event"] == "ready"
        assert ready["url"].endswith("/kurento")
        assert 0 < ready["mediaPort"] < 65536
        assert process.stdin is not None
        await process.stdin.aclose()
        assert await ended(process) == 0


async def test_child_is_ready_and_its_log_is_forwarded() -> None:
    log = Log()
    async with (
        open_media_server_child(SETTINGS, log.logger) as child,
        open_client(child.url, child.secret) as client,
    ):
        assert child.starts == 1
        await client.send("not json")
        await client.closed()
    forwarded = [entry for entry in log.entries if entry.get("source") == "mediaserver"]
    assert [(entry["event"], entry["level"]) for entry in forwarded] == [
        ("message is no json, closing", "info"),
        ("media server ends", "info"),
    ]


async def test_killed_child_is_started_again_at_the_same_address() -> None:
    log = Log()
    async with open_media_server_child(SETTINGS, log.logger) as child:
        url = child.url
        for starts in (2, 3):
            await dies(child)
            assert (child.starts, child.url) == (starts, url)
            async with open_client(url, child.secret) as client:
                assert (await client.request("ping"))["result"] == {"value": "pong"}
    died = [entry["status"] for entry in log.entries if entry["event"] == "media server died"]
    assert died == [-signal.SIGKILL, -signal.SIGKILL]


async def test_a_restarted_child_knows_nothing_of_the_one_before() -> None:
    """It behaves like a restarted Kurento (recording 11)."""
    async with open_media_server_child(SETTINGS, Log().logger) as child:
        async with open_client(child.url, child.secret) as client:
            before = (await client.request("connect", {}))["result"]
            pipeline = await client.pipeline()
            await dies(child)
            assert (await client.closed())[0] == 1006
        async with open_client(child.url, child.secret) as client:
            assert await client.error("connect", sessionId=before["sessionId"]) == (40007, "Invalid session")
            assert (await client.request("connect", {}))["result"]["serverId"] != before["serverId"]
            assert await client.error("describe", object=pipeline) == (40101, f"Object '{pipeline}' not found")


async def test_child_ends_with_its_block() -> None:
    async with open_media_server_child(SETTINGS, Log().logger) as child:
        pid = child.pid
        assert pid is not None
    assert child.pid is None
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)  # not even a zombie is left


async def test_child_ends_when_its_block_is_cancelled() -> None:
    pid = None
    with trio.CancelScope() as scope:
        async with open_media_server_child(SETTINGS, Log().logger) as child:
            pid = child.pid
            scope.cancel()
            await trio.sleep_forever()
    assert pid is not None
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_child_that_is_cancelled_while_it_starts_leaves_no_process() -> None:
    before = children()
    with trio.move_on_after(0.05):
        async with open_media_server_child(SETTINGS, Log().logger):
            raise AssertionError("not ready so soon")
    assert children() <= before


def children() -> set[int]:
    """The ids of this process's children, including zombies."""
    with open(f"/proc/self/task/{os.getpid()}/children", encoding="ascii") as text:
        return {int(pid) for pid in text.read().split()}


async def test_child_that_ignores_sigterm_is_killed_after_stop_timeout() -> None:
    settings = ChildSettings(media_host="127.0.0.1", stop_timeout=0.2)
    with trio.fail_after(PATIENCE):
        async with open_media_server_child(settings, Log().logger) as child:
            pid = child.pid
            assert pid is not None
            os.kill(pid, signal.SIGSTOP)  # a stopped process serves no signal but SIGKILL
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_child_that_cannot_start_is_an_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        settings = ChildSettings(media_host="127.0.0.1", port=taken.getsockname()[1])
        log = Log()
        with pytest.raises(ChildSettingsError, match=r"^media server: cannot listen on 127\.0\.0\.1, port \d+: "):
            async with open_media_server_child(settings, log.logger):
                raise AssertionError("it cannot be ready")
    (said,) = log.entries
    assert (said["level"], said["event"][:16]) == ("error", "cannot listen on"), "its own words are forwarded"


async def test_child_that_is_not_ready_in_time_is_an_error() -> None:
    with pytest.raises(ChildStartError, match="not ready after"):
        async with open_media_server_child(ChildSettings(ready_timeout=0.01), Log().logger):
            raise AssertionError("it cannot be ready")


async def test_the_delay_grows_with_each_death() -> None:
    settings = ChildSettings(media_host="127.0.0.1", first_delay=0.1, max_delay=1000, steady_after=1000)
    async with open_media_server_child(settings, Log().logger) as child:
        for delay in (0.1, 0.2, 0.4):
            since = trio.current_time()
            await dies(child)
            assert trio.current_time() - since >= delay


async def test_the_delay_does_not_exceed_max_delay() -> None:
    settings = ChildSettings(media_host="127.0.0.1", first_delay=1000, max_delay=0.01, steady_after=1000)
    async with open_media_server_child(settings, Log().logger) as child:
        await dies(child)


async def test_the_delay_begins_again_after_a_steady_run() -> None:
    settings = ChildSettings(media_host="127.0.0.1", first_delay=0.01, max_delay=1000, steady_after=0)
    async with open_media_server_child(settings, Log().logger) as child:
        for _ in range(3):
            await dies(child)
