"""Given a server, when files are brought and fetched by HTTP, then they come whole, and can do no harm."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import h11
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from roomfsm.files.folder import remove_leftovers
from roomfsm.files.shared_file import SharedFile
from roomfsm.web.file_exchange import _Upload
from tests.protocol_client import Client, Wire, open_client
from tests.serving import Served, serving
from tests.web.http import Reply, get

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 40
SCRIPT = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
LIMIT = 2_000_000


@asynccontextmanager
async def house(media_server: str, folder: Path, **changes: Any) -> AsyncIterator[tuple[Served, Client]]:
    """A server, and Ada in a room of it."""
    bounds: dict[str, Any] = {"max_file_bytes": LIMIT, "free_disk_bytes": 0, "file_folder": str(folder), **changes}
    with trio.fail_after(120):
        async with serving(media_server, **bounds) as server, open_client(server.url) as ada:
            await ada.join("blue")
            yield server, ada


def kept(folder: Path) -> list[Path]:
    """The files on the disk."""
    return [file for file in folder.glob("roomfsm-files-*/*") if not file.name.startswith("lock")]


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


async def offer(ada: Client, size: int, name: str = "a.txt", **to: str) -> str:
    upload = await ada.ask("sendFile", name=name, size=size, **to)
    assert upload["type"] == "upload", upload
    return f"/{upload['path']}"


async def send(server: Served, ada: Client, content: bytes, name: str = "a.txt") -> Wire:
    """Send a file whole. Returns the line's file."""
    path = await offer(ada, len(content), name)
    assert (await get(server, path, "PUT", content, stranger=True)).status == 201
    file: Wire = (await ada.expect("chat"))["line"]["file"]
    return file


async def fetch(server: Served, file: Wire, **headers: str) -> Reply:
    return await get(server, f"/{file['path']}", headers=headers, stranger=True)


async def until(holds: Callable[[], object]) -> None:
    while not holds():
        await wait_all_tasks_blocked(0.01)


async def when_free(server: Served, path: str, method: str = "GET", content: bytes = b"") -> Reply:
    """The answer as soon as there is a place for the request."""
    while (reply := await get(server, path, method, content, stranger=True)).status == 503:
        await wait_all_tasks_blocked(0.01)
    return reply


def code_of(reply: Reply) -> str:
    return str(json.loads(reply.body)["code"])


async def test_what_is_sent_is_what_is_fetched_and_can_do_no_harm(media_server: str, tmp_path: Path) -> None:
    async with house(media_server, tmp_path) as (server, ada):
        big = os.urandom(LIMIT)
        for content, name, kind, how in (
            (PNG, "owl.png", "image/png", "inline"),
            (PNG, "owl.html", "image/png", "inline"),
            (SCRIPT, "owl.svg", "application/octet-stream", "attachment"),
            (SCRIPT, "owl.png", "application/octet-stream", "attachment"),
            (b"%PDF-1.7", "a.pdf", "application/octet-stream", "attachment"),
            (b"", "empty.txt", "application/octet-stream", "attachment"),
            (big, "big.bin", "application/octet-stream", "attachment"),
        ):
            file = await send(server, ada, content, name)
            assert (file["size"], file["mediaType"]) == (len(content), kind)
            reply = await fetch(server, file)
            assert (reply.status, reply.body == content) == (200, True)
            headers = reply.headers
            assert headers["content-type"] == kind
            assert headers["content-disposition"].startswith(f'{how}; filename="{name}"')
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["content-security-policy"] == "sandbox; default-src 'none'"
            assert headers["cache-control"] == "private, no-cache"
            assert headers["access-control-allow-origin"] == "*"
        head = await get(server, f"/{file['path']}", "HEAD", stranger=True)
        assert (head.status, head.body, head.headers["content-length"]) == (200, b"", str(LIMIT))
        part = await fetch(server, file, Range="bytes=10-19")
        assert (part.status, part.body) == (206, big[10:20])
        assert part.headers["content-range"] == f"bytes 10-19/{LIMIT}"
        for asked, begin in (("-5", LIMIT - 5), (f"-{LIMIT + 1}", 0), (f"5-{LIMIT * 2}", 5), ("0-", 0)):
            part = await fetch(server, file, Range=f"bytes={asked}")
            assert (part.status, part.body) == (206, big[begin:])
            assert part.headers["content-range"] == f"bytes {begin}-{LIMIT - 1}/{LIMIT}"
        assert (await fetch(server, file, Range=f"bytes={LIMIT}-")).status == 416
        for not_taken in ("bytes=0-1,5-6", "lines=1-2", "bytes=x"):
            assert (await fetch(server, file, Range=not_taken)).status == 200
        assert (await fetch(server, file, Range="bytes=1-2", **{"If-Range": '"another"'})).status == 200
        same = {"If-None-Match": part.headers["etag"]}
        assert (await fetch(server, file, **same)).status == 304
        again = await fetch(server, file, **{"If-None-Match": reply.headers["etag"]})
        assert (again.status, again.body) == (304, b"")
    assert names_in(tmp_path) == set()


