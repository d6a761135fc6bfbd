"""Given an application that publishes its keys at an address, its tokens are valid, also after it changes them."""

from __future__ import annotations

import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from roomfsm.access.keys import TokenKey, read_keys
from roomfsm.access.tokens import TokenRules, sign
from roomfsm.protocol.errors import Refusal
from roomfsm.signaling.key_set_url import Fetching, KeySetUrl
from roomfsm.signaling.keyring import Keyring
from tests.access.keys import SECRET, as_json, key_of, key_set
from tests.conftest import make_certificate


class Application:
    """Publishes keys over HTTP. `answer` is the next answer, as bytes; None never answers."""

    def __init__(self) -> None:
        self.answer: bytes | None = None
        self.asked = 0
        self.was_asked = trio.Event()
        self.url = ""

    def publish(self, *kids: str) -> None:
        """Answer with a set of these keys from now on."""
        self.answer = http(key_set(*(key_of("ES256", kid) for kid in kids)))

    async def serve(self, stream: trio.abc.Stream) -> None:
        request = b""
        async with stream:
            while not request.endswith(b"\r\n\r\n"):
                received = await stream.receive_some(65_536)
                if not received:
                    return
                request += received
            assert request.startswith(b"GET /keys?of=rooms HTTP/1.1\r\n")
            self.asked += 1
            self.was_asked.set()
            if self.answer is None:
                await stream.receive_some(1)
            else:
                await stream.send_all(self.answer)


def http(body: str | bytes, status: str = "200 OK", *headers: str) -> bytes:
    body = body.encode() if isinstance(body, str) else body
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@asynccontextmanager
async def published(tls: ssl.SSLContext | None = None) -> AsyncIterator[Application]:
    application = Application()
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listeners[0].socket.getsockname()[1]
    application.url = f"{'http' if tls is None else 'https'}://localhost:{port}/keys?of=rooms"

    async def serve(stream: trio.SocketStream) -> None:
        # It breaks when the client does not trust the certificate, or has read enough.
        with suppress(trio.BrokenResourceError):
            await application.serve(
                stream if tls is None else trio.SSLStream(stream, tls, server_side=True, https_compatible=True)
            )

    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, serve, listeners)
        yield application
        nursery.cancel_scope.cancel()


def private(kid: str) -> TokenKey:
    (key,) = read_keys(as_json(key_of("ES256", kid), private=True))
    return key


def token(kid: str) -> str:
    return sign(private(kid), {"sub": kid, "room": "*", "exp": time.time() + 3600})


@pytest.fixture
def clock() -> MockClock:
    """Stands still, so that times pass only when a test says so, however slow the machine is."""
    return MockClock()


async def test_a_token_of_a_published_key_is_valid(clock: MockClock) -> None:
    async with published() as application, trio.open_nursery() as nursery:
        application.publish("one", "two")
        url = KeySetUrl(application.url)
        keyring = Keyring((), [url], TokenRules())
        nursery.start_soon(url.keep_fresh)
        assert (await keyring.verify(token("two"))).subject == "two"
        assert (await keyring.verify(token("one"))).subject == "one"
        assert application.asked == 1
        nursery.cancel_scope.cancel()


async def test_after_a_rotation_the_first_token_of_the_new_key_fetches_the_set_again(clock: MockClock) -> None:
    async with published() as application:
        application.publish("old")
        keyring = Keyring((), [KeySetUrl(application.url, Fetching(pause=30))], TokenRules())
        await keyring.verify(token("old"))
        application.publish("new")
        # Strangers could otherwise make the server ask the application again and again.
        for _ in range(3):
            with pytest.raises(Refusal):
                await keyring.verify(token("new"))
        assert application.asked == 1
        clock.jump(30)
        assert (await keyring.verify(token("new"))).subject == "new"
        with pytest.raises(Refusal):
            await keyring.verify(token("old"))
        assert application.asked == 2


