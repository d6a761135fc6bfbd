"""Given browsers that chat, when lines come, then each finds what is new, and nothing breaks the page."""

from __future__ import annotations

import re
import uuid
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import DESKTOP, OpenPage, new_person
from tests.browser.test_broadcast import photograph
from tests.ports import reserved_port
from tests.system.program import running

pytestmark = pytest.mark.browser

TALL = "\n".join(str(number) for number in range(900))
HEBREW = "שלום עולם (3)"
ARABIC = "مرحبا: انظر https://example.org/a?b=1. شكرا!"


SCROLLS_UP = """(list) => new Promise((resolve) => {
  // The page is told of it with the next frame, and would follow a line that comes before.
  list.addEventListener('scroll', resolve, {once: true});
  list.scrollTo(0, 0);
})"""


def say(page: Page, *texts: str) -> None:
    field = page.get_by_test_id("chat-input")
    for text in texts:
        field.fill(text)
        field.press("Enter")
        expect(field).to_have_value("")


def test_a_reader_finds_what_is_new(open_page: OpenPage) -> None:
    name = f"room-{uuid.uuid4().hex[:8]}"
    ada, bob = open_page(f"/r/{name}", "Ada"), open_page(f"/r/{name}", HEBREW)
    say(ada, TALL, "Short.")
    lines = bob.get_by_test_id("chat-line")
    expect(lines).to_have_count(2)
    # A tall line is folded, one's lines are grouped, and whoever is at the end stays there.
    folded = lines.first.locator(".chat-text")
    assert folded.evaluate("text => text.clientHeight < 400 && text.scrollHeight > 10000")
    expect(lines.nth(1)).to_have_class(re.compile("continued"))
    lines.first.get_by_test_id("chat-unfold").click()
    assert folded.evaluate("text => text.clientHeight > 10000")
    # The focus stays in the field, and the direction is that of each text.
    say(bob, ARABIC)
    expect(bob.get_by_test_id("chat-input")).to_be_focused()
    said = ada.get_by_test_id("chat-line").last
    link = said.get_by_role("link")
    expect(link).to_have_attribute("href", "https://example.org/a?b=1")
    expect(link).to_have_attribute("rel", re.compile("noopener"))
    assert said.locator(".chat-text").evaluate("text => getComputedStyle(text).direction") == "rtl"
    # The time stands behind the name, as it does for every other name.
    head = said.locator(".chat-head")
    assert head.evaluate(
        "head => head.querySelector('bdi').getBoundingClientRect().right"
        " <= head.querySelector('time').getBoundingClientRect().left"
    )
    # Whoever has scrolled up is told how much is new, in the tab and the title, too, and jumps to the first of it.
    bob.locator(".chat").evaluate(SCROLLS_UP)
    say(ada, "One", "Two", "Three")
    new = bob.get_by_test_id("chat-new")
    expect(new).to_have_text("3 new")
    expect(bob).to_have_title(f"(3) {name} · roomfsm")
    photograph(bob, "chat-new")
    new.click()
    expect(bob.get_by_test_id("chat-line").filter(has_text="One")).to_be_in_viewport()
    expect(bob.locator("[data-divider=new] + li")).to_contain_text("One")
    expect(new).to_be_hidden()
    expect(bob).to_have_title(f"{name} · roomfsm")
    photograph(ada, "chat-directions")


def test_what_was_said_stays_on_the_page_when_the_server_is_restarted(browser: Browser, tmp_path: Path) -> None:
    context = new_person(browser, "Ada", viewport=DESKTOP)
    page = context.new_page()
    with reserved_port() as port:
        with running(tmp_path, f"--port={port}") as program:
            page.goto(f"{program.address}r/blue")
            expect(page.get_by_test_id("connection-state")).to_have_text("Connected")
            say(page, "Before")
        with running(tmp_path, f"--port={port}"):
            expect(page.get_by_test_id("connection-state")).to_have_text("Connected")
            expect(page.locator("[data-divider=before]")).to_be_visible()
            expect(page.locator(".chat-line.before")).to_contain_text("Before")
            expect(page.locator(".chat-line.before").get_by_test_id("chat-reply")).to_have_count(0)
            say(page, "After")
            expect(page.locator(".chat-line.before")).to_have_count(1)
            photograph(page, "chat-restarted")
    context.close()
