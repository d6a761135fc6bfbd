"""Sends replays no faster than a path can be expected to carry them, and the live packets behind them.

Theory. A replay may be everything that the ring holds, which is two megabytes. If it were sent at once, it would
overflow the queue of any slower path, the repairs would go over the same path, and the event loop could do nothing
else meanwhile. So each receiver of a replay (a viewer or another worker) has a token bucket of bytes. A short
replay is sent at once. A long one is sent in portions, each time the engine attends to the track.

While its replay is being sent, a receiver gets no live packets. The packets that come meanwhile are in the ring,
and are sent behind the replay from the same bucket, so that the order is kept. When everything has been sent, the
receiver gets each packet as it comes, like all others. If a keyframe begins before that, nobody needs the packets
before it, so the rest of the replay is skipped.

The invariant is that a receiver is either here or gets live packets, but never both. So it gets each packet once.
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
"""The most packets that are sent to all receivers together in one turn. That takes some milliseconds."""

_RECEIVER = Boundary("a replay to one receiver")


class _Progress:
    """How much of a replay one receiver has got."""

    __slots__ = ("budget", "last", "next", "replay", "send")

    def __init__(self, replay: Replay, send: Callable[[list[KeptPacket]], None], budget: Allowance) -> None:
        self.replay = replay
        self.send = send
        self.budget = budget
        self.next = replay.packets[0].extended
        """The extended number of the next packet."""
        self.last = replay.packets[0]
        """The packet that was sent last."""


class PacedReplays:
    """The replays of one track that have not been sent completely."""

    __slots__ = ("_stream", "_under_way")

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._under_way: dict[Sink | Relay, _Progress] = {}
        """The receivers in the order of their turns."""

    def __bool__(self) -> bool:
        return bool(self._under_way)

    def __contains__(self, receiver: Sink | Relay) -> bool:
        return receiver in self._under_way

    def begin(
        self, receiver: Sink | Relay, replay: Replay, send: Callable[[list[KeptPacket]], None], now: float
    ) -> bool:
        """Send with `send` as much as may be sent at once.

        Returns whether that was everything, so that live packets can follow.
        """
        settings = self._stream.outlet.settings
        progress = _Progress(replay, send, Allowance(settings.replay_rate, settings.replay_burst))
        self._go_on(progress, len(replay.packets), now)
        if self._is_over(progress):
            return True
        self._under_way[receiver] = progress
        self._stream.attend_soon()
        return False

    def send_due(self, now: float) -> list[Sink | Relay]:
        """Send the portions that are due. Returns the receivers that have now got everything, and forgets them.

        The caller must give them live packets before another packet comes.
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
        """Skip everything before this extended number, with which a keyframe begins."""
        for receiver, progress in self._under_way.items():
            progress.next = max(progress.next, keyframe)
            if isinstance(receiver, Sink):
                receiver.start = keyframe

    def stop(self, receiver: Sink | Relay) -> KeptPacket | None:
        """Send no more of its replay to a receiver.

        Returns the last packet that it got; None if no replay of it was being sent.
        """
        progress = self._under_way.pop(receiver, None)
        return None if progress is None else progress.last

    def newest(self, receiver: Sink | Relay, highest: int) -> int:
        """The highest extended number that a receiver has got. `highest` is the highest one that has come."""
        progress = self._under_way.get(receiver)
        return highest if progress is None else progress.next - 1

    def _is_over(self, progress: _Progress) -> bool:
        reception = self._stream.reception
        return reception is None or progress.next > reception.highest

    def _go_on(self, progress: _Progress, most: int, now: float) -> int:
        """Send up to `most` packets, as far as the receiver's bucket permits. Returns how many were sent."""
        reception, ring = self._stream.reception, self._stream.ring
        assert reception is not None
        assert ring is not None
        packets: list[KeptPacket] = []
        while progress.next <= reception.highest and len(packets) < most:
            # A missing packet is on its way from the publisher, or lost. The viewer will ask for it.
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
