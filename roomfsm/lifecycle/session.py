"""The machine of a session: one browser's presence, which outlives a lost connection for a while.

When a browser comes back, two sessions are involved. The session of the new connection is *connected*, receives
`resume` with the token of the old session, and is gone. The old session takes the connection over, and is
*resuming* until its room knows that it is back. In that time it gets no news: they would arrive before the
description of the room that already contains them. Nor does it read from the connection, so that the browser's
messages, and the loss of the connection, are handled when the session is *joined* or out of its room. Therefore
*resuming* has rows for the room's answer and for a still newer connection, and no others. Clients are told that
such a session is joined, and for them the same messages are legal as if it were.
"""

from __future__ import annotations

from dataclasses import dataclass

from roomfsm.lifecycle.seat import OF_SEATS
from roomfsm.lifecycle.table import STAYS, Guard, Row, State, Table
from roomfsm.protocol.errors import ErrorCode


@dataclass(frozen=True, slots=True)
class SessionFacts:
    """What the session's guards may look at."""

    token_known: bool = False
    waits: bool = False
    """Whether the room that was asked lets the person wait in its lobby."""


token_known = Guard[SessionFacts]("the token is known", lambda f: f.token_known, ErrorCode.SESSION_UNKNOWN)

need_not_wait = Guard[SessionFacts]("need not wait", lambda f: not f.waits)
has_to_wait = Guard[SessionFacts]("has to wait in the lobby", lambda f: f.waits)

NEWS = "news"
"""What a room sends to everybody. A session that does not own it gets only the replies to its own messages."""

_TO_THE_ROOM = (
    *("rename", "chat", "sendFile", "publish", "unpublish", "endStream"),
    *("view", "unview", "adjust", "candidate", "restart"),
    *OF_SEATS,
)
"""The messages that the session passes on: its room and its seat decide on them."""

SESSION: Table[SessionFacts] = Table(
    "session",
    "One browser's presence: its connection, and its seat, which stays for a while after the connection is lost.",
    states=(
        State("connected", "the browser is connected, and in no room", owns=("connection",)),
        State(
            "knocking",
            "the browser is connected, and waits in a room's lobby until a moderator decides",
            owns=("connection",),
        ),
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
        Row(("join",), ("connected",), "joined", (need_not_wait,)),
        Row(("join",), ("connected",), "knocking", (has_to_wait,)),
        Row(("admitted",), ("knocking",), "joined"),
        Row(("leave",), ("knocking", "joined"), "connected"),
        Row(("switch",), ("joined",), STAYS, (need_not_wait,)),
        # The person leaves the old room in order to wait.
        Row(("switch",), ("joined",), "knocking", (has_to_wait,)),
        # The new connection's session ends. The session whose token it sent takes the connection ("reattach").
        Row(("resume",), ("connected",), "gone", (token_known,)),
        # The room is at another node, whose session of the same person has taken the connection.
        Row(("moved",), ("connected", "joined"), "gone"),
        Row(("reattach",), ("away", "joined"), "resuming"),
        # The browser came back over another connection while it waited, or before a `switch` let it wait.
        # It knocks again.
        Row(("reattach",), ("knocking",), "connected"),
        # A newer connection came before the room had answered.
        Row(("reattach",), ("resuming",), STAYS),
        Row(("resumed",), ("resuming",), "joined"),
        Row(_TO_THE_ROOM, ("joined",), STAYS),
        Row(("ping",), ("connected", "knocking", "joined"), STAYS),
        Row(("lost",), ("joined",), "away"),
        # Somebody who waits has no seat that could be kept, and knocks again.
        Row(("lost",), ("connected", "knocking"), "gone"),
        Row(("dismissed",), ("knocking", "joined", "resuming"), "connected"),
        Row(("dismissed",), ("away",), "gone"),
        Row(("expire",), ("away",), "gone"),
        Row(("bye",), ("connected", "knocking", "joined"), "gone"),
    ),
    causes={
        "reattach": "another connection resumed this session with its token",
        "moved": "a session of this person at another node has taken the connection, and is in a room there",
        "resumed": "the room has noticed that the person is back, and has sent the room as it is now",
        "lost": "the connection ended without a goodbye (no close code 1000, 1001 or 1005)",
        "admitted": "a moderator has admitted the person",
        "dismissed": "the room has ended, has given the seat away, has put the person out, or has not admitted",
        "expire": "the resume window is over",
        "bye": "the client closed the connection with a goodbye, or the server closed it for a forbidden message",
    },
)
