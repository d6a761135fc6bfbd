"""Whatever one client sends, the others go on. There are bad handshakes, bad frames, and faults of our own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
import trio

from roomfsm.door.tally import Tally
from roomfsm.protocol.errors import CloseCode
from roomfsm.rooms.counts import Counts
from roomfsm.signaling.connection import Connection, serve_websocket
from roomfsm.signaling.frame_stream import FrameStream
from roomfsm.signaling.settings import SignalingSettings
from tests.protocol_client import Client, open_client
from tests.serving import Served, serving

KEY = "AAAAAAAAAAAAAAAAAAAAAA=="
GOOD = {
    "Host": "localhost",
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": KEY,
    "Sec-WebSocket-Protocol": "roomfsm.v1",
}


def head(start: str = "GET /ws HTTP/1.1", **changes: str | None) -> bytes:
    """A request head like a browser's, with some headers changed or left out (None)."""
    headers = {**GOOD, **{name.replace("_", "-"): value for name, value in changes.items()}}
    lines = [start, *(f"{name}: {value}" for name, value in headers.items() if value is not None)]
    return "\r\n".join([*lines, "", ""]).encode()


@asynccontextmanager
async def bystander(media_server: str, **changes: Any) -> AsyncIterator[tuple[Served, Client]]:
    """A server, and a person in a room who must not notice anything."""
    async with serving(media_server, **changes) as server, open_client(server.url) as ada:
        await ada.join("blue")
        yield server, ada
        assert (await ada.ask("chat", text="still here"))["type"] == "chat"
        async with open_client(server.url) as bob:
            await bob.join("blue", "Bob")


async def exchange(server: Served, *parts: bytes) -> bytes:
    """Send each part after the answer to the part before. Returns everything that came until the server closed."""
    reply = b""
    with trio.fail_after(60), suppress(trio.BrokenResourceError):
        async with await trio.open_tcp_stream("127.0.0.1", server.port) as stream:
            for part in parts:
                await stream.send_all(part)
                reply += await stream.receive_some(65536)
            await stream.send_eof()
            while data := await stream.receive_some(65536):
                reply += data
    return reply


@pytest.mark.parametrize(
    ("request_head", "status"),
    [
        (head(Sec_WebSocket_Key=None), b"400"),
        (head(Sec_WebSocket_Version="8"), b"426"),
        (head(Sec_WebSocket_Version=None), b"426"),
        (head(Connection="close"), b"400"),
        (head("POST /ws HTTP/1.1"), b"400"),
        (head("GET /other HTTP/1.1"), b"404"),
        (head("GET / HTTP/1.1"), b"404"),
        (head(Sec_WebSocket_Protocol=None), b"400"),
        (head(Origin="http://["), b"403"),
        (head(Origin="http://evil.example"), b"403"),
    ],
)
async def test_a_handshake_that_breaks_a_rule_is_refused(
    media_server: str, request_head: bytes, status: bytes
) -> None:
    async with bystander(media_server, head_timeout=5.0) as (server, _):
        for junk in (b"", b"\x81\x85junk behind the head"):
            reply = await exchange(server, request_head + junk)
            assert reply.startswith(b"HTTP/1.1 " + status), reply


@pytest.mark.parametrize("junk", [b"\x81\x01x", b"\xff" * 100, b"\x88\x80\x00\x00\x00\x00", b"GET / HTTP/1.1\r\n"])
async def test_bytes_behind_the_head_of_a_handshake_affect_only_that_client(
    media_server: str, junk: bytes
) -> None:
    async with bystander(media_server, close_timeout=0.3) as (server, _):
        assert (await exchange(server, head() + junk)).startswith(b"HTTP/1.1 ")


async def test_a_deep_unknown_field_is_malformed(media_server: str) -> None:
    async with bystander(media_server) as (server, _), open_client(server.url) as deep:
        await deep.send_text('{"type":"ping","zzz":' + "[" * 100_000)
        assert (await deep.expect("error"))["code"] == "malformed"
        assert (await deep.ask("ping"))["type"] == "pong"


