"""Given a server that is killed, or updated, when it is started again, then the pages are back in their seats."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import new_person
from tests.browser.test_broadcast import broadcasts, decodes, until
from tests.ports import reserved_port
from tests.processes import LOADED
from tests.system.program import running

pytestmark = pytest.mark.browser

MARK = "() => { for (const peer of window.roomfsm.peerConnections().values()) peer.isOld = true; }"
YOU = "window.roomfsm.room.state.you"


@contextmanager
def page_of(browser: Browser, name: str, address: str) -> Iterator[Page]:
    context = new_person(browser, name)
    page = context.new_page()
    page.goto(address)
    expect(page.get_by_test_id("connection-state")).to_have_text("Connected")
    yield page
    context.close()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_pages_are_back_in_their_seats_and_see_each_other_again(
    browser: Browser, tmp_path: Path, room: str, how: signal.Signals
) -> None:
    data = f"--data={tmp_path / 'data'}"
    with reserved_port() as port, running(tmp_path, data, f"--port={port}") as first:
        address = first.address.rstrip("/") + room
        with page_of(browser, "Ada", address) as ada, page_of(browser, "Bob", address) as bob:
            broadcasts(ada)
            decodes(bob)
            bob.get_by_test_id("raise-hand").click()
            expect(ada.get_by_test_id("hand")).to_have_text("hand 1")
            ada.evaluate("() => window.roomfsm.connection.request({type: 'chat', text: 'said before'})")
            seats = [page.evaluate(YOU) for page in (ada, bob)]
            bob.evaluate(MARK)
            first.process.send_signal(how)
            first.process.wait(LOADED)
            for page in (ada, bob):
                expect(page.get_by_test_id("connection-state")).not_to_have_text("Connected")
            with running(tmp_path, data, f"--port={port}"):
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
