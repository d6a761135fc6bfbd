"""A minimal WebRTC client for tests and load runs: STUN checks, DTLS client and SRTP over a real UDP socket."""

import hashlib
import itertools
import secrets
import socket
import struct
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import pylibsrtp
import trio
from aioice import stun
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from OpenSSL import SSL
from pylibsrtp import Policy, Session

from roomfsm.mediaserver import rtcp

VP8_KEYFRAME = bytes((0x10, 0x00)) + bytes(20)
"""A payload that begins a VP8 keyframe: descriptor with S, then a payload header without P."""
VP8_DELTA = bytes((0x10, 0x01)) + bytes(20)
H264_KEYFRAME = bytes((0x65,)) + bytes(20)
OPUS = bytes((0xFC,)) + bytes(40)

AUDIO_SSRC, VIDEO_SSRC = 1111, 2222
_PROFILES = {
    b"SRTP_AEAD_AES_128_GCM": (Policy.SRTP_PROFILE_AEAD_AES_128_GCM, 16, 12),
    b"SRTP_AES128_CM_SHA1_80": (Policy.SRTP_PROFILE_AES128_CM_SHA1_80, 16, 14),
}
_DRAIN = 64
_CHECK_INTERVAL = 0.05
"""Seconds after which a check without an answer is repeated."""
_FEEDBACK = ("goog-remb", "ccm fir", "nack", "nack pli")


@dataclass(frozen=True, slots=True)
class PayloadType:
    """One rtpmap of the offer."""

    number: int
    rtpmap: str
    fmtp: str = ""


OPUS_TYPE = PayloadType(111, "opus/48000/2", "minptime=10;useinbandfec=1")
VP8_TYPE = PayloadType(96, "VP8/90000")
H264_TYPE = PayloadType(
    102, "H264/90000", "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f"
)


@dataclass(frozen=True, slots=True)
class RtpPacket:
    """A received packet, decrypted."""

    payload_type: int
    marker: bool
    sequence_number: int
    timestamp: int
    ssrc: int
    payload: bytes
    extension: bool

    @classmethod
    def parse(cls, data: bytes) -> "RtpPacket":
        first, second, sequence_number, timestamp, ssrc = struct.unpack_from("!BBHII", data)
        return cls(
            second & 0x7F, bool(second & 0x80), sequence_number, timestamp, ssrc, data[12:], bool(first & 0x10)
        )


@dataclass(frozen=True, slots=True)
class Answer:
    """What the client takes from an answer."""

    ufrag: str
    password: str
    fingerprint: bytes
    address: tuple[str, int]

    @classmethod
    def parse(cls, text: str) -> "Answer":
        attributes: dict[str, str] = {}
        for line in text.splitlines():
            name, _, value = line.partition(":")
            attributes.setdefault(name, value)
        candidate = attributes["a=candidate"].split()
        digest = attributes["a=fingerprint"].split()[1]
        return cls(
            attributes["a=ice-ufrag"],
            attributes["a=ice-pwd"],
            bytes.fromhex(digest.replace(":", "")),
            (candidate[4], int(candidate[5])),
        )


@cache
def client_identity(profiles: bytes, certified: bool) -> tuple[SSL.Context, bytes]:
    """The DTLS context and the certificate's SHA-256, shared by all peers: making one takes longer than a join."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test peer")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    context = SSL.Context(SSL.DTLS_CLIENT_METHOD)
    if certified:
        context.use_certificate(certificate)
        context.use_privatekey(key)
    context.set_verify(SSL.VERIFY_PEER, _accept_any)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_options(SSL.OP_NO_QUERY_MTU)
    context.set_tlsext_use_srtp(profiles)
    return context, hashlib.sha256(certificate.public_bytes(serialization.Encoding.DER)).digest()


def _accept_any(_connection: SSL.Connection, _certificate: Any, *_rest: int) -> bool:
    return True


def write_offer(
    direction: str,
    audio: Sequence[PayloadType],
    video: Sequence[PayloadType],
    ufrag: str,
    password: str,
    digest: bytes,
) -> str:
    """An offer of the shape that Chromium writes; `digest` is the certificate's SHA-256."""
    sections = [(media, types) for media, types in (("audio", audio), ("video", video)) if types]
    lines = ["v=0", "o=- 1 2 IN IP4 127.0.0.1", "s=-", "t=0 0"]
    lines.append("a=group:BUNDLE " + " ".join(str(index) for index, _ in enumerate(sections)))
    for index, (media, types) in enumerate(sections):
        lines += [
            f"m={media} 9 UDP/TLS/RTP/SAVPF {' '.join(str(item.number) for item in types)}",
            "c=IN IP4 0.0.0.0",
            f"a=ice-ufrag:{ufrag}",
            f"a=ice-pwd:{password}",
            f"a=fingerprint:sha-256 {digest.hex(':').upper()}",
            "a=setup:actpass",
            f"a=mid:{index}",
            f"a={direction}",
            "a=rtcp-mux",
            "a=rtcp-rsize",
        ]
        for item in types:
            lines.append(f"a=rtpmap:{item.number} {item.rtpmap}")
            if media == "video":
                lines += [f"a=rtcp-fb:{item.number} {value}" for value in _FEEDBACK]
            if item.fmtp:
                lines.append(f"a=fmtp:{item.number} {item.fmtp}")
    return "\r\n".join(lines) + "\r\n"


