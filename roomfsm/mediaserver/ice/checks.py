"""Connectivity checks (RFC 8445 sections 6.1.4 and 7.2) towards an ICE-lite agent, and consent (RFC 7675).

Theory. Two lite agents never check each other (RFC 8445 section 6.1.1), so two of our media servers would not find
out whether a path works, and would send media without consent. But an agent is lite or full for one session only:
what it says in its offer or answer decides. So when we answer a lite agent, we are the full agent of this
session: our answer has no `a=ice-lite`, and we are controlling (section 6.1.1).

Each candidate of the other side is checked, the one with the highest priority first, at intervals of Ta (section
14.2). A check without an answer is repeated, each time after twice as long, up to a number of tries. The first
candidate that answers is chosen, because it has the highest priority of those that work or the others did not
answer in time. From then on only this candidate is checked, and each check nominates it. Until the first such
check is answered, they are repeated like the others. After that they ask for consent: a check is sent about every
`consent_interval`, and after `consent_life` without an answer there are no more.

The checks are pure: they are given the time and responses, and return what must be sent.
"""

import ipaddress
import random
import secrets
from collections import deque
from typing import NamedTuple

from roomfsm.mediaserver.base.settings import EngineSettings
from roomfsm.mediaserver.ice import stun
from roomfsm.mediaserver.ice.lite import PEER_REFLEXIVE_PRIORITY, Credentials, RemoteCandidate

_PACE = 0.05
"""Seconds between the first checks of two candidates (Ta, RFC 8445 section 14.2)."""
_JITTER = 0.2
"""The interval of consent checks differs by up to this share each time (RFC 7675 section 5.1)."""
_OPEN_CHECKS = 8
"""How many of the newest checks of the chosen candidate may still be answered."""
_COMPONENT = "1"


class Check(NamedTuple):
    """A request that must be sent."""

    host: str
    port: int
    request: bytes


class Answered(NamedTuple):
    """What an authentic answer says."""

    nominated: bool
    """Whether the candidate was nominated by the check."""
    mapped: tuple[str, int] | None
    """Our address as the other side sees it, if it says so."""


class _Pair:
    """A candidate of the other side, and the check that is repeated until it is answered."""

    __slots__ = ("due", "host", "port", "priority", "request", "transaction", "tries")

    def __init__(self, candidate: RemoteCandidate) -> None:
        self.host = candidate.host
        self.port = candidate.port
        self.priority = candidate.priority
        self.request = self.transaction = b""
        self.tries = 0
        """How often the check was sent."""
        self.due = 0.0


class Checks:
    """The checks of one transport. Times are in seconds."""

    __slots__ = (
        "_chosen",
        "_heard",
        "_next_first",
        "_open",
        "_pairs",
        "_password",
        "_settings",
        "_tie_breaker",
        "_username",
        "nominated",
    )

    def __init__(self, settings: EngineSettings, ours: Credentials, theirs: Credentials) -> None:
        self._settings = settings
        self._username = f"{theirs.ufrag}:{ours.ufrag}".encode()
        self._password = theirs.password.encode()
        self._tie_breaker = secrets.token_bytes(8)
        self._pairs: list[_Pair] = []
        """The candidates, the highest priority first."""
        self._next_first = float("-inf")
        """When the next candidate may be checked for the first time."""
        self._chosen: _Pair | None = None
        self._open: deque[bytes] = deque(maxlen=_OPEN_CHECKS)
        """The transaction ids of the newest checks of the chosen candidate."""
        self._heard = 0.0
        """When the chosen candidate last answered."""
        self.nominated = False
        """Whether the other side has answered a check that nominates."""

    def add(self, candidate: RemoteCandidate) -> None:
        """Check this candidate as well, unless no check can reach it or one has been chosen."""
        if self._chosen is None and _is_reachable(candidate):
            self._pairs.append(_Pair(candidate))
            self._pairs.sort(key=lambda pair: -pair.priority)

    @property
    def in_haste(self) -> bool:
        """Whether there are checks that must be sent within the pace, and not only asks for consent."""
        if self._chosen is None:
            return any(pair.tries < self._settings.check_tries for pair in self._pairs)
        return not self.nominated and self._chosen.tries < self._settings.check_tries

    def due(self, now: float) -> list[Check]:
        """The checks that must be sent now. They count as sent."""
        if self._chosen is not None:
            return self._due_of_chosen(self._chosen, now)
        checks: list[Check] = []
        for pair in self._pairs:
            first = pair.tries == 0
            if pair.tries >= self._settings.check_tries or now < (self._next_first if first else pair.due):
                continue
            if first:
                self._next_first = now + _PACE
                pair.transaction, pair.request = self._new_check(nominates=False)
            checks.append(self._sent(pair, now))
        return checks

    def _due_of_chosen(self, pair: _Pair, now: float) -> list[Check]:
        """A nominating check, with a new transaction each time, as RFC 7675 section 5.1 wants it for consent."""
        if now < pair.due or now - self._heard > self._settings.consent_life:
            return []
        transaction, pair.request = self._new_check(nominates=True)
        self._open.append(transaction)
        if self.in_haste:
            return [self._sent(pair, now)]
        pair.due = now + self._settings.consent_interval * random.uniform(1 - _JITTER, 1 + _JITTER)
        return [Check(pair.host, pair.port, pair.request)]

    def _new_check(self, *, nominates: bool) -> tuple[bytes, bytes]:
        transaction = secrets.token_bytes(12)
        return transaction, stun.check(
            transaction,
            self._username,
            PEER_REFLEXIVE_PRIORITY,
            self._tie_breaker,
            self._password,
            nominates=nominates,
        )

    def _sent(self, pair: _Pair, now: float) -> Check:
        pair.due = now + self._settings.check_retry * 2**pair.tries
        pair.tries += 1
        return Check(pair.host, pair.port, pair.request)

    def answered(
        self, response: stun.StunMessage, data: bytes, source: tuple[str, int], now: float
    ) -> Answered | None:
        """Take a response, which was received from `source` as `data`.

        None if it answers none of the checks (RFC 8445 section 7.2.5): because it is not authentic, comes from
        another address than the one that was checked, or is late. Error responses count as no answer: the check
        is repeated.
        """
        if response.type != stun.BINDING_SUCCESS or not stun.is_authentic(response, data, self._password):
            return None
        pair, transaction = self._chosen, response.transaction_id
        if pair is None:
            pair = next((one for one in self._pairs if one.tries and one.transaction == transaction), None)
            if pair is None or source != (pair.host, pair.port):
                return None
            self._chosen, pair.tries, pair.due = pair, 0, now
            self._pairs = []
            self._heard = now
            return Answered(False, stun.mapped_address(response))
        if transaction not in self._open or source != (pair.host, pair.port):
            return None
        if not self.nominated:
            self.nominated = True
            pair.due = now + self._settings.consent_interval
        self._heard = now
        return Answered(True, stun.mapped_address(response))


def _is_reachable(candidate: RemoteCandidate) -> bool:
    """Whether a check can be sent there.

    A link-local address would need an interface, and an agent must not send checks to groups of machines.
    """
    ip = ipaddress.ip_address(candidate.host)
    reachable = not (ip.is_multicast or ip.is_unspecified or ip.is_link_local)
    return reachable and 0 < candidate.port < 65536 and candidate.component == _COMPONENT
