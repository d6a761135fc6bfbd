"""A room: one task with an inbox, which puts each event to the lifecycle table and holds what its state owns."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import trio

from roomfsm.kurento.pool import MediaPool
from roomfsm.lifecycle.legality import for_client
from roomfsm.lifecycle.room import ROOM, RoomFacts
from roomfsm.lifecycle.session import SESSION
from roomfsm.log import get_logger
from roomfsm.protocol.client import Candidate, Chat, Rename, Unpublish, Unview, message_type
from roomfsm.protocol.client import View as ViewMessage
from roomfsm.protocol.codec import Outgoing, error_of
from roomfsm.protocol.errors import ErrorCode, Refusal
from roomfsm.protocol.fields import Ref
from roomfsm.protocol.server import Closing
from roomfsm.rooms.allowance import UNBOUNDED, Entries, Rates, Share
from roomfsm.rooms.broadcast import Broadcast
from roomfsm.rooms.effects import Effects
from roomfsm.rooms.events import (
    Ask,
    Awaited,
    Away,
    Back,
    Depart,
    Drained,
    Enter,
    Event,
    Expire,
    MediaLost,
    RoomMessage,
    StreamFailed,
    Vacate,
    ViewFailed,
)
from roomfsm.rooms.facts import Budgets, facts_of, told_of, who_of
from roomfsm.rooms.journal import Journal, Sink
from roomfsm.rooms.legs import Stream, View
from roomfsm.rooms.news import News
from roomfsm.rooms.participant import Participant, Seat
from roomfsm.rooms.settings import RoomSettings

_EVENTS = 64
_DELIVERIES = 500
"""Events of a room's turn, and what it may tell: then others have theirs, whatever still waits in the inbox."""


class RoomOver(Exception):
    """The room has ended; a room of that name can be opened anew."""


