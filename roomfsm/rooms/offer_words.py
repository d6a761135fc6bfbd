"""What a media server says about a browser's offer, as far as the browser may be told.

Which line of its offer is wrong, and why, is of use to a browser. Yet a media server may name in the same sentence
its own address, or an object by the identifier with which anybody who reaches the media server can end it. There
is no end to the forms of such a name: addresses of two kinds, host names, ports, files, UUIDs. So the words are
passed on only where each of them is either a term of the offer itself, compared whole, or of a form that is known
to name nothing: English without digits, small numbers, and the terms of SDP. A host name that is one plain word
without a digit cannot be told from English.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_MOST = 300
"""Characters that are passed on."""
_MARKS = "\"'`()[]{}<>,.;!?…–-"
"""What may stand around a word."""
_SHOWN_LINE = re.compile(r"line (\d{1,5})(?: \((?=[a-z]=)| is not of the form x=value: ['\"])")
"""How our own media server shows a line of the offer: its text follows, which may be cut."""
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
    """The words, at most 300 characters of them, if none names anything inside that the offer does not; else None.

    The time that it takes grows as the offer's length and no faster.
    """
    # No more is looked through than what is passed on and the rest of a name that begins there.
    start = _H264_PROFILE.sub("profile", _without_shown_lines(words[: 2 * _MOST], offer))
    doubtful = {word for text in start.split() for word in _terms(text) if not _HARMLESS.fullmatch(word)}
    if doubtful and not doubtful <= _terms_of_offer(offer):
        return None
    return words if len(words) <= _MOST else f"{words[: _MOST - 1]}…"


def _without_shown_lines(words: str, offer: str) -> str:
    """The words without what they quote of the offer's lines, if it stands there as they say."""
    lines: list[str] | None = None
    rest, end = [], 0
    for shown in _SHOWN_LINE.finditer(words):
        if shown.start() < end:
            continue  # The offer's line itself is made to look like the beginning of such a quotation.
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
    """What a word says, without the marks around it: `'a=mid:x',` says `a` and, of an attribute, `x`."""
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
    """All that the offer says, word by word, and the parts of a word such as `VP8/90000` and `max-fr=30;x=1`."""
    found: set[str] = set()
    for text in offer.split():
        for term in _terms(text):
            found.add(term)
            found.update(re.split("[/;,=]", term))
    return found
