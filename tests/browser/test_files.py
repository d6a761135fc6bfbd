"""Given people who chat, when they send files, then pictures are shown, and all else is saved."""

from __future__ import annotations

import re
import uuid
from pathlib import Path
from time import time

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.browser.conftest import new_person
from tests.browser.test_moderation import of_the_room
from tests.ports import reserved_port
from tests.system.program import running

pytestmark = pytest.mark.browser

OWL = Path(__file__).parents[2] / "client" / "icon-192.png"
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>document.title = "bad"</script></svg>'
LIMIT = 100_000


def entered(browser: Browser, url: str, name: str) -> Page:
    page = new_person(browser, name).new_page()
    page.goto(url)
    expect(page.get_by_test_id("chat-attach")).to_be_visible()
    return page


def drop(page: Page, name: str, content: str, target: str = ".stage") -> None:
    """Drop a file on the page, as a hand would."""
    page.evaluate(
        """([name, content, target]) => {
            const data = new DataTransfer();
            data.items.add(new File([content], name, { type: 'text/plain' }));
            const at = document.querySelector(target) ?? document.body;
            for (const type of ['dragenter', 'dragover', 'drop'])
                at.dispatchEvent(new DragEvent(type, { bubbles: true, cancelable: true, dataTransfer: data }));
        }""",
        [name, content, target],
    )


def test_files_come_by_button_drop_and_paste_and_go_with_their_line(tmp_path: Path, browser: Browser) -> None:
    name = uuid.uuid4().hex[:8]
    with reserved_port() as port:
        url = f"http://localhost:{port}/r/files-{name}"
        with running(tmp_path, f"--port={port}", f"--max-file-bytes={LIMIT}", f"--file-folder={tmp_path}"):
            ada = _send_and_save(browser, url)
        # A server that takes none: no button, and a dropped file does not leave the room.
        with running(tmp_path, f"--port={port}", "--max-file-bytes=0"):
            expect(ada.get_by_test_id("chat-attach")).to_be_hidden()
            drop(ada, "notes.txt", "abc")
            expect(ada.locator(".notices")).to_contain_text("cannot send files")
            expect(ada.locator("a.file-link")).to_have_count(0)


def _send_and_save(browser: Browser, url: str) -> Page:
    ada, bob = entered(browser, url, "Ada"), entered(browser, url, "Bob")
    chooser = ada.locator("[data-part=chat-files]")
    expect(ada.get_by_test_id("chat-attach")).to_be_visible()
    # A picture is shown, in a place that was kept for it, and large when it is wanted.
    chooser.set_input_files(OWL)
    picture = bob.get_by_test_id("chat-picture")
    expect(picture).to_be_visible()
    expect(picture.locator("img")).to_have_js_property("naturalWidth", 192)
    link = bob.get_by_test_id("chat-file")
    expect(link).to_contain_text("icon-192.png")
    picture.press("Enter")
    expect(bob.get_by_test_id("picture").locator("img")).to_have_js_property("complete", True)
    bob.keyboard.press("Escape")
    expect(bob.get_by_test_id("picture")).to_have_count(0)
    expect(picture).to_be_focused()
    with bob.expect_download() as saved:
        link.press("Enter")
    assert Path(saved.value.path()).read_bytes() == OWL.read_bytes()
    # What could run a script is only saved, also where it is opened as a page.
    chooser.set_input_files({"name": "عرض\u202egnp.svg", "mimeType": "image/svg+xml", "buffer": SVG})
    links = bob.get_by_test_id("chat-file")
    expect(links).to_have_count(2)
    expect(picture).to_have_count(1)
    expect(links.last.locator("bdi")).to_have_text("عرضgnp.svg")
    # A drop and a paste; an office program's text with a picture of itself stays a text.
    drop(ada, "notes.txt", "abc")
    expect(links).to_have_count(3)
    expect(links.last).to_contain_text("3 byte")
    ada.get_by_test_id("chat-input").evaluate(
        """field => {
            const data = new DataTransfer();
            data.items.add(new File(['xyz'], 'image.png', { type: 'image/png' }));
            field.dispatchEvent(new ClipboardEvent('paste', { clipboardData: data, cancelable: true }));
        }"""
    )
    for page in (ada, bob):
        expect(page.get_by_test_id("chat-file")).to_have_count(4)
    # Too large: the page says how large it may be.
    chooser.set_input_files({"name": "big.bin", "mimeType": "", "buffer": bytes(LIMIT + 1)})
    expect(ada.locator(".notices")).to_contain_text("100 kB")
    # A line that is deleted takes its file along; whoever comes later gets the others.
    address = links.last.evaluate("link => link.href")
    ada.get_by_test_id("chat-line").last.hover()
    ada.get_by_test_id("chat-line").last.get_by_test_id("chat-delete").click()
    expect(links).to_have_count(3)
    assert bob.request.get(address).status == 404
    bob.reload()
    expect(bob.get_by_test_id("chat-file")).to_have_count(3)
    expect(bob.get_by_test_id("chat-picture").locator("img")).to_have_js_property("naturalWidth", 192)
    # One that is on its way can be stopped, and nobody is told of it.
    ada.route("**/files/*", lambda route: None)
    chooser.set_input_files({"name": "slow.txt", "mimeType": "", "buffer": b"slow"})
    expect(ada.get_by_test_id("file-sending")).to_contain_text("slow.txt")
    ada.get_by_test_id("file-cancel").click()
    expect(ada.get_by_test_id("file-sending")).to_have_count(0)
    # A proxy that takes no such body is told with what to do.
    ada.unroute("**/files/*")
    ada.route("**/files/*", lambda route: route.fulfill(status=413, body="<html>413</html>"))
    chooser.set_input_files({"name": "proxied.txt", "mimeType": "", "buffer": b"abc"})
    expect(ada.locator(".notices")).to_contain_text("A proxy")
    ada.unroute("**/files/*")
    # A moderator lets nobody send files, which the other page shows at once.
    of_the_room(ada, "toggle-files")
    expect(bob.get_by_test_id("chat-attach")).to_be_hidden()
    return ada


