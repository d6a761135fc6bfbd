"""The settings of the engine."""

from dataclasses import dataclass

_MAX_PACKET = 2048
"""Bytes of the largest datagram that the engine takes."""


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """The settings of the engine. Times are in seconds, rates in bit/s, sizes in bytes.

    Raises `ValueError` if a size is out of range.
    """

    host: str = "::"
    """The UDP address to bind. A wildcard means every interface. `::` means IPv4 and IPv6 on the same port, or
    only IPv4 if the system has no IPv6."""
    port: int = 0
    """The UDP port to bind. 0 lets the system choose one."""
    announced_addresses: tuple[str, ...] = ()
    """Addresses for the candidates instead of the bound ones, for example behind a NAT. Each may have a port."""
    peer_silence: float = 9.0
    """A peer counts as gone if no authenticated packet came for so long. This is checked with each report, so it
    takes at most 10 s."""
    connect_timeout: float = 30.0
    """ICE counts as failed if no authenticated check comes for so long after the answer."""
    handshake_timeout: float = 20.0
    """The handshake counts as failed, and its memory is freed, if there are no keys so long after the first DTLS
    message."""
    handshake_linger: float = 5.0
    """OpenSSL's memory for a connected peer is freed so long after the peer's last DTLS message. A browser that
    has not received our last message repeats its own before that."""
    flow_timeout: float = 2.0
    """Media count as no longer flowing if no RTP came for so long."""
    max_peers: int = 2000
    max_sdp: int = 256 * 1024
    """The most characters of an offer or answer."""
    max_candidates: int = 64
    """The most remote candidates that are remembered for one peer. Further ones are ignored."""
    max_addresses: int = 16
    """The most authenticated remote addresses that are remembered for one peer. The oldest one is forgotten
    first."""
    nack_ring: int = 2048
    """The most video packets of a source that are kept for viewers that come late; a power of two. The engine
    keeps all packets since the last keyframe up to this number, and at least `repair_window`."""
    repair_window: int = 1024
    """So many of a source's newest video packets are always kept for retransmission, also when a new keyframe
    comes."""
    audio_ring: int = 128
    """So many audio packets of a source are kept for retransmission; a power of two. 128 are those of more than
    two seconds."""
    max_retransmissions: int = 1000
    """The most packets a second that one viewer may request again. After a pause it may request so many at
    once."""
    repair_share: float = 0.3
    """The budget for bytes that are sent to a viewer again, as a share of the bytes that are sent to it for the
    first time."""
    min_repair_burst: int = 16_000
    """Bytes that may be sent again at once. With a higher bitrate it is the budget of one second."""
    start_repair_burst: int = 64_000
    """The same for a viewer that has just joined, because it starts with a burst, of which more is lost."""
    start_repair_rate: int = 32_000
    """The budget in bytes a second during a viewer's first second, while its bitrate is not known yet."""
    viewer_round_trip: float = 0.1
    """A viewer's round-trip time until its reports show the real one."""
    viewer_keyframe_interval: float = 5.0
    """The average time between two keyframes for losses of one viewer."""
    viewer_keyframe_burst: int = 3
    """So many of these keyframes may come at once."""
    loss_keyframe_interval: float = 2.0
    """The average time between two keyframes of a source for losses of any of its viewers."""
    loss_keyframe_burst: int = 5
    """So many of these keyframes may come at once."""
    join_keyframe_interval: float = 1.0
    """The average time between two keyframes of a source for viewers that start. Other viewers wait for the next
    keyframe."""
    join_keyframe_burst: int = 10
    """So many of these keyframes may come at once."""
    nack_tries: int = 5
    nack_delay: float = 0.01
    """The time from a gap to the first request. Packets that only came in another order need no request."""
    nack_retry: float = 0.1
    """The shortest time between two requests for one packet. It is longer if the publisher's answers take
    longer."""
    keyframe_interval: float = 0.3
    """The shortest time between two keyframe requests to one publisher."""
    keyframe_replay: float = 0.5
    """A viewer that starts within this time after a keyframe gets the keyframe from the ring."""
    small_replay: int = 64
    """If there are at most so many packets from the last keyframe to the newest, a viewer that starts gets them,
    however old they are. A new keyframe would go to all viewers."""
    replay_burst: int = 64_000
    """The bytes of a replay that are sent at once to one viewer, or to one other worker."""
    replay_rate: int = 1_250_000
    """The bytes a second at which the rest of a replay is sent."""
    renewal_share: float = 0.8
    """When the packets since the last keyframe fill this share of the ring, the publisher is asked for a new one.
    So if the source falls silent, the ring has everything that a late viewer needs."""
    renewal_interval: float = 6.0
    """The shortest time between two keyframes for that reason."""
    report_interval: float = 0.5
    """The time between two receiver reports (with REMB) to a publisher."""
    max_receive_bitrate: int = 10_000_000
    """The REMB that a publisher gets while no viewer limits it."""
    min_receive_bitrate: int = 150_000
    """The lowest REMB that viewers with poor paths can cause."""
    picture_patience: float = 3.0
    """A viewer whose path has been too slow for so long gets no picture."""
    picture_first_pause: float = 8.0
    """The time until the picture is sent again on trial. It doubles with each trial that fails, up to
    `picture_longest_pause`."""
    picture_longest_pause: float = 40.0
    picture_trial: float = 3.0
    """If the path carries the picture for so long, the trial has succeeded."""
    drain: int = 256
    """The most datagrams that are read before other tasks get their turn."""
    socket_buffer: int = 4 * 1024 * 1024
    """The buffer size that is requested from the system for each direction of the UDP socket."""

    def __post_init__(self) -> None:
        for name in ("nack_ring", "audio_ring"):
            size = getattr(self, name)
            if size <= 0 or size & (size - 1) or size > 0x8000:
                raise ValueError(f"{name} must be a power of two up to 32768")
        if self.replay_burst < _MAX_PACKET or self.replay_rate <= 0:
            raise ValueError(f"replay_burst must hold a packet, {_MAX_PACKET}, and replay_rate be above 0")
        if self.repair_window <= 0:
            raise ValueError("repair_window must be at least 1")
        if self.max_addresses < 2:
            raise ValueError("max_addresses must be at least 2: the selected one is never forgotten")
