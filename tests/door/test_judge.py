"""Given the head of a request, anywhere in a connection, the judgement is always the same."""

from __future__ import annotations

import h11
import pytest

from roomfsm.door.answers import Answer
from roomfsm.door.judge import Circumstances, Course, RequestHead, judge
from roomfsm.door.settings import DoorSettings

_SETTINGS = DoorSettings(host_name=("rooms.example",))
_HERE = Circumstances(secure=False, client="192.0.2.1", full=False)
_UPGRADE = {
    "Host": "rooms.example",
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
    "Sec-WebSocket-Protocol": "roomfsm.v1",
}


def head(start: str, *fields: tuple[str, str]) -> RequestHead:
    """A request head in the form that h11 reads."""
    method, target, version = start.split(" ")
    lines = (f"{method} {target} HTTP/{version}", *(f"{name}: {value}" for name, value in fields), "", "")
    connection = h11.Connection(h11.SERVER)
    connection.receive_data("\r\n".join(lines).encode("latin-1"))
    event = connection.next_event()
    assert isinstance(event, h11.Request)
    return RequestHead.of(event)


def verdict(start: str, *fields: tuple[str, str], circumstances: Circumstances = _HERE) -> Course | int:
    """The judgement, or the status if it is an answer."""
    found = judge(head(start, *fields), circumstances, _SETTINGS)
    return found.status if isinstance(found, Answer) else found


HOST = ("Host", "rooms.example")


@pytest.mark.parametrize(
    ("start", "fields", "expected"),
    [
        ("GET / 1.1", [HOST], Course.APPLICATION),
        ("GET / 1.0", [], Course.APPLICATION),
        ("BREW /r/blue?x=1 1.1", [HOST], Course.APPLICATION),
        ("GET http://rooms.example/r/blue 1.1", [HOST], Course.APPLICATION),
        ("GET http://rooms.example 1.1", [HOST], Course.APPLICATION),
        ("GET / 1.1", [("Host", "")], Course.APPLICATION),
        ("GET / 1.1", [("Host", "[2001:db8::1]:8080")], Course.APPLICATION),
        ("GET / 1.1", [HOST, ("Upgrade", "TLS/1.0"), ("Connection", "Upgrade")], Course.APPLICATION),
        # Without "Connection: upgrade" the header is not meant for us (RFC 9110 section 7.8).
        ("GET / 1.1", [HOST, ("Upgrade", "websocket")], Course.APPLICATION),
        ("GET / 1.1", [HOST, ("Upgrade", "websocket"), ("Connection", "keep-alive, Upgrade")], 404),
        ("PRI * 2.0", [], 505),
        ("GET / 1.1", [HOST, ("Upgrade", "h2c"), ("Connection", "Upgrade, HTTP2-Settings")], Course.APPLICATION),
        ("GET /ws 1.1", [HOST, ("Upgrade", "h2c"), ("Connection", "Upgrade, HTTP2-Settings")], 426),
        ("GET / 0.9", [HOST], 505),
        ("POST / 1.1", [HOST, ("Content-Length", "1"), ("Transfer-Encoding", "chunked")], 400),
        ("POST / 1.0", [HOST, ("Transfer-Encoding", "chunked")], 400),
        ("POST / 1.1", [HOST, ("Content-Length", "1048576")], Course.APPLICATION),
        ("POST / 1.1", [HOST, ("Content-Length", "1048577")], 413),
        ("POST / 1.1", [HOST, ("Content-Length", "9" * 20)], 413),
        ("GET / 1.1", [HOST, ("Origin", "http://rooms.example"), ("Origin", "http://rooms.example")], 400),
        ("OPTIONS * 1.1", [HOST], 204),
        ("GET * 1.1", [HOST], 400),
        ("GET rooms.example/ 1.1", [HOST], 400),
        ("GET http:/// 1.1", [HOST], 400),
        ("GET ftp://rooms.example/ 1.1", [HOST], 400),
        ("CONNECT rooms.example:443 1.1", [HOST], 405),
        ("TRACE / 1.1", [HOST], 405),
        ("GET / 1.1", [("Host", "rooms.example/ws")], 400),
        ("GET / 1.1", [("Host", "user@rooms.example")], 400),
        ("GET / 1.1", [("Host", "r\xf6oms.example")], 400),
        ("GET http://user@rooms.example/ 1.1", [HOST], 400),
        ("GET / 1.1", [("Host", "[::1")], 400),
        ("POST / 1.1", [HOST, ("Expect", "100-continue")], Course.APPLICATION),
        ("POST / 1.1", [HOST, ("Expect", "tea")], 417),
        ("GET /ws 1.1", [HOST], 426),
        ("HEAD /ws 1.1", [HOST], 426),
    ],
)
def test_each_request_is_judged_as_the_table_says(
    start: str, fields: list[tuple[str, str]], expected: Course | int
) -> None:
    assert verdict(start, *fields) == expected


