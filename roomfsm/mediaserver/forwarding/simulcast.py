"""Simulcast: one picture of a browser in several layers, of which each viewer gets one (RFC 8853).

Theory. Each layer is an RTP stream of its own, with its own numbers, losses and keyframes. So it has a
:class:`~roomfsm.mediaserver.forwarding.track.Track`, and its viewers are its sinks' groups, as if it were the only
one. A :class:`Simulcast` takes the place of a track: for the browser it sorts packets into layers, and for sinks
it is the source, which passes what they ask on to the layer that they get.

A viewer changes layers at a keyframe. Until that comes, the viewer gets the layer before, and waits at the new one
(:meth:`Track.expect`). When it begins there, it leaves the other. The invariants:

- A sink has a group of at most one layer, which is its *present* one. It may wait at one other, its *next* one.
- The numbers of its packets and pictures continue (:mod:`~roomfsm.mediaserver.forwarding.groups`), so the browser
  sees one stream whose size changes.

Which layer a viewer gets is decided twice a second (:mod:`~roomfsm.mediaserver.forwarding.layer_choice`), and at
once when a layer begins to come. Layers that nobody wants for a while are named to the owner, whose browser can
cease to send them. The smallest layer is always wanted, so that a viewer who comes sees something at once.

If the pictures of the smallest layer are in temporal layers, the lowest one of these makes a layer, too, which no
browser sends as such (:mod:`~roomfsm.mediaserver.forwarding.thinning`). It has a track like the others, so that
its viewers share one rewriting, and gets its packets from the track of the smallest layer as another worker would.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence

from roomfsm.mediaserver.base.boundary import Boundary
from roomfsm.mediaserver.base.kinds import MediaKind, PictureSize
from roomfsm.mediaserver.base.refusal import Refusal
from roomfsm.mediaserver.forwarding.layer_choice import OURS, THEIRS, Chosen, LayerChoice, Offered, lacking
from roomfsm.mediaserver.forwarding.layer_track import LayerTrack, ThinnedLayer
from roomfsm.mediaserver.forwarding.padding import send_padding
from roomfsm.mediaserver.forwarding.shared_path import BEGINS, STAYS
from roomfsm.mediaserver.forwarding.sink import Sink
from roomfsm.mediaserver.forwarding.stats import ReceivingStats
from roomfsm.mediaserver.forwarding.surroundings import LayeredPublisher, Outlet
from roomfsm.mediaserver.forwarding.viewer_path import SOUND
from roomfsm.mediaserver.rtp import rtcp
from roomfsm.mediaserver.rtp.extensions import read_extension
from roomfsm.mediaserver.rtp.packet import RtpError, payload_offset
from roomfsm.mediaserver.sdp.codec import Codec
from roomfsm.mediaserver.sdp.simulcast import Layer

_MAX_SSRCS = 16
"""The most SSRCs whose layers are remembered. A browser that restarts its encoder may use others."""
_PROBE_INTERVAL = 0.045
"""Seconds between two portions of a probe, a little less than the engine's interval."""
_CLEARLY = 2
"""A layer is larger than another one if it has more than so many times as much."""
_GATHERING = 0.4
"""Seconds within which all layers come that a browser sends."""
_LOOK_INTERVAL = 0.1
_STEP = 3.5
"""A layer that has never come is taken to need so many times what the smaller one needs."""
_HOPE = 3.0
"""For so many seconds, room is kept for a layer that has been asked for and does not come."""
_GUESS = 100_000
"""The bitrate of the smallest layer until it was measured, in bit/s."""
_IDLE = 1.2
"""An estimate of so many times what is sent does not say that the path is full."""

_VIEWER = Boundary("choosing a layer for one viewer")
_PUBLISHER = Boundary("telling one publisher")


class _Prober(ABC):
    """Sends a sink the padding by which its estimator probes the path."""

    __slots__ = ("_due", "_sink", "lacks")

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._due = 0.0
        self.lacks = 0.0
        """What the path must carry for the next larger layer, with everything else, in bit/s; 0 if none is of
        use."""

    def attend(self, now: float) -> bool:
        """Send padding if the estimator wants to probe. Returns whether it may want to again soon."""
        transport = self._sink.viewer.path.transport
        if transport is None or not self.lacks or not self._can_send:
            return False
        if now < self._due:  # It is called more often than it has something to do.
            return True
        self._due = now + _PROBE_INTERVAL
        if (octets := transport.probe(now, round(self.lacks))) > 0:
            self._send(octets, now)
        return True

    @property
    @abstractmethod
    def _can_send(self) -> bool: ...

    @abstractmethod
    def _send(self, octets: int, now: float) -> None: ...


