"""The wait without the scheduler: it sees what comes, and gives way to everything of Trio's."""

import os
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import trio

from roomfsm.mediaserver.engine.watch import Watch

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing is watched")


@contextmanager
def opened() -> Iterator[tuple[Watch, socket.socket]]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        with Watch(sock) as watch:
            yield watch, sock


async def settle() -> None:
    """Go on when no other task can run, so that only what the test does can end a wait."""
    await trio.testing.wait_all_tasks_blocked()


async def test_the_canary_trio_is_as_expected() -> None:
    """If this fails after an update of Trio, the media server works, but needs more of the processor."""
    with opened() as (watch, sock):
        assert watch.works
        await settle()
        sock.sendto(b"x", sock.getsockname())
        assert watch.readable(trio.current_time(), awaited=True)
        assert sock.recv(10) == b"x"
        # Nothing comes, and it does not wait for ever.
        assert not watch.readable(trio.current_time(), awaited=True)


async def test_it_gives_way_to_a_task_that_can_run() -> None:
    with opened() as (watch, sock):
        async with trio.open_nursery() as nursery:
            await settle()
            sock.sendto(b"x", sock.getsockname())
            assert watch.readable(trio.current_time(), awaited=True)
            nursery.start_soon(trio.lowlevel.checkpoint)
            assert not watch.readable(trio.current_time(), awaited=True)


async def test_it_gives_way_to_tasks_whose_turn_comes_after_this_one() -> None:
    """Trio takes all tasks that can run out of its queue at once, and then gives them their turns."""
    seen: list[bool] = []
    begin = trio.Event()

    async def look(watch: Watch) -> None:
        await begin.wait()
        seen.append(watch.readable(trio.current_time(), awaited=True))

    with opened() as (watch, sock):
        sock.sendto(b"x", sock.getsockname())
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(look, watch)
            await settle()
            begin.set()
            await settle()
    # This task waits for its next turn, and so do those that have not looked yet.
    assert seen == [False, False, True]


async def test_it_gives_way_to_a_deadline() -> None:
    with opened() as (watch, _):
        woken = trio.Event()

        async def sleep() -> None:
            await trio.sleep(0.01)
            woken.set()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(sleep)
            await settle()
            due = trio.current_time() + 0.01
            assert not watch.readable(trio.current_time(), awaited=True)
            assert not woken.is_set()
            # It has waited for the deadline, or it was called after it.
            assert trio.current_time() >= due - 0.01
            await woken.wait()


async def test_it_gives_way_to_descriptors_and_other_threads() -> None:
    with opened() as (watch, sock):
        read, write = os.pipe()
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(trio.lowlevel.wait_readable, read)
                await settle()
                os.write(write, b"x")
                sock.sendto(b"x", sock.getsockname())
                assert not watch.readable(trio.current_time(), awaited=True)
        finally:
            os.close(read)
            os.close(write)
        told = trio.Event()
        await settle()
        thread = threading.Thread(target=trio.lowlevel.current_trio_token().run_sync_soon, args=(told.set,))
        thread.start()
        thread.join()
        assert not watch.readable(trio.current_time(), awaited=True)
        with trio.fail_after(20):
            await told.wait()


async def test_virtual_time_is_left_to_trio(autojump_clock: trio.testing.MockClock) -> None:
    with opened() as (watch, sock):
        await settle()
        sock.sendto(b"x", sock.getsockname())
        assert not watch.works
        assert not watch.readable(trio.current_time(), awaited=True)
