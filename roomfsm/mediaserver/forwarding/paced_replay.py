"""Replays leave no faster than a path can be expected to take them, and what follows live leaves behind them.

Theory. A replay may be all that the ring holds: two megabytes. Sent at once it would overflow the queue of any
slower path, which then is repaired at the cost of that same path, and the loop would do nothing else meanwhile. So
each receiver of a replay, a viewer or another worker, has a token bucket of bytes: short replays go at once, long
ones in portions, each time the engine attends to the track.

While its replay is under way a receiver is handed nothing live. What comes meanwhile is in the ring, and goes out
behind the replay from the same bucket, so the order is kept. Once all is sent, the receiver is handed each packet
as it comes, like the others. If a keyframe begins before that, nobody needs what lies before it: the rest of the
replay is skipped.

Invariant: a receiver is here, or is handed live packets, never both; so it is sent each packet once.
"""

from collections.abc import Callable

from roomfsm.mediaserver.base.boundary import Boundary
from roomfsm.mediaserver.forwarding.catch_up import Replay
from roomfsm.mediaserver.forwarding.sink import Sink
from roomfsm.mediaserver.forwarding.stream import Stream
from roomfsm.mediaserver.forwarding.surroundings import Relay
from roomfsm.mediaserver.ice.allowance import Allowance
from roomfsm.mediaserver.rtp.ring import KeptPacket

_AT_ONCE = 512
"""Packets sent to all receivers together, before others have their turn: some milliseconds."""

_RECEIVER = Boundary("a replay to one receiver")


class _Progress:
    """How far one receiver's replay has come."""

    __slots__ = ("budget", "last", "next", "replay", "send")

    def __init__(self, replay: Replay, send: Callable[[list[KeptPacket]], None], budget: Allowance) -> None:
        self.replay = replay
        self.send = send
        self.budget = budget
        self.next = replay.packets[0].extended
        """The extended number to go on with."""
        self.last = replay.packets[0]
        """The packet that was sent last."""


class PacedReplays:
    """The replays of one track that are under way."""

    __slots__ = ("_stream", "_under_way")

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._under_way: dict[Sink | Relay, _Progress] = {}
        """In the order of their turns."""

    def __bool__(self) -> bool:
        return bool(self._under_way)

    def __contains__(self, receiver: Sink | Relay) -> bool:
        return receiver in self._under_way

    def begin(
        self, receiver: Sink | Relay, replay: Replay, send: Callable[[list[KeptPacket]], None], now: float
    ) -> bool:
        """Send what may go at once, by `send`; whether that was all, so that live packets can follow."""
        settings = self._stream.outlet.settings
        progress = _Progress(replay, send, Allowance(settings.replay_rate, settings.replay_burst))
        self._go_on(progress, len(replay.packets), now)
        if self._is_over(progress):
            return True
        self._under_way[receiver] = progress
        self._stream.attend_soon()
        return False

    def send_due(self, now: float) -> list[Sink | Relay]:
        """Send the portions that are due; returns the receivers that have been sent all, which are gone from here.

        They must be handed live packets before another comes.
        """
        left, finished = _AT_ONCE, list[Sink | Relay]()
        for receiver, progress in list(self._under_way.items()):
            if left <= 0:
                break
            with _RECEIVER:
                left -= self._go_on(progress, left, now)
            del self._under_way[receiver]
            if self._is_over(progress):
                finished.append(receiver)
            else:
                self._under_way[receiver] = progress  # Behind the others.
        return finished

    def skip_to(self, keyframe: int) -> None:
        """A keyframe begins with this extended number: nothing before it is needed any more."""
        for receiver, progress in self._under_way.items():
            progress.next = max(progress.next, keyframe)
            if isinstance(receiver, Sink):
                receiver.start = keyframe

    def stop(self, receiver: Sink | Relay) -> KeptPacket | None:
        """Send a receiver nothing more; returns the packet that it was sent last, if its replay was under way."""
        progress = self._under_way.pop(receiver, None)
        return None if progress is None else progress.last

    def newest(self, receiver: Sink | Relay, highest: int) -> int:
        """The highest extended number that a receiver was sent; `highest` is that of all that came."""
        progress = self._under_way.get(receiver)
        return highest if progress is None else progress.next - 1

    def _is_over(self, progress: _Progress) -> bool:
        reception = self._stream.reception
        return reception is None or progress.next > reception.highest

    def _go_on(self, progress: _Progress, most: int, now: float) -> int:
        """Send up to `most` packets, as far as the receiver's bucket goes; returns how many those were."""
        reception, ring = self._stream.reception, self._stream.ring
        assert reception is not None
        assert ring is not None
        packets: list[KeptPacket] = []
        while progress.next <= reception.highest and len(packets) < most:
            # What is missing is on its way from the publisher, or lost: the viewer will ask for it.
            kept = progress.replay.packet(progress.next) or ring.get(progress.next)
            if kept is not None:
                if not progress.budget.spend(len(kept.packet), now):
                    break
                packets.append(kept)
            progress.next += 1
        if packets:
            progress.last = packets[-1]
            progress.send(packets)
        return len(packets)
