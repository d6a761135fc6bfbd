"""An engine with live peers, for fuzzing what comes to its UDP port: the loop is the fuzzer's own.

Datagrams are handed to the engine's demultiplexer as if they came from the peers' addresses or a stranger's, and
some are made authentic first, so that the fuzzer reaches what lies behind the checks.
"""

from __future__ import annotations

import hmac
import re
import socket
import struct
from pathlib import Path
from typing import ClassVar

import pylibsrtp
from pylibsrtp import Policy, Session

from roomfsm.mediaserver.base.kinds import MediaKind
from roomfsm.mediaserver.base.settings import EngineSettings
from roomfsm.mediaserver.dtls.state import DtlsState
from roomfsm.mediaserver.engine import udp
from roomfsm.mediaserver.engine.engine import Engine, Peer
from roomfsm.mediaserver.ice.lite import Address
from roomfsm.mediaserver.ice.lite import Path as MediaPath
from roomfsm.mediaserver.ice.stun import MESSAGE_INTEGRITY, USE_CANDIDATE, USERNAME
from tests.fuzz.dtls_client import DtlsClient
from tests.mediaserver.observer import RecordingObserver
from tests.mediaserver.peer import VP8_KEYFRAME

_RUNS = 1000
"""After so many inputs the engine and its peers are made anew."""
_COOKIE = 0x2112A442
_OFFERS = Path(__file__).parent.parent / "mediaserver" / "sdp" / "offers"
_LAYERS = "a=rid:l send\r\na=rid:h send\r\na=simulcast:send l;h\r\n"
_RID_ID = 10
_SMALL = b"\xbe\xde\0\1" + bytes((_RID_ID << 4, ord("l"), 0, 0))
_SETTINGS = EngineSettings(host="127.0.0.1", max_addresses=4, nack_ring=64)


class _Engine(Engine):
    """Its clock stands still until it is moved, and it keeps what it sends but for media."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(_SETTINGS, sock)
        self.time = 1000.0
        self.ssrcs = {MediaKind.AUDIO: 1, MediaKind.VIDEO: 2}
        self.sent: list[tuple[bytes, Address]] = []

    def now(self) -> float:
        return self.time

    def send(self, datagram: bytes, path: MediaPath) -> None:
        self.sent.append((datagram, path.remote))

    def send_all(self) -> None:
        """What waits to leave."""
        self.flush()
        while self._fanout.work():
            pass

    def attend_to_all(self) -> None:
        self.send_all()
        self._attend(self.time)
        self._drive_handshakes(self.time)


class _Browser:
    """One peer's other end: an address, and the keys once it is connected."""

    def __init__(self, engine: _Engine, role: str, lines: str = "", source: _Browser | None = None) -> None:
        """`role`: publisher or viewer. `lines` come behind the m-line of video."""
        self.engine = engine
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.address: Address = self.socket.getsockname()
        self.dtls = DtlsClient()
        self.peer: Peer = engine.open_peer(RecordingObserver())
        if source is not None:
            source.peer.connect(self.peer)
        offer = (_OFFERS / f"chromium_{role}.sdp").read_text() + lines
        ours = self.dtls.digest.hex(":").upper()
        self.answer = self.peer.process_offer(re.sub("(?<=a=fingerprint:sha-256 )[0-9A-F:]+", ours, offer))
        self.outbound: Session | None = None
        attributes = dict(line.split(":", 1) for line in self.answer.splitlines() if ":" in line)
        self.ufrag, self.password = attributes["a=ice-ufrag"].encode(), attributes["a=ice-pwd"].encode()

    def send(self, datagram: bytes) -> None:
        if datagram:
            self.engine._dispatch(datagram, self.address, self.engine.time)

    def check(self, kind: bytes, attributes: bytes, nominates: bool) -> None:
        """An authentic STUN message of a type, with these attributes after the usual."""
        name = self.ufrag + b":them"
        body = struct.pack("!HH", USERNAME, len(name)) + name + bytes(-len(name) & 3)
        if nominates:
            body += struct.pack("!HH", USE_CANDIDATE, 0)
        body += attributes[: len(attributes) & ~3]
        head = kind + struct.pack("!HI", len(body) + 24, _COOKIE) + b"transaction."
        digest = hmac.digest(self.password, head + body, "sha1")
        self.send(head + body + struct.pack("!HH", MESSAGE_INTEGRITY, 20) + digest)

    def connect(self) -> None:
        """Check, handshake and keys, as a browser does."""
        self.check(b"\0\1", b"\x80\x2a\0\x08" + bytes(8), True)
        while not self.dtls.connected:
            for datagram in self.dtls.take():
                self.send(datagram)
            arrived = [sent for sent, address in self.engine.sent if address == self.address and sent[0] >= 20]
            self.engine.sent.clear()
            self.dtls.receive_all(arrived)
        client_key, _ = self.dtls.keys()
        policy = Policy(
            key=client_key, ssrc_type=Policy.SSRC_ANY_OUTBOUND, srtp_profile=Policy.SRTP_PROFILE_AEAD_AES_128_GCM
        )
        policy.allow_repeat_tx = True
        self.outbound = Session(policy)

    def protected(self, packet: bytes, rtcp: bool) -> bytes:
        """A packet made authentic; as it is where libsrtp does not take it."""
        assert self.outbound is not None
        try:
            return self.outbound.protect_rtcp(packet) if rtcp else self.outbound.protect(packet)
        except (pylibsrtp.Error, ValueError):
            return packet


