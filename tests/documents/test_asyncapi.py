"""Given the messages and the tables, the AsyncAPI document says the same of each message."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from roomfsm.documents.asyncapi import document
from roomfsm.lifecycle import describe, legality
from roomfsm.lifecycle.describe import MACHINES
from roomfsm.lifecycle.room import ROOM
from roomfsm.lifecycle.table import STAYS, Guard, Row
from roomfsm.protocol.client import CLIENT_MESSAGES, message_type
from roomfsm.protocol.codec import decode_client
from roomfsm.protocol.errors import ONLY_BY_HTTP, CloseCode, ErrorCode, Malformed
from roomfsm.protocol.server import SERVER_MESSAGES
from tests.documents.schemas import DOCUMENT, is_valid

type Json = dict[str, Any]

MESSAGES = DOCUMENT["components"]["messages"]
SCHEMAS = DOCUMENT["components"]["schemas"]
every_client_message = pytest.mark.parametrize("message", CLIENT_MESSAGES, ids=message_type)
every_server_message = pytest.mark.parametrize("message", SERVER_MESSAGES, ids=message_type)


def test_the_document_is_plain_data() -> None:
    assert json.loads(json.dumps(DOCUMENT)) == DOCUMENT


def test_every_reference_in_the_document_has_a_target() -> None:
    def references(node: Any) -> Iterator[str]:
        if isinstance(node, dict):
            if "$ref" in node:
                yield node["$ref"]
            node = list(node.values())
        if isinstance(node, list):
            for part in node:
                yield from references(part)

    for reference in set(references(DOCUMENT)):
        node = DOCUMENT
        for key in reference.removeprefix("#/").split("/"):
            node = node[key]


@every_client_message
def test_the_server_receives_what_clients_send_and_replies(message: type[Any]) -> None:
    operation = DOCUMENT["operations"][f"receive{message.__name__}"]
    assert operation["action"] == "receive"
    assert operation["messages"] == [{"$ref": f"#/channels/signalling/messages/{message.__name__}"}]
    answers = [MESSAGES[answer["$ref"].rpartition("/")[2]]["name"] for answer in operation["reply"]["messages"]]
    reply = MESSAGES[message.__name__]["x-roomfsm-reply"]
    assert answers == (["error"] if reply is None else [reply, "error"])


@every_server_message
def test_the_server_sends_all_other_messages(message: type[Any]) -> None:
    operation = DOCUMENT["operations"][f"send{message.__name__}"]
    assert operation["action"] == "send"
    assert operation["messages"] == [{"$ref": f"#/channels/signalling/messages/{message.__name__}"}]


@every_client_message
def test_a_clients_message_may_have_no_unknown_field(message: type[Any]) -> None:
    assert SCHEMAS[message.__name__]["additionalProperties"] is False


@every_server_message
def test_a_servers_message_may_have_unknown_fields(message: type[Any]) -> None:
    assert "additionalProperties" not in SCHEMAS[message.__name__]


@pytest.mark.parametrize("message", [*CLIENT_MESSAGES, *SERVER_MESSAGES], ids=lambda m: m.__name__)
def test_a_message_is_recognized_by_its_type_and_ref(message: type[Any]) -> None:
    described, schema = MESSAGES[message.__name__], SCHEMAS[message.__name__]
    assert schema["properties"]["type"]["const"] == described["name"] == message_type(message)
    assert "type" in schema["required"]
    assert ("correlationId" in described) == ("ref" in schema["properties"])
    assert all("_" not in name for name in schema["properties"])


@pytest.mark.parametrize(
    ("value", "schema"),
    [
        ({"type": "join", "room": "Küche-2.b", "ref": 1}, "Join"),
        ({"type": "join", "room": ".."}, "Join"),
        ({"type": "join", "room": "a/b"}, "Join"),
        ({"type": "join", "room": "x" * 65}, "Join"),
        ({"type": "join", "room": "blue", "colour": "red"}, "Join"),
        ({"type": "join", "room": "blue", "name": "  "}, "Join"),
        ({"type": "join", "room": "blue", "name": None}, "Join"),
        ({"type": "join", "room": "blue", "ref": None}, "Join"),
        ({"type": "join", "room": "blue", "ref": -1}, "Join"),
        ({"type": "join", "room": "blue", "ref": ""}, "Join"),
        ({"type": "join"}, "Join"),
        ({"type": "chat", "text": "x" * 4000}, "Chat"),
        ({"type": "chat", "text": "x" * 4001}, "Chat"),
        ({"type": "publish", "source": "camera", "sdp": "v=0"}, "Publish"),
        ({"type": "publish", "source": "window", "sdp": "v=0"}, "Publish"),
        ({"type": "candidate", "stream": "p.camera", "candidate": "", "sdpMLineIndex": 0}, "Candidate"),
        ({"type": "candidate", "stream": "p.camera", "candidate": "", "sdpMLineIndex": 256}, "Candidate"),
        ({"type": "candidate", "stream": "p.camera", "candidate": "", "sdp_mid": "0"}, "Candidate"),
    ],
)
def test_the_schemas_and_the_decoder_agree(value: Json, schema: str) -> None:
    try:
        decode_client(json.dumps(value))
        decoded = True
    except Malformed:
        decoded = False
    assert is_valid(value, schema) == decoded


def test_a_message_is_legal_or_refused_as_the_tables_say() -> None:
    for message in CLIENT_MESSAGES:
        described = MESSAGES[message.__name__]
        legal = {(pair["session"], pair["room"]) for pair in described["x-roomfsm-legal"]}
        refused = {(p["session"], p["room"]): (p["machine"], p["state"]) for p in described["x-roomfsm-refused"]}
        pairs = [(pair["session"], pair["room"]) for pair in DOCUMENT["x-roomfsm"]["legality"]]
        assert legal | set(refused) == set(pairs)
        for session, room in pairs:
            by = legality.refusing(message_type(message), session, room)
            assert refused.get((session, room)) == by
            assert ((session, room) in legal) == (by is None)


def test_publish_says_what_it_changes_and_who_is_told() -> None:
    first, later = MESSAGES["Publish"]["x-roomfsm-changes"][:2]
    assert (first["machine"], first["from"], first["to"]) == ("room", "waiting", "broadcasting")
    assert (later["machine"], later["from"], later["to"]) == ("room", "broadcasting", "broadcasting")
    assert [guard["code"] for guard in first["guards"]] == [
        "not_permitted",
        "already_publishing",
        "too_many_presenters",
        "rate_limited",
    ]
    assert [effect["name"] for effect in first["effects"]] == ["open stream"]
    assert [tell["message"] for tell in first["effects"][0]["tells"]] == ["streamStarted"]
    assert [tell["message"] for tell in first["movesTell"]] == ["roomState"]
    assert later["movesTell"] == []


_ENTERING = {
    *("token_invalid", "token_expired", "password_wrong"),
    *("denied", "lobby_full", "ended"),
    *("room_full", "already_in_room", "banned", "locked"),
    *("server_full", "too_many_rooms", "server_closing", "room_closed", "store_unavailable"),
}


@pytest.mark.parametrize(
    ("message", "codes"),
    [
        ("Ping", set()),
        ("Join", _ENTERING),
        ("Switch", _ENTERING),
        ("Kick", {"not_permitted", "no_such_participant", "yourself", "room_closed"}),
        ("Lock", {"not_permitted", "room_closed", "store_unavailable"}),
        ("Resume", {"session_unknown", "room_closed"}),
        ("Candidate", {"no_such_stream", "not_viewing", "too_many_candidates", "room_closed"}),
        (
            "Restart",
            {
                *("no_such_stream", "not_viewing", "rate_limited", "restart_refused", "media_unavailable"),
                *("media_full", "media_failed", "ended", "room_closed"),
            },
        ),
    ],
)
def test_each_message_lists_the_errors_that_it_may_get(message: str, codes: set[str]) -> None:
    of_any = {"malformed", "unknown_message", "illegal_in_state", "rate_limited"}
    assert set(MESSAGES[message]["x-roomfsm-errors"]) == codes | of_any


def test_some_message_may_get_each_error_code_unless_it_is_only_for_http() -> None:
    codes = {code for message in CLIENT_MESSAGES for code in MESSAGES[message.__name__]["x-roomfsm-errors"]}
    assert codes | ONLY_BY_HTTP == set(ErrorCode)
    assert not codes & ONLY_BY_HTTP


def test_every_message_of_the_server_says_what_sends_it() -> None:
    for message in SERVER_MESSAGES:
        described = MESSAGES[message.__name__]
        asked = described["x-roomfsm-replies-to"] or described["x-roomfsm-unasked"]
        assert described["x-roomfsm-told-by"] or asked, message
    assert MESSAGES["RoomState"]["x-roomfsm-told-by"] == [
        {"machine": "room", "effect": None, "to": "all", "when": None}
    ]


def test_every_code_is_explained() -> None:
    assert SCHEMAS["ErrorCode"]["enum"] == list(ErrorCode)
    assert set(SCHEMAS["ErrorCode"]["x-roomfsm-explanations"]) == set(ErrorCode)
    assert [entry["code"] for entry in DOCUMENT["x-roomfsm"]["closeCodes"]] == list(CloseCode)
    assert all(entry["explanation"] for entry in DOCUMENT["x-roomfsm"]["closeCodes"])


def test_the_states_are_those_of_the_tables() -> None:
    for schema, machine in (("RoomStateName", "room"), ("StreamState", "stream"), ("ViewState", "view")):
        assert SCHEMAS[schema]["enum"] == list(dict.fromkeys(state.told for state in MACHINES[machine].states))


def test_a_new_row_changes_the_document(monkeypatch: pytest.MonkeyPatch) -> None:
    never = Guard[Any]("nobody may rename", lambda _: False, ErrorCode.ROOM_FULL)
    rows = [row for row in ROOM.rows if row.triggers not in (("chat",), ("rename",))]
    (chat,) = (row for row in ROOM.rows if row.triggers == ("chat",))
    rows += [replace(chat, sources=("broadcasting",)), Row(("rename",), ("waiting",), STAYS, (never,))]
    changed = replace(ROOM, rows=tuple(rows))
    for module in (describe, legality):
        monkeypatch.setattr(module, "ROOM", changed)
    legality.refusing.cache_clear()
    legality.allowed.cache_clear()
    try:
        messages = document({**MACHINES, "room": changed})["components"]["messages"]
    finally:
        legality.refusing.cache_clear()
        legality.allowed.cache_clear()
    assert messages["Chat"]["x-roomfsm-legal"] == [{"session": "joined", "room": "broadcasting"}]
    assert {"session": "joined", "room": "waiting", "machine": "room", "state": "waiting"} in messages["Chat"][
        "x-roomfsm-refused"
    ]
    assert "room_full" in messages["Rename"]["x-roomfsm-errors"]
    assert "room_full" not in MESSAGES["Rename"]["x-roomfsm-errors"]
    told_by = [(tell["machine"], tell["effect"]) for tell in messages["ParticipantChanged"]["x-roomfsm-told-by"]]
    assert ("room", "rename") not in told_by
    assert ("room", "mark away") in told_by