def masked(opcode: int, payload: bytes) -> bytes:
    """A client's frame with a mask of zeros."""
    length = len(payload)
    size = bytes([0x80 | length]) if length < 126 else bytes([0x80 | 127]) + length.to_bytes(8)
    return bytes([0x80 | opcode]) + size + b"\0\0\0\0" + payload


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (b"\x81\x02hi", CloseCode.PROTOCOL_ERROR),  # This frame is not masked.
        (masked(0x71, b"hi"), CloseCode.PROTOCOL_ERROR),  # This frame has reserved bits.
        (masked(3, b"hi"), CloseCode.PROTOCOL_ERROR),  # This frame has a reserved opcode.
        (masked(0, b"hi"), CloseCode.PROTOCOL_ERROR),  # This frame continues no message.
        (masked(9, b"x" * 126), CloseCode.PROTOCOL_ERROR),  # This is a ping that is too long.
        (masked(8, (1005).to_bytes(2)), CloseCode.PROTOCOL_ERROR),  # This close frame has a forbidden code.
        (masked(1, b"\xff\xfe"), CloseCode.INVALID_PAYLOAD),
    ],
)
async def test_a_client_that_sends_a_broken_frame_is_told_why(
    media_server: str, frame: bytes, code: CloseCode
) -> None:
    async with bystander(media_server) as (server, _):
        reply = await exchange(server, head(), frame)
        assert code.to_bytes(2) in reply.rpartition(b"\x88")[2]


def fragments(count: int, payload: bytes = b"", *, last: bytes | None = None) -> bytes:
    """A text message in `count` fragments, which ends with `last` if that is given."""
    parts = [masked(1, payload), *[masked(0, payload)] * (count - 1)]
    # The first bit says whether a frame is the last of its message (RFC 6455 section 5.2).
    unfinished = b"".join(bytes([part[0] & 0x7F]) + part[1:] for part in parts)
    return unfinished + (b"" if last is None else masked(0, last))


async def close_code_after(server: Served, *sent: bytes, alive: bool = False) -> int:
    """The code with which the websocket is closed after these bytes. With `alive`, pings are sent meanwhile."""
    async with await trio.open_tcp_stream("127.0.0.1", server.port) as stream:
        await stream.send_all(head())
        reply = b""
        while b'"welcome"' not in reply:
            reply += await stream.receive_some(65536)
        async with trio.open_nursery() as nursery:

            async def live() -> None:
                with suppress(trio.BrokenResourceError):
                    while alive:
                        await stream.send_all(masked(9, b"I am here"))
                        await trio.sleep(0.05)

            reply = b""
            with trio.fail_after(60), suppress(trio.BrokenResourceError):
                for part in sent:
                    await stream.send_all(part)
                nursery.start_soon(live)
                while b"\x88" not in reply and (data := await stream.receive_some(65536)):
                    reply += data
            nursery.cancel_scope.cancel()
    return int.from_bytes(reply.partition(b"\x88")[2][1:3])


@pytest.mark.parametrize("payload", [b"", b"[", b"\xc3"])
async def test_a_message_that_never_ends_closes_the_websocket(media_server: str, payload: bytes) -> None:
    async with bystander(media_server, message_timeout=0.3) as (server, _):
        code = await close_code_after(server, fragments(20, payload), alive=True)
        assert code == (CloseCode.INVALID_PAYLOAD if payload == b"\xc3" else CloseCode.MESSAGE_TOO_BIG)


async def test_a_message_may_come_in_fragments_up_to_their_bound(media_server: str) -> None:
    async with bystander(media_server, max_message_fragments=10) as (server, _):
        ping = b'{"type":"ping","ref":1}'
        async with await trio.open_tcp_stream("127.0.0.1", server.port) as stream:
            await stream.send_all(head())
            reply = await stream.receive_some(65536)
            await stream.send_all(fragments(9, last=ping) + fragments(9, last=ping))
            with trio.fail_after(60):
                while reply.count(b'"pong"') < 2:
                    data = await stream.receive_some(65536)
                    assert data, reply
                    reply += data
        assert await close_code_after(server, fragments(10, last=ping)) == CloseCode.MESSAGE_TOO_BIG


async def test_messages_that_wait_have_a_bound_in_all_and_for_each_address(media_server: str) -> None:
    for bounds in ({"max_messages_bytes": 1000}, {"max_messages_bytes_per_address": 1000}):
        async with bystander(media_server, **bounds) as (server, _), open_client(server.url) as other:
            assert await close_code_after(server, fragments(11, b"[" * 100)) == CloseCode.TRY_AGAIN_LATER
            # If the held bytes were not given back, this client and the bystander would be closed next.
            for _ in range(3):
                assert await close_code_after(server, fragments(11, b"[" * 100)) == CloseCode.TRY_AGAIN_LATER
            assert (await other.ask("ping"))["type"] == "pong"


