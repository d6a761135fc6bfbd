"""What a track needs of the objects around it: the engine, the publishing peer, the relays to other workers."""

from collections.abc import Collection, Sequence
from typing import Protocol

from roomfsm.mediaserver.base.kinds import MediaKind
from roomfsm.mediaserver.base.settings import EngineSettings
from roomfsm.mediaserver.forwarding.sink import Group, Sink
from roomfsm.mediaserver.rtp import rtcp


class Attended(Protocol):
    """What has something to do for its browser that cannot wait for the reports."""

    def attend(self, now: float) -> bool:
        """Do what is due; whether there is more to come."""


class Outlet(Protocol):
    """What tracks need of the engine."""

    settings: EngineSettings
    ssrcs: dict[MediaKind, int]
    repair_ssrc: int
    """The SSRC of retransmissions of video in a stream of their own (RFC 4588)."""
    cname: str
    pending: list[Group]
    """The groups for which the current drain of the socket brought packets."""
    attention: set[Attended]
    """The objects whose `attend` is to be called soon, and again while it returns true."""

    def now(self) -> float:
        """Seconds of the clock that packets' times are of."""

    def send_packets(self, packets: list[bytes], sinks: Collection[Sink]) -> None: ...

    def flush(self) -> None:
        """Send what is pending."""


class Publisher(Protocol):
    """The peer whose browser a track comes from."""

    @property
    def receive_limits(self) -> tuple[int, int]:
        """Least and greatest bitrate to ask of the browser, bit/s; 0 is none."""

    def send_rtcp(self, kind: MediaKind, compound: bytes) -> None: ...

    def receiving_changed(self, kind: MediaKind, flowing: bool) -> None: ...


class Relay(Protocol):
    """Where a track goes beside its own sinks: another worker's mirror of it."""

    def replay(self, packets: Sequence[bytes], now: float) -> None:
        """Hand over what the mirror begins with, numbered as the publisher numbered it."""

    def packet(self, packet: bytes) -> None:
        """Hand over one packet as the publisher numbered it; each packet comes once."""

    def sender_report(self, report: rtcp.SenderReport) -> None: ...

    def bitrate(self, now: float) -> int | None:
        """What its viewers can take, bit/s; None where that is not known."""
