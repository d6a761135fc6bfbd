"""Peers over TCP by real sockets: media, bounds, slow readers, and connections that break."""

import socket
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial

import pytest
import trio
from aioice import stun as reference
from trio.testing import MockClock, wait_all_tasks_blocked

from roomfsm.mediaserver.base.kinds import MediaKind
from roomfsm.mediaserver.base.settings import EngineSettings
from roomfsm.mediaserver.engine.engine import Engine, open_engine
from roomfsm.mediaserver.ice.lite import host_candidates
from roomfsm.mediaserver.workers.workers import Workers, open_workers
from roomfsm.peer import AUDIO_SSRC
from tests.mediaserver.peer import OPUS, VP8_DELTA, VP8_KEYFRAME
from tests.mediaserver.stage import PATIENCE, Joined, join, open_stage, packets
from tests.mediaserver.tcp_peer import framed, join_over_tcp, tcp_client

NEVER = 10 * PATIENCE
"""Seconds of a timeout that must not be what ends something."""


async def until(true: Callable[[], bool]) -> None:
    while not true():
        await trio.lowlevel.checkpoint()


def connections(engine: Engine) -> int:
    assert engine.tcp is not None
    return engine.tcp.connections


def is_at(joined: Joined, sock: socket.socket) -> bool:
    """Whether the peer's media go to this socket of its client."""
    return joined.peer.stats().remote_address == (*sock.getsockname(),)


def stranger(stack: ExitStack, engine: Engine, data: bytes = b"", source: str = "127.0.0.1") -> socket.socket:
    """A connection to the engine that nobody has a password for."""
    assert engine.tcp_port is not None
    sock = stack.enter_context(socket.create_connection(("127.0.0.1", engine.tcp_port), PATIENCE, (source, 0)))
    sock.sendall(data)
    sock.setblocking(False)
    return sock


async def pass_time(clock: MockClock, seconds: float) -> None:
    """Let time pass in steps, and let everybody do what is due after each."""
    for _ in range(int(2 * seconds)):
        clock.jump(0.5)
        await wait_all_tasks_blocked(0.001)


async def until_ended(sock: socket.socket) -> bytes:
    """What the engine sends until it ends the connection."""
    stream, data = trio.socket.from_stdlib_socket(sock), b""
    while True:
        try:
            received = await stream.recv(4096)
        except ConnectionResetError:
            return data
        if not received:
            return data
        data += received


def check(username: str = "no:body") -> bytes:
    request = reference.Message(
        reference.Method.BINDING,
        reference.Class.REQUEST,
        attributes={"USERNAME": username, "PRIORITY": 1, "ICE-CONTROLLING": 1},
    )
    request.add_message_integrity(b"a password of nobody")
    request.add_fingerprint()
    return bytes(request)


# Candidates


def test_tcp_candidates_come_after_those_of_udp_and_have_foundations_of_their_own() -> None:
    lines = host_candidates(("192.0.2.1", "2001:db8::1"), 4000, 443)
    assert lines == (
        "candidate:1 1 UDP 2130706431 192.0.2.1 4000 typ host",
        "candidate:2 1 UDP 2130706175 2001:db8::1 4000 typ host",
        "candidate:3 1 TCP 1520435199 192.0.2.1 443 typ host tcptype passive",
        "candidate:4 1 TCP 1520434943 2001:db8::1 443 typ host tcptype passive",
    )


@pytest.mark.parametrize(("tcp_port", "announced"), [(4000, "5000"), (443, "443")])
def test_an_announced_port_is_that_of_tcp_if_both_have_the_same_number(tcp_port: int, announced: str) -> None:
    lines = host_candidates(("192.0.2.1:5000",), 4000, tcp_port)
    assert [line.split()[5] for line in lines] == ["5000", announced]


def test_the_port_of_a_proxy_is_announced_for_tcp_only() -> None:
    lines = host_candidates(("192.0.2.1:5000", "192.0.2.2"), 4000, 4000, 443)
    assert [line.split()[5] for line in lines] == ["5000", "4000", "443", "443"]


async def test_without_the_setting_there_is_no_tcp() -> None:
    async with open_stage() as engine:
        assert engine.tcp_port is None
        assert not any("TCP" in line for line in engine.candidates)


