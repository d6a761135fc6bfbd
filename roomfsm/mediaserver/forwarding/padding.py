"""Packets that are only padding, by which the path of a viewer who gets no picture is probed.

They belong to the stream of the viewer's retransmissions (RFC 4588), which no decoder waits for. A browser drops
them, and tells when they came, if they have transport-wide numbers.
"""

import struct

from roomfsm.mediaserver.forwarding.sink import Sink
from roomfsm.mediaserver.forwarding.surroundings import Outlet
from roomfsm.mediaserver.rtp.extensions import ExtensionWriter

_FIXED = struct.Struct("!BBHII")
_VERSION_PADDED, _EXTENDED = 0xA0, 0x10
_MOST = 255
"""The most bytes of padding in a packet, because the last one of them has their number (RFC 3550 section 5.1)."""
_MAX_PACKETS = 64
"""The most packets that are sent at once."""


def send_padding(sink: Sink, octets: int, now: float, outlet: Outlet) -> None:
    """Send a sink about so many octets of padding. A sink without a stream of retransmissions gets none."""
    payload_type = None if sink.codec is None else sink.codec.rtx
    if payload_type is None:
        return
    timestamp = 0 if sink.continuation is None else sink.continuation.timestamp
    writer = ExtensionWriter(sink.extensions)
    packets: list[bytes] = []
    while octets > 0 and len(packets) < _MAX_PACKETS:
        extension = writer.write(now, b"")
        most = min(_MOST, max(1, octets - _FIXED.size - len(extension)))
        head = _FIXED.pack(
            _VERSION_PADDED | (_EXTENDED if extension else 0),
            payload_type,
            (sink.repair_packets + len(packets) + 1) & 0xFFFF,
            timestamp,
            outlet.repair_ssrc,
        )
        packets.append(head + extension + bytes(most - 1) + bytes((most,)))
        octets -= len(packets[-1])
    sink.repair_packets += len(packets)
    outlet.send_packets(packets, (sink,))
