"""Given connections, tests when they end, how many there may be, and when slow or greedy clients are cut off."""

from __future__ import annotations

from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
import structlog
import trio

from tests.door.talk import PATIENCE, UPGRADE, Talk, talking
from tests.serving import Served, serving

GET = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"
TOKEN = "correct-horse-battery"
POST = f"POST /inspect/api/rooms/blue/close HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n"
"""A request whose body the application reads."""


@pytest.fixture(params=["plain", "tls"])
def over(request: pytest.FixtureRequest, certificate: tuple[Path, Path]) -> dict[str, Any]:
    """The settings of a server without TLS and of one with TLS."""
    certfile, keyfile = map(str, certificate)
    return {} if request.param == "plain" else {"certfile": certfile, "keyfile": keyfile}


async def test_a_connection_is_closed_if_the_client_asks_for_that(media_server: str, over: dict[str, Any]) -> None:
    async with serving(media_server, **over) as server:
        for last in (GET.replace(b"Host", b"Connection: close\r\nHost"), GET.replace(b"1.1", b"1.0", 1)):
            async with talking(server) as talk:
                assert (await talk.get()).headers.get("connection") is None
                await talk.say(last)
                reply = await talk.answer()
                assert (reply.status, reply.headers["connection"]) == (200, "close")
                assert await talk.is_closed()


async def test_an_idle_connection_is_closed_after_its_time(media_server: str, over: dict[str, Any]) -> None:
    async with serving(media_server, keep_alive_timeout=0.2, **over) as server, talking(server) as talk:
        began = trio.current_time()
        await talk.get()
        assert await talk.is_closed()
        assert trio.current_time() - began >= 0.2


async def test_the_last_answer_of_a_connection_says_that_it_is_the_last(media_server: str) -> None:
    async with serving(media_server, max_connection_requests=3) as server, talking(server) as talk:
        replies = [await talk.get() for _ in range(3)]
        assert [reply.headers.get("connection") for reply in replies] == [None, None, "close"]
        assert await talk.is_closed()


async def test_a_thousand_connections_leave_nothing_behind(media_server: str) -> None:
    async with serving(media_server, max_connections=20) as server:
        for _ in range(1000):
            async with talking(server) as talk:
                assert (await talk.get("/health/live", "Connection: close")).status == 200
                assert await talk.is_closed()


async def busy(stack: AsyncExitStack, server: Served) -> Talk:
    """A websocket, which is a connection that makes way for nobody."""
    talk = await stack.enter_async_context(talking(server))
    await talk.say(UPGRADE)
    assert (await talk.answer()).status == 101
    return talk


async def test_one_connection_too_many_gets_503(media_server: str, over: dict[str, Any]) -> None:
    async with serving(media_server, max_connections=3, **over) as server:
        async with AsyncExitStack() as stack:
            first = await busy(stack, server)
            for _ in range(2):
                await busy(stack, server)
            for _ in range(2):
                async with talking(server) as late:
                    await late.say(UPGRADE)
                    reply = await late.answer()
                    assert (reply.status, reply.headers["retry-after"]) == (503, "5")
                    assert reply.headers["x-content-type-options"] == "nosniff"
                    assert await late.is_closed()
            await first.welcome()
        await enters(server)


async def enters(server: Served) -> None:
    """Wait until somebody can connect, because the server has noticed that earlier clients are gone."""
    with trio.fail_after(PATIENCE):
        while True:
            async with talking(server) as talk:
                with suppress(trio.BrokenResourceError):
                    if (await talk.get()).status == 200:
                        return


async def test_the_connection_that_has_waited_longest_makes_way(media_server: str) -> None:
    async with serving(media_server, max_connections=3) as server, AsyncExitStack() as stack:
        await busy(stack, server)
        silent = await stack.enter_async_context(talking(server))
        idle = await stack.enter_async_context(talking(server))
        await idle.get()
        for gives_way in (silent, idle):
            newcomer = await stack.enter_async_context(talking(server))
            assert (await newcomer.get()).status == 200
            await newcomer.say(UPGRADE)
            assert (await newcomer.answer()).status == 101
            assert await gives_way.is_closed()
        async with talking(server) as late:
            await late.say(GET)
            assert (await late.answer()).status == 503


