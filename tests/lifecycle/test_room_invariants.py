"""Each invariant of the room's table has a property test: it holds whatever happens, in whatever order.

The world around the table is as small as possible: it has the people in the room, the streams, the views, and the
pipelines that are not released yet. It counts true facts, and does what the table's effects say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roomfsm.lifecycle.room import ROOM, RoomEffect, RoomFacts
from roomfsm.lifecycle.table import Model
from roomfsm.protocol.errors import Refusal

PEOPLE = 4
MAX_PEOPLE, MAX_PRESENTERS, MAX_VIEWS, MAX_IN_LOBBY = 3, 2, 2, 1
OPEN = ("empty", "waiting", "broadcasting")
Do = RoomEffect

person = st.integers(0, PEOPLE - 1)
source = st.sampled_from(["camera", "screen"])
actions = st.one_of(
    st.tuples(st.sampled_from(["join", "knock", "leave", "away", "back", "chat", "rename", "switch"]), person),
    st.tuples(st.sampled_from(["publish", "unpublish", "stream_failed"]), person, source),
    st.tuples(
        st.sampled_from(["view", "unview", "view_failed", "adjust", "candidate", "restart"]),
        person,
        person,
        source,
    ),
    # These are rarer than the others, because they end so much.
    st.sampled_from(
        [
            ("media_lost",),
            ("expire",),
            ("vacate",),
            ("close",),
            ("disowned",),
            ("hand_over",),
            ("drained",),
            ("release",),
        ]
    ),
)

type Action = tuple[str | int, ...]
type Stream = tuple[int, str]


@dataclass
class World:
    """A room's people, streams (by presenter and source) with their viewers, and pipelines."""

    notice: bool
    model: Model = field(default_factory=ROOM.new)
    people: dict[int, bool] = field(default_factory=dict)
    """The people, and whether each of them is away."""
    streams: dict[Stream, set[int]] = field(default_factory=dict)
    lobby: set[int] = field(default_factory=set)
    releasing: int = 0
    overdue: bool = False
    elsewhere: bool = False
    """Whether it goes on at another server."""

    @property
    def open(self) -> bool:
        return self.model.state in OPEN

    def presenters(self) -> set[int]:
        return {presenter for presenter, _ in self.streams}

    def views_of(self, viewer: int) -> int:
        return sum(viewer in viewers for viewers in self.streams.values())

    def act(self, action: Action) -> None:
        """Fire the trigger of what happens, and do what the table says. Impossible events are ignored."""
        trigger, *about = action
        if trigger == "release":
            self.releasing = 0
            return
        if not self._can_happen(str(trigger), about):
            return
        facts = self._facts(str(trigger), about)
        if trigger == "drained":
            # The deadline is over, whatever is still held and whoever is still there.
            self.overdue |= ROOM.follow(self.model, trigger, RoomFacts) is not None
            return
        with suppress(Refusal):
            step = ROOM.fire(self.model, "join" if trigger == "knock" else str(trigger), facts)
            for effect in step.effects:
                self._carry_out(effect, str(trigger), about)
            if Do.LEAVE_MEDIA not in step.effects:
                self.releasing += "broadcast" in step.left
        ROOM.follow(
            self.model,
            "drained",
            lambda: RoomFacts(people=len(self.people), held=self.releasing, notice=self.notice),
        )

    def _can_happen(self, trigger: str, about: list[str | int]) -> bool:
        match trigger, about:
            case "join", _:
                return True
            case "knock", [int(who)]:
                return who not in self.lobby
            case "leave", [int(who)]:
                return who in self.people or who in self.lobby
            case "stream_failed", [int(presenter), str(source)]:
                return (presenter, source) in self.streams
            case "view_failed", [int(viewer), int(presenter), str(source)]:
                return viewer in self.streams.get((presenter, source), ())
            case "media_lost", _:
                return bool(self.streams)
            case (("expire" | "vacate"), _):
                return not self.people
            case (("close" | "disowned" | "hand_over" | "drained"), _):
                return True
            case _, [int(who), *_]:
                return who in self.people
        raise AssertionError(trigger)

    def _stream(self, trigger: str, about: list[str | int]) -> Stream | None:
        match trigger, about:
            case (("publish" | "unpublish" | "stream_failed"), [int(presenter), str(source)]):
                return presenter, source
            case _, [int(), int(presenter), str(source)]:
                return presenter, source
        return None

    def _gives_way(self) -> int | None:
        return next((who for who, away in self.people.items() if away), None)

    def _facts(self, trigger: str, about: list[str | int]) -> RoomFacts:
        who = about[0] if about else None
        stream = self._stream(trigger, about)
        people, streams, presenters = len(self.people), len(self.streams), self.presenters()
        if trigger == "join":
            people += 1
            leaver = self._gives_way() if people > MAX_PEOPLE else None
            people -= leaver is not None
            streams -= sum(presenter == leaver for presenter, _ in self.streams)
        elif trigger == "knock":
            people += 1
        elif trigger == "leave" and who not in self.lobby:
            people -= 1
            streams -= sum(presenter == who for presenter, _ in self.streams)
        elif trigger in ("unpublish", "stream_failed"):
            streams -= stream in self.streams
        elif trigger == "publish":
            presenters.add(int(about[0]))
        return RoomFacts(
            people=people,
            streams=streams,
            presenters=len(presenters),
            views=(self.views_of(int(about[0])) if about else 0) + (trigger == "view"),
            max_people=MAX_PEOPLE,
            max_presenters=MAX_PRESENTERS,
            max_views=MAX_VIEWS,
            member=who in self.people,
            must_knock=trigger == "knock",
            knocks=trigger == "leave" and who in self.lobby,
            in_lobby=len(self.lobby),
            lobby_full=len(self.lobby) >= MAX_IN_LOBBY,
            stream_exists=stream in self.streams,
            own_stream=stream is not None and stream[0] == who and stream in self.streams,
            viewing=stream is not None and who in self.streams.get(stream, ()),
            publishing=stream in self.streams,
        )

    def _carry_out(self, effect: object, trigger: str, about: list[str | int]) -> None:
        stream = self._stream(trigger, about)
        match effect:
            case Do.MAKE_WAY if len(self.people) >= MAX_PEOPLE:
                leaver = self._gives_way()
                assert leaver is not None
                self._put_out(leaver)
            case Do.ADMIT:
                self.people[int(about[0])] = False
                self.lobby.discard(int(about[0]))
            case Do.KNOCK:
                self.lobby.add(int(about[0]))
            case Do.GIVE_UP:
                self.lobby.remove(int(about[0]))
            case Do.TURN_AWAY:
                self.lobby.clear()
            case Do.DISMISS:
                self._put_out(int(about[0]))
            case Do.MARK_AWAY | Do.WELCOME_BACK:
                self.people[int(about[0])] = effect is Do.MARK_AWAY
            case Do.OPEN_STREAM:
                assert stream is not None
                self.streams[stream] = set()
            case Do.END_STREAM:
                assert stream is not None
                del self.streams[stream]
            case Do.OPEN_VIEW:
                assert stream is not None
                self.streams[stream].add(int(about[0]))
            case Do.END_VIEW:
                assert stream is not None
                self.streams[stream].remove(int(about[0]))
            case Do.LOSE_MEDIA | Do.END_STREAMS | Do.LEAVE_MEDIA:
                self.streams.clear()
            case Do.SEND_ON:
                self.streams.clear()
                self.lobby.clear()
                self.elsewhere = True

    def _put_out(self, who: int) -> None:
        del self.people[who]
        for stream in [stream for stream in self.streams if stream[0] == who]:
            del self.streams[stream]
        for viewers in self.streams.values():
            viewers.discard(who)


