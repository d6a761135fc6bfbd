"""Given a room with a lobby, when browsers knock, then a moderator decides, and each of them sees it."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import PHONE, OpenPage
from tests.browser.test_broadcast import broadcasts, photograph
from tests.browser.test_moderation import moderate, of_the_room

pytestmark = pytest.mark.browser


def with_lobby(page: Page) -> Page:
    """The page of a moderator, who has turned the lobby on."""
    of_the_room(page, "toggle-lobby")
    expect(page.get_by_test_id("room-marks")).to_have_text("lobby")
    return page


def waits(page: Page) -> None:
    expect(page.get_by_test_id("connection-state")).to_have_text("Waiting to be let in…")
    expect(page.get_by_test_id("start-camera")).to_be_disabled()


def is_in(page: Page) -> None:
    expect(page.get_by_test_id("connection-state")).to_have_text("Connected")


def test_three_knock_and_are_admitted_denied_and_removed(open_page: OpenPage, room: str) -> None:
    ada = with_lobby(open_page(room, "Ada"))
    broadcasts(ada)
    bob, cyd, dan = (
        open_page(room, "Bob", viewport=PHONE, enters=False),
        open_page(room, "Cyd", enters=False),
        open_page(room, "Dan", enters=False),
    )
    for page in (bob, cyd, dan):
        waits(page)
    expect(bob.get_by_text("lets people in one by one")).to_be_visible()
    # Nothing of the room is there yet.
    for part in (".side", "[data-testid=chat-input]", "[data-testid=start-screen]", "[data-testid=tile]"):
        expect(bob.locator(part).locator("visible=true")).to_have_count(0)
    expect(ada.get_by_test_id("waiting-entry")).to_have_count(3)
    photograph(ada, "lobby-moderator")
    photograph(bob, "lobby-waiting-phone")
    ada.get_by_role("button", name="Admit Bob").click()
    is_in(bob)
    expect(bob.get_by_text("lets people in one by one")).to_have_count(0)
    # Nobody but moderators sees who waits.
    expect(bob.get_by_test_id("waiting-entry")).to_have_count(0)
    ada.get_by_test_id("waiting-entry").filter(has_text="Cyd").get_by_test_id("deny-more").click()
    ada.get_by_test_id("deny-hour").click()
    expect(ada.get_by_test_id("unban")).to_have_count(1)
    ada.locator("summary", has_text="Kept out").click()
    ada.get_by_test_id("unban").click()
    expect(ada.get_by_test_id("unban")).to_have_count(0)
    expect(cyd.get_by_text("A moderator did not let you in.")).to_be_visible()
    photograph(cyd, "lobby-denied")
    cyd.get_by_test_id("retry-now").click()
    waits(cyd)
    expect(ada.get_by_test_id("waiting-entry")).to_have_count(2)
    ada.get_by_test_id("admit-all").click()
    is_in(cyd)
    is_in(dan)
    expect(ada.get_by_test_id("roster-entry")).to_have_count(4)
    # Whoever is removed has to knock again.
    moderate(ada, "Dan", "kick")
    dan.get_by_test_id("retry-now").click()
    waits(dan)
    of_the_room(ada, "toggle-lobby")
    is_in(dan)


def test_a_moderator_on_a_phone_sees_that_somebody_waits(open_page: OpenPage, room: str) -> None:
    ada = open_page(room, "Ada", viewport=PHONE)
    ada.locator("button[data-tab=people]").click()
    with_lobby(ada)
    ada.locator("button[data-tab=chat]").click()
    bob = open_page(room, "Bob", enters=False)
    waits(bob)
    expect(ada.locator("button[data-tab=people]")).to_have_text(re.compile("1 waiting"))
    ada.locator("button[data-tab=people]").click()
    photograph(ada, "lobby-moderator-phone")
    ada.get_by_test_id("admit").click()
    is_in(bob)


def test_somebody_who_waits_can_go_elsewhere(open_page: OpenPage, room: str) -> None:
    ada, bob = with_lobby(open_page(room, "Ada")), open_page(room, "Bob", enters=False)
    waits(bob)
    bob.get_by_test_id("leave-room").click()
    expect(bob.get_by_test_id("start-enter")).to_be_visible()
    expect(ada.get_by_test_id("waiting-entry")).to_have_count(0)


def test_somebody_who_waits_knocks_again_after_the_connection_was_lost(open_page: OpenPage, room: str) -> None:
    ada, bob = with_lobby(open_page(room, "Ada")), open_page(room, "Bob", enters=False)
    waits(bob)
    bob.reload()
    waits(bob)
    expect(ada.get_by_test_id("waiting-entry")).to_have_count(1)
    ada.get_by_test_id("admit").click()
    is_in(bob)