async def test_one_address_may_not_have_all_connections(media_server: str) -> None:
    async with serving(media_server, max_connections_per_address=2) as server, AsyncExitStack() as stack:
        for _ in range(2):
            await busy(stack, server)
        async with talking(server) as late:
            await late.say(GET)
            assert (await late.answer()).status == 503
        other = await trio.open_tcp_stream("127.0.0.1", server.port, local_address="127.0.0.2")
        assert (await Talk(other).get()).status == 200
        await other.aclose()


async def test_an_address_at_its_bound_makes_nobody_else_give_way(media_server: str) -> None:
    bounds = {"max_connections": 3, "max_connections_per_address": 2}
    async with serving(media_server, **bounds) as server, AsyncExitStack() as stack:
        other = await trio.open_tcp_stream("127.0.0.1", server.port, local_address="127.0.0.2")
        async with other:
            idle = Talk(other)
            assert (await idle.get()).status == 200
            for _ in range(2):
                await busy(stack, server)
            for _ in range(3):
                async with talking(server) as late:
                    await late.say(GET)
                    assert (await late.answer()).status == 503
            assert (await idle.get()).status == 200


async def test_a_trusted_proxy_may_have_many_connections(media_server: str) -> None:
    settings: dict[str, Any] = {"max_connections_per_address": 1, "trusted_proxy": ("127.0.0.1",)}
    async with serving(media_server, **settings) as server, AsyncExitStack() as stack:
        for _ in range(3):
            await busy(stack, server)


@pytest.mark.parametrize("sent", [b"G", b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"y" * 1000])
async def test_a_request_head_that_comes_too_slowly_is_cut_off(
    media_server: str, over: dict[str, Any], sent: bytes
) -> None:
    # The time-out bounds the handshake of TLS, too, which takes a while on a busy machine.
    async with serving(media_server, head_timeout=2.0, **over) as server, talking(server) as talk:
        await talk.get()
        with trio.fail_after(PATIENCE), suppress(trio.BrokenResourceError):
            # A byte at a time, each sooner than the time-out.
            for byte in sent + b"y" * 100_000:
                await talk.say(bytes([byte]))
                await trio.sleep(0.02)
            raise AssertionError("it went on for ever")


@pytest.mark.parametrize("framing", ["Content-Length: 1000", "Transfer-Encoding: chunked"])
async def test_a_request_whose_body_never_comes_gets_408(
    media_server: str, over: dict[str, Any], framing: str
) -> None:
    async with (
        serving(media_server, inspect_token=TOKEN, body_timeout=0.3, **over) as server,
        talking(server) as talk,
    ):
        await talk.say(f"{POST}{framing}\r\n\r\n".encode())
        assert (await talk.answer()).status == 408
        assert await talk.is_closed()


def chunked(*parts: bytes) -> bytes:
    chunks = b"".join(b"%x;extension=1\r\n%s\r\n" % (len(part), part) for part in parts)
    return f"{POST}Transfer-Encoding: chunked\r\n\r\n".encode() + chunks


async def test_a_body_of_unknown_length_has_a_bound(media_server: str) -> None:
    async with serving(media_server, inspect_token=TOKEN, max_body_bytes=1000) as server:
        # The first is read, and its spaces are no JSON; the second is too long, the third no body at all.
        for sent, why in (
            (chunked(b" " * 500, b" " * 500) + b"0\r\n\r\n", (400, b"the body must be")),
            (chunked(b" " * 500, b" " * 501), (413, b"1000 bytes")),
            (chunked(b"x" * 3) + b"what is no chunk\r\n", (400, b"not HTTP/1.1")),
        ):
            async with talking(server) as talk:
                await talk.say(sent)
                reply = await talk.answer()
                assert reply.status == why[0]
                assert why[1] in reply.body


