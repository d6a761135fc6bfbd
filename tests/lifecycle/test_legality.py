"""Given the states of the session and the room, exactly these client messages are legal."""

from __future__ import annotations

import pytest

from roomfsm.lifecycle.legality import MESSAGE_TYPES, allowed, for_client, judge
from roomfsm.protocol.errors import ErrorCode, IllegalInState, Refusal

OF_SEATS = (
    *("raiseHand", "lowerHand", "media", "speaking", "react", "mute", "unmute", "kick", "ban", "unban", "setRole"),
    *("admit", "deny", "configure", "lock", "unlock", "clearChat", "deleteLine", "closeRoom"),
)
WAITING = ("leave", "switch", "rename", "chat", "sendFile", "publish", *OF_SEATS, "ping")
BROADCASTING = (
    *(
        "leave",
        "switch",
        "rename",
        "chat",
        "sendFile",
        "publish",
        "unpublish",
        "endStream",
        "view",
        "unview",
        "adjust",
        "candidate",
        "restart",
    ),
    *OF_SEATS,
    "ping",
)
LEGAL: dict[tuple[str, str | None], tuple[str, ...]] = {
    ("connected", None): ("join", "ping", "resume"),
    ("knocking", None): ("leave", "ping"),
    ("joined", "waiting"): WAITING,
    ("joined", "broadcasting"): BROADCASTING,
    ("joined", "closing"): ("leave", "ping"),
    ("away", "waiting"): (),
    ("gone", None): (),
}


@pytest.mark.parametrize(("states", "legal"), LEGAL.items())
def test_given_both_states_these_messages_are_legal(
    states: tuple[str, str | None], legal: tuple[str, ...]
) -> None:
    session, room = states
    assert allowed(session, room) == legal
    for message in MESSAGE_TYPES:
        if message in legal:
            judge(message, session, room)
            continue
        with pytest.raises(IllegalInState) as refused:
            judge(message, session, room)
        assert refused.value.allowed == legal


@pytest.mark.parametrize("room", ["waiting", "broadcasting", "closing"])
def test_a_state_that_is_told_as_joined_allows_what_joined_allows(room: str) -> None:
    assert allowed("resuming", room) == allowed("joined", room)
    with pytest.raises(IllegalInState) as refused:
        judge("join", "resuming", room)
    assert (refused.value.machine, refused.value.state) == ("session", "joined")


def test_a_refusal_names_the_machine_that_refuses() -> None:
    with pytest.raises(IllegalInState) as refused:
        judge("publish", "connected", None)
    assert (refused.value.machine, refused.value.state) == ("session", "connected")
    with pytest.raises(IllegalInState) as refused:
        judge("publish", "joined", "closing")
    assert (refused.value.machine, refused.value.state) == ("room", "closing")


@pytest.mark.parametrize(
    ("session", "legal"),
    [("joined", WAITING), ("resuming", WAITING), ("connected", ("join", "ping", "resume")), ("away", ())],
)
def test_a_refusal_tells_what_is_legal_where_the_session_is_by_then(session: str, legal: tuple[str, ...]) -> None:
    """The room's messages are told only to a session that is still in the room."""
    by_room = IllegalInState("candidate", "room", "waiting", ())
    told = for_client(by_room, "candidate", session, "waiting")
    assert isinstance(told, IllegalInState)
    assert (told.message, told.machine, told.state, told.allowed) == ("candidate", "room", "waiting", legal)
    other = Refusal(ErrorCode.ROOM_FULL)
    assert for_client(other, "join", session, None) is other
