"""Spreads the viewers of a broadcast over several media servers, if one alone would have too many.

All presenters of a room send to one media server, the *home* of the broadcast, and its first viewers are there,
too. If these are as many as a media server should have (`views_per_media_server`), a *branch* is opened:
a pipeline of the same room at another media server, to which each stream is relayed that somebody wants to see
there. Then another one, and so on. If the home has a place again, or a branch has, a new view goes there. A view
never moves.

Everything but the home is shared by those who use it (`roomfsm.rooms.shared`): a relay by its views and by the
relays that begin there, a branch by its relays. So a branch ends with its last view, and nobody has to count.

A relay costs the home as much as a view does. One that is lost is made anew under its views. If that cannot be, or
its branch is lost, its views end. Their browsers are told so, one after another, and ask again. The media server
that is to blame gets no view of this broadcast for a while (`relay_pause`). If there is no other, the home takes
more than it should.

What an earlier run of the server has left is taken up: the branches are adopted, with the endpoints of relays and
views. What nobody has adopted at a branch, when all views know what they have, is released.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial

import trio

from roomfsm.kurento.errors import (
    MediaServerError,
    MediaServerLost,
    ObjectGone,
    RequestTimedOut,
    ResourcesExhausted,
)
from roomfsm.kurento.objects import BandwidthLimits, MediaPipeline, PipelinePlace, WebRtcEndpoint
from roomfsm.kurento.pool import MediaPool
from roomfsm.log import get_logger
from roomfsm.protocol.errors import ErrorCode
from roomfsm.rooms.journal import Journal
from roomfsm.rooms.legs import LegFailed, Stream, leaves
from roomfsm.rooms.relay import Ends, Relay, RelayFailed, blamed
from roomfsm.rooms.settings import RoomSettings
from roomfsm.rooms.shared import Fail, Shared, SharedLost, Start
from roomfsm.rooms.source import Source

_TRIES = 4
"""A view that has found no place so often is at home."""
_FAILURES = (MediaServerError, RelayFailed, SharedLost)

_log = get_logger(__name__)


@dataclass(eq=False, slots=True)
class _Place:
    """A pipeline that takes views. `url` is that of its media server."""

    url: str
    views: int = 0
    """The views and relays that get a stream from here."""


@dataclass(eq=False, slots=True)
class _Relayed:
    """A relay of a stream to a branch. `above` is the place from which it comes."""

    stream: Stream
    machine: Relay
    above: _Place
    source: Shared[Source] = field(init=False)

    @property
    def way(self) -> list[_Place]:
        """The places through which the stream comes: the presenter's media server is the last one."""
        way = list[_Place]()
        relay: _Relayed | None = self
        while relay is not None and relay.above not in way:
            way.append(relay.above)
            relay = _relay_at(relay.above, self.stream)
        return way


@dataclass(eq=False, slots=True)
class _Branch(_Place):
    pipeline: Shared[MediaPipeline] = field(kw_only=True)
    left: PipelinePlace | None = None
    """Where its pipeline is that an earlier run has left."""
    relays: dict[str, _Relayed] = field(default_factory=dict)
    """By the key of the stream."""

    @property
    def pipeline_place(self) -> PipelinePlace | None:
        """Where its pipeline is, or the one that is to be adopted; None before there is one."""
        return self.left if self.pipeline.value is None else self.pipeline.value.place

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


@dataclass(frozen=True, slots=True)
class KeptRelay:
    """A relay that outlives the server: its stream, where it begins and ends, and its endpoints.

    `above` is the address of the media server where it begins; empty for that of the presenter.
    """

    stream: str
    above: str
    to: PipelinePlace
    ends: Ends


