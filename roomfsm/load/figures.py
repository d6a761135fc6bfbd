"""What a load test has measured, in memory that does not grow with the length of the test."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

_LEAST = 1e-5
_WIDTH = math.log(1.02)
PERCENTS = (50, 90, 95, 99)


class Times:
    """Times in seconds, of which each percentile is known within 2 %.

    They are counted in classes that are each 2 % wider than the one before. This is an HDR histogram in the few
    lines that are needed here.
    """

    def __init__(self) -> None:
        self._counts: Counter[int] = Counter()
        self.count = 0
        self.least = math.inf
        self.most = 0.0

    def add(self, seconds: float) -> None:
        """Count one time."""
        self._counts[round(math.log(max(seconds, _LEAST) / _LEAST) / _WIDTH)] += 1
        self.count += 1
        self.least, self.most = min(self.least, seconds), max(self.most, seconds)

    def percentile(self, percent: float) -> float | None:
        """The time that so many percent of the times do not exceed; None if there are no times."""
        if not self.count:
            return None
        left = math.ceil(self.count * percent / 100)
        for step in sorted(self._counts):
            left -= self._counts[step]
            if left <= 0:
                return min(max(_LEAST * math.exp(step * _WIDTH), self.least), self.most)
        return self.most

    def summary(self) -> dict[str, float | int | None]:
        """The count, and percentiles and the most in milliseconds."""
        percents = {f"p{percent}": _milliseconds(self.percentile(percent)) for percent in PERCENTS}
        return {"count": self.count, **percents, "max": _milliseconds(self.most if self.count else None)}


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(1000 * seconds, 2)


TIMES = {
    "join": "a person is in the room, from the first packet of the connection on",
    "message": "a line of chat reaches one of the people, from its sending on",
}
MEDIA_TIMES = {
    "connected": "the media connection is there, from the offer on",
    "packet": "the first media come, from the offer on",
    "frame": "the first picture is whole, from the offer on",
}
"""What is timed, and what each time means. The second are those of media."""


@dataclass(slots=True)
class Media:
    """What those have measured whose media go over paths of one kind."""

    times: dict[str, Times] = field(default_factory=lambda: {name: Times() for name in MEDIA_TIMES})
    views: int = 0
    """How many have received something."""
    packets: int = 0
    """Packets of video."""
    lost: int = 0
    """Packets of video that did not come, also when they were asked for again."""
    watched: float = 0.0
    """For how many seconds all viewers together have watched."""
    without: float = 0.0
    """For how many of these they had no picture."""
    limited: int = 0
    """How often the server has said that a path is too slow for the picture."""


@dataclass(slots=True)
class Second:
    """One second of the test: how many people there were at its end, and what has happened in it."""

    people: int = 0
    joined: int = 0
    told: int = 0
    packets: int = 0
    errors: int = 0
    message_p95: float | None = None
    """In milliseconds."""


@dataclass(slots=True)
class Figures:
    """Everything that one test measures."""

    times: dict[str, Times] = field(default_factory=lambda: {name: Times() for name in TIMES})
    people: int = 0
    """How many are in their rooms now."""
    joined: int = 0
    sent: int = 0
    """Lines of chat."""
    told: int = 0
    """How often they were told to somebody."""
    missed: int = 0
    """How often a line was not told to somebody who was in the room when it was sent, and stayed."""
    doubled: int = 0
    """How often a line was told to somebody who knew it already."""
    good: Media = field(default_factory=Media)
    poor: Media = field(default_factory=Media)
    """Those on the poor path."""
    errors: Counter[str] = field(default_factory=Counter)
    """By the protocol's code, or by the name of what failed."""
    seconds: list[Second] = field(default_factory=list)
    _now: Second = field(default_factory=Second)
    _delays: Times = field(default_factory=Times)

    def entered(self, seconds: float) -> None:
        """Somebody is in the room."""
        self.people += 1
        self.joined += 1
        self._now.joined += 1
        self.times["join"].add(seconds)

    def heard(self, seconds: float) -> None:
        """Somebody was told a line, so long after it was sent."""
        self.told += 1
        self._now.told += 1
        self.times["message"].add(seconds)
        self._delays.add(seconds)

    def media(self, *, poor: bool) -> Media:
        """Those of a good or of the poor path."""
        return self.poor if poor else self.good

    def received(self, media: Media) -> None:
        """Somebody has got a packet of video."""
        media.packets += 1
        self._now.packets += 1

    def failed(self, what: str) -> None:
        """Something went wrong."""
        self.errors[what] += 1
        self._now.errors += 1

    def tick(self) -> None:
        """A second is over."""
        self._now.people = self.people
        self._now.message_p95 = _milliseconds(self._delays.percentile(95))
        self.seconds.append(self._now)
        self._now, self._delays = Second(), Times()


@dataclass(slots=True)
class _Line[Person]:
    """A line of chat: its speaker, when it was sent, who is to be told, and who was told already."""

    speaker: Person
    sent: float
    due: set[Person]
    told: set[Person] = field(default_factory=set)


class Lines[Person]:
    """Who has to be told which line, and was."""

    def __init__(self, figures: Figures) -> None:
        self._figures = figures
        self._open: dict[int, _Line[Person]] = {}
        """The lines that are still waited for."""
        self.outstanding = 0
        """How often lines are still to be told."""

    def say(self, speaker: Person, people: Iterable[Person], now: float) -> int:
        """The number of a new line, which is for these people."""
        self._figures.sent += 1
        self._open[self._figures.sent] = line = _Line(speaker, now, set(people))
        self.outstanding += len(line.due)
        return self._figures.sent

    def hear(self, person: Person, number: int, now: float) -> None:
        """The person was told the line with this number."""
        if number not in self._open:
            return
        line = self._open[number]
        if person in line.told:
            self._figures.doubled += 1
        elif person in line.due:
            line.told.add(person)
            self.outstanding -= 1
            self._figures.heard(now - line.sent)

    def leave(self, person: Person) -> None:
        """The person is not there any more.

        Whether a line was sent whose speaker has gone before hearing it, nobody knows.
        """
        for line in self._open.values():
            if person in line.told:
                continue
            gone = line.due - line.told if person is line.speaker else line.due & {person}
            line.due -= gone
            self.outstanding -= len(gone)

    def settle(self, before: float = math.inf) -> None:
        """Wait no longer for lines that were sent before this time."""
        for number, line in list(self._open.items()):
            if line.sent < before:
                missed = len(line.due - line.told)
                self._figures.missed += missed
                self.outstanding -= missed
                del self._open[number]
