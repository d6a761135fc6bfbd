"""A minimal WebRTC peer without a browser: ICE over one UDP socket, DTLS in either role, SRTP, VP8 and Opus."""

from __future__ import annotations

import hashlib
import itertools
import secrets
import socket
import struct
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import pylibsrtp
import trio
from aioice import stun
from cryptography.hazmat.primitives import serialization
from OpenSSL import SSL
from pylibsrtp import Policy, Session

from roomfsm.conformance.certificate import identity
from roomfsm.conformance.keyframe import VP8_PAYLOAD
from roomfsm.conformance.sdp import (
    OPUS_TYPE,
    VP8_TYPE,
    Answer,
    Extensions,
    PayloadType,
    candidate_address,
    write_offer,
)

AUDIO_SSRC, VIDEO_SSRC = 1111, 2222
SRTP_PROFILES = {
    b"SRTP_AEAD_AES_128_GCM": (Policy.SRTP_PROFILE_AEAD_AES_128_GCM, 16, 12),
    b"SRTP_AES128_CM_SHA1_80": (Policy.SRTP_PROFILE_AES128_CM_SHA1_80, 16, 14),
}
_DRAIN = 64
_PACE = 0.05
"""Seconds between two rounds of checks while none was answered yet (RFC 8445 section 14.2)."""

_OPUS_SILENCE = bytes((0xF8, 0xFF, 0xFE))
_FRAME = 0.02
_FRAMES_OF_VIDEO = 5
"""One picture in so many audio frames: 10 a second."""


@dataclass(frozen=True, slots=True)
class RtpPacket:
    """A received packet, decrypted."""

    payload_type: int
    marker: bool
    sequence_number: int
    timestamp: int
    ssrc: int
    payload: bytes
    extension: bytes = b""
    """With its header; empty if there is none."""

    @classmethod
    def parse(cls, data: bytes) -> RtpPacket:
        """Read a packet (RFC 3550 section 5.1)."""
        first, second, sequence_number, timestamp, ssrc = struct.unpack_from("!BBHII", data)
        end = 16 + 4 * int.from_bytes(data[14:16]) if first & 0x10 else 12
        return cls(second & 0x7F, bool(second & 0x80), sequence_number, timestamp, ssrc, data[end:], data[12:end])


