"""Transport-wide congestion control: tells a browser when each of its packets arrived.

This follows draft-holmer-rmcat-transport-wide-cc-extensions-01. The browser numbers all packets of a transport in
a header extension. Our feedback shows it that the path to us fills up, before packets are lost.
"""

from collections.abc import Callable

from roomfsm.mediaserver.rtp.extensions import read_extension
from roomfsm.mediaserver.rtp.packet import payload_offset
from roomfsm.mediaserver.rtp.transport_feedback import write_feedback

_INTERVAL = 0.1
"""Seconds between two feedback packets (section 3.1 of the draft recommends 50 to 250 ms)."""
_MAX_STATUSES = 480
"""The most packets that one feedback packet covers, so that it always fits into a datagram."""
_MAX_JUMP = 5000
"""If the numbers jump by more than this, counting starts anew."""


class Feedback:
    """The arrival times of one transport's packets since the last feedback.

    `extensions` has the id of the header extension for each payload type that carries it.
    """

    def __init__(self, ssrc: int, send: Callable[[bytes], None], arrival_time: Callable[[], float]) -> None:
        """`ssrc` is our SSRC in the feedback. `send` sends an RTCP packet.

        `arrival_time` returns the arrival time of the packet that is being received, in seconds of any clock.
        """
        self._ssrc = ssrc
        self._send = send
        self._arrival_time = arrival_time
        self.extensions: dict[int, int] = {}
        self._media_ssrc = 0
        self._highest: int | None = None
        """The extended number of the newest packet."""
        self._next = 0
        """The extended number after those of the last feedback."""
        self._arrivals: dict[int, float] = {}
        self._count = 0
        self._due = 0.0

    def received(self, packet: bytes, now: float) -> bool:
        """Record a packet that has a header extension. Returns whether there is something to report."""
        extension_id = self.extensions.get(packet[1] & 0x7F)
        if extension_id is None:
            return False
        value = read_extension(packet, payload_offset(packet), extension_id)
        if len(value) < 2:
            return False
        self._media_ssrc = int.from_bytes(packet[8:12])
        if not self._arrivals:
            self._due = max(self._due, now)
        self._arrivals.setdefault(self._extend(int.from_bytes(value[:2])), self._arrival_time())
        return True

    def _extend(self, number: int) -> int:
        if self._highest is None:
            self._highest = self._next = 0x10000 + number
            return self._highest
        distance = (number - self._highest + 0x8000 & 0xFFFF) - 0x8000
        extended = self._highest + distance
        if abs(distance) >= _MAX_JUMP:
            self._arrivals.clear()
            self._highest = self._next = extended
        self._highest = max(self._highest, extended)
        return extended

    def attend(self, now: float) -> bool:
        """Send the feedback if it is due. Returns whether there is more to report."""
        if not self._arrivals or now < self._due:
            return bool(self._arrivals)
        arrivals, self._arrivals = self._arrivals, {}
        self._due = now + _INTERVAL
        # Packets that come late have been reported as lost. They are reported again, and the later report counts.
        first = min(self._next, min(arrivals))
        end = max(arrivals) + 1
        self._next = max(self._next, end)
        for start in range(first, end, _MAX_STATUSES):
            times = [arrivals.get(number) for number in range(start, min(start + _MAX_STATUSES, end))]
            if any(time is not None for time in times):
                self._send(write_feedback(self._ssrc, self._media_ssrc, start & 0xFFFF, self._count, times))
                self._count = self._count + 1 & 0xFF
        return False
