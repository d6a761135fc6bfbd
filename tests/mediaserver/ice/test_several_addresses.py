"""A machine with two addresses on one network answers from the second what a browser sends to the second."""

import json
import os
import socket
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
import trio

from roomfsm.mediaserver.base.kinds import MediaKind
from roomfsm.mediaserver.base.settings import EngineSettings
from roomfsm.mediaserver.engine import packet_info
from roomfsm.mediaserver.engine.engine import Engine, open_engine
from roomfsm.mediaserver.workers.workers import Workers, open_workers
from tests.mediaserver.browsers import open_chromium
from tests.mediaserver.observer import RecordingObserver
from tests.mediaserver.peer import VP8_DELTA, VP8_KEYFRAME, TestPeer, open_test_peer
from tests.mediaserver.private_network import ADDRESS
from tests.mediaserver.stage import Joined
from tests.mediaserver.test_browsers import available, in_private_network, page_server, received

PATIENCE = 180.0
SECOND = "10.77.0.2"
FIRST_6, SECOND_6 = "fd77::1", "fd77::2"


def add_addresses() -> None:
    """To the namespace that the test is in."""
    for address in (f"{SECOND}/24", f"{FIRST_6}/64", f"{SECOND_6}/64"):
        options = ["nodad"] if ":" in address else []
        command = ["ip", "address", "add", address, "dev", "media", *options]
        subprocess.run(command, check=True, capture_output=True, timeout=60)


def with_two_addresses(body: Callable[[], Awaitable[None]]) -> None:
    async def run() -> None:
        add_addresses()
        with trio.fail_after(PATIENCE):
            await body()

    in_private_network(run)


@asynccontextmanager
async def join_at(
    engine: Engine | Workers, direction: str, asked: str, source: Joined | None = None, host: str = ADDRESS
) -> AsyncIterator[Joined]:
    """A client that knows only one of our addresses, and accepts nothing from another."""
    observer = RecordingObserver()
    peer = engine.open_peer(observer)
    if source is not None:
        source.peer.connect(peer)
    async with open_test_peer(direction, host=host) as client:
        answer = peer.process_offer(client.offer)
        known = [line for line in answer.split("\r\n") if "candidate:" not in line or f" {asked} " in line]
        from_elsewhere = refuse_others(client, asked)
        await client.accept("\r\n".join(known))
        await observer.wait_for("media", True)
        yield Joined(client, peer, observer)
        assert not from_elsewhere


def refuse_others(client: TestPeer, asked: str) -> set[str]:
    """As a browser does; what is refused is in the set."""
    take, others = client.received, set[str]()

    def received_from(datagram: bytes, source: tuple[str, int]) -> None:
        if source[0] == asked:
            take(datagram, source)
        else:
            others.add(source[0])

    client.received = received_from  # type: ignore[method-assign]  # of this one
    return others


async def media_flow(engine: Engine | Workers, asked: str, host: str) -> None:
    """From a publisher to a viewer, which both ask that address: single packets, and bursts of many."""
    async with (
        join_at(engine, "sendonly", asked, host=host) as publisher,
        join_at(engine, "recvonly", asked, publisher, host=host) as viewer,
    ):
        payloads = [VP8_KEYFRAME, *[VP8_DELTA + bytes(900)] * 30, VP8_DELTA]
        publisher.client.send_rtp(payloads[0])
        assert (await viewer.client.receive_rtp()).payload == payloads[0]
        for payload in payloads[1:]:
            publisher.client.send_rtp(payload)
        assert [(await viewer.client.receive_rtp()).payload for _ in payloads[1:]] == payloads[1:]
        (pair,) = [news for news in viewer.observer.told if news[0] == "pair"]
        assert f" {asked} " in str(pair[1])


@pytest.mark.parametrize("server", ["::", "0.0.0.0"])
@pytest.mark.parametrize("asked", [ADDRESS, SECOND])
def test_media_are_sent_from_the_address_that_the_browser_used(server: str, asked: str) -> None:
    async def body() -> None:
        async with open_engine(EngineSettings(host=server)) as engine:
            await media_flow(engine, asked, ADDRESS)

    with_two_addresses(body)


