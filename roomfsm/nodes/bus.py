"""The bus: ordered messages from node to node, by streams in one Redis.

Each node has one stream, `{roomfsm}:in:ID`, which only it reads and trims, and to which all others add. What is
lost, doubled or late on this way is found by the numbers of the links (`roomfsm.nodes.link`). So this file only
moves entries, and need not know what has happened to Redis.

Single commands are dear: each costs a third of a millisecond of our processor. So `send` only lets the message
wait, and one task writes: when something waits, everything that waits for all nodes leaves in one round trip, with
one entry for each node. What one turn of the scheduler brings goes together, because the writer runs in the next
turn; what comes while a write is under way goes together in the next one. If the result of a write is unknown, it
is repeated.

Another task reads, with `XREAD BLOCK`. It reads on when the user has taken everything that came. So if a user is
slow, the links of the senders overflow, and not the memory of this process. Now and then, with a read, the stream
is trimmed of what was read. After each trim, and on each new connection, it is read from its beginning, because a
Redis that was started again without its data may give lower ids than before. What comes twice is dropped by its
number.

The two tasks have a connection each, which they open again when it fails or does not answer in time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import trio
from coredis.connection import BaseConnection
from coredis.exceptions import RedisError, ResponseError

from roomfsm.log import get_logger
from roomfsm.nodes.counts import RECEIVED, SENT, NodeCounts
from roomfsm.nodes.exchange import Broken, Received
from roomfsm.nodes.link import Entry, Link
from roomfsm.nodes.settings import BusSettings
from roomfsm.store.redis_client import way_to

_log = get_logger(__name__)

_IN = "{roomfsm}:in:"
"""The stream of a node, by its id."""
_FIELD = b"e"
"""The only field of what is in a stream."""
_BEGINNING = b"0-0"

_TICK = 1.0
"""Seconds after which links ask what has arrived, and after which a read without a result begins anew."""
_PATIENCE = 5.0
"""Seconds in which Redis must answer, after it may have waited for something to read."""
_AGAIN = 0.1
"""Seconds after which a Redis that has failed is tried again."""
_QUIET = 10.0
"""A failure is told in the log if the connection had been good for so many seconds."""
_AT_ONCE = 32
"""The most entries of one read."""
_TRIM = 100
"""After so many entries the stream is trimmed of them. It is trimmed, too, when nothing comes for a while."""
_LONGEST = 1_000_000
"""About how many entries a stream may have, whoever added them. The oldest are lost beyond that."""
_GONE = 1000
"""So many nodes that are gone are remembered, so that what they sent before is not taken for something new."""
_AWAY = (RedisError, OSError, trio.BrokenResourceError, trio.TooSlowError)
"""What is raised when Redis is away, or refuses something."""

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Entry).decode


class Bus:
    """Made by :func:`open_bus`. It is an iterator over what comes, in order, for one task.

    Implements `roomfsm.nodes.exchange.Bus`. What comes from a node after `Broken` was sent when that node knew of
    the break, too.
    """

    def __init__(self, me: str, settings: BusSettings, counts: NodeCounts | None = None) -> None:
        self.me = me
        self.counts = counts or NodeCounts()
        self._settings = settings
        self._links: dict[str, Link] = {}
        self._gone: dict[str, None] = {}
        """The nodes that were forgotten last, the oldest first."""
        self._due: set[str] = set()
        """The nodes whose links have an entry to send."""
        self._delete: set[str] = set()
        """The nodes whose streams are to be deleted."""
        self._came: deque[Received | Broken] = deque()
        self._work, self._arrival, self._emptied = _Bell(), _Bell(), _Bell()

    def send(self, to: str, message: bytes) -> None:
        """Send a message to another node. It never waits and never raises.

        If too much is under way, the user gets `Broken`. A message to a node that is forgotten is dropped, and so
        is one to a node while a `Broken` of it waits to be taken.
        """
        assert to != self.me, "a node sends nothing to itself"
        if to in self._gone:
            return
        link = self._link(to)
        if link.send(message):
            self._tell(Broken(to))
        self._look_at(to, link)

    def forget(self, node: str) -> None:
        """The node is gone: drop what waits for it and what has come from it, and delete its stream.

        Its stream is deleted here, too, because this node may have added to it after it was deleted elsewhere.
        """
        self._links.pop(node, None)
        self._due.discard(node)
        self._gone[node] = None
        if len(self._gone) > _GONE:
            del self._gone[next(iter(self._gone))]
        self._delete.add(node)
        self._work.ring()
        self._came = deque(event for event in self._came if _node(event) != node)
        if not self._came:
            self._emptied.ring()

    @property
    def links(self) -> Mapping[str, Link]:
        """The links to other nodes, by their ids."""
        return self._links

    def __aiter__(self) -> Bus:
        return self

    async def __anext__(self) -> Received | Broken:
        """The next of what has come. It waits only if there is nothing."""
        while not self._came:
            await self._arrival.heard()
        event = self._came.popleft()
        if not self._came:
            self._emptied.ring()
        if isinstance(event, Broken):
            self._links[event.node].told()
        return event

    def _link(self, node: str) -> Link:
        link = self._links.get(node)
        if link is None:
            link = self._links[node] = Link(self.me, self._settings, self.counts)
        return link

    def _look_at(self, node: str, link: Link) -> None:
        """Let the writer send what is due."""
        if link.due:
            self._due.add(node)
            self._work.ring()

    def _tell(self, event: Received | Broken) -> None:
        self._came.append(event)
        self._arrival.ring()

    def _take(self, data: bytes) -> None:
        """An entry has come."""
        try:
            entry = _decode(data)
        except msgspec.DecodeError as error:
            # The next entry has a number that is too high then, so that both nodes learn what is lost.
            _log.error("entry of a node not understood", why=str(error))
            return
        if entry.sender in self._gone:
            return
        self.counts.entries[RECEIVED] += 1
        link = self._link(entry.sender)
        broken, messages = link.receive(entry)
        if broken:
            self._tell(Broken(entry.sender))
        for message in messages:
            self._tell(Received(entry.sender, message))
        self._look_at(entry.sender, link)

    async def tick(self) -> None:
        """Again and again, let the links ask whether everything has arrived."""
        while True:
            await trio.sleep(_TICK)
            for node, link in self._links.items():
                link.tick()
                self._look_at(node, link)

    async def write(self, connection: BaseConnection) -> None:
        """Send what is due, until the connection fails."""
        while True:
            while self._due or self._delete:
                await self._flush(connection)
            await self._work.heard()

    async def _flush(self, connection: BaseConnection) -> None:
        """Send what is due, in one round trip. What fails stays due."""
        entries = [(node, self._links[node].entry()) for node in self._due]
        xadd = (b"MAXLEN", b"~", _LONGEST, b"*", _FIELD)
        requests: list[tuple[str, Entry | None, Awaitable[Any]]] = [
            *((node, e, _request(connection, b"XADD", _IN + node, *xadd, _encode(e))) for node, e in entries),
            *((node, None, _request(connection, b"UNLINK", _IN + node)) for node in self._delete),
        ]
        refused = None
        for node, entry, request in requests:
            try:
                await request
            except ResponseError as error:
                refused = error
                continue
            if entry is None:
                self._delete.discard(node)
            elif (link := self._links.get(node)) is not None:  # not forgotten meanwhile
                link.confirmed(entry)
                self.counts.entries[SENT] += 1
                if not link.due:
                    self._due.discard(node)
        if refused is not None:
            raise refused

    async def read(self, connection: BaseConnection) -> None:
        """Take what comes, until the connection fails."""
        stream = _IN + self.me
        last, count, trims = _BEGINNING, 0, False
        while True:
            while self._came:
                await self._emptied.heard()
            trim = None
            if trims:
                trim = _request(connection, b"XTRIM", stream, b"MINID", _after(last))
                last, count = _BEGINNING, 0
            xread = (b"COUNT", _AT_ONCE, b"BLOCK", int(_TICK * 1000), b"STREAMS", stream, last)
            streams = await _request(connection, b"XREAD", *xread)
            if trim is not None:
                await trim
            entries = streams[stream.encode()] if streams else []
            for identifier, fields in entries:
                self._take(fields[1])
                last = identifier
            count += len(entries)
            trims = count >= _TRIM or (count > 0 and not entries)


@asynccontextmanager
async def open_bus(
    url: str, me: str, settings: BusSettings | None = None, counts: NodeCounts | None = None
) -> AsyncIterator[Bus]:
    """The bus of the node with this id, in the Redis at this address.

    Redis need not be there: messages wait for it. What waits when the block ends is not sent. Raises `StoreError`
    if the address cannot be read.
    """
    way = way_to(url)
    bus = Bus(me, settings or BusSettings(), counts)
    async with trio.open_nursery() as nursery:

        async def keep(work: Callable[[BaseConnection], Awaitable[None]]) -> None:
            """Do this work on a connection of its own, and on a new one when it fails."""
            told = False
            while True:
                began = trio.current_time()
                connection: BaseConnection | None = None
                try:
                    connection = await way.connect(nursery)
                    await work(connection)
                except _AWAY as error:
                    told = told and trio.current_time() - began < _QUIET
                    if not told:
                        _log.warning("the bus has no redis", why=str(error) or type(error).__name__)
                    told = True
                finally:
                    if connection is not None:
                        connection.invalidate()
                await trio.sleep(_AGAIN)

        nursery.start_soon(keep, bus.read)
        nursery.start_soon(keep, bus.write)
        nursery.start_soon(bus.tick)
        yield bus
        nursery.cancel_scope.cancel()


class _Bell:
    """Wakes one task. If nobody waits when it is rung, it is heard later."""

    def __init__(self) -> None:
        self._rung = trio.Event()

    def ring(self) -> None:
        self._rung.set()

    async def heard(self) -> None:
        await self._rung.wait()
        self._rung = trio.Event()


def _request(connection: BaseConnection, name: bytes, *arguments: bytes | str | int) -> Awaitable[Any]:
    """Send a command, and return what waits for its result: it may be one of several.

    If the result does not come in time, or nobody waits for it any more, the connection is ended.
    """
    return connection.create_request(
        name, *arguments, decode=False, timeout=_TICK + _PATIENCE, disconnect_on_cancellation=True
    )


def _after(identifier: bytes) -> bytes:
    """The lowest id of an entry of a stream that is higher than this one."""
    time, _, number = identifier.partition(b"-")
    return b"%b-%d" % (time, int(number) + 1)


def _node(event: Received | Broken) -> str:
    return event.node if isinstance(event, Broken) else event.sender
