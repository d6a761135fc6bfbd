"""The home's side of requests that come over other nodes: they are served like any other.

The client's address, and whether it uses TLS, are what the edge found out. The front door of the edge has judged
the request already. What the client may do is decided here, by what the request says.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

import h11
import trio

from roomfsm.door.answers import RETRY
from roomfsm.door.answers import Answer as DoorAnswer
from roomfsm.door.conversation import BoundOf, ServeHttp
from roomfsm.door.judge import RequestHead
from roomfsm.door.tally import Tally
from roomfsm.hosts import bound_key
from roomfsm.log import get_logger
from roomfsm.nodes.flow import Credit
from roomfsm.nodes.messages import (
    Answer,
    AnswerBroken,
    AnswerPart,
    AnswerWanted,
    BodyPart,
    BodyWanted,
    Gone,
    HttpToHome,
    Question,
    Request,
)
from roomfsm.web.links import PART, WINDOW, Links

_log = get_logger(__name__)

_FULL = DoorAnswer(503, "This server answers too many requests for others at the moment.", RETRY)
_TOO_MUCH = DoorAnswer(503, "Too much is being sent to the server.", RETRY)


class _Answering:
    """The answer to one request, or to one question."""

    def __init__(self, links: Links, edge: str, number: int) -> None:
        self.edge = edge
        self.number = number
        self.wanted = Credit(WINDOW)
        """The parts of the answer that the edge takes."""
        self.over = trio.Event()
        """Set when nobody waits for the answer any more."""
        self.answered = self.begun = False
        self._links = links

    async def send(self, event: h11.Response | h11.Data | h11.EndOfMessage) -> None:
        """Send the next part of the answer, unless nobody waits for it."""
        if self.over.is_set():
            return
        match event:
            case h11.Response():
                self.begun = True
                self._links.send(
                    self.edge, Answer(self.number, event.status_code, tuple(event.headers.raw_items()))
                )
            case h11.Data():
                for at in range(0, len(event.data), PART):
                    if not (await self.wanted.take() and await self._links.room_for_one(self.edge)):
                        return
                    self._links.send(self.edge, AnswerPart(self.number, bytes(event.data[at : at + PART])))
            case _:
                self.answered = True
                self._links.send(self.edge, AnswerPart(self.number, b""))

    def break_off(self) -> None:
        """Say that there is no more of the answer."""
        if not self.answered and not self.over.is_set():
            self._links.send(self.edge, AnswerBroken(self.number))

    def lose(self) -> None:
        """Nobody waits for the answer any more."""
        self.over.set()
        self.wanted.end()


class _Visit(_Answering):
    """A request that came over another node. Implements `roomfsm.door.conversation.Exchange`."""

    def __init__(self, links: Links, edge: str, request: Request, bodies: Tally) -> None:
        super().__init__(links, edge, request.number)
        self.head = RequestHead(request.method, request.target, request.version, request.fields)
        self.secure = request.secure
        self.client = request.client
        self.server = request.server
        self.objection: DoorAnswer | None = None
        self.bodies: Tally | None = bodies
        """Counts the bytes of bodies that are kept in memory."""
        self._key = bound_key(request.client[0])
        self._size = 0
        self._asked = self._whole = False
        # Beside the parts there is the end.
        self._put, self._parts = trio.open_memory_channel[bytes](WINDOW + 1)
        if not self.head.has_body:
            self._asked = True
            self._put.send_nowait(b"")

    async def receive(self) -> bytes | None:
        """The next part of the body, as `Exchange` says."""
        if self._whole:
            await self.over.wait()
            return None
        if not self._asked:
            # Only now, because the client may wait until somebody wants the body (100 Continue).
            self._asked = True
            self._links.send(self.edge, BodyWanted(self.number, WINDOW))
        try:
            data = await self._parts.receive()
        except trio.EndOfChannel:
            return None
        if data and self.bodies is not None and not self.bodies.take(self._key, len(data)):
            self.objection = _TOO_MUCH
            return None
        self._size += len(data)
        self._whole = not data
        if data:
            self._links.send(self.edge, BodyWanted(self.number, 1))
        return data

    def bring(self, data: bytes) -> None:
        """A part of the body has come."""
        try:
            self._put.send_nowait(data)
        except trio.WouldBlock:
            _log.error("a node sends more than is wanted", node=self.edge)
            self.lose()

    def lose(self) -> None:
        super().lose()
        self._put.close()

    def release(self) -> None:
        """Give back the memory of the body."""
        if self.bodies is not None:
            self.bodies.give_back(self._key, self._size)


class Answering:
    """All requests and questions of other nodes that this node answers."""

    def __init__(
        self,
        nursery: trio.Nursery,
        links: Links,
        serve_http: ServeHttp,
        answers: Mapping[str, Callable[[], bytes]],
        most: int,
        bodies: Tally,
        bound_of: BoundOf,
    ) -> None:
        """`answers` are for questions, by what they are about. `most` is how many requests there may be."""
        self._nursery = nursery
        self._links = links
        self._serve_http = serve_http
        self._answers = answers
        self._most = most
        self._bodies = bodies
        self._bound_of = bound_of
        self._open: dict[tuple[str, int], _Answering] = {}

    def __len__(self) -> int:
        return len(self._open)

    def handle(self, sender: str, message: HttpToHome) -> None:
        """Act on a message of an edge."""
        answering = self._open.get((sender, message.number))
        match message:
            case Request():
                self._visit(sender, message)
            case Question(number=number, about=about):
                told = self._open[sender, number] = _Answering(self._links, sender, number)
                self._nursery.start_soon(self._answer, told, self._tell, told, about)
            case BodyPart(data=data) if isinstance(answering, _Visit):
                answering.bring(data)
            case AnswerWanted(parts=parts) if answering is not None:
                answering.wanted.give(parts)
            case Gone() if answering is not None:
                answering.lose()
            case _:
                # What it is about is over.
                pass

    def lose(self, node: str) -> None:
        """A node is gone, or what was under way to and from it is lost."""
        for answering in self._open.values():
            if answering.edge == node:
                # If only a message was lost, the edge must learn that, too.
                answering.break_off()
                answering.lose()

    def _visit(self, edge: str, request: Request) -> None:
        visit = _Visit(self._links, edge, request, self._bodies)
        if self._bound_of(visit.head) is not None:
            # It goes to the disk.
            visit.bodies = None
        if len(self._open) >= self._most:
            visit.objection = _FULL
        self._open[edge, visit.number] = visit
        self._nursery.start_soon(self._answer, visit, self._serve, visit)

    async def _answer[*Args](
        self, answering: _Answering, answer: Callable[[*Args], Awaitable[None]], *args: *Args
    ) -> None:
        try:
            await answer(*args)
        except Exception:  # noqa: BLE001 (a boundary)
            # A mistake in one answer must not end the others.
            _log.exception("request of another node failed", node=answering.edge)
        finally:
            answering.break_off()
            del self._open[answering.edge, answering.number]

    async def _serve(self, visit: _Visit) -> None:
        try:
            if visit.objection is None:
                await self._serve_http(visit)
            if visit.objection is not None and not visit.begun:
                for event in visit.objection.events(with_body=visit.head.method != "HEAD"):
                    await visit.send(event)
        finally:
            visit.release()

    async def _tell(self, told: _Answering, about: str) -> None:
        answer = self._answers.get(about)
        if answer is None:
            # A node of another version asks, while the nodes are updated one by one.
            return
        await told.send(h11.Response(status_code=200, headers=[]))
        await told.send(h11.Data(answer()))
        await told.send(h11.EndOfMessage())
