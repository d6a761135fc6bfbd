"""Media servers in memory, which do at once whatever they are asked, unless a test holds it back or fails it."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import cast

import trio

from roomfsm.kurento import (
    BandwidthLimits,
    DtlsConnectionState,
    DtlsConnectionStateChange,
    EndpointEvent,
    EventChannel,
    IceCandidate,
    MediaFlowInStateChanged,
    MediaFlowOutStateChanged,
    MediaFlowState,
    MediaPausedState,
    MediaPausedStateChanged,
    MediaPipeline,
    MediaPool,
    MediaServerError,
    MediaType,
    ResourcesExhausted,
    WebRtcEndpoint,
)


class Gate:
    """A step of a media server: open unless a test shuts it. While `error` is set, passing raises it."""

    def __init__(self) -> None:
        self._open = trio.Event()
        self._open.set()
        self.error: MediaServerError | None = None

    def shut(self) -> None:
        """Hold back whoever comes from now on."""
        if self._open.is_set():
            self._open = trio.Event()

    def open(self) -> None:
        """Let everybody pass who waits or comes."""
        self._open.set()

    async def __call__(self) -> None:
        """Pass. Raises `error`."""
        await self._open.wait()
        if self.error is not None:
            raise self.error


class FakeEndpoint:
    """What rooms call of a `WebRtcEndpoint`. `calls` are the calls in words; `number` is its place in the pool."""

    def __init__(self, media: FakeMedia, number: int) -> None:
        self.number = number
        self.events = EventChannel(media.event_buffer)
        self.answering = Gate()
        """The answer to the offer at this endpoint, after the pool's own gate."""
        self.keyframes = Gate()
        self.calls: list[str] = []
        self.connected = False
        """What `is_connected` says."""
        self.flowing: set[MediaType] = set()
        """What `is_flowing_in` and `is_flowing_out` say."""
        self.paused: set[MediaType] = set()
        """What `is_paused` says."""
        self._media = media

    async def process_offer(self, sdp: str) -> str:
        self._media.by_offer[sdp] = self
        await self._media.answering()
        await self.answering()
        self.calls.append(f"offer {sdp}")
        return f"answer to {sdp}"

    async def gather_candidates(self) -> None:
        await self._media.gathering()
        self.calls.append("gather")

    async def add_ice_candidate(self, candidate: IceCandidate) -> None:
        await trio.lowlevel.checkpoint()
        self.calls.append(f"candidate {candidate.candidate}")

    async def add_ice_candidates(self, candidates: AsyncIterable[IceCandidate]) -> None:
        async for candidate in candidates:
            await self.add_ice_candidate(candidate)

    async def connect(self, sink: FakeEndpoint) -> None:
        await trio.lowlevel.checkpoint()
        self.calls.append(f"connect {sink.number}")

    async def request_keyframe(self) -> None:
        await trio.lowlevel.checkpoint()
        self.calls.append("keyframe")
        await self.keyframes()

    async def is_connected(self) -> bool:
        await trio.lowlevel.checkpoint()
        return self.connected

    async def is_flowing_out(self, media_type: MediaType) -> bool:
        await trio.lowlevel.checkpoint()
        return media_type in self.flowing

    is_flowing_in = is_flowing_out

    async def is_paused(self, media_type: MediaType) -> bool:
        await trio.lowlevel.checkpoint()
        return media_type in self.paused

    # What a test, or a journal, lets happen

    def happens(self, event: EndpointEvent) -> None:
        """The media server tells this event."""
        self.events.put(event)

    def connects(self) -> None:
        """The browser's connection comes up."""
        self.connected = True
        self.happens(
            DtlsConnectionStateChange(stream_id="0", component_id="1", state=DtlsConnectionState.CONNECTED)
        )

    def flows(self, flowing: bool) -> None:
        """Video begins to flow, or stops."""
        state = MediaFlowState.FLOWING if flowing else MediaFlowState.NOT_FLOWING
        # A stream heeds the first of these, a view the second.
        self.happens(MediaFlowOutStateChanged(media_type=MediaType.VIDEO, state=state))
        self.happens(MediaFlowInStateChanged(media_type=MediaType.VIDEO, state=state))

    def pauses(self, paused: bool) -> None:
        """The viewer is sent no video any more because its path is too slow, or is sent it again."""
        state = MediaPausedState.PAUSED if paused else MediaPausedState.NOT_PAUSED
        self.happens(MediaPausedStateChanged(media_type=MediaType.VIDEO, state=state))


class FakePipeline:
    """What rooms call of a `MediaPipeline`. Set `lost` when its media server has died."""

    def __init__(self, media: FakeMedia, tags: dict[str, str], server_url: str) -> None:
        self.tags = tags
        self.server_url = server_url
        self.lost = trio.Event()
        self._media = media

    @asynccontextmanager
    async def endpoint(self, _limits: BandwidthLimits) -> AsyncIterator[WebRtcEndpoint]:
        """A new endpoint. Raises `ResourcesExhausted` where the media server is full."""
        media = self._media
        await media.creating()
        if self.server_url in media.full:
            raise ResourcesExhausted(ResourcesExhausted.CODE, "Too many threads", "NOT_ENOUGH_RESOURCES")
        endpoint = FakeEndpoint(media, len(media.endpoints))
        if not media.answers:
            endpoint.answering.shut()
        media.endpoints.append(endpoint)
        media.open.append(endpoint)
        try:
            yield cast(WebRtcEndpoint, endpoint)
        finally:
            with trio.CancelScope(shield=True):
                await media.releasing()
            media.open.remove(endpoint)


class FakeMedia:
    """A pool of media servers. Give its `pool` to whatever takes a `MediaPool`.

    `pipelines` and `open` are the pipelines and endpoints that are held now, `endpoints` all that ever were. The
    gates `creating`, `answering`, `gathering` and `releasing` hold back or fail these steps of all of them;
    `releasing_pipelines` holds back only pipelines that are not lost. `event_buffer` is how many events of an
    endpoint may be unread. Without `answers` each endpoint answers only when its own gate is opened.
    """

    def __init__(self, *, answers: bool = True, event_buffer: int = 64) -> None:
        self.answers = answers
        self.event_buffer = event_buffer
        self.pipelines: list[FakePipeline] = []
        self.open: list[FakeEndpoint] = []
        self.endpoints: list[FakeEndpoint] = []
        self.by_offer: dict[str, FakeEndpoint] = {}
        """The endpoint that each offer came to last."""
        self.urls = ["ws://memory"]
        """The media servers, which get the pipelines in turn."""
        self.full: set[str] = set()
        """The media servers that make no more endpoints."""
        self.made = 0
        self.creating = Gate()
        self.answering = Gate()
        self.gathering = Gate()
        self.releasing = Gate()
        self.releasing_pipelines = Gate()

    @property
    def pool(self) -> MediaPool:
        """This, as the type for which it stands."""
        return cast(MediaPool, self)

    @asynccontextmanager
    async def pipeline(self, tags: Mapping[str, str]) -> AsyncIterator[MediaPipeline]:
        await self.creating()
        pipeline = FakePipeline(self, dict(tags), self.urls[self.made % len(self.urls)])
        self.made += 1
        self.pipelines.append(pipeline)
        try:
            yield cast(MediaPipeline, pipeline)
        finally:
            with trio.CancelScope(shield=True):
                await self.releasing()
                if not pipeline.lost.is_set():
                    await self.releasing_pipelines()
            self.pipelines.remove(pipeline)
