"""Whether joins and leaves leave anything behind: thousands of them with media running, half without a goodbye.

`uv run python -m tests.bench.soak [--joins 10000] [--plot soak.svg] [--minutes 30]`. The media server runs in a
process of its own and is driven by Kurento's protocol; a presenter sends video throughout, and each who joins
sends some and gets the presenter's. They part in four ways in turn: the browser closes and its endpoint is
released; it is released first; the browser vanishes and its application with it, so that the collector ends the
session; it vanishes and its application releases it once the server notes the silence. Prints the memory and
what is left, writes the plot, and ends with 1 if anything is left or memory grew.
"""

from __future__ import annotations

import argparse
import gc
import multiprocessing
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection
from pathlib import Path

import psutil
import trio

from roomfsm.mediaserver.base.settings import EngineSettings
from roomfsm.mediaserver.kurento.limits import Limits
from roomfsm.mediaserver.kurento.server_manager import MANAGER_ID
from roomfsm.mediaserver.parents import Ready
from roomfsm.mediaserver.program import MediaServerSettings, run
from tests.bench.soak_plot import write_plot
from tests.mediaserver.kurento_client import Client, open_client
from tests.mediaserver.peer import VP8_DELTA, VP8_KEYFRAME, TestPeer, open_test_peer

LANES = 16
"""Who join at the same time."""
JOINS_A_SOCKET = 20
"""Then a lane's application connects anew, with a new session."""
SAMPLES = 200
WARM_UP = 0.5
"""The part of the joins before which growth is not counted: pools and caches fill."""
MAX_GROWTH = 1.0
"""kB a join."""
PATIENCE = 30.0
CHECK_INTERVAL = 0.5
SHORT = {"collector_period": 2.0, "request_cache_time": 2.0}
"""Kurento's 240 and 20 s would only make the plateau come later."""
SILENCE = 2.5
"""Seconds after which a vanished browser is noted, instead of 10."""


# The server's process


class _Settings(MediaServerSettings):
    @property
    def engine(self) -> EngineSettings:
        return replace(super().engine, peer_silence=SILENCE)


def _living() -> Counter[str]:
    """The server's own objects by their class."""
    gc.collect()
    classes = (type(item) for item in gc.get_objects())
    return Counter(f"{c.__module__}.{c.__qualname__}" for c in classes if c.__module__.startswith("roomfsm.media"))


def _serve(pipe: Connection) -> None:
    """Send the address; then for each message a count of the living objects."""

    async def main() -> None:
        settings = _Settings(port=0, media_host="127.0.0.1", limits=Limits(**SHORT))  # type: ignore[arg-type]
        async with trio.open_nursery() as nursery:
            ready: Ready = await nursery.start(run, settings)
            pipe.send(ready.url)
            while await trio.to_thread.run_sync(pipe.recv):
                pipe.send(_living())
            nursery.cancel_scope.cancel()

    trio.run(main)


@dataclass(frozen=True, slots=True)
class Server:
    url: str
    process: psutil.Process
    pipe: Connection

    def resident(self) -> int:
        """kB."""
        return int(self.process.memory_info().rss) // 1024

    def living(self) -> Counter[str]:
        self.pipe.send(True)
        living: Counter[str] = self.pipe.recv()
        return living


@contextmanager
def server() -> Iterator[Server]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs,), daemon=True)
    process.start()
    try:
        yield Server(ours.recv(), psutil.Process(process.pid), ours)
        ours.send(False)
    finally:
        process.join(10)
        process.kill()


# The clients' process


