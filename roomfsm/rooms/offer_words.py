"""What a media server says about a browser's offer, as far as the browser may be told.

Which line of its offer is wrong, and why, is of use to a browser. Yet a media server may name in the same sentence
its own address, or an object by the identifier with which anybody who reaches the media server can end it.
"""

from __future__ import annotations

import re

_MOST = 300
"""Characters that are passed on."""
_INSIDE = re.compile(
    r"\b[a-z][a-z+.-]*://\S+"  # a URL
    r"|\S*_kurento\.\S+"  # an object of Kurento
    r"|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"  # a UUID: a session or a server
    r"|\b\d{1,3}(?:\.\d{1,3}){3}\b"  # an IPv4 address
    r"|(?<![\w:])(?:[0-9a-f]{1,4}:){7}[0-9a-f]{1,4}(?![\w:])"  # an IPv6 address
    r"|(?:[0-9a-f]{1,4}:)*:(?::[0-9a-f]{1,4})+"  # the same, with its zeros left out
    r"|(?<!\w)/(?:[\w.+-]+/)+[\w.+-]+",  # a file
    re.IGNORECASE,
)


def about_offer(words: str, offer: str) -> str | None:
    """The words, if they name nothing inside that the offer does not name itself; else None."""
    # No more is looked through than what is passed on and the rest of a name that begins there: a search takes
    # time that grows with the square of a long word, and the words may quote the offer.
    if any(found.group() not in offer for found in _INSIDE.finditer(words[: 2 * _MOST])):
        return None
    return words if len(words) <= _MOST else f"{words[:_MOST]}…"
