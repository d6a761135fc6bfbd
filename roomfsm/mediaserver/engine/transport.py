"""One peer's transport: ICE-lite, then DTLS, then SRTP. It reports its states to its owner."""

import socket
from collections.abc import Sequence
from typing import Protocol

from roomfsm.mediaserver.base.refusal import Refusal
from roomfsm.mediaserver.base.settings import EngineSettings
from roomfsm.mediaserver.dtls.session import DtlsError, DtlsIdentity, DtlsSession
from roomfsm.mediaserver.dtls.srtp import SrtpError, SrtpReceiver, SrtpSender
from roomfsm.mediaserver.dtls.state import DtlsState
from roomfsm.mediaserver.engine import packet_info
from roomfsm.mediaserver.ice import stun
from roomfsm.mediaserver.ice.lite import (
    Address,
    Credentials,
    IceLite,
    Path,
    RemoteCandidate,
    Stream,
    StreamAddress,
    local_candidate,
    plain_address,
)
from roomfsm.mediaserver.ice.state import IceState

_JUST_HEARD = 2.0
"""A peer that was heard within so many seconds keeps its address, even if somebody else sends checks from that
address."""


class Network(Protocol):
    """The parts of the engine that a transport needs."""

    settings: EngineSettings
    identity: DtlsIdentity
    candidates: tuple[str, ...]
    by_ufrag: dict[bytes, "Transport"]
    by_address: dict[Address, "Transport"]
    handshaking: "set[Transport]"

    def send(self, datagram: bytes, path: Path) -> None: ...

    def refuse(self, reason: Refusal) -> None: ...

    def arrival_time(self) -> float:
        """The arrival time of the datagram that is being handled, in seconds of a clock of its own."""

    def memory_freed(self) -> None:
        """A transport has released the memory of its handshake."""


class TransportOwner(Protocol):
    """The owner of a transport, which gets its reports.

    See :class:`~roomfsm.mediaserver.engine.observer.PeerObserver` for the first three methods.
    """

    def ice_state_changed(self, state: IceState) -> None: ...

    def candidate_pair_selected(self, local: str, remote: str) -> None: ...

    def dtls_state_changed(self, state: DtlsState) -> None: ...

    def dtls_failed(self, reason: str) -> None:
        """The handshake failed or the association broke. The state FAILED follows."""

    def path_changed(self) -> None:
        """Media can now be sent, can no longer be sent, or go to another address."""

    def rtp_received(self, packet: bytes, now: float) -> None: ...

    def rtcp_received(self, compound: bytes, now: float) -> None: ...


