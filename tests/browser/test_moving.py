"""Given several rooms, when somebody goes to another, then the start page and the keyboard alone find it."""

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
    # The start page: what is live comes first, and 7 before 10.
    start = open_page("/", "Eve", PHONE)
    rooms = start.get_by_test_id("room-link").filter(has_text=mark).locator(".room-name")
    expect(rooms).to_have_text([live, seven, ten])
    photograph(start, "rooms-start-phone")
    # The switcher: typing, arrows and Enter.
    start.keyboard.press("Control+k")
    field = start.get_by_test_id("switcher-input")
    expect(field).to_be_focused()
    options = start.get_by_test_id("switcher-link")
    start.keyboard.type(f"ROOM {mark}")
    expect(options.locator(".room-name")).to_have_text([live, seven, ten])
    photograph(start, "switcher-phone")
    for key in ("ArrowDown", "ArrowDown", "ArrowDown", "ArrowUp"):
        start.keyboard.press(key)
    # After the last of the rooms comes the room that has the typed name, and would be opened.
    expect(start.get_by_test_id("switcher-new")).to_have_attribute("aria-selected", "false")
    expect(options.nth(2)).to_have_attribute("aria-selected", "true")
    start.keyboard.press("Enter")
    expect(start.get_by_test_id("room-title")).to_have_text(ten)
    expect(start.get_by_test_id("connection-state")).to_have_text("Connected")
    # The room before is remembered, and comes first although it is not live.
    start.keyboard.press("Control+k")
    start.keyboard.type(live)
    start.keyboard.press("Enter")
    decodes(start)
    start.keyboard.press("Control+k")
    start.keyboard.type(mark)
    expect(options.locator(".room-name")).to_have_text([ten, seven])
    start.keyboard.press("Escape")
    expect(field).to_be_hidden()
    # A name that no room has opens one, as the server writes it.
    cyd.get_by_test_id("stop-camera").click()
    cyd.get_by_test_id("open-switcher").click()
    cyd.keyboard.type(f"{mark} brand new")
    photograph(cyd, "switcher-desktop")
    cyd.keyboard.press("Enter")
    expect(cyd.get_by_test_id("room-title")).to_have_text(f"{mark}-brand-new")
