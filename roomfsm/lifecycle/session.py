"""The machine of a session: one browser's presence, which outlives a lost connection for a while.

When a browser comes back, two sessions are involved. The session of the new connection is *connected*, receives
`resume` with the token of the old session, and is gone. The old session takes the connection over, and is
*resuming* until its room knows that it is back. In that time it gets no news: they would arrive before the
description of the room that already contains them. What the browser sends in that time waits, and is as legal as
when the session is *joined*. Clients are told that such a session is joined.
"""

from __future__ import annotations

from dataclasses import dataclass

from roomfsm.lifecycle.table import STAYS, Guard, Row, State, Table
from roomfsm.protocol.errors import ErrorCode


@dataclass(frozen=True, slots=True)
class SessionFacts:
    """What the session's guards may look at."""

    token_known: bool = False


token_known = Guard[SessionFacts]("the token is known", lambda f: f.token_known, ErrorCode.SESSION_UNKNOWN)

NEWS = "news"
"""What a room sends to everybody. A session that does not own it gets only the replies to its own messages."""

_in_room = ("joined", "resuming")

SESSION: Table[SessionFacts] = Table(
    "session",
    "One browser's presence: its connection, and its seat, which stays for a while after the connection is lost.",
    states=(
        State("connected", "the browser is connected, and in no room", owns=("connection",)),
        State("joined", "the browser is connected, and in a room", owns=("connection", NEWS)),
        State(
            "resuming",
            "the browser is connected again, and has not got the room as it is now",
            owns=("connection",),
            told_as="joined",
        ),
        State(
            "away",
            "the browser has a seat in a room, but its connection is lost; it may come back",
            owns=("resume window",),
        ),
        State("gone", "the session is over", final=True),
    ),
    rows=(
        Row(("join",), ("connected",), "joined"),
        Row(("leave",), _in_room, "connected"),
        Row(("switch",), ("joined",), STAYS),
        Row(("switch",), ("resuming",), "joined"),
        # The new connection's session ends. The session whose token it sent takes the connection ("reattach").
        Row(("resume",), ("connected",), "gone", (token_known,)),
        Row(("reattach",), ("away", "joined"), "resuming"),
        Row(("reattach",), ("resuming",), STAYS),
        Row(("resumed",), ("resuming",), "joined"),
        # The new connection was lost before the room knew of it.
        Row(("resumed",), ("away",), STAYS),
        Row(("rename",), _in_room, STAYS),
        Row(("chat",), _in_room, STAYS),
        Row(("publish",), _in_room, STAYS),
        Row(("unpublish",), _in_room, STAYS),
        Row(("view",), _in_room, STAYS),
        Row(("unview",), _in_room, STAYS),
        Row(("candidate",), _in_room, STAYS),
        Row(("ping",), ("connected", *_in_room), STAYS),
        Row(("lost",), _in_room, "away"),
        Row(("lost",), ("connected",), "gone"),
        Row(("dismissed",), _in_room, "connected"),
        Row(("dismissed",), ("away",), "gone"),
        Row(("expire",), ("away",), "gone"),
        Row(("bye",), ("connected", *_in_room), "gone"),
    ),
    causes={
        "reattach": "another connection resumed this session with its token",
        "resumed": "the room has noticed that the person is back, and has sent the room as it is now",
        "lost": "the connection ended without a goodbye (no close code 1000, 1001 or 1005)",
        "dismissed": "the room has ended, or has given the seat to somebody else",
        "expire": "the resume window is over",
        "bye": "the client closed the connection with a goodbye, or the server closed it for a forbidden message",
    },
)
