"""A transport whose other side is an ICE-lite agent: we check it, and it only answers.

The other side is another media server, usually one of ours, to which a stream is relayed. Once a check was
answered, the transport is like any other: the same events follow in the same order, and the same silence ends it.
"""

import socket
from collections.abc import Callable, Sequence

from roomfsm.log import get_logger
from roomfsm.mediaserver.dtls.state import DtlsState
from roomfsm.mediaserver.engine.own_port import OwnPort
from roomfsm.mediaserver.engine.transport import Network, Transport, TransportOwner
from roomfsm.mediaserver.ice import stun
from roomfsm.mediaserver.ice.checks import Checks
from roomfsm.mediaserver.ice.lite import Address, Credentials, Path, RemoteCandidate, peer_reflexive, plain_address
from roomfsm.mediaserver.ice.state import IceState

log = get_logger(__name__)


class CheckingTransport(Transport):
    """One transport with a port of its own, from which it checks the candidates of a lite agent."""

    __slots__ = ("_checks", "_mapped", "_open_port", "_port")

    def __init__(
        self,
        network: Network,
        owner: TransportOwner,
        credentials: Credentials,
        theirs: Credentials,
        open_port: Callable[[], OwnPort],
    ) -> None:
        """`theirs` are the other side's credentials. `open_port` may raise `OSError`."""
        super().__init__(network, owner, credentials)
        self._checks = Checks(network.settings, credentials, theirs)
        self._open_port = open_port
        self._port: OwnPort | None = None
        self._mapped: tuple[str, int] | None = None
        """Our address as the other side sees it."""

    @property
    def own_socket(self) -> socket.socket | None:
        return None if self._port is None else self._port.socket

    def start(self, fingerprints: Sequence[tuple[str, bytes]], now: float, *, dtls_client: bool = False) -> None:
        """Begin to check. Without a port the transport fails at once."""
        try:
            self._port = self._open_port()
        except OSError as error:
            log.warning("no port for a link to another media server", error=str(error))
            self._set_ice_state(IceState.FAILED)
            return
        self._network, self._port.checker = self._port, self
        super().start(fingerprints, now, dtls_client=dtls_client)
        self._set_ice_state(IceState.CONNECTING)
        self._network.handshaking.add(self)

    def add_remote_candidate(self, candidate: str) -> RemoteCandidate | None:
        added = super().add_remote_candidate(candidate)
        if added is not None:
            self._checks.add(added)
            if self._port is not None:
                self._network.handshaking.add(self)
        return added

    def receive_answer(self, response: stun.StunMessage, data: bytes, address: Address, now: float) -> None:
        """Take the response to one of our checks."""
        answered = self._checks.answered(response, data, plain_address(address), now)
        if answered is not None:
            self._mapped = answered.mapped or self._mapped
            self._heard(Path(address), answered.nominated, "", now)
            self._network.handshaking.add(self)

    def _local_candidate(self, address: Address, asked: str) -> str:
        del address, asked
        return "" if self._mapped is None else peer_reflexive(self._mapped)

    def drive_handshake(self, now: float) -> bool:
        self._check(now)
        shakes_hands = self.dtls_state is DtlsState.CONNECTING and super().drive_handshake(now)
        return shakes_hands or self._checks.in_haste

    def check_silence(self, now: float) -> None:
        # While no media flow, the other side only answers. So its silence means nothing before we have asked.
        if not self._check(now):
            super().check_silence(now)

    def _check(self, now: float) -> bool:
        """Send the checks that are due. Returns whether there were any."""
        if self._port is None:
            return False
        due = self._checks.due(now)
        for check in due:
            if (address := self._port.remote(check.host, check.port)) is not None:
                self._port.send(check.request, Path(address))
        return bool(due)

    def close(self) -> None:
        super().close()
        if self._port is not None:
            self._port.close()
