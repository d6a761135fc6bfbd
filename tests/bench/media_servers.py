"""The media servers of the benchmarks, each as its own program: ours, and Janus's VideoRoom if it is installed."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import tempfile
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Hashable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

import psutil
import trio
from trio_websocket import ConnectionClosed, WebSocketConnection, open_websocket_url

from roomfsm.peer import AUDIO_SSRC, VIDEO_SSRC
from tests.bench.processes import pin
from tests.mediaserver.peer import TestPeer

_LOOPBACK = "127.0.0.1"
_PATIENCE = 20.0
"""Seconds for any one answer."""


def _own_address() -> str:
    """An IPv4 address of this machine, if it can be another than the loopback device's."""
    for addresses in psutil.net_if_addrs().values():
        for address in addresses:
            if address.family == socket.AF_INET and not address.address.startswith("127."):
                return address.address
    return _LOOPBACK


HOST = _own_address()
"""Where servers and clients exchange media. The kernel takes the loopback device for it all the same."""


class _Requests:
    """Requests over a websocket, many at a time, each with its answer."""

    def __init__(self, websocket: WebSocketConnection) -> None:
        self._websocket = websocket
        self._answers: dict[Hashable, trio.MemorySendChannel[dict[str, Any]]] = {}

    async def read(self) -> None:
        try:
            while True:
                message = json.loads(await self._websocket.get_message())
                # Janus acknowledges first what it answers later.
                if message.get("janus") == "ack":
                    continue
                channel = self._answers.pop(_key(message), None)
                if channel is not None:
                    channel.send_nowait(message)
        except ConnectionClosed:
            return

    def expect(self, key: Hashable) -> trio.MemoryReceiveChannel[dict[str, Any]]:
        """Where the message with this key will be."""
        send, receive = trio.open_memory_channel[dict[str, Any]](1)
        self._answers[key] = send
        return receive

    async def ask(self, key: Hashable, message: dict[str, Any]) -> dict[str, Any]:
        receive = self.expect(key)
        with trio.fail_after(_PATIENCE):
            await self._websocket.send_message(json.dumps(message))
            answer = await receive.receive()
        assert "error" not in answer, answer
        return answer


def _key(message: dict[str, Any]) -> Hashable:
    """A reply's request, or what an event of Janus says of which handle."""
    key: Hashable = message.get("id", message.get("transaction"))
    return (message.get("janus"), message.get("sender")) if key is None else key


@asynccontextmanager
async def _open_requests(url: str, subprotocol: str | None = None) -> AsyncIterator[_Requests]:
    """Connects as soon as the server listens."""
    await _until_listening(urlsplit(url))
    async with (
        open_websocket_url(url, subprotocols=[subprotocol] if subprotocol else None) as websocket,
        trio.open_nursery() as nursery,
    ):
        requests = _Requests(websocket)
        nursery.start_soon(requests.read)
        yield requests
        nursery.cancel_scope.cancel()


async def _until_listening(url: SplitResult) -> None:
    with trio.fail_after(_PATIENCE):
        while True:
            try:
                stream = await trio.open_tcp_stream(url.hostname or "", url.port or 0)
            except OSError:
                await trio.sleep(0.05)
            else:
                await stream.aclose()
                return


class MediaServer(ABC):
    """Streams and their viewers on a running server."""

    def __init__(self, process: trio.Process) -> None:
        self._process = psutil.Process(process.pid)

    def _processes(self) -> list[psutil.Process]:
        return [self._process, *self._process.children(recursive=True)]

    def pin(self) -> None:
        """Keep the whole program on the first core, where there are two."""
        for process in self._processes():
            for thread in process.threads():
                pin(0, thread.id)

    def cpu(self) -> float:
        """Seconds used so far, user and system, by all its processes."""
        return sum(times.user + times.system for times in (one.cpu_times() for one in self._processes()))

    def resident(self) -> float:
        """kB of all its processes."""
        return sum(process.memory_info().rss for process in self._processes()) / 1000

    def threads(self) -> int:
        return sum(process.num_threads() for process in self._processes())

    @abstractmethod
    async def publish(self, publisher: TestPeer) -> Any:
        """Connect a source; returns what it is called."""

    @abstractmethod
    async def view(self, viewer: TestPeer, source: Any = None) -> str:
        """Connect a viewer of this source, or of the newest one; returns what it is called."""

    @abstractmethod
    async def leave(self, viewer: str) -> None:
        """Let a viewer go."""