class Room:
    """One room. `handle` decides without waiting; whatever waits is a task in the room's nursery."""

    def __init__(
        self,
        name: str,
        pool: MediaPool,
        settings: RoomSettings,
        write_journal: Sink | None = None,
        *,
        opened_by: tuple[str, str] = ("", ""),
    ) -> None:
        self.name = name
        self.opened_by = opened_by
        """The participant and the address that opened it."""
        self.journal = Journal(name, settings, write_journal)
        self._tags = {"room": name}
        self.people: dict[str, Participant] = {}
        self.streams: dict[str, Stream] = {}
        self._model = ROOM.new()
        self.journal.begin(ROOM.name, None, self._model.state)
        self._pool = pool
        self._settings = settings
        self._log = get_logger(__name__).bind(room=name)
        self._to_inbox, self._inbox = trio.open_memory_channel[Event](settings.room_inbox)
        self._nursery: trio.Nursery | None = None
        self._linger = trio.CancelScope()
        self._empty_since = trio.current_time()
        self.broadcast: Broadcast | None = None
        """Held while the state owns one: streams and views are opened in it."""
        self._broadcasts: set[Broadcast] = set()
        self._less = trio.Event()
        """Set when something may have been released, or somebody may have gone."""
        self._leave: dict[str, Callable[[], None]] = {
            "linger": lambda: self._linger.cancel(),
            "broadcast": self._end_broadcast,
            # It is a task of the room, which is over with it.
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
        self._news = News(self.people, Rates(settings.room_changes_rate, UNBOUNDED.bytes, settings.told_seconds))
        self._effects = Effects(self, self._news, settings)

    @property
    def state(self) -> str:
        """The state of the room's machine."""
        return self._model.state

    @property
    def told_state(self) -> str:
        """The name by which the protocol tells of that state."""
        return ROOM.state(self.state).told

    @property
    def media_server(self) -> str | None:
        """The address of the media server that holds the broadcast, if there is one."""
        return None if self.broadcast is None else self.broadcast.server_url

    @property
    def idle_since(self) -> float | None:
        """Since when the room has been empty (on trio's clock), and nobody is about to come; else None."""
        return None if self.waiting or Vacate.trigger not in ROOM.legal(self.state) else self._empty_since

    @property
    def over(self) -> bool:
        """Whether the room is ending, and takes nobody in any more."""
        return not ROOM.rows_of(self.state, Enter.trigger)

    @property
    def waiting(self) -> int:
        """How many events wait in the inbox."""
        return self._inbox.statistics().current_buffer_used

    async def post(self, event: Event) -> None:
        """Put an event into the inbox, waiting while it is full. Raises `RoomOver`."""
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

    async def request(self, event: Enter | Depart | Back | Vacate) -> None:
        """Post an event and wait until it was handled. Raises `Refusal` or `RoomOver`."""
        try:
            await self.post(event)
        except RoomOver:
            event.done.set()
            raise
        await event.done.wait()
        if event.refusal is not None:
            raise event.refusal
        if not event.handled:
            raise RoomOver(self.name)

    async def run(self, on_over: Callable[[], None]) -> None:
        """Be the room, until its machine is in its final state.

        `on_over` is called when it takes nothing more; a release that hangs may outlast that. Raises what a
        fault of ours raised.
        """
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            self._start_linger()
            failed = False
            try:
                async for event in self._inbox:
                    self._take_turn(event)
                    if ROOM.state(self.state).final:
                        break
            except Exception:
                failed = True
                raise
            finally:
                on_over()
                self._evacuate(failed)
                self.journal.end()
            nursery.cancel_scope.cancel()

    def _evacuate(self, failed: bool) -> None:
        """Put out whoever is still in, and answer what still waits: nobody waits for ever."""
        with suppress(trio.WouldBlock):
            while True:
                with _settling(self._inbox.receive_nowait(), handled=False) as event:
                    # One who wants in is not refused: the directory opens the room anew.
                    if not isinstance(event, Enter):
                        self.refuse(event, Refusal(ErrorCode.ROOM_CLOSED))
        self._inbox.close()
        for participant in tuple(self.people.values()):
            if failed or not self.over:
                participant.send(Closing(scope="room", reason="room_failed"))
            participant.seat.take_away()
        self.people.clear()

    def _take_turn(self, event: Event) -> None:
        """Handle an event, and those that wait behind it; then tell what they changed."""
        self._news.begin_turn()
        try:
            self._handle(event)
            with suppress(trio.WouldBlock):
                for _ in range(_EVENTS):
                    # What starts a task has its own turn, so that tasks begin in the order of their messages.
                    if not _starts_nothing(event) or self._news.deliveries > _DELIVERIES:
                        break
                    if ROOM.state(self.state).final:
                        break
                    event = self._inbox.receive_nowait()
                    self._handle(event)
        finally:
            self._news.end_turn(self._tell_changes_later)

    def _tell_changes_later(self, seconds: float) -> None:
        assert self._nursery is not None

        async def tell() -> None:
            await trio.sleep(seconds)
            self._news.tell_changes()

        self._nursery.start_soon(tell)

    def _handle(self, event: Event) -> None:
        with _settling(event, handled=True):
            if self._is_stale(event):
                self.refuse(event, Refusal(ErrorCode.ROOM_CLOSED))
                return
            now = trio.current_time()
            said = self._budgets.said_by(event, now)
            within_rates = said is None or said.may(now)
            facts = facts_of(event, self.people, self.streams, self._settings, within_rates=within_rates)
            who, message = who_of(event), told_of(event, self.journal)
            state = self.state
            try:
                step = ROOM.fire(self._model, event.trigger, facts)
            except Refusal as refusal:
                self.journal.refused(
                    ROOM.name, None, event.trigger, state, refusal, who=who, message=message, facts=facts
                )
                self.refuse(event, refusal)
                return
            if said is not None:
                said.use(now)
            self.journal.took(ROOM.name, None, step, who=who, message=message, facts=facts)
            # The new state's resources are there for the effects, and so are still those of the old one.
            for resource in step.entered:
                self._enter[resource]()
            for effect in step.effects:
                self._effects.carry_out(effect, event)
            for resource in step.left:
                self._leave[resource]()
            if step.told_anew:
                self._effects.tell_state(step)
            self._end_if_drained()

    def _end_if_drained(self) -> None:
        self._less.set()
        step = ROOM.follow(
            self._model,
            Drained.trigger,
            lambda: RoomFacts(
                people=len(self.people),
                held=len(self._broadcasts),
                notice=self._settings.closing_notice > 0,
            ),
        )
        if step is not None:
            self.journal.took(ROOM.name, None, step)

    def _is_stale(self, event: Event) -> bool:
        """Whether the event speaks of something that has ended since it was posted."""
        match event:
            case StreamFailed(stream=stream):
                return self.streams.get(stream.id) is not stream
            case ViewFailed(view=view):
                return self._view_of(view.participant, view.id) is not view
            case MediaLost(broadcast=broadcast):
                return self.broadcast is not broadcast
            case Expire() | Vacate():
                return bool(self.people)
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
        """Tell whoever is behind the event, if anybody waits for an answer to it."""
        match event:
            case Ask(seat=seat, message=message):
                asked = message_type(message)
                session = seat.sitter.state
                # Its session may have left since it asked.
                told = for_client(
                    refusal, asked, session, self.state if SESSION.rows_of(session, "leave") else None
                )
                seat.tell(Outgoing(error_of(told, message.ref, asked, stream=_stream_of(message))))
            case Enter() | Back():
                event.refusal = refusal
            case _:
                self._log.debug("event out of date", trigger=event.trigger, state=self.state)

    # What states own

    def _start_linger(self) -> None:
        assert self._nursery is not None
        self._linger = scope = trio.CancelScope()
        self._empty_since = trio.current_time()

        async def linger() -> None:
            with scope:
                await trio.sleep(self._settings.linger)
                await self.post(Expire())

        self._nursery.start_soon(linger)

    def _start_broadcast(self) -> None:
        assert self._nursery is not None
        broadcast = Broadcast(self._pool, self._tags, self._settings, self._leg_failed)
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

        self._nursery.start_soon(hold)

    async def _leg_failed(self, leg: Stream | View, refusal: Refusal) -> None:
        await self.post(ViewFailed(leg, refusal) if isinstance(leg, View) else StreamFailed(leg, refusal))

    def _end_broadcast(self) -> None:
        assert self.broadcast is not None
        self.broadcast.end()
        self.broadcast = None

    def _start_drain(self) -> None:
        assert self._nursery is not None

        async def drain() -> None:
            over = trio.current_time() + self._settings.closing_notice
            with trio.move_on_after(self._settings.closing_deadline):
                await self._until_less(lambda: not self._broadcasts)
            if self._broadcasts:
                self._log.error("endpoints not released in time", broadcasts=len(self._broadcasts))
            with trio.move_on_at(over):
                await self._until_less(lambda: not self.people)
            with suppress(RoomOver):
                await self.post(Drained())

        self._nursery.start_soon(drain)

    async def _until_less(self, gone: Callable[[], bool]) -> None:
        while not gone():
            self._less = trio.Event()
            await self._less.wait()


async def give_up(seat: Seat[Room], reason: str, ref: Ref | None = None) -> None:
    """Leave the room of a seat, unless the room ended first and put everybody out."""
    seat.hears_news = False
    with suppress(RoomOver):
        await seat.room.request(Depart(seat, reason, ref))


def _starts_nothing(event: Event) -> bool:
    return isinstance(event, Away | Back) or (isinstance(event, Ask) and isinstance(event.message, Chat | Rename))


@contextmanager
def _settling(event: Event, handled: bool) -> Iterator[Event]:
    """Whoever waits for the event stops waiting, whatever becomes of it."""
    try:
        yield event
        if isinstance(event, Awaited):
            event.handled = handled
    finally:
        if isinstance(event, Awaited):
            event.done.set()


def _stream_of(message: RoomMessage) -> str | None:
    match message:
        case (
            Unpublish(stream=stream)
            | ViewMessage(stream=stream)
            | Unview(stream=stream)
            | Candidate(stream=stream)
        ):
            return stream
    return None
