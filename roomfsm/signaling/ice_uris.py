"""The addresses of STUN and TURN servers (RFC 7064, RFC 7065)."""

from __future__ import annotations

import re

_HOST = r"(\[[0-9A-Fa-f:.]+\]|[^\s:/?#@\[\]|]+)"
_STUN_URI = re.compile(rf"stuns?:{_HOST}(:[0-9]{{1,5}})?")
_TURN_URI = re.compile(rf"turns?:{_HOST}(:[0-9]{{1,5}})?(\?transport=(udp|tcp))?")


def is_stun_uri(text: str) -> bool:
    """Whether the text is a STUN URI (RFC 7064)."""
    return _STUN_URI.fullmatch(text) is not None


def is_turn_uri(text: str) -> bool:
    """Whether the text is a TURN URI (RFC 7065) with a transport that browsers know."""
    return _TURN_URI.fullmatch(text) is not None
