"""The answer to an offer (RFC 8829 section 5.3, RFC 8839, RFC 9143): decides what is accepted, and writes the
text.

The m-lines of a BUNDLE group share one transport: ICE, DTLS and SRTP. The other side's end of the transport is
described by one of these m-lines, the tagged one (RFC 9143 section 7.3.1), and by the session-level lines. An
m-line outside of a group has a transport of its own.
"""

import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from roomfsm.mediaserver.base.errors import EngineError, NoCommonCodec, SdpError
from roomfsm.mediaserver.base.kinds import MediaKind
from roomfsm.mediaserver.ice.lite import Credentials
from roomfsm.mediaserver.rtp.extensions import (
    ABS_SEND_TIME,
    AUDIO_LEVEL,
    MID,
    REPAIRED_RID,
    RID,
    TRANSPORT_CC,
)
from roomfsm.mediaserver.sdp.codec import Codec, matching_codec, mismatch, pinned_codec
from roomfsm.mediaserver.sdp.description import TRANSPORT_CC_FEEDBACK, Direction, MediaSection, Offer
from roomfsm.mediaserver.sdp.simulcast import Layer, answer_lines

_PROTOCOLS = frozenset(
    {
        *("RTP/AVP", "RTP/AVPF", "RTP/SAVP", "RTP/SAVPF"),
        *("UDP/TLS/RTP/SAVP", "UDP/TLS/RTP/SAVPF", "TCP/DTLS/RTP/SAVP", "TCP/DTLS/RTP/SAVPF"),
    }
)
"""The accepted protocols. If a description has a fingerprint, all of them mean UDP/TLS/RTP/SAVPF (RFC 8829 section
5.1.2)."""
TOOL = "roomfsm media server"
"""Names our media server in an answer to another one (RFC 8866 section 6.4)."""
_DISCARD_PORT = 9
_START_BITRATE = 1000
"""The bitrate in kbit/s at which Chromium starts. Other browsers ignore it. By itself Chromium starts at 300 and
makes the picture smaller, and it may need half a minute to find out that there is more bandwidth."""
_RECEIVED = {MediaKind.AUDIO: (AUDIO_LEVEL, TRANSPORT_CC), MediaKind.VIDEO: (TRANSPORT_CC,)}
_SENT = {MediaKind.AUDIO: (AUDIO_LEVEL, MID), MediaKind.VIDEO: (ABS_SEND_TIME, MID)}
"""The header extensions of packets that we send to anybody."""
_LAYERED = (RID, REPAIRED_RID, MID)
"""The header extensions of received packets that belong to a layer."""
_NUMBERED = (TRANSPORT_CC,)
"""The header extension of sent packets that a viewer's browser answers by telling when each of them came. It is
agreed on wherever it can be, because a viewer may come before its source. It is used only if there are layers to
choose from, because it makes the same packet differ for each viewer, and REMB does not need it."""
_LAYERED_CODECS = frozenset({"VP8", "H264"})
"""The codecs whose layers can take turns in one stream to a viewer."""
_MAX_ENCODINGS = 20
"""The most names of codecs that an error shows."""


@dataclass(frozen=True, slots=True)
class AcceptedMedia:
    """The agreement for one m-line. The direction is as seen from our side."""

    section: MediaSection
    index: int
    kind: MediaKind
    direction: Direction
    extensions: Mapping[str, int]
    """The ids of the header extensions that were agreed on, for both directions."""
    codecs: tuple[Codec, ...]
    """The agreed codecs. A publisher sends the first one."""
    layers: tuple[Layer, ...] = ()
    """The simulcast layers that the publisher sends; empty if it sends one picture."""

    @property
    def mid(self) -> str:
        return self.section.mid or str(self.index)


