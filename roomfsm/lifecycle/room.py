"""The room's machine: who may come, who may present, when its media pipeline lives, and how it ends.

A room's state says how many people and streams it has, as far as that decides anything. The rows keep these
invariants, whatever happens in whatever order:

- the room is *empty* exactly while it is open and nobody is in it;
- it is *waiting* exactly while it is open, somebody is in it, and no stream is published;
- it is *broadcasting* exactly while it is open and at least one stream is published: so the media pipeline, which
  that state owns, lives exactly as long as something is sent over it;
- nobody publishes who is not in the room: when the last person leaves, the last stream has ended;
- there are never more people, presenters, or views of one person than the bounds in the facts allow;
- in a room that is *closing* or *closed* no stream is published, and none begins; and nobody waits in its lobby;
- a room that is *closed* is never anything else again, and it holds no media pipeline unless its deadline is over,
  or unless it goes on at another server, or in the next run of this one.

Three rules make that so. The facts count what there would be *after* the trigger, so a row can choose its
destination before anything has changed. Each trigger that can end a stream has a row for "streams remain" and a
row for "no stream remains", and each that can take somebody away has a row for "nobody remains"; their guards
exclude each other, so the order of the rows does not matter. And whoever carries out a row's effects does all that
the facts have counted. `tests/lifecycle/test_room_invariants.py` has a property test for each invariant.
"""

from __future__ import annotations

import msgspec

from roomfsm.lifecycle.seat import OF_SEATS
from roomfsm.lifecycle.table import STAYS, Audience, Effect, Guard, Row, State, Table, Tell
from roomfsm.protocol.errors import ErrorCode
from roomfsm.protocol.roles import Role


