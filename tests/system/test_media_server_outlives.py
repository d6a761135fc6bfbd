"""kill -9 or SIGTERM of a real server, and a start again: the media server is the same, and the pictures go on."""

from __future__ import annotations

import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from urllib.request import urlopen

import coredis
import msgspec
import psutil
import pytest
import trio
from trio_websocket import ConnectionClosed

from roomfsm.adoption import Trace
from roomfsm.store.sqlite import FILE
from tests.mediaserver.peer import open_test_peer
from tests.ports import reserved_port
from tests.processes import LOADED
from tests.protocol_client import open_client
from tests.redis_server import redis_server
from tests.system.audience import open_audience
from tests.system.left import LINGER, kill_left, none_left, trace_in
from tests.system.program import Program, running
from tests.system.test_adoption import broadcast, filming, resume, sees
from tests.system.test_adoption import kill as kill_and_wait
from tests.system.test_kurento_apart import open_program


def kill(program: Program) -> None:
    program.process.send_signal(signal.SIGKILL)
    assert program.process.wait(LOADED) == -signal.SIGKILL


def is_alive(pid: int) -> bool:
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


def until_gone(pid: int) -> None:
    until = time.monotonic() + LOADED
    while is_alive(pid):
        assert time.monotonic() < until
        time.sleep(0.01)


def until_connected(program: Program) -> None:
    """Wait until the server has its media server."""
    until = time.monotonic() + LOADED
    while True:
        with suppress(OSError), urlopen(f"{program.address}health/ready"):
            return
        assert time.monotonic() < until
        time.sleep(0.05)


@contextmanager
def ours(data: Path) -> Iterator[tuple[str, ...]]:
    with none_left(data):
        yield f"--data={data}", LINGER, "--log-format=json", "--log-level=debug"


def test_it_is_the_same_after_each_kill_and_ends_with_a_server_that_leaves_nothing_in_it(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with ours(data) as arguments:
        found: list[Trace | None] = []
        for _ in range(2):
            with running(tmp_path, *arguments) as program:
                until_connected(program)
                found.append(trace_in(data))
                kill(program)
        with running(tmp_path, *arguments) as program:
            until_connected(program)
            trace = trace_in(data)
            assert trace is not None
            assert found == [trace, trace]
            assert is_alive(trace.pid)
            assert program.end() == 0
        until_gone(trace.pid)
        assert trace_in(data) is None
        assert not list(data.glob("media-*"))
        log = program.log.read_text()
        assert log.count("another room server has taken over") == 2
        assert trace.secret not in log
        assert "Traceback" not in log


def test_in_redis_it_is_found_by_a_server_of_the_same_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ROOMFSM_DATA")
    with redis_server(tmp_path) as url:

        async def remembered() -> list[Trace]:
            async with coredis.Redis.from_url(url) as client:
                kept = await client.hgetall("{roomfsm}:remembered")
            return [msgspec.json.decode(one, type=Trace) for one in kept.values()]

        arguments = (f"--store={url}", LINGER)
        try:
            with running(tmp_path, *arguments) as program:
                until_connected(program)
                port = program.port
                (trace,) = trio.run(remembered)
                kill(program)
            with running(tmp_path, *arguments, f"--port={port}") as program:
                until_connected(program)
                assert trio.run(remembered) == [trace]
                assert is_alive(trace.pid)
                assert program.end() == 0
            assert trio.run(remembered) == []
            until_gone(trace.pid)
        finally:
            for left in trio.run(remembered):
                kill_left(left)


def test_what_nobody_claims_there_is_released(tmp_path: Path) -> None:
    """The rooms are lost, and the media server has their pipelines."""

    async def broadcast(program: Program) -> None:
        with trio.fail_after(LOADED):
            async with open_audience(program.url, 1):
                kill(program)

    data = tmp_path / "data"
    with ours(data) as arguments:
        with running(tmp_path, *arguments) as program, suppress(BaseExceptionGroup, ConnectionClosed):
            trio.run(broadcast, program)
        with closing(sqlite3.connect(data / FILE, isolation_level=None)) as db:
            db.executescript("DELETE FROM event; DELETE FROM room; DELETE FROM token")
        with running(tmp_path, *arguments) as program:
            until = time.monotonic() + LOADED
            while "kurento left behind released" not in program.log.read_text():
                assert time.monotonic() < until, program.log.read_text()
                time.sleep(0.05)


def test_if_nothing_is_kept_it_ends_with_the_server(tmp_path: Path) -> None:
    with running(tmp_path, "--data=none", LINGER) as program:
        until_connected(program)
        (child,) = psutil.Process(program.process.pid).children()
        kill(program)
        until_gone(child.pid)


@pytest.mark.parametrize("workers", [1, 2])
async def test_pictures_go_on_from_the_same_process_after_each_end(tmp_path: Path, workers: int) -> None:
    data = tmp_path / "data"
    with none_left(data), reserved_port() as port:
        arguments = (
            f"--data={data}",
            f"--port={port}",
            LINGER,
            "--media-host=127.0.0.1",
            f"--media-workers={workers}",
        )
        async with filming() as camera, open_test_peer("recvonly") as display:
            async with (
                open_program(tmp_path, *arguments) as first,
                open_client(first.url) as ada,
                open_client(first.url) as bob,
            ):
                stream = await broadcast(camera, display, ada, bob)
                trace = trace_in(data)
                assert trace is not None
                tokens = await kill_and_wait(first, ada, bob)
            for how in (signal.SIGTERM, signal.SIGKILL, signal.SIGTERM):
                await sees(display)
                async with (
                    open_program(tmp_path, *arguments) as next_one,
                    open_client(next_one.url) as ada,
                    open_client(next_one.url) as bob,
                ):
                    assert trace_in(data) == trace
                    (seen,) = (await resume(bob, tokens[1]))["streams"]
                    assert (seen["id"], seen["viewers"], seen["generation"]) == (stream, 1, 1)
                    await resume(ada, tokens[0])
                    await sees(display)
                    tokens = await kill_and_wait(next_one, ada, bob, how=how)
                assert trace_in(data) == trace
            async with (
                open_program(tmp_path, *arguments) as last,
                open_client(last.url) as ada,
                open_client(last.url) as bob,
            ):
                await resume(bob, tokens[1])
                await resume(ada, tokens[0])
                last.process.send_signal(signal.SIGINT)
                assert (await bob.expect("streamEnded"))["stream"] == stream
                assert await trio.to_thread.run_sync(last.process.wait) == 0
        await trio.to_thread.run_sync(until_gone, trace.pid)
    assert trace_in(data) is None
    assert "Traceback" not in (tmp_path / "server.log").read_text()
