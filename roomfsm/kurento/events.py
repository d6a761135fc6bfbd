"""The events of Kurento's objects as typed structs, and the bounded channel that carries them to their reader.

The names and values are those of Kurento's protocol.
"""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec
import trio

from roomfsm.kurento.candidates import IceCandidate
from roomfsm.kurento.errors import EventOverflow, MediaServerError, UnknownEvent


class MediaType(enum.StrEnum):
    AUDIO = "AUDIO"
    DATA = "DATA"
    VIDEO = "VIDEO"


class IceComponentState(enum.StrEnum):
    DISCONNECTED = "DISCONNECTED"
    GATHERING = "GATHERING"
    CONNECTING = "CONNECTING"
    CONNECTED = "CONNECTED"
    READY = "READY"
    FAILED = "FAILED"


class DtlsConnectionState(enum.StrEnum):
    NEW = "NEW"
    CONNECTING = "CONNECTING"
    CONNECTED = "CONNECTED"
    CLOSED = "CLOSED"
    FAILED = "FAILED"


class ConnectionState(enum.StrEnum):
    DISCONNECTED = "DISCONNECTED"
    CONNECTED = "CONNECTED"


class MediaState(enum.StrEnum):
    DISCONNECTED = "DISCONNECTED"
    CONNECTED = "CONNECTED"


class MediaFlowState(enum.StrEnum):
    FLOWING = "FLOWING"
    NOT_FLOWING = "NOT_FLOWING"


class SpeakingState(enum.StrEnum):
    SPEAKING = "SPEAKING"
    NOT_SPEAKING = "NOT_SPEAKING"


class MediaPausedState(enum.StrEnum):
    PAUSED = "PAUSED"
    NOT_PAUSED = "NOT_PAUSED"


class MediaTranscodingState(enum.StrEnum):
    TRANSCODING = "TRANSCODING"
    NOT_TRANSCODING = "NOT_TRANSCODING"


