"""What answers what: the reply that each client message gets, and the errors that no table names."""

from __future__ import annotations

from collections.abc import Mapping

from roomfsm.protocol import client, server
from roomfsm.protocol.client import ClientMessage
from roomfsm.protocol.errors import ErrorCode
from roomfsm.protocol.server import ServerMessage

REPLIES: Mapping[type[ClientMessage], type[ServerMessage] | None] = {
    client.Join: server.Joined,
    client.Leave: server.ParticipantLeft,
    client.Switch: server.Joined,
    client.Rename: server.ParticipantChanged,
    client.Chat: server.ChatSaid,
    client.Publish: server.Answer,
    client.Unpublish: server.StreamEnded,
    client.View: server.Answer,
    client.Unview: server.StreamChanged,
    # Refused ones are answered with an error, all others with nothing.
    client.Candidate: None,
    client.Ping: server.Pong,
    client.Resume: server.Joined,
}
"""The message that repeats the client message's `ref`, unless it is refused with an `error`."""

OF_ANY_MESSAGE = (
    ErrorCode.MALFORMED,
    ErrorCode.UNKNOWN_MESSAGE,
    ErrorCode.ILLEGAL_IN_STATE,
    ErrorCode.RATE_LIMITED,
)
"""Errors that any message may get."""

_ENTERING = (ErrorCode.SERVER_FULL, ErrorCode.TOO_MANY_ROOMS, ErrorCode.SERVER_CLOSING, ErrorCode.ROOM_CLOSED)

OUTSIDE_THE_TABLES: Mapping[type[ClientMessage], tuple[ErrorCode, ...]] = {
    client.Join: _ENTERING,
    client.Switch: _ENTERING,
    client.Resume: (ErrorCode.ROOM_CLOSED,),
    **dict.fromkeys(
        (
            client.Rename,
            client.Chat,
            client.Publish,
            client.Unpublish,
            client.View,
            client.Unview,
            client.Candidate,
        ),
        (ErrorCode.ROOM_CLOSED,),
    ),
}
"""Errors that no guard and no effect of the tables names: the directory's, and of a room that just ended."""

UNASKED: Mapping[type[ServerMessage], str] = {
    server.Welcome: "to every new connection, before anything else",
    server.CandidateFound: "for each candidate that the media server finds, to the one whose stream or view it is",
    server.Error: "to the one whose message is refused, or asked for what fails before it is answered",
    server.Closing: "to everybody connected when the server ends, and to a room's people when the room fails",
}
"""When the server sends a message that no row of a table tells."""
