"""The words that the engine's modules and its callers share: kinds, states, settings, statistics, errors."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from typing import NamedTuple, Protocol


class MediaKind(StrEnum):
    """A media type as Kurento names it."""

    AUDIO = "AUDIO"
    VIDEO = "VIDEO"


ALL_KINDS: tuple[MediaKind, ...] = (MediaKind.AUDIO, MediaKind.VIDEO)


class IceState(StrEnum):
    """Kurento's IceComponentState."""

    DISCONNECTED = "DISCONNECTED"
    GATHERING = "GATHERING"
    CONNECTING = "CONNECTING"
    CONNECTED = "CONNECTED"
    READY = "READY"
    FAILED = "FAILED"


class DtlsState(StrEnum):
    """Kurento's DtlsConnectionState."""

    NEW = "NEW"
    CONNECTING = "CONNECTING"
    CONNECTED = "CONNECTED"
    CLOSED = "CLOSED"
    FAILED = "FAILED"


class LocalCandidate(NamedTuple):
    """One ICE candidate of ours for one m-line, in the terms of the browser's RTCIceCandidate."""

    candidate: str
    sdp_mid: str
    sdp_m_line_index: int


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """Everything that can be set about the engine. Times are seconds, rates bit/s, sizes bytes."""

    host: str = "::"
    """The UDP address to bind; a wildcard means every interface. `::` is IPv4 and IPv6 on the one port, or IPv4
    alone where the system has no IPv6."""
    port: int = 0
    """The UDP port to bind; 0 lets the system choose."""
    announced_addresses: tuple[str, ...] = ()
    """Addresses for the candidates instead of the bound ones (behind a NAT), each perhaps with a port."""
    peer_silence: float = 9.0
    """Without an authenticated packet for so long, a peer counts as gone: at the next report, so within 10 s."""
    connect_timeout: float = 30.0
    """From the answer to the first authenticated check; then ICE counts as failed."""
    handshake_timeout: float = 20.0
    """From the first DTLS message to the keys; then the handshake counts as failed and its memory is freed."""
    handshake_linger: float = 5.0
    """From a connected peer's last DTLS message until OpenSSL's memory for it is freed: who lacks our last message
    repeats its own sooner."""
    flow_timeout: float = 2.0
    """Without RTP for so long, media counts as no longer flowing."""
    max_peers: int = 2000
    max_sdp: int = 256 * 1024
    """Characters of an offer."""
    max_candidates: int = 64
    """Remote candidates remembered for one peer; more are ignored."""
    max_addresses: int = 16
    """Authenticated remote addresses remembered for one peer; the oldest is forgotten."""
    nack_ring: int = 2048
    """Video packets of a source kept for retransmission and for viewers that come late; a power of two."""
    audio_ring: int = 128
    """The same of audio: over two seconds."""
    max_retransmissions: int = 1000
    """Packets a second that one viewer may ask for again; after a pause, so many at once."""
    repair_share: float = 0.3
    """Bytes repeated to one viewer, as a share of those sent to it for the first time."""
    min_repair_burst: int = 16_000
    """Bytes that may be repeated at once however low the bitrate is; else those of a second."""
    start_repair_burst: int = 64_000
    """The same to a viewer that has just joined: it starts with a burst, of which more is lost."""
    start_repair_rate: int = 32_000
    """Bytes a second in its first second, while the rate of what it is sent is not known yet."""
    viewer_round_trip: float = 0.1
    """Assumed until a viewer's reports tell its own."""
    viewer_keyframe_interval: float = 5.0
    """Between two keyframes for losses of one viewer, in the long run."""
    viewer_keyframe_burst: int = 3
    """So many of them at once."""
    loss_keyframe_interval: float = 2.0
    """Between two keyframes of a source for losses of any of its viewers, in the long run."""
    loss_keyframe_burst: int = 5
    """So many of them at once."""
    join_keyframe_interval: float = 1.0
    """Between two keyframes of a source for viewers that start, in the long run: the others are given what is in
    the ring since the last."""
    join_keyframe_burst: int = 10
    """So many of them at once."""
    nack_tries: int = 5
    nack_delay: float = 0.01
    """From a gap to the first request: what only came in another order needs none."""
    nack_retry: float = 0.1
    """Between two requests for one packet, at least: more where the publisher's answers take longer."""
    keyframe_interval: float = 0.3
    """Between two keyframe requests to one publisher."""
    keyframe_replay: float = 0.5
    """A viewer that starts so soon after a keyframe is given it from the ring."""
    small_replay: int = 64
    """Up to so many packets, from a keyframe to the newest, are given to a viewer that starts, however old they
    are: a new keyframe would go to all viewers."""
    renewal_share: float = 0.4
    """Once what followed a keyframe fills so much of the ring, the publisher is asked for another, so that the
    ring holds all that a late viewer needs should the source fall silent."""
    renewal_interval: float = 6.0
    """Between two keyframes that are asked for that reason."""
    report_interval: float = 0.5
    """Between two receiver reports (with REMB) to a publisher."""
    max_receive_bitrate: int = 10_000_000
    """The REMB told to a publisher while nobody limits it."""
    min_receive_bitrate: int = 150_000
    """The least REMB that poor viewers can bring a publisher to."""
    picture_patience: float = 3.0
    """A viewer whose path is too slow for so long is sent no picture."""
    picture_first_pause: float = 8.0
    """From then until the picture is tried again; twice as long each time that the path does not take it."""
    picture_longest_pause: float = 40.0
    picture_trial: float = 3.0
    """A path that has taken the picture for so long takes it."""
    drain: int = 256
    """Datagrams read without giving other tasks their turn."""
    socket_buffer: int = 4 * 1024 * 1024
    """Asked of the system for each direction of the UDP socket."""

    def __post_init__(self) -> None:
        for name in ("nack_ring", "audio_ring"):
            size = getattr(self, name)
            if size <= 0 or size & (size - 1) or size > 0x8000:
                raise ValueError(f"{name} must be a power of two up to 32768")
        if self.max_addresses < 2:
            raise ValueError("max_addresses must be at least 2: the selected one is never forgotten")


