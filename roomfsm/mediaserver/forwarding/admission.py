"""How sinks and relays join a track and leave it: with a replay, with the next keyframe, or at once.

Theory. A browser can decode video only from a keyframe on, so a viewer cannot begin with just any packet. There
are three ways to begin, in this order of preference:

1. *A replay* has the last keyframe and all packets after it, from the ring, if none of them is missing. It costs
   nobody anything except the viewer that joins. The viewer gets a replay if it is short, if its keyframe is
   recent, or if the source is silent (a still canvas may never make another keyframe).
2. *The next keyframe*: the viewer waits in `joining`, and the browser is asked for a keyframe. If the browser was
   asked too often lately, the viewer is also in `unasked` until the allowance permits it. With a long replay the
   viewer would not have to wait, but its path would need seconds for the burst, or would lose most of it.
3. *The next packet*: this is how audio begins.

A viewer of simulcast (:mod:`~roomfsm.mediaserver.forwarding.simulcast`) may be moved to another layer of its
source, which is another track. It then waits here while it still gets packets of the track before. When it begins
here, `hand_over` takes it out of that one, so its picture does not stop.

The invariants are:

- A sink is in `joining`, or it has a group of this track, but never both. It has neither if it is paused or
  closed, or has no common codec. A sink in `unasked` is also in `joining`.
- A sink gets each packet only once: with its start (by a replay, or because the packet overtook the keyframe), or
  live. So a sink has a group of its own while its replay lasts
  (:mod:`~roomfsm.mediaserver.forwarding.paced_replay`).
- The packets of a replay have other timestamps than those in the ring
  (:mod:`~roomfsm.mediaserver.forwarding.catch_up`). If the viewer asks for one of them again, it must get the same
  bytes, because SRTP is not safe for two packets of one number (RFC 7714 section 8.1). `replays` remembers them.
  When it forgets them, later repairs of that sink begin behind them.
"""

from collections.abc import Callable, Sequence

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
"""Seconds for which a replay is also used for other viewers, so that many joins at once share its packets."""
_REPLAY_INTERVAL = 1.0
"""The shortest time in seconds between two replays of a silent source to one viewer."""
_KEPT_REPLAY = 5.0
"""Seconds for which a viewer may ask for parts of its replay again."""

_VIEWER = Boundary("a track and one of its viewers")
_RELAY = Boundary("a track and its way to another worker")


