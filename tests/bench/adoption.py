"""Whether a picture stops when the room server ends and is started again, and what it costs to have that.

`uv run python -m tests.bench.adoption [--how kill|restart] [--kurento] [--sessions 50] [--rounds 3] [--no-costs]`.
The server is killed (SIGKILL), or restarted (SIGTERM). With `--kurento` the media server is a process of its own,
and not the embedded one. A presenter and two viewers are pages in real Chromium, and the other sessions are plain
websockets, which come back as pages do. It prints, in seconds: the longest time between two frames that came to a
viewer, over 5 s without any event (the reference) and from before the end until 5 s after the last page is back;
and when the pages and the others were back, from the signal on. It fails if a page has made an offer meanwhile, or
if the SSRCs are others.

Then, with rooms that are kept and with rooms that are not: how long a viewer waits for the answer to an offer, and
the CPU of the room server a view.
"""

from __future__ import annotations

import argparse
import math
import signal
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import trio
from playwright.sync_api import Page, expect
from trio_websocket import ConnectionClosed, HandshakeError

from tests.browser.conftest import chromium
from tests.browser.test_broadcast import broadcasts, decodes
from tests.browser.test_server_killed import COUNTS_OFFERS, LOOKS, page_of, received
from tests.mediaserver.peer import open_test_peer
from tests.ports import reserved_port
from tests.processes import media_server_program
from tests.protocol_client import Client, open_client
from tests.system.cycles import PATIENCE, connect
from tests.system.left import LINGER, none_left
from tests.system.program import Program, running

ROOM = "theatre"
_CALM = 5.0
_HANDSHAKE = 1.0
_VIEWS = 300
_HOW = {"kill": signal.SIGKILL, "restart": signal.SIGTERM}


class _Others:
    """Sessions without media, in a thread of their own. They come back as soon as they can."""

    def __init__(self, url: str, count: int) -> None:
        self._url = url
        self._count = count
        self.inside = threading.Event()
        self.back = threading.Event()
        self._left = count
        self.times: list[float] = []
        """When each was back."""
        self._thread = threading.Thread(target=trio.run, args=(self._run,), daemon=True)
        self._thread.start()

    async def _run(self) -> None:
        async with trio.open_nursery() as nursery:
            for _ in range(self._count):
                nursery.start_soon(self._stay)

    async def _stay(self) -> None:
        async with open_client(self._url) as client:
            await client.join(ROOM)
            token = client.welcome["resumeToken"]
            self._one_more(self.inside)
            await _until_closed(client)
        while True:
            # The client does not notice that it was cut off in the middle of the handshake, by a server that ends.
            with suppress(OSError, HandshakeError, ConnectionClosed), trio.move_on_after(_HANDSHAKE) as patience:
                async with open_client(self._url) as client:
                    patience.deadline = math.inf
                    assert (await client.ask("resume", token=token))["resumed"]
                    self.times.append(time.monotonic())
                    self._one_more(self.back)
                    await _until_closed(client)
                    return
            await trio.sleep(0.1)

    def _one_more(self, all_of_them: threading.Event) -> None:
        self._left -= 1
        if self._left == 0:
            self._left = self._count
            all_of_them.set()


async def _until_closed(client: Client) -> None:
    with suppress(ConnectionClosed):
        while True:
            await client._receive()


def _gaps(viewers: Sequence[Page]) -> list[float]:
    """The longest gaps since they were asked for last, in seconds."""
    return [
        viewer.evaluate("() => { const {gap} = window; window.gap = 0; return gap; }") / 1000 for viewer in viewers
    ]


@contextmanager
def _media_server(data: Path, *, apart: bool) -> Iterator[str]:
    """The argument for a media server that goes on without its room server."""
    with none_left(data), ExitStack() as stack:
        yield f"--kurento={stack.enter_context(media_server_program())[0]}" if apart else LINGER


