"""What a presenter sends: silence, and pictures of any size, which the media server may ask for again."""

from __future__ import annotations

from collections import OrderedDict

import trio

from roomfsm.mediaserver.rtp import rtcp
from roomfsm.peer import VP8_PAYLOAD, Peer

PICTURES = 10
"""Pictures a second."""
_PAYLOAD = 1100
"""The most bytes in a packet after the payload descriptor."""
_CLOCK = 90_000
_KEPT = 1000
"""Packets that can be sent again."""
_START, _GOES_ON = b"\x10", b"\x00"
"""The payload descriptor of a picture's first packet, and of the others (RFC 7741 section 4.2)."""


def packets_of(octets: int) -> list[bytes]:
    """The payloads of one picture that has about so many bytes.

    The picture is whole at its beginning. A decoder ignores the zeros after it.
    """
    frame = VP8_PAYLOAD[1:].ljust(octets, b"\0")
    parts = [frame[at : at + _PAYLOAD] for at in range(0, len(frame), _PAYLOAD)]
    return [(_GOES_ON if number else _START) + part for number, part in enumerate(parts)]


async def present(peer: Peer, rate: float) -> None:
    """Send sound, and pictures of `rate` bit/s in all, until cancelled."""
    peer.play("audio")
    payloads = packets_of(int(rate / 8 / PICTURES))
    kept: OrderedDict[int, tuple[bytes, int, bool]] = OrderedDict()

    async def repeat() -> None:
        while True:
            for packet in rtcp.parse(await peer.receive_rtcp()):
                if isinstance(packet, rtcp.Nack):
                    for number in packet.sequence_numbers:
                        if number in kept:
                            send(*kept[number], number)

    def send(payload: bytes, timestamp: int, last: bool, number: int | None = None) -> None:
        sent = peer.send_rtp(payload, timestamp=timestamp, marker=last, sequence_number=number)
        kept[sent] = payload, timestamp, last
        if len(kept) > _KEPT:
            kept.popitem(last=False)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(repeat)
        began = trio.current_time()
        while True:
            timestamp = round((trio.current_time() - began) * _CLOCK)
            for payload in payloads:
                send(payload, timestamp, payload is payloads[-1])
            await trio.sleep(1 / PICTURES)
