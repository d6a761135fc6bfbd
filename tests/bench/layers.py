"""One presenter, and viewers with good and poor paths, in real Chromium: what each of them gets, sees and hears.

`uv run python -m tests.bench.layers [--single] [--seconds 60] [--svg FILE]`. The presenter sends 1280 x 720 pixels
in three layers of 1.5 Mbit/s at most, or with `--single` in one. Five viewers in a Chromium have their own paths:
5 Mbit/s, 600, 300 and 100 kbit/s, each with a drop-tail queue of 300 ms, and one that changes between 5 Mbit/s
and 300 kbit/s every 10 s. Six more without a browser count what comes over a good path, and what is missing.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

import trio

from roomfsm.load.path import Path
from roomfsm.mediaserver.base.kinds import MediaKind
from roomfsm.mediaserver.base.settings import EngineSettings
from roomfsm.mediaserver.engine.engine import Engine, Peer, open_engine
from tests.bench.layers_plot import plot
from tests.bench.poor_path import GoodViewer
from tests.mediaserver.browsers import Page, open_chromium
from tests.mediaserver.observer import RecordingObserver
from tests.mediaserver.peer import open_test_peer
from tests.mediaserver.private_network import ADDRESS, run_in_private_network
from tests.mediaserver.test_browsers import page_server, received
from tests.mediaserver.udp_relay import Relay, open_relay

GOOD, POOR = 5_000_000.0, 300_000.0
CHANGE = 10.0
"""Seconds between two changes of the path that changes."""
PATHS: tuple[tuple[str, Sequence[float]], ...] = (
    ("5 Mbit/s", (GOOD,)),
    ("600 kbit/s", (600_000.0,)),
    ("300 kbit/s", (POOR,)),
    ("100 kbit/s", (100_000.0,)),
    ("5 Mbit/s and 300 kbit/s", (GOOD, POOR)),
)
"""The names of the paths, and their rates in bit/s, one after another."""
OTHERS = 6
STEP = 0.5
SETTLED = 3.0
"""Seconds after which a viewer's sound should be whole."""
BITRATE = 1500
"""kbit/s that the presenter may send in one layer, or in the largest of three."""
SAMPLE = """peer.getStats().then((all) => {
  const none = {bytes: 0, frames: 0, width: 0, squares: 0, concealed: 0, heard: 0};
  const found = {at: performance.now(), audio: none, video: none};
  for (const one of all.values()) if (one.type === 'inbound-rtp') {
    found[one.kind] = {bytes: one.bytesReceived, frames: one.framesDecoded ?? 0, width: one.frameWidth ?? 0,
      squares: one.totalSquaredInterFrameDelay ?? 0,
      concealed: one.concealedSamples, heard: one.totalSamplesReceived};
  }
  return found;
})"""


class Moment(NamedTuple):
    """What one viewer got within half a second."""

    time: float
    """When it ended, in seconds."""
    rate: float
    """What the path carries, in bit/s."""
    came: float
    """bit/s of media that arrived."""
    width: int
    frames: float
    """Frames a second."""
    gap: float
    """The longest time between two frames in seconds, of those that ended now."""
    concealed: float
    """The share of the sound that had to be made up."""
    paused: bool
    """Whether the server sent no picture, because the path was too slow."""


