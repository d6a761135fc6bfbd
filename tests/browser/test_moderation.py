"""Given browsers in a room, when a moderator acts, then the person concerned and the others see it."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Locator, Page, ViewportSize, expect

from tests.browser.conftest import PHONE, OpenPage
from tests.browser.test_broadcast import broadcasts, decodes, photograph, speaks

SMALL_PHONE: ViewportSize = {"width": 360, "height": 740}

DISOBEYS = """
  MediaStreamTrack.prototype.stop = () => {};
  const {replaceTrack} = RTCRtpSender.prototype;
  RTCRtpSender.prototype.replaceTrack = function (track) {
    return track ? replaceTrack.call(this, track) : Promise.resolve();
  };
"""
"""The microphone of this page cannot be turned off."""

pytestmark = pytest.mark.browser


def menu_of(page: Page, name: str) -> None:
    """Open what a moderator may do with a person."""
    page.locator("[data-testid=roster-entry]", has_text=name).get_by_test_id("moderate").click()


def of_the_room(page: Page, choice: str) -> None:
    """Choose what a moderator may do with the room."""
    page.get_by_test_id("room-menu").click()
    page.get_by_test_id(choice).click()


def test_a_moderator_removes_somebody_who_may_come_again(open_page: OpenPage, room: str) -> None:
    ada, bob = open_page(room, "Ada"), open_page(room, "Bob")
    expect(bob.locator("[data-testid=roster-entry][data-role=moderator]")).to_have_text("Adamoderator")
    expect(bob.get_by_test_id("moderate")).to_have_count(0)
    expect(bob.get_by_test_id("room-menu")).to_be_hidden()
    bob.get_by_test_id("raise-hand").click()
    expect(ada.get_by_test_id("hand")).to_have_text("hand 1")
    broadcasts(bob)
    menu_of(ada, "Bob")
    photograph(ada, "moderator-desktop")
    ada.get_by_test_id("kick").click()
    expect(ada.get_by_test_id("roster-entry")).to_have_count(1)
    expect(bob.get_by_text("A moderator put you out of the room.")).to_be_visible()
    photograph(bob, "put-out")
    bob.get_by_test_id("retry-now").click()
    expect(ada.get_by_test_id("roster-entry")).to_have_count(2)


def test_a_moderator_bans_somebody_and_locks_the_room(open_page: OpenPage, room: str) -> None:
    ada, bob = open_page(room, "Ada", viewport=PHONE), open_page(room, "Bob")
    ada.locator("button[data-tab=people]").click()
    menu_of(ada, "Bob")
    photograph(ada, "moderator-phone")
    ada.get_by_test_id("make-viewer").click()
    expect(bob.locator("[data-testid=roster-entry][data-role=viewer]")).to_have_count(1)
    of_the_room(ada, "lock-room")
    expect(bob.get_by_test_id("room-marks")).to_have_text("locked")
    bob.get_by_test_id("chat-input").fill("too long " * 1000)
    bob.get_by_test_id("chat-input").press("Enter")
    expect(bob.locator(".notices .notice")).to_have_count(1)
    menu_of(ada, "Bob")
    ada.get_by_test_id("ban").click()
    # What was told of the stay in the room is of no use any more.
    expect(bob.locator(".notices .notice")).to_have_count(0)
    expect(bob.get_by_text("does not let you enter it for a time")).to_be_visible()
    bob.get_by_test_id("retry-now").click()
    expect(bob.get_by_text("A moderator does not let you enter this room for a time.")).to_be_visible()


def say(page: Page, text: str) -> None:
    page.get_by_test_id("chat-input").fill(text)
    page.get_by_test_id("chat-send").click()
    expect(page.get_by_test_id("chat-input")).to_have_value("")


def test_lines_are_answered_deleted_and_said_in_private(open_page: OpenPage, room: str) -> None:
    ada, bob, cyd = open_page(room, "Ada"), open_page(room, "Bob", viewport=PHONE), open_page(room, "Cyd")
    bob.locator("button[data-tab=chat]").click()
    say(bob, "Shall we begin?")
    cyd.locator("[data-testid=chat-line]", has_text="begin").hover()
    cyd.get_by_test_id("chat-reply").click()
    expect(cyd.get_by_test_id("chat-about")).to_contain_text("Answer to Bob: Shall we begin?")
    say(cyd, "Yes, please.")
    expect(bob.get_by_test_id("chat-quote")).to_have_text("Bob: Shall we begin?")
    # Cyd writes to Bob, who answers in private, too.
    cyd.locator("[data-testid=roster-entry]", has_text="Bob").get_by_test_id("person-menu").click()
    cyd.get_by_role("menuitem", name="Write to Bob in private").click()
    say(cyd, "Ada is late.")
    expect(cyd.get_by_test_id("chat-private")).to_have_text("only to Bob")
    expect(bob.get_by_test_id("chat-private")).to_have_text("only to you")
    bob.locator("[data-testid=chat-line].private").get_by_test_id("chat-reply").click()
    expect(bob.get_by_test_id("chat-about")).to_have_text("Only to Cyd")
    photograph(bob, "chat-phone")
    say(bob, "As always.")
    expect(cyd.get_by_test_id("chat-private")).to_have_count(2)
    say(bob, "Here she is.")
    expect(ada.get_by_test_id("chat-line")).to_have_count(3)
    expect(cyd.get_by_test_id("chat-line")).to_have_count(5)
    photograph(cyd, "chat-desktop")
    # Bob may delete what he said, and Ada everything.
    expect(bob.get_by_test_id("chat-delete").locator("visible=true")).to_have_count(2)
    ada.locator("[data-testid=chat-line]", has_text="Shall we begin?").first.hover()
    ada.locator("[data-testid=chat-line]", has_text="Shall we begin?").first.get_by_test_id("chat-delete").click()
    for page, lines in ((ada, 2), (bob, 4), (cyd, 4)):
        expect(page.get_by_test_id("chat-line")).to_have_count(lines)
        expect(page.get_by_test_id("chat-quote")).to_have_text("A line that is not here any more")


def test_a_moderator_ends_a_stream_which_does_not_begin_again_and_closes_the_room(
    open_page: OpenPage, room: str
) -> None:
    ada, bob = open_page(room, "Ada", viewport=SMALL_PHONE), open_page(room, "Bob")
    broadcasts(bob)
    expect(ada.get_by_test_id("tile")).to_have_count(1)
    ada.locator("button[data-tab=people]").click()
    menu_of(ada, "Bob")
    photograph(ada, "moderator-small-phone")
    ada.get_by_test_id("end-camera").click()
    expect(bob.get_by_text("A moderator has ended your camera.")).to_be_visible()
    expect(bob.get_by_test_id("start-camera")).to_be_visible()
    expect(ada.get_by_test_id("tile")).to_have_count(0)
    of_the_room(ada, "close-room")
    photograph(ada, "close-room-small-phone")
    ada.get_by_test_id("close-confirm").click()
    for page in (ada, bob):
        expect(page.get_by_text("A moderator has closed the room.")).to_be_visible()
    bob.get_by_test_id("retry-now").click()
    expect(bob.locator("[data-testid=roster-entry][data-role=moderator]")).to_contain_text("Bob")


def moderate(page: Page, name: str, choice: str) -> None:
    menu_of(page, name)
    page.get_by_test_id(choice).click()


def tile_of(page: Page) -> Locator:
    return page.get_by_test_id("tile")


HEARD = """async (wanted) => {
  // Packets of sound that come while we look. The page may not have begun to watch yet.
  const count = async () => {
    let packets = 0;
    for (const peer of window.roomfsm.peerConnections().values())
      for (const report of (await peer.getStats()).values())
        if (report.type === 'inbound-rtp' && report.kind === 'audio') packets += report.packetsReceived;
    return packets;
  };
  const deadline = performance.now() + 60000;
  for (;;) {
    const before = await count();
    await new Promise((resolve) => setTimeout(resolve, 500));
    if ((await count()) > before === wanted) return;
    if (performance.now() > deadline) throw new Error(`the sound ${wanted ? 'never arrives' : 'goes on'}`);
  }
}"""


def becomes(page: Page, *, wanted: bool) -> None:
    """Wait until the sound arrives, or arrives no more."""
    page.evaluate(HEARD, wanted)


def test_a_moderator_mutes_somebody_which_the_others_see_and_hear(open_page: OpenPage, room: str) -> None:
    # Bob's page cannot listen to his microphone: the media server does.
    ada, bob = open_page(room, "Ada"), open_page(room, "Bob", script="delete globalThis.AudioContext;")
    cyd = open_page(room, "Cyd", viewport=SMALL_PHONE)
    broadcasts(bob)
    speaks(bob)
    bobs_entry = cyd.locator("[data-testid=roster-entry]", has_text="Bob")
    cyd.locator("button[data-tab=people]").click()
    becomes(cyd, wanted=True)
    # The sound of Chromium's camera beeps.
    for page in (ada, cyd):
        expect(tile_of(page)).to_have_class(re.compile("speaks"))
        expect(tile_of(page).get_by_label("microphone off")).to_be_hidden()
    photograph(ada, "speaking-desktop")
    moderate(ada, "Bob", "mute")
    expect(
        bob.get_by_text("Ada has muted you. Turn your microphone on again when you want to speak.")
    ).to_be_visible()
    expect(bob.locator("[data-device=microphone]")).to_have_attribute("data-state", "off")
    for page in (ada, cyd):
        expect(tile_of(page).get_by_label("microphone off")).to_be_visible()
        expect(tile_of(page)).not_to_have_class(re.compile("speaks"))
    expect(bobs_entry.get_by_label("muted by a moderator")).to_be_visible()
    photograph(cyd, "muted-small-phone")
    photograph(ada, "muted-desktop")
    becomes(cyd, wanted=False)
    bob.get_by_test_id("start-mic").click()
    expect(tile_of(cyd).get_by_label("microphone off")).to_be_hidden()
    becomes(cyd, wanted=True)
    # If the moderator holds it, only the moderator can end it.
    moderate(ada, "Bob", "keep-muted")
    expect(bob.get_by_text("Ada has muted you. Raise your hand to ask for the word.")).to_be_visible()
    becomes(cyd, wanted=False)
    bob.get_by_test_id("start-mic").click()
    expect(bob.get_by_text("A moderator keeps you muted. Raise your hand to ask for the word.")).to_be_visible()
    expect(bob.locator("[data-device=microphone]")).to_have_attribute("data-state", "off")
    becomes(cyd, wanted=False)
    moderate(ada, "Bob", "let-speak")
    expect(bob.get_by_text("You may turn your microphone on again.")).to_be_visible()
    bob.get_by_test_id("start-mic").click()
    becomes(cyd, wanted=True)
    expect(tile_of(cyd)).to_have_class(re.compile("speaks"))


def test_a_page_that_does_not_obey_is_not_heard_either(open_page: OpenPage, room: str) -> None:
    ada, bob = open_page(room, "Ada"), open_page(room, "Bob", script=DISOBEYS)
    broadcasts(bob)
    speaks(bob)
    becomes(ada, wanted=True)
    moderate(ada, "Bob", "keep-muted")
    expect(bob.get_by_text("Ada has muted you.")).to_be_visible()
    becomes(ada, wanted=False)
    # Somebody who comes later gets the picture without the sound.
    cyd = open_page(room, "Cyd")
    decodes(cyd)
    becomes(cyd, wanted=False)
    moderate(ada, "Bob", "let-speak")
    for page in (ada, cyd):
        becomes(page, wanted=True)


def test_a_chat_that_a_moderator_clears_is_gone_for_everybody(open_page: OpenPage, room: str) -> None:
    ada, bob = open_page(room, "Ada"), open_page(room, "Bob")
    bob.get_by_test_id("chat-input").fill("something")
    bob.get_by_test_id("chat-send").click()
    expect(ada.get_by_test_id("chat-line")).to_have_count(1)
    # It cannot be undone, so the page asks.
    of_the_room(ada, "clear-chat")
    ada.get_by_test_id("clear-cancel").click()
    of_the_room(ada, "clear-chat")
    expect(ada.get_by_test_id("chat-line")).to_have_count(1)
    ada.get_by_test_id("clear-confirm").click()
    for page in (ada, bob):
        expect(page.get_by_test_id("chat-line")).to_have_count(0)
    bob.get_by_test_id("chat-input").fill("something else")
    bob.get_by_test_id("chat-send").click()
    expect(ada.get_by_test_id("chat-line")).to_have_count(1)
