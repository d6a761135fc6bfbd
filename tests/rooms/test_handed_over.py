"""Given a server that is restarted, then it leaves the rooms and their media to its next run."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from roomfsm.access.policy import Policy
from roomfsm.kurento import MediaServerLost
from roomfsm.protocol.client import Unpublish, View
from roomfsm.protocol.errors import ErrorCode, Refusal
from roomfsm.rooms.directory import Directory
from roomfsm.rooms.events import HandOver
from roomfsm.testing import FakeMedia
from tests.rooms.house import OFFER, publish, settle
from tests.rooms.kept import KeptPerson, MemoryStore, kept
from tests.rooms.test_adoption import broadcast, durables, flows, restart


async def hand_over(directory: Directory) -> None:
    with trio.fail_after(1):
        await directory.hand_over()
    await settle()


async def test_streams_and_views_go_on_and_nobody_is_told_that_they_end(autojump_clock: MockClock) -> None:
    store, media = MemoryStore(), FakeMedia()
    async with kept(store, media=media) as server:
        ada, bob = await broadcast(server.directory)
        flows(media)
        before = list(media.open)
        kept_before = durables(store)
        await hand_over(server.directory)
        assert server.directory.rooms() == []
        assert (media.open, len(media.pipelines)) == (before, 1)
        assert bob.all("streamEnded") == bob.all("closing") == []
        assert durables(store) == kept_before
        with pytest.raises(Refusal) as refused:
            await KeptPerson(server.directory, "Eve").join("blue")
        assert refused.value.code is ErrorCode.SERVER_CLOSING
    async with kept(store, [ada, bob], media=media) as server:
        room = await restart(server.directory, ada, bob)
        await bob.come_back()
        await settle()
        (stream,) = bob.last("joined")["streams"]
        assert (stream["id"], stream["state"], stream["generation"], stream["viewers"]) == (
            ada.stream(),
            "live",
            1,
            1,
        )
        assert media.open == before
        # What was left is held again.
        await server.directory.close_room("blue", "tea")
        await settle()
        assert (media.open, media.pipelines, room.state) == ([], [], "closed")


async def test_what_has_no_answer_yet_is_released(autojump_clock: MockClock) -> None:
    store, media = MemoryStore(), FakeMedia(answers=False)
    async with kept(store, media=media) as server:
        ada, bob = await broadcast(server.directory)
        for endpoint in media.open:
            endpoint.answering.open()
        await settle()
        left = list(media.open)
        assert len(left) == 2
        await bob.say(publish(sdp="another"))
        await settle()
        await ada.say(View(stream=bob.stream(), sdp=OFFER))
        await settle()
        assert len(media.open) == 4
        flows(media)
        await hand_over(server.directory)
        assert media.open == left
    async with kept(store, [ada, bob], media=media) as server:
        room = await restart(server.directory, ada, bob)
        assert list(room.streams) == [ada.stream()]
        assert media.open == left


@pytest.mark.parametrize("is_shared", [True, False])
async def test_another_server_that_has_the_room_gets_its_media_if_it_uses_the_media_server(
    autojump_clock: MockClock, is_shared: bool
) -> None:
    store, media = MemoryStore(), FakeMedia()
    media.is_shared = is_shared
    async with kept(store, media=media) as server:
        ada, bob = await broadcast(server.directory)
        flows(media)
        before = list(media.open)
        server.writer.disown("blue")
        await settle()
        assert (ada.was_sent_on, bob.was_sent_on) == (True, True)
        assert bob.all("streamEnded") == []
        assert media.open == (before if is_shared else [])
    async with kept(store, [ada, bob], media=media) as server:
        room = await restart(server.directory, ada, bob)
        assert (room.state, media.open) == (("broadcasting", before) if is_shared else ("waiting", []))


async def test_another_server_may_know_of_streams_that_have_ended_here(autojump_clock: MockClock) -> None:
    """What was done last is not kept, so the other server must find a pipeline in which it can go on."""
    store, media = MemoryStore(), FakeMedia(answers=False)
    media.is_shared = True
    async with kept(store, media=media) as server:
        ada, bob = await broadcast(server.directory)
        for endpoint in media.open:
            endpoint.answering.open()
        await settle()
        # This stream gets no answer.
        await bob.say(publish(sdp="another"))
        await settle()
        store.hangs = True
        await ada.say(Unpublish(stream=ada.stream()))
        await settle()
        server.writer.disown("blue")
        await settle()
        assert len(media.pipelines) == 1
        store.hangs = False
        store.done.set()


async def test_if_nothing_has_an_answer_the_pipeline_is_released_too(autojump_clock: MockClock) -> None:
    store, media = MemoryStore(), FakeMedia(answers=False)
    async with kept(store, media=media) as server:
        await broadcast(server.directory)
        await hand_over(server.directory)
        assert (media.open, media.pipelines) == ([], [])


async def test_it_may_be_restarted_again_before_it_has_taken_over(autojump_clock: MockClock) -> None:
    store, media = MemoryStore(), FakeMedia()
    async with kept(store, media=media) as server:
        ada, bob = await broadcast(server.directory)
        flows(media)
        before = list(media.open)
        await hand_over(server.directory)
    media.adopting.shut()
    async with kept(store, [ada, bob], media=media) as server:
        await restart(server.directory, ada, bob)
        await hand_over(server.directory)
    media.adopting.open()
    async with kept(store, [ada, bob], media=media) as server:
        room = await restart(server.directory, ada, bob)
        assert room.streams[ada.stream()].told_state == "live"
        assert media.open == before


async def test_a_store_that_is_back_at_the_last_moment_has_it_all(autojump_clock: MockClock) -> None:
    """What the room was when it ended is written as a snapshot."""
    store, media = MemoryStore(), FakeMedia()
    async with kept(store, media=media) as server:
        ada, bob = await broadcast(server.directory)
        flows(media)
        store.fail()
        await bob.say(publish())
        await settle()
        await hand_over(server.directory)
        flows(media)
        store.mend()
    async with kept(store, [ada, bob], media=media) as server:
        room = await restart(server.directory, ada, bob)
        assert {name: one.told_state for name, one in room.streams.items()} == {
            ada.stream(): "live",
            bob.stream(): "live",
        }


async def test_media_that_are_lost_meanwhile_have_ended_when_the_room_comes_back(
    autojump_clock: MockClock,
) -> None:
    store, media = MemoryStore(), FakeMedia()
    async with kept(store, media=media) as server:
        ada, bob = await broadcast(server.directory)
        await hand_over(server.directory)
    media.adopting.error = MediaServerLost("ws://memory", "gone")
    async with kept(store, [ada, bob], media=media) as server:
        room = await restart(server.directory, ada, bob)
        await room.until_settled()
        assert (room.state, dict(room.streams)) == ("waiting", {})


async def test_one_room_can_be_handed_over_and_those_in_its_lobby_are_turned_away(
    autojump_clock: MockClock,
) -> None:
    store, media = MemoryStore(), FakeMedia()
    async with kept(store, media=media, policy=Policy(lobby=True)) as server:
        ada = KeptPerson(server.directory, "Ada")
        await ada.join("blue")
        await ada.say(publish())
        eve = KeptPerson(server.directory, "Eve", "198.51.100.7")
        await eve.join("blue")
        assert eve.last("knocking")["room"] == "blue"
        room = server.directory.find("blue")
        assert room is not None
        await settle()
        await room.request(HandOver("moved"))
        await settle()
        assert (room.state, room.ended_by, len(media.open)) == ("closed", "moved", 1)
        assert eve.last("error")["code"] == "room_closed"
        # The name is free again, here or elsewhere.
        assert server.directory.find("blue") is None
