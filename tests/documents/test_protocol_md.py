"""Given the protocol, its page names every message, code and state, and its links have targets."""

from __future__ import annotations

import re
from typing import Any

import pytest

from roomfsm.documents.protocol_md import protocol_md
from roomfsm.lifecycle.describe import describe_legality
from roomfsm.protocol.client import CLIENT_MESSAGES, message_type
from roomfsm.protocol.errors import CloseCode, ErrorCode
from roomfsm.protocol.server import SERVER_MESSAGES

PAGE = protocol_md()


def section(title: str) -> str:
    """The text under a heading, up to the next one."""
    found = re.search(rf"^#+ {title}\n(.*?)(?=^#|\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert found is not None, title
    return found[1]


def test_every_link_on_the_page_leads_to_a_heading() -> None:
    headings = re.findall(r"^#+ (.*)$", PAGE, re.MULTILINE)
    anchors = [re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings]
    assert len(anchors) == len(set(anchors))
    assert set(re.findall(r"\]\(#([^)]*)\)", PAGE)) <= set(anchors)


@pytest.mark.parametrize("message", [*CLIENT_MESSAGES, *SERVER_MESSAGES], ids=lambda m: m.__name__)
def test_every_message_has_its_fields_and_an_example(message: type[Any]) -> None:
    text = section(message.__name__)
    assert text.lstrip().startswith(f"`{message_type(message)}`")
    for field in message.__struct_encode_fields__:
        assert f"| `{field}` |" in text
    assert '"type": "' + message_type(message) in text


def test_every_code_is_explained() -> None:
    for code in ErrorCode:
        assert f"| `{code}` | {code.explanation} |" in section("Errors")
    for close in CloseCode:
        assert f"| {close.value} | `{close.name.lower()}` | {close.explanation} |" in section("Close codes")


def test_the_table_of_legal_messages_is_complete() -> None:
    table = section("What is legal when")
    for message in CLIENT_MESSAGES:
        (row,) = re.findall(rf"^\| \[`{message_type(message)}`\].*$", table, re.MULTILINE)
        verdicts = [cell.strip() for cell in row.split("|")[2:-1]]
        legal = [message_type(message) in pair["allowed"] for pair in describe_legality()]
        assert [verdict == "legal" for verdict in verdicts] == legal


def test_the_changes_by_publish_are_in_the_order_of_the_table() -> None:
    rows = [line for line in section("Publish").splitlines() if line.startswith("| room |")]
    assert len(rows) == 2
    assert "waiting → broadcasting" in rows[0]
    assert rows[0].index("`streamStarted`") < rows[0].index("`roomState`")
    assert "broadcasting stays" in rows[1]
    assert "`roomState`" not in rows[1]
