"""What has happened between this node and the others since the server started: counts that only grow, and times.

Like `roomfsm.rooms.counts`, they are plain additions where something happens. They go on when the node gets
another id.
"""

from __future__ import annotations

from collections import Counter

from roomfsm.histogram import Histogram

SENT, RECEIVED = "sent", "received"
DIRECTIONS = (SENT, RECEIVED)
RENEWED, MISSED = "renewed", "missed"
BEATS = (RENEWED, MISSED)
IN, OUT = "in", "out"
WAYS = (IN, OUT)
ANSWERED, SILENT = "answered", "silent"
ASKS = (ANSWERED, SILENT)


class NodeCounts:
    """The counts of one server as a node. Everything that has to do with other nodes adds to the same object."""

    def __init__(self) -> None:
        self.beats: Counter[str] = Counter()
        """Beats that renewed the lease, and those that had no answer."""
        self.messages: Counter[str] = Counter()
        """Messages from and to other nodes, by direction."""
        self.bytes: Counter[str] = Counter()
        """Their bytes."""
        self.entries: Counter[str] = Counter()
        """The entries of streams in which they were: what Redis is asked to do."""
        self.broken = 0
        """Links that broke."""
        self.lost = 0
        """Messages that this node had sent on a link that broke, and that the other node may not have got."""
        self.sessions: Counter[str] = Counter()
        """Sessions that moved here (`in`), and away (`out`)."""
        self.asks: Counter[str] = Counter()
        """HTTP requests and questions that went to other nodes, by how that ended."""
        self.answers = Histogram()
        """Seconds until another node began to answer a request."""

    def answered(self, seconds: float) -> None:
        """Another node has begun to answer after so many seconds."""
        self.asks[ANSWERED] += 1
        self.answers.observe(seconds)
