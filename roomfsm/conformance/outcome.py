"""The possible results of a check, and the record of what was sent and received in it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

type Message = dict[str, Any]

_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""Characters that would control the terminal or change the direction of the text."""

_LONG = 48
_SHOWN = 60
"""The most lines of a record that are shown. Half of them are from its beginning."""


class Failed(Exception):
    """The server did not do what the specification says. Failures with the same `like` have the same cause."""

    def __init__(self, expected: str, came: str, like: str = "") -> None:
        super().__init__(f"expected {expected}, came {came}")
        self.expected = expected
        self.came = came
        self.like = like


class Over(Failed):
    """A connection ended although a message was expected."""


class NotReachable(Exception):
    """The check cannot be carried out with this server, its settings or these options."""


class NeverReachable(NotReachable):
    """The check cannot be carried out from outside with any server."""


class LeftOut(NotReachable):
    """The check was left out by an option."""


class CannotRun(Exception):
    """Nothing can be checked: there is no server, or it does not speak the protocol, or there is no
    specification.
    """


@dataclass(slots=True)
class Record:
    """A record of who sent and received what, in order."""

    lines: list[str] = field(default_factory=list)

    def sent(self, who: str, message: Message | str) -> None:
        """Record a message or another action of a client."""
        self.lines.append(f"{who} → {shown(message)}")

    def received(self, who: str, message: Message | str) -> None:
        """Record a message or another event that came to a client."""
        self.lines.append(f"{who} ← {shown(message)}")

    def excerpt(self) -> list[str]:
        """The lines. Of a long record, only the beginning and the end."""
        if len(self.lines) <= _SHOWN:
            return list(self.lines)
        half = _SHOWN // 2
        return [*self.lines[:half], f"… {len(self.lines) - 2 * half} more …", *self.lines[-half:]]


def shown(message: Message | str) -> str:
    """A message in a compact form: its type, its ref as #7, and its fields. Long texts are cut."""
    if isinstance(message, str):
        return cut(message)
    if message.get("type") == "welcome":
        return f"welcome {{session: {_value(message.get('session'))}, …}}"
    ref = message.get("ref")
    mark = "" if ref is None else f" #{ref}"
    fields = ", ".join(f"{key}: {_value(value)}" for key, value in message.items() if key not in ("type", "ref"))
    return f"{message.get('type')}{mark}" + (f" {{{fields}}}" if fields else "")


def cut(text: str, most: int = 2 * _LONG) -> str:
    """The beginning of a long text, in one line."""
    line = _UNSEEN.sub("·", text.replace("\r", "").replace("\n", "⏎"))
    return line if len(line) <= most else f"{line[:most]}… ({len(text)} characters)"


def _value(value: Any) -> str:
    match value:
        case str():
            return f'"{cut(value, _LONG)}"'
        case dict():
            return "{" + ", ".join(f"{key}: {_value(item)}" for key, item in value.items()) + "}"
        case list():
            return "[" + ", ".join(_value(item) for item in value) + "]"
        case _:
            return json.dumps(value) if value is None or isinstance(value, bool) else str(value)
