"""Which STUN and TURN servers a browser is told of, and when.

Whoever has credentials for a TURN server can send any traffic through it, and its owner pays for that. So
strangers get none: before a browser has joined a room, it is only told of servers that need no credentials. The
credentials for `--turn-uri` are valid for a limited time. They are made from a secret that the TURN server shares
with us (draft-uberti-behave-turn-rest-00 section 2.2; coturn calls it `use-auth-secret`, eturnal `secret`): the
user name is the time at which they expire, followed by an id, and the password is the HMAC of the user name under
the secret. So the TURN server can check them without asking us.
"""

from __future__ import annotations

import base64
import hashlib
import hmac

from roomfsm.protocol.server import IceServer
from roomfsm.signaling.settings import SignalingSettings


def time_limited_credentials(secret: str, identity: str, end: int) -> tuple[str, str]:
    """The user name and password that a TURN server with this secret accepts until `end` (seconds since 1970)."""
    username = f"{end}:{identity}"
    digest = hmac.digest(secret.encode(), username.encode(), hashlib.sha1)
    return username, base64.b64encode(digest).decode()


def for_strangers(settings: SignalingSettings) -> tuple[IceServer, ...]:
    """The servers that need no credentials. Everybody may know these."""
    return tuple(server for server in settings.ice_servers if server.credential is None)


def for_participants(settings: SignalingSettings, identity: str, now: float) -> tuple[IceServer, ...]:
    """All servers, with credentials for somebody who is in a room. `now` is in seconds since 1970."""
    if settings.turn_secret is None:
        return settings.ice_servers
    end = int(now + settings.turn_ttl)
    username, credential = time_limited_credentials(settings.turn_secret, identity, end)
    turn = IceServer(urls=settings.turn_uri, username=username, credential=credential)
    return (*settings.ice_servers, turn)
