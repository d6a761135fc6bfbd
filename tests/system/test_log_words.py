"""Every entry of the log is named in one style, which people can read and programs can look for."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import roomfsm

SOURCES = Path(roomfsm.__file__).parent
METHODS = {"debug", "info", "warning", "error", "exception", "critical", "_log_failure", "_log_connection"}
STYLE = re.compile(r"[a-z]+(-[a-z]+)*(,? [a-z]+(-[a-z]+)*)*")
"""Words in lower case, and commas. Names, numbers and reasons are fields of the entry."""


def events(file: Path) -> Iterator[tuple[int, str]]:
    """The names of the entries that a source file logs, with their lines. A part that is filled in is `x`."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args):
            continue
        owner = ast.unparse(node.func.value)
        is_log = re.search(r"(^|\b|_)log(ger)?\b|get_logger", owner) or node.func.attr.startswith("_log_")
        if node.func.attr not in METHODS or not is_log:
            continue
        match node.args[0]:
            case ast.Constant(value=str(text)):
                yield node.lineno, text
            case ast.JoinedStr(values=parts):
                yield (
                    node.lineno,
                    "".join(str(part.value) if isinstance(part, ast.Constant) else "x" for part in parts),
                )


def test_entries_are_named_by_words_in_lower_case() -> None:
    found = {
        f"{file.relative_to(SOURCES)}:{line}": event
        for file in SOURCES.rglob("*.py")
        for line, event in events(file)
    }
    assert len(found) > 60
    assert {place: event for place, event in found.items() if not STYLE.fullmatch(event)} == {}
