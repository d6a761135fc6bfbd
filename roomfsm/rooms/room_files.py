"""The files of one room: those that are on their way, and those that the lines of its chat have.

A file for everybody stays as long as its line can be answered or deleted. A private line is not kept by the room,
so a private file stays while both people are there. If the settings name a longest life, no file stays longer.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio

from roomfsm.access.policy import Policy
from roomfsm.files.places import Claim
from roomfsm.files.shared_file import SharedFile
from roomfsm.files.store import KeepsFiles
from roomfsm.lifecycle.file import FILE
from roomfsm.lifecycle.table import Step
from roomfsm.protocol.client import SendFile
from roomfsm.protocol.server import Upload
from roomfsm.rooms.journal import Journal
from roomfsm.rooms.participant import Participant


class RoomFiles:
    """The files of one room. Nothing here waits.

    Without a `store`, the room takes none. `run` names the room in the store, and `policy` is its present policy.
    `deliver` is what a file does when it has arrived.
    """

    def __init__(
        self,
        store: KeepsFiles | None,
        run: str,
        policy: Callable[[], Policy],
        journal: Journal,
        do_later: Callable[[float, Callable[[], None]], trio.CancelScope],
        deliver: Callable[[SharedFile], Awaitable[None]],
    ) -> None:
        self._store = store
        self._run = run
        self._policy = policy
        self._journal = journal
        self._do_later = do_later
        self._deliver = deliver
        self._number = 0
        self._of_line: dict[int, SharedFile] = {}
        self._others: dict[SharedFile, None] = {}
        """Files that have no line that the room keeps: they are on their way, or private."""
        self._timers: dict[SharedFile, trio.CancelScope] = {}
        """What ends each file when its time is over."""

    @property
    def taken(self) -> bool:
        """Whether people may send files."""
        return self._store is not None and self._policy().files

    def fits(self, size: int) -> bool:
        """Whether a file may have so many bytes."""
        return self._store is None or size <= self._store.settings.max_file_bytes

    def has_place(self, sender: Participant, size: int) -> bool:
        """Whether there is a place for a file of so many bytes."""
        return self._store is None or self._store.has_place(self._claim(sender, size))

    def expect(self, sender: Participant, message: SendFile) -> None:
        """Keep a place for a file, and tell its sender where the bytes go."""
        assert self._store is not None
        self._number += 1
        claim = self._claim(sender, message.size)
        file = self._store.new(str(self._number), message, claim, self._deliver, self._moved)
        self._others[file] = None
        self._journal.begin(FILE.name, file.number, file.state)
        wait = self._store.settings.upload_wait
        self._timers[file] = self._do_later(wait, lambda: file.follow("unused"))
        sender.send(Upload(path=file.upload_path, seconds=wait, ref=message.ref))

    def arrive(self, file: SharedFile, at: int) -> None:
        """A file is here, since `at` (in milliseconds since 1970, UTC)."""
        assert self._store is not None
        file.fire("arrived")
        self._timers.pop(file).cancel()
        lifetime = self._store.settings.file_lifetime
        if lifetime:
            file.until = at + round(lifetime * 1000)
            self._timers[file] = self._do_later(lifetime, lambda: file.follow("expired"))

    def keep(self, file: SharedFile, line: int) -> None:
        """Everybody is told a file, which is here, with this line of the chat."""
        del self._others[file]
        self._of_line[line] = file

    def forget_line(self, line: int) -> None:
        """The room has forgotten a line of its chat."""
        file = self._of_line.pop(line, None)
        if file is not None:
            # Its time may be over already.
            file.follow("dropped")

    def forget_person(self, person: str) -> None:
        """Somebody has left the room: what the person was sending, and what only this person has or got, goes."""
        for file in tuple(self._others):
            if person == file.sender:
                file.fire("dropped")
            elif person == file.announced.to:
                file.follow("recipient_left")

    def clear(self) -> None:
        """Drop all files, because the room has ended."""
        for line in tuple(self._of_line):
            self.forget_line(line)
        for file in tuple(self._others):
            file.fire("dropped")

    def _claim(self, sender: Participant, size: int) -> Claim:
        return Claim(self._run, sender.id, sender.seat.voice.address, size)

    def _moved(self, file: SharedFile, step: Step) -> None:
        self._journal.took(FILE.name, file.number, step, who=file.sender, final=file.over)
        if file.over:
            self._others.pop(file, None)
            # Otherwise a task would wait for a file that is gone, a day for each.
            if (timer := self._timers.pop(file, None)) is not None:
                timer.cancel()
