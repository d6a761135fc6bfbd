"""What keeps inspector pages up to date: server-sent events (WHATWG HTML section 9.2), cheap for the rooms."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import msgspec
import trio

from roomfsm.rooms.directory import Directory
from roomfsm.rooms.inspection import Glance, glance_at, look_at
from roomfsm.rooms.room import Room
from roomfsm.web.settings import WebSettings

TAIL = 200
"""Journal entries that a page gets at its start."""

_SIGN_OF_LIFE = 15.0
"""Seconds after which a page that has no news gets a comment, so that no proxy cuts the connection."""

_ALL_ROOMS = 4
"""Intervals from one look at all rooms to the next: there may be a thousand."""

_encoder = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True)
class _Look:
    at: float
    glance: object
    data: bytes


class Feed:
    """Looks at the rooms for all watchers; a room that many watch is looked at once for all of them."""

    def __init__(self, directory: Directory, settings: WebSettings) -> None:
        self._directory = directory
        self._settings = settings
        self._watchers = 0
        self._looks: dict[str, _Look] = {}
        self._all = _Look(-math.inf, None, b"")

    @property
    def full(self) -> bool:
        """Whether as many watch as may."""
        return self._watchers >= self._settings.inspect_watchers

    def rooms(self) -> AsyncIterator[bytes]:
        """All rooms, a line each: now, and whenever something has changed."""
        told: object = _NOTHING

        def look() -> bytes | None:
            nonlocal told
            looked = self._look_at_all(anew=told is _NOTHING)
            if looked is told:
                return None
            told = looked
            return looked

        return self._follow(look, self._settings.inspect_interval * _ALL_ROOMS)

    def room(self, name: str) -> AsyncIterator[bytes]:
        """One room: now, whenever something has changed, and when it opens anew.

        An event has the room in full (`room`; null: there is none), whether it has ended (`over`), and the new
        entries of its journal (`journal`).
        """
        told: object = _NOTHING
        room: Room | None = None
        seq = 0

        def look() -> bytes | None:
            nonlocal told, room, seq
            found = self._directory.find(name)
            if found is not None and found is not room and (room is None or told == _OVER):
                room, seq = found, max(0, found.journal.seq - TAIL)
            # Of a room that has ended the last steps are told before another is looked at.
            changed = _ageless(glance_at(room)) if room is not None and room is found else _OVER
            if changed == told:
                return None
            told = changed
            if room is None:
                return _NO_ROOM
            lines, seq = room.journal.lines_since(seq), room.journal.seq
            over = b"true" if changed == _OVER else b"false"
            return b'{"room":' + self._look(room) + b',"over":' + over + b',"journal":[' + b",".join(lines) + b"]}"

        return self._follow(look, self._settings.inspect_interval)

    async def _follow(self, look: Callable[[], bytes | None], interval: float) -> AsyncIterator[bytes]:
        if self.full:
            # Others came between the question and the first step: this page asks again, and is told.
            return
        self._watchers += 1
        try:
            quiet_since = trio.current_time()
            while True:
                data = look()
                if data is not None:
                    yield b"data: " + data + b"\n\n"
                elif trio.current_time() - quiet_since >= _SIGN_OF_LIFE:
                    yield b":\n\n"
                else:
                    await trio.sleep(interval)
                    continue
                quiet_since = trio.current_time()
                await trio.sleep(interval)
        finally:
            self._watchers -= 1

    def _look_at_all(self, *, anew: bool) -> bytes:
        """All rooms as JSON: the very same bytes for as long as nothing has changed, looked at once an interval.

        `anew`: a page that was told nothing yet must not be told how old the rooms were then.
        """
        now = trio.current_time()
        if not anew and now - self._all.at < self._settings.inspect_interval * _ALL_ROOMS:
            return self._all.data
        glances = [glance_at(room) for room in self._directory.rooms()]
        ageless = [_ageless(glance) for glance in glances]
        data = self._all.data if ageless == self._all.glance and not anew else _encoder.encode(glances)
        self._all = _Look(now, ageless, data)
        return data

    def _look(self, room: Room) -> bytes:
        """The room as JSON; what another watcher was given a moment ago will do if nothing has changed since."""
        run, now, glance = room.journal.opened.run, trio.current_time(), _ageless(glance_at(room))
        last = self._looks.get(run)
        if last is not None and last.glance == glance and now - last.at < self._settings.inspect_interval:
            return last.data
        self._looks = {known: look for known, look in self._looks.items() if now - look.at < _SIGN_OF_LIFE}
        self._looks[run] = _Look(now, glance, _encoder.encode(look_at(room)))
        return self._looks[run].data


_NOTHING = object()
"""What a watcher that was told nothing yet was told."""
_OVER = "over"
_NO_ROOM = b'{"room":null,"over":true,"journal":[]}'


def _ageless(glance: Glance) -> Glance:
    """What tells a changed room from one that only grew older."""
    return msgspec.structs.replace(glance, age=0.0)
