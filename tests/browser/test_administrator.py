"""Given the inspector in a browser and the admin token, its buttons put people out, lock and close the room."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest
from playwright.sync_api import Dialog, expect

from tests.browser.conftest import OpenPage
from tests.browser.test_broadcast import photograph
from tests.system.program import Program, running

pytestmark = pytest.mark.browser

TOKEN = "the-token-of-administrators"


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    with running(tmp_path_factory.mktemp("server"), f"--admin-token={TOKEN}") as program:
        yield program
        assert program.end() == 0
    assert "Traceback" not in program.log.read_text()


def test_an_administrator_puts_somebody_out_locks_and_closes_a_room(open_page: OpenPage) -> None:
    name = f"room-{uuid.uuid4().hex[:8]}"
    ada = open_page(f"/r/{name}", "Ada")
    inspector = open_page(f"/inspect/{name}", expects="401")
    token, answer = inspector.get_by_test_id("admin-token"), inspector.get_by_test_id("admin-answer")
    expect(inspector.get_by_test_id("put-out")).to_have_count(1)
    expect(inspector.get_by_test_id("put-out")).to_be_hidden()
    expect(inspector.get_by_test_id("close-room")).to_be_hidden()

    token.fill("not-the-token-of-administrators")
    inspector.get_by_test_id("use-token").click()
    expect(answer).to_contain_text("wrong one")
    expect(inspector.get_by_test_id("close-room")).to_be_hidden()

    token.fill(TOKEN)
    inspector.get_by_test_id("use-token").click()
    expect(inspector.get_by_test_id("close-room")).to_be_visible()
    expect(token).to_be_hidden()
    assert token.input_value() == ""
    photograph(inspector, "inspector-administers")

    inspector.get_by_test_id("lock-room").click()
    expect(answer).to_contain_text("locked")
    inspector.get_by_test_id("unlock-room").click()
    expect(answer).to_contain_text("may enter")

    # The token outlives the page, for as long as its tab.
    inspector.reload()
    expect(inspector.get_by_test_id("put-out")).to_be_visible()
    inspector.get_by_test_id("put-out").click()
    expect(answer).to_have_text("Ada is put out.")
    expect(inspector.get_by_test_id("put-out")).to_have_count(0)
    eve = open_page(f"/r/{name}", "Eve")
    expect(inspector.get_by_test_id("put-out")).to_have_count(1)

    def agree(dialog: Dialog) -> None:
        dialog.accept()

    inspector.on("dialog", agree)
    inspector.get_by_test_id("close-room").click()
    expect(answer).to_have_text("The room closes.")
    # The page is in the room anew after half a second, and the words stay for as long as it takes to read them.
    expect(eve.get_by_text("An administrator has closed the room.").first).to_be_visible()
    inspector.get_by_test_id("forget-token").click()
    expect(inspector.get_by_test_id("close-room")).to_be_hidden()
    expect(token).to_be_visible()
    ada.close()
