"""Real browsers publish and view through the media server, over a path that loses, delays and reorders."""

import json
import os
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path as FilePath
from typing import Any

import pytest
import trio

from roomfsm.load.path import Path
from roomfsm.mediaserver.base.kinds import MediaKind, PictureSize
from roomfsm.mediaserver.base.settings import EngineSettings
from roomfsm.mediaserver.dtls.state import DtlsState
from roomfsm.mediaserver.engine.engine import Engine, Peer, open_engine
from roomfsm.mediaserver.engine.transport import Transport
from roomfsm.mediaserver.rtp import rtcp
from tests.mediaserver.browsers import OPENERS, PATHS, Browser, Page, firefox_path
from tests.mediaserver.observer import RecordingObserver
from tests.mediaserver.private_network import ADDRESS, NoPrivateNetwork, run_in_private_network
from tests.mediaserver.starvation import Starvation, watch_starvation
from tests.mediaserver.udp_relay import Relay, open_relay

pytestmark = pytest.mark.browser

PATIENCE = 180.0
"""Seconds for a whole case, browsers started and ended."""
WATCHED = 6.0
"""Seconds of media that the first viewers are watched for; the late ones come after half of them."""
LOSSY = Path(loss=0.05, delay=0.01, jitter=0.02)
STARTED, HEARD = 2.0, 4.0
"""Seconds of sound after which what is missing is counted, and for how long."""
FEW_KILOBITS = 60
"""Kilobits a second with which there is hardly place for a picture beside the sound."""
LONGEST_FREEZE = 1000.0
"""Milliseconds."""
TRANSPORT_CC_FORMAT = 15
"""Of the RTCP packet (draft-holmer-rmcat-transport-wide-cc-extensions-01 section 3.1)."""
SHOWN = 0.8
"""Of the frames sent since a viewer's first; the rest is on its way: of three seconds, the last 0.6 at most."""
PAGE = (FilePath(__file__).parent / "browser_page.html").read_bytes()


@asynccontextmanager
async def page_server() -> AsyncIterator[str]:
    """The page's address, at the loopback: other addresses are not trusted with a camera."""

    async def serve(stream: trio.SocketStream) -> None:
        async with stream:
            await stream.receive_some()
            head = ("HTTP/1.1 200 OK", "Content-Type: text/html", f"Content-Length: {len(PAGE)}", "", "")
            await stream.send_all("\r\n".join(head).encode() + PAGE)

    async with trio.open_nursery() as nursery:
        (listener,) = await nursery.start(partial(trio.serve_tcp, serve, 0, host="127.0.0.1"))
        yield f"http://127.0.0.1:{listener.socket.getsockname()[1]}/"
        nursery.cancel_scope.cancel()


@dataclass(frozen=True, slots=True)
class Stage:
    """A media server behind a relay, and the browsers."""

    engine: Engine
    relay: Relay
    browsers: dict[str, Browser]
    url: str
    starvation: Starvation

    async def join(self, browser: str, offer: str, source: Peer | None = None) -> tuple[Page, Peer]:
        """A page of a browser, connected by the offer that the expression makes."""
        page = await self.browsers[browser].open_page(self.url)
        peer = self.engine.open_peer(RecordingObserver())
        if source is not None:
            source.connect(peer)
        answer = peer.process_offer(await page.run(offer))
        redirected = self.relay.redirect(answer, self.engine.port)
        await page.run(f"accept({json.dumps(redirected)})")
        return page, peer

    async def answer(self, browser: str, function: str) -> tuple[Page, Peer]:
        """A page of a browser, connected by the answer that the function makes to the server's offer."""
        page = await self.browsers[browser].open_page(self.url)
        peer = self.engine.open_peer(RecordingObserver())
        redirected = self.relay.redirect(peer.generate_offer(), self.engine.port)
        peer.process_answer(await page.run(f"{function}({json.dumps(redirected)})"))
        return page, peer


@asynccontextmanager
async def open_stage(path: Path, *browsers: str, **settings: Any) -> AsyncIterator[Stage]:
    with trio.fail_after(PATIENCE):
        async with AsyncExitStack() as stack:
            engine = await stack.enter_async_context(open_engine(EngineSettings(host=ADDRESS, **settings)))
            relay = await stack.enter_async_context(open_relay(ADDRESS, engine.port, path))
            url = await stack.enter_async_context(page_server())
            opened = {name: await stack.enter_async_context(OPENERS[name]()) for name in dict.fromkeys(browsers)}
            starvation = await stack.enter_async_context(watch_starvation())
            yield Stage(engine, relay, opened, url, starvation)


async def received(page: Page, condition: str = "true") -> dict[str, Any]:
    """What the page's statistics say, as soon as a condition on them, `it`, holds."""
    while True:
        report: dict[str, Any] | None = await page.run(f"received().then((it) => ({condition}) ? it : null)")
        if report is not None:
            return report
        await trio.sleep(0.05)


