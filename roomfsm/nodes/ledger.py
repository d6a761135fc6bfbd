"""The nodes and the homes of rooms in Redis: each method is one of the scripts, and says what Redis has answered.

Every method may raise `StoreError`, and those that say so `Forgotten` or `Reaped`.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import msgspec

from roomfsm.nodes import scripts
from roomfsm.store.interface import StoreCode, StoreError
from roomfsm.store.redis import Fence, owner_shown
from roomfsm.store.redis_client import RedisClient, open_client
from roomfsm.store.redis_keys import HOME, NODES, OWNER, ROOMS, TAG, TOKENS

_KEYS = (OWNER, NODES, HOME, ROOMS, TOKENS, TAG + "incarnations", TAG + "recovering")


class Info(msgspec.Struct, frozen=True):
    """What a node lets the others know of it. `process` names its process (`roomfsm.kurento.owner`)."""

    name: str
    people: int = 0
    rooms: int = 0
    draining: bool = False
    version: str = ""
    process: str = ""
    alike: str = ""
    """The fingerprint of the settings that all nodes must have alike (`roomfsm.alike`)."""


_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Info] = msgspec.msgpack.Decoder(Info)


class Forgotten(Exception):
    """Redis has lost its data, or has been taken over meanwhile: it does not know this age any more."""


class Reaped(Exception):
    """The others have taken this node for dead, and have its rooms."""


@dataclass(frozen=True, slots=True)
class Namesake:
    """A node with our name. `beat` changes each time that it gives a sign of life; None if its lease is over."""

    age: str
    id: str
    beat: bytes | None
    left: float
    """Seconds until its lease is over."""
    info: Info


@dataclass(frozen=True, slots=True)
class Seen:
    """A registered node, as the last beat saw it."""

    id: str
    info: Info
    left: float
    """Seconds until its lease is over; less than 0 if it is over."""

    @property
    def alive(self) -> bool:
        """Whether its lease is not over."""
        return self.left >= 0


@dataclass(frozen=True, slots=True)
class Home:
    """The node on which a room lives. If it is not `alive`, it has to be reaped first."""

    node: str
    alive: bool


class Ledger:
    """What Redis knows of the nodes."""

    def __init__(self, client: RedisClient, lease: float) -> None:
        self._client = client
        self.place = client.place
        self._ms = max(1, round(lease * 1000))

    async def register(self, info: Info, before: str | None, rooms: Iterable[str] = ()) -> Fence | Namesake:
        """Register as a new node, or, after Redis has lost its data, with the id `before` and with these rooms."""
        age = secrets.token_hex(4)
        answer = await self._client.run(
            scripts.REGISTER, _KEYS, [age, info.name, _encoder.encode(info), self._ms, before or "", *rooms]
        )
        match answer:
            case [b"named", bytes(age_now), bytes(node), beat, int(left), bytes(told)]:
                return Namesake(age_now.decode(), node.decode(), beat, left / 1000, _decoder.decode(told))
            case [b"ok", bytes(node), bytes(age_now)]:
                return Fence(node.decode(), age_now.decode())
        raise self._unexpected(answer)

    async def beat(
        self, me: Fence, info: Info, number: int, learned: Iterable[str]
    ) -> tuple[Sequence[str], Sequence[Seen]]:
        """Renew the lease. Returns the rooms that are due here and that we have not `learned` yet, and all nodes.

        Raises `Reaped` or `Forgotten`.
        """
        answer = await self._client.run(
            scripts.BEAT, _KEYS, [me.age, me.node, _encoder.encode(info), self._ms, number, *learned]
        )
        match self._checked(answer):
            case [b"reaped"]:
                raise Reaped
            case [b"ok", list(due), list(nodes)]:
                return [room.decode() for room in due], _seen(nodes)
        raise self._unexpected(answer)

    async def look(self) -> tuple[str, Sequence[Seen]]:
        """The owner of the store, which is empty if it has none, and all nodes, dead ones, too.

        This changes nothing, and needs no place among the nodes.
        """
        answer = await self._client.run(scripts.LOOK, _KEYS, [])
        match answer:
            case [bytes(owner), list(nodes)]:
                return owner.decode(), _seen(nodes)
        raise self._unexpected(answer)

    async def reap(self, age: str, node: str, *, for_sure: bool = False) -> None:
        """Remove a node whose lease is over, and give its rooms to the others. Raises `Forgotten`.

        `for_sure` says that the node has ended, whatever its lease says.
        """
        answer = await self._client.run(scripts.REAP, _KEYS, [age, node, "1" if for_sure else "0"])
        self._checked(answer)

    async def home_of(self, age: str, room: str, candidate: str) -> Home | float:
        """The home of a room, which is the candidate if the room had none. Raises `Forgotten`.

        A number says for how many seconds the other nodes may still have to say which rooms they have.
        """
        answer = await self._client.run(scripts.HOME_OF, _KEYS, [age, room, candidate])
        match self._checked(answer):
            case [b"wait", int(left)]:
                return left / 1000
            case [how, bytes(node)]:
                return Home(node.decode(), alive=how == b"home")
        raise self._unexpected(answer)

    async def known_home(self, room: str) -> str | None:
        """The home of a room, alive or not; None if it has none."""
        home = await self._client.request(b"HGET", HOME, room)
        return None if home is None else home.decode()

    async def home_of_token(self, age: str, token: bytes) -> tuple[str, str | None] | None:
        """The room to which the token with this hash brings somebody back, and its home if that is alive.

        None if nobody has this token. Raises `Forgotten`.
        """
        answer = await self._client.run(scripts.HOME_OF_TOKEN, _KEYS, [age, token])
        match self._checked(answer):
            case [b"home", bytes(room), bytes(node)]:
                return room.decode(), node.decode()
            case [b"none", bytes(room)]:
                return room.decode(), None
            case [b"nobody"]:
                return None
        raise self._unexpected(answer)

    async def hand_over(self, me: Fence, room: str, to: str | None) -> bool:
        """Make another node the home of a room that lives here, or nobody if nothing of the room is stored.

        Returns whether that was possible. Raises `Forgotten`.
        """
        answer = await self._client.run(scripts.HAND_OVER, _KEYS, [me.age, me.node, room, to or ""])
        return bool(self._checked(answer)[0] == b"ok")

    def _checked(self, answer: Any) -> Any:
        match answer:
            case [b"forgotten"]:
                raise Forgotten
            case [b"taken", bytes(owner)]:
                raise StoreError(StoreCode.TAKEN, f"{self.place} belongs to {owner_shown(owner)} now")
        return answer

    def _unexpected(self, answer: Any) -> StoreError:
        return StoreError(StoreCode.FAILED, f"{self.place} has answered {answer!r}")


def _seen(nodes: list[Any]) -> Sequence[Seen]:
    seen = [Seen(node.decode(), _decoder.decode(told), left / 1000) for node, told, left in nodes]
    return sorted(seen, key=lambda one: one.id)


@asynccontextmanager
async def open_ledger(url: str, lease: float) -> AsyncIterator[Ledger]:
    """A connection of its own, so that no beat waits behind a large commit. Raises `StoreError`."""
    async with open_client(url) as client:
        yield Ledger(client, lease)
