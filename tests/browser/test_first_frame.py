"""Given people who watch in real browsers, each page reports once how long it waited for the first picture."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import OpenPage
from tests.browser.test_broadcast import broadcasts
from tests.metrics.scrape import TOKEN, Scraped, read
from tests.system.program import Program, running

pytestmark = pytest.mark.browser

PATIENCE = 60.0


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    with running(tmp_path_factory.mktemp("server"), f"--metrics-token={TOKEN}") as program:
        yield program


def until_reported(program: Program, count: int) -> Scraped:
    """Wait until the pages, and in whichever order the media server, have told of so many pictures."""
    deadline = time.monotonic() + PATIENCE
    while True:
        page = read(f"{program.address}metrics")
        told = [page(f"roomfsm_{name}_seconds_count") for name in ("first_frame", "view_start")]
        if min(told) >= count:
            assert told[0] == count
            return page
        assert time.monotonic() < deadline, told
        time.sleep(0.2)


def test_each_page_reports_once_how_long_the_picture_took(open_page: OpenPage, program: Program) -> None:
    room = f"/r/room-{uuid.uuid4().hex[:8]}"
    ada = open_page(room, "Ada")
    broadcasts(ada)
    bob = open_page(room, "Bob")
    page = until_reported(program, 1)
    assert 0 < page("roomfsm_first_frame_seconds_sum") < PATIENCE
    # Who hides the picture and shows it again waits for it a second time.
    toggle = bob.get_by_test_id("tile").get_by_test_id("toggle-view")
    bob.get_by_test_id("tile").hover()
    toggle.click()
    expect(bob.get_by_test_id("tile")).to_have_attribute("data-state", "hidden")
    toggle.click()
    expect(bob.get_by_test_id("tile")).to_have_attribute("data-state", "live")
    until_reported(program, 2)
