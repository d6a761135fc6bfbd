"""Runs a room again: everything that came from outside is repeated at its time, and the results are compared.

If the beginning of a run is missing, the room cannot run again. Then each of its steps is checked against the
tables only.
"""

from __future__ import annotations

import itertools
import math
import traceback
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import trio

from roomfsm.access.credentials import Credentials
from roomfsm.access.policy import PolicyFault
from roomfsm.lifecycle.administrator import ADMINISTRATOR
from roomfsm.lifecycle.describe import MACHINES
from roomfsm.lifecycle.file import FILE, FileFacts
from roomfsm.lifecycle.legality import MESSAGE_TYPES, judge
from roomfsm.lifecycle.relay import RELAY
from roomfsm.lifecycle.room import ADMINISTERED, ROOM
from roomfsm.lifecycle.seat import SEAT
from roomfsm.lifecycle.session import SESSION, SessionFacts
from roomfsm.lifecycle.table import Model
from roomfsm.protocol.client import ClientMessage
from roomfsm.protocol.errors import ErrorCode, IllegalInState, Refusal
from roomfsm.protocol.roles import Role
from roomfsm.replay.clock import ReplayClock
from roomfsm.replay.files import ReplayedFiles
from roomfsm.replay.people import ReplayedPerson
from roomfsm.replay.runs import Run
from roomfsm.rooms.events import (
    OPERATIONS,
    Administer,
    Ask,
    Away,
    Back,
    Close,
    Depart,
    Drained,
    Enter,
    Event,
    FileArrived,
    HandOver,
    SetPolicy,
    StreamFailed,
    Vacate,
    ViewFailed,
)
from roomfsm.rooms.facts import ToldPolicy
from roomfsm.rooms.journal import Entry, Refused, facts_told, refused_for, seat_facts_told
from roomfsm.rooms.legs import Leg
from roomfsm.rooms.room import Room, RoomOver
from roomfsm.testing import FakeMedia

_MANY = 1_000_000
"""The value of limits that a replay must never reach."""
_OUTSIDE = (ErrorCode.RATE_LIMITED, ErrorCode.NO_FILES, ErrorCode.FILE_TOO_LARGE, ErrorCode.FILES_FULL)
"""Codes of refusals that depend on what the journal does not have: what else happens on the server."""
_LATER = 1.0
"""Seconds after the last entry within which a room that ended must end again, in addition to its own deadlines."""


