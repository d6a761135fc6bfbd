"""Given a server that is only slow, when a page gives up its connection, then it comes back to its own seat."""

from __future__ import annotations

import uuid

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import OpenPage

pytestmark = pytest.mark.browser

DEAF = """window.WebSocket = class extends WebSocket {
  constructor(...options) {
    super(...options);
    this.addEventListener('message', (event) => {
      if (window.deaf && JSON.parse(event.data).type === 'pong') event.stopImmediatePropagation();
    });
  }
};"""
"""While `deaf` is set, the page does not hear that the server answers its pings."""
GROW_DEAF = """() => {
  [window.deaf, window.losses] = [true, 0];
  window.roomfsm.connection.on('lost', () => { window.losses += 1; });
}"""
YOU = "window.roomfsm.room.state.you"


def test_a_page_that_waits_in_vain_for_an_answer_resumes_its_session(open_page: OpenPage) -> None:
    room = f"/r/room-{uuid.uuid4().hex[:8]}"
    ada = open_page(room, "Ada", script=DEAF)
    ada.clock.install()
    ada.reload()
    connection = ada.get_by_test_id("connection-state")
    expect(connection).to_have_text("Connected")
    before = ada.evaluate(YOU)
    ada.evaluate(GROW_DEAF)
    ada.clock.fast_forward(20_000)
    ada.clock.fast_forward(10_000)
    ada.evaluate("window.deaf = false")
    expect(connection).to_have_text("Connected")
    assert ada.evaluate("window.losses") == 1
    assert ada.evaluate(YOU) == before
    expect(ada.get_by_test_id("roster-entry")).to_have_count(1)
