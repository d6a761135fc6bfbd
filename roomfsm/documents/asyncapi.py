"""The protocol as an AsyncAPI 3.0.0 document, generated from the messages and the tables."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import msgspec

from roomfsm.documents.examples import examples_of
from roomfsm.documents.schemas import Json, schemas
from roomfsm.lifecycle.describe import CARRIED_OUT_BY, MACHINES, changes, describe, describe_legality
from roomfsm.lifecycle.table import Audience, Table
from roomfsm.protocol import SUBPROTOCOL
from roomfsm.protocol.client import CLIENT_MESSAGES, ClientMessage, message_type
from roomfsm.protocol.errors import CloseCode, ErrorCode
from roomfsm.protocol.replies import OF_ANY_MESSAGE, OUTSIDE_THE_TABLES, REPLIES, UNASKED
from roomfsm.protocol.server import SERVER_MESSAGES, Error, ServerMessage

type Message = type[ClientMessage] | type[ServerMessage]

_DESCRIPTION = """\
Signalling of roomfsm: rooms in which people present streams, view them and chat, over one websocket.

This document describes the server, so it *receives* the messages of clients and *sends* its own. Every message is
a text frame with one JSON object, whose `type` says which message it is. The reply repeats a client's `ref`.
The server reads messages strictly: an unknown field is an error. The server's messages may get new fields, so
clients must ignore fields that they do not know. Fields with their default value may be missing.

The state machines in `x-roomfsm` say when each message is legal and what follows from it. The extensions of
each message are generated from them:

"""

EXTENSIONS = """\
- `x-roomfsm` (root): `version`; `machines` (of `room`, `stream`, `view`, `session`, `server`: states, triggers,
  transitions with guards and effects); `carriedOutBy` (messages that fire triggers of other names, too);
  `legality` (which messages are allowed, and which machine refuses the others, for each state of the session
  and of its room, which is null in no room);
  `audiences` (to whom a message goes); `closeCodes`; `control` (how an administrator closes a room).
- on a client's message: `x-roomfsm-reply` (the `type` of the reply; null if there is none), `x-roomfsm-legal`
  (the states in which it is legal), `x-roomfsm-refused` (the others, with the machine and state that refuse it),
  `x-roomfsm-changes` (the transitions that it triggers, with guards, effects, and the messages that are sent to
  whom), `x-roomfsm-errors` (every code of the `error` that it may get).
- on a server's message: `x-roomfsm-told-by` (the effects that send it, and to whom; `effect` is null if a
  machine's change of state sends it), `x-roomfsm-replies-to` (the messages that it answers),
  `x-roomfsm-unasked` (when it comes for another reason).
