"""RTP packets (RFC 3550 section 5.1): where the payload begins, and whether a keyframe begins there."""

from collections.abc import Callable

HEADER_LENGTH = 12
ABS_SEND_TIME = "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time"
_ABS_SEND_TIME_RATE = 1 << 18
_H264_IDR = 5
_H264_SPS = 7
_H264_STAP_A = 24
_H264_FU_A = 28


class RtpError(ValueError):
    """Not an RTP packet."""


def payload_offset(packet: bytes) -> int:
    """Where the payload begins, after CSRCs and header extension. Raises :class:`RtpError`."""
    size = len(packet)
    if size < HEADER_LENGTH or packet[0] >> 6 != 2:
        raise RtpError("not RTP version 2")
    first = packet[0]
    offset = HEADER_LENGTH + 4 * (first & 0x0F)
    if first & 0x10:
        if offset + 4 > size:
            raise RtpError("header extension past the end")
        offset += 4 + 4 * int.from_bytes(packet[offset + 2 : offset + 4])
    if offset > size:
        raise RtpError("header past the end")
    return offset


def without_extension(packet: bytes, payload: int) -> bytes:
    """The packet without its header extension: none is negotiated, so nobody would understand it."""
    csrc_end = HEADER_LENGTH + 4 * (packet[0] & 0x0F)
    return bytes((packet[0] & 0xEF,)) + packet[1:csrc_end] + packet[payload:]


def with_abs_send_time(packet: bytes, extension_id: int, time: float) -> bytes:
    """Insert the header extension abs-send-time, in the one-byte form of RFC 8285, into a packet that has none.

    `time`: seconds of any clock. The same packet must always get the same time: SRTP is not safe for two packets
    of one number that differ.
    """
    csrc_end = HEADER_LENGTH + 4 * (packet[0] & 0x0F)
    stamp = int(time * _ABS_SEND_TIME_RATE) & 0xFFFFFF
    extension = (0xBEDE0001 << 32 | (extension_id << 4 | 2) << 24 | stamp).to_bytes(8)
    return bytes((packet[0] | 0x10,)) + packet[1:csrc_end] + extension + packet[csrc_end:]


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
        return offset + 1 < size and bool(packet[offset + 1] & 0x80) and packet[offset + 1] & 0x1F == _H264_IDR
    return kind in (_H264_IDR, _H264_SPS)


KEYFRAME_STARTS: dict[str, Callable[[bytes, int], bool]] = {
    "VP8": vp8_keyframe_start,
    "H264": h264_keyframe_start,
}
"""By the codec's name, in capitals."""
