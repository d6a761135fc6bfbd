"""Given a bad picture, then the page shows what it knows of each stream, and copies it for a report."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import DESKTOP, PHONE, OpenPage
from tests.browser.test_broadcast import broadcasts, decodes, photograph, speaks

pytestmark = pytest.mark.browser

LOADED = "performance.getEntriesByType('resource').filter(({name}) => name.includes('details-')).length"
KNOWN = re.compile(
    r"\d+ × \d+.*VP8, opus.*UDP.*Frames[1-9]\d* per second.*Picture[1-9][\d,]* kbit/s.*Sound\d+ kbit/s"
)


def test_the_details_of_each_stream_are_shown_and_copied_for_a_report(open_page: OpenPage, room: str) -> None:
    ada = open_page(room, "Ada", PHONE)
    bob = open_page(room, "Bob", DESKTOP, color_scheme="dark")
    bob.context.grant_permissions(["clipboard-read", "clipboard-write", "camera", "microphone"])
    # Whoever sees nothing may want to know why.
    assert bob.evaluate(LOADED) == 0
    bob.get_by_test_id("stage-options").click()
    bob.get_by_test_id("show-details").click()
    panel = bob.get_by_test_id("details")
    expect(panel).to_contain_text("Nothing is sent or received at the moment.")
    expect(panel).to_contain_text("Connected")
    bob.keyboard.press("Escape")
    expect(panel).to_have_count(0)
    expect(bob.get_by_test_id("stage-options")).to_be_focused()
    # Most people look for them in the menu of the page.
    bob.get_by_test_id("page-menu").click()
    bob.get_by_role("menuitem", name="Technical details").click()
    expect(panel).to_contain_text("Connected")
    bob.keyboard.press("Escape")
    expect(panel).to_have_count(0)
    expect(bob.get_by_test_id("page-menu")).to_be_focused()

    broadcasts(ada)
    speaks(ada)
    decodes(bob)
    for page in (ada, bob):
        page.get_by_test_id("stage-options").click()
        page.get_by_test_id("show-details").click()
        stream = page.get_by_test_id("details-stream")
        expect(stream).to_have_count(1)
        expect(stream).to_contain_text(KNOWN)
        expect(stream).to_contain_text("connected")
    expect(ada.get_by_test_id("details-stream")).to_contain_text("Your camera and microphone, sent")
    expect(bob.get_by_test_id("details-stream")).to_contain_text("Ada: camera and microphone, received")
    for page, name in ((ada, "details-phone"), (bob, "details-desktop-dark")):
        # A plot needs some seconds to be one.
        expect(page.locator(".plot path").first).to_have_attribute("d", re.compile(r"(L.*){4}"))
        photograph(page, name)
    bob.get_by_test_id("details-copy").click()
    expect(panel).to_contain_text("Copied")
    report: str = bob.evaluate("navigator.clipboard.readText()")
    assert re.search(r"receiving p\w+\.camera: connected\n +picture +\d+x\d+\n +codecs +VP8, opus\n", report), (
        report
    )
    assert "room inside" in report
    assert "Ada" not in report
    bob.get_by_text("What this page saw").click()
    expect(bob.get_by_test_id("details-record")).to_contain_text("camera connected")
    ada.close()
    expect(bob.get_by_test_id("details-stream")).to_have_count(0)
    bob.get_by_test_id("details-close").click()
    expect(panel).to_have_count(0)
