"""The media server is killed, hangs or cannot start while twenty people watch, or while the server ends.

`uv run python -m tests.bench.media_death` prints the figures. The bounds here are generous, for a busy machine.
"""

from __future__ import annotations

import os
import resource
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
import trio

from tests.system.audience import Audience, open_audience
from tests.system.program import Program, running

PATIENCE = 90.0
"""The seconds after which a test fails."""
CANNOT = "media server cannot be started: "
LOADED = 20.0
"""The seconds for something that takes two on an idle machine."""


def family(program: Program) -> list[psutil.Process]:
    """The media server and its workers."""
    return psutil.Process(program.process.pid).children(recursive=True)


def media_server(program: Program) -> psutil.Process:
    (child,) = psutil.Process(program.process.pid).children()
    return child


def held(program: Program) -> tuple[int, int]:
    """The pipelines and endpoints at the media server."""
    (server,) = program.health()[1]["mediaServers"]
    return server["pipelines"], server["endpoints"]


@contextmanager
def no_descriptors(process: int) -> Iterator[None]:
    """While this is entered, the process can open no file, pipe or socket."""
    before = resource.prlimit(process, resource.RLIMIT_NOFILE)
    resource.prlimit(process, resource.RLIMIT_NOFILE, (0, before[1]))
    try:
        yield
    finally:
        resource.prlimit(process, resource.RLIMIT_NOFILE, before)


async def is_empty(program: Program) -> None:
    """Wait until no pipeline and no endpoint is left."""
    while await trio.to_thread.run_sync(held, program) != (0, 0):  # noqa: ASYNC110
        await trio.sleep(0.1)


def end(program: Program, within: float) -> None:
    """Check that the server ends with 0, in time, and leaves no process."""
    left = family(program)
    began = time.monotonic()
    assert program.end(timeout=within) == 0
    assert time.monotonic() - began < within
    psutil.wait_procs(left, LOADED)
    assert not [one for one in left if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]


async def kill(program: Program, audience: Audience) -> float:
    killed = trio.current_time()
    media_server(program).kill()
    await audience.all_told(killed)
    return trio.current_time() - killed


async def hang(program: Program, audience: Audience) -> float:
    stopped = trio.current_time()
    media_server(program).suspend()
    await audience.all_told(stopped)
    return trio.current_time() - stopped


@pytest.mark.parametrize(("disaster", "told_in"), [(kill, 5), (hang, 15)], ids=["killed", "hung"])
def test_after_its_death_everybody_is_told_and_watches_again(
    tmp_path: Path, disaster: object, told_in: float
) -> None:
    async def main(program: Program) -> None:
        with trio.fail_after(PATIENCE):
            async with open_audience(program.url, 19) as audience:
                for _ in range(2):
                    assert callable(disaster)
                    assert await disaster(program, audience) < told_in
                    told = trio.current_time()
                    await audience.all_watch(told)
                    assert trio.current_time() - told < LOADED
            await is_empty(program)

    with running(tmp_path) as program:
        trio.run(main, program)
        assert len(family(program)) == 1
        end(program, 15)
        assert "Traceback" not in program.log.read_text()


def test_while_it_cannot_start_the_server_lives_and_later_everybody_watches(
    tmp_path: Path,
) -> None:
    async def main(program: Program) -> None:
        with trio.fail_after(PATIENCE):
            async with open_audience(program.url, 19) as audience:
                with no_descriptors(program.process.pid):
                    assert await kill(program, audience) < 5
                    # For some seconds: each delay is twice as long as the one before.
                    while program.log.read_text().count(CANNOT) < 7:
                        assert program.process.poll() is None
                        await trio.sleep(0.1)
                possible = trio.current_time()
                await audience.all_watch(possible)
                assert trio.current_time() - possible < LOADED
            await is_empty(program)

    with running(tmp_path) as program:
        trio.run(main, program)
        end(program, 15)


def test_a_hung_worker_is_noticed_and_its_people_watch_again(tmp_path: Path) -> None:
    async def main(program: Program) -> None:
        with trio.fail_after(PATIENCE):
            async with open_audience(program.url, 7) as audience:
                for worker in media_server(program).children():
                    worker.suspend()
                    before = worker.pid
                    while worker.is_running() and psutil.pid_exists(before):  # noqa: ASYNC110
                        await trio.sleep(0.05)
                await audience.all_watch(trio.current_time())
            await is_empty(program)
            assert len(family(program)) == 3

    with running(tmp_path, "--media-workers=2") as program:
        trio.run(main, program)
        end(program, 15)


@pytest.mark.parametrize(
    ("workers", "who"), [(1, "the media server"), (2, "the media server"), (2, "a worker"), (2, "all")]
)
def test_the_server_ends_in_time_with_0_while_a_media_process_hangs(
    tmp_path: Path, workers: int, who: str
) -> None:
    async def main(program: Program) -> None:
        with trio.fail_after(PATIENCE):
            async with open_audience(program.url, 5):
                server = media_server(program)
                stopped = {"the media server": [server], "a worker": server.children()[:1], "all": family(program)}
                for one in stopped[who]:
                    os.kill(one.pid, signal.SIGSTOP)
                await trio.to_thread.run_sync(end, program, 15)

    with running(tmp_path, f"--media-workers={workers}") as program:
        trio.run(main, program)
