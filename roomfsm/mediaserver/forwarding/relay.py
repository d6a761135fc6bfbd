"""Sends a track to the viewers of other workers: once to each worker, where it is mirrored.

The publisher's worker (the *origin*) has a `Relay` for each worker with viewers. That worker has a `Mirror`, whose
track gets the decrypted packets as if they came from a browser. Its feedback goes back as the RTCP that a browser
would get. Packets that were lost on the way are repaired from the origin's ring, or for audio from the relay's own
last packets. Keyframe requests are collected at the origin. Both directions use Unix datagram sockets in a folder
that only this user can read.
"""

from __future__ import annotations

import socket
import struct
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from enum import IntEnum
from pathlib import Path

from roomfsm.mediaserver.base.boundary import Boundary
from roomfsm.mediaserver.base.kinds import MediaKind
from roomfsm.mediaserver.forwarding.surroundings import Attended, Outlet
from roomfsm.mediaserver.forwarding.track import Track
from roomfsm.mediaserver.rtp import rtcp
from roomfsm.mediaserver.sdp.codec import Codec

_HEADER = struct.Struct("!BBIBH")
"""The header: the type of the message, the sending worker, the source, its kind, and the length of the payload."""
_MAX_DATAGRAM = 60_000
_BUFFER = 4 * 1024 * 1024
"""The bytes of the socket's buffer, and the most bytes that wait for one other worker."""
_DRAIN = 64
"""The most datagrams that are read before other tasks get their turn."""
_REMB_LIFE = 5.0
_KEPT_AUDIO = 64
"""The number of kept audio packets, which last about a second."""
_KEPT_REPLAY = 5.0
"""Seconds for which a mirror may ask for parts of its replay again."""
_KINDS = (MediaKind.AUDIO, MediaKind.VIDEO)


_PACKET = Boundary("one packet from another worker")
_TARGET = Boundary("handing over to one other worker")


class _What(IntEnum):
    RTP = 0
    SENDER_REPORT = 1
    FEEDBACK = 2


class Links:
    """A worker's datagram socket to all other workers.

    On Linux at most 10 datagrams can wait at a socket (net.unix.max_dgram_qlen), whatever its buffer. So datagrams
    for a busy worker wait here for a while. If there are too many, they are dropped, and repaired like any loss.
    """

    def __init__(self, folder: Path, index: int, attention: set[Attended]) -> None:
        """`attention` is the engine's set of objects that have something to do soon."""
        self._attention = attention
        self._folder = folder
        self._index = index
        path = folder / str(index)
        path.unlink(missing_ok=True)  # This is the socket of the worker before this one, which died.
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.setblocking(False)
        for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            self.socket.setsockopt(socket.SOL_SOCKET, option, _BUFFER)
        self.socket.bind(str(path))
        self._pending: dict[int, list[bytes]] = {}
        self._sizes: dict[int, int] = {}
        self._waiting: dict[int, deque[bytes]] = {}
        """The datagrams for which a target has no room yet."""
        self._waiting_sizes: dict[int, int] = {}
        """The bytes of these datagrams, by target."""
        self.relays: dict[tuple[int, MediaKind, int], Relay] = {}
        """The relays by source, kind and target."""
        self.mirrors: dict[tuple[int, MediaKind], Mirror] = {}
        self.dropped = 0
        """The number of dropped datagrams."""

    def put(self, what: _What, target: int, source: int, kind: MediaKind, payload: bytes) -> None:
        """Queue a message for the target. :meth:`flush` sends all messages of one drain in one datagram."""
        size = self._sizes.get(target, 0) + _HEADER.size + len(payload)
        if size > _MAX_DATAGRAM:
            self._send(target)
            size = _HEADER.size + len(payload)
        header = _HEADER.pack(what, self._index, source, _KINDS.index(kind), len(payload))
        self._pending.setdefault(target, []).append(header + payload)
        self._sizes[target] = size

    def flush(self) -> None:
        for target in list(self._pending):
            with _TARGET:
                self._send(target)

    def _send(self, target: int) -> None:
        datagram = b"".join(self._pending.pop(target))
        self._sizes.pop(target)
        waiting = self._waiting.get(target)
        if waiting is None:
            if self._taken(target, datagram):
                return
            waiting = self._waiting[target] = deque()
            self._waiting_sizes[target] = 0
            self._attention.add(self)
        if self._waiting_sizes[target] + len(datagram) > _BUFFER:
            self.dropped += 1
        else:
            waiting.append(datagram)
            self._waiting_sizes[target] += len(datagram)

    def attend(self, now: float) -> bool:
        """Try to send waiting datagrams. Returns whether some are still waiting."""
        del now
        for target, waiting in list(self._waiting.items()):
            while waiting and self._taken(target, waiting[0]):
                self._waiting_sizes[target] -= len(waiting.popleft())
            if not waiting:
                del self._waiting[target], self._waiting_sizes[target]
        return bool(self._waiting)

    def _taken(self, target: int, datagram: bytes) -> bool:
        """Whether the datagram is done, because it was sent or the target does not exist any more."""
        try:
            self.socket.sendto(datagram, str(self._folder / str(target)))
        except BlockingIOError:
            return False
        except OSError:  # The target has died.
            self.dropped += 1
        return True

    def drain(self, now: float) -> None:
        """Handle the datagrams that other workers sent."""
        for _ in range(_DRAIN):
            try:
                datagram = self.socket.recv(_MAX_DATAGRAM)
            except BlockingIOError:
                break
            offset = 0
            while offset < len(datagram):
                what, sender, source, kind, size = _HEADER.unpack_from(datagram, offset)
                offset += _HEADER.size
                payload = datagram[offset : offset + size]
                offset += size
                try:
                    self._take(what, sender, source, _KINDS[kind], payload, now)
                except Exception as error:  # noqa: BLE001 (see boundary.py)
                    _PACKET.caught(error)

    def _take(self, what: int, sender: int, source: int, kind: MediaKind, payload: bytes, now: float) -> None:
        if what == _What.FEEDBACK:
            relay = self.relays.get((source, kind, sender))
            if relay is not None:
                relay.feedback(payload, now)
            return
        mirror = self.mirrors.get((source, kind))
        if mirror is None:
            return  # The relay or mirror has just been closed.
        if what == _What.RTP:
            mirror.receive(payload, now)
        else:
            mirror.sender_report(payload, now)

    def close(self) -> None:
        self.socket.close()
        (self._folder / str(self._index)).unlink(missing_ok=True)


