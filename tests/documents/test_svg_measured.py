"""Given a diagram in a real browser, when it is measured, then nothing overlaps and everything is in its place."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import combinations, product
from math import hypot
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from roomfsm.documents.svg import svg
from roomfsm.lifecycle.describe import MACHINES
from roomfsm.lifecycle.table import Table
from tests.documents.conftest import every_table

if TYPE_CHECKING:  # `-m quick` needs none of it, and it takes half a second
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser

_MEASURE = """() => {
  const box = (e) => { const b = e.getBBox(); return [b.x, b.y, b.x + b.width, b.y + b.height]; };
  const state = (e) => e.closest("g.state")?.dataset.state ?? null;
  const all = (s) => [...document.querySelectorAll(s)];
  const points = (path) =>
    Array.from({length: Math.ceil(path.getTotalLength() / 2)}, (_, i) => path.getPointAtLength(2 * i))
      .map((p) => [p.x, p.y]);
  return JSON.stringify({
    texts: all("text").filter((e) => e.textContent)
      .map((e) => ({name: e.getAttribute("class"), text: e.textContent, state: state(e), box: box(e)})),
    states: Object.fromEntries(all("g.state").map((g) => [g.dataset.state, box(g.querySelector(".box"))])),
    moves: all("g.move").map((g) => ({
      source: g.dataset.from, dest: g.dataset.to, points: points(g.querySelector(".line")),
      tip: g.querySelector(".head").getAttribute("d").match(/^M([\\d.]+) ([\\d.]+)/).slice(1).map(Number)})),
    drawn: all("text, path, rect, circle").map(box),
    view: [0, 0, document.documentElement.viewBox.baseVal.width, document.documentElement.viewBox.baseVal.height],
  });
}"""
_FILL = """() => {
  for (const e of document.querySelectorAll("g.state")) e.classList.add("current");
  for (const e of document.querySelectorAll("text.count")) e.textContent = "1234×, 56 min";
  for (const e of document.querySelectorAll("text.dwell")) e.textContent = "1234×, 56 min 7s";
}"""
_CLOSE = 0.5
_BESIDE = 5.0
"""Two arrows that are nearer than this count as running along each other."""
_SQUARE = 40.0

type Rect = tuple[float, float, float, float]


@dataclass(frozen=True)
class Measured:
    """The measures of a diagram, in its own units."""

    texts: list[dict[str, Any]]
    states: dict[str, Rect]
    moves: list[dict[str, Any]]
    drawn: list[Rect]
    view: Rect


@pytest.fixture
def page(browser: Browser) -> Any:
    """A new page."""
    page = browser.new_page()
    yield page
    page.close()


type Measure = Callable[[Table[Any], bool], Measured]


@pytest.fixture(scope="module")
def measure(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Measure]:
    """Measures a table's diagram, as it is drawn or with all its places filled. It is drawn once for all tests."""
    page, path = browser.new_page(), tmp_path_factory.mktemp("diagrams") / "diagram.svg"
    known: dict[tuple[str, bool], Measured] = {}

    def measure(table: Table[Any], full: bool) -> Measured:
        if (table.name, full) not in known:
            path.write_text(svg(table), encoding="utf-8")
            page.goto(path.as_uri())
            if full:
                page.evaluate(_FILL)
            # As text, because Playwright takes seconds for so many numbers.
            known[table.name, full] = Measured(**json.loads(page.evaluate(_MEASURE)))
        return known[table.name, full]

    yield measure
    page.close()


class Boxes:
    """The boxes of things, by the squares of the paper that they touch: others cannot overlap."""

    def __init__(self, boxes: Iterable[Rect]) -> None:
        self._squares: dict[tuple[int, int], list[tuple[int, Rect]]] = defaultdict(list)
        for number, box in enumerate(boxes):
            for square in _squares(box):
                self._squares[square].append((number, box))

    def over(self, box: Rect) -> set[int]:
        """The numbers of the things that overlap this box."""
        near = (thing for square in _squares(box) for thing in self._squares.get(square, ()))
        return {number for number, other in near if overlap(box, other)}


