"""Our own offer (RFC 8829 section 5.2), for endpoints that offer instead of answering, and the answer to it.

What we offer is what we would answer to somebody who offers all that we can pass on: so both are made by the same
code. The browser stays the controlling ICE agent (RFC 8445 section 6.1.1), for we are lite, and it chooses the
DTLS role (RFC 8842 section 5.3).
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from roomfsm.mediaserver.base.errors import SdpError
from roomfsm.mediaserver.base.kinds import ALL_KINDS, MediaKind
from roomfsm.mediaserver.sdp.answer import (
    AcceptedMedia,
    AcceptedTransport,
    Agreement,
    accept,
    undecodable,
    with_feedback,
)
from roomfsm.mediaserver.sdp.codec import Codec
from roomfsm.mediaserver.sdp.description import Direction, Offer, parse_offer

_AUDIO = """\
m=audio 9 UDP/TLS/RTP/SAVPF 111 63
a=mid:audio0
a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level
a=extmap:3 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01
a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid
a=rtcp-fb:* nack
a=rtcp-fb:* transport-cc
a=rtpmap:111 opus/48000/2
a=rtpmap:63 red/48000/2
a=fmtp:63 111/111
a=fmtp:111 minptime=10;useinbandfec=1
"""
_VIDEO = """\
m=video 9 UDP/TLS/RTP/SAVPF 96 97 98 99 100 101 102 103
a=mid:video0
a=extmap:2 http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time
a=extmap:3 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01
a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid
a=rtcp-fb:* nack
a=rtcp-fb:* nack pli
a=rtcp-fb:* ccm fir
a=rtcp-fb:* goog-remb
a=rtcp-fb:* transport-cc
a=rtpmap:96 VP8/90000
a=rtpmap:97 rtx/90000
a=fmtp:97 apt=96
a=rtpmap:98 H264/90000
a=fmtp:98 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f
a=rtpmap:99 rtx/90000
a=fmtp:99 apt=98
a=rtpmap:100 VP9/90000
a=fmtp:100 profile-id=0
a=rtpmap:101 rtx/90000
a=fmtp:101 apt=100
a=rtpmap:102 AV1/90000
a=rtpmap:103 rtx/90000
a=fmtp:103 apt=102
"""
_MEDIA = {MediaKind.AUDIO: ("audio0", _AUDIO), MediaKind.VIDEO: ("video0", _VIDEO)}
# No transport: these stand only for what a description must have to be read.
_SESSION = """\
v=0
a=group:BUNDLE {mids}
a=ice-ufrag:none
a=ice-pwd:none
a=fingerprint:sha-256 {fingerprint}
"""


class Answered(NamedTuple):
    """What the answer to our offer agrees on."""

    transports: tuple[AcceptedTransport, ...]
    undecodable: frozenset[MediaKind]
    """The kinds that it would receive, but in no codec of ours."""


def propose(
    kinds: Collection[MediaKind],
    direction: Direction,
    sources: Mapping[MediaKind, Codec],
    viewers: Mapping[MediaKind, Sequence[Sequence[Codec]]],
) -> tuple[Offer, Agreement]:
    """What to offer: an m-line each of `kinds`, and for a kind whose source is known only what it can be sent as.

    `direction` is ours; what most of `viewers` can decode comes first. The pair is what `write_answer` takes.
    Raises :class:`NoCommonCodec` for a source that we cannot offer.
    """
    chosen = [kind for kind in ALL_KINDS if kind in kinds]
    text = _SESSION.format(mids=" ".join(_MEDIA[kind][0] for kind in chosen), fingerprint="00" * 32)
    described = parse_offer(text + "".join(_MEDIA[kind][1] + "a=rtcp-mux\na=rtcp-rsize\n" for kind in chosen))
    for section in described.sections:
        section.direction = direction.reversed()
    agreement = accept(described, sources if direction.sends else {}, viewers)

    def offered(media: AcceptedMedia) -> AcceptedMedia:
        pinned = direction.sends and media.kind in sources
        return media if pinned else replace(media, codecs=_all_codecs(media))

    # A transport each, of which the other side that bundles uses the tagged one alone (RFC 9143 section 7.2).
    return described, Agreement(
        tuple(
            replace(transport, media=(offered(media),))
            for transport in agreement.transports
            for media in transport.media
        )
    )


def _all_codecs(media: AcceptedMedia) -> tuple[Codec, ...]:
    """What was chosen, and behind it all others that we pass on."""
    others = (with_feedback(codec, media.extensions) for codec in media.section.codecs)
    return tuple(dict.fromkeys((*media.codecs, *others)))


def read_answer(text: str, offered: Offer, sources: Mapping[MediaKind, Codec]) -> Answered:
    """Read the answer to `offered`. Raises :class:`SdpError` where it is none, :class:`NoCommonCodec` where it has
    not the source's codec. What it has first is what the browser will send."""
    answer = parse_offer(text)
    if len(answer.sections) != len(offered.sections):
        raise SdpError(f"the offer has {len(offered.sections)} m-lines, the answer {len(answer.sections)}")
    for ours, theirs in zip(offered.sections, answer.sections, strict=True):
        if ours.media != theirs.media:
            raise SdpError(f"the answer has {theirs.media[:20]} where the offer has {ours.media}")
        # What we did not offer to do is not done, whatever the answer says (RFC 3264 section 6.1).
        theirs.direction = theirs.direction.limited_to(ours.direction)
    _check_roles(answer)
    if all(section.disabled for section in answer.sections):
        return Answered((), frozenset())
    agreement = accept(answer, sources, {})
    return Answered(agreement.transports, undecodable(answer, agreement.media))


def _check_roles(answer: Offer) -> None:
    """Raises :class:`SdpError` where one transport would have both DTLS roles."""
    for mids in answer.bundles:
        roles = {section.setup for section in answer.sections if section.mid in mids and section.port != "0"}
        if roles >= {"active", "passive"}:
            raise SdpError("the answer's m-lines differ in their DTLS role")
