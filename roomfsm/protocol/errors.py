"""The error codes and websocket close codes of roomfsm.v1."""

from __future__ import annotations

from enum import IntEnum, StrEnum

from roomfsm.protocol.roles import Role


class ErrorCode(StrEnum):
    """Why a message was refused or its effect failed. `explanation` is a sentence that says so."""

    explanation: str

    def __new__(cls, value: str, explanation: str) -> ErrorCode:
        member = str.__new__(cls, value)
        member._value_ = value
        member.explanation = explanation
        return member

    MALFORMED = (
        "malformed",
        "The message is not JSON, or a field is missing, unknown, of the wrong type or too long.",
    )
    UNKNOWN_MESSAGE = "unknown_message", "There is no message of this type."
    ILLEGAL_IN_STATE = "illegal_in_state", "The message is not legal in the present state."
    RATE_LIMITED = (
        "rate_limited",
        "There were too many messages, or too many people entering, in a short time.",
    )
    SERVER_FULL = "server_full", "The server has reached its limit of rooms or sessions."
    SERVER_CLOSING = "server_closing", "The server is shutting down. It, or another server, may be available soon."
    TOO_MANY_ROOMS = "too_many_rooms", "You, or the people of your address, have reached the limit of open rooms."
    ROOM_FULL = "room_full", "The room has reached its limit of people."
    ALREADY_IN_ROOM = "already_in_room", "You are already in this room."
    TOO_MANY_PRESENTERS = "too_many_presenters", "The room has reached its limit of presenters."
    ALREADY_PUBLISHING = "already_publishing", "You already publish a stream from this source."
    TOO_MANY_VIEWS = "too_many_views", "You have reached your limit of streams to view."
    ALREADY_VIEWING = "already_viewing", "You already view this stream."
    NOT_VIEWING = "not_viewing", "You do not view this stream."
    NO_SUCH_STREAM = "no_such_stream", "The room has no stream with this id."
    OWN_STREAM = "own_stream", "You cannot view your own stream."
    NOT_YOUR_STREAM = (
        "not_your_stream",
        "This is the stream of another person; a moderator ends it by `endStream`.",
    )
    TOO_MANY_CANDIDATES = (
        "too_many_candidates",
        "The client sent more candidates than the server keeps for one endpoint.",
    )
    RESTART_REFUSED = (
        "restart_refused",
        "The media server cannot restart this media connection, which goes on as it is; publish or view again.",
    )
    SDP_INVALID = "sdp_invalid", "The offer is not a usable session description."
    MEDIA_UNAVAILABLE = "media_unavailable", "No media server can be reached at the moment."
    MEDIA_FULL = "media_full", "The media servers cannot carry any more streams or views."
    MEDIA_FAILED = "media_failed", "The media server could not do this."
    ENDED = (
        "ended",
        "What you asked for (a stream, a view, a place in a room) ended before it was answered.",
    )
    SESSION_UNKNOWN = (
        "session_unknown",
        "There is no session to resume: it has ended, or its resume window is over.",
    )
    NOT_PERMITTED = "not_permitted", "Your role in the room does not allow this; `role` is the least that does."
    NO_SUCH_PARTICIPANT = "no_such_participant", "There is no person with this id in the room."
    MUTED = "muted", "A moderator has muted you, or your microphone is off."
    PARTICIPANT_AWAY = "participant_away", "The connection of the person with this id is lost at the moment."
    NO_SUCH_LINE = "no_such_line", "There is no line of chat with this number, or not any more."
    NO_FILES = "no_files", "The room takes no files."
    FILE_TOO_LARGE = "file_too_large", "The file is larger than the server takes (`limits.fileBytes`)."
    FILES_FULL = "files_full", "The files of this room, or of the server, take all the place that there is."
    FILES_BUSY = "files_busy", "Too many files are being brought and fetched at the moment."
    FILE_INCOMPLETE = "file_incomplete", "What came is not as long as the file that was announced."
    FILE_LATE = "file_late", "The file took too long to come."
    NO_SUCH_FILE = "no_such_file", "There is no file at this address, or not any more."
    YOURSELF = "yourself", "You cannot do this to yourself."
    NOT_BANNED = "not_banned", "Nobody with this id is banned from the room."
    BANNED = "banned", "A moderator has banned you from this room for a time."
    LOCKED = "locked", "A moderator has locked the room: nobody may enter it at the moment."
    DENIED = "denied", "A moderator did not let you in."
    LOBBY_FULL = "lobby_full", "Too many people wait in the room's lobby. Try again later."
    TOKEN_INVALID = (
        "token_invalid",
        "The room needs a token, and yours is missing, not valid, not for this room, or not that of somebody who "
        "is invited.",
    )
    TOKEN_EXPIRED = "token_expired", "The token has expired."
    PASSWORD_WRONG = "password_wrong", "The room's password is missing or wrong."
    STORE_UNAVAILABLE = (
        "store_unavailable",
        "The server cannot keep what this would promise at the moment. What is going on goes on; try again later.",
    )
    ROOM_CLOSED = "room_closed", "The room closed before the message was handled."


