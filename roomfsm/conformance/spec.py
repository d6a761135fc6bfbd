"""Reads the specification, which is an AsyncAPI document with the machines in `x-roomfsm`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from jsonschema_rs import Draft202012Validator

from roomfsm.conformance.consistency import contradictions, of_replies
from roomfsm.conformance.outcome import CannotRun, cut
from roomfsm.conformance.shape import CHANNEL, DOCUMENT, MESSAGE, dangling, misshapen, no_schema, validator

type Json = dict[str, Any]

_TOLD = 10
"""The most contradictions that are reported."""


@dataclass(frozen=True, slots=True)
class Tell:
    """A message that is sent, and its audience. `when` is set if it is not always sent."""

    message: str
    to: str
    when: str | None


@dataclass(frozen=True, slots=True)
class Row:
    """One transition. `codes` are the codes of its guards that can refuse, in order."""

    machine: str
    trigger: str
    source: str
    dest: str
    codes: tuple[str, ...]
    tells: tuple[Tell, ...]

    @property
    def key(self) -> str:
        """As in the ids of checks."""
        return f"{self.machine}/{self.source}/{self.trigger}/{self.dest}"


@dataclass(frozen=True, slots=True)
class Machine:
    """One state machine."""

    name: str
    initial: str
    states: tuple[str, ...]
    rows: tuple[Row, ...]
    moves_tell: tuple[Tell, ...]
    messages: frozenset[str]
    """The triggers that are messages of a client."""

    def begins(self, trigger: str) -> Row | None:
        """The transition of that trigger from the initial state."""
        return next((row for row in self.rows if (row.trigger, row.source) == (trigger, self.initial)), None)

    def of(self, trigger: str) -> Row | None:
        """The first transition of that trigger."""
        return next((row for row in self.rows if row.trigger == trigger), None)

    def row(self, trigger: str, source: str, dest: str) -> Row | None:
        """The transition with these states and this trigger."""
        return next((r for r in self.rows if (r.trigger, r.source, r.dest) == (trigger, source, dest)), None)


@dataclass(frozen=True, slots=True)
class Pair:
    """The messages that are allowed in a state of the session and a state of its room (None if it is in no room),
    and the machines that refuse the others.
    """

    session: str
    room: str | None
    allowed: tuple[str, ...]
    refused: Mapping[str, tuple[str, str]]

    @property
    def key(self) -> str:
        """As in the ids of checks."""
        return f"{self.session}/{self.room or '-'}"


class Spec:
    """The content of the document.

    Raises `CannotRun` if the document, which is called `name`, is not a specification or contradicts itself.
    """

    def __init__(self, document: Json, name: str = "the specification") -> None:
        wrong = _misshapen(document)
        if wrong is not None:
            raise CannotRun(f"{name}: {wrong}")
        self._read_messages(document)
        found = [
            *contradictions(document["x-roomfsm"], self.messages, self._sent),
            *of_replies(self.replies, self._sent),
        ]
        if found:
            more = [f"… {len(found) - _TOLD} more"] if len(found) > _TOLD else []
            raise CannotRun("\n  ".join([f"{name} contradicts itself:", *found[:_TOLD], *more]))
        self._read_tables(document["x-roomfsm"])

    def _read_messages(self, document: Json) -> None:
        self._schemas: Json = document["components"]["schemas"]
        headers = next(iter(document["channels"].values()))["bindings"]["ws"]["headers"]
        self.protocol: str = headers["properties"]["Sec-WebSocket-Protocol"]["const"]
        self.replies: dict[str, str | None] = {}
        self.errors: dict[str, tuple[str, ...]] = {}
        self._received: dict[str, Json] = {}
        self._sent: dict[str, Draft202012Validator] = {}
        for operation in document["operations"].values():
            for reference in operation["messages"]:
                message = _resolve(document, reference)
                schema = message["payload"]
                if operation["action"] == "receive":
                    self.replies[message["name"]] = message["x-roomfsm-reply"]
                    self.errors[message["name"]] = tuple(message["x-roomfsm-errors"])
                    self._received[message["name"]] = _resolve(document, schema)
                else:
                    self._sent[message["name"]] = validator(schema, self._schemas)

    def _read_tables(self, own: Json) -> None:
        self.machines = {name: _machine(machine) for name, machine in own["machines"].items()}
        self.legality = tuple(
            Pair(
                pair["session"],
                pair["room"],
                tuple(pair["allowed"]),
                {message: (by["machine"], by["state"]) for message, by in pair["refused"].items()},
            )
            for pair in own["legality"]
        )
        self.close_codes: dict[str, int] = {item["name"]: item["code"] for item in own["closeCodes"]}
        close = own.get("control", {}).get("close")
        self.close: tuple[str, str] | None = None if close is None else (close["method"], close["path"])

    @property
    def messages(self) -> tuple[str, ...]:
        """The types of the messages that a client may send."""
        return tuple(self.replies)

    @property
    def rows(self) -> Iterator[Row]:
        """Every transition of every machine, each once."""
        seen = set()
        for machine in self.machines.values():
            for row in machine.rows:
                if row.key not in seen:
                    seen.add(row.key)
                    yield row

    def pair(self, session: str, room: str | None) -> Pair:
        """The legality in these states. Raises `KeyError`."""
        return next(pair for pair in self.legality if (pair.session, pair.room) == (session, room))

    def fault(self, message: Any) -> str | None:
        """A text about why this is not a message of a server; None if it is one."""
        kind = message.get("type") if isinstance(message, dict) else None
        known = self._sent.get(kind) if isinstance(kind, str) else None
        if known is None:
            return f"there is no message of type {kind!r} from a server"
        error = next(iter(known.iter_errors(message)), None)
        if error is None:
            return None
        path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error.instance_path)
        return f"${path}: {cut(error.message)}"

    def fields(self, message: str) -> dict[str, Field]:
        """The fields of a client's message, without `type`."""
        schema = self._received[message]
        required = schema.get("required", ())
        return {
            name: Field(name, name in required, tuple(self._shapes(part)))
            for name, part in schema.get("properties", {}).items()
            if name != "type"
        }

    def _shapes(self, schema: Json) -> Iterator[Json]:
        """The alternatives of a field's schema, with references resolved."""
        if "$ref" in schema:
            yield from self._shapes(self._schemas[schema["$ref"].rpartition("/")[2]])
        elif parts := schema.get("anyOf") or schema.get("allOf"):
            for part in parts:
                yield from self._shapes(part)
        else:
            yield schema


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a client's message. One of the schemas in `shapes` must fit."""

    name: str
    required: bool
    shapes: tuple[Json, ...]

    def longest(self) -> int | None:
        """The greatest length of a text, if there is a limit."""
        return next((s["maxLength"] for s in self.shapes if s.get("type") == "string" and "maxLength" in s), None)


