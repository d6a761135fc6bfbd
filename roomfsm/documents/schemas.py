"""JSON Schemas of all messages and their parts, which are the components of the AsyncAPI document."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import msgspec

from roomfsm.lifecycle.table import Table
from roomfsm.protocol import fields
from roomfsm.protocol.client import CLIENT_MESSAGES
from roomfsm.protocol.errors import ErrorCode
from roomfsm.protocol.server import SERVER_MESSAGES

type Json = dict[str, Any]

REF = "#/components/schemas/{name}"
STATES_OF = {"RoomStateName": "room", "StreamState": "stream", "ViewState": "view", "SoundState": "sound"}
"""The schemas whose values are the states of a machine."""

_MEANINGS = {
    meta.title: meta.description
    for field in vars(fields).values()
    for meta in getattr(field, "__metadata__", ())
    if isinstance(meta, msgspec.Meta) and meta.title is not None
}
"""The meanings of the named types. A field may have a better description of its own."""


def schemas(machines: Mapping[str, Table[Any]]) -> dict[str, Json]:
    """Every schema by its name. Messages and their parts have their class's name, constrained fields their title.

    msgspec makes the schemas. Then each type with a title becomes a schema of its own, patterns are written in the
    form of ECMA-262, and states and codes are listed as the tables and `ErrorCode` have them.
    """
    _, described = msgspec.json.schema_components([*CLIENT_MESSAGES, *SERVER_MESSAGES], ref_template=REF)
    # A default that is a tuple becomes a list, as in JSON.
    components: Json = msgspec.json.decode(msgspec.json.encode(described))
    named: dict[str, Json] = {}
    for name, schema in components.items():
        for key, member in schema.get("properties", {}).items():
            schema["properties"][key] = _without_names(member, named)
        if "description" in schema:
            schema["description"] = inspect.cleandoc(schema["description"])
        if (tag := schema.get("properties", {}).get("type")) and len(tag.get("enum", ())) == 1:
            schema["properties"]["type"] = {"const": tag["enum"][0], "description": "what message it is"}
        named[name] = schema
    for name, machine in STATES_OF.items():
        named[name]["enum"] = list(dict.fromkeys(state.told for state in machines[machine].states))
    named["ErrorCode"] |= {
        "description": "Why a message was refused, or its effect failed.",
        "type": "string",
        "enum": [code.value for code in ErrorCode],
        "x-roomfsm-explanations": {code.value: code.explanation for code in ErrorCode},
    }
    return dict(sorted(named.items()))


def resolved(schema: Json, components: Mapping[str, Json]) -> Json:
    """The schema to which this one refers, perhaps beside a default or null; or this one if it refers to none."""
    for part in (schema, *schema.get("allOf", ()), *schema.get("anyOf", ())):
        if "$ref" in part:
            return components[part["$ref"].rpartition("/")[2]]
    return schema


def _without_names(schema: Json, named: dict[str, Json]) -> Json:
    """The schema with a reference in place of every part that has a title. The part is put into `named`."""
    if "pattern" in schema:
        schema = schema | {"$comment": "an expression of ECMA-262 with the flag u"}
    if "items" in schema:
        schema = schema | {"items": _without_names(schema["items"], named)}
    if "anyOf" in schema:
        schema = schema | {"anyOf": [_without_names(part, named) for part in schema["anyOf"]]}
    if "title" not in schema:
        return schema
    name = schema["title"]
    own = {"description": schema["description"]} if schema["description"] != _MEANINGS[name] else {}
    own |= {"default": schema["default"]} if "default" in schema else {}
    named[name] = {key: value for key, value in schema.items() if key != "default"}
    named[name]["description"] = _MEANINGS[name]
    reference = {"$ref": REF.format(name=name)}
    # Members beside a `$ref` are ignored.
    return {"allOf": [reference], **own} if own else reference
