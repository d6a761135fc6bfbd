"""One large room: many presenters, a shared screen and many watchers, and what a real page there does with it.

`uv run python -m tests.bench.big_room [--presenters 12] [--watchers 30] [--layers] [--seconds 15]`. The presenters
and the watchers have no browser: each is a websocket, and a WebRTC peer for each stream. A Chromium encodes the
pictures beforehand (VP8), so that what the presenters send is as large as from real cameras, and the pages under
test must decode it. With `--layers` each camera is sent in three sizes, without those that the server says nobody
needs. The watchers do not even decrypt what comes. Then a page of each kind enters in a Chromium of its own, one
after another. The bench prints how long it took until all pictures in sight were there, what the page receives,
how many frames a second it decodes of each picture, and the CPU time and the memory of its whole browser. All of
them share the machine, so look at the server's own row, too.
"""

from __future__ import annotations

import argparse
import base64
import json
import statistics
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import count, cycle
from pathlib import Path
from typing import Any

import psutil
import trio
from playwright.sync_api import Browser, Page, ViewportSize, expect
from trio_websocket import ConnectionClosed, WebSocketConnection, open_websocket_url

from roomfsm.mediaserver.rtp import rtcp
from roomfsm.mediaserver.rtp.extensions import RID
from roomfsm.peer import AUDIO_SSRC, VIDEO_SSRC, Peer, run_peer
from roomfsm.protocol import SUBPROTOCOL
from tests.browser.conftest import DESKTOP, PHONE, chromium, new_person
from tests.system.program import Program, running

CLIP = 4
"""Seconds of each picture, which is repeated for ever. Each clip begins with a keyframe."""
CAMERA = {"width": 640, "height": 480, "rate": 12, "bitrate": 300_000}
LAYERS: dict[str, dict[str, int]] = {
    "l": {"width": 320, "height": 180, "rate": 12, "bitrate": 85_000},
    "m": {"width": 640, "height": 360, "rate": 12, "bitrate": 350_000},
    "h": {"width": 1280, "height": 720, "rate": 12, "bitrate": 1_200_000},
}
"""The sizes in which a camera is sent, by their rids."""
RID_ID = 10
OFFERED = (
    *(f"a=rid:{rid} send" for rid in LAYERS),
    f"a=simulcast:send {';'.join(LAYERS)}",
    f"a=extmap:{RID_ID} {RID}",
)
"""What the m-line of a camera in several sizes has beside the usual lines."""
SCREEN = {"width": 1280, "height": 720, "rate": 5, "bitrate": 600_000}
PACKET = 1100
"""Bytes of a packet's payload."""
_OPUS_SILENCE = b"\xf8\xff\xfe"
_CLOCK = 90_000
PATIENCE = 120.0

ENCODE = """async ([hue, {width, height, rate, bitrate}, seconds]) => {
  const context = new OffscreenCanvas(width, height).getContext('2d');
  const chunks = [];
  const encoder = new VideoEncoder({
    output: (chunk) => {
      const bytes = new Uint8Array(chunk.byteLength);
      chunk.copyTo(bytes);
      chunks.push(btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join('')));
    },
    error: (error) => { throw error; },
  });
  encoder.configure({codec: 'vp8', width, height, bitrate, framerate: rate, latencyMode: 'realtime'});
  for (let number = 0; number < seconds * rate; number += 1) {
    const turn = (2 * Math.PI * number) / (seconds * rate);
    context.fillStyle = `hsl(${hue} 40% 60%)`;
    context.fillRect(0, 0, width, height);
    for (let one = 0; one < 40; one += 1) {
      context.fillStyle = `hsl(${hue + one * 9} 50% ${30 + one}%)`;
      const [x, y] = [Math.sin(turn + one) * 0.4 + 0.5, Math.cos(2 * turn + one * one) * 0.4 + 0.5];
      context.fillRect(x * width, y * height, width / 12, height / 12);
    }
    const frame = new VideoFrame(context.canvas, {timestamp: (number * 1e6) / rate});
    encoder.encode(frame, {keyFrame: number === 0});
    frame.close();
  }
  await encoder.flush();
  return chunks;
}"""

RECEIVED = """async () => {
  const found = {};
  for (const [stream, peer] of window.roomfsm.peerConnections())
    for (const one of (await peer.getStats()).values()) {
      found[stream] ??= {bytes: 0, frames: 0};
      if (one.type === 'transport') found[stream].bytes = one.bytesReceived;
      if (one.type === 'inbound-rtp' && one.kind === 'video') found[stream].frames = one.framesDecoded;
    }
  return found;
}"""