async def test_a_file_is_saved_under_its_name(media_server: str, tmp_path: Path) -> None:
    names = [
        "Übersicht.pdf",
        "عرض.png",
        "🦉 owl.txt",
        'quote".txt',
        "100%.txt",
        "a\u202egpj.exe",
        "../x",
        "a;b.txt",
    ]
    async with house(media_server, tmp_path) as (server, ada):
        for name in names:
            file = await send(server, ada, b"abc", name)
            disposition = (await fetch(server, file)).headers["content-disposition"]
            plain, whole = disposition.removeprefix("attachment; ").split("; filename*=UTF-8''")
            assert unquote(whole) == file["name"]
            assert plain.isascii()
            assert plain.count('"') == 2
            assert not set(file["name"]) & set('/"\u202e')


async def test_bytes_are_brought_once_and_only_as_many_as_were_announced(
    media_server: str, tmp_path: Path
) -> None:
    async with house(media_server, tmp_path) as (server, ada):
        path = await offer(ada, 5)
        for content in (b"four", b"sixsix"):
            wrong = await get(server, path, "PUT", content, stranger=True)
            assert (wrong.status, code_of(wrong)) == (400, "file_incomplete")
        # A wrong length in the head is told before anything is lost.
        assert (await get(server, path, "PUT", b"fives", stranger=True)).status == 201
        file = (await ada.expect("chat"))["line"]["file"]
        again = await get(server, path, "PUT", b"fives", stranger=True)
        assert (again.status, code_of(again)) == (409, "illegal_in_state")
        for address in (path, "/files/nothing", "/files/x/y", "/files/"):
            assert (await get(server, address, stranger=True)).status == 404
        for address in (f"/{file['path']}", "/files/nothing"):
            refused = await get(server, address, "PUT", b"x", stranger=True)
            assert (refused.status, code_of(refused)) == (404, "no_such_file")
        assert (await fetch(server, file)).body == b"fives"
        assert len(kept(tmp_path)) == 1


async def test_a_file_may_be_longer_than_other_bodies_but_only_where_one_is_expected(
    media_server: str, tmp_path: Path
) -> None:
    async with house(media_server, tmp_path, max_body_bytes=1000, max_bodies_bytes=1000) as (server, ada):
        await send(server, ada, os.urandom(LIMIT))
        path = await offer(ada, 5)
        assert (await get(server, path, "PUT", bytes(LIMIT + 1), stranger=True)).status == 413
        assert (await get(server, "/files/nothing", "PUT", bytes(1001), stranger=True)).status == 404
        assert (await get(server, path, "POST", bytes(1001), stranger=True)).status == 413
        too_large = await ada.ask("sendFile", name="a", size=LIMIT + 1)
        assert too_large["code"] == "file_too_large"
        assert ada.welcome["limits"]["fileBytes"] == LIMIT


async def put_part(server: Served, path: str, announced: int | None, content: bytes) -> trio.SocketStream:
    """Begin to bring a file, and leave the connection open. Without a length it comes in chunks."""
    stream = await trio.open_tcp_stream("127.0.0.1", server.port)
    how = ("Transfer-Encoding", "chunked") if announced is None else ("Content-Length", str(announced))
    http = h11.Connection(h11.CLIENT)
    head = h11.Request(method="PUT", target=path, headers=[("Host", "127.0.0.1"), how])
    await stream.send_all((http.send(head) or b"") + (http.send(h11.Data(content)) or b""))
    return stream


async def status_of(stream: trio.SocketStream) -> int:
    data = b""
    while b"\r\n" not in data:
        data += await stream.receive_some(4096)
    return int(data.split()[1])


async def test_an_upload_that_breaks_off_leaves_nothing(media_server: str, tmp_path: Path) -> None:
    async with house(media_server, tmp_path) as (server, ada):
        stream = await put_part(server, await offer(ada, 100_000), 100_000, b"x" * 1000)
        await until(lambda: kept(tmp_path))
        await trio.aclose_forcefully(stream)
        await until(lambda: not kept(tmp_path))
        chunks = await put_part(server, await offer(ada, 4), None, b"fives")
        assert await status_of(chunks) == 400
        await until(lambda: not kept(tmp_path))
        assert (await ada.ask("chat", text="still here"))["line"]["seq"] == 1