def freezes(report: dict[str, Any]) -> list[tuple[float, float]]:
    """The longest time without a new frame, and that until now: how long, and when it ended by the system's clock.

    Milliseconds.
    """
    seen, origin = report["seen"], report["origin"]
    return [
        (seen["gap"], origin + seen["resumed"]),
        (report["now"] - seen["last"], origin + report["now"]),
    ]


def available(*names: str) -> list[str]:
    """Those of the browsers that are here; skips without any. In CI Chromium must be."""
    found = [name for name in names if PATHS[name]() is not None]
    if "chromium" in names and "chromium" not in found and os.environ.get("CI") == "true":
        pytest.fail("no Chromium: apt-get install chromium")
    if not found:
        pytest.skip(f"no {' or '.join(names)}")
    return found


def in_private_network(body: Callable[[], Awaitable[None]]) -> None:
    try:
        run_in_private_network(body)
    except NoPrivateNetwork as error:
        pytest.skip(f"no network namespace for the test: {error}")


BROWSERS = ("chromium", "firefox") if firefox_path() else ("chromium",)
PRESENTERS = [("chromium", "VP8"), ("chromium", "H264"), *([("firefox", "VP8")] if firefox_path() else [])]


@pytest.mark.alone
@pytest.mark.parametrize(("presenter", "codec"), PRESENTERS)
def test_viewers_behind_a_lossy_path_see_no_long_freeze_and_lose_nothing(presenter: str, codec: str) -> None:
    """Firefox presents no H264 here: its encoder is a plugin that it downloads from Mozilla.

    FFmpeg's, which it takes instead, gives a frame only after 40 more (x264's look-ahead), and by then Firefox has
    forgotten it: nothing is sent.
    """
    available(presenter)
    viewers = available(*BROWSERS)

    async def body() -> None:
        async with open_stage(LOSSY, presenter, *viewers) as stage:
            stand, source = await stage.join(presenter, f"publish('{codec}')")
            watching: list[tuple[Page, Peer, int]] = []
            for _ in range(2):
                joined = [await stage.join(viewer, "view()", source) for viewer in viewers]
                for page, peer in joined:
                    await received(page, "it.framesDecoded > 0")
                    watching.append((page, peer, await stand.run("sent()")))
                await trio.sleep(WATCHED / 2)
            for page, peer, sent_before in watching:
                sent = await stand.run("sent()") - sent_before
                report = await received(page)
                ours, theirs = await stand.run("pauses"), await page.run("pauses")
                told = f"{codec} from {presenter} to {page.name}, {sent} frames sent: {report}, {ours}, {theirs}"
                # A busy machine gives either page no time now and then, and the presenter's no frame to send; and
                # no time to this process, through which each packet and its repair pass several times.
                longest = LONGEST_FREEZE + ours["timer"] + ours["sending"] + theirs["timer"]
                for freeze, end in freezes(report):
                    starved = 1000 * stage.starvation.between((end - freeze) / 1000, end / 1000)
                    assert freeze - starved < longest, f"{starved} ms of {freeze} no processor: {told}"
                # How many there are is the presenter's affair, who has little time on a busy machine.
                assert report["framesDecoded"] >= SHOWN * sent > 0, told
                # A packet that does not come after all its requests makes a browser ask for a keyframe.
                assert report["pliCount"] == report["seen"]["plis"], told
                assert report["packetsLost"] <= peer.stats().sending[MediaKind.VIDEO].retransmitted, told
            assert stage.relay.lost > stage.relay.passed / 30

    in_private_network(body)


@pytest.mark.alone
@pytest.mark.parametrize(("presenter", "codec"), PRESENTERS)
def test_a_viewer_gets_the_layer_that_suits_the_size_of_the_picture(presenter: str, codec: str) -> None:
    """The viewers come before the presenter, so nobody knows yet that there will be layers."""
    available(presenter)
    viewers = available(*BROWSERS)

    async def body() -> None:
        async with open_stage(Path(), presenter, *viewers) as stage:
            watching = [await stage.join(viewer, "view()") for viewer in viewers]
            _, source = await stage.join(presenter, f"publish('{codec}', {{layered: true}})")
            for _, peer in watching:
                source.connect(peer)
            for page, _ in watching:
                await received(page, "it.framesDecoded > 5 && it.frameWidth > 320")
            for size, width in ((PictureSize.SMALL, 320), (PictureSize.MEDIUM, 640), (PictureSize.SMALL, 320)):
                for _, peer in watching:
                    peer.resize_picture(size)
                for page, _ in watching:
                    await received(page, f"it.frameWidth === {width}")
            if (presenter, codec) == ("chromium", "VP8"):
                # Chromium's pictures are in temporal layers: of four, one needs no others.
                for limit, rate in ((FEW_KILOBITS, "< 9"), (0, "> 13")):
                    for _, peer in watching:
                        peer.max_video_send_bandwidth = limit
                    for page, _ in watching:
                        await received(page, f"it.frameWidth === 320 && it.framesPerSecond {rate}")
            for page, peer in watching:
                report = await received(page)
                ours = await page.run("pauses")
                assert report["packetsLost"] == 0, page.name
                assert report["pliCount"] == report["seen"]["plis"], page.name
                assert max(freezes(report))[0] < LONGEST_FREEZE + ours["timer"], (page.name, report)
                assert peer.path.transport is not None, page.name

    in_private_network(body)


