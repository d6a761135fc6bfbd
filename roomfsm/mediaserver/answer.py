"""The answer to an offer (RFC 8829 section 5.3, RFC 8839, RFC 8843): what is accepted, and its text."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from roomfsm.mediaserver.media import MediaKind, SdpError
from roomfsm.mediaserver.rtp import ABS_SEND_TIME
from roomfsm.mediaserver.sdp import Codec, Direction, MediaSection, Offer, matching_codec, pinned_codec

_PROTOCOL = "UDP/TLS/RTP/SAVPF"
_DISCARD_PORT = 9


@dataclass(frozen=True, slots=True)
class AcceptedMedia:
    """What was agreed for one m-line, the direction as seen from us."""

    section: MediaSection
    index: int
    kind: MediaKind
    direction: Direction
    abs_send_time: int
    """The header extension's id in what we send; 0 is none."""
    codecs: tuple[Codec, ...]
    """The first is the one that the publisher sends."""

    @property
    def mid(self) -> str:
        return self.section.mid or str(self.index)


@dataclass(frozen=True, slots=True)
class LocalTransport:
    """What the answer says about our end of the transport."""

    ufrag: str
    password: str
    fingerprint: str
    candidates: Sequence[str]
    """Lines without `a=`."""
    ssrcs: Mapping[MediaKind, int]
    """Of the streams to the viewer."""
    cname: str
    stream_id: str
    """Of the MediaStream that the viewer's browser makes."""
    receive_bandwidth: int
    """kbit/s for the video that we receive; 0 says nothing."""
    receive_audio_bandwidth: int = 0
    """The same for audio."""
    setup: str = "passive"
    """Our DTLS role (RFC 5763 section 5): actpass in an offer."""


def accept(offer: Offer, sources: Mapping[MediaKind, Codec]) -> list[AcceptedMedia]:
    """Choose the m-lines that are served: the first audio and video with a codec of ours, on one transport.

    `sources`: the codecs of streams already connected, to pin a viewer's answer to. Raises :class:`SdpError` for
    DTLS-SRTP media that cannot be set up.
    """
    accepted: list[AcceptedMedia] = []
    for index, section in enumerate(offer.sections):
        kind = section.kind
        if kind is None or section.protocol != _PROTOCOL or section.port == "0" or not section.rtcp_mux:
            continue
        if not section.codecs or any(media.kind is kind for media in accepted):
            continue
        if accepted and not {section.mid, accepted[0].mid} <= set(offer.bundle):
            continue
        _check_transport(section)
        direction = section.direction.reversed()
        extension = section.abs_send_time if kind is MediaKind.VIDEO and direction.sends else 0
        codecs = _choose(section, direction, sources.get(kind))
        accepted.append(AcceptedMedia(section, index, kind, direction, extension, codecs))
    return accepted


def _check_transport(section: MediaSection) -> None:
    if not section.ufrag or not section.password:
        raise SdpError(f"the {section.media} m-line has no ICE credentials")
    if not section.fingerprints:
        raise SdpError(f"the {section.media} m-line has no fingerprint of a known hash function")
    if section.setup not in ("actpass", "active"):
        raise SdpError(f"setup:{section.setup} is not possible: we are passive")


def _choose(section: MediaSection, direction: Direction, source: Codec | None) -> tuple[Codec, ...]:
    if direction.receives:
        return (pinned_codec(section.codecs),)
    match = matching_codec(section.codecs, source) if source else None
    return (match,) if match else tuple(section.codecs)


def write_answer(offer: Offer, accepted: Sequence[AcceptedMedia], transport: LocalTransport) -> str:
    """The answer's text, lines ended with CRLF."""
    by_index = {media.index: media for media in accepted}
    lines = ["v=0", f"o=- {secrets.randbits(62)} 2 IN IP4 0.0.0.0", "s=-", "t=0 0"]
    if accepted:
        if offer.bundle:
            lines.append("a=group:BUNDLE " + " ".join(media.mid for media in accepted))
        lines += ["a=ice-lite", "a=msid-semantic: WMS *"]
    for index, section in enumerate(offer.sections):
        media = by_index.get(index)
        lines += _refused(section) if media is None else _accepted(media, transport)
    return "\r\n".join(lines) + "\r\n"


def _refused(section: MediaSection) -> list[str]:
    lines = [
        f"m={section.media} 0 {section.protocol} {' '.join(section.formats)}",
        "c=IN IP4 0.0.0.0",
        "a=inactive",
    ]
    return [*lines, f"a=mid:{section.mid}"] if section.mid else lines


def _accepted(media: AcceptedMedia, transport: LocalTransport) -> list[str]:
    section = media.section
    payload_types = " ".join(str(codec.payload_type) for codec in media.codecs)
    lines = [
        f"m={section.media} {_DISCARD_PORT} {_PROTOCOL} {payload_types}",
        "c=IN IP4 0.0.0.0",
    ]
    video = media.kind is MediaKind.VIDEO
    bandwidth = transport.receive_bandwidth if video else transport.receive_audio_bandwidth
    if media.direction.receives and bandwidth:
        lines.append(f"b=AS:{bandwidth}")
    lines += [
        "a=rtcp:9 IN IP4 0.0.0.0",
        f"a=ice-ufrag:{transport.ufrag}",
        f"a=ice-pwd:{transport.password}",
        f"a=fingerprint:{transport.fingerprint}",
        f"a=setup:{transport.setup}",
        *([f"a=mid:{section.mid}"] if section.mid else []),
        f"a={media.direction}",
        "a=rtcp-mux",
        *(["a=rtcp-rsize"] if section.rtcp_rsize else []),
        *([f"a=extmap:{media.abs_send_time} {ABS_SEND_TIME}"] if media.abs_send_time else []),
    ]
    for codec in media.codecs:
        lines.append(f"a=rtpmap:{codec.payload_type} {codec.rtpmap}")
        lines += [f"a=rtcp-fb:{codec.payload_type} {value}" for value in codec.feedback]
        if codec.parameters:
            lines.append(f"a=fmtp:{codec.payload_type} {codec.parameters}")
    if media.direction.sends:
        ssrc, msid = transport.ssrcs[media.kind], f"{transport.stream_id} {transport.stream_id}-{section.media}"
        lines += [f"a=msid:{msid}", f"a=ssrc:{ssrc} cname:{transport.cname}", f"a=ssrc:{ssrc} msid:{msid}"]
    return [*lines, *(f"a={candidate}" for candidate in transport.candidates)]
