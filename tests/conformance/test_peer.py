"""The kit's WebRTC peer against an implementation that is none of ours: full ICE by trickle, DTLS either way."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import partial

import pytest
import trio

from roomfsm.conformance.peer import VIDEO_SSRC, Peer, RtpPacket, run_peer
from roomfsm.conformance.sdp import Answer, AnswerInvalid, candidate_address
from tests.mediaserver.test_libdatachannel import Lines


async def test_a_peer_that_trickles_checks_us_and_begins_the_handshake() -> None:
    """As Kurento does: its answer is without candidates and active."""
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
def test_which_candidates_are_checked(line: str, address: tuple[str, int] | None) -> None:
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
def test_an_answer_that_is_none(text: str, why: str) -> None:
    with pytest.raises(AnswerInvalid, match=why):
        Answer.parse(text)