@dataclass(frozen=True, slots=True)
class Difference:
    """The first difference to today's code. `today` is None if today's code does nothing."""

    then: Entry | None
    today: Entry | None
    why: str | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of replaying one run.

    `lived` says that the code of the rooms ran, and not only the tables were checked.
    """

    run: Run
    steps: int
    lived: bool
    difference: Difference | None


def replay(run: Run) -> Outcome:
    """Run one room again. This must not be called inside a Trio program."""
    if not run.whole:
        return _ask_tables(run)
    clock = ReplayClock()
    return trio.run(_Life(run, clock).run, clock=clock)


class _Life:
    """The room of one run, which runs again."""

    def __init__(self, run: Run, clock: ReplayClock) -> None:
        assert run.opened is not None
        self._run = run
        self._clock = clock
        self._opened = run.opened
        # Its media servers answer, and release a closing room's pipeline, at the times in the journal.
        self._media = FakeMedia(answers=False, event_buffer=_MANY)
        self._changes_of_layers = itertools.count()
        self._media.releasing_pipelines.shut()
        self._people: dict[str, ReplayedPerson] = {}
        self._offers = 0
        self._files = ReplayedFiles()
        self._legs: dict[str, Leg] = {}
        """The newest leg of each key."""
        self._failed: str | None = None

    async def run(self) -> Outcome:
        settings = replace(
            self._opened.settings,
            journal_file=None,
            journal_entries=len(self._run.entries) + 100,
            # Everything in the journal was told. But the journal does not say how fast a media server takes
            # candidates and restarts, how much people of an address sent in other rooms, or from which address
            # they come.
            journal_refusals=_MANY,
            candidate_buffer=_MANY,
            restart_rate=_MANY,
            restart_buffer=_MANY,
            # The journal also says when a browser did not connect in time, and when its room heard of that.
            connect_timeout=_MANY,
            # There is one media server. What relays did is in the journal.
            views_per_media_server=0,
            room_told_rate=_MANY,
            room_told_bytes=_MANY,
            room_entries_burst=_MANY,
            # Events stay in the inbox for a moment only.
            room_inbox=_MANY,
        )
        self._began = trio.current_time()
        self._room = Room(
            self._opened.room, self._media.pool, settings, policy=self._opened.policy, files=self._files
        )
        over = trio.Event()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._run_room, over)
            await self._clock.quiet()
            done, difference = 0, None
            for entry in self._run.entries:
                difference = await self._compare(entry)
                if difference is not None:
                    break
                done += 1
            if difference is None:
                difference = await self._compare_end(over)
            nursery.cancel_scope.cancel()
            self._media.releasing_pipelines.open()
        return Outcome(self._run, done, True, difference)

    async def _run_room(self, over: trio.Event) -> None:
        def on_over() -> None:
            over.set()
            if not self._room.over:
                # The room fails. It would wait for media servers, but the journal has gone on.
                self._media.releasing_pipelines.open()

        try:
            await self._room.run(on_over)
        except Exception as error:  # noqa: BLE001 (a boundary)
            # As in the directory, only this room fails. Here the failure is the result.
            self._failed = (
                f"today the room fails: {traceback.format_exception_only(_innermost(error))[-1].strip()}"
            )

    async def _compare(self, entry: Entry) -> Difference | None:
        if entry.trigger == "dismissed" and ROOM.state(self._room.state).final:
            # Earlier servers recorded that people heard of the end of their room.
            return None
        if self._room.journal.seq < entry.seq:
            why = await self._again(entry) or self._failed
            if why is not None:
                return Difference(entry, None, why)
        today = next((e for e in self._room.journal.since(entry.seq - 1) if e.seq == entry.seq), None)
        return None if today is not None and _alike(entry, today) else Difference(entry, today)

    async def _compare_end(self, over: trio.Event) -> Difference | None:
        last = len(self._run.entries)
        if self._run.ended is not None:
            self._media.releasing_pipelines.open()
            settings = self._opened.settings
            self._jump(self._run.ended.at + settings.closing_deadline + settings.closing_notice + _LATER)
            await self._clock.quiet()
            if not over.is_set():
                return Difference(None, None, f"the room ended, and today goes on, {self._room.state}")
        more = self._room.journal.since(last)
        return Difference(None, more[0]) if more else None

    def _jump(self, at: float) -> None:
        ahead = self._began + at - trio.current_time()
        if ahead > 0 and math.isfinite(ahead):
            self._clock.jump(ahead)

    async def _again(self, entry: Entry) -> str | None:
        """Repeat the cause of the entry, unless the room itself caused it.

        Returns why it cannot be repeated; None if it can.
        """
        try:
            why = self._cause(entry)
        except Refusal as refusal:
            why = f"today refuses: {refusal}"
        if why is not None:
            return why
        following = self._run.entries[entry.seq : entry.seq + 1]
        if any(one.trigger == Drained.trigger for one in (entry, *following)):
            # Only the journal knows when everything that a closing room waited for had been released.
            self._media.releasing_pipelines.open()
        # The cause is in the inbox before any timer that is due by then.
        self._jump(entry.at)
        await self._clock.quiet()
        for stream in self._room.streams.values():
            for leg in (stream, *stream.views.values()):
                self._legs[leg.key] = leg
        return None

    def _cause(self, entry: Entry) -> str | None:
        match entry:
            case Entry(machine="room", trigger="expire" | Drained.trigger):
                # The room does this by itself.
                pass
            case Entry(machine="session", refused=None, who=str(who)):
                self._person(who).moves(entry.trigger, entry.dest)
            case Entry(machine="session", who=str(who)):
                self._refused_session(entry, self._person(who))
            case Entry(machine="room", trigger="vacate"):
                return self._post_event(Vacate())
            case Entry(machine="room", trigger="media_lost"):
                for pipeline in self._media.pipelines:
                    pipeline.lost.set()
            case Entry(machine="room", refused=Refused(code=code) as refused) if code in _OUTSIDE:
                refusal = Refusal(refused.code, refused.detail)
                self._room.journal.refused(ROOM.name, None, entry.trigger, entry.source, refusal, who=entry.who)
            case Entry(machine="seat", refused=Refused(code=ErrorCode.RATE_LIMITED) as refused):
                refusal = Refusal(refused.code, refused.detail)
                self._room.journal.refused(
                    SEAT.name, entry.id, entry.trigger, entry.source, refusal, who=entry.who
                )
            case Entry(machine="seat") if entry.trigger in MESSAGE_TYPES:
                return self._post(entry)
            case Entry(machine=FILE.name):
                return self._files.does(entry.id or "", entry.trigger)
            case Entry(machine=ADMINISTRATOR.name):
                return self._post(entry)
            case Entry(machine="room"):
                return self._post(entry)
            case Entry(machine=RELAY.name):
                self._relay_moves(entry)
            case Entry(trigger="candidate", refused=Refused(code=ErrorCode.TOO_MANY_CANDIDATES)):
                self._refused_candidate(entry)
            case Entry(trigger="answered" | "connected" | "flowing" | "silent" | "narrow" | "wide" | "layers"):
                return self._media_does(entry)
        return None

    def _relay_moves(self, entry: Entry) -> None:
        """Let the table take the trigger. Here is one media server only, so nothing is relayed."""
        model = RELAY.new()
        model.state = entry.source
        step = RELAY.fire(model, entry.trigger, None)
        self._room.journal.took(RELAY.name, entry.id, step, final=RELAY.state(step.dest).final)

    def _person(self, who: str) -> ReplayedPerson:
        if who not in self._people:
            self._people[who] = ReplayedPerson(who, self._room.journal)
        return self._people[who]

    def _post(self, entry: Entry) -> str | None:
        event = self._event(entry)
        return event if isinstance(event, str) else self._post_event(event)

    def _post_event(self, event: Event) -> str | None:
        try:
            self._room.post_nowait(event)
        except RoomOver:
            return "the room is over"
        return None

    def _event(self, entry: Entry) -> Event | str:
        told: dict[str, Any] = entry.message or {}
        if entry.trigger == "close":
            return Close(str(told.get("reason", "")))
        if entry.trigger == "hand_over":
            return HandOver(str(told.get("reason", "")))
        if ADMINISTRATOR.name == entry.machine or entry.trigger == ADMINISTERED:
            return self._administered(told)
        if entry.who is None:
            return f"the journal does not tell whose {entry.trigger!r} it was"
        person = self._person(entry.who)
        match entry.trigger:
            case "join":
                state = str(told.get("session", SESSION.initial))
                person.voice.address = str(told.get("address", ""))
                seat = person.asks_for_seat(state) if entry.refused is None else person.last_seat
                brought = Credentials(
                    has_token=bool(told.get("hasToken", True)),
                    knows_password=bool(told.get("knowsPassword", True)),
                    role=msgspec.convert(told.get("role"), Role | None),
                )
                return Enter(seat, str(told.get("name", "")), None, str(told.get("type", "join")), brought)
            case "leave":
                return Depart(person.last_seat, str(told.get("reason", "")))
            case "away":
                person.voice.address = str(told.get("address", ""))
                return Away(person.last_seat)
            case "back":
                return Back(person.last_seat, None)
            case "stream_failed" | "view_failed":
                return self._failure(entry, told)
            case FileArrived.trigger:
                complete = entry.refused is None or entry.refused.code is not ErrorCode.FILE_INCOMPLETE
                file = self._files.whole(str(told.get("file")), str(told.get("mediaType")), complete=complete)
                return f"today there is no file {told.get('file')}" if file is None else FileArrived(file)
        if entry.trigger not in MESSAGE_TYPES:
            return f"today's rooms know no {entry.trigger!r}"
        return self._message(person, told)

    def _message(self, person: ReplayedPerson, told: dict[str, Any]) -> Event | str:
        message = dict(told)
        if "sdp" in message:
            self._offers += 1
            message["sdp"] = f"offer {self._offers}"
        # A candidate's fragment would have to be that of the offer, which is not in the journal.
        message.pop("usernameFragment", None)
        try:
            decoded: Any = msgspec.convert(message, ClientMessage)
        except msgspec.ValidationError as error:
            return f"today's protocol does not take the message: {error}"
        return Ask(person.last_seat, decoded)

    def _administered(self, told: dict[str, Any]) -> Event | str:
        message: Any
        try:
            if told.get("type") == "configure":
                message = SetPolicy(msgspec.convert(told.get("policy"), ToldPolicy).policy())
            else:
                message = msgspec.convert(told, ClientMessage)
        except (msgspec.ValidationError, PolicyFault) as error:
            return f"today's administrators cannot ask for this: {error}"
        if type(message) not in OPERATIONS:
            return f"today's administrators cannot ask for {told.get('type')!r}"
        return Administer(message)

    def _failure(self, entry: Entry, told: dict[str, Any]) -> Event | str:
        stream = self._room.streams.get(str(told.get("stream")))
        refusal = Refusal(ErrorCode.MEDIA_FAILED, str(told.get("detail", "")))
        if stream is None:
            return f"today there is no stream {told.get('stream')}"
        if entry.trigger == "stream_failed":
            return StreamFailed(stream, refusal)
        view = stream.views.get(str(entry.who))
        return f"today {entry.who} has no view of {stream.id}" if view is None else ViewFailed(view, refusal)

    def _media_does(self, entry: Entry) -> str | None:
        leg = self._legs.get(entry.id or "")
        endpoint = None if leg is None else self._media.by_offer.get(leg.offer)
        if leg is None or endpoint is None:
            return f"today there is no {entry.machine} {entry.id}"
        if leg.table.state(leg.state).final:
            # Its endpoint sent this while it was being released. In a replay nobody listens then.
            leg.fire(entry.trigger)
        elif entry.trigger == "answered":
            endpoint.answering.open()
        elif entry.trigger == "connected":
            endpoint.connects()
        elif entry.trigger in ("narrow", "wide"):
            endpoint.pauses(entry.trigger == "narrow")
        elif entry.trigger == "layers":
            # The journal does not say which they were, only that they changed.
            endpoint.wants(str(next(self._changes_of_layers)))
        else:
            endpoint.flows(entry.trigger == "flowing")
        return None

    def _refused_candidate(self, entry: Entry) -> None:
        leg = self._legs.get(entry.id or "")
        if leg is not None:
            refusal = Refusal(ErrorCode.TOO_MANY_CANDIDATES)
            self._room.journal.refused(
                leg.table.name, leg.key, entry.trigger, leg.state, refusal, who=leg.participant.id
            )

    def _refused_session(self, entry: Entry, person: ReplayedPerson) -> None:
        """Check a message that never reached the room with today's tables, and write the result into today's
        journal.
        """
        refused = entry.refused
        assert refused is not None
        refusal: Refusal
        if refused.code is not ErrorCode.ILLEGAL_IN_STATE:
            refusal = Refusal(refused.code, refused.detail)
        else:
            try:
                judge(entry.trigger, person.state, self._room.state)
            except IllegalInState as today:
                refusal = today
            else:
                raise Refusal(ErrorCode.ILLEGAL_IN_STATE, f"nothing, and {entry.trigger!r} is legal")
        me = person.participant_id
        self._room.journal.refused(SESSION.name, me, entry.trigger, person.state, refusal, who=me)


def _innermost(error: BaseException) -> BaseException:
    return _innermost(error.exceptions[0]) if isinstance(error, BaseExceptionGroup) else error


def _alike(then: Entry, today: Entry) -> bool:
    """Whether two entries are the same except for their times."""
    if (then.machine, then.id, then.who, then.trigger) != (today.machine, today.id, today.who, today.trigger):
        return False
    if (then.source, then.dest, then.effects) != (today.source, today.dest, today.effects):
        return False
    if then.refused is None or today.refused is None:
        return then.refused is today.refused
    return (then.refused.code, then.refused.machine, then.refused.state) == (
        today.refused.code,
        today.refused.machine,
        today.refused.state,
    )


def _ask_tables(run: Run) -> Outcome:
    """Check each step with today's tables, from the state in which it was taken."""
    for number, entry in enumerate(run.entries):
        today = _table_says(entry)
        if today is not None and not _alike(entry, today):
            return Outcome(run, number, False, Difference(entry, today))
    return Outcome(run, len(run.entries), False, None)


def _table_says(entry: Entry) -> Entry | None:
    """The entry that today's table would produce; None if no table decides it."""
    table = MACHINES.get(entry.machine)
    by_table = entry.refused is None or entry.refused.code is ErrorCode.ILLEGAL_IN_STATE or entry.facts is not None
    if table is None or not by_table or entry.trigger not in (*table.triggers, *MESSAGE_TYPES):
        return None
    if entry.machine == SESSION.name and entry.refused is not None:
        # The states of the session and of the room together refused it, and the entry has only one of them.
        return None
    facts: Any = None
    if entry.machine == ROOM.name:
        facts = facts_told(entry.facts or {})
    elif entry.machine == SEAT.name:
        facts = seat_facts_told(entry.facts or {})
    elif entry.machine == SESSION.name:
        facts = SessionFacts()
    elif entry.machine == FILE.name:
        facts = FileFacts()
    model = Model(entry.source)
    try:
        step = table.fire(model, entry.trigger, facts)
    except Refusal as refusal:
        return msgspec.structs.replace(entry, dest=entry.source, effects=(), refused=refused_for(refusal))
    return msgspec.structs.replace(entry, dest=step.dest, effects=step.effects, refused=None)
