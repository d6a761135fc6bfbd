"""Answers that the front door gives by itself, and the headers that all answers have."""

from __future__ import annotations

from dataclasses import dataclass
from email.utils import formatdate
from functools import cache
from http import HTTPStatus

import h11

type Fields = tuple[tuple[str, str], ...]

_ALL_ANSWERS: Fields = (
    ("Permissions-Policy", "camera=(self), microphone=(self), display-capture=(self)"),
    ("Referrer-Policy", "no-referrer"),
    ("X-Content-Type-Options", "nosniff"),
)

_TOLD = ("Access-Control-Allow-Origin", "*")
"""Lets pages of other origins read why they get no websocket, or why a file is not taken (Fetch section 3.2). The
front door's own answers are no secret, and some are given before it knows which address is asked for."""

RETRY: Fields = (("Retry-After", "5"),)
"""The header for status 503: after so many seconds the client may ask again."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that the front door gives by itself: a status, a sentence that gives the reason, and more
    headers. Pages of any origin may read it.
    """

    status: int
    why: str = ""
    fields: Fields = ()
    limit: str | None = None
    """The setting whose limit is the reason, if one is."""

    def events(self, *, with_body: bool = True) -> tuple[h11.Response | h11.Data | h11.EndOfMessage, ...]:
        """The answer as HTTP, which closes the connection. An answer to HEAD has no body."""
        # Upgrade concerns only this connection, so the Connection header must name it (RFC 9110 section 7.8).
        options = "close, upgrade" if "Upgrade" in dict(self.fields) else "close"
        fields: list[tuple[str, str]] = [*self.fields, _TOLD, ("Connection", options)]
        parts: list[h11.Data] = []
        if self.why:
            body = f"{self.why}\n".encode()
            fields += [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))]
            if with_body:
                parts.append(h11.Data(body))
        return h11.Response(status_code=self.status, headers=fields), *parts, h11.EndOfMessage()


def dressed(response: h11.Response, ancestors: tuple[str, ...] = (), *, last: bool = False) -> h11.Response:
    """Add the headers that all responses have: the date, and rules for browsers.

    `ancestors` are the origins of pages that may show ours in a frame (`--frame-ancestors`). `last` says that the
    connection is closed after this response.
    """
    there = {name for name, _ in response.headers}
    more: Fields = (
        ("Date", formatdate(usegmt=True)),
        ("Content-Security-Policy", content_policy(ancestors)),
        *_ALL_ANSWERS,
    )
    fields = [*response.headers.raw_items()]
    if last:
        fields.append((b"Connection", b"close"))
    fields += [(name.encode(), value.encode()) for name, value in more if name.lower().encode() not in there]
    return h11.Response(status_code=response.status_code, headers=fields, reason=_reason(response.status_code))


@cache
def content_policy(ancestors: tuple[str, ...] = ()) -> str:
    """The Content-Security-Policy. Pages of the origins `ancestors` may show ours in a frame.

    It forbids inline scripts and styles and everything from other servers, so that the text of a chat line can
    never run.
    """
    words = [f"'{origin}'" if origin == "self" else origin for origin in ancestors] or ["'none'"]
    return f"default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors {' '.join(words)}"


def _reason(status: int) -> bytes:
    try:
        return HTTPStatus(status).phrase.encode()
    except ValueError:
        return b""
