"""Plays the client's side of a recorded session with the embedded media server, and finds different answers.

Compared is all but ids, times, the contents of session descriptions and candidates, and numbers that depend on the
machine. Test peers play the browsers of a recording, with media, so that what depends on them is compared, too.
The replay goes on as soon as the recorded replies and events have come: nothing waits for a recorded time, but
where the recording waits for the request cache to forget.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import trio
from trio_websocket import wrap_client_stream

from roomfsm.mediaserver.base.settings import EngineSettings
from roomfsm.mediaserver.engine.engine import open_engine
from roomfsm.mediaserver.kurento.limits import Limits
from roomfsm.mediaserver.kurento.registry import Objects
from roomfsm.mediaserver.kurento.server import open_websocket_server
from roomfsm.peer import AUDIO_SSRC
from tests.mediaserver.kurento import replay
from tests.mediaserver.kurento.differences import Kind
from tests.mediaserver.kurento_client import Client, tcp
from tests.mediaserver.peer import OPUS, VP8_KEYFRAME, TestPeer, open_test_peer

CUT = "code=1006"
MACHINE = {"getCpuCount", "getCreationTime", "getUsedCpu", "getUsedMemory"}
"""Operations whose value depends on the machine, or the time."""
TIMES = {"generationTime", "timestampMillis"}
NUMBERED = re.compile(r"(?<=webrtcendpoint)\d+|(?<=agnosticbin2-)\d+|(?<=dtlssrtp(?:enc|dec))\d+")
"""The numbers in GStreamer's names."""
FORGOTTEN = 19.9
"""Seconds of recorded silence that are there for the request cache, which forgets after 20."""
FRAME = 0.02
"""Seconds between two packets of a browser."""
CHECKS = 0.2
"""Seconds between two checks of a browser: often, so that on a busy machine it does not seem silent."""
CPU_INTERVAL = 20
"""Milliseconds of `getUsedCpu` in place of the recorded second and more."""

type Found = dict[tuple[str, Kind], tuple[Any, Any]]
"""Where, and how far → recorded, ours."""


def shape(value: Any) -> Any:
    """Names and types without the values."""
    if isinstance(value, dict):
        return {key: shape(member) for key, member in value.items()}
    if isinstance(value, list):
        return [shape(member) for member in value]
    return type(value).__name__


def essence(value: Any) -> Any:
    """What is compared of a message."""
    if isinstance(value, dict):
        return {key: "time" if key in TIMES else essence(member) for key, member in value.items()}
    if isinstance(value, list):
        return [essence(member) for member in value]
    if isinstance(value, str):
        if value.startswith("v=0\r\n"):
            return "session description"
        return "candidate" if value.startswith("candidate:") else NUMBERED.sub("", value)
    return value


def reply_essence(reply: dict[str, Any], operation: str) -> Any:
    """What is compared of the reply to an operation."""
    result = reply.get("result")
    if isinstance(result, dict) and operation in MACHINE:
        reply = reply | {"result": result | {"value": shape(result["value"])}}
    elif isinstance(result, dict) and operation == "getStats" and result["value"] is not None:
        entries = sorted(
            json.dumps(shape(one) | {"type": one["type"]}, sort_keys=True) for one in result["value"].values()
        )
        reply = reply | {"result": result | {"value": entries}}
    return essence(reply)


def event_essence(message: dict[str, Any]) -> str:
    return json.dumps(essence(message["params"]["value"]), sort_keys=True)


def distance(recorded: dict[str, Any], ours: dict[str, Any]) -> Kind | None:
    """How far one reply's essence is from another's; None if they are alike."""
    if recorded == ours:
        return None
    if "error" in recorded and "error" in ours:
        return Kind.MESSAGE if recorded["error"]["code"] == ours["error"]["code"] else Kind.OUTCOME
    if "error" in recorded or "error" in ours:
        return Kind.OUTCOME
    values = [(reply["result"] or {}).get("value") for reply in (recorded, ours)]
    return Kind.VALUE if type(values[0]) is type(values[1]) else Kind.OUTCOME


