"""Given browsers in rooms, when one broadcasts, then the others decode its frames, and chat and switching work."""

from __future__ import annotations

import re
from typing import Any

import psutil
import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import PHONE, SCREENSHOTS, OpenPage
from tests.system.program import Program

pytestmark = pytest.mark.browser

UNTIL = """async (condition) => {
  const holds = new Function('videos', `return ${condition}`);
  const deadline = performance.now() + 60000;
  const first = new Map();
  for (;;) {
    const videos = [];
    for (const [stream, peer] of window.roomfsm.peerConnections())
      for (const report of (await peer.getStats()).values())
        if (report.type === 'inbound-rtp' && report.kind === 'video') {
          const frames = report.framesDecoded ?? 0;
          if (!first.has(peer)) first.set(peer, frames);
          videos.push({stream, old: Boolean(peer.isOld), frames, more: frames - first.get(peer),
                       width: report.frameWidth ?? 0, height: report.frameHeight ?? 0});
        }
    if (holds(videos)) return videos;
    if (performance.now() > deadline) throw new Error(`not ${condition}: ${JSON.stringify(videos)}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}"""
"""Repeatedly asks what the page decodes; `more` are the frames since a connection was first looked at.

`wait_for_function` cannot be used: it takes the promise of an async condition for true, and in any page of
ours it fails unless the condition holds at once, because the page's content security policy forbids `eval`.
"""


def until(page: Page, condition: str) -> list[dict[str, Any]]:
    """Wait until `videos`, the video streams that the page receives, fulfil a condition. Returns them."""
    videos: list[dict[str, Any]] = page.evaluate(UNTIL, condition)
    return videos


def decodes(page: Page, streams: int = 1) -> None:
    """Check that the page decodes that many streams of 640×480, and continues to do so."""
    # A stream may end meanwhile and another take its place, as when its presenter has reloaded the page.
    until(page, f"videos.filter(v => v.width === 640 && v.height === 480 && v.more > 5).length === {streams}")


def broadcasts(page: Page) -> None:
    page.get_by_test_id("start-camera").click()
    expect(page.get_by_test_id("stop-camera")).to_be_visible()


def speaks(page: Page) -> None:
    page.get_by_test_id("start-mic").click()
    expect(page.get_by_test_id("mute-mic")).to_be_visible()


def photograph(page: Page, name: str, *, whole: bool = False) -> None:
    SCREENSHOTS.mkdir(exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=whole)


def test_two_viewers_and_one_who_joins_late_see_a_broadcast(open_page: OpenPage, room: str) -> None:
    ada = open_page(room, "Ada")
    bob, eve = open_page(room, "Bob"), open_page(room, "Eve")
    broadcasts(ada)
    for viewer in (bob, eve):
        decodes(viewer)
    late = open_page(room, "Zoe", PHONE)
    decodes(late)
    expect(late.get_by_test_id("tile")).to_have_attribute("data-state", "live")
    expect(ada.get_by_test_id("roster-entry")).to_have_count(4)
    photograph(ada, "presenter-desktop")
    photograph(bob, "viewer-desktop")
    photograph(late, "viewer-phone")
    ada.get_by_test_id("stop-camera").click()
    for viewer in (bob, eve, late):
        expect(viewer.get_by_test_id("tile")).to_have_count(0)
    broadcasts(ada)
    for viewer in (bob, eve, late):
        decodes(viewer)


def test_two_presenters_can_show_a_camera_and_a_screen(open_page: OpenPage, room: str) -> None:
    ada, bob = open_page(room, "Ada"), open_page(room, "Bob")
    viewer = open_page(room, "Eve")
    broadcasts(ada)
    broadcasts(bob)
    ada.get_by_test_id("start-screen").click()
    expect(viewer.get_by_test_id("tile")).to_have_count(3)
    until(viewer, "videos.length === 3 && videos.every(v => v.frames > 0)")
    until(bob, "videos.length === 2 && videos.every(v => v.frames > 0)")
    photograph(viewer, "three-streams-desktop")
    toggle = viewer.get_by_test_id("toggle-view").first
    toggle.click()
    until(viewer, "videos.length === 2")
    toggle.click()
    until(viewer, "videos.length === 3 && videos.every(v => v.frames > 0)")


def test_people_chat_and_see_who_is_there_and_rename_themselves(open_page: OpenPage, room: str) -> None:
    ada, bob = open_page(room, "Ada"), open_page(room, "Bob")
    ada.get_by_test_id("chat-input").fill("<b>hello</b> & welcome")
    ada.get_by_test_id("chat-send").click()
    expect(bob.get_by_test_id("chat-line")).to_contain_text("<b>hello</b> & welcome")
    late = open_page(room, "Zoe")
    expect(late.get_by_test_id("chat-line")).to_contain_text("hello")
    expect(ada.get_by_test_id("roster-entry")).to_contain_text(["Ada", "Bob", "Zoe"])
    more = bob.locator("[data-testid=roster-entry]", has_text="Bob").get_by_test_id("person-menu")
    more.press("Enter")
    expect(bob.get_by_test_id("rename")).to_be_focused()
    bob.keyboard.press("ArrowUp")
    expect(bob.get_by_test_id("own-hand")).to_be_focused()
    bob.keyboard.press("Escape")
    expect(more).to_be_focused()
    more.click()
    bob.get_by_test_id("rename").click()
    bob.get_by_test_id("rename-input").fill("a\u200bb")
    bob.get_by_test_id("rename-save").click()
    expect(bob.get_by_test_id("rename-fault")).not_to_be_empty()
    bob.get_by_test_id("rename-input").fill("Robert")
    bob.get_by_test_id("rename-save").click()
    expect(ada.get_by_test_id("roster-entry").nth(1)).to_contain_text("Robert")
    expect(bob.get_by_test_id("rename-input")).to_be_hidden()
    late.close()
    expect(ada.get_by_test_id("roster-entry")).to_have_count(2)


