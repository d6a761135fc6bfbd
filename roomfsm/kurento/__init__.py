"""A client for Kurento media servers on Trio.

It has a pool of media servers, and pipelines and endpoints as scopes. Everything that a program needs is exported
here: each type that an annotation names, and each error. This example answers a browser's offer, sends the
browser's media back to it, and prints every event of the endpoint:

    async with open_media_pool(["ws://127.0.0.1:8888/kurento"]) as pool:
        async with pool.pipeline({"app": "echo"}) as pipeline:
            async with pipeline.endpoint(BandwidthLimits()) as endpoint:
                await send_to_browser(await endpoint.process_offer(offer))
                await endpoint.gather_candidates()
                await endpoint.connect(endpoint)
                async for event in endpoint.events:
                    match event:
                        case IceCandidateFound():
                            await send_to_browser(event.candidate)
                        case DtlsConnectionStateChange(state=DtlsConnectionState.CLOSED):
                            break
                        case _:
                            print(event)

Leaving a scope releases its object at the media server. All errors about a media server are `MediaServerError`s.
After `MediaServerLost`, everything that was created in the session is gone. A `KurentoError` means that the media
server refused one request; it has a subclass for each code that a caller may act on.
"""

from roomfsm.kurento.candidates import (
    BundledCandidates,
    IceCandidate,
)
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
    OfferRefused,
    RequestTimedOut,
    ResourcesExhausted,
    SdpInvalid,
    SessionInvalid,
    TagUnknown,
    TypeUnknown,
    UnknownOperation,
)
from roomfsm.kurento.events import (
    CandidatePair,
    ConnectionState,
    ConnectionStateChanged,
    DtlsConnectionState,
    DtlsConnectionStateChange,
    EndpointEvent,
    Error,
    Event,
    EventChannel,
    IceCandidateFound,
    IceComponentState,
    IceComponentStateChanged,
    IceGatheringDone,
    LayersWanted,
    MediaFlowInStateChanged,
    MediaFlowOutStateChanged,
    MediaFlowState,
    MediaPausedState,
    MediaPausedStateChanged,
    MediaState,
    MediaStateChanged,
    MediaTranscodingState,
    MediaTranscodingStateChanged,
    MediaType,
    NewCandidatePairSelected,
    SessionResumed,
    SpeakingState,
    SpeakingStateChanged,
)
from roomfsm.kurento.objects import (
    BandwidthLimits,
    MediaPipeline,
    PictureSize,
    PipelinePlace,
    WebRtcEndpoint,
)
from roomfsm.kurento.owner import (
    Owner,
    node_name,
)
from roomfsm.kurento.pool import (
    MediaPool,
    MediaServerStatus,
    open_media_pool,
)
from roomfsm.kurento.requests import (
    CallCounts,
    Outcome,
)
from roomfsm.kurento.settings import (
    KurentoSettings,
)
from roomfsm.kurento.stock import (
    Stock,
    Traffic,
)

__all__ = [
    "AlreadyNegotiated",
    "BadArgument",
    "BandwidthLimits",
    "BundledCandidates",
    "CallCounts",
    "CandidatePair",
    "CandidateRefused",
    "ConnectRefused",
    "ConnectionState",
    "ConnectionStateChanged",
    "DtlsConnectionState",
    "DtlsConnectionStateChange",
    "EndpointEvent",
    "Error",
    "Event",
    "EventChannel",
    "EventOverflow",
    "EventUnsupported",
    "IceCandidate",
    "IceCandidateFound",
    "IceComponentState",
    "IceComponentStateChanged",
    "IceGatheringDone",
    "KeyframeRefused",
    "KurentoError",
    "KurentoSettings",
    "LayersWanted",
    "MediaFlowInStateChanged",
    "MediaFlowOutStateChanged",
    "MediaFlowState",
    "MediaPausedState",
    "MediaPausedStateChanged",
    "MediaPipeline",
    "MediaPool",
    "MediaServerError",
    "MediaServerLost",
    "MediaServerStatus",
    "MediaServerUnavailable",
    "MediaServersFull",
    "MediaState",
    "MediaStateChanged",
    "MediaTranscodingState",
    "MediaTranscodingStateChanged",
    "MediaType",
    "NewCandidatePairSelected",
    "ObjectGone",
    "OfferRefused",
    "Outcome",
    "Owner",
    "PictureSize",
    "PipelinePlace",
    "RequestTimedOut",
    "ResourcesExhausted",
    "SdpInvalid",
    "SessionInvalid",
    "SessionResumed",
    "SpeakingState",
    "SpeakingStateChanged",
    "Stock",
    "TagUnknown",
    "Traffic",
    "TypeUnknown",
    "UnknownOperation",
    "WebRtcEndpoint",
    "node_name",
    "open_media_pool",
]
