"""Given a broadcast whose media server refuses endpoints or lost the pipeline, then where it moves, and when."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from roomfsm.kurento.errors import ObjectGone
from roomfsm.protocol.client import Unpublish
from roomfsm.testing.media import FakePipeline
from tests.rooms.house import OFFER, house, people, publish, settle

GONE = ObjectGone(ObjectGone.CODE, "Object not found", "MEDIA_OBJECT_NOT_FOUND")


async def test_a_broadcast_has_no_media_server_until_its_pipeline_is_there(autojump_clock: MockClock) -> None:
    async with house() as (directory, media):
        (ada,) = await people(directory, "Ada")
        media.creating.shut()
        await ada.say(publish())
        await settle()
        assert (ada.sits_in.state, ada.sits_in.media_server) == ("broadcasting", None)
        media.creating.open()
        await settle()
        assert ada.sits_in.media_server == "ws://memory"


async def test_a_broadcast_may_move_again_when_its_last_endpoint_has_ended(autojump_clock: MockClock) -> None:
    async with house() as (directory, media):
        media.urls = ["ws://one", "ws://two"]
        ada, bob = await people(directory, "Ada", "Bob")
        await ada.say(publish())
        await settle()
        media.creating.shut()
        await bob.say(publish(ref=2))
        await ada.say(Unpublish(stream=ada.stream()))
        await settle()
        media.full = {"ws://one"}
        media.creating.open()
        await settle()
        assert bob.last("answer")["ref"] == 2
        assert [pipeline.server_url for pipeline in media.pipelines] == ["ws://two"]


async def test_a_stream_whose_pipeline_was_given_up_meanwhile_gets_an_endpoint_of_the_next(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    given_up = trio.Event()
    endpoint = FakePipeline.endpoint

    @asynccontextmanager
    async def too_late(pipeline: FakePipeline, limits: Any) -> AsyncIterator[Any]:
        """The second request to the first media server is answered only after the first was refused."""
        if pipeline.server_url == "ws://one":
            asked.append(pipeline)
            if len(asked) == 2:
                await given_up.wait()
                raise GONE
        async with endpoint(pipeline, limits) as opened:
            yield opened

    asked: list[FakePipeline] = []
    monkeypatch.setattr(FakePipeline, "endpoint", too_late)
    async with house() as (directory, media):
        media.urls, media.full = ["ws://one", "ws://two"], {"ws://one"}
        ada, bob = await people(directory, "Ada", "Bob")
        await ada.say(publish())
        await bob.say(publish(ref=2))
        await settle()
        # Either of them may be asked for first.
        first, second = sorted((ada, bob), key=lambda person: not person.all("answer"))
        assert first.last("answer")["sdp"] == f"answer to {OFFER}"
        assert second.all("answer") == []
        given_up.set()
        await settle()
        assert second.last("answer")["ref"] == {ada: 1, bob: 2}[second]
        assert ada.all("error") == bob.all("error") == []


async def test_a_stream_fails_whose_pipeline_is_gone_although_nobody_gave_it_up(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(_pipeline: FakePipeline, _limits: Any) -> Any:
        raise GONE

    monkeypatch.setattr(FakePipeline, "endpoint", gone)
    async with house() as (directory, _):
        (ada,) = await people(directory, "Ada")
        await ada.say(publish(ref=1))
        await settle()
        assert (ada.last("error")["code"], ada.last("error")["ref"]) == ("media_failed", 1)
        assert ada.sits_in.state == "waiting"