async def test_new_announced_addresses_are_those_of_tcp_too() -> None:
    async with open_stage(tcp=True) as engine:
        engine.announce(["198.51.100.9"])
        assert [line.split()[2:6:2] for line in engine.candidates] == [
            ["UDP", "198.51.100.9"],
            ["TCP", "198.51.100.9"],
        ]


# Media


async def test_sound_and_picture_go_both_ways_and_the_pair_is_named() -> None:
    async with (
        open_stage(tcp=True) as engine,
        join_over_tcp(engine, "sendonly") as publisher,
        join(engine, "recvonly", publisher.peer) as udp_viewer,
        join_over_tcp(engine, "recvonly", publisher.peer) as viewer,
    ):
        local, remote = next(news[1:] for news in viewer.observer.told if news[0] == "pair")
        assert local == f"candidate:2 1 TCP 1520435199 127.0.0.1 {engine.tcp_port} typ host tcptype passive"
        assert str(remote).endswith("typ prflx tcptype active")
        publisher.client.send_rtp(VP8_KEYFRAME)
        publisher.client.send_rtp(OPUS, ssrc=AUDIO_SSRC)
        for one in (viewer, udp_viewer):
            payloads = {packet.payload for packet in await packets(one.client, 2)}
            assert payloads == {VP8_KEYFRAME, OPUS}
        assert is_at(viewer, tcp_client(viewer).stream)


async def test_a_keyframe_of_many_packets_comes_whole_and_in_order() -> None:
    async with (
        open_stage(tcp=True) as engine,
        join_over_tcp(engine, "sendonly") as publisher,
        join_over_tcp(engine, "recvonly", publisher.peer) as viewer,
    ):
        numbers = [publisher.client.send_rtp(VP8_KEYFRAME + bytes(1000))]
        numbers += [publisher.client.send_rtp(VP8_DELTA + bytes(1000)) for _ in range(60)]
        came = [packet.sequence_number for packet in await packets(viewer.client, 61)]
        assert came == [(came[0] + index) & 0xFFFF for index in range(61)]


async def test_over_ipv6() -> None:
    with trio.fail_after(PATIENCE):
        async with (
            open_engine(EngineSettings(host="::1", tcp=True)) as engine,
            join_over_tcp(engine, "sendonly", ip_version=6) as publisher,
        ):
            publisher.client.send_rtp(VP8_KEYFRAME)
            await publisher.observer.wait_for("receiving", MediaKind.VIDEO, True)


async def test_workers_have_a_tcp_port_each() -> None:
    settings = EngineSettings(host="127.0.0.1", tcp=True)
    with trio.fail_after(PATIENCE):
        async with open_workers(settings, 2) as workers, join_over_tcp(workers, "sendonly") as publisher:
            async with join_over_tcp(workers, "recvonly", publisher.peer) as viewer:
                assert tcp_client(viewer).server != tcp_client(publisher).server
                while not viewer.client.received_rtp():
                    publisher.client.send_rtp(VP8_KEYFRAME)
                    await trio.sleep(0.05)
            for worker in workers.workers:
                worker.announce(("198.51.100.9",))
                assert worker.context is not None
                assert len(worker.context.candidates) == 2


def test_each_worker_announces_the_next_tcp_port() -> None:
    workers = Workers(EngineSettings(tcp=True, tcp_port=4000, announced_tcp_port=443), 2, "")
    settings = [worker._settings for worker in workers.workers]
    assert [(one.tcp_port, one.announced_tcp_port) for one in settings] == [(4000, 443), (4001, 444)]


async def test_the_newest_nominated_way_is_followed() -> None:
    async with (
        open_stage(tcp=True) as engine,
        join(engine, "sendonly") as publisher,
        join_over_tcp(engine, "recvonly", publisher.peer) as viewer,
    ):
        client = tcp_client(viewer)
        # A check by UDP, which nominates, moves the media there, and one over TCP moves them back.
        for over_udp, sock in ((True, client.socket), (False, client.stream)):
            client.over_udp = over_udp
            client.check()
            await until(partial(is_at, viewer, sock))
        publisher.client.send_rtp(VP8_KEYFRAME)
        assert (await viewer.client.receive_rtp()).payload == VP8_KEYFRAME


# Connections that end


