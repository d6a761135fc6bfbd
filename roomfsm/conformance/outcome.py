"""What may come of a check, and what was sent and received in it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

type Message = dict[str, Any]

_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""What would steer the terminal, or turn the text around it."""

_LONG = 48
_SHOWN = 60
"""Lines of a record that are shown, half of them from its beginning."""


class Failed(Exception):
    """The server did not do what the specification says; `like` is what other failures of one fault share."""

    def __init__(self, expected: str, came: str, like: str = "") -> None:
        super().__init__(f"expected {expected}, came {came}")
        self.expected = expected
        self.came = came
        self.like = like


class Over(Failed):
    """A connection ended where something was to come."""


class NotReachable(Exception):
    """What is to be checked cannot be brought about here: with this server, its settings, these options."""


class NeverReachable(NotReachable):
    """What is to be checked cannot be brought about from outside, by the kit, whatever server it is."""


class LeftOut(NotReachable):
    """What is to be checked was left out by whoever runs the kit."""


class CannotRun(Exception):
    """There is nothing to be checked: no server, none of this protocol, or no specification."""


@dataclass(slots=True)
class Record:
    """Who sent and received what, in order."""

    lines: list[str] = field(default_factory=list)

    def sent(self, who: str, message: Message | str) -> None:
        """A message or something else that a client did."""
        self.lines.append(f"{who} → {shown(message)}")

    def received(self, who: str, message: Message | str) -> None:
        """A message or something else that came to a client."""
        self.lines.append(f"{who} ← {shown(message)}")

    def excerpt(self) -> list[str]:
        """The lines; of a long record the beginning and the end."""
        if len(self.lines) <= _SHOWN:
            return list(self.lines)
        half = _SHOWN // 2
        return [*self.lines[:half], f"… {len(self.lines) - 2 * half} more …", *self.lines[-half:]]


def shown(message: Message | str) -> str:
    """A message in a compact form: its type, its ref as #7, its fields, long texts cut."""
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