class PeerObserver(Protocol):
    """What a peer tells its owner, called from the engine's loop: it must return soon and never raise.

    Nothing is called any more once :meth:`Peer.close` returned.
    """

    def ice_state_changed(self, state: IceState) -> None: ...

    def candidate_pair_selected(self, local: str, remote: str) -> None:
        """The pair of candidate lines (RFC 8839 section 5.1, without `a=`) that media takes, or changes to."""

    def dtls_state_changed(self, state: DtlsState) -> None: ...

    def connection_failed(self, reason: str) -> None:
        """DTLS failed, in words; the state FAILED follows."""

    def media_connection_changed(self, connected: bool) -> None:
        """True once DTLS-SRTP is up; False at close_notify or silence; True again when a silent peer is heard."""

    def receiving_changed(self, kind: MediaKind, flowing: bool) -> None:
        """RTP from this peer's browser flows, or has not for `flow_timeout`."""

    def sending_changed(self, kind: MediaKind, flowing: bool) -> None:
        """RTP to this peer's browser flows, or no longer."""

    def pause_changed(self, kind: MediaKind, paused: bool) -> None:
        """This peer's browser is sent none of that kind, because its path is too slow; or is sent it again."""

    def codec_mismatched(self, reason: str) -> None:
        """The peer is connected to a source whose media its browser cannot decode: it gets none of that kind."""

    def worker_died(self, error: "WorkerDied") -> None:
        """The last word about a peer whose worker died: it can only be closed. All are told the same error."""


@dataclass(frozen=True, slots=True)
class ReceivingStats:
    """One stream that comes from the peer's browser (RFC 3550 section 6.4)."""

    codec: str
    ssrc: int
    packets: int
    bytes: int
    lost: int
    jitter: float
    """Seconds."""
    nacks: int
    """Packets asked for again, by us."""
    keyframes: int
    keyframe_requests: int
    """Sent to the browser."""
    remb: int
    """The bitrate last told to the browser, bit/s; 0 while none was."""


