"""Tests who may drive the media server: no web page, no foreign host name, and only clients with its secret."""

from __future__ import annotations

import base64
import itertools
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from pathlib import Path

import psutil
import pytest
import structlog
import trio
from trio_websocket import ConnectionRejected, open_websocket_url

from roomfsm.kurento.connection import open_connection
from roomfsm.kurento.errors import ConnectionLost
from roomfsm.kurento.pool import open_media_pool
from roomfsm.kurento.settings import KurentoSettings
from roomfsm.media_server_child import ChildSettings, open_media_server_child
from roomfsm.mediaserver.command import is_open_to_others
from roomfsm.mediaserver.program import MediaServerSettings, run
from tests.mediaserver.kurento_client import HANDSHAKE, PATIENCE, open_client, open_server, tcp

SECRET = "correct-horse-battery"


@asynccontextmanager
async def serving(*, secret: str | None = None, host_names: tuple[str, ...] = ()) -> AsyncIterator[str]:
    settings = MediaServerSettings(port=0, media_host="127.0.0.1", secret=secret, host_names=host_names)
    async with trio.open_nursery() as nursery:
        ready = await nursery.start(run, settings)
        yield ready.url
        nursery.cancel_scope.cancel()


async def status_of(url: str, *headers: tuple[str, str], host: str | None = None) -> int:
    """The status of the answer to a handshake with these headers."""
    lines = [f"{name}: {value}\r\n" for name, value in headers]
    target = "/" + url.split("/", 3)[3]
    handshake = HANDSHAKE.replace(b"/kurento", target.encode()).replace(
        b"Host: localhost", b"Host: " + (host or "127.0.0.1").encode("latin-1")
    )
    with trio.fail_after(PATIENCE):
        async with await tcp(url) as stream:
            await stream.send_all(handshake.removesuffix(b"\r\n") + "".join(lines).encode() + b"\r\n")
            answer = b""
            while b"\r\n" not in answer:
                received = await stream.receive_some()
                if not received:
                    return 0
                answer += received
    return int(answer.split()[1])


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "", "http://127.0.0.1:8888", "http://localhost", "file://"]
)
async def test_a_web_page_is_refused_whatever_its_origin(origin: str) -> None:
    async with open_server() as server:
        assert await status_of(server.url, ("Origin", origin)) == 403
        assert await status_of(server.url, ("oRIGIN", origin)) == 403
        assert await status_of(server.url) == 101


async def test_a_web_page_is_refused_even_with_the_secret() -> None:
    async with serving(secret=SECRET) as url:
        knows = ("Authorization", f"Bearer {SECRET}")
        assert await status_of(url, knows, ("Origin", "http://localhost")) == 403


@pytest.mark.parametrize(
    ("host", "status"),
    [
        *(
            ("127.0.0.1:8888", 101),
            ("localhost", 101),
            ("[::1]:8888", 101),
            ("10.0.0.7:8888", 101),
            ("media1:8888", 101),
        ),
        *(("evil.example", 421), ("evil.example:8888", 421), ("localhost.evil.example", 421), ("media12", 421)),
    ],
)
async def test_a_rebound_host_name_is_refused(host: str, status: int) -> None:
    async with serving(host_names=("media1",)) as url:
        assert await status_of(url, host=host) == status


@pytest.mark.parametrize("host", ["a..b", "\xff", "x" * 300, ".", "xn--\xe4"])
async def test_a_malformed_host_header_ends_only_that_connection(host: str) -> None:
    async with open_server() as server, open_client(server.url) as client:
        assert await status_of(server.url, host=host) in (0, 400, 421)
        assert (await client.request("ping", {}))["result"] == {"value": "pong"}


def basic(password: str) -> str:
    return "Basic " + base64.b64encode(f"anybody:{password}".encode()).decode()


