"""The parts of other objects that a track needs: of the engine, of the publishing peer, and of the relays to other
workers.
"""

from collections.abc import Collection, Sequence
from typing import Protocol

from roomfsm.mediaserver.base.kinds import MediaKind
from roomfsm.mediaserver.base.refusal import Refusal
from roomfsm.mediaserver.base.settings import EngineSettings
from roomfsm.mediaserver.forwarding.sink import Group, Sink
from roomfsm.mediaserver.forwarding.stats import ReceivingStats
from roomfsm.mediaserver.rtp import rtcp


class Attended(Protocol):
    """Something that has work to do for its browser that cannot wait for the reports."""

    def attend(self, now: float) -> bool:
        """Do the work that is due. Returns whether there will be more."""


class Outlet(Protocol):
    """The parts of the engine that tracks need."""

    settings: EngineSettings
    ssrcs: dict[MediaKind, int]
    repair_ssrc: int
    """The SSRC of video retransmissions in a stream of their own (RFC 4588)."""
    cname: str
    pending: list[Group]
    """The groups for which the current drain of the socket brought packets."""
    attention: set[Attended]
    """The objects whose `attend` is to be called soon, and again while it returns true."""

    def now(self) -> float:
        """The time in seconds of the clock that packets' times use."""

    def send_packets(self, packets: list[bytes], sinks: Collection[Sink]) -> None: ...

    def flush(self) -> None:
        """Send the pending packets."""


class Publisher(Protocol):
    """The peer whose browser sends a track."""

    @property
    def receive_limits(self) -> tuple[int, int]:
        """The lowest and the highest bitrate that the browser may be asked for, in bit/s; 0 means no limit."""

    def send_rtcp(self, kind: MediaKind, compound: bytes) -> None: ...

    def receiving_changed(self, kind: MediaKind, flowing: bool) -> None: ...

    def speech_changed(self, speaks: bool) -> None: ...


class LayeredPublisher(Publisher, Protocol):
    """The peer whose browser sends a picture in several layers."""

    def layers_wanted(self, names: Collection[str]) -> None:
        """Exactly these layers are wanted by viewers from now on."""


class Incoming(Protocol):
    """What a peer's browser sends of one kind: a track, or the layers of simulcast."""

    sinks: set[Sink]

    def receive(self, packet: bytes, now: float) -> Refusal | None: ...

    def receive_repair(self, packet: bytes, now: float) -> Refusal | None: ...

    def sender_report(self, report: rtcp.SenderReport, now: float) -> None: ...

    def request_keyframe(self) -> None: ...

    def check_flow(self, now: float) -> None: ...

    def renew(self, now: float) -> None: ...

    def report(self, now: float) -> tuple[list[rtcp.ReportBlock], bytes] | None:
        """The report blocks for the browser, and the REMB if that was negotiated; None while it sends nothing."""

    def stats(self) -> ReceivingStats | None: ...

    def close(self) -> None: ...


class Relay(Protocol):
    """A further destination of a track besides its own sinks: a mirror on another worker."""

    def replay(self, packets: Sequence[bytes], now: float) -> None:
        """Send a portion of the packets with which the mirror begins, in order, with the publisher's numbers."""

    def packet(self, packet: bytes) -> None:
        """Send one packet with the publisher's number. Each packet is sent once."""

    def sender_report(self, report: rtcp.SenderReport) -> None: ...

    def bitrate(self, now: float) -> int | None:
        """The bitrate that its viewers can receive in bit/s; None if it is not known."""
