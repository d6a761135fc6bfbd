"""Our own offer (RFC 8829 section 5.2), for endpoints that offer instead of answering, and reading the answer to
it.

Our offer is the same as our answer to somebody who offers everything that we can forward, so the same code makes
both. The browser is still the controlling ICE agent, because we are lite (RFC 8445 section 6.1.1), and it chooses
the DTLS role (RFC 8842 section 5.3). Another media server of ours that answers becomes a full agent for that
(:mod:`~roomfsm.mediaserver.ice.checks`).
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
# These lines do not describe a transport. They are only here because a description must have them.
_SESSION = """\
v=0
a=group:BUNDLE {mids}
a=ice-ufrag:none
a=ice-pwd:none
a=fingerprint:sha-256 {fingerprint}
"""


class Answered(NamedTuple):
    """The agreement after the answer to our offer."""

    transports: tuple[AcceptedTransport, ...]
    undecodable: frozenset[MediaKind]
    """The kinds that the other side wants to receive, but in none of our codecs."""


def propose(
    kinds: Collection[MediaKind],
    direction: Direction,
    sources: Mapping[MediaKind, Codec],
    viewers: Mapping[MediaKind, Sequence[Sequence[Codec]]],
) -> tuple[Offer, Agreement]:
    """Decide what to offer: an m-line for each of `kinds`.

    If the source of a kind is known, only its codec is offered, in the same variant. `direction` is ours. The
    codec that most `viewers` can decode comes first. The returned pair is for `write_answer`. Raises
    :class:`NoCommonCodec` if we cannot offer the codec of a source.
    """
    chosen = [kind for kind in ALL_KINDS if kind in kinds]
    text = _SESSION.format(mids=" ".join(_MEDIA[kind][0] for kind in chosen), fingerprint="00" * 32)
    described = parse_offer(text + "".join(_MEDIA[kind][1] + "a=rtcp-mux\na=rtcp-rsize\n" for kind in chosen))
    for section in described.sections:
        section.direction = direction.reversed()
        source = sources.get(section.kind) if section.kind is not None and direction.sends else None
        if source is not None:
            section.codecs = [_variant(codec, source) for codec in section.codecs]
    agreement = accept(described, sources if direction.sends else {}, viewers)

    def offered(media: AcceptedMedia) -> AcceptedMedia:
        pinned = direction.sends and media.kind in sources
        return media if pinned else replace(media, codecs=_all_codecs(media))

    # Each m-line is offered with a transport of its own. If the other side bundles, it uses only the tagged one
    # (RFC 9143 section 7.2).
    return described, Agreement(
        tuple(
            replace(transport, media=(offered(media),))
            for transport in agreement.transports
            for media in transport.media
        )
    )


def _variant(codec: Codec, source: Codec) -> Codec:
    """Our codec, in the very variant and with the preference for redundancy of a source that it can carry.

    Another media server passes on exactly this to its viewers.
    """
    if codec.name != source.name:
        return codec
    return replace(codec, parameters=source.parameters, prefers_red=source.red is not None)


def _all_codecs(media: AcceptedMedia) -> tuple[Codec, ...]:
    """The chosen codecs, followed by all others that we can forward."""
    others = (with_feedback(codec, media.extensions) for codec in media.section.codecs)
    return tuple(dict.fromkeys((*media.codecs, *others)))


def read_answer(text: str, offered: Offer, sources: Mapping[MediaKind, Codec]) -> Answered:
    """Read the answer to `offered`. The browser will send the first codec of each m-line.

    Raises :class:`SdpError` if the text does not answer the offer, and :class:`NoCommonCodec` if it lacks the
    source's codec.
    """
    answer = parse_offer(text)
    if answer.ice_lite is not None:
        # Who answers a lite agent must be the full one, because we have already said what we are.
        raise SdpError(f"{answer.ice_lite}: this server is ICE-lite, too, so neither side would begin")
    if len(answer.sections) != len(offered.sections):
        raise SdpError(f"the offer has {len(offered.sections)} m-lines, the answer {len(answer.sections)}")
    for ours, theirs in zip(offered.sections, answer.sections, strict=True):
        if ours.media != theirs.media:
            raise SdpError(f"the answer has {theirs.media[:20]} where the offer has {ours.media}")
        # The answer cannot extend the direction that we offered (RFC 3264 section 6.1).
        theirs.direction = theirs.direction.limited_to(ours.direction)
    _check_roles(answer)
    if all(section.disabled for section in answer.sections):
        return Answered((), frozenset())
    agreement = accept(answer, sources, {})
    return Answered(agreement.transports, undecodable(answer, agreement.media))


def _check_roles(answer: Offer) -> None:
    """Raise :class:`SdpError` if one transport would have both DTLS roles."""
    for mids in answer.bundles:
        roles = {section.setup for section in answer.sections if section.mid in mids and section.port != "0"}
        if roles >= {"active", "passive"}:
            raise SdpError("the answer's m-lines differ in their DTLS role")
