"""Refuses people's offers that come from an ICE-lite agent (RFC 8445 section 2.5).

Browsers are full agents. To a lite agent a media server must send checks, at the addresses that the offer names.
So anybody in a room could let the media server send to addresses in its own network.
"""

import re

_LITE = re.compile(r"(?m)^[ \t\r]*a=ice-lite")


def lite_agent(offer: str) -> str | None:
    """What is wrong with an offer of a lite agent, and the line that says so; None if a full agent offers."""
    found = _LITE.search(offer)
    if found is None:
        return None
    return f"line {offer.count('\n', 0, found.start()) + 1} (a=ice-lite): people must be full ICE agents"
