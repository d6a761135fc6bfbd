"""Media servers in memory. They do everything at once, unless a test delays a step or makes it fail."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Collection, Iterable, Mapping
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
    KurentoError,
    LayersWanted,
    MediaFlowInStateChanged,
    MediaFlowOutStateChanged,
    MediaFlowState,
    MediaPausedState,
    MediaPausedStateChanged,
    MediaPipeline,
    MediaPool,
    MediaServerError,
    MediaServerLost,
    MediaType,
    ObjectGone,
    Owner,
    PictureSize,
    PipelinePlace,
    ResourcesExhausted,
    SessionResumed,
    SpeakingState,
    SpeakingStateChanged,
    WebRtcEndpoint,
)


class Gate:
    """A step of a media server, which is open unless a test shuts it. While `error` is set, passing raises it."""

    def __init__(self) -> None:
        self._open = trio.Event()
        self._open.set()
        self.error: MediaServerError | None = None

    def shut(self) -> None:
        """Make every call wait from now on."""
        if self._open.is_set():
            self._open = trio.Event()

    def open(self) -> None:
        """Let all calls pass that wait now or come later."""
        self._open.set()

    async def __call__(self) -> None:
        """Pass the gate. Raises `error`, if it is set."""
        await self._open.wait()
        if self.error is not None:
            raise self.error


class FakeEndpoint:
    """The methods of a `WebRtcEndpoint` that rooms call.

    `calls` lists the calls as texts, `number` is its place in the pool, and `server_url` the address of its media
    server.
    """

    def __init__(self, media: FakeMedia, number: int, server_url: str) -> None:
        self.server_url = server_url
        self.number = number
        self.id = f"endpoint-{number}"
        self.passed: dict[int, set[MediaType]] = {}
        """What other endpoints are sent from this one, by their numbers."""
        self.events = EventChannel(media.event_buffer)
        self.answering = Gate()
        """The gate for the answer of this endpoint, after the pool's own gate."""
        self.keyframes = Gate()
        self.calls: list[str] = []
        self.connected = False
        """The result of `is_connected`."""
        self.flowing: set[MediaType] = set()
        """The types for which `is_flowing_in` and `is_flowing_out` are true."""
        self.paused: set[MediaType] = set()
        """The types for which `is_paused` is true."""
        self.speaking = False
        """The result of `is_speaking`."""
        self.layers: tuple[str, ...] | None = None
        """The result of `layers_wanted`."""
        self._media = media

    def relays(self) -> None:
        """Nothing is counted here."""

    async def process_offer(self, sdp: str) -> str:
        self._media.by_offer[sdp] = self
        await self._media.answering()
        await self.answering()
        self.calls.append(f"offer {sdp}")
        return f"answer to {sdp}"

    async def generate_offer(self) -> str:
        await self._media.answering()
        return f"offer of {self.id}"

    async def process_answer(self, sdp: str) -> None:
        """Take the answer of another endpoint. If the pool's `relays_connect`, the two are connected then."""
        await trio.lowlevel.checkpoint()
        self.calls.append(sdp)
        if self._media.relays_connect:
            self.connects()
            self._media.by_offer[f"offer of {self.id}"].connects()

    async def local_description(self) -> str:
        await trio.lowlevel.checkpoint()
        if not self.calls:
            raise KurentoError(40202, "there is no local description", "NO_LOCAL_SDP")
        return f"description of {self.id}"

    async def gather_candidates(self) -> None:
        await self._media.gathering()
        self.calls.append("gather")

    async def add_ice_candidate(self, candidate: IceCandidate) -> None:
        await trio.lowlevel.checkpoint()
        self.calls.append(f"candidate {candidate.candidate}")

    async def add_ice_candidates(self, candidates: AsyncIterable[IceCandidate]) -> None:
        async for candidate in candidates:
            await self.add_ice_candidate(candidate)

    async def connect(self, sink: FakeEndpoint, media_type: MediaType | None = None) -> None:
        await trio.lowlevel.checkpoint()
        self.calls.append(f"connect {sink.number}" + _of_type(media_type))
        self.passed.setdefault(sink.number, set()).update(_types(media_type))

    async def disconnect(self, sink: FakeEndpoint, media_type: MediaType | None = None) -> None:
        await trio.lowlevel.checkpoint()
        self.calls.append(f"disconnect {sink.number}" + _of_type(media_type))
        self.passed.setdefault(sink.number, set()).difference_update(_types(media_type))

    async def connected_to(self, sink: FakeEndpoint) -> frozenset[MediaType]:
        await trio.lowlevel.checkpoint()
        return frozenset(self.passed.get(sink.number, ()))

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

    async def layers_wanted(self) -> tuple[str, ...] | None:
        await trio.lowlevel.checkpoint()
        return self.layers

    async def is_viewed_by(self, participant: str) -> None:
        await trio.lowlevel.checkpoint()
        self.viewer = participant

    async def hears(self, answer: str) -> bool:
        del answer
        await trio.lowlevel.checkpoint()
        return self._media.hears

    async def follow_speech(self) -> None:
        await trio.lowlevel.checkpoint()
        self.calls.append("follow speech")

    async def is_speaking(self) -> bool:
        await trio.lowlevel.checkpoint()
        return self.speaking

    async def show_picture(self, size: PictureSize) -> None:
        await trio.lowlevel.checkpoint()
        self.calls.append(f"show {size}")

    # Events that a test or a journal causes

    def happens(self, event: EndpointEvent) -> None:
        """Send this event from the media server."""
        self.events.put(event)

    def connects(self) -> None:
        """Connect the browser."""
        self.connected = True
        self.happens(
            DtlsConnectionStateChange(stream_id="0", component_id="1", state=DtlsConnectionState.CONNECTED)
        )

    def flows(self, flowing: bool) -> None:
        """Make video begin or stop to flow."""
        state = MediaFlowState.FLOWING if flowing else MediaFlowState.NOT_FLOWING
        # A stream uses the first of these events, and a view the second.
        self.happens(MediaFlowOutStateChanged(media_type=MediaType.VIDEO, state=state))
        self.happens(MediaFlowInStateChanged(media_type=MediaType.VIDEO, state=state))

    def pauses(self, paused: bool) -> None:
        """Pause the viewer's video, as if its path were too slow, or send it again."""
        state = MediaPausedState.PAUSED if paused else MediaPausedState.NOT_PAUSED
        self.happens(MediaPausedStateChanged(media_type=MediaType.VIDEO, state=state))

    def speaks(self, speaking: bool) -> None:
        """Make the browser's user begin or cease to speak."""
        self.speaking = speaking
        state = SpeakingState.SPEAKING if speaking else SpeakingState.NOT_SPEAKING
        self.happens(SpeakingStateChanged(state=state))

    def wants(self, *layers: str) -> None:
        """Say which layers of the picture are of use."""
        self.layers = layers
        self.happens(LayersWanted(layers=layers))


