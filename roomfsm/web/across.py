"""Requests of browsers and programs for rooms and files of other nodes. Any node may be asked.

Where a request belongs is known from its address. If the room is named in its body, what serves it here finds out:
it raises `ElsewhereError`, which the API answers with status 421 and the header `ELSEWHERE`. Then that node is
asked. So nobody makes a room whom the API has not let in. An answer with status 421 never leaves the nodes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import unquote

import h11
import trio

from roomfsm.door.answers import RETRY
from roomfsm.door.conversation import BoundOf, ServeHttp
from roomfsm.door.conversation import Exchange as HttpExchange
from roomfsm.door.judge import RequestHead
from roomfsm.door.settings import DoorSettings
from roomfsm.door.tally import Tally
from roomfsm.files.shared_file import FOLDER
from roomfsm.files.store import FileStore
from roomfsm.nodes.exchange import Exchange, Handler
from roomfsm.nodes.messages import (
    Answer,
    AnswerBroken,
    AnswerPart,
    AnswerWanted,
    BodyPart,
    BodyWanted,
    Gone,
    NodeMessage,
    Question,
    Request,
)
from roomfsm.protocol.errors import Refusal
from roomfsm.protocol.names import NameFault, room_name
from roomfsm.web.answering import Answering
from roomfsm.web.api.problems import CONTENT_TYPE, ELSEWHERE, ApiCode, Problem
from roomfsm.web.asking import Asking, SilentError
from roomfsm.web.links import Links
from roomfsm.web.others import Others, Whereabouts
from roomfsm.web.settings import WebSettings

_TRIES = 3
"""How many nodes one request tries, if rooms change their nodes in that moment."""

_OF_A_ROOM = re.compile(r"(?:/api/v1|/inspect/api)/rooms/([^/]+)(?:/.*)?")
_OF_A_FILE = re.compile(rf"/{FOLDER}/([A-Za-z0-9]{{1,20}})\..*")
_IN_ITS_BODY = frozenset({("POST", "/api/v1/rooms"), ("POST", "/api/v1/explain")})
"""The requests whose bodies name a room."""


class Across:
    """Has each request answered where its room or its file is. As long as it crosses nothing, that is here."""

    def __init__(
        self,
        others: Others,
        files: FileStore | None,
        serve_http: ServeHttp,
        bound_of: BoundOf,
        settings: WebSettings,
        door: DoorSettings,
    ) -> None:
        """`serve_http` answers what belongs here; `bound_of` tells which bodies go to the disk."""
        self._others = others
        self._files = files
        self._serve_here = serve_http
        self._bound_of = bound_of
        self._settings = settings
        self._door = door
        self._passage: _Passage | None = None

    def cross(
        self,
        nursery: trio.Nursery,
        exchange: Exchange,
        whereabouts: Whereabouts,
        living: Callable[[], Sequence[str]],
    ) -> Handler:
        """Let requests cross to other nodes, and from them. What crosses ends with the nursery.

        `living` gives the ids of the other nodes that are alive. Returns what acts on their messages.
        """
        links = Links(exchange)
        asking = Asking(links, self._settings.node_answer_timeout, exchange.counts)
        bodies = Tally(self._door.max_bodies_bytes, self._door.max_bodies_bytes_per_address)
        answering = Answering(
            nursery,
            links,
            self._serve_visit,
            self._others.answers,
            self._settings.node_requests,
            bodies,
            self._bound_of,
        )
        self._others.meet(whereabouts, living, asking.question)
        if self._files is not None:
            self._files.mark = f"{_mark_of(exchange.me)}."
        self._passage = _Passage(exchange.me, links, asking, answering)
        return self._passage

    async def serve(self, exchange: HttpExchange) -> None:
        """Have a request answered. Implements `roomfsm.door.conversation.ServeHttp`."""
        passage = self._passage
        if passage is None:
            await self._serve_here(exchange)
        elif (exchange.head.method, exchange.head.path) in _IN_ITS_BODY:
            await self._find(exchange, passage)
        else:
            try:
                home = await self._home_of(exchange.head)
            except Refusal as refusal:
                await _refuse(exchange, Problem.of(refusal))
            else:
                await self._answer(exchange, passage, home)

    async def _serve_visit(self, exchange: HttpExchange) -> None:
        """Answer a request of another node, which says that its room is here."""
        try:
            # If this node has yet to bring the room back, it does so now.
            await self._home_of(exchange.head)
        except Refusal as refusal:
            await _refuse(exchange, Problem.of(refusal))
        else:
            await self._serve_here(exchange)

    async def _home_of(self, head: RequestHead) -> str | None:
        """The other node to which the address of a request belongs; None if it is answered here.

        Raises `Refusal` if that cannot be found out.
        """
        if match := _OF_A_ROOM.fullmatch(head.path):
            try:
                return await self._others.known_room(room_name(unquote(match[1])))
            except NameFault:
                return None
        if match := _OF_A_FILE.fullmatch(head.path):
            return next((node for node in self._others.living if _mark_of(node) == match[1]), None)
        return None

    async def _find(self, exchange: HttpExchange, passage: _Passage) -> None:
        """Have a request answered by the node that says that it belongs there."""
        kept, home = _Kept(exchange), None
        for _ in range(_TRIES):
            await self._answer(kept, passage, home)
            if kept.elsewhere is None:
                return
            home = kept.begin_again()
        await _refuse(exchange, Problem(ApiCode.NODE_SILENT))

    async def _answer(self, exchange: HttpExchange, passage: _Passage, home: str | None) -> None:
        if home is None or home == passage.me:
            await self._serve_here(exchange)
            return
        try:
            await passage.asking.pass_on(exchange, home)
        except SilentError:
            await _refuse(exchange, Problem(ApiCode.NODE_SILENT))


@dataclass(frozen=True, slots=True)
class _Passage:
    """What crosses. Implements `roomfsm.nodes.exchange.Handler`."""

    me: str
    links: Links
    asking: Asking
    answering: Answering

    def handle(self, sender: str, message: NodeMessage) -> None:
        """Act on a message of a node."""
        self.links.note(sender, message)
        match message:
            case Request() | Question() | BodyPart() | AnswerWanted() | Gone():
                self.answering.handle(sender, message)
            case BodyWanted() | Answer() | AnswerPart() | AnswerBroken():
                self.asking.handle(sender, message)
            case _:
                pass

    def lose(self, node: str) -> None:
        """Act on the loss of whatever was under way from and to a node."""
        self.links.lose(node)
        self.asking.lose(node)
        self.answering.lose(node)


class _Kept:
    """A request that can be asked again of another node, because its body is kept. Implements `HttpExchange`."""

    def __init__(self, exchange: HttpExchange) -> None:
        self.head = exchange.head
        self.secure = exchange.secure
        self.client = exchange.client
        self.server = exchange.server
        self.elsewhere: str | None = None
        """The node that is to be asked, as the answer says."""
        self._exchange = exchange
        self._body: list[bytes] = []
        self._read = 0

    def begin_again(self) -> str | None:
        """Let the body be read from its beginning. Returns the node that is to be asked."""
        self._read, home, self.elsewhere = 0, self.elsewhere, None
        return home

    async def receive(self) -> bytes | None:
        if self._read < len(self._body):
            self._read += 1
            return self._body[self._read - 1]
        data = await self._exchange.receive()
        if data is not None and (not self._body or self._body[-1]):
            self._body.append(data)
            self._read += 1
        return data

    async def send(self, event: h11.Response | h11.Data | h11.EndOfMessage) -> None:
        if isinstance(event, h11.Response) and event.status_code == HTTPStatus.MISDIRECTED_REQUEST:
            self.elsewhere = dict(event.headers)[ELSEWHERE.lower().encode()].decode()
        if self.elsewhere is None:
            await self._exchange.send(event)


def _mark_of(node: str) -> str:
    """What says in the address of a file that this node has it: the last part of its id."""
    return node.rpartition("/")[2]


async def _refuse(exchange: HttpExchange, problem: Problem) -> None:
    content = problem.content()
    headers = [
        *RETRY,
        ("Access-Control-Allow-Origin", "*"),
        ("Cache-Control", "no-store"),
        ("Content-Length", str(len(content))),
        ("Content-Type", CONTENT_TYPE),
    ]
    await exchange.send(h11.Response(status_code=problem.status, headers=headers))
    if exchange.head.method != "HEAD":
        await exchange.send(h11.Data(content))
    await exchange.send(h11.EndOfMessage())