class Roomfsm(MediaServer):
    """`roomfsm mediaserver`, driven by Kurento's protocol."""

    def __init__(self, process: trio.Process, requests: _Requests) -> None:
        super().__init__(process)
        self._requests = requests
        self._ids = count(1)
        self._pipeline = self._source = ""

    async def _call(self, method: str, **params: Any) -> str:
        id_ = next(self._ids)
        message = {"jsonrpc": "2.0", "id": id_, "method": method, "params": params}
        answer = await self._requests.ask(id_, message)
        value: str = answer["result"].get("value")
        return value

    async def _invoke(self, object_id: str, operation: str, **arguments: Any) -> str:
        return await self._call("invoke", object=object_id, operation=operation, operationParams=arguments)

    async def _endpoint(self, **options: Any) -> str:
        parameters = {"mediaPipeline": self._pipeline, **options}
        return await self._call("create", type="WebRtcEndpoint", constructorParams=parameters)

    async def publish(self, publisher: TestPeer) -> str:
        if not self._pipeline:
            self._pipeline = await self._call("create", type="MediaPipeline")
        self._source = await self._endpoint()
        await publisher.accept(await self._invoke(self._source, "processOffer", offer=publisher.offer))
        return self._source

    async def view(self, viewer: TestPeer, source: str | None = None) -> str:
        endpoint = await self._endpoint()
        await self._invoke(source or self._source, "connect", sink=endpoint)
        await viewer.accept(await self._invoke(endpoint, "processOffer", offer=viewer.offer))
        return endpoint

    async def leave(self, viewer: str) -> None:
        await self._call("release", object=viewer)

    async def link_to(self, child: Roomfsm) -> None:
        """Send the source's media to another server, whose source they become."""
        ours = await self._endpoint(sendonly=True)
        child._pipeline = await child._call("create", type="MediaPipeline")
        child._source = await child._endpoint()
        await self._invoke(self._source, "connect", sink=ours)
        offer = await self._invoke(ours, "generateOffer")
        answer = await child._invoke(child._source, "processOffer", offer=offer)
        await self._invoke(ours, "processAnswer", answer=answer)


class Janus(MediaServer):
    """Janus's VideoRoom, over its websocket."""

    def __init__(self, process: trio.Process, requests: _Requests) -> None:
        super().__init__(process)
        self._requests = requests
        self._transactions = count(1)
        self._session = self._feed = 0

    async def _ask(self, **message: Any) -> dict[str, Any]:
        transaction = str(next(self._transactions))
        if self._session:
            message["session_id"] = self._session
        return await self._requests.ask(transaction, message | {"transaction": transaction})

    async def _attach(self) -> int:
        answer = await self._ask(janus="attach", plugin="janus.plugin.videoroom")
        handle: int = answer["data"]["id"]
        return handle

    async def publish(self, publisher: TestPeer) -> int:
        if not self._session:
            self._session = (await self._ask(janus="create"))["data"]["id"]
        handle = await self._attach()
        up = self._requests.expect(("webrtcup", handle))
        joined = await self._ask(
            janus="message",
            handle_id=handle,
            body={"request": "joinandconfigure", "room": 1, "ptype": "publisher"},
            jsep={"type": "offer", "sdp": _for_janus(publisher)},
        )
        self._feed = joined["plugindata"]["data"]["id"]
        await publisher.accept(joined["jsep"]["sdp"], full_agent=True)
        with trio.fail_after(_PATIENCE):
            await up.receive()
        return self._feed

    async def view(self, viewer: TestPeer, source: int | None = None) -> str:
        handle = await self._attach()
        streams = [{"feed": source or self._feed}]
        attached = await self._ask(
            janus="message",
            handle_id=handle,
            body={"request": "join", "room": 1, "ptype": "subscriber", "streams": streams},
        )
        # Janus offers what the source sends, under the source's payload types: the test peers' own.
        await self._ask(
            janus="message",
            handle_id=handle,
            body={"request": "start"},
            jsep={"type": "answer", "sdp": _for_janus(viewer)},
        )
        await viewer.accept(attached["jsep"]["sdp"], full_agent=True)
        return str(handle)

    async def leave(self, viewer: str) -> None:
        await self._ask(janus="detach", handle_id=int(viewer))


