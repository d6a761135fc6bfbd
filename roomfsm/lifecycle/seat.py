"""The machine of a seat: one person's place in one room, and what that person may do there by role.

A message that concerns a person or the whole room, but not its streams, is decided here: the sender's seat has a
row for it, whose guards ask for the role. The effects then move what the message is about: the seat of somebody
who is put out (`kicked`, `banned`), or the room's door (`lock`, `unlock`).

A seat begins when somebody wants to enter. If the room has a lobby, the person waits there (`knocking`) until a
moderator decides. Otherwise the seat is taken at once.

Unless its policy says otherwise, every open room with people in it has a moderator. The first person who enters is
one, except with a token that says viewer. When the last moderator has
left, the person who has been in the room longest becomes one (`promoted`).
"""

from __future__ import annotations

import msgspec

from roomfsm.lifecycle.table import STAYS, Audience, Effect, Guard, Row, State, Table, Tell
from roomfsm.protocol.errors import ErrorCode
from roomfsm.protocol.roles import Role


class SeatFacts(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the seat's guards may look at.

    - `role` is the role of the person whose seat it is.
    - `found` says that the person whom the message names is in the room or, for `unban`, is banned; or that the
      line of chat exists that it names. For `admit` and `deny`, it says that the person waits in the lobby.
    - `oneself` says that the message names its own sender, or a line of chat that the sender has said.
    - `silenced` says that the message claims that the person is heard who is not: because of a moderator, or
      because the microphone is off.
    - `heard` says that the media server finds out whether the person speaks, so that it need not be told.
    - `room_has_place` says that at least one more person may enter the room.
    - `within_rates` is the same as in the facts of a room.
    - `needs_moderator` says that nobody moderates the room, and that its policy lets somebody stand in.
    - `may_stand_in` says that the person may: not if the person's token says that the person only watches.
    - `stands_in` says that the person moderates only because nobody else did, and `moderator_comes` that somebody
      enters now whom a token or the policy makes a moderator.
    - `keeps` is the same as in the facts of a room. For a `deny` without a ban, which promises nothing, it is
      always so.
    """

    role: Role = Role.PRESENTER
    found: bool = True
    oneself: bool = False
    silenced: bool = False
    heard: bool = False
    room_has_place: bool = True
    within_rates: bool = True
    needs_moderator: bool = False
    may_stand_in: bool = True
    stands_in: bool = False
    moderator_comes: bool = False
    keeps: bool = True


_PUT_OUT = (
    Tell("streamChanged", Audience.ALL, "if the person who is put out viewed it"),
    Tell("streamEnded", Audience.ALL, "if the person who is put out published it"),
    Tell("participantLeft", Audience.ALL),
    Tell("participantLeft", Audience.OWNER),
    Tell(
        "participantChanged",
        Audience.ALL,
        "if another person's name looked like that of the person who is put out",
    ),
)


class SeatEffect(Effect):
    """What a seat's transition asks the room task to do."""

    RAISE_HAND = (
        "raise hand",
        "the person's hand is up: it is the last in the queue of hands, unless it was up already",
        (Tell("participantChanged", Audience.ALL),),
    )
    LOWER_HAND = (
        "lower hand",
        "the hand of the person, or of the one whom a moderator names, is down",
        (Tell("participantChanged", Audience.ALL),),
    )
    SET_MEDIA = (
        "set media",
        "it is known whether the person's microphone and camera are on",
        (
            Tell("participantChanged", Audience.ALL),
            Tell("speaking", Audience.ALL, "if the person spoke, and the microphone is off now"),
        ),
    )
    SPEAK = (
        "speak",
        "it is known whether the person speaks; everybody is told at the end of the present interval",
        (Tell("speaking", Audience.ALL, "unless everybody knows it"),),
    )
    REACT = (
        "react",
        "the person's reaction is shown; everybody is told at the end of the present interval",
        (Tell("reacted", Audience.ALL),),
    )
    MUTE = (
        "mute",
        "the media server passes on no sound of the person named any more, and the person's client is asked to "
        "turn the microphone off",
        (
            Tell("muted", Audience.OWNER),
            Tell("participantChanged", Audience.ALL),
            Tell("speaking", Audience.ALL, "if the person spoke"),
        ),
    )
    UNMUTE = (
        "unmute",
        "the media server passes on the sound of the person named again",
        (Tell("participantChanged", Audience.ALL),),
    )
    KICK = "kick", "the person named leaves the room, and may enter it again", _PUT_OUT
    BAN = (
        "ban",
        "the person named leaves the room, and may not enter it for a time; nor may anybody with the same token's "
        "subject, or anybody of the same address without a token",
        (
            *_PUT_OUT,
            Tell("bans", Audience.MODERATORS),
            Tell("lobby", Audience.MODERATORS, "if the ban is for somebody who waits in the lobby, too"),
        ),
    )
    UNBAN = (
        "unban",
        "the person named may enter the room again",
        (Tell("bans", Audience.MODERATORS),),
    )
    SET_ROLE = (
        "set role",
        "the person named has another role; without the role of a presenter, the person's streams end",
        (
            Tell("participantChanged", Audience.ALL),
            Tell("bans", Audience.OWNER, "if the person is a moderator now, and somebody is banned"),
            Tell("lobby", Audience.OWNER, "if the person is a moderator now, and somebody waits in the lobby"),
            Tell("streamEnded", Audience.ALL, "if the person may not publish it any more"),
        ),
    )
    BECOME_MODERATOR = (
        "become moderator",
        "the person, who has been in the room longest, is a moderator, because no other one is there",
        (
            Tell("participantChanged", Audience.ALL),
            Tell("bans", Audience.OWNER, "if somebody is banned"),
            Tell("lobby", Audience.OWNER, "if somebody waits in the lobby"),
        ),
    )
    CEASE_TO_MODERATE = (
        "cease to moderate",
        "the person has the role again that the person would have without standing in; without the role of a "
        "presenter, the person's streams end",
        (
            Tell("participantChanged", Audience.ALL),
            Tell("streamEnded", Audience.ALL, "if the person may not publish it any more"),
        ),
    )
    ADMIT = (
        "admit",
        "the person who waits in the lobby enters; if nobody is named, all who wait enter, as far as there are "
        "places",
        (
            Tell("participantJoined", Audience.ALL),
            Tell("joined", Audience.OWNER),
            Tell("lobby", Audience.MODERATORS),
        ),
    )
    DENY = (
        "deny",
        "the person who waits in the lobby, or everybody if nobody is named, is refused with `denied`, and is "
        "banned for the time that the message names, if it names one",
        (
            Tell("lobby", Audience.MODERATORS),
            Tell("bans", Audience.MODERATORS, "if the message names a time"),
        ),
    )
    CONFIGURE = (
        "configure",
        "the rules of the room change; if the room has no lobby any more, those who wait there enter, as far as "
        "there are places",
        (
            Tell("roomChanged", Audience.ALL),
            Tell("participantJoined", Audience.ALL, "for each person who waited, if there is no lobby any more"),
            Tell("lobby", Audience.MODERATORS, "if somebody waited"),
        ),
    )
    LOCK = (
        "lock",
        "nobody else may enter the room, except moderators by a token",
        (Tell("roomChanged", Audience.ALL),),
    )
    UNLOCK = "unlock", "people may enter the room again", (Tell("roomChanged", Audience.ALL),)
    DELETE_LINE = (
        "delete line",
        "the line of chat is forgotten, and nobody is told it any more",
        (Tell("lineDeleted", Audience.ALL),),
    )
    CLOSE_ROOM = (
        "close room",
        "the room closes, and everybody has to leave it",
        (Tell("closing", Audience.ALL), Tell("streamEnded", Audience.ALL, "for each stream")),
    )
    CLEAR_CHAT = "clear chat", "all lines of chat are forgotten", (Tell("chatCleared", Audience.ALL),)


is_moderator = Guard[SeatFacts](
    "is a moderator",
    lambda f: f.role.includes(Role.MODERATOR),
    ErrorCode.NOT_PERMITTED,
    role=Role.MODERATOR,
)
own_or_moderator = Guard[SeatFacts](
    "it is the own hand, or a moderator asks",
    lambda f: f.oneself or f.role.includes(Role.MODERATOR),
    ErrorCode.NOT_PERMITTED,
    role=Role.MODERATOR,
)
own_line_or_moderator = Guard[SeatFacts](
    "it is the own line, or a moderator asks",
    lambda f: f.oneself or f.role.includes(Role.MODERATOR),
    ErrorCode.NOT_PERMITTED,
    role=Role.MODERATOR,
)
line_exists = Guard[SeatFacts]("the line exists", lambda f: f.found, ErrorCode.NO_SUCH_LINE)
person_is_there = Guard[SeatFacts](
    "the person named is in the room", lambda f: f.found, ErrorCode.NO_SUCH_PARTICIPANT
)
somebody_knocks = Guard[SeatFacts](
    "the person named waits in the lobby, or somebody does", lambda f: f.found, ErrorCode.NO_SUCH_PARTICIPANT
)
room_has_place = Guard[SeatFacts]("the room has a free place", lambda f: f.room_has_place, ErrorCode.ROOM_FULL)
somebody_else = Guard[SeatFacts]("it is somebody else", lambda f: not f.oneself, ErrorCode.YOURSELF)
is_banned = Guard[SeatFacts]("the person named is banned", lambda f: f.found, ErrorCode.NOT_BANNED)
not_silenced = Guard[SeatFacts](
    "nobody claims to be heard who is muted", lambda f: not f.silenced, ErrorCode.MUTED
)
is_unheard = Guard[SeatFacts](
    "the media server does not find out whether the person speaks", lambda f: not f.heard
)
needs_moderator = Guard[SeatFacts]("nobody moderates the room, and somebody may", lambda f: f.needs_moderator)
may_stand_in = Guard[SeatFacts]("the person does not only watch", lambda f: f.may_stand_in)
stands_in = Guard[SeatFacts]("the person only stands in for a moderator", lambda f: f.stands_in)
moderator_comes = Guard[SeatFacts]("a moderator by a token or by the policy enters", lambda f: f.moderator_comes)
within_rates = Guard[SeatFacts](
    "neither this person nor the room is above its rates", lambda f: f.within_rates, ErrorCode.RATE_LIMITED
)

promise_is_kept = Guard[SeatFacts]("what it promises can be kept", lambda f: f.keeps, ErrorCode.STORE_UNAVAILABLE)

Do = SeatEffect
_moderators = (is_moderator, within_rates)
_over_another = (*_moderators, person_is_there, somebody_else)
_admit = (*_moderators, somebody_knocks, room_has_place, promise_is_kept)

SEAT: Table[SeatFacts] = Table(
    "seat",
    "One person's place in one room, and what the person may do there.",
    states=(
        State("knocking", "the person wants to enter, and waits in the lobby if there is one"),
        State("seated", "the person is in the room"),
        State("away", "the person's connection is lost; the seat is kept until the resume window is over"),
        State("gone", "the person has left, was put out, or was not admitted", final=True),
    ),
    rows=(
        Row(("raiseHand",), ("seated",), STAYS, (within_rates,), (Do.RAISE_HAND,)),
        Row(
            ("lowerHand",),
            ("seated",),
            STAYS,
            (own_or_moderator, within_rates, person_is_there),
            (Do.LOWER_HAND,),
        ),
        Row(("media",), ("seated",), STAYS, (not_silenced, within_rates), (Do.SET_MEDIA,)),
        Row(("speaking",), ("seated",), STAYS, (not_silenced, is_unheard), (Do.SPEAK,)),
        # Otherwise what the media server hears counts, and not what a client claims.
        Row(("speaking",), ("seated",), STAYS, (not_silenced,)),
        Row(("react",), ("seated",), STAYS, (within_rates,), (Do.REACT,)),
        Row(("mute",), ("seated",), STAYS, _over_another, (Do.MUTE,)),
        Row(("unmute",), ("seated",), STAYS, (*_moderators, person_is_there), (Do.UNMUTE,)),
        Row(("kick",), ("seated",), STAYS, _over_another, (Do.KICK,)),
        Row(("ban",), ("seated",), STAYS, (*_over_another, promise_is_kept), (Do.BAN,)),
        Row(("unban",), ("seated",), STAYS, (*_moderators, is_banned, promise_is_kept), (Do.UNBAN,)),
        Row(("setRole",), ("seated",), STAYS, (*_over_another, promise_is_kept), (Do.SET_ROLE,)),
        Row(("admit",), ("seated",), STAYS, _admit, (Do.ADMIT,)),
        Row(("deny",), ("seated",), STAYS, (*_moderators, somebody_knocks, promise_is_kept), (Do.DENY,)),
        Row(("configure",), ("seated",), STAYS, (*_moderators, promise_is_kept), (Do.CONFIGURE,)),
        Row(("lock",), ("seated",), STAYS, (*_moderators, promise_is_kept), (Do.LOCK,)),
        Row(("unlock",), ("seated",), STAYS, (*_moderators, promise_is_kept), (Do.UNLOCK,)),
        Row(("clearChat",), ("seated",), STAYS, (*_moderators, promise_is_kept), (Do.CLEAR_CHAT,)),
        Row(
            ("deleteLine",),
            ("seated",),
            STAYS,
            (line_exists, own_line_or_moderator, within_rates, promise_is_kept),
            (Do.DELETE_LINE,),
        ),
        Row(("closeRoom",), ("seated",), STAYS, _moderators, (Do.CLOSE_ROOM,)),
        Row(
            ("promoted",),
            ("seated", "away"),
            STAYS,
            (needs_moderator, may_stand_in),
            (Do.BECOME_MODERATOR,),
        ),
        # Otherwise somebody who came early could put out the one whom a token makes a moderator.
        Row(("relieved",), ("seated", "away"), STAYS, (stands_in, moderator_comes), (Do.CEASE_TO_MODERATE,)),
        Row(("lost",), ("seated",), "away"),
        # A session can be resumed before its loss was noticed.
        Row(("found",), ("seated", "away"), "seated"),
        Row(("admitted",), ("knocking",), "seated"),
        Row(("denied", "departed"), ("knocking",), "gone"),
        Row(("kicked", "banned", "departed"), ("seated", "away"), "gone"),
    ),
    causes={
        "promoted": "nobody moderates the room, and this person has been in it longest of those who can",
        "relieved": "a moderator by a token or by the policy has come",
        "admitted": "the person enters, because there is no lobby, or because a moderator has admitted the person",
        "denied": "a moderator has denied, or the room closes",
        "lost": "the person's connection was lost, and the session may be resumed",
        "found": "the session was resumed",
        "kicked": "a moderator or an administrator put the person out",
        "banned": "a moderator or an administrator put the person out, and bans the person for a time",
        "departed": "the person has left, or the seat was given to somebody else",
    },
)

OF_SEATS: tuple[str, ...] = tuple(trigger for trigger in SEAT.triggers if trigger not in SEAT.causes)
"""The messages that the sender's seat decides on, in a room whose state lets it decide."""
