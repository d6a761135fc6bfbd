"""A replay's clock moves only when it is told to, and it is quiet only after everything that can run has run."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from roomfsm.replay.clock import ReplayClock


def test_it_is_quiet_only_after_every_task_that_can_run() -> None:
    done: list[str] = []

    async def busy(name: str) -> None:
        for _ in range(100):
            await trio.lowlevel.checkpoint()
        done.append(name)
        await trio.sleep_forever()

    async def main(clock: ReplayClock) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(busy, "ada")
            nursery.start_soon(busy, "bob")
            await clock.quiet()
            assert sorted(done) == ["ada", "bob"]
            nursery.cancel_scope.cancel()

    clock = ReplayClock()
    trio.run(main, clock, clock=clock)


def test_time_stands_still_until_it_is_moved() -> None:
    async def main(clock: ReplayClock) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep, 10)
            for _ in range(3):
                await clock.quiet()
            assert trio.current_time() == 0
            assert len(nursery.child_tasks) == 1
            clock.jump(10)
            await clock.quiet()
            assert trio.current_time() == 10
            assert not nursery.child_tasks

    clock = ReplayClock()
    trio.run(main, clock, clock=clock)


def test_tasks_see_the_same_order_as_with_trios_own_mock_clock() -> None:
    """Tests what the clock relies on: Trio asks how long to sleep only when no task can run."""

    async def told(jump: Callable[[float], None], quiet: Callable[[], Awaitable[None]]) -> list[set[str]]:
        # Trio runs the tasks of one turn in any order.
        seen: list[set[str]] = [set()]

        async def chain(name: str, *pauses: float) -> None:
            for pause in pauses:
                await trio.sleep(pause)
                seen[-1].add(f"{name} at {trio.current_time():g}")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(chain, "ada", 1, 0, 2, 0.5)
            nursery.start_soon(chain, "bob", 0, 1, 1, 1.5)
            for step in (0.5, 0.5, 2, 0, 5):
                jump(step)
                await quiet()
                seen.append(set())
            nursery.cancel_scope.cancel()
        return seen

    ours = ReplayClock()
    trios = MockClock()
    seen = trio.run(told, ours.jump, ours.quiet, clock=ours)
    assert seen == trio.run(told, trios.jump, wait_all_tasks_blocked, clock=trios)
    assert any(seen)