async def test_a_peer_whose_connection_breaks_goes_on_over_another_one() -> None:
    async with (
        open_stage(tcp=True) as engine,
        join_over_tcp(engine, "sendonly") as publisher,
        join_over_tcp(engine, "recvonly", publisher.peer) as viewer,
    ):
        client = tcp_client(viewer)
        publisher.client.send_rtp(VP8_KEYFRAME)
        first = await client.receive_rtp()
        client.stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        client.open_stream()
        await until(lambda: viewer.peer.stats().remote_address is None)
        publisher.client.send_rtp(VP8_DELTA)
        client.check(nominate=False)
        await until(partial(is_at, viewer, client.stream))
        publisher.client.send_rtp(VP8_KEYFRAME)
        # The numbers go on, and nothing of it was reported as an end of the connection.
        while (packet := await client.receive_rtp()).payload != VP8_KEYFRAME:
            pass
        assert 0 < (packet.sequence_number - first.sequence_number) & 0xFFFF < 100
        assert ("media", False) not in viewer.observer.told
        assert len(engine.by_address) == 2


async def test_a_peer_that_is_closed_gets_a_goodbye_and_the_end_of_its_connection() -> None:
    async with open_stage(tcp=True) as engine, join_over_tcp(engine, "sendonly") as publisher:
        publisher.peer.close()
        await publisher.client.closed.wait()
        await tcp_client(publisher).ended.wait()
        tcp_client(publisher).close_stream()
        await until(lambda: connections(engine) == 0)
        assert engine.by_address == {}


async def test_a_peer_that_does_not_come_again_counts_as_gone(mock_clock: MockClock) -> None:
    async with open_stage(tcp=True, peer_silence=3.0) as engine, join_over_tcp(engine, "sendonly") as publisher:
        publisher.client.stop_checks()
        tcp_client(publisher).close_stream()
        await pass_time(mock_clock, 2)
        assert ("media", False) not in publisher.observer.told
        await pass_time(mock_clock, 2)
        assert ("media", False) in publisher.observer.told


# A reader that is too slow


async def test_a_viewer_that_reads_nothing_costs_bounded_memory_and_keeps_nobody_up() -> None:
    async with (
        open_stage(tcp=True, max_tcp_queue=100_000) as engine,
        join(engine, "sendonly") as publisher,
        join(engine, "recvonly", publisher.peer) as healthy,
        join_over_tcp(engine, "recvonly", publisher.peer) as slow,
    ):
        client = tcp_client(slow)
        client.reads = trio.Event()
        publisher.client.send_rtp(VP8_KEYFRAME)
        assert engine.tcp is not None
        while engine.tcp.lost == 0:
            for _ in range(20):
                publisher.client.send_rtp(VP8_DELTA + bytes(1000))
            for _ in range(20):
                await healthy.client.receive_rtp()
        # It reads again, and what it gets is whole packets.
        client.reads.set()
        later = VP8_KEYFRAME + b"later"
        while later not in {packet.payload for packet in client.received_rtp()}:
            publisher.client.send_rtp(later)
            await healthy.client.receive_rtp()


async def test_a_peer_that_takes_nothing_for_too_long_is_given_up() -> None:
    async with (
        open_stage(tcp=True, tcp_stall_timeout=0.2) as engine,
        join(engine, "sendonly") as publisher,
        join_over_tcp(engine, "recvonly", publisher.peer) as slow,
    ):
        client = tcp_client(slow)
        client.reads = trio.Event()
        publisher.client.send_rtp(VP8_KEYFRAME)
        while slow.peer.stats().remote_address is not None:
            publisher.client.send_rtp(VP8_DELTA + bytes(1000))
            await trio.lowlevel.checkpoint()
        client.reads.set()


# Strangers


@pytest.mark.parametrize(
    ("data", "refusal", "timeout"),
    [
        pytest.param(b"GET / HTTP/1.1\r\n\r\n", "tcp_frame_too_long", NEVER, id="a web browser"),
        pytest.param(b"\x16\x03\x01\x02\x00", "tcp_frame_too_long", NEVER, id="TLS"),
        pytest.param(framed(b"\x16\xfe\xfd" + bytes(20)), "tcp_unproved", NEVER, id="DTLS before a check"),
        pytest.param(framed(b"\x80\x60" + bytes(20)), "tcp_unproved", NEVER, id="RTP before a check"),
        pytest.param(framed(check())[:30], "tcp_unproved", 0.1, id="half a check"),
        pytest.param(framed(check()), "stun_unknown_user", 0.1, id="a check for nobody"),
        pytest.param(b"", "tcp_unproved", 0.1, id="nothing"),
    ],
)
async def test_a_stranger_gets_nothing_and_is_not_kept(data: bytes, refusal: str, timeout: float) -> None:
    with ExitStack() as stack:
        async with open_stage(tcp=True, tcp_check_timeout=timeout) as engine:
            assert await until_ended(stranger(stack, engine, data)) == b""
            assert engine.stats().refused[refusal] == 1


