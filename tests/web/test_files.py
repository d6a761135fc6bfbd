"""How the page's files are sent: their codings and tags, what a browser keeps, and what an edit changes."""

from __future__ import annotations

import gzip
import os
import re
import shutil
from pathlib import Path
from urllib.parse import quote

import brotli
import pytest

from roomfsm.documents.page_tables import client_folder
from roomfsm.web.release import Stamps, look
from tests.serving import Served, serving
from tests.web.http import Reply, get

BROWSER = {"Accept-Encoding": "gzip, deflate, br, zstd"}


async def named_by(server: Served, target: str) -> list[str]:
    """The addresses of the files that the page at `target` needs. Whoever installs it gets two more."""
    page = (await get(server, target)).body.decode()
    page = re.sub(r'<link rel="(?:manifest|apple-touch-icon)"[^>]*>', "", page)
    return list(dict.fromkeys(re.findall(r'(?:src|href)="(/client/[^"#]+)', page)))


def decoded(reply: Reply) -> bytes:
    match reply.headers.get("content-encoding"):
        case "br":
            return bytes(brotli.decompress(reply.body))
        case "gzip":
            return gzip.decompress(reply.body)
    return reply.body


CODINGS = {
    "gzip, deflate, br, zstd": "br",
    "gzip, deflate": "gzip",
    "GZIP;q=0.5": "gzip",
    "br;q=0, *": "gzip",
    "br;q=0, gzip;q=0": None,
    "*;q=0": None,
    "identity": None,
    "zstd": None,
    "": None,
    ";;,=,q": None,
}
"""What a client accepts, and in what it gets a file."""


async def test_a_file_is_sent_in_a_coding_that_the_client_accepts(media_server: str) -> None:
    async with serving(media_server) as server:
        for target in ("/r/blue", "/client/app.js", (await named_by(server, "/"))[-1]):
            plain = await get(server, target)
            for accepted, coding in CODINGS.items():
                reply = await get(server, target, headers={"Accept-Encoding": accepted})
                assert (accepted, reply.status, reply.headers.get("content-encoding")) == (accepted, 200, coding)
                assert (reply.headers["vary"], decoded(reply)) == ("Accept-Encoding", plain.body)
                assert int(reply.headers["content-length"]) == len(reply.body)
                # The tag of one representation does not confirm another (RFC 9110 section 8.8.3.3).
                assert (reply.headers["etag"] == plain.headers["etag"]) == (coding is None)
                known = {"Accept-Encoding": accepted, "If-None-Match": reply.headers["etag"]}
                again = await get(server, target, headers=known)
                assert (again.status, again.body, again.headers["vary"]) == (304, b"", "Accept-Encoding")
                if coding is not None:
                    other = await get(server, target, headers={"If-None-Match": reply.headers["etag"]})
                    assert (other.status, other.body) == (200, plain.body)


async def test_a_part_of_a_file_is_a_part_of_what_is_sent(media_server: str) -> None:
    async with serving(media_server) as server:
        whole = await get(server, "/client/app.js", headers=BROWSER)
        part = await get(server, "/client/app.js", headers={**BROWSER, "Range": "bytes=10-19"})
        assert (part.status, part.body) == (206, whole.body[10:20])
        assert (part.headers["etag"], part.headers["content-encoding"]) == (whole.headers["etag"], "br")
        # A client that goes on with another representation gets all of this one.
        stale = {**BROWSER, "Range": "bytes=10-19", "If-Range": '"other"'}
        assert (await get(server, "/client/app.js", headers=stale)).status == 200


async def test_what_a_page_names_is_kept_for_ever_and_the_page_is_asked_for_again(media_server: str) -> None:
    async with serving(media_server) as server:
        for target in ("/", "/r/blue", "/inspect", "/inspect/blue"):
            page = await get(server, target, headers=BROWSER)
            assert page.headers["cache-control"] == "no-cache"
            files = await named_by(server, target)
            # The script, a stylesheet or two, the page's own icon and those on it.
            assert len(files) <= 4
            assert any(
                f'<link rel="modulepreload" href="{name}" />' in decoded(page).decode()
                for name in files
                if name.endswith(".js")
            )
            for name in files:
                assert re.fullmatch(r"/client/[0-9a-f]{16}/[a-z0-9/-]+\.[a-z]+", name)
                reply = await get(server, name, headers=BROWSER)
                assert reply.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert (await get(server, "/client/app.js")).headers["cache-control"] == "no-cache"


async def test_all_that_the_first_visit_of_a_room_needs_is_less_than_90_kb(media_server: str) -> None:
    async with serving(media_server) as server:
        sent = 0
        for target in ("/r/blue", *await named_by(server, "/r/blue")):
            reply = await get(server, target, headers=BROWSER)
            sent += len(reply.body) + sum(len(f"{name}: {value}\r\n") for name, value in reply.headers.items())
        assert sent < 90_000


async def test_a_page_of_another_server_may_import_the_modules(media_server: str) -> None:
    async with serving(media_server) as server:
        for target in ("/client/app.js", "/client/wire/connection.js", (await named_by(server, "/"))[-1]):
            reply = await get(server, target, headers={"Origin": "https://portal.example.org"})
            assert reply.headers.get("access-control-allow-origin") == ("*" if target.endswith(".js") else None)
            assert "access-control-allow-credentials" not in reply.headers
        # The library is one file, whatever modules it is made of.
        for target in ("/client/roomfsm.js", "/client/embed.js"):
            library = await get(server, target, headers=BROWSER)
            assert (library.headers["cache-control"], library.headers["content-encoding"]) == ("no-cache", "br")
            assert not re.search(rb"^import |\bfrom '", decoded(library), re.MULTILINE)
        assert "access-control-allow-origin" not in (await get(server, "/")).headers


