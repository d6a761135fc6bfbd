"""Everything that can be set about the engine."""

from dataclasses import dataclass


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
    """Seconds from the last DTLS message of a connected peer until OpenSSL's memory for it is freed. A browser
    that has not got our last message sends its own again before that."""
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
    """At most so many video packets of a source are kept for viewers that come late; a power of two. As many as
    have come since the last keyframe are kept, and at least those of `repair_window`."""
    repair_window: int = 1024
    """The newest video packets of a source that are kept for retransmission, whatever keyframe comes."""
    audio_ring: int = 128
    """So many audio packets of a source are kept for retransmission, over two seconds; a power of two."""
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
    """Between two keyframes of a source for viewers that start, in the long run: the others wait for the next."""
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
    renewal_share: float = 0.8
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
        if self.repair_window <= 0:
            raise ValueError("repair_window must be at least 1")
        if self.max_addresses < 2:
            raise ValueError("max_addresses must be at least 2: the selected one is never forgotten")
