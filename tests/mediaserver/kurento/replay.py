"""Recorded sessions with a real Kurento, and the means to replay their client's side."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TRANSCRIPTS = Path(__file__).parents[2] / "kurento" / "transcripts"

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


@dataclass(frozen=True)
class Line:
    """One line of a transcript; `time` is seconds since its beginning."""

    time: float
    direction: str
    connection: str
    message: Any
    note: str


def read(name: str) -> Iterator[Line]:
    with (TRANSCRIPTS / name).open(encoding="utf-8") as lines:
        for line in lines:
            members = json.loads(line)
            yield Line(
                members.get("t", 0.0),
                members.get("dir", ""),
                members.get("conn") or "",
                members.get("msg"),
                members.get("note") or "",
            )


class Ids:
    """Which of our ids stands for which of the recording's."""

    def __init__(self) -> None:
        self._ours: dict[str, str] = {}
        self._recorded: dict[str, str] = {}

    def learn(self, recorded: Any, ours: Any) -> None:
        """Pair the ids at the same places of two messages of the same shape."""
        if isinstance(recorded, str) and isinstance(ours, str):
            for theirs, own in zip(UUID.findall(recorded), UUID.findall(ours), strict=False):
                self._ours.setdefault(theirs, own)
                self._recorded.setdefault(own, theirs)
        elif isinstance(recorded, dict) and isinstance(ours, dict):
            for key in recorded.keys() & ours.keys():
                self.learn(recorded[key], ours[key])
        elif isinstance(recorded, list) and isinstance(ours, list):
            for one, other in zip(recorded, ours, strict=False):
                self.learn(one, other)

    def to_ours(self, message: Any) -> Any:
        return _replace(message, self._ours)

    def to_recorded(self, message: Any) -> Any:
        return _replace(message, self._recorded)

    def text_to_recorded(self, text: str) -> str:
        return _replace_in_text(text, self._recorded)

    def knows(self, text: str) -> bool:
        """Whether every id in a recorded text has come up in an answer of ours."""
        return all(id_ in self._ours for id_ in UUID.findall(text))


def _replace(message: Any, ids: dict[str, str]) -> Any:
    return json.loads(_replace_in_text(json.dumps(message), ids))


def _replace_in_text(text: str, ids: dict[str, str]) -> str:
    return UUID.sub(lambda match: ids.get(match.group(), match.group()), text)
