"""A file that somebody sends to the chat. Its table (`roomfsm.lifecycle.file`) moves it and says what it owns."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import trio

from roomfsm.files.places import Claim
from roomfsm.lifecycle.file import FILE, FileFacts
from roomfsm.lifecycle.table import Model, Step
from roomfsm.protocol.client import SendFile
from roomfsm.protocol.server import FileInfo

FOLDER = "files"
"""The first part of the addresses of files."""


class SharedFile(Model):
    """One file. Its room makes it, the web brings and fetches its bytes, and the store has its place and its path.

    `deliver` puts it into its room when all bytes are there. It raises `Refusal`, or that the room is over.
    """

    def __init__(
        self,
        number: str,
        announced: SendFile,
        claim: Claim,
        path: Path,
        deliver: Callable[[SharedFile], Awaitable[None]],
        on_step: Callable[[SharedFile, Step], None],
        leave: Mapping[str, Callable[[SharedFile], None]],
        mark: str = "",
    ) -> None:
        """`mark` is the beginning of its addresses."""
        super().__init__(FILE.initial)
        self.number = number
        """Counts the files of its room: 1, 2, …"""
        self.announced = announced
        self.claim = claim
        self.path = path
        self.deliver = deliver
        self.upload_token, self.token = (mark + secrets.token_urlsafe(24) for _ in range(2))
        """Those who know them may bring the bytes, and fetch them."""
        self.media_type = ""
        self.until: int | None = None
        """When it goes at the latest, in milliseconds since 1970 (UTC)."""
        self.received = 0
        """How many bytes have come."""
        self.uploading = trio.CancelScope()
        """The scope of the request that brings the bytes."""
        self._on_step = on_step
        self._leave = leave

    @property
    def sender(self) -> str:
        """The person who sends it."""
        return self.claim.person

    @property
    def size(self) -> int:
        """How many bytes were announced."""
        return self.claim.size

    @property
    def whole(self) -> bool:
        """Whether as many bytes have come as were announced."""
        return self.received == self.size

    @property
    def over(self) -> bool:
        """Whether the file is gone."""
        return FILE.state(self.state).final

    @property
    def upload_path(self) -> str:
        """Where the bytes go, relative to the address of the websocket."""
        return f"{FOLDER}/{self.upload_token}"

    def info(self) -> FileInfo:
        """The file as people see it."""
        return FileInfo(
            name=self.announced.name,
            size=self.size,
            media_type=self.media_type,
            path=f"{FOLDER}/{self.token}",
            until=self.until,
        )

    def fire(self, trigger: str, *, as_announced: bool = True) -> None:
        """Move the file. Raises `Refusal`."""
        self._carry_out(FILE.fire(self, trigger, FileFacts(as_announced=as_announced)))

    def follow(self, trigger: str) -> None:
        """Move the file by an event that may come too late; then nothing happens."""
        step = FILE.follow(self, trigger, FileFacts)
        if step is not None:
            self._carry_out(step)

    def _carry_out(self, step: Step) -> None:
        if step.moved:
            self._on_step(self, step)
        if self.over:
            self.uploading.cancel()
        for resource in step.left:
            if resource in self._leave:
                self._leave[resource](self)
