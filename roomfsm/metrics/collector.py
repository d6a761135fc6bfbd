"""Reads the running parts of the server and says what they hold, in prometheus-client's words.

Nothing here runs until somebody asks for the page. Then everything is counted by going through what there is, in
one step without waiting, so that the numbers fit each other.
"""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeHistogramMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.utils import floatToGoString

from roomfsm import __version__
from roomfsm.door.front_door import FrontDoor
from roomfsm.files.store import UPLOAD_RESULTS, FileStore
from roomfsm.histogram import Histogram
from roomfsm.kurento.pool import MediaPool
from roomfsm.kurento.stock import ENDPOINT, PIPELINE, Stock
from roomfsm.lifecycle.describe import MACHINES
from roomfsm.lifecycle.file import FILE
from roomfsm.lifecycle.node import NODE
from roomfsm.lifecycle.server import SERVER
from roomfsm.lifecycle.session import SESSION
from roomfsm.lifecycle.table import Table
from roomfsm.metrics import families as f
from roomfsm.metrics.families import Family
from roomfsm.nodes.counts import ASKS, BEATS, DIRECTIONS, WAYS, NodeCounts
from roomfsm.protocol.errors import CloseCode, ErrorCode
from roomfsm.protocol.fields import Source
from roomfsm.protocol.roles import Role
from roomfsm.rooms.directory import Directory
from roomfsm.rooms.media_servers import Origin
from roomfsm.rooms.writer import StoreCounts, Writer
from roomfsm.signaling.registry import Registry
from roomfsm.store.interface import StoreCode

if TYPE_CHECKING:
    # Only nodes have its libraries.
    from roomfsm.nodes.inspection import NodeSeen, OtherSeen

_OTHERS = "alive", "draining", "dead"
_CODES_OF_LIMITS = (
    ErrorCode.RATE_LIMITED,
    ErrorCode.SERVER_FULL,
    ErrorCode.TOO_MANY_ROOMS,
    ErrorCode.ROOM_FULL,
    ErrorCode.TOO_MANY_PRESENTERS,
    ErrorCode.TOO_MANY_VIEWS,
    ErrorCode.TOO_MANY_CANDIDATES,
    ErrorCode.MEDIA_FULL,
    ErrorCode.FILE_TOO_LARGE,
    ErrorCode.FILES_FULL,
)
"""The errors that say that a limit is reached."""
_CLOSES_OF_LIMITS = (
    CloseCode.SLOW_CONSUMER,
    CloseCode.TOO_MANY_SESSIONS,
    CloseCode.MESSAGE_TOO_BIG,
    CloseCode.TRY_AGAIN_LATER,
)
"""The close codes that say the same."""
_LIMITS_OF_THE_DOOR = (
    "max_connections",
    "max_sessions",
    "max_head_bytes",
    "max_body_bytes",
    "max_bodies_bytes",
    "max_file_bytes",
)
"""The settings whose limits the front door counts."""
_LIMIT_OF_FILE_REQUESTS = "max_file_requests"
"""The setting whose limit the store of files counts."""

_WAITING = (0.0, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0)
"""The bounds of the distribution of outboxes, in messages."""

_TYPES = (PIPELINE, ENDPOINT)


class Node(Protocol):
    """This server as one of several nodes."""

    counts: NodeCounts

    def look(self) -> NodeSeen:
        """How it is, and what it knows of the others."""


@dataclass(slots=True)
class Parts:
    """The parts of a running server, and the last answers of its media servers."""

    directory: Directory
    registry: Registry
    pool: MediaPool
    door: FrontDoor
    files: FileStore | None = None
    writer: Writer | None = None
    node: Node | None = None
    stocks: Mapping[int, Stock | None] = field(default_factory=dict)


