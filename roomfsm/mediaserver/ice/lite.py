"""ICE-lite (RFC 8445 section 2.5): the browser checks and nominates, we answer and follow it."""

import ipaddress
import secrets
import string
from collections.abc import Sequence
from typing import NamedTuple

from roomfsm.hosts import host_and_port
from roomfsm.mediaserver.base.refusal import Refusal
from roomfsm.mediaserver.base.settings import EngineSettings
from roomfsm.mediaserver.ice import stun
from roomfsm.mediaserver.ice.allowance import Allowance

type Address = tuple[str, int] | tuple[str, int, int, int]
"""A socket address as the socket gives it: IPv4, or IPv6 with flow and scope."""

type Control = tuple[tuple[int, int, bytes], ...]
"""Control messages (sendmsg(2)) that a datagram is sent with."""


class Path(NamedTuple):
    """Where a peer is reached, and from which of our addresses, if that has to be said (`packet_info.py`)."""

    remote: Address
    control: Control = ()


_ICE_CHARACTERS = string.ascii_letters + string.digits
_REBINDING_SILENCE = 2.0
"""Seconds of silence after which a check from a new address moves media there, though it does not nominate."""
_MAX_MOVES, _MOVES_A_SECOND = 16, 1.0
"""How often media goes to another address: each is told to the owner, and a peer could nominate two in turn."""
_MAX_CANDIDATE = 1024
"""Characters of a candidate line."""
_HOST_PREFERENCE = 126
_PEER_REFLEXIVE_PREFERENCE = 110


def host_candidates(addresses: Sequence[str], port: int) -> tuple[str, ...]:
    """One UDP host candidate line an address, best first (RFC 8839 section 5.1, without `a=`).

    An address may have a port of its own (`hosts.host_and_port`).
    """
    ends = [(address, own or port) for address, own in map(host_and_port, addresses)]
    return tuple(
        f"candidate:{index + 1} 1 UDP {_priority(_HOST_PREFERENCE, 65535 - index)} {address} {end} typ host"
        for index, (address, end) in enumerate(ends)
    )


def plain_address(address: Address) -> tuple[str, int]:
    """IP and port; an IPv4 address that a dual-stack socket shows as IPv6 is given as IPv4."""
    host = address[0]
    return (host.removeprefix("::ffff:") if "." in host else host, address[1])


def local_candidate(candidates: Sequence[str], remote: Address, asked: str = "") -> str:
    """Our candidate with the address that was asked, else the first in the peer's address family.

    Empty if there is none.
    """
    for line in candidates:
        if line.split()[4] == asked:
            return line
    version = ipaddress.ip_address(plain_address(remote)[0].partition("%")[0]).version
    return next((line for line in candidates if ipaddress.ip_address(line.split()[4]).version == version), "")


def _priority(type_preference: int, local_preference: int) -> int:
    return (type_preference << 24) | (local_preference << 8) | 255


def _token(length: int) -> str:
    return "".join(secrets.choice(_ICE_CHARACTERS) for _ in range(length))


class Credentials(NamedTuple):
    """ufrag and password of our end of one transport (RFC 8839 section 5.4)."""

    ufrag: str
    password: str

    @classmethod
    def new(cls) -> "Credentials":
        return cls(_token(8), _token(24))


class IceLite:
    """The ICE agent of one peer, component 1 only (rtcp-mux).

    It knows who is allowed (`password`), which paths proved it (`paths`) and which of them media takes
    (`selected`).
    """

    __slots__ = (
        "_moves",
        "_password",
        "_remote_candidates",
        "_settings",
        "nominated",
        "password",
        "paths",
        "selected",
        "ufrag",
    )

    def __init__(self, settings: EngineSettings, credentials: Credentials | None = None) -> None:
        """`credentials`: those that the peer has been told, if it has."""
        self.ufrag, self.password = credentials or Credentials.new()
        self._password = self.password.encode()
        self._settings = settings
        self.paths: dict[Path, float] = {}
        """When each was last heard with a valid check, the oldest acquaintance first."""
        self.selected: Path | None = None
        self.nominated = False
        self._moves = Allowance(_MOVES_A_SECOND, _MAX_MOVES)
        self._remote_candidates: dict[tuple[str, int], str] = {}

    def check(self, request: stun.StunMessage, data: bytes) -> Refusal | None:
        """Whether the request is authentic and from a controlling agent; None if so."""
        if not stun.is_authentic(request, data, self._password):
            return Refusal.STUN_UNAUTHENTICATED
        if stun.ICE_CONTROLLED in request.attributes:
            return Refusal.STUN_ROLE_CONFLICT
        return None

    def success(self, request: stun.StunMessage, address: Address) -> bytes:
        return stun.success(request, plain_address(address), self._password)

    def role_conflict(self, request: stun.StunMessage) -> bytes:
        """A lite agent never becomes controlling: the other has to (RFC 8445 section 7.3.1.1)."""
        return stun.failure(request, stun.ROLE_CONFLICT, "Role Conflict", self._password)

    def heard(self, path: Path, nominated: bool, now: float) -> tuple[bool, Path | None]:
        """Note an authentic check. Returns whether `selected` changed, and a path forgotten for it.

        The newest nominated address is selected; before any nomination the newest checked one; a check that does
        not nominate also moves media once the selected address is silent (a NAT that gave the peer a new port).
        It moves only so often.
        """
        forgotten = None
        if path not in self.paths and len(self.paths) >= self._settings.max_addresses:
            forgotten = next(known for known in self.paths if known != self.selected)
            del self.paths[forgotten]
        self.paths[path] = now
        if path == self.selected:
            newly = nominated and not self.nominated
            self.nominated |= nominated
            return newly, forgotten
        if (nominated or not self.nominated or self._is_silent(now)) and self._moves.take(1, now):
            self.selected = path
            self.nominated |= nominated
            return True, forgotten
        return False, forgotten

    def _is_silent(self, now: float) -> bool:
        return self.selected is not None and now - self.paths[self.selected] > _REBINDING_SILENCE

    def add_remote_candidate(self, candidate: str) -> None:
        """Remember a candidate for naming the selected pair. Checks come from the peer, so garbage, names (mDNS),
        TCP and late ones do no harm and are passed over."""
        if len(candidate) > _MAX_CANDIDATE:
            return
        fields = candidate.strip().removeprefix("a=").split()
        if len(fields) < 8 or not fields[0].startswith("candidate:") or fields[2].upper() != "UDP":
            return
        if len(self._remote_candidates) >= self._settings.max_candidates or not fields[5].isascii():
            return
        try:
            ipaddress.ip_address(fields[4])
            port = int(fields[5])
        except ValueError:
            return
        self._remote_candidates[fields[4], port] = " ".join(fields)

    def remote_candidate(self, address: Address) -> str:
        """The peer's candidate line with this address, or a peer-reflexive one."""
        host, port = plain_address(address)
        known = self._remote_candidates.get((host, port))
        priority = _priority(_PEER_REFLEXIVE_PREFERENCE, 65535)
        return known or f"candidate:1 1 UDP {priority} {host} {port} typ prflx"
