"""Tests the WebRTC peer with a foreign implementation and with bad input, and tests what it exports."""

from __future__ import annotations

import ipaddress
import json
import re
import subprocess
import sys
from functools import partial

import pytest
import trio

import roomfsm.peer
from roomfsm.peer import (
    VIDEO_SSRC,
    Answer,
    AnswerInvalid,
    HandshakeFailed,
    NotConnected,
    Peer,
    RtpPacket,
    open_peer,
    run_peer,
)
from roomfsm.peer.sdp import candidate_address
from tests import exports
from tests.mediaserver.observer import RecordingObserver
from tests.mediaserver.stage import open_stage
from tests.mediaserver.test_libdatachannel import Lines


async def test_a_peer_that_trickles_checks_us_and_begins_the_handshake() -> None:
    """The answer is like Kurento's: without candidates, and active."""
    command = [sys.executable, "-m", "tests.mediaserver.libdatachannel_peer", "answer"]
    run = partial(trio.run_process, command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, check=False)
    with trio.fail_after(60):
        async with run_peer(Peer("sendonly"), "127.0.0.1") as peer, trio.open_nursery() as nursery:
            process: trio.Process = await nursery.start(run)
            assert process.stdin is not None
            assert process.stdout is not None
            lines = Lines(process.stdout)
            await process.stdin.send_all(json.dumps(peer.offer).encode() + b"\n")
            peer.take_answer(await lines.read())
            assert peer.answer is not None
            assert peer.answer.active
            assert peer.answer.addresses == ()
            peer.add_candidate(await lines.read())
            await peer.connect()
            peer.play("audio", "video")
            packet = RtpPacket.parse(bytes.fromhex(await lines.read()))
            assert (packet.ssrc, packet.payload_type) == (VIDEO_SSRC, peer.payload_types["vp8"])
            await process.stdin.aclose()
            nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("line", "address"),
    [
        ("candidate:1 1 UDP 2130706431 10.0.0.1 5000 typ host", ("10.0.0.1", 5000)),
        ("a=candidate:1 1 udp 1 10.0.0.1 5000 typ srflx raddr 0.0.0.0 rport 9", ("10.0.0.1", 5000)),
        ("candidate:1 2 UDP 2130706431 10.0.0.1 5000 typ host", None),
        ("candidate:1 1 TCP 2130706431 10.0.0.1 9 typ host tcptype active", None),
        ("candidate:1 1 UDP 2130706431 fe80::1 5000 typ host", None),
        ("candidate:1 1 UDP 2130706431 0b5e4a.local 5000 typ host", None),
        ("candidate:1 1 UDP 2130706431 10.0.0.1 port typ host", None),
        ("", None),
    ],
)
def test_the_peer_checks_these_candidates(line: str, address: tuple[str, int] | None) -> None:
    assert candidate_address(line) == address


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("v=0", "a=fingerprint"),
        ("a=fingerprint:sha-256 AB:CD\r\na=ice-ufrag:u", "a=ice-pwd"),
        ("a=fingerprint:sha-256 XY\r\na=ice-ufrag:u\r\na=ice-pwd:p", "cannot be read"),
        ("a=fingerprint:sha-256", "cannot be read"),
    ],
)
def test_a_text_that_is_no_answer_is_refused(text: str, why: str) -> None:
    with pytest.raises(AnswerInvalid, match=why):
        Answer.parse(text)


def rtp(first: int, rest: bytes) -> bytes:
    """A packet of payload type 96 with that first byte, and with that content behind the fixed header."""
    return bytes((first, 96)) + bytes(10) + rest


@pytest.mark.parametrize(
    ("packet", "payload", "extension"),
    [
        (rtp(0x80, b"media"), b"media", b""),
        (rtp(0x82, bytes(8) + b"media"), b"media", b""),
        (rtp(0x91, bytes(4) + b"\xbe\xde\0\1" + b"\x10abc" + b"media"), b"media", b"\xbe\xde\0\1\x10abc"),
        (rtp(0xA0, b"media\0\0\3"), b"media", b""),
        (rtp(0x80, b""), b"", b""),
    ],
)
def test_a_packet_is_read_with_everything_its_header_may_have(
    packet: bytes, payload: bytes, extension: bytes
) -> None:
    read = RtpPacket.parse(packet)
    assert (read.payload_type, read.payload, read.extension) == (96, payload, extension)


@pytest.mark.parametrize(
    "packet", [b"", bytes(11), rtp(0x81, b""), rtp(0x90, b"\0\0\0\1"), rtp(0x90, b"\0"), rtp(0xA0, b"\xff")]
)
def test_a_packet_that_is_shorter_than_it_says_is_refused(packet: bytes) -> None:
    with pytest.raises(ValueError, match="than"):
        RtpPacket.parse(packet)


async def test_a_call_that_needs_a_connection_says_so_before_there_is_one() -> None:
    async with open_peer("sendonly", host="127.0.0.1") as peer:
        with pytest.raises(NotConnected, match="take_answer"):
            await peer.connect()
        for send in (lambda: peer.send_rtp(b"media"), lambda: peer.send_rtcp(bytes(8)), peer.close_notify):
            with pytest.raises(NotConnected):
                send()
        # It begins when there is a connection.
        peer.play("audio", "video")
    with pytest.raises(ValueError, match="sideways"):
        Peer("sideways")


async def test_the_candidate_is_an_address_that_others_can_reach() -> None:
    for host, mine in (("127.0.0.1", "127.0.0.1"), ("::1", "::1")):
        async with open_peer("recvonly", host=host) as peer:
            assert peer.candidate.split()[4] == mine
    for host in ("0.0.0.0", "::"):
        async with open_peer("recvonly", host=host) as peer:
            address = ipaddress.ip_address(peer.candidate.split()[4])
            assert not address.is_unspecified


async def test_a_handshake_with_somebody_else_than_the_answerer_fails() -> None:
    with trio.fail_after(60):
        async with open_stage() as engine, open_peer("sendonly", host="127.0.0.1") as peer:
            answer = engine.open_peer(RecordingObserver()).process_offer(peer.offer)
            peer.take_answer(re.sub("(?<=a=fingerprint:sha-256 )[0-9A-F:]+", ":".join(["00"] * 32), answer))
            with pytest.raises(HandshakeFailed):
                await peer.connect()
            assert not peer.connected.is_set()


def test_everything_that_a_program_needs_is_exported() -> None:
    assert exports.missing(roomfsm.peer) == set()
    assert {"AnswerInvalid", "HandshakeFailed", "NotConnected"} <= set(roomfsm.peer.__all__)


def test_without_its_extra_the_package_says_how_to_install_it() -> None:
    program = "import sys; sys.modules['aioice'] = None; import roomfsm.peer"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert "ModuleNotFoundError: roomfsm.peer needs aioice" in done.stderr
    assert "pip install 'roomfsm[peer]', or in a checkout: uv run --extra peer python" in done.stderr
