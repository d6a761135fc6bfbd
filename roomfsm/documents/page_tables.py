"""Reads the page's tables from its JavaScript, so that the diagrams show the tables that the browser uses.

Each of the page's machines (`client/wire/machine.js` says how they work) has a file of its own with one literal,
which is JSON between the parentheses of `export const NAME = /** @type {const} */ ({…});`. It is read strictly: an
unknown field, an unknown state, or an effect without a description is a `PageTableError`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import msgspec

from roomfsm.lifecycle.table import Effect, Guard, Row, State, Table

FILES: Mapping[str, str] = {
    "link": "wire/link-table.js",
    "page": "room/page-table.js",
    "media": "media/media-table.js",
    "device": "media/device-table.js",
}
"""The file of each machine, below the page's folder."""

_FILE = re.compile(r"(?://[^\n]*\n|\n)*export const [A-Z]+ = /\*\* @type \{const\} \*/ \((\{.*\})\);\n", re.DOTALL)


class PageTableError(Exception):
    """A file of the page does not contain a readable table."""


class _State(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    meaning: str


class _Row(msgspec.Struct, forbid_unknown_fields=True):
    triggers: tuple[str, ...]
    sources: tuple[str, ...]
    dest: str
    guards: tuple[str, ...]
    effects: tuple[str, ...]


class _Table(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    meaning: str
    states: tuple[_State, ...]
    rows: tuple[_Row, ...]
    causes: dict[str, str]
    effects: dict[str, str]


class _Named(msgspec.Struct):
    name: str


class _Bare(msgspec.Struct):
    """What a machine needs of its table (`client/wire/machine.js`)."""

    name: str
    states: tuple[_Named, ...]
    rows: tuple[_Row, ...]


def client_folder() -> Path:
    """The folder of the page's files. It is next to the package in a checkout, and inside it when installed."""
    package = Path(__file__).resolve().parent.parent
    installed = package / "_client"
    return installed if installed.is_dir() else package.parent / "client"


def page_table(name: str) -> Table[Any]:
    """The table of that machine of the page. Raises `KeyError` for another name, `PageTableError`, `OSError`."""
    return parse(name, (client_folder() / FILES[name]).read_text(encoding="utf-8"))


def page_tables() -> dict[str, Table[Any]]:
    """All tables of the page, by name. Raises the same errors as `page_table`."""
    return {name: page_table(name) for name in FILES}


def without_explanations(text: str) -> str:
    """The file of a table without what only people read: what its states, triggers and effects mean.

    A text that is no table is returned as it is.
    """
    literal = _FILE.fullmatch(text)
    if literal is None:
        return text
    try:
        table = msgspec.json.decode(literal[1], type=_Bare)
    except msgspec.DecodeError:
        return text
    return text[: literal.start(1)] + msgspec.json.encode(table).decode() + text[literal.end(1) :]


def parse(name: str, text: str) -> Table[Any]:
    """The table in a file's text. Raises `PageTableError`, which says what is wrong."""
    literal = _FILE.fullmatch(text)
    if literal is None:
        raise PageTableError(
            f"{name}: the file is not one table, `export const NAME = /** @type {{const}} */ (…);`"
        )
    try:
        table = msgspec.json.decode(literal[1], type=_Table)
    except msgspec.DecodeError as error:
        raise PageTableError(f"{name}: {error}") from error
    for fault in _faults(name, table):
        raise PageTableError(f"{name}: {fault}")
    effects = _effects(table)
    return Table(
        table.name,
        table.meaning,
        tuple(State(state.name, state.meaning) for state in table.states),
        tuple(
            Row(
                row.triggers,
                row.sources,
                row.dest,
                tuple(Guard(guard, _unknown) for guard in row.guards),
                tuple(effects[effect] for effect in row.effects),
            )
            for row in table.rows
        ),
        table.causes,
        run_by="the page",
    )


def _faults(name: str, table: _Table) -> Iterator[str]:
    states = [state.name for state in table.states]
    if table.name != name:
        yield f"the table is called {table.name!r}"
    if len(set(states)) < len(states):
        yield "two states have one name"
    for row in table.rows:
        unknown = {*row.sources, row.dest} - {*states, "="}
        if unknown or "=" in row.sources:
            yield f"there is no state {', '.join(sorted(unknown)) or '='}"
    for what, used, told in (
        ("trigger", {trigger for row in table.rows for trigger in row.triggers}, set(table.causes)),
        ("effect", {effect for row in table.rows for effect in row.effects}, set(table.effects)),
    ):
        for one in sorted(used ^ told):
            yield f"the {what} {one!r} " + ("is not explained" if one in used else "has no row")


def _effects(table: _Table) -> dict[str, Effect]:
    if not table.effects:
        return {}
    members = {effect.upper().replace(" ", "_"): (effect, meaning) for effect, meaning in table.effects.items()}
    made = cast(Any, Effect)(f"{table.name.capitalize()}Effect", members)
    return {effect.value: effect for effect in made}


def _unknown(_: object) -> bool:
    raise NotImplementedError("only the page can say whether its guards hold")
