"""Given browsers with camera and microphone, each is turned on and off by itself, before a room and in it."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, ViewportSize, expect

from tests.browser.conftest import PHONE, OpenPage
from tests.browser.test_broadcast import broadcasts, decodes, photograph, speaks
from tests.browser.test_moderation import becomes
from tests.system.program import Program, running

pytestmark = pytest.mark.browser

SIDEWAYS: ViewportSize = {"width": 844, "height": 390}
STRANGER = "localStorage.removeItem('roomfsm.name');"
"""A browser that has never been here: the page knows no name."""
COUNTS_OFFERS = """
  window.offers = 0;
  window.given = [];
  const {createOffer} = RTCPeerConnection.prototype;
  RTCPeerConnection.prototype.createOffer = function (options) {
    // Not those of connections that are made ready for watching another room, nor those that only ask for a new
    // path, as a page does on a busy machine.
    const sends = this.getTransceivers().some(({direction}) => direction.startsWith('send'));
    if (sends && !options?.iceRestart) window.offers += 1;
    return createOffer.call(this, options);
  };
  const {getUserMedia} = MediaDevices.prototype;
  MediaDevices.prototype.getUserMedia = async function (constraints) {
    const stream = await getUserMedia.call(this, constraints);
    window.given.push(...stream.getTracks());
    return stream;
  };
"""
"""Counts the offers of media, and keeps every track that the browser has given, so that a test sees it let go."""
REFUSES_THE_CAMERA = """
  const {getUserMedia} = MediaDevices.prototype;
  window.refusal = 'NotAllowedError';
  MediaDevices.prototype.getUserMedia = async function (constraints) {
    if (constraints.video && window.refusal) throw new DOMException('no', window.refusal);
    return getUserMedia.call(this, constraints);
  };
