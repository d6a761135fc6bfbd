"""Given any request on any route, the answer is no internal error, and the next request is served."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from contextlib import suppress
from types import SimpleNamespace
from typing import Any, cast

import h11
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from roomfsm.web.access import Access
from roomfsm.web.api.api import AdminAccess, create_api
from roomfsm.web.app import create_app
from roomfsm.web.file_exchange import create_files
from roomfsm.web.metrics import MetricsAccess, create_metrics
from roomfsm.web.others import Others
from roomfsm.web.settings import WebSettings
from tests.examples import examples
from tests.system.program import Program, running

PATIENCE = 60.0

MEANT = {501, 503, 505}
"""The statuses above 499 that a request may get. Neither 500 nor those of proxies are among them."""


TOKEN = "correct-horse-battery"
MAY = f"Authorization: Bearer {TOKEN}"
ALIVE = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"


def routes() -> list[str]:
    """Every route of the application, with `<name>` for its variable parts."""
    nothing = cast(Any, None)
    metrics = create_metrics(nothing, MetricsAccess(TOKEN), is_open=False)
    others = Others(1.0)
    api = create_api(cast(Any, SimpleNamespace(others=others)), AdminAccess(TOKEN))
    app = create_app(
        nothing,
        nothing,
        lambda: 0,
        WebSettings(),
        Access(TOKEN),
        metrics,
        create_files(None),
        api,
        lambda: True,
        others,
    )
    rules = app.url_map.iter_rules()
    return sorted({str(rule) for rule in rules})


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """The program. At its end its log may have only short lines."""
    with running(
        tmp_path_factory.mktemp("server"),
        "--body-timeout=1",
        f"--inspect-token={TOKEN}",
        f"--metrics-token={TOKEN}",
        f"--admin-token={TOKEN}",
    ) as program:
        yield program
        assert program.end() == 0
    lines = program.log.read_text().splitlines()
    # A media server that does not answer a scrape in time is no fault in a request.
    told = [line for line in lines if "kurento stock not taken" not in line]
    assert [line for line in told if "Traceback" in line or "rror" in line] == []
    assert max(map(len, lines), default=0) < 400


_SEGMENTS = st.one_of(
    st.sampled_from(
        [
            *[
                "blue",
                "..",
                ".",
                "%2e%2e",
                "%2F",
                "%00",
                "%ff%fe",
                "%",
                "%zz",
                "a%0d%0aX:%20y",
                "%F0%9F%90%B1",
                "app.js",
                "app.js%00.png",
            ]
        ]
    ),
    st.sampled_from(
        [
            "x" * 4000,
            *["index.html/", "CON", "%c0%ae%c0%ae", "*", "<script>", "\\", "~", "'\"", "%25", "room.d.ts"],
        ]
    ),
    st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="?#/"), max_size=20),
)
_QUERIES = st.sampled_from(
    ["", "", "", "?", "?token=", "?token=%00", "?" + "a=b&" * 2000, "?%ff", "?a[]=1&a[x]=2", "??", "?\x7f", "#x"]
)
_METHODS = st.one_of(
    st.sampled_from(
        ["GET", "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PATCH", "BREW", "get"]
    ),
    st.text("ABCxyz!#$%&'*+-.^_`|~", min_size=1, max_size=10),
)
_HEADERS = st.sampled_from(
    """\