@pytest.mark.parametrize(
    ("headers", "query", "status"),
    [
        ([("Authorization", f"Bearer {SECRET}")], "", 101),
        ([("authorization", f"bearer  {SECRET}")], "", 101),
        ([("Authorization", basic(SECRET))], "", 101),
        ([], f"?secret={SECRET}", 101),
        ([], "", 401),
        ([], "?secret=", 401),
        ([], f"?secret={SECRET}x", 401),
        ([], f"?secret={SECRET[:-1]}", 401),
        ([("Authorization", "Bearer")], "", 401),
        ([("Authorization", f"Bearer {SECRET.upper()}")], "", 401),
        ([("Authorization", basic("other"))], "", 401),
        ([("Authorization", "Basic %%%")], "", 401),
        ([("Authorization", f"Digest {SECRET}")], "", 401),
        ([("Cookie", f"secret={SECRET}")], "", 401),
    ],
)
async def test_with_a_secret_only_clients_that_know_it_may_connect(
    headers: list[tuple[str, str]], query: str, status: int
) -> None:
    async with serving(secret=SECRET) as url:
        assert await status_of(url + query, *headers) == status
        # Who knows it was not lured here by a name.
        assert await status_of(url + query, *headers, host="media1") == status


async def test_the_room_servers_client_sends_the_secret_and_says_why_it_is_refused() -> None:
    async with serving(secret=SECRET) as url:
        async with open_media_pool([url], KurentoSettings(secret=SECRET)) as pool:
            with trio.fail_after(PATIENCE):
                await pool.wait_ready()
        with trio.fail_after(PATIENCE), pytest.raises(ConnectionLost) as refused:
            async with open_connection(url, KurentoSettings(secret=SECRET + "x"), itertools.count(1), print):
                pass
        said = str(refused.value)
        assert "401" in said
        assert "--secret-file" in said
        assert SECRET not in said


async def test_the_childs_secret_is_on_no_command_line() -> None:
    settings = ChildSettings(media_host="127.0.0.1", workers=2)
    async with open_media_server_child(settings, structlog.get_logger()) as child:
        with pytest.raises(ConnectionRejected):
            async with open_websocket_url(child.url):
                pass
        async with open_client(child.url, child.secret) as client:
            assert (await client.request("ping", {}))["result"] == {"value": "pong"}
        assert child.pid is not None
        main = psutil.Process(child.pid)
        for process in (main, *main.children(recursive=True)):
            assert child.secret not in " ".join(process.cmdline())
        for worker in main.children():
            assert child.secret not in worker.environ().values()


async def test_a_closed_terminal_ends_neither_the_media_server_nor_its_workers() -> None:
    settings = ChildSettings(media_host="127.0.0.1", workers=2)
    async with open_media_server_child(settings, structlog.get_logger()) as child:
        assert child.pid is not None
        main = psutil.Process(child.pid)
        workers = main.children()
        assert len(workers) == 2
        for process in (*workers, main):
            os.kill(process.pid, signal.SIGHUP)
        async with open_client(child.url, child.secret) as client:
            assert (await client.request("ping", {}))["result"] == {"value": "pong"}
        assert child.starts == 1
        assert all(process.is_running() and process.status() != "zombie" for process in workers)


@pytest.mark.parametrize(
    ("arguments", "environment", "said"),
    [
        (["--secret-file", "/nowhere"], {}, "/nowhere"),
        (["--secret-file", "{short}"], {}, "at least 16"),
        ([], {"ROOMFSM_KURENTO_SECRET": "short"}, "ROOMFSM_KURENTO_SECRET"),
        ([], {"ROOMFSM_KURENTO_SECRET": "has a space in its middle"}, "no spaces"),
        (["--host-name", "http://media1"], {}, "--host-name"),
    ],
)
def test_a_bad_setting_is_named(
    tmp_path: Path, arguments: list[str], environment: dict[str, str], said: str
) -> None:
    short = tmp_path / "short"
    short.write_text("123456789012345\n")
    command = [
        sys.executable,
        "-m",
        "roomfsm.mediaserver",
        "--port=0",
        *(a.format(short=short) for a in arguments),
    ]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=False, env={**os.environ, **environment}
    )
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_the_private_attribute_of_wsproto_with_the_host_is_the_one_we_know() -> None:
    """`WebSocketRequest._event.host` (wsproto's): its public `headers` are all others."""
    assert version("trio-websocket") == "0.12.2"


@pytest.mark.parametrize(
    ("host", "secret", "is_open"),
    [
        ("127.0.0.1", None, False),
        ("::1", None, False),
        ("localhost", None, False),
        ("0.0.0.0", None, True),
        ("::", None, True),
        ("media.example.org", None, True),
        ("0.0.0.0", SECRET, False),
    ],
)
def test_a_warning_says_that_others_can_reach_the_port_without_a_secret(
    host: str, secret: str | None, is_open: bool
) -> None:
    assert is_open_to_others(MediaServerSettings(host=host, secret=secret)) is is_open
