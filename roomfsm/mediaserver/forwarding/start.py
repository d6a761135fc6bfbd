"""What a viewer starts with is repeated unasked, as far as the viewer cannot know that it is missing.

A browser asks for nothing that is older than the first packet that reaches it. A start is a burst: the network may
change its order and lose some of it. And a packet of it may come from the publisher only later, and then be lost
on the way to the viewer. Without that packet the browser shows the keyframe, and nothing more until it has lost
its patience after 3 s. So each packet of a start is sent twice more, as soon as there is one. But once the viewer
asks for a packet, it has one before it, and will ask by itself for whatever is missing from there on.
"""

from collections.abc import Iterable

from roomfsm.mediaserver.rtp.ring import KeptPacket

REPEAT = 0.05
"""Seconds before each repetition."""
_REPEATS = 2
_LIFE = 1.0
"""Seconds for which a packet of the start may come late from the publisher and still be repeated."""


class Start:
    """What is left to repeat of one viewer's start."""

    __slots__ = ("_asked", "_left", "_until", "due")

    def __init__(self, now: float) -> None:
        self.due = now + REPEAT
        """When to repeat."""
        self._until = now + _LIFE
        self._left: dict[int, int] | None = None
        """How often each extended number is still to be repeated; None until the start is over."""
        self._asked: int | None = None
        """The lowest number that the viewer asked for."""

    def asked(self, lowest: int) -> None:
        """The viewer asked for packets from this extended number on."""
        self._asked = lowest if self._asked is None else min(self._asked, lowest)
        if self._left is not None:
            self._left = {number: times for number, times in self._left.items() if number < self._asked}

    def numbers(self, start: Iterable[int], now: float) -> list[int]:
        """The numbers to repeat now, the least repeated first; `start` are all that the viewer was sent by now."""
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
