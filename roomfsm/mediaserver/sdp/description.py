"""Reads session descriptions (RFC 8866, RFC 8829): offers and answers.

Only the parts that are used are checked. Mistakes in an m-line that is refused anyway do not matter. So a mistake
is recorded in `MediaSection.fault`, and becomes an error only if the m-line is to be accepted. Lines end with LF
or CRLF only: U+0085 or U+2028 within a line belong to it.

Session-level attributes are valid for every m-line that does not have its own (RFC 8866 section 5.13). The
fingerprints of an m-line replace those of the session (RFC 8122 section 5).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import NamedTuple, TypeGuard

from roomfsm.mediaserver.base.errors import SdpError
from roomfsm.mediaserver.base.kinds import MediaKind
from roomfsm.mediaserver.dtls.session import HASHES
from roomfsm.mediaserver.rtp.extensions import KNOWN, MAX_ID, REPAIRED_RID, RID
from roomfsm.mediaserver.sdp.codec import Codec
from roomfsm.mediaserver.sdp.simulcast import Layer, SentLayers

TRANSPORT_CC_FEEDBACK = "transport-cc"
FEEDBACK = {
    MediaKind.AUDIO: ("nack", TRANSPORT_CC_FEEDBACK),
    MediaKind.VIDEO: ("nack", "nack pli", "ccm fir", "goog-remb", TRANSPORT_CC_FEEDBACK),
}
"""The rtcp-fb values (RFC 4585 section 4.2) that the engine supports."""
_KNOWN_FEEDBACK = frozenset(value for values in FEEDBACK.values() for value in values)

_KINDS = {"audio": MediaKind.AUDIO, "video": MediaKind.VIDEO}
_CODECS = {
    MediaKind.AUDIO: {"OPUS": ("opus", 48000)},
    MediaKind.VIDEO: {name: (name, 90000) for name in ("VP8", "VP9", "H264", "AV1")},
}
_STATIC = {"0": "PCMU", "3": "GSM", "4": "G723", "8": "PCMA", "9": "G722", "15": "G728", "18": "G729"}
"""Payload types that need no rtpmap (RFC 3551 section 6). None is a codec of ours, but descriptions contain some
of them."""
_MAX_PAYLOAD_TYPE = 127
_RTCP_PAYLOAD_TYPES = range(64, 96)
"""Packets of these payload types look like RTCP if their marker bit is set (RFC 5761 section 4), and RTCP uses the
same port."""
_MAX_SECTIONS = 64
_MAX_FINGERPRINTS = 32
"""The most fingerprints that are read from one m-line. Further ones are ignored."""
_MAX_FAULTS = 4
"""The most mistakes that are reported about the fingerprints of one m-line."""
_MAX_QUOTED = 60
"""The most characters of a line that an error shows."""
_SPACE = " \t\r"


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
        """This direction as seen from the other side."""
        return {Direction.SENDONLY: Direction.RECVONLY, Direction.RECVONLY: Direction.SENDONLY}.get(self, self)

    def limited_to(self, allowed: "Direction") -> "Direction":
        """This direction restricted to `allowed`, as seen from the same side."""
        if self is allowed or allowed is Direction.SENDRECV:
            return self
        return allowed if self is Direction.SENDRECV else Direction.INACTIVE


class Line(NamedTuple):
    """One line of a description. `value` is the text after `=`."""

    number: int
    type: str
    value: str

    def __str__(self) -> str:
        text = f"{self.type}={self.value}"
        return f"line {self.number} ({text if len(text) <= _MAX_QUOTED else text[:_MAX_QUOTED] + '…'})"


@dataclass(slots=True)
class MediaSection:
    """One m-line with its attributes. Session-level attributes are filled in."""

    line: Line
    media: str
    port: str
    protocol: str
    formats: tuple[str, ...]
    mid: str = ""
    direction: Direction = Direction.SENDRECV
    bundle_only: bool = False
    """Whether it is offered only on the transport of its BUNDLE group, with port 0 (RFC 9143 section 6)."""
    rtcp_mux: bool = False
    rtcp_rsize: bool = False
    ufrag: str = ""
    password: str = ""
    setup: str = ""
    """The DTLS role (RFC 8842); empty if there is none."""
    setup_line: Line | None = None
    fingerprints: list[tuple[str, bytes]] = field(default_factory=list)
    """Pairs of the hash function's name and the digest, as :class:`~roomfsm.mediaserver.dtls.session.DtlsSession`
    takes them."""
    fingerprint_faults: list[str] = field(default_factory=list)
    """The reasons why other fingerprints cannot be used."""
    candidates: list[str] = field(default_factory=list)
    extensions: dict[str, int] = field(default_factory=dict)
    """The ids of the header extensions (RFC 8285) that the engine knows."""
    sent_extensions: tuple[str, ...] = ()
    """Those of them that the other side only sends."""
    codecs: list[Codec] = field(default_factory=list)
    """The codecs that the engine can forward, in the order of the offer."""
    encodings: tuple[str, ...] = ()
    """The names of all codecs, for people."""
    layers: tuple[Layer, ...] = ()
    """The simulcast layers that the other side wants to send; empty if it wants to send one picture."""
    fault: str = ""
    """The first mistake that prevents accepting the m-line; empty if there is none."""

    @property
    def kind(self) -> MediaKind | None:
        return _KINDS.get(self.media)

    @property
    def disabled(self) -> bool:
        """Whether the offerer has stopped or never started it (RFC 8829 section 5.2.2)."""
        return self.port == "0" and not self.bundle_only


@dataclass(frozen=True, slots=True)
class Offer:
    sections: tuple[MediaSection, ...]
    bundles: tuple[tuple[str, ...], ...] = ()
    """The mids of each BUNDLE group (RFC 9143)."""
    ice_lite: Line | None = None
    """The line that says that the other side is ICE-lite; None if it is not."""
    tool: str = ""
    """The program that made the description (RFC 8866 section 6.4), if it says so."""

    def bundle_of(self, section: MediaSection) -> tuple[str, ...]:
        """The BUNDLE group of a section; empty if it is in none."""
        return next((mids for mids in self.bundles if section.mid and section.mid in mids), ())


@dataclass(slots=True)
class _PayloadTypes:
    """The attributes of one m-line that can only be understood together."""

    maps: dict[str, tuple[Line, str]] = field(default_factory=dict)
    parameters: dict[str, str] = field(default_factory=dict)
    feedback: dict[str, set[str]] = field(default_factory=dict)
    layers: SentLayers = field(default_factory=SentLayers)


@dataclass(slots=True)
class _Session:
    """The content of the lines before the first m-line."""

    defaults: MediaSection
    bundles: list[tuple[str, ...]] = field(default_factory=list)
    ice_lite: Line | None = None
    tool: str = ""


def parse_offer(text: str) -> Offer:
    """Read an offer or an answer. Raises :class:`SdpError`, which names the line."""
    head, *blocks = _blocks(text)
    if len(blocks) > _MAX_SECTIONS:
        raise SdpError(f"more than {_MAX_SECTIONS} m-lines")
    session = _read_session(head)
    sections = tuple(_read_section(block, session.defaults) for block in blocks)
    lines: dict[str, Line] = {}
    for section in sections:
        if section.mid and (first := lines.setdefault(section.mid, section.line)) is not section.line:
            raise SdpError(f"{first} and {section.line} have the same mid {section.mid[:_MAX_QUOTED]!r}")
    return Offer(sections, tuple(session.bundles), session.ice_lite, session.tool)


def _blocks(text: str) -> list[list[Line | str]]:
    """The lines of the session, which begin with v=0, and then the lines of each m-line, which begin with the
    m-line.

    A line that does not have the form x=value is replaced by a text that says so.
    """
    blocks: list[list[Line | str]] = [[]]
    begun = False
    for number, raw in enumerate(text.split("\n"), 1):
        content = raw.strip(_SPACE)
        if not content:
            continue
        if not begun and content != "v=0":
            break
        begun = True
        if len(content) < 2 or content[1] != "=" or not (content[0].isascii() and content[0].isalpha()):
            blocks[-1].append(f"line {number} is not of the form x=value: {content[:_MAX_QUOTED]!r}")
            continue
        line = Line(number, content[0], content[2:])
        if line.type == "m":
            blocks.append([])
        blocks[-1].append(line)
    if not begun:
        raise SdpError("the first line is not v=0")
    return blocks


def _read_session(lines: Sequence[Line | str]) -> _Session:
    session = _Session(MediaSection(Line(0, "", ""), "", "", "", ()))
    for line in lines:
        if isinstance(line, str):
            raise SdpError(line)
        if line.type != "a":
            continue
        name, _, content = line.value.partition(":")
        if name == "ice-lite":
            session.ice_lite = line
        elif name == "tool":
            session.tool = content.strip(_SPACE)
        elif name == "group":
            semantics, *mids = _words(content)
            if semantics == "BUNDLE" and len(session.bundles) < _MAX_SECTIONS:
                session.bundles.append(tuple(mids[:_MAX_SECTIONS]))
        else:
            _read_attribute(line, session.defaults, name, content.strip(_SPACE))
    return session


def _read_section(lines: Sequence[Line | str], defaults: MediaSection) -> MediaSection:
    media_line, *attributes = lines
    assert isinstance(media_line, Line)  # because it began the block
    section, types = _media_section(media_line, defaults), _PayloadTypes()
    own = replace(section, fingerprints=[], fingerprint_faults=[])
    for line in attributes:
        if isinstance(line, str):
            own.fault = own.fault or line
        elif line.type == "a":
            name, _, content = line.value.partition(":")
            content = content.strip(_SPACE)
            _read_attribute(line, own, name, content)
            _read_payload_attribute(line, own, types, name, content)
    if not (own.fingerprints or own.fingerprint_faults):
        own.fingerprints, own.fingerprint_faults = section.fingerprints, section.fingerprint_faults
    _read_codecs(own, types)
    return own


def _media_section(line: Line, defaults: MediaSection) -> MediaSection:
    """Read the m-line itself.

    Raises :class:`SdpError` if fields are missing, because then it cannot even be refused.
    """
    fields = _words(line.value)
    if len(fields) < 4:
        raise SdpError(f"{line}: an m-line needs media, port, protocol and formats")
    media, port, protocol = fields[:3]
    section = replace(
        defaults,
        line=line,
        media=media,
        port=port,
        protocol=protocol,
        formats=tuple(dict.fromkeys(fields[3:])),
        candidates=[],
        extensions=dict(defaults.extensions),
        codecs=[],
    )
    if not _is_number(port.partition("/")[0]):
        section.fault = f"{line}: the port is not a number"
    return section


def _words(text: str) -> list[str]:
    """The fields between spaces; one empty field for an empty text.

    `str.split` would also split at other characters.
    """
    return [word for word in text.replace("\t", " ").split(" ") if word] or [""]


def _read_attribute(line: Line, section: MediaSection, name: str, content: str) -> None:
    match name:
        case "mid":
            section.mid = content
        case "sendrecv" | "sendonly" | "recvonly" | "inactive":
            section.direction = Direction(name)
        case "bundle-only":
            section.bundle_only = True
        case "rtcp-mux":
            section.rtcp_mux = True
        case "rtcp-rsize":
            section.rtcp_rsize = True
        case "ice-ufrag":
            section.ufrag = content
        case "ice-pwd":
            section.password = content
        case "setup":
            section.setup, section.setup_line = content.lower(), line
        case "extmap":
            _read_extension(section, content)
        case "candidate":
            section.candidates.append(f"candidate:{content}")
        case "fingerprint":
            _read_fingerprint(line, section, content)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal()


def _small_number(text: str) -> int | None:
    """A decimal number of at most three digits."""
    return int(text) if len(text) <= 3 and _is_number(text) else None


def _is_usable(payload_type: int | None) -> TypeGuard[int]:
    """Whether packets of the payload type can be told apart from other packets."""
    return (
        payload_type is not None and payload_type <= _MAX_PAYLOAD_TYPE and payload_type not in _RTCP_PAYLOAD_TYPES
    )


def _read_extension(section: MediaSection, content: str) -> None:
    """Record an extmap line whose id fits into the one-byte form. Others are ignored.

    So are those with a direction, except for names of layers that are sent (RFC 8285 section 5).
    """
    number, _, name = content.partition(" ")
    number, _, direction = number.partition("/")
    extension_id, uri = _small_number(number), name.split(" ")[0]
    if uri not in KNOWN or extension_id is None or not 0 < extension_id <= MAX_ID:
        return
    if direction == Direction.SENDONLY and uri in (RID, REPAIRED_RID):
        section.sent_extensions = (*section.sent_extensions, uri)
    elif direction:
        return
    section.extensions[uri] = extension_id


def _read_fingerprint(line: Line, section: MediaSection, content: str) -> None:
    """Record a fingerprint, or the reason why it cannot be used."""
    function, _, text = content.partition(" ")
    function, fault = function.lower(), ""
    try:
        digest = bytes.fromhex(text.replace(":", ""))
    except ValueError:
        digest, fault = b"", "it is not hexadecimal"
    if function not in HASHES:
        fault = f"its hash function is not one of {', '.join(HASHES)}"
    elif not fault and len(digest) != HASHES[function].digest_size:
        fault = f"a digest of {function} has {HASHES[function].digest_size} bytes"
    if fault:
        if len(section.fingerprint_faults) < _MAX_FAULTS:
            section.fingerprint_faults.append(f"{line}: {fault}")
    elif len(section.fingerprints) < _MAX_FINGERPRINTS:
        section.fingerprints.append((function, digest))


def _read_payload_attribute(
    line: Line, section: MediaSection, types: _PayloadTypes, name: str, content: str
) -> None:
    payload_type, _, value = content.partition(" ")
    value = value.strip(_SPACE)
    match name:
        case "rtpmap" if not value:
            section.fault = section.fault or f"{line}: rtpmap needs a payload type and a codec"
        case "rtpmap":
            types.maps[payload_type] = line, value
        case "fmtp":
            types.parameters[payload_type] = value
        case "rtcp-fb" if value in _KNOWN_FEEDBACK:
            types.feedback.setdefault(payload_type, set()).add(value)
        case "rid" | "simulcast" | "ssrc-group":
            types.layers.read(name, content)


def _read_codecs(section: MediaSection, types: _PayloadTypes) -> None:
    names = (types.maps[text][1] if text in types.maps else _STATIC.get(text, "") for text in section.formats)
    section.encodings = tuple(dict.fromkeys(name.partition("/")[0] for name in names if name))
    if section.kind is not None:
        section.codecs.extend(_codecs(section, section.kind, types))
        section.layers = types.layers.layers()


def _codecs(section: MediaSection, kind: MediaKind, types: _PayloadTypes) -> Iterator[Codec]:
    known, repairs, redundancies = _CODECS[kind], _repairs(section, types), _redundancies(section, types)
    found, unusable = False, ""
    for text in section.formats:
        if text not in types.maps:
            continue
        line, encoding = types.maps[text]
        name, _, rate = encoding.partition("/")
        if name.upper() not in known:
            continue
        name, clock_rate = known[name.upper()]
        clock, slash, channels = rate.partition("/")
        if clock != str(clock_rate):
            continue
        payload_type = _small_number(text)
        if payload_type is None or payload_type > _MAX_PAYLOAD_TYPE:
            section.fault = section.fault or f"{line}: the payload type is not a number up to {_MAX_PAYLOAD_TYPE}"
            return
        if payload_type in _RTCP_PAYLOAD_TYPES:
            unusable = f"{line}: packets of this payload type cannot be told from RTCP (RFC 5761 section 4)"
            continue
        found, offered = True, {*types.feedback.get(text, ()), *types.feedback.get("*", ())}
        yield Codec(
            payload_type,
            name,
            clock_rate,
            slash + channels,
            types.parameters.get(text, ""),
            tuple(value for value in FEEDBACK[kind] if value in offered),
            repairs.get(text) if "nack" in offered else None,
            *redundancies.get(text, (None, False)),
        )
    if unusable and not found:
        section.fault = section.fault or unusable


def _redundancies(section: MediaSection, types: _PayloadTypes) -> dict[str, tuple[int, bool]]:
    """The payload type of RED and whether it comes first, by the payload type of its blocks (RFC 2198 section 5).

    Only RED for audio at 48 kHz in stereo counts, because Opus has that format.
    """
    redundancies: dict[str, tuple[int, bool]] = {}
    order = {text: index for index, text in enumerate(section.formats)}
    for text, index in order.items():
        payload_type = _small_number(text)
        _, encoding = types.maps.get(text, (None, ""))
        if encoding.lower() != "red/48000/2" or not _is_usable(payload_type):
            continue
        blocks = {block.strip(_SPACE) for block in types.parameters.get(text, "").split("/")}
        if len(blocks) == 1:
            block = blocks.pop()
            redundancies.setdefault(block, (payload_type, order.get(block, -1) >= index))
    return redundancies


def _repairs(section: MediaSection, types: _PayloadTypes) -> dict[str, int]:
    """The RTX payload types, by the payload types that they repair (RFC 4588 section 8.6)."""
    repairs = {}
    for text in section.formats:
        payload_type = _small_number(text)
        _, encoding = types.maps.get(text, (None, ""))
        if encoding.lower() != "rtx/90000" or not _is_usable(payload_type):
            continue
        for parameter in types.parameters.get(text, "").split(";"):
            name, _, repaired = parameter.partition("=")
            if name.strip(_SPACE).lower() == "apt":
                repairs[repaired.strip(_SPACE)] = payload_type
    return repairs
