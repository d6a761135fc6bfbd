"""Neither a participant with a valid session nor a stranger with forged addresses can harm the media server."""

import gc
import hashlib
import re
import socket
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import trio
from aioice import stun as reference
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from OpenSSL import SSL, crypto

from roomfsm.mediaserver.base.kinds import MediaKind
from roomfsm.mediaserver.dtls import srtp
from roomfsm.mediaserver.dtls.session import MAX_HANDSHAKE
from roomfsm.mediaserver.dtls.state import DtlsState
from roomfsm.mediaserver.engine.engine import Engine
from roomfsm.mediaserver.ice.state import IceState
from roomfsm.mediaserver.rtp import rtcp
from tests.fuzz.dtls_client import make_certificate, make_context
from tests.mediaserver.observer import RecordingObserver
from tests.mediaserver.peer import VP8_DELTA, VP8_KEYFRAME, TestPeer, open_test_peer
from tests.mediaserver.stage import Joined, join, open_stage


async def check_until_answered(client: TestPeer) -> None:
    client.check()
    await client.stun_answered.wait()


async def settled(joined: Joined) -> None:
    """Wait until the server has read everything from this client. The answer to a check comes last."""
    joined.client.stun_answered = trio.Event()
    await check_until_answered(joined.client)


# Certificates and handshakes


def become(client: TestPeer, context: SSL.Context, digest: bytes) -> None:
    """Give a test peer another DTLS context, and its offer the certificate's SHA-256."""
    client._context = context
    client.offer = re.sub("(?<=a=fingerprint:sha-256 )[0-9A-F:]+", digest.hex(":").upper(), client.offer)


@pytest.mark.filterwarnings("ignore:Passing pyOpenSSL X509:DeprecationWarning")
async def test_a_certificate_that_no_library_can_read_is_only_compared() -> None:
    """OpenSSL accepts X.509 version 2, but reading it raises. One page could end the media of everybody."""
    key, certificate = make_certificate()
    der = certificate.public_bytes(serialization.Encoding.DER).replace(b"\xa0\3\2\1\2", b"\xa0\3\2\1\1", 1)
    with pytest.raises(x509.InvalidVersion):
        x509.load_der_x509_certificate(der)
    context = make_context()
    context.use_certificate(crypto.load_certificate(crypto.FILETYPE_ASN1, der))
    context.use_privatekey(key)
    async with open_stage() as engine, open_test_peer("sendonly") as client:
        become(client, context, hashlib.sha256(der).digest())
        observer = RecordingObserver()
        await client.accept(engine.open_peer(observer).process_offer(client.offer))
        client.send_rtp(VP8_KEYFRAME)
        await observer.wait_for("receiving", MediaKind.VIDEO, True)


async def test_dtls_1_0_is_refused() -> None:
    key, certificate = make_certificate()
    context = make_context()
    context.use_certificate(certificate)
    context.use_privatekey(key)
    context.set_max_proto_version(0xFEFF)
    context.set_cipher_list(b"ALL:@SECLEVEL=0")
    async with open_stage() as engine, open_test_peer("sendonly") as client:
        become(client, context, certificate.fingerprint(hashes.SHA256()))
        observer = RecordingObserver()
        client.take_answer(engine.open_peer(observer).process_offer(client.offer))
        await check_until_answered(client)
        client.start_dtls()
        await observer.wait_for("dtls", DtlsState.FAILED)
        await client.failed.wait()


async def test_a_handshake_that_never_ends_is_given_up() -> None:
    async with open_stage(handshake_timeout=0.2) as engine, open_test_peer("sendonly") as client:
        observer = RecordingObserver()
        client.take_answer(engine.open_peer(observer).process_offer(client.offer))
        await check_until_answered(client)
        client.start_dtls()
        client.retransmits = False
        client.lose = lambda datagram: 20 <= datagram[0] <= 63
        await observer.wait_for("dtls", DtlsState.FAILED)
        assert ("media", True) not in observer.told
        client.lose = lambda _datagram: False
        client.send(b"\x16\xfe\xfd" + bytes(20))
        client.stun_answered = trio.Event()
        await check_until_answered(client)
        assert engine.stats().refused == {"dtls_unexpected": 1}
        assert not engine.handshaking


