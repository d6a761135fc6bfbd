"""A room's lobby: the people who want to enter, and wait until a moderator admits or denies them.

A person who waits is in no list of the room, gets none of its news, and holds no place in it. What is kept is the
event by which the person wanted to enter. A moderator who admits the person has that event handled once more, so
the room's table decides on it as on any other join.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import trio

from roomfsm.protocol.codec import Outgoing, error_of
from roomfsm.protocol.errors import ErrorCode, Refusal
from roomfsm.protocol.fields import Ref
from roomfsm.protocol.names import room_key
from roomfsm.protocol.server import Knocking, LobbyChanged, ParticipantLeft, Waiting
from roomfsm.rooms.events import Depart, Enter
from roomfsm.rooms.news import tell
from roomfsm.rooms.participant import Participant, Seat

type MoveSeat = Callable[[Seat[Any], str], object]


class Lobby:
    """Those who wait to enter one room, in the order in which they came. Nothing here waits."""

    def __init__(self, room: str, move_seat: MoveSeat) -> None:
        self._room = room
        self._move_seat = move_seat
        self._waiting: dict[str, tuple[Enter, int]] = {}
        """Who waits, and since when (milliseconds since 1970)."""

    def __len__(self) -> int:
        return len(self._waiting)

    def __contains__(self, participant: object) -> bool:
        return participant in self._waiting

    def holds(self, seat: Seat[Any]) -> bool:
        """Whether the person with this seat waits here."""
        return seat.id in self._waiting and self._waiting[seat.id][0].seat is seat

    def is_full_for(self, seat: Seat[Any], places: int) -> bool:
        """Whether nobody else may wait, or nobody else of this address, which may have half of the places."""
        of_address = sum(event.seat.voice.address == seat.voice.address for event, _ in self._waiting.values())
        return len(self._waiting) >= places or of_address >= max(1, places // 2)

    def knock(self, event: Enter) -> None:
        """Let a newcomer wait."""
        self._waiting[event.seat.id] = event, time.time_ns() // 1_000_000
        event.seat.tell(Outgoing(Knocking(room=self._room, key=room_key(self._room)), is_reply=True))

    def named(self, participant: str | None) -> list[Enter]:
        """The person with this id, or everybody if it is None: the events by which they may enter now."""
        return [
            replace(event, admitted=True, done=trio.Event())
            for event, _ in self._waiting.values()
            if participant in (None, event.seat.id)
        ]

    def remove(self, seat: Seat[Any]) -> None:
        """A person who has waited is in the room now, or has gone."""
        self._waiting.pop(seat.id, None)

    def refuse(self, participant: str | None, refusal: Refusal) -> None:
        """Refuse the person with this id, or everybody if it is None."""
        for event in self.named(participant):
            self.remove(event.seat)
            self._move_seat(event.seat, "denied")
            event.seat.tell(Outgoing(error_of(refusal, event.ref, event.asked)))
            event.seat.take_away()

    def send_on(self) -> None:
        """The room goes on at another server, where all who wait knock again."""
        for event, _ in self._waiting.values():
            event.seat.send_on()
        self._waiting.clear()

    def give_up(self, event: Depart) -> None:
        """A person does not want to wait any longer."""
        seat, (asked, _) = event.seat, self._waiting[event.seat.id]
        self.remove(seat)
        self._move_seat(seat, "departed")
        if event.reason == "left":
            seat.tell(Outgoing(error_of(Refusal(ErrorCode.ENDED), asked.ref, asked.asked)))
            left = ParticipantLeft(participant=seat.id, reason=event.reason, ref=event.ref)
            seat.tell(Outgoing(left, is_reply=True))

    def tell(
        self, people: Iterable[Participant], sender: Participant | None = None, ref: Ref | None = None
    ) -> None:
        """Tell these people, who are moderators, who waits."""
        waiting = tuple(
            Waiting(participant=event.seat.id, name=event.name, since=since)
            for event, since in self._waiting.values()
        )
        tell(people, LobbyChanged(waiting=waiting), sender, ref=ref, merge="")
