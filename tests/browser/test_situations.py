"""Given a page that cannot be in its room, then it names the room, the reason, and what happens next."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, ViewportSize, expect

from tests.browser.conftest import DESKTOP, PHONE, new_person
from tests.browser.proxies import path_to
from tests.browser.test_broadcast import photograph
from tests.ports import reserved_port
from tests.processes import started, until_listening
from tests.system.program import running

pytestmark = pytest.mark.browser

NGINX = """
{user} pid {folder}/pid; events {{}}
http {{
  access_log off; client_body_temp_path {folder}/a; proxy_temp_path {folder}/b; fastcgi_temp_path {folder}/c;
  uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;
  server {{
    listen 127.0.0.1:{port};
    location / {{ proxy_pass http://127.0.0.1:{server}; {headers} }}
  }}
}}
"""
NO_UPGRADE = "proxy_set_header Host $http_host;"
OTHER_HOST = (
    'proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection "upgrade";'
)


@contextmanager
def behind(folder: Path, server: int, headers: str) -> Iterator[str]:
    """A server behind an nginx that is set up wrongly. Yields the address, without a slash."""
    path = path_to("nginx")
    folder.mkdir()
    user = "user root;" if os.getuid() == 0 else ""
    with reserved_port() as port, (folder / "log").open("w") as output:
        config = folder / "nginx.conf"
        config.write_text(NGINX.format(user=user, folder=folder, port=port, server=server, headers=headers))
        command = ["nginx", "-p", str(folder), "-e", str(folder / "error.log"), "-c", str(config)]
        environment = {**os.environ, "PATH": path}
        with started([*command, "-g", "daemon off;"], stdout=output, stderr=output, env=environment) as process:
            until_listening(port, process, folder / "log")
            yield f"http://127.0.0.1:{port}"


def test_a_page_outside_its_room_says_why_for_as_long_as_that_is_so(browser: Browser, tmp_path: Path) -> None:
    def open_page(address: str, name: str, viewport: ViewportSize = DESKTOP) -> Page:
        page = new_person(browser, name, viewport=viewport).new_page()
        page.goto(f"{address}/r/blue")
        return page

    def tells(page: Page, title: str, reason: str) -> None:
        told = page.locator(".situation")
        expect(told.get_by_role("heading")).to_have_text(title)
        expect(told.get_by_test_id("notice")).to_contain_text(reason)
        expect(page.get_by_test_id("room-state")).to_be_empty()
        # Nothing covers it.
        told.get_by_test_id("situation-leave").click(trial=True)

    limits = ("--max-sessions=2", "--max-people=1")
    with (
        running(tmp_path, *limits) as program,
        behind(tmp_path / "no-upgrade", program.port, NO_UPGRADE) as no_upgrade,
        behind(tmp_path / "other-host", program.port, OTHER_HOST) as other_host,
    ):
        address = program.address.rstrip("/")
        ada = open_page(address, "Ada")
        expect(ada.get_by_test_id("connection-state")).to_have_text("Connected")
        expect(ada.locator(".situation")).to_be_hidden()
        barred, foreign = open_page(no_upgrade, "Bob"), open_page(other_host, "Cyd", PHONE)
        tells(barred, "On the way to “blue”", "does not let websockets through")
        tells(foreign, "On the way to “blue”", f"does not accept pages from {other_host}")
        eve = open_page(address, "Eve", PHONE)
        tells(eve, "On the way to “blue”", "You are not in “blue” yet. The room is full. The page tries again.")
        expect(eve.get_by_test_id("room-title")).to_have_text("blue")
        # Both places are taken.
        late = open_page(address, "Dan")
        tells(late, "On the way to “blue”", "The server is full.")
        for page, shot in ((barred, "no-upgrade"), (foreign, "origin-phone"), (eve, "room-full-phone")):
            photograph(page, f"situation-{shot}")
        # The page of the room that becomes free takes back what it said.
        late.context.close()
        ada.get_by_test_id("leave-room").click()
        expect(eve.get_by_test_id("connection-state")).to_have_text("Connected")
        expect(eve.locator(".situation")).to_be_hidden()
        expect(eve.get_by_test_id("notice")).to_have_count(0)
        program.end()
        tells(eve, "On the way to “blue”", "The server cannot be reached.")
        expect(eve.get_by_test_id("retry-now")).to_be_visible()
        tells(barred, "On the way to “blue”", "Only the proxy in front of it answers.")
        # The list of rooms in the lobby does not say any more that something is live.
        expect(ada.get_by_text(re.compile("list of rooms cannot be loaded"))).to_be_visible()
        photograph(eve, "situation-away-phone")
    for page in (ada, barred, foreign, eve):
        page.context.close()
