"""Given names as people type them, the page takes what the server takes, and marks names that look the same."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from tests.browser.conftest import PHONE, OpenPage
from tests.browser.test_broadcast import photograph


def test_the_start_page_makes_a_rooms_name_from_typed_text(open_page: OpenPage) -> None:
    page = open_page("/", "Ada")
    page.get_by_test_id("start-room-input").fill("  Weekly standup ")
    page.get_by_test_id("start-enter").click()
    expect(page.get_by_test_id("room-title")).to_have_text("Weekly-standup")
    expect(page).to_have_url(re.compile("/r/Weekly-standup$"))


def test_two_spellings_of_a_name_in_another_script_lead_to_one_room(open_page: OpenPage) -> None:
    ada = open_page("/r/हिन्दी-É", "Ada")
    bob = open_page("/r/हिन्दी-e\u0301", "Bob")
    expect(bob.get_by_test_id("room-title")).to_have_text("हिन्दी-É")
    for page in (ada, bob):
        expect(page.get_by_test_id("roster-entry")).to_have_count(2)


def test_the_start_page_refuses_a_name_that_nobody_can_see(open_page: OpenPage) -> None:
    page = open_page("/")
    page.get_by_test_id("start-name-input").fill("\u3164")
    page.get_by_test_id("start-room-input").fill("blue")
    page.get_by_test_id("start-enter").click()
    expect(page.get_by_test_id("start-fault")).to_contain_text("A name cannot contain")
    expect(page.get_by_test_id("start-name-input")).to_be_focused()


def test_a_name_that_looks_like_the_name_of_somebody_present_is_marked(open_page: OpenPage) -> None:
    ada = open_page("/r/names", "Ada")
    expect(ada.get_by_test_id("roster-entry")).to_have_count(1)
    other = open_page("/r/names", "Аdа", PHONE)  # Cyrillic
    expect(ada.get_by_test_id("roster-entry").filter(has_text="Аdа").get_by_test_id("lookalike")).to_be_visible()
    expect(ada.get_by_test_id("lookalike")).to_have_count(1)
    other.locator("button[data-tab=chat]").click()
    other.get_by_test_id("chat-input").fill("It is me!")
    other.get_by_test_id("chat-input").press("Enter")
    expect(ada.get_by_test_id("chat-line").get_by_test_id("lookalike")).to_be_visible()
    photograph(ada, "same-name")
    other.close()
