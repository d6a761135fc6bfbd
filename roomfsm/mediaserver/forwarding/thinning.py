"""Leaves out the pictures of VP8's higher temporal layers, so that a stream becomes one of fewer pictures.

Theory. Chromium sends a camera in three temporal layers: of four pictures only one is in the lowest layer, and it
needs no others. These alone are a whole stream with a third of the bitrate, in which a picture comes a few times a
second.

A viewer must not take what is left out for lost. So the numbers of the packets close up, and PictureIDs are made
anew: they count as TL0PICIDX does, which goes up by one with each picture that stays (RFC 7741 section 4.2).

What a missing packet has in it is not known before it comes, so it keeps its number, and viewers may ask for it.
If it comes late and would have been left out, an empty packet with that number takes its place.
"""

from bisect import bisect_left

from roomfsm.mediaserver.rtp.packet import HEADER_LENGTH, RtpError, payload_offset
from roomfsm.mediaserver.rtp.vp8 import temporal_layer, with_picture_id

_RESTART = 3000
"""A greater jump of the numbers begins a new stream (RFC 3550 appendix A.1). So no more of them are remembered."""
_FIRST_CYCLE = 0x10000
_PADDED = 0xA0
"""The first byte of a packet with padding alone: version 2, and P."""
_PADDING = bytes((0, 0, 0, 4))
"""As a payload of VP8, it is no beginning of any picture."""


class ClosedUp:
    """The sequence numbers of a stream from which packets are left out."""

    __slots__ = ("_before", "_highest", "_left_out")

    def __init__(self) -> None:
        self._highest: int | None = None
        """The highest extended number so far."""
        self._left_out: list[int] = []
        """The extended numbers that were left out, in order."""
        self._before = 0
        """How many more were left out, before these."""

    def begin(self) -> None:
        """The next packet is the first of another stream. A jump of the numbers stays a jump."""
        self._highest = None
        self._before += len(self._left_out)
        self._left_out.clear()

    def keep(self, number: int) -> int:
        """The new number of a packet that stays."""
        extended = self._extend(number)
        return (extended - self._before - bisect_left(self._left_out, extended)) & 0xFFFF

    def leave_out(self, number: int) -> int | None:
        """Leave a packet out. If it comes late, this is the number that it would have, and that is free."""
        newest = self._highest
        extended = self._extend(number)
        if newest is not None and extended <= newest:
            return self.keep(number)
        if len(self._left_out) >= 2 * _RESTART:
            del self._left_out[:_RESTART]
            self._before += _RESTART
        self._left_out.append(extended)
        return None

    def _extend(self, number: int) -> int:
        if self._highest is not None:
            distance = (number - self._highest + 0x8000 & 0xFFFF) - 0x8000
            if abs(distance) <= _RESTART:
                extended = self._highest + distance
                self._highest = max(self._highest, extended)
                return extended
            self.begin()
        self._highest = _FIRST_CYCLE + number
        return self._highest


class Thinning:
    """Makes one stream of VP8 into one of its lowest temporal layer."""

    __slots__ = ("_numbers", "_picture", "_ssrc", "leaves_out")

    def __init__(self) -> None:
        self._numbers = ClosedUp()
        self._picture: int | None = None
        """The newest TL0PICIDX, counted on without an end."""
        self._ssrc = b""
        self.leaves_out = False
        """Whether anything was left out so far."""

    def take(self, packet: bytes) -> bytes | None:
        """The packet in its new form; None if it is left out, as one without temporal layers always is."""
        try:
            payload = payload_offset(packet)
        except RtpError:
            return None
        layer = temporal_layer(packet, payload)
        if layer is None:
            return None
        if packet[8:12] != self._ssrc:
            self._ssrc = packet[8:12]
            self._numbers.begin()
            if self._picture is not None:
                self._picture += (layer.tl0picidx - self._picture) % 0x100 or 0x100
        number = int.from_bytes(packet[2:4])
        if layer.number:
            self.leaves_out = True
            place = self._numbers.leave_out(number)
            return None if place is None else _empty(packet, place)
        place = self._numbers.keep(number)
        packet = with_picture_id(packet, payload, self._count(layer.tl0picidx))
        return packet[:2] + place.to_bytes(2) + packet[4:]

    def _count(self, tl0picidx: int) -> int:
        if self._picture is None:
            self._picture = tl0picidx
        picture = self._picture + (tl0picidx - self._picture + 0x80 & 0xFF) - 0x80
        self._picture = max(self._picture, picture)
        return picture


def _empty(packet: bytes, number: int) -> bytes:
    """A packet with this number that has the time of another one, and nothing else."""
    return bytes((_PADDED, packet[1] & 0x7F)) + number.to_bytes(2) + packet[4:HEADER_LENGTH] + _PADDING
