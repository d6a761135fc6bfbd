"""A room's chat: numbered lines, the newest of which a newcomer gets."""

from __future__ import annotations

from collections import deque

from roomfsm.protocol.server import ChatLine


class ChatHistory:
    """The last `bound` lines."""

    def __init__(self, bound: int) -> None:
        self._lines: deque[ChatLine] = deque(maxlen=bound)
        self._seq = 0

    def add(self, participant: str, name: str, text: str, at: int) -> ChatLine:
        """Number a line and keep it; `at` in milliseconds since 1970 (UTC)."""
        self._seq += 1
        line = ChatLine(seq=self._seq, participant=participant, name=name, text=text, at=at)
        self._lines.append(line)
        return line

    def lines(self) -> tuple[ChatLine, ...]:
        """The lines kept, oldest first."""
        return tuple(self._lines)
