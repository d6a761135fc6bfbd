"""One peer's transport over real UDP: checks, handshake, goodbye, silence, and foreign datagrams."""

import errno
import gc
import socket
import sys
import time

import pytest
import trio
import trio.testing
from aioice import stun as reference
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from roomfsm.mediaserver.base.errors import AlreadyNegotiated, EngineFull, PeerClosed, SdpError
from roomfsm.mediaserver.base.kinds import MediaKind
from roomfsm.mediaserver.base.settings import EngineSettings
from roomfsm.mediaserver.dtls.state import DtlsState
from roomfsm.mediaserver.engine import udp
from roomfsm.mediaserver.engine.engine import open_engine
from roomfsm.mediaserver.forwarding.reception import Reception
from roomfsm.mediaserver.forwarding.track import Track
from roomfsm.mediaserver.ice.state import IceState
from roomfsm.mediaserver.rtp import rtcp
from roomfsm.mediaserver.rtp.ring import PacketRing
from tests.mediaserver.observer import RecordingObserver
from tests.mediaserver.peer import VP8_KEYFRAME, open_test_peer
from tests.mediaserver.stage import PATIENCE, join, open_stage

# Connecting


@pytest.mark.parametrize("profile", [b"SRTP_AEAD_AES_128_GCM", b"SRTP_AES128_CM_SHA1_80"])
async def test_a_publisher_connects_step_by_step(profile: bytes) -> None:
    async with open_stage() as engine, join(engine, "sendonly", profiles=[profile]) as publisher:
        local, remote = next(news[1:] for news in publisher.observer.told if news[0] == "pair")
        assert local == f"candidate:1 1 UDP 2130706431 127.0.0.1 {engine.port} typ host"
        assert str(remote).endswith("typ prflx")
        assert [news for news in publisher.observer.told if news[0] != "pair"] == [
            ("ice", IceState.CONNECTING),
            ("ice", IceState.CONNECTED),
            ("ice", IceState.READY),
            ("dtls", DtlsState.CONNECTING),
            ("dtls", DtlsState.CONNECTED),
            ("media", True),
        ]
        publisher.client.send_rtp(VP8_KEYFRAME)
        await publisher.observer.wait_for("receiving", MediaKind.VIDEO, True)
        assert publisher.peer.stats().receiving[MediaKind.VIDEO].packets == 1


async def test_the_candidates_are_gathered_for_each_m_line() -> None:
    async with open_stage() as engine, open_test_peer("sendonly") as client:
        observer = RecordingObserver()
        peer = engine.open_peer(observer)
        answer = peer.process_offer(client.offer)
        line = f"candidate:1 1 UDP 2130706431 127.0.0.1 {engine.port} typ host"
        assert [tuple(item) for item in peer.gather_candidates()] == [(line, "0", 0), (line, "1", 1)]
        assert answer.count(f"a={line}") == 2
        assert observer.told == [("ice", IceState.GATHERING)]


async def test_announced_addresses_are_in_the_candidates() -> None:
    async with open_stage(announced_addresses=("203.0.113.5", "2001:db8::5")) as engine:
        assert [line.split()[4] for line in engine.candidates] == ["203.0.113.5", "2001:db8::5"]


async def test_a_wildcard_host_has_candidates_without_loopback_unless_there_is_nothing_else() -> None:
    async with open_engine(EngineSettings(host="0.0.0.0")) as engine:
        addresses = [line.split()[4] for line in engine.candidates]
        assert addresses
        assert addresses == ["127.0.0.1"] or not any(address.startswith("127.") for address in addresses)


