"""`roomfsm.peer` as tests want it: packets by hand, feedback read, datagrams lost or tapped."""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import trio

from roomfsm.mediaserver.rtp import rtcp
from roomfsm.peer import (
    AUDIO_SSRC,
    OPUS_TYPE,
    SRTP_PROFILES,
    VIDEO_SSRC,
    VP8_TYPE,
    Extensions,
    PayloadType,
    Peer,
    run_peer,
)

VP8_KEYFRAME = bytes((0x10, 0x00)) + bytes(20)
"""A payload that begins a VP8 keyframe: descriptor with S, then a payload header without P."""
VP8_DELTA = bytes((0x10, 0x01)) + bytes(20)
H264_KEYFRAME = bytes((0x65,)) + bytes(20)
OPUS = bytes((0xFC,)) + bytes(40)

VP8_RTX_TYPE = PayloadType(97, "rtx/90000", "apt=96")
RED_TYPE = PayloadType(63, "red/48000/2", "111/111")
H264_TYPE = PayloadType(
    102, "H264/90000", "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f"
)


def redundant(payload_type: int, *older: tuple[int, bytes], primary: bytes) -> bytes:
    """A RED payload (RFC 2198): older blocks, with how much older in timestamp units, and the primary one."""
    headers = (
        struct.pack("!I", (0x80 | payload_type) << 24 | offset << 10 | len(block)) for offset, block in older
    )
    return b"".join((*headers, bytes((payload_type,)), *(block for _, block in older), primary))


_BINDING_REQUEST = b"\0\1"


class TestPeer(Peer):
    """A publisher or a viewer. Made by :func:`open_test_peer`; every wait is the caller's to bound."""

    __test__ = False

    def __init__(
        self,
        direction: str,
        audio: Sequence[PayloadType],
        video: Sequence[PayloadType],
        profiles: Sequence[bytes],
        certificate: bool,
        extensions: Extensions | None = None,
        ip_version: int = 4,
    ) -> None:
        super().__init__(direction, audio, video, profiles, certificate, extensions, ip_version)
        self.sent: dict[tuple[int, int], bytes] = {}
        """The last 2000 RTP packets by SSRC and sequence number, before protection: for resending."""
        self.tap: Callable[[bytes], None] | None = None
        """Instead of decryption: gets each RTP or RTCP datagram as it came. For load runs."""
        self.lose: Callable[[bytes], bool] = lambda _datagram: False
        """Which datagrams are lost, of both directions."""
        self.checked = trio.Event()
        """A check of the other side came, and was answered."""
        self._cancel_reading = trio.CancelScope()

    async def accept(self, answer: str, *, full_agent: bool = False) -> None:
        """Take the answer and connect; returns when DTLS-SRTP is up.

        A server that is a full ICE agent takes no DTLS before it has checked back.
        """
        self.take_answer(answer)
        await self.reach()
        if full_agent:
            await self.checked.wait()
        self.start_dtls()
        await self.connected.wait()

    async def run(self) -> None:
        with self._cancel_reading:
            await super().run()

    def stop_reading(self) -> None:
        """Leave the socket to the caller."""
        self._cancel_reading.cancel()

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
        self.protect_and_send(self.sent[ssrc, sequence_number])

    def send(self, datagram: bytes, address: tuple[str, int] | None = None) -> None:
        """Send raw bytes to the server, unless they are lost."""
        if not self.lose(datagram):
            super().send(datagram, address or self.require_answer().address)

    def received(self, datagram: bytes, source: tuple[str, int]) -> None:
        if self.lose(datagram):
            return
        if self.tap is not None and datagram[0] >= 64:
            self.tap(datagram)
        else:
            super().received(datagram, source)
            if datagram[:2] == _BINDING_REQUEST:
                self.checked.set()

    async def receive_feedback[T: rtcp.RtcpPacket](self, kind: type[T]) -> T:
        """The next RTCP packet of a kind; others are passed over."""
        while True:
            for packet in rtcp.parse(await self.receive_rtcp()):
                if isinstance(packet, kind):
                    return packet


@asynccontextmanager
async def open_test_peer(
    direction: str,
    *,
    audio: Sequence[PayloadType] = (OPUS_TYPE,),
    video: Sequence[PayloadType] = (VP8_TYPE,),
    profiles: Sequence[bytes] = tuple(SRTP_PROFILES),
    certificate: bool = True,
    extensions: Extensions | None = None,
    host: str = "127.0.0.1",
) -> AsyncIterator[TestPeer]:
    """A peer that offers `direction`: sendonly (a publisher), recvonly (a viewer) or sendrecv.

    `profiles`: of SRTP, as OpenSSL names them. Without `certificate` it shows none in the handshake.
    """
    ip_version = ipaddress.ip_address(host).version
    peer = TestPeer(direction, audio, video, profiles, certificate, extensions, ip_version)
    async with run_peer(peer, host):
        yield peer
