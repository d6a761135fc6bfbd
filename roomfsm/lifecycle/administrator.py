"""The machine of the administrator: what the admin API may do to the people and the door of an open room.

Its triggers have the names of the API's operations, and its effects are those of the moderators' messages, because
the same happens. A moderator is a person in the room, whose seat decides. An administrator has no seat, and needs
no role: whoever knows the token of the API is one.
"""

from __future__ import annotations

from roomfsm.lifecycle.seat import SeatEffect, SeatFacts, is_banned, person_is_there, promise_is_kept
from roomfsm.lifecycle.table import STAYS, Audience, Effect, Row, State, Table, Tell


class AdministratorEffect(Effect):
    """What only an administrator may ask the room task to do."""

    CONFIGURE = (
        "configure",
        "the room has another policy, which holds for everybody who enters from now on",
        (
            Tell("roomChanged", Audience.ALL, "if that changes what the message tells"),
            Tell("participantJoined", Audience.ALL, "for each person who waited, if there is no lobby any more"),
            Tell("lobby", Audience.MODERATORS, "if somebody waited, and there is no lobby any more"),
        ),
    )


ADMINISTRATOR: Table[SeatFacts] = Table(
    "administrator",
    "What an administrator may do in an open room, by the admin API.",
    states=(State("in charge", "the room is open, and the API has a token"),),
    rows=(
        Row(("kickPerson",), ("in charge",), STAYS, (person_is_there,), (SeatEffect.KICK,)),
        Row(("banPerson",), ("in charge",), STAYS, (person_is_there, promise_is_kept), (SeatEffect.BAN,)),
        Row(("unbanPerson",), ("in charge",), STAYS, (is_banned, promise_is_kept), (SeatEffect.UNBAN,)),
        Row(("giveRole",), ("in charge",), STAYS, (person_is_there, promise_is_kept), (SeatEffect.SET_ROLE,)),
        Row(("lockRoom",), ("in charge",), STAYS, (promise_is_kept,), (SeatEffect.LOCK,)),
        Row(("unlockRoom",), ("in charge",), STAYS, (promise_is_kept,), (SeatEffect.UNLOCK,)),
        Row(("clearRoomChat",), ("in charge",), STAYS, (promise_is_kept,), (SeatEffect.CLEAR_CHAT,)),
        Row(("configureRoom",), ("in charge",), STAYS, (promise_is_kept,), (AdministratorEffect.CONFIGURE,)),
    ),
    causes={
        "kickPerson": "an administrator puts a person out",
        "banPerson": "an administrator puts a person out, and does not let the person in for a time",
        "unbanPerson": "an administrator ends a ban",
        "giveRole": "an administrator gives a person a role",
        "lockRoom": "an administrator locks the room",
        "unlockRoom": "an administrator unlocks the room",
        "clearRoomChat": "an administrator clears the chat",
        "configureRoom": "an administrator gives the room another policy",
    },
)