- on the schema ErrorCode: `x-roomfsm-explanations`."""
"""The text that describes the `x-roomfsm…` members of the document."""

_PATTERNS = "Patterns are those of ECMA-262 with the `u` flag."

_CLOSE = """\
Closes a room, like an administrator. Its people get `closing`, and its endpoints are released. The header
`Authorization: Bearer TOKEN` has the token of `--inspect-token`, or the one that the server printed at its start.
The JSON body `{"reason": "…"}` is optional. The status is 202, or
401 without the token, or 404 if there is no such room."""

_CHANNEL = "#/channels/signalling"


def document(machines: Mapping[str, Table[Any]] = MACHINES) -> Json:
    """The AsyncAPI document as JSON-ready data."""
    messages: tuple[Message, ...] = (*CLIENT_MESSAGES, *SERVER_MESSAGES)
    described = {machine: describe(table) for machine, table in machines.items()}
    legality = describe_legality()
    return {
        "asyncapi": "3.0.0",
        "id": "urn:roomfsm:v1",
        "info": {
            "title": f"Signalling of roomfsm ({SUBPROTOCOL})",
            "version": "1.0.0",
            "description": f"{_DESCRIPTION}\n{EXTENSIONS}\n\n{_PATTERNS}",
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
            "tags": [{"name": "rooms"}, {"name": "webrtc"}],
        },
        "defaultContentType": "application/json",
        "servers": {
            "local": {
                "host": "localhost:8080",
                "protocol": "ws",
                "description": "What `roomfsm` starts: signalling is at ws://localhost:8080/ws",
            }
        },
        "channels": {
            "signalling": {
                "address": "/ws",
                "title": "Signalling",
                "description": f"One websocket a browser, of the subprotocol `{SUBPROTOCOL}`.",
                "servers": [{"$ref": "#/servers/local"}],
                "messages": {name(m): {"$ref": f"#/components/messages/{name(m)}"} for m in messages},
                "bindings": {"ws": _websocket()},
            }
        },
        "operations": {
            **{f"receive{name(message)}": _receive(message) for message in CLIENT_MESSAGES},
            **{f"send{name(message)}": _send(message) for message in SERVER_MESSAGES},
        },
        "components": {
            "schemas": schemas(machines),
            "messages": {
                **{name(m): _message(m) | _client_extensions(m, described, legality) for m in CLIENT_MESSAGES},
                **{name(m): _message(m) | _server_extensions(m, described) for m in SERVER_MESSAGES},
            },
            "correlationIds": {
                "ref": {
                    "description": "The sender's own mark on a message, which the reply repeats.",
                    "location": "$message.payload#/ref",
                }
            },
        },
        "x-roomfsm": {
            "version": 1,
            "machines": described,
            "carriedOutBy": {
                message: [{"machine": machine, "trigger": trigger} for machine, trigger in triggers]
                for message, triggers in CARRIED_OUT_BY.items()
            },
            "legality": legality,
            "audiences": {audience.value: audience.explanation for audience in Audience},
            "closeCodes": [
                {"code": code.value, "name": code.name.lower(), "explanation": code.explanation}
                for code in CloseCode
            ],
            "control": {
                "close": {"method": "POST", "path": "/inspect/api/rooms/{room}/close", "description": _CLOSE}
            },
        },
    }


def name(message: Message) -> str:
    """The key of a message among the components.

    It is the class's name, because the same `type` may exist in both directions.
    """
    return message.__name__


def _errors_of(message: type[ClientMessage], changed: list[Json]) -> tuple[ErrorCode, ...]:
    """All codes of the `error` that the message may get, in the order of `ErrorCode`."""
    codes: set[str] = {*OF_ANY_MESSAGE, *OUTSIDE_THE_TABLES.get(message, ())}
    for change in changed:
        codes |= {guard["code"] for guard in change["guards"] if guard["code"] is not None}
        codes |= {code for effect in change["effects"] for code in effect["mayFail"]}
    return tuple(code for code in ErrorCode if code in codes)


def _websocket() -> Json:
    subprotocol = {
        "type": "string",
        "const": SUBPROTOCOL,
        "description": "What the client offers and the server chooses (RFC 6455 section 1.9).",
    }
    return {
        "method": "GET",
        "headers": {
            "type": "object",
            "properties": {"Sec-WebSocket-Protocol": subprotocol},
            "required": ["Sec-WebSocket-Protocol"],
        },
        "bindingVersion": "0.1.0",
    }


def _receive(message: type[ClientMessage]) -> Json:
    reply = REPLIES[message]
    answers: tuple[Message, ...] = (Error,) if reply is None else (reply, Error)
    return {
        "action": "receive",
        "channel": {"$ref": _CHANNEL},
        "summary": _summary(message),
        "messages": [_in_channel(message)],
        "reply": {"channel": {"$ref": _CHANNEL}, "messages": [_in_channel(answer) for answer in answers]},
    }


def _send(message: type[ServerMessage]) -> Json:
    return {
        "action": "send",
        "channel": {"$ref": _CHANNEL},
        "summary": _summary(message),
        "messages": [_in_channel(message)],
    }


def _in_channel(message: Message) -> Json:
    return {"$ref": f"{_CHANNEL}/messages/{name(message)}"}


def _message(message: Message) -> Json:
    described: Json = {
        "name": message_type(message),
        "title": name(message),
        "summary": _summary(message),
        "description": inspect.getdoc(message),
        "contentType": "application/json",
        "payload": {"$ref": f"#/components/schemas/{name(message)}"},
        "examples": [{"payload": example} for example in examples_of(message)],
    }
    if "ref" in (field.name for field in msgspec.structs.fields(message)):
        described["correlationId"] = {"$ref": "#/components/correlationIds/ref"}
    return described


def _summary(message: Message) -> str:
    """The first sentence of the class's docstring."""
    text = " ".join((inspect.getdoc(message) or "").partition("\n\n")[0].split())
    return text.partition(". ")[0].rstrip(".") + "."


def _client_extensions(message: type[ClientMessage], machines: Mapping[str, Json], legality: list[Json]) -> Json:
    asked = message_type(message)
    reply = REPLIES[message]
    pairs = [({"session": pair["session"], "room": pair["room"]}, pair) for pair in legality]
    changed = changes(asked, machines)
    return {
        "x-roomfsm-reply": None if reply is None else message_type(reply),
        "x-roomfsm-legal": [states for states, pair in pairs if asked in pair["allowed"]],
        "x-roomfsm-refused": [
            {**states, **pair["refused"][asked]} for states, pair in pairs if asked in pair["refused"]
        ],
        "x-roomfsm-changes": changed,
        "x-roomfsm-errors": [code.value for code in _errors_of(message, changed)],
    }


def _server_extensions(message: type[ServerMessage], machines: Mapping[str, Json]) -> Json:
    told = message_type(message)
    tells = [
        {"machine": machine, "effect": effect, "to": tell["to"], "when": tell["when"]}
        for machine, described in machines.items()
        for effect, tell in (
            *((effect["name"], tell) for effect in described["effects"] for tell in effect["tells"]),
            *((None, tell) for tell in described["movesTell"]),
        )
        if tell["message"] == told
    ]
    return {
        "x-roomfsm-told-by": tells,
        "x-roomfsm-replies-to": [message_type(asked) for asked, reply in REPLIES.items() if reply is message],
        "x-roomfsm-unasked": UNASKED.get(message),
    }
