"""How long people have no picture when the embedded media server is killed, hangs, or cannot be started again.

`uv run python -m tests.bench.media_death [--viewers 19] [--unstartable 20]`. One presenter and the viewers are
in a room of a real server, each with a WebRTC peer that acts as the page does. For each disaster it prints
seconds: until they were told (median and last), and until a frame came again (median and last), counted from
the disaster or from when a start is possible again. At the end it tells how long the server's own end takes
while the media server hangs, and how many processes are left.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import tempfile
import time
from pathlib import Path

import psutil
import trio

from tests.system.audience import Audience, open_audience
from tests.system.program import Program, running

_PATIENCE = 60.0


def _media_server(program: Program) -> psutil.Process:
    (child,) = psutil.Process(program.process.pid).children()
    return child


def _row(name: str, since: float, times: list[float] | None) -> str:
    if times is None:
        return f"  {name:28} never, in {_PATIENCE:g} s"
    waits = [at - since for at in times]
    return f"  {name:28} median {statistics.median(waits):6.2f}   last {max(waits):6.2f}"


async def _report(audience: Audience, began: float, possible: float) -> None:
    told: list[float] | None = None
    frames: list[float] | None = None
    with trio.move_on_after(_PATIENCE):
        told = await audience.all_told(began)
    print(_row("told after", began, told))
    with trio.move_on_after(_PATIENCE):
        frames = await audience.all_watch(max(possible, max(told or [began])))
    print(_row("frames again after", possible, frames), flush=True)


async def _disasters(program: Program, viewers: int, unstartable: float) -> None:
    async with open_audience(program.url, viewers) as audience:
        print(f"{1 + viewers} people; killed (SIGKILL)")
        began = trio.current_time()
        _media_server(program).kill()
        await _report(audience, began, began)
        print("hung (SIGSTOP)")
        began = trio.current_time()
        _media_server(program).suspend()
        await _report(audience, began, began)
        print(f"killed, and for {unstartable:g} s no descriptor is to be had")
        limits = resource.prlimit(program.process.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(program.process.pid, resource.RLIMIT_NOFILE, (0, limits[1]))
        began = trio.current_time()
        _media_server(program).kill()
        await trio.sleep(unstartable)
        if program.process.poll() is not None:
            print(f"  the server has died: exit code {program.process.wait()}")
            return
        resource.prlimit(program.process.pid, resource.RLIMIT_NOFILE, limits)
        await _report(audience, began, trio.current_time())
        print("asked to end (SIGTERM) while the media server hangs")
        family = psutil.Process(program.process.pid).children(recursive=True)
        _media_server(program).suspend()
        since = time.monotonic()
        program.process.terminate()
        while program.process.poll() is None:  # noqa: ASYNC110
            await trio.sleep(0.01)
        print(f"  exit code {program.process.wait()} after {time.monotonic() - since:.2f} s")
        left = [one.pid for one in family if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]
        print(f"  processes left: {len(left)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--viewers", type=int, default=19)
    parser.add_argument("--unstartable", type=float, default=20.0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, running(Path(folder)) as program:
        trio.run(_disasters, program, options.viewers, options.unstartable)


if __name__ == "__main__":
    main()
