"""The packets that wait because a TCP connection takes no more at the moment.

Theory. On a path that is too slow, UDP loses packets, and TCP delivers them late, which is worse: late sound is of
no use, and the estimate of the path comes late, too. So we keep only a little, and lose packets as a full path
would. Losses are then repaired, keyframes requested and layers chosen as over UDP.

There are two lines. Sound and everything by which the connection lives (checks, the handshake, reports) go before
the picture. In the first line each packet is lost by itself when it has waited too long. The picture waits until
its oldest packet has waited too long. Then all of it is lost, because what came after a gap could not be shown
anyway. A packet of which a part has been sent must be sent whole.
"""

from collections import deque
from collections.abc import Callable

_AT_ONCE = 8192
"""So many bytes are made ready for the system at once. None of these can be lost or overtaken any more."""


class SendQueue:
    """The two lines of one connection. The packets are given with their framing. It does no I/O."""

    __slots__ = ("_begun", "_first", "_life", "_lost", "_most", "_picture", "_waiting")

    def __init__(self, life: float, most: int, lost: Callable[[int], None]) -> None:
        """A packet waits at most `life` seconds, and at most `most` bytes wait. `lost` counts packets."""
        self._life = life
        self._most = most
        self._lost = lost
        self._first: deque[tuple[float, bytes]] = deque()
        self._picture: deque[tuple[float, bytes]] = deque()
        self._waiting = 0
        """The bytes in both lines."""
        self._begun = b""
        """What must be sent before anything else."""

    def __bool__(self) -> bool:
        """Whether anything waits."""
        return bool(self._begun or self._first or self._picture)

    def begin(self, rest: bytes) -> None:
        """Keep the rest of a packet of which the system took the beginning, while nothing else waits."""
        self._begun = rest

    def put(self, frame: bytes, now: float, *, picture: bool) -> None:
        """Let a packet wait behind the others of its line."""
        self._expire(now)
        if self._waiting + len(frame) > self._most:
            self._give_up_picture()
        while self._first and self._waiting + len(frame) > self._most:
            self._waiting -= len(self._first.popleft()[1])
            self._lost(1)
        (self._picture if picture else self._first).append((now, frame))
        self._waiting += len(frame)

    def take(self, now: float) -> bytes:
        """The bytes to send next. Those that are not :meth:`sent` are given again."""
        if not self._begun:
            self._expire(now)
            frames, size = list[bytes](), 0
            while size < _AT_ONCE and (line := self._first or self._picture):
                frames.append(line.popleft()[1])
                size += len(frames[-1])
            self._begun = b"".join(frames)
            self._waiting -= size
        return self._begun

    def sent(self, count: int) -> None:
        """The system took so many of the bytes that `take` gave."""
        self._begun = self._begun[count:]

    def _expire(self, now: float) -> None:
        while self._first and now - self._first[0][0] > self._life:
            self._waiting -= len(self._first.popleft()[1])
            self._lost(1)
        if self._picture and now - self._picture[0][0] > self._life:
            self._give_up_picture()

    def _give_up_picture(self) -> None:
        self._waiting -= sum(len(frame) for _, frame in self._picture)
        self._lost(len(self._picture))
        self._picture.clear()
