"""Given links with tokens and rooms with passwords, the page enters by them and shows neither."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import pytest
from argon2 import PasswordHasher
from playwright.sync_api import expect

from roomfsm.access.keys import read_keys
from roomfsm.access.tokens import sign
from tests.access.keys import SECRET
from tests.browser.conftest import OpenPage
from tests.system.program import Program, running

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """A server on which some rooms need a token or a password."""
    folder = tmp_path_factory.mktemp("server")
    made = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash("open sesame")
    (folder / "roomfsm.toml").write_text(
        f"token_key = ['{SECRET}']\n"
        '[room."staff-*"]\nenter = "token"\n'
        f'[room.lecture]\nenter = "password"\npassword = "{made}"\n'
    )
    with running(folder, f"--config={folder / 'roomfsm.toml'}") as program:
        yield program
        assert program.end() == 0
    log = program.log.read_text()
    assert "Traceback" not in log
    assert "eyJ" not in log
    assert "sesame" not in log


def link(room: str) -> str:
    (key,) = read_keys(SECRET)
    claims = {"room": room, "name": "Countess", "exp": time.time() + 3600}
    return f"/r/{room}#token={sign(key, claims)}"


def test_a_link_with_a_token_lets_in_and_the_token_is_not_seen(open_page: OpenPage) -> None:
    page = open_page(link("staff-1"), "")
    expect(page).to_have_url(re.compile("/r/staff-1$"))
    expect(page.get_by_test_id("roster-entry")).to_contain_text(["Countess"])
    # The tab keeps the token for a reload.
    page.reload()
    expect(page.get_by_test_id("connection-state")).to_have_text("Connected")
    assert page.evaluate("history.length") <= 2


def test_without_a_token_the_page_says_what_is_needed(open_page: OpenPage) -> None:
    page = open_page("/r/staff-2", "Eve", expects="no error is expected")
    expect(page.get_by_test_id("notice")).to_contain_text(["only for people with an invitation"])


def test_the_password_is_asked_for_until_it_is_right(open_page: OpenPage) -> None:
    page = open_page("/r/lecture", "Ada", expects="no error is expected")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("“lecture” needs a password.")
    page.get_by_test_id("password-input").fill("open says me")
    page.get_by_test_id("password-enter").click()
    expect(dialog).to_contain_text("That was not the password.")
    page.get_by_test_id("password-input").fill("open sesame")
    page.get_by_test_id("password-input").press("Enter")
    expect(page.get_by_test_id("connection-state")).to_have_text("Connected")
    expect(page.get_by_test_id("notice")).to_have_count(0)
    page.reload()
    expect(page.get_by_test_id("connection-state")).to_have_text("Connected")
    expect(dialog).to_have_count(0)