LOADED = """
  // When each picture was there, in milliseconds after the page was asked for.
  window.loaded = new Map();
  document.addEventListener('loadeddata', ({target}) => {
    const tile = target.closest('[data-testid=tile]');
    if (tile && target.videoWidth && !window.loaded.has(tile)) window.loaded.set(tile, performance.now());
  }, true);
"""

HIDE = """() => {
  Object.defineProperty(document, 'visibilityState', {value: 'hidden'});
  document.dispatchEvent(new Event('visibilitychange'));
}"""


class Person:
    """One websocket of the room."""

    def __init__(self, websocket: WebSocketConnection) -> None:
        self._websocket = websocket
        self._waiting: dict[int, trio.MemorySendChannel[dict[str, Any]]] = {}
        self._refs = count(1)
        self.streams: set[str] = set()
        """The ids of the streams in the room."""
        self.layers = set(LAYERS)
        """The layers of its camera that are of use."""
        self.id = ""

    async def listen(self) -> None:
        while True:
            try:
                message = json.loads(await self._websocket.get_message())
            except ConnectionClosed:
                return
            if message["type"] in {"joined", "streamStarted"}:
                self.streams |= {one["id"] for one in message.get("streams", [message.get("stream")])}
            if message["type"] == "layers":
                self.layers = set(LAYERS if message["layers"] is None else message["layers"])
            if (waiting := self._waiting.pop(message.get("ref"), None)) is not None:
                waiting.send_nowait(message)

    async def ask(self, kind: str, **fields: Any) -> dict[str, Any]:
        """Send a request and return its reply."""
        ref = next(self._refs)
        self._waiting[ref], reply = trio.open_memory_channel[dict[str, Any]](1)
        await self._websocket.send_message(json.dumps({"type": kind, "ref": ref, **fields}))
        message = await reply.receive()
        if message["type"] == "error":
            raise RuntimeError(f"{kind} was refused: {message}")
        return message

    async def stay(self) -> None:
        while True:
            await trio.sleep(10)
            await self.ask("ping")


@asynccontextmanager
async def person_at(url: str, room: str, name: str) -> AsyncIterator[Person]:
    async with (
        open_websocket_url(url, subprotocols=[SUBPROTOCOL]) as websocket,
        trio.open_nursery() as nursery,
    ):
        person = Person(websocket)
        nursery.start_soon(person.listen)
        nursery.start_soon(person.stay)
        person.id = (await person.ask("join", room=room, name=name))["you"]
        yield person
        nursery.cancel_scope.cancel()


class Watcher(Peer):
    """A peer that counts what comes, and does not decrypt it."""

    octets = 0

    def received(self, datagram: bytes, source: tuple[str, int]) -> None:
        if datagram and 128 <= datagram[0] <= 191:
            self.octets += len(datagram)
        else:
            super().received(datagram, source)


@dataclass
class Crowd:
    """Everybody who has no browser. They run in a thread of their own, with their own event loop."""

    url: str
    clips: list[dict[str, list[bytes]]]
    """Each camera's clip in each size; of a camera that is sent in one, the rid is empty."""
    screen: list[bytes]
    watchers: int
    sounds: int
    room: str = "large"
    ready: threading.Event = field(default_factory=threading.Event)
    """Set when everybody presents and watches."""
    viewers: list[Watcher] = field(default_factory=list)
    _end: Callable[[], None] = lambda: None

    def run(self) -> None:
        trio.run(self._run)

    def end(self) -> None:
        self._end()

    @property
    def octets(self) -> int:
        """What all watchers have received."""
        return sum(one.octets for one in self.viewers)

    async def _run(self) -> None:
        async with trio.open_nursery() as nursery, AsyncExitStack() as stack:
            token = trio.lowlevel.current_trio_token()
            self._end = lambda: token.run_sync_soon(nursery.cancel_scope.cancel)
            for number, clip in enumerate(self.clips):
                one = await stack.enter_async_context(person_at(self.url, self.room, f"Presenter {number + 1}"))
                await self._present(stack, nursery, one, "camera", clip, CAMERA["rate"], number < self.sounds)
                if number == 0 and self.screen:
                    await self._present(stack, nursery, one, "screen", {"": self.screen}, SCREEN["rate"], False)
            for number in range(self.watchers):
                one = await stack.enter_async_context(person_at(self.url, self.room, f"Watcher {number + 1}"))
                for stream in sorted(one.streams):
                    peer = await stack.enter_async_context(run_peer(Watcher("recvonly"), "127.0.0.1"))
                    await self._connect(peer, one, "view", stream=stream)
                    self.viewers.append(peer)
            self.ready.set()
            await trio.sleep_forever()

    async def _connect(self, peer: Peer, one: Person, kind: str, lines: Sequence[str] = (), **fields: str) -> None:
        offer = peer.offer + "".join(f"{line}\r\n" for line in lines)  # The m-line of video is the last.
        peer.take_answer((await one.ask(kind, sdp=offer, **fields))["sdp"])
        with trio.fail_after(PATIENCE):
            await peer.connect()

    async def _present(
        self,
        stack: AsyncExitStack,
        nursery: trio.Nursery,
        one: Person,
        source: str,
        clip: dict[str, list[bytes]],
        rate: int,
        sound: bool,
    ) -> None:
        peer = await stack.enter_async_context(run_peer(Peer("sendonly"), "127.0.0.1"))
        await self._connect(peer, one, "publish", OFFERED if len(clip) > 1 else (), source=source)
        encoders = [Encoder(peer, one, rid, number, frames) for number, (rid, frames) in enumerate(clip.items())]
        nursery.start_soon(show, encoders, rate)
        nursery.start_soon(heed, peer, encoders)
        if sound:
            nursery.start_soon(speak, peer)
        if source == "camera":
            await one.ask("media", microphone=sound, camera=True)


