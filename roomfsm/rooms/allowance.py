"""How much people may send to everybody: each person has a budget, and a room and an address have shared ones.

One message to a room of 500 people costs 500 deliveries. So the messages that go to everybody have a bound of
their own, apart from the bound on what a browser sends to the server. Meters count them in messages and in encoded
bytes. A meter shows what was used lately: it runs down at a rate, and may show at most some seconds' worth of that
rate.

Nobody may use up a shared budget alone. Therefore each person's limit becomes smaller, the more the others use
(dynamic thresholds, Choudhury and Hahne 1998): the sum of what this person has used lately and of what all people
have used together must fit into the budget. If n people take as much as they can, each of them stops at 1/(n+1) of
the budget, and the same amount stays free for the next person. What a person has used lately runs down at an equal
part of the shared rate. The rate is first divided equally among the addresses, and then among the people of each
address.

When somebody enters a room, everybody in it is told, and a stranger could enter and leave again and again, each
time with a new session. So entries are counted by address, not by person, and have a budget of their own: when
five hundred people come back at once after a restart, that takes nothing from what they may say.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rates:
    """Messages and bytes per second, and how many seconds' worth of them may be used at once."""

    messages: float
    bytes: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Cost:
    """What one message to everybody uses. The bytes are those of the encoded message, for one receiver."""

    messages: float
    bytes: float = 0.0


UNBOUNDED = Rates(1e12, 1e12, 1.0)
"""Rates that nobody can reach."""
_SWEEP = 100
"""The number of addresses at which those that used nothing lately are forgotten."""


class Meter:
    """Shows what was used lately. Times are in seconds, of one clock that never goes back."""

    __slots__ = ("_at", "_bytes", "_messages")

    def __init__(self) -> None:
        self._messages = 0.0
        self._bytes = 0.0
        self._at = 0.0

    @property
    def idle(self) -> bool:
        """Whether everything that was used had run down at the last `run_down`."""
        return self._messages <= 0 and self._bytes <= 0

    def run_down(self, rates: Rates, now: float, part: float = 1.0) -> None:
        """Let the meter run down until `now`, at the given `part` of the rates."""
        seconds = (now - self._at) * part
        self._at = now
        self._messages = max(0.0, self._messages - seconds * rates.messages)
        self._bytes = max(0.0, self._bytes - seconds * rates.bytes)

    def has_place(self, rates: Rates, cost: Cost, other: Meter | None = None) -> bool:
        """Whether the cost fits into the budget beside what this meter and the `other` show.

        A cost that is larger than the whole budget fits if nothing has been used.
        """
        messages, size = self._messages, self._bytes
        if other is not None:
            messages += other._messages
            size += other._bytes
        return messages + cost.messages <= max(rates.messages * rates.seconds, cost.messages) and (
            size + cost.bytes <= max(rates.bytes * rates.seconds, cost.bytes)
        )

    def seconds_over(self, rates: Rates) -> float:
        """The seconds until one message fits; 0 if it fits now. Call `run_down` first."""
        return max(0.0, (self._messages + 1.0) / rates.messages - rates.seconds)

    def use(self, cost: Cost) -> None:
        """Count what is used. Call `run_down` first."""
        self._messages += cost.messages
        self._bytes += cost.bytes


class Share:
    """A budget that people use together. Each of them belongs to a group, which is an address."""

    def __init__(self, rates: Rates) -> None:
        self.rates = rates
        self._used = Meter()
        # For each person: the group, and the time of the last use. The person who used it last comes last.
        self._users: dict[str, tuple[str, float]] = {}
        self._groups: Counter[str] = Counter()

    def part(self, who: str, group: str, now: float) -> float:
        """The part of the rate that belongs to `who`, if everybody who used something lately gets one, too."""
        self._forget_before(now - self.rates.seconds)
        members = self._groups[group]
        groups = len(self._groups) + (members == 0)
        is_among_them = self._users.get(who, ("", 0.0))[0] == group and members > 0
        return 1.0 / (groups * (members + (not is_among_them)))

    def has_place(self, cost: Cost, lately: Meter, now: float) -> bool:
        """Whether the cost fits beside what all have used, for a person whose own use is in the meter `lately`."""
        self._used.run_down(self.rates, now)
        return self._used.has_place(self.rates, cost, lately)

    def use(self, who: str, group: str, cost: Cost, now: float) -> None:
        """Count what one person uses. `has_place` must just have been asked."""
        self._used.use(cost)
        self._leave(who)
        self._users[who] = (group, now)
        self._groups[group] += 1

    def is_idle(self, now: float) -> bool:
        """Whether no past use counts any more."""
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
    """How often people may enter one room. The addresses share the budget, and each address counts as one user."""

    def __init__(self, rate: float, burst: float) -> None:
        self.share = Share(Rates(rate, UNBOUNDED.bytes, burst / rate))
        self._addresses: dict[str, Voice] = {}
        self._sweep_at = _SWEEP

    def voice_of(self, address: str, now: float) -> Voice:
        """The voice that counts everybody who enters from this address."""
        if address not in self._addresses:
            if len(self._addresses) >= self._sweep_at:
                # Addresses that are not idle are kept, even if nobody has entered from them for long: what they
                # have used runs down at only a part of the rate.
                self._addresses = {
                    one: voice for one, voice in self._addresses.items() if not voice.is_idle(now, self.share)
                }
                self._sweep_at = max(_SWEEP, 2 * len(self._addresses))
            self._addresses[address] = Voice(address, address)
        return self._addresses[address]


class Voice:
    """What one person may send to everybody, in whichever room. `shared` is the budget of the person's address."""

    __slots__ = ("_lately", "_own", "_rates", "_who", "address", "shared")

    def __init__(self, who: str, address: str, rates: Rates = UNBOUNDED, shared: Share | None = None) -> None:
        self.address = address
        self.shared = shared
        self._who = who
        self._rates = rates
        self._own = Meter()
        self._lately = Meter()

    def may(self, cost: Cost, now: float, room: Share | None = None) -> bool:
        """Whether the person may send so much to everybody, in a room or (without one) on the way to one."""
        self._own.run_down(self._rates, now)
        if not self._own.has_place(self._rates, cost):
            return False
        if room is None:
            return True
        shares = self._shares(room)
        self._run_down_lately(shares, now)
        return all(share.has_place(cost, self._lately, now) for share in shares)

    def use(self, cost: Cost, now: float, room: Share | None = None) -> None:
        """Count what the person sends to everybody. `may` must just have allowed it."""
        self._own.use(cost)
        if room is None:
            return
        self._lately.use(cost)
        for share in self._shares(room):
            share.use(self._who, self.address, cost, now)

    def is_idle(self, now: float, room: Share) -> bool:
        """Whether nothing that the person used in a room counts any more."""
        self._run_down_lately(self._shares(room), now)
        return self._lately.idle

    def _shares(self, room: Share) -> tuple[Share, ...]:
        """The shared budgets that apply. In each of them the address is this person's group."""
        return (room,) if self.shared is None else (room, self.shared)

    def _run_down_lately(self, shares: tuple[Share, ...], now: float) -> None:
        messages = size = math.inf
        for share in shares:
            part = share.part(self._who, self.address, now)
            messages = min(messages, share.rates.messages * part)
            size = min(size, share.rates.bytes * part)
        self._lately.run_down(Rates(messages, size, 1.0), now)
