"""A link between two nodes: the numbers that show what is lost, without I/O.

Two nodes have one link, for both directions, and each node has an end of it. What goes from one end to the other
is an *entry*: the number of the link, some messages, and the number of the first of them. Entries may be lost,
come twice, and come again late.

- A sender repeats messages until it knows that they are in Redis (`confirmed`). The receiver drops what it has
  already taken, message by message, so that a repeated entry may have more messages than the first one had.
- Each entry says how many messages its sender has taken (`taken`). So each end knows how much is under way, which
  is bounded. While the other end has not taken everything, `tick` asks it, with an entry that has no messages if
  none wait. So the loss of the last message is found, too.
- An end *breaks* the link when it finds that messages are lost (the first number is too high), that the other end
  has taken messages that were never sent, or that too much is under way. The link begins anew then: the number of
  the link is higher by one, and the numbers of the messages begin with 0.
- An end that gets an entry with a higher number than its own takes over that number, and so learns of the break.
  Entries with a lower number belong to a link that is broken, and are dropped. If both ends break the link at the
  same time, both choose the same number, and neither has to learn anything.
- The end that broke the link asks again and again, until it gets an entry with the new number.

Each break is told to the user of the end (`receive` and `send` say so), and the user says when it knows (`told`).
Until then, what it sends is dropped: it was meant for the link that is broken. So a link is like a TCP connection
that opens itself again. What a user gets after it has learnt of a break was sent by somebody who had learnt of the
same break.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import msgspec

from roomfsm.nodes.counts import RECEIVED, SENT, NodeCounts
from roomfsm.nodes.settings import BusSettings

_ENTRY = 1_048_576
"""An entry with so many bytes gets no further message, so that it is written before the deadline of the bus."""


class Entry(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What goes from one end of a link to the other."""

    sender: str
    """The id of the node."""
    link: int
    """The number of the link."""
    first: int
    """The number of the first message. If there is none, that of the next one."""
    taken: int
    """How many messages of this link its sender has taken."""
    ask: bool
    """Whether the receiver is to answer with an entry."""
    messages: list[bytes]


class Link:
    """This node's end of a link to another node. It never waits."""

    def __init__(self, me: str, settings: BusSettings, counts: NodeCounts | None = None) -> None:
        """`counts` are those of all links of this node."""
        self._me = me
        self._settings = settings
        self._all = counts or NodeCounts()
        self.counts = NodeCounts()
        """Those of this link only: messages, bytes, and breaks."""
        self._untold = 0
        """Breaks that the user does not know of."""
        self._begin(1)

    def _begin(self, number: int) -> None:
        self._number = number
        self._agreed = True
        """Whether the other end knows this number, or need not."""
        self._sent = 0
        """Messages that have a number."""
        self._sizes: deque[int] = deque()
        """The sizes of the messages that the other end has not taken, as far as this end knows."""
        self._bytes = 0
        """The sum of these sizes."""
        self._waiting: deque[bytes] = deque()
        """The last of these messages, which are not known to be in Redis."""
        self._taken = 0
        self._speak = self._ask = False
        """Whether an entry is due although no message waits, and whether the next one asks."""

    @property
    def under_way(self) -> tuple[int, int]:
        """How many messages, and bytes, the other end has not taken, as far as this end knows."""
        return len(self._sizes), self._bytes

    @property
    def due(self) -> bool:
        """Whether an entry is to be sent."""
        return self._speak or bool(self._waiting)

    def send(self, message: bytes) -> bool:
        """Give a message its number, and let it wait for the next entry. Returns whether that broke the link."""
        if self._untold:
            return False
        size, settings = len(message), self._settings
        if len(self._sizes) >= settings.bus_queue or self._bytes + size > settings.bus_queue_bytes:
            self._untold += 1
            self._count_break()
            self._break()
            return True
        self._sent += 1
        self._count(SENT, 1, size)
        self._sizes.append(size)
        self._bytes += size
        self._waiting.append(message)
        return False

    def entry(self) -> Entry:
        """What is to be sent now. If it is not `confirmed`, the next one has the same messages, or more."""
        messages, size, settings = list[bytes](), 0, self._settings
        for message in self._waiting:
            messages.append(message)
            size += len(message)
            if size >= _ENTRY:
                break
        half_full = 2 * len(self._sizes) > settings.bus_queue or 2 * self._bytes > settings.bus_queue_bytes
        ask, self._speak, self._ask = self._ask or half_full, False, False
        return Entry(self._me, self._number, self._sent - len(self._waiting), self._taken, ask, messages)

    def confirmed(self, entry: Entry) -> None:
        """The entry is in Redis."""
        if entry.link == self._number:
            after = entry.first + len(entry.messages)
            while self._sent - len(self._waiting) < after:
                self._waiting.popleft()

    def receive(self, entry: Entry) -> tuple[bool, Sequence[bytes]]:
        """Returns whether the link is broken, and the messages that have come after that."""
        if entry.link < self._number:
            return False, ()
        broken = entry.link > self._number
        if broken:
            self._count_break()
            self._begin(entry.link)
        fresh: Sequence[bytes] = ()
        if entry.first > self._taken or entry.taken > self._sent:
            if not broken:
                self._count_break()
            broken = True
            self._break()
        else:
            self._agreed = True
            self._speak |= entry.ask
            while self._sent - len(self._sizes) < entry.taken:
                self._bytes -= self._sizes.popleft()
            fresh = entry.messages[self._taken - entry.first :]
            self._taken += len(fresh)
            self._count(RECEIVED, len(fresh), sum(map(len, fresh)))
        self._untold += broken
        return broken, fresh

    def tick(self) -> None:
        """Ask the other end if it has not taken everything. To be called again and again."""
        if self._sizes or not self._agreed:
            self._speak = self._ask = True

    def told(self) -> None:
        """The user has learnt of a break."""
        self._untold -= 1

    def _count(self, direction: str, messages: int, size: int) -> None:
        for counts in (self.counts, self._all):
            counts.messages[direction] += messages
            counts.bytes[direction] += size

    def _count_break(self) -> None:
        for counts in (self.counts, self._all):
            counts.broken += 1
            counts.lost += len(self._sizes)

    def _break(self) -> None:
        self._begin(self._number + 1)
        self._agreed = False
        self._speak = self._ask = True
