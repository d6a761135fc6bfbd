"""The judge of every request: a websocket, a request for the application, or an answer given at the door.

It is asked about each request alike: the first of a connection or a later one, plain or over TLS, from a browser
or by way of a proxy. `judge` is a pure function: of the head, of the circumstances of the connection, and of the
settings. A rule about requests is a function in `_RULES` that gives an `Answer` to what it objects to and None to
all else; the first objection counts. What is not told by the head alone (the head is too long, the body never
ends) is bounded where it is read, in `conversation.py`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from functools import cached_property
from urllib.parse import urlsplit

import h11

from roomfsm.door.answers import RETRY, Answer
from roomfsm.door.settings import DoorSettings
from roomfsm.hosts import answers_to, host_of
from roomfsm.protocol import SUBPROTOCOL

WEBSOCKET_PATH = "/ws"
_METHODS = "GET, HEAD, POST, OPTIONS"

_ABSOLUTE_FORM = re.compile(r"https?://([^/?#]*)([^#]*)", re.IGNORECASE)
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+(%25[A-Za-z0-9._~-]+)?\]|[A-Za-z0-9._~!$&'()*+,;=%-]*)(:[0-9]{0,5})?")
_KEY = re.compile(r"[A-Za-z0-9+/]{22}==")
_ONCE = frozenset(
    (b"host", b"origin", b"content-length", b"sec-websocket-key", b"sec-websocket-version", b"sec-fetch-site")
)
"""Headers that mean something only if there is one of each (RFC 9110 section 5.3)."""


class Course(Enum):
    """How a request that nobody objects to goes on."""

    WEBSOCKET = "websocket"
    APPLICATION = "application"


@dataclass(frozen=True)
class RequestHead:
    """The head of a request. `target` is a path with its query, or `*`; names of headers are in lower case."""

    method: str
    target: str
    version: str
    fields: tuple[tuple[bytes, bytes], ...]

    @classmethod
    def of(cls, request: h11.Request) -> RequestHead:
        """A head as h11 read it; of a target in absolute form the authority counts as `Host` (RFC 9112 3.2.2)."""
        target = request.target.decode("ascii")
        fields = tuple(request.headers)
        absolute = _ABSOLUTE_FORM.fullmatch(target)
        if absolute and absolute[1]:
            target = absolute[2] if absolute[2].startswith("/") else f"/{absolute[2]}"
            host = (b"host", absolute[1].encode("ascii"))
            fields = (host, *(field for field in fields if field[0] != b"host"))
        method, version = request.method.decode("ascii"), request.http_version.decode("ascii")
        return cls(method, target, version, fields)

    def without_prefix(self, prefix: str) -> RequestHead:
        """The head as if a proxy had taken off `--path-prefix`; itself if the target has none, or one did."""
        rest = self.target.removeprefix(prefix)
        if not prefix or rest == self.target or not (rest == "" or rest[0] in "/?"):
            return self
        return replace(self, target=rest if rest.startswith("/") else f"/{rest}")

    @cached_property
    def headers(self) -> Mapping[str, str]:
        """The headers by their names; the values of one that came more than once joined by commas."""
        headers: dict[str, str] = {}
        for raw_name, raw_value in self.fields:
            name, value = raw_name.decode("ascii"), raw_value.decode("latin-1")
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        return headers

    @property
    def path(self) -> str:
        """The target without its query; what is percent-encoded stays so."""
        return self.target.partition("?")[0]

    def tokens(self, name: str) -> list[str]:
        """The values of a header that is a list (RFC 9110 section 5.6.1), in lower case."""
        values = self.headers.get(name, "").lower().split(",")
        return [value.strip() for value in values if value.strip()]

    @cached_property
    def upgrades(self) -> list[str]:
        """The protocols that the client offers to change to (RFC 9110 section 7.8)."""
        return self.tokens("upgrade") if "upgrade" in self.tokens("connection") else []

    @property
    def has_body(self) -> bool:
        """Whether a body follows, if only an empty one in chunks."""
        return "transfer-encoding" in self.headers or self.headers.get("content-length", "0").strip("0") != ""


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What of a request its head does not tell."""

    secure: bool
    """Whether it came over TLS that ends here."""
    client: str
    """The client's address."""
    full: bool
    """Whether there are as many sessions as may be."""


def judge(head: RequestHead, circumstances: Circumstances, settings: DoorSettings) -> Course | Answer:
    """How a request goes on, or what it is answered at the door."""
    for rule in _RULES:
        answer = rule(head, circumstances, settings)
        if answer is not None:
            return answer
    return Course.WEBSOCKET if head.path == WEBSOCKET_PATH else Course.APPLICATION


def _http_version(head: RequestHead, *_: object) -> Answer | None:
    # HTTP/2 is known by its preface (RFC 9113 section 3.4), which reads like a request of version 2.0. One who
    # offers to change to it (Upgrade: h2c) is answered in HTTP/1.1, like all offers that nobody takes up here
    # (RFC 9110 section 7.8).
    return None if head.version.startswith("1.") else Answer(505, "This server speaks HTTP/1.1 only.")


