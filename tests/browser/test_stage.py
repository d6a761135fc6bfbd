"""Given people who present, when they speak, mute or share a screen, then the stage shows what matters."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Locator, Page, ViewportSize, expect

from tests.browser.conftest import PHONE, OpenPage
from tests.browser.crowd import Crowd

pytestmark = pytest.mark.browser

PHONE_ON_ITS_SIDE: ViewportSize = {"width": 844, "height": 390}
TOUCH = {"has_touch": True, "is_mobile": True, "reduced_motion": "reduce"}
"""A phone. Nothing moves on it, so that each place that is measured is final."""


def tile(page: Page, name: str) -> Locator:
    """The tile with this name."""
    shown = page.locator("[data-part=name]").get_by_text(name, exact=True)
    return page.get_by_test_id("tile").filter(has=shown)


def is_at(tile: Locator, place: str) -> None:
    expect(tile).to_have_attribute("data-place", place)


def choose(page: Page, tile: Locator, choice: str) -> None:
    """Choose something in the tile's menu."""
    tile.hover()
    tile.get_by_test_id("tile-menu").click()
    page.get_by_test_id(choice).click()


def test_the_stage_shows_what_matters(open_page: OpenPage, crowd: Crowd, room_name: str) -> None:
    for name in ("Ada Lovelace", "Bob", "Eve"):
        crowd.present(name)
    page = open_page(f"/r/{room_name}", "Zoe")
    ada, bob, eve = (tile(page, name) for name in ("Ada Lovelace", "Bob", "Eve"))
    for one in (ada, bob, eve):
        expect(one).to_have_attribute("data-state", "live")
        is_at(one, "grid")

    # Who speaks is large and marked, and stays large in silence.
    crowd.speak(1)
    is_at(bob, "large")
    expect(bob).to_have_class(re.compile("speaks"))
    is_at(ada, "strip")
    crowd.speak(1, speaks=False)
    expect(bob).not_to_have_class(re.compile("speaks"))
    is_at(bob, "large")

    # Who turns the camera off is told so, and stands there by the initials.
    crowd.tell(0, type="media", microphone=False, camera=False)
    expect(ada.locator("[data-part=avatar]")).to_have_text("AL")
    expect(ada.locator("[data-part=avatar]")).to_be_visible()
    expect(ada.locator("[data-part=state]")).to_have_text("Camera off")
    expect(ada.get_by_label("microphone off")).to_be_visible()
    expect(bob.locator("[data-part=avatar]")).to_be_hidden()
    crowd.tell(0, type="media", microphone=True, camera=True)
    expect(ada.locator("[data-part=avatar]")).to_be_hidden()

    # A shared screen is large by itself, and what the user pins is before all.
    crowd.present("Eve’s laptop", source="screen", sound=False)
    screen = tile(page, "Eve’s laptop’s screen")
    is_at(screen, "large")
    is_at(bob, "strip")
    choose(page, eve, "menu-pin")
    is_at(eve, "large")
    expect(eve.get_by_label("pinned")).to_be_visible()
    choose(page, eve, "menu-pin")
    is_at(screen, "large")

    # One person can be muted or made softer, and is still seen; the others are heard as before.
    choose(page, bob, "menu-silence")
    expect(bob.get_by_label("you have muted this")).to_be_visible()
    assert bob.locator("video").evaluate("video => video.muted")
    assert not ada.locator("video").evaluate("video => video.muted")
    expect(bob).to_have_attribute("data-state", "live")
    ada.hover()
    ada.get_by_test_id("tile-menu").click()
    page.get_by_test_id("menu-volume").fill("30")
    page.keyboard.press("Escape")
    expect(page.get_by_test_id("menu-volume")).to_be_hidden()
    expect(ada.get_by_test_id("tile-menu")).to_be_focused()
    assert ada.locator("video").evaluate("video => video.volume") == pytest.approx(0.3)

    # The grid is remembered, and so is how loud each person is; a screen that is shared later is large again.
    page.get_by_test_id("stage-options").click()
    page.get_by_test_id("stage-grid").click()
    is_at(screen, "grid")
    page.reload()
    expect(bob.get_by_label("you have muted this")).to_be_visible()
    is_at(screen, "large")
    is_at(bob, "strip")
    assert ada.locator("video").evaluate("video => video.volume") == pytest.approx(0.3)


