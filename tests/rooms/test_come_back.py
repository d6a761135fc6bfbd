"""A room that comes back is the room that it was, whatever happened in it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

from roomfsm.access.credentials import UNASKED
from roomfsm.access.policy import Policy
from roomfsm.kurento import MediaType
from roomfsm.protocol.client import (
    Adjust,
    Admit,
    Ban,
    Chat,
    ClearChat,
    Configure,
    DeleteLine,
    Deny,
    EndStream,
    Kick,
    Lock,
    LowerHand,
    Media,
    Mute,
    Publish,
    RaiseHand,
    Rename,
    SetRole,
    Unban,
    Unlock,
    Unmute,
    Unpublish,
    Unview,
    View,
)
from roomfsm.protocol.errors import Refusal
from roomfsm.protocol.fields import Size, Source, stream_id
from roomfsm.protocol.roles import Role
from roomfsm.rooms.events import Administer, RoomMessage, SetPolicy
from roomfsm.rooms.room import RoomOver
from roomfsm.rooms.settings import RoomSettings
from roomfsm.store.settings import StoreSettings
from roomfsm.testing import FakeMedia
from tests.examples import examples
from tests.rooms.house import OFFER, settle
from tests.rooms.kept import Kept, KeptPerson, MemoryStore, kept, newcomer

PEOPLE = 4
WIDE = RoomSettings(
    max_people=PEOPLE + 1, chat_history=3, chat_lines=5, linger=1e6, told_rate=1e9, room_told_rate=1e9, max_bans=2
)

person = st.integers(0, PEOPLE - 1)
actions = st.one_of(
    st.tuples(st.sampled_from(["join", "leave", "vanish", "come back", "raise", "lower", "clear"]), person),
    st.tuples(st.just("join"), person, st.sampled_from([Role.VIEWER, Role.PRESENTER, Role.MODERATOR])),
    st.tuples(
        st.sampled_from(["say", "private", "kick", "ban", "unban", "admit", "deny", "unmute"]), person, person
    ),
    st.tuples(st.just("delete"), person, st.integers(1, 8)),
    st.tuples(st.just("rename"), person, st.sampled_from(["Ada", "Аda", "Bob"])),
    st.tuples(st.just("media"), person, st.sampled_from([None, True, False])),
    st.tuples(st.just("mute"), person, person, st.booleans()),
    st.tuples(st.just("role"), person, person, st.sampled_from(list(Role))),
    st.tuples(st.sampled_from(["lock", "unlock"]), person),
    st.tuples(st.just("configure"), person, st.sampled_from(["lobby", "listed", "files", "role"])),
    st.tuples(st.just("policy"), st.sampled_from([Policy(), Policy(locked=True, role=Role.VIEWER)])),
    st.just(("restart",)),
)
camera = st.just(Source.CAMERA)
media_actions = st.one_of(
    st.tuples(st.sampled_from(["join", "leave", "vanish", "come back"]), person),
    st.tuples(st.sampled_from(["publish", "unpublish"]), person, camera | st.just(Source.SCREEN)),
    st.tuples(st.sampled_from(["view", "unview", "view", "end"]), person, person, camera),
    st.tuples(st.just("adjust"), person, person, st.sampled_from([Size.NONE, Size.LARGE])),
    st.tuples(st.just("mute"), person, person, st.booleans()),
    st.just(("flow",)),
    st.just(("restart",)),
)
BROADCAST: list[tuple[Any, ...]] = [
    *(("publish", one, Source.CAMERA) for one in range(2)),
    *(("view", one, other, Source.CAMERA) for one in range(PEOPLE) for other in range(2) if one != other),
    ("flow",),
]
"""Two present, and everybody views them."""
policies = st.sampled_from([Policy(), Policy(lobby=True), Policy(locked=True), Policy(first_moderates=False)])


def message_of(action: tuple[Any, ...], ids: Sequence[str]) -> RoomMessage:
    match action:
        case ("raise", _):
            return RaiseHand()
        case ("lower", _):
            return LowerHand()
        case ("clear", _):
            return ClearChat()
        case ("lock", _):
            return Lock()
        case ("unlock", _):
            return Unlock()
        case ("say", _, number):
            return Chat(text=f"line {number}", reply_to=number or None)
        case ("private", _, other):
            return Chat(text="psst", to=ids[other])
        case ("delete", _, line):
            return DeleteLine(line=line)
        case ("rename", _, name):
            return Rename(name=name)
        case ("media", _, on):
            return Media(microphone=on is not False, camera=bool(on))
        case ("mute", _, other, hold):
            return Mute(participant=ids[other], hold=hold)
        case ("unmute", _, other):
            return Unmute(participant=ids[other])
        case ("kick", _, other):
            return Kick(participant=ids[other])
        case ("ban", _, other):
            return Ban(participant=ids[other], seconds=1000.0)
        case ("unban", _, other):
            return Unban(participant=ids[other])
        case ("publish", _, source):
            return Publish(source=source, sdp=OFFER)
        case ("unpublish", me, source):
            return Unpublish(stream=stream_id(ids[me], source))
        case ("view", _, other, source):
            return View(stream=stream_id(ids[other], source), sdp=OFFER)
        case ("unview", _, other, source):
            return Unview(stream=stream_id(ids[other], source))
        case ("end", _, other, source):
            return EndStream(stream=stream_id(ids[other], source))
        case ("adjust", _, other, size):
            return Adjust(stream=stream_id(ids[other], Source.CAMERA), size=size)
        case ("role", _, other, role):
            return SetRole(participant=ids[other], role=role)
        case ("admit", _, other):
            return Admit(participant=ids[other])
        case ("deny", _, other):
            return Deny(participant=ids[other])
    assert action[0] == "configure"
    rule = action[2]
    rules: dict[str, Any] = {rule: Role.VIEWER if rule == "role" else rule != "listed"}
    return Configure(**rules)


async def act(server: Kept, people: list[KeptPerson], action: tuple[Any, ...]) -> None:
    if action[0] == "policy":
        room = server.directory.find("blue")
        if room is not None:
            with suppress(Refusal, RoomOver):
                await room.request(Administer(SetPolicy(action[1])))
        return
    if action[0] == "flow":
        for endpoint in server.media.open:
            endpoint.flowing = {MediaType.VIDEO}
            endpoint.connects()
            endpoint.flows(True)
        await wait_all_tasks_blocked()
        return
    who = people[action[1]]
    match action:
        case ("join", _, *role):
            if who.seat is None:
                who.brings = replace(UNASKED, role=role[0] if role else None)
                with suppress(Refusal):
                    await who.join("blue")
        case ("leave", _):
            if who.seat is not None:
                await who.leave()
        case ("vanish", _):
            if who.state == "joined":
                await who.vanish()
        case ("come back", _):
            if who.state == "away":
                await who.come_back()
        case _:
            if who.state == "joined":
                await who.say(message_of(action, [one.participant_id for one in people]))
    await wait_all_tasks_blocked()


async def told(server: Kept) -> dict[str, Any]:
    """All that a room tells somebody who enters, and a moderator, and what decides whether somebody else may."""
    room = server.directory.find("blue")
    if room is None:
        return {}
    eve = KeptPerson(server.directory, "Eve", "198.51.100.7")
    eve.brings = replace(UNASKED, role=Role.MODERATOR)
    bans = {(ban.participant, ban.name, ban.until) for ban in room.banned}
    found: dict[str, Any] = {"bans": bans, "locked": room.locked, "policy": room.policy, "own": room.own_policy}
    with suppress(Refusal):
        await eve.join("blue")
        await wait_all_tasks_blocked()
        found |= eve.last("joined")
        for field in ("you", "iceServers"):
            found.pop(field, None)
        found["participants"] = [
            {key: value for key, value in one.items() if key != "away"}
            for one in found["participants"]
            if one["id"] != eve.participant_id
        ]
        # They are told in the order in which they were answered.
        found["streams"].sort(key=lambda stream: stream["id"])
        await eve.leave()
        await wait_all_tasks_blocked()
    found["views"] = {
        (view.key, view.told_state) for stream in room.streams.values() for view in stream.views.values()
    }
    return found


@examples(150)
@given(st.lists(actions, min_size=10, max_size=60), policies, st.sampled_from([3, 1000]))
def test_whatever_happens_a_restart_changes_nothing_that_anybody_is_told(
    course: list[tuple[Any, ...]], policy: Policy, store_events: int
) -> None:
    a_restart_changes_nothing(course, policy, store_events)


@examples(100)
@given(st.lists(media_actions, min_size=10, max_size=40), st.sampled_from([3, 1000]))
def test_whatever_happens_a_restart_ends_no_stream_and_no_view_and_begins_none(
    course: list[tuple[Any, ...]], store_events: int
) -> None:
    a_restart_changes_nothing([*BROADCAST, *course], Policy(role=Role.MODERATOR), store_events)


def a_restart_changes_nothing(course: Sequence[tuple[Any, ...]], policy: Policy, store_events: int) -> None:
    async def main() -> None:
        store, media = MemoryStore(), FakeMedia(event_buffer=1000)
        settings = StoreSettings(data="none", store_events=store_events)
        people: list[KeptPerson] = []
        rest = [("join", number) for number in range(PEOPLE)] + [*course, ("restart",)]
        while rest:
            here = [one for one in people if one.seat is not None]
            async with kept(store, people, rooms=WIDE, policy=policy, settings=settings, media=media) as server:
                if not people:
                    people = [KeptPerson(server.directory, name) for name in ("Ada", "Bob", "Cyd", "Dan")]
                for one in here:
                    await one.restart(server.directory)
                for one in people:
                    one.move_to(server.directory)
                await wait_all_tasks_blocked()
                while (action := rest.pop(0)) != ("restart",):
                    await act(server, people, action)
                # Those who wait in a lobby have no seat that could be kept.
                for one in people:
                    if one.state == "knocking":
                        await one.leave()
                await wait_all_tasks_blocked()
                # Whoever stands in for a moderator may be another one after a first look, but not after a second.
                await told(server)
                before = await told(server)
                open_before = set(media.open)
            async with kept(store, people, rooms=WIDE, policy=policy, settings=settings, media=media) as server:
                for room in server.directory.rooms():
                    await room.until_settled()
                assert await told(server) == before
                assert set(media.open) == open_before
                assert media.missed == [], "it was noted that it had ended"

    trio.run(main, clock=MockClock(autojump_threshold=0))


async def test_people_come_back_to_their_seats_and_a_ban_goes_on(autojump_clock: MockClock) -> None:
    store = MemoryStore()
    async with kept(store, rooms=WIDE) as server:
        ada, bob, cyd = [KeptPerson(server.directory, name, f"192.0.2.{name}") for name in ("Ada", "Bob", "Cyd")]
        for one in (ada, bob, cyd):
            await one.join("blue")
        for message in (
            SetRole(participant=bob.participant_id, role=Role.VIEWER),
            Ban(participant=cyd.participant_id, seconds=100.0),
            Mute(participant=bob.participant_id, hold=True),
        ):
            await ada.say(message)
        await bob.say(RaiseHand())
        await settle()
    async with kept(store, [ada, bob], rooms=WIDE) as server:
        for one in (ada, bob):
            await one.restart(server.directory)
        cyd.move_to(server.directory)
        await bob.come_back()
        await settle()
        back = bob.last("joined")
        assert back["you"] == bob.participant_id
        assert [(one["name"], one["role"], one.get("away", False)) for one in back["participants"]] == [
            ("Ada", "moderator", True),
            ("Bob", "viewer", False),
        ]
        assert (back["participants"][1]["hand"], back["participants"][1]["sound"]) == (1, "held")
        with pytest.raises(Refusal, match="banned"):
            await cyd.join("blue")
        await trio.sleep(101)
        # The clock of bans is that of the world, which goes on while the server is down.
        await ada.leave()
        assert (await newcomer(server.directory, "blue")).state == "joined"