class _Watching(_Prober):
    """One sink, and the layers that it gets and waits for.

    If its path is estimated by us, it also probes the path, as long as a larger layer would be of use.
    """

    __slots__ = ("careful", "choice", "next", "present", "wish", "wished_at")

    def __init__(self, sink: Sink, choice: LayerChoice) -> None:
        super().__init__(sink)
        self.choice = choice
        self.present: LayerTrack | None = None
        """The layer that the sink gets; None if it gets none."""
        self.next: LayerTrack | None = None
        """The layer at which it waits; None if it waits at none."""
        self.wish: LayerTrack | None = None
        self.wished_at = 0.0
        """When it began to wish for that."""
        self.careful = False
        """Whether it must begin with the smallest layer, because its path was too slow for any."""

    @property
    def _can_send(self) -> bool:
        return self.present is not None

    def _send(self, octets: int, now: float) -> None:
        if self.present is not None:
            self.present.track.pad(self._sink, octets, now)


class _Paused(_Prober):
    """A sink whose path is too slow for any layer. It probes the path, so that it goes on as soon as one fits."""

    __slots__ = ("_outlet",)

    def __init__(self, sink: Sink, outlet: Outlet) -> None:
        super().__init__(sink)
        self._outlet = outlet

    @property
    def _can_send(self) -> bool:
        sink = self._sink
        return sink.paused and sink.open and sink.source is not None

    def _send(self, octets: int, now: float) -> None:
        send_padding(self._sink, octets, now, self._outlet)


