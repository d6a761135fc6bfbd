"""The server's use of the machine, with all its processes."""

from __future__ import annotations

import subprocess
import sys
import time
import tracemalloc
from contextlib import suppress

import psutil
import trio
import trio.lowlevel

from roomfsm.mediaserver.kurento.server_manager import MANAGER_ID
from roomfsm.mediaserver.kurento.usage import cpu_times, resident_memory
from roomfsm.peer import OPUS_TYPE, VP8_TYPE
from roomfsm.peer.sdp import write_offer
from tests.mediaserver.kurento_client import open_client, open_server

PATIENCE = 180.0
"""Seconds that a test waits before it fails: three processes have to start."""
VIEWERS = 20
MAX_VIEWER = 13_000
"""Bytes of our own objects for a viewer that has been answered."""
FLOOD = """
import socket, sys
sock = socket.socket(type=socket.SOCK_DGRAM)
while True:
    sock.sendto(bytes(20), ("127.0.0.1", int(sys.argv[1])))
"""


def workers() -> list[psutil.Process]:
    """This excludes the memory of other tests in this process."""
    found = []
    for process in psutil.Process().children():
        with suppress(psutil.Error):  # One that has ended meanwhile.
            if "roomfsm.mediaserver.workers" in process.cmdline():
                found.append(process)
    return found


def resident(processes: list[psutil.Process]) -> int:
    """KiB."""
    return sum(process.memory_info().rss for process in processes) // 1024


def test_memory_and_cpu_time_are_those_that_the_system_tells() -> None:
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as busy:
        try:
            process = psutil.Process(busy.pid)
            while cpu_times([busy.pid])[busy.pid] < 0.2:
                assert busy.poll() is None
            told = cpu_times([busy.pid])[busy.pid]
            times = process.cpu_times()
            assert 0.2 <= told <= times.user + times.system + 0.01  # Both count in steps of 10 ms.
            assert abs(resident_memory([busy.pid]) - resident([psutil.Process(), process])) < 4096
        finally:
            # Leaving the block waits for its end, also where an assertion fails.
            busy.kill()
    assert cpu_times([busy.pid]) == {}
    assert abs(resident_memory([busy.pid]) - resident([psutil.Process()])) < 4096


async def test_the_memory_of_the_workers_counts() -> None:
    with trio.fail_after(PATIENCE):
        async with open_server(workers=2) as server, open_client(server.url) as client:
            told = await client.invoke(MANAGER_ID, "getUsedMemory")
            assert len(workers()) == 2
            assert abs(told - resident([psutil.Process(), *workers()])) < 4096


async def test_the_time_of_the_workers_counts() -> None:
    with trio.fail_after(PATIENCE):
        async with open_server(workers=2) as server, open_client(server.url) as client:
            processes = [process.pid for process in workers()]

            def used() -> float:
                return sum(cpu_times(processes).values())

            # What the first worker refuses keeps it busy.
            async with trio.open_nursery() as nursery:
                await nursery.start(trio.run_process, [sys.executable, "-c", FLOOD, str(server.media_port)])
                idle = used()
                while used() < idle + 0.05:
                    await trio.lowlevel.checkpoint()
                while True:
                    theirs, ours, since = used(), time.process_time(), time.monotonic()
                    told = await client.invoke(MANAGER_ID, "getUsedCpu", interval=500)
                    elapsed, ours, theirs = (
                        time.monotonic() - since,
                        time.process_time() - ours,
                        used() - theirs,
                    )
                    # What this process used cannot be all of it; on a busy machine a worker may have to wait.
                    if told / 100 * elapsed > 2 * ours + 0.05:
                        break
                nursery.cancel_scope.cancel()
            assert told / 100 * 0.5 <= ours + theirs + 0.05


async def test_a_viewer_costs_no_more_than_it_needs() -> None:
    """Most peers are viewers, so what only publishers need must not be there for each of them."""
    with trio.fail_after(PATIENCE):
        async with open_server() as server, open_client(server.url) as client:
            pipeline = await client.pipeline()
            source = await client.endpoint(pipeline)

            async def view() -> None:
                offer = write_offer("recvonly", [OPUS_TYPE], [VP8_TYPE], "ufra", "p" * 22, bytes(range(32)))
                endpoint = await client.endpoint(pipeline)
                await client.invoke(source, "connect", sink=endpoint)
                await client.invoke(endpoint, "processOffer", offer=offer)

            await view()
            tracemalloc.start()
            try:
                for _ in range(VIEWERS):
                    await view()
                ours = tracemalloc.take_snapshot().filter_traces(
                    [tracemalloc.Filter(True, "*/roomfsm/mediaserver/*")]
                )
            finally:
                tracemalloc.stop()
            size = sum(trace.size for trace in ours.traces)
            assert size / VIEWERS < MAX_VIEWER, size / VIEWERS
