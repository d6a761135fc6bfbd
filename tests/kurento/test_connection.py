"""Tests the opening and the closing of one websocket, and everything that a media server may do to it."""

from __future__ import annotations

import itertools
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
import trio
import trio.testing
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from trio.testing import MockClock
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, CloseConnection, Request, TextMessage

from roomfsm.jsonrpc import Message, Notification
from roomfsm.kurento import KurentoSettings, open_media_pool
from roomfsm.kurento.connection import open_connection
from roomfsm.kurento.errors import ConnectionLost
from tests.kurento.fake import URL, fake_server

SETTINGS = KurentoSettings(max_message_bytes=1000)

type Peer = Callable[[trio.abc.Stream], Awaitable[None]]


@pytest.fixture
def meet(monkeypatch: pytest.MonkeyPatch, nursery: trio.Nursery) -> Callable[[Peer], None]:
    """Make every connection lead to a peer that the test chooses."""

    def choose(peer: Peer) -> None:
        async def open_stream(url: str) -> trio.abc.Stream:
            ours, theirs = trio.testing.memory_stream_pair()
            nursery.start_soon(peer, theirs)
            await trio.lowlevel.checkpoint()
            return ours

        monkeypatch.setattr("roomfsm.kurento.connection.open_stream", open_stream)

    return choose


async def stay_connected() -> None:
    """Connect and stay until the connection is lost."""
    await listen(print)


async def listen(dispatch: Callable[[Message], None], url: str = URL) -> None:
    """Connect and dispatch until the connection is lost."""
    with trio.fail_after(60):
        async with open_connection(url, SETTINGS, itertools.count(1), dispatch):
            await trio.sleep_forever()


async def close_and_stay() -> None:
    """Connect, close, and stay until the connection is lost."""
    with trio.fail_after(60):
        async with open_connection(URL, SETTINGS, itertools.count(1), print) as connection:
            await connection.close()
            await trio.sleep_forever()


def talking(*texts: str) -> Peer:
    """A peer that does the handshake, sends something, and closes its end when it is asked to."""

    async def peer(stream: trio.abc.Stream) -> None:
        ws = WSConnection(ConnectionType.SERVER)
        async for data in stream:
            ws.receive_data(bytes(data))
            for event in ws.events():
                match event:
                    case Request():
                        await stream.send_all(ws.send(AcceptConnection()))
                        for text in texts:
                            await stream.send_all(ws.send(TextMessage(text)))
                    case CloseConnection():
                        # The ping meets a client whose own close frame is on its way.
                        await stream.send_all(b"\x89\x00" + ws.send(event.response()))

    return peer


async def test_a_peer_that_hangs_up_in_the_handshake_is_noticed_at_once(
    meet: Callable[[Peer], None], autojump_clock: MockClock
) -> None:
    meet(lambda stream: stream.aclose())
    before = trio.current_time()
    with pytest.raises(ConnectionLost, match="during the websocket handshake"):
        await stay_connected()
    assert trio.current_time() - before < 0.1


async def test_a_peer_that_never_shakes_hands_is_left(
    meet: Callable[[Peer], None], autojump_clock: MockClock
) -> None:
    async def stare(stream: trio.abc.Stream) -> None:
        await trio.sleep_forever()

    meet(stare)
    before = trio.current_time()
    with pytest.raises(ConnectionLost, match="no websocket handshake"):
        await stay_connected()
    assert trio.current_time() - before == pytest.approx(SETTINGS.ping_timeout)


async def test_a_peer_that_is_no_websocket_server_is_left(
    meet: Callable[[Peer], None], autojump_clock: MockClock
) -> None:
    async def refuse(stream: trio.abc.Stream) -> None:
        await stream.receive_some()
        await stream.send_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")

    meet(refuse)
    with pytest.raises(ConnectionLost, match="404"):
        await stay_connected()


