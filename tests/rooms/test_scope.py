"""A child scope takes work before and while it runs, and none after it has ended."""

from __future__ import annotations

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from roomfsm.rooms.scope import ChildScope


class Work:
    def __init__(self) -> None:
        self.began = 0
        self.cancelled = 0

    async def __call__(self) -> None:
        self.began += 1
        try:
            await trio.sleep_forever()
        finally:
            self.cancelled += 1


async def test_work_that_comes_early_starts_with_the_scope_and_ends_with_it(nursery: trio.Nursery) -> None:
    scope, work = ChildScope(), Work()
    scope.start_soon(work)
    nursery.start_soon(scope.run, trio.sleep_forever)
    await wait_all_tasks_blocked()
    scope.start_soon(work)
    await wait_all_tasks_blocked()
    assert (work.began, work.cancelled) == (2, 0)
    scope.cancel()
    await wait_all_tasks_blocked()
    assert work.cancelled == 2


async def test_a_scope_that_is_cancelled_before_it_runs_ends_at_once() -> None:
    scope = ChildScope()
    scope.cancel()
    with trio.fail_after(60):
        await scope.run(trio.sleep_forever)


@pytest.mark.parametrize("fails", [False, True])
async def test_work_for_a_scope_that_has_ended_is_not_started(fails: bool) -> None:
    scope, work = ChildScope(), Work()

    async def body() -> None:
        await trio.lowlevel.checkpoint()
        if fails:
            raise RuntimeError("the end")

    if fails:
        with pytest.RaisesGroup(RuntimeError):
            await scope.run(body)
    else:
        await scope.run(body)
    scope.start_soon(work)
    await wait_all_tasks_blocked()
    assert work.began == 0