class ServerCollector:
    """A collector as prometheus-client wants it: `collect` yields the families."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def collect(self) -> Iterator[Metric]:
        """Count everything now."""
        yield from self._server()
        yield from self._rooms()
        yield from self._files()
        yield from self._store()
        yield from self._node()
        yield from self._happened()
        yield from self._sessions()
        yield from self._media_servers()

    def _server(self) -> Iterator[Metric]:
        yield _gauge(f.BUILD, {(__version__, platform.python_version()): 1})
        state = self._parts.directory.life.state
        yield _gauge(f.SERVER_STATE, {(name,): int(name == state) for name in _states(SERVER)})
        yield _gauge(f.CONNECTIONS, {(): self._parts.door.connections})

    def _rooms(self) -> Iterator[Metric]:
        rooms = self._parts.directory.rooms()
        streams = [stream for room in rooms for stream in room.streams.values()]
        yield _gauge(f.ROOMS, _each(_states(MACHINES["room"]), (room.state for room in rooms)))
        yield _gauge(f.PEOPLE, _each(Role, (person.role for room in rooms for person in room.people.values())))
        yield _gauge(f.WAITING, {(): sum(room.knocking for room in rooms)})
        by_source = Counter((str(stream.source), stream.state) for stream in streams)
        kinds = [(str(source), state) for source in Source for state in _states(MACHINES["stream"])]
        yield _gauge(f.STREAMS, {kind: by_source[kind] for kind in kinds})
        views = (view.state for stream in streams for view in stream.views.values())
        yield _gauge(f.VIEWS, _each(_states(MACHINES["view"]), views))

    def _files(self) -> Iterator[Metric]:
        store = self._parts.files
        held = () if store is None else store.files
        yield _gauge(f.FILES, _each(_states(FILE), (file.state for file in held)))
        yield _gauge(f.FILE_BYTES, {(): 0 if store is None else store.places.taken})
        results = Counter(dict.fromkeys(UPLOAD_RESULTS, 0))
        results.update({} if store is None else store.results)
        yield _counter(f.UPLOADS, {(result,): number for result, number in results.items()})

    def _store(self) -> Iterator[Metric]:
        writer = self._parts.writer
        counts = StoreCounts() if writer is None else writer.counts
        waiting = (0, 0) if writer is None else (writer.waiting, writer.waiting_bytes)
        yield _gauge(f.STORE_KEEPS, {(): int(self._parts.directory.keeps)})
        yield _histogram(f.STORE_COMMITS, {(): counts.commits})
        yield _counter(f.STORE_EVENTS, {(): counts.events})
        yield _counter(f.STORE_SNAPSHOTS, {(): counts.snapshots})
        yield _counter(f.STORE_FAILURES, {(str(code),): counts.failures[code] for code in StoreCode})
        yield _gauge(f.STORE_WAITING, {(): waiting[0]})
        yield _gauge(f.STORE_WAITING_BYTES, {(): waiting[1]})
        rooms = {("came_back",): counts.came_back, ("set_aside",): counts.set_aside}
        yield _gauge(f.STORE_ROOMS, rooms)

    def _node(self) -> Iterator[Metric]:
        node = self._parts.node
        counts, seen = (NodeCounts(), None) if node is None else (node.counts, node.look())
        state, others = (None, ()) if seen is None else (seen.state, seen.others)
        yield _gauge(f.NODE_STATE, {(name,): int(name == state) for name in _states(NODE)})
        yield _gauge(f.NODE_OTHERS, _each(_OTHERS, map(_how, others)))
        known = () if seen is None else [one.origin for one in seen.media_servers]
        yield _gauge(f.NODE_MEDIA_SERVERS, _each(tuple(Origin), known))
        yield _gauge(f.NODE_DIFFERING, {(): sum(bool(other.differ) for other in others)})
        yield _gauge(f.NODE_LEASE, {(): 0.0 if seen is None else seen.lease_left})
        yield _counter(f.NODE_BEATS, {(result,): counts.beats[result] for result in BEATS})
        yield _counter(f.NODE_SESSIONS, {(way,): counts.sessions[way] for way in WAYS})
        edge, home = (0, 0) if seen is None else (seen.edge, seen.visitors)
        yield _gauge(f.NODE_REMOTE, {("edge",): edge, ("home",): home})
        for family, counted in (
            (f.NODE_MESSAGES, counts.messages),
            (f.NODE_BYTES, counts.bytes),
            (f.NODE_ENTRIES, counts.entries),
        ):
            yield _counter(family, {(direction,): counted[direction] for direction in DIRECTIONS})
        waiting = (other.link.waiting for other in others if other.link is not None)
        yield _gauge(f.NODE_WAITING, {(): max(waiting, default=0)})
        yield _counter(f.NODE_BROKEN, {(): counts.broken})
        yield _counter(f.NODE_LOST, {(): counts.lost})
        yield _counter(f.NODE_ASKS, {(result,): counts.asks[result] for result in ASKS})
        yield _histogram(f.NODE_ANSWERS, {(): counts.answers})

    def _happened(self) -> Iterator[Metric]:
        directory = self._parts.directory
        counts = directory.counts
        moves = Counter({(table.name, trigger): 0 for table in MACHINES.values() for trigger in _triggers(table)})
        moves.update(counts.moves)
        for (trigger, _, _), number in directory.life.tally.moves.items():
            moves[SERVER.name, trigger] += number
        if self._parts.node is not None:
            for move in self._parts.node.look().machine.moves:
                moves[NODE.name, move.trigger] += move.count
        yield _counter(f.TRANSITIONS, moves)
        yield _counter(f.REFUSALS, counts.errors)
        yield _counter(f.LIMITS, {(name,): number for name, number in self._limits().items()})
        closes = {(code.name.lower(),): counts.closes[code.name.lower()] for code in CloseCode}
        yield _counter(f.CLOSES, closes)
        yield _counter(f.SLOW_CONSUMERS, {(): counts.closes[CloseCode.SLOW_CONSUMER.name.lower()]})
        yield _histogram(f.JOIN, {(asked,): times for asked, times in counts.entries.items()})
        yield _histogram(f.STREAM_START, {(): counts.starts["stream"]})
        yield _histogram(f.VIEW_START, {(): counts.starts["view"]})
        yield _histogram(f.FIRST_FRAME, {(): counts.first_frames})

    def _limits(self) -> Counter[str]:
        counts = self._parts.directory.counts
        hit: Counter[str] = Counter()
        errors: Counter[str] = Counter()
        for (code, _), number in counts.errors.items():
            errors[code] += number
        hit.update({str(code): errors[code] for code in _CODES_OF_LIMITS})
        hit.update({code.name.lower(): counts.closes[code.name.lower()] for code in _CLOSES_OF_LIMITS})
        hit.update(dict.fromkeys(_LIMITS_OF_THE_DOOR, 0))
        hit.update(self._parts.door.limits_hit)
        hit[_LIMIT_OF_FILE_REQUESTS] = 0 if self._parts.files is None else self._parts.files.requests_refused
        return hit

    def _sessions(self) -> Iterator[Metric]:
        sessions = self._parts.registry.sessions
        yield _gauge(f.SESSIONS, _each(_states(SESSION), (session.state for session in sessions)))
        waiting = [session.outbox for session in sessions]
        yield _gauge(f.OUTBOX_MAX_MESSAGES, {(): max((messages for messages, _ in waiting), default=0)})
        yield _gauge(f.OUTBOX_MAX_BYTES, {(): max((size for _, size in waiting), default=0)})
        depths = Histogram(_WAITING)
        for messages, _ in waiting:
            depths.observe(messages)
        family = GaugeHistogramMetricFamily(f.OUTBOX.name, f.OUTBOX.help, labels=())
        family.add_metric((), _buckets(depths), depths.sum)
        yield family

    def _media_servers(self) -> Iterator[Metric]:
        # They are called by their numbers, because not everybody who sees the metrics may know the addresses.
        pool = self._parts.pool
        ready = {(str(server.number),): int(server.problem is None) for server in pool.servers}
        yield _gauge(f.MEDIA_SERVER_READY, ready)
        yield _counter(
            f.CALLS, {(*asked, str(outcome)): number for (asked, outcome), number in pool.calls.outcomes.items()}
        )
        yield _histogram(f.CALL_SECONDS, pool.calls.seconds)
        stocks = {str(number): stock for number, stock in self._parts.stocks.items()}
        taken = {place: stock for place, stock in stocks.items() if stock is not None}
        yield _gauge(f.STOCK_TAKEN, {(place,): int(place in taken) for place in stocks})
        yield _gauge(f.HELD, _by_type(taken, lambda stock: stock.held))
        yield _gauge(f.REPORTED, _by_type(taken, lambda stock: stock.reported))
        only_here = _by_type(taken, lambda stock: stock.only_here)
        only_there = _by_type(taken, lambda stock: stock.only_there)
        yield _gauge(
            f.LEDGER,
            {(*key, "here"): number for key, number in only_here.items()}
            | {(*key, "there"): number for key, number in only_there.items()},
        )
        coming, going = ("from_browsers", "from_media_servers"), ("to_browsers", "to_media_servers")
        for family, kind, directions in (
            (f.BYTES, "bytes", (*coming, *going)),
            (f.PACKETS, "packets", (*coming, *going)),
            (f.LOST, "lost", coming),
            (f.NACKS, "nacks", (*coming, *going)),
        ):
            yield _counter(
                family,
                {
                    (str(number), direction): traffic.totals[direction, kind]
                    for number, traffic in pool.traffic.items()
                    for direction in directions
                },
            )


type _Labels = tuple[str, ...]


def _how(other: OtherSeen) -> str:
    """How another node is, in a word of `_OTHERS`."""
    return "dead" if other.lease_left < 0 else "draining" if other.draining else "alive"


def _by_type(taken: Mapping[str, Stock], counted: Callable[[Stock], Mapping[str, int]]) -> dict[_Labels, int]:
    return {(place, kind): counted(stock).get(kind, 0) for place, stock in taken.items() for kind in _TYPES}


def _states(table: Table[Any]) -> list[str]:
    """The states of a machine that something can be in now. What has ended is not there any more."""
    return [state.name for state in table.states if not state.final]


def _triggers(table: Table[Any]) -> set[str]:
    return {trigger for row in table.rows for trigger in row.triggers}


def _each(names: Iterable[str], found: Iterable[str]) -> dict[_Labels, int]:
    """How often each name was found, also those that were not."""
    counted = Counter(found)
    return {(str(name),): counted[name] for name in names}


def _gauge[L: tuple[str, ...]](family: Family, values: Mapping[L, float]) -> Metric:
    metric = GaugeMetricFamily(family.name, family.help, labels=family.labels)
    for labels, value in values.items():
        metric.add_metric(labels, value)
    return metric


def _counter[L: tuple[str, ...]](family: Family, values: Mapping[L, float]) -> Metric:
    metric = CounterMetricFamily(family.name, family.help, labels=family.labels)
    for labels, value in values.items():
        metric.add_metric(labels, value)
    return metric


def _histogram[L: tuple[str, ...]](family: Family, values: Mapping[L, Histogram]) -> Metric:
    metric = HistogramMetricFamily(family.name, family.help, labels=family.labels)
    for labels, histogram in values.items():
        metric.add_metric(labels, _buckets(histogram), histogram.sum)
    return metric


def _buckets(histogram: Histogram) -> list[tuple[str, float]]:
    bounds = [floatToGoString(bound) for bound, _ in histogram.cumulative()]  # type: ignore[no-untyped-call]
    return list(zip(bounds, (count for _, count in histogram.cumulative()), strict=True))
