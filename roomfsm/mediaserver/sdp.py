"""Session descriptions (RFC 8866, RFC 8829): reading a browser's offer."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from roomfsm.mediaserver.dtls import HASHES
from roomfsm.mediaserver.extensions import KNOWN, MAX_ID
from roomfsm.mediaserver.media import MediaKind, SdpError

TRANSPORT_CC_FEEDBACK = "transport-cc"
FEEDBACK = {
    MediaKind.AUDIO: (TRANSPORT_CC_FEEDBACK,),
    MediaKind.VIDEO: ("nack", "nack pli", "ccm fir", "goog-remb", TRANSPORT_CC_FEEDBACK),
}
"""The rtcp-fb values (RFC 4585 section 4.2) that the engine serves."""
_KNOWN_FEEDBACK = frozenset(value for values in FEEDBACK.values() for value in values)

_KINDS = {"audio": MediaKind.AUDIO, "video": MediaKind.VIDEO}
_CODECS = {
    MediaKind.AUDIO: {"OPUS": ("opus", 48000)},
    MediaKind.VIDEO: {name: (name, 90000) for name in ("VP8", "VP9", "H264", "AV1")},
}
_MAX_PAYLOAD_TYPE = 127
_MAX_SECTIONS = 64
_MAX_FINGERPRINTS = 8
"""Of one m-line; more are passed over."""
_PROFILES = {"VP9": "profile-id", "AV1": "profile"}
"""Parameters that must be alike, 0 if absent: RFC 9628 section 6.1, RTP Payload Format For AV1 section 7.2.1."""
_CONSTRAINED_BASELINE = "constrained baseline"
_H264_PROFILES = {0x42: "baseline", 0x4D: "main", 0x58: "extended", 0x64: "high", 0xF4: "high 4:4:4"}
_DEFAULT_PROFILE_LEVEL = "420010"
"""What an absent profile-level-id means: RFC 6184 section 8.1."""


class Direction(StrEnum):
    SENDRECV = "sendrecv"
    SENDONLY = "sendonly"
    RECVONLY = "recvonly"
    INACTIVE = "inactive"

    @property
    def sends(self) -> bool:
        return self in (Direction.SENDRECV, Direction.SENDONLY)

    @property
    def receives(self) -> bool:
        return self in (Direction.SENDRECV, Direction.RECVONLY)

    def reversed(self) -> "Direction":
        """The same as the other side says it."""
        return {Direction.SENDONLY: Direction.RECVONLY, Direction.RECVONLY: Direction.SENDONLY}.get(self, self)

    def limited_to(self, allowed: "Direction") -> "Direction":
        """What is left of it where only `allowed` may be, seen from the same side."""
        if self is allowed or allowed is Direction.SENDRECV:
            return self
        return allowed if self is Direction.SENDRECV else Direction.INACTIVE


@dataclass(frozen=True, slots=True)
class Codec:
    """One payload type of an m-line that the engine passes on; `parameters` is its fmtp text, or empty."""

    payload_type: int
    name: str
    """VP8, VP9, H264, AV1 or opus."""
    clock_rate: int
    channels: str
    """As in the rtpmap, with its slash; empty if it has none."""
    parameters: str
    feedback: tuple[str, ...]
    rtx: int | None = None
    """The payload type of its retransmissions (RFC 4588); None if they come as the packets were."""

    @property
    def rtpmap(self) -> str:
        return f"{self.name}/{self.clock_rate}{self.channels}"

    def parameter(self, name: str, default: str) -> str:
        for item in self.parameters.split(";"):
            key, _, value = item.partition("=")
            if key.strip().lower() == name:
                return value.strip()
        return default

    @property
    def packetization_mode(self) -> str:
        return self.parameter("packetization-mode", "0")

    @property
    def h264_profile(self) -> str:
        """The profile's name (H.264 Annex A.2); constraint set 1 makes a baseline stream a constrained one."""
        level = self.parameter("profile-level-id", _DEFAULT_PROFILE_LEVEL)
        try:
            profile, constraints = int(level[0:2], 16), int(level[2:4], 16)
        except ValueError:
            return level
        if (profile == 0x42 and constraints & 0x40) or (profile in (0x4D, 0x58) and constraints & 0x80):
            return _CONSTRAINED_BASELINE
        return _H264_PROFILES.get(profile, level)

    @property
    def variant(self) -> str:
        """Name, and what tells it from other streams of the name, for people."""
        if self.name == "H264":
            return f"H264 ({self.h264_profile}, packetization mode {self.packetization_mode})"
        name = _PROFILES.get(self.name)
        profile = self.parameter(name, "0") if name else "0"
        return self.name if profile == "0" else f"{self.name} (profile {profile})"

    def distance(self, source: "Codec") -> int | None:
        """How far a stream of `source` is from what this payload type was offered for: 0 the same, more is less
        certain, None cannot be decoded."""
        if self.name != source.name:
            return None
        if self.name != "H264":
            profile = _PROFILES.get(self.name)
            alike = profile is None or self.parameter(profile, "0") == source.parameter(profile, "0")
            return 0 if alike else None
        # A receiver of mode 1 also takes the single NAL units of mode 0 (RFC 6184 section 6.2).
        if (source.packetization_mode, self.packetization_mode) not in (("0", "0"), ("1", "1"), ("0", "1")):
            return None
        modes = int(source.packetization_mode != self.packetization_mode)
        wanted, offered = source.h264_profile, self.h264_profile
        if wanted == offered:
            return modes
        # No browser makes the baseline streams that a constrained baseline decoder cannot take.
        baselines = (_CONSTRAINED_BASELINE, "baseline")
        if wanted in baselines and offered in (*baselines, "main", "high"):
            return modes + 2 + (offered not in baselines)
        return None


