"""Chromium and Firefox with pages to run JavaScript in, each by its own protocol: DevTools and WebDriver BiDi.

Both offer a websocket of themselves, so that no driver program has to fit the browser's version.
"""

import itertools
import json
import os
import re
import shutil
import subprocess
import tempfile
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import trio
from trio_websocket import WebSocketConnection, open_websocket_url

_START_TIMEOUT = 90.0
_END_TIMEOUT = 20.0
_ANSWER_TIMEOUT = 180.0
"""Seconds in which a browser answers a command: longer than what the tests' own scripts wait for."""
_MAX_MESSAGE = 16 * 1024 * 1024
_CHROMIUM_FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # The address bar's own pages, which nobody sees here, take as much time in each new window as most pages.
    "--disable-features=WebUIOmniboxPopup,WebUIOmniboxAimPopup",
    "--disable-background-timer-throttling",
    "--disable-renderer-backgrounding",
    "--disable-backgrounding-occluded-windows",
    "--autoplay-policy=no-user-gesture-required",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    "--remote-debugging-port=0",
    "about:blank",
)
_FIREFOX_PREFERENCES = {
    "media.navigator.permission.disabled": True,
    "media.navigator.streams.fake": True,
    "media.autoplay.default": 0,
    "media.autoplay.blocking_policy": 0,
    # Mozilla's H264 plugin is downloaded, which a test does not: FFmpeg's codec, as if it were hardware.
    "media.gmp-manager.updateEnabled": False,
    "media.webrtc.hw.h264.enabled": True,
    "gfx.blacklist.webrtc.hw.acceleration.h264": 1,
    "media.hardware-video-encoding.force-enabled": True,
    "media.webrtc.encoder_creation_strategy": 1,
    "media.ffmpeg.allow-openh264": True,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "browser.shell.checkDefaultBrowser": False,
    "dom.ipc.processPrelaunch.enabled": False,
    "dom.timeout.enable_budget_timer_max_delay": False,
}


class BrowserError(Exception):
    """The browser did not start or refused a command, or a script in it threw an exception."""


class _Connection(ABC):
    """Commands and their results over one websocket. Events are ignored."""

    def __init__(self, websocket: WebSocketConnection) -> None:
        self._websocket = websocket
        self._ids = itertools.count(1)
        self._waiting: dict[int, tuple[trio.Event, list[dict[str, Any]]]] = {}

    async def read(self) -> None:
        while True:
            message = json.loads(await self._websocket.get_message())
            if (waiting := self._waiting.get(message.get("id"))) is not None:
                waiting[1].append(message)
                waiting[0].set()

    async def command(self, method: str, session: str | None = None, **params: Any) -> dict[str, Any]:
        id_, answered, answer = next(self._ids), trio.Event(), list[dict[str, Any]]()
        self._waiting[id_] = (answered, answer)
        message = {"id": id_, "method": method, "params": params}
        await self._websocket.send_message(json.dumps(message | ({"sessionId": session} if session else {})))
        with trio.move_on_after(_ANSWER_TIMEOUT):
            await answered.wait()
        del self._waiting[id_]
        if not answer:
            raise BrowserError(f"no answer: {json.dumps(message)[:500]}")
        if "error" in answer[0]:
            raise BrowserError(f"{method}: {answer[0]}")
        result: dict[str, Any] = answer[0]["result"]
        return result

    @abstractmethod
    async def open_page(self, url: str) -> "Page": ...


class Page:
    """A page of a browser."""

    def __init__(self, name: str, evaluate: Callable[[str], Any]) -> None:
        self.name = name
        self._evaluate = evaluate

    async def run(self, expression: str) -> Any:
        """The value of an expression, plain JSON or a promise of it. Raises :class:`BrowserError`."""
        text = await self._evaluate(f"(async () => JSON.stringify((await ({expression})) ?? null))()")
        return json.loads(text)


