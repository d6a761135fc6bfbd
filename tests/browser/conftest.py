"""Real Chromium with a fake camera, against the real program."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    ViewportSize,
    expect,
    sync_playwright,
)

from tests.browser.crowd import Crowd
from tests.system.program import Program, running

OFF_IN_PLAYWRIGHT = (
    "AvoidUnnecessaryBeforeUnloadCheckSync,DestroyProfileOnBrowserClose,HttpsUpgrades,HttpsFirstBalancedModeAutoEnable,"
    "LensOverlay,MediaRouter,PaintHolding,ThirdPartyStoragePartitioning,AvoidCorsURLLoaderRestartOnRedirect,"
    "TcpPortRandomizationWin,OptimizationHints,NetworkTimeServiceQuerying,AimEnabled,PreconnectToSearch,"
    "msForceBrowserSignIn,msEdgeUpdateLaunchServicesPreferredVersion"
)
"""The features of Chromium that Playwright 1.65.2 turns off. Only the last list that Chromium is given counts, so
it is repeated in ours (test_flags.py compares them)."""
# The address bar's own pages, which nobody sees here, take as much time in each new window as the page of a room.
# Ten pictures a second instead of twenty: encoding, decoding and painting them is half of what these tests cost.
FLAGS = [
    f"--disable-features={OFF_IN_PLAYWRIGHT},WebUIOmniboxPopup,WebUIOmniboxAimPopup",
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-device-for-media-stream=fps=10",
    "--use-fake-ui-for-media-stream",
]
WHOLE_PICTURE = """{
  const {addTransceiver} = RTCPeerConnection.prototype;
  RTCPeerConnection.prototype.addTransceiver = function (...options) {
    const transceiver = addTransceiver.apply(this, options);
    const {sender, receiver} = transceiver;
    const whole = {...sender.getParameters(), degradationPreference: 'maintain-resolution'};
    if (receiver.track.kind === 'video') sender.setParameters(whole).catch(() => {});
    return transceiver;
  };
}"""
"""A browser on a busy machine sends smaller pictures, for minutes. With this it sends fewer, and each is whole."""
PATIENCE = 60_000
"""The milliseconds in which a page must become as expected. They are a bound for a busy machine."""
expect.set_options(timeout=PATIENCE)
DESKTOP: ViewportSize = {"width": 1280, "height": 800}
PHONE: ViewportSize = {"width": 390, "height": 844}
SCREENSHOTS = Path(__file__).parent / "screenshots"

NOTHING = "\0"
"""A text that no error contains."""

type OpenPage = Callable[..., Page]


@contextmanager
def chromium(wrapped: Callable[[str], str | Path] = str) -> Iterator[Browser]:
    """Chromium, from the system or from `CHROMIUM`. `wrapped` makes the program that is run instead of it."""
    program = os.environ.get("CHROMIUM") or shutil.which("chromium")
    if program is None:
        if os.environ.get("CI") == "true":
            pytest.fail("no Chromium: apt-get install chromium")
        pytest.skip("no Chromium (set CHROMIUM to its path)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=wrapped(program), args=FLAGS, timeout=2 * PATIENCE)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser for all tests of a module."""
    with chromium() as browser:
        yield browser


def new_person(browser: Browser, name: str, script: str = "", **options: Any) -> BrowserContext:
    """A person with camera and microphone, whom every page knows by a name. `script` runs in each page."""
    context = browser.new_context(permissions=["camera", "microphone"], **options)
    context.set_default_timeout(PATIENCE)
    context.add_init_script(f"localStorage.setItem('roomfsm.name', {name!r});{WHOLE_PICTURE}{script}")
    return context


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """The program, for all tests of a module. Each test has rooms of its own."""
    with running(tmp_path_factory.mktemp("server")) as program:
        yield program
        assert program.end() == 0
    assert "Traceback" not in program.log.read_text()


@pytest.fixture
def open_page(browser: Browser, program: Program) -> Iterator[OpenPage]:
    """Opens pages for different people. If a page logs an error that it does not `expect`, the test fails.

    A page of a room is in the room when it is returned, unless it does not enter (`enters`). Before that, the
    server would refuse what the test sends, and the people would stand in the roster in another order than the one
    in which their pages were opened.
    """
    contexts: list[BrowserContext] = []
    errors: list[str] = []

    def open_page(
        path: str,
        name: str = "Guest",
        viewport: ViewportSize = DESKTOP,
        expects: str = NOTHING,
        script: str = "",
        enters: bool = True,
        **options: Any,
    ) -> Page:
        context = new_person(browser, name, script, viewport=viewport, **options)
        contexts.append(context)
        page = context.new_page()

        def on_console(message: ConsoleMessage) -> None:
            if message.type == "error" and expects not in message.text:
                errors.append(message.text)

        page.on("console", on_console)
        page.on("pageerror", lambda error: errors.append(str(error)))
        # This is below /inspect, with the token, which the server exchanges for a cookie.
        token = f"?token={program.token}" if path.startswith("/inspect") else ""
        page.goto(program.address.rstrip("/") + path + token)
        if path.startswith("/r/") and enters and expects == NOTHING:
            expect(page.get_by_test_id("connection-state")).to_have_text("Connected")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert errors == []


@pytest.fixture
def room_name() -> str:
    """The name of a room that no other test is in."""
    return f"room-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def room(room_name: str) -> str:
    """The path of that room's page."""
    return f"/r/{room_name}"


@pytest.fixture
def crowd(browser: Browser, program: Program, room_name: str) -> Iterator[Crowd]:
    """Presenters of that room."""
    crowd = Crowd(browser, program.address, room_name)
    yield crowd
    crowd.close()
