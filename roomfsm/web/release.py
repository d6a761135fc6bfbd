"""The page's files as they are at one time, prepared for browsers.

A release has a name, which is made from the contents of its files. They are at `/client/NAME/…`, and a browser
that has one never asks for it again (`immutable`, RFC 8246). Only the HTML pages, which tell the name, are asked
for at each visit. So the files of a page are always of one release, and the next one is loaded whole.

There the modules of a page are joined (`modules.py`), and so are its stylesheets. The files as they are in the
folder are at `/client/…`, for people who read or embed them.
"""

from __future__ import annotations

import gzip
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import brotli

from roomfsm.documents.page_tables import FILES, without_explanations
from roomfsm.log import get_logger
from roomfsm.web.modules import FormError, Joined, apart, closure, join

_log = get_logger(__name__)

_FOLDER = re.compile("[a-z0-9-]{1,64}")
_NAME = re.compile(r"[a-z0-9-]{1,64}\.(html|js|css|svg|png|ico|webmanifest)")
"""The names of files that clients may ask for, in the folder or in one of its subfolders."""

TYPES = {
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "svg": "image/svg+xml; charset=utf-8",
    "png": "image/png",
    "ico": "image/x-icon",
    "webmanifest": "application/manifest+json; charset=utf-8",
}
_PACKED = {"png"}
"""Files that are compressed already."""

PAGE = "app.js"
"""The module from which the modules that are imported only when they are needed get the others."""
LIBRARY = ("roomfsm.js", "embed.js")
"""The modules that pages of other servers import. They are joined at `/client/…`, too."""
SCRIPTS = (PAGE, "inspect.js")
"""The modules that the HTML pages of this server name."""
ENTRIES = (*SCRIPTS, *LIBRARY)
"""The modules that pages name."""

_OUR_ADDRESS = re.compile(r'(\b(?:href|src)=")/(?!/)(client/(?![^"]*\.webmanifest"))?')
"""The beginning of an address of this server in a page.

A web manifest keeps its address, because a page that was installed on a phone is known by it."""
_STYLESHEETS = re.compile(r'(?:[ ]*<link rel="stylesheet" href="/client/[^"]+" />\n)+')
_STYLESHEET = re.compile(r'href="/client/([^"]+)"')
_SCRIPT = re.compile(r'([ ]*)<script type="module" src="/client/([^"]+)"></script>\n')
_COMMENT = re.compile(r"^[ \t]*/\*(?:(?!\*/)[\s\S])*\*/[ \t]*\n", re.MULTILINE)
"""A comment that fills whole lines of a stylesheet."""

_BROTLI_QUALITY = 10
"""With 9 the page's script is 6 % larger. With 11 it is 2 % smaller, and takes 0.6 s instead of 0.3, once."""


@dataclass(slots=True)
class Content:
    """One file, and what is left of it in the codings of its transfer (RFC 9110 section 8.4)."""

    kind: str
    data: bytes
    modified: datetime
    version: str = field(init=False)
    _encoded: dict[str, bytes] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.version = sha256(self.data).hexdigest()[:16]

    @property
    def text(self) -> str:
        """The file as text."""
        return self.data.decode(errors="replace")

    @property
    def codings(self) -> tuple[str, ...]:
        """In what the file may be sent, the smallest first."""
        return () if self.kind in _PACKED else ("br", "gzip")

    def known(self, coding: str | None) -> bytes | None:
        """The file in a coding, if it has been encoded already; None is the file as it is."""
        return self.data if coding is None else self._encoded.get(coding)

    def encode(self, coding: str | None) -> bytes:
        """The file in a coding. Each is made once; this takes up to a third of a second."""
        if coding is None:
            return self.data
        encoded = self._encoded.get(coding)
        if encoded is None:
            encoded = (
                brotli.compress(self.data, mode=brotli.MODE_TEXT, quality=_BROTLI_QUALITY)
                if coding == "br"
                # The time would make the same content differ.
                else gzip.compress(self.data, mtime=0)
            )
            self._encoded[coding] = encoded
        return encoded


@dataclass(frozen=True, slots=True)
class Stamp:
    """What the file system says of a file. If it is unchanged, so is the file."""

    path: str
    modified: int
    size: int


type Stamps = Mapping[str, Stamp]


def look(folder: Path) -> Stamps:
    """What is in the folder and in its subfolders, by name. Raises `OSError`."""
    found: dict[str, Stamp] = {}

    def take(path: str | Path, prefix: str, *, deeper: bool) -> None:
        # This happens at each visit, and `scandir` takes a quarter of the time that `Path.iterdir` takes.
        with os.scandir(path) as entries:
            for entry in entries:
                if _NAME.fullmatch(entry.name) and entry.is_file():
                    stat = entry.stat()
                    found[prefix + entry.name] = Stamp(entry.path, stat.st_mtime_ns, stat.st_size)
                elif deeper and _FOLDER.fullmatch(entry.name) and entry.is_dir():
                    take(entry.path, f"{entry.name}/", deeper=False)

    take(folder, "", deeper=True)
    return found