@pytest.mark.parametrize("packet", [b"", b"\0", check()], ids=["empty", "malformed", "for nobody"])
async def test_a_stranger_that_sends_many_small_packets_is_ended(packet: bytes) -> None:
    """Each of them costs as much as a long one, and all media of the server wait meanwhile."""
    with ExitStack() as stack:
        async with open_stage(tcp=True, tcp_check_timeout=NEVER) as engine:
            before = engine.stats().datagrams_received
            assert await until_ended(stranger(stack, engine, 100 * framed(packet))) == b""
            assert engine.stats().datagrams_received - before <= 65


async def test_a_wrong_password_proves_nothing() -> None:
    with ExitStack() as stack:
        async with open_stage(tcp=True, tcp_check_timeout=0.2) as engine, join(engine, "sendonly") as publisher:
            ours = publisher.client.require_answer().ufrag
            sock = stranger(stack, engine, framed(check(f"{ours}:{publisher.client.ufrag}")))
            assert await until_ended(sock) == b""
            assert engine.stats().refused["stun_unauthenticated"] == 1


@pytest.mark.parametrize("setting", ["max_tcp_unproved_per_address", "max_tcp_unproved", "max_tcp_connections"])
async def test_the_oldest_that_has_proved_nothing_makes_room_and_no_peer_does(setting: str) -> None:
    with ExitStack() as stack:
        async with (
            open_stage(tcp=True, tcp_check_timeout=NEVER, **{setting: 2}) as engine,
            join_over_tcp(engine, "sendonly") as publisher,
        ):
            oldest = stranger(stack, engine)
            for _ in range(2):
                stranger(stack, engine)
            assert await until_ended(oldest) == b""
            async with join_over_tcp(engine, "recvonly", publisher.peer) as viewer:
                publisher.client.send_rtp(VP8_KEYFRAME)
                assert (await viewer.client.receive_rtp()).payload == VP8_KEYFRAME


async def test_an_address_makes_room_for_itself_and_others_do_not() -> None:
    with ExitStack() as stack:
        async with open_stage(tcp=True, tcp_check_timeout=NEVER, max_tcp_unproved_per_address=1) as engine:
            other = stranger(stack, engine, source="127.0.0.2")
            first = stranger(stack, engine)
            second = stranger(stack, engine)
            assert await until_ended(first) == b""
            await until(lambda: connections(engine) == 2)
            for sock in (other, second):
                with pytest.raises(BlockingIOError):
                    sock.recv(1)


async def test_without_any_place_a_newcomer_is_refused() -> None:
    with ExitStack() as stack:
        async with (
            open_stage(tcp=True, max_tcp_connections=1) as engine,
            join_over_tcp(engine, "sendonly") as peer,
        ):
            assert await until_ended(stranger(stack, engine)) == b""
            assert engine.stats().refused["tcp_full"] == 1
            peer.client.send_rtp(VP8_KEYFRAME)
            await peer.observer.wait_for("receiving", MediaKind.VIDEO, True)


async def test_a_peer_that_sends_a_frame_that_is_too_long_loses_its_connection_only() -> None:
    async with open_stage(tcp=True) as engine, join_over_tcp(engine, "sendonly") as publisher:
        client = tcp_client(publisher)
        client.stream.send(b"\xff\xff")
        await client.ended.wait()
        client.open_stream()
        client.check()
        await until(partial(is_at, publisher, client.stream))
        publisher.client.send_rtp(VP8_KEYFRAME)
        await publisher.observer.wait_for("receiving", MediaKind.VIDEO, True)


async def test_a_connection_without_checks_ends(mock_clock: MockClock) -> None:
    async with (
        open_stage(tcp=True, tcp_idle_timeout=5.0) as engine,
        join_over_tcp(engine, "sendonly") as publisher,
    ):
        publisher.client.stop_checks()
        await pass_time(mock_clock, 4)
        assert connections(engine) == 1
        await pass_time(mock_clock, 2)
        assert connections(engine) == 0
