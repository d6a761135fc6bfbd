"""Given nginx, HAProxy and Caddy with the settings of docs/deploy, rooms and files work as without, even idle."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, WebSocket, expect

from tests.browser.conftest import new_person
from tests.browser.proxies import PROXIES, proxied
from tests.browser.test_broadcast import broadcasts, decodes
from tests.system.program import Program, running

pytestmark = pytest.mark.browser

IDLE = 62.0
"""This is longer than nginx waits for its upstream (60 s), and HAProxy for either side (50 s)."""
LARGE = 20_000_000
TOO_LARGE = 30_000_000
"""This is more than the `client_max_body_size` of the recipe for nginx."""
LIMITED = ("nginx",)
"""The proxies that have a bound on bodies."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Program]:
    """The program, with the settings for a proxy on the same machine."""
    with running(tmp_path, "--trusted-proxy=127.0.0.1", "--inspect=false") as program:
        yield program
        assert program.end() == 0
    log = program.log.read_text()
    assert "Traceback" not in log
    assert "refused" not in log, log


class Person:
    """A page in a room, with the websockets that it has opened."""

    def __init__(self, browser: Browser, address: str, name: str) -> None:
        self.page: Page = new_person(browser, name, ignore_https_errors=True).new_page()
        self.websockets: list[WebSocket] = []
        self.page.on("websocket", lambda opened: self.websockets.append(opened))
        self.page.goto(address)

    def says(self, text: str) -> None:
        self.page.get_by_test_id("chat-input").fill(text)
        self.page.get_by_test_id("chat-send").click()

    def reads(self, text: str) -> None:
        expect(self.page.get_by_test_id("chat-line").last).to_contain_text(text)


def test_a_room_works_through_each_proxy_even_after_a_minute_of_silence(
    browser: Browser, server: Program, tmp_path: Path, certificate: tuple[Path, Path]
) -> None:
    pem = tmp_path / "rooms.pem"
    pem.write_bytes(certificate[0].read_bytes() + certificate[1].read_bytes())
    with ExitStack() as stack:
        rooms: list[tuple[Person, Person]] = []
        for proxy in PROXIES:
            address = stack.enter_context(proxied(proxy, tmp_path / f"run-{proxy}", server.port, pem))
            ada = Person(browser, f"{address}/r/{proxy}", "Ada")
            bob = Person(browser, f"{address}/r/{proxy}", "Bob")
            broadcasts(ada.page)
            decodes(bob.page)
            ada.page.get_by_test_id("stop-camera").click()
            expect(bob.page.get_by_test_id("tile")).to_have_count(0)
            rooms.append((ada, bob))
        people = [person for room in rooms for person in room]
        # A busy page may have connected again before.
        opened = [len(person.websockets) for person in people]
        # All three are idle at the same time, and the test waits to see that nothing happens.
        silent_since = time.monotonic()
        rooms[0][0].page.wait_for_timeout(IDLE * 1000)
        assert time.monotonic() - silent_since >= IDLE
        for ada, bob in rooms:
            ada.says("still here")
            bob.reads("still here")
        assert [len(person.websockets) for person in people] == opened, "somebody had to connect again"
        for person in people:
            assert not person.websockets[-1].is_closed()
            person.page.context.close()


def test_large_files_go_through_each_proxy_and_what_it_refuses_is_told(
    browser: Browser, tmp_path: Path, certificate: tuple[Path, Path]
) -> None:
    pem = tmp_path / "rooms.pem"
    pem.write_bytes(certificate[0].read_bytes() + certificate[1].read_bytes())
    large, too_large = tmp_path / "large.bin", tmp_path / "too-large.bin"
    large.write_bytes(os.urandom(LARGE))
    too_large.write_bytes(bytes(TOO_LARGE))
    # The server takes more than the recipe lets through, as if somebody had changed only the one.
    options = ("--trusted-proxy=127.0.0.1", f"--max-file-bytes={TOO_LARGE}", f"--file-folder={tmp_path}")
    with ExitStack() as stack:
        server = stack.enter_context(running(tmp_path, *options))
        for proxy in PROXIES:
            address = stack.enter_context(proxied(proxy, tmp_path / f"run-{proxy}", server.port, pem))
            ada = Person(browser, f"{address}/r/{proxy}", "Ada").page
            bob = Person(browser, f"{address}/r/{proxy}", "Bob").page
            chooser, link = ada.locator("[data-part=chat-files]"), bob.get_by_test_id("chat-file")
            expect(ada.get_by_test_id("chat-attach")).to_be_visible()
            chooser.set_input_files(large)
            expect(link).to_contain_text("large.bin", timeout=60_000)
            with bob.expect_download(timeout=60_000) as saved:
                link.click()
            assert Path(saved.value.path()).read_bytes() == large.read_bytes(), proxy
            chooser.set_input_files(too_large)
            if proxy in LIMITED:
                expect(ada.locator(".notices")).to_contain_text(
                    "A proxy between you and the server", timeout=60_000
                )
                expect(link).to_have_count(1)
            else:
                expect(link).to_have_count(2, timeout=60_000)
            for page in (ada, bob):
                page.context.close()
    assert "Traceback" not in server.log.read_text()
