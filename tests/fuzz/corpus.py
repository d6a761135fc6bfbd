"""The inputs that fuzzing starts from: `python -m tests.fuzz.corpus` writes them anew.

They are what browsers and peers say. Each is a file `corpus/PARSER/NAME`. A finding is kept beside them, under the
name of what it found.
"""

from __future__ import annotations

import struct
from pathlib import Path

from aioice import stun as reference

from roomfsm.mediaserver.base.kinds import ALL_KINDS
from roomfsm.mediaserver.dtls.session import DtlsIdentity, DtlsSession
from roomfsm.mediaserver.rtp import rtcp
from roomfsm.mediaserver.rtp.transport_feedback import write_feedback
from roomfsm.mediaserver.sdp.answer import write_answer
from roomfsm.mediaserver.sdp.description import Direction
from roomfsm.mediaserver.sdp.offer import propose
from tests.fuzz.dtls_client import DtlsClient
from tests.fuzz.parsers import CREDENTIALS, LOCAL, joined
from tests.mediaserver.peer import H264_KEYFRAME, OPUS, VP8_DELTA, VP8_KEYFRAME, redundant
from tests.mediaserver.sdp.test_simulcast import offered
from tests.mediaserver.tcp_peer import framed

FOLDER = Path(__file__).parent / "corpus"
_TESTS = Path(__file__).parent.parent


def seeds(parser: str) -> dict[str, bytes]:
    """The inputs of one parser, by name."""
    return {path.name: path.read_bytes() for path in sorted((FOLDER / parser).iterdir())}


def _stun() -> dict[str, bytes]:
    def message(message_class: reference.Class, **attributes: object) -> bytes:
        made = reference.Message(reference.Method.BINDING, message_class, bytes(12), attributes)
        made.add_message_integrity(b"a password")
        return bytes(made)

    check = {"USERNAME": "ours:theirs", "PRIORITY": 1853824767, "ICE-CONTROLLING": 1}
    return {
        "check": message(reference.Class.REQUEST, **check),
        "nomination": message(reference.Class.REQUEST, **check, **{"USE-CANDIDATE": None}),
        "controlled": message(reference.Class.REQUEST, USERNAME="ours:theirs", **{"ICE-CONTROLLED": 1}),
        "indication": message(reference.Class.INDICATION),
        "success": message(reference.Class.RESPONSE, **{"XOR-MAPPED-ADDRESS": ("192.0.2.7", 50001)}),
        "error": message(reference.Class.ERROR, **{"ERROR-CODE": (487, "Role Conflict")}),
    }


def _packet(
    payload: bytes, *, first: int = 0x80, kind: int = 96, number: int = 1, between: bytes = b"", ssrc: int = 0x1234
) -> bytes:
    return struct.pack("!BBHII", first, kind, number, number * 3000, ssrc) + between + payload


def _named(rid: str) -> bytes:
    """A header extension that names a layer."""
    return b"\xbe\xde\0\1" + bytes((0xA0, ord(rid), 0, 0))


def _rtp() -> dict[str, bytes]:
    one_byte = struct.pack("!HHI", 0xBEDE, 1, 0x32ABCDEF)
    return {
        "vp8-keyframe": _packet(VP8_KEYFRAME),
        "vp8-delta": _packet(VP8_DELTA),
        "vp8-extended": _packet(b"\x90\xf0\x80\x01\x02\x03" + bytes(10)),
        "h264-idr": _packet(H264_KEYFRAME),
        "h264-stap-a": _packet(b"\x18\x00\x02\x67\x42\x00\x02\x68\x01"),
        "h264-fu-a": _packet(b"\x7c\x85" + bytes(10)),
        "opus": _packet(OPUS, kind=111),
        "extension": _packet(VP8_KEYFRAME, first=0x90, between=one_byte),
        "csrc": _packet(VP8_KEYFRAME, first=0x92, between=bytes(8) + one_byte),
        "empty": _packet(b""),
    }


