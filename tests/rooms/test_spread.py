"""Given more viewers than one media server should have, then streams are relayed, and nothing is left."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs
from trio.testing import MockClock

from roomfsm.kurento.candidates import IceCandidate
from roomfsm.kurento.errors import MediaServerLost, OfferRefused, RequestTimedOut
from roomfsm.kurento.events import (
    DtlsConnectionState,
    IceCandidateFound,
    MediaFlowState,
    MediaState,
    MediaStateChanged,
    MediaType,
    SessionResumed,
)
from roomfsm.kurento.objects import BandwidthLimits
from roomfsm.protocol.client import Adjust, Unpublish, Unview, View
from roomfsm.protocol.fields import Size
from roomfsm.rooms.settings import RoomSettings
from roomfsm.rooms.shared import SharedLost
from roomfsm.testing import FakeMedia, Person
from roomfsm.testing.media import FakeEndpoint, FakePipeline
from tests.rooms.house import OFFER, SMALL, dtls, flow_out, house, people, publish, settle

ONE, TWO, THREE = "ws://one", "ws://two", "ws://three"
NARROW = replace(SMALL, max_people=30, views_per_media_server=2, connect_timeout=10, relay_linger=0)
AVOIDED = NARROW.relay_pause
ALL_TOLD = 10 / NARROW.views_again_rate
"""Until then ten viewers have been told that they have lost their media server."""


@asynccontextmanager
async def crowd(
    viewers: int, settings: RoomSettings = NARROW, urls: tuple[str, ...] = (ONE, TWO, THREE)
) -> AsyncIterator[tuple[FakeMedia, Person, list[Person]]]:
    """Ada, who presents, and so many people who view her camera, one after another."""
    async with house(settings) as (directory, media):
        media.urls = list(urls)
        ada, *others = await people(directory, "Ada", *(f"Bob {number}" for number in range(viewers)))
        await ada.say(publish())
        await settle()
        for bob in others:
            await watch(bob, ada)
        yield media, ada, others
        await leave(ada, *others)
        assert (media.open, media.pipelines) == ([], [])


async def leave(*persons: Person) -> None:
    for person in persons:
        await person.leave()
    await settle()


async def watch(viewer: Person, presenter: Person) -> None:
    await viewer.say(View(stream=presenter.stream(), sdp=OFFER))
    await settle()


async def again(viewer: Person, presenter: Person) -> None:
    await viewer.say(Unview(stream=presenter.stream()))
    await settle()
    await watch(viewer, presenter)


def connect(media: FakeMedia) -> None:
    """All that are there connect, so that no time to do so runs out."""
    for endpoint in media.open:
        endpoint.connects()


def at(media: FakeMedia, url: str) -> list[FakeEndpoint]:
    return [endpoint for endpoint in media.open if endpoint.server_url == url]


def spread(media: FakeMedia) -> Counter[str]:
    """How many endpoints each media server has."""
    return Counter(endpoint.server_url for endpoint in media.open)


def answered(viewers: list[Person]) -> list[int]:
    return [len(bob.all("answer")) for bob in viewers]


async def test_views_beyond_the_limit_are_at_another_media_server_to_which_the_stream_is_relayed(
    autojump_clock: MockClock,
) -> None:
    async with crowd(4) as (media, _, bobs):
        assert answered(bobs) == [1, 1, 1, 1]
        # The stream, two views, and the sender; the receiver, and two views.
        assert spread(media) == {ONE: 4, TWO: 3}
        stream, _, _, sender = at(media, ONE)
        receiver, third, fourth = at(media, TWO)
        assert f"connect {sender.number}" in stream.calls
        assert receiver.calls[0] == f"offer offer of {sender.id}"
        assert sender.calls[0] == f"answer to offer of {sender.id}"
        assert [call for call in receiver.calls if call.startswith("connect")] == [
            f"connect {third.number}",
            f"connect {fourth.number}",
        ]
        assert {pipeline.tags["room"] for pipeline in media.pipelines} == {"blue"}


async def test_each_stream_has_a_relay_of_its_own_and_a_viewer_may_be_at_both_media_servers(
    autojump_clock: MockClock,
) -> None:
    async with crowd(2) as (media, ada, (bob, eve)):
        await eve.say(publish(ref=2))
        await settle()
        await watch(bob, eve)
        await watch(ada, eve)
        assert answered([ada, bob, eve]) == [2, 2, 2]
        # Both streams, two views, and two senders would be one too many: there is one relay, of Eve's stream.
        assert spread(media) == {ONE: 5, TWO: 3}


async def test_with_the_last_view_the_relay_ends_and_so_does_the_pipeline(autojump_clock: MockClock) -> None:
    async with crowd(4) as (media, ada, bobs):
        for bob in bobs[2:]:
            await bob.say(Unview(stream=ada.stream()))
            await settle()
        assert spread(media) == {ONE: 3}
        assert [pipeline.server_url for pipeline in media.pipelines] == [ONE]
        await watch(bobs[3], ada)
        assert spread(media) == {ONE: 4, TWO: 2}


async def test_who_comes_while_the_relay_ends_gets_another_one(autojump_clock: MockClock) -> None:
    async with crowd(3) as (media, ada, bobs):
        media.releasing.shut()
        await bobs[2].say(Unview(stream=ada.stream()))
        await watch(bobs[2], ada)
        media.releasing.open()
        await settle()
        assert answered(bobs) == [1, 1, 2]
        assert spread(media) == {ONE: 4, TWO: 2}


async def test_a_place_that_becomes_free_at_home_is_taken_first(autojump_clock: MockClock) -> None:
    async with crowd(4) as (media, ada, bobs):
        await bobs[0].say(Unview(stream=ada.stream()))
        await bobs[1].say(Unview(stream=ada.stream()))
        await settle()
        await watch(bobs[0], ada)
        assert spread(media) == {ONE: 3, TWO: 3}


@pytest.mark.parametrize("urls", [(ONE,), (ONE, TWO)])
async def test_if_there_is_no_other_media_server_they_take_more_than_they_should(
    autojump_clock: MockClock, urls: tuple[str, ...]
) -> None:
    async with crowd(7, urls=urls) as (media, _, bobs):
        assert answered(bobs) == [1] * 7
        assert set(spread(media)) == set(urls)


async def test_streams_are_never_relayed_if_the_limit_is_0(autojump_clock: MockClock) -> None:
    async with crowd(5, replace(NARROW, views_per_media_server=0)) as (media, ada, bobs):
        assert spread(media) == {ONE: 6}
        media.full = {ONE}
        await bobs[0].say(Unview(stream=ada.stream()))
        await watch(bobs[0], ada)
        assert bobs[0].last("error")["code"] == "media_full"


async def test_if_the_home_is_full_new_views_are_where_the_stream_is_relayed_to_already(
    autojump_clock: MockClock,
) -> None:
    async with crowd(4, replace(NARROW, views_per_media_server=3)) as (media, ada, bobs):
        connect(media)
        for bob in bobs[:2]:
            await bob.say(Unview(stream=ada.stream()))
        await settle()
        media.full = {ONE}
        await watch(bobs[0], ada)
        assert (answered(bobs), spread(media)) == ([2, 1, 1, 1], {ONE: 3, TWO: 3})
        media.full.clear()
        await again(bobs[0], ada)
        assert spread(media) == {ONE: 3, TWO: 3}
        await trio.sleep(AVOIDED + 1)
        await again(bobs[0], ada)
        assert spread(media) == {ONE: 4, TWO: 2}


async def test_if_all_media_servers_are_full_the_viewer_is_told_so(autojump_clock: MockClock) -> None:
    async with crowd(2) as (media, ada, bobs):
        await bobs[1].say(Unview(stream=ada.stream()))
        await settle()
        media.full = {ONE, TWO, THREE}
        await watch(bobs[1], ada)
        assert bobs[1].last("error")["code"] == "media_full"
        assert spread(media) == {ONE: 2}


async def test_if_a_stream_cannot_be_relayed_the_view_is_at_home_and_the_other_media_server_is_left_alone(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(_endpoint: FakeEndpoint, _sdp: str) -> None:
        await trio.lowlevel.checkpoint()
        raise OfferRefused(40205, "no", "SDP_END_POINT_PROCESS_ANSWER_ERROR")

    async with crowd(2, urls=(ONE, TWO)) as (media, ada, bobs):
        connect(media)
        (eve,) = await people(bobs[0]._directory, "Eve")
        with monkeypatch.context() as patched:
            patched.setattr(FakeEndpoint, "process_answer", refuse)
            await watch(eve, ada)
        assert answered([eve]) == [1]
        assert spread(media) == {ONE: 4}
        made = media.made
        await again(eve, ada)
        assert (spread(media), media.made) == ({ONE: 4}, made)
        await trio.sleep(AVOIDED + 1)
        await again(eve, ada)
        assert spread(media) == {ONE: 4, TWO: 2}
        await eve.leave()


async def test_if_a_branch_is_lost_its_viewers_are_told_and_come_back_at_another_and_nobody_else_notices(
    autojump_clock: MockClock,
) -> None:
    async with crowd(4) as (media, ada, bobs):
        media.pipelines[1].lost.set()
        await trio.sleep(ALL_TOLD)
        assert [bob.views() for bob in bobs] == [[], [], ["ended"], ["ended"]]
        assert ada.last("streamChanged")["stream"]["viewers"] == 2
        assert spread(media) == {ONE: 3}
        for bob in bobs[2:]:
            await watch(bob, ada)
        assert spread(media) == {ONE: 4, THREE: 3}
        assert ada.sits_in.state == "broadcasting"


async def test_if_one_on_the_way_is_lost_the_relays_behind_it_begin_elsewhere_and_their_viewers_go_on(
    autojump_clock: MockClock,
) -> None:
    settings = replace(NARROW, relays_per_media_server=1)
    async with crowd(6, settings) as (media, ada, bobs):
        connect(media)
        broadcast = ada.sits_in.broadcast
        assert broadcast is not None
        assert [(one.above, one.below) for one in broadcast.relays] == [(ONE, TWO), (TWO, THREE)]
        fifth, sixth = at(media, THREE)[1:]
        media.pipelines[1].lost.set()
        await trio.sleep(ALL_TOLD)
        assert [_told_of_the_end(bob) for bob in bobs] == [False, False, True, True, False, False]
        assert [(one.above, one.below, one.depth) for one in broadcast.relays] == [(ONE, THREE, 1)]
        assert spread(media) == {ONE: 4, THREE: 3}
        receiver = at(media, THREE)[-1]
        assert {fifth.number, sixth.number} <= set(receiver.passed)
        # The one behind it is not to blame.
        await bobs[5].say(Unview(stream=ada.stream()))
        await settle()
        await watch(bobs[2], ada)
        assert spread(media) == {ONE: 4, THREE: 3}


async def test_a_relay_is_never_made_anew_from_where_its_own_stream_goes(autojump_clock: MockClock) -> None:
    settings = replace(NARROW, relays_per_media_server=1)
    async with crowd(6, settings) as (media, ada, bobs):
        connect(media)
        await bobs[0].say(Unview(stream=ada.stream()))
        await settle()
        # The home is full for a moment, and so it is avoided.
        media.full = {ONE}
        await watch(bobs[0], ada)
        media.full.clear()
        at(media, TWO)[0].happens(dtls(DtlsConnectionState.FAILED))
        await settle()
        broadcast = ada.sits_in.broadcast
        assert broadcast is not None
        assert [(one.above, one.below) for one in broadcast.relays] == [(ONE, TWO), (TWO, THREE)]
        assert all(_gets(media, bob, ada) for bob in bobs)


async def test_viewers_whose_media_server_is_lost_are_told_one_after_another(autojump_clock: MockClock) -> None:
    settings = replace(NARROW, views_per_media_server=5, views_again_rate=2.0)
    async with crowd(9, settings) as (media, ada, bobs):
        connect(media)
        media.pipelines[1].lost.set()
        ended = []
        for _ in range(4):
            await trio.sleep(0.4)
            ended.append(sum(map(_told_of_the_end, bobs)))
            await trio.sleep(0.1)
        assert ended == [1, 2, 3, 4]
        assert ada.last("streamChanged")["stream"]["viewers"] == 5


async def test_if_the_home_is_lost_all_is_lost_at_once(autojump_clock: MockClock) -> None:
    async with crowd(4) as (media, ada, bobs):
        media.pipelines[0].lost.set()
        await settle()
        assert media.open == []
        assert media.pipelines == []
        assert [bob.last("streamEnded")["reason"] for bob in bobs] == ["media_lost"] * 4
        assert ada.sits_in.state == "waiting"


async def test_when_the_stream_ends_its_relays_end(autojump_clock: MockClock) -> None:
    async with crowd(6) as (media, ada, bobs):
        assert set(spread(media)) == {ONE, TWO, THREE}
        await bobs[0].say(publish(ref=2))
        await ada.say(Unpublish(stream=ada.stream()))
        await settle()
        assert spread(media) == {ONE: 1}
        assert len(media.pipelines) == 1


async def test_from_each_media_server_a_stream_is_relayed_to_so_many_others(autojump_clock: MockClock) -> None:
    settings = replace(NARROW, views_per_media_server=3, relays_per_media_server=2)
    urls = tuple(f"ws://{number}" for number in range(7))
    async with crowd(19, settings, urls) as (media, ada, bobs):
        assert answered(bobs) == [1] * 19
        room = ada.sits_in
        assert room.broadcast is not None
        relays = room.broadcast.relays
        assert max(Counter(relay.above for relay in relays).values()) == 2
        assert [relay.depth for relay in relays] == [1, 1, 2, 2, 2, 2]
        connect(media)
        # Those that got the stream from one that is lost get it from elsewhere.
        branch = next(one for one in media.pipelines if one.server_url == relays[0].below)
        branch.lost.set()
        await trio.sleep(ALL_TOLD)
        assert set(spread(media)) == {*urls} - {relays[0].below}
        assert sum(map(_told_of_the_end, bobs)) == 3
        relays = room.broadcast.relays
        assert len(relays) == 5
        assert max(Counter(relay.above for relay in relays).values()) == 2
        for bob in bobs:
            if _told_of_the_end(bob):
                await watch(bob, ada)
            assert _gets(media, bob, ada)


async def test_the_machine_follows_what_the_media_servers_see(autojump_clock: MockClock) -> None:
    async with house(NARROW) as (directory, media):
        media.urls, media.relays_connect = [ONE, TWO], False
        ada, *bobs = await people(directory, "Ada", "Bob", "Eve", "Zoe")
        await ada.say(publish())
        await settle()
        for bob in bobs:
            await watch(bob, ada)
        room = ada.sits_in
        assert room.broadcast is not None
        sender, receiver = at(media, ONE)[-1], at(media, TWO)[0]
        candidate = IceCandidate("candidate:1 1 UDP 1 192.0.2.1 9 typ host", "0", 0)
        sender.happens(IceCandidateFound(candidate=candidate))
        receiver.happens(IceCandidateFound(candidate=replace_address(candidate)))
        await settle()
        assert [call for call in receiver.calls if "192.0.2.1" in call]
        assert [call for call in sender.calls if "192.0.2.2" in call]
        states = [room.broadcast.relays[0].state]
        for endpoint, event in (
            (receiver, dtls(DtlsConnectionState.CONNECTED)),
            (receiver, flow_out(MediaFlowState.FLOWING)),
            (sender, dtls(DtlsConnectionState.CONNECTED)),
            (receiver, flow_out(MediaFlowState.NOT_FLOWING)),
            (receiver, SessionResumed()),
            (sender, SessionResumed()),
        ):
            endpoint.connected |= event == dtls(DtlsConnectionState.CONNECTED)
            endpoint.happens(event)
            await settle()
            states.append(room.broadcast.relays[0].state)
        assert states == ["described", "connected", "live", "live", "stalled", "stalled", "stalled"]
        receiver.flowing = {*receiver.flowing, *at(media, ONE)[0].passed[1]}
        receiver.happens(SessionResumed())
        await settle()
        assert room.broadcast.relays[0].state == "live"
        assert room.journal.tallies["relay"].present() == {"live": 1}


def replace_address(candidate: IceCandidate) -> IceCandidate:
    return IceCandidate(candidate.candidate.replace("192.0.2.1", "192.0.2.2"), "0", 0)


@pytest.mark.parametrize("index", [0, 1])
@pytest.mark.parametrize(
    "event",
    [
        dtls(DtlsConnectionState.CLOSED),
        dtls(DtlsConnectionState.FAILED),
        MediaStateChanged(old_state=MediaState.CONNECTED, new_state=MediaState.DISCONNECTED),
    ],
)
async def test_a_relay_that_is_lost_is_made_anew_under_its_viewers_but_not_again_and_again(
    autojump_clock: MockClock, index: int, event: object
) -> None:
    async with crowd(3) as (media, ada, bobs):
        connect(media)

        async def lose() -> FakeEndpoint:
            """Returns the endpoint to which the media come then."""
            receiver = next(one for one in at(media, TWO) if one.calls[0].startswith("offer offer"))
            sender = next(one for one in at(media, ONE) if receiver.calls[0] == f"offer offer of {one.id}")
            (sender, receiver)[index].happens(event)  # type: ignore[arg-type]
            await settle()
            return media.endpoints[-1]

        view = at(media, TWO)[1]
        await bobs[2].say(Adjust(stream=ada.stream(), size=Size.NONE))
        await settle()
        receiver = await lose()
        assert receiver.passed == {view.number: {MediaType.AUDIO}}
        assert ("ended" not in bobs[2].views(), answered(bobs)) == (True, [1, 1, 1])
        assert spread(media) == {ONE: 4, TWO: 2}
        await bobs[2].say(Adjust(stream=ada.stream(), size=Size.LARGE))
        await settle()
        assert _gets(media, bobs[2], ada)
        assert ada.sits_in.journal.tallies["relay"].present() == {"connected": 1}
        await trio.sleep(AVOIDED + 1)
        await lose()
        assert _gets(media, bobs[2], ada)
        await lose()
        assert bobs[2].views()[-1] == "ended"
        assert spread(media) == {ONE: 3}
        assert ada.sits_in.journal.tallies["relay"].present() == {}


async def test_if_a_lost_relay_cannot_be_made_anew_its_viewers_are_told(autojump_clock: MockClock) -> None:
    async with crowd(3, urls=(ONE, TWO)) as (media, ada, bobs):
        connect(media)
        await settle()
        media.relays_connect = False
        at(media, TWO)[0].happens(dtls(DtlsConnectionState.FAILED))
        await settle()
        (eve,) = await people(bobs[0]._directory, "Eve")
        # She waits for the new relay. The picture of the other one may be turned off and on meanwhile.
        await watch(eve, ada)
        for size in (Size.NONE, Size.LARGE):
            await bobs[2].say(Adjust(stream=ada.stream(), size=size))
        await trio.sleep(NARROW.relay_connect_timeout - 0.1)
        assert (answered([eve]), "ended" in bobs[2].views()) == ([0], False)
        await trio.sleep(0.2)
        assert (answered([eve]), bobs[2].views()[-1]) == ([1], "ended")
        assert spread(media) == {ONE: 4}
        await eve.leave()


async def test_a_view_waits_for_its_relay_and_goes_elsewhere_if_that_does_not_connect(
    autojump_clock: MockClock,
) -> None:
    async with house(NARROW) as (directory, media):
        media.urls, media.relays_connect = [ONE, TWO], False
        ada, bob, eve, zoe = await people(directory, "Ada", "Bob", "Eve", "Zoe")
        await ada.say(publish())
        await settle()
        for viewer in (bob, eve, zoe):
            await watch(viewer, ada)
        await trio.sleep(NARROW.relay_connect_timeout - 0.1)
        assert (answered([zoe]), spread(media)) == ([0], {ONE: 4, TWO: 1})
        await trio.sleep(0.2)
        assert (answered([zoe]), spread(media)) == ([1], {ONE: 4})
        media.relays_connect = True
        await again(zoe, ada)
        assert spread(media) == {ONE: 4}


async def test_a_relay_waits_until_its_stream_has_been_answered(autojump_clock: MockClock) -> None:
    async with house(replace(NARROW, views_per_media_server=1)) as (directory, media):
        media.urls = [ONE, TWO]
        ada, bob, eve = await people(directory, "Ada", "Bob", "Eve")
        media.answering.shut()
        await ada.say(publish())
        for viewer in (bob, eve):
            await watch(viewer, ada)
        media.answering.open()
        await settle()
        assert answered([bob, eve]) == [1, 1]
        assert spread(media) == {ONE: 3, TWO: 2}


async def test_a_relay_lingers_for_who_comes_next_but_ends_with_its_stream(autojump_clock: MockClock) -> None:
    async with crowd(3, replace(NARROW, relay_linger=4)) as (media, ada, bobs):
        connect(media)
        made = media.made
        for _ in range(5):
            await again(bobs[2], ada)
            await trio.sleep(1)
        assert (media.made, spread(media)) == (made, {ONE: 4, TWO: 2})
        await bobs[2].say(Unview(stream=ada.stream()))
        await trio.sleep(3.9)
        assert spread(media) == {ONE: 4, TWO: 1}
        await trio.sleep(0.2)
        assert spread(media) == {ONE: 3}
        await watch(bobs[2], ada)
        await bobs[0].say(publish(ref=2))
        await ada.say(Unpublish(stream=ada.stream()))
        await settle()
        assert spread(media) == {ONE: 1}


async def test_if_a_branch_is_lost_while_a_view_is_made_there_the_view_is_elsewhere(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    create = FakePipeline.endpoint

    @asynccontextmanager
    async def lost(pipeline: FakePipeline, limits: BandwidthLimits) -> AsyncIterator[Any]:
        """The third endpoint of the branch is being made when its media server is lost."""
        if pipeline.server_url == TWO and len(at(media, TWO)) == 2:
            pipeline.lost.set()
            raise MediaServerLost(TWO, "its session ended")
        async with create(pipeline, limits) as endpoint:
            yield endpoint

    async with crowd(3) as (media, ada, bobs):
        monkeypatch.setattr(FakePipeline, "endpoint", lost)
        (eve,) = await people(bobs[0]._directory, "Eve")
        await watch(eve, ada)
        assert answered([eve]) == [1]
        assert (bobs[2].views(), spread(media)) == (["ended"], {ONE: 4, THREE: 2})
        await eve.leave()


async def test_a_media_server_that_hangs_or_is_drained_gets_no_more_views(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with crowd(3) as (media, ada, bobs):
        (eve, zoe) = await people(bobs[0]._directory, "Eve", "Zoe")
        with monkeypatch.context() as patched:
            patched.setattr(FakeMedia, "takes", lambda _media, url: url != TWO)
            await watch(eve, ada)
        assert spread(media) == {ONE: 5, TWO: 2, THREE: 2}
        create = FakePipeline.endpoint

        def hangs(pipeline: FakePipeline, limits: BandwidthLimits) -> AbstractAsyncContextManager[Any]:
            if pipeline.server_url == TWO:
                raise RequestTimedOut(TWO, "create", 10)
            return create(pipeline, limits)

        monkeypatch.setattr(FakePipeline, "endpoint", hangs)
        await watch(zoe, ada)
        assert (answered([eve, zoe]), spread(media)) == ([1, 1], {ONE: 5, TWO: 2, THREE: 3})
        for person in (eve, zoe):
            await person.leave()


async def test_a_home_that_cannot_take_the_relay_is_not_the_fault_of_others(autojump_clock: MockClock) -> None:
    async with crowd(2) as (media, ada, bobs):
        connect(media)
        media.full = {ONE}
        (eve,) = await people(bobs[0]._directory, "Eve")
        await watch(eve, ada)
        assert eve.last("error")["code"] == "media_full"
        # Only one was tried, and none is avoided.
        assert (media.made, spread(media)) == (2, {ONE: 3})
        media.full.clear()
        await trio.sleep(AVOIDED + 1)
        await watch(eve, ada)
        assert spread(media) == {ONE: 4, TWO: 2}
        await eve.leave()


async def test_a_mistake_in_a_relay_ends_nothing_but_that(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with crowd(2) as (media, ada, bobs):
        monkeypatch.setattr("roomfsm.rooms.relay.narrowed", lambda *_: 1 // 0)
        (eve,) = await people(bobs[0]._directory, "Eve")
        with capture_logs() as logs:
            await watch(eve, ada)
        assert [entry["event"] for entry in logs if entry["log_level"] == "error"] == 2 * [
            "shared resource failed"
        ]
        assert (answered([eve]), spread(media)) == ([1], {ONE: 4})
        await eve.leave()


async def test_a_view_does_not_look_for_a_place_for_ever(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Over(AbstractAsyncContextManager[Any]):
        """A relay that is over before it is open, which is nobody's fault."""

        async def __aenter__(self) -> None:
            await trio.lowlevel.checkpoint()
            raise SharedLost(None)

        async def __aexit__(self, *_: object) -> None:
            """It was never open."""

    async with crowd(2) as (media, ada, bobs):
        monkeypatch.setattr("roomfsm.rooms.relay.Relay.open", lambda *_: Over())
        (eve,) = await people(bobs[0]._directory, "Eve")
        await watch(eve, ada)
        assert (answered([eve]), spread(media)) == ([1], {ONE: 4})
        await eve.leave()


