"""Given the tables, when they are described as plain data, then the description is complete and says the same."""

from __future__ import annotations

import json
from typing import Any

import pytest

from roomfsm.lifecycle.describe import MACHINES, describe, describe_legality
from roomfsm.lifecycle.legality import MESSAGE_TYPES, allowed
from roomfsm.lifecycle.table import Table
from roomfsm.protocol.client import CLIENT_MESSAGES, message_type
from roomfsm.protocol.replies import OUTSIDE_THE_TABLES, REPLIES
from roomfsm.protocol.server import SERVER_MESSAGES

SERVER_TYPES = {message_type(message) for message in SERVER_MESSAGES}
every_machine = pytest.mark.parametrize("table", MACHINES.values(), ids=lambda table: table.name)


@every_machine
def test_every_row_is_there_and_leads_where_the_table_says(table: Table[Any]) -> None:
    described = describe(table)
    for transition in described["transitions"]:
        rows = table.rows_of(transition["from"], transition["trigger"])
        assert transition["to"] in {row.dest_from(transition["from"]) for row in rows}
    count = sum(len(row.sources) * len(row.triggers) for row in table.rows)
    assert len(described["transitions"]) == count
    assert json.loads(json.dumps(described)) == described


@every_machine
def test_every_trigger_is_a_message_or_has_a_cause(table: Table[Any]) -> None:
    for trigger in describe(table)["triggers"]:
        assert trigger["message"] != bool(trigger["cause"]), trigger
    assert set(table.causes) <= set(table.triggers)


@every_machine
def test_what_is_illegal_has_no_row(table: Table[Any]) -> None:
    for state in describe(table)["states"]:
        for message in MESSAGE_TYPES:
            has_row = bool(table.rows_of(state["name"], message))
            assert (message in state["illegal"]) == (message in table.triggers and not has_row)


@every_machine
def test_only_messages_of_the_protocol_are_told(table: Table[Any]) -> None:
    described = describe(table)
    tells = [*described["movesTell"], *(tell for effect in described["effects"] for tell in effect["tells"])]
    assert {tell["message"] for tell in tells} <= SERVER_TYPES
    used = {effect for transition in described["transitions"] for effect in transition["effects"]}
    assert used == {effect["name"] for effect in described["effects"]}


def test_legality_names_every_message_once() -> None:
    pairs = describe_legality()
    assert [(pair["session"], pair["room"]) for pair in pairs] == [
        ("connected", None),
        ("joined", "waiting"),
        ("joined", "broadcasting"),
        ("joined", "closing"),
    ]
    for pair in pairs:
        assert {*pair["allowed"], *pair["refused"]} == set(MESSAGE_TYPES)
        assert pair["allowed"] == list(allowed(pair["session"], pair["room"]))


def test_every_client_message_has_its_reply() -> None:
    assert set(REPLIES) == set(CLIENT_MESSAGES)
    assert set(OUTSIDE_THE_TABLES) <= set(CLIENT_MESSAGES)
