"""What the clients of one address share: their sessions, and the budgets for what they may ask for.

One address may be a school with five hundred people behind it. So the bounds are wide: they keep one stranger from
using up the whole server, but do not keep a crowd from meeting.
"""

from __future__ import annotations

import trio

from roomfsm.protocol.errors import ErrorCode, Refusal
from roomfsm.rooms.allowance import UNBOUNDED, Cost, Meter, Rates, Share
from roomfsm.signaling.settings import SignalingSettings

_ONE = Cost(1.0)
_SWEEP = 100


class Address[Session]:
    """One address, or one /64 network of IPv6.

    `away` has its sessions that are away, the longest away first. `expected` has those that came back with their
    rooms, and whose browsers should be back in a moment: they make no way for others, nor do they count.
    """

    def __init__(self, key: str, settings: SignalingSettings, seconds: float) -> None:
        self.key = key
        self.sessions: set[Session] = set()
        self.away: dict[Session, None] = {}
        self.expected: dict[Session, None] = {}
        rates = Rates(settings.told_rate_per_address, settings.told_bytes_per_address, seconds)
        self.share = Share(rates)
        self.names = Share(rates)
        """The budget for checking new names. It is as large as that for sending them, because checking a name
        costs time even if the name is then refused."""
        rate, burst = settings.entries_per_address, settings.entries_burst_per_address
        self._entry_rates = Rates(rate, UNBOUNDED.bytes, burst / rate)
        self._entries = Meter()

    def may_enter(self) -> None:
        """Count somebody who wants to enter a room or come back. Raises `Refusal` if too many do in short time."""
        self._entries.run_down(self._entry_rates, trio.current_time())
        if not self._entries.has_place(self._entry_rates, _ONE):
            detail = "Too many people of your address came in a short time; try again in a while."
            raise Refusal(ErrorCode.RATE_LIMITED, detail)
        self._entries.use(_ONE)

    def is_idle(self, now: float) -> bool:
        """Whether the address can be forgotten, because a new one would be in the same state."""
        self._entries.run_down(self._entry_rates, now)
        nobody = not (self.sessions or self.expected)
        return nobody and self._entries.idle and self.share.is_idle(now) and self.names.is_idle(now)


class Addresses[Session]:
    """All addresses that have sessions, or had some so recently that their meters have not run down yet."""

    def __init__(self, settings: SignalingSettings, seconds: float) -> None:
        self._settings = settings
        self._seconds = seconds
        self._by_key: dict[str, Address[Session]] = {}
        self._sweep_at = _SWEEP

    def __len__(self) -> int:
        return len(self._by_key)

    def of(self, key: str) -> Address[Session]:
        """The address with that key, which is made if it is not known yet."""
        address = self._by_key.get(key)
        if address is None:
            if len(self._by_key) >= self._sweep_at:
                self._sweep()
            address = self._by_key[key] = Address(key, self._settings, self._seconds)
        return address

    def _sweep(self) -> None:
        """Forget the idle addresses. The next sweep comes when there are twice as many as are left now."""
        now = trio.current_time()
        self._by_key = {key: address for key, address in self._by_key.items() if not address.is_idle(now)}
        self._sweep_at = max(_SWEEP, 2 * len(self._by_key))
