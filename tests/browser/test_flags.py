"""Playwright's own flags are private to it, and one of them is repeated in ours."""

from __future__ import annotations

from importlib.metadata import version

import psutil
import pytest
from playwright.sync_api import Browser

from tests.browser.conftest import OFF_IN_PLAYWRIGHT

pytestmark = pytest.mark.browser

_OFF = "--disable-features="


def test_what_this_playwright_turns_off_in_chromium_is_off_here_too(browser: Browser) -> None:
    assert browser.is_connected()
    commands = [process.info["cmdline"] for process in psutil.process_iter(["cmdline"]) if _ours(process)]
    lists = [[flag for flag in command or () if flag.startswith(_OFF)] for command in commands]
    playwrights, ours = next(found for found in lists if len(found) == 2)
    assert playwrights == _OFF + OFF_IN_PLAYWRIGHT, version("playwright")
    assert ours.startswith(playwrights)


def _ours(process: psutil.Process) -> bool:
    """Whether a process was started by this one, or by one of those."""
    try:
        return psutil.Process() in process.parents()
    except psutil.NoSuchProcess:
        return False
