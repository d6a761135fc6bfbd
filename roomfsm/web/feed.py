"""Keeps inspector pages up to date by server-sent events (WHATWG HTML section 9.2), at little cost for the
rooms.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain

import msgspec
import trio

from roomfsm.protocol.errors import Refusal
from roomfsm.rooms.directory import Directory
from roomfsm.rooms.inspection import Glance, glance_at, look_at, look_at_server
from roomfsm.rooms.room import Room
from roomfsm.web.others import ElsewhereError, Others
from roomfsm.web.settings import WebSettings

TAIL = 200
"""The number of journal entries that a page gets at its start."""

_SIGN_OF_LIFE = 15.0
"""After so many seconds without news a page gets a comment, so that no proxy cuts the connection."""

_ALL_ROOMS = 4
"""All rooms are looked at only every so many intervals, because there may be a thousand of them."""

_GLANCES = "glances"
"""What nodes ask each other about."""

_encoder = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True)
class _Look:
    at: float
    glance: object
    data: bytes


class Feed:
    """Looks at the rooms for all watchers. If many pages watch a room, it is looked at once for all of them."""

    def __init__(self, directory: Directory, settings: WebSettings, others: Others) -> None:
        self._directory = directory
        self._others = others
        others.answers[_GLANCES] = lambda: _encoder.encode(self._glances_here())
        self._settings = settings
        self._watchers = 0
        self._looks: dict[str, _Look] = {}
        self._all = _Look(-math.inf, None, b"")

    @property
    def full(self) -> bool:
        """Whether the limit of watching pages is reached."""
        return self._watchers >= self._settings.inspect_watchers

    async def glances(self) -> list[Glance]:
        """All rooms of all nodes, each in a line."""
        heard = await self._others.hear(_GLANCES, list[Glance])
        return [*chain(self._glances_here(), *heard.answers)]

    def _glances_here(self) -> list[Glance]:
        return [glance_at(room) for room in self._directory.rooms()]

    def rooms(self) -> AsyncIterator[bytes]:
        """Events with a summary of all rooms: one now, and one whenever something has changed."""
        told: object = _NOTHING

        async def look() -> bytes | None:
            nonlocal told
            looked = await self._look_at_all(anew=told is _NOTHING)
            if looked is told:
                return None
            told = looked
            return looked

        return self._follow(look, self._settings.inspect_interval * _ALL_ROOMS)

    def room(self, name: str) -> AsyncIterator[bytes]:
        """Events about one room: one now, and one whenever something has changed or the room opens again.

        If it opens at another node, the events end. The page asks again, and then that node answers. An event has
        `room`, the room in full (null if there is no such room), `over`, whether it has ended, and `journal`, the
        new entries of its journal.
        """
        told: object = _NOTHING
        room: Room | None = None
        seq = 0
        interval = self._settings.inspect_interval
        look_elsewhere_at = -math.inf

        async def look() -> bytes | None:
            nonlocal told, room, seq, look_elsewhere_at
            found = self._directory.find(name)
            if found is not None and found is not room and (room is None or told == _OVER):
                room, seq = found, max(0, found.journal.seq - TAIL)
            # If the room has ended, its last steps are sent before a new room of that name is looked at.
            changed = _ageless(glance_at(room)) if room is not None and room is found else _OVER
            if changed == told:
                if found is None and trio.current_time() >= look_elsewhere_at:
                    look_elsewhere_at = trio.current_time() + interval * _ALL_ROOMS
                    with suppress(Refusal):
                        await self._others.must_be_here(name)
                return None
            told = changed
            if room is None:
                return _NO_ROOM
            lines, seq = room.journal.lines_since(seq), room.journal.seq
            over = b"true" if changed == _OVER else b"false"
            return b'{"room":' + self._look(room) + b',"over":' + over + b',"journal":[' + b",".join(lines) + b"]}"

        return self._follow(look, interval)

    def server(self) -> AsyncIterator[bytes]:
        """The server's machine: now, and whenever it is in another state.

        If it is a node, there is news all the time: how long leases are good, and what the links carry.
        """
        told: object = _NOTHING
        interval = self._settings.inspect_interval
        told_at = -math.inf

        async def look() -> bytes | None:
            nonlocal told, told_at
            life, now = self._directory.life, trio.current_time()
            if life.state == told and now - told_at < interval * _ALL_ROOMS:
                return None
            node = self._others.look_at_node()
            if life.state == told and node is None:
                return None
            told, told_at = life.state, now
            return _encoder.encode(look_at_server(life, node))

        return self._follow(look, interval)

    async def _follow(self, look: Callable[[], Awaitable[bytes | None]], interval: float) -> AsyncIterator[bytes]:
        if self.full:
            # Other pages came between the check and this first step. This page will ask again, and is then
            # refused.
            return
        self._watchers += 1
        try:
            quiet_since = trio.current_time()
            while True:
                data = await look()
                if data is not None:
                    yield b"data: " + data + b"\n\n"
                elif trio.current_time() - quiet_since >= _SIGN_OF_LIFE:
                    yield b":\n\n"
                else:
                    await trio.sleep(interval)
                    continue
                quiet_since = trio.current_time()
                await trio.sleep(interval)
        except ElsewhereError:
            return
        finally:
            self._watchers -= 1

    async def _look_at_all(self, *, anew: bool) -> bytes:
        """All rooms as JSON.

        They are looked at once in each interval, and the bytes stay the same while nothing has changed. `anew` is
        for a page that has been sent nothing yet: it needs the present ages of the rooms, and not those of the
        last change.
        """
        now = trio.current_time()
        if not anew and now - self._all.at < self._settings.inspect_interval * _ALL_ROOMS:
            return self._all.data
        glances = await self.glances()
        ageless = [_ageless(glance) for glance in glances]
        data = self._all.data if ageless == self._all.glance and not anew else _encoder.encode(glances)
        self._all = _Look(now, ageless, data)
        return data

    def _look(self, room: Room) -> bytes:
        """The room as JSON. If nothing has changed, these are the bytes that another watcher got a moment ago."""
        run, now, glance = room.journal.opened.run, trio.current_time(), _ageless(glance_at(room))
        last = self._looks.get(run)
        if last is not None and last.glance == glance and now - last.at < self._settings.inspect_interval:
            return last.data
        self._looks = {known: look for known, look in self._looks.items() if now - look.at < _SIGN_OF_LIFE}
        self._looks[run] = _Look(now, glance, _encoder.encode(look_at(room)))
        return self._looks[run].data


_NOTHING = object()
"""Marks a watcher that has not been sent anything yet."""
_OVER = "over"
_NO_ROOM = b'{"room":null,"over":true,"journal":[]}'


def _ageless(glance: Glance) -> Glance:
    """The glance without ages, so that a room that has only grown older counts as unchanged."""
    return msgspec.structs.replace(glance, age=0.0)
