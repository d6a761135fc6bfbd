"""Spreads the viewers of a broadcast over several media servers, if one alone would have too many.

All presenters of a room send to one media server, the *home* of the broadcast, and its first viewers are there,
too. If these are as many as a media server should have (`views_per_media_server`), a *branch* is opened:
a pipeline of the same room at another media server, to which each stream is relayed that somebody wants to see
there. Then another one, and so on. If the home has a place again, or a branch has, a new view goes there. A view
never moves.

Everything but the home is shared by those who use it (`roomfsm.rooms.shared`): a relay by its views and by the
relays that begin there, a branch by its relays. So a branch ends with its last view, and nobody has to count.

A branch that fails takes its views with it. Their browsers are told so, and ask again. A media server that failed
once gets no view of this broadcast for a while, and if there is no other, the home takes more than it should.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import AsyncIterator, Container, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import partial

import trio

from roomfsm.kurento.errors import MediaServerLost, ResourcesExhausted
from roomfsm.kurento.objects import BandwidthLimits, MediaPipeline, WebRtcEndpoint
from roomfsm.kurento.pool import MediaPool
from roomfsm.log import get_logger
from roomfsm.protocol.errors import ErrorCode
from roomfsm.rooms.journal import Journal
from roomfsm.rooms.legs import LegFailed, Stream, leaves
from roomfsm.rooms.relay import Relay, Source
from roomfsm.rooms.settings import RoomSettings
from roomfsm.rooms.shared import Shared, SharedLost, Start

_log = get_logger(__name__)

AVOIDED = 30.0
"""For so many seconds after a media server failed to take a view, others are tried first."""


@dataclass(eq=False, slots=True)
class _Place:
    """A pipeline that takes views. `url` is that of its media server."""

    url: str
    views: int = 0
    """The views and relays that get a stream from here."""


@dataclass(eq=False, slots=True)
class _Relayed:
    """A relay of a stream to a branch. `depth` is the number of hops from the presenter's media server."""

    stream: str
    machine: Relay
    source: Shared[Source]
    above: _Place
    depth: int


@dataclass(eq=False, slots=True)
class _Branch(_Place):
    pipeline: Shared[MediaPipeline] = field(kw_only=True)
    relays: dict[str, _Relayed] = field(default_factory=dict)
    """By the key of the stream."""

    def relay_of(self, stream: Stream) -> _Relayed | None:
        """The relay that brings the stream here, unless it is over."""
        found = self.relays.get(stream.key)
        return None if found is None or found.source.over else found


@dataclass(frozen=True, slots=True)
class RelayTold:
    """One relay: its key and state, and the id of its stream.

    `above` and `below` are the addresses of the media servers between which it is, and `depth` is the number of
    hops from the presenter's media server.
    """

    key: str
    state: str
    stream: str
    above: str
    below: str
    depth: int


