"""Masks the secrets of a session description in what is logged about it.

Whoever knows the ICE password of a connection can answer its checks, and whoever knows its fingerprint knows which
browser it was. An error may quote the line that is wrong, so these may stand in its words. The client gets the
words as they are: it has sent the description itself.
"""

from __future__ import annotations

import re

_SECRET = "ice-pwd|ice-ufrag|fingerprint|crypto|identity"
_LINE = re.compile(rf"^[ \t]*a=(?:{_SECRET}):(.*)$", re.MULTILINE | re.IGNORECASE)
_QUOTED = re.compile(rf"\b({_SECRET})([:=])[^)'\"]+", re.IGNORECASE)
_SHORTEST = 4
"""The fewest characters of a user name fragment (RFC 8839 section 5.4). Shorter words would mask everything."""


def masked(reason: str, description: str) -> str:
    """The reason, without secrets of the description that it is about."""
    reason = _QUOTED.sub(r"\1\2…", reason)
    for value in _LINE.findall(description):
        for word in value.split():
            if len(word) >= _SHORTEST and not word.lower().startswith("sha-"):
                reason = reason.replace(word, "…")
    return reason
