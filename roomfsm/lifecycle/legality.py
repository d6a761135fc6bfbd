"""Which client messages are legal now, according to the tables of the session and the room together.

A session's state counts here by the name that clients are told: what is legal for one who comes back is what is
legal once the session is joined, because what the browser sends until then waits.
"""

from __future__ import annotations

from functools import cache

from roomfsm.lifecycle.room import ROOM, room_trigger
from roomfsm.lifecycle.session import SESSION
from roomfsm.protocol.client import CLIENT_MESSAGES, message_type
from roomfsm.protocol.errors import IllegalInState, Refusal

MESSAGE_TYPES: tuple[str, ...] = tuple(message_type(message) for message in CLIENT_MESSAGES)


@cache
def allowed(session_state: str, room_state: str | None) -> tuple[str, ...]:
    """The message types that are legal in these states, guards aside. Outside rooms `room_state` is None."""
    return tuple(t for t in MESSAGE_TYPES if refusing(t, session_state, room_state) is None)


def judge(message: str, session_state: str, room_state: str | None) -> None:
    """Raise `IllegalInState`, naming the machine that refuses, if the message is not legal in these states."""
    by = refusing(message, session_state, room_state)
    if by is not None:
        machine, state = by
        raise IllegalInState(message, machine, state, allowed(session_state, room_state))


def for_client(refusal: Refusal, message: str, session_state: str, room_state: str | None) -> Refusal:
    """A table's refusal in the form that the client gets: it names the client's message, and what is legal now.

    The room's state matters only while the session is in the room, which it may have left since the client asked.
    """
    if not isinstance(refusal, IllegalInState):
        return refusal
    in_room = refusing("leave", session_state, None) is None
    now = allowed(session_state, room_state if in_room else None)
    return IllegalInState(message, refusal.machine, refusal.state, now)


@cache
def refusing(message: str, session_state: str, room_state: str | None) -> tuple[str, str] | None:
    """The machine that refuses the message in these states, and its state as the protocol names it; else None."""
    told = SESSION.state(session_state).told
    if not SESSION.rows_of(told, message):
        return SESSION.name, told
    trigger = room_trigger(message)
    if room_state is None or trigger not in ROOM.triggers or ROOM.rows_of(room_state, trigger):
        return None
    return ROOM.name, ROOM.state(room_state).told