def _framing() -> dict[str, bytes]:
    """With the cuts before the stream, as `fuzz_framing` takes them."""
    check = framed(_stun()["check"])
    return {
        "whole": b"\0" + check,
        "cut": bytes((3, 1, 1, 30)) + check + framed(_packet(VP8_DELTA)),
        "empty": bytes((1, 5)) + framed(b"") + framed(OPUS) + framed(b""),
        "too-long": b"\1\x50" + check + b"GET / HTTP/1.1",
    }


def _red() -> dict[str, bytes]:
    blocks = (OPUS[:20], OPUS)
    two = redundant(111, (960, blocks[0]), primary=blocks[1])
    return {
        "two": _packet(two, kind=63),
        "three": _packet(redundant(111, (1920, OPUS), (960, OPUS), primary=OPUS), kind=63),
        "alone": _packet(redundant(111, primary=OPUS), kind=63),
        "csrc": _packet(two, kind=63, first=0x92, between=bytes(8) + b"\xbe\xde\0\1\x22\1\2\3"),
        "cut": _packet(two[:7], kind=63),
        "without-primary": _packet(redundant(111, (960, OPUS), primary=b""), kind=63),
        "endless": _packet(b"\xef" * 100, kind=63),
    }


def _rtcp() -> dict[str, bytes]:
    head = rtcp.receiver_report(1, (rtcp.ReportBlock(2, 3, -1, 70000, 5, 6, 7),)) + rtcp.source_description(
        1, "cname"
    )
    report = rtcp.SenderReport(7, 0x0123456789ABCDEF, 90000, 10, 1000)
    return {
        "sender-report": rtcp.sender_report(7, report) + rtcp.source_description(7, "cname"),
        "nack": head + rtcp.nack(1, 2, [1, 2, 18, 0xFFFF]),
        "pli": head + rtcp.pli(1, 2),
        "fir": head + rtcp.fir(1, 2, 3),
        "remb": head + rtcp.remb(1, 2_500_000, (2, 3)),
        "bye": head + b"\x81\xcb\x00\x01" + bytes(4),
        "transport-cc": b"\x8f\xcd\x00\x05" + bytes(8) + b"\x00\x01\x00\x03\x00\x00\x00\x00\x20\x03\x04\x04",
    }


def _sdp() -> dict[str, bytes]:
    files = [
        *(_TESTS / "mediaserver" / "sdp" / "offers").glob("*.sdp"),
        *(_TESTS / "kurento" / "transcripts").glob("*.sdp"),
    ]
    short = """v=0
m=audio 9 UDP/TLS/RTP/SAVPF 111
a=ice-ufrag:u
a=ice-pwd:p
a=fingerprint:sha-256 AA
a=rtcp-mux
a=rtpmap:111 opus/48000/2
"""
    named = "a=rid:l send\na=rid:m send\na=rid:h send\na=simulcast:send l,x;~m;h recv q"
    grouped = "a=ssrc-group:FID 1 11\na=ssrc-group:SIM 1 2 3\na=ssrc-group:FID 3 13\na=ssrc-group:SIM 4 5"
    texts = {
        "short": short,
        "layers-named": offered(named),
        "layers-grouped": offered(grouped),
        "layers-both": offered(f"{grouped}\n{named}"),
    }
    return {name: text.encode() for name, text in texts.items()} | {path.stem: path.read_bytes() for path in files}


def _candidates() -> dict[str, bytes]:
    lines = """candidate:1 1 UDP 1 192.0.2.1 1 typ host
a=candidate:842163049 1 udp 1677729535 192.0.2.1 1 typ srflx raddr 0.0.0.0 rport 0 generation 0
candidate:1 1 TCP 1 192.0.2.9 9 typ host tcptype active
candidate:1 1 UDP 1 0d8a1b3c-5d5e-4f4a-9a9b-000000000000.local 5000 typ host
candidate:1 1 udp 1 fe80::1%eth0 5000 typ host
"""
    return {"several": lines.encode()}


