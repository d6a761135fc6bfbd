"""A room: one task with an inbox, which puts each event to the lifecycle table and holds what its state owns.

Everything that happens to a room is an event in its inbox, and one task handles the events one after another. It
never waits while it handles one: whatever takes time (a media server's answer, a timer) is another task in the
room's nursery, which posts an event when it is done. So nothing changes in the room between the moment in which
the facts are counted for the table and the moment in which the effects are carried out.

The price is that an event may be out of date when its turn comes: the stream that failed may have been
unpublished, the person who asks may have lost the seat. Such an event is recognized by the identity of what it
speaks of (`_is_stale`), never by a name or an id, because those may have been given to something new meanwhile.

A room ends in two steps. In *closing* it releases its media, within a deadline, and keeps its people while the
notice lasts. Then its task ends: it takes no more events, answers those that still wait, and puts out whoever is
left, so that nobody waits for a room that is gone.

A room that turns out to be another server's (`Record.disowned`) ends in one step, and tells nobody: what has
happened in it last is not so at the other server.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

import trio

from roomfsm.access.credentials import Credentials
from roomfsm.access.policy import Policy
from roomfsm.files.shared_file import SharedFile
from roomfsm.files.store import KeepsFiles
from roomfsm.kurento.objects import PipelinePlace
from roomfsm.kurento.owner import Owner
from roomfsm.kurento.pool import MediaPool
from roomfsm.lifecycle.legality import for_client
from roomfsm.lifecycle.room import ROOM, SEAT_ASKED, RoomEffect, RoomFacts, room_trigger
from roomfsm.lifecycle.table import Model
from roomfsm.log import get_logger
from roomfsm.protocol.client import (
    Adjust,
    Candidate,
    Chat,
    EndStream,
    Media,
    React,
    Rename,
    Restart,
    Speaking,
    Unpublish,
    Unview,
    message_type,
)
from roomfsm.protocol.client import View as ViewMessage
from roomfsm.protocol.codec import Outgoing, error_of
from roomfsm.protocol.errors import ErrorCode, Refusal
from roomfsm.protocol.fields import Ref
from roomfsm.protocol.roles import Role
from roomfsm.protocol.server import (
    BanInfo,
    Closing,
    IceServer,
    ParticipantJoined,
    ParticipantLeft,
    StreamEnded,
    StreamStarted,
)
from roomfsm.rooms.allowance import UNBOUNDED, Entries, Rates, Share, Voice
from roomfsm.rooms.broadcast import Broadcast
from roomfsm.rooms.chat import ChatHistory
from roomfsm.rooms.come_back import ComingBack, SitterOf
from roomfsm.rooms.counts import Counts
from roomfsm.rooms.durable import Durable, Sat
from roomfsm.rooms.effects import Effects
from roomfsm.rooms.events import (
    Administer,
    Ask,
    Awaited,
    Away,
    Back,
    ChangePolicy,
    Close,
    Depart,
    Disowned,
    Drained,
    Enter,
    Event,
    Expire,
    FileArrived,
    HandOver,
    MediaLost,
    Revoked,
    RoomMessage,
    StreamFailed,
    Vacate,
    ViewFailed,
)
from roomfsm.rooms.facts import Budgets, facts_of, told_of, who_of
from roomfsm.rooms.journal import Journal, Sink
from roomfsm.rooms.legs import Stream, View
from roomfsm.rooms.moderation import Moderation
from roomfsm.rooms.news import News
from roomfsm.rooms.observers import Observers
from roomfsm.rooms.participant import Participant, Seat
from roomfsm.rooms.reactions import Reactions
from roomfsm.rooms.record import UNRECORDED, NotOurs, Record
from roomfsm.rooms.room_files import RoomFiles
from roomfsm.rooms.settings import RoomSettings
from roomfsm.rooms.snapshot import describe, place_of
from roomfsm.rooms.speaking import Speakers
from roomfsm.rooms.spread import KeptRelay

_LINGER_AGAIN = 1.0
"""The fewest seconds that an empty room lingers again because somebody waits in its lobby."""
_LAYERS = 3
"""A picture may be published in so many layers, if the media server takes several."""
_EVENTS = 64
_DELIVERIES = 500
"""The most events that a room handles in one turn, and the number of deliveries after which it stops. Then other
tasks have their turn, even if more events wait in the inbox."""


SHUTDOWN = "shutdown"
"""Why a room ends that may come back, without its streams."""
RESTARTING = "restarting"
"""Why a room ends that comes back with its streams."""


class RoomOver(Exception):
    """The room has ended. A new room of the same name can be opened."""


class Room:
    """One room. `run` is its task; everybody else only posts events to it."""

    def __init__(
        self,
        name: str,
        pool: MediaPool,
        settings: RoomSettings,
        write_journal: Sink | None = None,
        *,
        opened_by: tuple[str, str] = ("", ""),
        policy: Policy | None = None,
        own_policy: Policy | None = None,
        reserved: bool = False,
        counts: Counts | None = None,
        observers: Observers | None = None,
        files: KeepsFiles | None = None,
        record: Record = UNRECORDED,
        came_back: bool = False,
    ) -> None:
        self.name = name
        self.record = record
        """What outlives the server, and holds back what the room tells until then."""
        self.policy = own_policy or policy or Policy()
        """The policy with which the room was opened, or what a moderator or an administrator has made of it."""
        self.own_policy = own_policy
        """The policy that an administrator gave the room. It counts more than that of the settings."""
        self.reserved = reserved
        """Whether an administrator opened the room. Its place is not given to another room while it is empty."""
        self._server_settings = settings
        self.settings = settings = settings.under(self.policy)
        """The settings of this room, some of which are those of its policy."""
        self.opened_by = opened_by
        """The participant and the address that opened the room."""
        self.journal = Journal(name, settings, write_journal, counts, self.policy, came_back=came_back)
        self._tags = {"room": name}
        self.people: dict[str, Participant] = {}
        self.streams: dict[str, Stream] = {}
        self._model = ROOM.new()
        self.journal.begin(ROOM.name, None, self._model.state)
        self._pool = pool
        self._log = get_logger(__name__).bind(room=name)
        self._to_inbox, self._inbox = trio.open_memory_channel[Event](settings.room_inbox)
        self._nursery: trio.Nursery | None = None
        self._task_failed = False
        """Whether one of its tasks has failed, and not only been cancelled."""
        self._event: Event | None = None
        self._linger = trio.CancelScope()
        self._empty_since = trio.current_time()
        self.broadcast: Broadcast | None = None
        """The broadcast in which streams and views are opened; None in states that own none."""
        self._broadcasts: set[Broadcast] = set()
        self._less = trio.Event()
        """Set when a broadcast may have been released, or somebody may have left."""
        self._leave: dict[str, Callable[[], None]] = {
            "linger": lambda: self._linger.cancel(),
            "broadcast": self._end_broadcast,
            # The drain is a task of the room, and the room ends when it leaves this state.
            "drain": lambda: None,
        }
        self._enter: dict[str, Callable[[], None]] = {
            "linger": self._start_linger,
            "broadcast": self._start_broadcast,
            "drain": self._start_drain,
        }
        rates = Rates(settings.room_told_rate, settings.room_told_bytes, settings.told_seconds)
        entries = Entries(settings.room_entries_rate, settings.room_entries_burst)
        self._budgets = Budgets(Share(rates), entries)
        self._observers = observers or Observers()
        self._comes_back = False
        """Whether the room ends because the server does, and comes back with it."""
        self._drains = False
        """Whether the room releases its media."""
        self.ended_by = SHUTDOWN
        """Why the room ends, once it does. The server may end without asking it."""
        self._news = News(
            self.people,
            Rates(settings.room_changes_rate, UNBOUNDED.bytes, settings.told_seconds),
            partial(self._observers.happened, self),
        )
        self._files = files_of_room = RoomFiles(
            files, self.run_id, lambda: self.policy, self.journal, self._do_later, self._file_arrived
        )
        # What newcomers get can be answered, and its files can be fetched.
        lines = max(settings.chat_lines, settings.chat_history)
        self._chat = chat = ChatHistory(
            settings.chat_history, settings.chat_history_bytes, lines, files_of_room.forget_line
        )
        self._speakers = Speakers(self.people, settings.speaking_interval, self._do_later)
        self._reactions = Reactions(
            self.people, settings.speaking_interval, settings.reactions_at_once, self._do_later
        )
        self._moderation = Moderation(self, self._news, chat, files_of_room, self._speakers, self._reactions)
        self._effects = Effects(self, self._news, chat, files_of_room, self._moderation, self._speakers)
        record.on_disowned(self._learn_disowned)
        record.describe_by(partial(describe, self, self._moderation, chat, self._effects.lookalikes))

    def come_back(self, events: Sequence[Durable], sitter_of: SitterOf) -> None:
        """Put the room's durable events to the tables, before it runs. Raises `CannotComeBack`."""

        def sit(told: Sat) -> Seat[Any]:
            seat: Seat[Room] = Seat(sitter_of(told), record=self.record)
            seat.place_in(self)
            return seat

        coming = ComingBack(self, self._model, self._moderation, self._chat, self._effects.lookalikes, sit)
        coming.put(events)
        self.record.restore(coming.tokens)
        self.journal.begin(ROOM.name, None, self.state)
        if coming.media_at is not None and coming.streams:
            left = place_of(coming.media_at)
            self.broadcast = self._new_broadcast(left)
            self._effects.go_on(coming.streams.values(), coming.relays, coming.views)

    async def until_settled(self) -> None:
        """Returns when it is clear which streams and views of a room that came back go on."""
        if self.broadcast is not None:
            await self.broadcast.settled.wait()

    @property
    def run_id(self) -> str:
        """Another one each time that a room of this name is opened."""
        return self.journal.opened.run

    @property
    def state(self) -> str:
        """The state of the room's machine."""
        return self._model.state

    @property
    def told_state(self) -> str:
        """The name of that state in the protocol's messages."""
        return ROOM.state(self.state).told

    @property
    def media_server(self) -> str | None:
        """The address of the media server that holds the broadcast, if there is one."""
        return None if self.broadcast is None else self.broadcast.server_url

    @property
    def media_place(self) -> PipelinePlace | None:
        """Where the broadcast's pipeline is; None if there is none, or if the room releases it."""
        return None if self.broadcast is None or self._drains else self.broadcast.place

    @property
    def media_places(self) -> list[PipelinePlace]:
        """Where the broadcast's pipelines are, with those at other media servers, as `media_place`."""
        return [] if self.broadcast is None or self._drains else self.broadcast.places

    @property
    def kept_relays(self) -> list[KeptRelay]:
        """The relays that outlive the server."""
        return [] if self.broadcast is None else self.broadcast.kept_relays

    @property
    def media_owner(self) -> Owner | None:
        """This run of the server, as the owner of pipelines."""
        return self._pool.owner

    @property
    def layers(self) -> int | None:
        """In how many layers a picture may be published; None if in one."""
        return _LAYERS if self._pool.layered else None

    @property
    def idle_since(self) -> float | None:
        """When the room became empty (on trio's clock).

        None if it is not empty, if somebody is about to enter or waits in the lobby, or if it is `reserved`.
        """
        busy = self.waiting or self.reserved or self._moderation.lobby
        return None if busy or Vacate.trigger not in ROOM.legal(self.state) else self._empty_since

    @property
    def over(self) -> bool:
        """Whether the room is ending, and takes nobody in any more."""
        return not ROOM.rows_of(self.state, Enter.trigger)

    @property
    def knocking(self) -> int:
        """How many people wait in the lobby."""
        return len(self._moderation.lobby)

    @property
    def waiting(self) -> int:
        """How many events wait in the inbox."""
        return self._inbox.statistics().current_buffer_used

    @property
    def locked(self) -> bool:
        """Whether nobody but moderators may enter."""
        return self._moderation.locked

    @property
    def banned(self) -> list[BanInfo]:
        """Who is banned now."""
        return self._moderation.banned()

    def would_admit(self, brought: Credentials) -> tuple[Role, bool]:
        """The role of a stranger who would enter now with these credentials, and whether the stranger would wait.

        Raises the `Refusal` of the table.
        """
        enter = Enter(Seat(_Stranger()), "", None, credentials=brought)
        facts = facts_of(
            enter, self.people, self.streams, self._moderation, self._chat, self._files, self.settings
        )
        step = ROOM.fire(Model(self.state), enter.trigger, facts)
        return self._moderation.role_of(brought), RoomEffect.KNOCK in step.effects

    async def post(self, event: Event) -> None:
        """Put an event into the inbox, and wait while that is full. Raises `RoomOver`."""
        try:
            await self._to_inbox.send(event)
        except trio.BrokenResourceError:
            raise RoomOver(self.name) from None

    def post_nowait(self, event: Event) -> None:
        """Put an event into the inbox at once. Raises `RoomOver`, or `trio.WouldBlock` while it is full."""
        try:
            self._to_inbox.send_nowait(event)
        except trio.BrokenResourceError:
            raise RoomOver(self.name) from None

    async def request(
        self, event: Enter | Depart | Back | Administer | Close | HandOver | Vacate | FileArrived
    ) -> None:
        """Post an event and wait until it has been handled. Raises `Refusal` or `RoomOver`."""
        await self.post(event)
        await event.done.wait()
        if isinstance(event, Administer | FileArrived):
            # The reply, which comes by HTTP, does not wait in the record.
            await self.until_kept()
        if event.refusal is not None:
            raise event.refusal
        if not event.handled:
            raise RoomOver(self.name)

    async def until_kept(self) -> None:
        """Returns when everything is kept that has happened, or when it is clear that it is not.

        Raises `RoomOver` if the room goes on at another server.
        """
        try:
            await self.record.until_kept()
        except NotOurs:
            raise RoomOver(self.name) from None

    def _learn_disowned(self) -> None:
        # A room whose inbox is full will see it in its next turn.
        with suppress(RoomOver, trio.WouldBlock):
            self.post_nowait(Disowned())

    async def run(self, on_over: Callable[[], None]) -> None:
        """Run the room until its machine is in its final state.

        `on_over` is called as soon as the room takes no more events. The release of its media may take longer
        than that. An exception comes from a fault in the server itself, never from what a client sent.
        """
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            for resource in ROOM.state(self.state).owns:
                self._enter[resource]()
            self._observers.opened(self)
            for participant in self.people.values():
                # They have come back with the room.
                self._observers.happened(self, ParticipantJoined(participant=participant.info()), participant)
            for stream in self.streams.values():
                self._observers.happened(self, StreamStarted(stream=stream.info()), stream.participant)
            failed = False
            try:
                async for event in self._inbox:
                    self._take_turn(event)
                    if ROOM.state(self.state).final:
                        break
                    await self.record.until_not_full()
            except Exception:
                failed = True
                raise
            finally:
                # If a task of the room has failed, that has cancelled this one.
                failed = failed or self._task_failed
                if failed:
                    self.ended_by = "room_failed"
                    self.record.set_aside(f"the room failed at {self.handled.get('trigger', 'its start')}")
                self.record.end(forget=False)
                on_over()
                self._evacuate(failed)
                self.journal.end()
            nursery.cancel_scope.cancel()

    def _evacuate(self, failed: bool) -> None:
        """Put out everybody who is still in the room, and answer the events that still wait in the inbox."""
        with suppress(trio.WouldBlock):
            while True:
                with _settling(self._inbox.receive_nowait(), handled=False) as event:
                    # A newcomer is not refused: the directory opens a new room of this name instead. Nobody is
                    # refused if the room goes on elsewhere.
                    if not (isinstance(event, Enter) or self.record.disowned):
                        self.refuse(event, Refusal(ErrorCode.ROOM_CLOSED))
        self._inbox.close()
        for participant in tuple(self.people.values()):
            if failed or not self.over:
                participant.send(Closing(scope="room", reason="room_failed"))
            if self.record.disowned:
                participant.seat.send_on()
            else:
                participant.seat.take_away()
            for name in participant.streams:
                self._observers.happened(self, StreamEnded(stream=name, reason=self.ended_by), participant)
            left = ParticipantLeft(participant=participant.id, reason="room_closed")
            self._observers.happened(self, left, participant)
        self.people.clear()
        self._files.clear()
        if self.record.disowned:
            self._moderation.lobby.send_on()
        else:
            self._moderation.lobby.refuse(None, Refusal(ErrorCode.ROOM_CLOSED))
        # Nobody can have opened the room again before this is told.
        self._observers.ended(self, self.ended_by)

    def _take_turn(self, event: Event) -> None:
        """Handle an event and those that wait behind it, and then tell the people what has changed."""
        self._news.begin_turn()
        try:
            if self.record.disowned:
                # Whatever else waits in the inbox must not be handled here.
                with _settling(event, handled=False):
                    event = Disowned()
            self._handle(event)
            with suppress(trio.WouldBlock):
                for _ in range(_EVENTS):
                    # An event that starts a task ends the turn. Trio starts the tasks of one turn in no
                    # particular order, but their order must be that of the messages.
                    if not _starts_nothing(event) or self._news.deliveries > _DELIVERIES:
                        break
                    if self.record.full:
                        break
                    if ROOM.state(self.state).final:
                        break
                    event = self._inbox.receive_nowait()
                    self._handle(event)
        finally:
            self._news.end_turn(self._tell_changes_later)

    def _tell_changes_later(self, seconds: float) -> None:
        self._do_later(seconds, self._news.tell_changes)

    def _do_later(self, seconds: float, do: Callable[[], None]) -> trio.CancelScope:
        """Do something after so many seconds, unless the scope that this returns is cancelled before."""
        scope = trio.CancelScope()

        async def wait() -> None:
            with scope:
                await trio.sleep(seconds)
                do()

        self._start_task(wait)
        return scope

    def _start_task(self, work: Callable[[], Awaitable[None]]) -> None:
        """Start a task of the room. If it fails, the room does."""
        assert self._nursery is not None

        async def run() -> None:
            try:
                await work()
            except* Exception:
                self._task_failed = True
                raise

        self._nursery.start_soon(run)

    @property
    def handled(self) -> dict[str, str]:
        """What the room handles or handled last: its trigger, who caused it, and the client's message."""
        event = self._event
        if event is None:
            return {}
        told = {"trigger": event.trigger, "session": who_of(event)}
        if isinstance(event, Ask):
            told |= {"message": message_type(event.message), "ref": _text(event.message.ref)}
        return {name: value for name, value in told.items() if value is not None}

    def _handle(self, event: Event) -> None:
        self._event = event
        with _settling(event, handled=True):
            if self._is_stale(event):
                self.refuse(event, Refusal(ErrorCode.ROOM_CLOSED))
                return
            if isinstance(event, ChangePolicy):
                try:
                    event.settle(self.policy)
                except Refusal as refusal:
                    self.refuse(event, refusal)
                    return
            now = trio.current_time()
            said = self._budgets.said_by(event, now)
            within_rates = said is None or said.may(now)
            who, message = who_of(event), told_of(event, self.journal, self._server_settings)
            facts = facts_of(
                event,
                self.people,
                self.streams,
                self._moderation,
                self._chat,
                self._files,
                self.settings,
                within_rates=within_rates,
                reserved=self.reserved,
                keeps=self.record.keeps,
            )
            state = self.state
            try:
                step = ROOM.fire(self._model, room_trigger(event.trigger), facts)
            except Refusal as refusal:
                self.journal.refused(
                    ROOM.name, None, event.trigger, state, refusal, who=who, message=message, facts=facts
                )
                self.refuse(event, refusal)
                return
            if isinstance(event, Ask) and step.trigger == SEAT_ASKED:
                if self._moderation.take(event, message, within_rates=within_rates) and said is not None:
                    said.use(now)
                return
            if isinstance(event, Administer):
                self._moderation.administer(event, message)
                return
            if said is not None:
                said.use(now)
            self.journal.took(ROOM.name, None, step, who=who, message=message, facts=facts)
            if isinstance(event, Close | HandOver | Expire | Vacate | Disowned):
                self.ended_by = event.reason if isinstance(event, Close | HandOver) else event.trigger
                self._comes_back = isinstance(event, Close) and event.with_server
            # The effects may need the resources of the new state (a broadcast for the first stream) and those of
            # the old one. So we enter the new ones before the effects, and leave the old ones after them.
            for resource in step.entered:
                self._enter[resource]()
            for effect in step.effects:
                self._effects.carry_out(effect, event)
            for resource in step.left:
                self._leave[resource]()
            if step.told_anew:
                self._effects.tell_state(step)
            self._end_if_drained()

    def handle_now(self, event: Event) -> None:
        """Handle an event that follows from the present one."""
        self._handle(event)

    def configure(self, policy: Policy, *, own: bool = False) -> None:
        """Use this policy from now on. People who are in the room stay, even if it would not let them in.

        `own` says that an administrator gives the room this policy, so that it no longer has that of the settings.
        """
        self.policy = policy
        if own:
            self.own_policy = policy
        self.settings = self._server_settings.under(policy)
        if self._nursery is not None and "linger" in ROOM.state(self.state).owns:
            # The room runs, and the time in which somebody must come begins anew.
            self._leave["linger"]()
            self._enter["linger"]()

    def _end_if_drained(self) -> None:
        self._less.set()
        step = ROOM.follow(
            self._model,
            Drained.trigger,
            lambda: RoomFacts(
                people=len(self.people),
                held=len(self._broadcasts),
                notice=self.settings.closing_notice > 0,
            ),
        )
        if step is not None:
            self.journal.took(ROOM.name, None, step)

    def _is_stale(self, event: Event) -> bool:
        """Whether the event is about something that has ended since the event was posted."""
        match event:
            case StreamFailed(stream=stream) | Revoked(stream=stream):
                return self.streams.get(stream.id) is not stream
            case ViewFailed(view=view):
                return self._view_of(view.participant, view.id) is not view
            case MediaLost(broadcast=broadcast):
                return self.broadcast is not broadcast
            case FileArrived(file=file):
                return file.over
            case Expire(linger=linger):
                # The time may have been over just before somebody came, or before the room closed.
                return linger is not self._linger or linger.cancel_called
            case Vacate():
                return bool(self.people)
            case Depart(seat=seat) if self._moderation.lobby.holds(seat):
                return False
            case Ask(seat=seat) | Depart(seat=seat) | Away(seat=seat) | Back(seat=seat):
                return not self._holds(seat)
        return False

    def _holds(self, seat: Seat[Room]) -> bool:
        person = self.people.get(seat.id)
        return person is not None and person.seat is seat

    def _view_of(self, viewer: Participant, name: str) -> View | None:
        stream = self.streams.get(name)
        return None if stream is None else stream.views.get(viewer.id)

    def refuse(self, event: Event, refusal: Refusal) -> None:
        """Tell the sender of the event that it was refused, if the sender waits for an answer."""
        match event:
            case Ask(seat=seat, message=message):
                asked = message_type(message)
                told = for_client(refusal, asked, seat.sitter.state, self.state)
                seat.tell(Outgoing(error_of(told, message.ref, asked, stream=_stream_of(message))))
            case Enter() | Back() | Administer() | FileArrived():
                event.refusal = refusal
            case _:
                self._log.debug("event out of date", trigger=event.trigger, state=self.state)

    # What states own

    def _start_linger(self) -> None:
        self._linger = scope = trio.CancelScope()
        self._empty_since = trio.current_time()

        async def linger() -> None:
            with scope:
                await trio.sleep(self.settings.linger)
                # The room ends, unless somebody waits in its lobby. Then it lingers again.
                while True:
                    await self.post(Expire(scope))
                    await trio.sleep(max(self.settings.linger, _LINGER_AGAIN))

        self._start_task(linger)

    def _new_broadcast(self, left: PipelinePlace | None = None) -> Broadcast:
        return Broadcast(
            self._pool,
            self._tags,
            self.settings,
            self.journal,
            self._leg_failed,
            self._effects.note_relay,
            left,
        )

    def _start_broadcast(self) -> None:
        # A room that came back may have one already.
        broadcast = self.broadcast or self._new_broadcast()
        self.broadcast = broadcast
        self._broadcasts.add(broadcast)

        async def hold() -> None:
            try:
                reason = await broadcast.run()
            finally:
                self._broadcasts.discard(broadcast)
                self._less.set()
            if reason is not None:
                await self.post(MediaLost(broadcast, reason))

        self._start_task(hold)

    async def _leg_failed(self, leg: Stream | View, refusal: Refusal) -> None:
        await self.post(ViewFailed(leg, refusal) if isinstance(leg, View) else StreamFailed(leg, refusal))

    async def _file_arrived(self, file: SharedFile) -> None:
        await self.request(FileArrived(file))

    def _end_broadcast(self) -> None:
        assert self.broadcast is not None
        self.broadcast.end()
        self.broadcast = None

    def _start_drain(self) -> None:
        self._drains = True
        if self._comes_back:
            # The room comes back without its streams, which end after this.
            self._effects.note_that_streams_end()
        self.record.end(forget=not self._comes_back)

        async def drain() -> None:
            over = trio.current_time() + self.settings.closing_notice
            with trio.move_on_after(self.settings.closing_deadline):
                await self._until_less(lambda: not self._broadcasts)
            if self._broadcasts:
                self._log.error("endpoints not released in time", broadcasts=len(self._broadcasts))
            with trio.move_on_at(over):
                await self._until_less(lambda: not self.people)
            with suppress(RoomOver):
                await self.post(Drained())

        self._start_task(drain)

    async def _until_less(self, gone: Callable[[], bool]) -> None:
        while not gone():
            self._less = trio.Event()
            await self._less.wait()


