"""Given two media servers, when one answers the other's offer, then it checks it, and media go over the link.

Both are ICE-lite towards browsers. Towards a lite agent the one that answers is full (RFC 8445 section 6.1.1).
"""

from __future__ import annotations

import errno
import re
import socket

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from roomfsm.mediaserver.base.errors import AlreadyNegotiated, SdpError
from roomfsm.mediaserver.base.settings import EngineSettings
from roomfsm.mediaserver.dtls.state import DtlsState
from roomfsm.mediaserver.engine import udp
from roomfsm.mediaserver.engine.engine import open_engine
from roomfsm.mediaserver.engine.port import Port
from roomfsm.mediaserver.ice.state import IceState
from roomfsm.mediaserver.sdp.description import Direction
from roomfsm.mediaserver.workers.worker_peer import WorkerPeer
from roomfsm.mediaserver.workers.workers import open_workers
from roomfsm.peer import AUDIO_SSRC
from tests.mediaserver.links import linked, open_link
from tests.mediaserver.observer import RecordingObserver
from tests.mediaserver.peer import OPUS, VP8_KEYFRAME
from tests.mediaserver.stage import PATIENCE, join, open_stage

NOWHERE = "a=candidate:9 1 UDP 2130706431 127.0.0.1 9 typ host"


def events(observer: RecordingObserver) -> list[tuple[object, ...]]:
    return [news for news in observer.told if news[0] != "pair"]


# Connecting


async def test_both_ends_report_what_they_report_about_a_browser() -> None:
    async with open_stage() as parent, open_stage() as child, linked(parent, child) as link:
        for observer in (link.parent_observer, link.child_observer):
            await observer.wait_for("ice", IceState.READY)
        expected = [
            ("ice", IceState.CONNECTING),
            ("ice", IceState.CONNECTED),
            ("ice", IceState.READY),
            ("dtls", DtlsState.CONNECTING),
            ("dtls", DtlsState.CONNECTED),
            ("media", True),
        ]
        for observer in (link.parent_observer, link.child_observer):
            assert sorted(map(str, events(observer))) == sorted(map(str, expected))
        local, remote = next(news[1:] for news in link.child_observer.told if news[0] == "pair")
        assert str(local).endswith("typ prflx")
        assert remote == parent.candidates[0]


async def test_sound_and_pictures_go_over_several_links_between_the_same_two_servers() -> None:
    """All links have the same address at the parent, so each has an address of its own at the child."""
    async with (
        open_stage() as parent,
        open_stage() as child,
        join(parent, "sendonly") as ada,
        join(parent, "sendonly") as ben,
        linked(parent, child, ada.peer) as one,
        linked(parent, child, ben.peer) as two,
        join(child, "recvonly", one.child) as of_ada,
        join(child, "recvonly", two.child) as of_ben,
    ):
        for publisher, viewer in ((ada, of_ada), (ben, of_ben)):
            payload = VP8_KEYFRAME + publisher.client.candidate.encode()
            publisher.client.send_rtp(payload)
            assert (await viewer.client.receive_rtp()).payload == payload
            publisher.client.send_rtp(OPUS, ssrc=AUDIO_SSRC)
            assert (await viewer.client.receive_rtp()).payload == OPUS


async def test_media_go_both_ways_over_one_link() -> None:
    async with (
        open_stage() as parent,
        open_stage() as child,
        join(parent, "sendonly") as ada,
        join(child, "sendonly") as ben,
        linked(parent, child, ada.peer, direction=Direction.SENDRECV) as link,
        join(child, "recvonly", link.child) as of_ada,
        join(parent, "recvonly", link.parent) as of_ben,
    ):
        ben.peer.connect(link.child)
        for publisher, viewer in ((ada, of_ada), (ben, of_ben)):
            for number in range(4):  # A burst, which goes out in one system call.
                publisher.client.send_rtp(VP8_KEYFRAME, timestamp=number)
            assert [(await viewer.client.receive_rtp()).timestamp for _ in range(4)] == [0, 1, 2, 3]


async def test_a_chain_of_three() -> None:
    async with (
        open_stage() as first,
        open_stage() as second,
        open_stage() as third,
        join(first, "sendonly") as ada,
        linked(first, second, ada.peer) as one,
        linked(second, third, one.child) as two,
        join(third, "recvonly", two.child) as viewer,
    ):
        ada.client.send_rtp(VP8_KEYFRAME)
        assert (await viewer.client.receive_rtp()).payload == VP8_KEYFRAME


async def test_from_one_worker_to_another() -> None:
    with trio.fail_after(PATIENCE):
        async with (
            open_workers(EngineSettings(host="127.0.0.1"), 2) as workers,
            join(workers, "sendonly") as ada,
            linked(workers, workers, ada.peer) as link,
            join(workers, "recvonly", link.child) as viewer,
            join(workers, "recvonly", link.child) as other,
        ):
            assert len({peer.worker for peer in (link.parent, link.child) if isinstance(peer, WorkerPeer)}) == 2
            ada.client.send_rtp(VP8_KEYFRAME)
            for one in (viewer, other):
                assert (await one.client.receive_rtp()).payload == VP8_KEYFRAME


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6")
@pytest.mark.parametrize(("host", "address"), [("::", "::1"), ("::", "127.0.0.1"), ("0.0.0.0", "127.0.0.1")])
async def test_the_candidate_that_can_be_reached_is_used(host: str, address: str) -> None:
    unreachable = [f"a=candidate:9 1 UDP 2130706431 {host} 9 typ host\r\n" for host in ("::1", "127.0.0.1", "::")]
    with trio.fail_after(PATIENCE):
        async with (
            open_engine(EngineSettings(announced_addresses=(address,))) as parent,
            open_engine(EngineSettings(host=host)) as child,
            linked(parent, child, way=lambda offer: offer + "".join(unreachable)) as link,
        ):
            assert link.child.stats().remote_address == (address, parent.port)