def _dtls() -> dict[str, bytes]:
    client = DtlsClient()
    session = DtlsSession(DtlsIdentity(), [("sha-256", client.digest)])
    flights = []
    while not client.connected:
        flights.append(client.take())
        client.receive_all([piece for sent in flights[-1] for piece in session.receive(sent)])
    hello, rest = flights[0], flights[1]
    session.close()
    client.connection.shutdown()
    return {
        "hello": b"\0" + joined(*hello),
        "hello-twice": b"\0" + joined(*hello, *hello),
        "old-version": b"\0" + joined(hello[0][:1] + b"\xfe\xff" + hello[0][3:25] + b"\xfe\xff" + hello[0][27:]),
        "flight-of-another": b"\1" + joined(*rest),
        "without-hello": b"\0" + joined(*rest),
        "fragment": b"\1" + joined(rest[0][:60], rest[0][60:]),
        "alert": b"\1" + joined(b"\x15\xfe\xfd" + bytes(8) + b"\0\2\2\x28"),
        "close-notify-of-another": b"\2" + joined(*client.take()),
    }


def _alerts() -> dict[str, bytes]:
    hello = DtlsClient().take()[0]
    header = b"\x15\xfe\xfd\0\1" + (1 << 40).to_bytes(6)
    sealed = header + b"\0\x1a" + bytes(26)
    return {
        "forged": joined(sealed),
        "two-records": joined(sealed + sealed),
        "after-a-hello": joined(hello + sealed, hello),
        "clear": joined(b"\x15\xfe\xfd" + bytes(8) + b"\0\2\1\0"),
        "cut": joined(sealed[:-1], header, sealed[:1]),
        "long": joined(header + b"\0\x30" + bytes(48), header + b"\xff\xff" + bytes(40)),
    }


def _step(action: int, content: bytes) -> bytes:
    return bytes((action,)) + len(content).to_bytes(2) + content


def _datagrams() -> dict[str, bytes]:
    """The low two bits of a step say whose: publisher, viewer, half open, silent; the next three what is done.

    With 64 it is the publisher of layers or its viewer.
    """
    plain, strange, check, rtp_, rtcp_, wait = 0, 2 << 2, 3 << 2, 4 << 2, 6 << 2, 7 << 2
    hello = DtlsClient().take()[0]
    stream = b"".join(
        _step(rtp_, _packet(VP8_DELTA if number else VP8_KEYFRAME, number=number)) for number in range(1, 6)
    )
    layers = b"".join(
        _step(rtp_ | 64, _packet(VP8_KEYFRAME, first=0x90, number=number, between=_named(rid), ssrc=ssrc))
        for number in (1, 2)
        for ssrc, rid in enumerate("lhx", 1)
    )
    wait_long = _step(wait | 224, b"")
    return {
        "stream": stream,
        "lost": _step(rtp_, _packet(VP8_KEYFRAME)) + _step(rtp_, _packet(VP8_DELTA, number=40)) + _step(wait, b""),
        "opus": _step(rtp_, _packet(OPUS, kind=111)),
        "nack": stream + _step(rtcp_ | 1, rtcp.receiver_report(1, ()) + rtcp.nack(1, 2, [1, 2, 3])),
        "pli": stream + _step(rtcp_ | 1, rtcp.receiver_report(1, ()) + rtcp.pli(1, 2)),
        "remb": _step(rtcp_ | 1, rtcp.receiver_report(1, ()) + rtcp.remb(1, 300_000, (2,)))
        + _step(wait | 224, b""),
        "sender-report": _step(rtcp_, rtcp.sender_report(0x1234, rtcp.SenderReport(0x1234, 1 << 40, 1, 2, 3))),
        "checks": _step(check | 32, b"\0\1" + b"\x80\x2a\0\x08" + bytes(8))
        + _step(check | 2, b"\0\1\x80\x29\0\x08"),
        "half-open-hello": _step(plain | 2, hello) + _step(wait, b"") + _step(plain | 2, hello),
        "silent-check": _step(check | 3 | 32, b"\0\1") + _step(plain | 3, hello),
        "stranger": b"".join(_step(strange, sent) for sent in (*_stun().values(), hello, _packet(OPUS))),
        "forged": _step(plain, _packet(VP8_KEYFRAME + bytes(16))) + _step(plain | 1, b"\x80\xc9\0\1" + bytes(20)),
        "layers": layers + _step(rtcp_ | 65, rtcp.receiver_report(1, ()) + rtcp.nack(1, 2, [1, 2])) + wait_long,
        "feedback": layers
        + b"".join(_step(rtcp_ | 65, feedback) for feedback in _transport_feedback().values())
        + wait_long
        + layers,
        "feedback-of-many": layers + _step(rtcp_ | 65, b"\x8f\xcd\0\6" + bytes(10) + b"\xff\xff" * 7) * 8,
        "silence": _step(wait | 224, b"") * 30 + _step(plain, b"\xff"),
    }


