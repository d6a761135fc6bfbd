"""Given something that is no server of the protocol, the kit says so at once and exits with code 2."""

from __future__ import annotations

import base64
import hashlib
import itertools
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from roomfsm.conformance.greeting import greet
from roomfsm.conformance.outcome import CannotRun
from roomfsm.conformance.raw import Target
from roomfsm.conformance.spec import Spec
from roomfsm.documents.asyncapi import document as our_document
from tests.conformance.kit import Run, run_kit

SPEC = Spec(our_document())
PATIENCE = 60.0

type Serve = Callable[[trio.SocketStream], Awaitable[None]]


@asynccontextmanager
async def fake(serve: Serve) -> AsyncIterator[str]:
    """A server of another kind. Yields the address at which a websocket would be."""
    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, serve, listeners)
        yield f"ws://127.0.0.1:{listeners[0].socket.getsockname()[1]}/ws"
        nursery.cancel_scope.cancel()


async def read_head(stream: trio.SocketStream) -> bytes:
    head = b""
    while b"\r\n\r\n" not in head:
        head += await stream.receive_some(4096)
    return head


async def upgrade(stream: trio.SocketStream, protocol: bytes | None = b"roomfsm.v1", proof: bytes = b"") -> None:
    """The handshake of a websocket server (RFC 6455 section 4.2.2), perhaps with a wrong proof."""
    key = (await read_head(stream)).partition(b"sec-websocket-key: ")[2].partition(b"\r\n")[0]
    guid = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
    proof = proof or base64.b64encode(hashlib.sha1(key + guid).digest())
    lines = [b"HTTP/1.1 101 Switching Protocols", b"Upgrade: websocket", b"Connection: Upgrade"]
    lines.append(b"Sec-WebSocket-Accept: " + proof)
    if protocol is not None:
        lines.append(b"Sec-WebSocket-Protocol: " + protocol)
    await stream.send_all(b"\r\n".join([*lines, b"", b""]))


def text(payload: bytes) -> bytes:
    return bytes([0x81, len(payload)]) + payload


async def drain(stream: trio.SocketStream) -> None:
    while await stream.receive_some(4096):
        pass


async def only_http(stream: trio.SocketStream) -> None:
    await read_head(stream)
    await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")


async def no_http(stream: trio.SocketStream) -> None:
    await stream.send_all(b"SSH-2.0-OpenSSH_9.2\r\n")
    await drain(stream)


async def ends_at_once(stream: trio.SocketStream) -> None:
    await read_head(stream)


async def never_answers(stream: trio.SocketStream) -> None:
    await trio.sleep_forever()


async def silent(stream: trio.SocketStream) -> None:
    await upgrade(stream)
    await trio.sleep_forever()


async def closes(stream: trio.SocketStream) -> None:
    await upgrade(stream)
    await stream.send_all(b"\x88\x02\x03\xe8")
    await drain(stream)


async def cuts(stream: trio.SocketStream) -> None:
    await upgrade(stream)


async def another_subprotocol(stream: trio.SocketStream) -> None:
    await upgrade(stream, b"chat.v2")
    await trio.sleep_forever()


async def no_subprotocol(stream: trio.SocketStream) -> None:
    await upgrade(stream, None)
    await trio.sleep_forever()


async def another_language(stream: trio.SocketStream) -> None:
    await upgrade(stream)
    await stream.send_all(text(b'{"jsonrpc":"2.0","method":"hello"}'))
    await drain(stream)


async def no_json(stream: trio.SocketStream) -> None:
    await upgrade(stream)
    await stream.send_all(text(b"hello there"))
    await drain(stream)


async def another_version(stream: trio.SocketStream) -> None:
    await upgrade(stream)
    await stream.send_all(text(b'{"type":"welcome","protocol":"roomfsm.v9"}'))
    await drain(stream)


async def no_frames(stream: trio.SocketStream) -> None:
    await upgrade(stream)
    await stream.send_all(b"\xff" * 50)
    await drain(stream)


async def wrong_proof(stream: trio.SocketStream) -> None:
    await upgrade(stream, proof=b"AAAA")
    await trio.sleep_forever()


def patience_with(serve: Serve) -> float:
    """Seconds. Only where nothing comes are they waited for; else they are a bound for a busy machine."""
    return 1.0 if serve in (never_answers, silent) else PATIENCE


def told(run: Run, words: str) -> None:
    assert run.code == 2, (run.out, run.err)
    assert words in run.err
    assert run.err.startswith("roomfsm conformance: ")
    assert run.err.count("\n") == 1
    assert (run.out, run.report) == ("", {})