def test_a_file_whose_time_is_over_is_told_to_be_gone(tmp_path: Path, browser: Browser) -> None:
    with reserved_port() as port:
        url = f"http://localhost:{port}/r/until-{uuid.uuid4().hex[:8]}"
        with running(tmp_path, f"--port={port}", "--file-lifetime=8", f"--file-folder={tmp_path}"):
            ada = entered(browser, url, "Ada")
            # A busy server may have a file a moment longer than it said. So the page soon looks again.
            late = ["HEAD"]

            def answer(route: Route) -> None:
                if route.request.method not in late:
                    route.continue_()
                    return
                late.clear()
                route.fulfill(status=200)

            ada.route("**/files/*", answer)
            ada.locator("[data-part=chat-files]").set_input_files(OWL)
            expect(ada.get_by_test_id("chat-file")).to_contain_text("until")
            expect(ada.get_by_test_id("chat-file")).to_have_attribute("title", re.compile("here until"))
            # The line stays, without its picture and its link, also for those who come later.
            bob = entered(browser, url, "Bob")
            for page in (ada, bob):
                expect(page.locator(".chat-file")).to_contain_text("not here any more")
                expect(page.locator(".chat-file")).to_contain_text("icon-192.png")
                expect(page.get_by_test_id("chat-file")).to_have_count(0)
                expect(page.get_by_test_id("chat-picture")).to_have_count(0)
            assert late == []
            bob.reload()
            expect(bob.locator(".chat-file")).to_contain_text("not here any more")
            # A computer whose clock is an hour ahead has the file for as long as the others.
            ada.clock.set_fixed_time(time() + 3600)
            ada.locator("[data-part=chat-files]").set_input_files(OWL)
            expect(ada.get_by_test_id("chat-file")).to_contain_text("until")


def test_a_picture_that_the_server_is_too_busy_for_is_not_told_to_be_gone(
    tmp_path: Path, browser: Browser
) -> None:
    with reserved_port() as port:
        url = f"http://localhost:{port}/r/busy-{uuid.uuid4().hex[:8]}"
        with running(tmp_path, f"--port={port}", f"--file-folder={tmp_path}"):
            ada = entered(browser, url, "Ada")
            ada.locator("[data-part=chat-files]").set_input_files(OWL)
            expect(ada.get_by_test_id("chat-picture")).to_be_visible()
            ada.route("**/files/*", lambda route: route.fulfill(status=503, body="{}"))
            ada.reload()
            expect(ada.get_by_test_id("chat-file")).to_be_visible()
            expect(ada.get_by_test_id("chat-picture")).to_have_count(0)
            expect(ada.locator(".chat-file")).not_to_contain_text("not here any more")
            # The sender of another one is told what to do.
            busy = '{"code": "files_busy", "detail": ""}'
            ada.unroute("**/files/*")
            ada.route("**/files/*", lambda route: route.fulfill(status=503, body=busy))
            ada.locator("[data-part=chat-files]").set_input_files(OWL)
            expect(ada.locator(".notices")).to_contain_text("Too many files")