async def all_of(stream: trio.SocketStream) -> bytes:
    """The whole answer."""
    return b"".join([bytes(part) async for part in stream])


async def test_an_upload_that_is_too_slow_is_ended(media_server: str, tmp_path: Path) -> None:
    async with house(media_server, tmp_path, upload_timeout=0.2) as (server, ada):
        stream = await put_part(server, await offer(ada, 100), 100, b"x")
        assert b'"file_late"' in await all_of(stream)
        await until(lambda: not kept(tmp_path))
    async with house(media_server, tmp_path, body_timeout=0.2) as (server, ada):
        stream = await put_part(server, await offer(ada, 100), 100, b"x")
        assert await status_of(stream) == 408
        await until(lambda: not kept(tmp_path))


@pytest.mark.parametrize("bound", ["max_file_requests", "max_file_requests_per_address"])
async def test_so_many_requests_for_files_are_open_at_a_time_and_no_more(
    media_server: str, tmp_path: Path, bound: str
) -> None:
    async with house(media_server, tmp_path, **{bound: 3}) as (server, ada):
        file = await send(server, ada, b"abc")
        uploads = [await put_part(server, await offer(ada, 100), 100, b"x") for _ in range(2)]
        await until(lambda: len(kept(tmp_path)) == 3)
        # The third has a place, and gives it back as soon as it has ended.
        for _ in range(3):
            assert (await when_free(server, f"/{file['path']}")).body == b"abc"
        while len(kept(tmp_path)) < 4:
            uploads.append(await put_part(server, await offer(ada, 100), 100, b"x"))
            await wait_all_tasks_blocked(0.05)
        foreign = {"Origin": "https://portal.example"}
        other = await offer(ada, 3)
        for asked, method in ((f"/{file['path']}", "GET"), (f"/{file['path']}", "HEAD"), (other, "PUT")):
            content = b"abc" if method == "PUT" else b""
            busy = await get(server, asked, method, content, headers=foreign, stranger=True)
            assert busy.status == 503
            assert busy.headers["retry-after"] == "5"
            assert busy.headers["access-control-allow-origin"] == "*"
            assert method == "HEAD" or code_of(busy) == "files_busy"
        # Other requests go on, and when the others have ended, the file can still be brought.
        assert (await get(server, "/health/live")).status == 200
        for stream in uploads:
            await trio.aclose_forcefully(stream)
        assert (await when_free(server, other, "PUT", b"abc")).status == 201


