"""Codecs in session descriptions: which payload type can carry a stream, and which codec a publisher is asked for.

Nothing is transcoded. So one codec is chosen for a publisher, the *pinned* one, and each viewer gets the payload
type that fits the codec of its source.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from roomfsm.mediaserver.base.kinds import MediaKind

_PROFILES = {"VP9": "profile-id", "AV1": "profile"}
"""The parameters that must be equal, and count as 0 if they are missing (RFC 9628 section 6.1, RTP Payload Format
For AV1 section 7.2.1)."""
_CONSTRAINED_BASELINE = "constrained baseline"
_H264_PROFILES = {0x42: "baseline", 0x4D: "main", 0x58: "extended", 0x64: "high", 0xF4: "high 4:4:4"}
_DEFAULT_PROFILE_LEVEL = "420010"
"""The value of a missing profile-level-id (RFC 6184 section 8.1)."""


@dataclass(frozen=True, slots=True)
class Codec:
    """One payload type of an m-line that the engine can forward. `parameters` is its fmtp text, or empty."""

    payload_type: int
    name: str
    """VP8, VP9, H264, AV1 or opus."""
    clock_rate: int
    channels: str
    """The channels as in the rtpmap, with the slash; empty if the rtpmap has none."""
    parameters: str
    feedback: tuple[str, ...]
    rtx: int | None = None
    """The payload type of its retransmissions (RFC 4588). None if packets are repeated unchanged."""
    red: int | None = None
    """The payload type of its redundant packets (RFC 2198). None if there are none."""
    prefers_red: bool = False
    """Whether the offer names the redundant payload type first."""

    @property
    def payload_types(self) -> frozenset[int]:
        """Its own payload type, and those of its retransmissions and redundant packets."""
        return frozenset(one for one in (self.payload_type, self.rtx, self.red) if one is not None)

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
        """The name of the profile (H.264 Annex A.2).

        With constraint set 1, a baseline stream is a constrained one.
        """
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
        """The codec's name and its variant, for people."""
        if self.name == "H264":
            return f"H264 ({self.h264_profile}, packetization mode {self.packetization_mode})"
        name = _PROFILES.get(self.name)
        profile = self.parameter(name, "0") if name else "0"
        return self.name if profile == "0" else f"{self.name} (profile {profile})"

    def distance(self, source: "Codec") -> int | None:
        """How well this payload type fits a stream of `source`.

        0 is the same codec. The higher the number, the less certain it is that the stream can be decoded. None
        means that it cannot be decoded.
        """
        if self.name != source.name:
            return None
        if self.name != "H264":
            profile = _PROFILES.get(self.name)
            alike = profile is None or self.parameter(profile, "0") == source.parameter(profile, "0")
            return 0 if alike else None
        # A receiver of mode 1 also accepts the single NAL units of mode 0 (RFC 6184 section 6.2).
        if (source.packetization_mode, self.packetization_mode) not in (("0", "0"), ("1", "1"), ("0", "1")):
            return None
        modes = int(source.packetization_mode != self.packetization_mode)
        wanted, offered = source.h264_profile, self.h264_profile
        if wanted == offered:
            return modes
        # No browser sends baseline streams that a constrained baseline decoder cannot decode.
        baselines = (_CONSTRAINED_BASELINE, "baseline")
        if wanted in baselines and offered in (*baselines, "main", "high"):
            return modes + 2 + (offered not in baselines)
        return None


_COMMON = (
    Codec(96, "VP8", 90000, "", "", ()),
    Codec(98, "VP9", 90000, "", "profile-id=0", ()),
    Codec(100, "AV1", 90000, "", "profile=0", ()),
    Codec(102, "H264", 90000, "", "packetization-mode=1;profile-level-id=42e01f", ()),
    Codec(111, "opus", 48000, "/2", "", ()),
)
"""The variants that every browser can decode if it has the codec at all."""


def pinned_codec(codecs: Sequence[Codec], viewers: Sequence[Sequence[Codec]] = ()) -> Codec:
    """The codec that a publisher is asked for: the first one that most of the present `viewers` can decode.

    A variant that not every browser can decode (VP9 profile 2, H264 high) is chosen only if the publisher has
    nothing else, because viewers that come later might not be able to watch.
    """

    def suited(codec: Codec) -> int:
        return sum(matching_codec(offered, codec) is not None for offered in viewers)

    def rank(codec: Codec) -> tuple[bool, bool]:
        return codec.packetization_mode != "1", codec.h264_profile != _CONSTRAINED_BASELINE

    most = max(map(suited, codecs))
    best = [codec for codec in codecs if suited(codec) == most]
    for name in dict.fromkeys(codec.name for codec in best):
        common = [codec for codec in best if codec.name == name and matching_codec(_COMMON, codec)]
        if common:
            return min(common, key=rank)
    return min((codec for codec in best if codec.name == best[0].name), key=rank)


def matching_codec(codecs: Sequence[Codec], source: Codec) -> Codec | None:
    """The payload type that fits a stream of `source` best; None if none fits."""
    fitting = [
        (distance, index) for index, codec in enumerate(codecs) if (distance := codec.distance(source)) is not None
    ]
    return codecs[min(fitting)[1]] if fitting else None


def mismatch(kind: MediaKind, source: Codec, codecs: Sequence[Codec]) -> str:
    """A text that says that a viewer with `codecs` cannot decode `source`."""
    offered = ", ".join(dict.fromkeys(codec.variant for codec in codecs)) or "nothing that this server passes on"
    return f"no common {kind.lower()} codec: the source sends {source.variant}, the viewer takes {offered}"
