"""Given a request anywhere in a connection, with or without TLS, it gets the same rules, headers and websocket."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trio

from tests.door.talk import UPGRADE, Talk, talking
from tests.serving import serving

SECURE = {
    "content-security-policy": "default-src 'self'",
    "permissions-policy": "camera=(self)",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}

OTHERS: list[tuple[bytes, int]] = [
    (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", 200),
    (b"GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n", 404),
    (b"GET /client/nothing.js HTTP/1.1\r\nHost: localhost\r\n\r\n", 404),
    (b"DELETE / HTTP/1.1\r\nHost: localhost\r\n\r\n", 405),
    (b"GET /ws HTTP/1.1\r\nHost: localhost\r\n\r\n", 426),
    (UPGRADE.replace(b"Version: 13", b"Version: 8"), 426),
    (UPGRADE.replace(b"/ws", b"/other"), 404),
    (UPGRADE.replace(b"Host: localhost", b"Host: localhost\r\nOrigin: http://evil.example"), 403),
    (
        UPGRADE.replace(
            b"Host: localhost", b"Host: localhost\r\nOrigin: http://localhost\r\nOrigin: http://evil.example"
        ),
        400,
    ),
    (UPGRADE.replace(b"roomfsm.v1", b"roomfsm.v2"), 400),
    (b"GET / HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost\r\nOrigin: http://localhost\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\r\n", 200),
    (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0" * 9, 505),
    (b"GET / HTTP/1.1\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: y\r\n\r\n", 400),
    (
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    (b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n", 400),
    (b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
    (b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999\r\n\r\n", 413),
    (b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
    (b"POST / HTTP/1.1\r\nHost: localhost\r\nExpect: tea\r\n\r\n", 417),
    (b"TRACE / HTTP/1.1\r\nHost: localhost\r\n\r\n", 405),
    (b"CONNECT x:1 HTTP/1.1\r\nHost: localhost\r\n\r\n", 405),
    (b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 16_400 + b"\r\n\r\n", 431),
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
]


@pytest.fixture(params=["plain", "tls"])
def over(request: pytest.FixtureRequest, certificate: tuple[Path, Path]) -> dict[str, Any]:
    """The settings of a server without TLS and of one with TLS."""
    names = (str(certificate[0]), str(certificate[1]))
    return {} if request.param == "plain" else {"certfile": names[0], "keyfile": names[1]}


@pytest.mark.parametrize("place", ["first", "later", "ahead"])
async def test_the_websocket_works_in_every_place(media_server: str, over: dict[str, Any], place: str) -> None:
    async with serving(media_server, **over) as server, talking(server) as talk:
        before = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"
        if place == "later":
            for _ in range(2):
                assert (await talk.get()).status == 200
        elif place == "ahead":
            # All at once: the upgrade waits in our buffer while the requests before it are answered.
            await talk.say(before + before + UPGRADE)
            for _ in range(2):
                assert (await talk.answer()).status == 200
        if place != "ahead":
            await talk.say(UPGRADE)
        assert (await talk.answer()).status == 101
        await talk.welcome()


@pytest.mark.parametrize("place", ["first", "later", "ahead"])
async def test_every_answer_is_the_same_in_every_place(
    media_server: str, over: dict[str, Any], place: str
) -> None:
    async with serving(media_server, **over) as server:
        for request, status in OTHERS:
            async with talking(server) as talk:
                if place == "later":
                    await talk.get()
                    await talk.say(request)
                elif place == "ahead":
                    await talk.say(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n" + request)
                    assert (await talk.answer()).status == 200
                else:
                    await talk.say(request)
                reply = await talk.answer()
                assert reply.status == status, request
                assert reply.headers["content-type"], request
                assert "date" in reply.headers
                for name, value in SECURE.items():
                    assert reply.headers[name].startswith(value), (request, name)
                if status == 426:
                    assert reply.headers["connection"] == "close, upgrade", request
                if "close" in reply.headers.get("connection", ""):
                    assert await talk.is_closed(), request


async def test_an_offer_of_http2_changes_nothing(media_server: str, over: dict[str, Any]) -> None:
    """`curl --http2` and Java's HttpClient make such offers. The preface of HTTP/2 itself is refused."""
    async with serving(media_server, **over) as server, talking(server) as talk:
        offer = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA")
        for _ in range(2):
            reply = await talk.get("/health/live", *offer)
            assert (reply.status, reply.headers.get("upgrade")) == (200, None)
        await talk.say(UPGRADE.replace(b"Upgrade: websocket", b"Upgrade: h2c, websocket"))
        assert (await talk.answer()).status == 101
        await talk.welcome()
    async with serving(media_server, **over) as server, talking(server) as talk:
        assert (await talk.get("/health/live", *offer)).status == 200
        await talk.say(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0" * 9)
        assert (await talk.answer()).status == 505
        assert await talk.is_closed()


async def test_plain_http_at_the_https_port_gets_an_answer_that_says_so(
    media_server: str, certificate: tuple[Path, Path]
) -> None:
    async with serving(media_server, certfile=str(certificate[0]), keyfile=str(certificate[1])) as server:
        for method in ("GET", "HEAD", "POST"):
            async with await trio.open_tcp_stream("127.0.0.1", server.port) as stream:
                talk = Talk(stream)
                await talk.say(f"{method} / HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
                reply = await talk.answer("GET")
                assert (reply.status, b"https://" in reply.body) == (400, True)
                assert await talk.is_closed()
        # What is neither is hung up on, as ever.
        async with await trio.open_tcp_stream("127.0.0.1", server.port) as stream:
            await stream.send_all(b"SSH-2.0-OpenSSH_9.2\r\n")
            assert await Talk(stream).is_closed()


async def test_head_has_the_headers_of_get_and_no_body(media_server: str) -> None:
    async with serving(media_server) as server, talking(server) as talk:
        for target in ("/", "/client/app.js", "/health/live", "/nothing"):
            got = await talk.get(target)
            await talk.say(f"HEAD {target} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            headed = await talk.answer("HEAD")
            assert (headed.status, headed.body) == (got.status, b"")
            same = ("content-length", "content-type", "etag")
            assert [headed.headers.get(name) for name in same] == [got.headers.get(name) for name in same]
        # One that is answered at the door.
        await talk.say(b"HEAD /ws HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert ((await talk.answer("HEAD")).status, await talk.is_closed()) == (426, True)


async def test_options_for_the_server_itself_is_answered(media_server: str) -> None:
    async with serving(media_server) as server, talking(server) as talk:
        await talk.say(b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n")
        reply = await talk.answer("OPTIONS")
        assert (reply.status, reply.headers["allow"]) == (204, "GET, HEAD, POST, OPTIONS")


async def test_a_request_target_in_absolute_form_is_understood(media_server: str) -> None:
    async with serving(media_server, host_name=("rooms.example",)) as server, talking(server) as talk:
        assert (await talk.get("http://rooms.example/health/live")).status == 200
        # The authority counts, not the header Host (RFC 9112 section 3.2.2).
        assert (await talk.get("http://evil.example/health/live", "X: y")).status == 421
