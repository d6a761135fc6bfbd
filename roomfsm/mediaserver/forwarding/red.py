"""Redundant audio (RFC 2198): each packet repeats the audio of earlier ones, so that single losses do not matter.

A payload has a list of block headers, the redundant blocks, and the *primary* block, which is the whole payload of
a packet without redundancy. So viewers that have not agreed on RED get the primary block. Nothing else must be
changed, because the number and timestamp of the packet are those of the primary block (section 3).
"""

from roomfsm.mediaserver.forwarding.sink import Group
from roomfsm.mediaserver.rtp.extensions import OutgoingExtensions
from roomfsm.mediaserver.rtp.packet import HEADER_LENGTH
from roomfsm.mediaserver.rtp.vp8 import PictureOffsets

_FOLLOWED = 0x80
"""The F bit. If it is set, this is the header of a redundant block, and another header follows."""
_HEADER_LENGTH = 4


class RedError(ValueError):
    """The payload is not a redundant payload."""


def primary(packet: bytes, payload: int) -> tuple[int, int]:
    """The payload type and the offset of the primary block of the RED payload at `payload`.

    It is the last block, so it extends to the end of the packet, including padding. Raises :class:`RedError`.
    """
    size, offset, redundant = len(packet), payload, 0
    while offset < size and packet[offset] & _FOLLOWED:
        redundant += int.from_bytes(packet[offset + 2 : offset + _HEADER_LENGTH]) & 0x3FF
        offset += _HEADER_LENGTH
    if offset >= size:
        raise RedError("no header of a primary block")
    begin = offset + 1 + redundant
    if begin >= size:
        raise RedError("blocks past the end")
    return packet[offset] & 0x7F, begin


def renamed(packet: bytes, payload: int, old: int, new: int) -> bytes:
    """The packet with the payload type `new` for blocks of type `old`. :func:`primary` must have accepted it
    before.
    """
    changed, offset = bytearray(packet), payload
    while True:
        first = packet[offset]
        if first & 0x7F == old:
            changed[offset] = first & _FOLLOWED | new
        if not first & _FOLLOWED:
            return bytes(changed)
        offset += _HEADER_LENGTH


class RedundantGroup(Group):
    """Sinks of a source that sends RED.

    It may also send packets without redundancy, which have another payload type.
    """

    __slots__ = ("_source", "_source_red", "red")

    def __init__(
        self,
        payload_type: int,
        sequence_offset: int,
        timestamp_offset: int,
        extensions: OutgoingExtensions,
        pictures: PictureOffsets,
        red: int | None,
        ssrc: int,
        source: tuple[int, int],
    ) -> None:
        """`red` is the sinks' payload type of RED; None if they have not agreed on it.

        `source` has the source's payload types of single blocks and of RED.
        """
        super().__init__(payload_type, sequence_offset, timestamp_offset, extensions, pictures, ssrc)
        self.red = red
        self._source, self._source_red = source

    def rewrite(self, extended: int, timestamp: int, time: float, packet: bytes, level: bytes = b"") -> bytes:
        self.removed = 0
        if packet[1] & 0x7F != self._source_red:
            return super().rewrite(extended, timestamp, time, packet, level)
        payload = HEADER_LENGTH + 4 * (packet[0] & 0x0F)
        if self.red is None:
            _, begin = primary(packet, payload)
            self.removed = begin - payload
            return super().rewrite(extended, timestamp, time, packet[:payload] + packet[begin:], level)
        if self._source != self.payload_type:
            packet = renamed(packet, payload, self._source, self.payload_type)
        rewritten = super().rewrite(extended, timestamp, time, packet, level)
        return rewritten[:1] + bytes((rewritten[1] & 0x80 | self.red,)) + rewritten[2:]