async def test_messages_that_come_while_a_connection_ends_are_given_back() -> None:
    messages = Tally(10_000, 10_000)
    settings = SignalingSettings()
    # Chance decides whether the reader or the close has its turn first.
    for _ in range(20):
        here, there = trio.socket.socketpair()
        client = trio.SocketStream(there)
        stream = FrameStream(trio.SocketStream(here), b"", outbox_messages=10, outbox_bytes=10_000)
        ending = trio.Event()

        async def on_open(_: Connection, client: trio.SocketStream = client, ending: trio.Event = ending) -> None:
            await client.send_all(fragments(1, b"["))
            ending.set()

        with trio.fail_after(60):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(
                    serve_websocket, stream, settings, messages, "192.0.2.1", KEY, Counts(), on_open
                )
                await ending.wait()
                await client.aclose()
    assert messages.taken == 0


async def test_after_a_fault_of_ours_in_reading_the_seat_is_kept(
    media_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with bystander(media_server) as (server, ada), open_client(server.url) as victim:
        await victim.join("blue", "Victim")

        def fault(*args: object) -> None:
            raise RuntimeError("a fault of ours")

        monkeypatch.setattr("roomfsm.door.tally.Tally.take", fault)
        await victim.send("ping")
        changed = await ada.expect("participantChanged")
        assert (changed["participant"]["id"], changed["participant"]["away"]) == (victim.me, True)
        monkeypatch.undo()


async def test_an_oversized_message_that_comes_while_we_close_is_dropped(media_server: str) -> None:
    async with bystander(media_server, max_message_bytes=1000) as (server, _):
        stream = await trio.open_tcp_stream("127.0.0.1", server.port)
        with trio.fail_after(60), suppress(trio.BrokenResourceError):
            async with stream:
                # A binary message makes the server close; then an oversized one comes.
                await stream.send_all(head())
                reply = await stream.receive_some(65536)
                await stream.send_all(masked(2, b"x"))
                while b"\x88" not in reply:
                    reply += await stream.receive_some(65536)
                await stream.send_all(masked(1, b"y" * 70_000) + masked(9, b"late ping"))
                await stream.send_eof()
                while data := await stream.receive_some(65536):
                    reply += data
        assert b"101 Switching Protocols" in reply
        assert CloseCode.UNSUPPORTED_DATA.to_bytes(2) in reply
        assert reply.count(b"\x88") == 1


async def test_a_fault_of_ours_closes_only_that_connection_with_1011(
    media_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with bystander(media_server) as (server, _), open_client(server.url) as victim:
        await victim.join("red", "Victim")

        def fault(*args: object) -> None:
            raise RuntimeError("a fault of ours")

        monkeypatch.setattr("roomfsm.signaling.session.read_client", fault)
        await victim.send("ping")
        assert await victim.closed() == CloseCode.INTERNAL_ERROR
        monkeypatch.undo()
        async with open_client(server.url) as again:
            assert (await again.ask("resume", token=victim.welcome["resumeToken"]))["resumed"] is True


async def test_a_reply_of_the_old_room_reaches_a_person_who_has_switched(media_server: str) -> None:
    async with bystander(media_server) as (server, _), open_client(server.url) as quick:
        await quick.join("blue", "Quick")
        said = [await quick.send("chat", text=str(number)) for number in range(50)]
        await quick.ask("switch", room="red")
        for ref in said:
            assert (await quick.expect("chat", ref=ref))["line"]["name"] == "Quick"


async def test_a_client_that_resumed_a_session_cannot_take_over_a_third_one(media_server: str) -> None:
    async with bystander(media_server) as (server, ada), open_client(server.url) as first:
        await first.join("blue", "First")
        async with open_client(server.url) as second:
            resumed = await second.ask("resume", token=first.welcome["resumeToken"])
            assert resumed["you"] == first.me
            # The second session has ended, so its token is refused.
            refused = await second.ask("resume", token=second.welcome["resumeToken"])
            assert refused["code"] in ("session_unknown", "illegal_in_state")
            third_token = ada.welcome["resumeToken"]
            refused = await second.ask("resume", token=third_token)
            assert refused["code"] == "illegal_in_state"


async def test_nobody_gets_in_while_the_server_closes(media_server: str) -> None:
    async with serving(media_server) as server, open_client(server.url) as ada:
        await ada.join("blue")
        await server.running.directory.close()
        await ada.expect("closing")
        assert (await ada.ask("join", room="blue"))["code"] == "server_closing"
