"""The STUN and TURN servers that browsers are told, and when: a TURN server's credentials cost its owner traffic.

Whoever has them can send any traffic through the TURN server, so strangers get none: before a join a browser is
only told of servers that ask for no credentials. The credentials of `--turn-uri` are good for a while only, and
are made from a secret that the TURN server shares with us (draft-uberti-behave-turn-rest-00 section 2.2;
coturn's `use-auth-secret`, eturnal's `secret`): the user name is the time of their end, with an id behind it,
and the password the HMAC of the user name under the secret. So neither side has to tell the other of them.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re

from roomfsm.protocol.server import IceServer
from roomfsm.signaling.settings import SignalingSettings

_HOST = r"(\[[0-9A-Fa-f:.]+\]|[^\s:/?#@\[\]|]+)"
_STUN_URI = re.compile(rf"stuns?:{_HOST}(:[0-9]{{1,5}})?")
_TURN_URI = re.compile(rf"turns?:{_HOST}(:[0-9]{{1,5}})?(\?transport=(udp|tcp))?")


def is_stun_uri(text: str) -> bool:
    """Whether it is a URI of RFC 7064."""
    return _STUN_URI.fullmatch(text) is not None


def is_turn_uri(text: str) -> bool:
    """Whether it is a URI of RFC 7065, with a transport that browsers know."""
    return _TURN_URI.fullmatch(text) is not None


def time_limited_credentials(secret: str, identity: str, end: int) -> tuple[str, str]:
    """User name and password that a TURN server with this secret accepts until `end`, seconds since 1970."""
    username = f"{end}:{identity}"
    digest = hmac.digest(secret.encode(), username.encode(), hashlib.sha1)
    return username, base64.b64encode(digest).decode()


def for_strangers(settings: SignalingSettings) -> tuple[IceServer, ...]:
    """The servers that ask for no credentials: everybody may be told of these."""
    return tuple(server for server in settings.ice_servers if server.credential is None)


def for_participants(settings: SignalingSettings, identity: str, now: float) -> tuple[IceServer, ...]:
    """All servers, with credentials for one who is in a room. `now`: seconds since 1970."""
    if settings.turn_secret is None:
        return settings.ice_servers
    end = int(now + settings.turn_ttl)
    username, credential = time_limited_credentials(settings.turn_secret, identity, end)
    turn = IceServer(urls=settings.turn_uri, username=username, credential=credential)
    return (*settings.ice_servers, turn)
