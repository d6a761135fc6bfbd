"""Given a table, when it is drawn in any format, then the drawing says exactly what the table says."""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from itertools import groupby, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import pytest

from roomfsm.documents.dot import dot
from roomfsm.documents.mermaid import mermaid
from roomfsm.documents.svg import svg
from roomfsm.documents.svg_style import css
from roomfsm.documents.transitions import moves, stays, transitions
from roomfsm.documents.typeset import set_rows
from roomfsm.lifecycle.describe import MACHINES, illegal
from roomfsm.lifecycle.room import ROOM
from roomfsm.lifecycle.table import Row, Table
from tests.documents.conftest import CROWDED, every_table

if TYPE_CHECKING:  # `-m quick` needs none of it, and it takes half a second
    from playwright.sync_api import Browser, Page

SVG = "{http://www.w3.org/2000/svg}"


def with_class(root: ElementTree.Element, name: str) -> list[ElementTree.Element]:
    return [element for element in root.iter() if name in element.get("class", "").split()]


def words(element: ElementTree.Element) -> str:
    """The words of the text, whatever its lines are."""
    return "".join(" ".join(element.itertext()).split())


@every_table
def test_the_svg_has_each_row_once_with_guards_and_effects(table: Table[Any]) -> None:
    root = ElementTree.fromstring(svg(table))

    for group in with_class(root, "state"):
        expected = stays(table, group.get("data-state", ""))
        found = with_class(group, "stay")
        assert [words(text) for text in found] == ["".join(row.label.split()) for row in expected]
        assert [text.get("data-trigger") for text in found] == [row.trigger for row in expected]
        assert len(with_class(group, "dwell")) == 1
    found_moves = {
        (group.get("data-from"), group.get("data-to")): (
            group.get("data-triggers"),
            [words(text) for text in with_class(group, "label")],
        )
        for group in with_class(root, "move")
    }
    assert found_moves == {
        pair: (
            " ".join(dict.fromkeys(row.trigger for row in rows)),
            ["".join(row.label.split()) for row in rows],
        )
        for pair, rows in moves(table).items()
    }
    assert len(with_class(root, "count")) == len(found_moves)


@every_table
def test_the_svg_distinguishes_messages_from_other_triggers(table: Table[Any]) -> None:
    root = ElementTree.fromstring(svg(table))
    expected = {row.trigger: row.message for row in transitions(table)}
    for text in (*with_class(root, "stay"), *with_class(root, "label")):
        trigger = text.find(f"{SVG}tspan")
        assert trigger is not None
        assert ("message" in trigger.get("class", "").split()) == expected[text.get("data-trigger", "")]


def test_the_svg_of_a_page_has_no_style_of_its_own() -> None:
    """The page's Content-Security-Policy forbids it; the stylesheet is served instead."""
    inline = svg(ROOM, standalone=False)
    assert inline.startswith("<svg ")
    assert "<style" not in inline
    assert "style=" not in svg(ROOM)
    root = ElementTree.fromstring(inline)
    assert root.get("role") == "img"
    assert [child.tag for child in root[:2]] == [f"{SVG}title", f"{SVG}desc"]
    assert css() in svg(ROOM)


def test_the_stylesheet_affects_nothing_else_on_a_page() -> None:
    text = re.sub(r"@media [^{]+\{", "", css())
    selectors = [part.strip() for block in re.findall(r"([^{}]+)\{", text) for part in block.split(",")]
    assert len(selectors) > 20
    assert {selector.split(" ")[0] for selector in selectors} == {"svg.roomfsm-diagram"}
    assert "currentcolor" not in css().lower()


def test_several_states_may_be_highlighted() -> None:
    root = ElementTree.fromstring(svg(MACHINES["stream"], current=["live", "ended"]))
    assert [group.get("data-state") for group in with_class(root, "current")] == ["live", "ended"]
    with pytest.raises(
        ValueError, match="no state 'liev'; there are offered, answered, connected, live, stalled, ended"
    ):
        svg(MACHINES["stream"], current=["liev"])


def test_a_new_row_adds_an_arrow() -> None:
    added = replace(ROOM, rows=(*ROOM.rows, Row(("expire",), ("waiting",), "closing")))
    assert 'data-from="waiting" data-to="closing" data-triggers="close"' in svg(ROOM)
    assert 'data-from="waiting" data-to="closing" data-triggers="close expire"' in svg(added)
    for draw in (mermaid, dot):
        assert draw(added) != draw(ROOM)
    assert "waiting --> closing : expire\n" in mermaid(added)


