"""One layer of simulcast: a track, for which the layer is the publisher, and what was measured of it.

The lowest temporal layer of the smallest one can be a layer of its own below that
(:mod:`~roomfsm.mediaserver.forwarding.thinning`).
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from roomfsm.mediaserver.base.kinds import MediaKind
from roomfsm.mediaserver.forwarding.sink import Sink
from roomfsm.mediaserver.forwarding.surroundings import Outlet
from roomfsm.mediaserver.forwarding.thinning import Thinning
from roomfsm.mediaserver.forwarding.track import Track
from roomfsm.mediaserver.rtp import rtcp
from roomfsm.mediaserver.rtp.vp8 import picture_size, temporal_layer
from roomfsm.mediaserver.sdp.codec import Codec
from roomfsm.mediaserver.sdp.simulcast import Layer

_RATE_WEIGHT = 0.3
_LEAST_INTERVAL = 0.25
"""A bitrate is measured over so many seconds at least."""
_STOPPED = 0.25
"""A layer has stopped if it has been silent for so many seconds while others come. The picture stands still until
that is noticed."""
_THINNED_NEEDS = 2.0
"""Few pictures need a path of so many times their bitrate. Their keyframes are as large as those of many, and they
are sent over paths on which each of these delays the sound."""


class Layers(Protocol):
    """All layers of a picture, which have to know what happens in one of them."""

    def send_rtcp(self, kind: MediaKind, compound: bytes) -> None: ...

    def flow_changed(self) -> None:
        """A layer has begun or ceased to come."""

    def hand_over(self, sink: Sink, layer: "LayerTrack") -> None:
        """A sink begins with a layer, so it gets the one before no more."""


class LayerTrack:
    """One layer: its track, for which it is the publisher, and what was measured of it."""

    def __init__(self, layer: Layer, kind: MediaKind, outlet: Outlet, simulcast: Layers) -> None:
        self.layer = layer
        self._simulcast: Layers | None = simulcast
        self.track = Track(kind, outlet, self)
        self.track.on_hand_over(self._begins)
        self.pixels = 0
        """The size of the picture in pixels; 0 while it is not known."""
        self.bitrate = 0.0
        """The bitrate of the layer while it comes, smoothed; 0 before it has come."""
        self.greatest = 0.0
        """The greatest value of `bitrate` so far."""
        self.wanted_until = 0.0
        self.stopped = False
        """Whether it does not come any more while others do."""
        self._looked: float | None = None
        """When its newest packet had come, at the last look."""
        self._octets = 0
        self._time: float | None = None
        self._keyframes = 0

    @property
    def receive_limits(self) -> tuple[int, int]:
        return (0, 0)

    def send_rtcp(self, kind: MediaKind, compound: bytes) -> None:
        if self._simulcast is not None:
            self._simulcast.send_rtcp(kind, compound)

    def receiving_changed(self, kind: MediaKind, flowing: bool) -> None:
        del kind, flowing
        if self._simulcast is not None:
            self._simulcast.flow_changed()

    def speech_changed(self, speaks: bool) -> None:
        """Nothing to do: a picture has no sound."""

    def _begins(self, sink: Sink) -> None:
        if self._simulcast is not None:
            self._simulcast.hand_over(sink, self)

    @property
    def needs(self) -> int:
        """The bitrate that a path must have for it, in bit/s; 0 while that is not known."""
        return round(self.bitrate)

    @property
    def sent_as(self) -> "LayerTrack":
        """The layer in which the browser sends it."""
        return self

    def comes(self, now: float) -> bool:
        stream = self.track.stream
        return stream.flowing and not self.stopped and not stream.is_silent(now)

    def look(self, now: float) -> bool:
        """Note whether it has stopped, when a packet of any layer has come. Returns whether that has changed.

        With few pictures a second, every layer is silent between two of them. So it counts only if there was no
        picture since the last look.
        """
        reception, before = self.track.stream.reception, self.stopped
        heard = None if reception is None else reception.last_time
        self.stopped = heard is not None and heard == self._looked and now - heard >= _STOPPED
        self._looked = heard
        return self.stopped is not before

    def measure(self, now: float) -> None:
        """Update what is known of the layer. Called about twice a second."""
        stream = self.track.stream
        reception = stream.reception
        if reception is None:
            return
        octets, time = reception.octets, self._time
        if time is not None and now - time < _LEAST_INTERVAL:
            return
        if time is not None and octets > self._octets and self.comes(now):
            rate = 8 * (octets - self._octets) / (now - time)
            self.bitrate += _RATE_WEIGHT * (rate - self.bitrate) if self.bitrate else rate
            self.greatest = max(self.greatest, self.bitrate)
        self._octets, self._time = octets, now
        if stream.keyframes_seen != self._keyframes and stream.codec is not None and stream.codec.name == "VP8":
            self._keyframes = stream.keyframes_seen
            kept = stream.ring.get(stream.keyframe_start) if stream.ring is not None else None
            if kept is not None and (size := picture_size(kept.packet, 12 + 4 * (kept.packet[0] & 0x0F))):
                self.pixels = size[0] * size[1]

    @property
    def is_temporal(self) -> bool:
        """Whether the pictures of its newest packets are in temporal layers (of VP8)."""
        stream = self.track.stream
        if stream.codec is None or stream.codec.name != "VP8" or stream.reception is None or stream.ring is None:
            return False
        kept = stream.ring.get(stream.reception.highest)
        return kept is not None and temporal_layer(kept.packet, 12 + 4 * (kept.packet[0] & 0x0F)) is not None

    def close(self) -> None:
        self._simulcast = None
        self.track.on_hand_over(None)
        self.track.close()
        # The track refers to this object. Without the reference both are freed at once.
        del self.track


class _ThinningRelay:
    """Hands on what remains of a track's packets to another track."""

    def __init__(self, track: Track, outlet: Outlet) -> None:
        self._track = track
        self._outlet = outlet
        self.thinning = Thinning()

    def replay(self, packets: Sequence[bytes], now: float) -> None:
        del now
        for packet in packets:
            self.packet(packet)

    def packet(self, packet: bytes) -> None:
        if (thinned := self.thinning.take(packet)) is not None:
            self._track.receive(thinned, self._outlet.now())

    def sender_report(self, report: rtcp.SenderReport) -> None:
        self._track.sender_report(report, self._outlet.now())

    def bitrate(self, now: float) -> int | None:
        """None: viewers get another layer if their paths are too slow."""
        del now
        return None