async def test_a_handshake_with_too_many_bytes_is_given_up() -> None:
    """OpenSSL keeps the pieces of incomplete messages for each peer."""

    def piece(number: int) -> bytes:
        """1000 bytes of a Certificate of 100 kB, behind a ClientHello that does not come."""
        message = b"\x0b" + (100_000).to_bytes(3) + b"\0\1" + (number * 1000).to_bytes(3) + (1000).to_bytes(3)
        record = message + bytes(1000)
        return b"\x16\xfe\xfd" + number.to_bytes(8) + len(record).to_bytes(2) + record

    async with open_stage() as engine, open_test_peer("sendonly") as client:
        observer = RecordingObserver()
        client.take_answer(engine.open_peer(observer).process_offer(client.offer))
        await check_until_answered(client)
        pieces = [piece(number) for number in range(70)]
        fitting = MAX_HANDSHAKE // len(pieces[0])
        for number, sent in enumerate(pieces):
            client.send(sent)
            if number == fitting - 1:
                client.stun_answered = trio.Event()
                await check_until_answered(client)
                assert ("dtls", DtlsState.FAILED) not in observer.told
        await observer.wait_for("dtls", DtlsState.FAILED)


# Amplification: nobody can make the server send more to an address than came from there


@contextmanager
def stranger(engine: Engine) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        sock.connect(("127.0.0.1", engine.port))
        yield sock


async def test_a_stranger_gets_no_answer_to_anything() -> None:
    async with open_stage() as engine, join(engine, "sendonly") as publisher:
        answer = publisher.client.answer
        assert answer is not None
        unsigned = reference.Message(
            reference.Method.BINDING,
            reference.Class.REQUEST,
            attributes={"USERNAME": f"{answer.ufrag}:x", "PRIORITY": 1, "ICE-CONTROLLING": 1},
        )
        forged = reference.Message(
            reference.Method.BINDING, reference.Class.REQUEST, attributes=dict(unsigned.attributes)
        )
        forged.add_message_integrity(b"a guess")
        client_hello = b"\x16\xfe\xff" + bytes(8) + b"\x00\x64" + b"\x01" + bytes(99)
        with stranger(engine) as sock:
            for datagram in (
                bytes(unsigned),
                bytes(forged),
                client_hello,
                b"\x80\x60" + bytes(100),
                b"\x80\xc9" * 9,
            ):
                sock.send(datagram)
            await settled(publisher)
            with pytest.raises(BlockingIOError):
                sock.recv(2048)
        assert engine.stats().refused == {"stun_unauthenticated": 2, "unknown_address": 3}


async def test_a_check_shorter_than_its_answer_is_not_answered() -> None:
    """It is authentic, but its address may be another's; RFC 8445 section 7.1 wants more in a check."""
    async with open_stage() as engine, open_test_peer("sendonly") as client:
        client.take_answer(engine.open_peer(RecordingObserver()).process_offer(client.offer))
        assert client.answer is not None
        request = reference.Message(
            reference.Method.BINDING, reference.Class.REQUEST, attributes={"USERNAME": client.answer.ufrag}
        )
        request.add_message_integrity(client.answer.password.encode())
        del request.attributes["FINGERPRINT"]
        assert len(bytes(request)) < 64
        client.send(bytes(request))
        await check_until_answered(client)
        assert len(client.stun_answers) == 1
        assert engine.stats().refused == {"stun_too_short": 1}


async def test_no_handshake_begins_before_an_authentic_stun_check() -> None:
    async with open_stage() as engine, open_test_peer("sendonly") as client, join(engine, "sendonly") as other:
        observer = RecordingObserver()
        client.take_answer(engine.open_peer(observer).process_offer(client.offer))
        client.start_dtls()
        await settled(other)
        assert engine.stats().refused == {"unknown_address": 1}
        assert observer.told == []


