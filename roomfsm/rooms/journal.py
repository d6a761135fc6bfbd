"""A room's journal: what its machines did and refused, in order; bounded, and enough to replay the room from."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from typing import Any

import msgspec
import trio

from roomfsm import __version__
from roomfsm.lifecycle.room import RoomFacts
from roomfsm.lifecycle.table import Step
from roomfsm.protocol.errors import ErrorCode, IllegalInState, Refusal
from roomfsm.rooms.settings import RoomSettings

FORMAT = "roomfsm.journal.1"

_NO_FACTS = asdict(RoomFacts())
_BODIES = frozenset({"text", "sdp", "candidate"})
"""Fields of messages that hold what people said, or where they are."""
_MAX_BODY = 2000
"""Characters of a body that are kept where bodies are asked for."""
_BURST = 4.0
"""Seconds' worth of refusals that one participant may have at once."""


class _Line(msgspec.Struct, frozen=True, rename="camel", tag_field="kind", omit_defaults=True, kw_only=True):
    """A line of a journal; `run` is the same for all lines of one room from its opening to its end."""

    run: str


class Opened(_Line, frozen=True, tag="opened", kw_only=True):
    """The first line: which room, when (milliseconds since 1970, UTC), and the settings that it goes by."""

    format: str
    room: str
    opened: int
    server: str
    settings: RoomSettings


class Refused(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True, kw_only=True):
    """Why something was refused; machine and state where that is what was in the way.

    `left_out`: how many refusals of the same participant came too fast since the one told before.
    """

    code: ErrorCode
    detail: str
    machine: str | None = None
    state: str | None = None
    left_out: int = 0


def refused_for(refusal: Refusal) -> Refused:
    """A refusal as the journal tells it."""
    why = (refusal.machine, refusal.state) if isinstance(refusal, IllegalInState) else (None, None)
    return Refused(code=refusal.code, detail=str(refusal), machine=why[0], state=why[1])


class Entry(_Line, frozen=True, tag="step", kw_only=True):
    """One trigger and what came of it.

    `at` in seconds since the room opened. `machine` and `id` say whose state went from `source` to `dest`: the
    room (no id), a stream ('<stream>#<generation>'), a view ('<participant>><stream>#<generation>') or a session
    (the participant). `who` is the participant whose message or connection it was. `message` is the client's, or
    what else is known of the cause.
    `facts` are what the guards saw, where it is not the default.
    """

    seq: int
    at: float
    machine: str
    id: str | None = None
    who: str | None = None
    trigger: str
    message: dict[str, Any] | None = None
    facts: dict[str, Any] | None = None
    source: str
    dest: str
    effects: tuple[str, ...] = ()
    refused: Refused | None = None


class Ended(_Line, frozen=True, tag="ended", kw_only=True):
    """The last line: everything was released."""

    seq: int
    at: float


type Line = Opened | Entry | Ended
type Sink = Callable[[bytes], None]

_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[Line] = msgspec.json.Decoder(Line)


def decode_line(text: str | bytes) -> Line:
    """Read one line of a journal. Raises `msgspec.DecodeError`."""
    return _decoder.decode(text)


