"""The VP8 payload descriptor (RFC 7741 section 4.2): reads and changes the numbers of pictures.

A browser puts the frames of a stream in order by *PictureID* and *TL0PICIDX*. A viewer who is moved from one
stream to another gets the other one under the same SSRC, and its decoder would take a lower PictureID for an old
picture. So the numbers continue, as sequence numbers and timestamps do.

The pictures may be in temporal layers: those of the lowest one need no others. Whoever gets these alone needs
other PictureIDs as well, because a missing one looks like a loss.
"""

from typing import NamedTuple

_EXTENDED = 0x80
_PICTURE_ID, _TL0PICIDX, _TID_OR_KEYIDX, _TID = 0x80, 0x40, 0x30, 0x20
_LONG = 0x80
"""The M bit: the PictureID has 15 bits."""
_LONG_IDS, _SHORT_IDS, _TL0PICIDXS = 0x8000, 0x80, 0x100


class PictureNumbers(NamedTuple):
    """The numbers of the picture to which a packet belongs."""

    picture_id: int | None
    """PictureID, of 7 or 15 bits; None if there is none."""
    tl0picidx: int | None
    """The number of the newest picture of the lowest temporal layer; None if there is none."""


class TemporalLayer(NamedTuple):
    """The place of a picture in the temporal layers."""

    number: int
    """TID: 0 is the lowest layer, whose pictures need no others."""
    tl0picidx: int
    """The number of the newest picture of the lowest layer, of 8 bits."""


class PictureOffsets(NamedTuple):
    """What is added to these numbers."""

    picture_id: int = 0
    tl0picidx: int = 0


UNCHANGED = PictureOffsets()


def picture_numbers(packet: bytes, payload: int) -> PictureNumbers:
    """Read the descriptor at the offset `payload`. What is cut off counts as missing."""
    long, picture, tl0picidx = _places(packet, payload)
    if not picture:
        found = None
    elif long:
        found = int.from_bytes(packet[picture : picture + 2]) & 0x7FFF
    else:
        found = packet[picture]
    return PictureNumbers(found, packet[tl0picidx] if tl0picidx else None)


def continuing(before: PictureNumbers, first: PictureNumbers) -> PictureOffsets:
    """The offsets with which a stream that begins with the picture `first` follows the picture `before`."""
    picture_id = tl0picidx = 0
    if before.picture_id is not None and first.picture_id is not None:
        picture_id = (before.picture_id + 1 - first.picture_id) % _LONG_IDS
    if before.tl0picidx is not None and first.tl0picidx is not None:
        tl0picidx = (before.tl0picidx + 1 - first.tl0picidx) % _TL0PICIDXS
    return PictureOffsets(picture_id, tl0picidx) if picture_id or tl0picidx else UNCHANGED


def shifted(numbers: PictureNumbers, offsets: PictureOffsets) -> PictureNumbers:
    """The numbers of a picture as :func:`renumbered` writes them, if its PictureID has 15 bits."""
    picture_id, tl0picidx = numbers
    return PictureNumbers(
        None if picture_id is None else (picture_id + offsets.picture_id) % _LONG_IDS,
        None if tl0picidx is None else (tl0picidx + offsets.tl0picidx) % _TL0PICIDXS,
    )


def renumbered(packet: bytes, payload: int, offsets: PictureOffsets) -> bytes:
    """The packet with these offsets added to the numbers of its picture. Its length stays the same."""
    long, picture, tl0picidx = _places(packet, payload)
    if not (picture or tl0picidx):
        return packet
    changed = bytearray(packet)
    if picture and long:
        number = int.from_bytes(packet[picture : picture + 2]) + offsets.picture_id & 0x7FFF
        changed[picture : picture + 2] = (_LONG_IDS | number).to_bytes(2)
    elif picture:
        changed[picture] = (packet[picture] + offsets.picture_id) % _SHORT_IDS
    if tl0picidx:
        changed[tl0picidx] = (packet[tl0picidx] + offsets.tl0picidx) % _TL0PICIDXS
    return bytes(changed)


def temporal_layer(packet: bytes, payload: int) -> TemporalLayer | None:
    """The temporal layer of a picture that has all of PictureID, TL0PICIDX and TID; None for others."""
    _, picture, tl0picidx = _places(packet, payload)
    if not picture or not tl0picidx or not packet[payload + 1] & _TID or tl0picidx + 1 >= len(packet):
        return None
    return TemporalLayer(packet[tl0picidx + 1] >> 6, packet[tl0picidx])


def with_picture_id(packet: bytes, payload: int, picture_id: int) -> bytes:
    """The packet, which must have a PictureID, with another one. It is cut to the bits that there are."""
    long, picture, _ = _places(packet, payload)
    changed = bytearray(packet)
    if long:
        changed[picture : picture + 2] = (_LONG_IDS | picture_id % _LONG_IDS).to_bytes(2)
    else:
        changed[picture] = picture_id % _SHORT_IDS
    return bytes(changed)


def _places(packet: bytes, payload: int) -> tuple[bool, int, int]:
    """Whether the PictureID is long, and the places of PictureID and TL0PICIDX; 0 for one that is not there."""
    size = len(packet)
    if payload + 1 >= size or not packet[payload] & _EXTENDED:
        return False, 0, 0
    extension, place = packet[payload + 1], payload + 2
    long, picture, tl0picidx = False, 0, 0
    if extension & _PICTURE_ID:
        if place >= size:
            return False, 0, 0
        long = bool(packet[place] & _LONG)
        if place + long >= size:
            return False, 0, 0
        picture = place
        place += 1 + long
    if extension & _TL0PICIDX and place < size:
        tl0picidx = place
    return long, picture, tl0picidx


def picture_size(packet: bytes, payload: int) -> tuple[int, int] | None:
    """The width and height in pixels that a keyframe's first packet names (RFC 6386 section 9.1); None if cut off.

    :func:`~roomfsm.mediaserver.rtp.packet.vp8_keyframe_start` must have accepted the packet.
    """
    place = payload + 1
    if packet[payload] & _EXTENDED:
        extension = packet[place]
        place += 1
        if extension & _PICTURE_ID:
            place += 2 if packet[place] & _LONG else 1
        place += bool(extension & _TL0PICIDX) + bool(extension & _TID_OR_KEYIDX)
    header = packet[place : place + 10]
    if len(header) < 10 or header[3:6] != b"\x9d\x01\x2a":
        return None
    return int.from_bytes(header[6:8], "little") & 0x3FFF, int.from_bytes(header[8:10], "little") & 0x3FFF
