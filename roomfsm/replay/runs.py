"""Reads journal files, and sorts their entries into runs. There is a run for each time that a room was opened."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from roomfsm.lifecycle.room import RoomFacts
from roomfsm.rooms.journal import FORMAT, Ended, Entry, Line, Opened, decode_line


class JournalError(Exception):
    """A file is not a journal. The message says where and why."""


@dataclass(slots=True)
class Run:
    """One room from its opening to its end, or to the end of the file. A run with a gap is not `whole`."""

    id: str
    opened: Opened | None = None
    entries: list[Entry] = field(default_factory=list)
    ended: Ended | None = None

    @property
    def whole(self) -> bool:
        """Whether it begins with the room's opening and has no gap."""
        numbers = [entry.seq for entry in self.entries]
        began = self.opened is not None and not self.opened.came_back
        return began and numbers == list(range(1, len(numbers) + 1))

    @property
    def name(self) -> str:
        """A text that names the run for people."""
        return f"room {self.opened.room!r}, run {self.id}" if self.opened else f"run {self.id}"


def read_runs(file: Path, warn: Callable[[str], None] = lambda _warning: None) -> list[Run]:
    """The runs of a file in the order in which they begin. Raises `JournalError`.

    A server that died may have left half a line. It is reported to `warn` and ignored, and its run has a gap.
    """
    try:
        lines = file.read_bytes().splitlines()
    except OSError as error:
        raise JournalError(f"{file}: {error.strerror}") from error
    runs: dict[str, Run] = {}
    for number, text in enumerate(lines, 1):
        if not text.strip():
            continue
        try:
            line = decode_line(text)
            _check(line)
        except msgspec.ValidationError as error:
            # It is JSON, so the line is complete.
            raise JournalError(f"{file}, line {number}: not a line of a journal: {error}") from error
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            if not runs:
                raise JournalError(f"{file}, line {number}: not a line of a journal: {error}") from error
            warn(f"{file}, line {number}: passed over, because it is no JSON: {error}")
            continue
        run = runs.setdefault(line.run, Run(line.run))
        match line:
            case Opened():
                if line.format != FORMAT:
                    raise JournalError(f"{file}, line {number}: the format is {line.format!r}, not {FORMAT!r}")
                run.opened = line
            case Entry():
                run.entries.append(line)
            case Ended():
                run.ended = line
    if not runs:
        raise JournalError(f"{file}: there is no journal in it")
    return list(runs.values())


def _check(line: Line) -> None:
    """Check that no number in settings and facts is negative, which the types do not say.

    Raises `msgspec.ValidationError`.
    """
    told: dict[str, Any] = {}
    if isinstance(line, Opened):
        told = asdict(line.settings)
    elif isinstance(line, Entry) and line.facts is not None:
        told = msgspec.structs.asdict(msgspec.convert(line.facts, RoomFacts))
    for name, value in told.items():
        if isinstance(value, int | float) and not value >= 0:
            raise msgspec.ValidationError(f"{name} is {value}")
