"""Repeats the first packets of a viewer without being asked, because the viewer cannot know that they are missing.

A browser never asks for a packet that is older than the first one that it received. The start of a stream is a
burst, and the network may change its order and lose some packets. A packet may also come late from the publisher,
and then be lost on the way to the viewer. Without that packet the browser shows the keyframe, and nothing more
until it gives up waiting after 3 s. So each packet of a start is sent two more times. If the viewer asks for a
packet, it has received an earlier one, and it will ask by itself for all packets that are missing after that.
"""

from collections.abc import Iterable

from roomfsm.mediaserver.rtp.ring import KeptPacket

REPEAT = 0.05
"""Seconds before each repetition."""
_REPEATS = 2
_LIFE = 1.0
"""Seconds for which a packet of the start may come late from the publisher and still be repeated."""


class Start:
    """The packets of one viewer's start that are still to be repeated."""

    __slots__ = ("_asked", "_left", "_until", "due")

    def __init__(self, now: float) -> None:
        self.due = now + REPEAT
        """When to repeat packets next."""
        self._until = now + _LIFE
        self._left: dict[int, int] | None = None
        """How often each extended number must still be repeated; None before the first repetition."""
        self._asked: int | None = None
        """The lowest number for which the viewer has asked."""

    def asked(self, lowest: int) -> None:
        """Record that the viewer asked for packets, of which this extended number is the lowest."""
        self._asked = lowest if self._asked is None else min(self._asked, lowest)
        if self._left is not None:
            self._left = {number: times for number, times in self._left.items() if number < self._asked}

    def numbers(self, start: Iterable[int], now: float) -> list[int]:
        """The numbers to repeat now, the least repeated first.

        `start` are the numbers of all packets that the viewer was sent so far.
        """
        self.due = now + REPEAT
        if self._left is None:
            self._left = {number: _REPEATS for number in start if self._asked is None or number < self._asked}
        left = self._left
        return sorted(left, key=lambda number: -left[number])

    def repeated(self, sent: Iterable[KeptPacket]) -> None:
        for kept in sent:
            if self._left and kept.extended in self._left:
                self._left[kept.extended] -= 1
                if not self._left[kept.extended]:
                    del self._left[kept.extended]

    def is_over(self, now: float) -> bool:
        return now >= self._until or (self._left is not None and not self._left)