async def test_an_ipv4_browser_reaches_a_dual_stack_socket() -> None:
    settings = EngineSettings(host="::", announced_addresses=("127.0.0.1",))
    with trio.fail_after(PATIENCE):
        async with open_engine(settings) as engine, join(engine, "sendonly") as publisher:
            assert publisher.peer.stats().remote_address == publisher.client.socket.getsockname()
            assert publisher.client.stun_answers[0].attributes["XOR-MAPPED-ADDRESS"] == (
                publisher.client.socket.getsockname()
            )


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6")
async def test_ipv4_and_ipv6_browsers_share_one_port_and_exchange_media() -> None:
    settings = EngineSettings(announced_addresses=("::1", "127.0.0.1"))
    with trio.fail_after(PATIENCE):
        async with (
            open_engine(settings) as engine,
            join(engine, "sendonly", host="::1") as publisher,
            join(engine, "recvonly", publisher.peer, host="::1") as viewer,
        ):
            pair = next(news for news in publisher.observer.told if news[0] == "pair")
            assert [str(line).split()[4] for line in pair[1:]] == ["::1", "::1"]
            assert (
                publisher.client.stun_answers[0].attributes["XOR-MAPPED-ADDRESS"]
                == (publisher.client.socket.getsockname()[:2])
            )
            observer, address = RecordingObserver(), ("127.0.0.1", engine.port)
            async with open_test_peer("recvonly") as client:
                peer = engine.open_peer(observer)
                publisher.peer.connect(peer)
                answer = peer.process_offer(client.offer)
                lines = [line for line in answer.splitlines() if " ::1 " not in line]
                await client.accept("\r\n".join(lines))
                assert client.answer is not None
                assert client.answer.address == address
                await observer.wait_for("media", True)
                pair = next(news for news in observer.told if news[0] == "pair")
                assert [str(line).split()[4] for line in pair[1:]] == ["127.0.0.1", "127.0.0.1"]
                for number in range(4):  # A burst, which goes out in one system call.
                    publisher.client.send_rtp(VP8_KEYFRAME, timestamp=number)
                for receiver in (viewer.client, client):
                    assert [(await receiver.receive_rtp()).timestamp for _ in range(4)] == [0, 1, 2, 3]


@pytest.mark.skipif(sys.platform != "linux", reason="Linux tells")
def test_each_of_several_datagrams_read_together_has_its_time() -> None:
    with udp.bind(EngineSettings(host="127.0.0.1")) as sock:

        def sent() -> tuple[float, float]:
            """The times between which a datagram came."""
            before = time.time()
            sock.sendto(b"x", sock.getsockname())
            return before, time.time()

        def came() -> float:
            sock.recvfrom(10)
            told = udp.arrival_time(sock)
            assert told is not None
            return told

        # From the first question on the times are kept; but where nobody else on this machine asks, Linux begins
        # that in its own time, and until then tells when the datagram was read.
        udp.arrival_time(sock)
        began = time.monotonic()
        while True:
            _, after = sent()
            time.sleep(0.02)
            if came() < after + 0.001:
                break
            assert time.monotonic() < began + 20
        spans = []
        for _ in range(3):
            spans.append(sent())
            time.sleep(0.02)
        for before, after in spans:
            assert before - 0.001 <= came() <= after + 0.001


async def test_without_ipv6_the_default_is_ipv4(monkeypatch: pytest.MonkeyPatch) -> None:
    real = socket.socket

    def without_ipv6(family: int, *arguments: int) -> socket.socket:
        if family == socket.AF_INET6:
            raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")
        return real(family, *arguments)

    monkeypatch.setattr(socket, "socket", without_ipv6)
    with udp.bind(EngineSettings()) as sock:
        assert sock.getsockname()[0] == "0.0.0.0"
    with pytest.raises(OSError, match="not supported"):
        udp.bind(EngineSettings(host="::1"))


async def test_a_browser_candidate_names_the_pair_and_garbage_does_no_harm() -> None:
    async with open_stage() as engine, open_test_peer("sendonly") as client:
        observer = RecordingObserver()
        peer = engine.open_peer(observer)
        peer.add_candidate("candidate:9 1 udp 99 127.0.0.1 1 typ host", "0", 0)
        answer = peer.process_offer(client.offer)
        port = client.socket.getsockname()[1]
        peer.add_candidate("", "", 99)
        peer.add_candidate("garbage", "nothing", -1)
        peer.add_candidate(f"candidate:7 1 udp 99 127.0.0.1 {port} typ host", "0", 0)
        await client.accept(answer)
        remote = next(news[2] for news in observer.told if news[0] == "pair")
        assert remote == f"candidate:7 1 udp 99 127.0.0.1 {port} typ host"