class Admission:
    """The sinks and relays that wait to begin, those that have just begun, and what these got."""

    __slots__ = (
        "_groups",
        "_joining_relays",
        "_keyframes",
        "_shared_replay",
        "_stream",
        "hand_over",
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
        """The sinks that wait for a packet with which they can begin. For video it is the first of a keyframe."""
        self.unasked: set[Sink] = set()
        """The sinks in `joining` for which the browser has not been asked for a keyframe yet."""
        self._joining_relays: list[Relay] = []
        """The relays that wait for a keyframe, because a mirror cannot use video before one."""
        self.relays: list[Relay] = []
        """The relays that are handed each packet. It stays the same list, because the track keeps it."""
        self._shared_replay: Replay | None = None
        """The newest replay. Others who join within a short time get it, too."""
        self.replays: dict[Sink, Replay] = {}
        """The replays with which sinks began, as long as they may ask for these packets again."""
        self.replaying = PacedReplays(stream)
        """The replays that have not been sent completely."""
        self.starting: dict[Sink, Start] = {}
        """The packets of sinks' starts that are still to be repeated
        (:mod:`~roomfsm.mediaserver.forwarding.start`)."""
        self.hand_over: Callable[[Sink], None] | None = None
        """Called with each sink that begins, before it gets its group here."""

    def admit(self, sink: Sink) -> None:
        """Let a sink that is ready begin, with a replay if there can be one, and otherwise with the next keyframe.

        A keyframe goes to all viewers. If many viewers begin, or one of them again and again, the others would get
        hardly anything but keyframes. So there is an allowance, and those who exceed it wait until it permits
        another keyframe (:meth:`ask_for_joining`).
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
        """Ask for a keyframe for all sinks in `unasked`, as soon as their allowance permits one."""
        if self.unasked and (self._keyframes.wanted or self._keyframes.for_joins.take(1, now)):
            self.unasked.clear()
            self._keyframes.request()

    def readmit(self, sink: Sink, now: float) -> None:
        """Let a sink that was paused begin again, with a replay if there can be one, or with the next keyframe."""
        replay = self.replay(now)
        if replay is not None:
            self.joining.discard(sink)
            self.start_with(sink, replay)
            return
        self.expect(sink, now)

    def expect(self, sink: Sink, now: float, *, urgent: bool = False) -> None:
        """Let a sink begin with the next keyframe, and ask for one if that is permitted.

        The keyframe counts as one for losses, because the other viewers do not need it. It is `urgent` if the sink
        gets a larger layer that its path does not carry. Requests for that one must not use up its allowance.
        """
        self.joining.add(sink)
        path = sink.viewer.path
        own = path.relief if urgent else path.keyframes
        if not self._keyframes.wanted and own.left(now) >= 1 and self._keyframes.for_losses.take(1, now):
            own.take(1, now)
            self._keyframes.request()

    def forget(self, sink: Sink) -> None:
        """Let a sink that waits begin no more."""
        self.joining.discard(sink)
        self.unasked.discard(sink)

    def leave(self, sink: Sink, *, goes_on: bool = False) -> None:
        """Stop sending to a sink, which stays connected.

        If it `goes_on`, another track sends to it from now on.
        """
        self.forget(sink)
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
        if not goes_on:
            sink.set_flowing(False)

    # With a replay

    def replay(self, now: float) -> Replay | None:
        """The last keyframe and all packets after it, if none is missing, and if this is better than to wait.

        It is better if it is short, if the keyframe is recent, or if the source is silent and may send no other.
        """
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
        """A replay of what a silent source sent last; None if the source is not silent or the sink just got it."""
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
        """Send the portions of long replays that are due. Receivers that have got everything go on live."""
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
        """Put a sink into its group from this packet on, and have its start repeated if that can help."""
        if self.hand_over is not None:
            self.hand_over(sink)
        group = self._groups.place(sink, extended, timestamp, now, apart=apart)
        if sink.continuation is None and sink.codec is not None and sink.codec.rtx is not None:
            self.starting[sink] = Start(sink.joined_at)
            self._stream.attend_soon()
        return group

    # With the next keyframe, or the next packet

    def keyframe_began(self, extended: int, timestamp: int, now: float, first: int) -> None:
        """Let everybody who waits begin with a keyframe, whose first packet has the extended number `first`."""
        if self.replaying:
            self.replaying.skip_to(first)
        relays, self._joining_relays = self._joining_relays, []
        for relay in relays:
            self._add_relay(relay)
        if self.joining:
            self.start_joining(extended, timestamp, now, first)

    def start_joining(self, extended: int, timestamp: int, now: float, first: int | None = None) -> None:
        """Let the sinks that wait begin with this packet, and with the later packets that overtook it.

        If an earlier packet of the same keyframe is still to come, `first` is its extended number.
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
        """Let a relay begin, as :meth:`admit` does with a sink."""
        replay = self.replay(self._stream.outlet.now())
        if replay is not None:
            self._start_relay_with(relay, replay)
        elif self._stream.is_keyframe_start is None:
            self._add_relay(relay)
        else:
            self._joining_relays.append(relay)
            self._keyframes.request()

    def dismiss_relay(self, relay: Relay) -> None:
        """Hand no more packets to a relay."""
        self.replaying.stop(relay)
        for relays in (self.relays, self._joining_relays):
            if relay in relays:
                relays.remove(relay)

    def _start_relay_with(self, relay: Relay, replay: Replay) -> None:
        # The packets in the ring have the publisher's numbers. Their timestamps must be the publisher's, too,
        # because the mirror shifts them as we do.
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

    # Called at intervals

    def forget_replays(self, now: float) -> None:
        """Forget the replays whose packets nobody can ask for any more, and the shared one when it is too old."""
        for sink, replay in list(self.replays.items()):
            if now - replay.time >= _KEPT_REPLAY and sink not in self.replaying:
                # The ring has these packets with other timestamps, so the sink must not get them from there.
                sink.start = replay.packets[-1].extended + 1
                del self.replays[sink]
        if self._shared_replay is not None and now - self._shared_replay.time > _SHARED_REPLAY:
            self._shared_replay = None

    def end_waiting(self, now: float) -> None:
        """The source is silent, so give those who wait for a keyframe a replay of what there is."""
        # Those who get another layer go on with that.
        joining = {sink for sink in self.joining if sink.group is None}
        if not (joining or self._joining_relays) or (found := self.replay(now)) is None:
            return
        self.joining -= joining
        self.unasked -= joining
        for sink in joining:
            with _VIEWER:
                self.start_with(sink, found)
        relays, self._joining_relays = self._joining_relays, []
        for relay in relays:
            with _RELAY:
                self._start_relay_with(relay, found)

    def end_flow_of_replays(self, now: float) -> None:
        """End the flow to sinks that got a replay of a silent source, some time after the replay."""
        for sink, replay in self.replays.items():
            if now - replay.time >= self._stream.outlet.settings.flow_timeout and sink not in self.replaying:
                sink.set_flowing(False)
