"""Joins leave nothing behind, and free memory is returned to the system."""

import json
import subprocess
import sys

import psutil
import pytest
import trio

from roomfsm.mediaserver.engine import memory
from tests.processes import LOADED

ROUNDS, JOINS = 4, 100
MAX_GROWTH = 2.0
"""The kB for each join, after the first two rounds have filled the allocators' pools."""


async def test_memory_does_not_grow_with_joins() -> None:
    with trio.fail_after(4 * LOADED):
        command = [sys.executable, "-m", "tests.mediaserver.joins", str(ROUNDS), str(JOINS)]
        result = await trio.run_process(command, capture_stdout=True, stdin=subprocess.DEVNULL)
    sizes = json.loads(result.stdout)
    assert len(sizes) == ROUNDS
    assert (sizes[-1] - sizes[1]) / (JOINS * (ROUNDS - 2)) < MAX_GROWTH, sizes


@pytest.mark.skipif(memory._trim is None, reason="no glibc")
def test_free_memory_between_used_memory_is_returned() -> None:
    kept, freed = [], []
    for _ in range(2000):
        freed.append(bytearray(20_000))
        kept.append(bytearray(600))
    before = psutil.Process().memory_info().rss
    freed.clear()
    memory.give_back()
    assert before - psutil.Process().memory_info().rss > 2000 * 20_000 // 2
    assert len(kept) == 2000