@dataclass(frozen=True, slots=True)
class AcceptedTransport:
    """One transport that was agreed on, with its m-lines. The tagged m-line is the first."""

    media: tuple[AcceptedMedia, ...]
    fingerprints: tuple[tuple[str, bytes], ...]
    """The fingerprints of the other side. Its certificate must have one of them."""
    candidates: tuple[str, ...]
    """The candidates of the other side."""
    dtls_client: bool
    """Whether we begin the DTLS handshake."""
    checked: Credentials | None = None
    """The other side's ICE credentials if it is a lite agent, so that we have to check it; None if it checks
    us."""
    to_server: bool = False
    """Whether the other side is one of our media servers, which passes the media on to viewers of its own."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """The parts of an offer that are accepted."""

    transports: tuple[AcceptedTransport, ...] = ()
    refused: Mapping[int, str] = field(default_factory=dict)
    """The reasons why the other m-lines are refused, by their index."""

    @property
    def media(self) -> list[AcceptedMedia]:
        """The accepted media in the order of the m-lines."""
        return sorted((one for transport in self.transports for one in transport.media), key=lambda one: one.index)


@dataclass(frozen=True, slots=True)
class LocalEnd:
    """The parts of the answer that describe us and are the same for every transport."""

    fingerprint: str
    candidates: Sequence[str]
    """Our candidate lines without `a=`."""
    ssrcs: Mapping[MediaKind, int]
    """The SSRCs of the streams to the viewer."""
    cname: str
    stream_id: str
    """The id of the MediaStream that the viewer's browser creates."""
    receive_bandwidth: int
    """The limit for video that we receive in kbit/s. With 0 the answer has no limit."""
    repair_ssrc: int
    """The SSRC of video retransmissions (RFC 4588), if these are agreed on."""
    receive_audio_bandwidth: int = 0
    """The limit for audio that we receive in kbit/s. With 0 the answer has no limit."""


def accept(
    offer: Offer,
    sources: Mapping[MediaKind, Codec],
    viewers: Mapping[MediaKind, Sequence[Sequence[Codec]]],
    *,
    layered: bool = False,
) -> Agreement:
    """Choose the m-lines that are accepted: the first audio and the first video m-line with one of our codecs.

    `sources` are the codecs of streams that are already connected to a viewer; its answer must use them. `viewers`
    are the codecs that viewers who are already connected can decode; a publisher's codec is chosen for them.
    With `layered`, a publisher may send its picture in several layers.
    Raises :class:`SdpError` if media cannot be set up or no m-line can be accepted. Raises :class:`NoCommonCodec`
    if the reason is a missing codec, or if a stream would have to be transcoded.
    """
    accepted: list[AcceptedMedia] = []
    refused: dict[int, str] = {}
    transcoded: dict[MediaKind, str] = {}
    undecodable = False
    for index, section in enumerate(offer.sections):
        kind = section.kind
        reason = _refusal(offer, section, accepted)
        if kind is None or reason:
            refused[index] = f"{section.line}: {reason}"
            continue
        if section.fault:
            raise SdpError(section.fault)
        direction = section.direction.reversed()
        source = sources.get(kind) if direction.sends else None
        codecs = _choose(section, direction, source, viewers.get(kind, ()))
        if not codecs:
            undecodable = True
            refused[index] = f"{section.line}: {_no_codec(section)}"
            if source is not None:
                transcoded[kind] = mismatch(kind, source, section.codecs)
            continue
        layers = section.layers if layered and direction.receives and codecs[0].name in _LAYERED_CODECS else ()
        more = (_LAYERED if layers else ()) + (_NUMBERED if _can_number(section, codecs) else ())
        extensions = _agree_on_extensions(section, kind, direction, more)
        if any(layer.rid for layer in layers) and RID not in extensions:
            layers = ()  # Nobody could tell to which layer a packet belongs.
        codecs = tuple(_wanted(with_feedback(codec, extensions), direction) for codec in codecs)
        accepted.append(AcceptedMedia(section, index, kind, direction, extensions, codecs, layers))
        transcoded.pop(kind, None)
    for reason in transcoded.values():
        raise NoCommonCodec(reason)
    if offer.sections and not accepted:
        error: type[EngineError] = NoCommonCodec if undecodable else SdpError
        raise error(f"no m-line can be served: {'; '.join(refused.values())}")
    return Agreement(tuple(_transports(offer, accepted)), refused)