"""
HELD = "() => window.given.filter((track) => track.readyState === 'live').map((track) => track.kind).sort()"
HEARS = """(meter) => new Promise((resolve, reject) => {
  // The sound of Chromium's microphone is short, so each level is looked at.
  const look = () => Number(meter.getAttribute('aria-valuenow')) > 0 && resolve();
  new MutationObserver(look).observe(meter, {attributes: true});
  setTimeout(() => reject(new Error('the level stays at nothing')), 60000);
  look();
})"""
SMALL = """() => {
  const seen = [...document.querySelectorAll('button')].filter((button) => button.checkVisibility());
  return seen.flatMap((button) => {
    const {width, height} = button.getBoundingClientRect();
    return width < 44 || height < 44 ? [`${width}x${height} ${button.outerHTML}`] : [];
  });
}"""
"""The buttons that are too small for a thumb."""
KEEPS_STATES = """() => {
  window.states = new Set();
  const look = () => window.states.add(document.querySelector('[data-testid=tile]')?.dataset.state);
  new MutationObserver(look).observe(document.body, {subtree: true, childList: true, attributes: true});
  look();
}"""
"""Keeps every state in which the tile has been."""
STREAM_IS = """async (wanted) => {
  const deadline = performance.now() + 60000;
  const state = () => [...window.roomfsm.room.state.streams.values()][0]?.state;
  while (state() !== wanted) {
    if (performance.now() > deadline) throw new Error(`${state()}, not ${wanted}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}"""
"""Waits until the server says this of the only stream."""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """A server on which one person at a time may share in a room."""
    with running(tmp_path_factory.mktemp("server"), "--max-presenters=1") as program:
        yield program
        assert program.end() == 0
    assert "Traceback" not in program.log.read_text()


def is_in(page: Page, device: str, state: str) -> None:
    expect(page.locator(f".toggle[data-device={device}]")).to_have_attribute("data-state", state)


def test_a_link_asks_for_the_name_and_shows_the_picture_before_it_enters(open_page: OpenPage, room: str) -> None:
    ada = open_page(room, "Ada")
    bob = open_page(room, script=STRANGER, enters=False)
    expect(bob.get_by_test_id("enter-title")).to_have_text(f"Enter {room.removeprefix('/r/')}")
    expect(bob.get_by_test_id("enter-room")).to_have_text("Enter to watch")
    expect(bob.get_by_test_id("enter-watch")).to_be_hidden()
    # Nobody is in the room before they want to be.
    expect(ada.get_by_test_id("roster-entry")).to_have_count(1)
    bob.get_by_test_id("preview-camera").click()
    bob.get_by_test_id("preview-microphone").click()
    expect(bob.get_by_test_id("preview")).to_have_js_property("readyState", 4)
    bob.get_by_test_id("preview-level").evaluate(HEARS)
    expect(bob.get_by_test_id("enter-room")).to_have_text("Enter with camera and microphone")
    bob.get_by_test_id("enter-name").fill("\u3164")
    bob.get_by_test_id("enter-room").click()
    expect(bob.get_by_test_id("enter-name")).to_be_focused()
    expect(bob.get_by_text("A name cannot contain")).to_be_visible()
    bob.get_by_test_id("enter-name").fill("Bob")
    photograph(bob, "enter-desktop")
    bob.get_by_test_id("preview-microphone").click()
    expect(bob.get_by_test_id("enter-room")).to_have_text("Enter with camera")
    bob.get_by_test_id("enter-room").click()
    decodes(ada)
    # Who shares something comes first in the list.
    expect(ada.get_by_test_id("roster-entry")).to_have_text([re.compile("^Bob"), re.compile("^Ada")])
    is_in(bob, "camera", "on")
    is_in(bob, "microphone", "off")
    # A reload asks nothing, and goes on with what was on.
    bob.once("dialog", lambda dialog: dialog.accept())
    bob.reload()
    is_in(bob, "camera", "on")
    is_in(bob, "microphone", "off")
    expect(bob.get_by_test_id("own-tile")).to_have_attribute("data-state", "live")
    decodes(ada)


def test_a_link_on_a_phone_enters_to_watch_and_back_asks_again_nothing(open_page: OpenPage, room: str) -> None:
    for viewport, scheme in ((PHONE, "dark"), (SIDEWAYS, "light")):
        page = open_page(room, script=STRANGER, enters=False, viewport=viewport, color_scheme=scheme)
        page.get_by_test_id("preview-camera").click()
        expect(page.get_by_test_id("preview")).to_have_js_property("readyState", 4)
        photograph(page, f"enter-phone-{viewport['width']}")
        # Nothing sticks out on the side, and every button can be hit with a thumb.
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert page.evaluate(SMALL) == []
        page.get_by_test_id("enter-watch").click()
        expect(page.get_by_test_id("connection-state")).to_have_text("Connected")
        is_in(page, "camera", "off")
        page.get_by_test_id("leave-room").click()
        expect(page.get_by_test_id("start-room-input")).to_be_visible()
        page.go_back()
        expect(page.get_by_test_id("connection-state")).to_have_text("Connected")
        is_in(page, "camera", "off")
        page.get_by_test_id("leave-room").click()


def test_camera_and_microphone_come_and_go_in_one_stream_and_nobody_takes_it_for_a_failure(
    open_page: OpenPage, room: str
) -> None:
    ada, bob = open_page(room, "Ada", script=COUNTS_OFFERS), open_page(room, "Bob")
    tile = bob.get_by_test_id("tile")
    speaks(ada)
    expect(tile).to_have_attribute("data-state", "live")
    expect(tile).to_contain_text("Camera off")
    becomes(bob, wanted=True)
    bob.evaluate(KEEPS_STATES)
    broadcasts(ada)
    # The focus stays where it was.
    expect(ada.get_by_test_id("stop-camera")).to_be_focused()
    decodes(bob)
    expect(tile).not_to_contain_text("Camera off")
    # A camera that is off is let go. The sound goes on, and the tile is live for longer than a failure would take.
    ada.get_by_test_id("stop-camera").click()
    expect(tile).to_contain_text("Camera off")
    assert ada.evaluate(HELD) == ["audio"]
    for _ in range(8):
        becomes(bob, wanted=True)
    expect(tile).to_have_attribute("data-state", "live")
    ada.get_by_test_id("mute-mic").click()
    expect(tile).to_have_attribute("data-state", "off")
    assert ada.evaluate(HELD) == []
    becomes(bob, wanted=False)
    bob.evaluate(STREAM_IS, "stalled")
    expect(tile).to_have_attribute("data-state", "off")
    photograph(bob, "camera-off-desktop")
    # Who comes now sees the same.
    cyd = open_page(room, "Cyd", viewport=PHONE)
    expect(cyd.get_by_test_id("tile")).to_have_attribute("data-state", "off")
    speaks(ada)
    broadcasts(ada)
    for page in (bob, cyd):
        decodes(page)
        becomes(page, wanted=True)
    assert ada.evaluate("window.offers") == 1
    # On a busy machine the media themselves can be late, and then the tile rightly says so.
    assert not {"retrying", "failed"} & set(bob.evaluate("[...window.states]"))


def test_one_that_is_refused_or_unplugged_leaves_the_other_alone(open_page: OpenPage, room: str) -> None:
    ada, bob = open_page(room, "Ada", script=REFUSES_THE_CAMERA), open_page(room, "Bob")
    ada.get_by_test_id("start-camera").click()
    is_in(ada, "camera", "blocked")
    notice = ada.get_by_test_id("notice")
    expect(notice).to_have_text(re.compile("The browser may not use the camera. Allow it .* then try again."))
    photograph(ada, "camera-blocked")
    speaks(ada)
    becomes(bob, wanted=True)
    expect(notice).to_have_count(1)
    ada.evaluate("window.refusal = 'NotReadableError'")
    ada.get_by_test_id("start-camera").click()
    expect(notice).to_have_text(re.compile("another program is using it"))
    ada.evaluate("window.refusal = null")
    broadcasts(ada)
    expect(notice).to_have_count(0)
    decodes(bob)
    # The browser tells of an unplugged camera by this event.
    ada.evaluate("""() => {
      window.refusal = 'NotFoundError';
      const {track} = window.roomfsm.room.presenting.devices.camera;
      track.stop();
      track.dispatchEvent(new Event('ended'));
    }""")
    is_in(ada, "camera", "lost")
    expect(notice).to_contain_text("It goes on by itself when it is back.")
    expect(bob.get_by_test_id("tile")).to_contain_text("Camera off")
    becomes(bob, wanted=True)
    ada.evaluate("window.refusal = null; navigator.mediaDevices.dispatchEvent(new Event('devicechange'))")
    is_in(ada, "camera", "on")
    expect(notice).to_have_count(0)
    decodes(bob)


def test_devices_are_chosen_while_the_camera_is_live(open_page: OpenPage, room: str) -> None:
    ada, bob = open_page(room, "Ada", script=COUNTS_OFFERS), open_page(room, "Bob")
    broadcasts(ada)
    decodes(bob)
    before = ada.evaluate("window.roomfsm.room.presenting.devices.camera.track.id")
    ada.get_by_test_id("device-settings").click()
    dialog = ada.get_by_role("dialog")
    cameras = dialog.locator("select[name=camera] option")
    expect(cameras.nth(1)).to_be_attached()
    photograph(ada, "devices-desktop")
    dialog.locator("select[name=picture]").select_option("low")
    dialog.get_by_label("Remove noise").uncheck()
    ada.get_by_test_id("devices-done").click()
    expect(dialog).to_be_hidden()
    expect(ada.get_by_test_id("device-settings")).to_be_focused()
    is_in(ada, "camera", "on")
    assert ada.evaluate("window.roomfsm.room.presenting.devices.camera.track.id") != before
    assert ada.evaluate("window.roomfsm.room.presenting.devices.camera.track.getSettings().height") == 240
    assert ada.evaluate(HELD) == ["video"]
    assert ada.evaluate("window.offers") == 1
    # It is remembered for the next visit.
    ada.once("dialog", lambda question: question.accept())
    ada.reload()
    is_in(ada, "camera", "on")
    assert ada.evaluate("window.roomfsm.room.presenting.devices.camera.track.getSettings().height") == 240


def test_at_the_bound_of_presenters_the_camera_is_let_go_and_the_buttons_say_why(
    open_page: OpenPage, room: str
) -> None:
    ada, bob = open_page(room, "Ada"), open_page(room, "Bob", script=COUNTS_OFFERS)
    # Both want to share at the same time. The server lets one of them.
    bob.evaluate("""() => {
      const {connection} = window.roomfsm;
      const {request} = connection;
      const [asked, late] = [Promise.withResolvers(), Promise.withResolvers()];
      connection.request = async (message) => {
        if (message.type === 'publish') {
          asked.resolve();
          await late.promise;
        }
        return request.call(connection, message);
      };
      window.late = () => asked.promise.then(late.resolve);
    }""")
    broadcasts(bob)
    broadcasts(ada)
    expect(bob.get_by_test_id("tile")).to_have_count(1)
    bob.evaluate("window.late()")
    is_in(bob, "camera", "off")
    expect(bob.get_by_text("No more people can share in this room.")).to_be_visible()
    assert bob.evaluate(HELD) == []
    for toggle in ("start-camera", "start-mic", "start-screen"):
        expect(bob.get_by_test_id(toggle)).to_be_disabled()
    expect(bob.get_by_test_id("controls-note")).to_contain_text("Wait until somebody stops.")
    photograph(bob, "bound-desktop")
    ada.get_by_test_id("stop-camera").click()
    expect(bob.get_by_test_id("start-camera")).to_be_enabled()
    expect(bob.get_by_test_id("controls-note")).to_be_empty()
    expect(bob.get_by_text("No more people can share in this room.")).to_have_count(0)


def test_the_camera_goes_along_to_another_room_and_is_asked_about_once(open_page: OpenPage, room: str) -> None:
    ada = open_page(room, "Ada", script=COUNTS_OFFERS)
    # Somebody stays in each room, because a room in which nobody is leaves the list.
    bob, cyd = open_page(f"{room}-other", "Bob"), open_page(room, "Cyd")
    broadcasts(ada)
    name = room.removeprefix("/r/")
    ada.locator(f"[data-testid=jump-link][data-room='{name}-other']").click()
    photograph(ada, "take-along")
    ada.get_by_test_id("confirm-along").click()
    decodes(bob)
    expect(ada.get_by_test_id("take-along")).to_be_checked()
    # A screen stays behind, so whoever shares one is asked again, and told so.
    ada.get_by_test_id("start-screen").click()
    expect(ada.get_by_test_id("stop-screen")).to_be_visible()
    ada.locator(f"[data-testid=jump-link][data-room='{name}']").click()
    expect(ada.locator("#leave-consequence")).to_contain_text("Your screen does not come along")
    expect(ada.locator("#leave-consequence")).not_to_contain_text("not asked again")
    ada.get_by_test_id("confirm-stay").click()
    ada.get_by_test_id("stop-screen").click()
    expect(ada.get_by_test_id("start-screen")).to_be_visible()
    # The camera was not started anew, and the way back asks nothing.
    assert len(ada.evaluate("window.given")) == 1
    ada.go_back()
    decodes(cyd)
    expect(bob.get_by_test_id("tile")).to_have_count(0)


def test_the_start_page_offers_a_room_with_a_name_that_people_can_read(open_page: OpenPage) -> None:
    page = open_page("/", "Ada")
    # One click leads into it, as the name of the button says.
    page.get_by_test_id("start-own-room").click()
    expect(page.get_by_test_id("room-title")).to_have_text(re.compile("^[a-z]+-[a-z]+-[0-9]{2}$"))


HOLDS_ITS_PARTS = """(button) => {
  const [box, limit] = [button.getBoundingClientRect(), 1];
  return [...button.querySelectorAll('.icon, .toggle-words > span')].every((part) => {
    const at = part.getBoundingClientRect();
    return at.left >= box.left - limit && at.right <= box.right + limit && at.bottom <= box.bottom + limit;
  });
}"""
"""Whether nothing in a button stands out of it."""


@pytest.mark.parametrize("locale", ["en", "ar"])
@pytest.mark.parametrize("width", [320, 360, 390, 512, 720])
def test_at_any_width_nothing_of_the_way_in_is_cut_off(
    open_page: OpenPage, room: str, locale: str, width: int
) -> None:
    page = open_page(room, viewport={"width": width, "height": 450}, script=STRANGER, enters=False, locale=locale)
    for toggle in ("preview-microphone", "preview-camera"):
        expect(page.get_by_test_id(toggle)).to_be_visible()
        assert page.get_by_test_id(toggle).evaluate(HOLDS_ITS_PARTS), (toggle, width)