@pytest.mark.parametrize(
    ("serve", "words"),
    [
        (only_http, "is no websocket: it answered HTTP 200"),
        (no_http, "does not answer the websocket handshake"),
        (ends_at_once, "does not answer with HTTP"),
        (never_answers, "does not answer the websocket handshake"),
        (silent, "says nothing: a welcome was awaited for 1 s"),
        (closes, "closes the connection without a welcome"),
        (cuts, "closes the connection without a welcome"),
        (another_subprotocol, "speaks the subprotocol 'chat.v2', not roomfsm.v1"),
        (no_subprotocol, "speaks no subprotocol, not roomfsm.v1"),
        (another_language, 'its first message is no welcome: {"jsonrpc"'),
        (no_json, "its first message is no welcome: hello there"),
        (another_version, "speaks 'roomfsm.v9', not roomfsm.v1"),
        (no_frames, "sends no websocket frames"),
        (wrong_proof, "its Sec-WebSocket-Accept is wrong"),
    ],
)
async def test_given_another_kind_of_server_the_kit_says_what_it_is(serve: Serve, words: str) -> None:
    with trio.fail_after(2 * PATIENCE):
        async with fake(serve) as url:
            with pytest.raises(CannotRun) as error:
                await greet(Target.parse(url), SPEC, patience_with(serve))
    assert words in str(error.value)


async def cuts_at_once(stream: trio.SocketStream) -> None:
    await stream.receive_some(4096)


@pytest.mark.parametrize(
    ("serve", "why"),
    [
        (never_answers, "nothing answers its handshake"),
        (no_http, "what answers is something else"),
        (cuts_at_once, "the connection ends in its handshake"),
    ],
)
async def test_given_wss_for_a_server_without_tls_the_kit_says_so(serve: Serve, why: str) -> None:
    with trio.fail_after(2 * PATIENCE):
        async with fake(serve) as url:
            with pytest.raises(CannotRun) as error:
                await greet(Target.parse(url.replace("ws:", "wss:")), SPEC, patience_with(serve))
    assert str(error.value).endswith(f": there seems to be no TLS ({why}; try ws://)")


async def says_bad_request(stream: trio.SocketStream) -> None:
    """Answer like nginx if the request is no TLS handshake."""
    await stream.send_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
    await drain(stream)


@pytest.mark.parametrize("without", [says_bad_request, ends_at_once])
async def test_given_ws_for_a_server_with_tls_the_kit_says_so(
    without: Serve, certificate: tuple[Path, Path]
) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*certificate)
    connections = itertools.count()

    async def serve(stream: trio.SocketStream) -> None:
        # The first speaks no TLS, and then it is tried.
        if next(connections) == 0:
            await without(stream)
            return
        await trio.SSLStream(stream, context, server_side=True).do_handshake()

    with trio.fail_after(2 * PATIENCE):
        async with fake(serve) as url:
            with pytest.raises(CannotRun, match=r"there is TLS \(try wss://\)"):
                await greet(Target.parse(url), SPEC, PATIENCE)


async def test_the_program_prints_why_it_cannot_run(tmp_path: Path) -> None:
    async with fake(silent) as url:
        told(
            # The handshake has this time, too.
            await run_kit(tmp_path, url, "--timeout=2"),
            "says nothing: a welcome was awaited for 2 s",
        )


async def test_given_a_port_where_nobody_listens_the_program_says_so(tmp_path: Path) -> None:
    with trio.socket.socket() as unused:
        await unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        told(await run_kit(tmp_path, f"ws://127.0.0.1:{port}/ws"), "Connection refused")


@pytest.mark.parametrize("url", ["http://127.0.0.1/ws", "127.0.0.1:8080", "ws://", "ws://host:port/ws", "ws://[/"])
def test_given_a_text_that_is_no_address_the_kit_refuses_it(url: str) -> None:
    with pytest.raises(CannotRun, match="not a websocket address"):
        Target.parse(url)


async def test_if_a_server_hangs_after_the_welcome_each_check_fails_in_time(tmp_path: Path) -> None:
    """The kit itself must not hang."""
    welcome = (
        b'{"type":"welcome","protocol":"roomfsm.v1","server":"mute","session":"p1","resumeToken":"t",'
        b'"resumeWindow":30,"heartbeat":20,"iceServers":[],"limits":{"messageBytes":1000,"messageBurst":9,'
        b'"messageRate":9,"chatText":99,"displayName":64,"people":9,"presenters":9,"views":9,"candidates":9,'
        b'"toldBurst":9,"toldRate":9,"toldBytes":9000}}'
    )

    async def mute(stream: trio.SocketStream) -> None:
        await upgrade(stream)
        await stream.send_all(b"\x81\x7e" + len(welcome).to_bytes(2) + welcome)
        await drain(stream)

    async with fake(mute) as url:
        run = await run_kit(tmp_path, url, "--timeout=2", "--only=cell/connected/*", "--no-media")
    assert run.code == 1
    assert run.report["server"] == "mute"
    assert {check["came"] for check in run.report["checks"]} == {"nothing of it within 2 s"}
    assert "expected  at Zoe: joined #" in run.out
