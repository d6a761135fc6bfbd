"""The room's machine: who may come, who may present, when its media pipeline lives, and how it ends."""

from __future__ import annotations

from dataclasses import dataclass

from roomfsm.lifecycle.table import STAYS, Audience, Effect, Guard, Row, State, Table, Tell
from roomfsm.protocol.errors import ErrorCode


@dataclass(frozen=True, slots=True)
class RoomFacts:
    """What the room's guards may look at: counts as they would be *after* the trigger, and the one who asks.

    `within_rates`: the one who asks has not had too much told to everybody lately, nor has the whole room; nor
    have too many come in lately, of the newcomer's address and in all.
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
        "if the room is full, a seat whose connection is lost ends: the one that is away longest, of the address "
        "with the most of them",
        (
            Tell("streamChanged", Audience.OTHERS, "the one who was away viewed it"),
            Tell("streamEnded", Audience.OTHERS, "the one who was away published it"),
            Tell("participantLeft", Audience.OTHERS, "the room was full, and somebody was away"),
            Tell("participantChanged", Audience.OTHERS, "another's name looked like theirs"),
        ),
    )
    ADMIT = (
        "admit",
        "a seat for the newcomer, who gets the room as it is",
        (Tell("participantJoined", Audience.OTHERS), Tell("joined", Audience.ASKER)),
    )
    DISMISS = (
        "dismiss",
        "the leaver's streams and views end, the seat is free",
        (
            Tell("streamChanged", Audience.OTHERS, "the leaver viewed it"),
            Tell("streamEnded", Audience.OTHERS, "the leaver published it"),
            Tell("participantLeft", Audience.OTHERS),
            Tell("participantLeft", Audience.ASKER, "by `leave`"),
            Tell("participantChanged", Audience.OTHERS, "another's name looked like the leaver's"),
        ),
    )
    MARK_AWAY = (
        "mark away",
        "the seat is kept while the connection is lost",
        (Tell("participantChanged", Audience.OTHERS),),
    )
    WELCOME_BACK = (
        "welcome back",
        "the one who is back gets the room as it is",
        (
            Tell("joined", Audience.ASKER),
            Tell("streamChanged", Audience.ASKER, "for each of their views that is limited"),
            Tell("participantChanged", Audience.ALL),
        ),
    )
    RENAME = (
        "rename",
        "another display name",
        (
            Tell("participantChanged", Audience.ALL),
            Tell("participantChanged", Audience.ALL, "another's name looked like the one given up"),
        ),
    )
    SAY = "say", "a line of chat, which is kept for newcomers", (Tell("chat", Audience.ALL),)
    OPEN_STREAM = (
        "open stream",
        "a media endpoint that takes the offer; its answer comes when the media server gives one",
        (Tell("streamStarted", Audience.ALL),),
        _ENDPOINT_FAILURES,
    )
    END_STREAM = (
        "end stream",
        "the stream's views end, too; their endpoints are released",
        (Tell("streamEnded", Audience.ALL),),
    )
    OPEN_VIEW = (
        "open view",
        "a media endpoint connected to the stream's; its answer comes when the media server gives one",
        (Tell("streamChanged", Audience.ALL),),
        _ENDPOINT_FAILURES,
    )
    END_VIEW = (
        "end view",
        "the view's endpoint is released",
        (Tell("streamChanged", Audience.ALL), Tell("streamChanged", Audience.OWNER)),
    )
    PASS_CANDIDATE = (
        "pass candidate",
        "to the endpoint of one's stream or view, as soon as it takes candidates; a stale one is dropped",
        (),
        (ErrorCode.TOO_MANY_CANDIDATES,),
    )
    LOSE_MEDIA = (
        "lose media",
        "every stream ends; their presenters should publish again",
        (Tell("streamEnded", Audience.ALL, "for each stream"),),
    )
    TELL_CLOSING = "tell closing", "why the room closes", (Tell("closing", Audience.ALL),)
    END_STREAMS = (
        "end streams",
        "every stream ends, and every view of it",
        (Tell("streamEnded", Audience.ALL, "for each stream"),),
    )


room_has_place = Guard[RoomFacts](
    "room has a place, or somebody is away", lambda f: f.people <= f.max_people, ErrorCode.ROOM_FULL
)
not_in_yet = Guard[RoomFacts]("not in the room yet", lambda f: not f.member, ErrorCode.ALREADY_IN_ROOM)
may_present = Guard[RoomFacts](
    "presenters below the bound", lambda f: f.presenters <= f.max_presenters, ErrorCode.TOO_MANY_PRESENTERS
)
not_publishing = Guard[RoomFacts](
    "source not published yet", lambda f: not f.publishing, ErrorCode.ALREADY_PUBLISHING
)
stream_exists = Guard[RoomFacts]("stream exists", lambda f: f.stream_exists, ErrorCode.NO_SUCH_STREAM)
own_stream = Guard[RoomFacts]("own stream", lambda f: f.own_stream, ErrorCode.NOT_YOUR_STREAM)
others_stream = Guard[RoomFacts]("another's stream", lambda f: not f.own_stream, ErrorCode.OWN_STREAM)
not_viewing = Guard[RoomFacts]("not viewed yet", lambda f: not f.viewing, ErrorCode.ALREADY_VIEWING)
viewing = Guard[RoomFacts]("viewed", lambda f: f.viewing, ErrorCode.NOT_VIEWING)
has_endpoint = Guard[RoomFacts]("own stream or viewed", lambda f: f.own_stream or f.viewing, ErrorCode.NOT_VIEWING)
may_view = Guard[RoomFacts]("views below the bound", lambda f: f.views <= f.max_views, ErrorCode.TOO_MANY_VIEWS)
within_rates = Guard[RoomFacts](
    "what is told to all is within its rates", lambda f: f.within_rates, ErrorCode.RATE_LIMITED
)
people_remain = Guard[RoomFacts]("people remain", lambda f: f.people > 0)
nobody_remains = Guard[RoomFacts]("nobody remains", lambda f: f.people == 0)
streams_remain = Guard[RoomFacts]("streams remain", lambda f: f.streams > 0)
no_stream_remains = Guard[RoomFacts]("no stream remains", lambda f: f.streams == 0)

Do = RoomEffect
_join = (not_in_yet, room_has_place, within_rates)
_publish = (not_publishing, may_present, within_rates)

ROOM: Table[RoomFacts] = Table(
    "room",
    "One room, from the first who joins to the last endpoint released.",
    states=(
        State("empty", "nobody is there; the room ends when it lingered long enough", owns="linger"),
        State("waiting", "people are there, nobody presents"),
        State("broadcasting", "at least one stream is published", owns="broadcast"),
        State("closing", "told to all; everything is released within a deadline", owns="drain", final=True),
    ),
    rows=(
        Row(("join",), ("empty",), "waiting", _join, (Do.ADMIT,)),
        Row(("join",), ("waiting",), STAYS, _join, (Do.MAKE_WAY, Do.ADMIT)),
        Row(("join",), ("broadcasting",), STAYS, (*_join, streams_remain), (Do.MAKE_WAY, Do.ADMIT)),
        # The only one who presented was away, and made way.
        Row(("join",), ("broadcasting",), "waiting", (*_join, no_stream_remains), (Do.MAKE_WAY, Do.ADMIT)),
        Row(("leave",), ("waiting",), STAYS, (people_remain,), (Do.DISMISS,)),
        Row(("leave",), ("waiting", "broadcasting"), "empty", (nobody_remains,), (Do.DISMISS,)),
        Row(("leave",), ("broadcasting",), STAYS, (people_remain, streams_remain), (Do.DISMISS,)),
        Row(("leave",), ("broadcasting",), "waiting", (people_remain, no_stream_remains), (Do.DISMISS,)),
        Row(("leave",), ("closing",), STAYS, (), (Do.DISMISS,)),
        # One may go if the other room admits one; that done, it is a leave.
        Row(("switch",), ("waiting", "broadcasting"), STAYS),
        Row(("away",), ("waiting", "broadcasting", "closing"), STAYS, (), (Do.MARK_AWAY,)),
        Row(("back",), ("waiting", "broadcasting", "closing"), STAYS, (), (Do.WELCOME_BACK,)),
        Row(("rename",), ("waiting", "broadcasting"), STAYS, (within_rates,), (Do.RENAME,)),
        Row(("chat",), ("waiting", "broadcasting"), STAYS, (within_rates,), (Do.SAY,)),
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
            ("view",),
            ("broadcasting",),
            STAYS,
            (stream_exists, others_stream, not_viewing, may_view, within_rates),
            (Do.OPEN_VIEW,),
        ),
        Row(("unview",), ("broadcasting",), STAYS, (stream_exists, viewing), (Do.END_VIEW,)),
        Row(("candidate",), ("broadcasting",), STAYS, (stream_exists, has_endpoint), (Do.PASS_CANDIDATE,)),
        Row(("stream_failed",), ("broadcasting",), STAYS, (streams_remain,), (Do.END_STREAM,)),
        Row(("stream_failed",), ("broadcasting",), "waiting", (no_stream_remains,), (Do.END_STREAM,)),
        Row(("view_failed",), ("broadcasting",), STAYS, (), (Do.END_VIEW,)),
        Row(("media_lost",), ("broadcasting",), "waiting", (), (Do.LOSE_MEDIA,)),
        Row(("expire", "vacate"), ("empty",), "closing"),
        Row(
            ("close",),
            ("empty", "waiting", "broadcasting"),
            "closing",
            (),
            (Do.TELL_CLOSING, Do.END_STREAMS),
        ),
    ),
    causes={
        "away": "a participant's connection was lost, and may be resumed",
        "back": "the connection is back: the session was resumed",
        "stream_failed": "a stream's endpoint failed, or its presenter's media connection ended",
        "view_failed": "a view's endpoint failed, or its viewer's media connection ended",
        "media_lost": "the media server lost the broadcast, or none could be had, or all are full",
        "expire": "the linger time is over",
        "vacate": "as many rooms are open as may be, and the place is needed for another",
        "close": "an administrator closes the room, or the server ends",
    },
    moves_tell=(Tell("roomState", Audience.ALL),),
)