INVARIANTS: dict[str, Callable[[World], bool]] = {
    "empty exactly while it is open and nobody is in it": lambda world: (
        (world.model.state == "empty") == (world.open and not world.people)
    ),
    "waiting exactly while it is open, somebody is in it, and nothing is published": lambda world: (
        (world.model.state == "waiting") == (world.open and bool(world.people) and not world.streams)
    ),
    "broadcasting exactly while it is open and at least one stream is published": lambda world: (
        (world.model.state == "broadcasting") == (world.open and bool(world.streams))
    ),
    "nobody publishes or views who is not in the room": lambda world: (
        {*world.presenters(), *(viewer for viewers in world.streams.values() for viewer in viewers)}
        <= world.people.keys()
    ),
    "never more people, presenters or views than the bounds allow": lambda world: (
        len(world.people) <= MAX_PEOPLE
        and len(world.presenters()) <= MAX_PRESENTERS
        and all(world.views_of(who) <= MAX_VIEWS for who in world.people)
    ),
    "nobody is in the room and waits in its lobby": lambda world: not world.lobby & world.people.keys(),
    "nobody waits in the lobby of a room that is closing or closed, nor more people than may": lambda world: (
        len(world.lobby) <= (MAX_IN_LOBBY if world.open else 0)
    ),
    "no stream in a room that is closing or closed": lambda world: world.open or not world.streams,
    "a closed room holds nothing, unless its deadline was over, or it goes on elsewhere": lambda world: (
        world.model.state != "closed" or world.overdue or world.elsewhere or world.releasing == 0
    ),
}


def lived(course: list[Action], *, notice: bool) -> Iterator[World]:
    """The world after each event of the course."""
    world = World(notice)
    yield world
    for action in course:
        world.act(action)
        yield world


@pytest.mark.parametrize("holds", INVARIANTS.values(), ids=INVARIANTS)
@given(course=st.lists(actions, max_size=50), notice=st.booleans())
def test_the_invariant_holds_whatever_happens(
    holds: Callable[[World], bool], course: list[Action], notice: bool
) -> None:
    assert all(holds(world) for world in lived(course, notice=notice))


@given(course=st.lists(actions, max_size=50), notice=st.booleans())
def test_a_closing_room_takes_nobody_in_and_never_opens_again(course: list[Action], notice: bool) -> None:
    states = [world.model.state for world in lived(course, notice=notice)]
    order = [(*OPEN, "closing", "closed").index(state) for state in states]
    late = [index for index in order if index >= len(OPEN)]
    assert late == sorted(late)
    assert order[-len(late) :] == late or not late
