"""The last packets of a source, kept once for all its viewers: for retransmission (RFC 4585) and late starts."""

from typing import NamedTuple


class KeptPacket(NamedTuple):
    """A packet as it came, but for its numbers."""

    extended: int
    """Extended sequence number."""
    timestamp: int
    time: float
    """Of its arrival."""
    packet: bytes
    level: bytes = b""
    """Of audio, its level's byte, if known: sent again, it must be the same packet to the byte."""


class PacketRing:
    """The packets with the newest `size` extended sequence numbers; `size` is a power of two."""

    __slots__ = ("_mask", "_slots", "size")

    def __init__(self, size: int) -> None:
        self.size = size
        self._slots: list[KeptPacket | None] = [None] * size
        self._mask = size - 1

    def keep(self, packet: KeptPacket) -> None:
        """Keep a packet in place of the one `size` before it."""
        self._slots[packet.extended & self._mask] = packet

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
