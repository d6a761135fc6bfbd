"""A room's journal: what its machines did and refused, in order. It is bounded, and the room can be replayed.

An entry is encoded when it is made, not when somebody reads it: later the facts and the message may have changed,
and bytes take a third of the memory of the objects. What people said and the descriptions of their connections
are left out unless the settings ask for them, and addresses appear only as pseudonyms that differ in each run.

Steps are always recorded. Refusals are recorded only as often as `settings.journal_refusals` allows for each
person, because a client can cause any number of them and would push everything else out of the journal. The next
refusal that is recorded says how many were left out.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, cast

import msgspec
import trio

from roomfsm import __version__
from roomfsm.access.policy import Enter, Policy
from roomfsm.lifecycle.room import RoomFacts
from roomfsm.lifecycle.seat import SeatFacts
from roomfsm.lifecycle.table import Step
from roomfsm.protocol.client import SendFile
from roomfsm.protocol.errors import ErrorCode, IllegalInState, Refusal
from roomfsm.rooms.counts import Counts
from roomfsm.rooms.settings import RoomSettings

_ANYBODY = Policy()
FORMAT = "roomfsm.journal.1"
_MACHINES = ("room", "door", "seat", "sound", "administrator", "stream", "view", "relay", "file", "session")

_BODIES = frozenset({"text", "sdp", "candidate"})
"""The fields of messages that contain what people said, or the addresses of their computers."""
_FILE_NAME = frozenset({"name"})
"""What the name of a file says is like what people say. A person's name is not kept from the journal."""
_MAX_BODY = 2000
"""The number of characters of a body that are kept if the settings ask for bodies."""
_BURST = 4.0
"""How many seconds' worth of refusals one participant may have at once."""


class _Line(msgspec.Struct, frozen=True, rename="camel", tag_field="kind", omit_defaults=True, kw_only=True):
    """A line of a journal. All lines of one room, from its opening to its end, have the same `run`."""

    run: str


class Opened(_Line, frozen=True, tag="opened", kw_only=True):
    """The first line: which room was opened, when (milliseconds since 1970, UTC), and the room's settings."""

    format: str
    room: str
    opened: int
    server: str
    settings: RoomSettings
    policy: Policy = _ANYBODY
    """Without what only those may know who may enter: the password's hash, and who is invited."""
    came_back: bool = False
    """Whether the room had been opened before the server was started. Then the journal lacks the beginning."""


class Refused(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True, kw_only=True):
    """Why something was refused. `machine` and `state` are given if a machine's state was the reason.

    `left_out` is the number of refusals of the same participant that came too fast to be recorded, since the last
    one that was.
    """

    code: ErrorCode
    detail: str
    machine: str | None = None
    state: str | None = None
    left_out: int = 0


def refused_for(refusal: Refusal) -> Refused:
    """The refusal in the form that the journal records."""
    why = (refusal.machine, refusal.state) if isinstance(refusal, IllegalInState) else (None, None)
    return Refused(code=refusal.code, detail=str(refusal), machine=why[0], state=why[1])


class Entry(_Line, frozen=True, tag="step", kw_only=True):
    """One trigger and its result.

    - `at` is in seconds since the room opened.
    - `machine` and `id` say whose state went from `source` to `dest`: the room (no id), a stream
      ('<stream>#<generation>'), a view ('<participant>><stream>#<generation>'), a relay
      ('<stream>#<generation>>' and a number of its own), a file (its number in the room) or
      a session (the participant).
    - `who` is the participant whose message or connection caused it.
    - `message` is the client's message, or what else is known of the cause.
    - `facts` are the facts that the guards saw, without those that have their default value.
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
    """The last line: the room has ended."""

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
    """How many refusals of each participant are recorded. So one client cannot push out what others did."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._burst = rate * _BURST
        self._spent: dict[str | None, tuple[float, float, int]] = {}
        """For each participant: the tokens left, the time of that count, and the refusals left out since then."""

    def spend(self, who: str | None, now: float) -> int | None:
        """Returns how many refusals were left out before this one; None if this one is left out, too."""
        left, at, left_out = self._spent.get(who, (self._burst, now, 0))
        left = min(self._burst, left + (now - at) * self._rate)
        if left < 1:
            self._spent[who] = (left, now, left_out + 1)
            return None
        self._spent = {known: spent for known, spent in self._spent.items() if now - spent[1] < _BURST}
        self._spent[who] = (left - 1, now, 0)
        return left_out


class Tally:
    """Counts for one kind of machine: its transitions, the visits to each state, and the time spent in each."""

    def __init__(self) -> None:
        self.moves: Counter[tuple[str, str, str]] = Counter()
        """By trigger, source and destination."""
        self.visits: Counter[str] = Counter()
        self._dwelt: dict[str, float] = {}
        self._since: dict[str | None, tuple[str, float]] = {}

    def enter(self, id: str | None, state: str, at: float) -> None:  # noqa: A002 (the journal's word)
        """Note that one individual is in `state` from `at` (seconds) on."""
        left = self._since.get(id)
        if left is not None:
            self._dwelt[left[0]] = self._dwelt.get(left[0], 0.0) + at - left[1]
        self._since[id] = (state, at)
        self.visits[state] += 1

    def forget(self, id: str) -> None:  # noqa: A002 (the journal's word)
        """Note that an individual has ended, or is no longer in this room."""
        self._since.pop(id, None)

    def since(self, id: str | None) -> float | None:  # noqa: A002 (the journal's word)
        """When the individual entered its present state; None if there is no such individual."""
        entered = self._since.get(id)
        return None if entered is None else entered[1]

    def present(self) -> dict[str, int]:
        """How many individuals are in each state now."""
        return Counter(state for state, _ in self._since.values())

    def dwelt(self, now: float) -> dict[str, float]:
        """The seconds that all individuals together have spent in each state."""
        total = dict(self._dwelt)
        for state, since in self._since.values():
            total[state] = total.get(state, 0.0) + now - since
        return total


