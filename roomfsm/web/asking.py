"""The edge's side of requests that other nodes answer.

Here the client's connection is, with its limits and deadlines. The body of the request is read only as far as the
home wants it, and the home sends only as much of the answer as the client has read, and a few parts more. So a
slow client, or a slow disk, slows the other side, and what waits in memory is bounded.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from contextlib import contextmanager

import h11
import trio

from roomfsm.door.conversation import Exchange
from roomfsm.log import get_logger
from roomfsm.nodes.counts import SILENT, NodeCounts
from roomfsm.nodes.flow import Credit
from roomfsm.nodes.messages import (
    Answer,
    AnswerBroken,
    AnswerPart,
    AnswerWanted,
    BodyPart,
    BodyWanted,
    Gone,
    HttpToEdge,
    Question,
    Request,
)
from roomfsm.web.links import WINDOW, Links

_log = get_logger(__name__)


class SilentError(Exception):
    """The home is gone, or says nothing, and has not begun to answer."""


class _Asked:
    """One request, or one question, that another node answers."""

    def __init__(self, home: str) -> None:
        self.home = home
        # Beside the parts there are the head and the end of the answer.
        self.put, self.answer = trio.open_memory_channel[Answer | AnswerPart](WINDOW + 2)
        self.body = Credit(0)


class Asking:
    """All requests of this node that other nodes answer."""

    def __init__(self, links: Links, patience: float, counts: NodeCounts) -> None:
        """`patience` is how many seconds a home has to begin its answer, or to take more of a body."""
        self._links = links
        self._counts = counts
        self._patience = patience
        self._asked: dict[int, _Asked] = {}
        self._numbers = itertools.count(1)

    def __len__(self) -> int:
        return len(self._asked)

    async def pass_on(self, exchange: Exchange, home: str) -> None:
        """Have a request answered by its home. Raises `SilentError` if it does not begin to answer."""
        with self._ask(home) as (number, asked):
            await _Passage(self._links, self._patience, exchange, number, asked, self._counts).run()

    async def question(self, home: str, about: str) -> bytes | None:
        """What a node says about something; None if it is gone."""
        began = trio.current_time()
        with self._ask(home) as (number, asked):
            self._links.send(home, Question(number, about))
            said = bytearray()
            async for part in asked.answer:
                if isinstance(part, Answer):
                    self._counts.answered(trio.current_time() - began)
                    continue
                if not part.data:
                    return bytes(said)
                said += part.data
                self._links.send(home, AnswerWanted(number, 1))
        self._counts.asks[SILENT] += 1
        return None

    @contextmanager
    def _ask(self, home: str) -> Iterator[tuple[int, _Asked]]:
        number, asked = next(self._numbers), _Asked(home)
        self._asked[number] = asked
        try:
            yield number, asked
        finally:
            # It is not there any more if the home has ended it.
            if self._asked.pop(number, None) is not None:
                self._links.send(home, Gone(number))

    def handle(self, sender: str, message: HttpToEdge) -> None:
        """Act on a message of a home."""
        asked = self._asked.get(message.number)
        if asked is None or asked.home != sender:
            return
        match message:
            case BodyWanted(parts=parts):
                asked.body.give(parts)
            case Answer() | AnswerPart():
                try:
                    asked.put.send_nowait(message)
                except trio.WouldBlock:
                    _log.error("a node sends more than is wanted", node=sender)
                    self._links.send(sender, Gone(message.number))
                    self._end(message.number)
                    return
                if isinstance(message, AnswerPart) and not message.data:
                    self._end(message.number)
            case AnswerBroken():
                self._end(message.number)

    def lose(self, node: str) -> None:
        """A node is gone, or what was under way to and from it is lost."""
        for number in [number for number, asked in self._asked.items() if asked.home == node]:
            # If only a message was lost, the home must learn that, too.
            self._links.send(node, Gone(number))
            self._end(number)

    def _end(self, number: int) -> None:
        asked = self._asked.pop(number)
        asked.put.close()
        asked.body.end()


class _Passage:
    """A request on its way to its home, and the answer on its way back."""

    def __init__(
        self,
        links: Links,
        patience: float,
        exchange: Exchange,
        number: int,
        asked: _Asked,
        counts: NodeCounts,
    ) -> None:
        self._counts = counts
        self._links = links
        self._exchange = exchange
        self._number = number
        self._asked = asked
        self._allowed = patience
        self._waiting = trio.CancelScope()
        """Ends the wait for the head of the answer. Its deadline counts only while the home is to do something."""

    async def run(self) -> None:
        exchange, head = self._exchange, self._exchange.head
        request = Request(
            self._number,
            head.method,
            head.target,
            head.version,
            head.fields,
            exchange.secure,
            exchange.client,
            exchange.server,
        )
        began = trio.current_time()
        answer, silent = None, False
        async with trio.open_nursery() as nursery:
            with self._waiting:
                self._home_is_due()
                if await self._links.room_for_one(self._asked.home):
                    self._links.send(self._asked.home, request)
                    nursery.start_soon(self._pass_body, nursery.cancel_scope)
                    answer = await self._begin()
            silent = answer is None
            if answer is None:
                self._counts.asks[SILENT] += 1
            else:
                self._counts.answered(trio.current_time() - began)
                await self._answer(answer)
            nursery.cancel_scope.cancel()
        if silent:
            raise SilentError

    async def _begin(self) -> Answer | None:
        """The head of the answer; None if there is none."""
        async for head in self._asked.answer:
            assert isinstance(head, Answer)
            return head
        return None

    async def _answer(self, head: Answer) -> None:
        """Send the answer, as far as it comes. If it breaks off, the front door ends the connection."""
        await self._exchange.send(h11.Response(status_code=head.status, headers=list(head.fields)))
        async for part in self._asked.answer:
            assert isinstance(part, AnswerPart)
            if not part.data:
                await self._exchange.send(h11.EndOfMessage())
                return
            await self._exchange.send(h11.Data(part.data))
            self._links.send(self._asked.home, AnswerWanted(self._number, 1))

    async def _pass_body(self, scope: trio.CancelScope) -> None:
        """Pass on the body, and then cancel the scope when the client has gone."""
        if self._exchange.head.has_body:
            while await self._asked.body.take():
                self._waiting.deadline = math.inf
                data = await self._exchange.receive()
                if data is None:
                    scope.cancel()
                    return
                self._home_is_due()
                if not data or await self._links.room_for_one(self._asked.home):
                    self._links.send(self._asked.home, BodyPart(self._number, data))
                if not data:
                    break
            else:
                return
        while await self._exchange.receive() is not None:
            pass
        scope.cancel()

    def _home_is_due(self) -> None:
        self._waiting.deadline = trio.current_time() + self._allowed
