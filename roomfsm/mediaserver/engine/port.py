"""A UDP port and the transports that use it: which transport each datagram belongs to.

The first byte tells STUN, DTLS and RTP apart (RFC 7983), and the second byte RTP and RTCP (RFC 5761 section 4). A
STUN check belongs to the transport with its user name. Any other datagram belongs to the transport that has
authenticated the sender's address by a check. If there is none, the datagram is dropped.
"""

import socket
from collections.abc import Callable

from roomfsm.mediaserver.base.boundary import Boundary
from roomfsm.mediaserver.base.refusal import Refusal
from roomfsm.mediaserver.base.settings import EngineSettings
from roomfsm.mediaserver.engine import packet_info
from roomfsm.mediaserver.engine.inbox import Inbox
from roomfsm.mediaserver.engine.transport import Transport
from roomfsm.mediaserver.ice import stun
from roomfsm.mediaserver.ice.lite import Address, Path, StreamAddress

_DATAGRAM = Boundary("one datagram")


class Port:
    """The socket, and what is needed to give each datagram to its transport."""

    settings: EngineSettings
    refuse: Callable[[Refusal], None]
    """Counts a datagram that was refused."""
    received: Callable[[int], None]
    """Counts datagrams that came."""

    def __init__(self, sock: socket.socket, inbox: Inbox) -> None:
        self._socket = sock
        self._inbox = inbox
        self.by_ufrag: dict[bytes, Transport] = {}
        self.by_address: dict[Address, Transport] = {}
        self._tells_addresses = packet_info.enable(sock)
        self.arrived: float | None = None
        """When what is being dispatched arrived, if it came over TCP."""
        self._asks_addresses = False
        """Whether it matters to which address of ours a datagram was sent."""

    def arrival_time(self) -> float:
        """The arrival time of the datagram that is being dispatched, in seconds of a clock that only this method
        uses.
        """
        return self._inbox.arrival_time() if self.arrived is None else self.arrived

    def send(self, datagram: bytes, path: Path) -> None:
        """Send a datagram.

        If the system refuses it, it is lost, because every protocol above repeats its datagrams.
        """
        remote = path.remote
        try:
            if isinstance(remote, StreamAddress):
                remote.stream.sendmsg((datagram,))
            else:
                self._socket.sendmsg((datagram,), path.control, 0, remote)
        except OSError:
            self.refuse(Refusal.SEND_FAILED)

    def _drain(self, now: float) -> None:
        """Handle the datagrams that wait at the socket, up to `drain` of them."""
        count = 0
        for datagram, address in self._inbox.read(self.settings.drain, asks=self._asks_addresses):
            count += 1
            if datagram:
                try:
                    self._dispatch(datagram, address, now)
                except Exception as error:  # noqa: BLE001 (see boundary.py)
                    _DATAGRAM.caught(error)
        self.received(count)

    def take(self, packet: bytes, address: Address, now: float) -> None:
        """Handle a packet that came in another way than by the socket."""
        self._dispatch(packet, address, now)

    def _dispatch(self, datagram: bytes, address: Address, now: float) -> None:
        """Find the protocol by the first byte (RFC 7983), and the peer by the address."""
        first = datagram[0]
        if first < 4:
            asked = self._inbox.asked() if self._asks_addresses and self.arrived is None else b""
            self._receive_stun(datagram, address, now, asked)
            return
        transport = self.by_address.get(address)
        if transport is None:
            self.refuse(Refusal.UNKNOWN_ADDRESS)
        elif 128 <= first <= 191 and len(datagram) >= 12:
            if 192 <= datagram[1] <= 223:
                transport.receive_rtcp(datagram, now)
            else:
                transport.receive_rtp(datagram, now)
        elif 20 <= first <= 63:
            transport.receive_dtls(datagram, now)
        else:
            self.refuse(Refusal.UNKNOWN_KIND)

    def _receive_stun(self, datagram: bytes, address: Address, now: float, asked: bytes) -> None:
        try:
            message = stun.parse(datagram)
        except stun.StunError:
            self.refuse(Refusal.STUN_MALFORMED)
            return
        if message.type != stun.BINDING_REQUEST:
            self._receive_answer(message, datagram, address, now)
            return
        ours = message.attributes.get(stun.USERNAME, b"").partition(b":")[0]
        transport = self.by_ufrag.get(ours)
        if transport is None:
            self.refuse(Refusal.STUN_UNKNOWN_USER)
        else:
            transport.receive_stun(message, datagram, address, now, asked)

    def _receive_answer(self, message: stun.StunMessage, datagram: bytes, address: Address, now: float) -> None:
        """Take a STUN message that is not a request. Lite agents ask nothing, so nobody has an answer for them."""