class _Budget:
    """How many refusals of each participant are told: so that one client cannot wash out what others did."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._burst = rate * _BURST
        self._spent: dict[str | None, tuple[float, float, int]] = {}
        """By participant: tokens left, when that was, and refusals left out since."""

    def spend(self, who: str | None, now: float) -> int | None:
        """How many were left out before this one; None if this one is left out, too."""
        left, at, left_out = self._spent.get(who, (self._burst, now, 0))
        left = min(self._burst, left + (now - at) * self._rate)
        if left < 1:
            self._spent[who] = (left, now, left_out + 1)
            return None
        self._spent = {known: spent for known, spent in self._spent.items() if now - spent[1] < _BURST}
        self._spent[who] = (left - 1, now, 0)
        return left_out


class Tally:
    """What one kind of machine did in a room: transitions, states visited, and time spent in them."""

    def __init__(self) -> None:
        self.moves: Counter[tuple[str, str, str]] = Counter()
        """By trigger, source and destination."""
        self.visits: Counter[str] = Counter()
        self._dwelt: dict[str, float] = {}
        self._since: dict[str | None, tuple[str, float]] = {}

    def enter(self, id: str | None, state: str, at: float) -> None:  # noqa: A002 (the journal's word)
        """One individual is in `state` from `at` (seconds) on."""
        left = self._since.get(id)
        if left is not None:
            self._dwelt[left[0]] = self._dwelt.get(left[0], 0.0) + at - left[1]
        self._since[id] = (state, at)
        self.visits[state] += 1

    def forget(self, id: str) -> None:  # noqa: A002 (the journal's word)
        """An individual has ended, or is in this room no more."""
        self._since.pop(id, None)

    def since(self, id: str | None) -> float | None:  # noqa: A002 (the journal's word)
        """When the individual entered its present state."""
        entered = self._since.get(id)
        return None if entered is None else entered[1]

    def present(self) -> dict[str, int]:
        """How many individuals are in each state now."""
        return Counter(state for state, _ in self._since.values())

    def dwelt(self, now: float) -> dict[str, float]:
        """Seconds spent in each state, by all individuals together."""
        total = dict(self._dwelt)
        for state, since in self._since.values():
            total[state] = total.get(state, 0.0) + now - since
        return total


class Journal:
    """The last `settings.journal_entries` entries of one room; every line goes to `sink`, too, if there is one."""

    def __init__(self, room: str, settings: RoomSettings, sink: Sink | None = None) -> None:
        self.tallies: Mapping[str, Tally] = {name: Tally() for name in ("room", "stream", "view", "session")}
        self._began = trio.current_time()
        # Encoded at once: a third of the memory, and nothing for the garbage collector to look at.
        self._entries: deque[bytes] = deque(maxlen=settings.journal_entries)
        self._bodies = settings.journal_bodies
        self._budget = _Budget(settings.journal_refusals)
        self._sink = sink
        self._secret = secrets.token_bytes(16)
        self._ended = False
        self.seq = 0
        """The number of the newest entry."""
        self.opened = Opened(
            run=secrets.token_hex(4),
            format=FORMAT,
            room=room,
            opened=time.time_ns() // 1_000_000,
            server=f"roomfsm/{__version__}",
            settings=settings,
        )
        self._write(_encoder.encode(self.opened))

    @property
    def age(self) -> float:
        """Seconds since the room opened."""
        return trio.current_time() - self._began

    def begin(self, machine: str, id: str | None, state: str) -> None:  # noqa: A002 (the journal's word)
        """An individual of this machine begins, in `state`."""
        self.tallies[machine].enter(id, state, self.age)

    def took(
        self,
        machine: str,
        id: str | None,  # noqa: A002 (the journal's word)
        step: Step,
        *,
        who: str | None = None,
        message: dict[str, Any] | None = None,
        facts: RoomFacts | None = None,
        final: bool = False,
    ) -> None:
        """A machine took a step; `final` where that has ended it. After the room's end nothing is noted."""
        if self._ended:
            return
        at = self.age
        tally = self.tallies[machine]
        tally.moves[step.trigger, step.source, step.dest] += 1
        # What has ended may still have something to say, and is not counted again.
        if step.moved or (tally.since(id) is None and not final):
            tally.enter(id, step.dest, at)
        if final and id is not None:
            tally.forget(id)
        self._add(machine, id, step.trigger, step.source, step.dest, at, who, message, facts, step.effects, None)

    def refused(
        self,
        machine: str,
        id: str | None,  # noqa: A002 (the journal's word)
        trigger: str,
        state: str,
        refusal: Refusal,
        *,
        who: str | None = None,
        message: dict[str, Any] | None = None,
        facts: RoomFacts | None = None,
    ) -> None:
        """A machine refused a trigger in `state`; of one who is refused too often only some are told."""
        left_out = None if self._ended else self._budget.spend(who, self.age)
        if left_out is None:
            return
        refused = msgspec.structs.replace(refused_for(refusal), left_out=left_out)
        self._add(machine, id, trigger, state, state, self.age, who, message, facts, (), refused)

    def end(self) -> None:
        """The room is over."""
        self._ended = True
        self._write(_encoder.encode(Ended(run=self.opened.run, seq=self.seq + 1, at=round(self.age, 6))))

    def since(self, seq: int) -> list[Entry]:
        """The entries kept whose number is above `seq`, oldest first."""
        return [entry for line in self.lines_since(seq) if isinstance(entry := decode_line(line), Entry)]

    def lines_since(self, seq: int) -> list[bytes]:
        """The same as JSON, a line each without its end."""
        wanted = min(self.seq - seq, len(self._entries))
        return [self._entries[index] for index in range(-wanted, 0)] if wanted > 0 else []

    def lines(self) -> bytes:
        """What is kept, as JSON lines: to be replayed elsewhere."""
        return b"\n".join((_encoder.encode(self.opened), *self._entries, b""))

    def readable(self, message: msgspec.Struct) -> dict[str, Any]:
        """A client's message as data; its bodies are left out unless the settings ask for them."""
        data: dict[str, Any] = msgspec.to_builtins(message)
        if not self._bodies:
            for name in _BODIES & data.keys():
                data[name] = f"<{len(data[name])} characters>" if data[name] else ""
        else:
            for name in _BODIES & data.keys():
                data[name] = data[name][:_MAX_BODY]
        return data

    def pseudonym(self, address: str) -> str:
        """A word for an address that says nothing outside this run: only which people had the same one."""
        return hashlib.blake2s(address.encode(), digest_size=4, key=self._secret).hexdigest()

    def _add(
        self,
        machine: str,
        id: str | None,  # noqa: A002 (the journal's word)
        trigger: str,
        source: str,
        dest: str,
        at: float,
        who: str | None,
        message: dict[str, Any] | None,
        facts: RoomFacts | None,
        effects: tuple[str, ...],
        refused: Refused | None,
    ) -> None:
        entry = Entry(
            run=self.opened.run,
            seq=self.seq + 1,
            at=round(at, 6),
            machine=machine,
            id=id,
            who=who,
            trigger=trigger,
            message=message,
            facts=None if facts is None else _told(facts),
            source=source,
            dest=dest,
            effects=effects,
            refused=refused,
        )
        line = _encoder.encode(entry)
        self.seq += 1
        self._entries.append(line)
        self._write(line)

    def _write(self, line: bytes) -> None:
        if self._sink is not None:
            self._sink(line + b"\n")


def _told(facts: RoomFacts) -> dict[str, Any]:
    return {name: value for name in _NO_FACTS if (value := getattr(facts, name)) != _NO_FACTS[name]}


def facts_told(told: Mapping[str, Any]) -> RoomFacts:
    """The facts that an entry tells. Raises `TypeError` where they are none of ours."""
    known = {item.name for item in fields(RoomFacts)}
    return RoomFacts(**{name: value for name, value in told.items() if name in known})