async def test_relays_that_are_over_are_forgotten(autojump_clock: MockClock) -> None:
    async with crowd(4) as (_, ada, bobs):
        await bobs[0].say(publish(ref=2))
        await settle()
        for bob in bobs[1:]:
            await watch(bob, bobs[0])
        for _ in range(20):
            await ada.say(Unpublish(stream=ada.stream()))
            await ada.say(publish())
            await settle()
            for bob in bobs:
                await watch(bob, ada)
        broadcast = ada.sits_in.broadcast
        assert broadcast is not None
        assert sum(len(branch.relays) for branch in broadcast._spread._branches) <= 4


async def test_a_viewer_of_a_relay_turns_the_picture_off_and_on_there(autojump_clock: MockClock) -> None:
    async with crowd(3) as (media, ada, bobs):
        receiver, view = at(media, TWO)
        view.connects()
        await settle()
        await bobs[2].say(Adjust(stream=ada.stream(), size=Size.NONE))
        await settle()
        assert receiver.calls[-1] == f"disconnect {view.number} VIDEO"
        await bobs[2].say(Adjust(stream=ada.stream(), size=Size.LARGE))
        await settle()
        assert receiver.calls[-1] == f"connect {view.number} VIDEO"


STEPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["view", "unview"]), st.integers(0, 7)),
        st.tuples(st.sampled_from(["lose", "break", "fill", "empty"]), st.integers(0, 3)),
        st.tuples(st.sampled_from(["wait", "republish"]), st.just(0)),
    ),
    max_size=25,
)


