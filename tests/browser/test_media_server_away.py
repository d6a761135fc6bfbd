"""Given no media server, when somebody presents, then the page says so as long as that is true, and recovers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import OpenPage
from tests.browser.test_broadcast import decodes
from tests.ports import reserved_port
from tests.processes import media_server_program
from tests.system.program import Program, running

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """The port at which a test starts a media server."""
    with reserved_port() as port:
        yield port


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory, port: int) -> Iterator[Program]:
    """A room server that waits for a media server."""
    with running(tmp_path_factory.mktemp("server"), f"--kurento=ws://127.0.0.1:{port}/kurento") as program:
        yield program


def test_the_page_shows_the_reason_until_a_media_server_is_there(open_page: OpenPage, port: int) -> None:
    ada, bob = open_page("/r/away", "Ada"), open_page("/r/away", "Bob")
    ada.clock.install()
    ada.get_by_test_id("start-camera").click()
    reason = ada.get_by_test_id("notice").filter(has_text="Your camera does not reach the room.")
    expect(reason).to_contain_text("No media server can be reached at the moment. The page tries again.")
    # Nothing is live, and nothing says so: not to the presenter, the viewer, or the lobby.
    for page in (ada, bob):
        expect(page.get_by_test_id("room-state")).to_have_text("Not live")
    assert '"streams":0' in bob.request.get(bob.url.replace("/r/away", "/api/rooms")).text()
    # This is longer than notices of past events are shown, and longer than the page waits for an answer.
    for _ in range(4):
        ada.clock.fast_forward(20_000)
        # The server's clock goes on as ever, and it needs a moment for the page's own ping. Answers come in order.
        ada.evaluate("window.roomfsm.connection.request({type: 'ping'})")
        expect(reason).to_contain_text("The page tries again.")
    with media_server_program(port) as (url, _):
        assert str(port) in url
        decodes(bob)
        expect(reason).to_have_count(0)
        for page in (ada, bob):
            expect(page.get_by_test_id("room-state")).to_have_text("Live")
    # The media server is gone again. It takes the server longer to notice that than the page.
    for page in (ada, bob):
        expect(page.get_by_test_id("room-state")).to_have_text("Not live")
