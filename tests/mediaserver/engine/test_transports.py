"""Peers whose m-lines are not bundled and have transports of their own, and the reports when DTLS fails."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
import structlog
import trio
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from roomfsm.mediaserver.base.kinds import MediaKind
from roomfsm.mediaserver.dtls.session import HASHES, DtlsError, DtlsIdentity, DtlsSession
from roomfsm.mediaserver.dtls.state import DtlsState
from roomfsm.mediaserver.engine.engine import Engine, Peer
from roomfsm.mediaserver.ice.state import IceState
from roomfsm.mediaserver.workers.workers import Workers
from roomfsm.peer import AUDIO_SSRC
from tests.mediaserver.kurento_client import open_client, open_server
from tests.mediaserver.observer import RecordingObserver
from tests.mediaserver.peer import OPUS, VP8_KEYFRAME, TestPeer, open_test_peer
from tests.mediaserver.sdp.sdp_variants import OTHER_FINGERPRINT
from tests.mediaserver.stage import PATIENCE, join, open_stage, until_received
from tests.mediaserver.workers.test_workers import open_two


@dataclass(frozen=True, slots=True)
class Unbundled:
    """One peer of the engine, for whose audio and video there is a client each."""

    audio: TestPeer
    video: TestPeer
    peer: Peer
    observer: RecordingObserver


def sections(description: str) -> list[str]:
    """The session's lines, then those of each m-line."""
    return re.split(r"(?m)^(?=m=)", description)


@asynccontextmanager
async def join_unbundled(
    engine: Engine | Workers, direction: str, source: Peer | None = None, setup: str = "actpass"
) -> AsyncIterator[Unbundled]:
    """Two clients as the two transports of one peer."""
    observer = RecordingObserver()
    peer = engine.open_peer(observer)
    if source is not None:
        source.connect(peer)
    async with open_test_peer(direction) as audio, open_test_peer(direction) as video:
        offer = "v=0\r\n" + sections(audio.offer)[1] + sections(video.offer)[2]
        answer = peer.process_offer(offer.replace("setup:actpass", f"setup:{setup}"))
        session, *parts = sections(answer)
        for client, part in zip((audio, video), parts, strict=True):
            client.take_answer(session + part)
            await client.connect()
        await observer.wait_for("media", True)
        yield Unbundled(audio, video, peer, observer)
        assert audio.refused == video.refused == 0


@pytest.mark.parametrize("setup", ["actpass", "passive"])
async def test_both_kinds_of_a_publisher_without_bundle_are_forwarded(setup: str) -> None:
    async with (
        open_stage() as engine,
        join_unbundled(engine, "sendonly", setup=setup) as publisher,
        join(engine, "recvonly", publisher.peer) as viewer,
    ):
        publisher.video.send_rtp(VP8_KEYFRAME)
        assert (await viewer.client.receive_rtp()).payload == VP8_KEYFRAME
        publisher.audio.send_rtp(OPUS, ssrc=AUDIO_SSRC)
        assert (await viewer.client.receive_rtp()).payload == OPUS
        # What is told about each kind goes the way on which it came.
        viewer.client.send_rtcp(b"\x81\xce\0\2" + bytes(4) + engine.ssrcs[MediaKind.VIDEO].to_bytes(4))
        assert (await publisher.video.receive_rtcp())[1] == 201
        assert (await publisher.audio.receive_rtcp())[1] == 201


async def test_a_viewer_without_bundle_gets_each_kind_on_its_own_transport() -> None:
    async with (
        open_stage() as engine,
        join(engine, "sendonly") as publisher,
        join_unbundled(engine, "recvonly", publisher.peer) as viewer,
    ):
        publisher.client.send_rtp(VP8_KEYFRAME)
        assert (await viewer.video.receive_rtp()).payload == VP8_KEYFRAME
        publisher.client.send_rtp(OPUS, ssrc=AUDIO_SSRC)
        assert (await viewer.audio.receive_rtp()).payload == OPUS
        assert not viewer.video.received_rtp()


async def test_without_bundle_a_payload_type_may_mean_two_things() -> None:
    async with open_stage() as engine:
        observer = RecordingObserver()
        peer = engine.open_peer(observer)
        async with open_test_peer("sendonly") as audio, open_test_peer("sendonly") as video:
            offer = "v=0\r\n" + sections(audio.offer)[1].replace("111", "96") + sections(video.offer)[2]
            session, *parts = sections(peer.process_offer(offer))
            for client, part in zip((audio, video), parts, strict=True):
                client.take_answer(session + part)
                await client.connect()
            audio.send_rtp(OPUS, ssrc=AUDIO_SSRC, payload_type=96)
            video.send_rtp(VP8_KEYFRAME, payload_type=96)
            for kind in MediaKind:
                await until_received(peer, kind, 1)


