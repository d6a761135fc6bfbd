"""The packets of a viewer's transport that were sent, until feedback tells what became of them."""

from array import array
from typing import NamedTuple, Protocol

from roomfsm.mediaserver.rtp.transport_feedback import TICKS, TransportFeedback

RING = 2048
"""So many of the newest packets are remembered; a power of two. With 5 Mbit/s these are the packets of four
seconds."""
_MASK = RING - 1


class Answered(NamedTuple):
    """What a feedback says about packets that no feedback had told of before."""

    sent: float
    """When the newest of those that arrived was sent."""
    arrival: float
    """When the last of them arrived, in seconds of the receiver's clock."""
    delay: float
    """The shortest time that one of them took. Only differences mean something, because the clocks differ."""
    jitter: float
    """How much longer they took on average."""
    octets: int
    """The bytes that arrived."""
    packets: int
    """The packets that arrived."""
    lost: int
    """The packets that did not arrive."""
    late: int
    """The packets that arrived after all, although they had been reported as lost."""


class Watcher(Protocol):
    """Wants to know of each packet: see :class:`~roomfsm.mediaserver.forwarding.bandwidth.probe.Probe`."""

    def arrived(self, sent: float, delay: float, size: int) -> None: ...

    def lost(self, sent: float, count: int) -> None: ...


class SentPackets:
    """Numbers packets, and remembers the newest. All times are in seconds, all sizes in bytes."""

    __slots__ = ("_answered", "_counted", "_next", "_octets", "_sizes", "_times")

    def __init__(self) -> None:
        # The callers' own objects, which all viewers of a packet share. An array would take longer.
        self._times = [0.0] * RING
        self._sizes = array("i", bytes(4 * RING))
        """0 if the packet is known to have arrived, and negative if it was reported as lost."""
        self._next = 0
        """The extended number of the next packet."""
        self._answered = 0
        """The extended number after those that feedback has told of."""
        self._octets = self._counted = 0
        """The bytes of the packets before an extended number, and that number."""

    def number(self, size: int, now: float) -> int:
        number = self._next
        slot = number & _MASK
        self._times[slot] = now
        self._sizes[slot] = size
        self._next = number + 1
        return number & 0xFFFF

    def octets(self) -> int:
        """The bytes that have been sent. They are added up here, because :meth:`number` is called more often."""
        first, last = max(self._counted, self._next - RING), self._next
        if first < last:
            sizes, begin, end = self._sizes, first & _MASK, last & _MASK
            self._octets += sum(sizes[begin:end]) if begin < end else sum(sizes[begin:]) + sum(sizes[:end])
            self._counted = last
        return self._octets

    def newest(self) -> float:
        """When the newest packet was sent."""
        return self._times[self._next - 1 & _MASK] if self._next else float("-inf")

    def waiting_since(self) -> float | None:
        """When the first packet was sent of which no feedback has told; None if there is none."""
        if self._answered == self._next:
            return None
        return self._times[max(self._answered, self._next - RING) & _MASK]

    def take(self, feedback: TransportFeedback, reference: float, watcher: Watcher | None) -> Answered | None:
        """Take what a feedback says; None if it says of no packet that it arrived.

        `reference` is its reference time in seconds. Numbers that have not been sent, or are forgotten, are passed
        over.
        """
        self.octets()  # Before the sizes are changed.
        times, sizes = self._times, self._sizes
        first = self._next - ((self._next - feedback.base - 1 & 0xFFFF) + 1)
        begin = max(0, self._next - RING - first)
        arrivals = feedback.arrivals[begin : self._next - first]
        octets = packets = lost = late = latest = 0
        sent = whole = 0.0
        delay = float("inf")
        for number, tick in enumerate(arrivals, first + begin):
            slot = number & _MASK
            size = sizes[slot]
            if size == 0:
                continue
            time = times[slot]
            if tick is None:
                if size > 0:
                    lost += 1
                    sizes[slot] = -size
                    if watcher is not None:
                        watcher.lost(time, 1)
                continue
            if size < 0:
                size = -size
                late += 1
                if watcher is not None:
                    watcher.lost(time, -1)
            sizes[slot] = 0
            octets += size
            packets += 1
            if tick > latest or packets == 1:
                latest = tick
            took = reference + tick / TICKS - time
            whole += took
            if took < delay:
                delay = took
            sent = time
            if watcher is not None:
                watcher.arrived(time, took, size)
        self._answered = max(self._answered, first + begin + len(arrivals))
        if not packets:
            return None
        return Answered(
            sent, reference + latest / TICKS, delay, whole / packets - delay, octets, packets, lost, late
        )
