"""Frames are sent whole, in order, without waiting. Those that the peer does not take wait in a bounded outbox."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from roomfsm.signaling.frame_stream import FrameStream, OutboxFull
from roomfsm.signaling.frames import text_frame

BIG = b"x" * 8_000_000
"""More bytes than the buffers of a loopback connection hold."""


@asynccontextmanager
async def streams(
    *, messages: int = 10, size: int = 1 << 24, head: bytes = b""
) -> AsyncIterator[tuple[FrameStream, trio.SocketStream]]:
    """Our stream and the peer's end of the TCP connection."""
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with listener:
        peer = await trio.open_tcp_stream(*listener.socket.getsockname())
        async with peer, await listener.accept() as transport:
            stream = FrameStream(transport, head, outbox_messages=messages, outbox_bytes=size)
            with trio.fail_after(60):
                yield stream, peer
            await stream.shut()


async def read(peer: trio.SocketStream, size: int) -> bytes:
    data = b""
    while len(data) < size:
        received = await peer.receive_some(1 << 20)
        assert received
        data += received
    return data


async def test_a_frame_is_sent_at_once_if_the_socket_takes_it() -> None:
    async with streams() as (stream, peer):
        stream.put(b"one")
        stream.put(b"two")
        assert stream.waiting == (0, 0)
        assert await read(peer, 6) == b"onetwo"


async def test_no_frame_follows_a_close_frame() -> None:
    async with streams() as (stream, peer):
        stream.put(b"one")
        await stream.send_all(b"\x88\x02\x03\xe8")
        stream.put(b"news of a room that does not know yet")
        await stream.aclose()
        await stream.shut()
        assert await read(peer, 7) == b"one\x88\x02\x03\xe8"
        assert await peer.receive_some() == b""


async def test_frames_that_the_socket_does_not_take_follow_in_order(nursery: trio.Nursery) -> None:
    async with streams() as (stream, peer):
        nursery.start_soon(stream.pump)
        stream.put(BIG)
        stream.put(b"A")
        stream.put(b"B")
        assert stream.waiting[0] >= 2
        await stream.send_all(b"C")
        assert await read(peer, len(BIG) + 3) == BIG + b"ABC"
        nursery.cancel_scope.cancel()


async def test_a_waiting_frame_is_replaced_by_a_newer_one_with_the_same_key(nursery: trio.Nursery) -> None:
    async with streams() as (stream, peer):
        stream.put(BIG)
        for frame, key in ((b"1", "a"), (b"2", None), (b"3", "b"), (b"4", "a"), (b"5", None)):
            stream.put(frame, key)
        assert stream.waiting[0] == 1 + 4
        nursery.start_soon(stream.pump)
        assert await read(peer, len(BIG) + 4) == BIG + b"2345"
        nursery.cancel_scope.cancel()


async def test_the_rest_of_a_begun_frame_is_never_replaced_or_dropped(nursery: trio.Nursery) -> None:
    async with streams() as (stream, peer):
        stream.put(BIG, "a")
        stream.put(b"waits")
        stream.put(b"newer", "a")
        stream.discard()
        stream.put(b"last")
        nursery.start_soon(stream.pump)
        assert await read(peer, len(BIG) + 4) == BIG + b"last"
        nursery.cancel_scope.cancel()


async def test_the_outbox_has_a_bound_of_messages() -> None:
    async with streams(messages=3) as (stream, _):
        stream.put(BIG)
        stream.put(b"2")
        stream.put(b"3", "k")
        stream.put(b"4", "k")
        with pytest.raises(OutboxFull):
            stream.put(b"5")
        assert stream.waiting[0] == 3


async def test_the_outbox_has_a_bound_of_bytes() -> None:
    async with streams(size=len(BIG)) as (stream, _):
        stream.put(BIG)
        left = len(BIG) - stream.waiting[1]
        stream.put(b"y" * left)
        assert stream.waiting[1] == len(BIG)
        with pytest.raises(OutboxFull):
            stream.put(b"z")


async def test_bytes_that_were_read_already_are_received_first() -> None:
    async with streams(head=b"GET /") as (stream, peer):
        await peer.send_all(b"ws")
        assert await stream.receive_some(3) == b"GET"
        assert await stream.receive_some() == b" /"
        assert await stream.receive_some() == b"ws"


async def test_closing_wakes_the_reader_and_still_sends_the_last_frame(nursery: trio.Nursery) -> None:
    async with streams() as (stream, peer):
        nursery.start_soon(stream.pump)

        async def reads() -> None:
            with pytest.raises(trio.ClosedResourceError):
                await stream.receive_some()

        async with trio.open_nursery() as reader:
            reader.start_soon(reads)
            await wait_all_tasks_blocked()
            stream.put(BIG)
            stream.put(b"bye")
            await stream.aclose()
        stream.put(b"too late")
        await peer.send_all(b"still talking")

        async def lingers() -> None:
            await stream.linger()
            await stream.shut()

        nursery.start_soon(lingers)
        assert await read(peer, len(BIG) + 3) == BIG + b"bye"
        assert await peer.receive_some() == b""
        await peer.send_eof()


async def test_a_dead_peer_raises_no_exception(nursery: trio.Nursery) -> None:
    async with streams() as (stream, peer):
        nursery.start_soon(stream.pump)
        stream.put(BIG)
        await trio.aclose_forcefully(peer)
        # Either the reader or the pump meets the reset; the other one finds that the connection has ended.
        with suppress(trio.BrokenResourceError):
            assert await stream.receive_some() == b""
        await stream.linger()
        stream.put(b"nobody hears")


@pytest.mark.parametrize("length", [0, 1, 125, 126, 65535, 65536])
def test_a_frame_has_the_shortest_form_of_its_length(length: int) -> None:
    frame = text_frame(b"a" * length)
    header = 2 if length < 126 else 4 if length < 65536 else 10
    assert (frame[0], len(frame)) == (0x81, header + length)
    assert frame[1] & 0x80 == 0
    if header > 2:
        assert int.from_bytes(frame[2:header]) == length
