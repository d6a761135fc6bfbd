"""One transport of a peer, and the media that it carries.

Usually a peer has one transport for audio and video (BUNDLE). If a peer offers m-lines outside of a BUNDLE group,
each has a transport with its own ICE credentials, DTLS association and SRTP keys. Payload types may then have
different meanings on different transports. All transports use the engine's one UDP port. They are told apart by
ufrags and then by remote addresses.
"""

from collections.abc import Callable, Iterable
from typing import Protocol

from roomfsm.mediaserver.base.kinds import MediaKind
from roomfsm.mediaserver.base.refusal import Refusal
from roomfsm.mediaserver.dtls.state import DtlsState
from roomfsm.mediaserver.engine.transport import Transport
from roomfsm.mediaserver.forwarding.surroundings import Attended, Incoming
from roomfsm.mediaserver.ice.state import IceState
from roomfsm.mediaserver.rtp.extensions import TRANSPORT_CC
from roomfsm.mediaserver.rtp.transport_cc import Feedback
from roomfsm.mediaserver.sdp.answer import AcceptedMedia, AcceptedTransport

_ICE_ORDER = (
    IceState.FAILED,
    IceState.DISCONNECTED,
    IceState.GATHERING,
    IceState.CONNECTING,
    IceState.CONNECTED,
    IceState.READY,
)
"""The ICE states, the least advanced first. A peer with several transports has the state that comes first here."""


class Carrier(Protocol):
    """A peer, as its transports see it."""

    def ice_changed(self) -> None: ...

    def candidate_pair_selected(self, local: str, remote: str) -> None: ...

    def dtls_changed(self) -> None: ...

    def connection_failed(self, reason: str) -> None: ...

    def path_changed(self, carried: "MediaTransport") -> None: ...

    def rtcp_received(self, compound: bytes, now: float) -> None: ...


class MediaEngine(Protocol):
    """The parts of the engine that a media transport needs."""

    attention: set[Attended]
    ssrcs: dict[MediaKind, int]

    def refuse(self, reason: Refusal) -> None: ...


class MediaTransport:
    """The owner of one :class:`~roomfsm.mediaserver.engine.transport.Transport`, which `open_transport`
    creates.
    """

    __slots__ = (
        "_by_repair_payload_type",
        "_engine",
        "_feedback",
        "by_payload_type",
        "carrier",
        "kinds",
        "transport",
    )

    def __init__(
        self,
        engine: MediaEngine,
        carrier: Carrier,
        kinds: Iterable[MediaKind],
        open_transport: Callable[["MediaTransport"], Transport],
    ) -> None:
        self._engine = engine
        self.carrier = carrier
        self.kinds = frozenset(kinds)
        self.transport = open_transport(self)
        self.by_payload_type: dict[int, Incoming] = {}
        """The tracks that come over this transport, by payload type."""
        self._by_repair_payload_type: dict[int, Incoming] = {}
        self._feedback: Feedback | None = None
        """Feedback about every packet from the browser, if transport-cc was agreed on."""

    def start(self, accepted: AcceptedTransport, now: float) -> None:
        """Wait for the other side, or begin the handshake, as was agreed."""
        for candidate in accepted.candidates:
            self.transport.add_remote_candidate(candidate)
        self.transport.start(accepted.fingerprints, now, dtls_client=accepted.dtls_client)

    def receive(self, media: AcceptedMedia, track: Incoming) -> None:
        """Pass the packets of an m-line to a track from now on."""
        codec = media.codecs[0]
        self.by_payload_type[codec.payload_type] = track
        if codec.red is not None:
            self.by_payload_type[codec.red] = track
        if codec.rtx is not None:
            self._by_repair_payload_type[codec.rtx] = track
        numbered = media.extensions.get(TRANSPORT_CC, 0)
        if numbered:
            if self._feedback is None:
                ours = self._engine.ssrcs[MediaKind.VIDEO]
                self._feedback = Feedback(ours, self.transport.send_rtcp, self.transport.arrival_time)
            for payload_type in (codec.payload_type, codec.rtx, codec.red):
                if payload_type is not None:
                    self._feedback.extensions[payload_type] = numbered

    def close(self) -> None:
        if self._feedback is not None:
            self._engine.attention.discard(self._feedback)
        self.transport.close()
        # These objects refer to the peer. Without the references everything is freed at once, and not only by the
        # garbage collector.
        self.by_payload_type, self._by_repair_payload_type, self._feedback = {}, {}, None

    # Called by the transport

    def ice_state_changed(self, state: IceState) -> None:
        del state
        self.carrier.ice_changed()

    def candidate_pair_selected(self, local: str, remote: str) -> None:
        self.carrier.candidate_pair_selected(local, remote)

    def dtls_state_changed(self, state: DtlsState) -> None:
        del state
        self.carrier.dtls_changed()

    def dtls_failed(self, reason: str) -> None:
        self.carrier.connection_failed(reason)

    def path_changed(self) -> None:
        self.carrier.path_changed(self)

    def rtp_received(self, packet: bytes, now: float) -> None:
        payload_type = packet[1] & 0x7F
        track = self.by_payload_type.get(payload_type)
        if track is not None:
            refusal = track.receive(packet, now)
        elif (track := self._by_repair_payload_type.get(payload_type)) is not None:
            refusal = track.receive_repair(packet, now)
        else:
            refusal = Refusal.RTP_UNKNOWN_PAYLOAD
        if refusal is not None:
            self._engine.refuse(refusal)
        feedback = self._feedback
        if feedback is not None and packet[0] & 0x10 and feedback.received(packet, now):
            self._engine.attention.add(feedback)

    def rtcp_received(self, compound: bytes, now: float) -> None:
        self.carrier.rtcp_received(compound, now)


def ice_state(transports: Iterable[MediaTransport]) -> IceState:
    """The common state of several transports: that of the least advanced one."""
    states = (carried.transport.ice_state for carried in transports)
    return min(states, key=_ICE_ORDER.index, default=IceState.DISCONNECTED)


def dtls_state(transports: Iterable[MediaTransport]) -> DtlsState:
    """The common state of several transports, as for RTCPeerConnection (WebRTC section 4.4.1.3).

    It is connected only if all are.
    """
    states = {carried.transport.dtls_state for carried in transports}
    for state in (DtlsState.FAILED, DtlsState.CLOSED):
        if state in states:
            return state
    return states.pop() if len(states) == 1 else DtlsState.CONNECTING if states else DtlsState.NEW
