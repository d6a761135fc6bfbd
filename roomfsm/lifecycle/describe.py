"""The machines as plain data, from which diagrams, the specification and the documents are generated."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import Any

from roomfsm.lifecycle.administrator import ADMINISTRATOR
from roomfsm.lifecycle.door import DOOR
from roomfsm.lifecycle.file import FILE
from roomfsm.lifecycle.legality import MESSAGE_TYPES, allowed, refusing
from roomfsm.lifecycle.media_server import MEDIA_SERVER
from roomfsm.lifecycle.node import NODE
from roomfsm.lifecycle.relay import RELAY
from roomfsm.lifecycle.room import ROOM
from roomfsm.lifecycle.seat import SEAT
from roomfsm.lifecycle.server import SERVER
from roomfsm.lifecycle.session import SESSION
from roomfsm.lifecycle.sound import SOUND
from roomfsm.lifecycle.stream import STREAM, VIEW
from roomfsm.lifecycle.table import Table, Tell

_TABLES: tuple[Table[Any], ...] = (
    *(ROOM, SEAT, DOOR, SOUND, STREAM, VIEW, RELAY, FILE, SESSION, ADMINISTRATOR, MEDIA_SERVER, SERVER, NODE),
)
MACHINES: dict[str, Table[Any]] = {table.name: table for table in _TABLES}

type Json = dict[str, Any]

CARRIED_OUT_BY: dict[str, tuple[tuple[str, str], ...]] = {
    "join": (("server", "open_room"),),
    "switch": (("server", "open_room"), ("room", "join"), ("room", "leave")),
    "leave": (("seat", "departed"),),
    "media": (("sound", "microphone_on"),),
    "mute": (("sound", "muted"), ("sound", "held")),
    "unmute": (("sound", "unmuted"),),
    "admit": (("seat", "admitted"), ("session", "admitted")),
    "deny": (("seat", "denied"), ("session", "dismissed")),
    "configure": (("seat", "admitted"), ("session", "admitted")),
    "kick": (("seat", "kicked"), ("room", "leave")),
    "ban": (("seat", "banned"), ("room", "leave")),
    "setRole": (("room", "revoked"),),
    "closeRoom": (("room", "close"),),
    "resume": (("session", "reattach"), ("room", "back"), ("session", "resumed")),
}
"""Messages that also fire triggers with other names. For example, a switch is a join in one room and a leave in
another. A message that enters a room asks the server's machine as well, because the room may not be open yet."""


def describe(table: Table[Any]) -> Json:
    """One machine as JSON-ready data.

    - `states`: name, meaning, told (the state's name in messages), owns (the resources whose scopes are entered
      and left with the state, or null), final, illegal (the client messages that the state refuses);
    - `triggers`: name, message (whether it is a client's), cause (of the others);
    - `transitions`: one for each row, source and trigger, in the order in which they are tried: trigger, from, to,
      guards (name, and the code of the refusal or null), effects (their names);
    - `effects`: name, meaning, tells (message, to, when), mayFail (codes);
    - `movesTell`: the messages that go out after the effects whenever the state that clients see has changed.
    """
    effects = dict.fromkeys(effect for row in table.rows for effect in row.effects)
    return {
        "name": table.name,
        "meaning": table.meaning,
        "initial": table.initial,
        "states": [
            {
                "name": state.name,
                "meaning": state.meaning,
                "told": state.told,
                "owns": state.owned or None,
                "final": state.final,
                "illegal": list(illegal(table, state.name)),
            }
            for state in table.states
        ],
        "triggers": [
            {"name": trigger, "message": trigger in MESSAGE_TYPES, "cause": table.causes.get(trigger)}
            for trigger in table.triggers
        ],
        "transitions": [
            {
                "trigger": trigger,
                "from": source,
                "to": row.dest_from(source),
                "guards": [{"name": guard.name, "code": guard.code} for guard in row.guards],
                "effects": list(row.effects),
            }
            for row in table.rows
            for source, trigger in product(row.sources, row.triggers)
        ],
        "effects": [
            {
                "name": effect,
                "meaning": effect.meaning,
                "tells": [_tell(tell) for tell in effect.tells],
                "mayFail": list(effect.may_fail),
            }
            for effect in effects
        ],
        "movesTell": [_tell(tell) for tell in table.moves_tell],
    }


def changes(message: str, machines: Mapping[str, Json]) -> list[Json]:
    """Every transition that a client's message triggers, in any of these machines, as `describe` describes them.

    Each has the fields of a transition in `describe`, and beside them `machine`, the `effects` in full instead of
    their names, and `movesTell`: the messages that are sent if the state that clients see changes.
    """
    fires = {*((name, message) for name in machines), *CARRIED_OUT_BY.get(message, ())}
    found: list[Json] = []
    for name, described in machines.items():
        effects = {effect["name"]: effect for effect in described["effects"]}
        told = {state["name"]: state["told"] for state in described["states"]}
        found += [
            {
                "machine": name,
                **transition,
                "effects": [effects[effect] for effect in transition["effects"]],
                "movesTell": described["movesTell"] if told[transition["from"]] != told[transition["to"]] else [],
            }
            for transition in described["transitions"]
            if (name, transition["trigger"]) in fires
        ]
    return found


def messages_of(table: Table[Any]) -> tuple[str, ...]:
    """The client messages for which the machine has rows."""
    return tuple(message for message in MESSAGE_TYPES if message in table.triggers)


def illegal(table: Table[Any], state: str) -> tuple[str, ...]:
    """The client messages for which the machine has rows, but not in `state`.

    There are none if the state has no row for any message, because then no message reaches the machine.
    """
    without = tuple(message for message in messages_of(table) if not table.rows_of(state, message))
    return () if without == messages_of(table) else without


def describe_legality() -> list[Json]:
    """What is allowed in each pair of a session's state and its room's (null: no room), and who refuses the rest.

    It has only pairs in which a client can send: in all other states the session has no connection.
    """
    pairs: list[tuple[str, str | None]] = [("connected", None), ("knocking", None)]
    pairs += [("joined", state.name) for state in ROOM.states if ROOM.rows_of(state.name, "away")]
    return [
        {
            "session": session,
            "room": room,
            "allowed": list(allowed(session, room)),
            "refused": {
                message: {"machine": by[0], "state": by[1]}
                for message in MESSAGE_TYPES
                if (by := refusing(message, session, room)) is not None
            },
        }
        for session, room in pairs
    ]


def _tell(tell: Tell) -> Json:
    return {"message": tell.message, "to": tell.to, "when": tell.when}