class Spread:
    """The places at which a broadcast has views. `start` starts the tasks that hold what is shared.

    `home` returns the pipeline at the home, once a stream has its endpoint there. `on_up` is called with each
    relay when it is connected.
    """

    def __init__(
        self,
        pool: MediaPool,
        tags: Mapping[str, str],
        settings: RoomSettings,
        limits: BandwidthLimits,
        journal: Journal,
        start: Start,
        home: Callable[[], MediaPipeline],
        on_up: Callable[[KeptRelay], None],
    ) -> None:
        self._home_pipeline = home
        self._on_up = on_up
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
        self._next_end = -math.inf
        """When the next view that has lost its place ends."""

    @property
    def relays(self) -> list[RelayTold]:
        """All relays that there are."""
        return [
            RelayTold(one.machine.key, one.machine.state, one.stream.id, one.above.url, branch.url, len(one.way))
            for branch in self._branches
            for one in branch.relays.values()
            if not one.source.over
        ]

    @property
    def kept(self) -> list[KeptRelay]:
        """The relays that are up, or were left and are to be adopted."""
        found = [
            _as_kept(one, branch)
            for branch in self._branches
            for one in branch.relays.values()
            if not one.source.over
        ]
        return [relay for relay in found if relay is not None]

    @property
    def branches(self) -> list[PipelinePlace]:
        """Where the pipelines of the branches are."""
        places = [branch.pipeline_place for branch in self._branches if not branch.pipeline.over]
        return [place for place in places if place is not None]

    def take_up(self, relay: KeptRelay, stream: Stream, settled: trio.Event) -> None:
        """Go on with a relay that an earlier run has left, and with its branch, at least until `settled`."""
        branch = next((one for one in self._branches if one.left == relay.to), None)
        if branch is None:
            branch = self._open_branch(relay.to.url, relay.to)
            self._start(partial(_hold_until, settled, branch.pipeline))
        above = next((one for one in self._branches if one.url == relay.above), self._home)
        self._new_relay(stream, branch, above, relay.ends)

    @asynccontextmanager
    async def adopted(
        self, stream: Stream, endpoint_id: str, at: str
    ) -> AsyncIterator[tuple[Source, WebRtcEndpoint]]:
        """The source of a view that was left, and its endpoint there. `at` is the address of its branch.

        Raises the errors of `sink`.
        """
        places = [branch for branch in self._branches if branch.url == at and branch.relay_of(stream) is not None]
        place = self._home if not at else next(iter(places), None)
        if place is None:
            raise ObjectGone(ObjectGone.CODE, f"nothing is known of a relay to {at}")
        async with self._blaming():
            with _counted(place):
                async with self._source(place, stream) as source:
                    await source.after(None)
                    async with source.pipeline.adopt(endpoint_id) as endpoint:
                        yield source, endpoint

    @asynccontextmanager
    async def sink(self, stream: Stream) -> AsyncIterator[tuple[Source, WebRtcEndpoint]]:
        """The source from which a view gets the stream, and a new endpoint for the view.

        Raises `LegFailed`, and `MediaServerError`: `ResourcesExhausted` if no media server takes the view, and
        `MediaServerLost` only if the home is lost.
        """
        async with self._blaming(), AsyncExitStack() as stack:
            source, endpoint = await self._enter(stack, stream)
            yield source, endpoint

    @asynccontextmanager
    async def _blaming(self) -> AsyncIterator[None]:
        """Avoid the media server that is to blame for an error. Raises the errors of `sink`."""
        self._home.url = home = self._home_pipeline().server_url
        try:
            yield
        except* RequestTimedOut as late:
            for url in {error.url for error in leaves(late)} - {home}:
                self._avoid(late, url)
            raise
        except* (SharedLost, MediaServerLost) as lost:
            errors = leaves(lost)
            if any(isinstance(error, MediaServerLost) and error.url == home for error in errors):
                raise
            self._avoid(lost, "")
            await self._in_turn()
            raise LegFailed(ErrorCode.MEDIA_UNAVAILABLE, None, str(errors[0])) from lost

    async def _in_turn(self) -> None:
        """Let the views that have lost their place end one after another: their browsers ask again at once."""
        at = max(trio.current_time(), self._next_end)
        self._next_end = at + 1 / self._settings.views_again_rate
        await trio.sleep_until(at)

    async def _enter(self, stack: AsyncExitStack, stream: Stream) -> tuple[Source, WebRtcEndpoint]:
        """Find a place for a view, whose endpoint ends with the stack."""
        tried: dict[_Place, Exception] = {}
        while (place := self._choose(stream, tried)) is not None:
            try:
                async with AsyncExitStack() as attempt:
                    attempt.enter_context(_counted(place))
                    source = await attempt.enter_async_context(self._source(place, stream))
                    # A relay may be being made anew.
                    await source.after(None)
                    endpoint = await attempt.enter_async_context(source.pipeline.endpoint(self._limits))
                    await stack.enter_async_context(attempt.pop_all())
                    return source, endpoint
            except (MediaServerError, SharedLost) as error:
                if place is self._home and not isinstance(error, ResourcesExhausted):
                    raise
                _log.info("no place for a view", url=place.url, error=str(error))
                self._avoid(error, place.url)
                tried[place] = error
        # The home is always tried.
        raise tried[self._home]

    def _choose(self, stream: Stream, tried: Collection[_Place]) -> _Place | None:
        """The place for one more view of the stream; None if all have been tried."""
        most = self._settings.views_per_media_server
        self._branches = [branch for branch in self._branches if not branch.pipeline.over]
        at_home = () if self._home in tried else (self._home,)
        if most == 0 or len(tried) >= _TRIES:
            return next(iter(at_home), None)
        # What has no relay yet needs a place from which one can begin.
        begins = any(not self._is_avoided(place.url) for place in self._having(stream))
        branches = [
            branch
            for branch in self._branches
            if branch not in tried
            and not self._is_avoided(branch.url)
            and self._pool.takes(branch.url)
            and (begins or branch.relay_of(stream) is not None)
        ]
        home = [place for place in at_home if not self._is_avoided(place.url)]
        if with_room := [place for place in (*home, *branches) if place.views < most]:
            # The home is the first. Where the stream is already, it needs no relay.
            return max(
                with_room,
                key=lambda place: (place is self._home, place in self._having(stream), place.views),
            )
        if begins and (url := self._pool.another(self._used_or_avoided())) is not None:
            return self._open_branch(url)
        return min((*home, *branches) or at_home, key=lambda place: place.views, default=None)

    def _having(self, stream: Stream) -> dict[_Place, int]:
        """The places at which the stream is, and their distance from its presenter in hops."""
        found: dict[_Place, int] = {self._home: 0}
        for branch in self._branches:
            if (relay := branch.relay_of(stream)) is not None:
                found[branch] = len(relay.way)
        return found

    def _used_or_avoided(self) -> set[str]:
        avoided = {url for url in self._avoided if self._is_avoided(url)}
        return {self._home.url, *avoided, *(branch.url for branch in self._branches)}

    def _avoid(self, error: BaseException, url: str) -> None:
        """Avoid the media server that is to blame for an error: the one that it names, or else that at `url`.

        What has come to its end, because nobody used it any more or its stream has ended, is nobody's fault.
        """
        while isinstance(error, SharedLost | BaseExceptionGroup):
            cause = error.why if isinstance(error, SharedLost) else error.exceptions[0]
            if cause is None:
                return
            error = cause
        blamed = error.url if isinstance(error, RelayFailed | MediaServerLost) else url
        if blamed:
            self._avoided[blamed] = trio.current_time() + self._settings.relay_pause

    def _is_avoided(self, url: str) -> bool:
        return trio.current_time() < self._avoided.get(url, -math.inf)

    def _open_branch(self, url: str, left: PipelinePlace | None = None) -> _Branch:
        shared = Shared(partial(self._pipeline_at, url, left), self._start, _FAILURES)
        branch = _Branch(url, pipeline=shared, left=left)
        self._branches.append(branch)
        return branch

    @asynccontextmanager
    async def _pipeline_at(self, url: str, left: PipelinePlace | None, fail: Fail) -> AsyncIterator[MediaPipeline]:
        opening = self._pool.pipeline(self._tags, at=url) if left is None else self._pool.adopt(left)
        with blamed(url):
            async with opening as pipeline, trio.open_nursery() as nursery:

                async def until_it_is_lost() -> None:
                    await pipeline.lost.wait()
                    fail(MediaServerLost(url, "its session ended"))

                nursery.start_soon(until_it_is_lost)
                yield pipeline
                nursery.cancel_scope.cancel()

    def _source(self, place: _Place, stream: Stream) -> AbstractAsyncContextManager[Source]:
        """Where the stream can be had at this place. If it is not there yet, it is relayed."""
        if not isinstance(place, _Branch):
            return self._at_home(stream)
        relay = place.relay_of(stream) or self._new_relay(stream, place, self._above(stream, place))
        return relay.source.used()

    @asynccontextmanager
    async def _at_home(self, stream: Stream) -> AsyncIterator[Source]:
        endpoint = await stream.endpoint()
        yield Source(self._home_pipeline(), endpoint)

    def _new_relay(self, stream: Stream, branch: _Branch, above: _Place, left: Ends | None = None) -> _Relayed:
        """Relay the stream to a branch, from `above`, or go on with such a relay that was left."""
        settings = self._settings

        def on_up() -> None:
            if (kept := _as_kept(relay, branch)) is not None:
                self._on_up(kept)

        machine = Relay(
            f"{stream.key}>{next(self._numbers)}",
            self._journal,
            settings.relay_connect_timeout,
            settings.relay_pause,
            on_up,
            left,
        )
        relay = _Relayed(stream, machine, above)

        @asynccontextmanager
        async def from_above() -> AsyncIterator[Source]:
            if stream.over.is_set():
                raise SharedLost(None)
            if relay.machine.ends is None:
                relay.above = self._above(stream, branch)
            with _counted(relay.above):
                # The relay offers the codecs that the presenter has been answered.
                await stream.answered.wait()
                above = _relay_at(relay.above, stream)
                async with self._at_home(stream) if above is None else above.source.used() as source:
                    yield source

        @asynccontextmanager
        async def opening(fail: Fail) -> AsyncIterator[Source]:
            async with trio.open_nursery() as nursery:

                async def until_the_stream_ends() -> None:
                    await stream.over.wait()
                    fail(None)

                nursery.start_soon(until_the_stream_ends)
                async with machine.open(from_above, branch.pipeline.used, self._limits, fail) as source:
                    yield source
                nursery.cancel_scope.cancel()

        relay.source = Shared(opening, self._start, _FAILURES, settings.relay_linger)
        branch.relays = {key: one for key, one in branch.relays.items() if not one.source.over}
        branch.relays[stream.key] = relay
        return relay

    def _above(self, stream: Stream, branch: _Branch) -> _Place:
        """The place from which the stream is relayed to a branch: the one that is nearest to the presenter and may
        have one more relay. It must not get the stream from the branch itself.
        """
        having, begun = dict[_Place, int](), Counter[_Place]()
        for place, hops in self._having(stream).items():
            relay = _relay_at(place, stream)
            if place is not branch and (relay is None or branch not in relay.way):
                having[place] = hops
                begun.update(() if relay is None else (relay.above,))
        most = self._settings.relays_per_media_server
        return min(
            having,
            key=lambda place: (self._is_avoided(place.url), begun[place] >= most, having[place], begun[place]),
        )


def _as_kept(relay: _Relayed, branch: _Branch) -> KeptRelay | None:
    """What is kept of a relay; None if it is not up."""
    place, ends = branch.pipeline_place, relay.machine.ends
    if place is None or ends is None:
        return None
    above = relay.above.url if isinstance(relay.above, _Branch) else ""
    return KeptRelay(relay.stream.id, above, place, ends)


async def _hold_until(settled: trio.Event, pipeline: Shared[MediaPipeline]) -> None:
    """Use a pipeline that was left until everybody has adopted what is theirs. The rest is released then."""
    with suppress(SharedLost):
        async with pipeline.used() as adopted:
            await settled.wait()
            adopted.release_left()


def _relay_at(place: _Place, stream: Stream) -> _Relayed | None:
    return place.relay_of(stream) if isinstance(place, _Branch) else None


@contextmanager
def _counted(place: _Place) -> Iterator[None]:
    place.views += 1
    try:
        yield
    finally:
        place.views -= 1
