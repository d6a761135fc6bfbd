"""Given the tables, when they are described as plain data, then the description is complete and says the same."""

from __future__ import annotations

import json
from typing import Any

import pytest

from roomfsm.lifecycle.describe import MACHINES, changes, describe, describe_legality
from roomfsm.lifecycle.legality import MESSAGE_TYPES, allowed
from roomfsm.lifecycle.table import Table
from roomfsm.protocol.client import CLIENT_MESSAGES, ClientMessage, Join, Switch, message_type
from roomfsm.protocol.errors import ErrorCode
from roomfsm.protocol.replies import OUTSIDE_THE_TABLES, REPLIES
from roomfsm.protocol.server import SERVER_MESSAGES

SERVER_TYPES = {message_type(message) for message in SERVER_MESSAGES}
every_machine = pytest.mark.parametrize("table", MACHINES.values(), ids=lambda table: table.name)

DESCRIBED = {name: describe(table) for name, table in MACHINES.items()}


@every_machine
def test_the_description_has_every_row_of_the_table(table: Table[Any]) -> None:
    described = describe(table)
    for transition in described["transitions"]:
        rows = table.rows_of(transition["from"], transition["trigger"])
        assert transition["to"] in {row.dest_from(transition["from"]) for row in rows}
    count = sum(len(row.sources) * len(row.triggers) for row in table.rows)
    assert len(described["transitions"]) == count
    assert json.loads(json.dumps(described)) == described


@every_machine
def test_every_trigger_is_a_clients_message_or_has_a_cause(table: Table[Any]) -> None:
    for trigger in describe(table)["triggers"]:
        assert trigger["message"] != bool(trigger["cause"]), trigger
    assert set(table.causes) <= set(table.triggers)


@every_machine
def test_a_message_is_listed_as_illegal_if_only_others_have_a_row(table: Table[Any]) -> None:
    for state in describe(table)["states"]:
        with_rows = [message for message in MESSAGE_TYPES if table.rows_of(state["name"], message)]
        without = [message for message in MESSAGE_TYPES if message in table.triggers and message not in with_rows]
        assert state["illegal"] == (without if with_rows else [])


def test_a_session_that_reads_nothing_refuses_nothing() -> None:
    states = describe(MACHINES["session"])["states"]
    assert [state["name"] for state in states if not state["illegal"]] == ["resuming", "away", "gone"]


@every_machine
def test_effects_only_send_messages_that_the_protocol_has(table: Table[Any]) -> None:
    described = describe(table)
    tells = [*described["movesTell"], *(tell for effect in described["effects"] for tell in effect["tells"])]
    assert {tell["message"] for tell in tells} <= SERVER_TYPES
    used = {effect for transition in described["transitions"] for effect in transition["effects"]}
    assert used == {effect["name"] for effect in described["effects"]}


def test_each_pair_of_states_allows_or_refuses_every_message_once() -> None:
    pairs = describe_legality()
    assert [(pair["session"], pair["room"]) for pair in pairs] == [
        ("connected", None),
        ("knocking", None),
        ("joined", "waiting"),
        ("joined", "broadcasting"),
        ("joined", "closing"),
    ]
    for pair in pairs:
        assert {*pair["allowed"], *pair["refused"]} == set(MESSAGE_TYPES)
        assert pair["allowed"] == list(allowed(pair["session"], pair["room"]))


def test_every_client_message_has_a_reply() -> None:
    assert set(REPLIES) == set(CLIENT_MESSAGES)
    assert set(OUTSIDE_THE_TABLES) <= set(CLIENT_MESSAGES)


@pytest.mark.parametrize("message", OUTSIDE_THE_TABLES)
def test_the_documents_list_no_code_that_a_table_has_already(message: type[ClientMessage]) -> None:
    in_tables: set[str] = set()
    for change in changes(message_type(message), DESCRIBED):
        in_tables |= {guard["code"] for guard in change["guards"] if guard["code"] is not None}
        in_tables |= {code for effect in change["effects"] for code in effect["mayFail"]}
    assert in_tables.isdisjoint(OUTSIDE_THE_TABLES[message])


def test_no_code_of_a_guard_is_listed_for_a_message_by_hand() -> None:
    refused_by_guards = {
        guard.code for table in MACHINES.values() for row in table.rows for guard in row.guards if guard.code
    }
    # The same code where the server can hold no more sessions, which a guard says, and no more rooms.
    by_hand = {code for codes in OUTSIDE_THE_TABLES.values() for code in codes} - {ErrorCode.SERVER_FULL}
    assert by_hand.isdisjoint(refused_by_guards)


@pytest.mark.parametrize("message", [Join, Switch])
def test_a_closing_server_refuses_people_who_want_to_enter_a_room(message: type[ClientMessage]) -> None:
    refusing = [
        (change["machine"], change["trigger"], change["from"])
        for change in changes(message_type(message), DESCRIBED)
        if ErrorCode.SERVER_CLOSING in [guard["code"] for guard in change["guards"]]
    ]
    assert refusing == [("server", "open_room", state) for state in ("draining", "closing", "closed")]


def test_each_life_ends_in_one_state() -> None:
    assert {name: [state.name for state in table.states if state.final] for name, table in MACHINES.items()} == {
        "room": ["closed"],
        "seat": ["gone"],
        # It is a part of its room, and ends with that.
        "door": [],
        "sound": [],
        "stream": ["ended"],
        "view": ["ended"],
        "relay": ["ended"],
        "file": ["gone"],
        "session": ["gone"],
        # Administrators are there for as long as the room is.
        "administrator": [],
        "mediaServer": ["removed"],
        "server": ["closed"],
        "node": ["gone"],
    }
