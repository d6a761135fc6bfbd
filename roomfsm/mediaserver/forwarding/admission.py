"""How sinks and relays join a track and leave it: with a replay, with the next keyframe, or at once.

Theory. Video can be decoded only from a keyframe on, so a viewer cannot simply be sent the next packet. There
are three beginnings, in the order of preference:

1. *A replay*: the last keyframe and all that followed it, from the ring, if that is whole. It costs only the
   viewer that joins. It is given where it is short or has just begun, and where the source is silent (a still
   canvas may never make another keyframe).
2. *The next keyframe*: the viewer waits in `joining`, and the browser is asked for one. If too many were asked
   for lately, the viewer is in `unasked` until the allowance permits one. A long replay would spare it the wait,
   but its path would take seconds for the burst, or lose most of it.
3. *The next packet*, for audio.

Invariants: a sink is in `joining`, or in a group, or in neither (paused, closed, no common codec), and never
in two of these. Who is in `unasked` is in `joining`, too. A packet reaches a sink either by its start (a
replay, or what overtook the keyframe on its way here) or live, never by both: so a sink that is replayed to is
in a group apart until its replay is over (:mod:`~roomfsm.mediaserver.forwarding.paced_replay`). A replay's
packets have other timestamps than the ring's (:mod:`~roomfsm.mediaserver.forwarding.catch_up`). While the
viewer may still ask for one of them again, it must get the same bytes, because SRTP is not safe for two
packets of one number (RFC 7714 section 8.1): `replays` remembers them, and when it forgets them, repairs of
that sink begin behind them.
"""

from collections.abc import Sequence

from roomfsm.mediaserver.base.boundary import Boundary
from roomfsm.mediaserver.forwarding.catch_up import Replay, catch_up
from roomfsm.mediaserver.forwarding.groups import Groups
from roomfsm.mediaserver.forwarding.keyframes import TrackKeyframes
from roomfsm.mediaserver.forwarding.paced_replay import PacedReplays
from roomfsm.mediaserver.forwarding.sink import Group, Sink
from roomfsm.mediaserver.forwarding.start import Start
from roomfsm.mediaserver.forwarding.stream import Stream
from roomfsm.mediaserver.forwarding.surroundings import Relay
from roomfsm.mediaserver.rtp.ring import KeptPacket

_SHARED_REPLAY = 0.5
"""Seconds for which a replay is given to others, too: so many joins at once share its packets."""
_REPLAY_INTERVAL = 1.0
"""Seconds between two replays to one viewer of a silent source."""
_KEPT_REPLAY = 5.0
"""Seconds for which a viewer may ask for parts of its replay again."""

_VIEWER = Boundary("a track and one of its viewers")
_RELAY = Boundary("a track and its way to another worker")


