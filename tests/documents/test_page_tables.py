"""Given the page's JavaScript, when its tables are read, then they are complete, or there is an error."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from roomfsm.documents.page_tables import (
    FILES,
    PageTableError,
    client_folder,
    page_table,
    page_tables,
    parse,
    without_explanations,
)
from roomfsm.lifecycle.legality import MESSAGE_TYPES

LINK = (client_folder() / FILES["link"]).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("there", "instead", "fault"),
    [
        ('"dest": "closed"', '"dest": "close"', "there is no state close"),
        ('"let go", "wait"', '"let go", "weit"', "the effect 'weit' is not explained"),
        ('"guards": ["for good"]', '"guards": ["for good"], "unless": []', "unknown field `unless`"),
        ('"due": "', '"dew": "', "the trigger 'dew' has no row"),
        ('"name": "link"', '"name": "chain"', "called 'chain'"),
        ('"name": "waiting"', '"name": "open"', "two states have one name"),
        ("});\n", "});\nexport const more = 1;\n", "the file is not one table"),
        ('"rows": [', '"rows": [ // the rows\n', "malformed"),
    ],
)
def test_a_table_with_a_fault_is_refused(there: str, instead: str, fault: str) -> None:
    assert there in LINK
    text = LINK.replace(there, instead, 1)
    with pytest.raises(PageTableError, match=fault):
        parse("link", text)


@pytest.mark.parametrize("name", FILES)
def test_browsers_get_a_table_with_all_its_rows_and_without_its_explanations(name: str) -> None:
    text = (client_folder() / FILES[name]).read_text(encoding="utf-8")
    whole, bare = (
        json.loads(one[one.index("({") + 1 : one.rindex(");")]) for one in (text, without_explanations(text))
    )
    assert bare == {
        "name": name,
        "states": [{"name": state["name"]} for state in whole["states"]],
        "rows": whole["rows"],
    }


def test_a_table_that_cannot_be_read_is_left_as_it_is() -> None:
    for text in (
        "",
        "export const A = 1;\n",
        LINK.replace('"rows"', '"lines"'),
        f"{LINK}export const more = 1;\n",
    ):
        assert without_explanations(text) == text


@pytest.mark.parametrize("name", FILES)
def test_every_state_can_be_reached_and_every_guard_has_an_alternative(name: str) -> None:
    table = page_table(name)
    reached, new = {table.initial}, {table.initial}
    while new:
        new = {row.dest_from(state) for state in new for row in table.rows if state in row.sources} - reached
        reached |= new
    assert reached == {state.name for state in table.states}
    for state in reached:
        for trigger in table.legal(state):
            assert not table.rows_of(state, trigger)[-1].guards, f"{trigger} in {state} may fall through"


def test_no_trigger_of_the_page_has_the_name_of_a_message() -> None:
    triggers = {trigger for table in page_tables().values() for trigger in table.triggers}
    assert not triggers & set(MESSAGE_TYPES)


STATE_COMPARED = re.compile(
    r"""(?<!\w)(?:state|status|phase|\w+State)\s*[!=]==?\s*['"]|['"]\s*[!=]==?\s*[\w.?]*\.(?:state|status|phase)\b|"""
    r"""switch \([\w.?#]*(?:state|status|phase)\)""",
)
NO_STATE_OF_OURS = re.compile(
    r"\b(?:connectionState|readyState|visibilityState|iceConnectionState|signalingState)\b|typeof [\w.]+ === '\w+'"
)
"""The states of the browser's own objects, which no table of ours moves, and tests of a type."""


def decisions(text: str) -> list[str]:
    """The lines that compare a state with a name."""
    return [line for line in text.splitlines() if STATE_COMPARED.search(NO_STATE_OF_OURS.sub("", line))]


def test_no_script_of_the_page_compares_states_outside_its_tables() -> None:
    scripts = [path for path in client_folder().rglob("*.js") if not path.name.endswith("-table.js")]
    assert len(scripts) > 40
    found = {str(path): lines for path in scripts if (lines := decisions(path.read_text(encoding="utf-8")))}
    assert found == {}


@pytest.mark.parametrize(
    "line",
    [
        "if (this.state === 'idle') return;",
        "if (view?.state !== 'idle') view.start();",
        'return room.status == "inside";',
        "const closed = connection.state.phase === 'closed';",
        "if ('refused' === room.status) {",
        "switch (this.state) {",
        "if (view.serverState === 'limited') {",
    ],
)
def test_a_comparison_of_states_in_a_script_is_found(line: str) -> None:
    assert decisions(line) == [line]


def test_the_folder_of_the_page_is_found() -> None:
    assert (client_folder() / "app.js").is_file()
    assert isinstance(client_folder(), Path)