class Transport:
    """One transport, from the answer until :meth:`close`. Media can be sent while `usable` is true."""

    __slots__ = (
        "_dtls",
        "_handshake_end",
        "_last_dtls",
        "_last_heard",
        "_lingers",
        "_network",
        "_owner",
        "_receiver",
        "_started",
        "dtls_state",
        "ice",
        "ice_state",
        "sender",
        "silent",
    )

    def __init__(self, network: Network, owner: TransportOwner, credentials: Credentials) -> None:
        self._network = network
        self._owner = owner
        self.ice = IceLite(network.settings, credentials)
        self.ice_state = IceState.DISCONNECTED
        self.dtls_state = DtlsState.NEW
        self._dtls: DtlsSession | None = None
        self._receiver: SrtpReceiver | None = None
        self.sender: SrtpSender | None = None
        self.silent = False
        self._started: float | None = None
        self._handshake_end: float | None = None
        self._last_heard: float | None = None
        self._last_dtls = 0.0
        self._lingers = True
        """Whether releasing the memory of the handshake has not been tried yet."""

    @property
    def own_socket(self) -> socket.socket | Stream | None:
        """The socket or stream by which this transport alone sends; None if it sends from the engine's socket."""
        selected = self.ice.selected
        return selected.remote.stream if selected and isinstance(selected.remote, StreamAddress) else None

    @property
    def usable(self) -> bool:
        """Whether media are exchanged. For a moment there may be no path, because a TCP connection broke."""
        return self.sender is not None and self.dtls_state is DtlsState.CONNECTED and not self.silent

    def start(self, fingerprints: Sequence[tuple[str, bytes]], now: float, *, dtls_client: bool = False) -> None:
        """Begin to accept checks and the DTLS handshake, because both descriptions are known.

        The other side's certificate must have one of these fingerprints. The DTLS client begins the handshake
        after the first check.
        """
        self._dtls = DtlsSession(self._network.identity, fingerprints, client=dtls_client)
        self._started = now
        self._network.by_ufrag[self.ice.ufrag.encode()] = self

    def restart(self, credentials: Credentials) -> None:
        """Take new ICE credentials (RFC 8445 section 9). DTLS and SRTP go on (RFC 8842 section 5.5)."""
        if (gone := self.ice.restart(credentials)) is not None:
            self._network.by_ufrag.pop(gone.encode(), None)
        self._network.by_ufrag[self.ice.ufrag.encode()] = self

    def add_remote_candidate(self, candidate: str) -> RemoteCandidate | None:
        """Remember a candidate of the peer. Returns it if it is a new one."""
        return self.ice.add_remote_candidate(candidate)

    def arrival_time(self) -> float:
        return self._network.arrival_time()

    def gathering(self) -> None:
        """The candidates are being sent to the peer."""
        if self.ice_state is IceState.DISCONNECTED:
            self._set_ice_state(IceState.GATHERING)

    # Received datagrams

    def receive_stun(
        self, request: stun.StunMessage, data: bytes, address: Address, now: float, asked: bytes = b""
    ) -> None:
        """Answer a Binding request for our ufrag (RFC 8445 section 7.3).

        `asked` is our address to which the request was sent, if that is known (:func:`packet_info.asked_address`).
        """
        network, holder = self._network, self._network.by_address.get(address)
        refusal = self.ice.check(request, data)
        if refusal is None and holder is not None and holder is not self and holder.is_heard(now):
            refusal = Refusal.STUN_ADDRESS_TAKEN
        answer = b""
        if refusal is None:
            answer = self.ice.success(request, address)
        elif refusal is Refusal.STUN_ROLE_CONFLICT:
            answer = self.ice.role_conflict(request)
        if len(answer) > len(data):
            # The sender's address may be forged, so the answer must not be longer. A check with all attributes of
            # RFC 8445 section 7.1 is always longer than the answer.
            refusal, answer = Refusal.STUN_TOO_SHORT, b""
        # This is done only now, because it may have to ask the system for a route.
        control = packet_info.control(asked, address, now) if answer else ()
        path = Path(address, control)
        if answer:
            network.send(answer, path)
        if refusal is not None:
            network.refuse(refusal)
            return
        if (gone := self.ice.adopt(request)) is not None:
            network.by_ufrag.pop(gone.encode(), None)
        self._heard(path, stun.USE_CANDIDATE in request.attributes, packet_info.plain(asked), now)

    def _heard(self, path: Path, nominated: bool, asked: str, now: float) -> None:
        """Use a path on which an authentic check came. `asked` is our address there; empty if it is not known."""
        network, address = self._network, path.remote
        changed, forgotten = self.ice.heard(path, nominated, now)
        if forgotten is not None:
            self._forget(forgotten.remote)
        network.by_address[address] = self
        self._last_heard = now
        if self.ice_state not in (IceState.CONNECTED, IceState.READY):
            self._set_ice_state(IceState.CONNECTING)
            self._set_ice_state(IceState.CONNECTED)
        if changed or self.silent:
            self.silent = False
            self._owner.path_changed()
        if self._dtls is not None and (greeting := self._dtls.begin()):
            self._send_all(greeting)
            self._follow_dtls(self._dtls)
        if self.ice.nominated:
            if changed:
                self._owner.candidate_pair_selected(
                    self._local_candidate(address, asked), self.ice.remote_candidate(address)
                )
            self._set_ice_state(IceState.READY)

    def _local_candidate(self, address: Address, asked: str) -> str:
        """Our candidate for a path to `address`."""
        return local_candidate(self._network.candidates, address, asked)

    def _forget(self, address: Address) -> None:
        """Accept nothing from an address any more, unless it has another path."""
        known = any(path.remote == address for path in self.ice.paths)
        if not known and self._network.by_address.get(address) is self:
            del self._network.by_address[address]
            if isinstance(address, StreamAddress):
                address.stream.close()

    def lost(self, address: StreamAddress) -> None:
        """Take note that a TCP connection has ended. The peer comes again over another one, or goes on over UDP.

        If it does neither, its silence ends the transport.
        """
        del self._network.by_address[address]
        if self.ice.lost(Path(address)):
            self._owner.path_changed()

    def receive_dtls(self, datagram: bytes, now: float) -> None:
        dtls, address = self._dtls, self.ice.selected
        if dtls is None or address is None:
            self._network.refuse(Refusal.DTLS_UNEXPECTED)
            return
        self._last_dtls = now
        try:
            answer = dtls.receive(datagram)
        except DtlsError as error:
            answer = dtls.alert()
            self._network.refuse(Refusal.DTLS_ERROR)
            self._owner.dtls_failed(str(error))
        self._send_all(answer)
        self._follow_dtls(dtls)

    def receive_rtp(self, packet: bytes, now: float) -> None:
        receiver = self._receiver
        if receiver is None:
            self._network.refuse(Refusal.SRTP_NOT_READY)
            return
        try:
            plain = receiver.unprotect(packet)
        except SrtpError:
            self._network.refuse(Refusal.SRTP_UNAUTHENTICATED)
            return
        self._last_heard = now
        self._owner.rtp_received(plain, now)

    def receive_rtcp(self, packet: bytes, now: float) -> None:
        receiver = self._receiver
        if receiver is None:
            self._network.refuse(Refusal.SRTP_NOT_READY)
            return
        try:
            plain = receiver.unprotect_rtcp(packet)
        except SrtpError:
            self._network.refuse(Refusal.SRTP_UNAUTHENTICATED)
            return
        self._last_heard = now
        self._owner.rtcp_received(plain, now)

    # Sending

    def send_rtcp(self, compound: bytes) -> None:
        """Protect and send a compound packet, if that is possible now."""
        if self.sender is None or self.ice.selected is None or not self.usable:
            return
        try:
            protected = self.sender.protect_rtcp(compound)
        except SrtpError:
            self._network.refuse(Refusal.SEND_FAILED)
        else:
            self._network.send(protected, self.ice.selected)

    def _send_all(self, datagrams: list[bytes]) -> None:
        if self.ice.selected is not None:
            for datagram in datagrams:
                self._network.send(datagram, self.ice.selected)

    # Time

    def is_heard(self, now: float) -> bool:
        """Whether the peer is connected and was heard a moment ago."""
        return self.usable and self._last_heard is not None and now - self._last_heard < _JUST_HEARD

    def drive_handshake(self, now: float) -> bool:
        """Repeat messages if that is due. Returns whether the handshake still goes on."""
        dtls = self._dtls
        if dtls is None:
            return False
        if self._handshake_end is None:
            self._handshake_end = now + self._network.settings.handshake_timeout
        timeout = dtls.timeout()
        if timeout is not None and now >= self._handshake_end:
            self._send_all(dtls.give_up())
            self._owner.dtls_failed("the DTLS handshake took too long")
            self._follow_dtls(dtls)
        elif timeout is not None and timeout <= 0:
            try:
                answer = dtls.handle_timeout()
            except DtlsError as error:
                answer = dtls.alert()
                self._owner.dtls_failed(str(error))
            self._send_all(answer)
            self._follow_dtls(dtls)
        return dtls.timeout() is not None

    def settle(self, now: float) -> None:
        """Free the memory of the handshake when the peer sends SRTP and can no longer ask for handshake
        messages.
        """
        dtls, receiver = self._dtls, self._receiver
        if not self._lingers or dtls is None or receiver is None or not receiver.heard:
            return
        if now - self._last_dtls >= self._network.settings.handshake_linger:
            self._lingers = False
            if dtls.settle():
                self._network.memory_freed()

    def check_silence(self, now: float) -> None:
        """Notice a peer that went away without a goodbye, or never came."""
        if self._started is None or self.silent:
            return
        settings = self._network.settings
        if self._last_heard is None:
            if now - self._started > settings.connect_timeout:
                self._set_ice_state(IceState.FAILED)
        elif now - self._last_heard > settings.peer_silence:
            self.silent = True
            self._set_ice_state(IceState.DISCONNECTED)
            self._owner.path_changed()

    # State

    def _follow_dtls(self, dtls: DtlsSession) -> None:
        """Adopt the new state of the session."""
        if dtls.state is DtlsState.CONNECTING:
            self._network.handshaking.add(self)
        if dtls.state is self.dtls_state:
            return
        if dtls.keys is not None and self._receiver is None and dtls.state is DtlsState.CONNECTED:
            keys = dtls.keys
            theirs, ours = (keys.server, keys.client) if dtls.client else (keys.client, keys.server)
            self._receiver = SrtpReceiver(keys.profile, theirs)
            self.sender = SrtpSender(keys.profile, ours)
        self.dtls_state = dtls.state
        if dtls.state in (DtlsState.CLOSED, DtlsState.FAILED):
            self._receiver = self._dtls = None
        self._owner.dtls_state_changed(dtls.state)
        self._owner.path_changed()

    def _set_ice_state(self, state: IceState) -> None:
        if state is not self.ice_state:
            self.ice_state = state
            self._owner.ice_state_changed(state)

    @property
    def remote_address(self) -> tuple[str, int] | None:
        return plain_address(self.ice.selected.remote) if self.ice.selected else None

    def close(self) -> None:
        """Say goodbye (close_notify), and remove this transport from the network."""
        if self._dtls is not None:
            self._send_all(self._dtls.close())
            self._dtls = None
        network = self._network
        for ufrag in self.ice.ufrags:
            network.by_ufrag.pop(ufrag.encode(), None)
        for path in list(self.ice.paths):
            del self.ice.paths[path]
            self._forget(path.remote)
        network.handshaking.discard(self)
        self._receiver = self.sender = None