@dataclass(slots=True)
class MediaSection:
    """One m-line with its attributes, session-level ones filled in."""

    media: str
    port: str
    protocol: str
    formats: tuple[str, ...]
    mid: str = ""
    direction: Direction = Direction.SENDRECV
    bundle_only: bool = False
    """Offered on the transport of its BUNDLE group alone, with port 0 (RFC 9143 section 6)."""
    rtcp_mux: bool = False
    rtcp_rsize: bool = False
    ufrag: str = ""
    password: str = ""
    setup: str = "actpass"
    fingerprints: list[tuple[str, bytes]] = field(default_factory=list)
    """Name of the hash function and digest, as :class:`~roomfsm.mediaserver.dtls.DtlsSession` takes it."""
    candidates: list[str] = field(default_factory=list)
    extensions: dict[str, int] = field(default_factory=dict)
    """The ids of the header extensions (RFC 8285) that the engine knows."""
    codecs: list[Codec] = field(default_factory=list)
    """Those of the engine's, in the offer's order."""

    @property
    def kind(self) -> MediaKind | None:
        return _KINDS.get(self.media)

    @property
    def disabled(self) -> bool:
        """Stopped, or never started, by the offerer (RFC 8829 section 5.2.2)."""
        return self.port == "0" and not self.bundle_only


@dataclass(frozen=True, slots=True)
class Offer:
    sections: tuple[MediaSection, ...]
    bundle: tuple[str, ...]
    """The mids of the (first) BUNDLE group; empty if there is none."""


@dataclass(slots=True)
class _PayloadTypes:
    """The payload type attributes of one m-line while it is read."""

    maps: dict[str, str] = field(default_factory=dict)
    parameters: dict[str, str] = field(default_factory=dict)
    feedback: dict[str, set[str]] = field(default_factory=dict)


