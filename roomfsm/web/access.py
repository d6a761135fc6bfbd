"""Decides who may inspect and administer the server: everybody who knows the token, and nobody else.

The address of a request proves nothing, even if it is that of this machine. With its default settings, nginx
passes a stranger's request on from 127.0.0.1, with a `Host` of 127.0.0.1 and without a header that shows where it
comes from. A tunnel may do the same. Such a request cannot be told from one of a browser on this machine. So there
is always a token. If the operator sets none (`--inspect-token`), the server makes one at each start, and prints it
as part of the inspector's address. So the operator needs only one click, and others cannot enter.

A page of another origin cannot use the token in its visitor's browser. The browser sends the cookie only with
requests of our own pages (`SameSite=Strict`), and the server refuses requests that the browser marks as coming
from another page (Fetch Metadata, `Origin`).
"""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass
from urllib.parse import urlsplit

from quart import Request, Response

_COOKIE = "roomfsm-inspect"


def new_token() -> str:
    """Make a token that nobody can guess."""
    return secrets.token_urlsafe(24)


@dataclass(slots=True)
class Access:
    """Judges requests to the inspector. Its token can be changed while the server runs."""

    token: str
    path_prefix: str = ""
    """The prefix of our pages' paths in browsers (`--path-prefix`)."""

    def refusal(self, request: Request) -> Response | None:
        """The answer to a request that is not allowed; None if it is allowed."""
        if not self._knows_token(request):
            return _words(
                401,
                "The inspector is open only to people who know its token. When the server starts, it prints the "
                "inspector's address with the token: open that address. If --inspect-token was set, "
                "open /inspect?token=… with that token. Programs send the header Authorization: Bearer …",
            )
        if _from_elsewhere(request):
            return _words(403, "Pages of another origin may not use the inspector.")
        return None

    def remember(self, request: Request) -> Response | None:
        """If the address has the token, put it into a cookie and redirect to the address without it.

        Otherwise return None.
        """
        if not self._is_token(request.args.get("token")):
            return None
        path = request.scope["raw_path"].partition(b"?")[0].decode("ascii")
        response = Response(
            "", 303, headers={"Location": f"{self.path_prefix}{path}", "Cache-Control": "no-store"}
        )
        response.set_cookie(
            cookie_name(request.host),
            self.token,
            path=f"{self.path_prefix}/inspect",
            httponly=True,
            samesite="Strict",
            secure=request.scheme == "https",
        )
        return response

    def _knows_token(self, request: Request) -> bool:
        cookie = request.cookies.get(cookie_name(request.host))
        return any(self._is_token(given) for given in (bearer_of(request), cookie))

    def _is_token(self, given: str | None) -> bool:
        return same_secret(given, self.token)


def bearer_of(request: Request) -> str | None:
    """The token in the header `Authorization: Bearer …` (RFC 6750 section 2.1); None if there is none."""
    scheme, _, credentials = request.headers.get("Authorization", "").partition(" ")
    return credentials.strip() if scheme.lower() == "bearer" else None


def same_secret(given: str | None, secret: str) -> bool:
    """Whether somebody knows the secret. The answer takes the same time however much of it is right."""
    return bool(given) and hmac.compare_digest(str(given).encode(), secret.encode())


def cookie_name(host: str) -> str:
    """The name of the cookie for this host.

    Cookies are shared by all ports of a host (RFC 6265 section 8.5), so each server on a machine needs a name of
    its own.
    """
    port = host.rpartition(":")[2]
    return f"{_COOKIE}-{port}" if port.isdecimal() else _COOKIE


def _from_elsewhere(request: Request) -> bool:
    """Whether a page of another origin makes the request. Browsers say so; other programs say nothing."""
    site = request.headers.get("Sec-Fetch-Site")
    if site in ("none", "same-origin"):
        return False
    if site is not None:
        # A link on another page may lead here, but pictures, scripts and forms of another page may not use this
        # server.
        reading = request.method in ("GET", "HEAD")
        return not (reading and request.headers.get("Sec-Fetch-Mode") == "navigate")
    origin = request.headers.get("Origin")
    return origin is not None and not _names(origin, request.host)


def _names(origin: str, host: str) -> bool:
    try:
        return urlsplit(origin).netloc == host
    except ValueError:
        return False


def _words(status: int, text: str) -> Response:
    return Response(f"{text}\n", status, content_type="text/plain; charset=utf-8")