@dataclass
class Viewer:
    """One viewer in the browser, and what became of it."""

    name: str
    rates: Sequence[float]
    page: Page
    peer: Peer
    relay: Relay
    moments: list[Moment] = field(default_factory=list)

    async def watch(self, seconds: float) -> None:
        began = trio.current_time()
        before = await self.page.run(SAMPLE)
        for step in range(1, int(seconds / STEP) + 1):
            await trio.sleep_until(began + step * STEP)
            rate = self.rates[int((step - 1) * STEP / CHANGE) % len(self.rates)]
            if rate != self.relay.path.rate:
                self.relay.change_rate(rate)
            now = await self.page.run(SAMPLE)
            took = (now["at"] - before["at"]) / 1000
            picture, sound = (
                {key: now[kind][key] - before[kind][key] for key in now[kind]} for kind in ("video", "audio")
            )
            self.moments.append(
                Moment(
                    step * STEP,
                    rate,
                    8 * (picture["bytes"] + sound["bytes"]) / took,
                    now["video"]["width"],
                    picture["frames"] / took,
                    picture["squares"] ** 0.5 if picture["frames"] else 0.0,
                    sound["concealed"] / max(1, sound["heard"]),
                    self.peer._sinks[MediaKind.VIDEO].paused,
                )
            )
            before = now

    def summary(self) -> str:
        settled = [one for one in self.moments if one.time > SETTLED]
        freezes = [
            one.gap
            for earlier, one in pairwise(self.moments)
            if not (earlier.paused or one.paused) and one.time > SETTLED
        ]
        return (
            f"{self.name:24}  {sum(one.came for one in settled) / len(settled) / 1000:6.0f}"
            f"  {sum(one.frames for one in settled) / len(settled):8.1f}"
            f"  {max(freezes, default=0.0):14.2f}"
            f"  {100 * sum(one.concealed for one in settled) / len(settled):9.2f} %"
            f"  {sum(one.paused for one in settled) * STEP:10.1f}"
        )

    def climbs(self) -> list[float]:
        """Seconds from each time that the path became better until the picture was as wide as it was before."""
        widest = max(one.width for one in self.moments)
        better = [after.time - STEP for before, after in pairwise(self.moments) if after.rate > before.rate]
        found = []
        for begin in better:
            wide = (one.time for one in self.moments if begin < one.time < begin + CHANGE and one.width == widest)
            found.append(next(wide, float("inf")) - begin)
        return found


async def _present(engine: Engine, page: Page, *, single: bool) -> Peer:
    peer = engine.open_peer(RecordingObserver())
    if single:
        peer.max_video_receive_bandwidth = BITRATE
    layered = json.dumps(not single)
    answer = peer.process_offer(await page.run(f"publish('VP8', {{layered: {layered}, large: true}})"))
    await page.run(f"accept({json.dumps(answer)})")
    return peer


async def _view(
    stack: AsyncExitStack, engine: Engine, page: Page, source: Peer, rate: float
) -> tuple[Peer, Relay]:
    relay = await stack.enter_async_context(open_relay(ADDRESS, engine.port, Path(rate=rate, delay=0.01)))
    peer = engine.open_peer(RecordingObserver())
    source.connect(peer)
    answer = relay.redirect(peer.process_offer(await page.run("view()")), engine.port)
    await page.run(f"accept({json.dumps(answer)})")
    return peer, relay


async def measure(single: bool, seconds: float) -> list[Viewer]:
    async with AsyncExitStack() as stack:
        engine = await stack.enter_async_context(open_engine(EngineSettings(host=ADDRESS)))
        url = await stack.enter_async_context(page_server())
        browser = await stack.enter_async_context(open_chromium())
        stand = await browser.open_page(url)
        source = await _present(engine, stand, single=single)
        others = []
        for _ in range(OTHERS):
            peer = engine.open_peer(RecordingObserver())
            source.connect(peer)
            client = await stack.enter_async_context(open_test_peer("recvonly", host=ADDRESS))
            await client.accept(peer.process_offer(client.offer))
            others.append(GoodViewer(client))
        pages = [await browser.open_page(url) for _ in PATHS]
        viewers = []
        for (name, rates), page in zip(PATHS, pages, strict=True):
            peer, relay = await _view(stack, engine, page, source, rates[0])
            viewers.append(Viewer(name, rates, page, peer, relay))
        await received(pages[0], "it.framesDecoded > 0")
        async with trio.open_nursery() as nursery:
            for viewer in viewers:
                nursery.start_soon(viewer.watch, seconds)
        print("one layer" if single else "three layers")
        print("path                      kbit/s  frames/s  longest freeze  concealed  s without picture")
        for viewer in viewers:
            print(viewer.summary())
        print(f"better again after {[round(time, 1) for time in viewers[-1].climbs()]} s")
        print(f"packets that {OTHERS} good viewers lost: {[one.lost for one in others]}", flush=True)
        return viewers


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--single", action="store_true", help="the presenter sends one layer")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--svg", help="where to write a picture of it")
    arguments = parser.parse_args()

    async def run() -> None:
        viewers = await measure(arguments.single, arguments.seconds)
        if arguments.svg is not None:
            title = "One layer" if arguments.single else "Three layers"
            drawn = [(viewer.name, viewer.moments) for viewer in viewers]
            await trio.Path(arguments.svg).write_text(plot(title, drawn, arguments.seconds))

    run_in_private_network(run)


if __name__ == "__main__":
    main()