class Encoder:
    """Sends one size of a camera: its clip again and again, in packets (RFC 7741 section 4)."""

    def __init__(self, peer: Peer, one: Person, rid: str, number: int, clip: list[bytes]) -> None:
        self._peer = peer
        self._one = one
        self._rid = rid
        self.ssrc = VIDEO_SSRC + number
        self._clip = clip
        self._next = 0
        # RFC 8285 section 4.2: one byte of id and length, the value, and padding.
        self._extension = b"\xbe\xde\0\1" + bytes((RID_ID << 4, ord(rid), 0, 0)) if rid else b""

    def begin_anew(self) -> None:
        """Go on with the keyframe."""
        self._next = 0

    def send(self, timestamp: int) -> None:
        if self._rid and self._rid not in self._one.layers:
            self._next = 0
            return
        frame = self._clip[self._next]
        self._next = (self._next + 1) % len(self._clip)
        for start in range(0, len(frame), PACKET):
            part = (b"\x00" if start else b"\x10") + frame[start : start + PACKET]
            last = start + PACKET >= len(frame)
            self._peer.send_rtp(part, ssrc=self.ssrc, timestamp=timestamp, marker=last, extension=self._extension)


async def show(encoders: list[Encoder], rate: int) -> None:
    """Send a camera."""
    begun = trio.current_time()
    for number in count():
        await trio.sleep_until(begun + number / rate)
        for encoder in encoders:
            encoder.send(number * _CLOCK // rate)


async def heed(peer: Peer, encoders: list[Encoder]) -> None:
    """Make keyframes when they are asked for."""
    while True:
        for packet in rtcp.parse(await peer.receive_rtcp()):
            if isinstance(packet, rtcp.KeyframeRequest):
                for encoder in encoders:
                    if encoder.ssrc == packet.media_ssrc:
                        encoder.begin_anew()


async def speak(peer: Peer) -> None:
    begun = trio.current_time()
    for number in cycle(range(1 << 20)):
        await trio.sleep_until(begun + number / 50)
        peer.send_rtp(_OPUS_SILENCE, ssrc=AUDIO_SSRC, timestamp=number * 960)


def encoded(address: str, presenters: int, layers: bool) -> tuple[list[dict[str, list[bytes]]], list[bytes]]:
    """The cameras' clips in each of their sizes, and the screen's, as frames."""
    sizes = LAYERS if layers else {"": CAMERA}
    with chromium() as browser:
        page = browser.new_page()
        page.goto(f"{address}health/live")

        def clip(hue: int, form: dict[str, int]) -> list[bytes]:
            return [base64.b64decode(frame) for frame in page.evaluate(ENCODE, [hue, form, CLIP])]

        hues = [360 * number // presenters for number in range(presenters)]
        return [{rid: clip(hue, size) for rid, size in sizes.items()} for hue in hues], clip(0, SCREEN)


def browser_seconds(browser: Browser) -> float:
    """The CPU time of all processes of a browser."""
    processes = browser.new_browser_cdp_session().send("SystemInfo.getProcessInfo")["processInfo"]
    return float(sum(process["cpuTime"] for process in processes))


def browser_memory(browser: Browser) -> float:
    """The memory of all processes of a browser that they share with nobody, in MB."""
    processes = browser.new_browser_cdp_session().send("SystemInfo.getProcessInfo")["processInfo"]
    return float(sum(psutil.Process(process["id"]).memory_full_info().uss for process in processes)) / 1e6


def server_seconds(program: Program) -> float:
    """The CPU time of the server and its media server."""
    server = psutil.Process(program.process.pid)
    times = [process.cpu_times() for process in (server, *server.children(recursive=True))]
    return float(sum(time.user + time.system for time in times))


def measure(browser: Browser, page: Page, seconds: float) -> tuple[int, list[float], float, float]:
    """The views, the frames a second of each picture that comes, kbit/s, and the share of a core."""
    before, cpu, begun = page.evaluate(RECEIVED), browser_seconds(browser), time.perf_counter()
    time.sleep(seconds)
    after, used, took = page.evaluate(RECEIVED), browser_seconds(browser) - cpu, time.perf_counter() - begun
    rates = [(after[one]["frames"] - before.get(one, after[one])["frames"]) / took for one in after]
    octets = sum(after[one]["bytes"] - before.get(one, after[one])["bytes"] for one in after)
    return len(after), [rate for rate in rates if rate > 0], octets * 8e-3 / took, used / took


def open_page(browser: Browser, program: Program, streams: int, viewport: ViewportSize, **options: Any) -> Page:
    page = new_person(browser, "Eve", viewport=viewport, **options).new_page()
    page.add_init_script(LOADED)
    page.goto(f"{program.address}r/large")
    expect(page.get_by_test_id("tile")).to_have_count(streams)
    expect(page.locator("[data-testid=tile][data-state=live]").first).to_be_visible()
    page.wait_for_timeout(5_000)  # What is out of sight is received for two more seconds.
    loaded = sorted(page.evaluate("[...window.loaded.values()]"))
    joined = page.evaluate("performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd")
    print(
        f"{len(loaded)} pictures: the first after {(loaded[0] - joined) / 1000:.2f} s, the last after "
        f"{(loaded[-1] - joined) / 1000:.2f} s; memory of the browser {browser_memory(browser):.0f} MB"
    )
    return page


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--presenters", type=int, default=12)
    parser.add_argument("--sounds", type=int, default=3, help="how many of them send sound")
    parser.add_argument("--watchers", type=int, default=30)
    parser.add_argument("--no-screen", action="store_true")
    parser.add_argument("--layers", action="store_true", help="each camera in three sizes")
    parser.add_argument("--seconds", type=float, default=15)
    options = parser.parse_args()
    streams = options.presenters + (not options.no_screen)
    with tempfile.TemporaryDirectory() as folder, running(Path(folder)) as program:
        clips, screen = encoded(program.address, options.presenters, options.layers)
        sizes = [
            f"{statistics.mean(sum(map(len, clip[rid])) for clip in clips) * 8e-3 / CLIP:.0f}" for rid in clips[0]
        ]
        shared = sum(map(len, screen)) * 8e-3 / CLIP
        print(f"{options.presenters} cameras of {' + '.join(sizes)} kbit/s, a screen of {shared:.0f}")
        crowd = Crowd(program.url, clips, [] if options.no_screen else screen, options.watchers, options.sounds)
        thread = threading.Thread(target=crowd.run)
        thread.start()
        try:
            assert crowd.ready.wait(10 * PATIENCE), "the crowd did not come together"
            print(f"{'':36}       pictures  frames/s  (least)          CPU       CPU    kbit/s")
            print(f"{'page':36} views that come  median          kbit/s  page  servers  of all")

            def told(what: str, browser: Browser, page: Page) -> None:
                cpu, begun, octets = server_seconds(program), time.perf_counter(), crowd.octets
                views, rates, bandwidth, share = measure(browser, page, options.seconds)
                took = time.perf_counter() - begun
                every = (crowd.octets - octets) * 8e-3 / took / max(1, options.watchers)
                median, least = statistics.median(rates or [0]), min(rates, default=0)
                print(
                    f"{what:36} {views:5} {len(rates):9} {median:9.1f} ({least:5.1f}) {bandwidth:8.0f}"
                    f" {share:5.0%}  {(server_seconds(program) - cpu) / took:7.0%} {every:7.0f}",
                    flush=True,
                )

            with chromium() as browser:
                page = open_page(browser, program, streams, DESKTOP)
                told("desktop 1280×800, the screen large", browser, page)
                page.get_by_test_id("stage-options").click()
                page.get_by_test_id("stage-grid").click()
                page.wait_for_timeout(4_000)
                told("desktop 1280×800, in a grid", browser, page)
            with chromium() as browser:
                touch = {"has_touch": True, "is_mobile": True, "device_scale_factor": 2}
                page = open_page(browser, program, streams, PHONE, **touch)
                told("phone 390×844, the screen large", browser, page)
                page.get_by_test_id("stage-options").click()
                page.get_by_test_id("stage-grid").click()
                page.wait_for_timeout(4_000)
                told("phone 390×844, in a grid", browser, page)
                page.locator("[data-tab=chat]").click()
                page.wait_for_timeout(4_000)
                told("phone 390×844, the chat open", browser, page)
                page.evaluate(HIDE)
                page.wait_for_timeout(4_000)
                told("phone 390×844, in another app", browser, page)
        finally:
            crowd.end()
            thread.join()


if __name__ == "__main__":
    main()
