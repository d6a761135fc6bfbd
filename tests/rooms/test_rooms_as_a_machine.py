"""Whatever people and media servers do, in any order, rooms keep their invariants and leave nothing behind."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from typing import Any

import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

from roomfsm.kurento.errors import MediaServerUnavailable, SdpInvalid
from roomfsm.kurento.events import (
    DtlsConnectionState,
    DtlsConnectionStateChange,
    MediaFlowInStateChanged,
    MediaFlowOutStateChanged,
    MediaFlowState,
    MediaPausedState,
    MediaPausedStateChanged,
    MediaType,
)
from roomfsm.protocol.client import Adjust, Candidate, Chat, Publish, Rename, Unpublish, Unview, View
from roomfsm.protocol.errors import Refusal
from roomfsm.protocol.fields import Size, Source
from roomfsm.rooms.directory import Directory, open_directory
from roomfsm.rooms.events import RoomMessage
from roomfsm.rooms.room import Room
from roomfsm.rooms.settings import RoomSettings
from roomfsm.testing import FakeMedia, Gate, Person
from tests.examples import examples

PEOPLE = 3
LIMITS = RoomSettings(max_people=2, max_presenters=1, max_views=1, candidate_buffer=2, linger=5.0)
OFFER = "v=0\r\na=ice-ufrag:u1\r\n"

person = st.integers(0, PEOPLE - 1)
gate = st.sampled_from(["creating", "answering", "gathering", "releasing"])
# There are few people, one room and one source, so that actions often meet unfinished ones.
actions = st.one_of(
    st.tuples(st.sampled_from(["publish", "unpublish"]), person),
    st.tuples(st.sampled_from(["view", "unview", "adjust", "candidate"]), person, person),
    st.tuples(st.sampled_from(["join", "leave", "vanish", "come back", "chat", "rename"]), person),
    st.tuples(st.just("switch"), person, st.sampled_from(["blue", "red"])),
    st.tuples(st.just("close"), st.sampled_from(["blue", "red"])),
    st.tuples(st.sampled_from(["shut", "open"]), gate),
    st.tuples(st.sampled_from(["connected", "closed", "flowing", "silent", "narrow", "wide"]), st.integers(0, 3)),
    st.tuples(st.sampled_from(["lose media", "settle", "fail", "mend"])),
    st.tuples(st.just("time"), st.sampled_from([6.0, 31.0])),
)


class House:
    """The rooms under test, and what the people and the media server did."""

    def __init__(self, directory: Directory, media: FakeMedia) -> None:
        self.directory = directory
        self.media = media
        self.people = [Person(directory, f"person {number}") for number in range(PEOPLE)]
        self.rooms: set[Room] = set()
        self.asked: Counter[tuple[str, int]] = Counter()

    async def act(self, action: tuple[Any, ...]) -> None:
        match action:
            case ("shut" | "open" as how, str(name)):
                chosen: Gate = getattr(self.media, name)
                (chosen.open if how == "open" else chosen.shut)()
            case ("fail",):
                self.media.creating.error = MediaServerUnavailable("none")
                self.media.answering.error = SdpInvalid(40201, "bad", "SDP_PARSE_ERROR")
            case ("mend",):
                self.media.creating.error = self.media.answering.error = None
            case ("lose media",):
                for pipeline in self.media.pipelines:
                    pipeline.lost.set()
            case ("settle",):
                await self.check()
            case ("time", float(seconds)):
                await trio.sleep(seconds)
            case ("connected" | "closed" | "flowing" | "silent" | "narrow" | "wide" as what, int(number)):
                self._happen(what, number)
            case ("close", str(name)):
                await self.directory.close_room(name, "tea")
            case ("switch", int(number), str(name)):
                if self.people[number].state == "joined":
                    with suppress(Refusal):
                        await self.people[number].switch(name)
                        self.rooms.add(self.people[number].sits_in)
            case ("join", int(number)):
                await self._join(self.people[number])
            case (str(what), int(number), *others):
                by_connection = self.people[number].state == ("away" if what == "come back" else "joined")
                if self.people[number].room is not None and (by_connection or what == "leave"):
                    await self._by(self.people[number], what, [self.people[other].stream() for other in others])

    async def _join(self, person: Person) -> None:
        if person.room is None:
            with suppress(Refusal):
                await person.join("blue")
                self.rooms.add(person.sits_in)

    def _happen(self, what: str, number: int) -> None:
        if not self.media.open:
            return
        endpoint = self.media.open[number % len(self.media.open)]
        if what in ("connected", "closed"):
            state = DtlsConnectionState[what.upper()]
            endpoint.happens(DtlsConnectionStateChange(stream_id="0", component_id="1", state=state))
            return
        if what in ("narrow", "wide"):
            paused = MediaPausedState.PAUSED if what == "narrow" else MediaPausedState.NOT_PAUSED
            endpoint.happens(MediaPausedStateChanged(media_type=MediaType.VIDEO, state=paused))
            return
        flow = MediaFlowState.FLOWING if what == "flowing" else MediaFlowState.NOT_FLOWING
        endpoint.happens(MediaFlowOutStateChanged(media_type=MediaType.VIDEO, state=flow))
        endpoint.happens(MediaFlowInStateChanged(media_type=MediaType.VIDEO, state=flow))

    async def _by(self, person: Person, what: str, streams: list[str]) -> None:
        ref = self.asked.total() + 1
        message: RoomMessage
        match what, streams:
            case "leave", _:
                return await person.leave()
            case "vanish", _:
                return await person.vanish()
            case "come back", _:
                return await person.come_back()
            case "chat", _:
                message = Chat(text="hello", ref=ref)
            case "rename", _:
                message = Rename(name="another", ref=ref)
            case "publish", _:
                message = Publish(
                    source=Source.SCREEN if len(self.asked) % 3 else Source.CAMERA, sdp=OFFER, ref=ref
                )
            case "unpublish", _:
                message = Unpublish(stream=person.stream(), ref=ref)
            case "view", [stream]:
                message = View(stream=stream, sdp=OFFER, ref=ref)
            case "adjust", [stream]:
                size = Size.NONE if ref % 2 else Size.LARGE
                message = Adjust(stream=stream, size=size, ref=ref)
            case "unview", [stream]:
                message = Unview(stream=stream, ref=ref)
            case _:
                message = Candidate(stream=streams[0], candidate="c")
        if message.ref is not None:
            self.asked[person.participant_id, ref] += 1
        return await person.say(message)

    async def check(self) -> None:
        """Check what must be true whenever nothing is under way."""
        await wait_all_tasks_blocked()
        for room in self.rooms:
            if room.over:
                # It may still wait for something that the media server does not release.
                continue
            expected = "broadcasting" if room.streams else "waiting" if room.people else "empty"
            assert room.state == expected
            assert len(room.people) <= LIMITS.max_people
            assert len({stream.participant.id for stream in room.streams.values()}) <= LIMITS.max_presenters
            for participant in room.people.values():
                assert participant.seat.room is room
                assert len(participant.views) <= LIMITS.max_views
                assert participant.streams.keys() == {
                    s.id for s in room.streams.values() if s.participant is participant
                }
                assert participant.views.keys() == {
                    s.id for s in room.streams.values() if participant.id in s.views
                }

    async def end(self) -> None:
        """Open all gates, and check that nothing is left."""
        for gate in (self.media.creating, self.media.answering, self.media.gathering, self.media.releasing):
            gate.open()
            gate.error = None
        await self.check()
        legs = sum(1 + len(stream.views) for room in self.rooms for stream in room.streams.values())
        assert len(self.media.open) == legs
        assert len(self.media.pipelines) == sum(bool(room.streams) for room in self.rooms)
        replies = Counter(
            (person.participant_id, message["ref"])
            for person in self.people
            for message in person.messages
            if "ref" in message
        )
        assert replies == self.asked
        for person in self.people:
            if person.room is not None:
                await person.leave()
        await wait_all_tasks_blocked()
        assert (self.media.open, self.media.pipelines) == ([], [])
        await trio.sleep(LIMITS.linger + 1)
        assert len(self.directory) == 0


@examples(300)
@given(st.lists(actions, min_size=20, max_size=60))
def test_whatever_happens_rooms_keep_their_promises(course: list[tuple[Any, ...]]) -> None:
    async def main() -> None:
        media = FakeMedia()
        async with open_directory(media.pool, LIMITS) as directory:
            house = House(directory, media)
            for number in range(PEOPLE):
                await house.act(("join", number))
            for action in course:
                await house.act(action)
            await house.end()

    trio.run(main, clock=MockClock(autojump_threshold=0))
