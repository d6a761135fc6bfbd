"""HTTP over streams that the front door accepted: hypercorn's server for one connection, and its lifespan."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.trio.lifespan import Lifespan
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ConnectionState, LifespanState
from quart_trio import QuartTrio


@asynccontextmanager
async def open_http_server(
    app: QuartTrio, *, max_head: int
) -> AsyncIterator[Callable[[trio.abc.Stream], Awaitable[None]]]:
    """Start the application; gives what serves HTTP/1.1 on one stream until it closes.

    `max_head` is the longest request head in bytes; a longer one is answered 400.
    """
    config = Config()
    config.h11_max_incomplete_size = max_head
    config.include_server_header = False
    config.accesslog = None
    wrapper = ASGIWrapper(app)
    state: LifespanState = {}
    context = WorkerContext(None)
    lifespan = Lifespan(wrapper, config, state)

    async def serve(stream: trio.abc.Stream) -> None:
        # What it asks of a stream beyond trio's interface, the front door's stream has.
        transport: Any = stream
        await TCPServer(wrapper, config, context, ConnectionState(state.copy()), transport).run()

    async with trio.open_nursery() as nursery:
        await nursery.start(lifespan.handle_lifespan)
        await lifespan.wait_for_startup()
        try:
            yield serve
        finally:
            await context.terminated.set()
        await lifespan.wait_for_shutdown()
        nursery.cancel_scope.cancel()
