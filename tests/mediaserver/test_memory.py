"""Joins leave nothing behind: the memory of a process stays flat over hundreds of them."""

import json
import subprocess
import sys

import trio

ROUNDS, JOINS = 4, 100
MAX_GROWTH = 2.0
"""kB a join, after the first two rounds have filled the allocators' pools."""


async def test_memory_does_not_grow_with_joins() -> None:
    with trio.fail_after(60):
        command = [sys.executable, "-m", "tests.mediaserver.joins", str(ROUNDS), str(JOINS)]
        result = await trio.run_process(command, capture_stdout=True, stdin=subprocess.DEVNULL)
    sizes = json.loads(result.stdout)
    assert len(sizes) == ROUNDS
    assert (sizes[-1] - sizes[1]) / (JOINS * (ROUNDS - 2)) < MAX_GROWTH, sizes
