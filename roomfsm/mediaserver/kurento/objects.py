"""Media objects: the base of every remote object, the elements between which media flow, and the pipeline."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar, Protocol
from uuid import uuid4

from roomfsm.mediaserver.base.boundary import Boundary
from roomfsm.mediaserver.kurento import events
from roomfsm.mediaserver.kurento.errors import (
    ConnectError,
    EventNotSupportedError,
    MarshallError,
    NotEnoughResourcesError,
    NotImplementedByServerError,
    TagNotFoundError,
    WorkerDiedError,
)
from roomfsm.mediaserver.kurento.events import Subscriptions, encode_event

if TYPE_CHECKING:
    from roomfsm.mediaserver.base.errors import WorkerDied
    from roomfsm.mediaserver.kurento.arguments import Arguments
    from roomfsm.mediaserver.kurento.limits import Limits
    from roomfsm.mediaserver.kurento.media_engine import MediaEngine

_EVENT = Boundary("one event for one session")

type Operation = Callable[[Any, Arguments], Any]
"""A function that is called with the object and the operation's arguments. Its result is the `value` of the reply;
an awaitable is awaited first.

A list of objects is sent as their ids, and the session that asked holds all of them from then on, as in
Kurento."""


@dataclass(frozen=True)
class Unavailable:
    """An operation of Kurento's that this server lacks. The answer is the error 40006 with `reason`."""

    reason: str

    def __call__(self, _object: MediaObject, _arguments: Arguments) -> None:
        raise NotImplementedByServerError(self.reason)


_NO_GSTREAMER = Unavailable("There is no GStreamer pipeline to draw, because media are forwarded as they come")
_NO_ENCODER = Unavailable("This server never encodes; it forwards media as they come")


class Audience(Protocol):
    """The sessions, as the objects see them."""

    def deliver(self, session_id: str, text: str) -> None:
        """Send an event to a session's client, if it has one now."""


class Registry(Protocol):
    """The parts of the registry that objects need."""

    @property
    def limits(self) -> Limits: ...

    @property
    def sessions(self) -> Audience: ...

    @property
    def engine(self) -> MediaEngine: ...

    def find(self, object_id: str) -> MediaObject:
        """Raises `ObjectNotFoundError`."""

    def find_pipeline(self, object_id: str) -> MediaPipeline:
        """Raises `ObjectNotFoundError`, or `UnexpectedError` if the object is not a pipeline."""

    def next_endpoint_serial(self) -> int: ...


class MediaType(StrEnum):
    AUDIO = "AUDIO"
    VIDEO = "VIDEO"
    DATA = "DATA"


