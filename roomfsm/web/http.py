"""Connects the front door to the application. hypercorn speaks ASGI to the application, for one request at a time.

The front door reads and writes HTTP, judges the requests, and enforces their limits (`roomfsm.door.conversation`).
hypercorn's `HTTPStream` translates one request to ASGI, starts the application's task, and checks its answer.
hypercorn's own handling of connections is not used. It closes a connection in the application's task, but
quart-trio cancels that task as soon as the request has ended, so the connection would never be closed.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import h11
import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.protocol.events import Body, EndBody, Event, Request, Response, StreamClosed
from hypercorn.protocol.http_stream import HTTPStream
from hypercorn.trio.lifespan import Lifespan
from hypercorn.trio.task_group import TaskGroup
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import (
    ASGIReceiveCallable,
    ASGISendCallable,
    ConnectionState,
    LifespanState,
    Scope,
)
from quart.wrappers.base import ClientDisconnectedError
from quart_trio import QuartTrio

from roomfsm.door.conversation import Exchange, ServeHttp

_STREAM = 1
"""hypercorn numbers the streams of a connection. Here there is one at a time."""


@asynccontextmanager
async def open_http_server(app: QuartTrio) -> AsyncIterator[ServeHttp]:
    """Start the application. Yields a function that gets one request answered by it."""
    config = Config()
    config.accesslog = None
    # If hypercorn is given a logger, it leaves the logger as it is. By default it would add handlers of its own.
    config.errorlog = logging.getLogger("hypercorn.error")

    async def application(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        # Quart raises this if nobody waits for the answer any more. hypercorn would log it as an error.
        with suppress(ClientDisconnectedError):
            await app(scope, receive, send)

    wrapper = ASGIWrapper(application)
    state: LifespanState = {}
    context = WorkerContext(None)
    lifespan = Lifespan(wrapper, config, state)

    async def serve(exchange: Exchange) -> None:
        over = trio.Event()

        async def answer(event: Event) -> None:
            match event:
                case Response():
                    await exchange.send(h11.Response(status_code=event.status_code, headers=event.headers))
                case Body():
                    await exchange.send(h11.Data(event.data))
                case EndBody():
                    await exchange.send(h11.EndOfMessage())
                case StreamClosed():
                    over.set()

        async def feed() -> None:
            while (data := await exchange.receive()) is not None:
                await stream.handle(Body(_STREAM, data) if data else EndBody(_STREAM))
            await stream.handle(StreamClosed(_STREAM))
            over.set()

        head = exchange.head
        async with TaskGroup() as group:
            stream = HTTPStream(
                wrapper, config, context, group, exchange.secure, exchange.client, exchange.server, answer, _STREAM
            )
            await stream.handle(
                Request(
                    stream_id=_STREAM,
                    headers=list(head.fields),
                    http_version=head.version,
                    method=head.method,
                    raw_path=head.target.encode("ascii"),
                    state=ConnectionState(state.copy()),
                )
            )
            # The application's task runs in this nursery, and ends by itself when the stream is closed.
            async with trio.open_nursery() as nursery:
                nursery.start_soon(feed)
                await over.wait()
                nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        await nursery.start(lifespan.handle_lifespan)
        await lifespan.wait_for_startup()
        try:
            yield serve
        finally:
            await context.terminated.set()
        await lifespan.wait_for_shutdown()
        nursery.cancel_scope.cancel()
