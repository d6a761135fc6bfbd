"""Serves the page's files from memory, so that no file stays open while a client slowly reads an answer."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from pathlib import Path

import trio
from quart import Response, request

from roomfsm.web.release import SCRIPTS, TYPES, Content, Release, look, make_release

_KEPT = 4
"""So many releases are kept, for pages that were opened with an earlier one and still need a part of it."""

_LOOK_HOLDS = 1.0
"""For so many seconds nobody looks into the folder again, so that many requests do not occupy the thread."""

_RELEASE = re.compile("[0-9a-f]{16}")

_RELOAD = """\
// The page was made by another version of the server. The present one is loaded whole, but a page
// that was reloaded already is not reloaded again.
if (performance.getEntriesByType('navigation')[0]?.type === 'reload') await import('../{release}/{name}');
else location.reload();
"""
"""A script instead of one of a release that is not known: the server was updated after it had sent the page.

The present script could be sent at once, but then the page, its stylesheets and the modules that come later would
be of different releases. A script is the only way to say this, because the page's policy forbids others in it."""

_FOR_A_YEAR = "public, max-age=31536000, immutable"
_ASK_AGAIN = "no-cache"
_ONCE = "no-store"


class ClientFiles:
    """The files of one folder and its subfolders (`release.py`), which are prepared again when they have changed.

    In HTML pages, the addresses of this server get the `prefix`. Scripts find it out from their own address.
    A request for a page, or for a file as it is in the folder, finds out whether a file has changed, at most once
    in a second. Text from a client never reaches the file system.
    """

    def __init__(self, folder: Path, prefix: str = "") -> None:
        self._folder = folder
        self._prefix = prefix
        self._releases: dict[str, Release] = {}
        self._newest: Release | None = None
        self._looked_at = float("-inf")
        self._thread = trio.CapacityLimiter(1)
        """One thread at a time looks and encodes, so that nothing is made twice."""

    async def page(self, name: str, *, conditional: bool = True) -> Response:
        """An HTML page as an answer to the current request.

        If `conditional` is false, it is sent in full, even if the client already has it. Raises
        `FileNotFoundError`.
        """
        release = await self._look()
        if name not in release.pages:
            raise FileNotFoundError(name)
        return await self._answer(release.pages[name], _ASK_AGAIN, conditional=conditional)

    async def file(self, path: str) -> Response | None:
        """A file of `/client/` as an answer to the current request; None if there is none."""
        first, _, rest = path.partition("/")
        release = self._releases.get(first)
        if release is None and rest and self._newest is None:
            # The server has just been started, and a page that was opened before asks for what it has not yet.
            await self._look()
            release = self._releases.get(first)
        if release is not None:
            content = release.files.get(rest)
            how = _FOR_A_YEAR
        elif _RELEASE.fullmatch(first) and rest in SCRIPTS:
            newest = await self._look()
            text = _RELOAD.format(release=newest.name, name=rest)
            content = Content("js", text.encode(), datetime.now(UTC)) if rest in newest.files else None
            how = _ONCE
        else:
            content = (await self._look()).plain.get(path)
            how = _ASK_AGAIN
        if content is None:
            return None
        response = await self._answer(content, how)
        if content.kind == "js":
            # Pages of other servers may import them. A module is fetched without cookies.
            response.headers["Access-Control-Allow-Origin"] = "*"
        return response

    async def _look(self) -> Release:
        """The newest release."""
        if self._newest is not None and self._is_fresh():
            return self._newest
        return await trio.to_thread.run_sync(self._looked, limiter=self._thread)

    def _is_fresh(self) -> bool:
        return time.monotonic() - self._looked_at < _LOOK_HOLDS

    def _looked(self) -> Release:
        if self._newest is not None and self._is_fresh():
            # Another request has looked while this one waited for the thread.
            return self._newest
        try:
            stamps = look(self._folder)
            if self._newest is None or stamps != self._newest.stamps:
                self._newest = make_release(stamps, self._prefix)
                # Without the first, so that it becomes the last.
                self._releases.pop(self._newest.name, None)
                self._releases[self._newest.name] = self._newest
                for name in [*self._releases][:-_KEPT]:
                    del self._releases[name]
        except OSError:
            # The files are being replaced. What has been read goes on.
            if self._newest is None:
                raise
        self._looked_at = time.monotonic()
        return self._newest

    async def _answer(self, content: Content, how: str, *, conditional: bool = True) -> Response:
        coding = _acceptable(content)
        data = content.known(coding)
        if data is None:
            data = await trio.to_thread.run_sync(content.encode, coding, limiter=self._thread)
        response = Response(data, content_type=TYPES[content.kind])
        response.headers["Cache-Control"] = how
        if content.codings:
            response.headers["Vary"] = "Accept-Encoding"
        if coding is not None:
            response.headers["Content-Encoding"] = coding
        # Each representation has a tag of its own (RFC 9110 section 8.8.3.3).
        response.set_etag(content.version if coding is None else f"{content.version}-{coding}")
        response.last_modified = content.modified
        if conditional:
            await response.make_conditional(request, complete_length=len(data))
        return response


def _acceptable(content: Content) -> str | None:
    """The coding in which the client gets the file (RFC 9110 section 12.5.3); None: as it is."""
    accepted = {coding.lower(): quality for coding, quality in request.accept_encodings}
    for coding in content.codings:
        if accepted.get(coding, accepted.get("*", 0)) > 0:
            return coding
    return None
