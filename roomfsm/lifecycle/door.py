"""The machine of a room's door: whether people may enter a room that others are in."""

from __future__ import annotations

from roomfsm.lifecycle.table import Row, State, Table

DOOR: Table[None] = Table(
    "door",
    "Whether people may enter a room.",
    states=(
        State("open", "the door keeps nobody out (a policy, a lobby or a ban may)"),
        State(
            "locked",
            "nobody may enter but moderators by a token; the people in the room may stay, and may resume",
            owns=("lock",),
        ),
    ),
    rows=(
        Row(("lock",), ("open", "locked"), "locked"),
        Row(("unlock",), ("open", "locked"), "open"),
        # Otherwise nobody could ever enter it again.
        Row(("deserted",), ("open", "locked"), "open"),
    ),
    causes={"deserted": "the last person has left the room"},
)
