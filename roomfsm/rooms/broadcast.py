"""A broadcast: the scope of a room's media pipeline, from the first stream to the last.

The pool chooses a media server for the pipeline before it knows whether that server can also take an endpoint: a
full media server may still create a pipeline, which costs it little. Only the first endpoint shows it. So while no
stream has an endpoint, the broadcast may move: it releases the pipeline and asks the pool for one at another media
server. As soon as a stream has an endpoint, the pipeline stays where it is, because all streams of a room must be
in one pipeline. The views are there, too, unless there are too many (`roomfsm.rooms.spread`).

Several streams may wait for their endpoints at once, and the pipeline may be replaced while they wait. A failure
that comes from a pipeline that has been replaced meanwhile means nothing; the stream then asks the new one.

If the server was killed, or has left the pipeline on purpose, it is still there with its endpoints. The broadcast
of a room that comes back, here or at another server, adopts it, and its streams, relays and views adopt their
endpoints. When each of them has done so, or failed, or ended, the endpoints that are left belong to nobody and are
released.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import partial

import trio

from roomfsm.kurento.errors import (
    MediaServerError,
    MediaServerLost,
    MediaServersFull,
    MediaServerUnavailable,
    ObjectGone,
    ResourcesExhausted,
)
from roomfsm.kurento.objects import BandwidthLimits, MediaPipeline, PipelinePlace, WebRtcEndpoint
from roomfsm.kurento.pool import MediaPool
from roomfsm.log import concern, get_logger
from roomfsm.protocol.errors import Refusal
from roomfsm.rooms.journal import Journal
from roomfsm.rooms.legs import Stream, View, leaves
from roomfsm.rooms.scope import ChildScope
from roomfsm.rooms.settings import RoomSettings
from roomfsm.rooms.source import Source
from roomfsm.rooms.spread import KeptRelay, RelayTold, Spread

_log = get_logger(__name__)

REMB_ON_CONNECT = 2_000_000
"""The bit/s that a presenter's browser may send from the first second on. A camera of 640×480 is sharp with that.
If the path cannot carry so much, the estimates that follow within a second lower it."""


class Broadcast:
    """One pipeline at a media server, with the room's streams and views.

    Each stream and each view has a task in the broadcast's scope, and its endpoint is a scope in that task. So
    everything is released when the broadcast ends, or the room around it. When a leg fails while the pipeline goes
    on, `on_failure` is called with the leg and with the refusal that its browser gets.
    """

    def __init__(
        self,
        pool: MediaPool,
        tags: dict[str, str],
        settings: RoomSettings,
        journal: Journal,
        on_failure: Callable[[Stream | View, Refusal], Awaitable[None]],
        on_relay: Callable[[KeptRelay], None],
        left: PipelinePlace | None = None,
    ) -> None:
        """`left` is the place of the pipeline that is adopted; None if a new one is created.

        `on_relay` is called with each relay that is up.
        """
        self._left = left
        self._adopting: list[Stream | View] = []
        self.settled = trio.Event()
        """Set when it is clear what can be adopted, or when the broadcast is over."""
        if left is None:
            self.settled.set()
        self._pool = pool
        self._tags = tags
        self._on_failure = on_failure
        self._scope = ChildScope()
        self._pipeline: MediaPipeline | None = None
        self._ready = trio.Event()
        self._moving = trio.Event()
        self._used = 0
        """The number of streams that have an endpoint. While there are any, the broadcast does not move."""
        self._tried: set[str] = set()
        """The addresses of the media servers that refused the first endpoint."""
        # Without these limits Kurento sends at most 500 kbit/s.
        self._limits = BandwidthLimits(
            max_video_recv=settings.video_kbps,
            min_video_send=100,
            max_video_send=settings.video_kbps,
            remb_on_connect=min(REMB_ON_CONNECT, 1000 * settings.video_kbps),
        )
        self._spread = Spread(
            pool, tags, settings, self._limits, journal, self._scope.start_soon, self._home, on_relay
        )

    @property
    def server_url(self) -> str | None:
        """The address of the media server that holds the pipeline; None before there is one."""
        return None if self._pipeline is None else self._pipeline.server_url

    @property
    def place(self) -> PipelinePlace | None:
        """Where the pipeline is, or the one that is to be adopted; None before there is one."""
        return self._left if self._pipeline is None else self._pipeline.place

    def end(self) -> None:
        """Release everything."""
        self._scope.cancel()
        self.settled.set()

    def _home(self) -> MediaPipeline:
        """The pipeline, when a stream has an endpoint. It moves no more then."""
        assert self._pipeline is not None
        return self._pipeline

    @property
    def places(self) -> list[PipelinePlace]:
        """Where the pipelines are, the one to which presenters send first; none before there is one."""
        return [] if self.place is None else [self.place, *self._spread.branches]

    @property
    def kept_relays(self) -> list[KeptRelay]:
        """The relays that outlive the server."""
        return self._spread.kept

    def leave(self, endpoint_ids: Mapping[str, Collection[str]]) -> None:
        """Let these endpoints be at the end, with the pipelines and the relays: somebody else goes on with them.

        They are by the addresses of the media servers to which streams are relayed; empty for that of presenters.
        """
        if any(endpoint_ids.values()):
            for place, there in self._ends(endpoint_ids):
                self._pool.leave(place, there)

    def pass_on(self, endpoint_ids: Mapping[str, Collection[str]]) -> None:
        """As `leave`, if the room server that has the room now may use the media servers, too."""
        for place, there in self._ends(endpoint_ids):
            self._pool.pass_on(place, there)

    def _ends(self, of_legs: Mapping[str, Collection[str]]) -> Iterator[tuple[PipelinePlace, list[str]]]:
        """The pipelines, and the endpoints that are left in each: those of these legs, and those of relays."""
        relays = self.kept_relays
        for index, place in enumerate(self.places):
            at = "" if index == 0 else place.url
            senders = [relay.ends.sender for relay in relays if relay.above == at]
            receivers = [relay.ends.receiver for relay in relays if relay.to == place]
            yield place, [*of_legs.get(at, ()), *senders, *receivers]

    def take_up(self, relay: KeptRelay, stream: Stream) -> None:
        """Go on with a relay that an earlier run of the server has left."""
        self._spread.take_up(relay, stream, self.settled)

    def start(self, leg: Stream | View) -> None:
        """Give a stream or a view its task in this broadcast."""
        if leg.left is not None:
            self._adopting.append(leg)
        self._scope.start_soon(partial(self._hold_leg, leg))

    async def _hold_leg(self, leg: Stream | View) -> None:
        concern(session=leg.participant.id, **{leg.table.name: leg.key})
        refusal = await leg.run(self)
        if refusal is not None:
            await self._on_failure(leg, refusal)

    async def run(self) -> str | None:
        """Hold the pipeline until `end`.

        If the media server fails, this returns the reason for `streamEnded`; otherwise None.
        """
        reason: str | None = None
        errors: list[MediaServerError] = []
        try:
            await self._scope.run(self._hold_pipeline)
        except* MediaServersFull as group:
            reason, errors = "media_full", [*leaves(group)]
        except* MediaServerUnavailable as group:
            reason, errors = "media_unavailable", [*leaves(group)]
        except* MediaServerError as group:
            reason, errors = "media_lost", leaves(group)
        if reason is not None:
            _log.warning("broadcast failed", reason=reason, errors=[str(e) for e in errors])
        return reason

    async def _hold_pipeline(self) -> None:
        while True:
            opening = self._pool.pipeline(self._tags) if self._left is None else self._pool.adopt(self._left)
            async with opening as pipeline, trio.open_nursery() as waiting:
                self._pipeline, self._left = pipeline, None
                self._ready.set()
                waiting.start_soon(_until_lost, pipeline)
                waiting.start_soon(self._settle, pipeline)
                await self._moving.wait()
                waiting.cancel_scope.cancel()
            self._moving = trio.Event()

    async def _settle(self, pipeline: MediaPipeline) -> None:
        for leg in self._adopting:
            await leg.settled.wait()
        self._adopting.clear()
        pipeline.release_left()
        self.settled.set()

    @asynccontextmanager
    async def source(self, left: str | None) -> AsyncIterator[WebRtcEndpoint]:
        """An endpoint for a stream: a new one, or the one with this id that was left in the pipeline.

        If the media server has no place for the first endpoint, the broadcast moves to another media server. The
        pool prefers those that are not full.
        """
        async with AsyncExitStack() as stack:
            while True:
                await self._ready.wait()
                pipeline = self._pipeline
                assert pipeline is not None
                try:
                    endpoint = await stack.enter_async_context(self._endpoint_in(pipeline, left))
                    break
                except ResourcesExhausted:
                    if pipeline is self._pipeline and not self._move(pipeline):
                        raise
                except ObjectGone:
                    if pipeline is self._pipeline:
                        raise
            self._used += 1
            try:
                yield endpoint
            finally:
                self._used -= 1

    def _move(self, pipeline: MediaPipeline) -> bool:
        """Give up a pipeline without endpoints. Returns False if it has some, or its server was tried before."""
        if self._used or pipeline.server_url in self._tried:
            return False
        self._tried.add(pipeline.server_url)
        self._pipeline = None
        self._ready = trio.Event()
        self._moving.set()
        return True

    @asynccontextmanager
    async def sink(
        self, stream: Stream, left: str | None, at: str
    ) -> AsyncIterator[tuple[Source, WebRtcEndpoint]]:
        """The source from which a view gets the stream, and an endpoint for the view, as with `source`.

        If there are many views, they may be at another media server.
        """
        await stream.endpoint()
        opening = self._spread.sink(stream) if left is None else self._spread.adopted(stream, left, at)
        async with opening as found:
            yield found

    @property
    def relays(self) -> list[RelayTold]:
        """The relays of the streams to other media servers."""
        return self._spread.relays

    def _endpoint_in(
        self, pipeline: MediaPipeline, left: str | None
    ) -> AbstractAsyncContextManager[WebRtcEndpoint]:
        return pipeline.endpoint(self._limits) if left is None else pipeline.adopt(left)


async def _until_lost(pipeline: MediaPipeline) -> None:
    await pipeline.lost.wait()
    raise MediaServerLost(pipeline.server_url, "its session ended")