@dataclass(frozen=True, slots=True)
class Release:
    """The files at one time."""

    stamps: Stamps
    name: str
    pages: Mapping[str, Content]
    """The HTML pages. They name the files of this release."""
    plain: Mapping[str, Content]
    """The files as they are in the folder."""
    files: Mapping[str, Content]
    """The files of `/client/NAME/`."""


def make_release(stamps: Stamps, prefix: str = "") -> Release:
    """Read the files and prepare them. Addresses in pages get the `prefix`. Raises `OSError`."""
    plain = {
        name: Content(name.rpartition(".")[2], Path(stamp.path).read_bytes(), _time(stamp.modified))
        for name, stamp in stamps.items()
    }
    newest = _time(max((stamp.modified for stamp in stamps.values()), default=0))
    sources = _texts(plain, "js")
    files = {name: content for name, content in plain.items() if content.kind not in ("html", "js")}
    scripts = _scripts(sources)
    files |= {name: Content("js", text.encode(), newest) for name, text in scripts.items()}
    plain |= {name: files[name] for name in LIBRARY if name in files}
    pages = _texts(plain, "html")
    for name, html in pages.items():
        pages[name], sheets = _with_one_stylesheet(name.removesuffix(".html"), html, files)
        files |= {sheet: Content("css", text.encode(), newest) for sheet, text in sheets.items()}
    digest = sha256()
    for name, content in sorted(files.items()):
        digest.update(f"{name} {content.version}\n".encode())
    release = digest.hexdigest()[:16]
    prepared = {
        name: Content("html", _addressed(_with_preloads(html, scripts), prefix, release).encode(), newest)
        for name, html in pages.items()
    }
    return Release(stamps, release, prepared, plain | prepared, files)


def _time(nanoseconds: int) -> datetime:
    return datetime.fromtimestamp(nanoseconds // 1_000_000_000, UTC)


def _texts(files: Mapping[str, Content], kind: str) -> dict[str, str]:
    return {name: content.text for name, content in files.items() if content.kind == kind}


def _scripts(sources: dict[str, str]) -> dict[str, str]:
    """The scripts of a release: the entries joined, and the others with what they import taken from there."""
    plain, scripts = sources, dict(sources)
    # Nobody reads them here.
    sources = sources | {name: without_explanations(sources[name]) for name in FILES.values() if name in sources}
    try:
        joined = {entry: join(entry, sources, shared=entry == PAGE) for entry in ENTRIES if entry in sources}
        page = joined.get(PAGE, Joined("", frozenset()))
        for name, source in sources.items():
            if name not in page.modules:
                scripts[name] = apart(name, source, PAGE, page)
        scripts |= {entry: made.text for entry, made in joined.items()}
    except FormError as fault:
        # Somebody is at work on the files. The browser says better than we can what is wrong with a module.
        _log.warning("the page is served in modules", why=str(fault))
        return plain
    return scripts


def _with_one_stylesheet(page: str, html: str, files: Mapping[str, Content]) -> tuple[str, dict[str, str]]:
    """The page with each run of stylesheets joined to one, and these."""
    made: dict[str, str] = {}

    def joined(run: re.Match[str]) -> str:
        names = _STYLESHEET.findall(run[0])
        if len(names) == 1 or not all(name in files for name in names):
            return run[0]
        text = "".join(_COMMENT.sub("", files[name].text) for name in names)
        if "url(" in text:
            # A relative address would lead elsewhere.
            return run[0]
        sheet = f"{page}-{len(made) + 1}.css"
        made[sheet] = text
        return f'    <link rel="stylesheet" href="/client/{sheet}" />\n'

    return _STYLESHEETS.sub(joined, html), made


def _with_preloads(html: str, scripts: Mapping[str, str]) -> str:
    """The page with a `modulepreload` for each module that it needs from the start."""

    def preloaded(script: re.Match[str]) -> str:
        indent, entry = script.groups()
        try:
            modules = closure(entry, scripts)
        except FormError:
            return script[0]
        links = "".join(f'{indent}<link rel="modulepreload" href="/client/{name}" />\n' for name in modules)
        return links + script[0]

    return _SCRIPT.sub(preloaded, html)


def _addressed(html: str, prefix: str, release: str) -> str:
    return _OUR_ADDRESS.sub(lambda match: f"{match[1]}{prefix}/{f'client/{release}/' if match[2] else ''}", html)