def test_a_person_moves_to_another_room_without_a_reload(open_page: OpenPage, room: str) -> None:
    ada, bob = open_page(room, "Ada"), open_page(f"{room}-other", "Bob")
    broadcasts(bob)
    ada.evaluate("window.notReloaded = true")
    ada.locator(f"[data-testid=jump-link][data-room='{room.removeprefix('/r/')}-other']").click()
    decodes(ada)
    expect(ada).to_have_url(re.compile(f"{room}-other$"))
    expect(ada.get_by_test_id("roster-entry")).to_have_count(2)
    ada.go_back()
    expect(ada.get_by_test_id("room-title")).to_have_text(room.removeprefix("/r/"))
    expect(ada.get_by_test_id("roster-entry")).to_have_count(1)
    assert ada.evaluate("window.notReloaded")
    ada.get_by_test_id("leave-room").click()
    expect(ada.get_by_test_id("start-room-input")).to_be_visible()


def test_the_start_page_shows_the_rooms_and_opens_new_ones(open_page: OpenPage, room: str) -> None:
    name = room.removeprefix("/r/")
    bob = open_page(room, "Bob")
    broadcasts(bob)
    start, phone = open_page("/", "Ada"), open_page("/", "Eve", PHONE, color_scheme="dark")
    link = start.get_by_test_id("room-link").filter(has_text=name)
    expect(link).to_contain_text("1")
    photograph(start, "start-desktop")
    photograph(phone, "start-phone-dark")
    start.get_by_test_id("start-room-input").fill("no/name")
    start.get_by_test_id("start-enter").click()
    expect(start.get_by_test_id("start-fault")).not_to_be_empty()
    link.click()
    decodes(start)
    phone.get_by_test_id("start-room-input").fill(f"{name}-new")
    phone.get_by_test_id("start-enter").click()
    expect(phone.get_by_test_id("room-title")).to_have_text(f"{name}-new")
    photograph(phone, "room-phone-dark")
    dark = open_page(room, "Guy", color_scheme="dark")
    decodes(dark)
    photograph(dark, "viewer-desktop-dark")


def test_after_a_media_server_died_everybody_sees_the_stream_again(
    open_page: OpenPage, room: str, program: Program
) -> None:
    ada, bob = open_page(room, "Ada"), open_page(room, "Bob")
    broadcasts(ada)
    decodes(bob)
    # The tile may disappear only for a moment. The proof is that another connection brings the picture.
    bob.evaluate("() => { for (const peer of window.roomfsm.peerConnections().values()) peer.isOld = true; }")
    for child in psutil.Process(program.process.pid).children():
        child.kill()
    until(bob, "videos.some(v => !v.old && v.frames > 5)")


def test_a_presenter_who_closes_the_tab_leaves_at_once(open_page: OpenPage, room: str) -> None:
    ada, bob = open_page(room, "Ada"), open_page(room, "Bob")
    broadcasts(ada)
    decodes(bob)
    ada.close()
    expect(bob.get_by_test_id("tile")).to_have_count(0)
    expect(bob.get_by_test_id("roster-entry")).to_have_count(1)


def test_a_person_on_air_is_asked_before_leaving(open_page: OpenPage, room: str) -> None:
    ada, bob = open_page(room, "Ada"), open_page(f"{room}-other", "Bob")
    broadcasts(ada)
    jump = ada.locator(f"[data-testid=jump-link][data-room='{room.removeprefix('/r/')}-other']")
    jump.click()
    ada.get_by_test_id("confirm-stay").click()
    expect(ada.get_by_test_id("stop-camera")).to_be_visible()
    jump.click()
    expect(ada.get_by_test_id("confirm-stay")).to_be_visible()
    ada.keyboard.press("Escape")
    expect(ada.get_by_test_id("confirm-stay")).to_be_hidden()
    expect(ada.get_by_test_id("room-title")).to_have_text(room.removeprefix("/r/"))
    jump.click()
    ada.get_by_test_id("confirm-leave").click()
    expect(bob.get_by_test_id("roster-entry")).to_have_count(2)
    expect(ada.get_by_test_id("start-camera")).to_be_visible()


def test_an_address_that_cannot_be_a_room_is_explained_on_the_page(open_page: OpenPage) -> None:
    # The browser logs the status of the page itself as an error.
    for path, said in (
        ("/r/a%21b", "“a!b” cannot be a room. A room name is 1 to 64 letters"),
        ("/anything", "no page"),
    ):
        page = open_page(path, "Ada", expects="404")
        expect(page.get_by_test_id("start-room-input")).to_be_visible()
        expect(page.get_by_text(said)).to_be_visible()