@dataclass(slots=True)
class Soak:
    """The run, as it goes on."""

    server: Server
    joins: int
    pipeline: str
    presenter: str
    """Ids of the pipeline and of the endpoint that everybody views."""
    done: int = 0
    began: float = field(default_factory=time.monotonic)
    samples: list[tuple[int, int]] = field(default_factory=list)
    """Joins so far, and kB."""

    async def join(self, client: Client, number: int) -> bool:
        """One who joins, gets media and parts; whether the application's connection outlives it."""
        way = number % 4
        endpoint = await client.endpoint(self.pipeline)
        await client.call("subscribe", object=endpoint, type="MediaStateChanged")
        async with open_test_peer("sendrecv") as browser:
            answer = await client.invoke(endpoint, "processOffer", offer=browser.offer)
            await client.invoke(endpoint, "gatherCandidates")
            await client.invoke(self.presenter, "connect", sink=endpoint)
            await connect(browser, answer)
            for index in range(3):
                browser.send_rtp(VP8_KEYFRAME, timestamp=index * 3000)
            await browser.receive_rtp()
            if way == 0:
                browser.close_notify()
                await client.event("MediaStateChanged", source=endpoint, newState="DISCONNECTED")
            elif way == 1:
                await client.call("release", object=endpoint)
                await browser.closed.wait()
        if way == 3:
            await client.event("MediaStateChanged", source=endpoint, newState="DISCONNECTED")
        if way in (0, 3):
            await client.call("release", object=endpoint)
        self._sample()
        return way != 2

    def _sample(self) -> None:
        self.done += 1
        if self.done % max(1, self.joins // SAMPLES) == 0:
            self.samples.append((self.done, self.server.resident()))
            if self.done % max(1, self.joins // 10) == 0:
                seconds = time.monotonic() - self.began
                print(f"{self.done} joins, {seconds:.0f} s, {self.samples[-1][1]} kB", flush=True)

    async def lane(self, numbers: Iterator[int]) -> None:
        """Join again and again, over a connection that lasts for some joins, or until it is cut."""
        while True:
            async with open_client(self.server.url) as client:
                for _ in range(JOINS_A_SOCKET):
                    number = next(numbers, None)
                    if number is None:
                        return
                    with trio.fail_after(PATIENCE):
                        if not await self.join(client, number):
                            await client.websocket._stream.aclose()
                            break

    def growth(self) -> float:
        """kB a join after the warm-up: the slope of the line nearest to the samples."""
        steady = [(x, y) for x, y in self.samples if x >= self.joins * WARM_UP]
        middle_x = sum(x for x, _ in steady) / len(steady)
        middle_y = sum(y for _, y in steady) / len(steady)
        spread = sum((x - middle_x) ** 2 for x, _ in steady)
        return sum((x - middle_x) * (y - middle_y) for x, y in steady) / spread


async def connect(browser: TestPeer, answer: str) -> None:
    """As :meth:`TestPeer.accept`, but the check is repeated: the system may give a browser the port of one that
    just vanished, and for two seconds that is still the other's."""
    browser.take_answer(answer)
    while not browser.stun_answered.is_set():
        browser.check()
        with trio.move_on_after(CHECK_INTERVAL):
            await browser.stun_answered.wait()
    browser.start_dtls()
    await browser.connected.wait()


@asynccontextmanager
async def presenting(client: Client) -> AsyncIterator[tuple[str, str]]:
    """Somebody sends video; the ids of the pipeline and the endpoint."""
    pipeline = await client.pipeline()
    endpoint = await client.endpoint(pipeline)
    async with open_test_peer("sendonly") as camera, trio.open_nursery() as nursery:
        await camera.accept(await client.invoke(endpoint, "processOffer", offer=camera.offer))
        nursery.start_soon(_film, camera)
        yield pipeline, endpoint
        nursery.cancel_scope.cancel()
    await client.call("release", object=pipeline)


async def _film(camera: TestPeer) -> None:
    index = 0
    while True:
        camera.send_rtp(VP8_DELTA if index % 3 else VP8_KEYFRAME, timestamp=index * 3600)
        index += 1
        await trio.sleep(0.04)


async def _left(client: Client) -> tuple[int, int]:
    """Pipelines and sessions that the server still has, but for this client's own; soon none."""
    pipelines: list[str] = []
    sessions: list[str] = []
    with trio.move_on_after(PATIENCE):
        while True:
            pipelines = await client.invoke(MANAGER_ID, "getPipelines")
            sessions = await client.invoke(MANAGER_ID, "getSessions")
            if not pipelines and len(sessions) == 1:
                break
            await trio.sleep(0.5)
    return len(pipelines), len(sessions) - 1


async def soak(serving: Server, joins: int, minutes: float) -> tuple[Soak, Counter[str], tuple[int, int]]:
    """The run, the objects that the server has more than before, and what it says itself."""
    with trio.fail_after(minutes * 60):
        async with open_client(serving.url) as client:
            await client.invoke(MANAGER_ID, "getPipelines")
            before = serving.living()
            async with presenting(client) as (pipeline, presenter), trio.open_nursery() as nursery:
                run_ = Soak(serving, joins, pipeline, presenter)
                numbers = iter(range(joins))
                for _ in range(LANES):
                    nursery.start_soon(run_.lane, numbers)
            left = await _left(client)
            return run_, serving.living() - before, left


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--joins", type=int, default=10_000)
    parser.add_argument("--plot", type=Path, default=Path("soak.svg"))
    parser.add_argument("--minutes", type=float, default=30.0, help="at most")
    given = parser.parse_args()
    with server() as serving:
        run_, more, (pipelines, sessions) = trio.run(soak, serving, given.joins, given.minutes)
        growth = run_.growth()
        write_plot(given.plot, run_.samples, f"{given.joins} joins: {growth:+.2f} kB a join")
    print(f"{growth:+.3f} kB a join; left: {pipelines} pipelines, {sessions} sessions, objects {dict(more)}")
    return int(growth > MAX_GROWTH or pipelines + sessions + more.total() > 0)


if __name__ == "__main__":
    sys.exit(main())
