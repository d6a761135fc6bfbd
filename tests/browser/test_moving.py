"""Given several rooms, when somebody goes to another, then the lobby and the keyboard alone find it."""

from __future__ import annotations

import uuid

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import PHONE, OpenPage
from tests.browser.test_broadcast import broadcasts, decodes, photograph

pytestmark = pytest.mark.browser


def test_rooms_are_found_by_the_keyboard_and_remembered(open_page: OpenPage) -> None:
    mark = uuid.uuid4().hex[:6]
    seven, ten, live = f"{mark}-room-7", f"{mark}-room-10", f"{mark}-room-90"
    open_page(f"/r/{ten}", "Ada")
    open_page(f"/r/{seven}", "Bob")
    cyd = open_page(f"/r/{live}", "Cyd")
    broadcasts(cyd)
    # The lobby: what is live comes first, and 7 before 10.
    lobby = open_page("/", "Eve", PHONE)
    rooms = lobby.get_by_test_id("room-link").filter(has_text=mark).locator(".room-name")
    expect(rooms).to_have_text([live, seven, ten])
    photograph(lobby, "rooms-lobby-phone")
    # The switcher: typing, arrows and Enter.
    lobby.keyboard.press("Control+k")
    field = lobby.get_by_test_id("switcher-input")
    expect(field).to_be_focused()
    options = lobby.get_by_test_id("switcher-link")
    lobby.keyboard.type(f"ROOM {mark}")
    expect(options.locator(".room-name")).to_have_text([live, seven, ten])
    photograph(lobby, "switcher-phone")
    for key in ("ArrowDown", "ArrowDown", "ArrowDown", "ArrowUp"):
        lobby.keyboard.press(key)
    # After the last of the rooms comes the room that has the typed name, and would be opened.
    expect(lobby.get_by_test_id("switcher-new")).to_have_attribute("aria-selected", "false")
    expect(options.nth(2)).to_have_attribute("aria-selected", "true")
    lobby.keyboard.press("Enter")
    expect(lobby.get_by_test_id("room-title")).to_have_text(ten)
    expect(lobby.get_by_test_id("connection-state")).to_have_text("Connected")
    # The room before is remembered, and comes first although it is not live.
    lobby.keyboard.press("Control+k")
    lobby.keyboard.type(live)
    lobby.keyboard.press("Enter")
    decodes(lobby)
    lobby.keyboard.press("Control+k")
    lobby.keyboard.type(mark)
    expect(options.locator(".room-name")).to_have_text([ten, seven])
    lobby.keyboard.press("Escape")
    expect(field).to_be_hidden()
    # A name that no room has opens one, as the server writes it.
    cyd.get_by_test_id("stop-camera").click()
    cyd.get_by_test_id("open-switcher").click()
    cyd.keyboard.type(f"{mark} brand new")
    photograph(cyd, "switcher-desktop")
    cyd.keyboard.press("Enter")
    expect(cyd.get_by_test_id("room-title")).to_have_text(f"{mark}-brand-new")
