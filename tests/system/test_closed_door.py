"""Given a server that ends, when somebody connects, then nobody waits in vain."""

from __future__ import annotations

import socket
from collections.abc import Sequence

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from roomfsm.server import End, Running, open_server
from tests.ports import reserved_port
from tests.processes import LOADED
from tests.protocol_client import open_client
from tests.serving import settings

NO_MEDIA = "ws://127.0.0.1:9/kurento"
ASKS = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


async def runs(
    ports: tuple[int, int],
    sockets: Sequence[socket.socket],
    end: trio.Event,
    *,
    task_status: trio.TaskStatus[Running],
) -> None:
    port, metrics = ports
    # Nobody wants to leave the room, so that the end takes its time.
    wanted = settings(NO_MEDIA, port=port, metrics_bind=f"127.0.0.1:{metrics}", closing_notice=60.0)
    async with open_server(wanted, sockets) as running:
        task_status.started(running)
        await end.wait()


@pytest.mark.parametrize("inherited", [False, True])
async def test_who_connects_meanwhile_is_refused_at_once_or_waits_for_the_next_run(inherited: bool) -> None:
    with reserved_port() as port, reserved_port() as metrics, trio.fail_after(2 * LOADED):
        door = socket.create_server(("127.0.0.1", 0)) if inherited else None
        sockets = [] if door is None else [door.dup()]
        async with trio.open_nursery() as nursery:
            end = trio.Event()
            running = await nursery.start(runs, (port, metrics), sockets, end)
            async with open_client(f"ws://127.0.0.1:{running.port}/ws") as ada:
                await ada.join("blue")
                end.set()
                await ada.expect("closing", scope="server")
                await wait_all_tasks_blocked()
                with pytest.raises(OSError, match="attempts to connect"):
                    await trio.open_tcp_stream("127.0.0.1", metrics)
                if door is None:
                    with pytest.raises(OSError, match="attempts to connect"):
                        await trio.open_tcp_stream("127.0.0.1", port)
                    return
                waiting = await trio.open_tcp_stream("127.0.0.1", running.port)
                await waiting.send_all(ASKS)
        end = trio.Event()
        async with trio.open_nursery() as nursery, waiting:
            await nursery.start(runs, (port, metrics), [door], end)
            assert (await waiting.receive_some()).startswith(b"HTTP/1.1 200")
            end.set()


async def test_a_server_that_ends_before_it_has_opened_keeps_nobody_waiting() -> None:
    end = End()
    end.ask(is_restart=False)
    with reserved_port() as port:
        async with open_server(settings(NO_MEDIA, port=port), end=end) as running:
            assert running.port == port
            (await trio.open_tcp_stream("127.0.0.1", port)).socket.close()
            running.directory.life.fire("stop")
            with pytest.raises(OSError, match="attempts to connect"):
                await trio.open_tcp_stream("127.0.0.1", port)
