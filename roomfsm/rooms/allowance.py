"""How much people may have told to everybody: a budget of each, and those that a room or an address shares.

One message to a room of 500 costs 500 deliveries, so what is told to all is bounded apart from what is sent to
the server. It is metered in messages and in encoded bytes. A meter counts what was used; it runs down at a
rate, and may stand at some seconds' worth of that rate at most.

A shared budget must not be used up by one who takes all he can get. So the threshold of each falls with what
the others use (dynamic thresholds, Choudhury and Hahne 1998): what one has used lately and what all have used
together must fit into the budget in sum. If n people take all they can, each of them stops at 1/(n+1) of the
budget, and as much stays free for the next one. What one has used lately runs down at an equal part of the
shared rate: equal among the addresses, and then among the people of one address.

Who comes into a room is told to all in it, too, and may leave at once and come again, each time by a new session.
So comings are counted for an address, not for a person, and by a budget of their own: five hundred people who come
back at once, after a restart, take nothing of what they may say.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rates:
    """Messages and bytes a second, and how many seconds' worth may be used at once."""

    messages: float
    bytes: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Cost:
    """What one thing told to everybody uses; the bytes are encoded ones, for one receiver."""

    messages: float
    bytes: float = 0.0


UNBOUNDED = Rates(1e12, 1e12, 1.0)
"""Rates that nobody meets."""
_SWEEP = 100
"""Addresses from which on those that used nothing lately are forgotten."""


class Meter:
    """What was used lately. Times are seconds of one clock that never goes back."""

    __slots__ = ("_at", "_bytes", "_messages")

    def __init__(self) -> None:
        self._messages = 0.0
        self._bytes = 0.0
        self._at = 0.0

    @property
    def idle(self) -> bool:
        """Whether all that was used has run down, as of the last `run_down`."""
        return self._messages <= 0 and self._bytes <= 0

    def run_down(self, rates: Rates, now: float, part: float = 1.0) -> None:
        """Let the meter run until `now`, at a part of the rates."""
        seconds = (now - self._at) * part
        self._at = now
        self._messages = max(0.0, self._messages - seconds * rates.messages)
        self._bytes = max(0.0, self._bytes - seconds * rates.bytes)

    def has_place(self, rates: Rates, cost: Cost, other: Meter | None = None) -> bool:
        """Whether the cost fits on top of this meter and the `other`; a cost beyond any budget fits alone."""
        messages, size = self._messages, self._bytes
        if other is not None:
            messages += other._messages
            size += other._bytes
        return messages + cost.messages <= max(rates.messages * rates.seconds, cost.messages) and (
            size + cost.bytes <= max(rates.bytes * rates.seconds, cost.bytes)
        )

    def seconds_over(self, rates: Rates) -> float:
        """Seconds until one message fits; 0 if it does now. `run_down` comes first."""
        return max(0.0, (self._messages + 1.0) / rates.messages - rates.seconds)

    def use(self, cost: Cost) -> None:
        """Count what is used. `run_down` comes first."""
        self._messages += cost.messages
        self._bytes += cost.bytes


class Share:
    """A budget that people use together, each of whom belongs to a group (an address)."""

    def __init__(self, rates: Rates) -> None:
        self.rates = rates
        self._used = Meter()
        # By person: the group, and when the last use was; the latest last.
        self._users: dict[str, tuple[str, float]] = {}
        self._groups: Counter[str] = Counter()

    def part(self, who: str, group: str, now: float) -> float:
        """The part of one of those who used something lately, `who` among them."""
        self._forget_before(now - self.rates.seconds)
        members = self._groups[group]
        groups = len(self._groups) + (members == 0)
        is_among_them = self._users.get(who, ("", 0.0))[0] == group and members > 0
        return 1.0 / (groups * (members + (not is_among_them)))

    def has_place(self, cost: Cost, lately: Meter, now: float) -> bool:
        """Whether the cost fits beside what all have used, for one who has used so much `lately`."""
        self._used.run_down(self.rates, now)
        return self._used.has_place(self.rates, cost, lately)

    def use(self, who: str, group: str, cost: Cost, now: float) -> None:
        """Count what one uses, for which `has_place` has just been asked."""
        self._used.use(cost)
        self._leave(who)
        self._users[who] = (group, now)
        self._groups[group] += 1

    def is_idle(self, now: float) -> bool:
        """Whether nothing of the past counts any more."""
        self._used.run_down(self.rates, now)
        self._forget_before(now - self.rates.seconds)
        return self._used.idle and not self._users

    def _forget_before(self, then: float) -> None:
        while self._users:
            who, (_, at) = next(iter(self._users.items()))
            if at > then:
                return
            self._leave(who)

    def _leave(self, who: str) -> None:
        group, _ = self._users.pop(who, (None, 0.0))
        if group is not None:
            self._groups[group] -= 1
            if not self._groups[group]:
                del self._groups[group]


class Entries:
    """How often people may come into one room. The addresses share the budget, whoever comes from them."""

    def __init__(self, rate: float, burst: float) -> None:
        self.share = Share(Rates(rate, UNBOUNDED.bytes, burst / rate))
        self._addresses: dict[str, Voice] = {}
        self._sweep_at = _SWEEP

    def voice_of(self, address: str, now: float) -> Voice:
        """The voice by which all who come from this address are counted."""
        if address not in self._addresses:
            if len(self._addresses) >= self._sweep_at:
                # One who has not come for long may still owe for having come often: the debt runs down at a part
                # of the rate.
                self._addresses = {
                    one: voice for one, voice in self._addresses.items() if not voice.is_idle(now, self.share)
                }
                self._sweep_at = max(_SWEEP, 2 * len(self._addresses))
            self._addresses[address] = Voice(address, address)
        return self._addresses[address]


class Voice:
    """What one person may have told to everybody, in whichever room; `shared` is the budget of the address."""

    __slots__ = ("_lately", "_own", "_rates", "_who", "address", "shared")

    def __init__(self, who: str, address: str, rates: Rates = UNBOUNDED, shared: Share | None = None) -> None:
        self.address = address
        self.shared = shared
        self._who = who
        self._rates = rates
        self._own = Meter()
        self._lately = Meter()

    def may(self, cost: Cost, now: float, room: Share | None = None) -> bool:
        """Whether so much may be told to everybody: in a room, or (without one) on the way to one."""
        self._own.run_down(self._rates, now)
        if not self._own.has_place(self._rates, cost):
            return False
        if room is None:
            return True
        shares = self._shares(room)
        self._run_down_lately(shares, now)
        return all(share.has_place(cost, self._lately, now) for share in shares)

    def use(self, cost: Cost, now: float, room: Share | None = None) -> None:
        """Count what is told to everybody, which `may` has allowed at the same time."""
        self._own.use(cost)
        if room is None:
            return
        self._lately.use(cost)
        for share in self._shares(room):
            share.use(self._who, self.address, cost, now)

    def is_idle(self, now: float, room: Share) -> bool:
        """Whether nothing that was used in a room counts any more."""
        self._run_down_lately(self._shares(room), now)
        return self._lately.idle

    def _shares(self, room: Share) -> tuple[Share, ...]:
        """The budgets that count, in each of which the address is this person's group."""
        return (room,) if self.shared is None else (room, self.shared)

    def _run_down_lately(self, shares: tuple[Share, ...], now: float) -> None:
        messages = size = math.inf
        for share in shares:
            part = share.part(self._who, self.address, now)
            messages = min(messages, share.rates.messages * part)
            size = min(size, share.rates.bytes * part)
        self._lately.run_down(Rates(messages, size, 1.0), now)
