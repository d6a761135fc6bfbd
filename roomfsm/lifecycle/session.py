"""The machine of a session: one browser's presence, which outlives a lost connection for a while."""

from __future__ import annotations

from dataclasses import dataclass

from roomfsm.lifecycle.table import STAYS, Guard, Row, State, Table
from roomfsm.protocol.errors import ErrorCode


@dataclass(frozen=True, slots=True)
class SessionFacts:
    """What the session's guards may look at."""

    token_known: bool = False


token_known = Guard[SessionFacts]("token known", lambda f: f.token_known, ErrorCode.SESSION_UNKNOWN)

SESSION: Table[SessionFacts] = Table(
    "session",
    "One browser's presence: its connection, and the seat that outlives it for a while.",
    states=(
        State("connected", "has a connection, is in no room", owns="connection"),
        State("joined", "has a connection, is in a room", owns="connection"),
        State("away", "is in a room, its connection is lost; it may be resumed", owns="resume window"),
        State("gone", "over", final=True),
    ),
    rows=(
        Row(("join",), ("connected",), "joined"),
        Row(("leave",), ("joined",), "connected"),
        Row(("switch",), ("joined",), STAYS),
        # The session that asks ends; the one whose token it knows takes over its connection by "reattach".
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
        "dismissed": "the room has ended and put everybody out",
        "expire": "the resume window is over",
        "bye": "the connection was closed with a goodbye, or was expelled for what no client may do",
    },
)