class Admission:
    """Who waits to be sent a track, who has just begun, and what those were given."""

    __slots__ = (
        "_groups",
        "_joining_relays",
        "_keyframes",
        "_shared_replay",
        "_stream",
        "joining",
        "relays",
        "replaying",
        "replays",
        "starting",
        "unasked",
    )

    def __init__(self, stream: Stream, groups: Groups, keyframes: TrackKeyframes) -> None:
        self._stream = stream
        self._groups = groups
        self._keyframes = keyframes
        self.joining: set[Sink] = set()
        """Sinks that wait for the next packet to start with: of video, a keyframe's first."""
        self.unasked: set[Sink] = set()
        """Those of them that start, and that no keyframe was asked for yet."""
        self._joining_relays: list[Relay] = []
        """Relays that wait for that: a mirror has no use for video before a keyframe."""
        self.relays: list[Relay] = []
        """Those that are handed each packet. Always the same list: the track goes through it for each packet."""
        self._shared_replay: Replay | None = None
        """The one made last: whoever comes just then is given the same."""
        self.replays: dict[Sink, Replay] = {}
        """What sinks were given when they started, while they may still ask for it again."""
        self.replaying = PacedReplays(stream)
        """Who has not been sent all of its replay yet."""
        self.starting: dict[Sink, Start] = {}
        """What is still to be repeated of the starts of sinks (:mod:`~roomfsm.mediaserver.forwarding.start`)."""

    def admit(self, sink: Sink) -> None:
        """Let a sink that is ready start: with a replay where there can be one, else with the next keyframe.

        A keyframe goes to all viewers. While many start, or one again and again, the others would see little else.
        So beyond an allowance those that start wait until it permits another (:meth:`ask_for_joining`).
        """
        if sink in self.joining:
            return
        now = self._stream.outlet.now()
        replay = self.replay(now)
        if replay is not None:
            self.start_with(sink, replay)
            return
        self.joining.add(sink)
        if self._stream.can_be_asked:
            self.unasked.add(sink)
            self.ask_for_joining(now)
            self._stream.attend_soon()

    def ask_for_joining(self, now: float) -> None:
        """Ask for a keyframe for those that start, as soon as their allowance permits it: one serves them all."""
        if self.unasked and (self._keyframes.wanted or self._keyframes.for_joins.take(1, now)):
            self.unasked.clear()
            self._keyframes.request()

    def readmit(self, sink: Sink, now: float) -> None:
        """Let a sink start that was paused: at once where there can be a replay, else with the next keyframe. That
        is asked for as for losses are, because others have no need of it."""
        replay = self.replay(now)
        if replay is not None:
            self.joining.discard(sink)
            self.start_with(sink, replay)
            return
        self.joining.add(sink)
        own = sink.viewer.path.keyframes
        if not self._keyframes.wanted and own.left(now) >= 1 and self._keyframes.for_losses.take(1, now):
            own.take(1, now)
            self._keyframes.request()

    def leave(self, sink: Sink) -> None:
        """Stop sending to a sink; it stays connected."""
        self.joining.discard(sink)
        self.unasked.discard(sink)
        self.starting.pop(sink, None)
        replay = self.replays.pop(sink, None)
        group, reception = sink.group, self._stream.reception
        if group is None:
            return
        assert reception is not None
        newest, timestamp, time = reception.highest, reception.last_timestamp, reception.last_time
        last = self.replaying.stop(sink)
        if last is None and replay is not None and replay.packets[-1].extended == newest:
            last = replay.packets[-1]
        if last is not None:
            newest, timestamp, time, *_ = last
        self._groups.remove(sink, group, newest, timestamp, time)
        sink.set_flowing(False)

    # With a replay

    def replay(self, now: float) -> Replay | None:
        """The last keyframe and all that followed it, if that is whole and better than to wait for a new keyframe:
        because it is short or has just begun, or because the source is silent and may send none."""
        stream = self._stream
        reception, ring, start = stream.reception, stream.ring, stream.keyframe_start
        if reception is None or stream.codec is None or ring is None or stream.is_keyframe_start is None:
            return None
        if start < stream.floor:
            return None
        settings = stream.outlet.settings
        size = reception.highest + 1 - start
        recent = reception.last_time - stream.keyframe_time <= settings.keyframe_replay
        suited = recent or size <= settings.small_replay or stream.is_silent(now)
        if not suited or size > ring.size:
            return None
        shared, span = self._shared_replay, (start, reception.highest)
        if shared is not None and shared.span == span and now - shared.time <= _SHARED_REPLAY:
            return shared
        kept = ring.span(*span)
        if not kept:
            return None
        self._shared_replay = catch_up(kept, now - reception.last_time, now, stream.codec.clock_rate)
        return self._shared_replay

    def replay_again(self, sink: Sink, now: float) -> Replay | None:
        """What a silent source sent last, unless the sink was just given it."""
        before = self.replays.get(sink)
        if not self._stream.is_silent(now) or (before is not None and now - before.time < _REPLAY_INTERVAL):
            return None
        if sink in self.replaying:
            return None
        return self.replay(now)

    def start_with(self, sink: Sink, replay: Replay) -> None:
        outlet = self._stream.outlet
        first = replay.packets[0]
        group = self._place(sink, first.extended, first.timestamp, replay.time, apart=True)
        self.replays[sink] = replay
        sink.set_flowing(True)

        def send(packets: Sequence[KeptPacket]) -> None:
            rewritten = [group.rewrite(*kept) for kept in packets]
            sink.sent_alone(rewritten)
            outlet.send_packets(rewritten, (sink,))

        if self.replaying.begin(sink, replay, send, outlet.now()):
            self._groups.join(sink)

    def go_on_replaying(self, now: float) -> None:
        """Send what is due of long replays, and let those who were sent all go on with the others."""
        for receiver in self.replaying.send_due(now):
            if not isinstance(receiver, Sink):
                with _RELAY:
                    self._add_relay(receiver)
                continue
            with _VIEWER:
                self._groups.join(receiver)
                if (replay := self.replays.get(receiver)) is not None:
                    self.replays[receiver] = replay._replace(time=now)

    def _place(self, sink: Sink, extended: int, timestamp: int, now: float, *, apart: bool = False) -> Group:
        """Put a sink into its group from this packet on, and have the start repeated where that is of use."""
        group = self._groups.place(sink, extended, timestamp, now, apart=apart)
        if sink.continuation is None and sink.codec is not None and sink.codec.rtx is not None:
            self.starting[sink] = Start(sink.joined_at)
            self._stream.attend_soon()
        return group

    # With the next keyframe, or the next packet

    def keyframe_began(self, extended: int, timestamp: int, now: float, first: int) -> None:
        """Let all who wait start with a keyframe, whose first packet has the extended number `first`."""
        if self.replaying:
            self.replaying.skip_to(first)
        relays, self._joining_relays = self._joining_relays, []
        for relay in relays:
            self._add_relay(relay)
        if self.joining:
            self.start_joining(extended, timestamp, now, first)

    def start_joining(self, extended: int, timestamp: int, now: float, first: int | None = None) -> None:
        """Let those who wait start with this packet, and with what overtook it on its way here.

        `first`: the extended number that they start with, where one before this packet's is still to come.
        """
        stream = self._stream
        ring, reception = stream.ring, stream.reception
        assert reception is not None
        joining, self.joining = self.joining, set()
        self.unasked.clear()
        later = range(extended + 1, reception.highest + 1)
        early = [kept for number in later if ring and (kept := ring.get(number)) is not None]
        for sink in joining:
            with _VIEWER:
                group = self._place(sink, extended if first is None else first, timestamp, now)
                if early:
                    packets = [group.rewrite(*kept) for kept in early]
                    sink.sent_alone(packets)
                    stream.outlet.send_packets(packets, (sink,))

    # Relays

    def admit_relay(self, relay: Relay) -> None:
        """Let a relay start, as :meth:`admit` does with a sink."""
        replay = self.replay(self._stream.outlet.now())
        if replay is not None:
            self._start_relay_with(relay, replay)
        elif self._stream.is_keyframe_start is None:
            self._add_relay(relay)
        else:
            self._joining_relays.append(relay)
            self._keyframes.request()

    def dismiss_relay(self, relay: Relay) -> None:
        """Hand nothing more to a relay."""
        self.replaying.stop(relay)
        for relays in (self.relays, self._joining_relays):
            if relay in relays:
                relays.remove(relay)

    def _start_relay_with(self, relay: Relay, replay: Replay) -> None:
        # A packet in the ring still has its number and timestamp; the mirror shifts timestamps as we do.
        outlet, shift = self._stream.outlet, self._stream.timestamp_shift

        def send(packets: Sequence[KeptPacket]) -> None:
            times = (((kept.timestamp - shift) & 0xFFFFFFFF).to_bytes(4) for kept in packets)
            numbered = [
                kept.packet[:4] + time + kept.packet[8:] for kept, time in zip(packets, times, strict=True)
            ]
            relay.replay(numbered, outlet.now())

        if self.replaying.begin(relay, replay, send, outlet.now()):
            self._add_relay(relay)

    def _add_relay(self, relay: Relay) -> None:
        self.relays.append(relay)
        reception = self._stream.reception
        clock = reception.clock(self._stream.outlet.now()) if reception else None
        if clock is not None:
            relay.sender_report(clock)

    # Called now and then

    def forget_replays(self, now: float) -> None:
        """Let go of replays that nobody can ask for again, and of the one that was shared."""
        for sink, replay in list(self.replays.items()):
            if now - replay.time >= _KEPT_REPLAY and sink not in self.replaying:
                # Those packets are in the ring with other timestamps.
                sink.start = replay.packets[-1].extended + 1
                del self.replays[sink]
        if self._shared_replay is not None and now - self._shared_replay.time > _SHARED_REPLAY:
            self._shared_replay = None

    def end_waiting(self, now: float) -> None:
        """The source is silent: give those who wait for a keyframe what there is."""
        if not (self.joining or self._joining_relays) or (found := self.replay(now)) is None:
            return
        joining, self.joining = self.joining, set()
        self.unasked.clear()
        for sink in joining:
            with _VIEWER:
                self.start_with(sink, found)
        relays, self._joining_relays = self._joining_relays, []
        for relay in relays:
            with _RELAY:
                self._start_relay_with(relay, found)

    def end_flow_of_replays(self, now: float) -> None:
        """Media flows to a sink for a moment after its replay, though the source is silent: end that."""
        for sink, replay in self.replays.items():
            if now - replay.time >= self._stream.outlet.settings.flow_timeout and sink not in self.replaying:
                sink.set_flowing(False)
