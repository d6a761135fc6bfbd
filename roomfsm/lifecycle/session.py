"""The machine of a session: one browser's presence, which outlives a lost connection for a while."""

from __future__ import annotations

from dataclasses import dataclass

from roomfsm.lifecycle.table import STAYS, Guard, Row, State, Table
from roomfsm.protocol.errors import ErrorCode


@dataclass(frozen=True, slots=True)
class SessionFacts:
    """What the session's guards may look at."""

    token_known: bool = False


token_known = Guard[SessionFacts]("the token is known", lambda f: f.token_known, ErrorCode.SESSION_UNKNOWN)

SESSION: Table[SessionFacts] = Table(
    "session",
    "One browser's presence: its connection, and its seat, which stays for a while after the connection is lost.",
    states=(
        State("connected", "the browser is connected, and in no room", owns=("connection",)),
        State("joined", "the browser is connected, and in a room", owns=("connection",)),
        State(
            "away",
            "the browser has a seat in a room, but its connection is lost; it may come back",
            owns=("resume window",),
        ),
        State("gone", "the session is over", final=True),
    ),
    rows=(
        Row(("join",), ("connected",), "joined"),
        Row(("leave",), ("joined",), "connected"),
        Row(("switch",), ("joined",), STAYS),
        # The new connection's session ends. The session whose token it sent takes the connection ("reattach").
        Row(("resume",), ("connected",), "gone", (token_known,)),
        Row(("reattach",), ("away",), "joined"),
        Row(("reattach",), ("joined",), STAYS),
        Row(("rename",), ("joined",), STAYS),
        Row(("chat",), ("joined",), STAYS),
        Row(("publish",), ("joined",), STAYS),
        Row(("unpublish",), ("joined",), STAYS),
        Row(("view",), ("joined",), STAYS),
        Row(("unview",), ("joined",), STAYS),
        Row(("candidate",), ("joined",), STAYS),
        Row(("ping",), ("connected", "joined"), STAYS),
        Row(("lost",), ("joined",), "away"),
        Row(("lost",), ("connected",), "gone"),
        Row(("dismissed",), ("joined",), "connected"),
        Row(("dismissed",), ("away",), "gone"),
        Row(("expire",), ("away",), "gone"),
        Row(("bye",), ("connected", "joined"), "gone"),
    ),
    causes={
        "reattach": "another connection resumed this session with its token",
        "lost": "the connection ended without a goodbye (no close code 1000, 1001 or 1005)",
        "dismissed": "the room has ended, and everybody had to leave it",
        "expire": "the resume window is over",
        "bye": "the client closed the connection with a goodbye, or the server closed it for a forbidden message",
    },
)