class Journal:
    """Keeps the last `settings.journal_entries` entries of one room, and passes every line to `sink` if given.

    Its steps are added to the server's `counts`.
    """

    def __init__(
        self,
        room: str,
        settings: RoomSettings,
        sink: Sink | None = None,
        counts: Counts | None = None,
        policy: Policy = _ANYBODY,
        *,
        came_back: bool = False,
    ) -> None:
        self.counts = counts or Counts()
        self.tallies: Mapping[str, Tally] = {name: Tally() for name in _MACHINES}
        self._began = trio.current_time()
        # Bytes are nothing that the garbage collector has to look at.
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
            policy=replace(policy, enter=Enter.ANYONE, password_hash=None, invited=()),
            came_back=came_back,
        )
        self._write(_encoder.encode(self.opened))

    @property
    def age(self) -> float:
        """Seconds since the room opened."""
        return trio.current_time() - self._began

    def begin(self, machine: str, id: str | None, state: str) -> None:  # noqa: A002 (the journal's word)
        """Note that an individual of this machine begins its life, in `state`."""
        self.tallies[machine].enter(id, state, self.age)

    def took(
        self,
        machine: str,
        id: str | None,  # noqa: A002 (the journal's word)
        step: Step,
        *,
        who: str | None = None,
        message: dict[str, Any] | None = None,
        facts: RoomFacts | SeatFacts | None = None,
        final: bool = False,
    ) -> None:
        """Record that a machine took a step. `final` says that the step has ended the machine.

        Nothing is recorded after the room's end.
        """
        if self._ended:
            return
        at = self.age
        tally = self.tallies[machine]
        tally.moves[step.trigger, step.source, step.dest] += 1
        self.counts.moves[machine, step.trigger] += 1
        # A machine that has ended may still get events, which must not count it as present again.
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
        facts: RoomFacts | SeatFacts | None = None,
    ) -> None:
        """Record that a machine refused a trigger in `state`, unless this participant is refused too often."""
        left_out = None if self._ended else self._budget.spend(who, self.age)
        if left_out is None:
            return
        refused = msgspec.structs.replace(refused_for(refusal), left_out=left_out)
        self._add(machine, id, trigger, state, state, self.age, who, message, facts, (), refused)

    def end(self) -> None:
        """Record that the room has ended."""
        self._ended = True
        self._write(_encoder.encode(Ended(run=self.opened.run, seq=self.seq + 1, at=round(self.age, 6))))

    def since(self, seq: int) -> list[Entry]:
        """The entries that are still kept and have a number above `seq`, oldest first."""
        return [entry for line in self.lines_since(seq) if isinstance(entry := decode_line(line), Entry)]

    def lines_since(self, seq: int) -> list[bytes]:
        """The same entries as lines of JSON, each without its newline."""
        wanted = min(self.seq - seq, len(self._entries))
        return [self._entries[index] for index in range(-wanted, 0)] if wanted > 0 else []

    def lines(self) -> bytes:
        """Everything that is kept, as JSON lines, from which the room can be replayed elsewhere."""
        return b"\n".join((_encoder.encode(self.opened), *self._entries, b""))

    def readable(self, message: msgspec.Struct) -> dict[str, Any]:
        """A client's message as data. Its bodies are left out unless the settings ask for them.

        What is said in private is always left out.
        """
        data: dict[str, Any] = msgspec.to_builtins(message)
        bodies = (_FILE_NAME if isinstance(message, SendFile) else _BODIES) & data.keys()
        if not self._bodies or "to" in data:
            for name in bodies:
                data[name] = f"<{len(data[name])} characters>" if data[name] else ""
        else:
            for name in bodies:
                data[name] = data[name][:_MAX_BODY]
        return data

    def pseudonym(self, address: str) -> str:
        """A word for an address. It only shows, within this run, which people had the same address."""
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
        facts: RoomFacts | SeatFacts | None,
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
            # They are encoded as an object without what has its default value.
            facts=cast("dict[str, Any] | None", facts),
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


def facts_told(told: Mapping[str, Any]) -> RoomFacts:
    """The facts of a room that an entry has recorded. Raises `TypeError` if the data are no facts of a room."""
    return RoomFacts(**{name: value for name, value in told.items() if name in RoomFacts.__struct_fields__})


def seat_facts_told(told: Mapping[str, Any]) -> SeatFacts:
    """The facts of a seat that an entry has recorded. Raises `msgspec.ValidationError` if the data are none."""
    return msgspec.convert(told, SeatFacts)