class RoomFacts(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the room's guards may look at: the counts as they would be *after* the trigger, and the asker.

    - `within_rates` says that neither the asker nor the room as a whole has sent too much to everybody lately,
      and that not too many people have entered lately, from the newcomer's address or altogether.
    - `restart_fits` says that few enough restarts of this stream or view wait for their answers, and `restart_due`
      that it has not been restarted too often lately.
    - `presenter` and `moderator` say that the asker's role includes that role.
    - `banned` says that a moderator has banned the person who wants to enter, and `locked` that a moderator has
      locked the room.
    - `has_token` and `knows_password` say that the newcomer has and knows what the room's policy asks for.
    - `addressee_there` and `addressee_away` are about the person to whom a private line of chat is said, and
      `to_oneself` says that this is the speaker. `line_exists` says that the line that is answered exists.
    - `takes_files` says that people may send files to the room, `file_fits` that the file is not too large, and
      `files_have_place` that there is a place for it. `file_is_whole` says that as many bytes have come as were
      announced.
    - `reserved` says that an administrator has opened the room, so that its place is not given away.
    - `must_knock` says that the room has a lobby in which the newcomer has to wait, and `in_lobby` is the number
      of people who wait there; `lobby_full` says that there may not be more.
    - `knocks` says that the person who leaves only waits in the lobby.
    - `held` is the number of media pipelines whose release a closing room still waits for.
    - `notice` says that the people of a closing room may stay in it for a while.
    - `keeps` says that what the room promises now outlives the server: its store works, or it has none. For a
      private line of chat, which is never kept, it is always so.
    """

    people: int = 0
    streams: int = 0
    presenters: int = 0
    views: int = 0
    max_people: int = 1
    max_presenters: int = 1
    max_views: int = 1
    member: bool = False
    stream_exists: bool = False
    own_stream: bool = False
    viewing: bool = False
    publishing: bool = False
    within_rates: bool = True
    restart_fits: bool = True
    restart_due: bool = True
    presenter: bool = True
    moderator: bool = False
    banned: bool = False
    locked: bool = False
    has_token: bool = True
    knows_password: bool = True
    addressee_there: bool = True
    addressee_away: bool = False
    to_oneself: bool = False
    line_exists: bool = True
    takes_files: bool = True
    file_fits: bool = True
    files_have_place: bool = True
    file_is_whole: bool = True
    reserved: bool = False
    must_knock: bool = False
    knocks: bool = False
    in_lobby: int = 0
    lobby_full: bool = False
    held: int = 0
    notice: bool = False
    keeps: bool = True


_ENDPOINT_FAILURES = (
    ErrorCode.SDP_INVALID,
    ErrorCode.MEDIA_UNAVAILABLE,
    ErrorCode.MEDIA_FULL,
    ErrorCode.MEDIA_FAILED,
    ErrorCode.ENDED,
)


class RoomEffect(Effect):
    """What a room's transition asks the room task to do."""

    MAKE_WAY = (
        "make way",
        "if the room is full, one person whose connection is lost loses the seat: among the people of the address "
        "that has the most of them, the one who has been away longest",
        (
            Tell("streamChanged", Audience.OTHERS, "if the person who lost the seat viewed it"),
            Tell("streamEnded", Audience.OTHERS, "if the person who lost the seat published it"),
            Tell("participantLeft", Audience.OTHERS, "if the room was full and somebody was away"),
            Tell(
                "participantChanged",
                Audience.OTHERS,
                "if another person's name looked like that of the person who lost the seat, or if that was "
                "the last moderator",
            ),
        ),
    )
    ADMIT = (
        "admit",
        "the newcomer gets a seat, and a description of the room as it is now",
        (
            Tell("participantJoined", Audience.OTHERS),
            Tell("joined", Audience.ASKER),
            Tell("bans", Audience.ASKER, "if the newcomer is a moderator, and somebody is banned"),
            Tell("lobby", Audience.ASKER, "if the newcomer is a moderator, and somebody waits in the lobby"),
        ),
    )
    KNOCK = (
        "knock",
        "the newcomer waits in the lobby until a moderator admits or denies; then follows `joined` or `error`",
        (Tell("knocking", Audience.ASKER), Tell("lobby", Audience.MODERATORS)),
        (ErrorCode.DENIED, ErrorCode.ENDED),
    )
    GIVE_UP = (
        "give up",
        "the person waits no longer",
        (
            Tell("participantLeft", Audience.ASKER, "if it was done by `leave`"),
            Tell("lobby", Audience.MODERATORS),
        ),
    )
    TURN_AWAY = "turn away", "those who wait in the lobby are refused, because the room closes"
    DISMISS = (
        "dismiss",
        "the streams and views of the person who leaves end, and the seat becomes free",
        (
            Tell("streamChanged", Audience.OTHERS, "if the person who leaves viewed it"),
            Tell("streamEnded", Audience.OTHERS, "if the person who leaves published it"),
            Tell("participantLeft", Audience.OTHERS),
            Tell("participantLeft", Audience.ASKER, "if it was done by `leave`"),
            Tell(
                "participantChanged",
                Audience.OTHERS,
                "if another person's name looked like that of the person who leaves, or if that was "
                "the last moderator",
            ),
        ),
    )
    MARK_AWAY = (
        "mark away",
        "the person whose connection is lost keeps the seat",
        (
            Tell("participantChanged", Audience.OTHERS),
            Tell("speaking", Audience.OTHERS, "if the person spoke"),
        ),
    )
    WELCOME_BACK = (
        "welcome back",
        "the person who is back gets a description of the room as it is now",
        (
            Tell("joined", Audience.ASKER),
            Tell("streamChanged", Audience.ASKER, "for each view of that person that is limited"),
            Tell("layers", Audience.ASKER, "for each stream of that person, if it is sent in layers"),
            Tell("bans", Audience.ASKER, "if that person is a moderator, and somebody is banned"),
            Tell("lobby", Audience.ASKER, "if that person is a moderator, and somebody waits in the lobby"),
            Tell("participantChanged", Audience.ALL),
        ),
    )
    RENAME = (
        "rename",
        "the person gets another display name",
        (
            Tell("participantChanged", Audience.ALL),
            Tell("participantChanged", Audience.ALL, "if another person's name looked like the old name"),
        ),
    )
    SAY = (
        "say",
        "a line of chat goes to everybody, and is kept for people who join later; a private line goes to one "
        "person, and is not kept",
        (
            Tell("chat", Audience.ALL, "if the line is for everybody"),
            Tell("chat", Audience.ASKER, "if the line is private"),
            Tell("chat", Audience.OWNER, "if the line is private"),
        ),
    )
    EXPECT_FILE = (
        "expect file",
        "a place is kept for the file, and its sender is told where the bytes go (HTTP `PUT`); if they do not "
        "come in time, or the sender leaves, the place is given back",
        (Tell("upload", Audience.ASKER),),
    )
    SAY_FILE = (
        "say file",
        "a line of chat with the file goes to everybody, and the file is kept as long as the line can be answered "
        "or deleted; a private one goes to one person, and is kept while both people are in the room",
        (
            Tell("chat", Audience.ALL, "if the file is for everybody"),
            Tell("chat", Audience.ASKER, "if the file is private"),
            Tell("chat", Audience.OWNER, "if the file is private"),
        ),
    )
    OPEN_STREAM = (
        "open stream",
        "a media endpoint is created for the offer; the answer follows from the media server",
        (Tell("streamStarted", Audience.ALL),),
        _ENDPOINT_FAILURES,
    )
    END_STREAM = (
        "end stream",
        "the stream and all views of it end, and their endpoints are released",
        (Tell("streamEnded", Audience.ALL),),
    )
    OPEN_VIEW = (
        "open view",
        "a media endpoint is created and connected to the stream's; the answer follows from the media server",
        (Tell("streamChanged", Audience.ALL),),
        _ENDPOINT_FAILURES,
    )
    END_VIEW = (
        "end view",
        "the view ends, and its endpoint is released",
        (Tell("streamChanged", Audience.ALL), Tell("streamChanged", Audience.OWNER)),
    )
    ADJUST_VIEW = (
        "adjust view",
        "the media server begins or ceases to send the picture to the viewer",
        (Tell("streamChanged", Audience.OWNER),),
    )
    PASS_CANDIDATE = (
        "pass candidate",
        "the candidate goes to the endpoint of the stream or view as soon as that takes candidates; one of an "
        "earlier offer is dropped",
        (),
        (ErrorCode.TOO_MANY_CANDIDATES,),
    )
    RESTART_CONNECTION = (
        "restart connection",
        "the new offer goes to the endpoint of the stream or view; the answer follows from the media server",
        (),
        (
            ErrorCode.RESTART_REFUSED,
            ErrorCode.MEDIA_UNAVAILABLE,
            ErrorCode.MEDIA_FULL,
            ErrorCode.MEDIA_FAILED,
            ErrorCode.ENDED,
        ),
    )
    LOSE_MEDIA = (
        "lose media",
        "every stream ends, and the presenters should publish again",
        (Tell("streamEnded", Audience.ALL, "for each stream"),),
    )
    TELL_CLOSING = (
        "tell closing",
        "everybody is told that the room closes, and why",
        (Tell("closing", Audience.ALL),),
    )
    END_STREAMS = (
        "end streams",
        "every stream and every view ends",
        (Tell("streamEnded", Audience.ALL, "for each stream"),),
    )
    SEND_ON = (
        "send on",
        "everybody's connection is closed without a word, so that the pages come back and find the room there; "
        "streams and views that have been answered go on, if the other server can use their media server",
    )
    LEAVE_MEDIA = (
        "leave media",
        "the streams and views that have been answered go on at the media server, for whoever opens the room "
        "again; the others are released, and nobody is told",
    )


room_has_place = Guard[RoomFacts](
    "the room has a free place, or somebody who is away can make way",
    lambda f: f.people <= f.max_people,
    ErrorCode.ROOM_FULL,
)
not_in_yet = Guard[RoomFacts]("is not in the room yet", lambda f: not f.member, ErrorCode.ALREADY_IN_ROOM)
not_banned = Guard[RoomFacts]("is not banned", lambda f: not f.banned, ErrorCode.BANNED)
not_locked = Guard[RoomFacts]("the room is not locked", lambda f: not f.locked, ErrorCode.LOCKED)
need_not_knock = Guard[RoomFacts]("need not knock", lambda f: not f.must_knock)
must_knock = Guard[RoomFacts]("must knock", lambda f: f.must_knock)
lobby_has_place = Guard[RoomFacts]("the lobby has a free place", lambda f: not f.lobby_full, ErrorCode.LOBBY_FULL)
is_inside = Guard[RoomFacts]("is in the room", lambda f: not f.knocks)
only_knocks = Guard[RoomFacts]("only waits in the lobby", lambda f: f.knocks)
nobody_waits = Guard[RoomFacts]("nobody waits in the lobby", lambda f: f.in_lobby == 0)
somebody_waits = Guard[RoomFacts]("somebody waits in the lobby", lambda f: f.in_lobby > 0)
is_presenter = Guard[RoomFacts](
    "has the role of a presenter", lambda f: f.presenter, ErrorCode.NOT_PERMITTED, role=Role.PRESENTER
)
has_token = Guard[RoomFacts](
    "has a token for the room, or needs none", lambda f: f.has_token, ErrorCode.TOKEN_INVALID
)
knows_password = Guard[RoomFacts](
    "knows the room's password, or needs none", lambda f: f.knows_password, ErrorCode.PASSWORD_WRONG
)
may_present = Guard[RoomFacts](
    "the room may have one more presenter",
    lambda f: f.presenters <= f.max_presenters,
    ErrorCode.TOO_MANY_PRESENTERS,
)
not_publishing = Guard[RoomFacts](
    "does not publish this source yet", lambda f: not f.publishing, ErrorCode.ALREADY_PUBLISHING
)
stream_exists = Guard[RoomFacts]("the stream exists", lambda f: f.stream_exists, ErrorCode.NO_SUCH_STREAM)
own_stream = Guard[RoomFacts]("it is the own stream", lambda f: f.own_stream, ErrorCode.NOT_YOUR_STREAM)
is_moderator = Guard[RoomFacts](
    "is a moderator", lambda f: f.moderator, ErrorCode.NOT_PERMITTED, role=Role.MODERATOR
)
others_stream = Guard[RoomFacts]("it is another person's stream", lambda f: not f.own_stream, ErrorCode.OWN_STREAM)
not_viewing = Guard[RoomFacts]("does not view it yet", lambda f: not f.viewing, ErrorCode.ALREADY_VIEWING)
viewing = Guard[RoomFacts]("views it", lambda f: f.viewing, ErrorCode.NOT_VIEWING)
has_endpoint = Guard[RoomFacts](
    "publishes or views it", lambda f: f.own_stream or f.viewing, ErrorCode.NOT_VIEWING
)
may_view = Guard[RoomFacts]("may view one more stream", lambda f: f.views <= f.max_views, ErrorCode.TOO_MANY_VIEWS)
within_rates = Guard[RoomFacts](
    "neither this person nor the room is above its rates", lambda f: f.within_rates, ErrorCode.RATE_LIMITED
)
restart_fits = Guard[RoomFacts](
    "few enough restarts of it wait for their answers", lambda f: f.restart_fits, ErrorCode.RATE_LIMITED
)
restart_due = Guard[RoomFacts](
    "it has not been restarted too often lately", lambda f: f.restart_due, ErrorCode.RATE_LIMITED
)
addressee_there = Guard[RoomFacts](
    "the person to whom it is said in private is in the room",
    lambda f: f.addressee_there,
    ErrorCode.NO_SUCH_PARTICIPANT,
)
addressee_hears = Guard[RoomFacts](
    "that person's connection is not lost", lambda f: not f.addressee_away, ErrorCode.PARTICIPANT_AWAY
)
to_somebody_else = Guard[RoomFacts]("that is somebody else", lambda f: not f.to_oneself, ErrorCode.YOURSELF)
line_exists = Guard[RoomFacts]("the line that it answers exists", lambda f: f.line_exists, ErrorCode.NO_SUCH_LINE)
takes_files = Guard[RoomFacts]("people may send files", lambda f: f.takes_files, ErrorCode.NO_FILES)
file_fits = Guard[RoomFacts]("the file is not too large", lambda f: f.file_fits, ErrorCode.FILE_TOO_LARGE)
files_have_place = Guard[RoomFacts](
    "there is a place for the file", lambda f: f.files_have_place, ErrorCode.FILES_FULL
)
file_is_whole = Guard[RoomFacts](
    "it is as long as was announced", lambda f: f.file_is_whole, ErrorCode.FILE_INCOMPLETE
)
people_remain = Guard[RoomFacts]("people remain", lambda f: f.people > 0)
nobody_remains = Guard[RoomFacts]("nobody remains", lambda f: f.people == 0)
streams_remain = Guard[RoomFacts]("streams remain", lambda f: f.streams > 0)
no_stream_remains = Guard[RoomFacts]("no stream remains", lambda f: f.streams == 0)
nothing_held = Guard[RoomFacts]("everything is released, or late", lambda f: f.held == 0)
not_reserved = Guard[RoomFacts](
    "no administrator has opened the room", lambda f: not f.reserved, ErrorCode.SERVER_FULL
)
promise_is_kept = Guard[RoomFacts]("what it promises can be kept", lambda f: f.keeps, ErrorCode.STORE_UNAVAILABLE)
nobody_to_see_off = Guard[RoomFacts]("nobody is to be seen off", lambda f: f.people == 0 or not f.notice)

SEAT_ASKED = "seat_asked"
ADMINISTERED = "administered"


def room_trigger(message: str) -> str:
    """The room's trigger for a client's message. All that the sender's seat decides on have the same one."""
    return SEAT_ASKED if message in OF_SEATS else message


Do = RoomEffect
_OPEN = ("empty", "waiting", "broadcasting")
_admission = (not_in_yet, not_banned, has_token, knows_password, not_locked, room_has_place)
_join = (*_admission, within_rates, promise_is_kept)
_chat = (within_rates, addressee_there, to_somebody_else, addressee_hears, line_exists, promise_is_kept)
_send_file = (takes_files, file_fits, *_chat, files_have_place)
_file_arrived = (file_is_whole, takes_files, addressee_there, addressee_hears, promise_is_kept)
_enter = (*_join, need_not_knock)
_restart = (stream_exists, has_endpoint, restart_fits, restart_due)
_publish = (is_presenter, not_publishing, may_present, within_rates)

ROOM: Table[RoomFacts] = Table(
    "room",
    "One room, from the first person who joins until its last endpoint is released.",
    states=(
        State(
            "empty",
            "nobody is in the room; when that has lasted for the linger time, the room closes",
            owns=("linger",),
        ),
        State("waiting", "people are in the room, and nobody presents"),
        State("broadcasting", "at least one stream is published", owns=("broadcast",)),
        State(
            "closing",
            "everybody was told that the room closes; everything is released within a deadline",
            owns=("drain",),
        ),
        # Nobody is in the room any more who could be told of this state.
        State("closed", "the room is over, and everybody is out", final=True, told_as="closing"),
    ),
    rows=(
        Row(("join",), ("empty",), "waiting", _enter, (Do.ADMIT,)),
        Row(("join",), ("waiting",), STAYS, _enter, (Do.MAKE_WAY, Do.ADMIT)),
        Row(("join",), ("broadcasting",), STAYS, (*_enter, streams_remain), (Do.MAKE_WAY, Do.ADMIT)),
        # The only presenter was away and lost the seat.
        Row(("join",), ("broadcasting",), "waiting", (*_enter, no_stream_remains), (Do.MAKE_WAY, Do.ADMIT)),
        # Nobody may be inside who could admit, because the moderators come later.
        Row(("join",), _OPEN, STAYS, (*_join, must_knock, lobby_has_place), (Do.KNOCK,)),
        Row(("leave",), ("waiting",), STAYS, (is_inside, people_remain), (Do.DISMISS,)),
        Row(("leave",), ("waiting", "broadcasting"), "empty", (is_inside, nobody_remains), (Do.DISMISS,)),
        Row(("leave",), ("broadcasting",), STAYS, (is_inside, people_remain, streams_remain), (Do.DISMISS,)),
        Row(
            ("leave",),
            ("broadcasting",),
            "waiting",
            (is_inside, people_remain, no_stream_remains),
            (Do.DISMISS,),
        ),
        Row(("leave",), ("closing",), STAYS, (), (Do.DISMISS,)),
        Row(("leave",), ("empty",), STAYS, (), (Do.GIVE_UP,)),
        Row(("leave",), ("waiting", "broadcasting"), STAYS, (only_knocks,), (Do.GIVE_UP,)),
        # The other room decides: once it admits the person, this room handles a leave.
        Row(("switch",), ("waiting", "broadcasting"), STAYS),
        Row((SEAT_ASKED,), ("waiting", "broadcasting"), STAYS),
        Row((ADMINISTERED,), ("empty", "waiting", "broadcasting"), STAYS),
        Row(("away",), ("waiting", "broadcasting", "closing"), STAYS, (), (Do.MARK_AWAY,)),
        Row(("back",), ("waiting", "broadcasting", "closing"), STAYS, (), (Do.WELCOME_BACK,)),
        Row(("rename",), ("waiting", "broadcasting"), STAYS, (within_rates,), (Do.RENAME,)),
        Row(("chat",), ("waiting", "broadcasting"), STAYS, _chat, (Do.SAY,)),
        Row(("sendFile",), ("waiting", "broadcasting"), STAYS, _send_file, (Do.EXPECT_FILE,)),
        # A file takes a while to come, and what holds by then decides. The sender is told by HTTP. A sender who
        # has left has no file any more. The line that it answers may be gone, as with other answers.
        Row(("file_arrived",), ("waiting", "broadcasting"), STAYS, _file_arrived, (Do.SAY_FILE,)),
        Row(("publish",), ("waiting",), "broadcasting", _publish, (Do.OPEN_STREAM,)),
        Row(("publish",), ("broadcasting",), STAYS, _publish, (Do.OPEN_STREAM,)),
        Row(
            ("unpublish",),
            ("broadcasting",),
            STAYS,
            (stream_exists, own_stream, streams_remain),
            (Do.END_STREAM,),
        ),
        Row(
            ("unpublish",),
            ("broadcasting",),
            "waiting",
            (stream_exists, own_stream, no_stream_remains),
            (Do.END_STREAM,),
        ),
        Row(
            ("endStream",),
            ("broadcasting",),
            STAYS,
            (is_moderator, stream_exists, streams_remain),
            (Do.END_STREAM,),
        ),
        Row(
            ("endStream",),
            ("broadcasting",),
            "waiting",
            (is_moderator, stream_exists, no_stream_remains),
            (Do.END_STREAM,),
        ),
        Row(
            ("view",),
            ("broadcasting",),
            STAYS,
            (stream_exists, others_stream, not_viewing, may_view, within_rates),
            (Do.OPEN_VIEW,),
        ),
        Row(("unview",), ("broadcasting",), STAYS, (stream_exists, viewing), (Do.END_VIEW,)),
        # It is told to the viewer alone, and the connection bounds how often a viewer asks.
        Row(("adjust",), ("broadcasting",), STAYS, (stream_exists, viewing), (Do.ADJUST_VIEW,)),
        Row(("candidate",), ("broadcasting",), STAYS, (stream_exists, has_endpoint), (Do.PASS_CANDIDATE,)),
        # Only the sender gets an answer, but a media server has to read a whole offer, so there is a rate for it.
        Row(("restart",), ("broadcasting",), STAYS, _restart, (Do.RESTART_CONNECTION,)),
        Row(("stream_failed", "revoked"), ("broadcasting",), STAYS, (streams_remain,), (Do.END_STREAM,)),
        Row(("stream_failed", "revoked"), ("broadcasting",), "waiting", (no_stream_remains,), (Do.END_STREAM,)),
        Row(("view_failed",), ("broadcasting",), STAYS, (), (Do.END_VIEW,)),
        Row(("media_lost",), ("broadcasting",), "waiting", (), (Do.LOSE_MEDIA,)),
        Row(("expire",), ("empty",), "closing", (nobody_waits,)),
        Row(("vacate",), ("empty",), "closing", (not_reserved, nobody_waits)),
        Row(("expire",), ("empty",), STAYS, (somebody_waits,)),
        Row(("vacate",), ("empty",), STAYS, (not_reserved, somebody_waits)),
        Row(
            ("close",),
            _OPEN,
            "closing",
            (),
            (Do.TURN_AWAY, Do.TELL_CLOSING, Do.END_STREAMS),
        ),
        # Its people are told by whoever ends the connections.
        Row(("hand_over",), _OPEN, "closed", (), (Do.TURN_AWAY, Do.LEAVE_MEDIA)),
        Row(("drained",), ("closing",), "closed", (nothing_held, nobody_to_see_off)),
        # What the room has promised last is not kept, so nothing may be told, not even that it ends here.
        Row(("disowned",), (*_OPEN, "closing"), "closed", (), (Do.SEND_ON,)),
    ),
    causes={
        "away": "a person's connection was lost, and the session may be resumed",
        "back": "the person is back, because the session was resumed",
        SEAT_ASKED: "a person sends one of the messages that the person's seat decides on",
        ADMINISTERED: "an administrator uses one of the operations that the administrator's machine decides on",
        "file_arrived": "all bytes of a file that a person has announced have come",
        "stream_failed": "a stream's endpoint failed, or its presenter's media connection ended",
        "revoked": "the person who publishes the stream has not the role of a presenter any more",
        "view_failed": "a view's endpoint failed, or its viewer's media connection ended",
        "media_lost": "the media server lost the broadcast, or no media server can be reached, or all are full",
        "expire": "the linger time is over (if somebody waits in the lobby, it begins again)",
        "vacate": "the server has as many rooms as it may have, and needs the place for a new one",
        "close": "a moderator or an administrator closes the room, or the server ends for good",
        "disowned": "the store says that the room belongs to another server (`--node`)",
        "hand_over": "the server is being restarted, and its next run opens the room again",
        "drained": "the server asks after each other trigger, and once more when deadline and notice are over",
    },
    moves_tell=(Tell("roomState", Audience.ALL),),
)