async def test_of_two_transports_the_state_of_the_slower_one_is_told() -> None:
    async with open_stage() as engine, open_test_peer("sendonly") as audio, open_test_peer("sendonly") as video:
        observer = RecordingObserver()
        peer = engine.open_peer(observer)
        session, *parts = sections(
            peer.process_offer("v=0\r\n" + sections(audio.offer)[1] + sections(video.offer)[2])
        )
        audio.take_answer(session + parts[0])
        await audio.connect()
        audio.send_rtp(OPUS, ssrc=AUDIO_SSRC)
        await observer.wait_for("receiving", MediaKind.AUDIO, True)
        assert ("ice", IceState.CONNECTED) not in observer.told
        assert ("dtls", DtlsState.CONNECTED) not in observer.told
        assert ("media", True) not in observer.told
        video.take_answer(session + parts[1])
        await video.connect()
        await observer.wait_for("media", True)
        assert [news for news in observer.told if news[0] in ("ice", "dtls")][-1] == ("dtls", DtlsState.CONNECTED)
        assert peer.stats().ice_state is IceState.READY
        video.close_notify()
        await observer.wait_for("media", False)
        assert peer.stats().dtls_state is DtlsState.CLOSED


async def test_a_peer_on_a_worker_can_have_two_transports_too() -> None:
    async with (
        open_two() as workers,
        join_unbundled(workers, "sendonly") as publisher,
        join_unbundled(workers, "recvonly", publisher.peer) as viewer,
    ):
        publisher.audio.send_rtp(OPUS, ssrc=AUDIO_SSRC)
        assert (await viewer.audio.receive_rtp()).payload == OPUS
        while not (packets := viewer.video.received_rtp()):
            publisher.video.send_rtp(VP8_KEYFRAME)
            await trio.sleep(0.01)
        assert packets[0].payload == VP8_KEYFRAME


async def test_an_answer_without_bundle_to_our_offer_gives_two_transports() -> None:
    async with (
        open_stage() as engine,
        join(engine, "sendonly") as publisher,
        open_test_peer("recvonly") as audio,
        open_test_peer("recvonly") as video,
    ):
        observer = RecordingObserver()
        peer = engine.open_peer(observer)
        publisher.peer.connect(peer)
        session, *parts = sections(peer.generate_offer())
        theirs = "v=0\r\n" + sections(audio.offer)[1] + sections(video.offer)[2]
        peer.process_answer(theirs.replace("setup:actpass", "setup:active"))
        for client, part in zip((audio, video), parts, strict=True):
            client.take_answer(session + part)
            await client.connect()
        await observer.wait_for("media", True)
        publisher.client.send_rtp(VP8_KEYFRAME)
        assert (await video.receive_rtp()).payload == VP8_KEYFRAME


# Fingerprints


@pytest.mark.parametrize("function", HASHES)
def test_one_known_hash_function_among_the_fingerprints_is_enough(function: str) -> None:
    ours, theirs = DtlsIdentity(), DtlsIdentity()
    certificate = x509.load_der_x509_certificate(certificate_of(theirs))
    right = (function, certificate.fingerprint(HASHES[function]))
    others = [(name, bytes(algorithm.digest_size)) for name, algorithm in HASHES.items()]
    server = DtlsSession(ours, [*others, right, *others])
    client = DtlsSession(theirs, [("sha-256", x509_digest(ours))], client=True)
    shake_hands(client, server)
    assert server.state is client.state is DtlsState.CONNECTED
    server = DtlsSession(ours, others)
    client = DtlsSession(theirs, [("sha-256", x509_digest(ours))], client=True)
    with pytest.raises(DtlsError, match="has none of the fingerprints in its description"):
        shake_hands(client, server)
    assert server.state is DtlsState.FAILED


def certificate_of(identity: DtlsIdentity) -> bytes:
    certificate = identity.connection(client=False).get_certificate(as_cryptography=True)
    assert certificate is not None
    return certificate.public_bytes(Encoding.DER)


def x509_digest(identity: DtlsIdentity) -> bytes:
    return x509.load_der_x509_certificate(certificate_of(identity)).fingerprint(hashes.SHA256())


def shake_hands(client: DtlsSession, server: DtlsSession) -> None:
    flight, receiver, other = client.begin(), server, client
    while flight:
        flight = [answer for datagram in flight for answer in receiver.receive(datagram)]
        receiver, other = other, receiver


async def test_a_certificate_with_a_wrong_fingerprint_is_reported_and_logged() -> None:
    with trio.fail_after(PATIENCE), structlog.testing.capture_logs() as logs:
        async with open_server() as server, open_client(server.url) as client, open_test_peer("sendonly") as peer:
            endpoint = await client.endpoint(await client.pipeline())
            for type_ in ("Error", "DtlsConnectionStateChange"):
                await client.call("subscribe", object=endpoint, type=type_)
            offer = re.sub("a=fingerprint[^\r]*", OTHER_FINGERPRINT, peer.offer)
            peer.take_answer(await client.invoke(endpoint, "processOffer", offer=offer))
            await peer.reach()
            peer.start_dtls()
            error = await client.event("Error", type="STREAM_ERROR_DECRYPT")
            assert "has none of the fingerprints in its description" in error["description"]
            await client.event("DtlsConnectionStateChange", state="FAILED")
    (line,) = [entry for entry in logs if entry["event"] == "handshake failed"]
    assert line["endpoint"] == endpoint
    assert line["reason"] == error["description"]
