"""One function a parser, which takes any bytes and fails only where the parser has a defect: for every fuzzer.

`PARSERS` has them by name. Each may raise nothing: an exception or a failed assertion is a finding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import cache
from itertools import pairwise

from roomfsm.mediaserver.base.errors import NoCommonCodec, SdpError
from roomfsm.mediaserver.base.kinds import ALL_KINDS, MediaKind
from roomfsm.mediaserver.base.settings import EngineSettings
from roomfsm.mediaserver.dtls.session import DtlsError, DtlsIdentity, DtlsSession
from roomfsm.mediaserver.dtls.state import DtlsState
from roomfsm.mediaserver.forwarding import red
from roomfsm.mediaserver.forwarding.sink import Group
from roomfsm.mediaserver.ice import stun
from roomfsm.mediaserver.ice.framing import Deframer, FrameTooLong
from roomfsm.mediaserver.ice.lite import Credentials, IceLite
from roomfsm.mediaserver.rtp import packet as rtp
from roomfsm.mediaserver.rtp import rtcp
from roomfsm.mediaserver.rtp.extensions import OutgoingExtensions, read_extension
from roomfsm.mediaserver.rtp.ring import KeptPacket
from roomfsm.mediaserver.rtp.transport_cc import Feedback
from roomfsm.mediaserver.rtp.transport_feedback import (
    MAX_STATUSES,
    TransportFeedback,
    parse_feedback,
    write_feedback,
)
from roomfsm.mediaserver.rtp.vp8 import UNCHANGED
from roomfsm.mediaserver.sdp.answer import LocalEnd, accept, write_answer
from roomfsm.mediaserver.sdp.description import Direction, parse_offer
from roomfsm.mediaserver.sdp.offer import propose, read_answer
from roomfsm.mediaserver.sdp.simulcast import MAX_LAYERS
from tests.fuzz.dtls_client import DtlsClient
from tests.fuzz.estimator import estimator
from tests.fuzz.forwarding import forward
from tests.fuzz.layers import layers
from tests.fuzz.live import Live
from tests.mediaserver.rtp.transport_cc_reader import read_feedback

_PASSWORD = b"a password"
CREDENTIALS = [Credentials("ufrag", "password")] * 2
LOCAL = LocalEnd(
    "sha-256 AA:BB",
    ("candidate:1 1 UDP 1 192.0.2.1 5000 typ host",),
    {MediaKind.AUDIO: 10, MediaKind.VIDEO: 20},
    "cname",
    "stream",
    0,
    30,
)
_GROUP = Group(96, 1, 2, OutgoingExtensions(abs_send_time=3, mid=4, mid_value=b"video"), UNCHANGED, 20)
MAX_DATAGRAM = 1200


def pieces(data: bytes) -> Iterator[bytes]:
    """The byte strings in `data`, none empty, the length of each in two bytes before it; the last may be cut."""
    while len(data) > 2:
        end = 2 + int.from_bytes(data[:2])
        if end > 2:
            yield data[2:end]
        data = data[end:]


def joined(*parts: bytes) -> bytes:
    """The opposite of :func:`pieces`."""
    return b"".join(len(part).to_bytes(2) + part for part in parts)


def fuzz_stun(data: bytes) -> None:
    """A datagram: it is read, and whatever is read can be answered."""
    try:
        message = stun.parse(data)
    except stun.StunError:
        return
    stun.is_authentic(message, data, _PASSWORD)
    for address in (("192.0.2.7", 50001), ("2001:db8::7", 50001)):
        answer = stun.success(message, address, _PASSWORD)
        again = stun.parse(answer)
        assert again.transaction_id == message.transaction_id
        assert stun.is_authentic(again, answer, _PASSWORD)


def fuzz_rtp(data: bytes) -> None:
    """A packet: its payload is the same with its extension, without, with ours, and as a retransmission."""
    try:
        offset = rtp.payload_offset(data)
    except rtp.RtpError:
        return
    for begins_keyframe in rtp.KEYFRAME_STARTS.values():
        begins_keyframe(data, offset)
    bare = rtp.without_extension(data, offset)
    assert bare[rtp.payload_offset(bare) :] == data[offset:]
    if data[0] & 0x10:
        for extension_id in range(1, 256):
            assert len(read_extension(data, offset, extension_id)) < 256
    stamped = _GROUP.rewrite(5, 6, 1234.5, bare)
    assert stamped[rtp.payload_offset(stamped) :] == data[offset:]
    with suppress(rtp.RtpError):
        rtp.original(data, 1, 96)
    repair = _GROUP.repair(KeptPacket(5, 6, 1234.5, bare), 1235.5, 97, 7, 30)
    if not data[0] & 0x20:
        restored = rtp.original(repair, 20, 96)
        assert restored is not None
        assert restored[1:12] == stamped[1:12]
        assert restored[rtp.payload_offset(restored) :] == data[offset:]


def fuzz_red(data: bytes) -> None:
    """A redundant packet: unwrapped it has the primary block, passed on it has the same blocks of another type."""
    try:
        offset = rtp.payload_offset(data)
        _, begin = red.primary(data, offset)
    except (rtp.RtpError, red.RedError):
        return
    assert offset < begin < len(data)
    packet = data[:1] + bytes((data[1] & 0x80 | 63,)) + data[2:]
    if data[0] & 0x10:
        packet = rtp.without_extension(packet, offset)
    plain, redundant = (
        red.RedundantGroup(100, 1, 2, OutgoingExtensions(), UNCHANGED, payload_type, 10, (111, 63))
        for payload_type in (None, 101)
    )
    alone = plain.rewrite(5, 6, 1234.5, packet)
    assert alone[1] & 0x7F == 100
    assert alone[rtp.payload_offset(alone) :] == data[begin:]
    assert plain.removed == begin - offset
    passed = redundant.rewrite(5, 6, 1234.5, packet)
    assert passed[1] & 0x7F == 101
    assert len(passed) == len(packet)
    again = rtp.payload_offset(passed)
    assert red.primary(passed, again)[1] - again == begin - offset
    assert passed[-(len(data) - begin) :] == data[begin:]
    assert redundant.removed == 0


def fuzz_rtcp(data: bytes) -> None:
    """A compound: what is read is what is written again."""
    try:
        packets = rtcp.parse(data)
    except rtcp.RtcpError:
        return
    for packet in packets:
        match packet:
            case rtcp.SenderReport():
                assert rtcp.parse(rtcp.sender_report(packet.ssrc, packet)) == [packet]
            case rtcp.Nack() if packet.sequence_numbers:
                numbers = sorted(set(packet.sequence_numbers))
                (again,) = rtcp.parse(rtcp.nack(1, packet.media_ssrc, numbers))
                assert isinstance(again, rtcp.Nack)
                assert sorted(again.sequence_numbers) == numbers
            case rtcp.KeyframeRequest():
                assert rtcp.parse(rtcp.pli(1, packet.media_ssrc)) == [packet]
            case rtcp.Remb():
                assert packet.bitrate < 1 << 82
            case TransportFeedback():
                assert len(packet.arrivals) <= MAX_STATUSES


def fuzz_transport_feedback(data: bytes) -> None:
    """Feedback about our packets: refused, or the same again when it was written and read once more."""
    try:
        found = parse_feedback(data)
    except rtcp.RtcpError:
        return
    assert len(found.arrivals) <= MAX_STATUSES
    base = 1 << 24  # The times may be before the reference time.
    times = [None if tick is None else (found.reference + base) * 256 + tick for tick in found.arrivals]
    steps = [later - earlier for earlier, later in pairwise(time for time in times if time is not None)]
    if not any(times) or not all(-0x8000 <= step <= 0x7FFF for step in steps):
        return
    again = parse_feedback(
        write_feedback(1, 2, found.base, found.count, [None if time is None else time / 4000 for time in times])
    )
    assert (again.base, again.count, len(again.arrivals)) == (found.base, found.count, len(times))
    shift = next(time for time in times if time is not None) - next(
        time for time in again.arrivals if time is not None
    )
    assert [None if time is None else time + shift for time in again.arrivals] == times


def fuzz_sdp(data: bytes) -> None:
    """An offer: refused, or answered m-line by m-line with a text that reads well and is not much longer."""
    text = data.decode(errors="replace")
    try:
        offer = parse_offer(text)
        agreement = accept(offer, {}, {}, layered=True)
        answer = write_answer(offer, agreement, LOCAL, CREDENTIALS[: len(agreement.transports)])
    except (SdpError, NoCommonCodec):
        return
    again = parse_offer(answer)
    assert [section.media for section in again.sections] == [section.media for section in offer.sections]
    assert len(answer) < 3 * len(text) + 2000
    for media in agreement.media:
        names = [layer.name for layer in media.layers]
        assert len(names) != 1
        assert len(set(names)) == len(names) <= MAX_LAYERS


def fuzz_answer(data: bytes) -> None:
    """An answer to our offer: refused, or of what was offered alone."""
    offered, _ = propose(ALL_KINDS, Direction.SENDRECV, {}, {})
    try:
        answered = read_answer(data.decode(errors="replace"), offered, {})
    except (SdpError, NoCommonCodec):
        return
    accepted = [media for transport in answered.transports for media in transport.media]
    assert len({media.index for media in accepted}) == len(accepted)
    assert all(media.codecs for media in accepted)


def fuzz_transport_cc(data: bytes) -> None:
    """Packets of eight bytes, a number and two times: what is told is within a datagram, and reads well."""
    told: list[bytes] = []
    arrival = 0.0
    feedback = Feedback(1, told.append, lambda: arrival)
    feedback.extensions[96] = 3
    now = 0.0
    for start in range(0, len(data) - 7, 8):
        number, late, pause = data[start : start + 2], data[start + 2 : start + 6], data[start + 6 : start + 8]
        arrival = int.from_bytes(late, signed=True) / 1000
        now += int.from_bytes(pause) / 0x10000
        feedback.received(b"\x90\x60" + bytes(10) + b"\xbe\xde\0\1\x31" + number + b"\0", now)
        feedback.attend(now)
    feedback.attend(now + 1)
    for sent in told:
        assert len(sent) <= MAX_DATAGRAM
        assert any(time is not None for time in read_feedback(sent)[2])


def fuzz_candidate(data: bytes) -> None:
    """Candidate lines, one a line: what is no UDP candidate is passed over."""
    ice = IceLite(EngineSettings())
    for line in data.decode(errors="replace").split("\n"):
        ice.add_remote_candidate(line)
    for address in (("192.0.2.1", 1), ("::1", 2, 0, 0), ("::ffff:192.0.2.1", 1, 0, 0)):
        ice.remote_candidate(address)


_identity = DtlsIdentity()


def fuzz_dtls(data: bytes) -> None:
    """Datagrams into a session, after so many true ones as the first byte says: no keys for who has none."""
    if not data:
        return
    client = DtlsClient()
    session = DtlsSession(_identity, [("sha-256", client.digest)])
    for _ in range(data[0] % 4):
        client.receive_all([piece for sent in client.take() for piece in session.receive(sent)])
    connected = session.keys is not None
    for datagram in pieces(data[1:]):
        try:
            answer = session.receive(datagram)
        except DtlsError:
            answer = session.alert()
            assert session.state is DtlsState.FAILED
        assert all(0 < len(piece) <= MAX_DATAGRAM for piece in answer)
        session.timeout()
    assert (session.keys is not None) is connected
    session.close()


@cache
def _settled() -> DtlsSession:
    """One for all inputs: nothing that comes changes it."""
    client = DtlsClient()
    session = DtlsSession(_identity, [("sha-256", client.digest)])
    while session.keys is None:
        client.receive_all([piece for sent in client.take() for piece in session.receive(sent)])
    assert session.settle()
    return session


def fuzz_alerts(data: bytes) -> None:
    """Datagrams into a session that has let go of its handshake: nothing that is not authentic ends it."""
    session = _settled()
    for datagram in pieces(data):
        assert session.receive(datagram) == []
        assert session.state is DtlsState.CONNECTED


def fuzz_framing(data: bytes) -> None:
    """A stream, cut where its first bytes say: the packets are those of the whole, none too long."""
    if not data:
        return
    cuts, stream = data[1 : 1 + data[0] % 16], data[1 + data[0] % 16 :]
    deframer, whole = Deframer(MAX_DATAGRAM), Deframer(MAX_DATAGRAM)
    found, begin = list[bytes](), 0
    with suppress(FrameTooLong):
        for size in (*cuts, len(stream)):
            found.extend(deframer.feed(stream[begin : begin + size]))
            begin += size
    expected = list[bytes]()
    with suppress(FrameTooLong):
        expected.extend(whole.feed(stream))
    assert found == expected
    assert all(len(packet) <= MAX_DATAGRAM for packet in found)


def fuzz_datagrams(data: bytes) -> None:
    """Datagrams of strangers and of peers, authentic ones among them, to an engine with live peers: see `live`."""
    Live.current().run(data)


PARSERS: Mapping[str, Callable[[bytes], None]] = {
    "alerts": fuzz_alerts,
    "answer": fuzz_answer,
    "candidate": fuzz_candidate,
    "datagrams": fuzz_datagrams,
    "dtls": fuzz_dtls,
    "estimator": estimator,
    "forwarding": forward,
    "framing": fuzz_framing,
    "layers": layers,
    "red": fuzz_red,
    "rtcp": fuzz_rtcp,
    "rtp": fuzz_rtp,
    "sdp": fuzz_sdp,
    "stun": fuzz_stun,
    "transport_cc": fuzz_transport_cc,
    "transport_feedback": fuzz_transport_feedback,
}