@dataclass(frozen=True, slots=True)
class SendingStats:
    """One stream that goes to the peer's browser."""

    codec: str
    ssrc: int
    packets: int
    bytes: int
    """The bytes of payloads, retransmissions included."""
    retransmitted: int
    nacks: int
    """Packets that the browser asked for again."""
    keyframe_requests: int
    """Received from the browser."""
    remb: int
    """The bitrate that the browser last told us, bit/s; 0 while it told none."""


@dataclass(frozen=True, slots=True)
class PeerStats:
    ice_state: IceState
    dtls_state: DtlsState
    remote_address: tuple[str, int] | None
    receiving: Mapping[MediaKind, ReceivingStats] = field(default_factory=dict)
    sending: Mapping[MediaKind, SendingStats] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EngineStats:
    peers: int
    datagrams_received: int
    packets_sent: int
    """Media packets handed to the system."""
    packets_dropped: int
    """Media packets that the system's full send buffer, or an error of it, refused."""
    refused: Mapping[str, int]
    """Received datagrams that were not taken, by :class:`Refusal`."""
    faults: Mapping[str, int]
    """Unexpected exceptions in this process, by what each was the end of (`boundary.py`)."""


class Refusal(Enum):
    """Why a received datagram, or a part of it, was not taken."""

    UNKNOWN_KIND = "unknown_kind"
    UNKNOWN_ADDRESS = "unknown_address"
    STUN_MALFORMED = "stun_malformed"
    STUN_UNKNOWN_USER = "stun_unknown_user"
    STUN_UNAUTHENTICATED = "stun_unauthenticated"
    STUN_ROLE_CONFLICT = "stun_role_conflict"
    STUN_TOO_SHORT = "stun_too_short"
    """An answer would be longer than the request."""
    STUN_ADDRESS_TAKEN = "stun_address_taken"
    """Another peer's media comes from that address."""
    DTLS_ERROR = "dtls_error"
    DTLS_UNEXPECTED = "dtls_unexpected"
    SRTP_NOT_READY = "srtp_not_ready"
    SRTP_UNAUTHENTICATED = "srtp_unauthenticated"
    RTP_MALFORMED = "rtp_malformed"
    RTP_UNKNOWN_PAYLOAD = "rtp_unknown_payload"
    RTP_TOO_OLD = "rtp_too_old"
    RTP_DUPLICATE = "rtp_duplicate"
    """The packet had come before, as a retransmission in a stream of its own."""
    RTP_SECOND_STREAM = "rtp_second_stream"
    RTCP_MALFORMED = "rtcp_malformed"
    SEND_FAILED = "send_failed"


class EngineError(Exception):
    """An error of the engine; `code` names it for programs."""

    code = "engine_error"


class EngineFull(EngineError):
    """`max_peers` peers are open."""

    code = "engine_full"


class SdpError(EngineError):
    """The offer cannot be parsed, or cannot be answered."""

    code = "sdp_error"


class NoCommonCodec(EngineError):
    """There is no codec in common, and nothing is transcoded: an offer has none of ours, or a viewer's offer not
    the one in which its source sends."""

    code = "no_common_codec"


class AlreadyNegotiated(EngineError):
    """The peer has answered or made an offer; another one needs a new peer."""

    code = "already_negotiated"


class OfferNotGenerated(EngineError):
    """An answer came to a peer that has made no offer."""

    code = "offer_not_generated"


class AnswerAlreadyProcessed(EngineError):
    """A second answer came to one offer."""

    code = "answer_already_processed"


class PeerClosed(EngineError):
    """The peer was closed."""

    code = "peer_closed"


class WorkerDied(EngineError):
    """The process that moved the peer's media has died, and with it the connection to the browser."""

    code = "worker_died"