@pytest.mark.alone
def test_audio_that_is_lost_on_its_way_is_repaired() -> None:
    available("chromium")
    loss = 0.1

    async def body() -> None:
        async with open_stage(Path(loss=loss, delay=0.02), "chromium") as stage:
            _, source = await stage.join("chromium", "publish('VP8')")
            page, peer = await stage.join("chromium", "view()", source)
            await received(page, "it.framesDecoded > 0")
            before = await page.run("heard()")
            await trio.sleep(WATCHED)
            after = await page.run("heard()")
            lost, came = (after[name] - before.get(name, 0) for name in ("packetsLost", "packetsReceived"))
            # Each packet was lost with this probability on the way to the server, and again on the way from there.
            assert lost / (lost + came) < loss / 2, f"{after}, {peer.stats().sending[MediaKind.AUDIO]}"
            assert peer.stats().sending[MediaKind.AUDIO].retransmitted > 0

    in_private_network(body)


def test_newer_codecs_are_forwarded_too() -> None:
    viewers = available(*BROWSERS)

    async def body() -> None:
        async with open_stage(Path(), "chromium", *viewers) as stage:
            for codec in ("VP9", "AV1"):
                _, source = await stage.join("chromium", f"publish('{codec}')")
                for viewer in [*viewers, *viewers]:
                    page, peer = await stage.join(viewer, "view()", source)
                    await received(page, "it.framesDecoded > 5")
                    assert peer.stats().sending[MediaKind.VIDEO].codec == codec

    in_private_network(body)


@pytest.mark.parametrize("browser", BROWSERS)
def test_goodbyes_work_after_openssls_state_has_been_released(
    browser: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    available(browser)
    let_go: list[Engine] = []
    monkeypatch.setattr(Engine, "memory_freed", lambda engine: let_go.append(engine))

    async def until(condition: Callable[[], bool]) -> None:
        # Chromium gets the processor meanwhile.
        while not condition():  # noqa: ASYNC110 (there is no event for it)
            await trio.sleep(0.01)

    async def body() -> None:
        async with open_stage(Path(), browser, handshake_linger=0.5, peer_silence=PATIENCE) as stage:
            publisher, source = await stage.join(browser, "publish('VP8')")
            viewer, sink = await stage.join(browser, "view()", source)
            await until(lambda: len(let_go) == 2)
            await received(viewer, "it.framesDecoded > 5")
            await viewer.run("leave()")
            await until(lambda: sink.stats().dtls_state is DtlsState.CLOSED)
            source.close()
            assert await publisher.run("ended()") == "closed"

    in_private_network(body)


def test_a_browser_answers_the_servers_offer_and_gets_transport_feedback(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    browsers = available(*BROWSERS)
    feedbacks: Counter[Transport] = Counter()
    send_rtcp = Transport.send_rtcp

    def spy(transport: Transport, compound: bytes) -> None:
        feedbacks[transport] += compound[0] & 0x1F == TRANSPORT_CC_FORMAT and compound[1] == rtcp.RTPFB
        send_rtcp(transport, compound)

    monkeypatch.setattr(Transport, "send_rtcp", spy)

    async def body() -> None:
        async with open_stage(Path(), *browsers) as stage:
            for browser in browsers:
                _, source = await stage.answer(browser, "publishByAnswer")
                viewer, _ = await stage.join(browser, "view()", source)
                await received(viewer, "it.framesDecoded > 5")
                # It comes at intervals, and on a busy machine several frames may come in one of them.
                while feedbacks[source._transports[0].transport] == 0:  # noqa: ASYNC110 (a count)
                    await trio.sleep(0.05)

    in_private_network(body)


@pytest.mark.alone
def test_redundant_audio_is_heard_by_viewers_with_and_without_it() -> None:
    available("chromium")

    async def body() -> None:
        async with open_stage(Path(), "chromium") as stage:
            _, source = await stage.join("chromium", "publish('VP8', {red: true})")
            track = source.track(MediaKind.AUDIO)
            assert track.codec is not None
            assert track.codec.prefers_red

            async def hears(wanted: str) -> None:
                page, _ = await stage.join("chromium", f"view({{red: {wanted}}})", source)
                # At its beginning a browser makes up sound whatever comes.
                before = await page.run(f"soundFor({STARTED})")
                after = await page.run(f"soundFor({before['seconds'] + HEARD})")
                assert after["concealed"] - before["concealed"] < HEARD / 4, (wanted, before, after)

            async with trio.open_nursery() as nursery:
                for wanted in ("true", "false"):
                    nursery.start_soon(hears, wanted)
            assert {sink.group.red for sink in track.sinks if sink.group} == {track.codec.red, None}

    in_private_network(body)
