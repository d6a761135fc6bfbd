"""What a datagram costs the media server that is of no use to it: strangers' and forged ones, by kind.

`uv run python -m tests.bench.junk [--datagrams 20000]`. CPU of reading and refusing, on one engine with one
connected peer; the reference is measured in this same run: `recvfrom` alone, and a packet of the peer's media.
"""

from __future__ import annotations

import argparse
import os
import socket
import struct
import time
from collections.abc import Callable

import trio
from aioice import stun as reference

from roomfsm.mediaserver.base.settings import EngineSettings
from roomfsm.mediaserver.engine.engine import Engine, open_engine
from tests.mediaserver.peer import VP8_DELTA, TestPeer
from tests.mediaserver.stage import join

_BATCH = 200
"""Sent before they are read: as many as a socket's buffer surely holds."""


def _cost(count: int, send: Callable[[], object], read: Callable[[], None]) -> float:
    """µs of CPU that `read` takes for each of `count` datagrams."""
    spent = 0.0
    for _ in range(count // _BATCH):
        for _ in range(_BATCH):
            send()
        began = time.process_time()
        read()
        spent += time.process_time() - began
    return spent / (count // _BATCH * _BATCH) * 1e6


def _bare(count: int) -> float:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender,
    ):
        receiver.bind(("127.0.0.1", 0))
        receiver.setblocking(False)
        sender.connect(receiver.getsockname())

        def read() -> None:
            for _ in range(_BATCH):
                receiver.recvfrom(2048)

        return _cost(count, lambda: sender.send(bytes(100)), read)


def _check(ufrag: str, password: bytes) -> bytes:
    message = reference.Message(
        reference.Method.BINDING,
        reference.Class.REQUEST,
        attributes={"USERNAME": f"{ufrag}:theirs", "PRIORITY": 1, "ICE-CONTROLLING": 1},
    )
    message.add_message_integrity(password)
    return bytes(message)


def _kinds(client: TestPeer) -> dict[str, tuple[bool, bytes]]:
    """By name: whether it has the peer's address, and the datagram."""
    assert client.answer is not None
    attributes = b"\x00\x30\x00\x00" * 364
    many = b"\0\1" + len(attributes).to_bytes(2) + b"\x21\x12\xa4\x42" + bytes(12) + attributes
    packet = struct.pack("!BBHII", 0x80, 96, 1, 1, 2222) + os.urandom(1000)
    hello = b"\x16\xfe\xfd" + bytes(8) + b"\x00\x64" + os.urandom(100)
    return {
        "stranger: nothing known": (False, b"\xff" * 100),
        "stranger: RTP": (False, packet),
        "stranger: DTLS": (False, hello),
        "stranger: broken STUN": (False, bytes(100)),
        "stranger: STUN of 364 attributes": (False, many),
        "stranger: check for an unknown name": (False, _check("nobodyhe", b"guess")),
        "stranger: check for a known name": (False, _check(client.answer.ufrag, b"guess")),
        "forged: RTP": (True, packet),
        "forged: RTCP": (True, b"\x80\xc9" + packet[2:100]),
        "forged: DTLS": (True, hello),
    }


async def _measure(engine: Engine, count: int) -> None:
    async with join(engine, "sendonly") as publisher:
        client = publisher.client

        def drain() -> None:
            engine._drain(trio.current_time())

        assert client.answer is not None
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            stranger.connect(client.answer.address)
            for name, (known, datagram) in _kinds(client).items():
                if known:
                    cost = _cost(count, lambda datagram=datagram: client.send(datagram), drain)  # type: ignore[misc]
                else:
                    cost = _cost(count, lambda datagram=datagram: stranger.send(datagram), drain)  # type: ignore[misc]
                print(f"{name:36} {cost:6.1f}")
        cost = _cost(count, lambda: client.send_rtp(VP8_DELTA + bytes(980)), drain)
        print(f"{'a packet of the peer, no viewer':36} {cost:6.1f}")
        print(engine.stats().refused)


async def _run(count: int) -> None:
    print(f"{'datagram':36} µs CPU")
    print(f"{'recvfrom alone':36} {_bare(count):6.1f}")
    async with open_engine(EngineSettings(host="127.0.0.1")) as engine:
        await _measure(engine, count)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--datagrams", type=int, default=20_000)
    trio.run(_run, parser.parse_args().datagrams)


if __name__ == "__main__":
    main()