async def test_the_handshake_survives_lost_datagrams() -> None:
    seen = 0

    def lose(datagram: bytes) -> bool:
        """Every first of three DTLS datagrams of the first dozen: for ever it could be the same one each time."""
        nonlocal seen
        if 20 <= datagram[0] <= 63:
            seen += 1
            return seen % 3 == 1 and seen <= 12
        return False

    async with open_stage() as engine, open_test_peer("sendonly") as client:
        client.lose = lose
        observer = RecordingObserver()
        await client.accept(engine.open_peer(observer).process_offer(client.offer))
        await observer.wait_for("media", True)
        assert seen > 7


async def test_we_retransmit_the_handshake_too() -> None:
    lost = trio.Event()

    def lose(datagram: bytes) -> bool:
        """The first ServerHello."""
        if lost.is_set() or datagram[0] != 22 or datagram[13] != 2:
            return False
        lost.set()
        return True

    async with open_stage() as engine, open_test_peer("sendonly") as client:
        client.lose, client.retransmits = lose, False
        await client.accept(engine.open_peer(RecordingObserver()).process_offer(client.offer))
        assert lost.is_set()


# Who is refused


async def test_a_check_with_the_wrong_password_is_not_answered() -> None:
    async with open_stage() as engine, open_test_peer("sendonly") as client:
        observer = RecordingObserver()
        client.take_answer(engine.open_peer(observer).process_offer(client.offer))
        client.check(password="wrong")
        client.check(username="nobody:here")
        client.check()
        await client.stun_answered.wait()
        await observer.wait_for("ice", IceState.READY)
        assert len(client.stun_answers) == 1
        assert engine.stats().refused == {"stun_unauthenticated": 1, "stun_unknown_user": 1}


async def test_a_controlled_agent_is_told_of_the_role_conflict() -> None:
    async with open_stage() as engine, open_test_peer("sendonly") as client:
        client.take_answer(engine.open_peer(RecordingObserver()).process_offer(client.offer))
        assert client.answer is not None
        request = reference.Message(
            reference.Method.BINDING,
            reference.Class.REQUEST,
            attributes={"USERNAME": f"{client.answer.ufrag}:{client.ufrag}", "ICE-CONTROLLED": 1},
        )
        request.add_message_integrity(client.answer.password.encode())
        client.send(bytes(request))
        await client.stun_answered.wait()
        assert client.stun_answers[0].error_code == 487


async def test_a_certificate_other_than_that_of_the_offer_is_refused() -> None:
    async with open_stage() as engine, open_test_peer("sendonly") as client:
        observer = RecordingObserver()
        before, _, rest = client.offer.partition("a=fingerprint:sha-256 ")
        other = client.offer.replace(rest[:95], ":".join(["AA"] * 32))
        assert before + rest != other
        client.take_answer(engine.open_peer(observer).process_offer(other))
        client.check()
        await client.stun_answered.wait()
        client.start_dtls()
        await observer.wait_for("dtls", DtlsState.FAILED)
        assert ("media", True) not in observer.told
        assert engine.stats().refused["dtls_error"] == 1


async def test_a_client_without_a_certificate_is_refused() -> None:
    async with open_stage() as engine, open_test_peer("sendonly", certificate=False) as client:
        observer = RecordingObserver()
        client.take_answer(engine.open_peer(observer).process_offer(client.offer))
        client.check()
        await client.stun_answered.wait()
        client.start_dtls()
        await observer.wait_for("dtls", DtlsState.FAILED)
        await client.failed.wait()


async def test_foreign_datagrams_are_counted_and_the_peer_goes_on() -> None:
    async with open_stage() as engine, join(engine, "sendonly") as publisher:
        client = publisher.client
        for datagram in (
            b"",
            b"\x00",
            bytes(20),
            b"\x16garbage",
            b"\x16\xfe\xfd" + bytes(20),
            b"\x80\x60" + bytes(40),
            b"\x80\xc9" + bytes(40),
            b"\xff" * 1400,
        ):
            client.send(datagram)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            stranger.sendto(b"\x80\x60" + bytes(40), ("127.0.0.1", engine.port))
        client.send_rtp(b"x", payload_type=77)
        client.send_rtcp(b"\x80\xc8\x00\x01" + bytes(4))
        client.send_rtp(VP8_KEYFRAME)
        await publisher.observer.wait_for("receiving", MediaKind.VIDEO, True)
        refused = engine.stats().refused
        assert refused == {
            "stun_malformed": 2,
            "srtp_unauthenticated": 2,
            "unknown_kind": 1,
            "unknown_address": 1,
            "rtp_unknown_payload": 1,
            "rtcp_malformed": 1,
        }