ONLY_BY_HTTP = frozenset(
    {ErrorCode.FILES_BUSY, ErrorCode.FILE_INCOMPLETE, ErrorCode.FILE_LATE, ErrorCode.NO_SUCH_FILE}
)
"""Codes that no message gets as an `error`, but only a request that brings or fetches a file."""


class CloseCode(IntEnum):
    """Why the server closed the websocket (RFC 6455 section 7.4; 4000 and above are ours)."""

    explanation: str

    def __new__(cls, value: int, explanation: str) -> CloseCode:
        member = int.__new__(cls, value)
        member._value_ = value
        member.explanation = explanation
        return member

    NORMAL = 1000, "The client closed with this code, and the server answers with the same."
    GOING_AWAY = (
        1001,
        "The server is shutting down, or the room goes on at another server; connect again, and resume the "
        "session.",
    )
    PROTOCOL_ERROR = 1002, "The client sent a frame that breaks RFC 6455; the session may be resumed."
    UNSUPPORTED_DATA = (
        1003,
        "The client sent a binary frame, but every message must be a text frame. The session is over.",
    )
    INVALID_PAYLOAD = 1007, "The client sent text that is not UTF-8; the session may be resumed."
    POLICY_VIOLATION = (
        1008,
        "The client sent more messages than the limits allow, and got an `error` first. The session is over.",
    )
    MESSAGE_TOO_BIG = (
        1009,
        "A message was longer than `limits.messageBytes`, came in too many parts, or took too long to arrive.",
    )
    INTERNAL_ERROR = 1011, "The server made a mistake; the session may be resumed."
    TRY_AGAIN_LATER = 1013, "The server has too many messages to handle at the moment; the session may be resumed."
    SLOW_CONSUMER = (
        4000,
        "The client read so slowly that too many messages were waiting for it; the session may be resumed.",
    )
    RESUMED_ELSEWHERE = 4001, "Another connection resumed this session with its token; do not resume it again."
    HEARTBEAT_TIMEOUT = 4002, "The client did not answer a ping in time; the session may be resumed."
    TOO_MANY_SESSIONS = 4003, "The client's address has reached its limit of sessions; try again later."


class Refusal(Exception):
    """A message was understood but refused. The answer is an `error` message with this code."""

    def __init__(self, code: ErrorCode, detail: str | None = None) -> None:
        super().__init__(detail or code.explanation)
        self.code = code


class NotPermitted(Refusal):
    """The role of the person does not allow this; `role` is the least one that does."""

    def __init__(self, role: Role) -> None:
        super().__init__(ErrorCode.NOT_PERMITTED, f"only a {role} may do this")
        self.role = role


class IllegalInState(Refusal):
    """The message `message` is not legal in the state `state` of `machine`.

    `allowed` are the messages that are legal.
    """

    def __init__(self, message: str, machine: str, state: str, allowed: tuple[str, ...]) -> None:
        super().__init__(ErrorCode.ILLEGAL_IN_STATE, f"'{message}' is not legal while the {machine} is {state}")
        self.message = message
        self.machine = machine
        self.state = state
        self.allowed = allowed


class Malformed(Refusal):
    """The text is not a message of roomfsm.v1; `path` is the field that is wrong ('$' is the whole message).

    `ref` and `message` (its type) are set if they could be read.
    """

    def __init__(
        self, detail: str, path: str = "$", ref: int | str | None = None, message: str | None = None
    ) -> None:
        super().__init__(ErrorCode.MALFORMED, detail)
        self.path = path
        self.ref = ref
        self.message = message


class UnknownMessage(Refusal):
    """roomfsm.v1 has no message of the type `message`."""

    def __init__(self, detail: str, ref: int | str | None = None, message: str | None = None) -> None:
        super().__init__(ErrorCode.UNKNOWN_MESSAGE, detail)
        self.ref = ref
        self.message = message
