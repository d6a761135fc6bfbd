"""Given Firefox and Chromium in a room, when each broadcasts, then both see it, and chat and jumps work.

Firefox makes no media connection over the loopback, so all of this has a network of its own.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from tests.browser.conftest import PATIENCE
from tests.mediaserver.browsers import Browser, Page, firefox_program, open_chromium, open_firefox
from tests.mediaserver.private_network import ADDRESS, NoPrivateNetwork, run_in_private_network
from tests.system.program import Program, running

pytestmark = pytest.mark.browser

DECODED = """(async () => {
  let frames = 0;
  for (const [, peer] of window.roomfsm.peerConnections())
    for (const report of (await peer.getStats()).values())
      if (report.type === 'inbound-rtp' && report.kind === 'video') frames += report.framesDecoded ?? 0;
  return frames;
})()"""


async def until(page: Page, condition: str) -> object:
    """Wait until an expression is true, or the promise that it is gives something true. Returns that."""
    # Firefox does not answer who asks for the statistics of a connection that is closed meanwhile. So each look
    # has an end of its own.
    return await page.run(
        f"""(async () => {{
          const end = performance.now() + {PATIENCE};
          for (;;) {{
            const over = new Promise((resolve) => setTimeout(resolve, 5000));
            const found = await Promise.race([({condition}), over]);
            if (found) return found;
            if (performance.now() > end) throw new Error({json.dumps(f"{page.name}: {condition}")});
            await new Promise((resolve) => setTimeout(resolve, 20));
          }}
        }})()"""
    )


async def person(browser: Browser, program: Program, room: str, name: str) -> Page:
    """A page that is in the room."""
    start = await browser.open_page(program.address)
    await start.run(f"localStorage.setItem('roomfsm.name', {json.dumps(name)})")
    page = await browser.open_page(f"{program.address}r/{room}")
    await until(page, "document.querySelector('[data-testid=connection-state]')?.textContent === 'Connected'")
    return page


async def click(page: Page, selector: str) -> None:
    element = f"document.querySelector({json.dumps(selector)})"
    await until(page, f"{element}?.checkVisibility() && !{element}.disabled && ({element}.click(), true)")


async def broadcasts(page: Page) -> None:
    await click(page, "[data-testid=start-camera]")
    await until(page, "document.querySelector('[data-testid=stop-camera]')?.checkVisibility()")


async def sees(page: Page) -> None:
    """Check that the page decodes a stream, and continues to do so."""
    # The connections of a room that is being left may go meanwhile, and their frames with them.
    await page.run("(window.least = Infinity)")
    await until(page, f"{DECODED}.then((now) => now > (window.least = Math.min(window.least, now)) + 5)")


async def says(page: Page, text: str) -> None:
    field = "document.querySelector('[data-testid=chat-input]')"
    await page.run(
        f"({field}.value = {json.dumps(text)}, {field}.dispatchEvent(new Event('input', {{bubbles: true}})))"
    )
    await click(page, "[data-testid=chat-send]")


async def hears(page: Page, text: str) -> None:
    lines = "[...document.querySelectorAll('[data-testid=chat-line]')]"
    await until(page, f"{lines}.some((line) => line.textContent.includes({json.dumps(text)}))")


def test_firefox_and_chromium_present_to_each_other_talk_and_move(tmp_path: Path) -> None:
    if firefox_program() is None:
        if os.environ.get("CI") == "true":
            pytest.fail("no Firefox: apt-get install firefox-esr")
        pytest.skip("no Firefox")

    async def meet() -> None:
        # Started anew, because a fork server is in the network in which it was started.
        with running(tmp_path, f"--media-host={ADDRESS}", python=Path(sys.executable)) as program:
            async with open_chromium("--window-size=1280,800") as chromium, open_firefox() as firefox:
                ada = await person(chromium, program, "one", "Ada")
                fox = await person(firefox, program, "one", "Fox")
                for presenter, viewer in ((fox, ada), (ada, fox)):
                    await broadcasts(presenter)
                    await sees(viewer)
                for speaker, listener in ((fox, ada), (ada, fox)):
                    await says(speaker, f"This is {speaker.name}.")
                    await hears(listener, f"This is {speaker.name}.")

                eve = await person(chromium, program, "two", "Eve")
                await broadcasts(eve)
                await click(fox, "[data-testid=stop-camera]")
                await click(fox, "[data-testid=jump-link][data-room=two]")
                await until(fox, "location.pathname === '/r/two'")
                await sees(fox)
                await until(eve, "document.querySelectorAll('[data-testid=roster-entry]').length === 2")
            assert program.end() == 0
        assert "Traceback" not in (tmp_path / "server.log").read_text()

    try:
        run_in_private_network(meet)
    except NoPrivateNetwork as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(str(error))