async def test_who_does_not_read_a_file_does_not_keep_a_place(media_server: str, tmp_path: Path) -> None:
    # It is more than the buffers of both sockets take.
    size = 20_000_000
    bounds = {"max_file_requests": 1, "send_timeout": 0.2, "max_file_bytes": size}
    async with house(media_server, tmp_path, **bounds) as (server, ada):
        file = await send(server, ada, bytes(size))
        stream = await trio.open_tcp_stream("127.0.0.1", server.port)
        await stream.send_all(f"GET /{file['path']} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        assert await status_of(stream) == 200
        assert (await when_free(server, f"/{file['path']}", "HEAD")).status == 200
        await trio.aclose_forcefully(stream)


async def test_without_an_open_file_left_it_is_told_to_try_again(
    media_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with house(media_server, tmp_path) as (server, ada):
        file, path = await send(server, ada, b"abc"), await offer(ada, 3)

        def exhausted(*_: Any, **__: Any) -> Any:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

        with monkeypatch.context() as patched:
            patched.setattr("roomfsm.web.file_exchange.trio.open_file", exhausted)
            patched.setattr("roomfsm.web.file_exchange.TrioFileBody", exhausted)
            for reply in (await fetch(server, file), await get(server, path, "PUT", b"abc", stranger=True)):
                assert (reply.status, code_of(reply), reply.headers["retry-after"]) == (503, "files_busy", "5")
        assert (await fetch(server, file)).body == b"abc"


async def test_a_file_whose_sender_leaves_meanwhile_is_told_to_nobody(media_server: str, tmp_path: Path) -> None:
    async with house(media_server, tmp_path) as (server, ada), open_client(server.url) as bob:
        await bob.join("blue", "Bob")
        stream = await put_part(server, await offer(ada, 100), 100, b"x")
        await until(lambda: kept(tmp_path))
        await ada.ask("leave")
        assert await status_of(stream) == 404
        await until(lambda: not kept(tmp_path))
        assert (await bob.ask("chat", text="alone"))["line"]["seq"] == 1


async def test_a_sender_is_told_why_a_file_is_not_taken_that_was_announced(
    media_server: str, tmp_path: Path
) -> None:
    async with house(media_server, tmp_path) as (server, ada), open_client(server.url) as bob:
        joined = await bob.join("blue", "Bob")

        async def brought(path: str, status: int, code: str) -> None:
            reply = await get(server, path, "PUT", b"abc", stranger=True)
            assert (reply.status, code_of(reply)) == (status, code)
            await until(lambda: not kept(tmp_path))

        path = await offer(ada, 3, to=joined["you"])
        private = await offer(ada, 3, to=joined["you"])
        await bob.ask("leave")
        await brought(path, 409, "no_such_participant")
        await bob.join("blue", "Bob")
        path = await offer(ada, 3)
        await ada.ask("configure", files=False)
        await brought(path, 403, "no_files")
        await ada.ask("configure", files=True)
        # What was announced to somebody who has come back is told.
        assert (await get(server, private, "PUT", b"abc", stranger=True)).status == 201
        assert (await bob.expect("chat"))["line"]["text"] == "a.txt"


async def test_a_file_goes_from_the_disk_with_its_line(media_server: str, tmp_path: Path) -> None:
    async with house(media_server, tmp_path) as (server, ada):
        file = await send(server, ada, b"abc")
        await ada.ask("deleteLine", line=1)
        gone = await fetch(server, file)
        assert (gone.status, code_of(gone)) == (404, "no_such_file")
        await until(lambda: not kept(tmp_path))


async def test_a_time_that_is_over_with_the_last_byte_is_told(
    media_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mock_clock: MockClock
) -> None:
    """The disk takes the last byte in the instant in which the time is over. Until then the clock stands still."""
    late: list[float] = []

    async def write(self: _Upload, file: SharedFile) -> bool:
        whole = await written(self, file)
        late.append(trio.current_effective_deadline())
        mock_clock.jump(late[0] - trio.current_time())
        with trio.CancelScope(shield=True):
            await trio.sleep_until(late[0])
        return whole

    written = _Upload._write
    monkeypatch.setattr(_Upload, "_write", write)
    async with house(media_server, tmp_path, upload_timeout=1) as (server, ada):
        reply = await get(server, await offer(ada, 3), "PUT", b"abc", stranger=True)
        # All bytes were there in time, and the room was asked.
        assert (len(late), reply.status) == (1, 201)


async def test_a_full_disk_is_told_and_breaks_nothing_else(
    media_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with house(media_server, tmp_path, free_disk_bytes=10**12) as (server, ada):
        full = await get(server, await offer(ada, 3), "PUT", b"abc", stranger=True)
        assert (full.status, code_of(full)) == (507, "files_full")
    # The disk fills up while the bytes are written: /dev/full says so at each write.
    async with house(media_server, tmp_path) as (server, ada):
        path = await offer(ada, 3)
        open_file = trio.open_file

        async def onto_a_full_disk(_: Path, mode: str) -> Any:
            return await open_file("/dev/full", mode.replace("x", "w"), buffering=0)

        with monkeypatch.context() as patched:
            patched.setattr("roomfsm.web.file_exchange.trio.open_file", onto_a_full_disk)
            full = await get(server, path, "PUT", b"abc", stranger=True)
        assert (full.status, code_of(full)) == (507, "files_full")
        assert (await ada.ask("chat", text="still here"))["type"] == "chat"
        assert (await fetch(server, await send(server, ada, b"abc"))).body == b"abc"


async def test_pages_of_other_origins_may_bring_and_fetch_what_they_were_told(
    media_server: str, tmp_path: Path
) -> None:
    async with house(media_server, tmp_path) as (server, ada):
        path = await offer(ada, 3)
        foreign = {"Origin": "https://portal.example"}
        asked = {**foreign, "Access-Control-Request-Method": "PUT"}
        before = await get(server, path, "OPTIONS", headers=asked, stranger=True)
        assert (before.status, before.headers["access-control-allow-origin"]) == (204, "*")
        assert "PUT" in before.headers["access-control-allow-methods"]
        brought = await get(server, path, "PUT", b"abc", headers=foreign, stranger=True)
        assert (brought.status, brought.headers["access-control-allow-origin"]) == (201, "*")
        refused = await get(server, path, "PUT", b"abc", headers=foreign, stranger=True)
        assert refused.headers["access-control-allow-origin"] == "*"


async def test_pages_of_other_origins_can_read_why_the_front_door_refuses_a_request_for_a_file(
    media_server: str, tmp_path: Path
) -> None:
    async with house(media_server, tmp_path, body_timeout=0.2) as (server, ada):
        path = await offer(ada, 3)
        foreign = {"Origin": "https://portal.example"}
        for status, content, more in (
            (413, bytes(LIMIT + 1), {}),
            (417, b"abc", {"Expect": "nothing"}),
            (421, b"abc", {"Host": "elsewhere.example"}),
            # The front door refuses these two before it knows which address they ask for.
            (431, b"abc", {"X-Long": "x" * 16_384}),
            (431, b"abc", {"X-Long": "x" * 100_000}),
        ):
            refused = await get(server, path, "PUT", content, headers={**foreign, **more}, stranger=True)
            assert refused.status == status
            assert refused.headers["access-control-allow-origin"] == "*"
        slow = await put_part(server, path, 3, b"x")
        assert b"access-control-allow-origin: *" in (await all_of(slow)).lower()


async def test_files_are_under_the_path_of_the_proxy(media_server: str, tmp_path: Path) -> None:
    async with house(media_server, tmp_path, path_prefix="/rooms") as (server, ada):
        path = await offer(ada, 3)
        assert (await get(server, f"/rooms{path}", "PUT", b"abc", stranger=True)).status == 201
        file = (await ada.expect("chat"))["line"]["file"]
        assert (await get(server, f"/rooms/{file['path']}", stranger=True)).body == b"abc"


async def test_a_server_with_files_switched_off_says_so(media_server: str, tmp_path: Path) -> None:
    async with house(media_server, tmp_path, max_file_bytes=0) as (server, ada):
        assert "fileBytes" not in ada.welcome["limits"]
        assert (await ada.ask("sendFile", name="a", size=0))["code"] == "no_files"
        assert (await get(server, "/files/x", stranger=True)).status == 404
        assert (await get(server, "/files/x", "PUT", b"abc", stranger=True)).status in (404, 405)
    assert names_in(tmp_path) == set()


async def test_the_metrics_count_files(media_server: str, tmp_path: Path) -> None:
    token = "a-token-of-the-metrics"
    async with house(media_server, tmp_path, metrics_token=token) as (server, ada):
        await send(server, ada, PNG)
        await get(server, "/files/nothing", "PUT", b"abc", stranger=True)
        page = await get(server, "/metrics", headers={"Authorization": f"Bearer {token}"})
        lines = page.body.decode().splitlines()
        assert 'roomfsm_files{state="here"} 1.0' in lines
        assert "roomfsm_file_bytes 65536.0" in lines
        assert 'roomfsm_uploads_total{result="arrived"} 1.0' in lines
        assert 'roomfsm_uploads_total{result="no_such_file"} 1.0' in lines


async def test_what_a_crashed_server_has_left_goes_at_the_next_start_and_no_other_folder(
    media_server: str, tmp_path: Path
) -> None:
    crashed = tmp_path / "roomfsm-files-crashed"
    crashed.mkdir()
    (crashed / "lock").touch()
    (crashed / "1").write_bytes(b"old")
    foreign = tmp_path / "roomfsm-files-without-a-lock"
    foreign.mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "roomfsm-files-link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "lock").touch()
    async with house(media_server, tmp_path) as (server, ada):
        assert not crashed.exists()
        await send(server, ada, b"abc")
        # A server that lives keeps its folder.
        assert remove_leftovers(tmp_path) == []
        assert len(kept(tmp_path)) == 1
    assert names_in(tmp_path) == {"roomfsm-files-without-a-lock", "roomfsm-files-link", "elsewhere"}


async def test_a_folder_that_cannot_be_used_is_told_at_the_start(
    media_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.RaisesGroup(
        pytest.RaisesExc(Exception, match="--file-folder"), flatten_subgroups=True, allow_unwrapped=True
    ):
        async with house(media_server, tmp_path / "nowhere"):
            raise AssertionError("the server has started")
    # Without the setting, a server on a disk that cannot be written goes on without files.
    monkeypatch.setattr("roomfsm.files.store.default_parent", lambda: tmp_path / "nowhere")
    async with house(media_server, tmp_path, file_folder=None) as (_, ada):
        assert "fileBytes" not in ada.welcome["limits"]
