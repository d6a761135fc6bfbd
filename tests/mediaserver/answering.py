"""A test peer that answers an offer of the server instead of making one of its own."""

from collections.abc import Collection
from dataclasses import replace

from roomfsm.mediaserver.sdp.description import parse_offer
from tests.mediaserver.peer import TestPeer


def write_answer(
    peer: TestPeer,
    offer: str,
    *,
    direction: str,
    setup: str,
    codec: str | None = None,
    extensions: Collection[str] = (),
) -> str:
    """The answer to `offer`: its first codec of each m-line, or of video the one named `codec`; of what it offers
    those header extensions."""
    transport = [line for line in peer.offer.split("\r\n") if line.startswith(("a=ice-", "a=fingerprint"))][:3]
    offered = parse_offer(offer)
    lines = ["v=0", "o=- 1 2 IN IP4 127.0.0.1", "s=-", "t=0 0", f"a=group:BUNDLE {' '.join(offered.bundles[0])}"]
    for section in offered.sections:
        named = [one for one in section.codecs if section.media == "audio" or codec in (None, one.name)]
        chosen = named[0]
        peer.payload_types[chosen.name.lower()] = chosen.payload_type
        lines += [
            f"m={section.media} 9 {section.protocol} {chosen.payload_type}",
            "c=IN IP4 0.0.0.0",
            *transport,
            f"a=setup:{setup}",
            f"a=mid:{section.mid}",
            f"a={direction}",
            "a=rtcp-mux",
            f"a=rtpmap:{chosen.payload_type} {chosen.rtpmap}",
            *([f"a=fmtp:{chosen.payload_type} {chosen.parameters}"] if chosen.parameters else []),
            *(f"a=rtcp-fb:{chosen.payload_type} {value}" for value in chosen.feedback),
            *(f"a=extmap:{number} {uri}" for uri, number in section.extensions.items() if uri in extensions),
        ]
    return "\r\n".join(lines) + "\r\n"


async def connect(peer: TestPeer, offer: str, *, setup: str) -> None:
    """Connect to the server, which has the answer already; returns when DTLS-SRTP is up."""
    peer.take_answer(offer)
    if setup == "passive":
        # The offer leaves it to us who begins the handshake.
        peer.answer = replace(peer.require_answer(), active=True)
        peer.start_dtls()
    await peer.reach()
    if setup == "active":
        peer.start_dtls()
    await peer.connected.wait()