def test_a_renamed_state_is_renamed_everywhere() -> None:
    def renamed(row: Row[Any]) -> Row[Any]:
        names = {"waiting": "idle"}
        sources = tuple(names.get(source, source) for source in row.sources)
        return replace(row, sources=sources, dest=names.get(row.dest, row.dest))

    states = tuple(replace(state, name=state.name.replace("waiting", "idle")) for state in ROOM.states)
    table = replace(ROOM, states=states, rows=tuple(map(renamed, ROOM.rows)))
    for draw in (svg, mermaid, dot):
        assert "waiting" in draw(ROOM)
        assert "waiting" not in draw(table)
        assert "idle" in draw(table)


@pytest.mark.parametrize("columns", [20, 30, 60])
@every_table
def test_rows_of_text_stay_within_their_columns(table: Table[Any], columns: int) -> None:
    """A single word may be longer than the line. The layout widens the boxes for it."""
    for state in table.states:
        block = set_rows(stays(table, state.name), columns)
        lines = sorted(((line.row, line.column, line.end) for _, of in block.texts for line in of))
        longest = max((len(word) for row in transitions(table) for word in row.label.split()), default=0)
        assert all(end <= max(columns, longest + 4) for _, _, end in lines)
        for _, in_row in groupby(lines, key=lambda line: line[0]):
            spans = list(in_row)
            assert all(left[2] < right[1] for left, right in pairwise(spans))


@pytest.fixture(scope="module")
def mermaid_page(browser: Browser, mermaid_script: Path) -> Iterator[Page]:
    """A page that has loaded Mermaid."""
    page = browser.new_page()
    page.add_script_tag(path=mermaid_script)
    yield page
    page.close()


@pytest.mark.browser
@every_table
def test_mermaid_can_read_the_diagram(mermaid_page: Page, table: Table[Any]) -> None:
    text = mermaid(table, current=[table.initial])
    assert mermaid_page.evaluate("text => mermaid.parse(text)", text)["diagramType"] == "stateDiagram"
    drawn = mermaid_page.evaluate(
        """async (text) => {
          document.body.innerHTML = (await mermaid.render("drawn", text)).svg;
          return document.body.textContent;
        }""",
        text,
    )
    said = "".join(drawn.split())
    for state in table.states:
        assert "".join(state.meaning.split()) in said
    labels = Counter("".join(row.label.split()) for row in transitions(table))
    assert not [label for label, count in labels.items() if said.count(label) < count]


@pytest.mark.browser
def test_mermaid_refuses_a_broken_diagram(mermaid_page: Page) -> None:
    from playwright.sync_api import Error

    with pytest.raises(Error, match="Parse error"):
        mermaid_page.evaluate("text => mermaid.parse(text)", mermaid(ROOM).replace("[*] -->", "[*] --> -->"))


@every_table
def test_graphviz_can_read_the_diagram(graphviz: str, table: Table[Any]) -> None:
    text = dot(table, current=[table.initial])
    # One line a node and an edge: https://graphviz.org/docs/outputs/plain/
    command = [graphviz, "-Tplain"]
    plain = subprocess.run(command, input=text, capture_output=True, text=True, timeout=60, check=True)
    assert plain.stderr == ""
    kinds = Counter(line.split(" ")[0] for line in plain.stdout.splitlines())
    assert kinds["node"] == len(table.states) + 1
    assert kinds["edge"] == len(moves(table)) + 1
    assert text.count("peripheries=2") == sum(state.final for state in table.states)
    for row in transitions(table):
        assert row.label in text


def test_graphviz_refuses_a_broken_diagram(graphviz: str) -> None:
    wrong = dot(CROWDED).replace("->", "-> ->")
    assert subprocess.run(
        [graphviz, "-Tplain"], input=wrong, capture_output=True, text=True, timeout=60
    ).returncode


@every_table
def test_each_state_names_the_messages_that_it_refuses(table: Table[Any]) -> None:
    for group in with_class(ElementTree.fromstring(svg(table)), "state"):
        named = "".join(words(line) for line in with_class(group, "refused")).removeprefix("refuses:")
        assert tuple(filter(None, named.split(","))) == illegal(table, str(group.get("data-state")))
