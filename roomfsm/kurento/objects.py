"""Kurento's objects as scopes: they are created on entry and released on exit.

A program that was killed leaves its objects behind, and their media go on. Its next run can *adopt* them: the same
scopes, which create nothing on entry. What happened meanwhile must be asked for, so the events of an adopted
endpoint begin with `SessionResumed`.

If the session of the earlier run goes on, it has kept the subscriptions. Otherwise the objects are adopted into
another session: any session may use any object, and an object lives as long as one that has touched it. So the new
session touches each of them, and subscribes to its events. That is how one room server takes over from another.
The tags name the new owner in any case, so that nobody takes the pipeline for one that was left behind.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Collection, Iterable, Iterator, Mapping
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import trio

from roomfsm.jsonrpc import Params
from roomfsm.kurento.candidates import IceCandidate, is_mdns
from roomfsm.kurento.errors import ConnectRefused, EventUnsupported, ObjectGone
from roomfsm.kurento.events import (
    OPTIONAL,
    SUBSCRIBED,
    ConnectionState,
    EventChannel,
    LayersWanted,
    MediaPausedStateChanged,
    MediaType,
    SessionResumed,
    SpeakingStateChanged,
)
from roomfsm.kurento.owner import Owner
from roomfsm.kurento.session import Session, invocation, value_of
from roomfsm.log import get_logger

_log = get_logger(__name__)


class PictureSize(StrEnum):
    """How large a browser shows a picture."""

    SMALL = "SMALL"
    MEDIUM = "MEDIUM"
    LARGE = "LARGE"


_SPEAKING = "speaking"
"""The capability of a media server that reports whether the users of browsers speak. Kurento does not have it."""
_AUDIO_LEVEL = "urn:ietf:params:rtp-hdrext:ssrc-audio-level"
"""The header extension by which a browser tells how loud the sound is (RFC 6464)."""

MANAGER = "manager_ServerManager"
"""The id of the object that describes the media server and all its other objects."""


@dataclass(frozen=True, slots=True)
class BandwidthLimits:
    """Limits for an endpoint's video in kbit/s. None keeps the media server's default, and 0 means no limit.

    Kurento's defaults are 500 for `max_video_send` and 100 for `min_video_send`. `remb_on_connect` is in bit/s:
    the rate at which the browser may send at first. With Kurento's default of 300000, a camera is small and
    blurred for its first ten seconds. No limit can be changed after the endpoint has been negotiated.
    """

    max_video_recv: int | None = None
    min_video_send: int | None = None
    max_video_send: int | None = None
    remb_on_connect: int | None = None


@dataclass(frozen=True, slots=True)
class PipelinePlace:
    """Where a pipeline is. A later run of the program finds it by that."""

    url: str
    session_id: str
    server_id: str
    pipeline_id: str
    left_by: Owner | None = field(default=None, compare=False)
    """The run that has left it there; None if nobody knows."""


class MediaPipeline:
    """A pipeline, within which endpoints can be connected. `MediaPool.pipeline` creates it.

    `lost` is set when the session that owns the pipeline is lost. Then the pipeline is gone, and every call raises
    `MediaServerLost`. `left` are the ids of the endpoints that an earlier run has left in it.
    """

    def __init__(
        self, session: Session, object_id: str, left: Collection[str] = (), *, subscribed: bool = True
    ) -> None:
        """`subscribed` says whether the session is subscribed to the events of those that are left."""
        self._session = session
        self.id = object_id
        self._left = set(left)
        self._subscribed = subscribed

    @property
    def place(self) -> PipelinePlace:
        return PipelinePlace(self._session.url, self._session.session_id, self._session.server_id, self.id)

    @property
    def server_url(self) -> str:
        return self._session.url

    @property
    def lost(self) -> trio.Event:
        return self._session.lost

    @asynccontextmanager
    async def endpoint(self, limits: BandwidthLimits) -> AsyncIterator[WebRtcEndpoint]:
        """A new WebRtcEndpoint with these limits and with its events subscribed.

        It is released at the end of the scope. Raises `KurentoError` (`ResourcesExhausted` if the media server is
        full), `RequestTimedOut` and `MediaServerLost`.
        """
        session = self._session
        async with session.object("WebRtcEndpoint", {"mediaPipeline": self.id}) as object_id:
            with session.subscription(object_id) as channel:
                await _subscribe(session, object_id, _limiting(object_id, limits))
                yield WebRtcEndpoint(session, self.id, object_id, channel)

    @asynccontextmanager
    async def adopt(self, endpoint_id: str) -> AsyncIterator[WebRtcEndpoint]:
        """An endpoint that an earlier run has left in this pipeline. It is released at the end of the scope.

        Raises `ObjectGone` if it is not there, or was adopted or released before.
        """
        if endpoint_id not in self._left:
            raise ObjectGone(ObjectGone.CODE, f"no endpoint {endpoint_id} is left")
        self._left.remove(endpoint_id)
        async with self._session.adopted("WebRtcEndpoint", endpoint_id):
            with self._session.subscription(endpoint_id) as channel:
                if not self._subscribed:
                    await _subscribe(self._session, endpoint_id, [_touch(endpoint_id)])
                channel.put(SessionResumed())
                yield WebRtcEndpoint(self._session, self.id, endpoint_id, channel)

    def release_left(self) -> None:
        """Release the endpoints of an earlier run that nobody has adopted, without waiting."""
        for endpoint_id in self._left:
            self._session.let_go(endpoint_id)
        self._left.clear()


@asynccontextmanager
async def open_pipeline(session: Session, tags: Mapping[str, str]) -> AsyncIterator[MediaPipeline]:
    """A new pipeline, which is released at the end of the scope.

    A restarted program can find its old pipelines by their tags. Raises the errors of `MediaPipeline.endpoint`.
    """

    async def prepare(object_id: str) -> None:
        await session.request_all([_subscription(object_id, "Error"), *_tagging(object_id, tags)])

    async with session.object("MediaPipeline", {}, prepare) as object_id:
        yield MediaPipeline(session, object_id)


@asynccontextmanager
async def adopt_pipeline(
    session: Session, place: PipelinePlace, tags: Mapping[str, str]
) -> AsyncIterator[MediaPipeline]:
    """A pipeline that was left at this place, with these tags from now on. It is released at the end of the scope.

    Raises the errors of `MediaPipeline.endpoint`: `ObjectGone` if it is not there.
    """
    pipeline_id, subscribed = place.pipeline_id, place.session_id == session.session_id
    async with session.adopted("MediaPipeline", pipeline_id):
        children = await session.invoke(pipeline_id, "getChildren")
        left = [child for child in children if isinstance(child, str)] if isinstance(children, list) else []
        taking = () if subscribed else (_touch(pipeline_id), _subscription(pipeline_id, "Error"))
        await session.request_all([*taking, *_tagging(pipeline_id, tags)])
        for child in left if subscribed else ():
            # One that has just gone says nothing of the others.
            with suppress(ObjectGone):
                await _learn_events(session, child)
                break
        yield MediaPipeline(session, pipeline_id, left, subscribed=subscribed)


def _touch(object_id: str) -> tuple[str, Params]:
    """The request that makes an object live as long as this session."""
    return "ref", {"object": object_id}


def _subscription(object_id: str, name: str) -> tuple[str, Params]:
    """The request that subscribes to an event."""
    return "subscribe", {"object": object_id, "type": name}


def _tagging(object_id: str, tags: Mapping[str, str]) -> Iterator[tuple[str, Params]]:
    """The requests that give an object these tags. A tag with the same key is replaced."""
    for key, value in tags.items():
        yield "invoke", invocation(object_id, "addTag", {"key": key, "value": value})


async def _subscribe(session: Session, endpoint_id: str, more: Iterable[tuple[str, Params]]) -> None:
    """Subscribe to all events of an endpoint, and send these requests as well."""
    known = (*SUBSCRIBED, *(name for name in OPTIONAL if session.has.get(name)))
    unknown = [name for name in OPTIONAL if name not in session.has]
    await session.request_all([*(_subscription(endpoint_id, name) for name in known), *more])
    for name in unknown:
        async with session.trying:
            if name not in session.has:
                await _try_to_subscribe(session, endpoint_id, name)
                continue
        if session.has[name]:  # Another endpoint has tried it meanwhile.
            await session.request(*_subscription(endpoint_id, name))


async def _learn_events(session: Session, object_id: str) -> None:
    """Learn which of the events that not all media servers have this one has.

    The endpoint is subscribed to them already, if there are any. So the subscription that tries it is ended again.
    """
    async with session.trying:
        for name in OPTIONAL:
            if name not in session.has:
                subscription = await _try_to_subscribe(session, object_id, name)
                if subscription is not None:
                    await session.request("unsubscribe", {"object": object_id, "subscription": subscription})


def _limiting(endpoint_id: str, limits: BandwidthLimits) -> Iterator[tuple[str, Params]]:
    """The requests that set the limits of an endpoint."""
    for name, value in (
        ("MaxVideoRecvBandwidth", limits.max_video_recv),
        ("MaxVideoSendBandwidth", limits.max_video_send),
        ("MinVideoSendBandwidth", limits.min_video_send),
    ):
        if value is not None:
            yield "invoke", invocation(endpoint_id, f"set{name}", {f"m{name[1:]}": value})
    if limits.remb_on_connect is not None:
        params = {"rembParams": {"rembOnConnect": limits.remb_on_connect}}
        yield "invoke", invocation(endpoint_id, "setRembParams", params)


async def _try_to_subscribe(session: Session, object_id: str, name: str) -> str | None:
    """Subscribe to an event that the media server may not have, and remember whether it has it.

    Returns the id of the subscription, if it has. Raises the errors of `MediaPipeline.endpoint`.
    """
    try:
        subscription = value_of(await session.request(*_subscription(object_id, name)))
    except EventUnsupported:
        session.has[name] = False
        return None
    session.has[name] = True
    return str(subscription)


class WebRtcEndpoint:
    """One peer connection of the media server. `MediaPipeline.endpoint` creates it.

    `events` is for one reader. It raises `MediaServerLost` if the session is lost and `EventOverflow` if too many
    events are left unread, and it ends when the endpoint is released. Every method may raise `KurentoError`
    (`ObjectGone` after the release), `RequestTimedOut` and `MediaServerLost`.
    """

    def __init__(self, session: Session, pipeline_id: str, object_id: str, channel: EventChannel) -> None:
        self._session = session
        self._pipeline_id = pipeline_id
        self.id = object_id
        self.events = channel

    @property
    def server_url(self) -> str:
        """The address of its media server."""
        return self._session.url

    def relays(self) -> None:
        """Let its media be counted as those that media servers send to each other."""
        self._session.relaying.add(self.id)

    async def process_offer(self, sdp: str) -> str:
        """Return the answer to a browser's offer (session descriptions, RFC 8866).

        Raises `SdpInvalid`, `OfferRefused` if the offer cannot be accepted, and `AlreadyNegotiated` for a second
        offer.
        """
        return str(await self._invoke("processOffer", {"offer": sdp}))

    async def generate_offer(self) -> str:
        """Return this endpoint's own offer, which another endpoint shall answer (`process_answer`)."""
        return str(await self._invoke("generateOffer"))

    async def process_answer(self, sdp: str) -> None:
        """Take the answer to `generate_offer`. Raises `SdpInvalid` or `OfferRefused`."""
        await self._invoke("processAnswer", {"answer": sdp})

    async def local_description(self) -> str:
        """The session description that this endpoint has given to its browser."""
        return str(await self._invoke("getLocalSessionDescriptor"))

    async def gather_candidates(self) -> None:
        """Start gathering candidates; `IceCandidateFound` events follow.

        Call this after the answer has been sent.
        """
        await self._invoke("gatherCandidates")

    async def add_ice_candidate(self, candidate: IceCandidate) -> None:
        """Pass on a candidate of the browser.

        Candidates with a `.local` name are dropped. Raises `CandidateRefused`.
        """
        if self._takes(candidate):
            await self._invoke("addIceCandidate", _candidate_params(candidate))

    async def add_ice_candidates(self, candidates: AsyncIterable[IceCandidate]) -> None:
        """Pass on candidates as they come, in order, without waiting for the reply to each.

        Returns when there are no more. Raises the first error, as `add_ice_candidate` does.
        """
        async with aclosing(self._additions(candidates)) as additions:
            await self._session.request_each(additions)

    async def _additions(self, candidates: AsyncIterable[IceCandidate]) -> AsyncGenerator[tuple[str, Params]]:
        async for candidate in candidates:
            if self._takes(candidate):
                yield "invoke", invocation(self.id, "addIceCandidate", _candidate_params(candidate))

    def _takes(self, candidate: IceCandidate) -> bool:
        if is_mdns(candidate):
            _log.debug("kurento mdns candidate dropped", endpoint=self.id)
            return False
        return True

    async def connect(self, sink: WebRtcEndpoint, media_type: MediaType | None = None) -> None:
        """Send the media of this endpoint to `sink`: all of them, or those of one type.

        Raises `TypeError` if `sink` is not an endpoint, and `ConnectRefused` if it belongs to another pipeline.
        """
        await self._invoke("connect", self._sink(sink, media_type))

    async def disconnect(self, sink: WebRtcEndpoint, media_type: MediaType | None = None) -> None:
        """Undo `connect`. It also succeeds if nothing was connected. Raises the errors of `connect`."""
        await self._invoke("disconnect", self._sink(sink, media_type))

    async def connected_to(self, sink: WebRtcEndpoint) -> frozenset[MediaType]:
        """The types of the media that `sink` is sent from this endpoint, as `connect` has made it."""
        found = await sink._invoke("getSourceConnections")
        connections = [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []
        types = {one.get("type") for one in connections if one.get("source") == self.id}
        return frozenset(kind for kind in MediaType if kind in types)

    async def is_connected(self) -> bool:
        """Whether the browser's media connection is, or was, up (DTLS included): else as `is_flowing_in`."""
        return bool(await self._invoke("getConnectionState") == ConnectionState.CONNECTED)

    async def is_flowing_in(self, media_type: MediaType) -> bool:
        """Whether media flow from the pipeline to this endpoint's browser.

        Ask this after `SessionResumed`, because events may have been lost.
        """
        return bool(await self._invoke("isMediaFlowingIn", {"mediaType": media_type}))

    async def is_flowing_out(self, media_type: MediaType) -> bool:
        """Whether media flow from this endpoint's browser into the pipeline. Otherwise like `is_flowing_in`."""
        return bool(await self._invoke("isMediaFlowingOut", {"mediaType": media_type}))

    async def is_paused(self, media_type: MediaType) -> bool:
        """Whether the media server sends no media of this type because the path is too slow.

        Otherwise like `is_flowing_in`. False, without a request, for a media server that never does so, such as
        Kurento.
        """
        if not self._session.has.get(MediaPausedStateChanged.__name__):
            return False
        return bool(await self._invoke("isMediaPaused", {"mediaType": media_type}))

    async def layers_wanted(self) -> tuple[str, ...] | None:
        """The names of the layers of the browser's picture that viewers can use; None if all can be used.

        None, without a request, for a media server that takes one layer, such as Kurento.
        """
        if not self._session.has.get(LayersWanted.__name__):
            return None
        found = await self._invoke("getLayersWanted")
        return tuple(str(name) for name in found) if isinstance(found, list) else None

    async def is_viewed_by(self, participant: str) -> None:
        """Say who views: all that one participant views at a media server comes over one path.

        This must come before the negotiation. It does nothing with a media server that takes one layer, such as
        Kurento.
        """
        if self._session.has.get(LayersWanted.__name__):
            await self._invoke("setParticipant", {"participant": participant})

    async def hears(self, answer: str) -> bool:
        """Whether the media server finds out whether the browser's user speaks, as it has given this answer.

        If `answer` is empty, it is asked for. False, without a request, for a media server that cannot hear, such
        as Kurento.
        """
        if _SPEAKING not in self._session.capabilities:
            return False
        return _AUDIO_LEVEL in (answer or await self.local_description())

    async def follow_speech(self) -> None:
        """Have `SpeakingStateChanged` events come, if it `hears`."""
        await self._session.request(*_subscription(self.id, SpeakingStateChanged.__name__))

    async def is_speaking(self) -> bool:
        """Whether the browser's user speaks, if it `hears`. Otherwise like `is_flowing_in`."""
        return bool(await self._invoke("isSpeaking"))

    async def show_picture(self, size: PictureSize) -> None:
        """Say how large the endpoint's browser shows the picture, so that a fitting layer of it is sent.

        This does nothing with a media server that takes one layer, such as Kurento.
        """
        if self._session.has.get(LayersWanted.__name__):
            await self._invoke("setPictureSize", {"size": size})

    async def request_keyframe(self) -> None:
        """Ask the source of this endpoint's video for a keyframe.

        Raises `KeyframeRefused` if no video has reached this endpoint yet (`MediaFlowInStateChanged`).
        """
        await self._invoke("requestKeyframe")

    async def stats(self) -> Mapping[str, Any]:
        """Kurento's statistics (`getStats`), by their ids."""
        value = await self._invoke("getStats")
        return value if isinstance(value, dict) else {}

    def _sink(self, sink: WebRtcEndpoint, media_type: MediaType | None) -> Params:
        # If a sink is not a media element, Kurento crashes with all its sessions.
        if not isinstance(sink, WebRtcEndpoint):
            raise TypeError(f"a sink must be a WebRtcEndpoint, not {type(sink).__name__}")
        if sink._pipeline_id != self._pipeline_id:
            raise ConnectRefused(ConnectRefused.CODE, "the endpoints are not of one pipeline")
        params: dict[str, Any] = {"sink": sink.id}
        if media_type is not None:
            params["mediaType"] = MediaType(media_type)
        return params

    async def _invoke(self, operation: str, params: Params | None = None) -> Any:
        return await self._session.invoke(self.id, operation, params)


def _candidate_params(candidate: IceCandidate) -> Params:
    return {
        "candidate": {
            "candidate": candidate.candidate,
            "sdpMid": candidate.sdp_mid,
            "sdpMLineIndex": candidate.sdp_m_line_index,
        }
    }