async def test_many_tokens_of_a_new_key_share_one_fetch(clock: MockClock) -> None:
    async with published() as application:
        application.publish("new")
        keyring = Keyring((), [KeySetUrl(application.url)], TokenRules())
        async with trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(keyring.verify, token("new"))
        assert application.asked == 1


async def test_the_set_is_fetched_again_after_its_interval_so_that_old_keys_go(clock: MockClock) -> None:
    async with published() as application, trio.open_nursery() as nursery:
        application.publish("old", "new")
        url = KeySetUrl(application.url, Fetching(interval=600))
        keyring = Keyring((), [url], TokenRules())
        nursery.start_soon(url.keep_fresh)
        await keyring.verify(token("old"))
        application.publish("new")
        application.was_asked = trio.Event()
        await wait_all_tasks_blocked()
        clock.jump(600)
        await application.was_asked.wait()
        # This waits for the fetch that is under way, and makes no other.
        await url.renew()
        assert [key.kid for key in url.keys] == ["new"]
        with pytest.raises(Refusal):
            await keyring.verify(token("old"))
        nursery.cancel_scope.cancel()


BAD_ANSWERS: dict[str, bytes] = {
    "an error": http("{}", "500 Internal Server Error"),
    "a redirect": http("", "302 Found", "Location: http://localhost/keys"),
    "nothing": b"",
    "no HTTP": b"hello\r\n\r\n",
    "a body that is cut off": http(key_set(key_of("ES256", "new")))[:-5],
    "no JSON": http("<html>"),
    "no text": http(b"\xff\xfe"),
    "an empty set": http('{"keys": []}'),
    "a secret": http(key_set(key_of("HS256", "new"))),
    "too much": http(b" " * 1001),
    "too much, of unknown length": b"HTTP/1.1 200 OK\r\n\r\n" + b" " * 100_000,
    "headers without end": b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 100_000,
}


@pytest.mark.parametrize("what", BAD_ANSWERS)
async def test_the_keys_of_the_last_good_fetch_stay_in_use(what: str, clock: MockClock) -> None:
    async with published() as application:
        application.publish("old")
        url = KeySetUrl(application.url, Fetching(pause=1, max_bytes=1000))
        keyring = Keyring((), [url], TokenRules())
        await keyring.verify(token("old"))
        application.answer = BAD_ANSWERS[what]
        clock.jump(1)
        with pytest.raises(Refusal):
            await keyring.verify(token("new"))
        assert application.asked == 2
        await keyring.verify(token("old"))
        application.publish("new")
        clock.jump(1)
        await keyring.verify(token("new"))


async def test_who_never_answers_is_given_up_after_the_deadline(clock: MockClock) -> None:
    async with published() as application:
        url = KeySetUrl(application.url, Fetching(deadline=10))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(url.renew)
            await application.was_asked.wait()
            clock.jump(10)
        assert url.keys == ()


async def test_where_nobody_listens_the_other_keys_still_work(clock: MockClock) -> None:
    async with published() as application:
        nobody = application.url
    keyring = Keyring(read_keys(SECRET), [KeySetUrl(nobody)], TokenRules())
    (key,) = read_keys(SECRET)
    assert await keyring.verify(sign(key, {"room": "*", "exp": time.time() + 3600}))
    with pytest.raises(Refusal):
        await keyring.verify(token("new"))


async def test_keys_over_https_need_a_certificate_that_is_trusted(tmp_path: Path, clock: MockClock) -> None:
    cert, key = make_certificate(tmp_path)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(cert, key)
    async with published(tls) as application:
        application.publish("new")
        untrusting = Keyring((), [KeySetUrl(application.url)], TokenRules())
        with pytest.raises(Refusal):
            await untrusting.verify(token("new"))
        assert application.asked == 0
        trusting = KeySetUrl(application.url, tls=ssl.create_default_context(cafile=cert))
        await Keyring((), [trusting], TokenRules()).verify(token("new"))
