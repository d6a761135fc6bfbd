"""The required shape of the document as a JSON Schema, and texts about what is missing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from jsonschema_rs import Draft202012Validator, ValidationError
from jsonschema_rs import ValidationErrorKind as Kind

from roomfsm.conformance.outcome import cut

type Json = dict[str, Any]

_TEXT: Json = {"type": "string"}
_TEXT_OR_NONE: Json = {"type": ["string", "null"]}


def _object(required: Json, **optional: Json) -> Json:
    # `required` comes first, so that missing members are reported before other mistakes.
    return {"type": "object", "required": list(required), "properties": {**required, **optional}}


def _list(of: Json, least: int = 0) -> Json:
    return {"type": "array", "minItems": least, "items": of}


_TELL = _object({"message": _TEXT, "to": _TEXT, "when": _TEXT_OR_NONE})
_MACHINE = _object(
    {
        "name": _TEXT,
        "initial": _TEXT,
        "states": _list(_object({"name": _TEXT}), 1),
        "triggers": _list(_object({"name": _TEXT, "message": {"type": "boolean"}})),
        "transitions": _list(
            _object(
                {
                    "trigger": _TEXT,
                    "from": _TEXT,
                    "to": _TEXT,
                    "guards": _list(_object({"code": _TEXT_OR_NONE})),
                    "effects": _list(_TEXT),
                }
            )
        ),
        "effects": _list(_object({"name": _TEXT, "tells": _list(_TELL)})),
        "movesTell": _list(_TELL),
    }
)
_PAIR = _object(
    {
        "session": _TEXT,
        "room": _TEXT_OR_NONE,
        "allowed": _list(_TEXT),
        "refused": {"type": "object", "additionalProperties": _object({"machine": _TEXT, "state": _TEXT})},
    }
)
_OWN = _object(
    {
        "machines": {
            **_object(dict.fromkeys(("room", "stream", "view", "session"), _MACHINE)),
            "additionalProperties": _MACHINE,
        },
        "legality": _list(_PAIR, 1),
        "closeCodes": _list(_object({"name": _TEXT, "code": {"type": "integer"}})),
    },
    control=_object({}, close=_object({"method": _TEXT, "path": _TEXT})),
)
_VERSIONS = [
    _object({"asyncapi": {"type": "string", "pattern": r"^3\."}}),
    _object({"x-roomfsm": _object({"version": {"const": 1}})}),
]
"""This is reported first, because other mistakes may be the result of another version."""

_PARTS = _object(
    {
        "x-roomfsm": _OWN,
        "channels": {"type": "object", "minProperties": 1},
        "operations": {
            "type": "object",
            "additionalProperties": _object(
                {
                    "action": {"enum": ["receive", "send"]},
                    "messages": _list(_object({"$ref": _TEXT})),
                }
            ),
        },
        "components": _object({"schemas": {"type": "object", "additionalProperties": {"type": "object"}}}),
    }
)
DOCUMENT: Json = {"allOf": [*_VERSIONS, _PARTS]}
_NAMED = {"name": _TEXT, "payload": {"type": "object"}}
MESSAGE = {
    "receive": _object(
        {**_NAMED, "x-roomfsm-reply": _TEXT_OR_NONE, "x-roomfsm-errors": _list(_TEXT)},
    ),
    "send": _object(_NAMED),
}
CHANNEL = _object(
    {
        "bindings": _object(
            {
                "ws": _object(
                    {
                        "headers": _object(
                            {
                                "properties": _object(
                                    {"Sec-WebSocket-Protocol": _object({"const": _TEXT})},
                                )
                            }
                        )
                    }
                )
            }
        )
    }
)

_MEANING = {
    "asyncapi": "the version of AsyncAPI",
    "x-roomfsm": "the machines",
    "channels": "where the subprotocol is named",
    "operations": "who sends what",
    "components": "the schemas",
    "legality": "what is allowed when",
    "movesTell": "who is told of a move",
}


def misshapen(schema: Json, value: Any, place: Iterable[str | int] = ()) -> str | None:
    """A text about what is wrong with the value; None if nothing is. `place` is its place in the document."""
    error = next(iter(Draft202012Validator(schema, offline=True).iter_errors(value)), None)
    return None if error is None else _words(error, [*place, *error.instance_path])


def dangling(value: Any, document: Json, place: tuple[str | int, ...] = ()) -> Iterator[str]:
    """Texts about each `$ref` in the value that leads nowhere."""
    if isinstance(value, dict):
        target = value.get("$ref")
        if isinstance(target, str) and not _leads_somewhere(target, document):
            yield f"{at(place)} refers to `{target}`, which is not there"
    if isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from dangling(item, document, (*place, key))


def no_schema(schemas: Json) -> str | None:
    """A text about a schema that is not valid; None if all are."""
    for name, schema in schemas.items():
        try:
            validator(schema, schemas)
        except ValidationError as error:
            return f"`components.schemas.{name}` is no JSON Schema: {cut(error.message)}"
    return None


def validator(schema: Any, schemas: Json) -> Draft202012Validator:
    """What checks values by a schema of the document. Raises `ValidationError` if that is no schema.

    Nothing is fetched, whatever the schema refers to: the document may come from a server that means harm.
    """
    whole = {**schema, "components": {"schemas": schemas}} if isinstance(schema, dict) else schema
    return Draft202012Validator(whole, offline=True)


def at(place: Iterable[str | int]) -> str:
    """A place in the document: `x-roomfsm.machines.room.transitions[3]`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place)
    return f"`{text.removeprefix('.')}`" if text else "it"


def _words(error: ValidationError, place: list[str | int]) -> str:
    where, instance = at(place), error.instance
    match error.kind:
        case Kind.Required(missing):
            meaning = f" ({_MEANING[missing]})" if missing in _MEANING else ""
            return f"{where} has no `{missing}`{meaning}"
        case Kind.Type(kinds):
            return f"{where} must be {' or '.join(_KINDS[kind] for kind in kinds)}, not {_short(instance)}"
        case Kind.Constant(wanted):
            return f"{where} must be {wanted}, not {_short(instance)}"
        case Kind.Pattern():
            return f'{where} must begin with "3.", not {_short(instance)}'
        case Kind.Enum(options):
            return f"{where} must be {' or '.join(map(str, options))}, not {_short(instance)}"
        case _:
            return f"{where} must not be empty"


_KINDS = {
    "object": "an object",
    "array": "a list",
    "string": "a text",
    "null": "null",
    "boolean": "true or false",
    "integer": "a whole number",
}


def _short(value: Any) -> str:
    match value:
        case dict():
            return "an object"
        case list():
            return "a list"
        case str():
            return f'"{value[:40]}"'
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case _:
            return str(value)


def _leads_somewhere(reference: str, document: Json) -> bool:
    """Whether a reference leads to a value, also through other references."""
    seen: set[str] = set()
    while reference not in seen and reference.startswith("#/"):
        seen.add(reference)
        found: Any = document
        for part in reference.removeprefix("#/").split("/"):
            if not isinstance(found, dict) or part not in found:
                return False
            found = found[part]
        further = found.get("$ref") if isinstance(found, dict) else None
        if not isinstance(further, str):
            return True
        reference = further
    return False