@pytest.mark.parametrize("asked", [FIRST_6, SECOND_6])
def test_media_are_sent_from_the_ipv6_address_that_the_browser_used(asked: str) -> None:
    async def body() -> None:
        async with open_engine(EngineSettings()) as engine:
            await media_flow(engine, asked, FIRST_6)

    with_two_addresses(body)


def test_a_thread_that_a_test_starts_is_in_its_network_and_later_ones_are_not() -> None:
    """The threads are those of a private cache of trio 0.35."""

    async def network() -> tuple[str, str]:
        def inode() -> str:
            return os.readlink("/proc/thread-self/ns/net")

        return inode(), await trio.to_thread.run_sync(inode)

    async def outside() -> None:
        here, there = await network()
        assert here == there
        before.append(here)

    async def inside() -> None:
        here, there = await network()
        assert here == there != before[0]

    before: list[str] = []
    trio.run(outside)
    in_private_network(inside)
    trio.run(outside)
    assert before[0] == before[1]


def test_a_worker_sends_media_from_the_address_that_the_browser_used() -> None:
    async def body() -> None:
        async with open_workers(EngineSettings(announced_addresses=(SECOND,)), 1) as workers:
            await media_flow(workers, SECOND, ADDRESS)

    with_two_addresses(body)


def test_an_address_that_is_added_later_is_used_for_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """A floating address that only a load balancer knows."""
    monkeypatch.setattr("roomfsm.mediaserver.engine.engine._ADDRESSES_INTERVAL", 0.2)

    async def body() -> None:
        with trio.fail_after(PATIENCE):
            async with (
                open_engine(EngineSettings(report_interval=0.1)) as engine,
                open_test_peer("sendonly", host=ADDRESS) as client,
            ):
                add_addresses()
                observer = RecordingObserver()
                answer = engine.open_peer(observer).process_offer(client.offer)
                refuse_others(client, SECOND)
                await client.accept(answer.replace(ADDRESS, SECOND))
                client.send_rtp(VP8_KEYFRAME)
                await observer.wait_for("receiving", MediaKind.VIDEO, True)

    in_private_network(body)


def test_if_the_route_is_right_no_source_address_is_set() -> None:
    async def body() -> None:
        packed = bytes((10, 77, 0, 1))
        assert packet_info.control(packed, (ADDRESS, 9), 0.0) == ()
        assert packet_info.control(bytes((10, 77, 0, 2)), (ADDRESS, 9), 0.0) != ()
        assert packet_info.control(b"", (ADDRESS, 9), 0.0) == ()

    with_two_addresses(body)


def test_the_system_is_asked_for_a_route_only_once_in_some_seconds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    opened: list[socket.socket] = []

    class Counted(socket.socket):
        def __init__(self, *args: int) -> None:
            super().__init__(*args)
            opened.append(self)

    monkeypatch.setattr("roomfsm.mediaserver.engine.packet_info.socket.socket", Counted)
    packed = bytes((127, 0, 0, 1))
    for number in range(100):
        assert packet_info.control(packed, ("127.0.0.1", 40_000 + number), 1e6 + number / 100) == ()
    assert len(opened) == 1
    assert packet_info.control(packed, ("127.0.0.1", 40_000), 1e6 + 10) == ()
    assert len(opened) == 2


@pytest.mark.browser
@pytest.mark.parametrize("announced", [SECOND, ADDRESS])
def test_chromium_presents_and_views_at_the_announced_address(announced: str) -> None:
    available("chromium")

    async def body() -> None:
        settings = EngineSettings(announced_addresses=(announced,))
        async with open_engine(settings) as engine, page_server() as url, open_chromium() as browser:
            source = engine.open_peer(RecordingObserver())
            stand = await browser.open_page(url)
            await stand.run(f"accept({json.dumps(source.process_offer(await stand.run("publish('VP8')")))})")
            sink = engine.open_peer(RecordingObserver())
            source.connect(sink)
            page = await browser.open_page(url)
            await page.run(f"accept({json.dumps(sink.process_offer(await page.run('view()')))})")
            await received(page, "it.framesDecoded > 5")

    with_two_addresses(body)
