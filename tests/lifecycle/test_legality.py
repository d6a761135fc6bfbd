"""Given the states of session and room, these client messages are legal and no others."""

from __future__ import annotations

import pytest

from roomfsm.lifecycle.legality import MESSAGE_TYPES, allowed, judge
from roomfsm.protocol.errors import IllegalInState

WAITING = ("leave", "switch", "rename", "chat", "publish", "ping")
BROADCASTING = (
    "leave",
    "switch",
    "rename",
    "chat",
    "publish",
    "unpublish",
    "view",
    "unview",
    "candidate",
    "ping",
)
LEGAL: dict[tuple[str, str | None], tuple[str, ...]] = {
    ("connected", None): ("join", "ping", "resume"),
    ("joined", "waiting"): WAITING,
    ("joined", "broadcasting"): BROADCASTING,
    ("joined", "closing"): ("leave", "ping"),
    ("away", "waiting"): (),
    ("gone", None): (),
}


@pytest.mark.parametrize(("states", "legal"), LEGAL.items())
def test_what_is_legal(states: tuple[str, str | None], legal: tuple[str, ...]) -> None:
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
def test_what_is_told_as_joined_is_legal_as_joined(room: str) -> None:
    assert allowed("resuming", room) == allowed("joined", room)
    with pytest.raises(IllegalInState) as refused:
        judge("join", "resuming", room)
    assert (refused.value.machine, refused.value.state) == ("session", "joined")


def test_the_machine_that_refuses_is_named() -> None:
    with pytest.raises(IllegalInState) as refused:
        judge("publish", "connected", None)
    assert (refused.value.machine, refused.value.state) == ("session", "connected")
    with pytest.raises(IllegalInState) as refused:
        judge("publish", "joined", "closing")
    assert (refused.value.machine, refused.value.state) == ("room", "closing")