def _of_type(media_type: MediaType | None) -> str:
    return "" if media_type is None else f" {media_type}"


def _types(media_type: MediaType | None) -> set[MediaType]:
    return set(MediaType) if media_type is None else {media_type}


class FakePipeline:
    """The methods of a `MediaPipeline` that rooms call. Set `lost` to simulate the death of its media server."""

    def __init__(self, media: FakeMedia, tags: dict[str, str], server_url: str) -> None:
        self.tags = tags
        self.server_url = server_url
        self.lost = trio.Event()
        self.place = PipelinePlace(server_url, "session", "server", f"pipeline-{media.made}")
        self._media = media
        self._endpoints: dict[str, FakeEndpoint] = {}
        """Those that exist, by their ids."""
        self.left: set[str] = set()
        """The ids of the endpoints that a room server has left, on purpose or because it was killed."""

    @asynccontextmanager
    async def endpoint(self, _limits: BandwidthLimits) -> AsyncIterator[WebRtcEndpoint]:
        """A new endpoint. Raises `ResourcesExhausted` if the media server is full."""
        media = self._media
        await media.creating()
        if self.server_url in media.full:
            raise ResourcesExhausted(ResourcesExhausted.CODE, "Too many threads", "NOT_ENOUGH_RESOURCES")
        endpoint = FakeEndpoint(media, len(media.endpoints), self.server_url)
        if not media.answers:
            endpoint.answering.shut()
        media.endpoints.append(endpoint)
        media.open.append(endpoint)
        self._endpoints[endpoint.id] = endpoint
        async with self._holding(endpoint):
            yield cast(WebRtcEndpoint, endpoint)

    @asynccontextmanager
    async def _holding(self, endpoint: FakeEndpoint) -> AsyncIterator[None]:
        media = self._media
        try:
            yield
        finally:
            if media.cut_off or endpoint.id in media.left:
                self.left.add(endpoint.id)
                # Nobody reads them any more.
                endpoint.events = EventChannel(media.event_buffer)
            else:
                with trio.CancelScope(shield=True):
                    await media.releasing()
                self._release(endpoint.id)

    @asynccontextmanager
    async def adopt(self, endpoint_id: str) -> AsyncIterator[WebRtcEndpoint]:
        """An endpoint that was left. Raises `ObjectGone`."""
        await trio.lowlevel.checkpoint()
        if endpoint_id not in self.left:
            self._media.missed.append(endpoint_id)
            raise ObjectGone(ObjectGone.CODE, f"{endpoint_id} is not there")
        self.left.remove(endpoint_id)
        self._media.left.discard(endpoint_id)
        endpoint = self._endpoints[endpoint_id]
        endpoint.happens(SessionResumed())
        async with self._holding(endpoint):
            yield cast(WebRtcEndpoint, endpoint)

    def release_left(self) -> None:
        """Release what nobody has adopted."""
        for endpoint_id in self.left:
            self._release(endpoint_id)
        self.left.clear()

    def _release(self, endpoint_id: str) -> None:
        self._media.open.remove(self._endpoints.pop(endpoint_id))


