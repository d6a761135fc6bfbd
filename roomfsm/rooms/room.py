"""A room: one task with an inbox, which asks the lifecycle table about each event and carries out its effects."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import structlog
import trio

from roomfsm.kurento.pool import MediaPool
from roomfsm.lifecycle.legality import allowed, judge
from roomfsm.lifecycle.room import ROOM
from roomfsm.lifecycle.room import RoomEffect as Do
from roomfsm.lifecycle.table import Step
from roomfsm.protocol.client import Candidate, Chat, Publish, Rename, Resume, Unpublish, Unview, message_type
from roomfsm.protocol.client import View as ViewMessage
from roomfsm.protocol.codec import Outgoing, error_of
from roomfsm.protocol.errors import ErrorCode, IllegalInState, Refusal
from roomfsm.protocol.fields import Ref
from roomfsm.protocol.server import (
    ChatSaid,
    Closing,
    Joined,
    ParticipantChanged,
    ParticipantJoined,
    ParticipantLeft,
    RoomState,
    StreamChanged,
    StreamEnded,
    StreamStarted,
)
from roomfsm.rooms.broadcast import Broadcast
from roomfsm.rooms.chat import ChatHistory
from roomfsm.rooms.events import (
    Ask,
    Away,
    Back,
    Close,
    Depart,
    Enter,
    Event,
    Expire,
    MediaLost,
    RoomMessage,
    StreamFailed,
    ViewFailed,
)
from roomfsm.rooms.facts import facts_of, told_of, who_of
from roomfsm.rooms.journal import Journal, Sink
from roomfsm.rooms.legs import Leg, Stream, View
from roomfsm.rooms.news import tell
from roomfsm.rooms.participant import Link, Participant
from roomfsm.rooms.settings import RoomSettings


class RoomOver(Exception):
    """The room has ended; a room of that name can be opened anew."""


class Room:
    """One room. `handle` decides without waiting; whatever waits is a task in the room's nursery."""

    def __init__(
        self,
        name: str,
        pool: MediaPool,
        tags: Mapping[str, str],
        settings: RoomSettings,
        write_journal: Sink | None = None,
    ) -> None:
        self.name = name
        self.journal = Journal(name, settings, write_journal)
        self._tags = {"room": name, **tags}
        self.people: dict[str, Participant] = {}
        self.streams: dict[str, Stream] = {}
        self._model = ROOM.new()
        self.journal.begin(ROOM.name, None, self._model.state)
        self._pool = pool
        self._settings = settings
        self._log = structlog.get_logger().bind(room=name)
        self._chat = ChatHistory(settings.chat_history)
        self._to_inbox, self._inbox = trio.open_memory_channel[Event](settings.room_inbox)
        self._nursery: trio.Nursery | None = None
        self._linger = trio.CancelScope()
        self._broadcast: Broadcast | None = None
        self._broadcasts: set[Broadcast] = set()
        self._released = trio.Event()
        self._leave_state: dict[str | None, Callable[[], None]] = {
            "linger": lambda: self._linger.cancel(),
            "broadcast": self._end_broadcast,
        }
        self._enter_state: dict[str | None, Callable[[], None]] = {
            "linger": self._start_linger,
            "broadcast": self._start_broadcast,
            "drain": self._start_drain,
        }
        self._effects: dict[str, Callable[[Any], None]] = {
            Do.ADMIT: self._admit,
            Do.DISMISS: self._dismiss,
            Do.MARK_AWAY: self._mark_away,
            Do.WELCOME_BACK: self._welcome_back,
            Do.RENAME: self._rename,
            Do.SAY: self._say,
            Do.OPEN_STREAM: self._open_stream,
            Do.END_STREAM: self._end_stream,
            Do.OPEN_VIEW: self._open_view,
            Do.END_VIEW: self._end_view,
            Do.PASS_CANDIDATE: self._pass_candidate,
            Do.LOSE_MEDIA: self._lose_media,
            Do.TELL_CLOSING: self._tell_closing,
            Do.END_STREAMS: self._end_streams,
        }

    @property
    def state(self) -> str:
        """The state of the room's machine."""
        return self._model.state

    @property
    def media_server(self) -> str | None:
        """The address of the media server that holds the broadcast, if there is one."""
        return None if self._broadcast is None else self._broadcast.server_url

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

    async def request(self, event: Enter | Depart) -> None:
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
        """Be the room, until it expires, or was closed and has released everything, or its deadline is over.

        `on_over` is called when it takes nothing more; a release that hangs may outlast that. Raises what a
        fault of ours raised.
        """
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            self._start_linger()
            failed = False
            try:
                async for event in self._inbox:
                    self._handle(event)
                    seen_off = not self.people or not self._settings.closing_notice
                    if ROOM.state(self.state).final and not self._broadcasts and seen_off:
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
                        self._refuse(event, Refusal(ErrorCode.ROOM_CLOSED))
        self._inbox.close()
        for participant in tuple(self.people.values()):
            if failed or not ROOM.state(self.state).final:
                participant.send(Closing(scope="room", reason="room_failed"))
            participant.link.unseated(self)
        self.people.clear()

    def _handle(self, event: Event) -> None:
        with _settling(event, handled=True):
            if self._is_stale(event):
                self._refuse(event, Refusal(ErrorCode.ROOM_CLOSED))
                return
            facts = facts_of(event, self.people, self.streams, self._settings)
            who, message = who_of(event), told_of(event, self.journal)
            state = self.state
            try:
                if isinstance(event, Enter):
                    judge(event.asked, event.link.state, None)
                step = ROOM.fire(self._model, event.trigger, facts)
            except Refusal as refusal:
                self.journal.refused(
                    ROOM.name, None, event.trigger, state, refusal, who=who, message=message, facts=facts
                )
                self._refuse(event, refusal)
                return
            self.journal.took(ROOM.name, None, step, who=who, message=message, facts=facts)
            before, after = ROOM.state(step.source), ROOM.state(step.dest)
            if step.moved:
                self._enter_state.get(after.owns, _nothing)()
            for effect in step.effects:
                self._effects[effect](event)
            if step.moved:
                self._leave_state.get(before.owns, _nothing)()
                self._tell_state(step)

    def _is_stale(self, event: Event) -> bool:
        """Whether the event speaks of something that has ended since it was posted."""
        match event:
            case StreamFailed(stream=stream):
                return self.streams.get(stream.id) is not stream
            case ViewFailed(view=view):
                return self._view_of(view.participant, view.id) is not view
            case MediaLost(broadcast=broadcast):
                return self._broadcast is not broadcast
            case Expire():
                return bool(self.people)
            case Ask(link=link) | Depart(link=link) | Away(link=link) | Back(link=link):
                return link.participant_id not in self.people
        return False

    def _refuse(self, event: Event, refusal: Refusal) -> None:
        match event:
            case Ask(link=link, message=message):
                asked = message_type(message)
                error = error_of(_for_client(refusal, asked, link), message.ref, asked, stream=_stream_of(message))
                link.deliver(Outgoing(error), self)
            case Enter(link=link, asked=asked):
                event.refusal = _for_client(refusal, asked, link)
            case Back(link=link, ref=ref, overtaken=False):
                link.deliver(Outgoing(error_of(refusal, ref, message_type(Resume))), self)
            case _:
                self._log.debug("event out of date", trigger=event.trigger, state=self.state)

    # Who is there

    def _admit(self, event: Enter) -> None:
        link = event.link
        participant = Participant(link, event.name, lambda outgoing: link.deliver(outgoing, self))
        tell(self.people.values(), ParticipantJoined(participant=participant.info()))
        self.people[participant.id] = participant
        event.link.seated(self)
        self._send_snapshot(participant, event.ref)
        self._log.info("joined", participant=participant.id, people=len(self.people))

    def _dismiss(self, event: Depart) -> None:
        participant = self.people[event.link.participant_id]
        for name in tuple(participant.views):
            stream = self.streams[name]
            self._drop_view(stream.views[participant.id])
            self._tell_stream(stream)
        for name in tuple(participant.streams):
            self._drop_stream(self.streams[name], "left")
        del self.people[participant.id]
        tell(self.people.values(), ParticipantLeft(participant=participant.id, reason=event.reason))
        if event.reason == "left":
            participant.reply(ParticipantLeft(participant=participant.id, reason=event.reason, ref=event.ref))
        self.journal.tallies["session"].forget(participant.id)
        self._log.info("left", participant=participant.id, reason=event.reason, people=len(self.people))

    def _mark_away(self, event: Away) -> None:
        participant = self.people[event.link.participant_id]
        participant.away = True
        tell(self.people.values(), ParticipantChanged(participant=participant.info()), merge=participant.id)

    def _welcome_back(self, event: Back) -> None:
        if event.overtaken:
            return
        participant = self.people[event.link.participant_id]
        participant.away = False
        self._send_snapshot(participant, event.ref, resumed=True)
        tell(self.people.values(), ParticipantChanged(participant=participant.info()), merge=participant.id)

    def _rename(self, event: Ask) -> None:
        assert isinstance(event.message, Rename)
        participant = self.people[event.link.participant_id]
        participant.name = event.message.name
        tell(
            self.people.values(),
            ParticipantChanged(participant=participant.info()),
            participant,
            ref=event.message.ref,
            merge=participant.id,
        )

    def _say(self, event: Ask) -> None:
        assert isinstance(event.message, Chat)
        speaker = self.people[event.link.participant_id]
        now = time.time_ns() // 1_000_000
        line = self._chat.add(speaker.id, speaker.name, event.message.text, now)
        tell(self.people.values(), ChatSaid(line=line), speaker, ref=event.message.ref)

    def _send_snapshot(self, participant: Participant, ref: Ref | None, resumed: bool = False) -> None:
        participant.send(
            Joined(
                room=self.name,
                you=participant.id,
                state=self.state,
                participants=tuple(person.info() for person in self.people.values()),
                streams=tuple(stream.info() for stream in self.streams.values()),
                chat=self._chat.lines(),
                resumed=resumed,
                ref=ref,
            )
        )

    # Streams and views

    def _open_stream(self, event: Ask) -> None:
        assert isinstance(event.message, Publish)
        assert self._broadcast is not None
        presenter = self.people[event.link.participant_id]
        stream = Stream(event.message, presenter, self._settings, lambda: self._tell_stream(stream), self.journal)
        self.streams[stream.id] = stream
        presenter.streams[stream.id] = None

        async def on_failure(refusal: Refusal) -> None:
            await self.post(StreamFailed(stream, refusal))

        self._broadcast.open_stream(stream, on_failure)
        tell(self.people.values(), StreamStarted(stream=stream.info()))
        self._log.info("stream started", stream=stream.id, generation=stream.generation)

    def _end_stream(self, event: Ask | StreamFailed) -> None:
        match event:
            case Ask(message=Unpublish(stream=name, ref=ref)):
                self._drop_stream(self.streams[name], "unpublished", ref)
            case StreamFailed(stream=stream, refusal=refusal):
                self._log.info("stream failed", stream=stream.id, why=str(refusal))
                self._tell_unanswered(stream, refusal)
                self._drop_stream(stream, "failed")

    def _open_view(self, event: Ask) -> None:
        assert isinstance(event.message, ViewMessage)
        assert self._broadcast is not None
        viewer = self.people[event.link.participant_id]
        stream = self.streams[event.message.stream]
        stream.fire("view")
        view = View(event.message, stream, viewer, self._settings, lambda: self._tell_view(view), self.journal)
        stream.views[viewer.id] = view
        viewer.views[view.id] = None

        async def on_failure(refusal: Refusal) -> None:
            await self.post(ViewFailed(view, refusal))

        self._broadcast.open_view(view, on_failure)
        self._tell_stream(stream)

    def _end_view(self, event: Ask | ViewFailed) -> None:
        match event:
            case Ask(link=link, message=Unview(stream=name, ref=ref)):
                view = self.streams[name].views[link.participant_id]
                self._drop_view(view)
                self._tell_stream(view.stream)
                self._tell_view(view, ref=ref)
            case ViewFailed(view=view, refusal=refusal):
                answered = view.answered
                self._tell_unanswered(view, refusal)
                self._drop_view(view)
                self._tell_stream(view.stream)
                if answered:
                    self._tell_view(view, reason=str(refusal))

    def _pass_candidate(self, event: Ask) -> None:
        assert isinstance(event.message, Candidate)
        participant = self.people[event.link.participant_id]
        stream = self.streams[event.message.stream]
        leg = stream if stream.participant is participant else stream.views[participant.id]
        try:
            leg.take(event.message)
        except Refusal as refusal:
            self.journal.refused(leg.table.name, leg.key, event.trigger, leg.state, refusal, who=participant.id)
            self._refuse(event, refusal)

    def _lose_media(self, event: MediaLost) -> None:
        self._log.warning("media lost", reason=event.reason, streams=len(self.streams))
        for stream in tuple(self.streams.values()):
            for leg in (stream, *stream.views.values()):
                self._tell_unanswered(leg, Refusal(ErrorCode.MEDIA_UNAVAILABLE))
            self._drop_stream(stream, event.reason)

    def _end_streams(self, event: Close) -> None:
        for stream in tuple(self.streams.values()):
            self._drop_stream(stream, event.reason)

    def _drop_stream(self, stream: Stream, reason: str, ref: Ref | None = None) -> None:
        for view in tuple(stream.views.values()):
            self._drop_view(view)
        self._tell_unanswered(stream, Refusal(ErrorCode.ENDED))
        stream.end()
        del self.streams[stream.id]
        stream.participant.streams.pop(stream.id, None)
        tell(self.people.values(), StreamEnded(stream=stream.id, reason=reason), stream.participant, ref=ref)
        self._log.info("stream ended", stream=stream.id, reason=reason)

    def _drop_view(self, view: View) -> None:
        self._tell_unanswered(view, Refusal(ErrorCode.ENDED))
        view.end()
        del view.stream.views[view.participant.id]
        view.participant.views.pop(view.id, None)

    def _view_of(self, viewer: Participant, name: str) -> View | None:
        stream = self.streams.get(name)
        return None if stream is None else stream.views.get(viewer.id)

    # Telling

    def _tell_state(self, step: Step) -> None:
        self._log.info("state", trigger=step.trigger, source=step.source, dest=step.dest)
        tell(
            self.people.values(),
            RoomState(state=step.dest, participants=len(self.people), streams=len(self.streams)),
            merge="",
        )

    def _tell_stream(self, stream: Stream) -> None:
        tell(self.people.values(), StreamChanged(stream=stream.info()), merge=stream.id)

    def _tell_view(self, view: View, *, reason: str | None = None, ref: Ref | None = None) -> None:
        view.participant.send(StreamChanged(stream=view.stream.info(), view=view.state, reason=reason, ref=ref))

    def _tell_unanswered(self, leg: Leg, refusal: Refusal) -> None:
        """Answer the message that asked for a leg, if nothing has answered it yet."""
        if not leg.answered:
            leg.answered = True
            leg.participant.send(error_of(refusal, leg.ref, leg.asked, stream=leg.id))

    def _tell_closing(self, event: Close) -> None:
        tell(self.people.values(), Closing(scope="room", reason=event.reason))

    # What states own

    def _start_linger(self) -> None:
        assert self._nursery is not None
        self._linger = scope = trio.CancelScope()

        async def linger() -> None:
            with scope:
                await trio.sleep(self._settings.linger)
                await self.post(Expire())

        self._nursery.start_soon(linger)

    def _start_broadcast(self) -> None:
        assert self._nursery is not None
        broadcast = Broadcast(self._pool, self._tags, self._settings)
        self._broadcast = broadcast
        self._broadcasts.add(broadcast)

        async def hold() -> None:
            try:
                reason = await broadcast.run()
            finally:
                self._broadcasts.discard(broadcast)
                self._released.set()
            if reason is not None:
                await self.post(MediaLost(broadcast, reason))

        self._nursery.start_soon(hold)

    def _end_broadcast(self) -> None:
        assert self._broadcast is not None
        self._broadcast.end()
        self._broadcast = None

    def _start_drain(self) -> None:
        assert self._nursery is not None
        nursery = self._nursery

        async def drain() -> None:
            over = trio.current_time() + self._settings.closing_notice
            with trio.move_on_after(self._settings.closing_deadline):
                while self._broadcasts:
                    self._released = trio.Event()
                    await self._released.wait()
            if self._broadcasts:
                self._log.error("endpoints not released in time", broadcasts=len(self._broadcasts))
            await trio.sleep_until(over)
            nursery.cancel_scope.cancel()

        nursery.start_soon(drain)


@contextmanager
def _settling(event: Event, handled: bool) -> Iterator[Event]:
    """Whoever waits for the event stops waiting, whatever becomes of it."""
    try:
        yield event
        if isinstance(event, Enter | Depart):
            event.handled = handled
    finally:
        if isinstance(event, Enter | Depart):
            event.done.set()


def _for_client(refusal: Refusal, message: str, link: Link[Room]) -> Refusal:
    """The room's refusal in the client's words: its message, and what of the protocol is allowed."""
    if not isinstance(refusal, IllegalInState):
        return refusal
    room = link.room
    return IllegalInState(
        message, refusal.machine, refusal.state, allowed(link.state, None if room is None else room.state)
    )


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


def _nothing() -> None:
    """A state that owns nothing."""