class Browser:
    """A test peer in the place of a recorded browser: sends, if it offers to, from its connection to its end."""

    def __init__(self, direction: str) -> None:
        self._direction = direction
        self._scope = trio.CancelScope()
        self._answered = trio.Event()
        self._answer = ""
        self._peer: TestPeer | None = None

    @property
    def offer(self) -> str:
        assert self._peer is not None
        return self._peer.offer

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        with self._scope:
            async with open_test_peer(self._direction) as peer:
                self._peer = peer
                peer.keepalive = CHECKS
                task_status.started()
                await self._answered.wait()
                await peer.accept(self._answer)
                while self._direction == "sendrecv":
                    peer.send_rtp(VP8_KEYFRAME, marker=True)
                    peer.send_rtp(OPUS, ssrc=AUDIO_SSRC)
                    await trio.sleep(FRAME)
                await trio.sleep_forever()

    def connect(self, answer: str) -> None:
        self._answer = answer
        self._answered.set()

    def vanish(self) -> None:
        """End without a goodbye."""
        self._scope.cancel()

    def leave(self) -> None:
        """End like a closed tab."""
        assert self._peer is not None
        self._peer.close_notify()
        self._scope.cancel()


class Connection:
    """A recorded socket, and ours in its place."""

    def __init__(self, name: str, client: Client, stream: trio.SocketStream) -> None:
        self.name = name
        self.client = client
        self.stream = stream
        self.unanswered: list[tuple[str, dict[str, Any]]] = []
        """Label and recorded request, in order."""
        self.recorded_events: list[str] = []
        """The essence of each, with the recording's ids."""
        self._replies = 0
        self._events: list[str] = []
        self._events_read = 0

    def events(self) -> list[str]:
        """The essence of each event that has come."""
        news = self.client.received[self._events_read :]
        self._events_read += len(news)
        self._events += [event_essence(message) for message in news if "method" in message]
        return self._events

    async def next_reply(self) -> dict[str, Any]:
        self._replies += 1
        await self.client.wait_for(lambda _: len(self._received_replies()) >= self._replies)
        return self._received_replies()[self._replies - 1]

    def _received_replies(self) -> list[dict[str, Any]]:
        return [message for message in self.client.received if "method" not in message]


