"""Keeps the last packets of a source once for all its viewers, for retransmission (RFC 4585) and for viewers that
come late.
"""

from typing import NamedTuple


class KeptPacket(NamedTuple):
    """A packet as it came, with its extended sequence number and its timestamp."""

    extended: int
    """The extended sequence number."""
    timestamp: int
    time: float
    """When it arrived, in seconds."""
    packet: bytes
    level: bytes = b""
    """The byte of the audio level, if known. It is kept because a packet that is sent again must not change."""


class PacketRing:
    """The kept packets of a source: the newest `window` packets, or all since the last keyframe if these are more.

    All of them are among the newest `size` extended sequence numbers. If more than `size` packets have followed
    the keyframe, no viewer can begin with it any more, and only the window is kept.
    """

    __slots__ = ("_mask", "_slots", "_window", "keyframe_start", "oldest", "size")

    def __init__(self, size: int, window: int) -> None:
        """`size` is a power of two, because a packet's slot is its number modulo `size`.

        `window` packets are kept for retransmission, also when a new keyframe comes.
        """
        self.size = size
        self._window = min(window, size)
        self._slots: list[KeptPacket | None] = [None] * size
        self._mask = size - 1
        self.keyframe_start = 0
        """The extended number of the last keyframe's first packet. The owner sets it."""
        self.oldest = 0
        """The lowest extended number that may be in the ring. Whether packets with lower numbers came is not
        known."""

    def keep(self, packet: KeptPacket) -> None:
        """Keep a packet, and release those that are not needed any more."""
        newest = packet.extended
        self._slots[newest & self._mask] = packet
        oldest = newest + 1 - self._window
        if self.keyframe_start < oldest and newest - self.keyframe_start < self.size:
            oldest = self.keyframe_start
        if oldest > self.oldest:
            # Lower numbers than these share their slots with numbers of the new range.
            for extended in range(max(self.oldest, newest + 1 - self.size), oldest):
                self._slots[extended & self._mask] = None
            self.oldest = oldest

    def get(self, extended: int) -> KeptPacket | None:
        kept = self._slots[extended & self._mask]
        return kept if kept is not None and kept.extended == extended else None

    def span(self, first: int, last: int) -> list[KeptPacket]:
        """All packets from `first` to `last`. The list is empty if any of them is missing."""
        packets = []
        for extended in range(first, last + 1):
            kept = self.get(extended)
            if kept is None:
                return []
            packets.append(kept)
        return packets