@hypothesis_settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.binary(min_size=1, max_size=200), max_size=20))
def test_no_datagram_ends_the_loop(datagrams: list[bytes]) -> None:
    async def run() -> None:
        async with open_stage() as engine, open_test_peer("sendonly") as client:
            client.take_answer(engine.open_peer(RecordingObserver()).process_offer(client.offer))
            client.check()
            await client.stun_answered.wait()
            for datagram in datagrams:
                client.send(datagram)
            client.stun_answered = trio.Event()
            client.check()
            await client.stun_answered.wait()

    trio.run(run)


# Ends


async def test_close_notify_from_the_browser_ends_its_media_at_once() -> None:
    async with (
        open_stage() as engine,
        join(engine, "sendonly") as publisher,
        join(engine, "recvonly", publisher.peer) as viewer,
    ):
        publisher.client.send_rtp(VP8_KEYFRAME)
        await viewer.client.receive_rtp()
        viewer.client.close_notify()
        await viewer.observer.wait_for("media", False)
        assert viewer.observer.told[-3:] == [
            ("dtls", DtlsState.CLOSED),
            ("sending", MediaKind.VIDEO, False),
            ("media", False),
        ]
        sent = engine.stats().packets_sent
        publisher.client.send_rtp(VP8_KEYFRAME, timestamp=3000)
        while publisher.peer.stats().receiving[MediaKind.VIDEO].packets < 2:
            await trio.lowlevel.checkpoint()
        assert engine.stats().packets_sent == sent


async def test_close_says_goodbye_and_forgets_the_peer() -> None:
    async with open_stage() as engine, join(engine, "sendonly") as publisher:
        told = list(publisher.observer.told)
        publisher.peer.close()
        publisher.peer.close()
        await publisher.client.closed.wait()
        assert engine.peers == 0
        assert publisher.observer.told == told
        assert (engine.by_address, engine.by_ufrag) == ({}, {})
        with pytest.raises(PeerClosed):
            publisher.peer.stats()


async def test_the_packets_of_a_closed_peer_are_freed_at_once() -> None:
    """Otherwise it would wait for the garbage collector, and with many joins the memory would grow."""

    def living() -> int:
        return sum(isinstance(item, Reception | PacketRing | Track) for item in gc.get_objects())

    gc.collect()
    gc.disable()
    try:
        async with open_stage() as engine, join(engine, "sendonly") as publisher:
            before = living()
            async with join(engine, "sendrecv", publisher.peer) as viewer:
                viewer.client.send_rtp(VP8_KEYFRAME)
                await viewer.observer.wait_for("receiving", MediaKind.VIDEO, True)
                # Two tracks, each with its ring, and what was received of one.
                assert living() == before + 5
                viewer.peer.close()
            assert living() == before
    finally:
        gc.enable()


async def test_leaving_the_engine_says_goodbye_to_all() -> None:
    async with open_test_peer("sendonly") as client:
        async with open_stage() as engine:
            await client.accept(engine.open_peer(RecordingObserver()).process_offer(client.offer))
        with trio.fail_after(60):
            await client.closed.wait()


async def test_a_silent_peer_is_noticed_and_may_come_back() -> None:
    async with (
        open_stage(peer_silence=0.5, report_interval=0.1) as engine,
        join(engine, "recvonly") as viewer,
    ):
        viewer.client.stop_checks()
        await viewer.observer.wait_for("media", False)
        assert viewer.observer.told[-2:] == [("ice", IceState.DISCONNECTED), ("media", False)]
        del viewer.observer.told[:]
        viewer.client.check()
        await viewer.observer.wait_for("media", True)
        assert ("ice", IceState.READY) in viewer.observer.told


