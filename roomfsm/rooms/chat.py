"""A room's chat: its lines are numbered, and a newcomer gets the newest ones."""

from __future__ import annotations

from collections import deque

import msgspec

from roomfsm.protocol.server import ChatLine

_encoder = msgspec.json.Encoder()


class ChatHistory:
    """The last lines of chat: at most `most_lines` of them, which take at most `most_bytes` when encoded."""

    def __init__(self, most_lines: int, most_bytes: int) -> None:
        self._lines: deque[tuple[ChatLine, int]] = deque()
        self._most_lines = most_lines
        self._most_bytes = most_bytes
        self._bytes = 0
        self._seq = 0

    def add(self, participant: str, name: str, text: str, at: int) -> ChatLine:
        """Number a line, keep it, and drop the oldest ones. `at` is in milliseconds since 1970 (UTC)."""
        self._seq += 1
        line = ChatLine(seq=self._seq, participant=participant, name=name, text=text, at=at)
        size = len(_encoder.encode(line)) + 1
        self._lines.append((line, size))
        self._bytes += size
        while self._lines and (len(self._lines) > self._most_lines or self._bytes > self._most_bytes):
            self._bytes -= self._lines.popleft()[1]
        return line

    def clear(self) -> None:
        """Forget all lines. The next one still gets the next number."""
        self._lines.clear()
        self._bytes = 0

    def lines(self) -> tuple[ChatLine, ...]:
        """The lines that are kept, oldest first."""
        return tuple(line for line, _ in self._lines)