class Live:
    """A publisher with a viewer, a peer in its handshake and one not heard yet, and a stranger's address.

    A further publisher sends layers, and its viewer tells when packets come.
    """

    _current: ClassVar[Live | None] = None

    @classmethod
    def current(cls) -> Live:
        """The one that serves for some more inputs."""
        if cls._current is None or cls._current.runs >= _RUNS:
            if cls._current is not None:
                cls._current.close()
            cls._current = Live()
        return cls._current

    def __init__(self) -> None:
        self.runs = 0
        self._number = 0
        self._socket = udp.bind(_SETTINGS)
        self.engine = _Engine(self._socket)
        self.publisher = _Browser(self.engine, "publisher")
        self.viewer = _Browser(self.engine, "viewer")
        self.half_open = _Browser(self.engine, "viewer")
        self.silent = _Browser(self.engine, "viewer")
        self.layered = _Browser(self.engine, "publisher", _LAYERS)
        self.estimated = _Browser(self.engine, "viewer", source=self.layered)
        self.browsers = [
            *(self.publisher, self.viewer, self.half_open, self.silent, self.layered, self.estimated),
        ]
        assert self.estimated.peer.path.transport is not None
        for browser in (self.publisher, self.viewer, self.layered, self.estimated):
            browser.connect()
        self.half_open.check(b"\0\1", b"", True)
        self.publisher.peer.connect(self.viewer.peer)
        self.stranger: Address = ("127.0.0.2", 9)
        self._check()  # So that the SSRC of the check is known before the fuzzer's.

    def close(self) -> None:
        self.engine.close()
        assert (self.engine.by_ufrag, self.engine.by_address, self.engine.peers) == ({}, {}, 0)
        self._socket.close()
        for browser in self.browsers:
            browser.socket.close()

    def run(self, data: bytes) -> None:
        """`data`: for each datagram a byte that says whose it is and what is done to it, its length in two bytes,
        and the datagram. Afterwards the publisher's media must still be taken."""
        self.runs += 1
        while len(data) > 3:
            self._step(data[0], data[3 : 3 + int.from_bytes(data[1:3])])
            data = data[3 + int.from_bytes(data[1:3]) :]
        self.engine.attend_to_all()
        self._check()

    def _step(self, action: int, content: bytes) -> None:
        engine, browser = self.engine, self.browsers[4 + (action & 1) if action & 64 else action & 3]
        match action >> 2 & 7:
            case 0 | 1:
                browser.send(content)
            case 2:
                engine.sent.clear()
                if content:
                    engine._dispatch(content, self.stranger, engine.time)
                assert sum(len(sent) for sent, to in engine.sent if to == self.stranger) <= len(content)
            case 3:
                browser.check(content[:2].ljust(2, b"\0"), content[2:], bool(action & 32))
            case 4 | 5 if browser.outbound is not None:
                browser.send(browser.protected(content, rtcp=False))
            case 6 if browser.outbound is not None:
                browser.send(browser.protected(content, rtcp=True))
            case 7:
                engine.time += action / 512
                engine._tick(engine.time)
        engine.attend_to_all()
        engine.sent.clear()

    def _check(self) -> None:
        engine = self.engine
        assert len(engine.by_ufrag) == engine.peers == len(self.browsers)
        assert len(engine.by_address) <= len(self.browsers) * _SETTINGS.max_addresses
        assert not engine.pending
        for browser in (self.publisher, self.viewer, self.layered, self.estimated):
            browser.check(b"\0\1", b"\x80\x2a\0\x08" + bytes(8), True)
            assert browser.peer.stats().dtls_state is DtlsState.CONNECTED
        refused = dict(engine.stats().refused)
        engine.time += 0.4  # A new SSRC takes over from one that is silent.
        self._number += 1
        for browser, first, extension in ((self.publisher, 0x80, b""), (self.layered, 0x90, _SMALL)):
            head = struct.pack(
                "!BBHII", first, 96, self._number & 0xFFFF, self._number * 3000 & 0xFFFFFFFF, 0x5EED
            )
            browser.send(browser.protected(head + extension + VP8_KEYFRAME, rtcp=False))
        engine.send_all()
        assert engine.stats().refused == refused
        engine.sent.clear()
