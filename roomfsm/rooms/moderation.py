"""Carries out what the table of seats decides: who may do what in a room, who is put out, and who may not enter.

A message of this kind goes through the table of its sender's seat (`roomfsm.lifecycle.seat`), which asks for the
role. The effects here then move other machines: the seat of the person who is put out, the room (which that person
leaves), and the door.

A ban names a session, its address and the subject of its token, because a person who is put out can come back at
once with a new session. It also holds for people of that address who bring no token's subject and want to enter.
People who are in the room stay.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol

import trio

from roomfsm.access.credentials import Credentials
from roomfsm.access.policy import Policy
from roomfsm.lifecycle.administrator import ADMINISTRATOR
from roomfsm.lifecycle.administrator import AdministratorEffect as OfAdministrator
from roomfsm.lifecycle.door import DOOR
from roomfsm.lifecycle.seat import SEAT, SeatFacts
from roomfsm.lifecycle.seat import SeatEffect as Do
from roomfsm.lifecycle.sound import MICROPHONE_ON, SOUND
from roomfsm.lifecycle.table import Step
from roomfsm.log import get_logger
from roomfsm.protocol.client import (
    Admit,
    Ban,
    ClearChat,
    CloseRoom,
    Configure,
    DeleteLine,
    Deny,
    Kick,
    LowerHand,
    Media,
    Mute,
    React,
    SetRole,
    Speaking,
    Unban,
    Unmute,
    message_type,
)
from roomfsm.protocol.errors import ErrorCode, Refusal
from roomfsm.protocol.fields import Ref
from roomfsm.protocol.roles import Role
from roomfsm.protocol.server import BanInfo, Bans, ChatCleared, LineDeleted, Muted, ParticipantChanged, RoomChanged
from roomfsm.rooms import durable
from roomfsm.rooms.chat import ChatHistory
from roomfsm.rooms.events import Administer, Ask, Close, Depart, Enter, Event, Revoked, RoomMessage, SetPolicy
from roomfsm.rooms.journal import Journal
from roomfsm.rooms.legs import Stream
from roomfsm.rooms.lobby import Lobby
from roomfsm.rooms.news import News, tell
from roomfsm.rooms.participant import Participant, Seat, seat_to_give
from roomfsm.rooms.reactions import Reactions
from roomfsm.rooms.record import Record
from roomfsm.rooms.room_files import RoomFiles
from roomfsm.rooms.settings import RoomSettings
from roomfsm.rooms.speaking import Speakers


class Inside(Protocol):
    """What moderation uses of the room that it happens in."""

    @property
    def name(self) -> str: ...

    @property
    def people(self) -> dict[str, Participant]: ...

    @property
    def streams(self) -> dict[str, Stream]: ...

    @property
    def journal(self) -> Journal: ...

    @property
    def policy(self) -> Policy: ...

    @property
    def settings(self) -> RoomSettings: ...

    @property
    def record(self) -> Record: ...

    def configure(self, policy: Policy, *, own: bool = False) -> None:
        """Use this policy from now on. `own` says that it takes the place of the one that the settings give."""

    def handle_now(self, event: Event) -> None:
        """Handle an event that follows from the present one."""

    def refuse(self, event: Event, refusal: Refusal) -> None:
        """Tell the sender of the event that it was refused, if the sender waits for an answer."""


@dataclass(frozen=True, slots=True)
class _Banned:
    """Somebody who may not enter until `ends` (on trio's clock), which is `until` milliseconds after 1970."""

    name: str
    address: str
    ends: float
    until: int
    subject: str | None = None

    def holds_for(self, seat: Seat[Any], brought: Credentials) -> bool:
        """Whether this ban is for the person who wants to take the seat.

        Whoever brings no token is known by the address alone, so nobody sheds a ban by leaving the token away. And
        somebody with another token is another person, even at the same address.
        """
        if brought.subject is not None:
            return self.subject == brought.subject
        return self.address == seat.voice.address


class Moderation:
    """The roles, hands, bans, the sound and the door of one room. Nothing here waits."""

    def __init__(
        self,
        room: Inside,
        news: News,
        chat: ChatHistory,
        files: RoomFiles,
        speakers: Speakers,
        reactions: Reactions,
    ) -> None:
        self._room = room
        self._people = room.people
        self._news = news
        self._chat = chat
        self._files = files
        self._speakers = speakers
        self._reactions = reactions
        self._log = get_logger(__name__).bind(room=room.name)
        self._door = DOOR.new()
        room.journal.begin(DOOR.name, None, self._door.state)
        if room.policy.locked:
            # It follows from the policy, and so it is not noted.
            self.move_door("lock")
        self.lobby = Lobby(room.name, self._move_seat)
        self._bans: dict[str, _Banned] = {}
        self.hands = 0
        """How many hands were raised so far."""
        self.rules: dict[str, Any] = {}
        """What moderators have changed of the room's policy."""
        self._record = room.record
        self._administrator = ADMINISTRATOR.new()
        room.journal.begin(ADMINISTRATOR.name, None, self._administrator.state)
        self._for_anybody: dict[str, Callable[[Participant | None, Any], None]] = {
            Do.KICK: self._kick,
            Do.BAN: self._ban,
            Do.UNBAN: self._unban,
            Do.SET_ROLE: self._set_role,
            Do.LOCK: self._move_door,
            Do.UNLOCK: self._move_door,
            Do.CLEAR_CHAT: self._clear_chat,
            OfAdministrator.CONFIGURE: self._set_policy,
        }
        """The effects for which nobody in the room need have asked."""
        self._doing: dict[str, Callable[[Participant, Any], None]] = {
            **self._for_anybody,
            Do.RAISE_HAND: self._raise_hand,
            Do.LOWER_HAND: self._lower_hand,
            Do.SET_MEDIA: self._set_media,
            Do.SPEAK: self._speak,
            Do.REACT: self._react,
            Do.MUTE: self._mute,
            Do.UNMUTE: self._unmute,
            Do.BECOME_MODERATOR: self._become_moderator,
            Do.CEASE_TO_MODERATE: self._cease_to_moderate,
            Do.ADMIT: self._admit,
            Do.DENY: self._deny,
            Do.CONFIGURE: self._configure,
            Do.DELETE_LINE: self._delete_line,
            Do.CLOSE_ROOM: self._close_room,
        }

    @property
    def locked(self) -> bool:
        """Whether nobody may enter the room."""
        return bool(DOOR.state(self._door.state).owns)

    def banned(self) -> list[BanInfo]:
        """Who is banned now."""
        now = trio.current_time()
        return [
            BanInfo(participant=one, name=ban.name, until=ban.until)
            for one, ban in self._bans.items()
            if ban.ends > now
        ]

    def bans(self, seat: Seat[Any], brought: Credentials) -> bool:
        """Whether a person who wants to enter is banned.

        The same person is recognized by the token's subject, wherever that person is, and anybody without a
        token's subject by the address.
        """
        now = trio.current_time()
        self._bans = {one: ban for one, ban in self._bans.items() if ban.ends > now}
        return seat.id in self._bans or any(ban.holds_for(seat, brought) for ban in self._bans.values())

    def role_of(self, brought: Credentials) -> Role:
        """The role of somebody who enters now with these credentials."""
        first = self._room.policy.first_moderates and not self._people
        return Role.MODERATOR if first and brought.role is not Role.VIEWER else self._given_role(brought)

    def _given_role(self, brought: Credentials) -> Role:
        return self._room.policy.role if brought.role is None else brought.role

    def may_pass_lock(self, brought: Credentials) -> bool:
        """Whether somebody may enter although the room is locked."""
        return self._given_role(brought).includes(Role.MODERATOR)

    def must_knock(self, brought: Credentials) -> bool:
        """Whether somebody who wants to enter has to wait in the lobby."""
        return self._room.policy.lobby and not self.role_of(brought).includes(Role.MODERATOR)

    def take(self, event: Ask, message: dict[str, Any] | None, *, within_rates: bool) -> bool:
        """Put a message to the table of its sender's seat. Returns whether the table took it."""
        sender, trigger = self._people[event.seat.id], event.trigger
        found, oneself = self._named(event.message, sender)
        promises = not isinstance(event.message, Deny) or event.message.seconds is not None
        facts = SeatFacts(
            role=sender.role,
            found=found,
            oneself=oneself,
            silenced=_claims_to_be_heard(event.message, sender),
            heard=isinstance(event.message, Speaking) and sender.heard is not None,
            room_has_place=self._has_place(),
            within_rates=within_rates,
            keeps=self._record.keeps or not promises,
        )
        state = sender.seat.state
        try:
            step = SEAT.fire(sender.seat, trigger, facts)
        except Refusal as refusal:
            self._room.journal.refused(
                SEAT.name, sender.id, trigger, state, refusal, who=sender.id, message=message, facts=facts
            )
            self._room.refuse(event, refusal)
            return False
        if not isinstance(event.message, Speaking | React):
            # Who speaks and what people show changes so often that it would push all else out of the journal, and
            # decides nothing.
            self._room.journal.took(SEAT.name, sender.id, step, who=sender.id, message=message, facts=facts)
        for effect in step.effects:
            self._doing[effect](sender, event.message)
        return True

    def _named(self, message: RoomMessage | SetPolicy, sender: Participant | None) -> tuple[bool, bool]:
        """Whether the person or the line that the message names exists, and whether it is the sender's own."""
        if isinstance(message, DeleteLine):
            speaker = self._chat.speaker_of(message.line)
            return speaker is not None, sender is not None and speaker == sender.id
        if isinstance(message, Admit | Deny):
            return bool(self.lobby.named(message.participant)), False
        named = getattr(message, "participant", None)
        found = named is None or named in (self._bans if isinstance(message, Unban) else self._people)
        return found, named is None or (sender is not None and named == sender.id)

    def administer(self, event: Administer, message: dict[str, Any] | None) -> None:
        """Do what an administrator asks for, if the administrator's table has it so."""
        facts = SeatFacts(found=self._named(event.message, None)[0], keeps=self._record.keeps)
        state = self._administrator.state
        try:
            step = ADMINISTRATOR.fire(self._administrator, event.operation, facts)
        except Refusal as refusal:
            self._room.journal.refused(
                ADMINISTRATOR.name, None, event.operation, state, refusal, message=message, facts=facts
            )
            self._room.refuse(event, refusal)
            return
        self._room.journal.took(ADMINISTRATOR.name, None, step, message=message, facts=facts)
        for effect in step.effects:
            self._for_anybody[effect](None, event.message)

    def move(self, person: Participant, trigger: str) -> None:
        """Move the seat of a person by something other than the person's own message."""
        for effect in self._move_seat(person.seat, trigger).effects:
            self._doing[effect](person, None)

    def _move_seat(self, seat: Seat[Any], trigger: str) -> Step:
        step = SEAT.fire(seat, trigger, SeatFacts())
        over = SEAT.state(step.dest).final
        self._room.journal.took(SEAT.name, seat.id, step, who=seat.id, final=over)
        return step

    def admit(self, newcomer: Participant, brought: Credentials) -> None:
        """Give somebody who enters a role."""
        if newcomer.id in self.lobby:
            self.lobby.remove(newcomer.seat)
            self._move_seat(newcomer.seat, "admitted")
        else:
            # Nothing was decided that the journal should tell.
            SEAT.fire(newcomer.seat, "admitted", SeatFacts())
            self._room.journal.begin(SEAT.name, newcomer.id, newcomer.seat.state)
        self._room.journal.begin(SOUND.name, newcomer.id, newcomer.sound.state)
        newcomer.role, newcomer.subject = self.role_of(brought), brought.subject
        newcomer.given = self._given_role(brought)
        newcomer.stands_in = newcomer.role is not newcomer.given
        newcomer.only_watches = brought.role is Role.VIEWER

    def readmit(self, person: Participant, told: durable.Sat) -> None:
        """Give somebody a seat again who had it before the server was started."""
        SEAT.fire(person.seat, "admitted", SeatFacts())
        self._room.journal.begin(SEAT.name, person.id, person.seat.state)
        self._room.journal.begin(SOUND.name, person.id, person.sound.state)
        person.role, person.given, person.subject = told.role, told.given, told.subject
        person.stands_in, person.only_watches = told.stands_in, told.only_watches

    def move_door(self, trigger: str) -> None:
        """Move the door as it was moved before the server was started."""
        self._room.journal.took(DOOR.name, None, DOOR.fire(self._door, trigger, None))

    def move_sound(self, person: Participant, trigger: str) -> None:
        """Move the sound of a person as it was moved before the server was started."""
        self._room.journal.took(SOUND.name, person.id, SOUND.fire(person.sound, trigger, None), who=person.id)

    def knock(self, event: Enter) -> None:
        """Let a newcomer wait in the lobby."""
        self._room.journal.begin(SEAT.name, event.seat.id, event.seat.state)
        self.lobby.knock(event)
        self.lobby.tell(self._moderators())

    def give_up(self, event: Depart) -> None:
        """Somebody who waited in the lobby wants to enter no more."""
        self.lobby.give_up(event)
        self.lobby.tell(self._moderators())

    def dismiss(self, person: Participant, *, replaced: bool = False) -> None:
        """Somebody has left: see to it that the room has a moderator, or an open door.

        `replaced` says that somebody else gets the place at once.
        """
        if not SEAT.state(person.seat.state).final:
            self.move(person, "departed")
        self._room.journal.tallies[SOUND.name].forget(person.id)
        self._promote()
        if self._people or replaced:
            return
        self._fire_door("lock" if self._room.policy.locked else "deserted")
        if self._room.policy.lobby:
            # What was said is not for people whom nobody has admitted.
            self._forget_chat()
        if self._room.policy.first_moderates:
            # Nobody is left who could admit. The one who has waited longest enters, and moderates.
            for event in self.lobby.named(None):
                if not self._people:
                    self._let_in_now(event)

    def relieve(self, newcomer: Participant) -> None:
        """Nobody stands in any longer for a moderator who has just come by right."""
        if newcomer.stands_in or not newcomer.role.includes(Role.MODERATOR):
            # The row would hold for nobody, and hundreds may be in the room.
            return
        for person in [person for person in self._moderators() if person.stands_in]:
            self._follow(person, "relieved", SeatFacts(stands_in=True, moderator_comes=True))

    def _promote(self, but: Participant | None = None) -> None:
        """Let somebody stand in if nobody moderates the room: the person who has been in it longest.

        Somebody who is away can do nothing, so others come first. `but` is somebody who has just ceased to
        moderate.
        """
        if not self._room.policy.first_moderates or self._moderators():
            # The row would hold for nobody, and hundreds may be in the room.
            return
        for person in sorted(self._people.values(), key=lambda person: person.away):
            facts = SeatFacts(needs_moderator=True, may_stand_in=not person.only_watches)
            if person is not but and self._follow(person, "promoted", facts):
                return

    def _follow(self, person: Participant, trigger: str, facts: SeatFacts) -> bool:
        """Move a seat by what the facts bring about. Returns whether they did."""
        step = SEAT.follow(person.seat, trigger, lambda: facts)
        if step is None:
            return False
        self._room.journal.took(SEAT.name, person.id, step, who=person.id, facts=facts)
        for effect in step.effects:
            self._doing[effect](person, None)
        return True

    # Effects

    def _raise_hand(self, sender: Participant, message: Any) -> None:
        if sender.hand is None:
            self.hands += 1
            self._record.note(durable.HandMoved(sender.id, self.hands))
            sender.hand = self.hands
        self._tell_person(sender, sender, message.ref)

    def _lower_hand(self, sender: Participant, message: LowerHand) -> None:
        person = self._people[message.participant or sender.id]
        self._record.note(durable.HandMoved(person.id))
        person.hand = None
        self._tell_person(person, sender, message.ref)

    def _set_media(self, sender: Participant, message: Media) -> None:
        self._record.note(durable.MediaTold(sender.id, message.microphone, message.camera))
        sender.microphone, sender.camera = message.microphone, message.camera
        if message.microphone:
            self._fire_sound(sender, MICROPHONE_ON)
            self._speakers.look_at(sender)
        else:
            self._speakers.note(sender, False)
        self._tell_person(sender, sender, message.ref)

    def _speak(self, sender: Participant, message: Speaking) -> None:
        self._speakers.note(sender, message.speaking)

    def _react(self, sender: Participant, message: React) -> None:
        self._reactions.note(sender, message.reaction)

    def _mute(self, sender: Participant, message: Mute) -> None:
        person = self._people[message.participant]
        self._fire_sound(person, "held" if message.hold else "muted")
        self._speakers.note(person, False)
        person.send(Muted(by=sender.id, hold=message.hold))
        self._tell_person(person, sender, message.ref)

    def _unmute(self, sender: Participant, message: Unmute) -> None:
        person = self._people[message.participant]
        self._fire_sound(person, "unmuted")
        self._speakers.look_at(person)
        self._tell_person(person, sender, message.ref)

    def _fire_sound(self, person: Participant, trigger: str) -> None:
        step = SOUND.fire(person.sound, trigger, None)
        if not step.moved:
            return
        self._record.note(durable.SoundMoved(person.id, trigger))
        self._room.journal.took(SOUND.name, person.id, step, who=person.id)
        for name in person.streams:
            for view in self._room.streams[name].views.values():
                view.adapt()

    def _kick(self, sender: Participant | None, message: Kick) -> None:
        self._put_out(sender, message, "kicked")

    def _ban(self, sender: Participant | None, message: Ban) -> None:
        person = self._people[message.participant]
        seconds = self._room.settings.ban_seconds if message.seconds is None else message.seconds
        self._begin_ban(person.seat, person.name, person.subject, seconds)
        self._put_out(sender, message, "banned")
        self._tell_bans(self._moderators())
        waiting = [event for event in self.lobby.named(None) if self.bans(event.seat, event.credentials)]
        for event in waiting:
            self.lobby.refuse(event.seat.id, Refusal(ErrorCode.BANNED))
        if waiting:
            self.lobby.tell(self._moderators())

    def _begin_ban(self, seat: Seat[Any], name: str, subject: str | None, seconds: float) -> None:
        until = time.time_ns() // 1_000_000 + int(seconds * 1000)
        ban = durable.Banned(seat.id, name, seat.voice.address, until, subject)
        self._record.note(ban)
        self.put_ban(ban)

    def put_ban(self, ban: durable.Banned) -> None:
        """Somebody may not enter for a time."""
        if len(self._bans) >= self._room.settings.max_bans:
            # The one that would have ended first ends now.
            del self._bans[min(self._bans, key=lambda one: self._bans[one].ends)]
        left = ban.until / 1000 - time.time()
        self._bans[ban.person] = _Banned(ban.name, ban.address, trio.current_time() + left, ban.until, ban.subject)

    def bans_kept(self) -> list[durable.Banned]:
        """The bans, as they are kept."""
        return [
            durable.Banned(one, ban.name, ban.address, ban.until, ban.subject) for one, ban in self._bans.items()
        ]

    def drop_ban(self, person: str) -> None:
        """Somebody may enter again."""
        self._bans.pop(person, None)

    def _put_out(self, sender: Participant | None, message: Kick | Ban, trigger: str) -> None:
        person = self._people[message.participant]
        self.move(person, trigger)
        self._room.handle_now(Depart(person.seat, trigger, message.ref, put_out=True, by=sender))
        person.seat.take_away()
        self._log.info("put out", participant=person.id, by=None if sender is None else sender.id, how=trigger)

    def _unban(self, sender: Participant | None, message: Unban) -> None:
        self._record.note(durable.Unbanned(message.participant))
        self.drop_ban(message.participant)
        self._tell_bans(self._moderators(), sender, message.ref)

    def _set_role(self, sender: Participant | None, message: SetRole) -> None:
        person = self._people[message.participant]
        stands_in = sender is not None and sender.stands_in
        if not stands_in:
            person.given = message.role
        person.stands_in = stands_in and message.role.includes(Role.MODERATOR)
        self._change_role(person, message.role, sender, message.ref)
        self._promote(but=person)

    def _change_role(
        self, person: Participant, role: Role, sender: Participant | None = None, ref: Ref | None = None
    ) -> None:
        self._record.note(durable.GotRole(person.id, role, person.given, person.stands_in))
        person.role = role
        self._tell_person(person, sender, ref)
        self.tell_moderator(person)
        if not role.includes(Role.PRESENTER):
            for name in tuple(person.streams):
                self._room.handle_now(Revoked(self._room.streams[name]))

    def _become_moderator(self, person: Participant, _message: None) -> None:
        person.stands_in = True
        self._change_role(person, Role.MODERATOR)

    def _cease_to_moderate(self, person: Participant, _message: None) -> None:
        person.stands_in = False
        self._change_role(person, person.given)

    def _admit(self, sender: Participant, message: Admit) -> None:
        self._let_in(message.participant)
        self.lobby.tell(self._moderators(), sender, message.ref)

    def _let_in(self, named: str | None) -> None:
        for event in self.lobby.named(named):
            if self._has_place():
                self._let_in_now(event)

    def _let_in_now(self, event: Enter) -> None:
        """Let somebody enter who has waited, if the room's table does. Otherwise the person waits no longer."""
        self._room.handle_now(event)
        if event.refusal is not None:
            self.lobby.refuse(event.seat.id, event.refusal)

    def _deny(self, sender: Participant, message: Deny) -> None:
        if message.seconds is not None:
            for event in self.lobby.named(message.participant):
                self._begin_ban(event.seat, event.name, event.credentials.subject, message.seconds)
        self.lobby.refuse(message.participant, Refusal(ErrorCode.DENIED))
        self.lobby.tell(self._moderators(), sender, message.ref)
        if message.seconds is not None:
            self._tell_bans(self._moderators())

    def _configure(self, sender: Participant, message: Configure) -> None:
        rules: dict[str, Any] = {
            "lobby": message.lobby,
            "role": message.role,
            "listed": message.listed,
            "files": message.files,
        }
        changed = {name: rule for name, rule in rules.items() if rule is not None}
        self._record.note(durable.Configured(**changed))
        self.rules |= changed
        self._use_policy(replace(self._room.policy, **changed), sender, message.ref)

    def _tell_rules(self, sender: Participant | None, ref: Ref | None) -> None:
        policy = self._room.policy
        changed = RoomChanged(
            locked=self.locked,
            lobby=policy.lobby,
            newcomers=policy.role,
            listed=policy.listed,
            files=self._files.taken,
        )
        self._news.happened(changed, sender, ref=ref)

    def _move_door(self, sender: Participant | None, message: Any) -> None:
        self._fire_door(message_type(message))
        self._tell_rules(sender, message.ref)

    def _set_policy(self, _sender: Participant | None, message: SetPolicy) -> None:
        self._record.note(durable.PolicySet(message.policy))
        self.rules.clear()
        self._use_policy(message.policy, own=True)

    def _use_policy(
        self, policy: Policy, sender: Participant | None = None, ref: Ref | None = None, *, own: bool = False
    ) -> None:
        before = self._room.policy
        self._room.configure(policy, own=own)
        if policy.locked != before.locked:
            self._fire_door("lock" if policy.locked else "unlock")
        told = [(one.locked, one.lobby, one.role, one.listed, one.files) for one in (before, policy)]
        if sender is not None or told[0] != told[1]:
            self._tell_rules(sender, ref)
        if self.lobby and not policy.lobby:
            self._let_in(None)
            self.lobby.refuse(None, Refusal(ErrorCode.ROOM_FULL))
            self.lobby.tell(self._moderators())
        self._promote()

    def _fire_door(self, trigger: str) -> None:
        self._record.note(durable.DoorMoved(trigger))
        self.move_door(trigger)

    def _clear_chat(self, sender: Participant | None, message: ClearChat) -> None:
        self._forget_chat()
        self._news.happened(ChatCleared(), sender, ref=message.ref)

    def _forget_chat(self) -> None:
        self._record.note(durable.ChatCleared())
        self._chat.clear()

    def _delete_line(self, sender: Participant, message: DeleteLine) -> None:
        self._record.note(durable.LineDeleted(message.line))
        self._chat.delete(message.line)
        self._news.happened(LineDeleted(line=message.line), sender, ref=message.ref)

    def _close_room(self, sender: Participant, message: CloseRoom) -> None:
        self._log.info("closed", by=sender.id)
        self._room.handle_now(Close("moderator", by=sender, ref=message.ref))

    # Telling

    def _has_place(self) -> bool:
        free = self._room.settings.max_people - len(self._people)
        return free > 0 or seat_to_give(self._people.values()) is not None

    def _moderators(self) -> list[Participant]:
        return [person for person in self._people.values() if person.role.includes(Role.MODERATOR)]

    def _tell_person(self, person: Participant, sender: Participant | None = None, ref: Ref | None = None) -> None:
        self._news.changed(person.id, lambda: ParticipantChanged(participant=person.info()), sender, ref=ref)

    def tell_moderator(self, person: Participant) -> None:
        """Tell a moderator who is banned and who waits in the lobby, if anybody is or does."""
        if not person.role.includes(Role.MODERATOR):
            return
        if self._bans:
            self._tell_bans([person])
        if self.lobby:
            self.lobby.tell([person])

    def _tell_bans(
        self, people: list[Participant], sender: Participant | None = None, ref: Ref | None = None
    ) -> None:
        told = tuple(self.banned())
        tell(people, Bans(bans=told), sender, ref=ref)


def _claims_to_be_heard(message: RoomMessage, sender: Participant) -> bool:
    """Whether the message says that its sender is heard, or speaks, who is not heard."""
    match message:
        case Media(microphone=True):
            return not sender.may_turn_microphone_on
        case Speaking(speaking=True):
            return not sender.audible or sender.microphone is False
    return False
