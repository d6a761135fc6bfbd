"""Given the inspector in one browser, when another broadcasts and leaves, then it shows each state in order."""

from __future__ import annotations

import json
import re
import signal
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from roomfsm.replay.engine import replay
from roomfsm.replay.runs import read_runs
from tests.browser.conftest import PHONE, OpenPage, new_person
from tests.browser.test_broadcast import broadcasts, decodes, photograph
from tests.processes import LOADED
from tests.replay.test_replay import changed, without
from tests.system.program import Program, running

pytestmark = pytest.mark.browser

WATCH_STATES = """() => {
  window.lit = [];
  const look = () => {
    if (!document.querySelector('.machine[data-machine=room] svg')) return;
    const now = [...document.querySelectorAll('.machine[data-machine=room] .state.current')]
      .map((state) => state.dataset.state).join('+');
    if (now !== window.lit.at(-1)) window.lit.push(now);
  };
  new MutationObserver(look).observe(document.body, {subtree: true, childList: true, attributes: true});
  look();
}"""
"""Records every state of the room's diagram that was highlighted, in order."""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """A room that everybody has left is not over before a busy machine has looked at all of it."""
    with running(tmp_path_factory.mktemp("server"), "--linger=600") as program:
        yield program
        assert program.end() == 0
    assert "Traceback" not in program.log.read_text()


@pytest.fixture
def name() -> str:
    """The name of a room that no other test uses."""
    return f"room-{uuid.uuid4().hex[:8]}"


def entry(page: Page, machine: str, trigger: str) -> str:
    """Wait for the newest row of the journal for that trigger."""
    row = page.locator(f"[data-testid=entries] tr[data-machine={machine}][data-trigger={trigger}]").last
    expect(row).to_be_visible()
    return row.inner_text()


def state_is(page: Page, state: str) -> None:
    expect(page.get_by_test_id("inspected-state")).to_have_text(state)
    expect(page.locator(".diagram .state.current")).to_have_attribute("data-state", state)


