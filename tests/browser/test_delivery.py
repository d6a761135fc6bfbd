"""What crosses the network when somebody visits a room for the first time, and when they come again."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import new_person
from tests.system.program import Program

pytestmark = pytest.mark.browser


@dataclass
class Traffic:
    """The bytes of a page's files that come from the server and not from the browser's cache, by path."""

    received: dict[str, int] = field(default_factory=dict)
    _paths: dict[str, str] = field(default_factory=dict)

    def watch(self, page: Page) -> None:
        session = page.context.new_cdp_session(page)
        session.on("Network.requestWillBeSent", self._asked)
        session.on("Network.loadingFinished", self._finished)
        session.send("Network.enable")

    def _asked(self, event: dict[str, dict[str, str]]) -> None:
        path = urlsplit(event["request"]["url"]).path
        # Data of the rooms are asked for at any time.
        if not path.startswith(("/api/", "/inspect/")):
            self._paths[str(event["requestId"])] = path

    def _finished(self, event: dict[str, object]) -> None:
        path, size = self._paths.get(str(event["requestId"])), int(str(event["encodedDataLength"]))
        if path is not None and size:
            self.received[path] = self.received.get(path, 0) + size


def test_the_first_visit_takes_few_requests_and_the_next_one_a_single_one(
    browser: Browser, program: Program
) -> None:
    ada = new_person(browser, "Ada")
    for path, is_first in (("r/brook", True), ("r/brook", False), ("r/other", False)):
        page, traffic = ada.new_page(), Traffic()
        traffic.watch(page)
        page.goto(program.address + path)
        expect(page.get_by_test_id("connection-state")).to_have_text("Connected")
        # The icons may come after that. The next visit has in its cache only what this one has got whole.
        page.wait_for_load_state("networkidle")
        files = [name for name in traffic.received if name.startswith("/client/")]
        if is_first:
            # The script, the stylesheet, the page's own icon and those on it.
            assert 2 <= len(files) <= 5
        else:
            assert files == []
        assert traffic.received[f"/{path}"] < 6_000
        page.close()
    ada.close()
