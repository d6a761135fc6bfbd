"""The files of a replay. Their bytes are not in the journal, which only says what happened to them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

from roomfsm.files.places import Claim
from roomfsm.files.settings import FileSettings
from roomfsm.files.shared_file import SharedFile
from roomfsm.lifecycle.table import Step
from roomfsm.protocol.client import SendFile

_MUCH = 1_000_000_000_000
_LONG = 1_000_000_000.0
_NOWHERE = Path("nowhere")


class ReplayedFiles:
    """A store in which everything has a place. Implements `roomfsm.files.store.KeepsFiles`."""

    def __init__(self) -> None:
        # The journal also says when a file did not begin to come in time.
        self.settings = FileSettings(max_file_bytes=_MUCH, upload_wait=_LONG)
        self._files: dict[str, SharedFile] = {}

    def has_place(self, claim: Claim) -> bool:  # noqa: ARG002 (the journal says which was refused)
        return True

    def new(
        self,
        number: str,
        announced: SendFile,
        claim: Claim,
        deliver: Callable[[SharedFile], Awaitable[None]],
        on_step: Callable[[SharedFile, Step], None],
    ) -> SharedFile:
        self._files[number] = SharedFile(number, announced, claim, _NOWHERE, deliver, on_step, {})
        return self._files[number]

    def does(self, number: str, trigger: str) -> str | None:
        """Repeat what happened to a file outside of the room.

        Returns why it cannot be repeated; None if it can. Raises `Refusal`.
        """
        file = self._files.get(number)
        if file is None:
            return f"today there is no file {number}"
        file.fire(trigger)
        return None

    def whole(self, number: str, media_type: str, *, complete: bool) -> SharedFile | None:
        """A file whose bytes have come, or came too few; None if there is none."""
        file = self._files.get(number)
        if file is not None:
            file.media_type, file.received = media_type, file.size + (not complete)
        return file
