"""A real Chromium behind a poor path: what it is sent, sees and hears, with ten good viewers beside it.

`uv run python -m tests.bench.poor_path [--rates 600 300] [--seconds 20]`. A Chromium presents some 490 kbit/s, and
another watches through a relay with a rate, a drop-tail queue of 300 ms and, after 10 s, an outage of 0.4 s.
"""

from __future__ import annotations

import argparse
import json
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

import trio

from roomfsm.load.path import Path
from roomfsm.mediaserver.base.kinds import MediaKind
from roomfsm.mediaserver.engine.engine import Peer
from tests.mediaserver.observer import RecordingObserver
from tests.mediaserver.peer import TestPeer, open_test_peer
from tests.mediaserver.private_network import ADDRESS, run_in_private_network
from tests.mediaserver.test_browsers import Stage, open_stage, received

VIDEO = 440
"""kbit/s that the presenter is asked to keep below."""
OUTAGE = 0.4
BEFORE = 10.0
"""Seconds before the outage."""
INTERVAL = 2.0
"""Seconds of a line of the table."""
GOOD = 10
_AUDIO = """peer.getStats().then((all) => {
  for (const one of all.values()) if (one.type === 'inbound-rtp' && one.kind === 'audio') return one;
})"""


class GoodViewer:
    """Counts what comes, and what of it is missing."""

    def __init__(self, client: TestPeer) -> None:
        self.numbers: dict[bytes, set[int]] = {}
        client.tap = self._take

    def _take(self, datagram: bytes) -> None:
        if 128 <= datagram[0] <= 191 and not 192 <= datagram[1] <= 223:
            self.numbers.setdefault(datagram[8:12], set()).add(int.from_bytes(datagram[2:4]))

    @property
    def lost(self) -> int:
        """Packets; of runs shorter than half the numbers there are."""
        return sum(max(numbers) - min(numbers) + 1 - len(numbers) for numbers in self.numbers.values())


async def _present(stage: Stage) -> Peer:
    page = await stage.browsers["chromium"].open_page(stage.url)
    peer = stage.engine.open_peer(RecordingObserver())
    peer.max_video_receive_bandwidth = VIDEO
    answer = peer.process_offer(await page.run("publish('VP8')"))
    await page.run(f"accept({json.dumps(answer)})")
    return peer


async def measure(rate: int, seconds: float) -> None:
    async with AsyncExitStack() as stack:
        path = Path(delay=0.01, rate=1000 * rate)
        stage = await stack.enter_async_context(open_stage(path, "chromium"))
        source = await _present(stage)
        good = []
        for _ in range(GOOD):
            peer = stage.engine.open_peer(RecordingObserver())
            source.connect(peer)
            client = await stack.enter_async_context(open_test_peer("recvonly", host=ADDRESS))
            await client.accept(peer.process_offer(client.offer))
            good.append(GoodViewer(client))
        page, viewer = await stage.join("chromium", "view()", source)
        await received(page, "it.framesDecoded > 0")
        print(f"path of {rate} kbit/s")
        print("second  kbit/s in  kbit/s out  frames/s  audio concealed  keyframes")
        begin = trio.current_time()
        before = await _sample(stage, page, source)
        cut = False
        while (elapsed := trio.current_time() - begin) < BEFORE + seconds:
            if not cut and elapsed >= BEFORE:
                cut = stage.relay.down = True
                await trio.sleep(OUTAGE)
                stage.relay.down = False
            await trio.sleep(INTERVAL - (trio.current_time() - begin) % INTERVAL)
            now = await _sample(stage, page, source)
            change = {name: now[name] - before[name] for name in now}
            took = change["time"]
            print(
                f"{trio.current_time() - begin:6.1f}  {8e-3 * change['came'] / took:9.0f}"
                f"  {8e-3 * change['offered'] / took:10.0f}  {change['frames'] / took:8.1f}"
                f"  {100 * change['concealed'] / max(1, change['samples']):14.1f}%  {change['keyframes']:9.0f}",
                flush=True,
            )
            before = now
        lost = [one.lost for one in good]
        sent = viewer.stats().sending[MediaKind.VIDEO]
        print(f"good viewers lost {lost}; repeated to the poor one: {sent.retransmitted} of {sent.packets}\n")


async def _sample(stage: Stage, page: Any, source: Peer) -> dict[str, float]:
    audio, video = await page.run(_AUDIO) or {}, await received(page)
    stats = source.stats().receiving
    return {
        "time": trio.current_time(),
        "came": sum(one.bytes for one in stats.values()),
        "offered": stage.relay.offered,
        "frames": video.get("framesDecoded", 0),
        "concealed": audio.get("concealedSamples", 0),
        "samples": audio.get("totalSamplesReceived", 0),
        "keyframes": stats[MediaKind.VIDEO].keyframes,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rates", type=int, nargs="+", default=[600, 300], help="kbit/s")
    parser.add_argument("--seconds", type=float, default=20.0, help="after the outage")
    arguments = parser.parse_args()
    for rate in arguments.rates:
        run_in_private_network(partial(measure, rate, arguments.seconds))


if __name__ == "__main__":
    main()
