"""RTP packets (RFC 3550 section 5.1): finds the payload, keyframes, and the original packets in
retransmissions.
"""

from collections.abc import Callable

HEADER_LENGTH = 12
_H264_IDR = 5
_H264_SPS = 7
_H264_STAP_A = 24
_H264_FU_A = 28
_VP9_PICTURE_ID, _VP9_INTER_PREDICTED, _VP9_LAYERS, _VP9_BEGINNING = 0x80, 0x40, 0x20, 0x08
_VP9_SPATIAL_ID = 0x0E
_AV1_CONTINUES, _AV1_NEW_SEQUENCE = 0x80, 0x08


class RtpError(ValueError):
    """The bytes are not an RTP packet."""


def payload_offset(packet: bytes) -> int:
    """The offset of the payload, which follows CSRCs and header extension. Raises :class:`RtpError`."""
    size = len(packet)
    if size < HEADER_LENGTH or packet[0] >> 6 != 2:
        raise RtpError("not RTP version 2")
    first = packet[0]
    offset = HEADER_LENGTH + 4 * (first & 0x0F)
    if first & 0x10:
        # If the packet is cut off here, the missing bytes count as zeros. The offset is still beyond the packet's
        # end, which is an error.
        offset += 4 + 4 * int.from_bytes(packet[offset + 2 : offset + 4])
    if offset > size:
        raise RtpError("header past the end")
    return offset


def without_extension(packet: bytes, payload: int) -> bytes:
    """The packet without its header extension, because viewers use other ids."""
    csrc_end = HEADER_LENGTH + 4 * (packet[0] & 0x0F)
    return bytes((packet[0] & 0xEF,)) + packet[1:csrc_end] + packet[payload:]


def payload_size(packet: bytes) -> int:
    """The octets of the payload without header and padding, as sender reports count them (RFC 3550 section
    6.4.1).
    """
    padding = packet[-1] if packet[0] & 0x20 else 0
    return max(0, len(packet) - payload_offset(packet) - padding)


def original(packet: bytes, ssrc: int, payload_type: int) -> bytes | None:
    """The packet that a retransmission (RFC 4588 section 4) repeats; None if it has only padding.

    `ssrc` and `payload_type` are those of the original stream. Raises :class:`RtpError`.
    """
    payload, end = payload_offset(packet), len(packet)
    if packet[0] & 0x20:
        end -= packet[-1]
    if end == payload:
        return None
    if end < payload + 2:
        raise RtpError("no original sequence number")
    return b"".join(
        (
            bytes((packet[0] & 0xDF, packet[1] & 0x80 | payload_type)),
            packet[payload : payload + 2],
            packet[4:8],
            ssrc.to_bytes(4),
            packet[HEADER_LENGTH:payload],
            packet[payload + 2 : end],
        )
    )


def vp8_keyframe_start(packet: bytes, offset: int) -> bool:
    """Whether the VP8 payload at `offset` begins a keyframe (RFC 7741 sections 4.2 and 4.3)."""
    size = len(packet)
    if offset >= size:
        return False
    first = packet[offset]
    if not first & 0x10 or first & 0x0F:
        return False
    offset += 1
    if first & 0x80:
        if offset >= size:
            return False
        extension = packet[offset]
        offset += 1
        if extension & 0x80:
            if offset >= size:
                return False
            offset += 2 if packet[offset] & 0x80 else 1
        if extension & 0x40:
            offset += 1
        if extension & 0x30:
            offset += 1
    return offset < size and not packet[offset] & 0x01


def h264_keyframe_start(packet: bytes, offset: int) -> bool:
    """Whether the H264 payload at `offset` begins a keyframe: parameter sets or an IDR slice (RFC 6184)."""
    size = len(packet)
    if offset >= size:
        return False
    kind = packet[offset] & 0x1F
    if kind == _H264_STAP_A:
        offset += 1
        while offset + 2 < size:
            if packet[offset + 2] & 0x1F in (_H264_IDR, _H264_SPS):
                return True
            offset += 2 + int.from_bytes(packet[offset : offset + 2])
        return False
    if kind == _H264_FU_A:
        if offset + 1 >= size or not packet[offset + 1] & 0x80:
            return False
        kind = packet[offset + 1] & 0x1F
    return kind in (_H264_IDR, _H264_SPS)


def vp9_keyframe_start(packet: bytes, offset: int) -> bool:
    """Whether the VP9 payload at `offset` begins a keyframe (RFC 9628 section 4.2).

    With layers, only the lowest one counts.
    """
    size = len(packet)
    if offset >= size:
        return False
    first = packet[offset]
    if first & _VP9_INTER_PREDICTED or not first & _VP9_BEGINNING:
        return False
    if not first & _VP9_LAYERS:
        return True
    offset += 1
    if first & _VP9_PICTURE_ID:
        if offset >= size:
            return False
        offset += 2 if packet[offset] & 0x80 else 1
    return offset < size and not packet[offset] & _VP9_SPATIAL_ID


def av1_keyframe_start(packet: bytes, offset: int) -> bool:
    """Whether the AV1 payload at `offset` begins a coded video sequence (RTP Payload Format For AV1, 4.4)."""
    if offset >= len(packet):
        return False
    return packet[offset] & (_AV1_CONTINUES | _AV1_NEW_SEQUENCE) == _AV1_NEW_SEQUENCE


KEYFRAME_STARTS: dict[str, Callable[[bytes, int], bool]] = {
    "VP8": vp8_keyframe_start,
    "VP9": vp9_keyframe_start,
    "H264": h264_keyframe_start,
    "AV1": av1_keyframe_start,
}
"""The functions above by the codec's name in capitals."""
