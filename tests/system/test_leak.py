"""Given people who join, publish, view and leave in every way, when they are gone, then nothing is left of them.

`pytest -s` prints the figures.
"""

from __future__ import annotations

import gc
import http.client
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil
import pytest
import trio

from roomfsm.mediaserver.kurento.limits import Limits
from roomfsm.mediaserver.kurento.server_manager import MANAGER_ID
from tests.mediaserver import kurento_client
from tests.processes import started
from tests.serving import serving
from tests.system.cycles import PATIENCE, RESUME_WINDOW, presenting, run_cycles
from tests.system.program import Program, running

WINDOWS = {"resume_window": RESUME_WINDOW, "linger": 0.1, "journal_entries": 20}
"""These are small, because the test includes the end of each time and a full journal."""

WARM_UP, CYCLES = 60, 120
"""Before and while the objects of a server in the test's own process are counted."""

MEMORY_WARM_UP, MEMORY_CYCLES, ROUNDS = 120, 240, 6
"""Before and while the memory of programs is measured, which takes longer to become steady."""

MAX_OBJECTS = 5
"""The most objects of one class after all cycles. If one way to leave left one each time, there would be 13."""

MAX_BLOCKS = 20
"""The blocks of Python's allocator for each cycle, hardly more than one forgotten object with its fields."""

OF_DEADLINES = 3 * 1000
"""The blocks of deadlines that are over. Trio forgets them when it has more than a thousand."""

MAX_GROWTH = 4.0
"""The KiB of resident memory for each cycle."""

MAX_FILES = 5
"""How many more files may be open than before, because some websockets may still be closing."""


@dataclass(frozen=True, slots=True)
class Left:
    """The counts of the room server and of the media server."""

    sessions: int
    rooms: int
    counted: tuple[int, int]
    """The numbers of pipelines and endpoints."""
    at_media_server: tuple[int, int]


NOTHING = Left(0, 0, (0, 0), (0, 0))
ONLY_EVE = Left(1, 1, (1, 1), (1, 1))


async def left(port: int, media: kurento_client.Client) -> Left:
    def read() -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        try:
            connection.request("GET", "/health/ready", headers={"Connection": "close"})
            return json.load(connection.getresponse())
        finally:
            connection.close()

    health = await trio.to_thread.run_sync(read)
    (server,) = health["mediaServers"]
    pipelines = await media.invoke(MANAGER_ID, "getPipelines")
    endpoints = [child for pipeline in pipelines for child in await children(media, pipeline)]
    return Left(
        health["sessions"],
        health["rooms"],
        (server["pipelines"], server["endpoints"]),
        (len(pipelines), len(endpoints)),
    )


async def children(media: kurento_client.Client, pipeline: str) -> list[str]:
    reply = await media.request("invoke", {"object": pipeline, "operation": "getChildren"})
    # One that was released since it was listed has none any more.
    found: list[str] = [] if "error" in reply else reply["result"]["value"]
    return found


async def until_left(expected: Left, port: int, media: kurento_client.Client) -> None:
    found: Left | None = None
    with trio.move_on_after(PATIENCE):
        while True:
            found = await left(port, media)
            if found == expected:
                return
            await trio.sleep(0.05)
    raise AssertionError(f"not {expected}, but {found}")


def tasks() -> int:
    return trio.lowlevel.current_statistics().tasks_living


async def fewest_tasks() -> int:
    """The fewest tasks within a second, which are those that always live."""
    fewest = tasks()
    with trio.move_on_after(1):
        while True:
            await trio.sleep(0.02)
            fewest = min(fewest, tasks())
    return fewest


async def until_tasks(most: int) -> None:
    with trio.move_on_after(PATIENCE):
        while True:
            if tasks() <= most:
                return
            await trio.sleep(0.02)
    raise AssertionError(f"{tasks()} tasks, where there were {most}")


def living() -> Counter[str]:
    """The program's own objects in this process, by their class."""
    gc.collect()
    classes = (type(item) for item in gc.get_objects())
    # Not every class that some library makes says its module as a text.
    names = (f"{c.__module__}.{c.__qualname__}" for c in classes)
    return Counter(name for name in names if name.startswith("roomfsm."))


