"""ICE-lite (RFC 8445 section 2.5): the browser sends checks and nominates a path; we answer and use that path.

A browser whose network has changed restarts ICE (RFC 8445 section 9): both sides get new credentials, and media
go on over the old path until a check with the new credentials comes. Until then checks with the old ones are
answered, too, because the browser may never get our new ones.
"""

import ipaddress
import secrets
import string
from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol

from roomfsm.hosts import host_and_port
from roomfsm.mediaserver.base.refusal import Refusal
from roomfsm.mediaserver.base.settings import EngineSettings
from roomfsm.mediaserver.ice import stun
from roomfsm.mediaserver.ice.allowance import Allowance

type Control = tuple[tuple[int, int, bytes], ...]
"""The control messages (sendmsg(2)) with which a datagram is sent."""


class Stream(Protocol):
    """A TCP connection from a peer (RFC 6544), which takes whole packets and never waits."""

    def sendmsg(
        self, buffers: Iterable[bytes | memoryview], ancillary: Control = (), flags: int = 0, to: object = None, /
    ) -> int:
        """Send one packet, as a UDP socket does."""

    def send_run(self, view: memoryview, stride: int, /) -> None:
        """Send packets of `stride` bytes, of which the last may be shorter."""

    def close(self) -> None: ...


class StreamAddress(NamedTuple):
    """The address of a peer that has come over TCP."""

    host: str
    port: int
    stream: Stream


type Address = tuple[str, int] | tuple[str, int, int, int] | StreamAddress
"""The address of a peer: as a UDP socket returns it (IPv4, or IPv6 with flow and scope), or that of a stream."""


class Path(NamedTuple):
    """The address of a peer, and control messages that name our own address if that is necessary
    (`packet_info.py`).
    """

    remote: Address
    control: Control = ()


_ICE_CHARACTERS = string.ascii_letters + string.digits
_REBINDING_SILENCE = 2.0
"""After so many seconds of silence, a check from a new address moves media there even if it does not nominate."""
_MAX_MOVES, _MOVES_A_SECOND = 16, 1.0
"""How often media may move to another address. Each move is reported to the owner, and a peer could nominate two
addresses in turn."""
_MAX_CANDIDATE = 1024
"""The most characters of a candidate line."""
_HOST_PREFERENCE = 126
_PEER_REFLEXIVE_PREFERENCE = 110
_TCP_HOST_PREFERENCE = 90
_TCP_PEER_REFLEXIVE_PREFERENCE = 80
_PASSIVE, _ACTIVE = 4, 6
"""How much a direction of TCP is preferred (RFC 6544 section 4.2)."""
_FIRST_BY_TCP = 8191
"""The highest preference of one address among those of a direction."""


def host_candidates(
    addresses: Sequence[str], port: int, tcp_port: int | None = None, announced_tcp_port: int = 0
) -> tuple[str, ...]:
    """One UDP host candidate line for each address, the best first (RFC 8839 section 5.1, without `a=`), and then
    one for TCP if there is a `tcp_port` (RFC 6544 section 4.5).

    An address may have a port of its own (`hosts.host_and_port`). It is TCP's, too, if we have the same number for
    both and no `announced_tcp_port`.
    """
    ends = [(address, own or port) for address, own in map(host_and_port, addresses)]
    lines = [
        f"candidate:{index + 1} 1 UDP {_priority(_HOST_PREFERENCE, 65535 - index)} {address} {end} typ host"
        for index, (address, end) in enumerate(ends)
    ]
    if tcp_port is not None:
        for index, (address, end) in enumerate(ends):
            priority = _priority(_TCP_HOST_PREFERENCE, _tcp_preference(_PASSIVE, index))
            number = announced_tcp_port or (end if tcp_port == port else tcp_port)
            lines.append(
                f"candidate:{len(ends) + index + 1} 1 TCP {priority} {address} {number} typ host tcptype passive"
            )
    return tuple(lines)


