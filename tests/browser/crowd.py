"""Presenters who cost little: all of them in one page, which draws their pictures and receives none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from playwright.sync_api import Browser

_SCRIPT = (Path(__file__).parent / "presenters.js").read_text()


class Crowd:
    """People who present in one room. Each is named by the order in which they began, from 0."""

    def __init__(self, browser: Browser, address: str, room: str, script: str = "") -> None:
        """`script` runs in their page before they present."""
        self._room = room
        self.context = browser.new_context(permissions=["microphone"])
        self._page = self.context.new_page()
        # Any small document of the server's own: its websocket refuses other origins.
        self._page.goto(f"{address.rstrip('/')}/health/live")
        self._page.evaluate(script + _SCRIPT)

    def present(self, name: str, **options: Any) -> int:
        """Let somebody enter the room and present. The options are those of `present` in presenters.js."""
        index: int = self._page.evaluate(
            "([room, name, options]) => present(room, name, options)", [self._room, name, options]
        )
        return index

    def tell(self, index: int, **message: Any) -> dict[str, Any]:
        """Send a message of one of them. Returns the reply."""
        reply: dict[str, Any] = self._page.evaluate("([index, message]) => tell(index, message)", [index, message])
        return reply

    def speak(self, index: int, *, speaks: bool = True) -> None:
        """Let one of them begin or cease to speak, which the media server hears."""
        self._page.evaluate("([index, speaks]) => speak(index, speaks)", [index, speaks])

    def close(self) -> None:
        """All of them leave."""
        self.context.close()