async def test_a_port_where_nobody_listens() -> None:
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listener.socket.getsockname()[1]
    await listener.aclose()
    with pytest.raises(ConnectionLost, match="cannot connect"):
        async with open_connection(f"ws://127.0.0.1:{port}/kurento", SETTINGS, itertools.count(1), print):
            pytest.fail("entered")


async def test_a_ping_during_the_close_neither_fails_nor_cancels_what_follows(
    meet: Callable[[Peer], None], autojump_clock: MockClock
) -> None:
    meet(talking())
    followed = False
    with trio.CancelScope() as scope:
        with pytest.raises(ConnectionLost):
            await close_and_stay()
        await trio.lowlevel.checkpoint()
        followed = True
    assert followed
    assert not scope.cancelled_caught


async def test_closing_takes_no_longer_than_the_peer_needs(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    with trio.fail_after(60):
        async with fake_server(monkeypatch) as server:
            async with open_media_pool([URL]) as pool:
                await pool.wait_ready()
                before = trio.current_time()
            assert server.methods()[-1] == "closeSession"
            assert trio.current_time() - before < 0.1


async def test_a_message_that_cannot_be_read_is_skipped(
    meet: Callable[[Peer], None], autojump_clock: MockClock
) -> None:
    dispatched: list[Message] = []
    meet(talking("{", "[]", '{"jsonrpc":"2.0","id":{},"result":1}', '{"jsonrpc":"2.0","method":"onEvent"}'))
    with trio.move_on_after(1):
        await listen(dispatched.append)
    assert dispatched == [Notification("onEvent")]


async def test_a_peer_that_resets_in_the_handshake_is_noticed_at_once(
    meet: Callable[[Peer], None], autojump_clock: MockClock
) -> None:
    async def reset(stream: trio.abc.Stream) -> None:
        await stream.receive_some()
        await stream.aclose()

    meet(reset)
    before = trio.current_time()
    with pytest.raises(ConnectionLost, match="during the websocket handshake"):
        await stay_connected()
    assert trio.current_time() - before < 0.1


async def test_a_media_server_behind_tls(
    nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "media.test")])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(datetime.now(UTC) - timedelta(days=1))
        .not_valid_after(datetime.now(UTC) + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    pem = tmp_path / "media.pem"
    pem.write_bytes(secret + certificate)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pem)
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listener.socket.getsockname()[1]

    async def serve(stream: trio.SocketStream) -> None:
        with suppress(trio.BrokenResourceError):
            secured = trio.SSLStream(stream, context, server_side=True, https_compatible=True)
            await talking('{"jsonrpc":"2.0","method":"onEvent"}')(secured)

    nursery.start_soon(trio.serve_listeners, serve, [listener])
    sender, receiver = trio.open_memory_channel[Message](1)
    url = f"wss://127.0.0.1:{port}/kurento"
    with trio.fail_after(60):
        with pytest.raises(ConnectionLost, match="certificate"):
            await listen(sender.send_nowait, url)
        monkeypatch.setenv("SSL_CERT_FILE", str(pem))
        nursery.start_soon(listen, sender.send_nowait, url)
        assert await receiver.receive() == Notification("onEvent")
    nursery.cancel_scope.cancel()


@pytest.mark.parametrize(("length", "passes"), [(1000, True), (1001, False)])
async def test_a_message_may_have_its_limit_and_no_more(
    meet: Callable[[Peer], None], autojump_clock: MockClock, length: int, passes: bool
) -> None:
    dispatched: list[Message] = []
    frame = '{"jsonrpc":"2.0","method":""}'
    text = frame.replace('""', f'"{"x" * (length - len(frame))}"')
    assert len(text) == length
    meet(talking(text))
    if passes:
        with trio.move_on_after(1):
            await listen(dispatched.append)
        assert len(dispatched) == 1
    else:
        with pytest.raises(ConnectionLost, match="1009"):
            await listen(dispatched.append)