def parse_offer(text: str) -> Offer:
    """Read an offer. Raises :class:`SdpError`, which says the line."""
    session = MediaSection("", "", "", ())
    sections: list[MediaSection] = []
    payload_types: list[_PayloadTypes] = []
    bundle: tuple[str, ...] = ()
    for number, kind, value in _lines(text):
        if kind == "m":
            if len(sections) >= _MAX_SECTIONS:
                raise SdpError(f"more than {_MAX_SECTIONS} m-lines")
            sections.append(_media_section(number, value, session))
            payload_types.append(_PayloadTypes())
        elif kind == "a":
            name, _, content = value.partition(":")
            if name == "group" and content.startswith("BUNDLE") and not sections and not bundle:
                bundle = tuple(content.split()[1 : 1 + _MAX_SECTIONS])
            elif sections:
                _read_attribute(number, sections[-1], name, content)
                _read_payload_attribute(number, payload_types[-1], name, content)
            else:
                _read_attribute(number, session, name, content)
    for section, types in zip(sections, payload_types, strict=True):
        section.codecs.extend(_codecs(section, types))
    mids = [section.mid for section in sections if section.mid]
    if len(mids) != len(set(mids)):
        raise SdpError("two m-lines have the same mid")
    return Offer(tuple(sections), bundle)


def _lines(text: str) -> Iterator[tuple[int, str, str]]:
    """Number, type and value of each line; the first must be v=0."""
    lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    if not lines or lines[0][1] != "v=0":
        raise SdpError("the first line is not v=0")
    for number, line in lines:
        if len(line) < 2 or line[1] != "=" or not line[0].isalpha():
            raise SdpError(f"line {number} is not of the form x=value")
        yield number, line[0], line[2:]


def _media_section(number: int, value: str, session: MediaSection) -> MediaSection:
    fields = value.split()
    if len(fields) < 4:
        raise SdpError(f"line {number}: an m-line needs media, port, protocol and formats")
    if not fields[1].partition("/")[0].isdecimal():
        raise SdpError(f"line {number}: the port is not a number")
    return MediaSection(
        fields[0],
        fields[1],
        fields[2],
        tuple(dict.fromkeys(fields[3:])),
        direction=session.direction,
        ufrag=session.ufrag,
        password=session.password,
        setup=session.setup,
        fingerprints=list(session.fingerprints),
    )


def _read_attribute(number: int, section: MediaSection, name: str, content: str) -> None:
    match name:
        case "mid":
            section.mid = content.strip()
        case "sendrecv" | "sendonly" | "recvonly" | "inactive":
            section.direction = Direction(name)
        case "bundle-only":
            section.bundle_only = True
        case "rtcp-mux":
            section.rtcp_mux = True
        case "rtcp-rsize":
            section.rtcp_rsize = True
        case "ice-ufrag":
            section.ufrag = content.strip()
        case "ice-pwd":
            section.password = content.strip()
        case "setup":
            section.setup = content.strip()
        case "extmap":
            _read_extension(section, content)
        case "candidate":
            section.candidates.append(f"candidate:{content}")
        case "fingerprint":
            fingerprint = _fingerprint(number, content)
            if fingerprint is not None and len(section.fingerprints) < _MAX_FINGERPRINTS:
                section.fingerprints.append(fingerprint)


def _small_number(text: str) -> int | None:
    """A decimal number of at most three digits."""
    return int(text) if len(text) <= 3 and text.isascii() and text.isdecimal() else None


def _read_extension(section: MediaSection, content: str) -> None:
    """Note an extmap line without a direction, and in reach of the one-byte form; others are passed over."""
    number, _, name = content.partition(" ")
    extension_id, uri = _small_number(number), name.split(" ")[0]
    if uri in KNOWN and extension_id is not None and 0 < extension_id <= MAX_ID:
        section.extensions[uri] = extension_id


def _fingerprint(number: int, content: str) -> tuple[str, bytes] | None:
    """None for a hash function that is not ours."""
    function, _, digest = content.strip().partition(" ")
    if function.lower() not in HASHES:
        return None
    try:
        return function.lower(), bytes.fromhex(digest.strip().replace(":", ""))
    except ValueError:
        raise SdpError(f"line {number}: the fingerprint is not hexadecimal") from None