async def until_few_more_than(objects: Counter[str]) -> Counter[str]:
    """The program's new objects, after waiting until there are only few of each class."""
    more: Counter[str] = Counter()
    with trio.move_on_after(PATIENCE):
        while True:
            more = living() - objects
            if max(more.values(), default=0) <= MAX_OBJECTS:
                return more
            await trio.sleep(0.1)
    raise AssertionError(f"still living: {dict(more)}")


async def test_when_people_leave_sessions_rooms_endpoints_and_tasks_end() -> None:
    async with (
        kurento_client.open_server(Limits(request_cache_size=0)) as ready,
        serving(ready.url, **WINDOWS) as server,
        kurento_client.open_client(ready.url) as media,
    ):
        await until_left(NOTHING, server.port, media)
        idle = await fewest_tasks()
        async with presenting(server.url):
            await run_cycles(server.url, WARM_UP)
            await until_left(ONLY_EVE, server.port, media)
            tasks_before, objects, blocks = await fewest_tasks(), living(), sys.getallocatedblocks()
            began = trio.current_time()
            await run_cycles(server.url, CYCLES)
            seconds = trio.current_time() - began
            await until_left(ONLY_EVE, server.port, media)
            await until_tasks(tasks_before)
            more = await until_few_more_than(objects)
            growth = (sys.getallocatedblocks() - blocks - OF_DEADLINES) / CYCLES
            print(
                f"\n{CYCLES} cycles in {seconds:.1f} s; with the presenter: tasks {tasks_before}, then {tasks()};"
                f" {objects.total()} objects, then {more.total():+d}; {growth:+.1f} blocks of memory a cycle"
            )
            assert growth < MAX_BLOCKS
        await until_left(NOTHING, server.port, media)
        await until_tasks(idle)
        print(f"without: tasks {idle}, then {tasks()}; 0 sessions, 0 rooms, 0 pipelines, 0 endpoints")


def resident(pid: int) -> int:
    """A process's memory in KiB."""
    return int(psutil.Process(pid).memory_info().rss) // 1024


@contextmanager
def forgetful_media_server() -> Iterator[tuple[str, int]]:
    """Address and process id of a media server that does not remember its replies.

    With Kurento's 20 seconds its memory would grow with every request of the whole test.
    """
    program = """
import trio
from roomfsm.mediaserver.kurento.limits import Limits
from roomfsm.mediaserver.program import MediaServerSettings, run_until_told
limits = Limits(request_cache_size=0)
settings = MediaServerSettings(port=0, media_host="127.0.0.1", exit_with_parent=True, limits=limits)
trio.run(run_until_told, settings, lambda ready: print(ready.url, flush=True))
"""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with started([sys.executable, "-c", program], text=True, **pipes) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip(), process.pid


@pytest.mark.alone
def test_memory_and_open_files_do_not_grow(tmp_path: Path) -> None:
    async def main(program: Program, url: str, pids: dict[str, int]) -> None:
        async with kurento_client.open_client(url) as media:

            async def settled(cycles: int) -> dict[str, tuple[int, int]]:
                await run_cycles(program.url, cycles)
                await until_left(ONLY_EVE, program.port, media)
                return {name: (resident(pid), psutil.Process(pid).num_fds()) for name, pid in pids.items()}

            async with presenting(program.url):
                await settled(MEMORY_WARM_UP)
                samples = [await settled(MEMORY_CYCLES // ROUNDS) for _ in range(ROUNDS + 1)]
            await until_left(NOTHING, program.port, media)
        for name in pids:
            sizes = [sample[name][0] for sample in samples]
            files = [sample[name][1] for sample in samples]
            # What is left behind is left in every round; what was needed once more than ever before is not.
            growth = min(after - before for before, after in pairwise(sizes)) / (MEMORY_CYCLES // ROUNDS)
            print(f"\n{name}: {sizes} KiB, {growth:+.2f} a cycle; {files} files open")
            assert growth < MAX_GROWTH
            assert files[-1] - files[0] < MAX_FILES

    arguments = [f"--{name.replace('_', '-')}={value}" for name, value in WINDOWS.items()]
    with (
        forgetful_media_server() as (url, media_pid),
        running(tmp_path, f"--kurento={url}", "--log-level=warning", *arguments) as program,
    ):
        trio.run(main, program, url, {"room server": program.process.pid, "media server": media_pid})
        assert "Traceback" not in program.log.read_text()