@pytest.mark.parametrize(
    ("start", "changes", "expected"),
    [
        ("GET /ws 1.1", {}, Course.WEBSOCKET),
        ("GET /ws?x=1 1.1", {}, Course.WEBSOCKET),
        ("GET ws://rooms.example/ws 1.1", {}, 400),
        ("GET http://rooms.example/ws 1.1", {"Origin": "http://rooms.example"}, Course.WEBSOCKET),
        ("GET /ws 1.1", {"Connection": "keep-alive, upgrade"}, Course.WEBSOCKET),
        ("GET /ws 1.1", {"Upgrade": "WebSocket"}, Course.WEBSOCKET),
        ("GET /ws 1.1", {"Sec-WebSocket-Protocol": "other, roomfsm.v1"}, Course.WEBSOCKET),
        ("GET /ws 1.1", {"Origin": "http://rooms.example"}, Course.WEBSOCKET),
        ("GET /ws 1.1", {"Origin": "https://rooms.example"}, Course.WEBSOCKET),
        ("GET /other 1.1", {}, 404),
        ("GET /ws/ 1.1", {}, 404),
        ("GET /ws 1.1", {"Sec-WebSocket-Version": "8"}, 426),
        ("POST /ws 1.1", {}, 400),
        ("GET /ws 1.0", {}, 400),
        ("GET /ws 1.1", {"Content-Length": "1"}, 400),
        ("GET /ws 1.1", {"Connection": "close"}, 400),
        ("GET /ws 1.1", {"Sec-WebSocket-Key": "short"}, 400),
        ("GET /ws 1.1", {"Origin": "http://evil.example"}, 403),
        ("GET /ws 1.1", {"Origin": "null"}, 403),
        ("GET /ws 1.1", {"Origin": "http://["}, 403),
        ("GET /ws 1.1", {"Sec-WebSocket-Protocol": "roomfsm.v2"}, 400),
    ],
)
def test_each_handshake_is_judged_as_the_table_says(
    start: str, changes: dict[str, str], expected: Course | int
) -> None:
    assert verdict(start, *{**_UPGRADE, **changes}.items()) == expected


def test_a_full_server_and_missing_tls_change_the_judgement() -> None:
    fields = {**_UPGRADE, "Origin": "http://rooms.example"}.items()
    full = Circumstances(secure=False, client="192.0.2.1", full=True)
    secure = Circumstances(secure=True, client="192.0.2.1", full=False)
    assert verdict("GET /ws 1.1", *fields, circumstances=full) == 503
    assert verdict("GET / 1.1", HOST, circumstances=full) is Course.APPLICATION
    assert verdict("GET /ws 1.1", *fields, circumstances=secure) == 403


