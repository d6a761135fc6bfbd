"""Decides when to ask a publisher for a keyframe. Wishes are collected, and a request is repeated until one comes.

Theory. A keyframe costs every viewer of the source some quality, not only the viewer who needs it: it is many
times as large as other frames, so the encoder makes the frames around it poorer. Therefore each reason for a
keyframe has an allowance of its own, which is a token bucket. There is one for viewers that begin, one for the
losses of all viewers together, and one for the losses of each viewer
(:mod:`~roomfsm.mediaserver.forwarding.viewer_path`). While a wish is open, further wishes cost nothing, because
one keyframe serves all of them. The request (PLI, RFC 4585 section 6.3.1, or FIR, RFC 5104 section 4.3.1) may be
lost, so it is repeated until a keyframe begins.

Apart from wishes, a source is asked from time to time while its picture changes, so that the ring always holds a
keyframe and all packets after it. This is called *renewal*.
"""

from roomfsm.mediaserver.forwarding.stream import Stream
from roomfsm.mediaserver.ice.allowance import Allowance
from roomfsm.mediaserver.rtp import rtcp

_SILENT_INTERVAL = 2.0
"""Seconds between two keyframe requests to a publisher that sends no video."""


class KeyframeRequests:
    """The wish for a keyframe of one source.

    Browsers ignore a request that follows another one too soon. So a wish within `interval` seconds of the last
    request waits, and is never dropped.
    """

    __slots__ = ("_interval", "_last", "count", "wanted")

    def __init__(self, interval: float) -> None:
        self._interval = interval
        self._last = float("-inf")
        self.wanted = False
        self.count = 0
        """The number of requests that were made."""

    def want(self) -> None:
        self.wanted = True

    def seen(self) -> None:
        """Note that a keyframe has begun."""
        self.wanted = False

    def due(self, now: float, interval: float = 0.0) -> bool:
        """Whether a request must be sent now, at least `interval` seconds after the last. It counts as sent."""
        if not self.wanted or now - self._last < max(interval, self._interval):
            return False
        self.sent(now)
        return True

    def sent(self, now: float) -> None:
        """Note that a request is sent, whether or not it was wished for."""
        self._last = now
        self.count += 1


class TrackKeyframes(KeyframeRequests):
    """The keyframe requests of one track: the allowances for them, and the packets to send to its browser."""

    __slots__ = ("_renewals", "_stream", "for_joins", "for_losses")

    def __init__(self, stream: Stream) -> None:
        settings = stream.outlet.settings
        super().__init__(settings.keyframe_interval)
        self._stream = stream
        self.for_losses = Allowance(1 / settings.loss_keyframe_interval, settings.loss_keyframe_burst)
        """The allowance of keyframes for losses of all viewers together."""
        self.for_joins = Allowance(1 / settings.join_keyframe_interval, settings.join_keyframe_burst)
        """The allowance of keyframes for viewers that begin."""
        self._renewals = Allowance(1 / settings.renewal_interval, 1)
        """The allowance of keyframes that keep the ring ready for late viewers."""

    def request(self) -> None:
        """Ask the browser for a keyframe as soon as that is due, until one comes.

        This does nothing for audio, or if the browser has not agreed to be asked, because such a browser need not
        answer.
        """
        if self._stream.can_be_asked:
            self.want()
            self._stream.attend_soon()

    def request_due(self, now: float) -> bytes:
        """The RTCP packet with the request that must be sent now; empty if none is due."""
        if not self.due(now, 0.0 if self._stream.flowing else _SILENT_INTERVAL):
            return b""
        return self._request()

    def renewal_due(self, now: float) -> bytes:
        """The RTCP packet that must be sent now so that the ring stays ready for late viewers; empty if none.

        A source may become silent at any time, and some sources then make no keyframe even if they are asked,
        because nobody draws on their canvas any more. So a source is asked while it still sends much. It is also
        asked when it has just become silent, because a short replay is better than a long one. It is asked once in
        each `renewal_interval`, and not repeatedly until it answers.
        """
        stream = self._stream
        reception, ring, settings = stream.reception, stream.ring, stream.outlet.settings
        if reception is None or ring is None or not stream.can_be_asked:
            return b""
        followed = reception.highest + 1 - max(stream.keyframe_start, stream.floor)
        few = settings.small_replay if stream.is_silent(now) else ring.size * settings.renewal_share
        if followed <= few or self.wanted or not self._renewals.take(1, now):
            return b""
        self.sent(now)
        return self._request()

    def _request(self) -> bytes:
        """The request that was just counted, in the form that was negotiated."""
        codec, reception = self._stream.codec, self._stream.reception
        assert codec is not None
        assert reception is not None
        ours = self._stream.outlet.ssrcs[self._stream.kind]
        if "nack pli" in codec.feedback:
            return rtcp.pli(ours, reception.ssrc)
        return rtcp.fir(ours, reception.ssrc, self.count)