def plain_address(address: Address) -> tuple[str, int]:
    """The IP address and port. An IPv4 address that a dual-stack socket shows as IPv6 becomes IPv4."""
    host = address[0]
    return (host.removeprefix("::ffff:") if "." in host else host, address[1])


def is_over_tcp(candidate: str) -> bool:
    """Whether this is the line of a TCP candidate."""
    return candidate.split(maxsplit=3)[2].upper() == "TCP"


def local_candidate(candidates: Sequence[str], remote: Address, asked: str = "") -> str:
    """Our candidate with the address that the peer contacted, or else the first one of the peer's address family.

    Empty if there is none.
    """
    over_tcp = isinstance(remote, StreamAddress)
    lines = [line for line in candidates if is_over_tcp(line) is over_tcp]
    for line in lines:
        if line.split()[4] == asked:
            return line
    version = ipaddress.ip_address(plain_address(remote)[0].partition("%")[0]).version
    return next((line for line in lines if ipaddress.ip_address(line.split()[4]).version == version), "")


def _priority(type_preference: int, local_preference: int) -> int:
    return (type_preference << 24) | (local_preference << 8) | 255


def _tcp_preference(direction: int, index: int) -> int:
    return (direction << 13) | (_FIRST_BY_TCP - index)


PEER_REFLEXIVE_PRIORITY = _priority(_PEER_REFLEXIVE_PREFERENCE, 65535)


def peer_reflexive(address: Address) -> str:
    """The line of a candidate that was found by a check (RFC 8445 section 5.1.1.2)."""
    host, port = plain_address(address)
    if isinstance(address, StreamAddress):
        priority = _priority(_TCP_PEER_REFLEXIVE_PREFERENCE, _tcp_preference(_ACTIVE, 0))
        return f"candidate:1 1 TCP {priority} {host} {port} typ prflx tcptype active"
    return f"candidate:1 1 UDP {PEER_REFLEXIVE_PRIORITY} {host} {port} typ prflx"


def _token(length: int) -> str:
    return "".join(secrets.choice(_ICE_CHARACTERS) for _ in range(length))


class RemoteCandidate(NamedTuple):
    """A UDP candidate of the other side."""

    host: str
    """Its IP address."""
    port: int
    priority: int
    component: str


class Credentials(NamedTuple):
    """The ufrag and password of our end of one transport (RFC 8839 section 5.4)."""

    ufrag: str
    password: str

    @classmethod
    def new(cls) -> "Credentials":
        return cls(_token(8), _token(24))


def _ufrag(request: stun.StunMessage) -> str:
    """Our ufrag in a check (RFC 8445 section 7.2.2)."""
    return request.attributes.get(stun.USERNAME, b"").partition(b":")[0].decode(errors="replace")


