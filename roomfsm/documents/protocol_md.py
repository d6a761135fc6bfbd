"""docs/protocol.md: the protocol for people who write a client.

Its tables are generated from messages and machines.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from string import Template
from typing import Any

from roomfsm.documents import protocol_prose as prose
from roomfsm.documents.asyncapi import EXTENSIONS, document
from roomfsm.documents.examples import STORY, Happening, wire
from roomfsm.documents.schemas import Json, resolved
from roomfsm.protocol import SUBPROTOCOL
from roomfsm.protocol.client import CLIENT_MESSAGES
from roomfsm.protocol.replies import OF_ANY_MESSAGE
from roomfsm.protocol.server import SERVER_MESSAGES, Error

_CUT = 40
"""The most characters of a session description that the story shows."""


def protocol_md() -> str:
    """The text of the page."""
    page = _Page(document())
    return "\n".join(section.rstrip() + "\n" for section in page.sections())


class _Page:
    def __init__(self, spec: Json) -> None:
        self._components: Mapping[str, Json] = spec["components"]["schemas"]
        self._messages: Mapping[str, Json] = spec["components"]["messages"]
        self._root: Json = spec["x-roomfsm"]
        self._sent = [message.__name__ for message in CLIENT_MESSAGES]
        self._told = [message.__name__ for message in SERVER_MESSAGES]

    def sections(self) -> Iterable[str]:
        yield prose.OPENING
        yield Template(prose.CONNECTING).substitute(subprotocol=SUBPROTOCOL)
        yield from (prose.REPLIES, prose.ORDER, prose.LIMITS, prose.RESUMING, prose.SWITCHING)
        yield from (prose.CHAT, prose.FILES, prose.MEDIA, prose.SOUND)
        yield prose.ERRORS
        yield self._error_codes()
        yield prose.ILLEGAL
        yield _json_block(next(wire(line.what) for line in STORY if isinstance(line.what, Error)))
        yield prose.CLOSES
        yield self._close_codes()
        yield prose.STORY
        yield _story()
        yield prose.LEGALITY
        yield self._legality()
        yield Template(prose.CLIENT).substitute(any=", ".join(f"`{code}`" for code in OF_ANY_MESSAGE))
        yield from (self._client_message(name) for name in self._sent)
        yield prose.SERVER
        yield from (self._server_message(name) for name in self._told)
        yield prose.PARTS
        yield from (self._part(name) for name in self._parts())
        yield "### Types"
        yield self._types()
        yield Template(prose.MACHINES).substitute(extensions=EXTENSIONS)

    def _error_codes(self) -> str:
        explanations = self._components["ErrorCode"]["x-roomfsm-explanations"]
        return _table(("code", "meaning"), ((f"`{code}`", text) for code, text in explanations.items()))

    def _close_codes(self) -> str:
        rows = ((str(c["code"]), f"`{c['name']}`", c["explanation"]) for c in self._root["closeCodes"])
        return _table(("code", "reason", "meaning"), rows)

    def _legality(self) -> str:
        pairs = self._root["legality"]
        heads = ("message", *(_states(pair) for pair in pairs))
        rows = (
            (self._link(name), *(_verdict(pair, self._messages[name]["name"]) for pair in pairs))
            for name in self._sent
        )
        return _table(heads, rows)

    def _client_message(self, name: str) -> str:
        message = self._messages[name]
        reply = message["x-roomfsm-reply"]
        answered = "none, unless it is refused" if reply is None else self._told_link(reply)
        special = [code for code in message["x-roomfsm-errors"] if code not in OF_ANY_MESSAGE]
        legal = "; ".join(_states(pair) for pair in message["x-roomfsm-legal"])
        facts = [f"- Reply: {answered}", f"- Legal while: {legal}"]
        if special:
            facts.append(f"- Errors: {', '.join(f'`{code}`' for code in special)}")
        return "\n\n".join(
            (self._head(name), self._fields(name), "\n".join(facts), self._changes(name), self._example(name))
        )

    def _server_message(self, name: str) -> str:
        message = self._messages[name]
        facts = []
        if asked := message["x-roomfsm-replies-to"]:
            facts.append(f"- Replies to: {', '.join(self._link(self._sent_name(m)) for m in asked)}")
        facts += [f"- Told by the machine {_teller(tell)}" for tell in message["x-roomfsm-told-by"]]
        if message["x-roomfsm-unasked"] is not None:
            facts.append(f"- Sent: {message['x-roomfsm-unasked']}")
        return "\n\n".join((self._head(name), self._fields(name), "\n".join(facts), self._example(name)))

    def _part(self, name: str) -> str:
        return f"### {name}\n\n{self._components[name]['description']}\n\n{self._fields(name)}"

    def _parts(self) -> Iterable[str]:
        """The objects inside messages."""
        messages = {*self._sent, *self._told}
        return (name for name, schema in self._components.items() if name not in messages and _is_object(schema))

    def _types(self) -> str:
        rows = (
            (name, _rules(schema), schema["description"])
            for name, schema in self._components.items()
            if not _is_object(schema) and name != "ErrorCode"
        )
        return _table(("type", "JSON", "meaning"), rows)

    def _head(self, name: str) -> str:
        message = self._messages[name]
        way = "client → server" if name in self._sent else "server → client"
        return f"### {name}\n\n`{message['name']}`, {way}. {message['description']}"

    def _fields(self, name: str) -> str:
        schema = self._components[name]
        rows = (
            (
                f"`{field}`",
                self._type(member),
                "required" if field in schema["required"] else _default(member),
                self._meaning(member),
            )
            for field, member in schema["properties"].items()
            if "const" not in member
        )
        table = _table(("field", "type", "default", "meaning"), rows)
        return table or "No fields but the `type`."

    def _type(self, schema: Json) -> str:
        if "$ref" in schema:
            name = schema["$ref"].rpartition("/")[2]
            if _is_object(self._components[name]):
                return self._link(name)
            return f"[{name}](#{'errors' if name == 'ErrorCode' else 'types'})"
        for several in ("allOf", "anyOf"):
            if several in schema:
                return " or ".join(self._type(part) for part in schema[several] if part.get("type") != "null")
        if schema.get("type") == "array":
            return f"list of {self._type(schema['items'])}"
        return _rules(schema)

    def _meaning(self, schema: Json) -> str:
        if "description" in schema:
            return str(schema["description"])
        target = resolved(schema, self._components)
        return "" if _is_object(target) else str(target["description"]) if "description" in target else ""

    def _changes(self, name: str) -> str:
        asked = self._messages[name]["name"]
        merged: dict[str, tuple[Json, list[str]]] = {}
        for change in self._messages[name]["x-roomfsm-changes"]:
            stays = change["from"] == change["to"]
            if stays and not change["guards"] and not change["effects"]:
                # The trigger is legal there, and has no other effect.
                continue
            key = json.dumps([{**change, "from": None, "to": None if stays else change["to"]}, stays])
            merged.setdefault(key, (change, []))[1].append(change["from"])
        rows = (
            (
                change["machine"] + ("" if change["trigger"] == asked else f" (`{change['trigger']}`)"),
                " or ".join(sources) + (" stays" if change["from"] == change["to"] else f" → {change['to']}"),
                "; ".join(_guard(guard) for guard in change["guards"]),
                "; ".join(f"{effect['name']}: {effect['meaning']}" for effect in change["effects"]),
                "; ".join(self._tells(change)),
            )
            for change, sources in merged.values()
        )
        return _table(("machine", "state", "if (else)", "then", "and tells"), rows)

    def _tells(self, change: Json) -> Iterable[str]:
        for tell in (*(tell for effect in change["effects"] for tell in effect["tells"]), *change["movesTell"]):
            when = "" if tell["when"] is None else f" ({tell['when']})"
            yield f"{self._told_link(tell['message'])} to {tell['to']}{when}"

    def _example(self, name: str) -> str:
        return _json_block(
            max((e["payload"] for e in self._messages[name]["examples"]), key=lambda e: len(str(e)))
        )

    def _told_link(self, message: str) -> str:
        return self._link(next(name for name in self._told if self._messages[name]["name"] == message))

    def _sent_name(self, message: str) -> str:
        return next(name for name in self._sent if self._messages[name]["name"] == message)

    def _link(self, name: str) -> str:
        called = f"`{self._messages[name]['name']}`" if name in self._messages else name
        return f"[{called}](#{name.lower()})"


def _is_object(schema: Json) -> bool:
    return bool(schema.get("type") == "object")


def _rules(schema: Json) -> str:
    """A text that describes a type and its limits."""
    if "enum" in schema:
        return " or ".join(f"`{value}`" for value in schema["enum"])
    if "anyOf" in schema:
        return " or ".join(_rules(part) for part in schema["anyOf"] if part.get("type") != "null")
    kind = str(schema["type"])
    if "minimum" in schema:
        return f"{kind}, {schema['minimum']} to {schema['maximum']}"
    if "pattern" in schema:
        return f"{kind}, of the pattern `{schema['pattern']}` (ECMA-262, flag `u`)"
    if "maxLength" in schema:
        return f"{kind}, {schema.get('minLength', 0)} to {schema['maxLength']} characters"
    return kind


def _default(schema: Json) -> str:
    default = schema["default"]
    return "none" if default is None else f"`{json.dumps(default)}`"


def _guard(guard: Json) -> str:
    return f"{guard['name']}" + ("" if guard["code"] is None else f" (`{guard['code']}`)")


def _teller(tell: Json) -> str:
    by = "when its state becomes another" if tell["effect"] is None else f"by *{tell['effect']}*"
    when = "" if tell["when"] is None else f" ({tell['when']})"
    return f"{tell['machine']}, {by}: to {tell['to']}{when}"


def _states(pair: Json) -> str:
    return f"session {pair['session']}" + ("" if pair["room"] is None else f", room {pair['room']}")


def _verdict(pair: Json, message: str) -> str:
    return "legal" if message in pair["allowed"] else f"refused: {pair['refused'][message]['machine']}"


def _story() -> str:
    lines = []
    for line in STORY:
        if isinstance(line.what, Happening):
            lines.append(f"{line.who} {line.what}.")
            continue
        arrow = "→" if isinstance(line.what, CLIENT_MESSAGES) else "←"
        text = json.dumps(_shortened(wire(line.what)), ensure_ascii=False, separators=(",", ":"))
        lines.append(f"{line.who} {arrow} {text}")
    return "\n".join(("```", *lines, "```"))


def _shortened(message: Json) -> Json:
    return message if "sdp" not in message else {**message, "sdp": f"{message['sdp'][:_CUT]}…"}


def _json_block(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    if len(text) > 110:
        text = json.dumps(value, ensure_ascii=False, indent=2)
    return f"```json\n{text}\n```"


def _table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table, or nothing if it has no rows. Columns that are completely empty are left out."""
    body = [[cell.replace("|", "\\|").replace("\n", " ") for cell in row] for row in rows]
    if not body:
        return ""
    used = [index for index in range(len(body[0])) if any(row[index] for row in body)]
    names = list(heads)
    lines = [[names[index] for index in used], ["---" for _ in used]]
    lines += [[row[index] for index in used] for row in body]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
