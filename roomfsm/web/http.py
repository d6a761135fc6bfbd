"""The application behind the front door: hypercorn speaks ASGI to it, for one request at a time.

The front door frames requests and answers, judges and bounds them (`roomfsm.door.conversation`); hypercorn's
`HTTPStream` makes of one request what ASGI wants to see, starts the application's task, and checks what it
answers. hypercorn's own protocol of a connection is not used: it closes a connection in the task of the
application, which quart-trio cancels as soon as it hears that the request has ended; so nothing was ever closed.
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
"""hypercorn numbers the streams of a connection; ours has one at a time."""


@asynccontextmanager
async def open_http_server(app: QuartTrio) -> AsyncIterator[ServeHttp]:
    """Start the application; gives what has one request answered by it."""
    config = Config()
    config.accesslog = None
    # Given a logger, hypercorn leaves it as the program has set it up; by default it gives it handlers of its own.
    config.errorlog = logging.getLogger("hypercorn.error")

    async def application(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        # Quart's word for an answer that nobody waits for any more; hypercorn would log it as a fault.
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
            # The application's task is the group's; it ends by itself once the stream is closed.
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
