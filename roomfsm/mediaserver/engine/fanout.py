"""The order in which bursts are sent. A long burst gives way to other streams and to incoming datagrams.

Protecting and sending a keyframe of 30 packets to 200 viewers takes about 15 ms. So the work is done in portions.
Between portions the socket is read and other tasks run. Each portion takes a share of every group's burst.
"""

from collections import deque
from collections.abc import Sequence

from roomfsm.mediaserver.engine.udp import Burst, BurstSender
from roomfsm.mediaserver.forwarding.sink import Group, Sink

PORTION = 256
"""The packets that are protected and sent before others get their turn. They take about a millisecond."""
_SHARE = 64
"""The part of a portion that one group gets, if several groups have something to send."""
_MAX_BACKLOG = 32 * PORTION
"""If more packets than this are waiting, nothing more is read. The system then drops datagrams, and our memory
does not grow."""


class _Task:
    """One burst, and the sinks that have not got it yet."""

    __slots__ = ("burst", "next", "sinks")

    def __init__(self, burst: Burst, sinks: Sequence[Sink]) -> None:
        self.burst = burst
        self.sinks = sinks
        self.next = 0


class Fanout:
    """The bursts that wait to be sent, by group. The bursts of a group are sent in order."""

    def __init__(self, sender: BurstSender) -> None:
        self._sender = sender
        self._queues: dict[Group, deque[_Task]] = {}
        self._backlog = 0
        self._at_once = PORTION
        """The packets that may be sent before others get their turn, without being queued."""

    @property
    def overfull(self) -> bool:
        return self._backlog > _MAX_BACKLOG

    @property
    def empty(self) -> bool:
        """Whether :meth:`work` has nothing to do."""
        return not self._queues and self._at_once == PORTION

    def add(self, group: Group, packets: Sequence[bytes]) -> None:
        """Queue packets for the sinks that are in the group now. Sinks that join later get them in another way.

        They leave with the next :meth:`work`.
        """
        numbered = bool(group.extensions.transport_cc)
        burst, size = Burst(packets, numbered=numbered), len(packets) * len(group.sinks)
        if size <= self._at_once and not self._queues:
            # In a small room nearly always. It does not take long, and nothing waits that should be sent before.
            self._at_once -= max(1, size)
            self._sender.send(burst, group.sinks)
            return
        task = _Task(burst, group.sinks.copy())
        self._backlog += len(packets) * len(task.sinks)
        queue = self._queues.get(group)
        if queue is None:
            self._queues[group] = deque((task,))
        else:
            queue.append(task)

    def work(self) -> bool:
        """Send a portion. Returns whether there is more to send."""
        budget, queues = PORTION, self._queues
        try:
            while queues and budget > 0:
                group = next(iter(queues))
                queue = queues.pop(group)
                budget -= self._send_share(group, queue, min(budget, _SHARE) if queues else budget)
                if queue:
                    queues[group] = queue  # The queue goes behind the others.
        finally:
            self._at_once = PORTION
            self._sender.flush()
        return bool(queues)

    def _send_share(self, group: Group, queue: deque[_Task], share: int) -> int:
        """Send a group's first burst to as many sinks as the share allows, and to one at least.

        Returns the number of packets.
        """
        task = queue[0]
        size = len(task.burst.packets)
        begin, task.next = task.next, task.next + max(1, share // size)
        sinks = task.sinks[begin : task.next]
        if task.next >= len(task.sinks):
            queue.popleft()
        self._backlog -= size * len(sinks)
        # A sink that has left the group meanwhile may have no transport any more. If it gets another layer or
        # source, it still needs these packets, whose numbers come before those of the others.
        self._sender.send(task.burst, [sink for sink in sinks if sink.group is group or sink.goes_on])
        return size * len(sinks)
