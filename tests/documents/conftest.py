"""The fixtures of these tests: a real Chromium, and more tables than the program's own."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from itertools import permutations
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from roomfsm.documents.page_tables import page_tables
from roomfsm.lifecycle.describe import MACHINES
from roomfsm.lifecycle.table import STAYS, Effect, Guard, Row, State, Table

if TYPE_CHECKING:  # `-m quick` needs none of it, and it takes half a second
    from playwright.sync_api import Browser

_MERMAID = Path(__file__).parents[1] / "client/node_modules/mermaid/dist/mermaid.min.js"
_long_guard = Guard[Any]("what must hold, which takes quite some words to say", lambda _: True)
_NAMES = ("a", "negotiating_once_more", "third", "WWWWWWWWWWWW", "e")


class _Effect(Effect):
    MUCH = "much is done, and_in_one_very_long_word_too", ""


CROWDED: Table[Any] = Table(
    "crowded",
    'Every state leads to every other; "quoted"; a colon: #1 <b> & C:\\x.',
    tuple(
        State(name, 'says "so"; at: #1 <b>bold</b> & C:\\n ' + "WMwm " * 20, owns=("a; b",), final=name in "ae")
        for name in _NAMES
    ),
    (
        *(
            Row((trigger, f"{trigger}_again"), (source,), dest, guards, (_Effect.MUCH,) if guards else ())
            for source, dest in permutations(_NAMES, 2)
            for trigger, guards in (("join", (_long_guard,)), ("stirred", ()))
        ),
        Row(("chat", "tick", "tock"), _NAMES, STAYS),
        Row(("view",), _NAMES, STAYS, (_long_guard,) * 4),
    ),
)
"""A table with more arrows, longer words and stranger characters than our own machines have."""

every_table = pytest.mark.parametrize(
    "table", [*MACHINES.values(), *page_tables().values(), CROWDED], ids=lambda table: table.name
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium."""
    from tests.browser.conftest import chromium

    with chromium() as browser:
        yield browser


@pytest.fixture(scope="session")
def mermaid_script() -> Path:
    """The real Mermaid, which needs a browser to parse."""
    if not _MERMAID.exists():
        _lacking("Mermaid: npm ci in tests/client")
    return _MERMAID


@pytest.fixture(scope="session")
def graphviz() -> str:
    """The path of Graphviz's `dot`."""
    return shutil.which("dot") or _lacking("Graphviz: apt-get install graphviz")


def _lacking(what: str) -> NoReturn:
    if os.environ.get("CI") == "true":
        pytest.fail(f"no {what}")
    pytest.skip(f"no {what}")