def _refusal(offer: Offer, section: MediaSection, accepted: Sequence[AcceptedMedia]) -> str:
    """Why an m-line is refused for another reason than its codecs; empty if it is accepted."""
    if section.kind is None:
        return "only audio and video are accepted"
    if section.disabled:
        return "its port is 0"
    if section.protocol not in _PROTOCOLS:
        return f"the protocol must be one of {', '.join(sorted(_PROTOCOLS))}"
    bundle = offer.bundle_of(section)
    if section.bundle_only and section.port == "0" and not bundle:
        return "it is bundle-only but not in a BUNDLE group"
    # Bundled media are always multiplexed, so a bundle-only m-line need not say it (RFC 9143 section 9.3).
    muxed = section.rtcp_mux or (section.bundle_only and bundle)
    if not muxed and not any(one.rtcp_mux for one in offer.sections if one.mid in bundle):
        return "it has no a=rtcp-mux, but this server has no separate port for RTCP"
    if any(media.kind is section.kind for media in accepted):
        return f"another m-line of {section.media} is already accepted"
    return ""


def _no_codec(section: MediaSection) -> str:
    ours = "VP8, VP9, H264 and AV1" if section.kind is MediaKind.VIDEO else "opus"
    offered = ", ".join(section.encodings[:_MAX_ENCODINGS]) or "none by name"
    return f"none of its codecs ({offered}) can be forwarded; this server forwards {ours}"


def undecodable(description: Offer, accepted: Sequence[AcceptedMedia]) -> frozenset[MediaKind]:
    """The kinds that the other side wants to receive, but in none of our codecs, so that no source can fit."""
    served = {media.kind for media in accepted}
    return frozenset(
        section.kind
        for section in description.sections
        if section.kind is not None
        and section.kind not in served
        and section.direction.receives
        and not (section.disabled or section.codecs)
    )


def _transports(offer: Offer, accepted: Sequence[AcceptedMedia]) -> Iterator[AcceptedTransport]:
    """The transports of accepted m-lines. Raises :class:`SdpError` if a transport cannot be set up."""
    groups: dict[tuple[str, ...] | int, list[AcceptedMedia]] = {}
    for media in accepted:
        groups.setdefault(offer.bundle_of(media.section) or media.index, []).append(media)
    for mids, group in groups.items():
        tagged = group[0].section
        if isinstance(mids, tuple):
            group.sort(key=lambda media: mids.index(media.section.mid))
            tagged = _tagged(offer, mids, group)
        _check_transport(tagged)
        _check_payload_types(group)
        yield AcceptedTransport(
            tuple(group),
            tuple(tagged.fingerprints),
            tuple(tagged.candidates),
            dtls_client=tagged.setup == "passive",
            checked=None if offer.ice_lite is None else Credentials(tagged.ufrag, tagged.password),
            to_server=offer.tool == TOOL,
        )


def _check_payload_types(group: Sequence[AcceptedMedia]) -> None:
    """Raise :class:`SdpError` if a payload type has two meanings on one transport (RFC 9143 section 9.1), because
    packets could not be told apart.
    """
    used: dict[int, AcceptedMedia] = {}
    for media in group:
        for payload_type in frozenset[int]().union(*(codec.payload_types for codec in media.codecs)):
            other = used.setdefault(payload_type, media)
            if other is not media:
                lines = f"{other.section.line} and {media.section.line}"
                raise SdpError(f"{lines} are bundled and use payload type {payload_type} for two codecs")


def _tagged(offer: Offer, mids: Sequence[str], group: Sequence[AcceptedMedia]) -> MediaSection:
    """The m-line of a BUNDLE group that describes its transport: the first one that is accepted and has a port.

    If that m-line does not describe the transport, the first m-line of the group does, which may be a data channel
    that is refused.
    """
    accepted = [media.section for media in group]
    own = [section for section in accepted if not section.bundle_only]
    named = {section.mid: section for section in offer.sections}
    others = [named[mid] for mid in mids if mid in named and not named[mid].disabled]
    choices = [*own, *others, *accepted]
    return next((section for section in choices if _describes_transport(section)), choices[0])


def _describes_transport(section: MediaSection) -> bool:
    return bool(section.ufrag and section.password and (section.fingerprints or section.fingerprint_faults))