def _framing(head: RequestHead, _: object, settings: DoorSettings) -> Answer | None:
    # A proxy may have seen another end of the request than we do: RFC 9112 sections 6.1, 6.3, 11.2.
    if "transfer-encoding" in head.headers and ("content-length" in head.headers or head.version == "1.0"):
        return Answer(
            400,
            "A request must not combine Transfer-Encoding with Content-Length or with HTTP/1.0.",
        )
    if int(head.headers.get("content-length", "0")) > settings.max_body_bytes:
        return body_too_long(settings)
    return None


def _single_headers(head: RequestHead, *_: object) -> Answer | None:
    once = [name for name, _ in head.fields if name in _ONCE]
    if len(once) == len(set(once)):
        return None
    twice = next(name for name in once if once.count(name) > 1)
    return Answer(400, f"The request has the header {twice.decode('ascii')} more than once.")


def _target(head: RequestHead, *_: object) -> Answer | None:
    if head.method in ("CONNECT", "TRACE"):
        return Answer(405, f"This server does not support the method {head.method}.", (("Allow", _METHODS),))
    if head.target == "*" and head.method == "OPTIONS":
        return Answer(204, fields=(("Allow", _METHODS),))
    if not head.target.startswith("/"):
        return Answer(400, "The target of the request is not a path.")
    return None


def _host(head: RequestHead, _: object, settings: DoorSettings) -> Answer | None:
    host = head.headers.get("host", "")
    if not host:
        # Some health checks speak so. Browsers, which the names are about, always say whom they ask.
        return None
    if not _HOST.fullmatch(host):
        return Answer(400, "The Host header must be a name or an address, with or without a port.")
    if not answers_to(host, settings.host_name):
        name = host_of(host) or host
        return Answer(
            421,
            f"This server is not set up for the name {name!r}. If you run it, start it with --host-name {name}.",
        )
    return None


def _expectation(head: RequestHead, *_: object) -> Answer | None:
    if any(expected != "100-continue" for expected in head.tokens("expect")):
        return Answer(417, "The header Expect may only be 100-continue.")
    return None


def _websocket(head: RequestHead, *_: object) -> Answer | None:
    """RFC 6455 section 4.2.1."""
    asks = "websocket" in head.tokens("upgrade")
    if head.path != WEBSOCKET_PATH:
        offered = asks and "websocket" in head.upgrades
        return Answer(404, f"The websocket is at {WEBSOCKET_PATH}, not here.") if offered else None
    if not asks:
        wanted = (("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13"))
        return Answer(
            426,
            "This address is for websockets only. To see the rooms in a browser, open the address without /ws.",
            wanted,
        )
    if head.headers.get("sec-websocket-version") != "13":
        wanted = (("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13"))
        return Answer(426, "The header Sec-WebSocket-Version must be 13.", wanted)
    if head.method != "GET" or head.version == "1.0" or head.has_body:
        return Answer(400, "A request for a websocket must be a GET in HTTP/1.1 without a body.")
    if "websocket" not in head.upgrades:
        return Answer(400, "A request for a websocket needs the header Connection: Upgrade.")
    if not _KEY.fullmatch(head.headers.get("sec-websocket-key", "")):
        return Answer(400, "The header Sec-WebSocket-Key must be 16 bytes in base64.")
    return None


def _websocket_visitor(head: RequestHead, circumstances: Circumstances, settings: DoorSettings) -> Answer | None:
    if head.path != WEBSOCKET_PATH:
        return None
    origin, host = head.headers.get("origin"), head.headers.get("host", "")
    if not origin_allowed(origin, host, settings.allow_origin, secure=circumstances.secure):
        return Answer(403, "Pages of this origin may not connect. If you run the server, see --allow-origin.")
    proposed = head.headers.get("sec-websocket-protocol", "").split(",")
    if SUBPROTOCOL not in (name.strip() for name in proposed):
        return Answer(400, f"The client must offer the websocket subprotocol {SUBPROTOCOL}.")
    if circumstances.full:
        return Answer(503, "The server is full.", RETRY)
    return None


_RULES: tuple[Callable[[RequestHead, Circumstances, DoorSettings], Answer | None], ...] = (
    _http_version,
    _framing,
    _single_headers,
    _target,
    _host,
    _expectation,
    _websocket,
    _websocket_visitor,
)


def body_too_long(settings: DoorSettings) -> Answer:
    """To a body that is, or says that it will be, too long."""
    return Answer(
        413, f"The body of a request may have at most {settings.max_body_bytes} bytes (--max-body-bytes)."
    )


def origin_allowed(origin: str | None, host: str, allowed: tuple[str, ...], *, secure: bool) -> bool:
    """Whether a page of `origin` may connect to us as `host` (RFC 6454, RFC 6455 section 10.2).

    No origin: not a browser, which is the only one that the check protects. The scheme is not compared with
    our own, because a proxy may have taken off the TLS; a page without TLS may not connect over TLS, though.
    """
    if origin is None:
        return True
    if "*" in allowed or origin in allowed:
        return True
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    if secure and parts.scheme != "https":
        return False
    return _with_port(parts.netloc, parts.scheme) == _with_port(host, parts.scheme)


def _with_port(netloc: str, scheme: str) -> str:
    default = ":443" if scheme == "https" else ":80"
    return netloc.lower().removesuffix(default)
