"""Pages of another origin: the two of docs/embed.md, and one that shows the whole room in a frame."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import new_person
from tests.browser.other_site import site
from tests.ports import reserved_port
from tests.system.program import Program, running

pytestmark = pytest.mark.browser

_DOCUMENT = (Path(__file__).parents[2] / "docs" / "embed.md").read_text(encoding="utf-8")
PRESENT, WATCH = (page for page in re.findall(r"```html\n(.*?)```", _DOCUMENT, re.DOTALL) if "<!doctype" in page)

FRAME = """<!doctype html>
<iframe allow="camera; microphone" width="900" height="600" src="SERVER/r/frame"></iframe>
<p id="told"></p>
<button id="mute">Mute</button><button id="unmute">Unmute</button><button id="leave">Leave</button>
<script type="module">
  import { embed } from 'SERVER/client/embed.js';
  const frame = embed(document.querySelector('iframe'));
  const told = document.querySelector('#told');
  const tell = (name) => (detail) => told.append(`${name} ${JSON.stringify(detail)}; `);
  for (const event of ['entered', 'people', 'media', 'left']) frame.on(event, tell(event));
  document.querySelector('#mute').onclick = () => frame.turn('microphone', false);
  document.querySelector('#unmute').onclick = () => frame.turn('microphone', true);
  document.querySelector('#leave').onclick = () => frame.leave();
</script>
"""
FAULTS = """<!doctype html><p></p>
<script type="module">
  import { connect } from 'SERVER/client/roomfsm.js';
  const says = document.querySelector('p');
  const tell = (error) => says.append(`${error.name} ${error.code}; `);
  try { connect('ftp://localhost'); } catch (error) { tell(error); }
  const client = connect('SERVER');
  await client.present({ camera: true }).catch(tell);
  await client.say('hello').catch(tell);
  await client.enter('', { name: 'Eve' }).catch(tell);
  await connect('http://127.0.0.1:9').enter('blue').catch(tell);
  await client.enter('faults', { name: 'Eve' }).then(({ room }) => says.append(`in ${room}; `), tell);
  await client.present({}).catch(tell);
  await client.present({ camera: true }).catch(tell);
  says.append('done');
</script>
"""
"""A program that makes mistakes, one after the other."""


type Elsewhere = tuple[Program, str]
"""A server, and the origin of another site."""


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Elsewhere]:
    """The server lets the other site connect and show its pages."""
    with reserved_port() as port:
        server = f"http://127.0.0.1:{port}"
        pages = {
            "/present": PRESENT.replace("http://localhost:8080", server),
            "/watch": WATCH.replace("http://localhost:8080", server),
            "/frame": FRAME.replace("SERVER", server),
            "/faults": FAULTS.replace("SERVER", server),
        }
        with site(pages) as origin:
            folder = tmp_path_factory.mktemp("embedded")
            options = (f"--port={port}", f"--allow-origin={origin}", f"--frame-ancestors={origin}")
            with running(folder, *options) as program:
                yield program, origin
                assert program.end() == 0
            assert "Traceback" not in program.log.read_text()


def visitor(browser: Browser, address: str, script: str = "") -> Page:
    page = new_person(browser, "Ada", script).new_page()
    page.goto(address)
    return page


def test_the_pages_of_the_document_have_at_most_30_lines() -> None:
    for page in (PRESENT, WATCH):
        assert len(page.splitlines()) <= 30


def test_a_page_of_another_origin_presents_and_one_watches(browser: Browser, elsewhere: Elsewhere) -> None:
    _, origin = elsewhere
    ada = visitor(browser, f"{origin}/present")
    expect(ada.locator("p")).to_contain_text("You are on.")
    bob = visitor(browser, f"{origin}/watch")
    bob.locator("button").click()
    expect(bob.locator("li")).to_have_text("Ada: Welcome!")
    # A video that has no picture yet has another size (HTML, the video element).
    bob.locator("video").evaluate(
        "video => video.videoWidth || new Promise(seen => video.addEventListener('resize', seen))"
    )
    expect(ada.locator("p")).to_have_text("You are on. In the room: 2")
    ada.close()
    expect(bob.locator("video")).to_have_count(0)
    bob.context.close()


def test_each_mistake_of_a_program_is_an_error_with_a_code(browser: Browser, elsewhere: Elsewhere) -> None:
    _, origin = elsewhere
    no_camera = (
        "navigator.mediaDevices.getUserMedia = async () => { throw new DOMException('', 'NotReadableError') };"
    )
    eve = visitor(browser, f"{origin}/faults", no_camera)
    codes = ("bad_address", "not_inside", "connection_lost", "malformed", "unreachable")
    expected = "".join(f"RoomfsmError {code}; " for code in codes)
    last = "in faults; RoomfsmError nothing_to_send; RoomfsmError device_busy; done"
    expect(eve.locator("p")).to_have_text(expected + last)
    eve.context.close()


def test_a_page_that_may_not_connect_is_told_which_setting_is_missing(
    browser: Browser, elsewhere: Elsewhere
) -> None:
    program, _ = elsewhere
    with site(
        {"/present": PRESENT.replace("http://localhost:8080", f"http://127.0.0.1:{program.port}")}
    ) as origin:
        eve = visitor(browser, f"{origin}/present")
        expect(eve.locator("p")).to_have_text(re.compile(r"--allow-origin.*\(origin\)"))
        eve.context.close()


def test_a_browser_without_webrtc_is_named_as_the_reason(browser: Browser, elsewhere: Elsewhere) -> None:
    _, origin = elsewhere
    eve = visitor(browser, f"{origin}/present", "delete window.RTCPeerConnection;")
    expect(eve.locator("p")).to_contain_text("(no_webrtc)")
    eve.context.close()


@pytest.mark.parametrize("storage", ["there", "blocked"])
def test_the_page_around_a_frame_knows_what_happens_and_turns_devices(
    browser: Browser, elsewhere: Elsewhere, storage: str
) -> None:
    _, origin = elsewhere
    # This is what a browser does in a frame of another site if its user blocks third-party cookies.
    refused = "{get() { throw new DOMException('blocked', 'SecurityError') }}"
    blocked = "".join(
        f"if (self !== top) Object.defineProperty(window, '{name}', {refused});"
        for name in ("localStorage", "sessionStorage")
    )
    context = browser.new_context(permissions=["camera", "microphone"])
    context.add_init_script(blocked if storage == "blocked" else "")
    page = context.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.goto(f"{origin}/frame")
    told, frame = page.locator("#told"), page.frame_locator("iframe")
    frame.get_by_test_id("enter-name").fill("Ada")
    frame.get_by_test_id("enter-room").click()
    expect(told).to_contain_text('entered {"room":"frame"}; people {"count":1};')
    page.locator("#unmute").click()
    expect(told).to_contain_text('"microphone":true')
    page.locator("#mute").click()
    expect(told).to_contain_text(re.compile(r'"microphone":true}; .*"microphone":false'))
    # Neither another window nor a strange message changes anything.
    page.evaluate(
        """() => {
          const { contentWindow } = document.querySelector('iframe');
          const strange = { roomfsm: 'turn', device: '__proto__', on: true };
          for (const message of [null, 'leave', 7, {}, { roomfsm: 'turn' }, strange])
            contentWindow.postMessage(message, '*');
          window.postMessage({ roomfsm: 'left', reason: 'forged' }, '*');
        }"""
    )
    page.locator("#leave").click()
    expect(told).to_contain_text('left {"reason":"user"};')
    expect(told).not_to_contain_text("forged")
    expect(frame.get_by_test_id("start-enter")).to_be_visible()
    assert faults == []
    context.close()
