"""A media server on memory streams that a test controls: a real websocket server, perhaps on virtual time."""

from __future__ import annotations

import itertools
import math
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
import trio
import trio.testing
from trio_websocket import ConnectionClosed, WebSocketConnection, wrap_server_stream

from roomfsm.jsonrpc import ErrorObject, Notification, Params, Request, Response, decode, encode
from roomfsm.kurento import connection
from roomfsm.kurento.events import OPTIONAL

URL = "ws://media.test/kurento"


def server_id_at(url: str) -> str:
    """What the first process at this address is called."""
    return f"server at {url}"


class FakeServer:
    """Answers like Kurento, with sessions, a cache of replies by (session, id), objects and subscriptions.

    `hold(method)` keeps replies back until `let_go`; `silent` stops every reply; `cut` cuts the sockets.
    """

    def __init__(self, nursery: trio.Nursery, url: str = URL) -> None:
        self.url = url
        self.server_id = server_id_at(url)
        self.version = "7.3.0"
        self.requests: list[Request] = []
        self.executed: list[Request] = []
        self.objects: set[str] = set()
        self.sessions: set[str] = set()
        self.refuse_connections = False
        self.refusal = OSError("no way there")
        """The error of a failed connection. Like most errors, it says nothing about the process there."""
        self.silent = False
        self.fail: dict[str, ErrorObject] = {}
        self.values: dict[str, Any] = {}
        """The result of an operation."""
        self.accepted = 0
        self._nursery = nursery
        self._streams: list[trio.abc.Stream] = []
        self._socket: WebSocketConnection | None = None
        self._names = itertools.count(1)
        self._makers: dict[str, str] = {}
        """The session that made an object."""
        self._cache: dict[tuple[str, object], Response] = {}
        self._held: dict[str, list[tuple[WebSocketConnection, Response]]] = {}
        self._seen, self._arrivals = trio.open_memory_channel[Request](math.inf)

    async def open_stream(self, url: str) -> trio.abc.Stream:
        """The function that the client calls instead of opening a TCP stream."""
        assert url == self.url
        await trio.lowlevel.checkpoint()
        if self.refuse_connections:
            raise self.refusal
        ours, theirs = trio.testing.memory_stream_pair()
        self._streams.append(ours)
        self._nursery.start_soon(self._serve, ours)
        return theirs

    async def arrived(self, name: str) -> Request:
        """The next request that has not been asked for yet whose method or operation is `name`."""
        with trio.fail_after(60):
            while True:
                request = await self._arrivals.receive()
                if name in (request.method, (request.params or {}).get("operation")):
                    return request

    @property
    def held(self) -> Collection[str]:
        """The methods whose replies are held back."""
        return self._held.keys()

    def hold(self, method: str) -> None:
        self._held[method] = []

    async def let_go(self, method: str, *, backwards: bool = False) -> None:
        """Send the replies that were held back, over the sockets that still exist."""
        held = self._held.pop(method)
        for socket, response in reversed(held) if backwards else held:
            with suppress(ConnectionClosed):
                await socket.send_message(encode(response))

    async def emit(self, object_id: str, kind: str, **data: Any) -> None:
        """Push an event over the newest socket."""
        assert self._socket is not None
        data = {"source": object_id, "tags": [], "timestampMillis": "1795392624461", "type": kind, **data}
        value = {"type": kind, "object": object_id, "data": data}
        await self._socket.send_message(encode(Notification("onEvent", {"value": value})))

    async def cut(self) -> None:
        """Cut every TCP connection, without a closing handshake."""
        for stream in self._streams:
            await trio.aclose_forcefully(stream)
        self._streams.clear()

    async def restart(self) -> None:
        """Die and come back without any memory."""
        self.server_id += "'"
        self.objects.clear()
        self.sessions.clear()
        self._cache.clear()
        await self.cut()

    def methods(self) -> list[str]:
        """The requested methods or operations, in order."""
        return [_name(request) for request in self.requests]

    async def _serve(self, stream: trio.abc.Stream) -> None:
        async with trio.open_nursery() as nursery:
            self._socket = socket = await (await wrap_server_stream(nursery, stream)).accept()
            self.accepted += 1
            try:
                while True:
                    message = decode(await socket.get_message())
                    assert isinstance(message, Request)
                    self.requests.append(message)
                    self._seen.send_nowait(message)
                    response = self._answer(message)
                    if self.silent:
                        continue
                    for name in (message.method, _name(message)):
                        if name in self._held:
                            self._held[name].append((socket, response))
                            break
                    else:
                        await socket.send_message(encode(response))
            except ConnectionClosed:
                nursery.cancel_scope.cancel()

    def _answer(self, request: Request) -> Response:
        params = request.params or {}
        if "sessionId" not in params:
            # A new session each time: nothing was answered in it before.
            self._cache.pop((str(None), request.id), None)
        key = (str(params.get("sessionId")), request.id)
        if key not in self._cache:
            self.executed.append(request)
            try:
                self._cache[key] = Response(request.id, result=self._execute(request, params))
            except _RefusalError as refusal:
                self._cache[key] = Response(request.id, error=refusal.error)
        return self._cache[key]

    def _execute(self, request: Request, params: Params) -> Any:
        if (error := self.fail.get(_name(request))) is not None:
            raise _RefusalError(error)
        session = params.get("sessionId")
        if (name := _name(request)) in self.values:
            return {"value": self.values[name], "sessionId": session}
        match request.method:
            case "connect":
                if session is None:
                    session = f"session-{next(self._names)}"
                    self.sessions.add(session)
                elif session not in self.sessions:
                    raise _RefusalError(ErrorObject(40007, "Invalid session", {"type": "INVALID_SESSION"}))
                return {"serverId": self.server_id, "sessionId": session}
            case "ping":
                return {"value": "pong", "sessionId": session}
            case "create":
                parent = params["constructorParams"].get("mediaPipeline")
                name = f"{parent + '/' if parent else ''}{next(self._names)}_kurento.{params['type']}"
                self.objects.add(name)
                self._makers[name] = str(session)
                return {"value": name, "sessionId": session}
            case "release":
                gone = params["object"]
                self.objects = {name for name in self.objects if name != gone and not name.startswith(gone + "/")}
                return {"sessionId": session}
            case "closeSession":
                self.sessions.discard(str(session))
                self.objects = {name for name in self.objects if self._makers.get(name) != session}
                return None
            case "subscribe" if params["type"] in OPTIONAL and params["object"] in self.objects:
                raise _RefusalError(ErrorObject(40106, "Event not supported", {"type": "MEDIA_OBJECT_EVENT"}))
            case _ if params.get("operation") == "getChildren" and params["object"] in self.objects:
                children = sorted(name for name in self.objects if name.startswith(params["object"] + "/"))
                return {"value": children, "sessionId": session}
            case _ if params.get("operation") == "getInfo":
                return {"value": {"type": "KMS", "version": self.version}, "sessionId": session}
            case _:
                if params["object"] not in self.objects:
                    name = f"Object '{params['object']}' not found"
                    raise _RefusalError(ErrorObject(40101, name, {"type": "MEDIA_OBJECT_NOT_FOUND"}))
                answer = "v=0 answer" if params.get("operation") == "processOffer" else None
                return {"value": answer, "sessionId": session}


class _RefusalError(Exception):
    def __init__(self, error: ErrorObject) -> None:
        self.error = error


def _name(request: Request) -> str:
    return str((request.params or {}).get("operation", request.method))


@asynccontextmanager
async def fake_server(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeServer]:
    """A fake server, to which every new connection of the client goes."""
    async with trio.open_nursery() as nursery:
        server = FakeServer(nursery)
        monkeypatch.setattr(connection, "open_stream", server.open_stream)
        yield server
        nursery.cancel_scope.cancel()