async def test_floods_of_unknown_user_names_leave_nothing() -> None:
    async with open_stage() as engine, join(engine, "sendonly") as publisher:
        for index in range(300):
            publisher.client.check(username=f"{index:08}:x", password="x")
        await settled(publisher)
        assert engine.stats().refused == {"stun_unknown_user": 300}
        assert len(engine.by_ufrag) == len(engine.by_address) == engine.peers == 1


async def test_thousands_of_useless_datagrams_leave_no_memory_and_no_line_in_the_log(
    capfd: pytest.CaptureFixture[str],
) -> None:
    async with open_stage() as engine, join(engine, "sendonly") as publisher:
        client = publisher.client
        packet = b"\x80\x60\0\1" + bytes(100)
        hello = b"\x16\xfe\xfd" + bytes(8) + b"\x00\x64" + bytes(100)

        async def flood(rounds: int) -> None:
            with stranger(engine) as sock:
                for _ in range(rounds):
                    for datagram in (packet, hello, b"\xff", bytes(100)):
                        sock.send(datagram)
                        client.send(datagram)
                    client.check(password="a guess")
                    client.check(username="nobody:here")
                    await settled(publisher)

        await flood(20)
        gc.collect()
        blocks = sys.getallocatedblocks()
        await flood(300)
        gc.collect()
        assert sys.getallocatedblocks() - blocks < 300
        assert sum(engine.stats().refused.values()) > 300 * 8
    assert capfd.readouterr() == ("", "")


# Addresses


async def test_a_peer_cannot_take_the_address_of_a_connected_one() -> None:
    """A participant that forges another's address would get all that this other one sends."""
    async with (
        open_stage() as engine,
        join(engine, "sendonly") as publisher,
        open_test_peer("sendonly") as thief,
    ):
        observer = RecordingObserver()
        thief.take_answer(engine.open_peer(observer).process_offer(thief.offer))
        assert thief.answer is not None
        # From the publisher's socket: its address, in the thief's name.
        publisher.client.check(username=f"{thief.answer.ufrag}:x", password=thief.answer.password)
        await settled(publisher)
        assert engine.stats().refused == {"stun_address_taken": 1}
        assert observer.told == []
        publisher.client.send_rtp(VP8_KEYFRAME)
        await publisher.observer.wait_for("receiving", MediaKind.VIDEO, True)


async def test_an_address_whose_peer_said_goodbye_is_free() -> None:
    async with (
        open_stage() as engine,
        join(engine, "sendonly") as before,
        open_test_peer("sendonly") as after,
    ):
        observer = RecordingObserver()
        after.take_answer(engine.open_peer(observer).process_offer(after.offer))
        assert after.answer is not None
        before.client.close_notify()
        await before.observer.wait_for("dtls", DtlsState.CLOSED)
        before.client.check(username=f"{after.answer.ufrag}:x", password=after.answer.password)
        await observer.wait_for("ice", IceState.READY)


async def test_a_peer_that_keeps_nominating_addresses_causes_few_events() -> None:
    """Each change is an event: thousands of them would fill the outbox of the application's connection."""
    async with (
        open_stage() as engine,
        join(engine, "recvonly") as viewer,
        open_test_peer("recvonly") as second,
    ):
        second.take_answer(str(viewer.peer.local_description))
        second.ufrag = viewer.client.ufrag
        for _ in range(200):
            second.check()
            viewer.client.check()
        await settled(viewer)
        assert 10 < sum(news[0] == "pair" for news in viewer.observer.told) < 30


# Media and feedback of an authenticated peer


async def test_one_ssrc_more_than_a_peer_may_have_is_refused() -> None:
    """libsrtp keeps a state for each, and looks through all of them for each packet."""
    async with open_stage() as engine, join(engine, "sendonly") as publisher:
        for ssrc in range(1, srtp.MAX_SSRCS + 3):
            publisher.client.send_rtp(VP8_DELTA, ssrc=ssrc)
        await settled(publisher)
        assert engine.stats().refused["srtp_unauthenticated"] == 2
        publisher.client.send_rtp(VP8_KEYFRAME, ssrc=1, timestamp=1)
        await settled(publisher)
        assert engine.stats().refused["srtp_unauthenticated"] == 2