@pytest.mark.parametrize("bound", ["max_bodies_bytes", "max_bodies_bytes_per_address"])
async def test_all_bodies_under_way_have_a_bound_together(media_server: str, bound: str) -> None:
    async with serving(media_server, inspect_token=TOKEN, **{bound: 1000}) as server:
        async with talking(server) as first, talking(server) as second:
            await first.say(f"{POST}Content-Length: 801\r\n\r\n".encode() + b" " * 800)
            # Answered, so that the first one's body has been read by now.
            with trio.fail_after(PATIENCE):
                while True:
                    async with talking(server) as probe:
                        await probe.say(f"{POST}Content-Length: 300\r\n\r\n".encode() + b" " * 300)
                        if (await probe.answer()).status == 503:
                            break
            await second.say(f"{POST}Content-Length: 201\r\n\r\n".encode() + b" " * 201)
            reply = await second.answer()
            assert (reply.status, reply.headers["retry-after"]) == (503, "5")
        async with talking(server) as third:
            with trio.fail_after(PATIENCE):
                await third.say(f"{POST}Content-Length: 20\r\n\r\n".encode() + b'{"reason":"tea"}    ')
                assert (await third.answer()).status == 404


async def test_a_client_that_does_not_read_is_disconnected(media_server: str, over: dict[str, Any]) -> None:
    async with serving(media_server, send_timeout=0.5, **over) as server, talking(server) as talk:
        # More than the buffers of both sides take, asked for in one go.
        with trio.fail_after(PATIENCE), suppress(trio.BrokenResourceError):
            while True:
                await talk.say(b"GET /client/app.js HTTP/1.1\r\nHost: localhost\r\n\r\n" * 100)


async def test_a_client_that_waits_for_100_continue_gets_it(media_server: str) -> None:
    async with serving(media_server, inspect_token=TOKEN) as server, talking(server) as talk:
        body = b'{"reason":"tea"}'
        await talk.say(f"{POST}Expect: 100-continue\r\nContent-Length: {len(body)}\r\n\r\n".encode())
        with trio.fail_after(PATIENCE):
            assert (await talk.stream.receive_some(1000)).startswith(b"HTTP/1.1 100 ")
        await talk.say(body)
        assert (await talk.answer()).status == 404
        assert (await talk.get()).status == 200


async def test_a_client_that_closes_only_its_own_side_still_gets_the_answer(media_server: str) -> None:
    async with serving(media_server) as server, talking(server) as talk:
        await talk.say(GET + GET)
        assert isinstance(talk.stream, trio.SocketStream)
        await talk.stream.send_eof()
        for _ in range(2):
            assert (await talk.answer()).status == 200
        assert await talk.is_closed()


async def test_a_request_head_has_a_bound_as_a_whole(media_server: str) -> None:
    async with serving(media_server, max_head_bytes=1000) as server:
        for fill, status in ((0, 200), (1, 431)):
            for later in (False, True):
                async with talking(server) as talk:
                    if later:
                        await talk.get()
                    start = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nX: "
                    await talk.say(start + b"y" * (1000 - len(start) - 4 + fill) + b"\r\n\r\n")
                    assert (await talk.answer()).status == status


async def test_a_refusal_takes_one_short_line_in_the_log(media_server: str) -> None:
    async with serving(media_server) as server, talking(server) as talk:
        with structlog.testing.capture_logs() as logged:
            await talk.say(b"GET / HTTP/1.1\r\nHost: localhost\r\nBroken " + b"x" * 10_000 + b"\r\n\r\n")
            assert (await talk.answer()).status == 400
        # The connection to the media server may have its own line meanwhile.
        (line,) = [entry for entry in logged if entry["event"] == "request refused"]
        assert len(str(line)) < 300
