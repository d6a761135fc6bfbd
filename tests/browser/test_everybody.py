"""Given people who use the keyboard, a small screen, or another language, then the page is theirs, too."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, ViewportSize, expect

from tests.browser.conftest import DESKTOP, PHONE, OpenPage
from tests.browser.crowd import Crowd
from tests.browser.test_broadcast import photograph
from tests.browser.test_files import OWL
from tests.browser.test_moderation import of_the_room

pytestmark = pytest.mark.browser

AXE = Path(__file__).parent.parent / "client" / "node_modules" / "axe-core" / "axe.min.js"
SERIOUS = """async (only) => {
  // A diagram has hundreds of elements, and a text beside it that says the same.
  const options = {resultTypes: ['violations'], ...(only && {runOnly: only})};
  const {violations} = await axe.run({exclude: ['svg']}, options);
  return violations
    .filter(({impact}) => impact === 'serious' || impact === 'critical')
    .flatMap(({id, nodes}) => nodes.map(({html, failureSummary}) => `${id}: ${html} ${failureSummary}`));
}"""
SMALL_TARGETS = """() => {
  const wanted = 'button, a[href], input, select, textarea, summary';
  return [...document.querySelectorAll(wanted)].flatMap((element) => {
    if (!element.checkVisibility({opacityProperty: true, visibilityProperty: true})) return [];
    const inText = element.matches('.chat-text a');
    const {width, height} = (element.closest('label') ?? element).getBoundingClientRect();
    if (inText || width <= 1 || (width >= 44 && height >= 44)) return [];
    return [`${Math.round(width)}x${Math.round(height)} ${element.outerHTML.slice(0, 120)}`];
  });
}"""
"""What a finger cannot hit: 44 pixels, by WCAG 2.5.5. Links in a sentence are excepted there."""
COLLECT = """(told) => {
  const collect = () => { told.dataset.told = `${told.dataset.told ?? ''} ${told.textContent}`; };
  new MutationObserver(collect).observe(told, {childList: true});
}"""
"""Keeps in an attribute all that was told. A busy machine may tell in two parts what a quick one tells in one."""
TOO_WIDE = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
FOCUSED = (
    "() => document.activeElement?.closest('[data-testid]')?.dataset.testid ?? document.activeElement?.tagName"
)
TOUCH: dict[str, Any] = {"has_touch": True, "is_mobile": True}
NARROW: ViewportSize = {"width": 320, "height": 640}


def check(page: Page, what: str) -> None:
    """Nothing on this screen is seriously wrong in light or dark, and fingers hit everything on a small one."""
    if not page.evaluate("() => 'axe' in window"):
        page.evaluate(AXE.read_text())
    page.emulate_media(color_scheme="light", reduced_motion="reduce")
    assert page.evaluate(SERIOUS) == [], what
    page.emulate_media(color_scheme="dark", reduced_motion="reduce")
    assert page.evaluate(SERIOUS, ["color-contrast"]) == [], f"{what}, dark"
    assert page.evaluate(TOO_WIDE) <= 0, what
    if (page.viewport_size or DESKTOP)["width"] < DESKTOP["width"]:
        assert page.evaluate(SMALL_TARGETS) == [], what


@pytest.fixture
def _axe() -> None:
    """The tests' own modules of npm have axe."""
    if not AXE.exists():
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)("no axe-core: npm ci in tests/client")


def live_room(page: Page, crowd: Crowd) -> None:
    """The page shares, and so do three others, who have written in the chat."""
    for name in ("Grace Hopper", "نور الهدى", "Олена"):
        crowd.present(name)
    crowd.tell(0, type="chat", text="Good morning. See https://example.org/slides")
    crowd.tell(1, type="chat", text="صباح الخير")
    crowd.tell(1, type="raiseHand")
    for what in ("start-mic", "start-camera"):
        page.get_by_test_id(what).click()
    expect(page.get_by_test_id("own-tile")).to_have_attribute("data-state", "live")
    expect(page.get_by_test_id("tile")).to_have_count(3)
    for one in page.get_by_test_id("tile").all():
        expect(one).to_have_attribute("data-state", "live")


def send_files(page: Page) -> None:
    """Two lines of the chat have files, one of which is a picture."""
    chooser = page.locator("[data-part=chat-files]")
    chooser.set_input_files(OWL)
    expect(page.get_by_test_id("chat-picture")).to_be_visible()
    chooser.set_input_files({"name": "notes of the meeting.txt", "mimeType": "", "buffer": b"abc"})
    expect(page.get_by_test_id("chat-file")).to_have_count(2)


