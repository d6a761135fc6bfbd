"""A room's chat: its lines are numbered, and a newcomer gets the newest ones.

Lines that newcomers do not get any more are still on the pages of those who have been there longer, who may answer
or delete them. So the room knows the speakers of more lines than it keeps.

Private lines are no part of all this: nobody can see from the numbers of the other lines that there was one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import msgspec

from roomfsm.protocol.server import ChatLine, FileInfo

_encoder = msgspec.json.Encoder()


class ChatHistory:
    """The last lines of chat: at most `most_lines` of them, which take at most `most_bytes` when encoded.

    The speakers of the last `most_named` lines are known. `forgotten` is called with the number of each line of
    which nothing is known any more.
    """

    def __init__(
        self,
        most_lines: int,
        most_bytes: int,
        most_named: int = 1000,
        forgotten: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._lines: deque[tuple[ChatLine, int]] = deque()
        self._most_lines = most_lines
        self._most_bytes = most_bytes
        self._bytes = 0
        self._seq = 0
        self._forgotten = forgotten
        self._speakers: deque[str | None] = deque(maxlen=most_named)
        """Who said the last lines, the newest last; None for a line that was deleted."""

    def add(
        self,
        participant: str,
        name: str,
        text: str,
        at: int,
        reply_to: int | None = None,
        file: FileInfo | None = None,
    ) -> ChatLine:
        """Number a line, keep it, and drop the oldest ones. `at` is in milliseconds since 1970 (UTC)."""
        line = ChatLine(
            seq=self._seq + 1, participant=participant, name=name, text=text, at=at, reply_to=reply_to, file=file
        )
        self.put(line)
        return line

    def put(self, line: ChatLine) -> None:
        """Keep a line, which has the next number, and drop the oldest ones."""
        self._seq = line.seq
        if len(self._speakers) == self._speakers.maxlen:
            self._forgotten(self._seq - len(self._speakers))
        self._speakers.append(line.participant)
        self._keep(line)

    def _keep(self, line: ChatLine) -> None:
        size = len(_encoder.encode(line)) + 1
        self._lines.append((line, size))
        self._bytes += size
        while self._lines and (len(self._lines) > self._most_lines or self._bytes > self._most_bytes):
            self._bytes -= self._lines.popleft()[1]

    @property
    def number(self) -> int:
        """The number of the last line that was said."""
        return self._seq

    @property
    def speakers(self) -> tuple[str | None, ...]:
        """Who said the last lines, as far as that is known, the newest last; None for a line that was deleted."""
        return tuple(self._speakers)

    def restore(self, number: int, speakers: tuple[str | None, ...], lines: tuple[ChatLine, ...]) -> None:
        """Take over all that was known of a chat. Nothing may have been said in this one."""
        self._seq = number
        self._speakers.extend(speakers)
        for line in lines:
            self._keep(line)

    def in_private(
        self,
        participant: str,
        name: str,
        text: str,
        at: int,
        to: str,
        reply_to: int | None = None,
        file: FileInfo | None = None,
    ) -> ChatLine:
        """Make a private line, which is not kept."""
        return ChatLine(
            seq=self._seq,
            participant=participant,
            name=name,
            text=text,
            at=at,
            to=to,
            reply_to=reply_to,
            file=file,
        )

    def speaker_of(self, seq: int) -> str | None:
        """The participant who said the line; None if there is no such line, or not any more."""
        back = self._seq - seq
        return self._speakers[-1 - back] if 0 <= back < len(self._speakers) else None

    def delete(self, seq: int) -> None:
        """Forget one line. There must be one with this number."""
        self._speakers[seq - self._seq - 1] = None
        self._forgotten(seq)
        for at, (line, size) in enumerate(self._lines):
            if line.seq == seq:
                del self._lines[at]
                self._bytes -= size
                return

    def clear(self) -> None:
        """Forget all lines. The next one still gets the next number."""
        for back in range(len(self._speakers)):
            self._forgotten(self._seq - back)
        self._lines.clear()
        self._speakers.clear()
        self._bytes = 0

    def lines(self) -> tuple[ChatLine, ...]:
        """The lines that are kept, oldest first."""
        return tuple(line for line, _ in self._lines)
