"""Tests what the kit reads from the document: valid messages, the values of fields, and the shortest paths."""

from __future__ import annotations

from typing import Any

import pytest

from roomfsm.conformance.checks import all_checks
from roomfsm.conformance.paths import diagram, rows_to, way_to
from roomfsm.conformance.raw import Target
from roomfsm.conformance.scene import Options, Plan
from roomfsm.conformance.spec import Spec
from roomfsm.conformance.wire import Expected, Where
from roomfsm.documents.asyncapi import document

SPEC = Spec(document())
LINE = {"seq": 1, "participant": "p1", "name": "Ada", "text": "hello", "at": 1}


@pytest.mark.parametrize(
    ("message", "fault"),
    [
        ({"type": "pong"}, None),
        ({"type": "pong", "ref": 7, "more": "than is known"}, None),
        ({"type": "chat", "line": LINE}, None),
        ({"type": "roomState", "state": "waiting", "participants": 1, "streams": 0}, None),
        ({"type": "roomState", "state": "asleep", "participants": 1, "streams": 0}, "$.state"),
        ({"type": "chat", "line": {**LINE, "at": "1"}}, "$.line.at"),
        ({"type": "chat", "line": {"seq": 1}}, "$.line"),
        ({"type": "error", "code": "no_such_code", "detail": "?"}, "$.code"),
        ({"type": "pong", "ref": -1}, "$.ref"),
        ({"type": "dance"}, "'dance'"),
        ({"type": "join", "room": "blue"}, "'join'"),
        ({"type": ["pong"]}, "['pong']"),
        ([], "None"),
        (None, "None"),
    ],
)
def test_the_specification_says_what_a_server_may_send(message: Any, fault: str | None) -> None:
    found = SPEC.fault(message)
    assert (found is None) == (fault is None), found
    assert fault is None or fault in str(found)


def test_the_specification_says_which_fields_a_clients_message_has() -> None:
    fields = SPEC.fields("candidate")
    assert [name for name, field in fields.items() if field.required] == ["stream", "candidate"]
    assert fields["candidate"].longest() == 1024
    assert fields["sdpMLineIndex"].longest() is None
    assert SPEC.fields("publish")["source"].shapes[0]["enum"] == ["camera", "screen"]


@pytest.mark.parametrize(
    ("session", "room", "triggers"),
    [
        ("connected", None, []),
        ("joined", "waiting", ["join"]),
        ("joined", "broadcasting", ["join", "publish"]),
        ("joined", "closing", ["join", "close"]),
    ],
)
def test_the_shortest_path_to_a_pair_of_states_is_found(
    session: str, room: str | None, triggers: list[str]
) -> None:
    way = way_to(SPEC, SPEC.pair(session, room), ("publish", "close", "join"))
    assert way is not None
    assert [step.trigger for step in way] == triggers


def test_if_no_path_leads_to_a_pair_of_states_none_is_found() -> None:
    assert way_to(SPEC, SPEC.pair("joined", "broadcasting"), ("join", "close")) is None
    assert rows_to(SPEC.machines["stream"], "stalled", ("silent", "end")) is None


def test_a_path_is_written_as_in_the_diagram() -> None:
    stream = SPEC.machines["stream"]
    rows = rows_to(stream, "stalled", ("answered", "flowing", "silent"))
    assert rows is not None
    assert diagram(stream, rows) == "stream: offered —answered→ answered —flowing→ live —silent→ stalled"
    assert diagram(stream, []) == "stream: offered"


def test_every_cell_and_row_has_a_check_with_a_name_of_its_own() -> None:
    plan = Plan(SPEC, Target.parse("ws://localhost/ws"), None, Options(8, 10.0, 5.0, 60, True), {})
    ids = [check.id for check in all_checks(plan)]
    assert len(ids) == len(set(ids))
    for pair in document()["x-roomfsm"]["legality"]:
        for message in (*pair["allowed"], *pair["refused"]):
            assert f"cell/{pair['session']}/{pair['room'] or '-'}/{message}" in ids
    for name, machine in document()["x-roomfsm"]["machines"].items():
        for row in machine["transitions"]:
            assert f"row/{name}/{row['from']}/{row['trigger']}/{row['to']}" in ids
            for guard in row["guards"]:
                assert guard["code"] is None or f"guard/{name}/{row['trigger']}/{guard['code']}" in ids


@pytest.mark.parametrize(
    ("message", "fits"),
    [
        ({"type": "joined", "you": "p1", "participants": [{"id": "p1"}], "extra": 1}, True),
        ({"type": "joined", "you": "p1", "participants": [{"id": "p1"}], "resumed": False, "ref": None}, True),
        ({"type": "joined", "you": "p1", "participants": [{"id": "p1"}], "resumed": True}, False),
        ({"type": "joined", "you": "p1", "participants": [{"id": "p1"}], "ref": 1}, False),
        ({"type": "joined", "you": "p2", "participants": [{"id": "p1"}]}, False),
        ({"type": "joined", "you": "p1", "participants": []}, False),
        ({"type": "joined", "you": "p1"}, False),
        ({"type": "pong", "you": "p1", "participants": [{"id": "p1"}]}, False),
    ],
)
def test_the_expected_message_is_told_from_others(message: dict[str, Any], fits: bool) -> None:
    fields = {"you": "p1", "resumed": False, "ref": None, "participants": Where("somebody", bool)}
    assert Expected("joined", fields).fits(message) is fits
