"""The reply to each client message, and the errors that no table names."""

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
    client.SendFile: server.Upload,
    client.Publish: server.Answer,
    client.Unpublish: server.StreamEnded,
    client.EndStream: server.StreamEnded,
    client.View: server.Answer,
    client.Unview: server.StreamChanged,
    client.Adjust: server.StreamChanged,
    # A candidate gets an answer only if it is refused.
    client.Candidate: None,
    client.Restart: server.Answer,
    client.RaiseHand: server.ParticipantChanged,
    client.LowerHand: server.ParticipantChanged,
    client.Media: server.ParticipantChanged,
    # These get an answer only if they are refused.
    client.Speaking: None,
    client.React: None,
    client.Mute: server.ParticipantChanged,
    client.Unmute: server.ParticipantChanged,
    client.Kick: server.ParticipantLeft,
    client.Ban: server.ParticipantLeft,
    client.Unban: server.Bans,
    client.SetRole: server.ParticipantChanged,
    client.Admit: server.LobbyChanged,
    client.Deny: server.LobbyChanged,
    client.Configure: server.RoomChanged,
    client.Lock: server.RoomChanged,
    client.Unlock: server.RoomChanged,
    client.ClearChat: server.ChatCleared,
    client.DeleteLine: server.LineDeleted,
    client.CloseRoom: server.Closing,
    client.Ping: server.Pong,
    client.Resume: server.Joined,
}
"""The message that answers a client message and repeats its `ref`, unless the client message is refused with an
`error`."""

OF_ANY_MESSAGE = (
    ErrorCode.MALFORMED,
    ErrorCode.UNKNOWN_MESSAGE,
    ErrorCode.ILLEGAL_IN_STATE,
    ErrorCode.RATE_LIMITED,
)
"""Errors that any message may get."""

_ENTERING = (ErrorCode.TOKEN_EXPIRED, ErrorCode.SERVER_FULL, ErrorCode.TOO_MANY_ROOMS, ErrorCode.ROOM_CLOSED)

OUTSIDE_THE_TABLES: Mapping[type[ClientMessage], tuple[ErrorCode, ...]] = {
    client.Join: _ENTERING,
    client.Switch: _ENTERING,
    client.Resume: (ErrorCode.ROOM_CLOSED,),
    **dict.fromkeys(
        (
            client.Rename,
            client.Chat,
            client.SendFile,
            client.Publish,
            client.Unpublish,
            client.EndStream,
            client.View,
            client.Unview,
            client.Adjust,
            client.Candidate,
            client.Restart,
            client.RaiseHand,
            client.LowerHand,
            client.Media,
            client.Speaking,
            client.React,
            client.Mute,
            client.Unmute,
            client.Kick,
            client.Ban,
            client.Unban,
            client.SetRole,
            client.Admit,
            client.Deny,
            client.Configure,
            client.Lock,
            client.Unlock,
            client.ClearChat,
            client.DeleteLine,
            client.CloseRoom,
        ),
        (ErrorCode.ROOM_CLOSED,),
    ),
}
"""Errors that the tables do not name. They come from the directory, or from a room that has just ended."""

UNASKED: Mapping[type[ServerMessage], str] = {
    server.Welcome: "to every new connection, before anything else",
    server.CandidateFound: "for each candidate of the media server, to the person whose stream or view it is",
    server.Error: "to the sender of a message that is refused, or whose request fails before it is answered",
    server.Closing: "to everybody when the server shuts down or will soon, and to the people of a room that fails",
}
"""When the server sends a message that does not follow from a row of a table."""
