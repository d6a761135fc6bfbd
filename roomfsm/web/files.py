"""The page's files, from memory: no file stays open for as long as somebody takes to read an answer."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import trio
from quart import Response, request

_NAME = re.compile(r"(?:[a-z0-9-]{1,64}/)?[a-z0-9-]{1,64}\.(html|js|css|svg|png|ico)")
"""Names that a file may be asked for by, in the folder or in one of its folders.

What a stranger writes reaches the file system in no other form.
"""

_OUR_ADDRESS = re.compile(rb'(\b(?:href|src)=")/(?!/)')
"""Where an address of ours begins in a page."""

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
    """The files of one folder and of the folders in it, read again when they have changed.

    In pages the addresses of what is ours begin with `prefix`; scripts know it from their own address.
    """

    def __init__(self, folder: Path, prefix: str = "") -> None:
        self._prefix = prefix.encode("ascii")
        self._folder = trio.Path(folder)
        self._files: dict[str, _File] = {}

    async def answer(self, name: str, *, conditional: bool = True) -> Response | None:
        """The file as an answer to the request at hand; None if there is none of this name.

        Unless `conditional` it is sent in full, even to one who has it.
        """
        file = await self._read(name)
        if file is None:
            return None
        response = Response(file.data, content_type=_TYPES[Path(name).suffix])
        response.set_etag(file.version)
        response.last_modified = file.modified
        # Always asked for again, answered 304 while unchanged: a page never mixes versions.
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