class IceLite:
    """The ICE agent of one peer, for component 1 only (rtcp-mux).

    It has the `password` that checks must know, the `paths` from which authentic checks came, and the path that
    media use (`selected`).
    """

    __slots__ = (
        "_before",
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
        """`credentials` are those that the peer has already been told, if any."""
        self.ufrag, self.password = credentials or Credentials.new()
        self._password = self.password.encode()
        self._settings = settings
        self.paths: dict[Path, float] = {}
        """When the last authentic check came on each path. The path that has been known longest is first."""
        self.selected: Path | None = None
        self.nominated = False
        self._moves = Allowance(_MOVES_A_SECOND, _MAX_MOVES)
        self._remote_candidates: dict[tuple[str, int], str] = {}
        self._before: Credentials | None = None
        """The credentials before a restart, until the peer has used the new ones."""

    @property
    def credentials(self) -> Credentials:
        """Those that the peer was told last."""
        return Credentials(self.ufrag, self.password)

    @property
    def ufrags(self) -> tuple[str, ...]:
        """The ufrags that checks may have."""
        return (self.ufrag,) if self._before is None else (self.ufrag, self._before.ufrag)

    def restart(self, credentials: Credentials) -> str | None:
        """Take new credentials. Returns the ufrag that is no longer valid because of that, if there is one.

        The peer never used it: it restarts again, before it has sent a check with the credentials of the last
        restart.
        """
        gone = None
        if self._before is None:
            self._before = self.credentials
        else:
            gone = self.ufrag
        self.ufrag, self.password = credentials
        self._password = self.password.encode()
        self._remote_candidates.clear()
        return gone

    def adopt(self, request: stun.StunMessage) -> str | None:
        """Note an authentic check. If it is the first one after a restart, a new path is to be chosen.

        Returns the ufrag that is no longer valid because of that, if there is one.
        """
        if self._before is None or _ufrag(request) != self.ufrag:
            return None
        gone, self._before = self._before.ufrag, None
        self.nominated = False
        return gone

    def _password_for(self, request: stun.StunMessage) -> bytes:
        before = self._before
        if before is not None and _ufrag(request) == before.ufrag:
            return before.password.encode()
        return self._password

    def check(self, request: stun.StunMessage, data: bytes) -> Refusal | None:
        """Why a request is refused; None if it is authentic and from a controlling agent."""
        if not stun.is_authentic(request, data, self._password_for(request)):
            return Refusal.STUN_UNAUTHENTICATED
        if stun.ICE_CONTROLLED in request.attributes:
            return Refusal.STUN_ROLE_CONFLICT
        return None

    def success(self, request: stun.StunMessage, address: Address) -> bytes:
        return stun.success(request, plain_address(address), self._password_for(request))

    def role_conflict(self, request: stun.StunMessage) -> bytes:
        """The response to a role conflict.

        A lite agent never becomes controlling, so the other side has to (RFC 8445 section 7.3.1.1).
        """
        return stun.failure(request, stun.ROLE_CONFLICT, "Role Conflict", self._password_for(request))

    def heard(self, path: Path, nominated: bool, now: float) -> tuple[bool, Path | None]:
        """Record an authentic check.

        Returns whether `selected` changed, and a path that was forgotten for the new one. The newest nominated
        path is selected or, before any nomination, the newest checked one. When the selected path is silent, a
        check that does not nominate also moves media, because a NAT may have given the peer a new port. The number
        of moves is limited.
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

    def add_remote_candidate(self, candidate: str) -> RemoteCandidate | None:
        """Remember a candidate, to name the selected pair. Returns it if it is a new one.

        Garbage, names (mDNS), TCP candidates and late ones are ignored. They do no harm, because checks come from
        the peer.
        """
        if len(candidate) > _MAX_CANDIDATE:
            return None
        fields = candidate.strip().removeprefix("a=").split()
        if len(fields) < 8 or not fields[0].startswith("candidate:") or fields[2].upper() != "UDP":
            return None
        if len(self._remote_candidates) >= self._settings.max_candidates:
            return None
        if not (fields[3].isascii() and fields[5].isascii()):
            return None
        try:
            address = str(ipaddress.ip_address(fields[4]))
            priority, port = int(fields[3]), int(fields[5])
        except ValueError:
            return None
        known = (fields[4], port) in self._remote_candidates
        self._remote_candidates[fields[4], port] = " ".join(fields)
        return None if known else RemoteCandidate(*plain_address((address, port)), priority, fields[1])

    def remote_candidate(self, address: Address) -> str:
        """The peer's candidate line with this address, or else a peer-reflexive one."""
        known = None
        if not isinstance(address, StreamAddress):
            known = self._remote_candidates.get(plain_address(address))
        return known or peer_reflexive(address)

    def lost(self, path: Path) -> bool:
        """Forget a path that has broken. Returns whether it was the selected one.

        Any check selects another one then.
        """
        self.paths.pop(path, None)
        if path != self.selected:
            return False
        self.selected, self.nominated = None, False
        return True