class Peer:
    """A publisher or a viewer. Made by `open_peer`; every wait is the caller's to bound."""

    def __init__(
        self,
        direction: str,
        audio: Sequence[PayloadType] = (OPUS_TYPE,),
        video: Sequence[PayloadType] = (VP8_TYPE,),
        profiles: Sequence[bytes] = tuple(SRTP_PROFILES),
        certificate: bool = True,
        extensions: Extensions | None = None,
        ip_version: int = 4,
    ) -> None:
        self.ufrag, self.password = secrets.token_hex(4), secrets.token_hex(12)
        self._context, digest = identity(b":".join(profiles), certificate)
        ssrcs = None if direction == "recvonly" else {"audio": AUDIO_SSRC, "video": VIDEO_SSRC}
        self.offer = write_offer(direction, audio, video, self.ufrag, self.password, digest, ssrcs, extensions)
        self.payload_types = {item.codec: item.number for item in (*audio, *video)}
        self._ip_version = ip_version
        self.socket = socket.socket(socket.AF_INET6 if ip_version == 6 else socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setblocking(False)
        self.answer: Answer | None = None
        self.connected = trio.Event()
        """DTLS-SRTP is up."""
        self.closed = trio.Event()
        """The other side sent close_notify."""
        self.failed = trio.Event()
        """The handshake came to nothing."""
        self.stun_answers: list[stun.Message] = []
        self.stun_answered = trio.Event()
        self.refused = 0
        """Packets that SRTP did not take: replayed or not authentic."""
        self.keepalive = 1.0
        """Seconds between checks once connected."""
        self.retransmits = True
        """Whether this side repeats its handshake messages."""
        self._addresses: list[tuple[str, int]] = []
        self._selected: tuple[str, int] | None = None
        self._dtls: SSL.Connection | None = None
        self._outbound: Session | None = None
        self._inbound: Session | None = None
        self._sequence_numbers = {AUDIO_SSRC: itertools.count(1000), VIDEO_SSRC: itertools.count(5000)}
        self._rtp_in, self._rtp_out = trio.open_memory_channel[RtpPacket](20000)
        self._rtcp_in, self._rtcp_out = trio.open_memory_channel[bytes](20000)
        self._cancel_checks = trio.CancelScope()
        self._playing: frozenset[str] = frozenset()
        self._play_changed = trio.Event()

    # Connecting

    @property
    def candidate(self) -> str:
        """Our one candidate, as in RTCIceCandidateInit."""
        host, port = self.socket.getsockname()[:2]
        return f"candidate:1 1 udp 2130706431 {_local_address(self._addresses) if host == '0.0.0.0' else host} \
{port} typ host"

    def take_answer(self, answer: str) -> None:
        """Know the other side. Raises `AnswerInvalid`."""
        self.answer = Answer.parse(answer, self._ip_version)
        self._addresses = [*self.answer.addresses, *self._addresses]

    def add_candidate(self, line: str) -> None:
        """A candidate of the other side, by trickle; what is not UDP over our IP is passed over."""
        address = candidate_address(line, self._ip_version)
        if address is not None and address not in self._addresses:
            self._addresses.append(address)

    async def connect(self) -> None:
        """Check every address until one answers, then shake hands; returns when DTLS-SRTP is up."""
        await self.reach()
        if self._dtls is None:
            self.start_dtls()
        await self.connected.wait()

    async def reach(self) -> None:
        """Check every address until one answers."""
        while not self.stun_answered.is_set():
            for address in self._addresses:
                self.check(address=address)
            with trio.move_on_after(_PACE):
                await self.stun_answered.wait()

    def check(
        self,
        *,
        nominate: bool = True,
        password: str | None = None,
        username: str | None = None,
        address: tuple[str, int] | None = None,
    ) -> None:
        """Send one connectivity check (RFC 8445 section 7.2)."""
        answer = self.require_answer()
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
        self.send(bytes(request), address)

    def start_dtls(self) -> None:
        """Begin the handshake, or wait for the other side's first message, as the answer says."""
        connection = SSL.Connection(self._context, None)
        connection.set_ciphertext_mtu(1200)
        if self.require_answer().active:
            connection.set_accept_state()
        else:
            connection.set_connect_state()
        self._dtls = connection
        self._drive_dtls(b"")

    def close_notify(self) -> None:
        """Say goodbye, as a browser's `close()` does."""
        assert self._dtls is not None
        self._dtls.shutdown()
        self._flush_dtls(self._dtls)

    def stop_checks(self) -> None:
        """Fall silent: no more STUN."""
        self._cancel_checks.cancel()

    def require_answer(self) -> Answer:
        assert self.answer is not None, "accept an answer first"
        return self.answer

    # Media

    def play(self, *kinds: str) -> None:
        """Send these kinds from now on, and no others: audio, video."""
        self._playing = frozenset(kinds)
        self._play_changed.set()
        self._play_changed = trio.Event()

    def next_sequence_number(self, ssrc: int) -> int:
        """Count the packets of a source."""
        return next(self._sequence_numbers.setdefault(ssrc, itertools.count(100))) & 0xFFFF

    def packet(
        self, payload: bytes, ssrc: int, payload_type: int, timestamp: int, marker: bool, number: int
    ) -> bytes:
        """A packet before protection."""
        header = struct.pack("!BBHII", 0x80, marker << 7 | payload_type, number, timestamp & 0xFFFFFFFF, ssrc)
        return header + payload

    def protect_and_send(self, packet: bytes) -> None:
        """Send an RTP packet over SRTP."""
        assert self._outbound is not None
        self.send(self._outbound.protect(packet))

    def send(self, datagram: bytes, address: tuple[str, int] | None = None) -> None:
        """Send raw bytes, to the address that answered our checks if to no other."""
        to = address or self._selected or self.require_answer().address
        # A full buffer loses it, as the network does; so does an address that cannot be reached from here.
        with suppress(OSError):
            self.socket.sendto(datagram, to)

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

    # Tasks

    async def run(self) -> None:
        """Take what arrives."""
        while True:
            await trio.lowlevel.wait_readable(self.socket)
            # Nothing more, or an ICMP error of an address that nobody listens at.
            with suppress(OSError):
                for _ in range(_DRAIN):
                    self.received(*self.socket.recvfrom(2048))

    async def keep_alive(self) -> None:
        """Go on checking (RFC 7675)."""
        with self._cancel_checks:
            while True:
                await trio.sleep(self.keepalive)
                if self.connected.is_set():
                    self.check()

    async def retransmit(self) -> None:
        """Repeat handshake messages that may be lost."""
        while not self.connected.is_set():
            await trio.sleep(0.2)
            if self._dtls is not None and self.retransmits and not self.connected.is_set():
                try:
                    self._dtls.DTLSv1_handle_timeout()
                except SSL.Error:
                    self.failed.set()
                    return
                self._flush_dtls(self._dtls)

    async def play_out(self) -> None:
        """Send what is to be played, in time."""
        frame = 0
        while True:
            if not self._playing:
                await self._play_changed.wait()
                continue
            if "audio" in self._playing:
                self._send_frame(_OPUS_SILENCE, AUDIO_SSRC, "opus", frame * 960)
            if "video" in self._playing and frame % _FRAMES_OF_VIDEO == 0:
                self._send_frame(VP8_PAYLOAD, VIDEO_SSRC, "vp8", frame * 1800)
            frame += 1
            await trio.sleep(_FRAME)

    def _send_frame(self, payload: bytes, ssrc: int, codec: str, timestamp: int) -> None:
        payload_type = self.payload_types.get(codec)
        if payload_type is not None:
            number = self.next_sequence_number(ssrc)
            self.protect_and_send(self.packet(payload, ssrc, payload_type, timestamp, True, number))

    def received(self, datagram: bytes, source: tuple[str, int]) -> None:
        """Tell STUN, DTLS and SRTP apart (RFC 7983)."""
        first = datagram[0] if datagram else 255
        if first < 4:
            self._received_stun(datagram, source)
        elif first < 64:
            self._drive_dtls(datagram)
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

    def _received_stun(self, datagram: bytes, source: tuple[str, int]) -> None:
        try:
            message = stun.parse_message(datagram)
        except ValueError:
            return
        if message.message_class is stun.Class.REQUEST:
            response = stun.Message(
                stun.Method.BINDING,
                stun.Class.RESPONSE,
                transaction_id=message.transaction_id,
                attributes={"XOR-MAPPED-ADDRESS": source},
            )
            response.add_message_integrity(self.password.encode())
            response.add_fingerprint()
            self.send(bytes(response), source)
            return
        self.stun_answers.append(message)
        del self.stun_answers[:-10]
        if message.message_class is stun.Class.RESPONSE and self._selected is None:
            self._selected = source
        self.stun_answered.set()

    def _drive_dtls(self, datagram: bytes) -> None:
        if self._dtls is None and datagram and self.answer is not None:
            # The other side begins, and found us before our own check was answered.
            self.start_dtls()
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
        answer = self.require_answer()
        certificate = connection.get_peer_certificate(as_cryptography=True)
        assert certificate is not None
        der = certificate.public_bytes(serialization.Encoding.DER)
        if hashlib.new(answer.hash, der).digest() != answer.fingerprint:
            # RFC 8122 section 6.2: not the one who answered.
            self.failed.set()
            return
        profile, key, salt = SRTP_PROFILES[connection.get_selected_srtp_profile()]
        material = connection.export_keying_material(b"EXTRACTOR-dtls_srtp", 2 * (key + salt), None)
        client = material[:key] + material[2 * key : 2 * key + salt]
        server = material[key : 2 * key] + material[2 * key + salt :]
        ours, theirs = (server, client) if answer.active else (client, server)
        outbound = Policy(key=ours, ssrc_type=Policy.SSRC_ANY_OUTBOUND, srtp_profile=profile)
        outbound.allow_repeat_tx = True
        self._outbound = Session(outbound)
        inbound = Policy(key=theirs, ssrc_type=Policy.SSRC_ANY_INBOUND, srtp_profile=profile)
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


def _local_address(remote: Sequence[tuple[str, int]]) -> str:
    """The address from which the first remote one is reached; no packet is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe, suppress(OSError):
        probe.connect(remote[0] if remote else ("192.0.2.1", 9))
        return str(probe.getsockname()[0])
    return "127.0.0.1"


@asynccontextmanager
async def run_peer[P: Peer](peer: P, host: str = "0.0.0.0") -> AsyncIterator[P]:
    """Bind the peer's socket at `host` and run its tasks."""
    with peer.socket:
        peer.socket.bind((host, 0))
        async with trio.open_nursery() as nursery:
            for task in (peer.run, peer.keep_alive, peer.retransmit, peer.play_out):
                nursery.start_soon(task)
            yield peer
            nursery.cancel_scope.cancel()
