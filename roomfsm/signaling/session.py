"""A session: one browser's presence, which decodes its messages, asks the tables, and outlives its connection."""

from __future__ import annotations

import secrets
import time
from collections.abc import Awaitable, Callable
from typing import Protocol

import trio

from roomfsm import __version__
from roomfsm.lifecycle.legality import judge
from roomfsm.lifecycle.session import NEWS, SESSION, SessionFacts
from roomfsm.lifecycle.table import Step
from roomfsm.log import get_logger
from roomfsm.protocol import SUBPROTOCOL, fields
from roomfsm.protocol.client import (
    ClientMessage,
    Join,
    Leave,
    Ping,
    Rename,
    Resume,
    Switch,
    message_type,
)
from roomfsm.protocol.codec import Outgoing, error_of, read_client, with_prepared_names
from roomfsm.protocol.errors import CloseCode, ErrorCode, Malformed, Refusal
from roomfsm.protocol.fields import Ref
from roomfsm.protocol.server import IceServer, Limits, Pong, ServerMessage, Welcome
from roomfsm.rooms.allowance import Rates, Voice
from roomfsm.rooms.directory import Directory
from roomfsm.rooms.events import Ask, Away, Back, Depart, Enter
from roomfsm.rooms.facts import ENTERING, RENAMING
from roomfsm.rooms.room import Room, RoomOver
from roomfsm.rooms.settings import RoomSettings
from roomfsm.signaling.addresses import Address
from roomfsm.signaling.connection import Connection
from roomfsm.signaling.ice_servers import for_participants, for_strangers
from roomfsm.signaling.settings import SignalingSettings

_NO_FACTS = SessionFacts()


class Home(Protocol):
    """What a session needs of the registry that keeps it."""

    directory: Directory
    settings: SignalingSettings
    limits: Limits

    def resumable(self, token: str) -> Session | None:
        """The session that this token may resume."""

    def hand_over(self, connection: Connection, before: Session, after: Session) -> None:
        """From now on the connection's messages are those of another session."""

    def keep_away(self, session: Session) -> None:
        """A session's connection is lost; it, or another that is away, may have to make way."""

    def forget_if_gone(self, session: Session) -> None:
        """Drop a session that has ended."""

    def start_soon[*Args](self, work: Callable[[*Args], Awaitable[None]], *args: *Args) -> None:
        """Run what must be done for a session even when its connection has ended."""