def _misshapen(document: Json) -> str | None:
    """A text about a missing or wrong part of the document that the kit needs; None if there is none."""
    wrong = (
        misshapen(DOCUMENT, document)
        or next(dangling(document, document), None)
        or no_schema(document["components"]["schemas"])
    )
    if wrong is not None:
        return wrong
    name, channel = next(iter(document["channels"].items()))
    wrong = misshapen(CHANNEL, channel, ("channels", name))
    for operation in document["operations"].values():
        for reference in operation["messages"]:
            place, message = _follow(document, reference)
            wrong = wrong or misshapen(MESSAGE[operation["action"]], message, place)
    return wrong


def _machine(machine: Json) -> Machine:
    tells = {effect["name"]: [_tell(tell) for tell in effect["tells"]] for effect in machine["effects"]}
    return Machine(
        machine["name"],
        machine["initial"],
        tuple(state["name"] for state in machine["states"]),
        tuple(
            Row(
                machine["name"],
                row["trigger"],
                row["from"],
                row["to"],
                tuple(guard["code"] for guard in row["guards"] if guard["code"] is not None),
                tuple(tell for effect in row["effects"] for tell in tells[effect]),
            )
            for row in machine["transitions"]
        ),
        tuple(_tell(tell) for tell in machine["movesTell"]),
        frozenset(trigger["name"] for trigger in machine["triggers"] if trigger["message"]),
    )


def _tell(tell: Json) -> Tell:
    return Tell(tell["message"], tell["to"], tell["when"])


def _resolve(document: Json, value: Json) -> Json:
    return _follow(document, value)[1]


def _follow(document: Json, value: Json) -> tuple[list[str], Json]:
    """The value to which a reference finally leads, and its place."""
    place: list[str] = []
    while isinstance(value, dict) and "$ref" in value:
        found: Any = document
        place = value["$ref"].removeprefix("#/").split("/")
        for part in place:
            found = found[part]
        value = found
    return place, value