class ThinnedLayer(LayerTrack):
    """A layer that is made of a part of the pictures of another one, its *base*."""

    def __init__(self, base: LayerTrack, codec: Codec, outlet: Outlet, simulcast: Layers) -> None:
        super().__init__(base.layer, base.track.kind, outlet, simulcast)
        self.base = base
        # What is lost on the way here is lost for the base as well, which asks for it again.
        feedback = tuple(value for value in codec.feedback if value != "nack")
        self.track.negotiated(replace(codec, feedback=feedback), 0)
        self._relay = _ThinningRelay(self.track, outlet)
        base.track.admit_relay(self._relay)

    @property
    def sent_as(self) -> LayerTrack:
        return self.base

    @property
    def needs(self) -> int:
        return round(_THINNED_NEEDS * self.bitrate)

    @property
    def leaves_out(self) -> bool:
        """Whether it has fewer pictures than its base."""
        return self._relay.thinning.leaves_out

    def comes(self, now: float) -> bool:
        return self.track.stream.flowing and self.base.comes(now)

    def send_rtcp(self, kind: MediaKind, compound: bytes) -> None:
        """Pass on the wish for a keyframe, which is all that its track can have for a browser."""
        del kind, compound
        self.base.track.request_keyframe()

    def receiving_changed(self, kind: MediaKind, flowing: bool) -> None:
        """Nothing to do: it flows if its base does."""

    def close(self) -> None:
        self.base.track.dismiss_relay(self._relay)
        super().close()
        del self._relay