async def test_a_page_of_another_server_learns_why_it_gets_no_websocket(media_server: str) -> None:
    """Whether the server is there, and whether the page may connect, and nothing else."""
    async with serving(media_server) as server:
        foreign = {"Origin": "https://portal.example.org"}
        refused = await get(server, "/ws", "POST", headers=foreign)
        assert (refused.status, refused.headers["access-control-allow-origin"]) == (403, "*")
        assert "--allow-origin" in refused.body.decode()
        assert (await get(server, "/health/live", headers=foreign)).headers["access-control-allow-origin"] == "*"
        for target in ("/health/ready", "/api/rooms", "/inspect/api/rooms", "/inspect/api/access"):
            assert "access-control-allow-origin" not in (await get(server, target, headers=foreign)).headers
    async with serving(media_server, allow_origin=("https://portal.example.org",)) as server:
        allowed = await get(server, "/ws", "POST", headers=foreign)
        assert (allowed.status, allowed.headers["access-control-allow-origin"]) == (426, "*")


async def test_an_answer_to_head_is_that_to_get_without_the_file(media_server: str) -> None:
    async with serving(media_server) as server:
        for target in ("/r/blue", "/client/app.js", *await named_by(server, "/")):
            got = await get(server, target, headers=BROWSER)
            head = await get(server, target, "HEAD", headers=BROWSER)
            assert (head.status, head.body, head.headers["etag"]) == (200, b"", got.headers["etag"])
            assert head.headers["content-length"] == got.headers["content-length"]


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the page's folder, which the server serves."""
    folder = tmp_path / "client"
    shutil.copytree(client_folder(), folder)
    monkeypatch.setattr("roomfsm.web.app.client_folder", lambda: folder)
    monkeypatch.setattr("roomfsm.web.files._LOOK_HOLDS", 0)
    return folder


def edit(file: Path, text: str) -> None:
    """Write the file, and let it look newer than before, however coarse the clock of the file system is."""
    before = file.stat().st_mtime_ns if file.exists() else 0
    file.write_text(text)
    os.utime(file, ns=(before + 2_000_000_000, before + 2_000_000_000))


async def test_who_edits_a_file_sees_it_at_the_next_visit(media_server: str, client: Path) -> None:
    async with serving(media_server) as server:
        before = await get(server, "/")
        old = await named_by(server, "/")
        edit(client / "page" / "title.js", "export function titleRoom() {\n  return 'edited';\n}\n")
        known = {"If-None-Match": before.headers["etag"], "If-Modified-Since": before.headers["last-modified"]}
        assert (await get(server, "/", headers=known)).status == 200
        new = await named_by(server, "/")
        assert not {*old} & {*new}
        (script,) = (name for name in new if name.endswith("app.js"))
        assert b"return 'edited'" in (await get(server, script)).body
        assert b"return 'edited'" in (await get(server, "/client/page/title.js")).body
        # A page that is open goes on with what it was opened with.
        for name in old:
            assert (await get(server, name)).status == 200
        for count in range(5):
            edit(client / "style.css", f"/* {count} */ p {{ margin: {count}px; }}")
            await get(server, "/")
        sheet = next(name for name in old if name.endswith(".css"))
        assert (await get(server, sheet)).status == 404


async def test_a_module_that_cannot_be_joined_is_served_as_it_is(media_server: str, client: Path) -> None:
    """The browser then says to whoever writes it what is wrong with it."""
    async with serving(media_server) as server:
        edit(client / "page" / "title.js", "export let titleRoom = () => {};\n")
        files = await named_by(server, "/")
        scripts = [name for name in files if name.endswith(".js")]
        assert len(scripts) > 50
        (title,) = (name for name in scripts if name.endswith("page/title.js"))
        assert (await get(server, title)).body == b"export let titleRoom = () => {};\n"


async def test_nothing_but_the_pages_files_can_be_had(media_server: str, client: Path) -> None:
    others = ("Secret.js", "a b.js", ".env", "secret.txt", "deep/er/a.js")
    for name in others:
        (client / name).parent.mkdir(parents=True, exist_ok=True)
        (client / name).write_text("secret")
    async with serving(media_server) as server:
        release = (await named_by(server, "/"))[0].split("/")[2]
        for name in (*map(quote, others), "package.json", "", "../app.js"):
            for folder in ("/client/", f"/client/{release}/"):
                assert (await get(server, folder + name)).status == 404
        for name in ("/client/0123456789abcdef/page/say.js", "/client/0123456789abcdeg/app.js", "/client/none.js"):
            reply = await get(server, name)
            assert (reply.status, reply.headers["cache-control"]) == (404, "no-store")


async def test_a_page_whose_server_was_updated_before_its_script_came_gets_one_that_reloads(
    media_server: str,
) -> None:
    async with serving(media_server) as server:
        for page, name in (("/", "app.js"), ("/inspect", "inspect.js")):
            (known,) = (one for one in await named_by(server, page) if one.endswith(name))
            reply = await get(server, f"/client/0123456789abcdef/{name}")
            assert (reply.status, reply.headers["cache-control"]) == (200, "no-store")
            assert f"import('../{known.removeprefix('/client/')}')" in reply.body.decode()
            assert "location.reload()" in reply.body.decode()


async def test_many_requests_for_what_is_not_there_look_into_the_folder_once(
    media_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[Path] = []

    def counted(folder: Path) -> Stamps:
        looks.append(folder)
        return look(folder)

    monkeypatch.setattr("roomfsm.web.files.look", counted)
    monkeypatch.setattr("roomfsm.web.files._LOOK_HOLDS", 3600)
    async with serving(media_server) as server:
        for count in range(10):
            assert (await get(server, f"/client/none-{count}.js")).status == 404
    assert len(looks) == 1