@pytest.mark.parametrize(
    ("start", "host", "expected"),
    [
        ("GET / 1.1", "rooms.example", Course.APPLICATION),
        ("GET / 1.1", "ROOMS.example.:8443", Course.APPLICATION),
        ("GET / 1.1", "localhost:1", Course.APPLICATION),
        ("GET / 1.1", "192.168.1.5:8080", Course.APPLICATION),
        ("GET / 1.1", "[::1]", Course.APPLICATION),
        ("GET / 1.0", "", Course.APPLICATION),
        ("GET / 1.1", "evil.example", 421),
        ("GET / 1.0", "evil.example", 421),
        ("GET / 1.1", "rooms.example.evil.example", 421),
        ("GET / 1.1", "127.0.0.1.evil.example:8080", 421),
        ("GET / 1.1", "xn--rms-rna.example", 421),
        ("GET /health/live 1.1", "evil.example", 421),
        ("GET /inspect 1.1", "evil.example", 421),
        ("POST /inspect/api/rooms/blue/close 1.1", "evil.example", 421),
        ("OPTIONS / 1.1", "evil.example", 421),
        ("GET /nothing 1.1", "evil.example", 421),
        # What a target in absolute form says counts instead (RFC 9112 section 3.2.2).
        ("GET http://evil.example/ 1.1", "rooms.example", 421),
        ("GET http://rooms.example/ 1.1", "evil.example", Course.APPLICATION),
    ],
)
def test_a_request_for_a_foreign_host_name_is_refused(start: str, host: str, expected: Course | int) -> None:
    assert verdict(start, ("Host", host)) == expected


def test_a_page_whose_name_was_rebound_to_our_address_gets_no_websocket() -> None:
    rebound = _UPGRADE | {"Host": "evil.example:8080", "Origin": "http://evil.example:8080"}
    assert verdict("GET /ws 1.1", *rebound.items()) == 421
    assert verdict("GET /ws 1.1", *(_UPGRADE | {"Origin": "http://rooms.example"}).items()) is Course.WEBSOCKET


@pytest.mark.parametrize(
    ("target", "prefix", "expected"),
    [
        ("/rooms/r/blue", "/rooms", "/r/blue"),
        ("/rooms/", "/rooms", "/"),
        ("/rooms", "/rooms", "/"),
        ("/rooms?x=1", "/rooms", "/?x=1"),
        ("/rooms/ws?x=1", "/rooms", "/ws?x=1"),
        ("/roomsandmore", "/rooms", "/roomsandmore"),
        ("/r/blue", "/rooms", "/r/blue"),
        ("/rooms/rooms/x", "/rooms", "/rooms/x"),
        ("/r/blue", "", "/r/blue"),
        ("/a/b/ws", "/a/b", "/ws"),
        ("*", "/rooms", "*"),
    ],
)
def test_the_path_prefix_is_removed_if_the_proxy_did_not_do_it(target: str, prefix: str, expected: str) -> None:
    assert head(f"GET {target} 1.1", HOST).without_prefix(prefix).target == expected


def test_a_plain_request_to_the_websockets_path_is_told_what_a_handshake_would_be_told() -> None:
    """A browser does not tell a page why its websocket was refused. The page asks in this way."""
    own, foreign = ("Origin", "http://rooms.example"), ("Origin", "http://evil.example")
    full = Circumstances(secure=False, client="192.0.2.1", full=True)
    assert verdict("POST /ws 1.1", HOST, own, ("Content-Length", "0")) == 426
    assert verdict("POST /ws 1.1", HOST, foreign) == 403
    assert verdict("POST /ws 1.1", HOST, own, circumstances=full) == 503
    assert verdict("POST /ws 1.1", HOST, foreign, circumstances=full) == 403


def test_only_a_visitor_who_wants_to_come_in_meets_the_limit_of_sessions() -> None:
    full = Circumstances(secure=False, client="192.0.2.1", full=True)
    asked = judge(head("POST /ws 1.1", HOST), full, _SETTINGS)
    came = judge(head("GET /ws 1.1", *_UPGRADE.items()), full, _SETTINGS)
    assert isinstance(asked, Answer)
    assert isinstance(came, Answer)
    assert (asked.limit, came.limit) == (None, "max_sessions")