class Spread:
    """The places at which a broadcast has views. `start` starts the tasks that hold what is shared."""

    def __init__(
        self,
        pool: MediaPool,
        tags: Mapping[str, str],
        settings: RoomSettings,
        limits: BandwidthLimits,
        journal: Journal,
        start: Start,
    ) -> None:
        self._pool = pool
        self._tags = tags
        self._settings = settings
        self._limits = limits
        self._journal = journal
        self._start = start
        self._home = _Place("")
        self._branches: list[_Branch] = []
        self._numbers = itertools.count(1)
        self._avoided: dict[str, float] = {}
        """Until when a media server is avoided, by its address."""

    @property
    def relays(self) -> list[RelayTold]:
        """All relays that there are."""
        return [
            RelayTold(one.machine.key, one.machine.state, one.stream, one.above.url, branch.url, one.depth)
            for branch in self._branches
            for one in branch.relays.values()
            if not one.source.over
        ]

    @asynccontextmanager
    async def adopted(self, home: MediaPipeline, endpoint_id: str) -> AsyncIterator[WebRtcEndpoint]:
        """The endpoint of a view that was left at the home."""
        with _counted(self._home):
            async with home.adopt(endpoint_id) as endpoint:
                yield endpoint

    @asynccontextmanager
    async def sink(
        self, stream: Stream, home: MediaPipeline
    ) -> AsyncIterator[tuple[WebRtcEndpoint, WebRtcEndpoint]]:
        """A new endpoint for a view of the stream, and the endpoint from which it gets the stream.

        Raises `MediaServerError` (`ResourcesExhausted` if no media server takes the view) and `LegFailed`.
        """
        self._home.url = home.server_url
        place: _Place = self._home
        try:
            async with AsyncExitStack() as stack:
                place, source, endpoint = await self._enter(stack, stream, home)
                yield source.endpoint, endpoint
        except* (MediaServerLost, SharedLost) as lost:
            if place is self._home:
                raise
            self._avoid(place, lost)
            raise LegFailed(ErrorCode.MEDIA_FAILED, None, "the media server of the view is lost") from lost

    async def _enter(
        self, stack: AsyncExitStack, stream: Stream, home: MediaPipeline
    ) -> tuple[_Place, Source, WebRtcEndpoint]:
        """Find a place for a view, whose endpoint ends with the stack."""
        tried: dict[_Place, Exception] = {}
        while (place := self._choose(stream, tried)) is not None:
            try:
                async with AsyncExitStack() as attempt:
                    attempt.enter_context(_counted(place))
                    source = await attempt.enter_async_context(self._source(place, stream, home))
                    endpoint = await attempt.enter_async_context(source.pipeline.endpoint(self._limits))
                    await stack.enter_async_context(attempt.pop_all())
                    return place, source, endpoint
            except (ResourcesExhausted, SharedLost) as error:
                _log.info("no place for a view", url=place.url, error=str(error.__cause__ or error))
                self._avoid(place, error)
                tried[place] = error
        # The home is always tried.
        raise tried[self._home]

    def _choose(self, stream: Stream, tried: Container[_Place]) -> _Place | None:
        """The place for one more view of the stream; None if all have been tried."""
        most = self._settings.views_per_media_server
        if most == 0:
            return None if self._home in tried else self._home
        self._branches = [branch for branch in self._branches if not branch.pipeline.over]
        places = [place for place in (self._home, *self._branches) if place not in tried]
        good = [place for place in places if not self._is_avoided(place.url)]
        if with_room := [place for place in good if place.views < most]:
            # The home is the first. Where the stream is already, it needs no relay.
            return max(with_room, key=lambda place: (place is self._home, self._has(place, stream), place.views))
        avoided = {url for url in self._avoided if self._is_avoided(url)}
        url = self._pool.another({self._home.url, *avoided, *(branch.url for branch in self._branches)})
        if url is not None:
            return self._open_branch(url)
        return min(good or places, key=lambda place: place.views, default=None)

    def _has(self, place: _Place, stream: Stream) -> bool:
        return not isinstance(place, _Branch) or place.relay_of(stream) is not None

    def _avoid(self, place: _Place, error: BaseException) -> None:
        """Avoid the media server that is to blame for an error at a place.

        If it is another one, on the way to the place, the place is as good as before.
        """
        causes = _causes_of(error)
        lost = next((cause.url for cause in causes if isinstance(cause, MediaServerLost)), place.url)
        if causes:
            self._avoided[lost] = trio.current_time() + AVOIDED

    def _is_avoided(self, url: str) -> bool:
        return trio.current_time() < self._avoided.get(url, -math.inf)

    def _open_branch(self, url: str) -> _Branch:
        branch = _Branch(url, pipeline=Shared(partial(self._pipeline_at, url), self._start))
        self._branches.append(branch)
        return branch

    @asynccontextmanager
    async def _pipeline_at(self, url: str) -> AsyncIterator[MediaPipeline]:
        async with self._pool.pipeline(self._tags, at=url) as pipeline, trio.open_nursery() as nursery:
            nursery.start_soon(until_lost, pipeline)
            yield pipeline
            nursery.cancel_scope.cancel()

    def _source(self, place: _Place, stream: Stream, home: MediaPipeline) -> AbstractAsyncContextManager[Source]:
        """Where the stream can be had at this place. If it is not there yet, it is relayed."""
        if not isinstance(place, _Branch):
            return _at_home(stream, home)
        relay = place.relay_of(stream) or self._begin_relay(stream, place, home)
        return relay.source.used()

    def _begin_relay(self, stream: Stream, branch: _Branch, home: MediaPipeline) -> _Relayed:
        """Relay the stream to a branch, from the place that is nearest to the presenter and may have one more."""
        at = {other: relay for other in self._branches if (relay := other.relay_of(stream)) is not None}
        begun = Counter(relay.above for relay in at.values())
        depths: dict[_Place, int] = {self._home: 0, **{place: relay.depth for place, relay in at.items()}}
        most = self._settings.relays_per_media_server
        above = min(depths, key=lambda place: (begun[place] >= most, depths[place], begun[place]))
        machine = Relay(f"{stream.key}>{next(self._numbers)}", self._journal, self._settings.connect_timeout)

        @asynccontextmanager
        async def from_above() -> AsyncIterator[Source]:
            source = at[above].source.used() if isinstance(above, _Branch) else _at_home(stream, home)
            with _counted(above):
                async with source as found:
                    yield found

        opening = partial(machine.open, from_above, branch.pipeline.used, self._limits)
        relay = _Relayed(stream.id, machine, Shared(opening, self._start), above, depths[above] + 1)
        branch.relays[stream.key] = relay
        return relay


async def until_lost(pipeline: MediaPipeline) -> None:
    """Wait until the media server of the pipeline is lost, and raise `MediaServerLost`."""
    await pipeline.lost.wait()
    raise MediaServerLost(pipeline.server_url, "its session ended")


def _causes_of(error: BaseException) -> list[BaseException]:
    """What lies behind an error, as far as it is known."""
    if isinstance(error, BaseExceptionGroup):
        return [cause for one in leaves(error) for cause in _causes_of(one)]
    if isinstance(error, SharedLost):
        return [] if error.__cause__ is None else _causes_of(error.__cause__)
    return [error]


@asynccontextmanager
async def _at_home(stream: Stream, home: MediaPipeline) -> AsyncIterator[Source]:
    yield Source(home, await stream.endpoint())


@contextmanager
def _counted(place: _Place) -> Iterator[None]:
    place.views += 1
    try:
        yield
    finally:
        place.views -= 1