@given(STEPS)
def test_whatever_happens_each_view_gets_its_stream_and_nothing_is_left(steps: list[tuple[str, int]]) -> None:
    settings = replace(NARROW, views_per_media_server=2, relays_per_media_server=1)

    async def main() -> None:
        async with crowd(8, settings, (*(ONE, TWO, THREE), "ws://four")) as (media, ada, bobs):
            for what, index in steps:
                match what:
                    case "view" if not _views(bobs[index]):
                        await bobs[index].say(View(stream=ada.stream(), sdp=OFFER))
                    case "unview" if _views(bobs[index]):
                        await bobs[index].say(Unview(stream=ada.stream()))
                    case "lose" if 0 < index < len(media.pipelines):
                        media.pipelines[index].lost.set()
                    case "break" if index < len(receivers := [one for one in media.open if _receives(one)]):
                        receivers[index].happens(dtls(DtlsConnectionState.FAILED))
                    case "fill":
                        media.full.add(media.urls[index])
                    case "empty":
                        media.full.discard(media.urls[index])
                    case "wait":
                        await trio.sleep(AVOIDED)
                    case "republish":
                        await ada.say(Unpublish(stream=ada.stream()))
                        await settle()
                        media.full.clear()
                        await ada.say(publish())
                if index % 2:
                    await settle()
            await trio.sleep(ALL_TOLD)
            for bob in bobs:
                if _views(bob):
                    assert _gets(media, bob, ada)

    trio.run(main, clock=MockClock(autojump_threshold=0))


