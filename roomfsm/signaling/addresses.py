"""What the clients of one address have together: their sessions, and how much they may ask for.

An address may be a school with five hundred people behind it, so the bounds are wide; they keep one stranger from
taking the whole server, not a crowd from meeting.
"""

from __future__ import annotations

import trio

from roomfsm.protocol.errors import ErrorCode, Refusal
from roomfsm.rooms.allowance import UNBOUNDED, Cost, Meter, Rates, Share
from roomfsm.signaling.settings import SignalingSettings

_ONE = Cost(1.0)
_SWEEP = 100


class Address[Session]:
    """One address, or one /64 network of IPv6. Of its sessions, `away` has those that are, the oldest first."""

    def __init__(self, key: str, settings: SignalingSettings, seconds: float) -> None:
        self.key = key
        self.sessions: set[Session] = set()
        self.away: dict[Session, None] = {}
        rates = Rates(settings.told_rate_per_address, settings.told_bytes_per_address, seconds)
        self.share = Share(rates)
        self.names = Share(rates)
        """The budget of names that are looked at, as large as that of names that are told: to look at a name costs
        time, be it told or refused."""
        rate, burst = settings.entries_per_address, settings.entries_burst_per_address
        self._entry_rates = Rates(rate, UNBOUNDED.bytes, burst / rate)
        self._entries = Meter()

    def may_enter(self) -> None:
        """Count one who wants into a room, or back. Raises `Refusal` if there are too many in a short time."""
        self._entries.run_down(self._entry_rates, trio.current_time())
        if not self._entries.has_place(self._entry_rates, _ONE):
            detail = "Too many people of your address came in a short time; try again in a while."
            raise Refusal(ErrorCode.RATE_LIMITED, detail)
        self._entries.use(_ONE)

    def is_idle(self, now: float) -> bool:
        """Whether it would be the same if it were made anew."""
        self._entries.run_down(self._entry_rates, now)
        return not self.sessions and self._entries.idle and self.share.is_idle(now) and self.names.is_idle(now)


class Addresses[Session]:
    """Every address that counts: it has sessions, or had some so lately that its meters have not run down."""

    def __init__(self, settings: SignalingSettings, seconds: float) -> None:
        self._settings = settings
        self._seconds = seconds
        self._by_key: dict[str, Address[Session]] = {}
        self._sweep_at = _SWEEP

    def __len__(self) -> int:
        return len(self._by_key)

    def of(self, key: str) -> Address[Session]:
        """The address of that key."""
        address = self._by_key.get(key)
        if address is None:
            if len(self._by_key) >= self._sweep_at:
                self._sweep()
            address = self._by_key[key] = Address(key, self._settings, self._seconds)
        return address

    def _sweep(self) -> None:
        """Forget the idle ones; next when there are twice as many as are left now."""
        now = trio.current_time()
        self._by_key = {key: address for key, address in self._by_key.items() if not address.is_idle(now)}
        self._sweep_at = max(_SWEEP, 2 * len(self._by_key))
