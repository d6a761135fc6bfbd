"""A media server that plays its side of a recorded session with a real Kurento 7.3, over real sockets."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import trio
from trio_websocket import ConnectionClosed, WebSocketConnection, wrap_server_stream

from roomfsm.jsonrpc import ErrorObject, Response, encode

TRANSCRIPTS = Path(__file__).parent / "transcripts"

ORDERED = frozenset(
    {"create", "release", "connect", "processOffer", "gatherCandidates", "addIceCandidate", "disconnect"}
)
"""The methods and operations that cause events. The events that were recorded after one are played after it."""


def name_of(message: dict[str, Any]) -> str:
    """The operation of an `invoke`, or the method of another request."""
    return str(message.get("params", {}).get("operation", message["method"]))


@dataclass
class Script:
    """The records of one socket, in order: the recorded client's requests, the replies and the events."""

    records: list[dict[str, Any]] = field(default_factory=list)

    def sent(self) -> list[dict[str, Any]]:
        """The requests of the recorded client."""
        return [record["msg"] for record in self.records if record["dir"] == "send"]

    def replies(self) -> dict[object, dict[str, Any]]:
        """The recorded replies, by request id."""
        return {r["msg"]["id"]: r["msg"] for r in self.records if r["dir"] == "recv" and "id" in r["msg"]}

    def events(self, object_id: str) -> list[dict[str, Any]]:
        """The recorded events of one object."""
        values = [r["msg"]["params"]["value"] for r in self.records if r["msg"].get("method") == "onEvent"]
        return [value for value in values if value["object"] == object_id]

    def events_of(self, type_: str) -> list[dict[str, Any]]:
        """The recorded events of one type."""
        values = [r["msg"]["params"]["value"] for r in self.records if r["msg"].get("method") == "onEvent"]
        return [value for value in values if value["type"] == type_]

    def values(self, operation: str, object_id: str) -> list[Any]:
        """The results of the operation, for each time that the recorded client called it on the object."""
        return [
            self.replies()[message["id"]]["result"]["value"]
            for message in self.sent()
            if name_of(message) == operation and message["params"]["object"] == object_id
        ]

    def params(self, operation: str, object_id: str) -> list[dict[str, Any]]:
        """The operation's parameters, for each time that the recorded client called it on the object."""
        return [
            message["params"].get("operationParams", {})
            for message in self.sent()
            if name_of(message) == operation and message["params"]["object"] == object_id
        ]


def load(name: str) -> list[tuple[str, Script]]:
    """The scripts of a transcript by the recorded names of their sockets, in the order of opening."""
    scripts: list[tuple[str, Script]] = []
    (path,) = TRANSCRIPTS.glob(f"{name}_*.jsonl")
    for line in path.read_text().splitlines():
        record = json.loads(line)
        if record["dir"] == "open":
            scripts.append((record["conn"], Script()))
        elif record["dir"] in ("send", "recv"):
            next(script for conn, script in reversed(scripts) if conn == record["conn"]).records.append(record)
    return scripts


class ReplayServer:
    """Plays one script for each connection, in turn; a script without records closes in the handshake, like a
    server that is down.

    A request is matched with the first recorded one, not matched yet, of the same method and parameters; ids and
    the optional sessionId are abstracted from. `unexpected` collects requests that were not recorded.
    """

    def __init__(self, scripts: Sequence[Script], listener: trio.SocketListener, nursery: trio.Nursery) -> None:
        self.unexpected: list[dict[str, Any]] = []
        self._scripts = iter(scripts)
        self._nursery = nursery
        self._streams: list[trio.SocketStream] = []
        self.url = f"ws://127.0.0.1:{listener.socket.getsockname()[1]}/kurento"

    async def cut(self) -> None:
        """End the TCP connections without a closing handshake, as a killed server does."""
        for stream in self._streams:
            await stream.aclose()

    async def serve(self, stream: trio.SocketStream) -> None:
        self._streams.append(stream)
        script = next(self._scripts)
        async with stream, trio.open_nursery() as nursery:
            if script.records:
                websocket = await (await wrap_server_stream(nursery, stream)).accept()
                player = _Player(script, websocket, self.unexpected)
                try:
                    while True:
                        await player.play(json.loads(await websocket.get_message()))
                except ConnectionClosed:
                    nursery.cancel_scope.cancel()


class _Player:
    def __init__(self, script: Script, websocket: WebSocketConnection, unexpected: list[dict[str, Any]]) -> None:
        self._records = script.records
        self._replies = script.replies()
        self._websocket = websocket
        self._unexpected = unexpected
        self._next = 0
        self._made: dict[object, object] = {}  # recorded id → the client's id
        self._answered: set[object] = set()

    async def play(self, request: dict[str, Any]) -> None:
        recorded = self._match(request)
        if recorded is None:
            await self._websocket.send_message(encode(self._unrecorded(request)))
            return
        self._made[recorded] = request["id"]
        while self._next < len(self._records):
            message = self._records[self._next]["msg"]
            if self._records[self._next]["dir"] == "send":
                if name_of(message) in ORDERED and message["id"] not in self._made:
                    break
            elif message.get("method") == "onEvent":
                await self._websocket.send_message(json.dumps(message))
            elif message["id"] in self._made:
                await self._answer(message["id"])
            self._next += 1
        await self._answer(recorded)

    def _match(self, request: dict[str, Any]) -> object:
        for record in self._records:
            message = record["msg"]
            if record["dir"] == "send" and message["id"] not in self._made and _alike(message, request):
                return message["id"]
        return None

    async def _answer(self, recorded: object) -> None:
        if recorded not in self._answered and recorded in self._replies:
            self._answered.add(recorded)
            await self._websocket.send_message(json.dumps(self._replies[recorded] | {"id": self._made[recorded]}))

    def _unrecorded(self, request: dict[str, Any]) -> Response:
        session = request.get("params", {}).get("sessionId")
        match name_of(request):
            case "getInfo":
                return Response(request["id"], {"value": {"version": "7.3.0"}, "sessionId": session})
            # What every Kurento answers alike.
            case "ping":
                return Response(request["id"], {"value": "pong", "sessionId": session})
            case "subscribe":
                return Response(request["id"], {"value": f"subscription-{request['id']}", "sessionId": session})
            case "release":
                return Response(request["id"], {"sessionId": session})
            case "closeSession":
                return Response(request["id"])
        self._unexpected.append(request)
        return Response(request["id"], error=ErrorObject(-32601, "Not recorded."))


def _alike(recorded: dict[str, Any], request: dict[str, Any]) -> bool:
    def essence(message: dict[str, Any]) -> dict[str, Any]:
        optional = {"sessionId"} if message["method"] != "connect" else set()
        return {key: value for key, value in message.get("params", {}).items() if key not in optional}

    return recorded["method"] == request["method"] and essence(recorded) == essence(request)


@asynccontextmanager
async def replay(scripts: Sequence[Script]) -> AsyncIterator[ReplayServer]:
    """A server for `scripts` on a loopback port. An unexpected request makes the test fail at the end."""
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with trio.open_nursery() as nursery:
        server = ReplayServer(scripts, listener, nursery)
        nursery.start_soon(trio.serve_listeners, server.serve, [listener])
        yield server
        nursery.cancel_scope.cancel()
    assert server.unexpected == []
