"""Simulcast in session descriptions: several encodings (*layers*) of one picture, of which each viewer gets one.

A browser names its layers by rids (RFC 8851, RFC 8853), and each packet says in a header extension to which it
belongs (RFC 8852), at least until the SSRC is known. Older clients list the SSRCs instead, in groups with the
semantics SIM, the smallest layer first, and FID for the retransmissions of each (RFC 5576).
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

MAX_LAYERS = 4
"""The most layers of one stream that are accepted. Browsers send up to three."""
_MAX_GROUPS = 16
_RID = re.compile(r"[A-Za-z0-9_-]+")
_MAX_RID = 16
"""The most characters of a rid, which is what fits into a header extension of the one-byte form."""


class Layer(NamedTuple):
    """One layer: what its packets say of themselves."""

    rid: str
    """The name of the layer; empty if it is known by its SSRCs."""
    ssrc: int = 0
    """The SSRC of its media; 0 if that is not known beforehand."""
    repair_ssrc: int = 0
    """The SSRC of its retransmissions (RFC 4588); 0 if that is not known beforehand."""

    @property
    def name(self) -> str:
        """The rid or, without one, the SSRC."""
        return self.rid or str(self.ssrc)


class SentLayers:
    """The lines of an m-line about layers that the other side wants to send."""

    __slots__ = ("_groups", "_rids", "_simulcast")

    def __init__(self) -> None:
        self._rids: set[str] = set()
        self._simulcast = ""
        self._groups: list[list[str]] = []

    def read(self, attribute: str, content: str) -> None:
        """Read the value of `a=rid`, `a=simulcast` or `a=ssrc-group`."""
        words = content.split(" ")
        match attribute:
            case "rid" if len(words) > 1 and words[1] == "send" and len(self._rids) < _MAX_GROUPS:
                self._rids.add(words[0])
            case "simulcast" if "send" in words[:-1]:
                self._simulcast = words[words.index("send") + 1]
            case "ssrc-group" if len(self._groups) < _MAX_GROUPS:
                self._groups.append(words)

    def layers(self) -> tuple[Layer, ...]:
        """The layers in the order of the description; empty if there are fewer than two, or they are not sound."""
        named = [Layer(rid) for rid in self._named()]
        return tuple(named if len(named) > 1 else self._grouped())

    def _named(self) -> list[str]:
        # A layer may have several alternatives, between commas, and we take the first. A tilde means that it is
        # paused at first (RFC 8853 section 5.1).
        rids = [choice.split(",")[0].removeprefix("~") for choice in self._simulcast.split(";")]
        sound = all(rid in self._rids and len(rid) <= _MAX_RID and _RID.fullmatch(rid) for rid in rids)
        return rids if sound and 1 < len(set(rids)) == len(rids) <= MAX_LAYERS else []

    def _grouped(self) -> list[Layer]:
        groups = [(semantics, _numbers(ssrcs)) for semantics, *ssrcs in self._groups]
        repairs = {ssrcs[0]: ssrcs[1] for semantics, ssrcs in groups if semantics == "FID" and len(ssrcs) == 2}
        for semantics, ssrcs in groups:
            if semantics == "SIM" and 1 < len(set(ssrcs)) == len(ssrcs) <= MAX_LAYERS:
                return [Layer("", ssrc, repairs.get(ssrc, 0)) for ssrc in ssrcs]
        return []


def _numbers(ssrcs: Sequence[str]) -> list[int]:
    """The SSRCs of a group; empty if one of them is not a 32-bit number other than 0."""
    sound = all(ssrc.isascii() and ssrc.isdecimal() and len(ssrc) <= 10 for ssrc in ssrcs)
    numbers = [int(ssrc) for ssrc in ssrcs] if sound else []
    return numbers if all(0 < number < 1 << 32 for number in numbers) else []


def answer_lines(layers: Sequence[Layer]) -> list[str]:
    """The lines of an answer that accepts these layers. Those that are known by SSRCs need none."""
    rids = [layer.rid for layer in layers if layer.rid]
    if not rids:
        return []
    return [*(f"a=rid:{rid} recv" for rid in rids), f"a=simulcast:recv {';'.join(rids)}"]
