"""The settings of the engine."""

from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

from roomfsm import ranges
from roomfsm.ranges import MANY, Count, CountOrZero, Port, Seconds, SecondsOrZero, SettingsError, Share

_MAX_PACKET = 2048
"""Bytes of the largest datagram that the engine takes."""

Ring = Annotated[int, Meta(ge=1, le=0x8000)]
Decibels = Annotated[int, Meta(ge=0, le=126)]


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """The settings of the engine. Times are in seconds, rates in bit/s, sizes in bytes.

    Raises `SettingsError`, a `ValueError`.
    """

    host: str = "::"
    """The UDP address to bind. A wildcard means every interface. `::` means IPv4 and IPv6 on the same port, or
    only IPv4 if the system has no IPv6."""
    port: Port = 0
    """The UDP port to bind. 0 lets the system choose one."""
    tcp: bool = False
    """Whether browsers may come over TCP, too."""
    tcp_port: Port = 0
    """The TCP port to bind. 0 lets the system choose one."""
    announced_tcp_port: Port = 0
    """The TCP port for the candidates if it is not `tcp_port`, because something in front of us passes it on. 0
    means that it is `tcp_port`."""
    announced_addresses: tuple[str, ...] = ()
    """Addresses for the candidates instead of the bound ones, for example behind a NAT. Each may have a port."""
    peer_silence: Seconds = 9.0
    """A peer counts as gone if no authenticated packet came for so long. This is checked with each report, so it
    takes at most 10 s."""
    connect_timeout: Seconds = 30.0
    """ICE counts as failed if no authenticated check comes for so long after the answer."""
    check_retry: Seconds = 0.5
    """A check of ours that is not answered is repeated after so long, and then each time after twice as long. We
    send checks only to an ICE-lite agent, such as another media server."""
    check_tries: Count = 6
    """So often one candidate is checked before it counts as unreachable."""
    consent_interval: Seconds = 2.0
    """The average time between two checks when the path is known. Each answered one is a sign of life and the
    other side's consent to get media."""
    consent_life: Seconds = 30.0
    """We send no more checks if none has been answered for so long (RFC 7675 section 5.1)."""
    handshake_timeout: Seconds = 20.0
    """The handshake counts as failed, and its memory is freed, if there are no keys so long after the first DTLS
    message."""
    handshake_linger: SecondsOrZero = 5.0
    """OpenSSL's memory for a connected peer is freed so long after the peer's last DTLS message. A browser that
    has not received our last message repeats its own before that."""
    flow_timeout: Seconds = 2.0
    """Media count as no longer flowing if no RTP came for so long."""
    max_peers: Count = 2000
    max_sdp: Count = 256 * 1024
    """The most characters of an offer or answer."""
    max_candidates: Count = 64
    """The most remote candidates that are remembered for one peer. Further ones are ignored."""
    max_addresses: Annotated[int, Meta(ge=2, le=MANY)] = 16
    """The most authenticated remote addresses that are remembered for one peer. The oldest one is forgotten
    first, but never the selected one."""
    max_tcp_connections: Count = 4000
    """The most TCP connections. There are fewer if the limit of open files allows no more."""
    max_tcp_unproved: Count = 500
    """The most TCP connections that have not proved by a check to be a peer's. The oldest makes room."""
    max_tcp_unproved_per_address: Count = 100
    """The most of these from one IPv4 address or one /64 network of IPv6."""
    tcp_check_timeout: Seconds = 10.0
    """So long after it was accepted, a TCP connection must have proved it."""
    tcp_idle_timeout: Seconds = 60.0
    """A TCP connection ends so long after its last check."""
    tcp_stall_timeout: Seconds = 10.0
    """A TCP connection ends if packets wait, and the peer takes nothing for so long."""
    tcp_queue_life: Seconds = 1.0
    """Packets that have waited for so long, because a TCP connection takes too little, are lost."""
    max_tcp_queue: Annotated[int, Meta(ge=_MAX_PACKET + 2, le=MANY)] = 1_000_000
    """The most bytes that wait for one TCP connection. Beyond that, the picture is lost first."""
    nack_ring: Ring = 2048
    """The most video packets of a source that are kept for viewers that come late; a power of two. The engine
    keeps all packets since the last keyframe up to this number, and at least `repair_window`."""
    repair_window: Count = 1024
    """So many of a source's newest video packets are always kept for retransmission, also when a new keyframe
    comes."""
    audio_ring: Ring = 128
    """So many audio packets of a source are kept for retransmission; a power of two. 128 are those of more than
    two seconds."""
    max_retransmissions: Count = 1000
    """The most packets a second that one viewer may request again. After a pause it may request so many at
    once."""
    repair_share: Share = 0.3
    """The budget for bytes that are sent to a viewer again, as a share of the bytes that are sent to it for the
    first time."""
    min_repair_burst: Count = 16_000
    """Bytes that may be sent again at once. With a higher bitrate it is the budget of one second."""
    start_repair_burst: Count = 64_000
    """The same for a viewer that has just joined, because it starts with a burst, of which more is lost."""
    start_repair_rate: Count = 32_000
    """The budget in bytes a second during a viewer's first second, while its bitrate is not known yet."""
    viewer_round_trip: SecondsOrZero = 0.1
    """A viewer's round-trip time until its reports show the real one."""
    viewer_keyframe_interval: Seconds = 5.0
    """The average time between two keyframes for losses of one viewer."""
    viewer_keyframe_burst: CountOrZero = 3
    """So many of these keyframes may come at once."""
    loss_keyframe_interval: Seconds = 2.0
    """The average time between two keyframes of a source for losses of any of its viewers."""
    loss_keyframe_burst: CountOrZero = 5
    """So many of these keyframes may come at once."""
    join_keyframe_interval: Seconds = 1.0
    """The average time between two keyframes of a source for viewers that start. Other viewers wait for the next
    keyframe."""
    join_keyframe_burst: CountOrZero = 10
    """So many of these keyframes may come at once."""
    nack_tries: CountOrZero = 5
    nack_delay: SecondsOrZero = 0.01
    """The time from a gap to the first request. Packets that only came in another order need no request."""
    nack_retry: Seconds = 0.1
    """The shortest time between two requests for one packet. It is longer if the publisher's answers take
    longer."""
    nack_patience: SecondsOrZero = 0.5
    """A packet that has not come so long after its first request, and was requested twice, is given up, and a
    keyframe is requested instead."""
    keyframe_interval: Seconds = 0.3
    """The shortest time between two keyframe requests to one publisher."""
    keyframe_replay: SecondsOrZero = 0.5
    """A viewer that starts within this time after a keyframe gets the keyframe from the ring."""
    small_replay: CountOrZero = 64
    """If there are at most so many packets from the last keyframe to the newest, a viewer that starts gets them,
    however old they are. A new keyframe would go to all viewers."""
    replay_burst: Annotated[int, Meta(ge=_MAX_PACKET, le=MANY)] = 64_000
    """The bytes of a replay that are sent at once to one viewer, or to one other worker."""
    replay_rate: Count = 1_250_000
    """The bytes a second at which the rest of a replay is sent."""
    renewal_share: Share = 0.8
    """When the packets since the last keyframe fill this share of the ring, the publisher is asked for a new one.
    So if the source falls silent, the ring has everything that a late viewer needs."""
    renewal_interval: Seconds = 6.0
    """The shortest time between two keyframes for that reason."""
    report_interval: Seconds = 0.5
    """The time between two receiver reports (with REMB) to a publisher."""
    max_receive_bitrate: Count = 10_000_000
    """The REMB that a publisher gets while no viewer limits it."""
    min_receive_bitrate: Count = 150_000
    """The lowest REMB that viewers with poor paths can cause."""
    picture_patience: Seconds = 3.0
    """A viewer whose path has been too slow for so long gets no picture."""
    picture_first_pause: Seconds = 8.0
    """The time until the picture is sent again on trial. It doubles with each trial that fails, up to
    `picture_longest_pause`."""
    picture_longest_pause: Seconds = 40.0
    picture_trial: Seconds = 3.0
    """If the path carries the picture for so long, the trial has succeeded."""
    layer_wait: Seconds = 2.0
    """A viewer of simulcast whose path was too slow for a layer gets no larger one for so long. It doubles with
    each step up that is taken back, up to `layer_longest_wait`."""
    layer_longest_wait: Seconds = 8.0
    layer_linger: Seconds = 5.0
    """A layer that nobody has wanted for so long need not be sent to us."""
    path_estimate_life: Seconds = 4.0
    """What the feedback of a viewer's browser has shown of its path counts as unknown if packets have been sent
    for so long and no feedback came."""
    min_path_estimate: Count = 25_000
    """A viewer's path counts as carrying at least so much: sound is sent in any case."""
    shared_path_viewers: Count = 64
    """The most viewers of one participant whose path is estimated together. Further ones are estimated alone."""
    probe_pause: Seconds = 1.0
    """A path that was full is probed again after so long. The pause doubles with each probe that fills it, up to
    `probe_longest_pause`."""
    probe_longest_pause: Seconds = 4.0
    """As long as that it may take until an improved path is noticed. Each probe of a full path delays the sound by
    about 0.1 s."""
    speech_level: Decibels = 45
    """Whoever is silent begins to speak with a packet that is at most so many dB below the loudest sound there
    is."""
    speech_margin: Decibels = 6
    """Packets that are so many dB quieter than that do not begin the speech, but it goes on with them."""
    speech_pause: Seconds = 0.9
    """The speech is over when all packets of so many seconds have been quieter. Shorter silences are pauses
    between words."""
    drain: Count = 256
    """The most datagrams that are read before other tasks get their turn."""
    socket_buffer: Count = 4 * 1024 * 1024
    """The buffer size that is requested from the system for each direction of the UDP socket."""

    def __post_init__(self) -> None:
        ranges.check(self)
        for name in ("nack_ring", "audio_ring"):
            size = getattr(self, name)
            if size & (size - 1):
                raise SettingsError(f"{name} must be a power of two, not {size}")
