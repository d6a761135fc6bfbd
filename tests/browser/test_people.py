"""Given a room with many people, when they come and speak up, then the list keeps its order and its focus."""

from __future__ import annotations

import uuid

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import OpenPage
from tests.browser.test_broadcast import photograph
from tests.system.program import Program

pytestmark = pytest.mark.browser

PEOPLE = ["Guest 10", "Guest 9", "שלום עולם (3)", "محمد علي", "Zoë Müller", "👩🏽 Eve", "李小龍", "Ω", "Bo", "Ivy"]
ENTER = """([names, url, room]) => Promise.all(names.map((name) => new Promise((entered) => {
  const socket = new WebSocket(url, 'roomfsm.v1');
  (window.people ??= {})[name] = (message) => socket.send(JSON.stringify(message));
  socket.addEventListener('message', ({data}) => {
    const {type} = JSON.parse(data);
    if (type === 'welcome') window.people[name]({type: 'join', room, name});
    if (type === 'joined') entered();
  });
})))"""
"""People without pages. Each is a websocket, to which `window.people[name]` sends a message."""


def test_the_list_of_many_people_has_an_order_a_search_and_keeps_the_focus(
    open_page: OpenPage, program: Program
) -> None:
    room = f"room-{uuid.uuid4().hex[:8]}"
    ada = open_page(f"/r/{room}", "Ada")
    names = ada.get_by_test_id("roster-entry").locator(".roster-name")
    search = ada.get_by_test_id("people-search")
    ada.evaluate(ENTER, [PEOPLE[:9], program.url, room])
    expect(ada.get_by_test_id("people-total")).to_have_text("10")
    expect(search).to_be_hidden()
    ada.evaluate(ENTER, [PEOPLE[9:], program.url, room])
    expect(search).to_be_visible()
    # One's own name comes first, and 9 before 10.
    expect(names.first).to_have_text("Ada")
    told = names.all_text_contents()
    assert told.index("Guest 9") + 1 == told.index("Guest 10")
    # Whoever raises a hand comes first, and takes along the focus of the button that has it.
    more = ada.locator("[data-testid=roster-entry]", has_text="Ivy").get_by_test_id("moderate")
    more.focus()
    # One after the other: they come over two connections.
    for place, name in enumerate(("Ivy", "محمد علي")):
        ada.evaluate("(name) => window.people[name]({type: 'raiseHand'})", name)
        expect(names.nth(place)).to_have_text(name)
    expect(more).to_be_focused()
    # The keyboard opens the menu, and the focus comes back from it.
    ada.keyboard.press("Enter")
    expect(ada.get_by_test_id("write-to")).to_be_focused()
    ada.keyboard.press("End")
    expect(ada.get_by_test_id("ban")).to_be_focused()
    ada.keyboard.press("l")
    expect(ada.get_by_test_id("lower-hand")).to_be_focused()
    photograph(ada, "people-many")
    ada.keyboard.press("Escape")
    expect(more).to_be_focused()
    search.fill("muller")
    expect(names).to_have_text(["Zoë Müller"])
    search.fill("nobody")
    expect(ada.get_by_text("Nobody here is called “nobody”.")).to_be_visible()
    search.press("Escape")
    expect(names).to_have_count(11)
    # Reactions of others are seen and read aloud, and one's own are shown to others.
    bob = open_page(f"/r/{room}", "Bob", reduced_motion="reduce")
    ada.evaluate("window.people['Ivy']({type: 'react', reaction: 'applause'})")
    expect(bob.get_by_test_id("reactions-told")).to_have_text("Ivy: applause.")
    ada.get_by_test_id("react").click()
    ada.keyboard.press("ArrowRight")
    expect(ada.get_by_test_id("react-heart")).to_be_focused()
    ada.keyboard.press("Enter")
    expect(ada.get_by_test_id("react")).to_be_focused()
    expect(bob.get_by_test_id("reactions-told")).to_have_text("Ada: heart.")
    # The hand is raised in the same place, which shows that it is up.
    ada.get_by_test_id("react").click()
    ada.get_by_role("menuitem", name="Raise hand").click()
    expect(bob.get_by_test_id("hand")).to_have_count(3)
    expect(ada.get_by_test_id("react")).to_have_attribute("data-active", "true")
    expect(ada.get_by_test_id("react")).to_have_accessible_name("Show a reaction. Your hand is up.")
    ada.get_by_test_id("react").click()
    ada.get_by_role("menuitem", name="Lower hand").click()
    expect(bob.get_by_test_id("hand")).to_have_count(2)
    expect(ada.get_by_test_id("react")).to_have_attribute("data-active", "false")
    # Every name has a direction of its own, so that what stands beside it stays there.
    entry = ada.locator("[data-testid=roster-entry]", has_text="(3)")
    assert entry.evaluate(
        "entry => entry.querySelector('bdi').getBoundingClientRect().right"
        " <= entry.querySelector('button').getBoundingClientRect().left"
    )


def test_whoever_is_alone_is_offered_the_link_for_others(open_page: OpenPage, room: str) -> None:
    ada = open_page(room, "Ada")
    ada.context.grant_permissions(["clipboard-read", "clipboard-write"])
    ada.get_by_role("button", name="Copy the link to this room").click()
    expect(ada.get_by_text("The link to this room is copied.")).to_be_visible()
    assert ada.evaluate("navigator.clipboard.readText()").endswith(room)
    # The menu of the page has it at all times, so it leaves the list when it is hardly needed any more.
    bob = open_page(room, "Bob")
    for page in (ada, bob):
        expect(page.get_by_test_id("invite")).to_be_hidden()
    bob.close()
    expect(ada.get_by_test_id("invite")).to_be_visible()
