"""Given a server that is killed or restarted, when it is started again, then the pages are back in their seats."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import new_person
from tests.browser.test_broadcast import broadcasts, decodes, until
from tests.ports import reserved_port
from tests.processes import LOADED, media_server_program
from tests.system.left import LINGER, none_left
from tests.system.program import Program, running

pytestmark = pytest.mark.browser

MARK = "() => { for (const peer of window.roomfsm.peerConnections().values()) peer.isOld = true; }"
YOU = "window.roomfsm.room.state.you"
COUNTS_OFFERS = """
  window.offers = 0;
  const {setLocalDescription} = RTCPeerConnection.prototype;
  RTCPeerConnection.prototype.setLocalDescription = function (...options) {
    window.offers += 1;
    return setLocalDescription.apply(this, options);
  };
"""
"""No page makes an offer that it does not set: neither for a new connection, nor for a new path of an old one."""
LOOKS = """() => {
  const [peer] = window.roomfsm.peerConnections().values();
  const {track} = peer.getReceivers().find(({track}) => track.kind === 'video');
  const video = document.createElement('video');
  window.gap = 0;
  let before = null;
  const see = (now, {receiveTime}) => {
    if (before !== null) window.gap = Math.max(window.gap, receiveTime - before);
    before = receiveTime;
    video.requestVideoFrameCallback(see);
  };
  video.requestVideoFrameCallback(see);
  video.muted = true;
  video.srcObject = new MediaStream([track]);
  return video.play();
}"""
"""Notes in `gap` the longest time in milliseconds between two frames that came, whatever the page shows."""


SAYS = """() => {
  const shown = document.querySelector('[data-testid="connection-state"]');
  window.said = [];
  new MutationObserver(() => window.said.push(shown.textContent))
    .observe(shown, {childList: true, characterData: true, subtree: true});
}"""
"""Notes in `said` what the page says of its connection from now on."""


@contextmanager
def page_of(browser: Browser, name: str, address: str, script: str | None = None) -> Iterator[Page]:
    context = new_person(browser, name)
    page = context.new_page()
    if script is not None:
        page.add_init_script(script)
    page.goto(address)
    expect(page.get_by_test_id("connection-state")).to_have_text("Connected")
    yield page
    context.close()


def end(program: Program, how: signal.Signals, *pages: Page) -> None:
    """End the server, and wait until the pages know."""
    program.process.send_signal(how)
    program.process.wait(LOADED)
    for page in pages:
        expect(page.get_by_test_id("connection-state")).not_to_have_text("Connected")


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_pages_are_back_in_their_seats_and_see_each_other_again(
    browser: Browser, tmp_path: Path, room: str, how: signal.Signals
) -> None:
    # The media server ends as well.
    arguments = (f"--data={tmp_path / 'data'}", "--media-linger=0")
    with reserved_port() as port, running(tmp_path, *arguments, f"--port={port}") as first:
        address = first.address.rstrip("/") + room
        with page_of(browser, "Ada", address) as ada, page_of(browser, "Bob", address) as bob:
            broadcasts(ada)
            decodes(bob)
            bob.get_by_test_id("raise-hand").click()
            expect(ada.get_by_test_id("hand")).to_have_text("hand 1")
            ada.evaluate("() => window.roomfsm.connection.request({type: 'chat', text: 'said before'})")
            seats = [page.evaluate(YOU) for page in (ada, bob)]
            bob.evaluate(MARK)
            end(first, how, ada, bob)
            with running(tmp_path, *arguments, f"--port={port}"):
                for page in (ada, bob):
                    expect(page.get_by_test_id("connection-state")).to_have_text("Connected")
                    expect(page.get_by_test_id("roster-entry")).to_have_count(2)
                    expect(page.get_by_test_id("hand")).to_have_text("hand 1")
                assert [page.evaluate(YOU) for page in (ada, bob)] == seats
                expect(bob.locator("[data-testid=roster-entry][data-role=moderator]")).to_contain_text("Ada")
                until(bob, "videos.some(v => !v.old && v.frames > 5)")
                # Somebody new sees what was said, once.
                with page_of(browser, "Eve", address) as eve:
                    told = "() => window.roomfsm.room.state.chat.map((line) => line.text)"
                    assert eve.evaluate(told) == ["said before"]
                    decodes(eve)
    assert "Traceback" not in (tmp_path / "server.log").read_text()


@contextmanager
def media(where: str, data: Path) -> Iterator[tuple[str, ...]]:
    """The arguments for a media server that goes on when the server is killed or restarted."""
    if where == "embedded":
        with none_left(data):
            yield LINGER, f"--data={data}"
    else:
        with media_server_program() as (url, _):
            yield f"--kurento={url}", f"--data={data}"


def received(page: Page) -> tuple[dict[str, Any], list[Any]]:
    """The video that the page receives, and the source and the sections of the connection over which it comes."""
    (video,) = until(page, "videos.length === 1")
    ends = page.evaluate("""async () => {
      const [peer] = window.roomfsm.peerConnections().values();
      const reports = [...(await peer.getStats()).values()];
      const ssrcs = reports.filter(({type}) => type === 'inbound-rtp').map(({ssrc}) => ssrc).sort();
      return [peer.isOld, ssrcs, peer.localDescription.sdp];
    }""")
    return video, ends


@pytest.mark.parametrize("where", ["embedded", "apart"])
def test_pictures_go_on_when_the_server_is_killed_or_restarted_and_nothing_is_negotiated_again(
    browser: Browser, tmp_path: Path, room: str, where: str
) -> None:
    with media(where, tmp_path / "data") as arguments, reserved_port() as port, ExitStack() as runs:
        run = partial(running, tmp_path, *arguments, f"--port={port}")
        server = runs.enter_context(run())
        address = server.address.rstrip("/") + room
        ada, bob, eve = pages = [
            runs.enter_context(page_of(browser, name, address, COUNTS_OFFERS)) for name in ("Ada", "Bob", "Eve")
        ]
        broadcasts(ada)
        for viewer in (bob, eve):
            decodes(viewer)
            viewer.evaluate(MARK)
            viewer.evaluate(LOOKS)
        before = [received(viewer)[1] for viewer in (bob, eve)]
        offers = [page.evaluate("window.offers") for page in pages]
        for how in (signal.SIGKILL, signal.SIGTERM):
            for page in pages:
                page.evaluate(SAYS)
            end(server, how, *pages)
            for viewer in (bob, eve):
                decodes(viewer)
            server = runs.enter_context(run())
            for page in pages:
                expect(page.get_by_test_id("connection-state")).to_have_text("Connected")
                expect(page.get_by_test_id("roster-entry")).to_have_count(3)
                assert ("The server is being restarted…" in page.evaluate("window.said")) == (
                    how is signal.SIGTERM
                )
            for viewer in (bob, eve):
                decodes(viewer)
                expect(viewer.get_by_test_id("tile")).to_have_attribute("data-state", "live")
            assert [received(viewer)[1] for viewer in (bob, eve)] == before
            assert [page.evaluate("window.offers") for page in pages] == offers
            print(json.dumps({"gaps": [viewer.evaluate("window.gap") for viewer in (bob, eve)]}))
        # The room goes on in all that it does: somebody new sees it, and it ends with its presenter.
        with page_of(browser, "Cyd", address) as cyd:
            decodes(cyd)
            ada.get_by_test_id("stop-camera").click()
            for viewer in (bob, eve, cyd):
                until(viewer, "videos.length === 0")
    assert "Traceback" not in (tmp_path / "server.log").read_text()
