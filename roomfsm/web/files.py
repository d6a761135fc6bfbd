"""Serves the page's files from memory, so that no file stays open while a client slowly reads an answer."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import trio
from quart import Response, request

_NAME = re.compile(r"(?:[a-z0-9-]{1,64}/)?[a-z0-9-]{1,64}\.(html|js|css|svg|png|ico)")
"""The names of files that clients may ask for, in the folder or in one of its subfolders.

Text from a client reaches the file system in no other form."""

_OUR_ADDRESS = re.compile(rb'(\b(?:href|src)=")/(?!/)')
"""The beginning of an address of this server in a page."""

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml; charset=utf-8",
    ".png": "image/png",
    ".ico": "image/x-icon",
}


@dataclass(frozen=True, slots=True)
class _File:
    version: str
    modified: datetime
    data: bytes


class ClientFiles:
    """The files of one folder and its subfolders, which are read again when they have changed.

    In HTML pages, the addresses of this server get the `prefix`. Scripts find it out from their own address.
    """

    def __init__(self, folder: Path, prefix: str = "") -> None:
        self._prefix = prefix.encode("ascii")
        self._folder = trio.Path(folder)
        self._files: dict[str, _File] = {}

    async def answer(self, name: str, *, conditional: bool = True) -> Response | None:
        """The file as an answer to the current request; None if there is no file of this name.

        If `conditional` is false, it is sent in full, even if the client already has it.
        """
        file = await self._read(name)
        if file is None:
            return None
        response = Response(file.data, content_type=_TYPES[Path(name).suffix])
        response.set_etag(file.version)
        response.last_modified = file.modified
        # Browsers ask for each file every time, and get 304 while it is unchanged. So a page never mixes versions.
        response.headers["Cache-Control"] = "no-cache"
        if conditional:
            await response.make_conditional(request, complete_length=len(file.data))
        return response

    async def _read(self, name: str) -> _File | None:
        if not _NAME.fullmatch(name):
            return None
        try:
            stat = await (self._folder / name).stat()
            version = f"{stat.st_mtime_ns:x}-{stat.st_size:x}"
            known = self._files.get(name)
            if known is not None and known.version == version:
                return known
            data = await (self._folder / name).read_bytes()
        except OSError:
            return None
        if name.endswith(".html"):
            data = _OUR_ADDRESS.sub(rb"\1" + self._prefix + b"/", data)
        self._files[name] = _File(version, datetime.fromtimestamp(int(stat.st_mtime), UTC), data)
        return self._files[name]
