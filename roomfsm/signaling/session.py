"""A session: one browser's presence. It decodes messages, asks the tables, and outlives a lost connection.

A session is a task, and `run` reads like its life: it talks with a browser over a connection until that ends. Then
it is away and waits for another connection. If none comes in time, it is over. Only this task moves the session's
machine; the room moves it once, when it admits a session that waited in its lobby (`admitted` says why). Others
only leave a note in the session (another connection resumes it, its seat is taken away, its place is needed), and
its task acts on the note at its next turn. So it does not matter in which order these things happen, as long as
the task looks at all notes before it decides; a connection that came is looked at first, because its browser was
promised the session.

The session's requests to its room go through the room's inbox. The room's messages go through the seat straight to
the connection, in the order in which the room sent them. The session itself replies to messages that need no room.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import trio

from roomfsm import __version__
from roomfsm.access.grant import Grant
from roomfsm.lifecycle.legality import for_client, judge
from roomfsm.lifecycle.seat import SEAT
from roomfsm.lifecycle.session import NEWS, SESSION, SessionFacts
from roomfsm.lifecycle.table import Step
from roomfsm.log import get_logger
from roomfsm.nodes.messages import Luggage, Outcome
from roomfsm.protocol import SUBPROTOCOL, fields
from roomfsm.protocol.client import (
    ClientMessage,
    Join,
    Leave,
    Ping,
    Rename,
    Resume,
    SendFile,
    Switch,
    message_type,
)
from roomfsm.protocol.codec import Outgoing, encode, error_of, read_client, with_prepared_names
from roomfsm.protocol.errors import CloseCode, ErrorCode, Refusal
from roomfsm.protocol.fields import Ref
from roomfsm.protocol.server import Closing, IceServer, Limits, Pong, ServerMessage, Welcome
from roomfsm.rooms.allowance import Rates, Voice
from roomfsm.rooms.directory import Directory
from roomfsm.rooms.events import Ask, Away, Back
from roomfsm.rooms.facts import ENTERING, RENAMING
from roomfsm.rooms.participant import Seat
from roomfsm.rooms.record import Ear
from roomfsm.rooms.room import Room, RoomOver, give_up
from roomfsm.rooms.settings import RoomSettings
from roomfsm.signaling.addresses import Address
from roomfsm.signaling.crossing import AnyConnection, Crossing
from roomfsm.signaling.entrance import Entrance
from roomfsm.signaling.ice_servers import for_participants, for_strangers
from roomfsm.signaling.remote_connection import RemoteConnection
from roomfsm.signaling.settings import SignalingSettings
from roomfsm.tracing import part, trace

_log = get_logger(__name__)

_NO_FACTS = SessionFacts()
_UNNAMED = Join(room="").name
"""The name of people who do not say what they are called."""


class Home(Protocol):
    """What a session uses of the registry that keeps it."""

    directory: Directory
    settings: SignalingSettings
    limits: Limits
    entrance: Entrance
    crossing: Crossing | None
    """The way to rooms at other nodes; None if every room is here."""

    @property
    def countdown(self) -> Closing | None:
        """In how many seconds the server closes; None if that is not decided."""

    def resumable(self, token: str) -> Session | None:
        """The session that this token resumes; None if there is none."""

    def hand_over(self, before: Session, after: Session, used: bytes) -> None:
        """Give the token and the address of the session `before` to the session `after`, and forget `before`.

        `used` is the hash of the token by which the browser has resumed it.
        """

    def arrive(self, session: Session) -> None:
        """A session from another node lives here from now on, and can be resumed here."""

    def keep_away(self, session: Session) -> None:
        """Keep a session whose connection is lost. If too many are away, the longest away has to make way."""

    def forget(self, session: Session) -> None:
        """Drop a session that has ended."""


@dataclass(frozen=True, slots=True)
class _Arrival:
    """A new connection for the session, and the message that resumed it."""

    connection: AnyConnection
    message: Resume


class Session:
    """One browser. Implements `roomfsm.rooms.participant.Sitter`."""

    def __init__(
        self,
        home: Home,
        connection: AnyConnection | None,
        address: Address[Session],
        *,
        came_back: str | None = None,
        luggage: Luggage | None = None,
    ) -> None:
        """`came_back` is the participant of a session that is older than the server. `luggage` is what a session
        brings from another node.
        """
        self.participant_id = (came_back or f"p{secrets.token_hex(8)}") if luggage is None else luggage.person
        self.address = address
        self.voice = Voice(self.participant_id, address.key, rates_of(home.directory.settings), address.share)
        self._naming = Voice(self.participant_id, address.key, rates_of(home.directory.settings))
        self._token = secrets.token_urlsafe(24)
        self.resume_hashes = (token_hash(self._token),) if luggage is None else luggage.tokens
        """The hashes of the tokens by which the session can be resumed, the newest first."""
        self._luggage = luggage
        self._connection: AnyConnection | None = connection
        """The connection. It is None while the session is away, or after another session has taken it over."""
        self._seat: Seat[Room] | None = None
        self._model = SESSION.new()
        self._home = home
        self._arrival: _Arrival | None = None
        self._something_came = trio.Event()
        """Set to wake a session that is away, because it was resumed or put out, or has to make way."""
        self._grant: Grant | None = None if luggage is None else luggage.grant
        """What the last token grants that the browser sent, and that got it into a room."""
        self._renew_at = 0.0
        """The time from which on the browser gets new credentials for TURN servers."""
        self._left_as = "left"
        """The reason why the session leaves its room, if it ends with a connection."""
        self._message: ClientMessage | None = None
        """The message that is being handled, or was the last one."""

    @property
    def state(self) -> str:
        """The state of the session's machine."""
        return self._model.state

    @property
    def room(self) -> Room | None:
        """The room that the session sits in; None if it sits in no room."""
        return None if self._seat is None else self._seat.room

    @property
    def handled(self) -> dict[str, str]:
        """The room that the session is in, and the message that it handles or handled last, for the log."""
        told = {} if self.room is None else {"room": self.room.name}
        if self._message is not None:
            told["message"] = message_type(self._message)
            if self._message.ref is not None:
                told["ref"] = str(self._message.ref)
        return told

    @property
    def expected(self) -> bool:
        """Whether the session came back with its room, and its browser should be back in a moment."""
        return self in self.address.expected

    @property
    def ear(self) -> Ear | None:
        """What sends a message over the connection that there is now; None if there is none."""
        return None if self._connection is None else self._connection.send

    @property
    def outbox(self) -> tuple[int, int]:
        """How many messages and bytes wait because the browser reads slowly."""
        return (0, 0) if self._connection is None else self._connection.outbox

    @property
    def may_be_resumed(self) -> bool:
        """Whether another connection may take this session over."""
        return "reattach" in SESSION.legal(self.state) and not (self._seat is None or self._seat.taken_away)

    # What others call

    def hear(self, outgoing: Outgoing) -> None:
        """Send a message to the browser.

        While the session is away, messages are dropped, because a browser that comes back gets a description of
        the room as it is then.
        """
        if self._connection is not None:
            self._connection.send(outgoing)

    def ice_servers(self) -> tuple[IceServer, ...]:
        """All STUN and TURN servers, with new credentials."""
        settings = self._home.settings
        self._renew_at = trio.current_time() + settings.turn_ttl / 2
        return for_participants(settings, self.participant_id, time.time())

    def admitted(self) -> None:
        """Sit down now, because the room that the session waited for has described itself to it.

        The session moves here and not at its next turn, because the browser may come back over another connection
        before it says anything. If the session has given up meanwhile, its room will know in a moment.
        """
        if "admitted" in SESSION.legal(self.state):
            self._fire("admitted")

    def put_out(self) -> None:
        """Learn that the room has taken the seat away."""
        self._something_came.set()

    def sent_on(self) -> None:
        """Learn that the room goes on at another server. The browser has to come back, and is resumed there."""
        for connection in (self._connection, None if self._arrival is None else self._arrival.connection):
            if connection is not None:
                connection.close_soon(CloseCode.GOING_AWAY)
        self._something_came.set()

    def make_way(self) -> None:
        """End this session, which is away, before its resume window is over: somebody else needs its place."""
        self._something_came.set()

    def resume_over(self, connection: AnyConnection, message: Resume) -> None:
        """Go on over another connection. The old one is closed if it still seems to be alive."""
        if self._arrival is not None:
            self._arrival.connection.close_soon(CloseCode.RESUMED_ELSEWHERE)
        if self._connection is not None:
            self._connection.close_soon(CloseCode.RESUMED_ELSEWHERE)
        self._arrival = _Arrival(connection, message)
        self._something_came.set()

    def move(self, address: Address[Session]) -> None:
        """Make the session belong to another address from now on."""
        self.address = address
        self.voice.address, self.voice.shared = address.key, address.share
        self._naming.address = address.key

    def greet(self) -> None:
        """Send what every new connection gets before anything else."""
        self._send(self._welcome())
        if (countdown := self._home.countdown) is not None:
            self._send(countdown)

    # The session's task

    async def run(self, first: str | None = None) -> None:
        """Run the session, from its first connection to its end.

        `first` is the message that brought it here from another node.
        """
        goes_on = first is None or await self._arrive(first)
        while goes_on:
            left = await self._converse()
            goes_on = await self._find_connection(left)

    def sit_again(self, seat: Seat[Room]) -> None:
        """Take the seat that the session had before the server was started. There is no connection yet."""
        self._seat = seat
        self.resume_hashes = seat.room.record.tokens_of(self.participant_id)
        self._fire("join", SessionFacts(waits=False))

    async def _converse(self) -> bool:
        """Answer the browser's messages until its connection ends, or another session takes it over.

        Returns whether the browser has left for good.
        """
        connection = self._connection
        if connection is None:
            # The session is from before the server was started.
            return False
        async for text in connection:
            try:
                reply = await self.answer(text)
                if reply is not None:
                    self._reply(reply)
            except Exception:  # noqa: BLE001 (a boundary)
                # A fault in handling one browser's message must not end the others: this is the boundary.
                _log.exception("message not handled", **self.handled)
                connection.close_soon(CloseCode.INTERNAL_ERROR)
            if self._connection is None:
                break
        return connection.left

    async def _arrive(self, text: str) -> bool:
        """Answer the message that brought the session here. Returns whether it stays here."""
        connection, luggage = self._connection, self._luggage
        assert isinstance(connection, RemoteConnection)
        assert luggage is not None
        message = self._message = read_client(text)
        assert isinstance(message, Join | Resume)
        outcome = Outcome.ELSEWHERE
        try:
            if await self._node_of(message) is None:
                outcome = Outcome.REFUSED
                if isinstance(message, Resume):
                    self._resume(message)
                    connection.settle(Outcome.TAKEN)
                    return await self._find_connection(left=False)
                self._count_entry(self.voice)
                name = _name_in(message) if luggage.asked == "join" else message.name
                reply = await self._enter(message, name, trio.current_time(), luggage)
                if reply is not None:
                    connection.send(Outgoing(reply))
                elif await self._stays(connection):
                    self._home.arrive(self)
                    connection.settle(Outcome.TAKEN)
                    return True
                else:
                    outcome = Outcome.ELSEWHERE
        except Refusal as refusal:
            connection.send(Outgoing(error_of(refusal, luggage.ref, luggage.asked)))
        connection.settle(outcome)
        return await self._find_connection(left=False)

    async def _stays(self, connection: RemoteConnection) -> bool:
        """Whether the session lives here, now that it has sat down.

        Until its seat is kept, nobody can find it by its token, so it must not have left the place that it had.
        """
        assert self._seat is not None
        kept = True
        try:
            await self._seat.room.until_kept()
        except RoomOver:
            kept = False
        if kept and not connection.is_over:
            return True
        # Perhaps the browser is back already, where the session was.
        await self._give_up_seat("switched")
        return False

    async def _find_connection(self, left: bool) -> bool:
        """Wait for another connection if the old one was lost, and take it over.

        Returns False if the session has ended instead.
        """
        if not (self._has_arrival or self._final):
            self._notice_taken_seat()
            self._connection = None
            self._fire("bye" if left else "lost")
            if not self._final:
                self._log_connection("connection lost")
                await self._wait_away()
        # This comes first, because the browser behind a new connection was promised the session. If the room has
        # ended, `_come_back` tells the browser so.
        if self._has_arrival:
            await self._come_back()
            return True
        self._notice_taken_seat()
        reason = self._left_as
        if not self._final:
            self._fire("expire")
            reason = "disconnected"
        # The session is forgotten before the room handles its leave, because an ended session must not take up a
        # place meanwhile.
        self._home.forget(self)
        await self._give_up_seat(reason)
        return False

    async def _wait_away(self) -> None:
        """Wait until somebody resumes the session or takes its place, or until the resume window is over."""
        assert self._seat is not None
        self._something_came = trio.Event()
        self._home.keep_away(self)
        with trio.move_on_after(self._home.settings.resume_window):
            with suppress(RoomOver):
                await self._seat.room.post(Away(self._seat))
            await self._something_came.wait()

    async def _come_back(self) -> None:
        """Take over the newest connection, and have the room described to it.

        Somebody who waits in a lobby has no place to come back to, and is told so.
        """
        seat = self._seat
        assert seat is not None
        while True:
            arrival, self._arrival = self._arrival, None
            assert arrival is not None
            self._fire("reattach")
            self._connection = arrival.connection
            if "resumed" not in SESSION.legal(self.state):
                await self._give_up_seat("disconnected")
                self._send(_error(arrival.message, Refusal(ErrorCode.ENDED)))
                return
            back = True
            try:
                await seat.room.request(Back(seat, arrival.message.ref))
            except (RoomOver, Refusal):
                back = False
            # If another connection has come meanwhile, the room is described again to that one.
            if not self._has_arrival:
                break
        if back:
            self._fire("resumed")
            self._log_connection("connection resumed")
        else:
            seat.taken_away = True
            self._send(_error(arrival.message, Refusal(ErrorCode.ROOM_CLOSED)))
            self._notice_taken_seat()

    async def abandon(self) -> None:
        """Close the connections and give up the seat after a fault in the session's task."""
        if self._connection is not None:
            self._connection.close_soon(CloseCode.INTERNAL_ERROR)
        if self._arrival is not None:
            self._arrival.connection.close_soon(CloseCode.INTERNAL_ERROR)
        await self._give_up_seat("disconnected")

    async def answer(self, text: str) -> ServerMessage | None:
        """The reply to one message of the browser; None if the room replies. Refusals get their answer here."""
        self._notice_taken_seat()
        self._message = None
        try:
            message = self._message = read_client(text)
        except Refusal as refusal:
            self._note_refusal(getattr(refusal, "message", None) or "?", refusal)
            return error_of(refusal, None)
        try:
            return await self._answer(message)
        except Refusal as refusal:
            self._note_refusal(message_type(message), refusal)
            return _error(message, refusal)

    async def _answer(self, message: ClientMessage) -> ServerMessage | None:
        seat = self._seat
        judge(message_type(message), self.state, None if seat is None else seat.room.state)
        match message:
            case Ping(ref=ref, first_frame=first_frame):
                if first_frame is not None:
                    self._home.directory.counts.first_frames.observe(first_frame)
                return Pong(ice_servers=self._renewed_ice_servers(), ref=ref)
            case Join():
                began = trio.current_time()
                self._count_entry(self.voice)
                message = with_prepared_names(message)
                if not await self._moves(message, message):
                    return await self._enter(message, _name_in(message), began)
            case Switch():
                assert seat is not None
                began = trio.current_time()
                self._count_entry(self.voice)
                message = with_prepared_names(message)
                name = seat.room.people[seat.id].name
                join = Join(
                    room=message.room, name=name, token=message.token, password=message.password, ref=message.ref
                )
                if not await self._moves(message, join):
                    return await self._enter(message, name, began)
            case Resume():
                if not await self._resumes_elsewhere(message):
                    self._resume(message)
            case Leave(ref=ref):
                self._fire("leave")
                await self._give_up_seat("left", ref)
            case _:
                assert seat is not None
                if isinstance(message, Rename):
                    self._count_name()
                if isinstance(message, Rename | SendFile):
                    message = with_prepared_names(message)
                try:
                    await seat.room.post(Ask(seat, message))
                except RoomOver:
                    return _error(message, Refusal(ErrorCode.ROOM_CLOSED))
        return None

    async def _moves(self, message: Join | Switch | Resume, text: Join | Resume) -> bool:
        """Whether the message was answered at another node. If it was taken there, the session lives there now.

        `text` says the same to a session that has no seat yet. Raises `Refusal`.
        """
        crossing, connection, room = self._home.crossing, self._connection, self.room
        if crossing is None or connection is None:
            return False
        luggage = Luggage(
            person=self.participant_id,
            tokens=self.resume_hashes,
            address=self.address.key,
            asked=message_type(message),
            state=self.state,
            room_state=None if room is None else room.state,
            ref=message.ref,
            grant=self._grant,
        )
        outcome = await crossing.move(
            connection, partial(self._node_of, message), luggage, encode(text), self._moved
        )
        return outcome is not Outcome.ELSEWHERE

    async def _resumes_elsewhere(self, message: Resume) -> bool:
        """Whether the message was answered at another node, or cannot be answered at all now."""
        if self._home.crossing is None:
            return False
        if self._home.resumable(message.token) is None:
            self._count_entry(self.voice)
        try:
            return await self._moves(message, message)
        except Refusal:
            # Nobody knows whose the token is. A refusal would mean that it is nobody's.
            if self._connection is not None:
                self._connection.close_soon(CloseCode.TRY_AGAIN_LATER)
            return True

    async def _node_of(self, message: Join | Switch | Resume) -> str | None:
        """The node that must answer the message; None if it is this one. Raises `Refusal`."""
        crossing = self._home.crossing
        assert crossing is not None
        if not isinstance(message, Resume):
            return await crossing.whereabouts.of_room(message.room)
        token, known = token_hash(message.token), self._home.resumable(message.token) is not None
        try:
            node = await crossing.whereabouts.of_token(token)
        except Refusal:
            if not known:
                raise
            return None
        if node is None and self._home.resumable(message.token) is None and self._luggage is None:
            return await crossing.seek(token)
        return node

    def _moved(self) -> None:
        """End here, because the session lives at another node now. That alone talks to the browser."""
        self._connection = None
        if (arrival := self._arrival) is not None:
            # The browser has come back in that moment, and does so once more.
            self._arrival = None
            arrival.connection.close_soon(CloseCode.TRY_AGAIN_LATER)
        if self._seat is not None:
            self._seat.hears_news = False
        self._left_as = "switched"
        self._fire("moved")

    async def _enter(
        self, message: Join | Switch, name: str | None, began: float, luggage: Luggage | None = None
    ) -> ServerMessage | None:
        """Sit down in the room that the message names (`_sit_down`). A room that is not opened needs no node."""
        before = self._seat
        try:
            return await self._sit_down(message, name, began, luggage)
        finally:
            if self._seat is before and (crossing := self._home.crossing) is not None:
                await crossing.whereabouts.give_back(message.room)

    async def _sit_down(
        self, message: Join | Switch, name: str | None, began: float, luggage: Luggage | None
    ) -> ServerMessage | None:
        """Sit down in the room that the message names, and give up the seat that the session had.

        `name` is the person's display name; None means that of the token, if it has one. `began` is the time at
        which the message came. `luggage` is what the session brings, if the message brought it from another node.
        """
        asked, before = message_type(message) if luggage is None else luggage.asked, self._seat
        with trace(asked, room=message.room, session=self.participant_id) as span:
            with part("token"):
                grant = await self._home.entrance.grant(message, self._grant)
            if name is None:
                name = _UNNAMED if grant is None or grant.name is None else grant.name
            with part("password"):
                brought = await self._home.entrance.credentials(message, grant, self.address.key)
            try:
                with part("admit"):
                    seat = await self._home.directory.enter(
                        message.room, self, name, message.ref, asked=asked, credentials=brought, before=before
                    )
            except Refusal as refusal:
                span.note(refused=refusal.code)
                # The room that refused has recorded this in its journal.
                state, room_state = self.state, None if before is None else before.room.state
                if luggage is not None:
                    state, room_state = luggage.state, luggage.room_state
                return error_of(for_client(refusal, asked, state, room_state), message.ref, asked)
        self._home.directory.counts.entries[asked].observe(trio.current_time() - began)
        self._seat = seat
        self._grant = grant or self._grant
        try:
            step = self._fire("join" if before is None else asked, SessionFacts(waits=seat.state == SEAT.initial))
            if before is not None:
                before.room.journal.took(SESSION.name, self.participant_id, step, who=self.participant_id)
        finally:
            if before is not None:
                await give_up(before, "switched")
        return None

    def _resume(self, message: Resume) -> None:
        """Hand the connection over to the session whose token the browser sent. Raises `Refusal`."""
        other = self._home.resumable(message.token)
        self._count_entry(self.voice if other is None else other.voice)
        known = other is not None and other is not self and other.may_be_resumed
        self._fire("resume", SessionFacts(token_known=known))
        assert other is not None
        connection, self._connection = self._connection, None
        assert connection is not None
        self._home.hand_over(self, other, token_hash(message.token))
        other.resume_over(connection, message)

    async def _give_up_seat(self, reason: str, ref: Ref | None = None) -> None:
        seat, self._seat = self._seat, None
        if seat is not None:
            await give_up(seat, reason, ref)

    def _notice_taken_seat(self) -> None:
        if self._seat is not None and self._seat.taken_away:
            # A session that has moved to another node is gone already.
            if not self._final:
                self._fire("dismissed")
            # The room has forgotten this session, and would count it for ever.
            self._seat.room.journal.tallies[SESSION.name].forget(self.participant_id)
            self._seat = None

    # Parts of the above

    @property
    def _has_arrival(self) -> bool:
        return self._arrival is not None

    @property
    def _final(self) -> bool:
        return SESSION.state(self.state).final

    def _welcome(self) -> Welcome:
        settings = self._home.settings
        return Welcome(
            protocol=SUBPROTOCOL,
            server=f"roomfsm/{__version__}",
            session=self.participant_id,
            resume_token=self._token,
            resume_window=settings.resume_window,
            heartbeat=settings.heartbeat,
            ice_servers=for_strangers(settings),
            limits=self._home.limits,
        )

    def _renewed_ice_servers(self) -> tuple[IceServer, ...]:
        """New credentials, if the session is in a room and its old ones will soon expire; else nothing.

        Somebody who waits in a lobby is not in the room, and gets none.
        """
        limited = self._home.settings.turn_secret is not None
        due = NEWS in SESSION.state(self.state).owns and trio.current_time() >= self._renew_at
        return self.ice_servers() if limited and due else ()

    def _count_entry(self, voice: Voice) -> None:
        """Count an attempt to enter a room or to come back. Raises `Refusal`."""
        now = trio.current_time()
        if not voice.may(ENTERING, now):
            raise Refusal(ErrorCode.RATE_LIMITED)
        self.address.may_enter()
        voice.use(ENTERING, now)

    def _count_name(self) -> None:
        """Count an attempt to take a new name, whether the name turns out to be valid or not. Raises `Refusal`."""
        now = trio.current_time()
        if not self._naming.may(RENAMING, now, self.address.names):
            raise Refusal(ErrorCode.RATE_LIMITED)
        self._naming.use(RENAMING, now, self.address.names)

    def _fire(self, trigger: str, facts: SessionFacts = _NO_FACTS) -> Step:
        step = SESSION.fire(self._model, trigger, facts)
        state = SESSION.state(step.dest)
        if (seat := self._seat) is not None:
            if NEWS not in state.owns:
                seat.hears_news = False
            journal, me = seat.room.journal, self.participant_id
            journal.took(SESSION.name, me, step, who=me, final=state.final)
        else:
            self._home.directory.counts.moves[SESSION.name, step.trigger] += 1
        if step.moved:
            told = {"session": self.participant_id, **self.handled}
            _log.debug("session", trigger=trigger, source=step.source, dest=step.dest, **told)
        return step

    def _log_connection(self, event: str) -> None:
        assert self._seat is not None
        _log.info(event, room=self._seat.room.name, session=self.participant_id)

    def _note_refusal(self, asked: str, refusal: Refusal) -> None:
        if (room := self.room) is not None:
            me = self.participant_id
            room.journal.refused(SESSION.name, me, asked, self.state, refusal, who=me)

    def _reply(self, message: ServerMessage) -> None:
        """Reply to the browser, behind what its room has told it and still waits for the store."""
        outgoing = Outgoing(message, is_reply=True)
        if self._seat is None:
            self.hear(outgoing)
        else:
            self._seat.tell(outgoing)

    def _send(self, message: ServerMessage) -> None:
        self.hear(Outgoing(message))


def token_hash(token: str) -> bytes:
    """What is known of a resume token. Nobody can find the token by it, which has 192 random bits."""
    return hashlib.blake2b(token.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _name_in(message: Join) -> str | None:
    """The name that the person wants; None if the message does not say."""
    return None if message.name == _UNNAMED else message.name


def _error(message: ClientMessage, refusal: Refusal) -> ServerMessage:
    return error_of(refusal, message.ref, message_type(message), stream=getattr(message, "stream", None))


def rates_of(rooms: RoomSettings) -> Rates:
    """How much one person may send to everybody."""
    return Rates(rooms.told_rate, rooms.told_bytes, rooms.told_seconds)


def limits_of(signaling: SignalingSettings, rooms: RoomSettings, file_bytes: int | None = None) -> Limits:
    """The bounds that the `welcome` message contains. `file_bytes` is None if the server takes no files."""
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
        file_bytes=file_bytes,
    )