def _squares(box: Rect) -> Iterable[tuple[int, int]]:
    left, top, right, bottom = (int(side // _SQUARE) for side in box)
    return product(range(left, right + 1), range(top, bottom + 1))


def overlap(a: Rect, b: Rect) -> bool:
    return min(a[2], b[2]) - max(a[0], b[0]) > _CLOSE and min(a[3], b[3]) - max(a[1], b[1]) > _CLOSE


def within(inner: Rect, outer: Rect) -> bool:
    low = inner[0] >= outer[0] - _CLOSE and inner[1] >= outer[1] - _CLOSE
    return low and inner[2] <= outer[2] + _CLOSE and inner[3] <= outer[3] + _CLOSE


@pytest.mark.parametrize("full", [False, True], ids=["as drawn", "all places filled"])
@every_table
def test_nothing_overlaps(measure: Measure, table: Table[Any], full: bool) -> None:
    it = measure(table, full)

    texts = Boxes(text["box"] for text in it.texts)
    for number, text in enumerate(it.texts):
        others = texts.over(text["box"]) - {number}
        assert not others, [text["text"], *(it.texts[other]["text"] for other in others)]
        if text["state"] is not None:
            assert within(text["box"], it.states[text["state"]]), text
        else:
            assert not [state for state, box in it.states.items() if overlap(text["box"], box)], text
    assert not any(overlap(a, b) for a, b in combinations(it.states.values(), 2))
    for drawn in it.drawn:
        assert within(drawn, it.view), drawn


@every_table
def test_arrows_cross_nothing_between_their_boxes(measure: Measure, table: Table[Any]) -> None:
    it = measure(table, True)

    texts, states = Boxes(text["box"] for text in it.texts), Boxes(it.states.values())
    assert bool(it.moves) == (len(table.states) > 1)
    for move in it.moves:
        source, dest = it.states[move["source"]], it.states[move["dest"]]
        for x, y in move["points"]:
            assert not texts.over((x - 1, y - 1, x + 1, y + 1)), move
            assert not states.over((x - 0.5, y - 0.5, x + 0.5, y + 0.5)), move
        assert near(tuple(move["points"][0]), source), move
        assert near(tuple(move["tip"]), dest), move


@every_table
def test_no_two_arrows_share_a_line(measure: Measure, table: Table[Any]) -> None:
    """Arrows may cross, but they must not run along each other."""
    it = measure(table, False)

    points = _by_square(it.moves)
    for number, move in enumerate(it.moves):
        beside = Counter(
            other
            for x, y in move["points"]
            for other in {
                other
                for other, u, v in points.get((x // _BESIDE, y // _BESIDE), ())
                if other > number and hypot(x - u, y - v) < _BESIDE
            }
        )
        for other, count in beside.items():
            both = move, it.moves[other]
            assert count < 8, [(one["source"], one["dest"]) for one in both]


def _by_square(moves: list[dict[str, Any]]) -> dict[tuple[float, float], list[tuple[int, float, float]]]:
    """For each square of the paper the points in it and around it, each with the number of its move.

    No other points can be that close.
    """
    squares = defaultdict(list)
    for number, move in enumerate(moves):
        for x, y in move["points"]:
            for across, down in product((-1, 0, 1), repeat=2):
                squares[x // _BESIDE + across, y // _BESIDE + down].append((number, x, y))
    return squares


def near(point: tuple[float, float], box: Rect) -> bool:
    """Whether the point is on the rectangle's border, give or take its width."""
    x, y = point
    around = (box[0] - 2, box[1] - 2, box[2] + 2, box[3] + 2)
    inside = (box[0] + 2, box[1] + 2, box[2] - 2, box[3] - 2)
    return within((x, y, x, y), around) and not overlap((x - 1, y - 1, x + 1, y + 1), inside)


def test_the_present_state_has_the_class_current(page: Page, tmp_path: Path) -> None:
    """A word, a border and a bar show the state, so it is visible without colour."""
    file = tmp_path / "room.svg"
    file.write_text(svg(MACHINES["room"], current=["waiting"]), encoding="utf-8")
    page.goto(file.as_uri())
    look = """(state) => {
      const g = document.querySelector(`g.state[data-state=${state}]`);
      const style = (s) => getComputedStyle(g.querySelector(s));
      return [style(".now").display !== "none", style(".box").strokeWidth, style(".bar").fill];
    }"""
    marked, plain = page.evaluate(look, "waiting"), page.evaluate(look, "empty")
    assert marked[0]
    assert not plain[0]
    assert float(marked[1].removesuffix("px")) > 2 * float(plain[1].removesuffix("px"))
    assert marked[2] != plain[2]

    page.evaluate(
        """() => {
      document.querySelector(".current").classList.remove("current");
      document.querySelector("g.state[data-state=empty]").classList.add("current");
    }"""
    )
    assert page.evaluate(look, "empty") == marked
    assert page.evaluate(look, "waiting") == plain


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_enough_contrast(browser: Browser, tmp_path: Path, scheme: Any) -> None:
    """WCAG 2.2, 1.4.3 and 1.4.11: 4.5 for text, 3 for the marks."""
    file = tmp_path / "room.svg"
    file.write_text(svg(MACHINES["room"], current=["waiting"]), encoding="utf-8")
    page = browser.new_page(color_scheme=scheme)
    page.goto(file.as_uri())

    def colour(selector: str, of: str = "fill") -> float:
        text = page.evaluate("([s, of]) => getComputedStyle(document.querySelector(s))[of]", [selector, of])
        channels = [int(part) / 255 for part in text.removeprefix("rgb(").removesuffix(")").split(",")]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return sum(part * value for part, value in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    def contrast(a: float, b: float) -> float:
        return (max(a, b) + 0.05) / (min(a, b) + 0.05)

    paper, box = colour(".paper"), colour("[data-state=empty] .box")
    assert contrast(colour(".current .name"), colour(".current .bar")) >= 4.5
    assert contrast(colour("[data-state=empty] .name"), colour("[data-state=empty] .bar")) >= 4.5
    assert contrast(colour("[data-state=empty] .dwell"), colour("[data-state=empty] .bar")) >= 4.5
    for name in (".meaning", ".owns", ".guard", ".effect"):
        assert contrast(colour(f".state {name}"), box) >= 4.5, name
    for name in (".label .guard", ".count", ".legend"):
        assert contrast(colour(name), paper) >= 4.5, name
    assert contrast(colour(".line", "stroke"), paper) >= 3
    assert contrast(colour(".current .box", "stroke"), paper) >= 3
    page.close()
