"""Makes the offer of a relay fit its stream: the codecs that the presenter may send, and in the same order.

A media server offers all codecs that it knows, and Kurento sends the first that the other side accepts. If that is
not the codec of the stream, it decodes and encodes every picture anew. A browser sends the first codec of the
answer that it got, too. So the offer of the relay gets the order of that answer, without what is not in it. This
is text work on a few lines of SDP (RFC 8866), for which no library is needed.
"""

from __future__ import annotations

import re

_RTPMAP = re.compile(r"^a=rtpmap:(\d+) ([^/\r\n]+)/", re.MULTILINE)
_APT = re.compile(r"^a=fmtp:(\d+) (?:[^\r\n]*;)? *apt=(\d+)", re.MULTILINE)
_ABOUT = re.compile(r"a=(?:rtpmap|fmtp|rtcp-fb):(\d+) ")
_SECTION = re.compile(r"^(?=m=)", re.MULTILINE)
_M_LINE = re.compile(r"m=(\w+) (\S+ \S+) ([\d ]+)")

_RTX = "rtx"
_HELPERS = frozenset({_RTX, "red", "ulpfec", "flexfec-03"})
"""What repairs losses, and is no codec. It stays in the offer, and `rtx` only with the codec that it repeats."""


def narrowed(offer: str, described: str) -> str:
    """The offer with the codecs of `described`, in their order.

    `described` is the session description that the stream's own endpoint has given to its presenter, or has taken
    from another relay. An m-line of a kind of which `described` has no codec stays as it is.
    """
    wanted: dict[str, list[str]] = {}
    for section in _SECTION.split(described)[1:]:
        if (line := _M_LINE.match(section)) is not None:
            names = _names(section)
            wanted[line[1]] = [names[payload] for payload in line[3].split() if payload in names]
    head, *sections = _SECTION.split(offer)
    return head + "".join(_narrowed(section, wanted) for section in sections)


def _names(section: str) -> dict[str, str]:
    """The names of the payload types of an m-line."""
    return {payload: name.lower() for payload, name in _RTPMAP.findall(section)}


def _narrowed(section: str, wanted: dict[str, list[str]]) -> str:
    line = _M_LINE.match(section)
    if line is None:
        return section
    names, payloads = _names(section), line[3].split()
    # What repairs a codec has its place in the order, too: redundant audio is sent if it is before its codec.
    order = [name for name in wanted.get(line[1], ()) if name != _RTX]
    ordered = sorted(
        (payload for payload in payloads if names.get(payload) in order),
        key=lambda payload: order.index(names[payload]),
    )
    if all(names[payload] in _HELPERS for payload in ordered):
        return section
    repeats = dict(_APT.findall(section))
    helpers = [
        payload
        for payload in payloads
        if payload not in ordered
        and (name := names.get(payload)) in _HELPERS
        and (name != _RTX or repeats.get(payload) in ordered)
    ]
    kept = [*ordered, *helpers]
    first, *rest = section.splitlines(keepends=True)
    lines = [one for one in rest if (about := _ABOUT.match(one)) is None or about[1] in kept]
    return first.replace(line[3].rstrip(), " ".join(kept)) + "".join(lines)