def _forwarding() -> dict[str, bytes]:
    def packet(number: int, *, track: int = 0, later: int = 1, ssrc: int = 1, delta: int = 0) -> bytes:
        return struct.pack("!BBHIBBH", track, later, number, number * 3000, ssrc, delta, 0)

    def act(action: int, *numbers: int) -> bytes:
        return struct.pack("!BBHHIH", action, 1, *(numbers or (0, 0)), 0, 0)

    run = [packet(number, delta=int(number != 10)) for number in range(10, 14)]
    return {
        "run": b"".join(run),
        "reordered": run[0] + run[2] + run[1] + run[3],
        "wrap": packet(0xFFFE) + packet(0xFFFF) + packet(0) + packet(1),
        "moves": b"".join(run) + packet(500, track=1) + act(201) + packet(501, track=1) + act(200) + packet(14),
        "stops": b"".join(run) + act(220) + packet(14) + act(200) + packet(15),
        "nack": b"".join(run) + act(230, 11, 12) + act(230, 9, 13),
        "restart": b"".join(run) + packet(9000) + packet(9001, ssrc=0, later=64) + packet(1),
        "reports": b"".join(run) + act(250) + packet(20) + act(250),
    }


def _estimator() -> dict[str, bytes]:
    def send(count: int, later: int = 12) -> bytes:
        return struct.pack("!BBBBI", 0, later, count, 200, 0)

    def probe(wanted: int = 2_000_000, later: int = 12) -> bytes:
        return struct.pack("!BB", 110, later) + wanted.to_bytes(3) + bytes(3)

    def tell(count: int, apart: int = 20, lost: int = 0, *, more: int = 0, base: int = 0) -> bytes:
        return struct.pack("!BBBhBBB", 144 | more, 1, count, apart, lost, 0, base)

    steady = (send(10) + tell(10)) * 12
    return {
        "steady": steady,
        "probe": steady + (probe() + send(10) + tell(11)) * 8,
        "queue": steady + b"".join(send(10) + tell(10, 20 + 40 * turn) for turn in range(12)),
        "losses": steady + (send(20) + tell(20, lost=0b01010101)) * 8,
        "late": steady + send(20) + tell(20, lost=0xFF) + tell(20) + send(5) + tell(5),
        "other-numbers": steady + tell(20, more=8) + tell(20, more=8, base=200) + send(3),
        "clock-jumps": steady + tell(20, more=16, base=7) + send(10) + tell(10, -9000) + send(10) + tell(10),
        "silence": steady + send(10, 255) + tell(0) + send(10, 255) + tell(10),
    }