class Simulcast:
    """The picture of one peer's browser in several layers."""

    layered = True

    def __init__(
        self, kind: MediaKind, outlet: Outlet, publisher: LayeredPublisher, layers: Sequence[Layer]
    ) -> None:
        self.kind = kind
        self._outlet = outlet
        self._publisher = publisher
        self.layers = [LayerTrack(layer, kind, outlet, self) for layer in layers]
        """The layers, the smallest first, as far as that is known. At first they have the order of the offer."""
        self.sinks: set[Sink] = set()
        """All sinks that follow this source, whether or not they get packets at present."""
        self._watching: dict[Sink, _Watching] = {}
        """Those of the sinks that get a layer or wait for one."""
        self._paused: dict[Sink, _Paused] = {}
        """Those of the sinks whose paths are too slow, and are probed."""
        self._by_rid = {one.layer.rid: one for one in self.layers if one.layer.rid}
        self._by_ssrc: dict[bytes, LayerTrack] = {}
        for one in self.layers:
            for ssrc in (one.layer.ssrc, one.layer.repair_ssrc):
                if ssrc:
                    self._by_ssrc[ssrc.to_bytes(4)] = one
        self._thinned: ThinnedLayer | None = None
        """A part of the pictures of the smallest layer; None while they have no temporal layers."""
        self._unnamed: tuple[bytes, LayerTrack] | None = None
        """The SSRC of a client that sends one picture without a name, and the layer that we take it for."""
        self._codec: Codec | None = None
        self._rid = self._repaired_rid = 0
        self._flowing = False
        self._began = 0.0
        """When the present flow or silence began."""
        self._look_at = 0.0
        """When it is to be checked again whether a layer has stopped."""
        self._told = _names(self.layers)
        """The names of the layers that the publisher takes to be wanted, which at first are all."""
        self.remb = 0

    # For the browser that sends it

    def negotiated(self, codec: Codec, rid: int, repaired_rid: int) -> None:
        """Set the codec that the browser will send, and the ids of the header extensions that name the layer."""
        self._codec, self._rid, self._repaired_rid = codec, rid, repaired_rid
        until = self._outlet.now() + self._outlet.settings.layer_linger
        for one in self.layers:
            one.wanted_until = until
            one.track.negotiated(codec, 0)
        for sink in list(self.sinks):
            with _VIEWER:
                sink.refresh()

    def receive(self, packet: bytes, now: float) -> Refusal | None:
        """Take a decrypted packet of any layer."""
        one = self._by_ssrc.get(packet[8:12]) or self._bind(packet, self._rid) or self._guess(packet)
        refusal = Refusal.RTP_UNKNOWN_LAYER if one is None else one.track.receive(packet, now)
        if now >= self._look_at:
            self._look_at = now + _LOOK_INTERVAL
            changed = [each.look(now) for each in self.layers]
            if any(changed):
                self._review(now)
        return refusal

    def receive_repair(self, packet: bytes, now: float) -> Refusal | None:
        """Take a decrypted retransmission (RFC 4588) of any layer."""
        one = self._by_ssrc.get(packet[8:12]) or self._bind(packet, self._repaired_rid)
        return Refusal.RTP_UNKNOWN_LAYER if one is None else one.track.receive_repair(packet, now)

    def _bind(self, packet: bytes, extension: int) -> LayerTrack | None:
        """Find the layer that a packet of an unknown SSRC names, and remember the SSRC."""
        try:
            payload = payload_offset(packet)
        except RtpError:
            return None
        if not extension or not packet[0] & 0x10:
            return None
        one = self._by_rid.get(read_extension(packet, payload, extension).decode("ascii", "replace"))
        if one is None:
            return None
        if len(self._by_ssrc) >= _MAX_SSRCS:
            del self._by_ssrc[next(iter(self._by_ssrc))]
        self._by_ssrc[packet[8:12]] = one
        return one

    def _guess(self, packet: bytes) -> LayerTrack | None:
        """Take a packet that names no layer for one of the smallest, if nothing else comes.

        A client that offers layers may after all send one picture that names none. It is only a guess: as soon as
        a packet of the same SSRC names its layer, that counts.
        """
        if not self._flowing:
            self._unnamed = packet[8:12], self.layers[0]
        known = self._unnamed
        return known[1] if known is not None and known[0] == packet[8:12] else None

    def sender_report(self, report: rtcp.SenderReport, now: float) -> None:
        for one in self.layers:
            one.track.sender_report(report, now)

    def request_keyframe(self) -> None:
        for one in self.layers:
            if one.track.stream.flowing:
                one.track.request_keyframe()

    def check_flow(self, now: float) -> None:
        for one in self._tracks:
            one.track.check_flow(now)

    def renew(self, now: float) -> None:
        for one in self._tracks:
            one.track.renew(now)

    def report(self, now: float) -> tuple[list[rtcp.ReportBlock], bytes] | None:
        """The report blocks of the layers that come, and a REMB; None while nothing comes.

        The REMB names no viewer's estimate, because a poor viewer gets a smaller layer.
        """
        self._review(now)
        flowing = [one.track.reception for one in self.layers if one.track.stream.flowing]
        receptions = [reception for reception in flowing if reception is not None]
        if self._codec is None or not receptions:
            return None
        estimate = b""
        if "goog-remb" in self._codec.feedback:
            least, greatest = self._publisher.receive_limits
            most = max(self._outlet.settings.max_receive_bitrate, least)
            self.remb = min(most, greatest) if greatest else most
            ssrcs = [reception.ssrc for reception in receptions]
            estimate = rtcp.remb(self._outlet.ssrcs[self.kind], self.remb, ssrcs)
        return [reception.report(now) for reception in receptions], estimate

    def stats(self) -> ReceivingStats | None:
        """The sums of the layers, and otherwise the data of the largest one that comes."""
        found = [(one, stats) for one in self.layers if (stats := one.track.stats()) is not None]
        if not found:
            return None
        _, largest = next((pair for pair in reversed(found) if pair[0].track.stream.flowing), found[-1])
        every = [stats for _, stats in found]
        return ReceivingStats(
            largest.codec,
            largest.ssrc,
            sum(one.packets for one in every),
            sum(one.bytes for one in every),
            sum(one.lost for one in every),
            largest.jitter,
            sum(one.nacks for one in every),
            sum(one.keyframes for one in every),
            sum(one.keyframe_requests for one in every),
            self.remb,
        )

    def close(self) -> None:
        """Let all sinks go. They keep what their next source needs."""
        for sink in list(self.sinks):
            with _VIEWER:
                sink.follow(None)
        for one in self._tracks:
            self._outlet.attention.discard(one.track)
            one.close()
        self.layers, self._by_rid, self._by_ssrc, self._unnamed, self._thinned = [], {}, {}, None, None

    # For its layers

    def send_rtcp(self, kind: MediaKind, compound: bytes) -> None:
        self._publisher.send_rtcp(kind, compound)

    def flow_changed(self) -> None:
        """A layer has begun or ceased to come."""
        flowing = any(one.track.stream.flowing for one in self.layers)
        if flowing != self._flowing:
            self._flowing = flowing
            self._began = self._outlet.now()
            with _PUBLISHER:
                self._publisher.receiving_changed(self.kind, flowing)
        if flowing:
            self._review(self._outlet.now())

    def hand_over(self, sink: Sink, layer: LayerTrack) -> None:
        """A sink begins with a layer, so it gets the one before no more."""
        watching = self._watching[sink]
        before, watching.present = watching.present, layer
        if watching.next is layer:
            watching.next = None
        if before is not None and before is not layer:
            # What was rewritten for the sink has its numbers, and is sent to those who are in the group by then.
            self._outlet.flush()
            before.track.part(sink)

    # As the source of sinks

    @property
    def codec(self) -> Codec | None:
        """The codec of all layers; None while it is not negotiated."""
        return self._codec

    def admit(self, sink: Sink) -> None:
        """Let a sink that is ready begin with a layer that comes, or else with the first keyframe of one."""
        if sink in self._watching:
            return
        watching = self._watching[sink] = _Watching(sink, LayerChoice(self._outlet.settings))
        now = self._outlet.now()
        offered, budget = self._offered(now), _budget(sink, now)
        take, wish = self._begin(watching, offered, self._first(sink, watching, budget), budget, now)
        self._wishes(sink, watching, offered, take, wish, now)
        watching.next = self._choices[take]
        watching.next.track.admit(sink)
        self._tell_wanted(now)

    def readmit(self, sink: Sink, now: float) -> None:
        """Let a sink that was paused begin again with the smallest layer."""
        if (paused := self._paused.pop(sink, None)) is not None:
            self._outlet.attention.discard(paused)
        watching = self._watching.get(sink)
        if watching is None:
            watching = self._watching[sink] = _Watching(sink, LayerChoice(self._outlet.settings))
            watching.careful = True
            take, _ = self._begin(watching, self._offered(now), 0, None, now)
            watching.next = watching.wish = self._choices[take]
        if watching.next is not None:
            watching.next.track.readmit(sink, now)

    def leave(self, sink: Sink) -> None:
        """Stop sending to a sink, which stays connected."""
        if (paused := self._paused.pop(sink, None)) is not None:
            self._outlet.attention.discard(paused)
        if (claim := sink.viewer.path.claim) is not None:
            claim.taken = 0.0
            if not (sink.paused and sink.open):
                claim.least = 0.0
        watching = self._watching.pop(sink, None)
        if watching is None:
            return
        self._outlet.attention.discard(watching)
        if watching.next is not None:
            watching.next.track.forget(sink)
        if watching.present is not None:
            watching.present.track.leave(sink)

    def retransmit(self, sink: Sink, sequence_numbers: tuple[int, ...], now: float) -> None:
        if (present := self._present(sink)) is not None:
            present.track.retransmit(sink, sequence_numbers, now)

    def request_keyframe_at_start(self, sink: Sink) -> None:
        if (present := self._present(sink)) is not None:
            present.track.request_keyframe_at_start(sink)

    def request_keyframe_for(self, sink: Sink, now: float) -> None:
        watching = self._watching.get(sink)
        if watching is not None and watching.present is not None and watching.next is not None:
            # It leaves the layer of which it has lost packets, and begins the other one with a keyframe.
            sink.keyframe_wish = None
            self._expect(sink, watching, now)
        elif (present := self._present(sink)) is not None:
            present.track.request_keyframe_for(sink, now)

    def renew_keyframe_wish(self, sink: Sink, now: float) -> None:
        watching = self._watching.get(sink)
        if watching is not None and watching.next is not None:
            sink.keyframe_wish = None
        elif (present := self._present(sink)) is not None:
            present.track.renew_keyframe_wish(sink, now)

    def resized(self, sink: Sink) -> None:
        """The viewer's picture has another size, so perhaps another layer suits it."""
        if (watching := self._watching.get(sink)) is not None:
            now = self._outlet.now()
            self._choose(sink, watching, self._offered(now), now)
            self._tell_wanted(now)

    def smallest_fits(self, sink: Sink, now: float) -> bool | None:
        """Whether a sink's path carries the smallest layer, by our own estimate; None if that is not known."""
        watching, transport, claim = self._watching.get(sink), sink.viewer.path.transport, sink.viewer.path.claim
        carried = None if transport is None else transport.bitrate(now)
        smallest = self._choices[0]
        if claim is None or carried is None or not smallest.needs:
            return None
        left = carried - claim.reserved_for_least(carried)
        if sink.paused:
            return left >= BEGINS * smallest.needs
        if watching is None or watching.present is not smallest:
            return None  # It will get a smaller one. Until then, losses say whether the path is too slow.
        return left >= STAYS * smallest.needs

    def _present(self, sink: Sink) -> LayerTrack | None:
        watching = self._watching.get(sink)
        return None if watching is None else watching.present

    # Choosing

    @property
    def _tracks(self) -> list[LayerTrack]:
        """The layers, and the one that is made of a part of another one."""
        return self.layers if self._thinned is None else [self._thinned, *self.layers]

    @property
    def _is_thinned(self) -> bool:
        """Whether there are fewer pictures in what is thinned, so that a viewer may get it."""
        return self._thinned is not None and self._thinned.leaves_out

    @property
    def _choices(self) -> list[LayerTrack]:
        """What a viewer can get, the smallest first."""
        return self._tracks if self._is_thinned else self.layers

    def _review(self, now: float) -> None:
        """Choose a layer for each sink, after the layers were measured."""
        for one in self._tracks:
            one.measure(now)
        self._order()
        self._thin(now)
        offered = self._offered(now)
        for sink, watching in list(self._watching.items()):
            with _VIEWER:
                self._choose(sink, watching, offered, now)
        for sink in self.sinks:
            if sink.paused:
                self._probe_paused(sink, offered)
        self._tell_wanted(now)

    def _probe_paused(self, sink: Sink, offered: Sequence[Offered]) -> None:
        claim = sink.viewer.path.claim
        if claim is None or not sink.open:
            return
        self._claim(sink, offered, None)
        if sink not in self._paused:
            self._paused[sink] = _Paused(sink, self._outlet)
        paused = self._paused[sink]
        paused.lacks = claim.reserved_for_least() + BEGINS * offered[0].bitrate
        self._outlet.attention.add(paused)

    def _claim(self, sink: Sink, offered: Sequence[Offered], taken: int | None) -> None:
        """Claim for a sink what it needs of its path. `taken` is the index of a layer, or None if it gets none."""
        if (claim := sink.viewer.path.claim) is not None:
            comes = any(one.comes for one in offered)
            claim.size = sink.size
            claim.least = offered[0].bitrate if comes else 0.0
            claim.taken = offered[taken].bitrate if comes and taken is not None else 0.0

    def _wishes(
        self, sink: Sink, watching: _Watching, offered: Sequence[Offered], take: int, wish: int, now: float
    ) -> None:
        """Note the layer that a sink wishes for, and claim it, or the one that the sink takes.

        A wish that is not met for long may be for a layer that the browser does not have.
        """
        if watching.wish is not self._choices[wish]:
            watching.wish, watching.wished_at = self._choices[wish], now
        exists = watching.wish.greatest > 0
        hopes = exists and (offered[wish].comes or now - watching.wished_at <= _HOPE)
        self._claim(sink, offered, max(take, wish) if hopes else take)

    def _order(self) -> None:
        """Put the smallest layer first. Browsers offer them in the order of their size or in the reverse order."""
        known = [one for one in self.layers if one.greatest]
        sizes = [one.pixels for one in known]
        if not all(sizes):
            sizes = [round(one.greatest) for one in known]
        # A layer that begins slowly is not a smaller one.
        if len(known) > 1 and sizes[0] > _CLEARLY * sizes[-1]:
            self.layers.reverse()

    def _thin(self, now: float) -> None:
        """Begin to thin the smallest layer, if that is possible."""
        smallest = self.layers[0]
        if self._thinned is not None or self._codec is None or now - self._began < _GATHERING:
            return
        if smallest.greatest and smallest.comes(now) and smallest.is_temporal:
            self._thinned = ThinnedLayer(smallest, self._codec, self._outlet, self)

    def _begin(
        self, watching: _Watching, offered: Sequence[Offered], most: int, budget: float | None, now: float
    ) -> Chosen:
        return watching.choice.begin(offered, most, budget, now, thinned=self._is_thinned)

    def _offered(self, now: float) -> list[Offered]:
        offered: list[Offered] = []
        needs = _GUESS
        for one in self._choices:
            needs = one.needs or needs
            offered.append(Offered(needs, one.comes(now)))
            needs = round(needs * _STEP)
        return offered

    def _most(self, sink: Sink) -> int:
        """The index of the largest layer that is of use to a viewer."""
        largest, thinned = len(self.layers) - 1, int(self._is_thinned)
        match sink.size:
            case PictureSize.SMALL:
                return thinned
            case PictureSize.MEDIUM:
                return min(largest, max(1, largest - 1)) + thinned
            case PictureSize.LARGE:
                return largest + thinned

    def _first(self, sink: Sink, watching: _Watching, budget: float | None) -> int:
        """The index of the largest layer with which a viewer may begin."""
        claim = sink.viewer.path.claim
        if watching.careful or (budget is None and claim is not None and not claim.is_first):
            return 0  # Nothing is known of the path, and another picture fills it already.
        return self._most(sink)

    def _choose(self, sink: Sink, watching: _Watching, offered: Sequence[Offered], now: float) -> None:
        budget, most, choices = _budget(sink, now), self._most(sink), self._choices
        if watching.present is None:
            take, wish = self._begin(watching, offered, self._first(sink, watching, budget), budget, now)
            if now - self._began < _GATHERING:
                take = wish  # It has not had time to come.
        else:
            present, claim = choices.index(watching.present), sink.viewer.path.claim
            take, wish = watching.choice.choose(
                offered,
                present,
                most,
                budget,
                now,
                margins=THEIRS if claim is None else OURS,
                on_trial=claim is None and _may_try(sink, now),
            )
            # A layer that has never come may not exist, because the picture is small.
            exists = take < most and choices[take + 1].greatest > 0
            watching.lacks = 0.0
            if claim is not None and exists:
                watching.lacks = claim.reserved() + lacking(offered, take, most)
                self._outlet.attention.add(watching)
        self._wishes(sink, watching, offered, take, wish, now)
        wanted = choices[take]
        if watching.next is not None and watching.next is not wanted:
            watching.next.track.forget(sink)
            watching.next = None
        if wanted is watching.present:
            return
        if watching.next is None and watching.present is None:
            watching.next = wanted
            wanted.track.admit(sink)
        elif watching.present is not None:
            watching.next = wanted
            self._expect(sink, watching, now)

    def _expect(self, sink: Sink, watching: _Watching, now: float) -> None:
        """Have a sink that gets one layer begin with its next one."""
        if watching.present is not None and watching.next is not None:
            order = self._choices.index
            urgent = order(watching.next) < order(watching.present)
            watching.next.track.expect(sink, now, urgent=urgent)

    def _tell_wanted(self, now: float) -> None:
        """Tell the publisher which layers are wanted, if that has changed."""
        until = now + self._outlet.settings.layer_linger
        wanted = {self.layers[0]}
        for watching in self._watching.values():
            found = (watching.present, watching.next, watching.wish)
            wanted.update(one.sent_as for one in found if one is not None)
        for one in wanted:
            one.wanted_until = until
        names = _names(one for one in self.layers if one.wanted_until > now)
        if names != self._told:
            self._told = names
            with _PUBLISHER:
                self._publisher.layers_wanted(names)


def _names(layers: Iterable[LayerTrack]) -> frozenset[str]:
    return frozenset(one.layer.name for one in layers)


def _may_try(sink: Sink, now: float) -> bool:
    """Whether the estimate of a viewer is limited by nothing but what the viewer is sent."""
    path = sink.viewer.path
    estimate = path.estimate(now)
    return estimate is not None and estimate >= _IDLE * path.rate > 0


def _budget(sink: Sink, now: float) -> float | None:
    """The bitrate that the viewer's path has for the picture, in bit/s; None if that is not known."""
    path = sink.viewer.path
    carried = None if path.transport is None else path.transport.bitrate(now)
    if path.claim is not None and carried is not None:
        return sink.limited(round(max(0.0, carried - path.claim.reserved(carried))))
    estimate = sink.bitrate(now)
    return None if estimate is None else max(0.0, estimate - SOUND)
