"""The machine of a file that somebody sends to a room, from the announcement until its bytes are removed.

A file comes in two steps, because bytes do not belong on a websocket on which others wait. The person announces it
(`sendFile`), and the room keeps a place for it. Then the bytes come by HTTP, to an address that only this person
knows. When all of them are there, the room tells the people a line of chat with the file, unless something speaks
against it by then. The file lives as long as that line: whoever makes the room forget the line removes the file.
The settings can name a time after which it goes in any case.

So the disk never holds a byte that no place was kept for, and nobody is told of a file that cannot be fetched.
"""

from __future__ import annotations

import msgspec

from roomfsm.lifecycle.table import STAYS, Guard, Row, State, Table
from roomfsm.protocol.errors import ErrorCode

PLACE = "place"
"""The bytes that are kept for the file, in its room and on the server."""
WAIT = "wait"
"""The time in which the upload must begin."""
UPLOAD = "upload"
"""The request that brings the bytes."""


class FileFacts(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the file's guards may look at.

    `as_announced` says that the request brings as many bytes as were announced, as far as it says how many.
    """

    as_announced: bool = True


as_announced = Guard[FileFacts](
    "it is as long as was announced", lambda f: f.as_announced, ErrorCode.FILE_INCOMPLETE
)

FILE: Table[FileFacts] = Table(
    "file",
    "A file that a person sends to the chat.",
    states=(
        State("offered", "the file is announced, and its bytes must begin to come in time", owns=(PLACE, WAIT)),
        State("arriving", "the bytes are coming, and must be whole in time", owns=(PLACE, UPLOAD)),
        State("here", "everybody who was told the file's line of chat can fetch it", owns=(PLACE,)),
        State("gone", "the bytes are removed", final=True),
    ),
    rows=(
        Row(("put",), ("offered",), "arriving", (as_announced,)),
        Row(("arrived",), ("arriving",), "here"),
        Row(("fetched",), ("here",), STAYS),
        Row(("unused",), ("offered",), "gone"),
        Row(("late", "broken_off"), ("arriving",), "gone"),
        Row(("dropped",), ("offered", "arriving", "here"), "gone"),
        Row(("expired",), ("here",), "gone"),
        # If it has not arrived yet, its sender is told why the room does not take it when it does.
        Row(("recipient_left",), ("here",), "gone"),
    ),
    causes={
        "put": "the person's client begins to send the bytes (HTTP PUT)",
        "arrived": "the room has told the people a line of chat with the file",
        "fetched": "somebody fetches the file (HTTP GET)",
        "unused": "the bytes did not begin to come in time",
        "late": "the bytes did not come in time",
        "broken_off": "the bytes ended early, were too many or could not be kept, or the room refuses the file",
        "dropped": "its line of chat is forgotten, its sender has left, or the room ends",
        "expired": "it has been here for the longest time that a file may be (`--file-lifetime`)",
        "recipient_left": "it is private, and the one person who was told of it has left",
    },
)
