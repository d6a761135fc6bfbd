"""A media pool in memory, whose every step a test can hold back or fail; real ones are used elsewhere."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import cast

import trio

from roomfsm.kurento.candidates import IceCandidate
from roomfsm.kurento.errors import MediaServerError, ResourcesExhausted
from roomfsm.kurento.events import EndpointEvent, EventChannel, MediaType
from roomfsm.kurento.objects import BandwidthLimits, MediaPipeline, WebRtcEndpoint
from roomfsm.kurento.pool import MediaPool


class Gate:
    """Open unless a test shuts it; what passes may be made to fail."""

    def __init__(self) -> None:
        self._open = trio.Event()
        self._open.set()
        self.error: MediaServerError | None = None

    def shut(self) -> None:
        if self._open.is_set():
            self._open = trio.Event()

    def open(self) -> None:
        self._open.set()

    async def __call__(self) -> None:
        await self._open.wait()
        if self.error is not None:
            raise self.error


class Endpoint:
    def __init__(self, media: Media, number: int) -> None:
        self.number = number
        self.events = EventChannel(64)
        self.keyframes = Gate()
        self.calls: list[str] = []
        self.flowing: set[MediaType] = set()
        self.paused: set[MediaType] = set()
        self._media = media

    async def process_offer(self, sdp: str) -> str:
        await self._media.answering()
        self.calls.append(f"offer {sdp}")
        return f"answer to {sdp}"

    async def gather_candidates(self) -> None:
        await self._media.gathering()
        self.calls.append("gather")

    async def add_ice_candidate(self, candidate: IceCandidate) -> None:
        await trio.lowlevel.checkpoint()
        self.calls.append(f"candidate {candidate.candidate}")

    async def connect(self, sink: Endpoint) -> None:
        await trio.lowlevel.checkpoint()
        self.calls.append(f"connect {sink.number}")

    async def request_keyframe(self) -> None:
        await trio.lowlevel.checkpoint()
        self.calls.append("keyframe")
        await self.keyframes()

    async def is_flowing_out(self, media_type: MediaType) -> bool:
        await trio.lowlevel.checkpoint()
        return media_type in self.flowing

    is_flowing_in = is_flowing_out

    async def is_paused(self, media_type: MediaType) -> bool:
        await trio.lowlevel.checkpoint()
        return media_type in self.paused

    def happens(self, event: EndpointEvent) -> None:
        self.events.put(event)


class Media:
    """The pool; `pipelines` and `open` are what is held now, `endpoints` all that ever were."""

    def __init__(self) -> None:
        self.pipelines: list[Pipeline] = []
        self.open: list[Endpoint] = []
        self.endpoints: list[Endpoint] = []
        self.urls = ["ws://memory"]
        """The media servers, which get the pipelines in turn."""
        self.full: set[str] = set()
        """Those that make no endpoints."""
        self.made = 0
        self.creating = Gate()
        self.answering = Gate()
        self.gathering = Gate()
        self.releasing = Gate()

    @property
    def pool(self) -> MediaPool:
        return cast(MediaPool, self)

    @asynccontextmanager
    async def pipeline(self, tags: Mapping[str, str]) -> AsyncIterator[MediaPipeline]:
        await self.creating()
        pipeline = Pipeline(self, dict(tags), self.urls[self.made % len(self.urls)])
        self.made += 1
        self.pipelines.append(pipeline)
        try:
            yield cast(MediaPipeline, pipeline)
        finally:
            with trio.CancelScope(shield=True):
                await self.releasing()
            self.pipelines.remove(pipeline)


class Pipeline:
    def __init__(self, media: Media, tags: dict[str, str], server_url: str) -> None:
        self.tags = tags
        self.server_url = server_url
        self.lost = trio.Event()
        self._media = media

    @asynccontextmanager
    async def endpoint(self, limits: BandwidthLimits) -> AsyncIterator[WebRtcEndpoint]:
        await self._media.creating()
        if self.server_url in self._media.full:
            raise ResourcesExhausted(40009, "Too many threads", "NOT_ENOUGH_RESOURCES")
        endpoint = Endpoint(self._media, len(self._media.endpoints))
        self._media.endpoints.append(endpoint)
        self._media.open.append(endpoint)
        try:
            yield cast(WebRtcEndpoint, endpoint)
        finally:
            with trio.CancelScope(shield=True):
                await self._media.releasing()
            self._media.open.remove(endpoint)