Range: bytes=0-
Range: bytes=5-2
Range: bytes=-0
Range: bytes=99999999999999999999-
Range: x=1-2
Range: bytes=0-1,3-4,,
If-Range: "x"
If-Range: Sun, 99 Foo 0000 00:00:00 GMT
If-None-Match: *
If-None-Match: W/"
If-Match: "x"
If-Match: *
If-Modified-Since: yesterday
If-Modified-Since: Fri, 31 Dec 99999 23:59:59 GMT
If-Unmodified-Since: Thu, 01 Jan 1970 00:00:00 GMT
Accept: \x80\xff
Accept: */*;q=x
Accept-Encoding: gzip;q=nan
Cookie: =;;a="b
Cookie: roomfsm-inspect=\xff
Authorization: Bearer
Authorization: Basic ====
Authorization: Bearer \xff
Content-Type: application/json
Content-Type: multipart/form-data
Content-Type: multipart/form-data; boundary=xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx
Content-Type: application/x-www-form-urlencoded; charset=nonsense
Content-Type: ;;;
Origin: null
Origin: http://[
Origin: http://localhost
Sec-Fetch-Site: cross-site
X-Forwarded-For: 1.2.3.4, unknown
X-Forwarded-Host: evil
Forwarded: for="[::1
Expect: 100-continue
Expect: tea
Connection: close
Connection: keep-alive, , x
Connection: Upgrade
Upgrade: websocket
Upgrade: h2c
HTTP2-Settings: AAMAAABkAAQAAP__
TE: trailers
Trailer: X
Content-Length: 0
Content-Length: 5
Content-Length: +5
Content-Length: -1
Content-Length: 0x5
Content-Length: 5, 5
Content-Length: 5, 6
Content-Length: 99999999999999999999999999999999
Transfer-Encoding: chunked
Transfer-Encoding: Chunked
Transfer-Encoding: gzip, chunked
Transfer-Encoding: x
Transfer-Encoding : chunked
X-Tab:\t\ty\t
 folded
: no name
No colon
Host: other
Host:
Host: [::1
Host: a b
Host: \xff""".splitlines()
)
_BODIES = st.one_of(
    st.just(b""),
    st.binary(max_size=50),
    st.sampled_from(
        [b"[" * 200_000, b'{"reason":' * 50_000, b'{"reason":1e999}', b'{"reason":"\\ud800"}', b'"\xff"', b"null"]
    ),
    st.sampled_from(
        [b"5;ext=1\r\nhello\r\n0\r\n\r\n", b"0\r\nX: y\r\n\r\n", b"-1\r\n", b"f" * 21 + b"\r\n", b"5\nhello"]
    ),
)
_ODD_TARGETS = [
    "*",
    "//",
    "///x",
    "http://localhost/",
    "http://",
    "HTTP://x:99999/a",
    "http://[::1/",
    "localhost:80",
    "\\\\",
]
_VERSIONS = ["HTTP/1.1"] * 8 + ["HTTP/1.0", "HTTP/0.9", "HTTP/2.0", "HTTP/1.2", "HTTX/1.1", ""]


@st.composite
def targets(draw: st.DrawFn) -> str:
    """A route with odd segments in the place of names, or something in the place of a path."""
    if draw(st.integers(0, 6)) == 0:
        return draw(st.sampled_from(_ODD_TARGETS))
    parts = draw(st.sampled_from([*routes(), "/ws", "/<name>/<name>", "/<name>"])).split("/")
    return "/".join(draw(_SEGMENTS) if "<" in part else part for part in parts) + draw(_QUERIES)


_ONLY_INTERIM = re.compile(rb"HTTP/1\.1 100 [^\r\n]*\r\n(?:[^\r\n]+\r\n)*\r\n")


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """A request, which is sometimes malformed."""
    host = draw(st.sampled_from([["Host: localhost"]] * 8 + [[], ["Host: localhost", "Host: localhost"]]))
    body = draw(_BODIES)
    length = draw(st.sampled_from([[f"Content-Length: {len(body)}"]] * 3 + [["Transfer-Encoding: chunked"], []]))
    start = f"{draw(_METHODS)} {draw(targets())} {draw(st.sampled_from(_VERSIONS))}"
    lines = [
        start,
        *host,
        f"Authorization: Bearer {TOKEN}",
        *draw(st.lists(_HEADERS, max_size=3)),
        *length,
        "",
        "",
    ]
    return "\r\n".join(lines).encode("latin-1") + body


def answers_to(program: Program, sent: bytes) -> list[h11.Response]:
    """The answers until the server closes. By then it has answered all requests."""
    received = b""
    with socket.create_connection(("127.0.0.1", program.port), timeout=PATIENCE) as connection:
        # It may be refused before all of it has been sent.
        with suppress(BrokenPipeError, ConnectionResetError, OSError):
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR)
        with suppress(ConnectionResetError):
            while data := connection.recv(65536):
                received += data
    answers = []
    while received:
        if b"text/event-stream" in received.partition(b"\r\n\r\n")[0]:
            # Such an answer never ends by itself: it is broken off with the connection.
            http = h11.Connection(h11.CLIENT)
            http.send(h11.Request(method="GET", target="/", headers=[("Host", "x")]))
            http.receive_data(received)
            answers += [event for event in [http.next_event()] if isinstance(event, h11.Response)]
            break
        # A body that does not come belongs to HEAD, which could also be the method of what is no request.
        for method in ("GET", "HEAD"):
            http = h11.Connection(h11.CLIENT)
            http.send(h11.Request(method=method, target="/", headers=[("Host", "x")]))
            http.send(h11.EndOfMessage())
            http.receive_data(received)
            http.receive_data(b"")
            with suppress(h11.RemoteProtocolError):
                events = list(iter(http.next_event, h11.EndOfMessage()))
                # Taken for a body, the next answer would be torn.
                if http.trailing_data[0][:5] in (b"", b"HTTP/"):
                    break
        else:
            # A connection that is reset may lose the final answer, and leave only the one before it.
            assert _ONLY_INTERIM.fullmatch(received), received[:1000]
            break
        answers += [event for event in events if isinstance(event, h11.Response)]
        received = http.trailing_data[0]
    return answers


@settings(examples(400), suppress_health_check=list(HealthCheck))
@given(requests())
def test_no_request_causes_an_internal_error(program: Program, request: bytes) -> None:
    for response in answers_to(program, request):
        headers = {name.decode(): value.decode("latin-1") for name, value in response.headers}
        assert response.status_code < 500 or response.status_code in MEANT
        assert headers["x-content-type-options"] == "nosniff"
        assert "default-src 'self'" in headers["content-security-policy"]
        assert response.status_code in (204, 304) or "content-type" in headers
    # Nobody else has had a part in it.
    assert [answer.status_code for answer in answers_to(program, ALIVE)] == [200]


@pytest.mark.parametrize("place", ["first", "later"])
@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /client/" + b"x" * 4000 + b".js HTTP/1.1\r\nHost: localhost\r\n\r\n", 404),
        (b"GET /client/%00.js HTTP/1.1\r\nHost: localhost\r\n\r\n", 404),
        (b"GET /client/..%2fpyproject.html HTTP/1.1\r\nHost: localhost\r\n\r\n", 404),
        (b"GET /r/%ff HTTP/1.1\r\nHost: localhost\r\n\r\n", 404),
        (
            f"POST /inspect/api/rooms/blue/close HTTP/1.1\r\nHost: localhost\r\n{MAY}\r\n".encode()
            + b"Content-Length: 200000\r\n\r\n"
            + b"[" * 200_000,
            400,
        ),
        (
            f"POST /inspect/api/rooms/blue/close HTTP/1.1\r\nHost: localhost\r\n{MAY}\r\n".encode()
            + b'Content-Length: 14\r\n\r\n{"reason":"\xff"}',
            400,
        ),
        (b"GET /client/app.js HTTP/1.1\r\nHost: localhost\r\nRange: bytes=9-1\r\n\r\n", 416),
    ],
)
def test_requests_that_once_caused_an_error_are_answered(
    program: Program, request_: bytes, status: int, place: str
) -> None:
    answers = answers_to(program, (ALIVE if place == "later" else b"") + request_)
    assert [answer.status_code for answer in answers] == ([200, status] if place == "later" else [status])