def _check_transport(section: MediaSection) -> None:
    if not section.ufrag or not section.password:
        missing = "a=ice-ufrag" if not section.ufrag else "a=ice-pwd"
        raise SdpError(f"{section.line} has no ICE credentials: {missing} is missing")
    if not section.fingerprints:
        faults = "; ".join(section.fingerprint_faults) or "a=fingerprint is missing"
        raise SdpError(f"{section.line} has no fingerprint that can be used: {faults}")
    if section.setup not in ("", "actpass", "active", "passive"):
        raise SdpError(f"{section.setup_line or section.line}: the DTLS role must be actpass, active or passive")


def _choose(
    section: MediaSection, direction: Direction, source: Codec | None, viewers: Sequence[Sequence[Codec]]
) -> tuple[Codec, ...]:
    """The codecs of the answer, the best first; empty if the m-line cannot be accepted."""
    if not section.codecs:
        return ()
    if source is not None:
        match = matching_codec(section.codecs, source)
        return (match,) if match else ()
    return (pinned_codec(section.codecs, viewers),) if direction.receives else tuple(section.codecs)


def _can_number(section: MediaSection, codecs: Sequence[Codec]) -> bool:
    """Whether packets to a viewer can have transport-wide numbers.

    Without retransmissions in a stream of their own (RFC 4588), a packet would be sent again with the same
    sequence number and another transport-wide one, and SRTP is not safe for that (RFC 7714 section 8.1).
    """
    return section.kind is MediaKind.VIDEO and all(codec.rtx is not None for codec in codecs)


def _agree_on_extensions(
    section: MediaSection, kind: MediaKind, direction: Direction, more: tuple[str, ...]
) -> dict[str, int]:
    """The extensions that both sides know and need, with `more` for received packets, and their ids."""
    wanted = (_RECEIVED[kind] if direction.receives else ()) + (_SENT[kind] if direction.sends else ()) + more
    agreed = {uri: section.extensions[uri] for uri in wanted if uri in section.extensions}
    if not any(TRANSPORT_CC_FEEDBACK in codec.feedback for codec in section.codecs):
        agreed.pop(TRANSPORT_CC, None)
    return agreed


def with_feedback(codec: Codec, extensions: Mapping[str, int]) -> Codec:
    """The codec, without transport-cc if the packets have no transport-wide numbers."""
    if TRANSPORT_CC in extensions:
        return codec
    return replace(codec, feedback=tuple(value for value in codec.feedback if value != TRANSPORT_CC_FEEDBACK))


def _wanted(codec: Codec, direction: Direction) -> Codec:
    """The codec, without redundancy (RFC 2198) if a publisher does not prefer it.

    Redundancy takes twice the bandwidth, also on every viewer's path, so the sender must choose it.
    """
    return replace(codec, red=None) if direction.receives and not codec.prefers_red else codec


def write_answer(
    offer: Offer,
    agreement: Agreement,
    local: LocalEnd,
    credentials: Sequence[Credentials],
    *,
    setup: str | None = None,
) -> str:
    """Write the text of the answer, with lines that end with CRLF.

    `credentials` are ours for each transport. `setup` replaces the agreed DTLS role; an offer uses actpass.

    We are ICE-lite, except in the answer to a lite agent (:mod:`~roomfsm.mediaserver.ice.checks`). That answer has
    no candidates, because the lite agent sends nothing to them. It says that a media server made it.
    """
    checks = offer.ice_lite is not None
    if checks:
        local = replace(local, candidates=())
    lines = ["v=0", f"o=- {secrets.randbits(62)} 2 IN IP4 0.0.0.0", "s=-", "t=0 0"]
    bundles: dict[tuple[str, ...], list[str]] = {}
    served: dict[int, list[str]] = {}
    for transport, (ufrag, password) in zip(agreement.transports, credentials, strict=True):
        role = setup or ("active" if transport.dtls_client else "passive")
        described = [f"a=ice-ufrag:{ufrag}", f"a=ice-pwd:{password}", f"a=fingerprint:{local.fingerprint}"]
        for media in transport.media:
            served[media.index] = _accepted(media, local, [*described, f"a=setup:{role}"])
            if bundle := offer.bundle_of(media.section):
                bundles.setdefault(bundle, []).append(media.mid)
    lines += [f"a=group:BUNDLE {' '.join(mids)}" for mids in bundles.values()]
    if served:
        lines += [f"a=tool:{TOOL}" if checks else "a=ice-lite", "a=msid-semantic: WMS *"]
    for index, section in enumerate(offer.sections):
        lines += served.get(index) or _refused(section)
    return "\r\n".join(lines) + "\r\n"