def _layers() -> dict[str, bytes]:
    rids = {name: index for index, name in enumerate("lmhx")}

    def packet(
        number: int, rid: str, ssrc: int = 0, *, way: int = 0, delta: int = 0, repair: bool = False
    ) -> bytes:
        action, who = 160 if repair else 0, ssrc or 1 + rids[rid]
        return struct.pack("!BBHIBBBB", action, 1, number, number * 3000, who, rids[rid], way | repair, delta)

    def act(action: int, first: int = 0, second: int = 0, *, later: int = 1) -> bytes:
        return struct.pack("!BBHHIH", action, later, first, second, 0, 0)

    named, grouped, unnamed, later = b"\0", b"\1", 32, act(250, later=64)
    run = b"".join(packet(number, rid, delta=int(number != 10)) for number in (10, 11) for rid in "lmh")
    ways = zip("lmhx", (2, 4, 14, 24), strict=True)
    steps = {
        "run": run,
        "forms": b"".join(packet(10, rid, way=way) for rid, way in ways),
        "not-offered": packet(10, "x") + packet(10, "l") + packet(11, "x", 1),
        "renamed": run + packet(12, "l", 3) + packet(13, "h", 1),
        "named-late": packet(10, "h", way=unnamed) + packet(11, "h") + packet(10, "l") + later,
        "many": b"".join(packet(10 + ssrc, "lmh"[ssrc % 3], ssrc) for ssrc in range(1, 20)),
        "repairs": run + packet(9, "l", 11, repair=True) + packet(9, "x", 12, repair=True),
        "sizes": run + act(200) + later + packet(12, "l") + act(201, 1) + later,
        "paused": run + act(226) + packet(12, "l") + act(226) + packet(13, "m") + act(240),
        "estimates": run + act(210, 1) + later + packet(12, "l") + act(232, 10, 11),
        "leaves": run + act(220) + packet(12, "l") + act(220) + packet(13, "h"),
    }
    groups = b"".join(packet(10, rid, way=unnamed) for rid in "lmhx") + later
    return {name: named + course for name, course in steps.items()} | {"groups": grouped + groups}


def _answers() -> dict[str, bytes]:
    offer, proposed = propose(ALL_KINDS, Direction.SENDRECV, {}, {})
    return {
        setup: write_answer(offer, proposed, LOCAL, CREDENTIALS, setup=setup).encode()
        for setup in ("active", "passive")
    }


def _transport_cc() -> dict[str, bytes]:
    def packet(number: int, milliseconds: int, pause: int = 0) -> bytes:
        return struct.pack("!HiH", number & 0xFFFF, milliseconds, pause)

    run = [packet(65530 + number, 5 * number) for number in range(20)]
    return {
        "run": b"".join(run),
        "gap": b"".join(run[:3] + run[9:] + [packet(4000, 300, 0x8000)]),
        "late": b"".join((*run[:3], *run[6:9], packet(20, 60, 0x4000), run[4], run[3])),
        "jump": b"".join((*run, packet(30000, 200), packet(30001, 190))),
        "slow": b"".join(packet(number, 20_000 * number) for number in range(5)),
    }


def _transport_feedback() -> dict[str, bytes]:
    def feedback(total: int, body: bytes) -> bytes:
        return struct.pack("!BBHIIHHI", 0x8F, 205, 4 + len(body) // 4, 1, 2, 65530, total, 0x12345607) + body

    return {
        "written": write_feedback(
            1, 2, 65530, 3, [100 + number / 200 if number % 5 else None for number in range(20)]
        ),
        "run": feedback(6, b"\x20\x06" + bytes(range(6))),
        "lost": feedback(7, b"\x20\x01\x00\x05\x20\x01\x01\x02"),
        "large": feedback(2, b"\x20\x01\x40\x01\x01\xff\x00\x00"),
        "one-bit": feedback(14, b"\xa0\x01\x01\x02"),
        "two-bits": feedback(9, b"\xc6\x01\x00\x02\x03\x00\x04\x02"),
    }


def write() -> None:
    made = {
        "alerts": _alerts(),
        "answer": _answers(),
        "candidate": _candidates(),
        "datagrams": _datagrams(),
        "dtls": _dtls(),
        "estimator": _estimator(),
        "forwarding": _forwarding(),
        "layers": _layers(),
        "rtcp": _rtcp(),
        "framing": _framing(),
        "red": _red(),
        "rtp": _rtp(),
        "sdp": _sdp(),
        "stun": _stun(),
        "transport_cc": _transport_cc(),
        "transport_feedback": _transport_feedback(),
    }
    for parser, inputs in made.items():
        folder = FOLDER / parser
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in inputs.items():
            (folder / name).write_bytes(data)


if __name__ == "__main__":
    write()
