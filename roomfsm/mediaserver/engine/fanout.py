"""The order in which bursts leave: a long one gives way to other streams and to what comes in meanwhile.

A keyframe of 30 packets to 200 viewers takes some 15 ms to protect and send. So the work is done in portions, with
the socket read and the other tasks served in between, and each portion takes a share of every group's burst.
"""

from collections import deque
from collections.abc import Sequence

from roomfsm.mediaserver.engine.udp import Burst, BurstSender
from roomfsm.mediaserver.forwarding.sink import Group, Sink

PORTION = 256
"""Packets protected and sent before others have their turn: about a millisecond."""
_SHARE = 64
"""How much of a portion one group gets before it is the next one's turn, while several have something to send."""
_MAX_BACKLOG = 32 * PORTION
"""Packets waiting to leave above which nothing more is read: then the system drops, not our memory."""


class _Task:
    """One burst, and the sinks that have not been sent it yet."""

    __slots__ = ("burst", "next", "sinks")

    def __init__(self, burst: Burst, sinks: Sequence[Sink]) -> None:
        self.burst = burst
        self.sinks = sinks
        self.next = 0


class Fanout:
    """What waits to be sent, by group; each group's bursts leave in their order."""

    def __init__(self, sender: BurstSender) -> None:
        self._sender = sender
        self._queues: dict[Group, deque[_Task]] = {}
        self._backlog = 0

    @property
    def overfull(self) -> bool:
        return self._backlog > _MAX_BACKLOG

    @property
    def empty(self) -> bool:
        return not self._queues

    def add(self, group: Group, packets: Sequence[bytes]) -> None:
        """Queue packets for those who are in the group now: who joins later has them by other ways."""
        task = _Task(Burst(packets), group.sinks.copy())
        self._backlog += len(packets) * len(task.sinks)
        queue = self._queues.get(group)
        if queue is None:
            self._queues[group] = deque((task,))
        else:
            queue.append(task)

    def work(self) -> bool:
        """Send a portion; whether there is more."""
        budget, queues = PORTION, self._queues
        while queues and budget > 0:
            group = next(iter(queues))
            queue = queues.pop(group)
            budget -= self._send_share(group, queue, min(budget, _SHARE) if queues else budget)
            if queue:
                queues[group] = queue  # Behind the others.
        return bool(queues)

    def _send_share(self, group: Group, queue: deque[_Task], share: int) -> int:
        """Send a group's first burst to as many sinks as the share holds, one at least; returns what that was."""
        task = queue[0]
        size = len(task.burst.packets)
        begin, task.next = task.next, task.next + max(1, share // size)
        sinks = task.sinks[begin : task.next]
        if task.next >= len(task.sinks):
            queue.popleft()
        self._backlog -= size * len(sinks)
        # Who has left the group meanwhile may have no transport any more.
        self._sender.send(task.burst, [sink for sink in sinks if sink.group is group])
        return size * len(sinks)
