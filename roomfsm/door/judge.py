"""Judges every request: it goes to the websocket or to the application, or the front door answers it.

All requests are judged by the same rules: the first of a connection and later ones, with and without TLS, from a
browser or through a proxy. `judge` is a pure function of the head, the circumstances of the connection, and the
settings. Each rule is a function in `_RULES`. It returns an `Answer` if it refuses the request, and None
otherwise. The first refusal counts. Problems that the head alone does not show (the head is too long, the body
never ends) are handled where the request is read, in `conversation.py`.
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
"""Headers that may come only once (RFC 9110 section 5.3)."""


_FULL = Answer(503, "The server is full.", RETRY)


class Course(Enum):
    """Where a request goes that no rule refuses."""

    WEBSOCKET = "websocket"
    APPLICATION = "application"


@dataclass(frozen=True)
class RequestHead:
    """The head of a request. `target` is a path with its query, or `*`. Names of headers are in lower case."""

    method: str
    target: str
    version: str
    fields: tuple[tuple[bytes, bytes], ...]

    @classmethod
    def of(cls, request: h11.Request) -> RequestHead:
        """Make a head from h11's request.

        If the target is in absolute form, its authority replaces `Host` (RFC 9112 section 3.2.2).
        """
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
        """The head without `--path-prefix` in its target, as if a proxy had removed it.

        The same head if the target does not have the prefix.
        """
        rest = self.target.removeprefix(prefix)
        if not prefix or rest == self.target or not (rest == "" or rest[0] in "/?"):
            return self
        return replace(self, target=rest if rest.startswith("/") else f"/{rest}")

    @cached_property
    def headers(self) -> Mapping[str, str]:
        """The headers by their names. If a header came more than once, its values are joined by commas."""
        headers: dict[str, str] = {}
        for raw_name, raw_value in self.fields:
            name, value = raw_name.decode("ascii"), raw_value.decode("latin-1")
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        return headers

    @property
    def path(self) -> str:
        """The target without its query. Percent-encoding is kept."""
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
        """Whether a body follows, even if it is an empty one in chunks."""
        return "transfer-encoding" in self.headers or self.headers.get("content-length", "0").strip("0") != ""


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What the judge must know about a request besides its head."""

    secure: bool
    """Whether it came over TLS that ends at this server."""
    client: str
    """The client's address."""
    full: bool
    """Whether the limit of sessions is reached."""
    most: int | None = None
    """How many bytes the body may have, if that is not the setting's number: it is a file."""


def judge(head: RequestHead, circumstances: Circumstances, settings: DoorSettings) -> Course | Answer:
    """Where a request goes, or the front door's answer to it."""
    for rule in _RULES:
        answer = rule(head, circumstances, settings)
        if answer is not None:
            return answer
    return Course.WEBSOCKET if head.path == WEBSOCKET_PATH else Course.APPLICATION


def _http_version(head: RequestHead, *_: object) -> Answer | None:
    # The preface of HTTP/2 (RFC 9113 section 3.4) looks like a request of version 2.0. A client that offers to
    # change to HTTP/2 (Upgrade: h2c) gets an answer in HTTP/1.1, because a server may ignore such an offer (RFC
    # 9110 section 7.8).
    return None if head.version.startswith("1.") else Answer(505, "This server speaks HTTP/1.1 only.")


def _framing(head: RequestHead, circumstances: Circumstances, settings: DoorSettings) -> Answer | None:
    # A proxy may disagree with us about where such a request ends (RFC 9112 sections 6.1, 6.3, 11.2).
    if "transfer-encoding" in head.headers and ("content-length" in head.headers or head.version == "1.0"):
        return Answer(
            400,
            "A request must not combine Transfer-Encoding with Content-Length or with HTTP/1.0.",
        )
    length = int(head.headers.get("content-length", "0"))
    if circumstances.most is not None:
        return body_too_long(circumstances.most, "--max-file-bytes") if length > circumstances.most else None
    return body_too_long(settings.max_body_bytes) if length > settings.max_body_bytes else None


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
        # Some health checks send no Host. The rule protects browsers, and these always send it.
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


def _websocket(head: RequestHead, circumstances: Circumstances, settings: DoorSettings) -> Answer | None:
    """Rules for a websocket's handshake (RFC 6455 section 4.2.1).

    A browser does not tell a page why a handshake was refused. So a plain request to the same path is told what a
    handshake of the same visitor would be told: if it is 426, only the upgrade is missing.
    """
    asks = "websocket" in head.tokens("upgrade")
    if head.path != WEBSOCKET_PATH:
        offered = asks and "websocket" in head.upgrades
        return Answer(404, f"The websocket is at {WEBSOCKET_PATH}, not here.") if offered else None
    if not asks:
        wanted = (("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13"))
        missing = Answer(
            426,
            "This address is for websockets only. To see the rooms in a browser, open the address without /ws.",
            wanted,
        )
        return _foreign(head, circumstances, settings) or (_FULL if circumstances.full else missing)
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
    foreign = _foreign(head, circumstances, settings)
    if foreign is not None:
        return foreign
    proposed = head.headers.get("sec-websocket-protocol", "").split(",")
    if SUBPROTOCOL not in (name.strip() for name in proposed):
        return Answer(400, f"The client must offer the websocket subprotocol {SUBPROTOCOL}.")
    return replace(_FULL, limit="max_sessions") if circumstances.full else None


def _foreign(head: RequestHead, circumstances: Circumstances, settings: DoorSettings) -> Answer | None:
    origin, host = head.headers.get("origin"), head.headers.get("host", "")
    if origin_allowed(origin, host, settings.allow_origin, secure=circumstances.secure):
        return None
    return Answer(403, "Pages of this origin may not connect. If you run the server, see --allow-origin.")


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


def body_too_long(most: int, setting: str = "--max-body-bytes") -> Answer:
    """The answer to a body that is too long, or whose announced length is too long."""
    return Answer(
        413,
        f"The body of this request may have at most {most} bytes ({setting}).",
        limit=setting.removeprefix("--").replace("-", "_"),
    )


def origin_allowed(origin: str | None, host: str, allowed: tuple[str, ...], *, secure: bool) -> bool:
    """Whether a page of `origin` may connect to us as `host` (RFC 6454, RFC 6455 section 10.2).

    A request without an origin does not come from a browser, and the check protects only browsers. The schemes are
    not compared, because TLS may end at a proxy. But a page without TLS may not connect over TLS.
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
