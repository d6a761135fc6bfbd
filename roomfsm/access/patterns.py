"""Patterns of room names: `*` stands for any characters (also for none), and `?` for exactly one."""

from __future__ import annotations

import fnmatch
import re
import unicodedata
from functools import lru_cache

from roomfsm.protocol.names import room_key, room_name

_SIGNS = str.maketrans("*?", "xx")


def room_pattern(text: str) -> str:
    """Check a pattern, and return it in normal form C. A pattern is a room name in which `*` and `?` are allowed.

    Raises `NameFault`.
    """
    # A letter stands in for each sign, so that the rules of room names are applied to the rest.
    room_name(text.translate(_SIGNS))
    return unicodedata.normalize("NFC", text)


def matches(pattern: str, room: str) -> bool:
    """Whether the name `room` fits a checked pattern. Case does not count, as in all comparisons of room names."""
    return _compiled(pattern).match(room_key(room)) is not None


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> re.Pattern[str]:
    # `fnmatch` never tries a `*` again that has found its place, so no pattern takes long. It also knows `[…]`,
    # but a pattern has no brackets, because a room name has none.
    return re.compile(fnmatch.translate(room_key(pattern)))
