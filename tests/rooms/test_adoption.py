"""Given a server that is killed during a broadcast, then what of it goes on when the server is started again."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import trio
from trio.testing import MockClock

from roomfsm.kurento import (
    DtlsConnectionState,
    MediaFlowState,
    MediaServerLost,
    MediaServerUnavailable,
    MediaType,
    ObjectGone,
    Owner,
)
from roomfsm.protocol.client import Adjust, Candidate, Mute, Publish, Restart, Unpublish, Unview, View
from roomfsm.protocol.errors import ErrorCode, Refusal
from roomfsm.protocol.fields import Size, Source
from roomfsm.rooms import durable
from roomfsm.rooms.directory import Directory
from roomfsm.rooms.durable import Durable
from roomfsm.rooms.room import Room
from roomfsm.store.interface import Snapshot
from roomfsm.store.settings import StoreSettings
from roomfsm.testing import FakeEndpoint, FakeMedia
from tests.rooms.house import OFFER, dtls, flow_in, flow_out, publish, settle
from tests.rooms.kept import KeptPerson, MemoryStore, kept

BOTH = {MediaType.AUDIO, MediaType.VIDEO}


def view(ada: KeptPerson, sdp: str = OFFER, size: Size = Size.LARGE) -> View:
    return View(stream=ada.stream(), sdp=sdp, size=size)


async def broadcast(directory: Directory) -> tuple[KeptPerson, KeptPerson]:
    """Ada presents and Bob views it, and the media flow."""
    ada, bob = KeptPerson(directory, "Ada"), KeptPerson(directory, "Bob", "192.0.2.2")
    for one in (ada, bob):
        await one.join("blue")
    await ada.say(publish())
    await bob.say(view(ada))
    await settle()
    return ada, bob


async def restart(directory: Directory, *people: KeptPerson) -> Room:
    for one in people:
        await one.restart(directory)
    await settle()
    room = directory.find("blue")
    assert room is not None
    return room


def flows(media: FakeMedia) -> None:
    """Let the browsers be connected, and everything flow, without anybody who listens."""
    for endpoint in media.open:
        endpoint.connected, endpoint.flowing = True, set(BOTH)


def since(endpoint: FakeEndpoint, before: Sequence[str]) -> list[str]:
    return endpoint.calls[len(before) :]


def durables(store: MemoryStore) -> list[Durable]:
    past = store.pasts["blue"]
    return durable.decode(past.snapshot, past.events)


async def test_streams_and_views_go_on_and_nobody_is_asked_for_an_offer(autojump_clock: MockClock) -> None:
    store, media = MemoryStore(), FakeMedia()
    async with kept(store, media=media) as server:
        ada, bob = await broadcast(server.directory)
        flows(media)
        camera, screen = media.open
        before = [list(one.calls) for one in (camera, screen)]
    async with kept(store, [ada, bob], media=media) as server:
        room = await restart(server.directory, ada, bob)
        await bob.come_back()
        await settle()
        back = bob.last("joined")
        assert (back["resumed"], back["state"]) == (True, "broadcasting")
        assert back["streams"] == [
            {
                "id": ada.stream(),
                "participant": ada.participant_id,
                "source": "camera",
                "state": "live",
                "generation": 1,
                "viewers": 1,
            }
        ]
        assert room.streams[ada.stream()].views[bob.participant_id].told_state == "live"
        assert media.open == [camera, screen], "nothing was made, and nothing was released"
        assert [since(*one) for one in zip((camera, screen), before, strict=True)] == [[], []]
        # What the media server sees from now on is heard.
        camera.happens(flow_out(MediaFlowState.NOT_FLOWING))
        screen.happens(dtls(DtlsConnectionState.CLOSED))
        await settle()
        assert bob.views()[-1] == "ended"
        assert media.open == [camera]
        await ada.come_back()
        await ada.say(Unpublish(stream=ada.stream()))
        await settle()
        assert (media.open, media.pipelines) == ([], [])
    async with kept(store, [ada, bob], media=media) as server:
        room = await restart(server.directory, ada, bob)
        assert (room.state, dict(room.streams)) == ("waiting", {})


async def test_it_goes_on_through_a_second_kill_and_one_in_the_middle_of_the_adoption(
    autojump_clock: MockClock,
) -> None:
    store, media = MemoryStore(), FakeMedia()
    async with kept(store, media=media) as server:
        ada, bob = await broadcast(server.directory)
        flows(media)
        endpoints = list(media.open)
    media.adopting.shut()
    async with kept(store, [ada, bob], media=media) as server:
        room = await restart(server.directory, ada, bob)
        await bob.come_back()
        await settle()
        # Before it is known what the media server has, it is told as what begins.
        assert bob.last("joined")["streams"][0]["state"] == "negotiating"
        with trio.move_on_after(1):
            await room.until_settled()
            pytest.fail("nobody can know yet")
    media.adopting.open()
    for _ in range(2):
        async with kept(store, [ada, bob], media=media) as server:
            room = await restart(server.directory, ada, bob)
            await room.until_settled()
            stream = room.streams[ada.stream()]
            assert (stream.told_state, stream.generation) == ("live", 1)
            assert media.open == endpoints


async def test_what_a_view_is_sent_goes_on_and_the_sound_is_as_it_was_decided(autojump_clock: MockClock) -> None:
    """The server may be killed between what it has noted and what it tells the media server."""
    store, media = MemoryStore(), FakeMedia()
    async with kept(store, media=media) as server:
        ada, bob = await broadcast(server.directory)
        cyd = KeptPerson(server.directory, "Cyd", "192.0.2.3")
        await cyd.join("blue")
        await cyd.say(view(ada, size=Size.NONE))
        await ada.say(Mute(participant=ada.participant_id, hold=False))
        await settle()
        flows(media)
        camera, bobs, cyds = media.open
        # It sends what it was told before.
        camera.passed = {bobs.number: set(BOTH), cyds.number: set()}
    async with kept(store, [ada, bob, cyd], media=media) as server:
        room = await restart(server.directory, ada, bob, cyd)
        stream = room.streams[ada.stream()]
        sound = {MediaType.AUDIO} if stream.participant.audible else set()
        assert camera.passed == {bobs.number: sound | {MediaType.VIDEO}, cyds.number: sound}
        assert [stream.views[one.participant_id].told_state for one in (bob, cyd)] == ["live", "paused"]


@pytest.mark.parametrize("early", [False, True])
async def test_a_page_that_is_back_says_again_whether_it_wants_the_picture(
    autojump_clock: MockClock, early: bool
) -> None:
    """The store does not have it, and the media server may not have learned it."""
    store, media = MemoryStore(), FakeMedia()
    async with kept(store, media=media) as server:
        ada, bob = await broadcast(server.directory)
        await bob.say(Adjust(stream=ada.stream(), size=Size.NONE))
        await settle()
        flows(media)
        camera, bobs = media.open
        assert MediaType.VIDEO not in camera.passed[bobs.number]
        before = durables(store)
        for size in (Size.LARGE, Size.NONE, Size.LARGE):
            await bob.say(Adjust(stream=ada.stream(), size=size))
        await settle()
        assert durables(store) == before, "whoever cannot see enough of it may do so all the time"
        camera.passed[bobs.number] = {MediaType.AUDIO}
    if early:
        media.adopting.shut()
    async with kept(store, [ada, bob], media=media) as server:
        room = await restart(server.directory, ada, bob)
        await bob.come_back()
        await bob.say(Adjust(stream=ada.stream(), size=Size.LARGE))
        await settle()
        media.adopting.open()
        await settle()
        assert MediaType.VIDEO in camera.passed[bobs.number]
        assert room.streams[ada.stream()].views[bob.participant_id].told_state == "live"


async def test_a_view_that_ends_while_the_media_server_is_asked_about_it_only_ends(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, media = MemoryStore(), FakeMedia()
    async with kept(store, media=media) as server:
        ada, bob = await broadcast(server.directory)
        flows(media)
        camera, _ = media.open
    media.adopting.shut()
    async with kept(store, [ada, bob], media=media) as server:
        room = await restart(server.directory, ada, bob)
        view_of_bob = room.streams[ada.stream()].views[bob.participant_id]

        async def connected_to(_: FakeEndpoint) -> frozenset[MediaType]:
            await trio.lowlevel.checkpoint()
            view_of_bob.end(Refusal(ErrorCode.ENDED))
            return frozenset({MediaType.AUDIO})

        monkeypatch.setattr(camera, "connected_to", connected_to)
        media.adopting.open()
        await settle()
        assert (view_of_bob.state, media.open) == ("ended", [camera])
        assert room.streams[ada.stream()].told_state == "live"


async def test_a_view_with_a_slow_path_comes_back_as_one(autojump_clock: MockClock) -> None:
    store, media = MemoryStore(), FakeMedia()
    async with kept(store, media=media) as server:
        ada, bob = await broadcast(server.directory)
        flows(media)
        media.open[1].paused = {MediaType.VIDEO}
    async with kept(store, [ada, bob], media=media) as server:
        await restart(server.directory, ada, bob)
        await bob.come_back()
        await settle()
        told = bob.last("streamChanged")
        assert (told["view"], told["reason"]) == ("limited", "slow_path")


@pytest.mark.parametrize("error", [MediaServerLost("ws://memory", "gone"), MediaServerUnavailable("none there")])
async def test_if_the_pipeline_is_gone_the_streams_end_and_are_published_anew(
    autojump_clock: MockClock, error: MediaServerLost | MediaServerUnavailable
) -> None:
    store, media = MemoryStore(), FakeMedia()
    async with kept(store, media=media) as server:
        ada, bob = await broadcast(server.directory)
    media.adopting.error = error
    async with kept(store, [ada, bob], media=media) as server:
        room = await restart(server.directory, ada)
        await room.until_settled()
        assert (room.state, dict(room.streams)) == ("waiting", {})
        await ada.come_back()
        await ada.say(publish(ref=7))
        await settle()
        assert ada.last("answer")["ref"] == 7
        assert [type(one) for one in durables(store)[-3:]] == [
            durable.Returned,
            durable.MediaAt,
            durable.Published,
        ]
    media.adopting.error = None
    async with kept(store, [ada, bob], media=media) as server:
        room = await restart(server.directory, ada, bob)
        assert room.streams[ada.stream()].views == {}


async def test_people_who_are_back_before_that_is_known_are_told_that_the_streams_have_ended(
    autojump_clock: MockClock,
) -> None:
    store, media = MemoryStore(), FakeMedia()
    async with kept(store, media=media) as server:
        ada, bob = await broadcast(server.directory)
    media.adopting.shut()
    async with kept(store, [ada, bob], media=media) as server:
        await restart(server.directory, ada, bob)
        await ada.come_back()
        media.adopting.error = MediaServerLost("ws://memory", "gone")
        media.adopting.open()
        await settle()
        assert (ada.last("streamEnded")["stream"], ada.last("streamEnded")["reason"]) == (
            ada.stream(),
            "media_lost",
        )
        assert ada.last("roomState")["state"] == "waiting"


@pytest.mark.parametrize("whose", ["presenter", "viewer"])
async def test_if_one_endpoint_is_gone_only_its_stream_or_view_ends(autojump_clock: MockClock, whose: str) -> None:
    store, media = MemoryStore(), FakeMedia()
    async with kept(store, media=media) as server:
        ada, bob = await broadcast(server.directory)
        await bob.say(publish())
        await settle()
        flows(media)
        camera, bobs_view, other = media.open
    media.pipelines[0].left.discard((camera if whose == "presenter" else bobs_view).id)
    async with kept(store, [ada, bob], media=media) as server:
        room = await restart(server.directory, ada, bob)
        await room.until_settled()
        await settle()
        assert room.streams[bob.stream()].told_state == "live"
        if whose == "presenter":
            assert ada.stream() not in room.streams
            assert media.open == [camera, other], "it is the view's that nobody has any more"
        else:
            assert room.streams[ada.stream()].views == {}
            assert room.streams[ada.stream()].told_state == "live"
    # That is kept, too.
    async with kept(store, [ada, bob], media=media) as server:
        room = await restart(server.directory, ada, bob)
        assert len(room.streams) == (1 if whose == "presenter" else 2)


async def test_what_was_answered_and_not_noted_is_released(autojump_clock: MockClock) -> None:
    store, media = MemoryStore(), FakeMedia()
    async with kept(store, media=media) as server:
        ada, bob = await broadcast(server.directory)
        store.hangs = True
        await bob.say(Unview(stream=ada.stream()))
        await bob.say(publish(sdp="another"))
        await settle()
        camera, _ = media.open
        assert bob.all("answer")[1:] == [], "it is told when it is kept"
    store.mend()
    async with kept(store, [ada, bob], media=media) as server:
        room = await restart(server.directory, ada, bob)
        assert list(room.streams) == [ada.stream()]
        # The view that ended without anybody who could note it, and the new stream.
        assert room.streams[ada.stream()].views == {}
        assert media.open == [camera]


async def test_whoever_does_not_come_back_leaves_and_takes_the_stream_along(autojump_clock: MockClock) -> None:
    store, media = MemoryStore(), FakeMedia()
    async with kept(store, media=media) as server:
        ada, bob = await broadcast(server.directory)
        flows(media)
    async with kept(store, [ada, bob], media=media) as server:
        room = await restart(server.directory, ada, bob)
        await bob.come_back()
        await ada.leave("disconnected")
        await settle()
        assert bob.last("streamEnded")["reason"] == "left"
        assert (media.open, media.pipelines, room.state) == ([], [], "waiting")


async def test_one_who_left_before_the_adoption_leaves_nothing_behind(autojump_clock: MockClock) -> None:
    store, media = MemoryStore(), FakeMedia()
    async with kept(store, media=media) as server:
        ada, bob = await broadcast(server.directory)
        flows(media)
        camera, _ = media.open
    media.adopting.shut()
    async with kept(store, [ada, bob], media=media) as server:
        room = await restart(server.directory, ada, bob)
        await bob.leave("disconnected")
        media.adopting.open()
        await settle()
        assert media.open == [camera]
        assert room.streams[ada.stream()].told_state == "live"


async def test_a_restart_of_ice_is_answered_by_the_endpoint_that_was_adopted(autojump_clock: MockClock) -> None:
    store, media = MemoryStore(), FakeMedia()
    async with kept(store, media=media) as server:
        ada, bob = await broadcast(server.directory)
        flows(media)
    async with kept(store, [ada, bob], media=media) as server:
        await restart(server.directory, ada, bob)
        await ada.come_back()
        await ada.say(Restart(stream=ada.stream(), sdp="another", ref=9))
        await settle()
        assert (ada.last("answer")["sdp"], ada.last("answer")["ref"]) == ("answer to another", 9)


async def test_restarts_that_come_before_the_adoption_are_answered_and_so_are_later_ones(
    autojump_clock: MockClock,
) -> None:
    store, media = MemoryStore(), FakeMedia()
    async with kept(store, media=media) as server:
        ada, bob = await broadcast(server.directory)
        flows(media)
        camera, _ = media.open
        before = list(camera.calls)
    media.adopting.shut()
    async with kept(store, [ada, bob], media=media) as server:
        await restart(server.directory, ada, bob)
        await ada.come_back()
        await ada.say(Restart(stream=ada.stream(), sdp="new path", ref=9))
        await ada.say(Candidate(stream=ada.stream(), candidate="c"))
        await settle()
        media.adopting.open()
        await settle()
        assert (ada.last("answer")["sdp"], ada.last("answer")["ref"]) == ("answer to new path", 9)
        # The candidates of an offer follow it.
        assert since(camera, before) == ["offer new path", "candidate c"]
        await ada.say(Restart(stream=ada.stream(), sdp="another", ref=10))
        await settle()
        assert (ada.last("answer")["sdp"], ada.last("answer")["ref"]) == ("answer to another", 10)


async def test_a_browser_that_was_not_connected_has_the_time_that_it_always_has(autojump_clock: MockClock) -> None:
    store, media = MemoryStore(), FakeMedia()
    async with kept(store, media=media) as server:
        ada, bob = await broadcast(server.directory)
        media.open[0].connected, media.open[0].flowing = True, set(BOTH)
    async with kept(store, [ada, bob], media=media) as server:
        room = await restart(server.directory, ada, bob)
        view = room.streams[ada.stream()].views[bob.participant_id]
        assert view.state == "answered"
        await trio.sleep(room.settings.connect_timeout + 1)
        await settle()
        assert view.state == "ended"
        assert len(media.open) == 1


async def test_a_view_that_is_answered_before_its_stream_is_noted_after_it(autojump_clock: MockClock) -> None:
    store, media = MemoryStore(), FakeMedia(answers=False)
    async with kept(store, media=media) as server:
        ada, bob = await broadcast(server.directory)
        media.open[1].answering.open()
        await settle()
        assert not [one for one in durables(store) if isinstance(one, durable.Viewed)]
        media.open[0].answering.open()
        await settle()
        flows(media)
        noted = [type(one) for one in durables(store)[-3:]]
        assert noted == [durable.MediaAt, durable.Published, durable.Viewed]
    async with kept(store, [ada, bob], media=media) as server:
        room = await restart(server.directory, ada, bob)
        assert list(room.streams[ada.stream()].views) == [bob.participant_id]


async def test_the_numbers_of_generations_go_on(autojump_clock: MockClock) -> None:
    store, media = MemoryStore(), FakeMedia()
    async with kept(store, media=media) as server:
        ada, bob = await broadcast(server.directory)
        await bob.say(Unview(stream=ada.stream()))
        await bob.say(view(ada, sdp="again"))
        await settle()
        flows(media)
    async with kept(store, [ada, bob], media=media) as server:
        room = await restart(server.directory, ada, bob)
        assert room.streams[ada.stream()].views[bob.participant_id].generation == 2
        await bob.come_back()
        await bob.say(Unview(stream=ada.stream()))
        await bob.say(view(ada, sdp="once more"))
        await settle()
        assert room.streams[ada.stream()].views[bob.participant_id].generation == 3


async def test_a_snapshot_has_what_goes_on_and_nothing_of_what_has_ended(autojump_clock: MockClock) -> None:
    store, media = MemoryStore(), FakeMedia()
    settings = StoreSettings(data="none", store_events=3)
    async with kept(store, media=media, settings=settings) as server:
        ada, bob = await broadcast(server.directory)
        for number in range(4):
            await bob.say(Unview(stream=ada.stream()))
            await bob.say(view(ada, sdp=f"offer {number}"))
            await settle()
        await bob.say(publish(Source.SCREEN))
        await bob.say(Unpublish(stream=bob.stream("screen")))
        await settle()
        store.fail()
        await ada.say(Publish(source=Source.SCREEN, sdp="screen"))
        await settle()
        store.mend()
        await trio.sleep(10)
        kinds = [type(one) for one in durables(store)]
        media_kinds = [kind for kind in kinds if kind in (durable.MediaAt, durable.Published, durable.Viewed)]
        assert media_kinds == [durable.MediaAt, durable.Published, durable.Published, durable.Viewed]
        assert not {durable.Unpublished, durable.Unviewed} & set(kinds)
        flows(media)
    async with kept(store, [ada, bob], media=media, settings=settings) as server:
        room = await restart(server.directory, ada, bob)
        assert list(room.streams) == [ada.stream(), ada.stream("screen")]


@pytest.mark.parametrize("store_events", [1, 1000])
async def test_the_store_knows_whose_the_pipeline_is(autojump_clock: MockClock, store_events: int) -> None:
    """The name of the server may be another one each time, and what each run has left is found by it."""
    store, media = MemoryStore(), FakeMedia()
    settings = StoreSettings(data="none", store_events=store_events)
    first, second = Owner("blue:8080", "first"), Owner("blue:8081", "second")
    media.owner = first
    async with kept(store, media=media, settings=settings) as server:
        ada, bob = await broadcast(server.directory)
    for before, now in ((first, second), (second, second)):
        media.owner = now
        async with kept(store, [ada, bob], media=media, settings=settings) as server:
            room = server.directory.find("blue")
            assert room is not None
            place = room.media_place
            assert place is not None
            assert place.left_by == before
            assert await restart(server.directory, ada, bob) is room


@pytest.mark.parametrize("snapshot", [False, True])
async def test_after_a_planned_end_nothing_is_looked_for(autojump_clock: MockClock, snapshot: bool) -> None:
    store, media = MemoryStore(), FakeMedia()
    async with kept(store, media=media) as server:
        ada, bob = await broadcast(server.directory)
        if snapshot:
            # Then the last write is one, as after every failure.
            store.fail()
            await ada.say(publish(Source.SCREEN))
            await settle()
            store.mend()
        await server.directory.close()
        await server.writer.flush()
        assert media.open == []
    last = store.commits[-1][-1]
    assert isinstance(last, Snapshot) == snapshot
    async with kept(store, [ada, bob], media=media) as server:
        # It does not even begin as a broadcast.
        room = server.directory.find("blue")
        assert room is not None
        assert (room.state, room.media_place, dict(room.streams)) == ("waiting", None, {})
        assert await restart(server.directory, ada, bob) is room


async def test_an_endpoint_that_is_gone_later_ends_its_view_as_ever(autojump_clock: MockClock) -> None:
    store, media = MemoryStore(), FakeMedia()
    async with kept(store, media=media) as server:
        ada, bob = await broadcast(server.directory)
        flows(media)
    async with kept(store, [ada, bob], media=media) as server:
        room = await restart(server.directory, ada, bob)
        media.open[1].happens(flow_in(MediaFlowState.NOT_FLOWING))
        await settle()
        assert room.streams[ada.stream()].views[bob.participant_id].told_state == "live", "the sound flows"
        media.answering.error = ObjectGone(ObjectGone.CODE, "gone")
        await bob.come_back()
        await bob.say(Restart(stream=ada.stream(), sdp="another", ref=9))
        await settle()
        assert room.streams[ada.stream()].views == {}
