"""Given a peer whose network has changed, when it restarts ICE, then the same media go on over a new path.

RFC 8445 section 9 and RFC 8839 section 4.4.1.1.1; DTLS and SRTP are not begun anew (RFC 8842).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress

import pytest
import trio

from roomfsm.mediaserver.base.errors import AlreadyNegotiated
from roomfsm.mediaserver.base.settings import EngineSettings
from roomfsm.mediaserver.sdp.description import Offer, parse_offer
from roomfsm.mediaserver.workers.workers import open_workers
from tests.mediaserver.observer import RecordingObserver
from tests.mediaserver.peer import VP8_KEYFRAME, open_test_peer
from tests.mediaserver.stage import PATIENCE, Joined, join, open_stage


async def moves(joined: Joined) -> None:
    """Go to another port, and restart ICE from there."""
    joined.client.move()
    await restarts(joined)


async def restarts(joined: Joined) -> None:
    joined.client.take_answer(joined.peer.process_offer(joined.client.restart()))
    await joined.client.reach()


def dtls_news(joined: Joined) -> int:
    return sum(news[0] == "dtls" for news in joined.observer.told)


async def test_media_go_on_in_both_directions_after_either_side_has_moved() -> None:
    async with (
        open_stage(report_interval=PATIENCE) as engine,
        join(engine, "sendonly") as publisher,
        join(engine, "recvonly", publisher.peer) as viewer,
    ):
        publisher.client.send_rtp(VP8_KEYFRAME)
        await viewer.client.receive_rtp()
        before = dtls_news(publisher), dtls_news(viewer)
        for moved in (publisher, viewer, publisher):
            await moves(moved)
            assert moved.peer.stats().remote_address == moved.client.socket.getsockname()
            publisher.client.send_rtp(VP8_KEYFRAME)
            assert (await viewer.client.receive_rtp()).payload == VP8_KEYFRAME
        assert (dtls_news(publisher), dtls_news(viewer)) == before


async def test_with_workers_as_well() -> None:
    with trio.fail_after(PATIENCE):
        async with (
            open_workers(EngineSettings(host="127.0.0.1"), 2) as workers,
            join(workers, "sendonly") as publisher,
            join(workers, "recvonly", publisher.peer) as viewer,
        ):
            for moved in (publisher, viewer):
                await moves(moved)
                publisher.client.send_rtp(VP8_KEYFRAME)
                assert (await viewer.client.receive_rtp()).payload == VP8_KEYFRAME


async def test_the_old_path_is_good_until_the_new_credentials_are_used() -> None:
    """The answer to a restart may never reach the browser."""
    async with open_stage() as engine, join(engine, "sendonly") as publisher:
        client = publisher.client
        lost = publisher.peer.process_offer(client.restart())
        await client.reach()
        answer = publisher.peer.process_offer(client.restart())
        # The credentials of the lost answer are no longer valid, and those of the first one still are.
        assert len(engine.by_ufrag) == 2
        await client.reach()
        client.take_answer(answer)
        client.stun_answered = trio.Event()
        await client.reach()
        assert len(engine.by_ufrag) == 1
        assert lost != answer


async def test_however_often_it_is_restarted_nothing_is_left_of_it() -> None:
    async with open_stage() as engine:
        async with join(engine, "sendonly") as publisher:
            for _ in range(20):
                publisher.peer.process_offer(publisher.client.restart())
            for _ in range(3):
                await moves(publisher)
            publisher.peer.process_offer(publisher.client.restart())
            publisher.peer.close()
        assert engine.by_ufrag == {}
        assert engine.by_address == {}


async def test_of_a_restart_only_the_new_offer_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first offer may be long, and reading it again would keep everybody else waiting."""
    async with open_stage() as engine, join(engine, "sendonly") as publisher:
        read: list[str] = []

        def parse_and_note(text: str) -> Offer:
            read.append(text)
            return parse_offer(text)

        monkeypatch.setattr("roomfsm.mediaserver.engine.peer.parse_offer", parse_and_note)
        for again in ("v=0", "no offer", publisher.client.restart(), publisher.client.restart()):
            with suppress(AlreadyNegotiated):
                publisher.peer.process_offer(again)
            assert read == [again]
            read.clear()


async def test_the_answer_differs_only_in_its_credentials_and_its_version() -> None:
    async with open_stage() as engine, open_test_peer("sendrecv") as client:
        peer = engine.open_peer(RecordingObserver())
        first = peer.process_offer(client.offer)
        second = peer.process_offer(client.restart())
        pairs = [(a, b) for a, b in zip(first.split("\r\n"), second.split("\r\n"), strict=True) if a != b]
        assert [a.partition(":")[0] for a, _ in pairs if a.startswith("a=")] == ["a=ice-ufrag", "a=ice-pwd"] * 2
        (origin,) = [(a.split(), b.split()) for a, b in pairs if not a.startswith("a=")]
        assert origin[0][1] == origin[1][1]
        assert int(origin[1][2]) == int(origin[0][2]) + 1
        assert (peer.remote_description, peer.local_description) == (client.offer, second)


@pytest.mark.parametrize(
    "change",
    [
        lambda sdp: sdp.replace("a=fingerprint:sha-256 ", "a=fingerprint:sha-256 00")[:-2],
        lambda sdp: re.sub(r"(a=fingerprint:sha-256) ..", r"\1 00", sdp),
        lambda sdp: sdp.replace("a=sendonly", "a=sendrecv"),
        lambda sdp: sdp.replace("a=rtpmap:96 VP8/90000", "a=rtpmap:96 H264/90000"),
        lambda sdp: sdp.replace("a=mid:1", "a=mid:2"),
        lambda sdp: sdp.replace("m=video 9", "m=video 0"),
        lambda sdp: sdp[: sdp.index("m=video")].replace("BUNDLE 0 1", "BUNDLE 0"),
        lambda sdp: sdp.replace("a=ice-pwd", "a=other"),
        lambda sdp: sdp + "\r\nnot a line",
        lambda sdp: "v=0",
        lambda sdp: "",
        lambda sdp: sdp + " " * 300_000,
    ],
    ids=[
        "broken fingerprint",
        "certificate",
        "direction",
        "codec",
        "mid",
        "disabled",
        "m-line",
        "no password",
        "garbage",
        "v=0",
        "empty",
        "long",
    ],
)
async def test_an_offer_that_changes_more_is_refused_and_the_peer_goes_on(change: Callable[[str], str]) -> None:
    async with (
        open_stage() as engine,
        join(engine, "sendonly") as publisher,
        join(engine, "recvonly", publisher.peer) as viewer,
    ):
        first, again = publisher.client.offer, publisher.client.restart()
        for offer in (change(again), first):
            with pytest.raises(AlreadyNegotiated):
                publisher.peer.process_offer(offer)
        await publisher.client.reach()
        publisher.client.send_rtp(VP8_KEYFRAME)
        assert (await viewer.client.receive_rtp()).payload == VP8_KEYFRAME
        await restarts(publisher)


async def test_a_peer_that_answered_our_offer_cannot_restart_with_an_offer_of_its_own() -> None:
    async with open_stage() as engine, open_test_peer("sendonly") as client:
        peer = engine.open_peer(RecordingObserver())
        peer.generate_offer()
        with pytest.raises(AlreadyNegotiated):
            peer.process_offer(client.offer)
