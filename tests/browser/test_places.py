"""Given the server below a path behind nginx, or in another page's frame, everything works there."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import new_person
from tests.browser.other_site import site
from tests.browser.test_broadcast import broadcasts, decodes
from tests.ports import reserved_port
from tests.processes import started, until_listening
from tests.system.program import running

pytestmark = pytest.mark.browser

FRAME = """<!doctype html>
<iframe src="http://127.0.0.1:{port}/r/blue" allow="camera; microphone" width="900" height="700"></iframe>"""
NGINX = """
daemon off; pid {folder}/pid; error_log stderr;
events {{ }}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port};
    location /rooms/ {{
      proxy_pass http://127.0.0.1:{backend}{stripped};
      proxy_http_version 1.1;
      proxy_set_header Host $http_host;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection "upgrade";
    }}
    location / {{ return 404 "somebody else is here"; }}
  }}
}}
"""


@contextmanager
def nginx(folder: Path, backend: int, *, strips: bool) -> Iterator[int]:
    """Run nginx in front of the backend, which it shows below /rooms. Yields its port."""
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if program is None:
        if os.environ.get("CI") == "true":
            pytest.fail("no nginx: apt-get install nginx")
        pytest.skip("no nginx: apt-get install nginx")
    configuration, log = folder / "nginx.conf", folder / "nginx.log"
    command = [program, "-p", str(folder), "-c", str(configuration)]
    with reserved_port() as port, log.open("w") as output:
        configuration.write_text(
            NGINX.format(folder=folder, port=port, backend=backend, stripped="/" if strips else "")
        )
        with started(command, stdout=output, stderr=output) as process:
            until_listening(port, process, log)
            yield port


@pytest.mark.parametrize("strips", [True, False])
def test_below_a_path_everything_works_whether_or_not_the_proxy_removes_it(
    browser: Browser, tmp_path: Path, strips: bool
) -> None:
    foreign: list[str] = []
    with (
        running(tmp_path, "--path-prefix=/rooms") as program,
        nginx(tmp_path, program.port, strips=strips) as port,
    ):
        address = f"http://localhost:{port}/rooms/"

        def open_page(path: str, name: str) -> Page:
            page = new_person(browser, name).new_page()
            page.on("response", lambda response: foreign.append(response.url) if response.status >= 400 else None)
            page.goto(address + path)
            return page

        ada = open_page("", "Ada")
        ada.get_by_test_id("start-room-input").fill("blue")
        ada.keyboard.press("Enter")
        ada.wait_for_url(address + "r/blue")
        broadcasts(ada)
        bob = open_page("r/blue", "Bob")
        decodes(bob)
        bob.reload()
        decodes(bob)
        inspector = open_page(f"inspect/blue?token={program.token}", "Zoe")
        expect(inspector.get_by_test_id("inspected-state")).to_have_text("broadcasting")
        expect(inspector.locator(".diagram .state.current")).to_have_attribute("data-state", "broadcasting")
        assert inspector.url == address + "inspect/blue"
        inspector.goto(address)
        inspector.get_by_test_id("open-inspector").click()
        inspector.wait_for_url(address + "inspect")
        inspector.get_by_text("blue").first.click()
        expect(inspector.get_by_test_id("inspected-state")).to_have_text("broadcasting")
        bob.goto(address)
        bob.wait_for_url(address)
        for page in (ada, bob, inspector):
            page.context.close()
    assert foreign == []


@pytest.mark.parametrize("allowed", [True, False])
def test_another_page_may_show_ours_in_a_frame_only_if_the_settings_name_it(
    browser: Browser, tmp_path: Path, allowed: bool
) -> None:
    with reserved_port() as port, site({"/": FRAME.format(port=port)}) as origin:
        ancestors = origin if allowed else "https://portal.example.org"
        with running(tmp_path, f"--port={port}", f"--frame-ancestors={ancestors}"):
            page = new_person(browser, "Ada").new_page()
            with page.expect_response("**/r/blue"):
                page.goto(origin)
            frame = page.frame_locator("iframe")
            if allowed:
                # A frame of another site has a storage of its own, in which no name is known.
                frame.get_by_test_id("enter-room").click()
                frame.get_by_test_id("start-camera").click()
                expect(frame.get_by_test_id("stop-camera")).to_be_visible()
            else:
                page.wait_for_load_state("networkidle")
                expect(frame.get_by_test_id("start-camera")).to_have_count(0)
            page.context.close()