def test_the_inspector_shows_a_broadcast_state_by_state(
    open_page: OpenPage, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inspector = open_page(f"/inspect/{name}")
    expect(inspector.get_by_test_id("inspected-state")).to_have_text("not open")
    expect(inspector.locator(".machine[data-machine=room] svg")).to_be_visible()
    inspector.evaluate(WATCH_STATES)
    ada = open_page(f"/r/{name}", "Ada")
    state_is(inspector, "waiting")
    photograph(inspector, "inspector-waiting")
    broadcasts(ada)
    state_is(inspector, "broadcasting")
    bob = open_page(f"/r/{name}", "Bob")
    decodes(bob)
    assert "Bob" in entry(inspector, "room", "view")
    expect(inspector.get_by_test_id("entries")).to_contain_text("connected → live")
    photograph(inspector, "inspector-broadcasting")

    for tab, state in (("stream", "live"), ("view", "live"), ("session", "joined")):
        inspector.get_by_test_id(f"tab-{tab}").click()
        expect(inspector.locator(f".diagram .machine[data-machine={tab}] svg")).to_be_visible()
        expect(inspector.locator(".diagram .state.current")).to_have_attribute("data-state", state)
        photograph(inspector, f"inspector-{tab}")
    # The keyboard moves through all tabs and back to the room's.
    inspector.keyboard.press("ArrowRight")
    expect(inspector.get_by_test_id("tab-room")).to_be_focused()
    state_is(inspector, "broadcasting")

    ada.get_by_test_id("stop-camera").click()
    state_is(inspector, "waiting")
    assert "Ada" in entry(inspector, "room", "unpublish")
    bob.close()
    # Until her page knows that the stream has ended, it asks before she leaves.
    expect(ada.get_by_test_id("start-camera")).to_be_visible()
    ada.get_by_test_id("leave-room").click()
    state_is(inspector, "empty")
    # A room is empty for a moment before the first person is in it, and the inspector may have shown that.
    states = ["waiting", "broadcasting", "waiting", "empty"]
    assert inspector.evaluate("window.lit") in (["", *states], ["", "empty", *states])
    move = inspector.locator(".diagram .move[data-from=waiting][data-to=broadcasting] .count")
    expect(move).to_have_text("1×")
    expect(inspector.locator(".diagram .state[data-state=broadcasting] .dwell")).to_have_text(re.compile(r"1× \d"))
    photograph(inspector, "inspector-empty")

    with inspector.expect_download() as download:
        inspector.get_by_test_id("download-journal").click()
    file = tmp_path / "journal.jsonl"
    download.value.save_as(file)
    (run,) = read_runs(file)
    outcome = replay(run)
    assert (outcome.lived, outcome.difference, outcome.steps) == (True, None, len(run.entries))
    with changed(monkeypatch, without("view", "broadcasting")):
        difference = replay(run).difference
    assert difference is not None
    assert difference.then is not None
    assert difference.today is not None
    assert (difference.then.trigger, difference.then.refused) == ("view", None)
    assert difference.today.refused is not None


def test_the_inspector_shows_the_pages_machines_beside_the_servers(open_page: OpenPage, name: str) -> None:
    inspector = open_page(f"/inspect/{name}")
    for machine, state in (("page", "switching"), ("link", "resuming"), ("media", "given-up")):
        shown = inspector.get_by_test_id(f"page-machine-{machine}")
        shown.locator("summary").click()
        expect(shown.locator(f".state[data-state={state}]")).to_be_visible()
    photograph(inspector, "inspector-page-machines", whole=True)


def test_the_inspector_says_so_if_a_diagram_cannot_be_loaded(open_page: OpenPage, name: str) -> None:
    inspector = open_page("/inspect", expects="ERR_FAILED")
    inspector.route("**/inspect/assets/room.svg", lambda route: route.abort())
    inspector.goto(f"{inspector.url}/{name}")
    expect(inspector.locator(".machine[data-machine=room]")).to_have_text("The diagram could not be loaded.")


def test_the_inspector_shows_the_server_open_and_drain_and_close(
    browser: Browser, media_server: str, name: str, tmp_path: Path
) -> None:
    # The server drains until the room is empty, however long a busy machine takes to tell the page.
    options = (f"--kurento={media_server}", "--closing-notice=60", "--closing-deadline=60")
    with running(tmp_path, *options, "--drain=3000", program=("tests.browser.slow_to_drain",)) as program:
        person = new_person(browser, "Ada")
        inspector = person.new_page()
        inspector.goto(program.inspector)
        current = inspector.locator(".machine[data-machine=server] .state.current")
        expect(inspector.get_by_test_id("server-state")).to_have_text("open")
        expect(current).to_have_attribute("data-state", "open")
        expect(inspector.get_by_test_id("server-since")).to_have_text(re.compile(r"^for \d"))
        photograph(inspector, "inspector-server", whole=True)
        ada = person.new_page()
        ada.goto(f"{program.address}r/{name}")
        expect(ada.get_by_test_id("connection-state")).to_have_text("Connected")
        program.process.send_signal(signal.SIGTERM)
        expect(inspector.get_by_test_id("server-state")).to_have_text("draining")
        expect(current).to_have_attribute("data-state", "draining")
        expect(ada.get_by_test_id("notice")).to_contain_text("The server closes in 50 minutes.")
        photograph(inspector, "inspector-server-draining", whole=True)
        # The second signal ends the countdown.
        program.process.send_signal(signal.SIGTERM)
        expect(inspector.get_by_test_id("server-state")).to_have_text("closing")
        expect(current).to_have_attribute("data-state", "closing")
        photograph(inspector, "inspector-server-closing", whole=True)
        # She leaves. A page that is closed may be ended by a busy browser before it has said so, and the server
        # would keep her place for a while.
        ada.get_by_test_id("leave-room").click()
        assert program.process.wait(LOADED) == 0
        person.close()


def test_the_inspector_shows_a_refusal_with_its_reason(open_page: OpenPage, name: str) -> None:
    inspector = open_page(f"/inspect/{name}", viewport=PHONE, color_scheme="dark")
    ada = open_page(f"/r/{name}", "Ada")
    state_is(inspector, "waiting")
    ada.evaluate("window.roomfsm.connection.request({type: 'unpublish', stream: 'none'}).catch(() => {})")
    ada.get_by_test_id("chat-input").fill("a secret of Ada's")
    ada.get_by_test_id("chat-send").click()
    said = entry(inspector, "session", "unpublish")
    assert "refused: illegal_in_state (room is waiting)" in said
    # The tab says whose session it is, as it says which stream or view.
    assert "session Ada" in said
    assert "<17 characters>" in entry(inspector, "room", "chat")
    assert "secret" not in inspector.content()
    inspector.get_by_test_id("only-refusals").check()
    expect(inspector.locator("[data-testid=entries] tr:visible")).to_have_count(1)
    photograph(inspector, "inspector-phone-dark", whole=True)
    inspector.get_by_test_id("only-refusals").uncheck()
    inspector.get_by_test_id("find-in-journal").fill("chat")
    expect(inspector.locator("[data-testid=entries] tr:visible")).to_have_count(1)


# A message about the feed is soon gone. An attribute keeps it, so that the test can wait for it.
KEEP_FEEDS = """
  window.feeds = [];
  const told = [];
  new MutationObserver(() => {
    const words = document.querySelector('[data-testid=feed-state]')?.textContent;
    if (words !== told.at(-1)) told.push(words);
    document.documentElement.dataset.told = told.join('|');
  }).observe(document, {subtree: true, childList: true, characterData: true});
  window.EventSource = class extends EventSource {
    constructor(url) { super(url); window.feeds.push(this); }
  };
"""


def test_a_feed_that_breaks_off_continues_and_shows_nothing_twice(open_page: OpenPage, name: str) -> None:
    ada = open_page(f"/r/{name}", "Ada")
    inspector = open_page(f"/inspect/{name}")
    inspector.add_init_script(KEEP_FEEDS)
    inspector.reload()
    rows = inspector.locator("[data-testid=entries] tr")
    expect(rows).to_have_count(2)
    expect(inspector.get_by_test_id("states")).to_contain_text("waiting")
    inspector.evaluate("window.feeds[0].dispatchEvent(new Event('error'))")
    said = re.compile(r"The connection was lost\. Trying again\.")
    expect(inspector.locator("html")).to_have_attribute("data-told", said)
    ada.get_by_test_id("chat-input").fill("meanwhile")
    ada.get_by_test_id("chat-send").click()
    expect(inspector.locator("[data-testid=entries] tr[data-trigger=chat]")).to_have_count(1)
    expect(inspector.get_by_test_id("feed-state")).to_be_empty()
    expect(rows).to_have_count(3)


def test_the_start_page_links_to_the_inspector_for_those_who_may_use_it(
    open_page: OpenPage, program: Program
) -> None:
    stranger = open_page("/")
    expect(stranger.get_by_role("heading", name="Rooms")).to_be_visible()
    page = open_page("/inspect")
    page.goto(program.address)
    page.get_by_test_id("open-inspector").click()
    expect(page.get_by_role("heading", name="Rooms")).to_be_visible()
    expect(stranger.get_by_test_id("open-inspector")).to_be_hidden()


@pytest.mark.parametrize(("path", "name"), [("a%20b", "a b"), ("100%25", "100%"), ("%ff", "%ff")])
def test_the_inspector_explains_a_name_that_no_room_can_have(open_page: OpenPage, path: str, name: str) -> None:
    page = open_page(f"/inspect/{path}", expects="404")
    expect(page.get_by_test_id("no-room")).to_contain_text(f"“{name}” cannot be a room. A room name ")
    page.get_by_role("link", name="All rooms").click()
    expect(page.get_by_role("heading", name="Rooms")).to_be_visible()


def test_the_inspector_lists_all_rooms_and_links_to_each(open_page: OpenPage, name: str, program: Program) -> None:
    ada = open_page(f"/r/{name}", "Ada")
    broadcasts(ada)
    inspector = open_page("/inspect")
    row = inspector.locator("tr", has_text=name)
    expect(row).to_contain_text("broadcasting")
    expect(row).to_contain_text("ws://127.0.0.1:")
    photograph(inspector, "inspector-rooms")
    phone = open_page("/inspect", viewport=PHONE)
    expect(phone.locator("tr", has_text=name)).to_be_visible()
    photograph(phone, "inspector-rooms-phone")
    row.get_by_role("link").click()
    expect(inspector.get_by_test_id("inspected-room")).to_have_text(name)
    state_is(inspector, "broadcasting")
    inspector.get_by_test_id("enter-room").click()
    expect(inspector.get_by_test_id("room-title")).to_have_text(name)
    assert json.loads(ada.evaluate("fetch('/api/rooms').then((r) => r.text())"))["rooms"]
