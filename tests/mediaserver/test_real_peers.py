"""Programs of other implementations publish to Chromium and view from it: aiortc, and GStreamer's webrtcbin.

webrtcbin's own default is not to bundle: audio and video have a transport each.
"""

import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.mediaserver.browsers import Browser, Page, open_chromium
from tests.mediaserver.kurento_client import Client, open_client, open_server
from tests.mediaserver.private_network import ADDRESS
from tests.mediaserver.test_browsers import available, in_private_network, page_server, received

pytestmark = pytest.mark.browser

PATIENCE = 180.0
"""Seconds for a whole case, Chromium and two programs started and ended."""
ENOUGH = 5
"""Frames decoded of each kind."""
SYSTEM_PYTHON = "/usr/bin/python3"
"""Which has GStreamer's binding."""
WEBRTCBIN = str(Path(__file__).parent / "webrtcbin_peer.py")
CODECS = {"aiortc": "VP8", "webrtcbin, not bundled": "VP8", "webrtcbin, max-bundle": "H264"}
"""What each program decodes of the layers of a camera. Both decode both."""
LAYERS = {"SMALL": 320, "MEDIUM": 640}
"""The width of the picture that a viewer of that size gets."""
PROGRAMS = {
    "aiortc": lambda role: [sys.executable, "-m", "tests.mediaserver.aiortc_peer", role],
    "webrtcbin, not bundled": lambda role: [SYSTEM_PYTHON, WEBRTCBIN, role, "none"],
    "webrtcbin, max-bundle": lambda role: [SYSTEM_PYTHON, WEBRTCBIN, role, "max-bundle"],
}


def skip_without(program: str) -> None:
    """In CI it must be there."""
    if not program.startswith("webrtcbin"):
        return
    probe = "import gi; gi.require_version('GstWebRTC', '1.0'); from gi.repository import GstWebRTC"
    found = subprocess.run([SYSTEM_PYTHON, "-c", probe], capture_output=True, check=False, timeout=60)
    if found.returncode != 0:
        reason = "no GStreamer for Python: apt-get install python3-gi gir1.2-gst-plugins-bad-1.0 gstreamer1.0-nice"
        pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)


class Program:
    """A peer that runs as a process of its own; what it prints is read line by line."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        assert process.stdout is not None
        self.process = process
        self._output = trio.lowlevel.FdStream(os.dup(process.stdout.fileno()))
        self._buffer = b""

    async def read(self) -> Any:
        while b"\n" not in self._buffer:
            chunk = await self._output.receive_some()
            assert chunk, "the program ended"
            self._buffer += chunk
        line, _, self._buffer = self._buffer.partition(b"\n")
        return json.loads(line)

    def write(self, value: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(value).encode() + b"\n")
        self.process.stdin.flush()

    async def decodes(self) -> None:
        """Until it has decoded enough of each kind."""
        while min((await self.read()).values()) < ENOUGH:
            pass

    async def shows(self, width: int) -> None:
        """Until its picture has this width."""
        while (await self.read())["width"] != width:
            pass


def start(command: list[str]) -> "subprocess.Popen[bytes]":
    """Not by trio's `open_process`, whose threads may be in another network namespace (browsers.py)."""
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


@asynccontextmanager
async def run_program(client: Client, endpoint: str, program: str, role: str) -> AsyncIterator[Program]:
    """Run a program and negotiate it with an endpoint."""
    process = start(PROGRAMS[program](role))
    try:
        running = Program(process)
        running.write(await client.invoke(endpoint, "processOffer", offer=await running.read()))
        yield running
    finally:
        process.kill()
        process.wait()


async def join(client: Client, endpoint: str, browser: Browser, url: str, offer: str) -> Page:
    """A page of the browser, negotiated with an endpoint."""
    page = await browser.open_page(url)
    answer = await client.invoke(endpoint, "processOffer", offer=await page.run(offer))
    await page.run(f"accept({json.dumps(answer)})")
    return page


async def heard(page: Page) -> None:
    """Until the page has got sound."""
    while (await page.run("heard()")).get("packetsReceived", 0) < ENOUGH:  # noqa: ASYNC110 (in the browser)
        await trio.sleep(0.05)


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_publishes_to_chromium_and_views_layers_from_it(program: str) -> None:
    available("chromium")
    skip_without(program)

    async def body() -> None:
        with trio.fail_after(PATIENCE):
            async with (
                open_server(media_host=ADDRESS) as server,
                open_client(server.url) as client,
                page_server() as url,
                open_chromium() as browser,
            ):
                pipeline = await client.pipeline()
                source, sink = await client.endpoint(pipeline), await client.endpoint(pipeline)
                await client.invoke(source, "connect", sink=sink)
                async with run_program(client, source, program, "publish"):
                    page = await join(client, sink, browser, url, "view()")
                    # There is one layer, so whatever size is asked for, it goes on.
                    for frames, size in enumerate(LAYERS, 1):
                        await client.invoke(sink, "setPictureSize", size=size)
                        await received(page, f"it.framesDecoded > {frames * ENOUGH}")
                    await heard(page)
                source, sink = await client.endpoint(pipeline), await client.endpoint(pipeline)
                await client.invoke(source, "connect", sink=sink)
                camera = f"publish('{CODECS[program]}', {{layered: true}})"
                presenter = await join(client, source, browser, url, camera)
                async with run_program(client, sink, program, "view") as viewer:
                    await viewer.decodes()
                    for size, width in LAYERS.items():
                        await client.invoke(sink, "setPictureSize", size=size)
                        await viewer.shows(width)
                    if program == "aiortc":
                        # After such a silence webrtcbin has given up the first packet before it comes. The next
                        # keyframe that its allowance permits takes seconds.
                        await presenter.run("withdraw('h', 'm')")
                        await viewer.shows(LAYERS["SMALL"])

    in_private_network(body)