class _Chromium(_Connection):
    async def open_page(self, url: str) -> Page:
        target = await self.command("Target.createTarget", url="about:blank", newWindow=True)
        attached = await self.command("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        session = attached["sessionId"]
        page = Page("chromium", partial(self._evaluate, session))
        await self.command("Page.enable", session)
        await self.command("Page.navigate", session, url=url)
        # The page before it is gone once the navigation is answered.
        await page.run(
            "document.readyState === 'complete' || new Promise((done) => addEventListener('load', done))"
        )
        return page

    async def _evaluate(self, session: str, expression: str) -> str:
        answer = await self.command(
            "Runtime.evaluate", session, expression=expression, awaitPromise=True, returnByValue=True
        )
        if "exceptionDetails" in answer:
            raise BrowserError(f"chromium: {answer['exceptionDetails']['exception'].get('description')}")
        return str(answer["result"]["value"])


class _Firefox(_Connection):
    async def open_page(self, url: str) -> Page:
        context = (await self.command("browsingContext.create", type="window"))["context"]
        await self.command("browsingContext.navigate", context=context, url=url, wait="complete")
        return Page("firefox", partial(self._evaluate, context))

    async def _evaluate(self, context: str, expression: str) -> str:
        answer = await self.command(
            "script.evaluate", expression=expression, awaitPromise=True, target={"context": context}
        )
        if answer["type"] == "exception":
            raise BrowserError(f"firefox: {answer['exceptionDetails']['text']}")
        return str(answer["result"]["value"])


type Browser = _Chromium | _Firefox


def chromium_path() -> str | None:
    return os.environ.get("CHROMIUM") or shutil.which("chromium")


def firefox_path() -> str | None:
    """Firefox meets poor paths only if `FIREFOX` names it, because that takes a minute and an idle machine."""
    return os.environ.get("FIREFOX")


def firefox_program() -> str | None:
    """The Firefox that is named or installed."""
    return firefox_path() or shutil.which("firefox-esr") or shutil.which("firefox")


@asynccontextmanager
async def open_chromium(*flags: str) -> AsyncIterator[_Chromium]:
    """Chromium with a fake camera, for pages of several windows. It gets these `flags` beside the usual ones."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = [chromium_path() or "chromium", f"--user-data-dir={profile}", *flags, *_CHROMIUM_FLAGS]
        async with _running(command, r"DevTools listening on (ws://\S+)") as url, _connected(url, _Chromium) as it:
            yield it


@asynccontextmanager
async def open_firefox() -> AsyncIterator[_Firefox]:
    """Firefox with a fake camera."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        lines = [f'user_pref("{name}", {json.dumps(value)});' for name, value in _FIREFOX_PREFERENCES.items()]
        (Path(profile) / "user.js").write_text("\n".join(lines))
        command = [firefox_program() or "firefox", "--headless", "--no-remote", "--profile", profile]
        command.append("--remote-debugging-port=0")
        announced = r"WebDriver BiDi listening on (ws://\S+)"
        async with _running(command, announced) as url, _connected(f"{url}/session", _Firefox) as it:
            await it.command("session.new", capabilities={})
            yield it


@asynccontextmanager
async def _running(command: list[str], announcement: str) -> AsyncIterator[str]:
    """Run a browser until the block ends; yields the address that it writes on its standard error."""
    process, stderr = _start(command)
    try:
        async with stderr, trio.open_nursery() as nursery:
            with trio.fail_after(_START_TIMEOUT):
                text = ""
                while (found := re.search(announcement, text)) is None:
                    received = await stderr.receive_some()
                    if not received:
                        raise BrowserError(f"{command[0]} does not start: {text}")
                    text += received.decode(errors="replace")
            nursery.start_soon(_discard, stderr)
            yield found[1]
            nursery.cancel_scope.cancel()
    finally:
        process.terminate()
        with trio.CancelScope(shield=True):
            with trio.move_on_after(_END_TIMEOUT) as patience:
                await _ended(process)
            if patience.cancelled_caught:
                process.kill()
                await _ended(process)


async def _ended(process: subprocess.Popen[bytes]) -> None:
    handle = os.pidfd_open(process.pid)
    try:
        await trio.lowlevel.wait_readable(handle)
    finally:
        os.close(handle)
    process.wait()


def _start(command: list[str]) -> tuple[subprocess.Popen[bytes], trio.lowlevel.FdStream]:
    """A browser, and its standard error.

    Not by trio's `open_process`, which starts it from a thread of a pool: one that was made before this test is in
    another network namespace, and the browser would be, too; and one made now would stay there for later tests.
    """
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stderr is not None  # asked for a pipe
    with process.stderr:
        return process, trio.lowlevel.FdStream(os.dup(process.stderr.fileno()))


async def _discard(stream: trio.abc.ReceiveStream) -> None:
    while await stream.receive_some():
        pass


@asynccontextmanager
async def _connected[C: _Connection](url: str, kind: type[C]) -> AsyncIterator[C]:
    async with open_websocket_url(url, max_message_size=_MAX_MESSAGE) as websocket, trio.open_nursery() as nursery:
        connection = kind(websocket)
        nursery.start_soon(connection.read)
        yield connection
        nursery.cancel_scope.cancel()


OPENERS: dict[str, Callable[[], AbstractAsyncContextManager[Browser]]] = {
    "chromium": open_chromium,
    "firefox": open_firefox,
}
PATHS: dict[str, Callable[[], str | None]] = {"chromium": chromium_path, "firefox": firefox_path}
