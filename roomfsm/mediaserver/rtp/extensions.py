"""RTP header extensions (RFC 8285): which of them are negotiated, and how they are read and written.

The publisher and the viewers use different ids for the same extensions, and some values are valid on one transport
only. So the engine removes the extension from a received packet, and writes a new one for each group of viewers.
"""

from collections.abc import Mapping
from typing import NamedTuple

ABS_SEND_TIME = "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time"
"""The send time, which a viewer's browser needs to estimate its bandwidth (draft-alvestrand-rmcat-remb-03)."""
AUDIO_LEVEL = "urn:ietf:params:rtp-hdrext:ssrc-audio-level"
"""The audio level (RFC 6464)."""
MID = "urn:ietf:params:rtp-hdrext:sdes:mid"
"""The mid of the m-line (RFC 9143 section 15)."""
TRANSPORT_CC = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"
"""The packet's number among all packets of its transport."""
RID = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id"
"""The name of the simulcast layer to which a packet belongs (RFC 8852 section 3.1)."""
REPAIRED_RID = "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id"
"""The name of the layer that a retransmission repairs (RFC 8852 section 3.2)."""
KNOWN = (ABS_SEND_TIME, AUDIO_LEVEL, MID, TRANSPORT_CC, RID, REPAIRED_RID)

MAX_ID = 14
"""The highest id in the one-byte form of header extensions (RFC 8285 section 4.2)."""
_MAX_MID = 16
_ABS_SEND_TIME_RATE = 1 << 18
_ONE_BYTE_FORM = b"\xbe\xde"
_HEADER_LENGTH = 12


class OutgoingExtensions(NamedTuple):
    """The ids of the extensions that a viewer's browser understands. 0 means that it does not understand the
    extension.
    """

    abs_send_time: int = 0
    audio_level: int = 0
    mid: int = 0
    mid_value: bytes = b""
    transport_cc: int = 0

    @classmethod
    def negotiated(cls, ids: Mapping[str, int], mid: str, *, numbered: bool = False) -> "OutgoingExtensions":
        """Those that were agreed on.

        With `numbered`, packets get transport-wide numbers, and no send time, which says the same.
        """
        value = mid.encode()
        named = ids.get(MID, 0) if 0 < len(value) <= _MAX_MID else 0
        transport_cc = ids.get(TRANSPORT_CC, 0) if numbered else 0
        send_time = 0 if transport_cc else ids.get(ABS_SEND_TIME, 0)
        return cls(send_time, ids.get(AUDIO_LEVEL, 0), named, value if named else b"", transport_cc)


class ExtensionWriter:
    """Writes the header extension for each packet of one group of viewers.

    The only element that changes comes first, so that the others are written only once. For video it is the send
    time, for audio the level.
    """

    __slots__ = ("_after_level", "_after_time", "_before_level", "_before_time", "_constant")

    def __init__(self, extensions: OutgoingExtensions) -> None:
        constant = _element(extensions.mid, extensions.mid_value) if extensions.mid else b""
        if extensions.transport_cc:  # It comes first, where `number_place` finds it.
            constant = _element(extensions.transport_cc, bytes(2)) + constant
        self._constant = _block(constant) if constant else b""
        self._before_time = self._after_time = self._before_level = self._after_level = b""
        if extensions.abs_send_time:
            timed = _block(_element(extensions.abs_send_time, bytes(3)) + constant)
            self._before_time, self._after_time = timed[:5], timed[8:]
        if extensions.audio_level:
            heard = _block(_element(extensions.audio_level, bytes(1)) + constant)
            self._before_level, self._after_level = heard[:5], heard[6:]

    def write(self, time: float, level: bytes) -> bytes:
        """The extension, in whole 32-bit words, or empty bytes if there is none.

        `time` is in seconds of any clock. `level` is the byte of the audio level, or empty. The same packet must
        always get the same extension, because SRTP is not safe if two different packets have the same number.
        """
        if self._before_time:
            stamp = (int(time * _ABS_SEND_TIME_RATE) & 0xFFFFFF).to_bytes(3)
            return self._before_time + stamp + self._after_time
        if level and self._before_level:
            return self._before_level + level + self._after_level
        return self._constant


def number_place(packet: bytes | bytearray) -> int:
    """The offset of the transport-wide number in a packet of a group that has it. The sender fills it in."""
    return _HEADER_LENGTH + 4 * (packet[0] & 0x0F) + 5


def _element(extension_id: int, value: bytes) -> bytes:
    return bytes((extension_id << 4 | len(value) - 1,)) + value


def _block(elements: bytes) -> bytes:
    padded = elements + bytes(-len(elements) % 4)
    return _ONE_BYTE_FORM + (len(padded) // 4).to_bytes(2) + padded


def read_extension(packet: bytes, payload: int, extension_id: int) -> bytes:
    """The value of one extension in a packet that has extensions, in either form; empty if it is missing.

    `payload` is the offset of the payload.
    """
    offset = _HEADER_LENGTH + 4 * (packet[0] & 0x0F)
    one_byte = packet[offset : offset + 2] == _ONE_BYTE_FORM
    if not one_byte and (packet[offset] != 0x10 or packet[offset + 1] >> 4):
        return b""
    offset += 4
    while offset < payload:
        head = packet[offset]
        offset += 1
        if head == 0:  # This byte is padding.
            continue
        if one_byte:
            found, size = head >> 4, (head & 0x0F) + 1
            if found > MAX_ID:
                break
        elif offset < payload:
            found, size = head, packet[offset]
            offset += 1
        else:
            break
        if found == extension_id:
            return packet[offset : offset + size] if offset + size <= payload else b""
        offset += size
    return b""