def test_every_tile_can_fill_the_screen_and_all_are_one_stop_for_the_tab_key(
    open_page: OpenPage, crowd: Crowd, room_name: str
) -> None:
    for number in range(10):
        crowd.present(f"Person {number}", rate=2, width=160, height=120)
    page = open_page(f"/r/{room_name}", "Zoe")
    expect(page.get_by_test_id("tile")).to_have_count(10)
    full = page.get_by_test_id("full-screen")
    for one in full.all():
        expect(one).to_be_visible()
    filled = page.locator(".tile:fullscreen")

    def is_filled_by(number: int) -> None:
        expect(filled.locator("[data-part=name]")).to_have_text(f"Person {number}")

    tile(page, "Person 7").dblclick()
    is_filled_by(7)
    page.keyboard.press("f")
    expect(filled).to_have_count(0)
    choose(page, tile(page, "Person 3"), "menu-full-screen")
    is_filled_by(3)
    page.keyboard.press("f")
    expect(filled).to_have_count(0)

    # One stop for the Tab key; the arrow keys go from tool to tool, and from tile to tile.
    assert page.locator(".tile-tools > button[tabindex='0']").count() == 1
    full.first.focus()
    page.keyboard.press("ArrowDown")
    expect(full.nth(1)).to_be_focused()
    page.keyboard.press("ArrowRight")
    expect(tile(page, "Person 1").get_by_test_id("tile-menu")).to_be_focused()
    page.keyboard.press("Home")
    expect(tile(page, "Person 0").get_by_role("button").first).to_be_focused()
    page.keyboard.press("Tab")
    assert not page.locator(".stage").evaluate("stage => stage.contains(document.activeElement)")
    # The focus stays on the stage when the tile that had it is gone.
    tile(page, "Person 0").get_by_test_id("full-screen").focus()
    crowd.tell(0, type="leave")
    expect(page.get_by_test_id("tile")).to_have_count(9)
    assert page.locator(".stage").evaluate("stage => stage.contains(document.activeElement)")


UNTIL = """async (condition) => {
  const holds = new Function(`return (${condition})()`);
  const deadline = performance.now() + 60000;
  while (!holds()) {
    if (performance.now() > deadline) throw new Error(`not ${condition}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}"""
"""Waits until the layout is so. It is measured at one moment, because the next frame may change it."""
HIGH_ENOUGH = "() => document.querySelector('.stage').getBoundingClientRect().height >= 0.55 * innerHeight"
TWO_COLUMNS = """() => {
  const tiles = [...document.querySelectorAll('[data-testid=tile]')];
  return new Set(tiles.map((tile) => Math.round(tile.getBoundingClientRect().x))).size === 2;
}"""
OWN_IS_SMALL = """() => {
  const own = document.querySelector('[data-place=corner]').getBoundingClientRect();
  const tiles = [...document.querySelectorAll('[data-testid=tile]')].map((tile) => tile.getBoundingClientRect());
  const inView = own.left >= 0 && own.top >= 0 && own.right <= innerWidth && own.bottom <= innerHeight;
  return inView && own.width > 0 && tiles.every(({width}) => own.width <= width);
}"""
COVERS_NOBODY = """() => {
  const stage = document.querySelector('.stage');
  stage.scrollTop = stage.scrollHeight;
  const own = document.querySelector('[data-place=corner]').getBoundingClientRect();
  return [...stage.querySelectorAll('[data-place=grid]')].every((tile) => {
    const at = tile.getBoundingClientRect();
    return at.right <= own.left || at.left >= own.right || at.bottom <= own.top || at.top >= own.bottom;
  });
}"""
"""Whether the own picture covers none of the others, where a stage that scrolls has been scrolled to its end."""
FOR_FINGERS = """() => [...document.querySelectorAll('[data-testid=tile]')].every((tile) => {
  const tools = [...tile.querySelectorAll('.tile-tools > button')].map((tool) => tool.getBoundingClientRect());
  const seen = tools.filter(({width}) => width > 0);
  const most = tile.getBoundingClientRect().width < 240 ? 2 : 3;
  return seen.length >= 1 && seen.length <= most && seen.every(({width, height}) => width >= 44 && height >= 44);
})"""