class Event(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """The fields of every event: `source` is the id of its object, and `timestamp_millis` the media server's time
    in milliseconds.
    """

    MERGE_BY: ClassVar[tuple[str, ...] | None] = None
    """The fields that say which state the event reports. A later event about the same state replaces this one.

    None means that every event counts."""

    source: str = ""
    timestamp_millis: int = 0


class IceCandidateFound(Event, frozen=True):
    candidate: IceCandidate


class IceGatheringDone(Event, frozen=True):
    """Gathering has ended. A candidate may still come after this event."""

    MERGE_BY = ()


class IceComponentStateChanged(Event, frozen=True):
    """The ICE state of one component changed.

    Component 2 (RTCP) stays GATHERING for ever if RTCP is multiplexed.
    """

    MERGE_BY = ("stream_id", "component_id")

    stream_id: int
    component_id: int
    state: IceComponentState


class DtlsConnectionStateChange(Event, frozen=True):
    """The DTLS state of the transport changed. CLOSED means that the peer ended its connection cleanly."""

    MERGE_BY = ("stream_id", "component_id")

    stream_id: str
    component_id: str
    state: DtlsConnectionState


class ConnectionStateChanged(Event, frozen=True):
    MERGE_BY = ()

    old_state: ConnectionState
    new_state: ConnectionState


class MediaStateChanged(Event, frozen=True):
    """The state of the media changed, as RTCP shows it. DISCONNECTED comes 10 to 30 s after the peer vanished."""

    MERGE_BY = ()

    old_state: MediaState
    new_state: MediaState


class MediaFlowInStateChanged(Event, frozen=True):
    """Media began or stopped to flow into the element from its sources in the pipeline.

    This shows whether a viewer gets media.
    """

    MERGE_BY = ("media_type", "pad_name")

    media_type: MediaType
    state: MediaFlowState
    pad_name: str = "default"


class MediaFlowOutStateChanged(Event, frozen=True):
    """Media began or stopped to flow from the element to its sinks in the pipeline.

    This shows whether a publisher sends media.
    """

    MERGE_BY = ("media_type", "pad_name")

    media_type: MediaType
    state: MediaFlowState
    pad_name: str = "default"


class MediaPausedStateChanged(Event, frozen=True):
    """An event that only the embedded media server has, and not Kurento.

    PAUSED means that the endpoint's browser gets no media of this type, because its path is too slow.
    """

    MERGE_BY = ("media_type",)

    media_type: MediaType
    state: MediaPausedState


class LayersWanted(Event, frozen=True):
    """An event that only the embedded media server has, and not Kurento.

    `layers` are the names of the simulcast layers of the endpoint's browser that viewers can use.
    """

    MERGE_BY = ()

    layers: tuple[str, ...]


class SpeakingStateChanged(Event, frozen=True):
    """An event that only the embedded media server has, and not Kurento.

    The user of the endpoint's browser begins or ceases to speak, by the audio levels in the packets.
    """

    MERGE_BY = ()

    state: SpeakingState


class MediaTranscodingStateChanged(Event, frozen=True):
    MERGE_BY = ("media_type", "bin_name")

    media_type: MediaType
    state: MediaTranscodingState
    bin_name: str = ""


class CandidatePair(msgspec.Struct, frozen=True, rename="camel"):
    local_candidate: str
    remote_candidate: str
    stream_id: str
    component_id: int


class NewCandidatePairSelected(Event, frozen=True):
    MERGE_BY = ()

    candidate_pair: CandidatePair


class Error(Event, frozen=True):
    """Something failed inside the object. `type` is Kurento's name of the error, such as RESOURCE_ERROR_WRITE."""

    error_code: int
    description: str = ""
    type: str = ""


class SessionResumed(Event, frozen=True):
    """An event of this client: the connection was cut and the session resumed.

    Events from that time may be missing.
    """

    MERGE_BY = ()


type EndpointEvent = (
    IceCandidateFound
    | IceGatheringDone
    | IceComponentStateChanged
    | DtlsConnectionStateChange
    | ConnectionStateChanged
    | MediaStateChanged
    | MediaFlowInStateChanged
    | MediaFlowOutStateChanged
    | MediaPausedStateChanged
    | LayersWanted
    | SpeakingStateChanged
    | MediaTranscodingStateChanged
    | NewCandidatePairSelected
    | Error
    | SessionResumed
)

SUBSCRIBED: dict[str, type[EndpointEvent]] = {
    struct.__name__: struct
    for struct in (
        IceCandidateFound,
        IceGatheringDone,
        IceComponentStateChanged,
        DtlsConnectionStateChange,
        ConnectionStateChanged,
        MediaStateChanged,
        MediaFlowInStateChanged,
        MediaFlowOutStateChanged,
        MediaTranscodingStateChanged,
        NewCandidatePairSelected,
        Error,
    )
}
"""The events that every WebRtcEndpoint subscribes to, by Kurento's names."""
OPTIONAL: dict[str, type[EndpointEvent]] = {
    struct.__name__: struct for struct in (MediaPausedStateChanged, LayersWanted)
}
"""Events that a media server may not have. If it refuses the subscription, it is not asked again."""
_KNOWN = SUBSCRIBED | OPTIONAL | {SpeakingStateChanged.__name__: SpeakingStateChanged}


def says_closed(event: EndpointEvent) -> bool:
    """Whether the other side has closed the media connection."""
    return isinstance(event, DtlsConnectionStateChange) and event.state is DtlsConnectionState.CLOSED


def says_lost(event: EndpointEvent) -> bool:
    """Whether the media connection has failed, or is lost."""
    match event:
        case (
            DtlsConnectionStateChange(state=DtlsConnectionState.FAILED)
            | IceComponentStateChanged(state=IceComponentState.FAILED)
            | MediaStateChanged(new_state=MediaState.DISCONNECTED)
        ):
            return True
    return False


class _Envelope(msgspec.Struct):
    type: str
    object: str
    data: Mapping[str, Any]


def decode(params: Mapping[str, Any] | None) -> tuple[str, EndpointEvent]:
    """Read the object's id and the event from the `params` of an `onEvent` notification.

    Raises `UnknownEvent`.
    """
    try:
        envelope = msgspec.convert((params or {}).get("value"), _Envelope)
        # This is not `data.type`, which in an Error is the error's own type.
        struct = _KNOWN.get(envelope.type)
        if struct is None:
            raise UnknownEvent(f"{envelope.type} of {envelope.object}")
        # The conversion is not strict, because timestampMillis is a number in a string.
        return envelope.object, msgspec.convert(envelope.data, struct, strict=False)
    except msgspec.ValidationError as error:
        raise UnknownEvent(str(error)) from error


class EventChannel(trio.abc.ReceiveChannel[EndpointEvent]):
    """The events of one endpoint, in the order in which they came, for one reader.

    `put` never waits, so a slow reader never delays the socket that all endpoints share. If `bound` events are
    unread, an event is dropped if a later unread event reports the same state again. So the reader may miss a
    state in between, but never the last one. Candidates and errors are never dropped. If this makes no room, the
    channel breaks and the reader gets `EventOverflow`. It is better to create the endpoint anew than to lose
    candidates without notice.

    If the channel is broken, `receive` raises its error at once. After `close` it returns the events that are
    left, and then raises `trio.EndOfChannel`.
    """

    def __init__(self, bound: int) -> None:
        self._bound = bound
        self._events: deque[EndpointEvent] = deque()
        self._lot = trio.lowlevel.ParkingLot()
        self._closed = False
        self._error: MediaServerError | None = None

    def put(self, event: EndpointEvent) -> None:
        """Append an event. It is ignored if the channel is closed or broken."""
        if self._closed:
            return
        if len(self._events) >= self._bound:
            self._events = _merged(self._events)
            if len(self._events) >= self._bound:
                self.break_off(EventOverflow(f"more than {self._bound} events are unread"))
                return
        self._events.append(event)
        self._lot.unpark()

    def break_off(self, error: MediaServerError) -> None:
        """Drop the unread events, and let the reader get `error`."""
        if not self._closed:
            self._closed = True
            self._error = error
            self._events.clear()
            self._lot.unpark_all()

    def close(self) -> None:
        """End the channel: no more events come."""
        self._closed = True
        self._lot.unpark_all()

    async def receive(self) -> EndpointEvent:
        await trio.lowlevel.checkpoint_if_cancelled()
        while not self._events:
            if self._error is not None:
                raise self._error
            if self._closed:
                raise trio.EndOfChannel
            await self._lot.park()
        event = self._events.popleft()
        await trio.lowlevel.cancel_shielded_checkpoint()
        return event

    async def aclose(self) -> None:
        self.close()
        await trio.lowlevel.checkpoint()


def _merged(events: deque[EndpointEvent]) -> deque[EndpointEvent]:
    kept: deque[EndpointEvent] = deque()
    seen: set[tuple[object, ...]] = set()
    for event in reversed(events):
        if event.MERGE_BY is not None:
            state = (type(event), *(getattr(event, field) for field in event.MERGE_BY))
            if state in seen:
                continue
            seen.add(state)
        kept.appendleft(event)
    return kept