def _refused(section: MediaSection) -> list[str]:
    lines = [
        f"m={section.media} 0 {section.protocol} {' '.join(section.formats)}",
        "c=IN IP4 0.0.0.0",
        "a=inactive",
    ]
    return [*lines, f"a=mid:{section.mid}"] if section.mid else lines


def _accepted(media: AcceptedMedia, local: LocalEnd, transport: Sequence[str]) -> list[str]:
    """The lines of one m-line. `transport` are the lines that describe its transport."""
    section = media.section
    payload_types: list[int] = []
    for codec in media.codecs:
        # Browsers send the codec that is first in the list.
        redundant = [codec.payload_type] if codec.red is None else [codec.payload_type, codec.red]
        payload_types += reversed(redundant) if codec.prefers_red else redundant
    payload_types += [codec.rtx for codec in media.codecs if codec.rtx is not None]
    lines = [
        f"m={section.media} {_DISCARD_PORT} {section.protocol} {' '.join(map(str, payload_types))}",
        "c=IN IP4 0.0.0.0",
    ]
    video = media.kind is MediaKind.VIDEO
    bandwidth = local.receive_bandwidth if video else local.receive_audio_bandwidth
    if media.direction.receives and bandwidth:
        lines.append(f"b=AS:{bandwidth}")
    lines += [
        "a=rtcp:9 IN IP4 0.0.0.0",
        *transport,
        *([f"a=mid:{section.mid}"] if section.mid else []),
        f"a={media.direction}",
        "a=rtcp-mux",
        *(["a=rtcp-rsize"] if section.rtcp_rsize else []),
        *(
            f"a=extmap:{extension_id}{'/recvonly' if uri in section.sent_extensions else ''} {uri}"
            for uri, extension_id in media.extensions.items()
        ),
    ]
    for codec in media.codecs:
        lines.append(f"a=rtpmap:{codec.payload_type} {codec.rtpmap}")
        lines += [f"a=rtcp-fb:{codec.payload_type} {value}" for value in codec.feedback]
        parameters = [codec.parameters] if codec.parameters else []
        if media.kind is MediaKind.VIDEO and media.direction.receives:
            start = min(_START_BITRATE, local.receive_bandwidth or _START_BITRATE)
            parameters.append(f"x-google-start-bitrate={start}")
        if parameters:
            lines.append(f"a=fmtp:{codec.payload_type} {';'.join(parameters)}")
        if codec.red is not None:
            lines.append(f"a=rtpmap:{codec.red} red/{codec.clock_rate}{codec.channels}")
            lines.append(f"a=fmtp:{codec.red} {codec.payload_type}/{codec.payload_type}")
        if codec.rtx is not None:
            lines.append(f"a=rtpmap:{codec.rtx} rtx/{codec.clock_rate}")
            lines.append(f"a=fmtp:{codec.rtx} apt={codec.payload_type}")
    if media.direction.sends:
        lines += _sources(media, local)
    lines += answer_lines(media.layers)
    return [*lines, *(f"a={candidate}" for candidate in local.candidates)]


def _sources(media: AcceptedMedia, local: LocalEnd) -> list[str]:
    """The lines about the streams that we send (RFC 5576, RFC 8830)."""
    ssrcs = [local.ssrcs[media.kind]]
    msid = f"{local.stream_id} {local.stream_id}-{media.section.media}"
    lines = [f"a=msid:{msid}"]
    if any(codec.rtx is not None for codec in media.codecs):
        ssrcs.append(local.repair_ssrc)
        lines.append(f"a=ssrc-group:FID {' '.join(map(str, ssrcs))}")
    for ssrc in ssrcs:
        lines += [f"a=ssrc:{ssrc} cname:{local.cname}", f"a=ssrc:{ssrc} msid:{msid}"]
    return lines