class Replayer:
    """Plays one transcript; `found` are the differences, `compared` how many replies there were."""

    def __init__(
        self, url: str, nursery: trio.Nursery, ignored_events: Collection[str], cache_time: float, browsers: bool
    ) -> None:
        """`ignored_events`: socket and type of those that differ, and so are not waited for. `cache_time`: seconds
        after which this server's request cache has forgotten. `browsers`: whether there are media."""
        self.found: Found = {}
        self.compared = 0
        self.browsers: dict[str, Browser] = {}
        """By the recorded id of the endpoint, in the order of their offers."""
        self._url = url
        self._nursery = nursery
        self._ignored_events = set(ignored_events)
        self._cache_time = cache_time
        self._plays_browsers = browsers
        self._ids = replay.Ids()
        self._answers: dict[str, str] = {}
        self._connections: dict[str, Connection] = {}
        self._ended: list[Connection] = []

    async def play(self, name: str, actions: Mapping[str, Callable[[Replayer], None]]) -> None:
        """`actions`: what happens at a note of the recording."""
        label, before = "", 0.0
        for line in replay.read(name):
            if line.time - before > FORGOTTEN and self._cache_time:
                await trio.sleep(self._cache_time)
            before = line.time
            match line.direction:
                case "open":
                    await self._open(line.connection)
                case "note":
                    await self._settle()
                    if (action := actions.get(line.note)) is not None:
                        action(self)
                    label = line.note
                case "send":
                    await self._settle()
                    await self._send(self._connections[line.connection], line.message, label)
                    label = ""
                case "recv" if "method" in line.message:
                    self._connections[line.connection].recorded_events.append(event_essence(line.message))
                case "recv":
                    await self._receive_reply(self._connections[line.connection], line.message)
                case "closed":
                    await self._settle()
                    await self._close(self._connections.pop(line.connection), line.note)
        for connection in self._ended:
            self._compare_events(connection)

    async def _open(self, name: str) -> None:
        stream = await tcp(self._url)
        websocket = await wrap_client_stream(self._nursery, stream, urlsplit(self._url).netloc, "/kurento")
        client = Client(websocket)
        self._nursery.start_soon(client.read)
        self._connections[name] = Connection(name, client, stream)

    async def _close(self, connection: Connection, note: str) -> None:
        self._ended.append(connection)
        if CUT in note:
            await connection.stream.aclose()
        else:
            await connection.client.websocket.aclose()

    # Requests and replies

    async def _send(self, connection: Connection, recorded: dict[str, Any], label: str) -> None:
        request = self._ids.to_ours(recorded)
        params = request.get("params") or {}
        operation = params.get("operation", request["method"])
        arguments = params.get("operationParams") or {}
        if operation == "processOffer" and self._plays_browsers:
            arguments["offer"] = await self._open_browser(recorded["params"]["object"], arguments["offer"])
        elif operation == "getUsedCpu" and isinstance(arguments.get("interval"), int):
            arguments["interval"] = min(arguments["interval"], CPU_INTERVAL)
        connection.unanswered.append((label or f"{connection.name} {request['id']} {operation}", recorded))
        await connection.client.send(request)

    async def _receive_reply(self, connection: Connection, recorded: dict[str, Any]) -> None:
        ours = await connection.next_reply()
        label, request = connection.unanswered.pop(0)
        self._ids.learn(recorded, ours)
        self.compared += 1
        params = request.get("params") or {}
        operation = params.get("operation", request["method"])
        one, other = (reply_essence(reply, operation) for reply in (recorded, self._ids.to_recorded(ours)))
        if (kind := distance(one, other)) is not None:
            self.found[label, kind] = (one, other)
        if operation in ("processOffer", "gatherCandidates") and params["object"] in self.browsers:
            browser = self.browsers[params["object"]]
            if operation == "processOffer":
                self._answers[params["object"]] = ours["result"]["value"]
            else:
                browser.connect(self._answers[params["object"]])

    async def _open_browser(self, endpoint: str, recorded_offer: str) -> str:
        direction = "sendrecv" if "a=sendrecv" in recorded_offer else "recvonly"
        browser = self.browsers[endpoint] = Browser(direction)
        await self._nursery.start(browser.run)
        return browser.offer

    # Events

    def _counted(self, connection: Connection) -> tuple[Counter[str], Counter[str]]:
        """The events of one socket, recorded and ours, but for those of other clients' objects.

        How many candidates there are depends on the machine: of each m-line they count as one.
        """
        recorded = Counter(event for event in connection.recorded_events if self._ids.knows(event))
        ours = Counter(map(self._ids.text_to_recorded, connection.events()))
        for counter in (recorded, ours):
            for key in counter:
                if "IceCandidateFound" in key:
                    counter[key] = 1
        return recorded, ours

    async def _settle(self) -> None:
        """Wait until all events that were recorded so far have come."""
        for connection in self._connections.values():
            while missing := self._missing(connection):
                try:
                    await connection.client.wait_for(lambda _: True, since=len(connection.client.received))
                except trio.TooSlowError:
                    raise AssertionError(f"recorded, and did not come: {missing}") from None

    def _missing(self, connection: Connection) -> list[str]:
        recorded, ours = self._counted(connection)
        return [
            event
            for event in recorded - ours
            if f"{connection.name} {_event_type(event)}" not in self._ignored_events
        ]

    def _compare_events(self, connection: Connection) -> None:
        recorded, ours = self._counted(connection)
        for key in (recorded - ours) + (ours - recorded):
            where = f"{connection.name} {_event_type(key)}"
            missing, extra = self.found.setdefault((where, Kind.EVENTS), ([], []))
            (missing if recorded[key] > ours[key] else extra).append(key)


def _event_type(event: str) -> str:
    type_: str = json.loads(event)["type"]
    return type_


@asynccontextmanager
async def open_replayer(
    *,
    engine: EngineSettings,
    limits: Limits,
    ignored_events: Collection[str],
    cache_time: float = 0.0,
    browsers: bool = False,
) -> AsyncIterator[Replayer]:
    """A real server, and who plays a recording to it."""
    async with (
        open_engine(engine) as opened,
        open_websocket_server(Objects(opened, limits), limits, "127.0.0.1", 0) as server,
        trio.open_nursery() as nursery,
    ):
        yield Replayer(server.url, nursery, ignored_events, cache_time, browsers)
        nursery.cancel_scope.cancel()
