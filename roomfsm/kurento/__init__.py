"""Client of Kurento media servers: a pool of them, and their pipelines and WebRTC endpoints as scopes."""

from roomfsm.kurento.candidates import IceCandidate
from roomfsm.kurento.errors import (
    AlreadyNegotiated,
    BadArgument,
    CandidateRefused,
    ConnectRefused,
    EventOverflow,
    EventUnsupported,
    KeyframeRefused,
    KurentoError,
    MediaServerError,
    MediaServerLost,
    MediaServersFull,
    MediaServerUnavailable,
    ObjectGone,
    RequestTimedOut,
    ResourcesExhausted,
    SdpInvalid,
    SessionInvalid,
    TagUnknown,
    TypeUnknown,
    UnknownOperation,
)
from roomfsm.kurento.events import EndpointEvent, EventChannel, MediaType
from roomfsm.kurento.objects import BandwidthLimits, MediaPipeline, WebRtcEndpoint
from roomfsm.kurento.pool import MediaPool, MediaServerStatus, open_media_pool
from roomfsm.kurento.settings import KurentoSettings

__all__ = [
    "AlreadyNegotiated",
    "BadArgument",
    "BandwidthLimits",
    "CandidateRefused",
    "ConnectRefused",
    "EndpointEvent",
    "EventChannel",
    "EventOverflow",
    "EventUnsupported",
    "IceCandidate",
    "KeyframeRefused",
    "KurentoError",
    "KurentoSettings",
    "MediaPipeline",
    "MediaPool",
    "MediaServerError",
    "MediaServerLost",
    "MediaServerStatus",
    "MediaServerUnavailable",
    "MediaServersFull",
    "MediaType",
    "ObjectGone",
    "RequestTimedOut",
    "ResourcesExhausted",
    "SdpInvalid",
    "SessionInvalid",
    "TagUnknown",
    "TypeUnknown",
    "UnknownOperation",
    "WebRtcEndpoint",
    "open_media_pool",
]
