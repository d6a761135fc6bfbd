"""A media server whose process has ended: its session cannot come back, so nobody waits for it."""

from __future__ import annotations

import errno
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from roomfsm.kurento import KurentoSettings, open_media_pool
from roomfsm.kurento.stream import is_refusal, open_stream
from tests.kurento.fake import URL, FakeServer, fake_server
from tests.processes import LOADED

SETTINGS = KurentoSettings()
SOON = 2 * SETTINGS.reconnect_first


@pytest.fixture
async def server(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeServer]:
    async with fake_server(monkeypatch) as server:
        yield server


def several(*errors: Exception) -> OSError:
    """The error by which Trio reports that no address of a name could be reached."""
    error = OSError("all attempts to connect to media.test:8888 failed")
    error.__cause__ = ExceptionGroup("", errors)
    return error


REFUSED = ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")
NO_IPV6 = OSError(errno.ENETUNREACH, "Network is unreachable")
TIMED_OUT = TimeoutError(errno.ETIMEDOUT, "Connection timed out")

REFUSALS = [REFUSED, several(REFUSED), several(REFUSED, REFUSED), several(NO_IPV6, REFUSED)]
SILENCES = [
    TIMED_OUT,
    NO_IPV6,
    OSError(errno.EHOSTUNREACH, "No route to host"),
    OSError(errno.EMFILE, "Too many open files"),
    ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"),
    socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution"),
    several(NO_IPV6),
    several(REFUSED, TIMED_OUT),
    several(REFUSED, OSError(errno.EHOSTUNREACH, "No route to host")),
]


@pytest.mark.parametrize("refusal", REFUSALS, ids=repr)
async def test_a_refused_connection_loses_the_session_at_once(
    server: FakeServer, autojump_clock: MockClock, refusal: OSError
) -> None:
    with trio.fail_after(60):
        async with open_media_pool([URL], SETTINGS) as pool, pool.pipeline({}) as pipeline:
            server.refuse_connections, server.refusal = True, refusal
            await server.cut()
            before = trio.current_time()
            await pipeline.lost.wait()
            assert trio.current_time() - before <= SOON
            assert not pool.ready()


@pytest.mark.parametrize("silence", SILENCES, ids=repr)
async def test_what_says_nothing_of_the_process_has_its_grace(
    server: FakeServer, autojump_clock: MockClock, silence: OSError
) -> None:
    with trio.fail_after(60):
        async with open_media_pool([URL], SETTINGS) as pool, pool.pipeline({}) as pipeline:
            server.refuse_connections, server.refusal = True, silence
            await server.cut()
            await trio.sleep(SETTINGS.reconnect_grace / 2)
            assert not pipeline.lost.is_set()
            server.refuse_connections = False
            await pool.wait_ready()
            assert not pipeline.lost.is_set()


async def test_a_session_that_was_refused_is_closed_where_its_process_lives_after_all(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    """A packet filter may refuse, too."""
    with trio.fail_after(60):
        async with open_media_pool([URL], SETTINGS) as pool, pool.pipeline({}) as pipeline:
            old = pool.servers[0].session_id
            server.refuse_connections, server.refusal = True, REFUSED
            await server.cut()
            await pipeline.lost.wait()
            server.refuse_connections = False
            closed = await server.arrived("closeSession")
            assert (closed.params or {})["sessionId"] == old
            await pool.wait_ready()
            assert server.objects == set()


async def test_what_its_keeper_knows_needs_no_connection(server: FakeServer, autojump_clock: MockClock) -> None:
    with trio.fail_after(60):
        async with open_media_pool([URL], SETTINGS) as pool, pool.pipeline({}) as pipeline:
            server.silent = True  # It hangs: the connection stands.
            before = trio.current_time()
            pool.server_gone("ws://another.test/kurento", "another")
            assert pool.ready()
            pool.server_gone(URL, "the media server hangs")
            assert pipeline.lost.is_set()
            assert not pool.ready()
            assert trio.current_time() == before


async def test_a_new_process_is_connected_to_at_once_however_long_there_was_none(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    with trio.fail_after(600):
        async with open_media_pool([URL], SETTINGS) as pool:
            await pool.wait_ready()
            server.refuse_connections, server.refusal = True, REFUSED
            await server.cut()
            pool.server_gone(URL, "the media server ended")
            # So long that attempts are seconds apart.
            await trio.sleep(60)
            server.refuse_connections = False
            before = trio.current_time()
            pool.server_ready(URL)
            await pool.wait_ready()
            assert trio.current_time() == before


async def test_news_of_its_process_do_not_disturb_a_connection_that_stands(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    with trio.fail_after(60):
        async with open_media_pool([URL], SETTINGS) as pool, pool.pipeline({}) as pipeline:
            pool.server_ready(URL)
            await wait_all_tasks_blocked()
            assert not pipeline.lost.is_set()
            assert server.accepted == 1


async def test_a_closed_port_of_a_real_machine_refuses() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    for host in ("127.0.0.1", "localhost"):
        with trio.fail_after(LOADED), pytest.raises(OSError, match="connect") as caught:
            await open_stream(f"ws://{host}:{port}/kurento")
        assert is_refusal(caught.value)


@asynccontextmanager
async def open_server() -> AsyncIterator[tuple[trio.Process, str]]:
    """A media server as a process of its own, which nobody supervises, and its address."""
    process = await trio.lowlevel.open_process(
        [sys.executable, "-m", "roomfsm.mediaserver", "--port=0", "--media-host=127.0.0.1", "--exit-with-parent"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdout is not None
    try:
        said = await process.stdout.receive_some()
        yield process, msgspec.json.decode(said.split(b"\n")[0])["url"]
    finally:
        process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()


async def test_pipelines_of_a_killed_process_are_lost_at_once_and_made_at_the_other() -> None:
    with trio.fail_after(2 * LOADED):
        async with open_server() as one, open_server() as two, open_media_pool([one[1], two[1]]) as pool:
            while sum(server.connected for server in pool.servers) < 2:  # noqa: ASYNC110
                await trio.sleep(0.01)
            processes = {url: process for process, url in (one, two)}
            async with pool.pipeline({}) as first:
                killed = first.server_url
                os.kill(processes[killed].pid, signal.SIGKILL)
                began = trio.current_time()
                await first.lost.wait()
                async with pool.pipeline({}) as second:
                    assert second.server_url != killed
                    assert trio.current_time() - began < SETTINGS.reconnect_grace / 2