class Relay:
    """At the origin: sends one track to one other worker."""

    def __init__(self, links: Links, track: Track, source: int, target: int) -> None:
        self._links = links
        self._track = track
        self._source = source
        self._target = target
        self._remb = 0
        self._remb_time = float("-inf")
        self._audio: deque[bytes] = deque(maxlen=_KEPT_AUDIO)
        """The last packets of audio."""
        self._replayed: dict[bytes, bytes] = {}
        """The packets with which the mirror began, by sequence number. They differ from those in the ring."""
        self._replay_time = float("-inf")

    def open(self) -> None:
        """Begin with a recent keyframe if there is one, or else ask for one, because viewers are waiting."""
        self._track.admit_relay(self)

    def close(self) -> None:
        self._track.dismiss_relay(self)

    def replay(self, packets: Sequence[bytes], now: float) -> None:
        self._replay_time = now
        for packet in packets:
            self._replayed[packet[2:4]] = packet
            self._put(packet)

    def packet(self, packet: bytes) -> None:
        if self._track.kind is MediaKind.AUDIO:
            self._audio.append(packet)
        self._put(packet)

    def _put(self, packet: bytes) -> None:
        self._links.put(_What.RTP, self._target, self._source, self._track.kind, packet)

    def sender_report(self, report: rtcp.SenderReport) -> None:
        compound = rtcp.sender_report(report.ssrc, report)
        self._links.put(_What.SENDER_REPORT, self._target, self._source, self._track.kind, compound)

    def bitrate(self, now: float) -> int | None:
        """The bitrate that the viewers there can receive, in bit/s; None while it is not known."""
        return self._remb if now - self._remb_time <= _REMB_LIFE else None

    def feedback(self, compound: bytes, now: float) -> None:
        """Handle the RTCP that the mirror would send to a browser."""
        for packet in rtcp.parse(compound):
            match packet:
                case rtcp.Nack():
                    if now - self._replay_time > _KEPT_REPLAY:
                        self._replayed.clear()
                    for kept in self._kept(packet.sequence_numbers):
                        self._put(kept)
                case rtcp.KeyframeRequest():
                    self._track.request_keyframe()
                case rtcp.Remb():
                    self._remb, self._remb_time = packet.bitrate, now

    def _kept(self, sequence_numbers: Sequence[int]) -> list[bytes]:
        if self._track.kind is MediaKind.VIDEO:
            kept = {packet[2:4]: packet for packet in self._track.kept(sequence_numbers)}
            return [self._replayed.get(number, packet) for number, packet in kept.items()]
        wanted = {number.to_bytes(2) for number in sequence_numbers}
        return [packet for packet in self._audio if packet[2:4] in wanted]


class Mirror:
    """At a worker with viewers: the publisher of a track whose source is on another worker."""

    receive_limits = (0, 0)

    def __init__(self, links: Links, outlet: Outlet, source: int, kind: MediaKind, origin: int) -> None:
        self._links = links
        self._source = source
        self._kind = kind
        self._origin = origin
        self.track = Track(kind, outlet, self)

    def negotiated(self, codec: Codec, audio_level: int) -> None:
        """Set the codec of the source's track.

        Packets that are lost on the way here are requested again, also for audio.
        """
        feedback = tuple(dict.fromkeys((*codec.feedback, "nack")))
        self.track.negotiated(replace(codec, feedback=feedback), audio_level)

    def receive(self, packet: bytes, now: float) -> None:
        if self.track.stream.codec is not None and not self._is_known(packet):
            self.track.receive(packet, now)

    def _is_known(self, packet: bytes) -> bool:
        """Whether a packet has already come. A packet that was requested twice may come twice.

        Packets from a browser never come twice, because SRTP drops them. SRTP to the viewers must not get the same
        number twice with another send time in the packet (RFC 7714 section 8.1).
        """
        reception = self.track.stream.reception
        if reception is None or packet[8:12] != reception.ssrc.to_bytes(4):
            return False
        extended = reception.extend(int.from_bytes(packet[2:4]))
        if extended > reception.highest or reception.is_restart(extended):
            return False
        return extended not in reception.missing

    def sender_report(self, compound: bytes, now: float) -> None:
        for packet in rtcp.parse(compound):
            if isinstance(packet, rtcp.SenderReport):
                self.track.sender_report(packet, now)

    def send_rtcp(self, kind: MediaKind, compound: bytes) -> None:
        self._links.put(_What.FEEDBACK, self._origin, self._source, kind, compound)

    def receiving_changed(self, kind: MediaKind, flowing: bool) -> None: ...

    def speech_changed(self, speaks: bool) -> None:
        """Nothing to do: the source's own worker tells it."""

    def tick(self, now: float) -> None:
        """Check the flow, and report the bitrate that the viewers here can receive."""
        self.track.check_flow(now)
        if any(estimate is not None for estimate in self.track.estimates(now)):
            report = self.track.report(now)
            if report is not None and report[1]:
                self.send_rtcp(self._kind, report[1])

    def close(self) -> None:
        self.track.close()