class Session:
    """One browser. Implements `roomfsm.rooms.participant.Link`."""

    def __init__(self, home: Home, connection: Connection, address: Address[Session]) -> None:
        self.participant_id = f"p{secrets.token_hex(8)}"
        self.address = address
        self.voice = Voice(self.participant_id, address.key, rates_of(home.directory.settings), address.share)
        self._naming = Voice(self.participant_id, address.key, rates_of(home.directory.settings))
        self.tokens: tuple[str, ...] = (secrets.token_urlsafe(24),)
        self.connection: Connection | None = connection
        self._model = SESSION.new()
        self._hears_news = False
        """Whether the state owns the room's news: asked for each delivery, so read off the table once a step."""
        self._home = home
        self._room: Room | None = None
        self._window = trio.CancelScope()
        self._departure: Depart | None = None
        self.attachment = 0
        """Counts the connections that the session has had after its first."""
        self._renew_at = 0.0
        """When new credentials of TURN servers are to be told."""

    @property
    def state(self) -> str:
        """The state of the session's machine."""
        return self._model.state

    @property
    def room(self) -> Room | None:
        """The room that the session sits in."""
        return self._room

    @property
    def outbox(self) -> tuple[int, int]:
        """Messages and bytes that wait for a browser that reads slowly."""
        return (0, 0) if self.connection is None else self.connection.outbox

    # What rooms call

    def ice_servers(self) -> tuple[IceServer, ...]:
        """All STUN and TURN servers, with credentials that are new."""
        settings = self._home.settings
        self._renew_at = trio.current_time() + settings.turn_ttl / 2
        return for_participants(settings, self.participant_id, time.time())

    def deliver(self, outgoing: Outgoing, room: Room) -> None:
        """Send a message of `room`; its news are dropped once one no longer sits there.

        While away nothing is kept: `joined` tells all to one who comes back, and news from before it, none.
        """
        if self.connection is None:
            return
        if (self._hears_news and room is self._room) or outgoing.is_reply:
            self.connection.send(outgoing)

    def seated(self, room: Room) -> None:
        """The session sits in `room` from now on."""
        before, self._room = self._room, room
        step = self._fire("join" if before is None else "switch")
        if before is not None:
            before.journal.took(SESSION.name, self.participant_id, step, who=self.participant_id)
            self._departure = self._give_up(before, "switched")

    def resumed(self, room: Room) -> None:
        """`room` knows that there is a connection again, and sends the room as it is next."""
        if room is self._room:
            self._fire("resumed")

    def unseated(self, room: Room) -> None:
        """`room` has put the session out, if that is where it sat."""
        if room is self._room:
            self._fire("dismissed")
            self._room = None
            self._window.cancel()
            self._home.forget_if_gone(self)

    # What its connection calls

    def welcome(self) -> None:
        """Greet a new connection."""
        settings, limits = self._home.settings, self._home.limits
        self._send(
            Welcome(
                protocol=SUBPROTOCOL,
                server=f"roomfsm/{__version__}",
                session=self.participant_id,
                resume_token=self.tokens[0],
                resume_window=settings.resume_window,
                heartbeat=settings.heartbeat,
                ice_servers=for_strangers(settings),
                limits=limits,
            )
        )

    async def handle(self, text: str) -> None:
        """Answer one message of the browser. Every refusal is answered here."""
        try:
            message = read_client(text)
        except Refusal as refusal:
            self._note_refusal(getattr(refusal, "message", None) or "?", refusal)
            self._send(error_of(refusal, None))
            return
        try:
            await self._handle(message)
        except Refusal as refusal:
            stream = getattr(message, "stream", None)
            self._send(error_of(refusal, message.ref, message_type(message), stream=stream))

    async def lost(self, connection: Connection) -> None:
        """A connection has ended. If it was this session's, the session is over, or away for a while."""
        if connection is not self.connection:
            return
        self.connection = None
        room = self._room
        self._fire("bye" if connection.left else "lost")
        if SESSION.state(self.state).final:
            await self._depart("left")
        elif room is not None:
            window = self._window = trio.CancelScope()
            self._home.keep_away(self)
            # Before the room is told: one who comes back meanwhile, or is put out, must find it to cancel.
            try:
                await room.post(Away(self))
            except RoomOver:
                return
            self._home.start_soon(self._wait_window, window)

    def move(self, address: Address[Session]) -> None:
        """From now on the session belongs to another address."""
        self.address = address
        self.voice.address, self.voice.shared = address.key, address.share
        self._naming.address = address.key

    def make_way(self) -> None:
        """End the session, which is away, before its window is over: its place is needed."""
        self._window.cancel()
        self._fire("expire")
        room, self._room = self._room, None
        self._home.forget_if_gone(self)
        if room is not None:
            self._give_up(room, "disconnected")

    async def reattach(self, connection: Connection, token: str, message: Resume) -> None:
        """Go on over another connection; the one before, if it still seems alive, is closed."""
        self._fire("reattach")
        self._window.cancel()
        if self.connection is not None:
            self.connection.close_soon(CloseCode.RESUMED_ELSEWHERE)
        self.connection = connection
        self.attachment += 1
        self.tokens = (token, self.tokens[0])
        if self._room is not None:
            try:
                await self._room.post(Back(self, message.ref, self.attachment))
            except RoomOver:
                self._send(error_of(Refusal(ErrorCode.ROOM_CLOSED), message.ref, message_type(message)))

    async def _handle(self, message: ClientMessage) -> None:
        room = self._room
        try:
            judge(message_type(message), self.state, None if room is None else room.state)
        except Refusal as refusal:
            self._note_refusal(message_type(message), refusal)
            raise
        match message:
            case Ping(ref=ref):
                self._send(Pong(ice_servers=self._renewed_ice_servers(), ref=ref))
            case Join():
                self._count_entry(message_type(message), self.voice)
                asked = self._prepared(message)
                await self._home.directory.enter(asked.room, Enter(self, asked.name, asked.ref))
            case Resume():
                await self._resume(message)
            case Switch(ref=ref):
                assert room is not None
                self._count_entry(message_type(message), self.voice)
                name = self._prepared(message).room
                person = room.people[self.participant_id].name
                await self._home.directory.enter(name, Enter(self, person, ref, asked="switch"))
                # One who goes back at once must find the seat there empty.
                if self._departure is not None:
                    await self._departure.done.wait()
            case Leave(ref=ref):
                self._fire("leave")
                await self._depart("left", ref)
            case _:
                assert room is not None
                if isinstance(message, Rename):
                    self._count_name()
                    message = self._prepared(message)
                try:
                    await room.post(Ask(self, message))
                except RoomOver:
                    raise Refusal(ErrorCode.ROOM_CLOSED) from None

    def _renewed_ice_servers(self) -> tuple[IceServer, ...]:
        """New credentials for one in a room whose old ones do not last much longer; else nothing."""
        limited = self._home.settings.turn_secret is not None
        due = self._room is not None and trio.current_time() >= self._renew_at
        return self.ice_servers() if limited and due else ()

    async def _resume(self, message: Resume) -> None:
        other = self._home.resumable(message.token)
        self._count_entry(message_type(message), self.voice if other is None else other.voice)
        known = other is not None and other is not self and "reattach" in SESSION.legal(other.state)
        self._fire("resume", SessionFacts(token_known=known))
        assert other is not None
        connection, self.connection = self.connection, None
        assert connection is not None
        self._home.hand_over(connection, self, other)
        await other.reattach(connection, self.tokens[0], message)

    def _count_entry(self, asked: str, voice: Voice) -> None:
        """Count one who wants into a room, or back. Raises `Refusal`."""
        now = trio.current_time()
        try:
            if not voice.may(ENTERING, now):
                raise Refusal(ErrorCode.RATE_LIMITED)
            self.address.may_enter()
        except Refusal as refusal:
            self._note_refusal(asked, refusal)
            raise
        voice.use(ENTERING, now)

    def _count_name(self) -> None:
        """Count a new name, be it one or none, as often as new names may be told. Raises `Refusal`."""
        now = trio.current_time()
        if not self._naming.may(RENAMING, now, self.address.names):
            refusal = Refusal(ErrorCode.RATE_LIMITED)
            self._note_refusal(message_type(Rename), refusal)
            raise refusal
        self._naming.use(RENAMING, now, self.address.names)

    def _prepared[M: ClientMessage](self, message: M) -> M:
        try:
            return with_prepared_names(message)
        except Malformed as refusal:
            self._note_refusal(message_type(message), refusal)
            raise

    async def _wait_window(self, window: trio.CancelScope) -> None:
        with window:
            await trio.sleep(self._home.settings.resume_window)
        if not window.cancel_called:
            self._fire("expire")
            await self._depart("disconnected")

    async def _depart(self, reason: str, ref: Ref | None = None) -> None:
        room, self._room = self._room, None
        self._home.forget_if_gone(self)
        if room is not None:
            await self._give_up(room, reason, ref).done.wait()

    def _give_up(self, room: Room, reason: str, ref: Ref | None = None) -> Depart:
        """Give up the seat in `room`, in a task of its own: whatever becomes of the connection meanwhile."""
        departure = Depart(self, reason, ref)
        self._home.start_soon(self._leave, room, departure)
        return departure

    async def _leave(self, room: Room, event: Depart) -> None:
        try:
            await room.request(event)
        except RoomOver:
            # It ended first, and put everybody out.
            return

    def _fire(self, trigger: str, facts: SessionFacts = _NO_FACTS) -> Step:
        step = SESSION.fire(self._model, trigger, facts)
        self._hears_news = NEWS in SESSION.state(step.dest).owns
        if self._room is not None:
            self._room.journal.took(
                SESSION.name,
                self.participant_id,
                step,
                who=self.participant_id,
                final=SESSION.state(step.dest).final,
            )
        if step.moved:
            get_logger(__name__).debug(
                "session", session=self.participant_id, trigger=trigger, source=step.source, dest=step.dest
            )
        return step

    def _note_refusal(self, asked: str, refusal: Refusal) -> None:
        if self._room is not None:
            me = self.participant_id
            self._room.journal.refused(SESSION.name, me, asked, self.state, refusal, who=me)

    def _send(self, message: ServerMessage) -> None:
        if self.connection is not None:
            self.connection.send(Outgoing(message))


def rates_of(rooms: RoomSettings) -> Rates:
    """What one person may have told to everybody."""
    return Rates(rooms.told_rate, rooms.told_bytes, rooms.told_seconds)


def limits_of(signaling: SignalingSettings, rooms: RoomSettings) -> Limits:
    """The bounds that `welcome` tells."""
    return Limits(
        message_bytes=signaling.max_message_bytes,
        message_burst=signaling.message_burst,
        message_rate=signaling.message_rate,
        chat_text=fields.MAX_CHAT_TEXT,
        display_name=fields.MAX_DISPLAY_NAME,
        people=rooms.max_people,
        presenters=rooms.max_presenters,
        views=rooms.max_views,
        told_burst=int(rooms.told_rate * rooms.told_seconds),
        told_rate=rooms.told_rate,
        told_bytes=int(rooms.told_bytes * rooms.told_seconds),
        candidates=rooms.candidate_buffer,
    )
