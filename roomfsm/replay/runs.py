"""Journal files read and sorted into runs: one for each time that a room was opened."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from roomfsm.rooms.journal import FORMAT, Ended, Entry, Opened, decode_line


class JournalError(Exception):
    """What was read is no journal; the message says where and why."""


@dataclass(slots=True)
class Run:
    """One room from its opening to its end, or as far as the file goes."""

    id: str
    opened: Opened | None = None
    entries: list[Entry] = field(default_factory=list)
    ended: Ended | None = None

    @property
    def whole(self) -> bool:
        """Whether it begins with the room's opening and has no gap."""
        numbers = [entry.seq for entry in self.entries]
        return self.opened is not None and numbers == list(range(1, len(numbers) + 1))

    @property
    def name(self) -> str:
        """The room, for people."""
        return f"room {self.opened.room!r}, run {self.id}" if self.opened else f"run {self.id}"


def read_runs(file: Path) -> list[Run]:
    """The runs of a file in the order in which they begin. Raises `JournalError`."""
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
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            # A server that died may have left half a line, and only as the last.
            if number == len(lines) and isinstance(error, msgspec.DecodeError) and runs:
                break
            raise JournalError(f"{file}, line {number}: not a line of a journal: {error}") from error
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
