"""The answer to an offer (RFC 8829 section 5.3, RFC 8839, RFC 8843): what is accepted, and its text."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from roomfsm.mediaserver.extensions import ABS_SEND_TIME, AUDIO_LEVEL, MID, TRANSPORT_CC
from roomfsm.mediaserver.media import MediaKind, NoCommonCodec, SdpError
from roomfsm.mediaserver.sdp import (
    TRANSPORT_CC_FEEDBACK,
    Codec,
    Direction,
    MediaSection,
    Offer,
    matching_codec,
    mismatch,
    pinned_codec,
)

_PROTOCOL = "UDP/TLS/RTP/SAVPF"
_DISCARD_PORT = 9
_START_BITRATE = 1000
"""kbit/s at which Chromium is to start; others pass it over. By itself it starts at 300, which makes it scale the
picture down, and it may take half a minute to find out that there is room for more."""
_RECEIVED = {MediaKind.AUDIO: (AUDIO_LEVEL, TRANSPORT_CC), MediaKind.VIDEO: (TRANSPORT_CC,)}
_SENT = {MediaKind.AUDIO: (AUDIO_LEVEL, MID), MediaKind.VIDEO: (ABS_SEND_TIME, MID)}
"""The header extensions of what we send. A number for the whole transport is not among them: it would make the
same packet another for each viewer, and REMB does without."""


@dataclass(frozen=True, slots=True)
class AcceptedMedia:
    """What was agreed for one m-line, the direction as seen from us."""

    section: MediaSection
    index: int
    kind: MediaKind
    direction: Direction
    extensions: Mapping[str, int]
    """The ids of the header extensions that were agreed on, of either direction."""
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
    repair_ssrc: int
    """Of the retransmissions of video (RFC 4588), where they are agreed on."""
    receive_audio_bandwidth: int = 0
    """The same for audio."""
    setup: str = "passive"
    """Our DTLS role (RFC 5763 section 5): actpass in an offer."""


def accept(
    offer: Offer,
    sources: Mapping[MediaKind, Codec],
    viewers: Mapping[MediaKind, Sequence[Sequence[Codec]]],
) -> list[AcceptedMedia]:
    """Choose the m-lines that are served: the first audio and video with a codec of ours, on one transport.

    `sources`: the codecs of streams already connected, to pin a viewer's answer to. `viewers`: what the viewers
    already connected can decode, for the choice of the publisher's codec. Raises :class:`SdpError` for DTLS-SRTP
    media that cannot be set up, :class:`NoCommonCodec` where a stream would have to be transcoded.
    """
    accepted: list[AcceptedMedia] = []
    refused: dict[MediaKind, str] = {}
    for index, section in enumerate(offer.sections):
        kind = section.kind
        if kind is None or section.protocol != _PROTOCOL or section.disabled or not section.rtcp_mux:
            continue
        if any(media.kind is kind for media in accepted):
            continue
        if accepted and not {section.mid, accepted[0].mid} <= set(offer.bundle):
            continue
        direction = section.direction.reversed()
        source = sources.get(kind) if direction.sends else None
        codecs = _choose(section, direction, source, viewers.get(kind, ()))
        if not codecs:
            if source is not None:
                refused[kind] = mismatch(kind, source, section.codecs)
            continue
        _check_transport(section)
        extensions = _agree_on_extensions(section, kind, direction)
        codecs = tuple(with_feedback(codec, extensions) for codec in codecs)
        accepted.append(AcceptedMedia(section, index, kind, direction, extensions, codecs))
        refused.pop(kind, None)
    for reason in refused.values():
        raise NoCommonCodec(reason)
    return accepted


def undecodable(description: Offer, accepted: Sequence[AcceptedMedia]) -> frozenset[MediaKind]:
    """The kinds that the other side would receive, but in no codec of ours: no source will fit."""
    served = {media.kind for media in accepted}
    return frozenset(
        section.kind
        for section in description.sections
        if section.kind is not None
        and section.kind not in served
        and section.direction.receives
        and not (section.disabled or section.codecs)
    )


def _check_transport(section: MediaSection) -> None:
    if not section.ufrag or not section.password:
        raise SdpError(f"the {section.media} m-line has no ICE credentials")
    if not section.fingerprints:
        raise SdpError(f"the {section.media} m-line has no fingerprint of a known hash function")
    if section.setup not in ("actpass", "active"):
        raise SdpError(f"setup:{section.setup} is not possible: we are passive")


def _choose(
    section: MediaSection, direction: Direction, source: Codec | None, viewers: Sequence[Sequence[Codec]]
) -> tuple[Codec, ...]:
    """The codecs of the answer, the best first; none if the m-line cannot be served."""
    if not section.codecs:
        return ()
    if source is not None:
        match = matching_codec(section.codecs, source)
        return (match,) if match else ()
    return (pinned_codec(section.codecs, viewers),) if direction.receives else tuple(section.codecs)


def _agree_on_extensions(section: MediaSection, kind: MediaKind, direction: Direction) -> dict[str, int]:
    wanted = (_RECEIVED[kind] if direction.receives else ()) + (_SENT[kind] if direction.sends else ())
    agreed = {uri: section.extensions[uri] for uri in wanted if uri in section.extensions}
    if not any(TRANSPORT_CC_FEEDBACK in codec.feedback for codec in section.codecs):
        agreed.pop(TRANSPORT_CC, None)
    return agreed


def with_feedback(codec: Codec, extensions: Mapping[str, int]) -> Codec:
    """Without transport-cc where the packets are not numbered for it."""
    if TRANSPORT_CC in extensions:
        return codec
    return replace(codec, feedback=tuple(value for value in codec.feedback if value != TRANSPORT_CC_FEEDBACK))


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
    payload_types = [codec.payload_type for codec in media.codecs]
    payload_types += [codec.rtx for codec in media.codecs if codec.rtx is not None]
    lines = [
        f"m={section.media} {_DISCARD_PORT} {_PROTOCOL} {' '.join(map(str, payload_types))}",
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
        *(f"a=extmap:{extension_id} {uri}" for uri, extension_id in media.extensions.items()),
    ]
    for codec in media.codecs:
        lines.append(f"a=rtpmap:{codec.payload_type} {codec.rtpmap}")
        lines += [f"a=rtcp-fb:{codec.payload_type} {value}" for value in codec.feedback]
        parameters = [codec.parameters] if codec.parameters else []
        if media.kind is MediaKind.VIDEO and media.direction.receives:
            start = min(_START_BITRATE, transport.receive_bandwidth or _START_BITRATE)
            parameters.append(f"x-google-start-bitrate={start}")
        if parameters:
            lines.append(f"a=fmtp:{codec.payload_type} {';'.join(parameters)}")
        if codec.rtx is not None:
            lines.append(f"a=rtpmap:{codec.rtx} rtx/{codec.clock_rate}")
            lines.append(f"a=fmtp:{codec.rtx} apt={codec.payload_type}")
    if media.direction.sends:
        lines += _sources(media, transport)
    return [*lines, *(f"a={candidate}" for candidate in transport.candidates)]


def _sources(media: AcceptedMedia, transport: LocalTransport) -> list[str]:
    """The lines about what we send (RFC 5576, RFC 8830)."""
    ssrcs = [transport.ssrcs[media.kind]]
    msid = f"{transport.stream_id} {transport.stream_id}-{media.section.media}"
    lines = [f"a=msid:{msid}"]
    if any(codec.rtx is not None for codec in media.codecs):
        ssrcs.append(transport.repair_ssrc)
        lines.append(f"a=ssrc-group:FID {' '.join(map(str, ssrcs))}")
    for ssrc in ssrcs:
        lines += [f"a=ssrc:{ssrc} cname:{transport.cname}", f"a=ssrc:{ssrc} msid:{msid}"]
    return lines
