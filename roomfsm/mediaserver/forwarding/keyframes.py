"""When to ask a publisher for a keyframe: wishes are gathered, spaced, and repeated until one is seen.

Theory. A keyframe costs every viewer of the source, not only the one who needs it: it is many times as large
as other frames, so the encoder makes the frames around it poorer. So each reason for a keyframe has an
allowance of its own, a token bucket: viewers that start, and losses of viewers (of all together, and of each,
see :mod:`~roomfsm.mediaserver.forwarding.viewer_path`). Once a keyframe is wished for, further wishes cost
nothing, since the one keyframe serves all. The request (PLI, RFC 4585 section 6.3.1, or FIR, RFC 5104 section
4.3.1) is repeated until a keyframe begins, because it may be lost.

Apart from wishes, a source is asked now and then while it moves, so that the ring always holds a keyframe and
all that followed it (*renewal*).
"""

from roomfsm.mediaserver.forwarding.stream import Stream
from roomfsm.mediaserver.ice.allowance import Allowance
from roomfsm.mediaserver.rtp import rtcp

_SILENT_INTERVAL = 2.0
"""Seconds between two keyframe requests to a publisher that sends no video."""


class KeyframeRequests:
    """The wish for a keyframe of one source.

    A wish within `interval` of the last request waits its turn and is never dropped: browsers ignore requests that
    come closer.
    """

    __slots__ = ("_interval", "_last", "count", "wanted")

    def __init__(self, interval: float) -> None:
        self._interval = interval
        self._last = float("-inf")
        self.wanted = False
        self.count = 0
        """Requests made."""

    def want(self) -> None:
        self.wanted = True

    def seen(self) -> None:
        """A keyframe began."""
        self.wanted = False

    def due(self, now: float, interval: float = 0.0) -> bool:
        """Whether to send a request now, if the last was `interval` seconds ago; it is counted as sent."""
        if not self.wanted or now - self._last < max(interval, self._interval):
            return False
        self.sent(now)
        return True

    def sent(self, now: float) -> None:
        """A request goes out, whether or not it was wished for."""
        self._last = now
        self.count += 1


class TrackKeyframes(KeyframeRequests):
    """The keyframes of one track: who may wish for one, and what to send to its browser."""

    __slots__ = ("_renewals", "_stream", "for_joins", "for_losses")

    def __init__(self, stream: Stream) -> None:
        settings = stream.outlet.settings
        super().__init__(settings.keyframe_interval)
        self._stream = stream
        self.for_losses = Allowance(1 / settings.loss_keyframe_interval, settings.loss_keyframe_burst)
        """Keyframes for losses of any viewers."""
        self.for_joins = Allowance(1 / settings.join_keyframe_interval, settings.join_keyframe_burst)
        """Keyframes for viewers that start."""
        self._renewals = Allowance(1 / settings.renewal_interval, 1)
        """Keyframes asked for so that the ring holds all that a late viewer needs."""

    def request(self) -> None:
        """Ask the browser for a keyframe, as soon as that is due and until one comes.

        Nothing is done for audio, or where the browser has not agreed to be asked: then nobody may count on it.
        """
        if self._stream.can_be_asked:
            self.want()
            self._stream.attend_soon()

    def request_due(self, now: float) -> bytes:
        """The RTCP packet that is to be sent now; empty if none is due."""
        if not self.due(now, 0.0 if self._stream.flowing else _SILENT_INTERVAL):
            return b""
        return self._request()

    def renewal_due(self, now: float) -> bytes:
        """The RTCP packet to be sent now so that the ring holds a keyframe and all that followed; empty if none.

        A source may fall silent at any time, and some then make no keyframe, even if they are asked: nobody draws
        on their canvas again. So a source that sends much is asked while it still does. One that has just fallen
        silent is asked, too, because a short replay is better than a long one. It is asked once each
        `renewal_interval` and not until it answers.
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
        """The request that was just counted, in the form that was agreed on."""
        codec, reception = self._stream.codec, self._stream.reception
        assert codec is not None
        assert reception is not None
        ours = self._stream.outlet.ssrcs[self._stream.kind]
        if "nack pli" in codec.feedback:
            return rtcp.pli(ours, reception.ssrc)
        return rtcp.fir(ours, reception.ssrc, self.count)