async def test_a_peer_that_never_comes_has_failed() -> None:
    async with (
        open_stage(connect_timeout=0.2, report_interval=0.05) as engine,
        open_test_peer("sendonly") as client,
    ):
        observer = RecordingObserver()
        engine.open_peer(observer).process_offer(client.offer)
        await observer.wait_for("ice", IceState.FAILED)


async def test_media_follow_a_peer_whose_address_changes() -> None:
    async with (
        open_stage() as engine,
        join(engine, "sendonly") as publisher,
        join(engine, "recvonly", publisher.peer) as viewer,
        open_test_peer("recvonly") as elsewhere,
    ):
        publisher.client.send_rtp(VP8_KEYFRAME)
        await viewer.client.receive_rtp()
        del viewer.observer.told[:]
        elsewhere.take_answer(str(viewer.peer.local_description))
        viewer.client.stop_checks()
        elsewhere.ufrag = viewer.client.ufrag
        elsewhere.check()
        await elsewhere.stun_answered.wait()
        came = trio.Event()
        elsewhere.tap = lambda _: came.set()
        publisher.client.send_rtp(VP8_KEYFRAME, timestamp=3000)
        await came.wait()
        assert viewer.peer.stats().remote_address == elsewhere.socket.getsockname()
        assert [news[0] for news in viewer.observer.told] == ["pair"]


# Limits and order of calls


async def test_one_peer_more_than_max_peers_is_refused() -> None:
    async with open_stage(max_peers=2) as engine:
        first = engine.open_peer(RecordingObserver())
        engine.open_peer(RecordingObserver())
        with pytest.raises(EngineFull):
            engine.open_peer(RecordingObserver())
        first.close()
        engine.open_peer(RecordingObserver())


async def test_an_offer_of_max_sdp_characters_is_read_and_one_more_is_not() -> None:
    async with open_stage(max_sdp=1000) as engine:
        peer = engine.open_peer(RecordingObserver())
        with pytest.raises(SdpError, match="longer than 1000"):
            peer.process_offer("v=0\n" + " " * 997)
        peer.process_offer("v=0\n" + " " * 996)


async def test_an_offer_is_answered_once_and_after_a_bad_one_another_may_come() -> None:
    async with open_stage() as engine, open_test_peer("sendonly") as client:
        peer = engine.open_peer(RecordingObserver())
        with pytest.raises(SdpError):
            peer.process_offer("garbage")
        answer = peer.process_offer(client.offer)
        descriptions = (peer.remote_description, peer.local_description)
        assert descriptions == (client.offer, answer)
        with pytest.raises(AlreadyNegotiated):
            peer.process_offer(client.offer)


async def test_an_offer_of_only_v_0_locks_the_peer() -> None:
    async with open_stage() as engine:
        peer = engine.open_peer(RecordingObserver())
        assert "m=" not in peer.process_offer("v=0")
        with pytest.raises(AlreadyNegotiated):
            peer.process_offer("v=0")


@pytest.mark.parametrize("limit", ["min_video_receive_bandwidth", "max_video_receive_bandwidth"])
async def test_a_bandwidth_below_0_is_no_limit(limit: str) -> None:
    """It would not fit into a REMB, and an exception there would end everybody's media."""
    async with open_stage(report_interval=0.1) as engine, open_test_peer("sendonly") as client:
        peer = engine.open_peer(RecordingObserver())
        setattr(peer, limit, -1)
        answer = peer.process_offer(client.offer)
        assert "b=AS" not in answer
        await client.accept(answer)
        for _ in range(3):
            client.send_rtp(VP8_KEYFRAME)
        assert (await client.receive_feedback(rtcp.Remb)).bitrate == engine.settings.max_receive_bitrate


async def test_reports_come_while_media_flow() -> None:
    async with open_stage(report_interval=0.1) as engine, join(engine, "sendonly") as publisher:
        publisher.peer.max_video_receive_bandwidth = 900
        for _ in range(3):
            publisher.client.send_rtp(VP8_KEYFRAME)
        remb = await publisher.client.receive_feedback(rtcp.Remb)
        assert remb.ssrcs == (2222,)
        assert 890_000 < remb.bitrate <= 900_000