@pytest.mark.parametrize("viewport", [PHONE, PHONE_ON_ITS_SIDE], ids=["upright", "on its side"])
def test_on_a_phone_the_picture_comes_first(
    open_page: OpenPage, crowd: Crowd, room_name: str, viewport: ViewportSize
) -> None:
    for number in range(6):
        crowd.present(f"Person {number}", rate=2, width=160, height=120)
    page = open_page(f"/r/{room_name}", "Zoe", viewport=viewport, **TOUCH)
    expect(page.get_by_test_id("tile")).to_have_count(6)
    page.evaluate(UNTIL, HIGH_ENOUGH)
    if viewport is PHONE:
        page.evaluate(UNTIL, TWO_COLUMNS)
    # The own picture is small, in the corner, and can be hidden.
    page.get_by_test_id("start-camera").tap()
    own = page.get_by_test_id("own-tile")
    expect(own).to_have_attribute("data-place", "corner")
    page.evaluate(UNTIL, OWN_IS_SMALL)
    # It covers nobody, in a grid neither that is full.
    page.evaluate(UNTIL, COVERS_NOBODY)
    page.get_by_test_id("stage-options").tap()
    page.get_by_test_id("menu-self-view").tap()
    expect(own).to_be_hidden()
    # Two tools at most on a small tile, each large enough for a finger.
    page.evaluate(UNTIL, FOR_FINGERS)
    # Chat and people are sheets over the stage. Since the first tap no button for the sound is above it any more.
    expect(page.get_by_test_id("enable-sound")).to_be_hidden()
    stage = box(page.locator(".stage"))
    expect(page.get_by_test_id("chat-input")).to_be_hidden()
    page.locator("button[data-tab=chat]").tap()
    expect(page.get_by_test_id("chat-input")).to_be_visible()
    assert_in_view(page, page.get_by_test_id("chat-input"))
    assert box(page.locator(".stage")) == stage or viewport is PHONE
    page.locator("button[data-tab=people]").tap()
    expect(page.get_by_test_id("chat-input")).to_be_hidden()
    expect(page.get_by_test_id("roster-entry").first).to_be_visible()
    page.locator(".panel-people").get_by_test_id("sheet-close").tap()
    expect(page.get_by_test_id("roster-entry").first).to_be_hidden()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


