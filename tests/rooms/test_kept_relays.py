"""Given streams that are relayed, then relays and their views go on when the server is started again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from trio.testing import MockClock

from roomfsm.kurento import DtlsConnectionState
from roomfsm.protocol.client import Adjust, View
from roomfsm.protocol.fields import Size
from roomfsm.rooms import durable
from roomfsm.rooms.room import Room
from roomfsm.testing import FakeMedia
from tests.rooms.house import OFFER, dtls, publish, settle
from tests.rooms.kept import Kept, KeptPerson, MemoryStore, kept
from tests.rooms.test_adoption import BOTH, durables, flows, restart
from tests.rooms.test_handed_over import hand_over
from tests.rooms.test_spread import NARROW, ONE, THREE, TWO, at, spread

CHAIN = replace(NARROW, views_per_media_server=2, relays_per_media_server=1)


class Theatre:
    """A presenter and six viewers at three media servers, one behind the other, and runs of the server."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.media = FakeMedia()
        self.media.urls = [ONE, TWO, THREE]
        self.people: list[KeptPerson] = []

    @property
    def viewers(self) -> list[KeptPerson]:
        return self.people[1:]

    @asynccontextmanager
    async def run(self) -> AsyncIterator[Kept]:
        async with kept(self.store, self.people, rooms=CHAIN, media=self.media) as server:
            yield server

    async def fill(self, server: Kept) -> None:
        """Let everybody come, and all media flow."""
        for number in range(7):
            person = KeptPerson(server.directory, f"Person {number}", f"192.0.2.{number}")
            self.people.append(person)
            await person.join("blue")
        ada = self.people[0]
        await ada.say(publish())
        await settle()
        for viewer in self.viewers:
            await viewer.say(View(stream=ada.stream(), sdp=OFFER))
            await settle()
        assert spread(self.media) == {ONE: 4, TWO: 4, THREE: 3}
        flows(self.media)

    async def come_back(self, server: Kept) -> Room:
        room = await restart(server.directory, *self.people)
        await room.until_settled()
        await settle()
        return room

    def states(self, room: Room) -> list[str]:
        """Those of the viewers' views."""
        (stream,) = room.streams.values()
        views = [stream.views.get(viewer.participant_id) for viewer in self.viewers]
        return ["gone" if view is None else view.told_state for view in views]

    async def end(self, server: Kept) -> None:
        await server.directory.close_room("blue", "tea")
        await settle()
        assert (self.media.open, self.media.pipelines, self.media.missed) == ([], [], [])


@pytest.mark.parametrize("how", ["killed", "restarted", "moved"])
async def test_relays_and_their_views_go_on_and_nothing_is_made_or_left(
    autojump_clock: MockClock, how: str
) -> None:
    theatre = Theatre()
    media = theatre.media
    media.is_shared = how == "moved"
    async with theatre.run() as server:
        await theatre.fill(server)
        before, made = list(media.open), media.made
        calls = [list(one.calls) for one in before]
        match how:
            case "restarted":
                await hand_over(server.directory)
            case "moved":
                server.writer.disown("blue")
                await settle()
    for _ in range(2):
        async with theatre.run() as server:
            room = await theatre.come_back(server)
            assert theatre.states(room) == ["live"] * 6
            assert (media.open, media.made) == (before, made)
            assert [list(one.calls) for one in before] == calls
            assert room.broadcast is not None
            relays = [(one.above, one.below, one.state, one.depth) for one in room.broadcast.relays]
            assert relays == [(ONE, TWO, "live", 1), (TWO, THREE, "live", 2)]
    async with theatre.run() as server:
        room = await theatre.come_back(server)
        # What the media servers tell from now on is heard.
        at(media, THREE)[0].happens(dtls(DtlsConnectionState.CLOSED))
        await settle()
        assert at(media, THREE)[-1].passed.keys() == {one.number for one in at(media, THREE)[:2]}
        assert theatre.states(room) == ["live"] * 6
        await theatre.end(server)


async def test_a_relay_that_is_lost_meanwhile_is_made_anew_under_its_views(autojump_clock: MockClock) -> None:
    theatre = Theatre()
    media = theatre.media
    async with theatre.run() as server:
        await theatre.fill(server)
        await theatre.viewers[2].say(Adjust(stream=theatre.people[0].stream(), size=Size.NONE))
        await settle()
    sender = at(media, ONE)[-1]
    first = at(media, TWO)[0]
    (home, *_) = media.pipelines
    home.left.remove(sender.id)
    media.open.remove(sender)
    first.passed.clear()
    async with theatre.run() as server:
        room = await theatre.come_back(server)
        assert media.missed == [sender.id]
        media.missed.clear()
        (second,) = [one for one in at(media, TWO) if one.calls[0].startswith("offer offer")]
        assert second is not first
        third, fourth, onward = at(media, TWO)[:3]
        # Whether the picture is wanted is not known any more. The page says it when it is back.
        assert second.passed.keys() == {one.number for one in (third, fourth, onward)}
        assert all(passed >= BOTH for passed in second.passed.values())
        assert theatre.states(room)[4:] == ["live", "live"]
        await theatre.end(server)


async def test_views_of_a_branch_that_is_lost_meanwhile_end_and_the_others_go_on(
    autojump_clock: MockClock,
) -> None:
    theatre = Theatre()
    media = theatre.media
    async with theatre.run() as server:
        await theatre.fill(server)
    media.pipelines[2].lost.set()
    async with theatre.run() as server:
        room = await restart(server.directory, *theatre.people)
        await settle()
        assert theatre.states(room)[:4] == ["live"] * 4
        await room.until_settled()
        await settle()
        assert theatre.states(room) == [*["live"] * 4, *["gone"] * 2]
        assert spread(media)[TWO] == 3, "the relay to it is released"
        media.open = [one for one in media.open if one.server_url != THREE]
        del media.pipelines[2:]
        await theatre.end(server)


async def test_what_no_view_needs_any_more_is_not_taken_up(autojump_clock: MockClock) -> None:
    theatre = Theatre()
    media = theatre.media
    async with theatre.run() as server:
        await theatre.fill(server)
        for viewer in theatre.viewers[2:]:
            await viewer.leave()
        await settle()
        assert spread(media) == {ONE: 3}
        theatre.people[3:] = []
        assert sum(isinstance(one, durable.Relayed) for one in durables(theatre.store)) == 2
    async with theatre.run() as server:
        room = await theatre.come_back(server)
        assert theatre.states(room) == ["live", "live"]
        await theatre.end(server)


async def test_a_view_whose_relay_nobody_knows_ends(autojump_clock: MockClock) -> None:
    theatre = Theatre()
    media = theatre.media
    async with theatre.run() as server:
        await theatre.fill(server)
    past = theatre.store.pasts["blue"]
    events = tuple(one for one in past.events if b'"is":"relayed"' not in one)
    assert len(events) == len(past.events) - 2
    theatre.store.pasts["blue"] = replace(past, events=events)
    async with theatre.run() as server:
        room = await theatre.come_back(server)
        assert theatre.states(room) == ["live", "live", *["gone"] * 4]
        assert at(media, ONE)[3:] == []
