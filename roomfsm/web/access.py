"""Who may inspect and administer: whoever knows the token, from wherever, and nobody else.

"From this machine" is no proof of anything. nginx, as it is set by default, passes a stranger's request on from
127.0.0.1, with a `Host` of 127.0.0.1 and without a word of where it comes from; and so may any tunnel. Nothing
that a request looks like tells it from that of a browser here. So there is always a token. Where the operator
sets none (`--inspect-token`) the server makes one for as long as it runs, and prints it as part of the
inspector's address: one click for whoever started it, and no way in for others.

A page of another origin cannot use what its visitor's browser knows: the cookie goes with requests of our own
pages only (`SameSite=Strict`), and a request that says that another page made it is refused (Fetch Metadata,
`Origin`).
"""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass
from urllib.parse import urlsplit

from quart import Request, Response

_COOKIE = "roomfsm-inspect"


def new_token() -> str:
    """A token that nobody can guess."""
    return secrets.token_urlsafe(24)


@dataclass(slots=True)
class Access:
    """Judges requests to the inspector. Its token may be changed while the server runs."""

    token: str
    path_prefix: str = ""
    """The path of our pages in browsers begins with it (`--path-prefix`)."""

    def refusal(self, request: Request) -> Response | None:
        """The answer to one who may not; None for one who may."""
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
        """One who came with the token in the address goes on without it there, by a cookie."""
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
        scheme, _, credentials = request.headers.get("Authorization", "").partition(" ")
        bearer = credentials.strip() if scheme.lower() == "bearer" else None
        return any(self._is_token(given) for given in (bearer, request.cookies.get(cookie_name(request.host))))

    def _is_token(self, given: str | None) -> bool:
        # In a time that does not tell how much of it was right.
        return bool(given) and hmac.compare_digest(str(given).encode(), self.token.encode())


def cookie_name(host: str) -> str:
    """Cookies know no ports (RFC 6265 section 8.5): of two servers on one machine each needs a name of its own."""
    port = host.rpartition(":")[2]
    return f"{_COOKIE}-{port}" if port.isdecimal() else _COOKIE


def _from_elsewhere(request: Request) -> bool:
    """Whether a page of another origin asks. Browsers say so; other programs say nothing."""
    site = request.headers.get("Sec-Fetch-Site")
    if site in ("none", "same-origin"):
        return False
    if site is not None:
        # A link from elsewhere may lead here; a picture, script or form of another page may do nothing here.
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