def _read_payload_attribute(number: int, types: _PayloadTypes, name: str, content: str) -> None:
    if name not in ("rtpmap", "fmtp", "rtcp-fb"):
        return
    payload_type, _, value = content.partition(" ")
    if not value:
        raise SdpError(f"line {number}: {name} needs a payload type and a value")
    if name == "rtpmap":
        types.maps[payload_type] = value.strip()
    elif name == "fmtp":
        types.parameters[payload_type] = value.strip()
    elif value.strip() in _KNOWN_FEEDBACK:
        types.feedback.setdefault(payload_type, set()).add(value.strip())


def _codecs(section: MediaSection, types: _PayloadTypes) -> Iterator[Codec]:
    if section.kind is None:
        return
    known, repairs = _CODECS[section.kind], _repairs(section, types)
    for text in section.formats:
        encoding, _, rate = types.maps.get(text, "").partition("/")
        if encoding.upper() not in known:
            continue
        name, clock_rate = known[encoding.upper()]
        clock, slash, channels = rate.partition("/")
        if clock != str(clock_rate):
            continue
        payload_type = _small_number(text)
        if payload_type is None or payload_type > _MAX_PAYLOAD_TYPE:
            raise SdpError(f"payload type {text[:20]!r} is not a number up to {_MAX_PAYLOAD_TYPE}")
        offered = {*types.feedback.get(text, ()), *types.feedback.get("*", ())}
        yield Codec(
            payload_type,
            name,
            clock_rate,
            slash + channels,
            types.parameters.get(text, ""),
            tuple(value for value in FEEDBACK[section.kind] if value in offered),
            repairs.get(text) if "nack" in offered else None,
        )


def _repairs(section: MediaSection, types: _PayloadTypes) -> dict[str, int]:
    """The RTX payload types by the payload types that they repair (RFC 4588 section 8.6)."""
    repairs = {}
    for text in section.formats:
        payload_type = _small_number(text)
        if types.maps.get(text, "").lower() != "rtx/90000" or payload_type is None:
            continue
        name, _, repaired = types.parameters.get(text, "").partition(";")[0].partition("=")
        if name.strip().lower() == "apt" and payload_type <= _MAX_PAYLOAD_TYPE:
            repairs[repaired.strip()] = payload_type
    return repairs


def pinned_codec(codecs: Sequence[Codec], viewers: Sequence[Sequence[Codec]] = ()) -> Codec:
    """The one codec that a publisher is asked for: the first that most of the `viewers` already there can decode;
    of H264 what most browsers can."""

    def suited(codec: Codec) -> int:
        return sum(matching_codec(offered, codec) is not None for offered in viewers)

    def rank(codec: Codec) -> tuple[bool, bool]:
        return codec.packetization_mode != "1", codec.h264_profile != _CONSTRAINED_BASELINE

    most = max(map(suited, codecs))
    best = [codec for codec in codecs if suited(codec) == most]
    return min((codec for codec in best if codec.name == best[0].name), key=rank)


def matching_codec(codecs: Sequence[Codec], source: Codec) -> Codec | None:
    """The payload type by which a stream of `source` is best sent; None if none fits."""
    fitting = [
        (distance, index) for index, codec in enumerate(codecs) if (distance := codec.distance(source)) is not None
    ]
    return codecs[min(fitting)[1]] if fitting else None


def mismatch(kind: MediaKind, source: Codec, codecs: Sequence[Codec]) -> str:
    """In words, that a viewer with `codecs` can take nothing of `source`."""
    offered = ", ".join(dict.fromkeys(codec.variant for codec in codecs)) or "nothing that this server passes on"
    return f"no common {kind.lower()} codec: the source sends {source.variant}, the viewer takes {offered}"
