"""One simulated person: enters a room as a page does, talks, presents or watches, and measures what comes."""

from __future__ import annotations

import itertools
import json
import math
import ssl
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import trio
from trio_websocket import ConnectionClosed, HandshakeError, WebSocketConnection, open_websocket_url

from roomfsm.load.figures import Figures, Lines
from roomfsm.load.path import Path
from roomfsm.load.poor_peer import open_peer_on
from roomfsm.load.presenting import present
from roomfsm.load.reception import REPORT_INTERVAL, RTX_NUMBER, Reception
from roomfsm.peer import VP8_TYPE, HandshakeFailed, PayloadType, Peer
from roomfsm.peer.sdp import AnswerInvalid

_SUBPROTOCOL = "roomfsm.v1"
_CONNECT = 30.0
"""Seconds in which somebody must be in the room, or a media connection must be there."""
_LEAVE = 2.0
"""Seconds that the last message may take."""
_MOST_BYTES = 2**22
_MARK = "roomfsm load, line "
_RTX = PayloadType(RTX_NUMBER, "rtx/90000", f"apt={VP8_TYPE.number}")

type Message = dict[str, Any]


class Refused(Exception):
    """The server has refused the person. The argument is the code."""


@dataclass(frozen=True, slots=True)
class Role:
    """Who the person is in the test."""

    room: str
    name: str
    presents: bool
    watches: bool
    path: Path | None = None
    """The poor path over which the media go."""


class Person:
    """A person who is in a room. `take_part` makes one."""

    def __init__(
        self,
        role: Role,
        websocket: WebSocketConnection,
        figures: Figures,
        lines: Lines[Person],
        nursery: trio.Nursery,
        video_rate: float,
    ) -> None:
        self.role = role
        self._video_rate = video_rate
        self._media = figures.media(poor=role.path is not None)
        self._websocket = websocket
        self._figures = figures
        self._lines = lines
        self._nursery = nursery
        self._refs = itertools.count(2)
        self._legs: dict[str, _Leg] = {}
        """Those that begin or go on, by their streams."""
        self._ended: set[str] = set()
        """Streams that have ended. What was asked of them meanwhile is refused, and that is no fault."""

    async def send(self, type_: str, **fields: object) -> None:
        await self._websocket.send_message(json.dumps({"type": type_, **fields}))

    async def say(self, number: int) -> None:
        """Say the line with this number."""
        with suppress(ConnectionClosed):  # The person notices that elsewhere, too.
            await self.send("chat", text=f"{_MARK}{number}")

    async def enter(self, began: float) -> None:
        """Enter the room. Raises `Refused`."""
        await self.send("join", room=self.role.room, name=self.role.name, ref=1)
        while True:
            message = await self._next()
            match message:
                case {"type": "joined", "you": me, "streams": streams}:
                    self._figures.entered(trio.current_time() - began)
                    if self.role.presents:
                        self._start(f"{me}.camera", "publish", {"source": "camera"})
                    for stream in streams:
                        self._watch(stream["id"])
                    return
                case {"type": "knocking"}:
                    raise Refused("knocking")
                case {"type": "error", "code": str(code), "ref": 1}:
                    raise Refused(code)

    async def listen(self) -> None:
        """Handle what the server says, until it closes the connection."""
        while True:
            match await self._next():
                case {"type": "chat", "line": {"text": str(text)}} if (number := _number_of(text)) is not None:
                    self._lines.hear(self, number, trio.current_time())
                case {"type": "streamStarted", "stream": {"id": stream}}:
                    self._watch(stream)
                case {"type": "streamChanged", "view": "limited"}:
                    self._media.limited += 1
                case {"type": "streamEnded", "stream": stream}:
                    self._ended.add(stream)
                    self._end(stream)
                case {"type": "answer", "stream": stream, "sdp": answer} if stream in self._legs:
                    self._legs[stream].take(answer)
                case {"type": "candidate", "stream": stream, "candidate": line} if stream in self._legs:
                    self._legs[stream].add(line)
                case {"type": "error", "code": str(code)} as error:
                    self._refused(code, error)

    async def _next(self) -> Message:
        message = json.loads(await self._websocket.get_message())
        return message if isinstance(message, dict) else {}

    def _refused(self, code: str, error: Message) -> None:
        asked = [stream for stream, leg in self._legs.items() if leg.ref == error.get("ref")]
        stream = error.get("stream") or (asked[0] if asked else "")
        if stream not in self._ended:
            self._figures.failed(code)
            self._end(stream)

    def _end(self, stream: str) -> None:
        if (leg := self._legs.pop(stream, None)) is not None:
            leg.scope.cancel()

    def _watch(self, stream: str) -> None:
        if self.role.watches and stream not in self._legs:
            self._ended.discard(stream)  # It was published anew.
            self._start(stream, "view", {"stream": stream})

    def _start(self, stream: str, asked: str, fields: dict[str, str]) -> None:
        leg = self._legs[stream] = _Leg(next(self._refs))
        self._nursery.start_soon(self._run, leg, stream, asked, fields)

    async def _run(self, leg: _Leg, stream: str, asked: str, fields: dict[str, str]) -> None:
        """Send or receive one stream."""
        sends = asked == "publish"
        with leg.scope:
            direction, video = ("sendonly", (VP8_TYPE,)) if sends else ("recvonly", (VP8_TYPE, _RTX))
            async with open_peer_on(self.role.path, direction, video) as peer:
                began = trio.current_time()
                await self.send(asked, **fields, sdp=peer.offer, ref=leg.ref)
                try:
                    with trio.fail_after(_CONNECT):
                        await leg.connect(peer)
                        candidate = {"candidate": peer.candidate, "sdpMid": "0", "sdpMLineIndex": 0}
                        await self.send("candidate", stream=stream, **candidate)
                        await peer.connect()
                except trio.TooSlowError:
                    self._figures.failed("media_not_connected")
                    return
                except (HandshakeFailed, AnswerInvalid):
                    self._figures.failed("media_refused")
                    return
                self._media.times["connected"].add(trio.current_time() - began)
                if sends:
                    await present(peer, self._video_rate)
                else:
                    await self._watch_picture(peer, began)

    async def _watch_picture(self, peer: Peer, began: float) -> None:
        now = trio.current_time()
        reception = Reception(peer.payload_types["vp8"], now)
        self._media.views += 1
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_report, peer, reception)
                nursery.start_soon(self._receive, peer, reception, began)
        finally:
            end = trio.current_time()
            self._media.watched += end - now
            self._media.without += reception.time_without(end)
            self._media.lost += reception.pictures.lost

    async def _receive(self, peer: Peer, reception: Reception, began: float) -> None:
        times = self._media.times
        while True:
            packet = await peer.receive_rtp()
            now = trio.current_time()
            first, pictures = reception.empty, reception.count
            if feedback := reception.take(packet, now):
                peer.send_rtcp(feedback)
            if first:
                times["packet"].add(now - began)
            if packet.payload_type == reception.video:
                self._figures.received(self._media)
            if not pictures and reception.count:
                times["frame"].add(now - began)