def _for_janus(peer: TestPeer) -> str:
    """The peer's description with what Janus wants to know beforehand: the candidate, the source's SSRCs, and that
    the peer will be the DTLS client, which Janus is otherwise."""
    host, port = peer.socket.getsockname()
    candidate = f"a=candidate:1 1 udp 2122260223 {host} {port} typ host\r\na=end-of-candidates"
    description = peer.offer.replace("a=setup:actpass", f"a=setup:active\r\n{candidate}")
    for mid, ssrc in enumerate((AUDIO_SSRC, VIDEO_SSRC)):
        description = description.replace(f"a=mid:{mid}\r\n", f"a=mid:{mid}\r\na=ssrc:{ssrc} cname:test\r\n")
    return description


def have_janus() -> bool:
    """Whether it is installed, and the machine has an address that it uses: it never uses the loopback device."""
    return shutil.which("janus") is not None and HOST != _LOOPBACK


type OpenServer = Callable[[], AbstractAsyncContextManager[MediaServer]]


def servers(workers: Sequence[int] = (1,), *, janus: bool = True) -> dict[str, OpenServer]:
    """What can be measured here, by name; where Janus is wanted and cannot be, says so."""
    found: dict[str, OpenServer] = {}
    for number in workers:
        name = "roomfsm" if number == 1 else f"roomfsm, {number} workers"
        found[name] = partial(open_roomfsm, *([] if number == 1 else [f"--workers={number}"]))
    if janus and have_janus():
        found |= {"janus": open_janus, "janus, 1 loop": partial(open_janus, 1)}
    elif janus:
        print("Janus is not measured: it is not installed, or there is no address but the loopback device's")
    return found


@asynccontextmanager
async def open_roomfsm(*options: str) -> AsyncIterator[Roomfsm]:
    command = [sys.executable, "-m", "roomfsm.mediaserver", "--port=0", f"--media-host={HOST}"]
    async with _process([*command, "--exit-with-parent", "--log-format=json", *options]) as process:
        assert process.stdout is not None
        line = b""
        with trio.fail_after(_PATIENCE):
            while not line.endswith(b"\n"):
                line += await process.stdout.receive_some()
        async with _open_requests(json.loads(line)["url"]) as requests:
            yield Roomfsm(process, requests)


@asynccontextmanager
async def open_janus(event_loops: int = 0) -> AsyncIterator[Janus]:
    """Janus as it comes, with a thread a viewer, or with `event_loops` threads for all viewers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        _configure_janus(Path(folder), port, event_loops)
        command = ["janus", f"--configs-folder={folder}", "--disable-stdout", f"--log-file={folder}/log"]
        async with (
            _process(command, folder) as process,
            _open_requests(f"ws://127.0.0.1:{port}/", "janus-protocol") as requests,
        ):
            yield Janus(process, requests)


def _configure_janus(folder: Path, port: int, event_loops: int) -> None:
    loops = f"event_loops = {event_loops}" if event_loops else ""
    (folder / "janus.jcfg").write_text(
        f"""general: {{ debug_level = 2 session_timeout = 0 {loops} }}
        nat: {{ ice_enforce_list = "{HOST}" }}
        transports: {{ disable = "{_others("transports", "websockets")}" }}
        plugins: {{ disable = "{_others("plugins", "videoroom")}" }}
        """
    )
    (folder / "janus.plugin.videoroom.jcfg").write_text(
        """room-1: { publishers = 100 bitrate = 10000000 audiocodec = "opus" videocodec = "vp8" }"""
    )
    (folder / "janus.transport.websockets.jcfg").write_text(
        f"""general: {{ ws = true ws_ip = "127.0.0.1" ws_port = {port} wss = false }}"""
    )


def _others(kind: str, wanted: str) -> str:
    """Janus's parts of a kind but for the wanted one: some of them crash it where they find no configuration."""
    return ",".join(
        path.name
        for folder in Path("/usr/lib").glob(f"*/janus/{kind}")
        for path in folder.glob("*.so")
        if wanted not in path.name
    )


@asynccontextmanager
async def _process(command: list[str], folder: str | None = None) -> AsyncIterator[trio.Process]:
    process = await trio.lowlevel.open_process(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=folder
    )
    try:
        yield process
    finally:
        with trio.CancelScope(shield=True):
            process.terminate()
            with trio.move_on_after(5):
                await process.wait()
            process.kill()
            await process.wait()