class TestPeer:
    """A publisher or a viewer. Made by :func:`open_test_peer`; every wait is the caller's to bound."""

    __test__ = False

    def __init__(
        self,
        direction: str,
        audio: Sequence[PayloadType],
        video: Sequence[PayloadType],
        profiles: Sequence[bytes],
        certificate: bool,
    ) -> None:
        self.ufrag, self.password = secrets.token_hex(4), secrets.token_hex(12)
        self._context, digest = client_identity(b":".join(profiles), certificate)
        self.offer = write_offer(direction, audio, video, self.ufrag, self.password, digest)
        self.payload_types = {item.rtpmap.partition("/")[0].lower(): item.number for item in (*audio, *video)}
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setblocking(False)
        self.answer: Answer | None = None
        self.connected = trio.Event()
        """DTLS-SRTP is up."""
        self.closed = trio.Event()
        """The other side sent close_notify."""
        self.failed = trio.Event()
        """The other side refused the handshake."""
        self.stun_answers: list[stun.Message] = []
        self.stun_answered = trio.Event()
        self.checked = trio.Event()
        """A check of the other side was answered."""
        self._dtls: SSL.Connection | None = None
        self._outbound: Session | None = None
        self._inbound: Session | None = None
        self._sequence_numbers = {AUDIO_SSRC: itertools.count(1000), VIDEO_SSRC: itertools.count(5000)}
        self.sent: dict[tuple[int, int], bytes] = {}
        """The last 2000 RTP packets by SSRC and sequence number, before protection: for resending."""
        self._rtp_in, self._rtp_out = trio.open_memory_channel[RtpPacket](20000)
        self._rtcp_in, self._rtcp_out = trio.open_memory_channel[bytes](20000)
        self.tap: Callable[[bytes], None] | None = None
        """Instead of decryption: gets each RTP or RTCP datagram as it came. For load runs."""
        self.lose: Callable[[bytes], bool] = lambda _datagram: False
        """Which datagrams are lost, of both directions."""
        self.retransmits = True
        """Whether this side repeats its handshake messages."""
        self.refused = 0
        """Packets that SRTP did not take: replayed or not authentic."""
        self.keepalive = 1.0
        """Seconds between checks."""
        self._cancel_checks = trio.CancelScope()
        self._cancel_reading = trio.CancelScope()

    # Connecting

    async def accept(self, answer: str, *, full_agent: bool = False) -> None:
        """Take the answer and connect; returns when DTLS-SRTP is up.

        A server that is a full ICE agent takes no DTLS before it has checked back.
        """
        self.take_answer(answer)
        while not self.stun_answered.is_set():
            self.check()
            with trio.move_on_after(_CHECK_INTERVAL):
                await self.stun_answered.wait()
        if full_agent:
            await self.checked.wait()
        self.start_dtls()
        await self.connected.wait()

    def take_answer(self, answer: str) -> None:
        self.answer = Answer.parse(answer)

    def check(self, *, nominate: bool = True, password: str | None = None, username: str | None = None) -> None:
        """Send one connectivity check."""
        answer = self._require_answer()
        attributes: dict[str, Any] = {
            "USERNAME": username or f"{answer.ufrag}:{self.ufrag}",
            "PRIORITY": 1853824767,
            "ICE-CONTROLLING": 1,
        }
        if nominate:
            attributes["USE-CANDIDATE"] = None
        request = stun.Message(stun.Method.BINDING, stun.Class.REQUEST, attributes=attributes)
        request.add_message_integrity((password or answer.password).encode())
        request.add_fingerprint()
        self.send(bytes(request))

    def start_dtls(self) -> None:
        connection = SSL.Connection(self._context, None)
        connection.set_ciphertext_mtu(1200)
        connection.set_connect_state()
        self._dtls = connection
        self._drive_dtls(b"")

    def close_notify(self) -> None:
        assert self._dtls is not None
        self._dtls.shutdown()
        self._flush_dtls(self._dtls)

    def stop_checks(self) -> None:
        """Fall silent: no more STUN."""
        self._cancel_checks.cancel()

    def stop_reading(self) -> None:
        """Leave the socket to the caller."""
        self._cancel_reading.cancel()

    def _require_answer(self) -> Answer:
        assert self.answer is not None, "accept an answer first"
        return self.answer

    # Media

    def next_sequence_number(self, ssrc: int) -> int:
        return next(self._sequence_numbers.setdefault(ssrc, itertools.count(100))) & 0xFFFF

    def send_rtp(
        self,
        payload: bytes,
        *,
        ssrc: int = VIDEO_SSRC,
        payload_type: int | None = None,
        timestamp: int = 0,
        marker: bool = False,
        sequence_number: int | None = None,
        extension: bytes = b"",
        lose: bool = False,
    ) -> int:
        """Send a packet and return its sequence number; `lose` only counts it, for :meth:`resend`."""
        number = self.next_sequence_number(ssrc) if sequence_number is None else sequence_number
        if payload_type is None:
            payload_type = self.payload_types["opus" if ssrc == AUDIO_SSRC else "vp8"]
        first = 0x90 if extension else 0x80
        header = struct.pack("!BBHII", first, marker << 7 | payload_type, number, timestamp & 0xFFFFFFFF, ssrc)
        self.sent[ssrc, number] = header + extension + payload
        if len(self.sent) > 2000:
            del self.sent[next(iter(self.sent))]
        if not lose:
            self.resend(number, ssrc)
        return number

    def resend(self, sequence_number: int, ssrc: int = VIDEO_SSRC) -> None:
        assert self._outbound is not None
        self.send(self._outbound.protect(self.sent[ssrc, sequence_number]))

    def send_rtcp(self, compound: bytes) -> None:
        assert self._outbound is not None
        self.send(self._outbound.protect_rtcp(compound))

    def send(self, datagram: bytes) -> None:
        """Send raw bytes to the server."""
        if self.lose(datagram):
            return
        with suppress(BlockingIOError):
            self.socket.sendto(datagram, self._require_answer().address)

    async def receive_rtp(self) -> RtpPacket:
        """The next decrypted packet."""
        return await self._rtp_out.receive()

    def received_rtp(self) -> list[RtpPacket]:
        """All that came and was not taken yet."""
        packets = []
        while True:
            try:
                packets.append(self._rtp_out.receive_nowait())
            except trio.WouldBlock:
                return packets

    async def receive_rtcp(self) -> bytes:
        """The next decrypted compound."""
        return await self._rtcp_out.receive()

    async def receive_feedback[T: rtcp.RtcpPacket](self, kind: type[T]) -> T:
        """The next RTCP packet of a kind; others are passed over."""
        while True:
            for packet in rtcp.parse(await self.receive_rtcp()):
                if isinstance(packet, kind):
                    return packet

    # Tasks

    async def run(self) -> None:
        with self._cancel_reading:
            while True:
                await trio.lowlevel.wait_readable(self.socket)
                with suppress(BlockingIOError):
                    for _ in range(_DRAIN):
                        self._received(self.socket.recv(2048))

    async def keep_alive(self) -> None:
        with self._cancel_checks:
            while True:
                await trio.sleep(self.keepalive)
                if self.connected.is_set():
                    self.check()

    async def retransmit(self) -> None:
        while not self.connected.is_set():
            await trio.sleep(0.2)
            if self._dtls is not None and self.retransmits and not self.connected.is_set():
                try:
                    self._dtls.DTLSv1_handle_timeout()
                except SSL.Error:
                    self.failed.set()
                    return
                self._flush_dtls(self._dtls)

    def _received(self, datagram: bytes) -> None:
        if self.lose(datagram):
            return
        first = datagram[0]
        if first < 4:
            self._received_stun(stun.parse_message(datagram))
        elif first < 64:
            self._drive_dtls(datagram)
        elif self.tap is not None:
            self.tap(datagram)
        elif self._inbound is not None:
            try:
                if 192 <= datagram[1] <= 223:
                    self._rtcp_in.send_nowait(self._inbound.unprotect_rtcp(datagram))
                else:
                    self._rtp_in.send_nowait(RtpPacket.parse(self._inbound.unprotect(datagram)))
            except trio.WouldBlock:
                pass  # Nobody reads: like a full socket buffer.
            except pylibsrtp.Error:
                self.refused += 1

    def _received_stun(self, message: stun.Message) -> None:
        if message.message_class is stun.Class.REQUEST:
            self._answer_check(message)
            return
        self.stun_answers.append(message)
        del self.stun_answers[:-10]
        self.stun_answered.set()

    def _answer_check(self, request: stun.Message) -> None:
        """For servers that are full ICE agents, and check back."""
        if self.answer is None:
            return  # They repeat it.
        answer = stun.Message(
            stun.Method.BINDING,
            stun.Class.RESPONSE,
            transaction_id=request.transaction_id,
            attributes={"XOR-MAPPED-ADDRESS": self.answer.address},
        )
        answer.add_message_integrity(self.password.encode())
        answer.add_fingerprint()
        self.send(bytes(answer))
        self.checked.set()

    def _drive_dtls(self, datagram: bytes) -> None:
        connection = self._dtls
        if connection is None or self.failed.is_set():
            return
        try:
            if datagram:
                connection.bio_write(datagram)
            if not self.connected.is_set():
                connection.do_handshake()
                self._secured(connection)
            connection.recv(2048)
        except SSL.WantReadError:
            pass
        except SSL.ZeroReturnError:
            self.closed.set()
        except SSL.Error:
            self.failed.set()
        self._flush_dtls(connection)

    def _secured(self, connection: SSL.Connection) -> None:
        certificate = connection.get_peer_certificate(as_cryptography=True)
        assert certificate is not None
        digest = hashlib.sha256(certificate.public_bytes(serialization.Encoding.DER)).digest()
        assert digest == self._require_answer().fingerprint, "the server's certificate is not the answer's"
        profile, key, salt = _PROFILES[connection.get_selected_srtp_profile()]
        material = connection.export_keying_material(b"EXTRACTOR-dtls_srtp", 2 * (key + salt), None)
        client = material[:key] + material[2 * key : 2 * key + salt]
        server = material[key : 2 * key] + material[2 * key + salt :]
        outbound = Policy(key=client, ssrc_type=Policy.SSRC_ANY_OUTBOUND, srtp_profile=profile)
        outbound.allow_repeat_tx = True
        self._outbound = Session(outbound)
        inbound = Policy(key=server, ssrc_type=Policy.SSRC_ANY_INBOUND, srtp_profile=profile)
        inbound.window_size = 1024
        inbound.allow_repeat_tx = True
        self._inbound = Session(inbound)
        self.connected.set()

    def _flush_dtls(self, connection: SSL.Connection) -> None:
        while True:
            try:
                records = connection.bio_read(65536)
            except SSL.WantReadError:
                return
            while records:
                end = 13 + int.from_bytes(records[11:13])
                self.send(records[:end])
                records = records[end:]


@asynccontextmanager
async def open_test_peer(
    direction: str,
    *,
    audio: Sequence[PayloadType] = (OPUS_TYPE,),
    video: Sequence[PayloadType] = (VP8_TYPE,),
    profiles: Sequence[bytes] = tuple(_PROFILES),
    certificate: bool = True,
    host: str = "127.0.0.1",
) -> AsyncIterator[TestPeer]:
    """A peer that offers `direction`: sendonly (a publisher), recvonly (a viewer) or sendrecv.

    `profiles`: of SRTP, as OpenSSL names them. Without `certificate` it shows none in the handshake. `host`: its
    own address.
    """
    peer = TestPeer(direction, audio, video, profiles, certificate)
    with peer.socket:
        peer.socket.bind((host, 0))
        async with trio.open_nursery() as nursery:
            for task in (peer.run, peer.keep_alive, peer.retransmit):
                nursery.start_soon(task)
            yield peer
            nursery.cancel_scope.cancel()
