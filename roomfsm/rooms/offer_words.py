"""What a media server says about a browser's offer, as far as the browser may know it.

It helps a browser to know which line of its offer is wrong, and why. But in the same sentence a media server may
name its own address, or the identifier of an object, with which anybody who reaches the media server can release
that object. Such names have too many forms to list them all: IPv4 and IPv6 addresses, host names, ports, files,
UUIDs. So we do the opposite, and pass the words on only if every single word is known to be harmless. A word is
harmless if it is a term of the offer itself, compared as a whole, or if it has a form that names nothing: English
without digits, small numbers, and the terms of SDP. One gap remains: a host name that is one plain word without a
digit looks like English.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_MOST = 300
"""The most characters that are passed on."""
_MARKS = "\"'`()[]{}<>,.;!?…–-"
"""The punctuation that may stand around a word."""
_SHOWN_LINE = re.compile(r"line (\d{1,5})(?: \((?=[a-z]=)| is not of the form x=value: ['\"])")
"""How our own media server quotes a line of the offer. The line's text follows, and may be cut."""
_ATTRIBUTES = (
    "bundle-only|candidate|end-of-candidates|extmap|fingerprint|fmtp|group|ice-lite|ice-options|ice-pwd|ice-ufrag"
    "|identity|imageattr|inactive|max-message-size|maxptime|mid|msid|msid-semantic|packetization-mode|profile-level-id|ptime|recvonly|rid|rtcp|rtcp-fb"
    "|rtcp-mux|rtcp-mux-only|rtcp-rsize|rtpmap|sctp-port|sctpmap|sendonly|sendrecv|setup|simulcast|ssrc|ssrc-group"
    "|tls-id"
)
_CODECS = "AV1|G722|H26[345]|L16|MP4A|VP[89]|av1|g722|h26[345]|vp[89]"
_HARMLESS = re.compile(
    rf"""
    [A-Za-z]+(?:'[a-z]{{1,2}})?                                   # English: offer, isn't
    | [A-Z]+(?:_[A-Z]+)+                                          # the name of an error
    | \d{{1,6}}                                                   # a number, which is no IPv4 address
    | \d\d?:\d\d:\d\d | 4:[24]:[024]                              # a time of day, a picture format
    | [a-z]-lines? | ICE-lite | DTLS-SRTP | (?:non|pre|re|self)-[a-z]+
    | (?:{_ATTRIBUTES}) | (?:{_CODECS}) | IP[46] | sha-(?:1|224|256|384|512) | md5
    | (?:audio|video)/(?:[A-Za-z-]+|{_CODECS})                    # a media type
    | (?:[A-Za-z-]+|{_CODECS})/(?:8|16|32|48|90)000(?:/\d)?  # a codec, its clock rate and channels
    | [A-Z]+(?:/[A-Z]+){{1,3}}                                    # UDP/TLS/RTP/SAVPF
    | offer/answer
    | (?:[0-9A-Fa-f]{{2}}:){{19,63}}[0-9A-Fa-f]{{2}}                   # the fingerprint of a browser's certificate
    """,
    re.VERBOSE,
)
_ATTRIBUTE = re.compile(f"(?:{_ATTRIBUTES}):(.*)", re.DOTALL)
_H264_PROFILE = re.compile(r"(?<=H264 \()[0-9a-f]{4,6}(?=, packetization mode \d\))")


def about_offer(words: str, offer: str) -> str | None:
    """Return the first 300 characters of the words; None if a word may name what the offer does not name.

    The time that this takes is linear in the offer's length.
    """
    # We look a little further than what is passed on, because a name may begin in it and end behind it.
    start = _H264_PROFILE.sub("profile", _without_shown_lines(words[: 2 * _MOST], offer))
    doubtful = {word for text in start.split() for word in _terms(text) if not _HARMLESS.fullmatch(word)}
    if doubtful and not doubtful <= _terms_of_offer(offer):
        return None
    return words if len(words) <= _MOST else f"{words[: _MOST - 1]}…"


def _without_shown_lines(words: str, offer: str) -> str:
    """The words without the parts that really are quotations of the offer's lines."""
    lines: list[str] | None = None
    rest, end = [], 0
    for shown in _SHOWN_LINE.finditer(words):
        if shown.start() < end:
            continue  # This is inside a quoted line: somebody made an offer that looks like such a quotation.
        lines = offer.split("\n") if lines is None else lines
        number = int(shown.group(1))
        line = lines[number - 1].strip()[: 2 * _MOST] if 0 < number <= len(lines) else ""
        length = next(
            (at for at, (one, other) in enumerate(zip(words[shown.end() :], line, strict=False)) if one != other),
            min(len(words) - shown.end(), len(line)),
        )
        after = words[shown.end() + length :]
        if length and (not after or after[0] in ")…'\""):
            rest.append(words[end : shown.end()])
            end = shown.end() + length
    return " ".join([*rest, words[end:]])


def _terms(text: str) -> Iterator[str]:
    """The term in a word, without punctuation or the name of a line or attribute: in `'a=mid:x',` it is `x`."""
    term = text.strip(_MARKS)
    if not term.endswith("::"):
        term = term.removesuffix(":").rstrip(_MARKS)
    key, equals, value = term.partition("=")
    if equals and len(key) == 1 and key.isascii() and key.isalpha():
        term = value
    if (attribute := _ATTRIBUTE.fullmatch(term)) is not None:
        term = attribute.group(1)
    if term:
        yield term


def _terms_of_offer(offer: str) -> set[str]:
    """All terms of the offer, and also the parts of terms such as `VP8/90000` and `max-fr=30;x=1`."""
    found: set[str] = set()
    for text in offer.split():
        for term in _terms(text):
            found.add(term)
            found.update(re.split("[/;,=]", term))
    return found