def _receives(endpoint: FakeEndpoint) -> bool:
    """Whether it is the receiving end of a relay."""
    return any(call.startswith("offer offer of") for call in endpoint.calls)


def _told_of_the_end(viewer: Person) -> bool:
    """Whether the viewer was told that the view has ended, and nothing of it since then."""
    return viewer.views()[-1:] == ["ended"]


def _views(person: Person) -> bool:
    """Whether the room takes the person for a viewer."""
    return any(person.participant_id in stream.views for stream in person.sits_in.streams.values())


def _gets(media: FakeMedia, viewer: Person, presenter: Person) -> bool:
    """Whether a chain of connected endpoints leads from the presenter's to the viewer's."""
    stream = presenter.sits_in.streams[presenter.stream()]
    view = stream.views[viewer.participant_id]
    by_id = {endpoint.id: endpoint for endpoint in media.open}
    if view.endpoint_id is None:
        return False
    reached, todo = set[int](), [by_id[stream.endpoint_id or ""]]
    while todo:
        here = todo.pop()
        reached.add(here.number)
        for number in here.passed:
            sink = media.endpoints[number]
            if sink in media.open and sink.server_url == here.server_url and number not in reached:
                todo.append(sink)
        # The other end of a relay.
        todo += [
            other
            for other in media.open
            if f"offer offer of {here.id}" in other.calls and other.number not in reached
        ]
    return by_id[view.endpoint_id].number in reached