@pytest.mark.usefixtures("_axe")
def test_axe_finds_nothing_serious_on_any_screen_of_a_narrow_phone(
    open_page: OpenPage, crowd: Crowd, room_name: str
) -> None:
    page = open_page("/", "Ada", NARROW, **TOUCH)
    check(page, "the start page")
    page.goto(page.url + f"r/{room_name}")
    expect(page.get_by_test_id("connection-state")).to_have_text("Connected")
    check(page, "an empty room")
    live_room(page, crowd)
    check(page, "a live room")
    page.locator("button[data-tab=chat]").click()
    send_files(page)
    check(page, "the chat, with files")
    page.get_by_test_id("chat-picture").click()
    check(page, "a picture")
    page.keyboard.press("Escape")
    page.locator("button[data-tab=people]").click()
    of_the_room(page, "toggle-lobby")
    waiting = open_page(f"/r/{room_name}", "Bob", NARROW, enters=False, **TOUCH)
    expect(waiting.get_by_test_id("connection-state")).to_have_text("Waiting to be let in…")
    check(waiting, "waiting to be let in")
    expect(page.get_by_test_id("waiting-entry")).to_be_visible()
    check(page, "the people, and one who waits")
    page.get_by_test_id("room-menu").click()
    check(page, "a menu")
    page.keyboard.press("Escape")
    page.locator("button[data-tab=rooms]").click()
    check(page, "the rooms")
    page.get_by_test_id("sheet-close").locator("visible=true").click()
    page.get_by_test_id("device-settings").click()
    check(page, "the devices")
    page.get_by_test_id("devices-done").click()
    page.get_by_test_id("leave-room").click()
    check(page, "the question before leaving")
    page.get_by_test_id("confirm-stay").click()
    photograph(page, "everybody-narrow")
    stranger = open_page(f"/r/{room_name}-2", "", NARROW, script="localStorage.clear();", enters=False, **TOUCH)
    stranger.get_by_test_id("enter-devices").locator("summary").click()
    check(stranger, "the page before a room")


@pytest.mark.usefixtures("_axe")
def test_axe_finds_nothing_serious_in_a_large_room_and_in_the_inspector(
    open_page: OpenPage, crowd: Crowd, room_name: str
) -> None:
    page = open_page(f"/r/{room_name}", "Ada")
    live_room(page, crowd)
    send_files(page)
    check(page, "a live room, with files in the chat")
    page.keyboard.press("?")
    check(page, "the shortcuts")
    page.keyboard.press("Escape")
    page.keyboard.press("Control+k")
    check(page, "the switcher")
    inspector = open_page(f"/inspect/{room_name}")
    expect(inspector.get_by_test_id("inspected-state")).to_have_text("broadcasting")
    check(inspector, "the inspector")


def test_the_keyboard_alone_does_everything_and_the_focus_is_never_lost(
    open_page: OpenPage, crowd: Crowd, room_name: str
) -> None:
    other = f"{room_name}-2"
    crowd.present("Grace Hopper")
    page, bob = open_page(f"/r/{room_name}", "Ada"), open_page(f"/r/{other}", "Bob")
    tidings = page.get_by_test_id("tidings")
    press, microphone = page.keyboard.press, page.locator("[data-device=microphone]")

    def hears(what: str) -> None:
        expect(tidings).to_have_attribute("data-told", re.compile(what))

    def has_focus(what: str) -> None:
        expect(page.locator(f"[data-testid={what}]")).to_be_focused()

    # The first stops lead past everything; the toolbar is one stop, with arrow keys in it.
    press("Tab")
    has_focus("skip-to-controls")
    press("Enter")
    has_focus("start-mic")
    for key, focused in (("ArrowRight", "start-camera"), ("End", "react"), ("ArrowRight", "start-mic")):
        press(key)
        has_focus(focused)
    # Starting and stopping keep the focus, and the button says what it does by now.
    press("Enter")
    has_focus("mute-mic")
    press("Enter")
    has_focus("start-mic")
    # What happens elsewhere is read aloud.
    tidings.evaluate(COLLECT)
    page.evaluate("document.activeElement.blur()")
    press("m")
    hears("Microphone on")
    press("m")
    expect(microphone).to_have_attribute("data-state", "off")
    index = crowd.present("Олена")
    hears(r"Олена joined\..*Олена is live\.")
    crowd.tell(index, type="raiseHand")
    hears(r"Олена raised a hand\.")
    crowd.speak(index)
    hears(r"Олена is speaking\.")
    # The space bar lets the user speak for as long as it is held.
    page.keyboard.down(" ")
    expect(microphone).to_have_attribute("data-state", "on")
    page.keyboard.up(" ")
    expect(microphone).to_have_attribute("data-state", "off")
    press("r")
    expect(page.get_by_test_id("raise-hand")).to_have_text("Lower hand")
    # Nothing of this happens while somebody types, and sending keeps the focus in the field.
    press("c")
    has_focus("chat-input")
    page.keyboard.type("mv rm? ")
    page.get_by_test_id("chat-send").click()
    expect(page.get_by_test_id("chat-line").last).to_contain_text("mv rm?")
    has_focus("chat-input")
    expect(microphone).to_have_attribute("data-state", "off")
    expect(page.get_by_test_id("raise-hand")).to_have_text("Lower hand")
    # The menu of the page gives the link for others, and gives the focus back.
    page.get_by_test_id("page-menu").focus()
    press("Enter")
    has_focus("copy-link")
    press("Enter")
    expect(page.get_by_test_id("notice").filter(has_text="link")).to_have_count(1)
    has_focus("page-menu")
    # The dialog lists the keys and turns them off; Ctrl-K stays. Closed, it gives the focus back.
    press("?")
    expect(page.get_by_test_id("shortcut-talk")).to_contain_text("Space")
    expect(page.locator("#shortcuts-title")).to_be_in_viewport()
    photograph(page, "shortcuts")
    page.get_by_test_id("shortcuts-on").uncheck()
    press("Escape")
    has_focus("page-menu")
    press("m")
    press("v")
    expect(microphone).not_to_have_attribute("aria-keyshortcuts", "M")
    expect(page.get_by_test_id("start-camera")).to_be_visible()
    # A tile that is gone gives its focus to another, and a jump leads to the head of the other room.
    gone = page.get_by_test_id("tile").filter(has_text="Олена").get_by_test_id("tile-menu")
    gone.focus()
    crowd.tell(index, type="unpublish", stream=gone.locator("xpath=ancestor::li").get_attribute("data-stream"))
    expect(gone).to_have_count(0)
    expect(page.get_by_test_id("tile").locator(":focus")).to_have_count(1)
    link = page.locator(f"[data-testid=jump-link][data-room={other}]")
    link.focus()
    press("Enter")
    expect(page.get_by_test_id("room-title")).to_have_text(other)
    has_focus("room-title")
    hears(f"You are in “{other}”")
    # Whoever lets the last one in who waits does not lose the focus with the button.
    of_the_room(bob, "toggle-lobby")
    cyd = open_page(f"/r/{other}", "Cyd", enters=False)
    bob.get_by_role("button", name="Admit Cyd").focus()
    bob.keyboard.press("Enter")
    expect(cyd.get_by_test_id("connection-state")).to_have_text("Connected")
    expect(bob.get_by_test_id("admit")).to_have_count(0)
    expect(bob.locator("button:focus")).to_have_count(1)


