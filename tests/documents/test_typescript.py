"""Given the messages, each has a type for the page's compiler, and each request has the type of its reply."""

from __future__ import annotations

import re
from typing import Any

import pytest

from roomfsm.documents.typescript import typescript
from roomfsm.lifecycle.stream import STREAM
from roomfsm.protocol.client import CLIENT_MESSAGES, message_type
from roomfsm.protocol.errors import ErrorCode
from roomfsm.protocol.replies import REPLIES
from roomfsm.protocol.server import SERVER_MESSAGES

TEXT = typescript()
CALLED = {"Error": "ErrorMessage", "RoomState": "RoomStateChanged"}


def values_of(name: str) -> list[str]:
    """The members of a union."""
    found = re.search(rf"^export type {name} =([^;]*);", TEXT, re.MULTILINE)
    assert found is not None, name
    return [value.strip(" '") for value in found[1].replace("\n", " ").split("|") if value.strip()]


def fields_of(name: str) -> dict[str, str]:
    """The fields of a message, with `?` where they may be missing, and their types."""
    found = re.search(rf"^export type {name} = {{\n(.*?)^}};", TEXT, re.MULTILINE | re.DOTALL)
    assert found is not None, name
    return dict(re.findall(r"^  (\w+\??): (.*);$", found[1], re.MULTILINE))


@pytest.mark.parametrize("message", [*CLIENT_MESSAGES, *SERVER_MESSAGES], ids=lambda m: m.__name__)
def test_every_message_has_a_type(message: type[Any]) -> None:
    called = CALLED.get(message.__name__, message.__name__)
    assert fields_of(called)["type"] == f"'{message_type(message)}'"
    assert called in values_of("ClientMessage") + values_of("ServerMessage")


def test_fields_with_a_default_may_be_missing() -> None:
    assert fields_of("Join") == {
        "type": "'join'",
        "room": "string",
        "name?": "string",
        "token?": "string",
        "password?": "string",
        "ref?": "Ref",
    }
    assert fields_of("Joined")["participants"] == "ParticipantInfo[]"
    assert fields_of("StreamChanged")["view?"] == "ViewState"
    assert fields_of("Closing")["scope"] == "'room' | 'server'"


def test_unions_are_the_same_as_in_the_source() -> None:
    assert values_of("StreamState") == list(dict.fromkeys(state.told for state in STREAM.states))
    assert values_of("ErrorCode") == list(ErrorCode)
    assert values_of("Source") == ["camera", "screen"]


def test_replies_are_named() -> None:
    replies = TEXT[TEXT.index("export interface Replies") :]
    told = dict(re.findall(r"^  (\w+): (\w+);$", replies, re.MULTILINE))
    assert told == {message_type(asked): reply.__name__ for asked, reply in REPLIES.items() if reply is not None}