class _Stranger:
    """Somebody of whom nothing is known. Implements `Sitter`."""

    participant_id = ""
    state = ""
    outbox = (0, 0)
    expected = False
    ear = None
    resume_hashes = ()
    voice = Voice("", "", UNBOUNDED)

    def ice_servers(self) -> tuple[IceServer, ...]:
        return ()

    def hear(self, outgoing: Outgoing) -> None:
        """Nobody listens."""

    def admitted(self) -> None:
        """Nobody is there."""

    def put_out(self) -> None:
        """Nobody is there."""

    def sent_on(self) -> None:
        """Nobody is there."""


async def give_up(seat: Seat[Room], reason: str, ref: Ref | None = None) -> None:
    """Leave the room that the seat is in. If the room ended first, it has put everybody out already."""
    seat.hears_news = False
    with suppress(RoomOver):
        await seat.room.request(Depart(seat, reason, ref))


def _starts_nothing(event: Event) -> bool:
    return isinstance(event, Away | Back) or (
        isinstance(event, Ask) and isinstance(event.message, Chat | Rename | Media | Speaking | React)
    )


@contextmanager
def _settling(event: Event, handled: bool) -> Iterator[Event]:
    """End the sender's wait for the event in any case, even if handling it raises an exception."""
    try:
        yield event
        if isinstance(event, Awaited):
            event.handled = handled
    finally:
        if isinstance(event, Awaited):
            event.done.set()


def _text(ref: Ref | None) -> str | None:
    return None if ref is None else str(ref)


def _stream_of(message: RoomMessage) -> str | None:
    match message:
        case (
            Unpublish(stream=stream)
            | EndStream(stream=stream)
            | ViewMessage(stream=stream)
            | Unview(stream=stream)
            | Adjust(stream=stream)
            | Candidate(stream=stream)
            | Restart(stream=stream)
        ):
            return stream
    return None