def _end(sessions: int, how: signal.Signals, *, apart: bool) -> None:
    folder = Path(tempfile.mkdtemp())
    data = folder / "data"
    with (
        _media_server(data, apart=apart) as media,
        reserved_port() as port,
        chromium() as browser,
        ExitStack() as stack,
    ):
        arguments = (f"--data={data}", media, f"--port={port}")
        with running(folder, *arguments) as first:
            address = f"{first.address}r/{ROOM}"
            pages = [
                stack.enter_context(page_of(browser, name, address, COUNTS_OFFERS))
                for name in ("Ada", "Bob", "Eve")
            ]
            ada, *viewers = pages
            broadcasts(ada)
            others = _Others(first.url, sessions - len(pages))
            assert others.inside.wait(PATIENCE)
            for viewer in viewers:
                decodes(viewer)
                viewer.evaluate(LOOKS)
            ada.wait_for_timeout(1000 * _CALM)
            calm = _gaps(viewers)
            before = _media(pages, viewers)
            ended = time.monotonic()
            first.process.send_signal(how)
            first.process.wait()
            took = time.monotonic() - ended
        with running(folder, *arguments):
            started = time.monotonic() - ended
            for page in pages:
                expect(page.get_by_test_id("connection-state")).to_have_text("Connected")
            pages_back = time.monotonic() - ended
            assert others.back.wait(PATIENCE)
            all_back = time.monotonic() - ended
            ada.wait_for_timeout(1000 * _CALM)
            over_it = _gaps(viewers)
            assert _media(pages, viewers) == before, "something was negotiated again"
    print(
        f"  longest gap: calm {_row(calm)}, over the end {_row(over_it)};"
        f" ended after {took:.2f}, started after {started:.2f}, pages back {pages_back:.2f},"
        f" others back: p50 {statistics.median(others.times) - ended:.2f}, all {all_back:.2f}",
        flush=True,
    )


def _media(pages: Sequence[Page], viewers: Sequence[Page]) -> tuple[list[int], list[list[Any]]]:
    """How many offers each page has made, and over which connections the viewers receive what."""
    return [page.evaluate("window.offers") for page in pages], [received(viewer)[1] for viewer in viewers]


def _row(gaps: Sequence[float]) -> str:
    return " ".join(f"{gap:.3f}" for gap in gaps)


async def _views(program: Program) -> tuple[float, float]:
    """The median of the milliseconds until a view is answered, and the milliseconds of CPU for each."""
    took: list[float] = []
    server = psutil.Process(program.process.pid)
    async with (
        open_client(program.url) as ada,
        open_client(program.url) as bob,
        open_test_peer("sendonly") as camera,
        open_test_peer("recvonly") as display,
    ):
        await ada.join(ROOM)
        await bob.join(ROOM)
        await connect(camera, await ada.ask("publish", source="camera", sdp=camera.offer))
        stream = f"{ada.me}.camera"
        for number in range(_VIEWS + 20):
            if number == 20:
                before = server.cpu_times()
            began = time.perf_counter()
            answer = await bob.ask("view", stream=stream, sdp=display.offer)
            took.append(time.perf_counter() - began)
            assert answer["type"] == "answer", answer
            await bob.ask("unview", stream=stream)
        after = server.cpu_times()
    cpu = after.user + after.system - before.user - before.system
    return statistics.median(took[20:]) * 1e3, cpu / _VIEWS * 1e3


def _costs(rounds: int) -> None:
    rates = [f"--{name}=1000000000" for name in ("told-rate", "room-told-rate", "message-rate", "message-burst")]
    figures: dict[str, list[tuple[float, float]]] = {"kept": [], "not kept": []}
    for _ in range(rounds):
        for name, found in figures.items():
            folder = Path(tempfile.mkdtemp())
            where = folder / "data" if name == "kept" else "none"
            with running(folder, f"--data={where}", *rates) as program:
                found.append(trio.run(_views, program))
    for name, found in figures.items():
        answer, cpu = (statistics.median(column) for column in zip(*found, strict=True))
        print(f"  {name:9} a view is answered after {answer:.2f} ms, and costs {cpu:.2f} ms of CPU", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--how", choices=_HOW, default="kill")
    parser.add_argument("--kurento", action="store_true", help="a media server apart")
    parser.add_argument("--no-costs", action="store_true", help="only the gaps")
    options = parser.parse_args()
    how = _HOW[options.how]
    print(f"{options.sessions} sessions in the room, ended by {how.name} and started again")
    for _ in range(options.rounds):
        _end(options.sessions, how, apart=options.kurento)
    if not options.no_costs:
        print("the cost")
        _costs(options.rounds)


if __name__ == "__main__":
    main()
