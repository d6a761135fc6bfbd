"""The registry: it opens a session for each new connection, and finds sessions by their resume tokens.

Each session is a task in the registry's nursery, and outlives its connection while its browser may come back. A
session that is away keeps a place, which others may need. Then the registry forgets the session first, so that
nobody can resume it any more, and only then wakes its task, which leaves the room. So between the two moments
there is no session that a browser could resume and that is about to end.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import trio

from roomfsm.door.conversation import Transport, Upgrade
from roomfsm.door.tally import Tally
from roomfsm.hosts import bound_key
from roomfsm.lifecycle.server import ServerFacts
from roomfsm.log import concern, concern_only, get_logger
from roomfsm.nodes.exchange import Exchange
from roomfsm.nodes.messages import Luggage, Outcome
from roomfsm.protocol.codec import Outgoing, error_of
from roomfsm.protocol.errors import CloseCode, ErrorCode, Refusal
from roomfsm.protocol.server import Closing, Limits
from roomfsm.rooms.directory import Directory
from roomfsm.rooms.durable import Sat
from roomfsm.rooms.participant import Seat
from roomfsm.rooms.room import Room
from roomfsm.signaling.addresses import Address, Addresses
from roomfsm.signaling.connection import Connection, serve_websocket
from roomfsm.signaling.crossing import AnyConnection, Crossing, Whereabouts
from roomfsm.signaling.entrance import Entrance
from roomfsm.signaling.frame_stream import FrameStream
from roomfsm.signaling.remote_connection import RemoteConnection
from roomfsm.signaling.session import Session, token_hash
from roomfsm.signaling.settings import SignalingSettings

_log = get_logger(__name__)

GRACE = 15.0
"""Seconds after the start of the server in which people who came back with their rooms make no way for others.
Pages try again at least every ten seconds."""
_REMINDERS = (600, 300, 120, 60, 30, 10)
"""When so many seconds are left until the server closes, everybody is told again."""


class Registry:
    """All sessions of the server."""

    def __init__(
        self,
        nursery: trio.Nursery,
        directory: Directory,
        settings: SignalingSettings,
        limits: Limits,
        entrance: Entrance,
    ) -> None:
        self.directory = directory
        self.settings = settings
        self.limits = limits
        self.entrance = entrance
        self.crossing: Crossing | None = None
        """The way to rooms at other nodes; None if every room is here."""
        self._nursery = nursery
        self._by_token: dict[bytes, Session] = {}
        """By the hashes of the tokens. Of sessions from before the server's start nothing else is known."""
        self._serving: set[AnyConnection] = set()
        self._addresses: Addresses[Session] = Addresses(settings, directory.settings.told_seconds)
        # The sessions that are away, with the longest away first.
        self._away: dict[Session, None] = {}
        self._expected: dict[Session, None] = {}
        """Those that came back with their rooms, while the grace lasts and their browsers are not back."""
        self._idle = trio.Event()
        self._forgot = trio.Event()
        self._closes_at: float | None = None
        """When the countdown ends; None if there is none."""
        self._messages = Tally(settings.max_messages_bytes, settings.max_messages_bytes_per_address)

    def __len__(self) -> int:
        return len(self.sessions)

    @property
    def sessions(self) -> set[Session]:
        """All sessions, also those that are away."""
        return set(self._by_token.values())

    @property
    def full(self) -> bool:
        """Whether no other browser may connect now."""
        facts = ServerFacts(sessions=len(self._serving) + 1, max_sessions=self.settings.max_sessions)
        return self.directory.life.refusal("connect", facts) is not None

    async def serve(self, transport: Transport, upgrade: Upgrade) -> None:
        """Serve one websocket, beginning with its handshake."""
        stream = FrameStream(
            transport,
            upgrade.read,
            outbox_messages=self.settings.outbox_messages,
            outbox_bytes=self.settings.outbox_bytes,
        )

        async def on_open(connection: Connection) -> None:
            await self._serve_open(connection, self._addresses.of(bound_key(upgrade.client)))

        await serve_websocket(
            stream,
            self.settings,
            self._messages,
            upgrade.client,
            upgrade.key,
            self.directory.counts,
            on_open,
        )

    def resumable(self, token: str) -> Session | None:
        """The session that this token resumes; None if there is none."""
        return self._by_token.get(token_hash(token))

    def hand_over(self, before: Session, after: Session, used: bytes) -> None:
        """Give the token and the address of the session `before` to the session `after`, and forget `before`.

        `after` then has the new token, and those that the browser may still use: the one that it `used` now, if it
        does not get the answer; and the newest before, if it got that, and an older request has come late.
        """
        address, (token, *_) = before.address, before.resume_hashes
        self.forget(before)
        self._no_longer_away(after)
        after.address.sessions.discard(after)
        after.move(address)
        after.address.sessions.add(after)
        before_that = after.resume_hashes
        after.resume_hashes = tuple(dict.fromkeys((token, used, before_that[0])))
        for known in before_that:
            if known not in after.resume_hashes:
                del self._by_token[known]
        self._by_token[token] = after

    def absent(self, told: Sat) -> Session:
        """The session of somebody who sat in a room before the server was started. `take_back` begins its life."""
        return Session(self, None, self._addresses.of(told.address), came_back=told.person)

    def take_back(self, session: Session, seat: Seat[Room]) -> None:
        """Let a session wait in its seat until its browser is back, or the resume window is over.

        At first nobody else gets its place.
        """
        # The person may have moved, and an address without sessions may have been forgotten since `absent`.
        session.move(self._addresses.of(session.voice.address))
        if not self._expected:
            self._nursery.start_soon(self._expect)
        self._expected[session] = None
        session.address.expected[session] = None
        session.sit_again(seat)
        self._by_token |= dict.fromkeys(session.resume_hashes, session)
        self._nursery.start_soon(self._run, session)

    async def _expect(self) -> None:
        await trio.sleep(GRACE)
        for address in {session.address for session in self._expected}:
            address.sessions.update(address.expected)
            address.away = {**address.expected, **address.away}
            address.expected.clear()
        self._away = {**self._expected, **self._away}
        self._expected.clear()

    def keep_away(self, session: Session) -> None:
        """Keep a session whose connection is lost. If too many are away, the longest away has to make way."""
        if session.expected:
            return
        self._away[session] = session.address.away[session] = None
        if len(session.address.away) > self.settings.max_away_per_address:
            self._send_off(next(iter(session.address.away)))
        in_room = [other for other in self._away if other.room is session.room]
        if len(in_room) > self.settings.max_away_per_room:
            self._send_off(in_room[0])

    @property
    def countdown(self) -> Closing | None:
        """In how many seconds the server closes, for a browser that connects now; None if that is not decided."""
        if self._closes_at is None:
            return None
        left = max(1, math.ceil(self._closes_at - trio.current_time()))
        return Closing(scope="server", reason="shutdown", seconds=left)

    async def drain(self, seconds: float) -> None:
        """Give people so many seconds to come to an end, and tell them how many are left.

        Returns when the time is over, or earlier if nobody is left.
        """
        self.directory.life.fire("drain")
        self._closes_at = end = trio.current_time() + seconds
        try:
            with trio.move_on_at(end):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._count_down, end)
                    while self._by_token:
                        self._forgot = trio.Event()
                        await self._forgot.wait()
                    nursery.cancel_scope.cancel()
        finally:
            self._closes_at = None

    async def _count_down(self, end: float) -> None:
        self._tell(self.countdown)
        for left in _REMINDERS:
            if trio.current_time() < end - left:
                await trio.sleep_until(end - left)
                self._tell(self.countdown)

    def close(self, reason: str) -> None:
        """Tell every browser that the server closes, and why, and refuse new ones from now on."""
        self.directory.life.fire("stop")
        self._tell(Closing(scope="server", reason=reason))

    def _tell(self, closing: Closing | None) -> None:
        if closing is None:
            return
        outgoing = Outgoing(closing)
        for connection in tuple(self._serving):
            # A browser at another node keeps its connection, whatever becomes of this one.
            if not isinstance(connection, RemoteConnection):
                connection.send(outgoing)

    async def disconnect(self) -> None:
        """Close every websocket. Returns when each closing handshake is done, or its time is over."""
        for connection in tuple(self._serving):
            connection.close_soon(CloseCode.GOING_AWAY)
        while self._serving:
            self._idle = trio.Event()
            await self._idle.wait()

    def forget(self, session: Session) -> None:
        """Drop a session that has ended. Nobody can resume it, and it takes no place any more."""
        self._no_longer_away(session)
        session.address.sessions.discard(session)
        for token in session.resume_hashes:
            if self._by_token.get(token) is session:
                del self._by_token[token]
        session.resume_hashes = ()
        self._forgot.set()

    def _no_longer_away(self, session: Session) -> None:
        self._away.pop(session, None)
        session.address.away.pop(session, None)
        self._expected.pop(session, None)
        session.address.expected.pop(session, None)

    def _send_off(self, session: Session) -> None:
        """End a session that is away, because somebody else needs its place."""
        self.forget(session)
        session.make_way()

    def cross(
        self,
        nursery: trio.Nursery,
        exchange: Exchange,
        whereabouts: Whereabouts,
        living: Callable[[], Sequence[str]],
    ) -> Crossing:
        """Let sessions live at the nodes where their rooms are. What crosses ends with the nursery.

        `living` gives the ids of the other nodes that are alive.
        """
        self.crossing = Crossing(
            nursery,
            exchange,
            whereabouts,
            self.serve_remote,
            self._by_token.__contains__,
            living,
            self.directory.counts,
            2 * self.settings.message_burst,
        )
        return self.crossing

    def serve_remote(self, connection: RemoteConnection, luggage: Luggage, text: str) -> None:
        """Open a session that comes from another node and answers this message of its browser first."""
        self._nursery.start_soon(self._serve_remote, connection, luggage, text)

    async def _serve_remote(self, connection: RemoteConnection, luggage: Luggage, text: str) -> None:
        address = self._addresses.of(luggage.address)
        # Whoever resumes a session takes no further place.
        if luggage.asked != "resume" and (self.full or not self._make_place_at(address)):
            refusal = Refusal(ErrorCode.SERVER_FULL)
            connection.send(Outgoing(error_of(refusal, luggage.ref, luggage.asked)))
            connection.settle(Outcome.REFUSED)
        else:
            session = Session(self, connection, address, luggage=luggage)
            address.sessions.add(session)
            await self._serve_session(connection, session, text)
        assert self.crossing is not None
        self.crossing.forget(connection)

    def _make_place_at(self, address: Address[Session]) -> bool:
        """Whether the address may have another session. One that is away makes way for it."""
        if len(address.sessions) >= self.settings.max_sessions_per_address:
            if not address.away:
                _log.warning("too many sessions of an address", address=address.key)
                return False
            self._send_off(next(iter(address.away)))
        return True

    def arrive(self, session: Session) -> None:
        """A session from another node lives here from now on, and can be resumed here."""
        self._by_token |= dict.fromkeys(session.resume_hashes, session)

    async def _serve_open(self, connection: Connection, address: Address[Session]) -> None:
        if not self._make_place_at(address):
            connection.close_soon(CloseCode.TOO_MANY_SESSIONS)
            await connection.run()
            return
        session = Session(self, connection, address)
        concern(session=session.participant_id)
        address.sessions.add(session)
        self._by_token[session.resume_hashes[0]] = session
        # Whatever is told to everybody from now on comes after this.
        session.greet()
        await self._serve_session(connection, session)

    async def _serve_session(self, connection: AnyConnection, session: Session, first: str | None = None) -> None:
        """Run the session, and its connection until that is over. `first` is a message that came before."""
        self._serving.add(connection)
        if self._away and len(self._serving) + len(self._away) > self.settings.max_sessions:
            # As in a full room, the address with the most sessions that are away loses one.
            self._send_off(min(self._away, key=lambda other: -len(other.address.away)))
        self._nursery.start_soon(self._run, session, first)
        try:
            await connection.run()
        finally:
            self._serving.discard(connection)
            self._idle.set()

    async def _run(self, session: Session, first: str | None = None) -> None:
        concern_only(session=session.participant_id)
        try:
            await session.run(first)
        except Exception:  # noqa: BLE001 (a boundary)
            # A fault in one session must not end the others: this is the boundary.
            _log.exception("session failed", **session.handled)
            await session.abandon()
        finally:
            self.forget(session)


@asynccontextmanager
async def open_registry(
    directory: Directory, settings: SignalingSettings, limits: Limits, entrance: Entrance
) -> AsyncIterator[Registry]:
    """Open a registry, whose sessions end when this scope ends."""
    async with trio.open_nursery() as nursery:
        yield Registry(nursery, directory, settings, limits, entrance)
        nursery.cancel_scope.cancel()
