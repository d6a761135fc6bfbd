"""The messages as TypeScript types, with which the compiler checks the page."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from roomfsm.documents.schemas import Json, resolved, schemas
from roomfsm.lifecycle.describe import MACHINES
from roomfsm.protocol.client import CLIENT_MESSAGES, message_type
from roomfsm.protocol.replies import REPLIES
from roomfsm.protocol.server import SERVER_MESSAGES

_HEAD = """\
// The messages of roomfsm.v1 as types, for the compiler only: no browser loads this file.
// Made from roomfsm/protocol and roomfsm/lifecycle by `uv run python -m roomfsm.documents`.
"""

_CALLED = {"Error": "ErrorMessage", "RoomState": "RoomStateChanged"}
"""The types that have another name than their class: `Error` is JavaScript's, and a room's state is no message."""

_LONG = 90
"""A union with more characters than this has a line for each member."""


def typescript() -> str:
    """The text of `client/wire/messages.d.ts`."""
    components = schemas(MACHINES)
    client = [message.__name__ for message in CLIENT_MESSAGES]
    server = [message.__name__ for message in SERVER_MESSAGES]
    parts = [
        name
        for name, schema in components.items()
        if name not in {*client, *server} and (schema.get("type") == "object" or _has_own_type(schema))
    ]
    return "\n".join(
        (
            _HEAD,
            *(_declaration(name, components) for name in parts),
            "// What a client sends.\n",
            *(_declaration(name, components) for name in client),
            _union("ClientMessage", client),
            "// What the server sends. Optional fields are left out where they have their default.\n",
            *(_declaration(name, components) for name in server),
            _union("ServerMessage", server),
            _replies(),
        )
    )


def _has_own_type(schema: Json) -> bool:
    """Whether the schema says more to the compiler than `string` or `number` would."""
    return "enum" in schema or "anyOf" in schema


def _declaration(name: str, components: Mapping[str, Json]) -> str:
    schema = components[name]
    head = f"{_comment(schema.get('description', ''))}export type {_called(name)} ="
    if schema.get("type") != "object":
        values = _type(schema, components)
        if len(values) > _LONG:
            values = "\n  | " + values.replace(" | ", "\n  | ")
        return f"{head} {values};\n".replace("= \n", "=\n")
    required = schema["required"]
    lines = [
        f"{_comment(_meaning(member, components), '  ')}"
        f"  {field}{'' if field in required else '?'}: {_type(member, components)};"
        for field, member in schema["properties"].items()
    ]
    return "\n".join((f"{head} {{", *lines, "};\n"))


def _type(schema: Json, components: Mapping[str, Json]) -> str:
    """The type of a value that is present. `null` means that it is absent."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        target = components[name]
        own = target.get("type") == "object" or _has_own_type(target)
        return _called(name) if own else _type(target, components)
    if "const" in schema:
        return _literal(schema["const"])
    if "enum" in schema:
        return " | ".join(_literal(value) for value in schema["enum"])
    for several in ("anyOf", "allOf"):
        if several in schema:
            types = [_type(part, components) for part in schema[several] if part.get("type") != "null"]
            return " | ".join(dict.fromkeys(types))
    if schema["type"] == "array":
        return f"{_type(schema['items'], components)}[]"
    return "number" if schema["type"] == "integer" else str(schema["type"])


def _comment(text: str, indent: str = "") -> str:
    lines = text.splitlines()
    if not lines:
        return ""
    if len(lines) == 1:
        return f"{indent}/** {lines[0]} */\n"
    return "\n".join((f"{indent}/**", *(f"{indent} * {line}".rstrip() for line in lines), f"{indent} */\n"))


def _meaning(schema: Json, components: Mapping[str, Json]) -> str:
    """The comment for a field, which says what its type does not say."""
    if "const" in schema:
        return ""
    if "description" in schema:
        return str(schema["description"])
    target = resolved(schema, components)
    own = target.get("type") == "object" or _has_own_type(target)
    return "" if own else str(target.get("description", ""))


def _union(name: str, members: Iterable[str]) -> str:
    return "\n".join((f"export type {name} =", *(f"  | {_called(member)}" for member in members))) + ";\n"


def _replies() -> str:
    lines = [
        f"  {message_type(message)}: {_called(reply.__name__)};"
        for message, reply in REPLIES.items()
        if reply is not None
    ]
    head = "/** The reply that a message gets when it is not refused. */\nexport interface Replies {"
    return "\n".join((head, *lines, "}\n"))


def _called(name: str) -> str:
    return _CALLED.get(name, name)


def _literal(value: str) -> str:
    return json.dumps(value).replace('"', "'")
