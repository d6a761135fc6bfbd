"""What this node asks the other nodes for its own answers: which of them has a room, and what all of them have.

A list of all rooms is what the nodes have together. One question goes to each of them, and what they say holds
for a moment, however many people ask. A node that does not answer in time is missing, and is named.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec
import trio

from roomfsm.rooms.inspection import Shown

_HOLDS = 1.0
"""For so many seconds nobody asks the other nodes again."""

type Ask = Callable[[str, str], Awaitable[bytes | None]]
"""Asks a node about something. Its answer is None if it is gone."""


class Whereabouts(Protocol):
    """Knows where rooms are."""

    async def of_room(self, room: str) -> str | None:
        """The node that has the room of that name; None if it is this one. A room that is nowhere gets a node.

        Raises `Refusal` if that cannot be found out.
        """

    async def known_room(self, room: str) -> str | None:
        """The node that has the room of that name; None if it is this one, or none.

        If this node has yet to bring that room back, it does so before this returns. Raises `Refusal` if that
        cannot be found out.
        """

    async def give_back(self, room: str) -> None:
        """The room of that name was not opened here, although it got this node. It needs none, then."""


@dataclass(frozen=True, slots=True)
class Heard[T]:
    """What the other nodes say."""

    answers: Sequence[T] = ()
    missing: Sequence[str] = ()
    """The nodes that have not answered in time, or not what was expected, because they are of another version."""
    at: float = float("-inf")


class ElsewhereError(Exception):
    """The room of a request is at another node, which is to answer it."""

    def __init__(self, node: str) -> None:
        super().__init__(node)
        self.node = node


class Others:
    """The other nodes. As long as they are not `met`, every room is here."""

    def __init__(self, patience: float) -> None:
        """`patience` is how many seconds they have to answer a question."""
        self.answers: dict[str, Callable[[], bytes]] = {}
        """What this node says when another one asks, by what it is about."""
        self.look_at_node: Callable[[], Shown | None] = lambda: None
        """What the inspector shows of this server as a node; None if it is none."""
        self._patience = patience
        self._whereabouts: Whereabouts | None = None
        self._living: Callable[[], Sequence[str]] = tuple
        self._ask: Ask | None = None
        self._heard: defaultdict[str, Heard[Any]] = defaultdict(Heard)
        self._asking: defaultdict[str, trio.Lock] = defaultdict(trio.Lock)

    def meet(self, whereabouts: Whereabouts, living: Callable[[], Sequence[str]], ask: Ask) -> None:
        """Know the other nodes from now on. `living` gives the ids of those that are alive."""
        self._whereabouts, self._living, self._ask = whereabouts, living, ask

    @property
    def living(self) -> Sequence[str]:
        """The ids of the other nodes that are alive."""
        return self._living()

    async def known_room(self, name: str) -> str | None:
        """The other node that has the room of that name; None if none has it. Raises `Refusal`."""
        return None if self._whereabouts is None else await self._whereabouts.known_room(name)

    async def must_be_here(self, name: str) -> None:
        """Raise `ElsewhereError` if another node has the room of that name; `Refusal` if nobody knows."""
        node = await self.known_room(name)
        if node is not None:
            raise ElsewhereError(node)

    @asynccontextmanager
    async def claimed(self, name: str) -> AsyncIterator[None]:
        """Let the room of that name be here, if it is nowhere yet. If it is not opened here, it needs no node.

        Raises `ElsewhereError` if it belongs to another node, and `Refusal` if nobody knows.
        """
        if self._whereabouts is None:
            yield
            return
        if (node := await self._whereabouts.of_room(name)) is not None:
            raise ElsewhereError(node)
        try:
            yield
        finally:
            await self._whereabouts.give_back(name)

    async def hear[T](self, about: str, kind: type[T]) -> Heard[T]:
        """What the other nodes say about something, each a JSON of this kind."""
        if self._ask is None:
            return Heard()
        async with self._asking[about]:
            if trio.current_time() - self._heard[about].at >= _HOLDS:
                self._heard[about] = await self._listen(about, kind, self._ask)
        return self._heard[about]

    async def _listen[T](self, about: str, kind: type[T], ask: Ask) -> Heard[T]:
        nodes = sorted(self.living)
        answers: dict[str, T] = {}

        async def hear_one(node: str) -> None:
            answer = await ask(node, about)
            if answer is not None:
                with suppress(msgspec.DecodeError):
                    answers[node] = msgspec.json.decode(answer, type=kind)

        with trio.move_on_after(self._patience):
            async with trio.open_nursery() as nursery:
                for node in nodes:
                    nursery.start_soon(hear_one, node)
        return Heard(
            [answers[node] for node in nodes if node in answers],
            [node for node in nodes if node not in answers],
            trio.current_time(),
        )
