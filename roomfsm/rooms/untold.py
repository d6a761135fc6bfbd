"""The lines of one room's chat that the store does not have yet, and the people who are told each once it has.

While the store works, a line waits with everything else (`roomfsm.rooms.writer`), and nothing is here but its
number. If the store fails for too long, everything else is told, and the lines stay here. What deletes lines stays
with them, so that nobody is told of a line after its end. A description of the room is sent without these lines,
and they follow when they are kept.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from roomfsm.protocol.codec import Outgoing
from roomfsm.protocol.server import ChatCleared, ChatSaid, Joined, LineDeleted
from roomfsm.rooms.record import Hearer


class Untold:
    """The lines of one room that are not kept."""

    def __init__(self) -> None:
        self._said: set[int] = set()
        self._written: set[int] = set()
        """The numbers of the lines that are not kept, and of those among them that are being written."""
        self._waiting: dict[Hearer, list[Outgoing]] = {}

    def said(self, line: int) -> None:
        """The line with this number is to be kept."""
        self._said.add(line)

    def written(self) -> None:
        """All lines so far are being written."""
        self._written |= self._said
        self._said.clear()

    def kept(self) -> Iterator[tuple[Hearer, Outgoing]]:
        """What was being written is kept. Returns what is told now, and whom."""
        self._written.clear()
        waiting, self._waiting = self._waiting, {}
        return ((hearer, outgoing) for hearer, told in waiting.items() for outgoing in told)

    def forget(self) -> None:
        """Nobody is ever told."""
        self._said.clear()
        self._written.clear()
        self._waiting.clear()

    def without(self, hearer: Hearer, outgoing: Outgoing) -> Outgoing | None:
        """What this person is told now of a message; None if all of it waits."""
        if not (self._said or self._written):
            return outgoing
        match outgoing.message:
            case ChatSaid(line=line) if line.to is None and self._is_unkept(line.seq):
                self._waiting.setdefault(hearer, []).append(outgoing)
                return None
            case LineDeleted() | ChatCleared():
                self._waiting.setdefault(hearer, []).append(outgoing)
                return None
            case Joined(chat=chat) as joined:
                unkept = [line for line in chat if self._is_unkept(line.seq)]
                # What waited for this person before is older than the description.
                self._waiting[hearer] = [Outgoing(ChatSaid(line=line)) for line in unkept]
                left = tuple(line for line in chat if line not in unkept)
                return Outgoing(msgspec.structs.replace(joined, chat=left)) if unkept else outgoing
        return outgoing

    def _is_unkept(self, line: int) -> bool:
        return line in self._said or line in self._written