class FakeMedia:
    """A pool of media servers. Pass its `pool` wherever a `MediaPool` is wanted.

    `pipelines` and `open` are the pipelines and endpoints that exist now, and `endpoints` are all that ever
    existed. The gates `creating`, `adopting`, `answering`, `gathering` and `releasing` delay these steps or make
    them fail; `releasing_pipelines` delays only pipelines that are not lost. `event_buffer` is how many events of
    an endpoint may be unread. If `answers` is false, each endpoint answers only when its own gate is opened.
    """

    def __init__(self, *, answers: bool = True, event_buffer: int = 64) -> None:
        self.owner: Owner | None = None
        self.answers = answers
        self.event_buffer = event_buffer
        self.pipelines: list[FakePipeline] = []
        self.open: list[FakeEndpoint] = []
        self.endpoints: list[FakeEndpoint] = []
        self.by_offer: dict[str, FakeEndpoint] = {}
        """For each offer, the last endpoint that got it."""
        self.urls = ["ws://memory"]
        """The media servers, which get new pipelines in turn."""
        self.full: set[str] = set()
        """The media servers that are full and refuse new endpoints."""
        self.left: set[str] = set()
        """The ids of the pipelines and endpoints that a room server has left on purpose."""
        self.missed: list[str] = []
        """The ids of endpoints that were to be adopted, and were not there."""
        self.made = 0
        self.layered = False
        """Whether the media servers take a picture in several layers."""
        self.hears = False
        """Whether the media servers find out who speaks."""
        self.is_shared = False
        """Whether other room servers use the same media servers."""
        self.relays_connect = True
        """Whether two endpoints of different media servers connect as soon as each has the other's description."""
        self.cut_off = False
        """Whether the room server can release nothing, as if it had been killed. What it held is left then."""
        self.creating = Gate()
        self.adopting = Gate()
        self.answering = Gate()
        self.gathering = Gate()
        self.releasing = Gate()
        self.releasing_pipelines = Gate()

    @property
    def pool(self) -> MediaPool:
        """This object, with the type that it replaces."""
        return cast(MediaPool, self)

    def another(self, besides: Collection[str]) -> str | None:
        """The first media server that is not one of these and is not full."""
        return next((url for url in self.urls if url not in {*besides, *self.full}), None)

    def takes(self, url: str) -> bool:
        """Whether the media server is not full."""
        return url not in self.full

    @asynccontextmanager
    async def pipeline(self, tags: Mapping[str, str], at: str | None = None) -> AsyncIterator[MediaPipeline]:
        await self.creating()
        pipeline = FakePipeline(self, dict(tags), at or self.urls[self.made % len(self.urls)])
        self.made += 1
        self.pipelines.append(pipeline)
        async with self._holding(pipeline):
            yield cast(MediaPipeline, pipeline)

    @asynccontextmanager
    async def _holding(self, pipeline: FakePipeline) -> AsyncIterator[None]:
        try:
            yield
        finally:
            if not (self.cut_off or pipeline.place.pipeline_id in self.left):
                with trio.CancelScope(shield=True):
                    await self.releasing()
                    if not pipeline.lost.is_set():
                        await self.releasing_pipelines()
                pipeline.release_left()
                self.pipelines.remove(pipeline)

    def leave(self, place: PipelinePlace, endpoint_ids: Iterable[str]) -> None:
        """Let a pipeline and these of its endpoints be when their scopes end."""
        self.left.update((place.pipeline_id, *endpoint_ids))

    def pass_on(self, place: PipelinePlace, endpoint_ids: Iterable[str]) -> None:
        """As `leave`, if other room servers can adopt it."""
        if self.is_shared:
            self.leave(place, endpoint_ids)

    @asynccontextmanager
    async def adopt(self, place: PipelinePlace) -> AsyncIterator[MediaPipeline]:
        """A pipeline that was left. Raises `MediaServerLost`, or what the gate `adopting` raises."""
        await self.adopting()
        pipeline = next((one for one in self.pipelines if one.place == place and not one.lost.is_set()), None)
        if pipeline is None:
            raise MediaServerLost(place.url, "the session of the earlier run is gone")
        self.left.discard(place.pipeline_id)
        async with self._holding(pipeline):
            yield cast(MediaPipeline, pipeline)
