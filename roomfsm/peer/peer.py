"""The peer itself: ICE over one UDP socket, DTLS in either role, and SRTP.

The three protocols share the socket, and the first byte of a datagram tells them apart (RFC 7983). ICE checks
every address of the other side until one answers, and everything goes to that address from then on. The DTLS
handshake proves that the other side has the certificate of its answer, and provides the keys with which SRTP
protects the media. None of these protocols waits for the network by itself, because OpenSSL and libsrtp only take
and return bytes. So `Peer.run` handles each datagram at once. A change for which somebody may wait is a
`trio.Event`.
"""

from __future__ import annotations

import hashlib
import ipaddress
import itertools
import secrets
import socket
import struct
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import pylibsrtp
import trio
from aioice import stun
from cryptography.hazmat.primitives import serialization
from OpenSSL import SSL
from pylibsrtp import Policy, Session

from roomfsm.peer.certificate import identity
from roomfsm.peer.keyframe import VP8_PAYLOAD
from roomfsm.peer.sdp import (
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
"""Seconds between two rounds of checks before one is answered (RFC 8445 section 14.2)."""

_OPUS_SILENCE = bytes((0xF8, 0xFF, 0xFE))
_FRAME = 0.02
_FRAMES_OF_VIDEO = 5
"""A picture is sent with every fifth audio frame, which makes 10 a second."""


@dataclass(frozen=True, slots=True)
class RtpPacket:
    """A received RTP packet, decrypted. `timestamp` is in units of the codec's clock."""

    payload_type: int
    marker: bool
    sequence_number: int
    timestamp: int
    ssrc: int
    payload: bytes
    extension: bytes = b""
    """The header extension with its own header of four bytes; empty if there is none."""

    @classmethod
    def parse(cls, data: bytes) -> RtpPacket:
        """Read a packet (RFC 3550 section 5.1). Raises `ValueError`."""
        if len(data) < 12:
            raise ValueError("shorter than an RTP header")
        first, second, sequence_number, timestamp, ssrc = struct.unpack_from("!BBHII", data)
        # The first byte has the number of contributing sources, which follow the fixed header.
        begin = end = 12 + 4 * (first & 0x0F)
        if first & 0x10:
            end += 4 + 4 * int.from_bytes(data[begin + 2 : begin + 4])
        # The last byte of the padding is its length.
        stop = len(data) - (data[-1] if first & 0x20 else 0)
        if not end <= stop:
            raise ValueError("the header or the padding is longer than the packet")
        extension, payload = data[begin:end], data[end:stop]
        return cls(second & 0x7F, bool(second & 0x80), sequence_number, timestamp, ssrc, payload, extension)


class HandshakeFailed(Exception):
    """The DTLS handshake was refused, or the other side does not have the certificate of its answer (RFC 8122
    section 6.2).
    """


class NotConnected(RuntimeError):
    """Something was to be sent before the peer had an answer, or before it was connected."""


DIRECTIONS = ("sendonly", "recvonly", "sendrecv", "inactive")


class Peer:
    """A publisher or a viewer. `open_peer` creates it. It waits without time limits, so use cancel scopes.

    `direction` is the direction of the offer: sendonly (a publisher), recvonly (a viewer), sendrecv or inactive.
    `audio` and `video` are the offered codecs; an empty sequence leaves out that kind. `profiles` are SRTP
    profiles by OpenSSL's names. If `certificate` is false, the peer shows no certificate in the handshake, which a
    server must refuse. `extensions` are the header extensions of the offer. Raises `ValueError` for another
    direction.
    """

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
        if direction not in DIRECTIONS:
            raise ValueError(f"the direction {direction!r} is none of {', '.join(DIRECTIONS)}")
        self._context, digest = identity(b":".join(profiles), certificate)
        ssrcs = None if direction == "recvonly" else {"audio": AUDIO_SSRC, "video": VIDEO_SSRC}
        self._description = partial(
            write_offer, direction, audio, video, digest=digest, ssrcs=ssrcs, extensions=extensions
        )
        self.ufrag = self.password = self.offer = ""
        self._offer_anew()
        self.payload_types = {item.codec: item.number for item in (*audio, *video)}
        """The numbers of the offered payload types by codec, in lower case."""
        self._ip_version = ip_version
        self.socket = socket.socket(socket.AF_INET6 if ip_version == 6 else socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setblocking(False)
        self.answer: Answer | None = None
        self.connected = trio.Event()
        """Set when DTLS-SRTP is connected, so that media can be sent and received."""
        self.closed = trio.Event()
        """Set when the other side has ended the connection (close_notify)."""
        self.failed = trio.Event()
        """Set when the handshake has failed."""
        self._settled = trio.Event()
        """Set when the handshake has succeeded or failed."""
        self.stun_answers: list[stun.Message] = []
        self.stun_answered = trio.Event()
        self.refused = 0
        """The number of packets that were dropped because they were replayed, not authentic, or not RTP."""
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
        self.longest_pause = 0.0
        """The longest time in seconds between two frames that `play` sent. This process may have been held up."""
        self._play_changed = trio.Event()

    # Connecting

    @property
    def candidate(self) -> str:
        """The `candidate` of RTCIceCandidateInit for our only address, which is that of the route to the other
        side.
        """
        host, port = self.socket.getsockname()[:2]
        if ipaddress.ip_address(host).is_unspecified:
            host = _local_address(self.socket.family, self._addresses)
        return f"candidate:1 1 udp 2130706431 {host} {port} typ host"

    def restart(self) -> str:
        """Restart ICE (RFC 8445 section 9). Returns the new `offer`, whose answer goes to `take_answer`.

        Media go on meanwhile. Afterwards, `reach` waits until the other side has answered a check again.
        """
        self._offer_anew()
        self.stun_answered = trio.Event()
        return self.offer

    def _offer_anew(self) -> None:
        self.ufrag, self.password = secrets.token_hex(4), secrets.token_hex(12)
        self.offer = self._description(ufrag=self.ufrag, password=self.password)

    def move(self) -> None:
        """Send and receive at another port from now on, as after a change of the network. Raises `OSError`."""
        before, host = self.socket, self.socket.getsockname()[0]
        self.socket = socket.socket(before.family, socket.SOCK_DGRAM)
        self.socket.setblocking(False)
        self.socket.bind((host, 0))
        trio.lowlevel.notify_closing(before)
        before.close()

    def take_answer(self, answer: str) -> None:
        """Use the answer to `offer`, which describes the other side. Raises `AnswerInvalid`."""
        self.answer = Answer.parse(answer, self._ip_version)
        self._addresses = [*self.answer.addresses, *self._addresses]

    def add_candidate(self, line: str) -> None:
        """Add a trickled candidate of the other side. It is ignored if it is not UDP over our version of IP."""
        address = candidate_address(line, self._ip_version)
        if address is not None and address not in self._addresses:
            self._addresses.append(address)

    async def connect(self) -> None:
        """Check every address until one answers, and make the DTLS handshake. Returns when media can flow.

        Raises `NotConnected` if there is no answer yet, and `HandshakeFailed`.
        """
        self.require_answer()
        await self.reach()
        if self._dtls is None:
            self.start_dtls()
        await self._settled.wait()
        if self.failed.is_set():
            raise HandshakeFailed("the DTLS handshake failed")

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
        """Begin the handshake, or wait for the other side's first message, depending on the answer."""
        connection = SSL.Connection(self._context, None)
        connection.set_ciphertext_mtu(1200)
        if self.require_answer().active:
            connection.set_accept_state()
        else:
            connection.set_connect_state()
        self._dtls = connection
        self._drive_dtls(b"")

    def close_notify(self) -> None:
        """Tell the other side that the connection ends, as a browser's `close()` does. Raises `NotConnected`."""
        if self._dtls is None:
            raise NotConnected("there is no connection to close")
        self._dtls.shutdown()
        self._flush_dtls(self._dtls)

    def stop_checks(self) -> None:
        """Send no more connectivity checks, like a browser that has vanished."""
        self._cancel_checks.cancel()

    def require_answer(self) -> Answer:
        """The answer of the other side. Raises `NotConnected` if there is none yet."""
        if self.answer is None:
            raise NotConnected("take_answer comes first")
        return self.answer

    # Media

    def play(self, *kinds: str) -> None:
        """Send a built-in test source from now on: "audio", "video", both, or nothing.

        Audio is silence with 50 packets a second. Video is a VP8 picture of 64 × 64 pixels, 10 times a second.
        Sending begins as soon as the peer is connected.
        """
        self._playing = frozenset(kinds)
        self._play_changed.set()
        self._play_changed = trio.Event()

    def next_sequence_number(self, ssrc: int) -> int:
        """The sequence number of the source's next packet."""
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
    ) -> int:
        """Send an RTP packet (RFC 3550 section 5.1) over SRTP. Returns its sequence number.

        `timestamp` is in units of the codec's clock (48000 a second for Opus, 90000 for video). By default the
        payload type is that of Opus for `AUDIO_SSRC` and that of VP8 for others, and the sequence number is the
        source's next one. `extension` is a whole header extension, with its own header of four bytes. Raises
        `NotConnected`.
        """
        number = self.next_sequence_number(ssrc) if sequence_number is None else sequence_number
        if payload_type is None:
            payload_type = self.payload_types["opus" if ssrc == AUDIO_SSRC else "vp8"]
        first = 0x90 if extension else 0x80
        header = struct.pack("!BBHII", first, marker << 7 | payload_type, number, timestamp & 0xFFFFFFFF, ssrc)
        self.protect_and_send(header + extension + payload)
        return number

    def send_rtcp(self, compound: bytes) -> None:
        """Send a compound RTCP packet (RFC 3550 section 6.1) over SRTCP. Raises `NotConnected`."""
        if self._outbound is None:
            raise NotConnected("RTCP is sent after connect")
        self.send(self._outbound.protect_rtcp(compound))

    def protect_and_send(self, packet: bytes) -> None:
        """Send a whole RTP packet over SRTP. Raises `NotConnected`."""
        if self._outbound is None:
            raise NotConnected("RTP is sent after connect")
        self.send(self._outbound.protect(packet))

    def send(self, datagram: bytes, address: tuple[str, int] | None = None) -> None:
        """Send a raw datagram to `address`, or else to the address that answered our checks, or else to the first
        one.
        """
        to = address or self._selected or next(iter(self._addresses), None)
        # The datagram is lost if the buffer is full, or if the address is unknown or cannot be reached.
        if to is not None:
            with suppress(OSError):
                self.socket.sendto(datagram, to)

    async def receive_rtp(self) -> RtpPacket:
        """The next packet, decrypted.

        Up to 20000 unread packets are kept. Further ones are lost, as in a full socket buffer.
        """
        return await self._rtp_out.receive()

    def received_rtp(self) -> list[RtpPacket]:
        """All packets that have come and were not read yet, without waiting."""
        packets = []
        while True:
            try:
                packets.append(self._rtp_out.receive_nowait())
            except trio.WouldBlock:
                return packets

    async def receive_rtcp(self) -> bytes:
        """The next compound RTCP packet, decrypted. Otherwise like `receive_rtp`."""
        return await self._rtcp_out.receive()

    # Tasks

    async def run(self) -> None:
        """Handle the datagrams that arrive at the socket, until cancelled."""
        while True:
            try:
                await trio.lowlevel.wait_readable(self.socket)
            except trio.ClosedResourceError:
                continue  # The peer has moved.
            # There is nothing more to read, or an ICMP error came from an address at which nobody listens.
            with suppress(OSError):
                for _ in range(_DRAIN):
                    self.received(*self.socket.recvfrom(2048))

    async def keep_alive(self) -> None:
        """Send connectivity checks regularly, which shows our continuing consent (RFC 7675)."""
        with self._cancel_checks:
            while True:
                await trio.sleep(self.keepalive)
                if self.connected.is_set():
                    self.check()

    async def retransmit(self) -> None:
        """Repeat handshake messages that may have been lost."""
        while not self.connected.is_set():
            await trio.sleep(0.2)
            if self._dtls is not None and self.retransmits and not self.connected.is_set():
                try:
                    self._dtls.DTLSv1_handle_timeout()
                except SSL.Error:
                    self._fails()
                    return
                self._flush_dtls(self._dtls)

    async def play_out(self) -> None:
        """Send the packets of the test source that `play` chose, at the right times."""
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
            began = trio.current_time()
            await trio.sleep(_FRAME)
            self.longest_pause = max(self.longest_pause, trio.current_time() - began)

    def _send_frame(self, payload: bytes, ssrc: int, codec: str, timestamp: int) -> None:
        payload_type = self.payload_types.get(codec)
        if payload_type is not None:
            self.send_rtp(payload, ssrc=ssrc, payload_type=payload_type, timestamp=timestamp, marker=True)

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
                pass  # Nobody reads, so the packet is lost, as in a full socket buffer.
            except (pylibsrtp.Error, ValueError):
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
            # The other side begins the handshake, and has found us before our own check was answered.
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
            self._fails()
        self._flush_dtls(connection)

    def _secured(self, connection: SSL.Connection) -> None:
        answer = self.require_answer()
        certificate = connection.get_peer_certificate(as_cryptography=True)
        assert certificate is not None
        der = certificate.public_bytes(serialization.Encoding.DER)
        selected = connection.get_selected_srtp_profile()
        if hashlib.new(answer.hash, der).digest() != answer.fingerprint or selected not in SRTP_PROFILES:
            # The other side does not have the certificate of its answer (RFC 8122 section 6.2), or does not
            # support SRTP (RFC 5764 section 4.1).
            self._fails()
            return
        profile, key, salt = SRTP_PROFILES[selected]
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
        self._settled.set()

    def _fails(self) -> None:
        self.failed.set()
        self._settled.set()

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


def _local_address(family: int, remote: Sequence[tuple[str, int]]) -> str:
    """Our address on the route to the first remote address, or else to any address. No packet is sent."""
    ip_6 = family == socket.AF_INET6
    anywhere = ("2001:db8::1" if ip_6 else "192.0.2.1", 9)
    with socket.socket(family, socket.SOCK_DGRAM) as probe, suppress(OSError):
        probe.connect(remote[0] if remote else anywhere)
        return str(probe.getsockname()[0])
    return "::1" if ip_6 else "127.0.0.1"


@asynccontextmanager
async def run_peer[P: Peer](peer: P, host: str = "0.0.0.0") -> AsyncIterator[P]:
    """Bind the peer's socket at `host`, an IP address of the peer's version, and run its tasks.

    The socket is closed at the end. This is for subclasses of `Peer`; otherwise use `open_peer`. Raises `OSError`.
    """

    async def play_out() -> None:
        await peer.connected.wait()
        await peer.play_out()

    with ExitStack() as stack:
        stack.callback(lambda: peer.socket.close())
        peer.socket.bind((host, 0))
        async with trio.open_nursery() as nursery:
            for task in (peer.run, peer.keep_alive, peer.retransmit, play_out):
                nursery.start_soon(task)
            yield peer
            nursery.cancel_scope.cancel()


@asynccontextmanager
async def open_peer(
    direction: str,
    *,
    audio: Sequence[PayloadType] = (OPUS_TYPE,),
    video: Sequence[PayloadType] = (VP8_TYPE,),
    extensions: Extensions | None = None,
    host: str = "0.0.0.0",
) -> AsyncIterator[Peer]:
    """A peer at a free UDP port of `host`, an IPv4 or IPv6 address. It is closed at the end of the scope.

    The arguments and errors are those of `Peer` and `run_peer`.
    """
    version = ipaddress.ip_address(host).version
    async with run_peer(Peer(direction, audio, video, extensions=extensions, ip_version=version), host) as peer:
        yield peer