def test_the_page_speaks_the_languages_of_its_users(open_page: OpenPage, crowd: Crowd, room_name: str) -> None:
    asked: list[str] = []
    crowd.present("Grace Hopper")
    page = open_page(f"/r/{room_name}", "Ada", locale="ar-EG", enters=False, color_scheme="dark")
    expect(page.locator("html")).to_have_attribute("dir", "rtl")
    expect(page.get_by_test_id("connection-state")).to_have_text("متصل")
    page.get_by_test_id("start-camera").click()
    expect(page.get_by_test_id("own-tile")).to_have_attribute("data-state", "live")
    # The side with people and chat is at the left.
    side, head = page.locator(".side").bounding_box(), page.locator(".room-head").bounding_box()
    assert side is not None
    assert head is not None
    assert side["x"] < head["x"]
    photograph(page, "arabic-desktop")
    # Another language is chosen in the menu while one is live, and nothing of what is sent and written is lost.
    page.get_by_test_id("chat-input").fill("a draft")
    before = page.evaluate("[...roomfsm.peerConnections().keys()]")
    page.get_by_test_id("page-menu").click()
    page.get_by_test_id("choose-language").click()
    page.get_by_test_id("language-uk").click()
    expect(page.locator("html")).to_have_attribute("lang", "uk")
    expect(page.locator("html")).to_have_attribute("dir", "ltr")
    expect(page.get_by_test_id("connection-state")).to_have_text("З’єднано")
    expect(page.get_by_test_id("page-menu")).to_be_focused()
    expect(page.get_by_test_id("own-tile")).to_have_attribute("data-state", "live")
    assert page.evaluate("[...roomfsm.peerConnections().keys()]") == before
    expect(page.get_by_test_id("chat-input")).to_have_value("a draft")
    # It is remembered, also on the start page, where a field has it.
    page.get_by_test_id("leave-room").click()
    page.get_by_test_id("confirm-leave").click()
    expect(page.get_by_test_id("language")).to_have_value("uk")
    expect(page.get_by_role("button", name="Увійти")).to_be_visible()
    page.reload()
    expect(page.get_by_role("button", name="Увійти")).to_be_visible()
    page.get_by_test_id("language").focus()
    page.get_by_test_id("language").select_option("de")
    expect(page.get_by_test_id("start-enter")).to_have_text("Betreten")
    expect(page.get_by_test_id("language")).to_be_focused()
    # Only the language that is wanted is loaded, and English needs no file of its own.
    page.on("request", lambda request: asked.append(request.url))
    page.get_by_test_id("language").select_option("en")
    expect(page.get_by_test_id("start-enter")).to_have_text("Enter")
    page.reload()
    expect(page.get_by_test_id("start-enter")).to_have_text("Enter")
    assert [url for url in asked if re.search(r"words-(?!en)[a-z]+\.", url)] == []
    phone = open_page("/", "Ada", PHONE, locale="ar", **TOUCH)
    expect(phone.get_by_test_id("start-enter")).to_have_text("دخول")
    photograph(phone, "arabic-phone")
