"""The media servers of a replay: they answer, see media flow and let go when the journal says that they did."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import cast

import trio

from roomfsm.kurento.candidates import IceCandidate
from roomfsm.kurento.events import (
    DtlsConnectionState,
    DtlsConnectionStateChange,
    EventChannel,
    MediaFlowInStateChanged,
    MediaFlowOutStateChanged,
    MediaFlowState,
    MediaPausedState,
    MediaPausedStateChanged,
    MediaType,
)
from roomfsm.kurento.objects import BandwidthLimits, MediaPipeline, WebRtcEndpoint
from roomfsm.kurento.pool import MediaPool

_EVENTS = 10_000
"""Events that wait for a leg; a journal has no more of them at a time than a media server ever sent."""


class ReplayedEndpoint:
    """What the legs of a room call of a `WebRtcEndpoint`."""

    def __init__(self, media: ReplayedMedia) -> None:
        self.events = EventChannel(_EVENTS)
        self._media = media

    async def process_offer(self, sdp: str) -> str:
        self._media.by_offer[sdp] = self
        self.answered = trio.Event()
        await self.answered.wait()
        return "answer"

    async def gather_candidates(self) -> None:
        await trio.lowlevel.checkpoint()

    async def add_ice_candidate(self, _candidate: IceCandidate) -> None:
        await trio.lowlevel.checkpoint()

    async def connect(self, _sink: ReplayedEndpoint) -> None:
        await trio.lowlevel.checkpoint()

    async def request_keyframe(self) -> None:
        await trio.lowlevel.checkpoint()

    def connected(self) -> None:
        """The browser's connection is up."""
        self.events.put(
            DtlsConnectionStateChange(stream_id="0", component_id="1", state=DtlsConnectionState.CONNECTED)
        )

    def flows(self, flowing: bool) -> None:
        """Media flow, or stop."""
        state = MediaFlowState.FLOWING if flowing else MediaFlowState.NOT_FLOWING
        # A stream heeds the first of these, a view the second.
        self.events.put(MediaFlowOutStateChanged(media_type=MediaType.VIDEO, state=state))
        self.events.put(MediaFlowInStateChanged(media_type=MediaType.VIDEO, state=state))

    def pauses(self, paused: bool) -> None:
        """The picture is sent no longer, or again."""
        state = MediaPausedState.PAUSED if paused else MediaPausedState.NOT_PAUSED
        self.events.put(MediaPausedStateChanged(media_type=MediaType.VIDEO, state=state))


class ReplayedPipeline:
    """What a broadcast calls of a `MediaPipeline`."""

    server_url = "the journal's"

    def __init__(self, media: ReplayedMedia) -> None:
        self.lost = trio.Event()
        self._media = media

    @asynccontextmanager
    async def endpoint(self, _limits: BandwidthLimits) -> AsyncIterator[WebRtcEndpoint]:
        yield cast(WebRtcEndpoint, ReplayedEndpoint(self._media))


class ReplayedMedia:
    """The pool. `by_offer` finds the endpoint that took an offer; `released` lets closing rooms end."""

    def __init__(self) -> None:
        self.by_offer: dict[str, ReplayedEndpoint] = {}
        self.pipelines: list[ReplayedPipeline] = []
        self.released = trio.Event()

    @property
    def pool(self) -> MediaPool:
        return cast(MediaPool, self)

    @asynccontextmanager
    async def pipeline(self, _tags: Mapping[str, str]) -> AsyncIterator[MediaPipeline]:
        pipeline = ReplayedPipeline(self)
        self.pipelines.append(pipeline)
        try:
            yield cast(MediaPipeline, pipeline)
        finally:
            if not pipeline.lost.is_set():
                with trio.CancelScope(shield=True):
                    await self.released.wait()
