"""The fakes are for everybody: the example on their page runs, and they have the methods of the real objects."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import roomfsm.testing
from roomfsm.kurento import BandwidthLimits, MediaPipeline, MediaPool, RequestTimedOut, WebRtcEndpoint
from roomfsm.testing import FakeEndpoint, FakeMedia, FakePipeline, FakeSession

PAGE = Path(__file__).parents[2] / "docs" / "testing.md"


async def test_the_example_of_the_page_runs(autojump_clock: MockClock) -> None:
    (source,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    scope: dict[str, Any] = {}
    exec(compile(source, str(PAGE), "exec"), scope)
    (example,) = (value for name, value in scope.items() if name.startswith("test_"))
    with trio.fail_after(60):
        await example(autojump_clock)


def test_the_page_names_everything_that_is_exported() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for name in ("FakeMedia", "FakeSession", "Person"):
        assert name in roomfsm.testing.__all__
        assert f"`{name}`" in text


@pytest.mark.parametrize(
    ("fake", "real"), [(FakeEndpoint, WebRtcEndpoint), (FakePipeline, MediaPipeline), (FakeMedia, MediaPool)]
)
def test_a_fake_has_the_methods_of_what_it_stands_for(fake: type[Any], real: type[Any]) -> None:
    """The methods of both take the same number of arguments. Rooms do not call what the fake lacks."""
    both = [name for name, member in vars(fake).items() if inspect.isfunction(member) and hasattr(real, name)]
    assert {"__init__"} < set(both)
    for name in set(both) - {"__init__"}:
        required = [_required(getattr(one, name)) for one in (fake, real)]
        assert required[0] == required[1], name


def _required(method: Callable[..., Any]) -> int:
    """How many arguments must be given."""
    parameters = inspect.signature(inspect.unwrap(method)).parameters.values()
    return sum(one.default is one.empty for one in parameters)


async def test_a_gate_can_hold_back_and_can_fail(autojump_clock: MockClock) -> None:
    media = FakeMedia(answers=False)
    answers: list[str] = []
    async with media.pool.pipeline({}) as pipeline, pipeline.endpoint(BandwidthLimits()) as endpoint:
        async with trio.open_nursery() as nursery:

            async def ask() -> None:
                answers.append(await endpoint.process_offer("an offer"))

            nursery.start_soon(ask)
            await wait_all_tasks_blocked()
            assert answers == []
            media.by_offer["an offer"].answering.open()
        assert answers == ["answer to an offer"]
        media.gathering.error = RequestTimedOut("ws://memory", "gatherCandidates", 1)
        with pytest.raises(RequestTimedOut):
            await endpoint.gather_candidates()
    assert media.open == []
    assert media.pipelines == []


async def test_a_lost_pipeline_needs_no_release(autojump_clock: MockClock) -> None:
    media = FakeMedia()
    media.releasing_pipelines.shut()
    with trio.fail_after(1):
        async with media.pool.pipeline({}) as pipeline:
            pipeline.lost.set()
    with trio.move_on_after(1) as waiting:
        async with trio.open_nursery() as nursery, media.pool.pipeline({}):
            nursery.start_soon(_open_later, media)
    assert not waiting.cancelled_caught


async def _open_later(media: FakeMedia) -> None:
    await wait_all_tasks_blocked()
    media.releasing_pipelines.open()


def test_there_is_one_fake_session() -> None:
    from roomfsm.replay.people import ReplayedPerson

    assert issubclass(ReplayedPerson, FakeSession)
    assert issubclass(roomfsm.testing.Person, FakeSession)
