"""`python -m tests.conformance.broken_server FAULT [option]…`: `roomfsm serve` with one fault in it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import msgspec

import roomfsm.lifecycle.legality
import roomfsm.rooms.effects
import roomfsm.rooms.lobby
import roomfsm.rooms.news
from roomfsm.cli import main
from roomfsm.lifecycle.room import ROOM, RoomEffect
from roomfsm.lifecycle.seat import SEAT
from roomfsm.lifecycle.table import STAYS, Guard, Row, Table
from roomfsm.protocol.client import Ban, Candidate
from roomfsm.protocol.codec import Outgoing
from roomfsm.protocol.errors import CloseCode, ErrorCode
from roomfsm.protocol.reactions import Reaction
from roomfsm.protocol.server import (
    Answer,
    ChatSaid,
    Muted,
    ParticipantChanged,
    ParticipantLeft,
    Pong,
    RoomState,
    StreamStarted,
)
from roomfsm.rooms.chat import ChatHistory
from roomfsm.rooms.effects import Effects
from roomfsm.rooms.events import Ask
from roomfsm.rooms.legs import Stream, View
from roomfsm.rooms.lobby import Lobby
from roomfsm.rooms.moderation import Moderation
from roomfsm.rooms.news import tell
from roomfsm.rooms.participant import Participant
from roomfsm.rooms.reactions import Reactions
from roomfsm.rooms.room import Room
from roomfsm.signaling.connection import Connection
from roomfsm.signaling.registry import Registry

FAULTS: dict[str, Callable[[], None]] = {}


def fault(function: Callable[[], None]) -> Callable[[], None]:
    FAULTS[function.__name__] = function
    return function


def put(owner: object, name: str, wrong: Callable[[Any], Any]) -> None:
    """Replace the attribute of `owner` with that name by what `wrong` makes of it."""
    setattr(owner, name, wrong(getattr(owner, name)))


def rows(change: Callable[[Row[Any]], Row[Any]], *more: Row[Any], table: Table[Any] = ROOM) -> None:
    """Replace each row of the table by what `change` makes of it, and add more rows."""
    for cached in ("_index", "_machine", "triggers"):
        vars(table).pop(cached, None)
    object.__setattr__(table, "rows", (*map(change, table.rows), *more))


def guard(code: ErrorCode, change: Callable[[Guard[Any]], Guard[Any] | None], table: Table[Any] = ROOM) -> None:
    """Replace the guards with that code by what `change` makes of them, or drop them."""

    def changed(row: Row[Any]) -> Row[Any]:
        found = (change(old) if old.code is code else old for old in row.guards)
        return replace(row, guards=tuple(new for new in found if new is not None))

    rows(changed, table=table)


def telling(wrong: Callable[..., None]) -> None:
    """Make the room send other messages to its people, with a function that is called like `tell`."""
    put(roomfsm.rooms.news, "tell", lambda _: wrong)


@fault
def a_picture_that_is_always_sent() -> None:
    put(View, "adjust", lambda _: lambda view, size: view.fire("picture_off" if size == "none" else "picture_on"))


@fault
def a_row_removed() -> None:
    rows(lambda row: replace(row, sources=("broadcasting",)) if row.triggers == ("chat",) else row)


@fault
def a_row_added() -> None:
    rows(lambda row: row, Row(("chat",), ("closing",), STAYS, (), (RoomEffect.SAY,)))


@fault
def a_guard_removed() -> None:
    guard(ErrorCode.OWN_STREAM, lambda old: None)


@fault
def a_room_without_a_budget_of_entries() -> None:
    def unbounded(row: Row[Any]) -> Row[Any]:
        if "join" not in row.triggers:
            return row
        return replace(row, guards=tuple(old for old in row.guards if old.code is not ErrorCode.RATE_LIMITED))

    rows(unbounded)


@fault
def a_bound_off_by_one() -> None:
    guard(ErrorCode.ROOM_FULL, lambda old: replace(old, holds=lambda facts: facts.people <= facts.max_people + 1))


@fault
def another_error_code() -> None:
    guard(ErrorCode.NOT_YOUR_STREAM, lambda old: replace(old, code=ErrorCode.OWN_STREAM))


@fault
def allowed_in_another_order() -> None:
    def turned(allowed: Callable[..., tuple[str, ...]]) -> Callable[..., tuple[str, ...]]:
        return lambda session, room: tuple(reversed(allowed(session, room)))

    put(roomfsm.lifecycle.legality, "allowed", turned)


@fault
def a_message_lost() -> None:
    def lossy(people: Iterable[Participant], message: Any, replied: Any = None, **how: Any) -> None:
        if isinstance(message, ParticipantLeft):
            people = [person for person in people if person is replied]
        tell(people, message, replied, **how)

    telling(lossy)


@fault
def room_state_before_joined() -> None:
    def early(snapshot: Callable[..., None]) -> Callable[..., None]:
        def wrong(effects: Effects, participant: Participant, ref: Any, resumed: bool = False) -> None:
            room = effects._room
            if not resumed and len(room.people) == 1:
                participant.send(RoomState(state=room.told_state, participants=1, streams=0))
            snapshot(effects, participant, ref, resumed)

        return wrong

    put(Effects, "_describe_room_to", early)
    put(Effects, "tell_state", lambda told: lambda effects, step: step.trigger == "join" or told(effects, step))


@fault
def room_state_before_stream_started() -> None:
    held: list[Callable[[], None]] = []

    def holding(people: Iterable[Participant], message: Any, replied: Any = None, **how: Any) -> None:
        if isinstance(message, StreamStarted):
            held.append(lambda: tell(people, message, replied, **how))
        else:
            tell(people, message, replied, **how)

    def late(handle: Callable[..., None]) -> Callable[..., None]:
        def wrong(room: Room, event: Any) -> None:
            handle(room, event)
            while held:
                held.pop()()

        return wrong

    telling(holding)
    put(Room, "_take_turn", late)


@fault
def the_answer_to_everybody() -> None:
    def shouted(send: Callable[..., None]) -> Callable[..., None]:
        def wrong(participant: Participant, message: Any) -> None:
            if isinstance(message, Answer):
                room: Any = participant.seat.room
                for other in room.people.values():
                    send(other, message)
            else:
                send(participant, message)

        return wrong

    put(Participant, "send", shouted)


@fault
def chat_heard_in_other_rooms() -> None:
    rooms: list[Room] = []

    def known(run: Callable[..., Any]) -> Callable[..., Any]:
        async def wrong(room: Room, on_over: Callable[[], None]) -> None:
            rooms.append(room)
            await run(room, on_over)

        return wrong

    def leaky(people: Iterable[Participant], message: Any, replied: Any = None, **how: Any) -> None:
        tell(people, message, replied, **how)
        if isinstance(message, ChatSaid):
            for room in rooms:
                tell([person for person in room.people.values() if person not in people], message)

    put(Room, "run", known)
    telling(leaky)


@fault
def no_ref_in_a_reply() -> None:
    def forgetful(people: Iterable[Participant], message: Any, replied: Any = None, **how: Any) -> None:
        if isinstance(message, ParticipantChanged):
            how.pop("ref", None)
        tell(people, message, replied, **how)

    telling(forgetful)


@fault
def a_reply_to_candidates() -> None:
    def polite(take: Callable[..., None]) -> Callable[..., None]:
        def wrong(effects: Effects, event: Ask) -> None:
            take(effects, event)
            room: Any = event.seat.room
            room.people[event.seat.id].send(Pong(ref=event.message.ref))

        return wrong

    put(Effects, "_pass_candidate", polite)


@fault
def late_candidates_are_swallowed() -> None:
    def silent(refuse: Callable[..., None]) -> Callable[..., None]:
        def wrong(room: Room, event: Any, refusal: Any) -> None:
            if not (isinstance(event, Ask) and isinstance(event.message, Candidate)):
                refuse(room, event, refusal)

        return wrong

    put(Room, "refuse", silent)


@fault
def resume_forgets() -> None:
    put(Registry, "resumable", lambda right: lambda registry, token: None)


@fault
def another_close_code() -> None:
    def changed(close: Callable[..., None]) -> Callable[..., None]:
        def wrong(connection: Connection, code: CloseCode) -> None:
            close(connection, CloseCode.NORMAL if code is CloseCode.RESUMED_ELSEWHERE else code)

        return wrong

    put(Connection, "close_soon", changed)


@fault
def a_field_of_another_type() -> None:
    def changed(add: Callable[..., Any]) -> Callable[..., Any]:
        def wrong(history: ChatHistory, *about: Any) -> Any:
            line = add(history, *about)
            return msgspec.structs.replace(line, at=str(line.at))

        return wrong

    put(ChatHistory, "add", changed)


@fault
def a_stream_is_never_live() -> None:
    put(Stream, "_flow_of", lambda right: lambda stream, event: None)


@fault
def a_private_line_for_everybody() -> None:
    def loose(people: Iterable[Participant], message: Any, replied: Any = None, **how: Any) -> None:
        room: Any = next(iter(people)).seat.room
        tell(room.people.values(), message, replied, **how)

    put(roomfsm.rooms.effects, "tell", lambda _: loose)


@fault
def a_private_line_that_is_kept() -> None:
    def kept(in_private: Callable[..., Any]) -> Callable[..., Any]:
        def wrong(history: ChatHistory, *about: Any) -> Any:
            line = in_private(history, *about)
            history._lines.append((line, 1))
            return line

        return wrong

    put(ChatHistory, "in_private", kept)


@fault
def everybody_deletes_every_line() -> None:
    guard(ErrorCode.NOT_PERMITTED, lambda old: None if "line" in old.name else old, SEAT)


@fault
def a_line_that_is_deleted_is_told_to_newcomers() -> None:
    put(ChatHistory, "delete", lambda _: lambda history, seq: None)


@fault
def a_held_person_is_heard() -> None:
    guard(ErrorCode.MUTED, lambda old: None, SEAT)


@fault
def who_is_muted_is_not_asked() -> None:
    def silent(send: Callable[..., None]) -> Callable[..., None]:
        def wrong(participant: Participant, message: Any) -> None:
            if not isinstance(message, Muted):
                send(participant, message)

        return wrong

    put(Participant, "send", silent)


@fault
def a_reaction_of_somebody_else() -> None:
    def wrong(note: Callable[..., None]) -> Callable[..., None]:
        def of_the_first(reactions: Reactions, person: Participant, reaction: Reaction) -> None:
            note(reactions, next(iter(reactions._people.values())), reaction)

        return of_the_first

    put(Reactions, "note", wrong)


@fault
def a_viewer_who_can_kick() -> None:
    rows(lambda row: replace(row, guards=row.guards[1:]) if row.triggers == ("kick",) else row, table=SEAT)


@fault
def everybody_admits() -> None:
    rows(lambda row: replace(row, guards=row.guards[1:]) if row.triggers == ("admit",) else row, table=SEAT)


@fault
def a_lobby_that_lets_through() -> None:
    put(Moderation, "must_knock", lambda _: lambda moderation, brought: False)


@fault
def a_lobby_that_everybody_sees() -> None:
    def open_to_all(tell_moderators: Callable[..., None]) -> Callable[..., None]:
        def wrong(lobby: Lobby, moderators: Iterable[Participant], *reply: Any) -> None:
            room: Any = next(iter(moderators)).seat.room
            tell_moderators(lobby, room.people.values(), *reply)

        return wrong

    put(Lobby, "tell", open_to_all)


@fault
def a_denial_that_nobody_is_told() -> None:
    put(roomfsm.rooms.lobby, "error_of", lambda _: lambda *about: Pong())


@fault
def a_room_that_is_heard_in_its_lobby() -> None:
    def heard(knock: Callable[..., None]) -> Callable[..., None]:
        def wrong(lobby: Lobby, event: Any) -> None:
            knock(lobby, event)
            event.seat.tell(Outgoing(RoomState(state="waiting", participants=2, streams=0), is_reply=True))

        return wrong

    put(Lobby, "knock", heard)


@fault
def a_ban_that_ends_early() -> None:
    def shorter(ban: Callable[..., None]) -> Callable[..., None]:
        def wrong(moderation: Moderation, sender: Any, message: Ban) -> None:
            ban(moderation, sender, msgspec.structs.replace(message, seconds=(message.seconds or 60) / 4))

        return wrong

    put(Moderation, "_ban", shorter)


if __name__ == "__main__":
    FAULTS[sys.argv[1]]()
    main(["serve", *sys.argv[2:]])
