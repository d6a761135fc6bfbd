"""Who may inspect and administer: this machine's own user, and whoever knows the token."""

from __future__ import annotations

import hmac
import ipaddress
from dataclasses import dataclass
from urllib.parse import urlsplit

from quart import Request, Response

COOKIE = "roomfsm-inspect"
_FORWARDED = ("forwarded", "via", "x-real-ip", "x-forwarded-")
"""How the names of headers begin that proxies add."""


@dataclass(frozen=True, slots=True)
class Access:
    """Judges requests to the inspector: without a `token` this machine's own may, with one whoever knows it."""

    token: str | None

    def refusal(self, request: Request) -> Response | None:
        """The answer to one who may not; None for one who may."""
        # Where there is a token it is asked of everybody: what a proxy here passes on may look local.
        allowed = is_local(request) if self.token is None else self._knows_token(request)
        if not allowed and self.token is None:
            return _words(
                403, "The inspector is open to this machine only; --inspect-token TOKEN opens it to others."
            )
        if not allowed:
            return _words(
                401, "The inspector needs its token: /inspect?token=… once, or the header Authorization: Bearer …"
            )
        if not _same_origin(request):
            return _words(403, "A page of another origin may not do this.")
        return None

    def remember(self, request: Request) -> Response | None:
        """One who came with the token in the address goes on without it there, by a cookie."""
        if self.token is None or not self._is_token(request.args.get("token")):
            return None
        response = Response("", 303, headers={"Location": request.path})
        response.set_cookie(
            COOKIE, self.token, path="/inspect", httponly=True, samesite="Strict", secure=request.scheme == "https"
        )
        return response

    def _knows_token(self, request: Request) -> bool:
        scheme, _, credentials = request.headers.get("Authorization", "").partition(" ")
        bearer = credentials.strip() if scheme.lower() == "bearer" else None
        return any(self._is_token(given) for given in (bearer, request.cookies.get(COOKIE)))

    def _is_token(self, given: str | None) -> bool:
        # In a time that does not tell how much of it was right.
        return bool(given and self.token) and hmac.compare_digest(str(given).encode(), str(self.token).encode())


def is_local(request: Request) -> bool:
    """Whether the request comes from this machine and is meant for it.

    Not what a proxy on this machine passes on (it says so, or keeps the foreign host's name), and not a page whose
    own name was made to lead here (DNS rebinding: the Host header has that name).
    """
    if any(name.lower().startswith(_FORWARDED) for name, _ in request.headers.items()):
        return False
    host = urlsplit(f"//{request.host}").hostname or ""
    return _is_loopback(request.remote_addr or "") and (host == "localhost" or _is_loopback(host))


def _is_loopback(address: str) -> bool:
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    return ip.is_loopback or (ip.version == 6 and ip.ipv4_mapped is not None and ip.ipv4_mapped.is_loopback)


def _same_origin(request: Request) -> bool:
    """A browser says which page asks, in `Origin` (RFC 6454) or Fetch Metadata; other programs say nothing."""
    origin = request.headers.get("Origin")
    if origin is not None and not _names(origin, request.host):
        return False
    # A link from elsewhere may lead here; a picture or a script of another page may not take what is here.
    from_elsewhere = request.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin")
    return not from_elsewhere or request.headers.get("Sec-Fetch-Mode") == "navigate"


def _names(origin: str, host: str) -> bool:
    try:
        return urlsplit(origin).netloc == host
    except ValueError:
        return False


def _words(status: int, text: str) -> Response:
    return Response(f"{text}\n", status, content_type="text/plain; charset=utf-8")