async def _report(peer: Peer, reception: Reception) -> None:
    """Exchange reports with the media server, as a browser does."""

    async def hear() -> None:
        while True:
            reception.hear(await peer.receive_rtcp(), trio.current_time())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(hear)
        while True:
            await trio.sleep(REPORT_INTERVAL)
            peer.send_rtcp(reception.report(trio.current_time()))


class _Leg:
    """One media connection of a person."""

    def __init__(self, ref: int) -> None:
        self.ref = ref
        self.scope = trio.CancelScope()
        self._answer = ""
        self._answered = trio.Event()
        self._peer: Peer | None = None

    def take(self, answer: str) -> None:
        """Take the answer of the server."""
        self._answer = answer
        self._answered.set()

    def add(self, candidate: str) -> None:
        """Take a candidate of the server, which sends them after its answer."""
        if self._peer is not None:
            self._peer.add_candidate(candidate)

    async def connect(self, peer: Peer) -> None:
        """Give the peer the answer when it comes. Raises `AnswerInvalid`."""
        await self._answered.wait()
        peer.take_answer(self._answer)
        self._peer = peer


async def take_part(
    url: str,
    tls: ssl.SSLContext | None,
    role: Role,
    figures: Figures,
    lines: Lines[Person],
    people: set[Person],
    video_rate: float,
) -> None:
    """Be in the room, as one of its `people`, until this is cancelled or the server ends it.

    What goes wrong is counted.
    """
    began = trio.current_time()
    person: Person | None = None
    try:
        with trio.CancelScope(deadline=began + _CONNECT) as patience:
            async with (
                open_websocket_url(
                    url, tls, subprotocols=[_SUBPROTOCOL], max_message_size=_MOST_BYTES, disconnect_timeout=2
                ) as websocket,
                trio.open_nursery() as nursery,
            ):
                person = Person(role, websocket, figures, lines, nursery, video_rate)
                try:
                    await person.enter(began)
                    # From here on the person stays until the test is over, and that ends this task.
                    patience.deadline = math.inf
                    people.add(person)
                    await person.listen()
                finally:
                    # Otherwise the seat would be kept for as long as the person may come back.
                    with trio.move_on_after(_LEAVE, shield=True), suppress(ConnectionClosed):
                        await person.send("leave")
        if patience.cancelled_caught:
            figures.failed("too_slow")
    except* Refused as refused:
        for error in _leaves(refused):
            figures.failed(str(error))
    except* (ConnectionClosed, HandshakeError, OSError) as lost:
        for error in _leaves(lost):
            figures.failed(_name_of(error))
    except* Exception as fault:  # noqa: BLE001 (a boundary)
        # A fault in acting for one person must not end the test of the others.
        for error in _leaves(fault):
            figures.failed(type(error).__name__)
    finally:
        if person in people:
            people.discard(person)
            lines.leave(person)
            figures.people -= 1


def _number_of(text: str) -> int | None:
    """The number of a line of this test; None if it is another line."""
    number = text.removeprefix(_MARK)
    return int(number) if number != text and number.isdecimal() else None


def _leaves(group: BaseExceptionGroup[Any]) -> list[BaseException]:
    found: list[BaseException] = []
    for error in group.exceptions:
        found += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found


def _name_of(error: BaseException) -> str:
    match error:
        case ConnectionClosed(reason=reason) if reason is not None:
            return f"closed_{reason.code}"
        case HandshakeError():
            return "websocket_refused"
        case OSError():
            return "unreachable"
    return type(error).__name__