async def test_candidates_may_come_after_the_offer() -> None:
    async with open_stage() as parent, open_stage() as child:
        link = open_link(parent, child, way=lambda offer: re.sub("a=candidate[^\r]*\r\n", "", offer))
        for candidate, mid, index in link.parent.gather_candidates():
            link.child.add_candidate(candidate, mid, index)
        await link.child_observer.wait_for("media", True)
        assert link.child.gather_candidates() == []


async def test_a_check_that_is_lost_is_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_stage() as parent, open_stage(check_retry=0.01) as child:
        lost: list[bytes] = []
        receive = Port._receive_stun

        def lose_some(self: Port, datagram: bytes, *arguments: object) -> None:
            if self is parent and len(lost) < 3:
                lost.append(datagram)
            else:
                receive(self, datagram, *arguments)  # type: ignore[arg-type]  # as they came

        monkeypatch.setattr(Port, "_receive_stun", lose_some)
        async with linked(parent, child):
            assert lost == lost[:1] * 3


# Not connecting


async def test_without_an_answer_the_link_fails_as_with_a_browser() -> None:
    async with open_stage() as parent, open_stage(connect_timeout=0.2, report_interval=0.1) as child:
        link = open_link(parent, child, way=lambda offer: re.sub("a=candidate[^\r]*", NOWHERE, offer))
        await link.child_observer.wait_for("ice", IceState.FAILED)


async def test_without_a_port_the_link_fails_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_stage() as parent, open_stage() as child:

        def refuse(settings: EngineSettings) -> socket.socket:
            raise OSError(errno.EMFILE, "Too many open files")

        monkeypatch.setattr(udp, "bind", refuse)
        link = open_link(parent, child)
        assert link.child_observer.told == [("ice", IceState.FAILED)]
        link.child.close()


async def test_an_answer_of_a_lite_agent_is_refused() -> None:
    """We are lite in our offer, so only the other side can be full."""
    async with open_stage() as parent, open_stage() as child:
        offering, answering = parent.open_peer(RecordingObserver()), child.open_peer(RecordingObserver())
        answer = answering.process_offer(offering.generate_offer())
        assert "a=ice-lite" not in answer
        assert "a=candidate" not in answer
        lite = answer.replace("s=-\r\n", "s=-\r\na=ice-lite\r\n")
        with pytest.raises(SdpError, match=r"line \d+ \(a=ice-lite\): this server is ICE-lite, too"):
            offering.process_answer(lite)
        offering.process_answer(answer)


async def test_a_link_is_not_restarted() -> None:
    async with open_stage() as parent, open_stage() as child, linked(parent, child) as link:
        offer = link.parent.local_description
        assert offer is not None
        again = re.sub(r"(a=ice-(?:ufrag|pwd):)\w{4}", r"\1----", offer)
        with pytest.raises(AlreadyNegotiated):
            link.child.process_offer(again)


# Ends


@pytest.mark.parametrize("end", ["parent", "child"])
async def test_when_one_end_is_closed_the_other_knows_at_once(end: str) -> None:
    async with open_stage() as parent, open_stage() as child, linked(parent, child) as link:
        closed, other = (
            (link.parent, link.child_observer) if end == "parent" else (link.child, link.parent_observer)
        )
        closed.close()
        await other.wait_for("dtls", DtlsState.CLOSED)
        await other.wait_for("media", False)


async def pass_time(clock: MockClock, seconds: float) -> None:
    """Let time pass in steps, and let everybody do what is due after each."""
    for _ in range(int(2 * seconds)):
        clock.jump(0.5)
        await wait_all_tasks_blocked(0.001)


async def test_a_link_without_media_stays_until_one_end_is_silent(
    monkeypatch: pytest.MonkeyPatch, mock_clock: MockClock
) -> None:
    """Asks for consent are the only sign of life in both directions."""
    async with open_stage() as parent, open_stage() as child, linked(parent, child) as link:
        ends = (link.parent_observer, link.child_observer)
        await pass_time(mock_clock, 30)
        assert all(("media", False) not in observer.told for observer in ends)
        with monkeypatch.context() as silent:
            silent.setattr(Port, "_receive_stun", lambda *_: None)
            await pass_time(mock_clock, 5)
            assert all(("media", False) not in observer.told for observer in ends)
            await pass_time(mock_clock, 6)
            for observer in ends:
                assert observer.told[-2:] == [("ice", IceState.DISCONNECTED), ("media", False)]
        await pass_time(mock_clock, 3)
        assert all(observer.told[-2:] == [("media", True), ("ice", IceState.READY)] for observer in ends)


async def test_the_child_asks_before_it_counts_a_silence(mock_clock: MockClock) -> None:
    """A process that did not run for a while has asked nothing, so it has been told nothing."""
    async with open_stage() as parent, open_stage() as child, linked(parent, child) as link:
        await pass_time(mock_clock, 3)
        for seconds in (15, 0.5, 0.5, 0.5):  # The engine leaves out the round after a pause.
            mock_clock.jump(seconds)
            await wait_all_tasks_blocked(0.001)
        assert ("media", False) not in link.child_observer.told


async def test_nothing_is_left_of_a_link() -> None:
    async with open_stage() as parent, open_stage() as child:
        async with linked(parent, child) as link:
            transport = link.child._transports[0].transport
            sock = transport.own_socket
            assert isinstance(sock, socket.socket)
            link.child.close()
            link.parent.close()
        while sock.fileno() >= 0:
            await trio.lowlevel.checkpoint()
        for engine in (parent, child):
            assert (engine.by_ufrag, engine.by_address, engine.handshaking) == ({}, {}, set())