SLOW_SHEET = """() => {
  const style = new CSSStyleSheet();
  style.replaceSync(`
    .panel {animation-duration: 1s !important}
    @keyframes sheet {from {transform: translateY(100%)}}`);
  document.adoptedStyleSheets.push(style);
}"""
RECEIVES_WHAT_IS_SEEN = """async () => {
  // Returns which pictures are seen, once exactly those come, in a time in which the sound of all goes on.
  const seen = () => {
    // At one moment, because a tile, the stage and a sheet may move. Of a tile that is seen, a part is free.
    const stage = document.querySelector('.stage').getBoundingClientRect();
    const side = document.querySelector('.side');
    const panel = side.dataset.open === 'true' ? side.querySelector(`.panel-${side.dataset.panel}`) : null;
    const sheet = panel?.getBoundingClientRect();
    const shown = ({top, bottom, height}) =>
      top < stage.bottom && bottom > stage.top && (!sheet || sheet.top - top > 0.15 * height);
    return [...document.querySelectorAll('[data-testid=tile]')]
      .filter((tile) => document.visibilityState === 'visible' && shown(tile.getBoundingClientRect()))
      .map((tile) => tile.dataset.stream)
      .sort();
  };
  const count = async () => {
    const found = {};
    for (const [stream, peer] of window.roomfsm.peerConnections())
      for (const report of (await peer.getStats()).values())
        if (report.type === 'inbound-rtp')
          found[stream] = {...found[stream], [report.kind]: report.packetsReceived};
    return found;
  };
  const deadline = performance.now() + 60000;
  const until = async (holds) => {
    for (;;) {
      const found = await count();
      if (holds(found)) return found;
      if (performance.now() > deadline) throw new Error(JSON.stringify([seen(), found]));
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  };
  for (;;) {
    const moving = [...document.querySelectorAll('.panel')].flatMap((panel) => panel.getAnimations());
    await Promise.allSettled(moving.map(({finished}) => finished));
    const before = await until((found) => Object.values(found).every(({audio}) => audio > 0));
    const atFirst = JSON.stringify(seen());
    const enough = (stream, {audio}) => audio > before[stream].audio + 30;
    const heard = (found) => Object.keys(before).every((stream) => enough(stream, found[stream]));
    const after = await until(heard);
    const pictures = (found, stream) => found[stream].video ?? 0;
    const come = Object.keys(before).filter((one) => pictures(after, one) > pictures(before, one)).sort();
    if (JSON.stringify(come) === atFirst && atFirst === JSON.stringify(seen())) return come;
    if (performance.now() > deadline) throw new Error(JSON.stringify([seen(), come]));
  }
}"""


def test_what_cannot_be_seen_is_not_received_and_is_still_heard(
    open_page: OpenPage, crowd: Crowd, room_name: str
) -> None:
    for number in range(9):
        crowd.present(f"Person {number}", width=160, height=120)
    page = open_page(f"/r/{room_name}", "Zoe", viewport={"width": 390, "height": 640}, **TOUCH)
    tiles = page.get_by_test_id("tile")
    expect(tiles).to_have_count(9)

    def received() -> set[str]:
        return set(page.evaluate(RECEIVES_WHAT_IS_SEEN))

    first = received()
    assert 4 <= len(first) < 9
    # What is scrolled into sight comes, and what is scrolled out of it ceases to.
    tiles.last.scroll_into_view_if_needed()
    last = received()
    assert last - first
    assert first - last
    for one in tiles.all():
        expect(one).to_have_attribute("data-state", "live")
    # A sheet lies over most of the stage. It comes slowly, and from far: what counts is where it comes to rest.
    page.evaluate(SLOW_SHEET)
    page.locator("button[data-tab=chat]").tap()
    above = received()
    assert above
    page.locator("button[data-tab=chat]").tap()
    # A notice may have come or gone meanwhile, which moves the tiles.
    assert received() > above
    # A hidden page is only heard.
    hide = """(state) => {
      Object.defineProperty(document, 'visibilityState', {value: state, configurable: true});
      document.dispatchEvent(new Event('visibilitychange'));
    }"""
    page.evaluate(hide, "hidden")
    assert received() == set()
    page.evaluate(hide, "visible")
    assert received() > above


def box(locator: Locator) -> dict[str, float]:
    found = locator.bounding_box()
    assert found is not None
    return {"x": found["x"], "y": found["y"], "width": found["width"], "height": found["height"]}


def assert_in_view(page: Page, locator: Locator) -> None:
    found, size = box(locator), page.viewport_size
    assert size is not None
    assert 0 <= found["x"] <= size["width"] - found["width"], found
    assert 0 <= found["y"] <= size["height"] - found["height"], found