async def test_replayed_and_forged_packets_reach_no_viewer() -> None:
    async with (
        open_stage() as engine,
        join(engine, "sendonly") as publisher,
        join(engine, "recvonly", publisher.peer) as viewer,
    ):
        recorded: list[bytes] = []
        send = publisher.client.send

        def record(datagram: bytes) -> bool:
            """Lose nothing."""
            if datagram[0] >= 128:
                recorded.append(datagram)
            return False

        publisher.client.lose = record
        publisher.client.send_rtp(VP8_KEYFRAME)
        await viewer.client.receive_rtp()
        publisher.client.lose = lambda _datagram: False
        (packet,) = recorded
        for _ in range(20):
            send(packet)
            send(packet[:20] + bytes((packet[20] ^ 1,)) + packet[21:])
        publisher.client.send_rtp(VP8_DELTA, timestamp=3000)
        assert (await viewer.client.receive_rtp()).payload == VP8_DELTA
        assert viewer.client.received_rtp() == []
        assert engine.stats().refused == {"srtp_unauthenticated": 40}


async def test_only_so_many_packets_a_second_are_repeated_to_a_viewer() -> None:
    """A NACK of 1 kB could ask for 4000 packets of 1 kB, and for one packet again and again."""
    async with (
        open_stage(max_retransmissions=10) as engine,
        join(engine, "sendonly") as publisher,
        join(engine, "recvonly", publisher.peer) as viewer,
    ):
        for index in range(30):
            publisher.client.send_rtp(VP8_DELTA if index else VP8_KEYFRAME, timestamp=3000)
        numbers = [(await viewer.client.receive_rtp()).sequence_number for _ in range(30)]
        ssrc = engine.ssrcs[MediaKind.VIDEO]
        again = rtcp.nack(1, ssrc, [numbers[0]])
        same = struct.pack("!BBHII", 0x81, 205, 2 + 100, 1, ssrc) + again[12:] * 100
        viewer.client.send_rtcp(rtcp.receiver_report(1, ()) + same)
        await settled(viewer)
        assert viewer.peer.stats().sending[MediaKind.VIDEO].retransmitted == 1
        viewer.client.send_rtcp(rtcp.receiver_report(1, ()) + rtcp.nack(1, ssrc, numbers[1:]))
        await settled(viewer)
        assert viewer.peer.stats().sending[MediaKind.VIDEO].retransmitted == 10
        viewer.client.refused = 0  # It had them all, and SRTP takes none twice.


async def test_feedback_too_long_for_a_datagram_costs_nothing_else() -> None:
    async with open_stage() as engine, join(engine, "sendonly") as publisher:
        publisher.peer.send_rtcp(MediaKind.VIDEO, rtcp.receiver_report(1, ()) + bytes(srtp.MAX_PACKET))
        assert engine.stats().refused == {"send_failed": 1}
        await settled(publisher)


async def test_many_sender_reports_in_one_datagram_are_passed_on_once() -> None:
    async with (
        open_stage() as engine,
        join(engine, "sendonly") as publisher,
        join(engine, "recvonly", publisher.peer) as viewer,
    ):
        publisher.client.send_rtp(VP8_KEYFRAME)
        await viewer.client.receive_rtp()
        report = rtcp.SenderReport(2222, 1 << 32, 90000, 1, 20)
        publisher.client.send_rtcp(rtcp.sender_report(2222, report) * 40)
        publisher.client.send_rtp(VP8_DELTA, timestamp=3000)
        await viewer.client.receive_rtp()
        compound = await viewer.client.receive_rtcp()
        assert [type(packet) for packet in rtcp.parse(compound)] == [rtcp.SenderReport]
        await settled(viewer)
        assert viewer.client._rtcp_out.statistics().current_buffer_used == 0


async def test_a_stun_message_with_hundreds_of_attributes_is_not_read_completely() -> None:
    body = b"\x00\x30\x00\x00" * 364
    async with open_stage() as engine, join(engine, "sendonly") as publisher:
        publisher.client.send(b"\0\1" + len(body).to_bytes(2) + b"\x21\x12\xa4\x42" + bytes(12) + body)
        await settled(publisher)
        assert engine.stats().refused == {"stun_malformed": 1}
