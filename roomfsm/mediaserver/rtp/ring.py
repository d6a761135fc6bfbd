"""The last packets of a source, kept once for all its viewers: for retransmission (RFC 4585) and late starts."""

from typing import NamedTuple


class KeptPacket(NamedTuple):
    """A packet as it came, but for its numbers."""

    extended: int
    """Extended sequence number."""
    timestamp: int
    time: float
    """When it arrived, in seconds."""
    packet: bytes
    level: bytes = b""
    """The byte of the audio level, if known: a packet that is sent again must be the same to the byte."""


class PacketRing:
    """What is kept of a source: the newest `window` packets, and all from the last keyframe on if that is more.

    All of it lies within the newest `size` extended sequence numbers. Once more than that has followed the
    keyframe, nobody can begin with it any more, and only the window is left.
    """

    __slots__ = ("_mask", "_slots", "_window", "keyframe_start", "oldest", "size")

    def __init__(self, size: int, window: int) -> None:
        """`size`: a power of two, because a packet's slot is its number modulo `size`. `window`: packets that are
        kept to be sent again, whatever keyframe comes."""
        self.size = size
        self._window = min(window, size)
        self._slots: list[KeptPacket | None] = [None] * size
        self._mask = size - 1
        self.keyframe_start = 0
        """The extended number of the last keyframe's first packet. Set by the owner."""
        self.oldest = 0
        """The least extended number that may be in the ring: of lower ones nobody can tell whether they came."""

    def keep(self, packet: KeptPacket) -> None:
        """Keep a packet, and let go of those that are needed no more."""
        newest = packet.extended
        self._slots[newest & self._mask] = packet
        oldest = newest + 1 - self._window
        if self.keyframe_start < oldest and newest - self.keyframe_start < self.size:
            oldest = self.keyframe_start
        if oldest > self.oldest:
            # Still lower numbers share their slots with numbers from there on.
            for extended in range(max(self.oldest, newest + 1 - self.size), oldest):
                self._slots[extended & self._mask] = None
            self.oldest = oldest

    def get(self, extended: int) -> KeptPacket | None:
        kept = self._slots[extended & self._mask]
        return kept if kept is not None and kept.extended == extended else None

    def span(self, first: int, last: int) -> list[KeptPacket]:
        """All packets from `first` to `last`; an empty list if any of them is missing."""
        packets = []
        for extended in range(first, last + 1):
            kept = self.get(extended)
            if kept is None:
                return []
            packets.append(kept)
        return packets