class MediaObject:
    """The base of every remote object: an id, a parent, children, a name, tags and events.

    `OPERATIONS` has all operations that `invoke` can call on the type, and `EVENTS` all events that `subscribe`
    accepts.
    """

    TYPE: ClassVar[str]
    HIERARCHY: ClassVar[tuple[str, ...]] = ("kurento.MediaObject",)
    """The types above this one, the nearest first."""
    EVENTS: ClassVar[frozenset[str]] = events.MEDIA_OBJECT_EVENTS

    def __init__(self, objects: Registry, object_id: str, parent: MediaObject | None = None) -> None:
        self.objects = objects
        self.id = object_id
        self.parent = parent
        self.children: list[MediaObject] = []
        self.name = object_id
        self.tags: dict[str, str] = {}
        self.send_tags_in_events = False
        self.creation_time = int(time.time())
        self.subscriptions = Subscriptions()
        self.holders: set[str] = set()
        """The ids of the sessions that created or touched the object. It is released when the last of them
        ends."""

    @property
    def pipeline(self) -> MediaPipeline | None:
        return None if self.parent is None else self.parent.pipeline

    def subscribe(self, type_: str, session_id: str) -> str:
        """Subscribe a session to a type of event. Returns the subscription's id."""
        if type_ not in self.EVENTS:
            raise EventNotSupportedError(type_)
        if len(self.subscriptions) >= self.objects.limits.max_subscriptions_per_object:
            raise NotEnoughResourcesError("Too many subscriptions")
        subscription_id = str(uuid4())
        self.subscriptions.add(subscription_id, type_, session_id)
        return subscription_id

    def emit(self, type_: str, **data: Any) -> None:
        """Send an event to the sessions that subscribed to it."""
        receivers = list(self.subscriptions.sessions(type_))
        if not receivers:
            return
        tags = self.tag_list() if self.send_tags_in_events else []
        text = encode_event(self.id, type_, data, tags, time.time_ns() // 1_000_000)
        for session_id in receivers:
            with _EVENT:
                self.objects.sessions.deliver(session_id, text)

    def dispose(self) -> None:
        """Free the object's resources. This is called once, when the object is released."""

    def describe(self) -> dict[str, Any]:
        return {
            "hierarchy": list(self.HIERARCHY),
            "qualifiedType": f"kurento.{self.TYPE}",
            "type": self.TYPE,
        }

    def tag_list(self) -> list[dict[str, str]]:
        return [
            {"__module__": "kurento", "__type__": "Tag", "key": key, "value": value}
            for key, value in self.tags.items()
        ]

    def children_listed(self) -> list[MediaObject]:
        """The children, the newest first, as Kurento lists them."""
        return list(reversed(self.children))

    def set_name(self, arguments: Arguments) -> None:
        self.name = arguments.text("name")

    def add_tag(self, arguments: Arguments) -> None:
        key, value = arguments.text("key"), arguments.text("value")
        if key not in self.tags and len(self.tags) >= self.objects.limits.max_tags_per_object:
            raise NotEnoughResourcesError("Too many tags")
        self.tags[key] = value

    def remove_tag(self, arguments: Arguments) -> None:
        if self.tags.pop(arguments.text("key"), None) is None:
            raise TagNotFoundError

    def get_tag(self, arguments: Arguments) -> str:
        try:
            return self.tags[arguments.text("key")]
        except KeyError:
            raise TagNotFoundError from None

    def set_send_tags_in_events(self, arguments: Arguments) -> None:
        self.send_tags_in_events = arguments.boolean("sendTagsInEvents")

    OPERATIONS: ClassVar[Mapping[str, Operation]] = {
        "addTag": add_tag,
        "getChildren": lambda self, _: self.children_listed(),
        "getCreationTime": lambda self, _: self.creation_time,
        "getId": lambda self, _: self.id,
        "getMediaPipeline": lambda self, _: None if self.pipeline is None else self.pipeline.id,
        "getName": lambda self, _: self.name,
        "getParent": lambda self, _: None if self.parent is None else self.parent.id,
        "getSendTagsInEvents": lambda self, _: self.send_tags_in_events,
        "getTag": get_tag,
        "getTags": lambda self, _: self.tag_list(),
        "removeTag": remove_tag,
        "setName": set_name,
        "setSendTagsInEvents": set_send_tags_in_events,
    }


class MediaPipeline(MediaObject):
    """A group of elements that can be connected with each other."""

    TYPE = "MediaPipeline"
    EVENTS = events.MEDIA_PIPELINE_EVENTS

    def __init__(self, objects: Registry, _arguments: Arguments) -> None:
        super().__init__(objects, f"{uuid4()}_kurento.{self.TYPE}")
        self.latency_stats = False
        """Whether `getStats` of its endpoints reports how long media take through the server."""
        self._told: WorkerDied | None = None
        """The last death of a worker that was reported."""

    @property
    def pipeline(self) -> MediaPipeline:
        return self

    def worker_died(self, error: WorkerDied) -> None:
        """Report that a worker with endpoints of this pipeline died.

        It is reported once for each death, and not for each endpoint.
        """
        if error is self._told:
            return
        self._told = error
        description = f"{error}: endpoints of the pipeline have no connection any more"
        self.emit("Error", errorCode=WorkerDiedError.code, type=WorkerDiedError.type, description=description)

    def set_latency_stats(self, arguments: Arguments) -> None:
        self.latency_stats = arguments.boolean("latencyStats")

    OPERATIONS: ClassVar[Mapping[str, Operation]] = {
        **MediaObject.OPERATIONS,
        "dumpGstreamerDot": _NO_GSTREAMER,
        "getGstreamerDot": _NO_GSTREAMER,
        "getLatencyStats": lambda self, _: self.latency_stats,
        "setLatencyStats": set_latency_stats,
    }


class MediaElement(MediaObject):
    """An element of a pipeline. A sink has one source for each media type, and a source any number of sinks."""

    HIERARCHY = ("kurento.MediaElement", *MediaObject.HIERARCHY)
    EVENTS = events.MEDIA_ELEMENT_EVENTS
    passes_on: ClassVar[bool] = False
    """Whether it is a joint, which passes the media that it gets on to its sinks."""

    def __init__(self, objects: Registry, pipeline: MediaPipeline) -> None:
        super().__init__(objects, f"{pipeline.id}/{uuid4()}_kurento.{self.TYPE}", pipeline)
        self.sources: dict[MediaType, MediaElement] = {}
        self.sinks: dict[MediaType, dict[str, MediaElement]] = {kind: {} for kind in MediaType}

    def origin(self, kind: MediaType) -> MediaElement | None:
        """The element from which this element's outgoing media come: itself, or the element before the joints."""
        element, seen = self, {self.id}
        while element.passes_on:
            source = element.sources.get(kind)
            if source is None or source.id in seen:
                return None
            seen.add(source.id)
            element = source
        return element

    def receivers(self, kind: MediaType) -> list[MediaElement]:
        """The elements at which this element's incoming media end: itself, or all elements behind the joints."""
        found: list[MediaElement] = []
        ahead, seen = [self], {self.id}
        while ahead:
            element = ahead.pop()
            if not element.passes_on:
                found.append(element)
                continue
            for sink in element.sinks[kind].values():
                if sink.id not in seen:
                    seen.add(sink.id)
                    ahead.append(sink)
        return found

    def feed(self, kind: MediaType, origin: MediaElement | None) -> None:
        """Get media of that type from `origin`, or none. Subclasses with a transport implement it."""

    def _route(self, sink: MediaElement, kind: MediaType) -> None:
        """After a connection was made or removed, give all elements that `sink` reaches their new source."""
        source = sink.sources.get(kind)
        origin = None if source is None else source.origin(kind)
        for receiver in sink.receivers(kind):
            receiver.feed(kind, origin)

    def connect(self, arguments: Arguments) -> None:
        """Connect to a sink. If the sink already has a source of that type, that source is disconnected first."""
        sink, kinds = self._sink_and_kinds(arguments)
        if sink.pipeline is not self.pipeline:
            raise ConnectError
        for kind in [kind for kind in kinds if sink.sources.get(kind) is not self]:
            if (previous := sink.sources.get(kind)) is not None:
                previous.disconnect_from(sink, [kind])
            sink.sources[kind] = self
            self.sinks[kind][sink.id] = sink
            self._route(sink, kind)
            self._emit_connection("ElementConnected", sink, kind)

    def disconnect(self, arguments: Arguments) -> None:
        self.disconnect_from(*self._sink_and_kinds(arguments))

    def disconnect_from(self, sink: MediaElement, kinds: Iterable[MediaType]) -> None:
        """Disconnect a sink. Types that are not connected are ignored, as in Kurento."""
        for kind in [kind for kind in kinds if sink.sources.get(kind) is self]:
            del sink.sources[kind]
            del self.sinks[kind][sink.id]
            self._route(sink, kind)
            self._emit_connection("ElementDisconnected", sink, kind)

    def dispose(self) -> None:
        for source in set(self.sources.values()):
            source.disconnect_from(self, list(MediaType))
        for kind, sinks in self.sinks.items():
            for sink in list(sinks.values()):
                self.disconnect_from(sink, [kind])

    def _sink_and_kinds(self, arguments: Arguments) -> tuple[MediaElement, list[MediaType]]:
        sink = self.objects.find(arguments.text("sink"))
        if not isinstance(sink, MediaElement):
            # This ends Kurento's process.
            raise MarshallError("'sink' parameter should be a MediaElement")
        if "mediaType" in arguments:
            return sink, [arguments.enumeration("mediaType", MediaType)]
        return sink, list(MediaType)

    def _emit_connection(self, type_: str, sink: MediaElement, kind: MediaType) -> None:
        self.emit(
            type_,
            mediaType=kind,
            sink=sink.id,
            sinkMediaDescription="default",
            sourceMediaDescription="default",
        )

    def get_source_connections(self, arguments: Arguments) -> list[dict[str, str]]:
        kinds = _wanted_kinds(arguments)
        return [_connection(self.sources[kind], self, kind) for kind in kinds if kind in self.sources]

    def get_sink_connections(self, arguments: Arguments) -> list[dict[str, str]]:
        kinds = _wanted_kinds(arguments)
        return [_connection(self, sink, kind) for kind in kinds for sink in self.sinks[kind].values()]

    def is_media_flowing_in(self, kind: MediaType) -> bool:
        """Whether media of that type come in from a source."""
        raise NotImplementedError

    def is_media_flowing_out(self, kind: MediaType) -> bool:
        """Whether there are media of that type for sinks."""
        raise NotImplementedError

    def is_media_transcoding(self, arguments: Arguments) -> bool:
        arguments.enumeration("mediaType", MediaType)
        return False

    OPERATIONS: ClassVar[Mapping[str, Operation]] = {
        **MediaObject.OPERATIONS,
        "connect": connect,
        "disconnect": disconnect,
        "dumpGstreamerDot": _NO_GSTREAMER,
        "getEncoderBitrate": _NO_ENCODER,
        "getGstreamerDot": _NO_GSTREAMER,
        "getMaxEncoderBitrate": _NO_ENCODER,
        "getMinEncoderBitrate": _NO_ENCODER,
        "getSinkConnections": get_sink_connections,
        "getSourceConnections": get_source_connections,
        "isMediaFlowingIn": lambda self, given: self.is_media_flowing_in(
            given.enumeration("mediaType", MediaType)
        ),
        "isMediaFlowingOut": lambda self, given: self.is_media_flowing_out(
            given.enumeration("mediaType", MediaType)
        ),
        "isMediaTranscoding": is_media_transcoding,
        "setAudioFormat": _NO_ENCODER,
        "setEncoderBitrate": _NO_ENCODER,
        "setMaxEncoderBitrate": _NO_ENCODER,
        "setMinEncoderBitrate": _NO_ENCODER,
        "setVideoFormat": _NO_ENCODER,
    }


def _wanted_kinds(arguments: Arguments) -> list[MediaType]:
    """The given media type, or all types in the order in which Kurento lists connections."""
    if "mediaType" in arguments:
        return [arguments.enumeration("mediaType", MediaType)]
    return [MediaType.AUDIO, MediaType.DATA, MediaType.VIDEO]


def _connection(source: MediaElement, sink: MediaElement, kind: MediaType) -> dict[str, str]:
    return {
        "__module__": "kurento",
        "__type__": "ElementConnectionData",
        "sink": sink.id,
        "sinkDescription": "default",
        "source": source.id,
        "sourceDescription": "default",
        "type": kind,
    }
