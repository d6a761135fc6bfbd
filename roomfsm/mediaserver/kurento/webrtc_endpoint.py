"""WebRtcEndpoint: one engine peer as Kurento's remote object, with the events that its states make."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar

from roomfsm.log import get_logger
from roomfsm.mediaserver.base.errors import (
    AlreadyNegotiated,
    AnswerAlreadyProcessed,
    EngineFull,
    NoCommonCodec,
    OfferNotGenerated,
    SdpError,
    WorkerDied,
)
from roomfsm.mediaserver.base.kinds import MediaKind
from roomfsm.mediaserver.dtls.state import DtlsState
from roomfsm.mediaserver.ice.state import IceState
from roomfsm.mediaserver.kurento import events
from roomfsm.mediaserver.kurento.endpoint_stats import EndpointStats
from roomfsm.mediaserver.kurento.errors import (
    AddCandidateError,
    AlreadyNegotiatedError,
    AnswerAlreadyProcessedError,
    GenerateOfferError,
    KeyframeNotSupportedError,
    MarshallError,
    NoLocalSdpError,
    NoRemoteSdpError,
    NotEnoughResourcesError,
    NotImplementedByServerError,
    OfferNotGeneratedError,
    ProcessAnswerError,
    ProcessOfferError,
    SdpParseError,
    WorkerDiedError,
)
from roomfsm.mediaserver.kurento.objects import MediaElement, MediaType, Operation, Registry, Unavailable
from roomfsm.mediaserver.sdp.description import Direction

if TYPE_CHECKING:
    from roomfsm.mediaserver.kurento.arguments import Arguments

DTLS_ENCODER, DTLS_DECODER = "[bundle/dtlssrtpenc]", "[bundle/dtlssrtpdec]"
"""The two halves of a transport that Kurento reports DTLS states of."""

CODEC_NOT_FOUND, DECRYPT = 6, 12
"""Numbers of those stream errors of GStreamer's, as an Error event has them."""

RTP_COMPONENT, RTCP_COMPONENT = 1, 2
"""RFC 8445 section 3; with rtcp-mux the second is never used: Kurento leaves it GATHERING for ever."""


_MTU = 1200
"""Bytes of RTP packets: what browsers make of it on their own."""

BANDWIDTHS = {
    "MaxAudioRecvBandwidth": ("max_audio_receive_bandwidth", 0),
    "MaxVideoRecvBandwidth": ("max_video_receive_bandwidth", 0),
    "MaxVideoSendBandwidth": ("max_video_send_bandwidth", 500),
    "MinVideoRecvBandwidth": ("min_video_receive_bandwidth", 100),
    "MinVideoSendBandwidth": ("min_video_send_bandwidth", 100),
}
"""Kurento's property → the peer's attribute, and Kurento's default in kbit/s; 0 is without limit."""

REMB_PARAMETERS: Mapping[str, float] = {
    "decrementFactor": 0.5,
    "exponentialFactor": 0.03999999910593033,
    "linealFactorGrade": 30.0,
    "linealFactorMin": 100,
    "packetsRecvIntervalTop": 100,
    "rembOnConnect": 300_000,
    "thresholdFactor": 0.800000011920929,
    "upLosses": 12,
}
"""Kurento's RembParams with its defaults (`rembOnConnect` is bit/s); their types are those of the values."""

MAX_BANDWIDTH = 10_000_000
"""kbit/s that can be set."""


_NO_DATA_CHANNELS = Unavailable("This server has no data channels")
_NO_MTU = Unavailable("Packets are passed on as long as they came")
_ANNOUNCED = Unavailable("All endpoints share one UDP port: see --media-host and --announced-address")

log = get_logger(__name__)


class ConnectionState(StrEnum):
    """Of the transport, and of the media."""

    DISCONNECTED = "DISCONNECTED"
    CONNECTED = "CONNECTED"


class CertificateKeyType(StrEnum):
    RSA = "RSA"
    ECDSA = "ECDSA"


def _bandwidth_operations() -> dict[str, Operation]:
    """A getter and a setter for each of `BANDWIDTHS`."""
    operations: dict[str, Operation] = {}
    for name, (attribute, _) in BANDWIDTHS.items():

        def read(endpoint: WebRtcEndpoint, _: Arguments, attribute: str = attribute) -> int:
            value: int = getattr(endpoint.peer, attribute)
            return value

        def write(
            endpoint: WebRtcEndpoint, arguments: Arguments, name: str = name, attribute: str = attribute
        ) -> None:
            argument = name[0].lower() + name[1:]
            value = arguments.integer(argument)
            if not 0 <= value <= MAX_BANDWIDTH:
                raise MarshallError(f"'{argument}' must be 0 to {MAX_BANDWIDTH} kbit/s")
            setattr(endpoint.peer, attribute, value)

        operations[f"get{name}"] = read
        operations[f"set{name}"] = write
    return operations


class WebRtcEndpoint(MediaElement):
    """An endpoint that answers one browser's offer, or offers itself; it observes its peer (`PeerObserver`).

    What comes from the browser goes out to the sinks (MediaFlowOut), what goes to the browser comes in from the
    source (MediaFlowIn).
    """

    TYPE = "WebRtcEndpoint"
    HIERARCHY = (
        "kurento.BaseRtpEndpoint",
        "kurento.SdpEndpoint",
        "kurento.SessionEndpoint",
        "kurento.Endpoint",
        *MediaElement.HIERARCHY,
    )
    EVENTS = events.WEBRTC_ENDPOINT_EVENTS

    def __init__(self, objects: Registry, arguments: Arguments) -> None:
        pipeline = objects.find_pipeline(arguments.text("mediaPipeline"))
        recvonly, sendonly, _ = (
            flag in arguments and arguments.boolean(flag) for flag in ("recvonly", "sendonly", "useDataChannels")
        )
        if "certificateKeyType" in arguments:
            arguments.enumeration("certificateKeyType", CertificateKeyType)
        super().__init__(objects, pipeline)
        self._serial = objects.next_endpoint_serial()
        self._gathered = False
        self._gather_wanted = False
        self._ice_state: IceState | None = None
        self._dtls_begun = False
        self._candidate_pair: tuple[str, str] | None = None
        self._connection_state = ConnectionState.DISCONNECTED
        self._media_state = ConnectionState.DISCONNECTED
        self._flowing_in: set[str] = set()
        self._flowing_out: set[str] = set()
        self._paused: set[str] = set()
        self._passed_through: list[MediaKind] = []
        self._fed_by: dict[MediaType, WebRtcEndpoint] = {}
        """The endpoint whose media of each type this one's browser gets."""
        self._video_came = False
        """Video has reached the endpoint from its present source."""
        self._remb_parameters: dict[str, float] | None = None
        self._stats = EndpointStats(self.id)
        self.stun_server_address = ""
        self.stun_server_port = 0
        self.turn_url = ""
        try:
            self.peer = objects.engine.open_peer(self)
        except EngineFull as error:
            raise NotEnoughResourcesError(str(error)) from error
        if recvonly is not sendonly:
            self.peer.direction = Direction.RECVONLY if recvonly else Direction.SENDONLY
        for attribute, default in BANDWIDTHS.values():
            setattr(self.peer, attribute, default)

    def dispose(self) -> None:
        try:
            super().dispose()
        finally:
            self.peer.close()

    def feed(self, kind: MediaType, origin: MediaElement | None) -> None:
        if kind is MediaType.DATA:
            return
        before, media_kind = self._fed_by.pop(kind, None), MediaKind(kind)
        if kind is MediaType.VIDEO and origin is None:
            self._video_came = False
        if isinstance(origin, WebRtcEndpoint):
            self._fed_by[kind] = origin
            origin.peer.connect(self.peer, [media_kind])
        elif before is not None:
            before.peer.disconnect(self.peer, [media_kind])

    # Negotiation

    def process_offer(self, arguments: Arguments) -> str:
        offer = arguments.text("offer")
        if not offer:
            raise SdpParseError("Empty offer not valid")
        try:
            answer = self.peer.process_offer(offer)
        except AlreadyNegotiated as error:
            raise AlreadyNegotiatedError from error
        except NoCommonCodec as error:
            log.warning("offer refused", endpoint=self.id, reason=str(error))
            raise ProcessOfferError(str(error)) from error
        except WorkerDied as error:
            raise WorkerDiedError(str(error)) from error
        except SdpError as error:
            log.warning("offer refused", endpoint=self.id, reason=str(error))
            raise SdpParseError(f"Invalid SDP: {error}") from error
        if self.peer.refused_media:
            log.info("part of an offer refused", endpoint=self.id, reasons=self.peer.refused_media)
        self.emit("MediaSessionStarted")
        if self._gather_wanted:
            self._gather()
        return answer

    def generate_offer(self, arguments: Arguments) -> str:
        """Our offer; `options` can leave audio or video out of it."""
        kinds = list(MediaKind)
        if "options" in arguments:
            options = arguments.structure("options")
            kinds = [kind for kind in kinds if options.boolean(f"offerToReceive{kind.title()}", default=True)]
        try:
            offer = self.peer.generate_offer(kinds)
        except AlreadyNegotiated as error:
            raise AlreadyNegotiatedError from error
        except NoCommonCodec as error:
            raise GenerateOfferError(str(error)) from error
        except WorkerDied as error:
            raise WorkerDiedError(str(error)) from error
        if self._gather_wanted:
            self._gather()
        return offer

    def process_answer(self, arguments: Arguments) -> str:
        """Take the answer to our offer; returns the offer, as Kurento does."""
        answer = arguments.text("answer")
        try:
            self.peer.process_answer(answer)
        except OfferNotGenerated as error:
            raise OfferNotGeneratedError from error
        except AnswerAlreadyProcessed as error:
            raise AnswerAlreadyProcessedError from error
        except NoCommonCodec as error:
            log.warning("answer refused", endpoint=self.id, reason=str(error))
            raise ProcessAnswerError(str(error)) from error
        except WorkerDied as error:
            raise WorkerDiedError(str(error)) from error
        except SdpError as error:
            log.warning("answer refused", endpoint=self.id, reason=str(error))
            raise SdpParseError(f"Invalid SDP: {error}") from error
        self.emit("MediaSessionStarted")
        return self.get_local_session_descriptor(arguments)

    def get_local_session_descriptor(self, _arguments: Arguments) -> str:
        if self.peer.local_description is None:
            raise NoLocalSdpError
        return self.peer.local_description

    def get_remote_session_descriptor(self, _arguments: Arguments) -> str:
        if self.peer.remote_description is None:
            raise NoRemoteSdpError
        return self.peer.remote_description

    def gather_candidates(self, _arguments: Arguments) -> None:
        """Tell the candidates as events; before the offer is known, as soon as it is."""
        self._gather_wanted = True
        if self.peer.local_description is not None:
            self._gather()

    def _gather(self) -> None:
        if self._gathered:
            return
        self._gathered = True
        try:
            candidates = self.peer.gather_candidates()
        except WorkerDied as error:
            raise WorkerDiedError(str(error)) from error
        for candidate, sdp_mid, sdp_m_line_index in candidates:
            self.emit(
                "IceCandidateFound",
                candidate={
                    "__module__": "kurento",
                    "__type__": "IceCandidate",
                    "candidate": candidate,
                    "sdpMLineIndex": sdp_m_line_index,
                    "sdpMid": sdp_mid,
                },
            )
        self.emit("IceGatheringDone")

    def add_ice_candidate(self, arguments: Arguments) -> None:
        candidate = arguments.structure("candidate")
        text, sdp_mid = candidate.text("candidate"), candidate.text("sdpMid")
        sdp_m_line_index = candidate.integer("sdpMLineIndex")
        offer = self.peer.remote_description
        if offer is not None and not 0 <= sdp_m_line_index < offer.count("\nm="):
            raise AddCandidateError
        self.peer.add_candidate(text, sdp_mid, sdp_m_line_index)

    # The peer's observer

    def ice_state_changed(self, state: IceState) -> None:
        self._ice_state = state
        self._emit_ice_state(RTP_COMPONENT, state)
        if state is IceState.GATHERING:
            self._emit_ice_state(RTCP_COMPONENT, state)
        if state is IceState.CONNECTED and not self._dtls_begun:
            self._dtls_begun = True
            self._emit_dtls_state(DtlsState.NEW, DTLS_ENCODER)

    def candidate_pair_selected(self, local: str, remote: str) -> None:
        self._candidate_pair = (local, remote)
        self.emit("NewCandidatePairSelected", candidatePair=_candidate_pair(local, remote))

    def dtls_state_changed(self, state: DtlsState) -> None:
        if state is DtlsState.CONNECTED:
            # It stays so for good, even when the peer vanishes.
            self._connection_state = self._change_state(
                "ConnectionStateChanged", self._connection_state, ConnectionState.CONNECTED
            )
        self._emit_dtls_state(state, DTLS_DECODER)
        self._emit_dtls_state(state, DTLS_ENCODER)

    def connection_failed(self, reason: str) -> None:
        log.warning("DTLS failed", endpoint=self.id, reason=reason)
        self.emit("Error", errorCode=DECRYPT, type="STREAM_ERROR_DECRYPT", description=reason)

    def media_connection_changed(self, connected: bool) -> None:
        state = ConnectionState.CONNECTED if connected else ConnectionState.DISCONNECTED
        self._media_state = self._change_state("MediaStateChanged", self._media_state, state)

    def receiving_changed(self, kind: MediaKind, flowing: bool) -> None:
        self._change_flow("MediaFlowOutStateChanged", self._flowing_out, kind, flowing)

    def sending_changed(self, kind: MediaKind, flowing: bool) -> None:
        self._video_came |= flowing and kind is MediaKind.VIDEO
        self._change_flow("MediaFlowInStateChanged", self._flowing_in, kind, flowing)
        if flowing and (source := self._fed_by.get(MediaType(kind))) is not None:
            source.tell_passed_through(kind)

    def pause_changed(self, kind: MediaKind, paused: bool) -> None:
        (self._paused.add if paused else self._paused.discard)(kind)
        self.emit("MediaPausedStateChanged", mediaType=kind, state="PAUSED" if paused else "NOT_PAUSED")

    def codec_mismatched(self, reason: str) -> None:
        self.emit("Error", errorCode=CODEC_NOT_FOUND, type="STREAM_ERROR_CODEC_NOT_FOUND", description=reason)

    def worker_died(self, error: WorkerDied) -> None:
        description = f"{error}: the endpoint has no connection any more and can only be released"
        self.emit("Error", errorCode=WorkerDiedError.code, type=WorkerDiedError.type, description=description)
        if self.pipeline is not None:
            self.pipeline.worker_died(error)

    def tell_passed_through(self, kind: MediaKind) -> None:
        """Media of that kind reaches a first sink, and is not transcoded: it never is here."""
        if kind in self._passed_through:
            return
        bin_name = f"kmswebrtcendpoint{self._serial}_kmsagnosticbin2-{len(self._passed_through)}"
        self._passed_through.append(kind)
        self.emit("MediaTranscodingStateChanged", binName=bin_name, mediaType=kind, state="NOT_TRANSCODING")

    def _emit_dtls_state(self, state: DtlsState, component_id: str) -> None:
        self.emit(
            "DtlsConnectionStateChange",
            componentId=component_id,
            connectionId=f"dtlssrtpenc{self._serial}-dtlssrtpdec{self._serial}-1-1",
            state=state,
            streamId="1",
        )

    def _emit_ice_state(self, component_id: int, state: IceState) -> None:
        self.emit("IceComponentStateChanged", componentId=component_id, state=state, streamId=1)

    def _change_state(self, type_: str, old: ConnectionState, new: ConnectionState) -> ConnectionState:
        if new is not old:
            self.emit(type_, newState=new, oldState=old)
        return new

    def _change_flow(self, type_: str, kinds: set[str], kind: MediaKind, flowing: bool) -> None:
        (kinds.add if flowing else kinds.discard)(kind)
        state = "FLOWING" if flowing else "NOT_FLOWING"
        self.emit(type_, mediaType=kind, padName="default", state=state)

    # Reading

    def get_ice_connection_state(self, _arguments: Arguments) -> list[dict[str, Any]]:
        if self._ice_state is None:
            return []
        states = {RTP_COMPONENT: self._ice_state, RTCP_COMPONENT: IceState.GATHERING}
        return [
            {
                "__module__": "kurento",
                "__type__": "IceConnection",
                "componentId": component_id,
                "state": state,
                "streamId": "1",
            }
            for component_id, state in states.items()
        ]

    def get_ice_candidate_pairs(self, _arguments: Arguments) -> list[dict[str, Any]]:
        return [] if self._candidate_pair is None else [_candidate_pair(*self._candidate_pair)]

    def is_media_flowing_in(self, kind: MediaType) -> bool:
        return kind in self._flowing_in

    def is_media_flowing_out(self, kind: MediaType) -> bool:
        return kind in self._flowing_out

    def is_media_paused(self, arguments: Arguments) -> bool:
        """Not Kurento's: whether the browser is sent none of a type because its path is too slow for it."""
        return arguments.enumeration("mediaType", MediaType) in self._paused

    def get_stats(self, arguments: Arguments) -> dict[str, Any] | None:
        """Statistics by id; null before the transport is connected."""
        wanted: tuple[str, ...] = tuple(MediaType)
        if "mediaType" in arguments:
            wanted = (arguments.enumeration("mediaType", MediaType),)
        if self._connection_state is ConnectionState.DISCONNECTED:
            return None
        stats = self._stats.streams(self.peer.stats(), wanted)
        if self.pipeline is not None and self.pipeline.latency_stats:
            kinds = [kind for kind in MediaKind if kind in self._flowing_in and kind in wanted]
            stats |= self._stats.latencies(kinds, self.objects.engine.latency)
        return stats

    def get_remb_parameters(self, _arguments: Arguments) -> dict[str, Any]:
        """Empty until they are set, as in Kurento."""
        return {"__module__": "kurento", "__type__": "RembParams", **(self._remb_parameters or {})}

    # Setting

    def set_remb_parameters(self, arguments: Arguments) -> None:
        """Kept to be read again: this server estimates bandwidths its own way, and begins without a limit."""
        given = arguments.structure("rembParams")
        parameters = self._remb_parameters or REMB_PARAMETERS
        self._remb_parameters = {
            name: default
            if name not in given
            else given.integer(name)
            if isinstance(default, int)
            else given.number(name)
            for name, default in parameters.items()
        }

    def request_keyframe(self, _arguments: Arguments) -> None:
        if not self._video_came:
            raise KeyframeNotSupportedError
        self.peer.request_keyframe()

    def set_stun_server_address(self, arguments: Arguments) -> None:
        """Kept to be read again: an ICE-lite agent has no use for STUN and TURN servers (RFC 8445 section 2.5)."""
        self.stun_server_address = arguments.text("stunServerAddress")

    def set_stun_server_port(self, arguments: Arguments) -> None:
        self.stun_server_port = arguments.integer("stunServerPort")

    def set_turn_url(self, arguments: Arguments) -> None:
        self.turn_url = arguments.text("turnUrl")

    def set_ice_tcp(self, arguments: Arguments) -> None:
        if arguments.boolean("iceTcp"):
            raise NotImplementedByServerError("This server takes media by UDP only")

    OPERATIONS: ClassVar[Mapping[str, Operation]] = {
        **MediaElement.OPERATIONS,
        "addIceCandidate": add_ice_candidate,
        "closeDataChannel": _NO_DATA_CHANNELS,
        "createDataChannel": _NO_DATA_CHANNELS,
        "gatherCandidates": gather_candidates,
        "generateOffer": generate_offer,
        "getConnectionState": lambda self, _: self._connection_state,
        "getICECandidatePairs": get_ice_candidate_pairs,
        "getExternalIPv4": lambda _, __: "",
        "getExternalIPv6": lambda _, __: "",
        "getIceConnectionState": get_ice_connection_state,
        "getIceTcp": lambda _, __: False,
        "getLocalSessionDescriptor": get_local_session_descriptor,
        "getMediaState": lambda self, _: self._media_state,
        "getMtu": lambda _, __: _MTU,
        "getNetworkInterfaces": lambda _, __: "",
        "getRembParams": get_remb_parameters,
        "getRemoteSessionDescriptor": get_remote_session_descriptor,
        "getStats": get_stats,
        "getStunServerAddress": lambda self, _: self.stun_server_address,
        "getStunServerPort": lambda self, _: self.stun_server_port,
        "getTurnUrl": lambda self, _: self.turn_url,
        "isMediaPaused": is_media_paused,
        "processAnswer": process_answer,
        "processOffer": process_offer,
        "requestKeyframe": request_keyframe,
        "setExternalIPv4": _ANNOUNCED,
        "setExternalIPv6": _ANNOUNCED,
        "setIceTcp": set_ice_tcp,
        "setMtu": _NO_MTU,
        "setNetworkInterfaces": _ANNOUNCED,
        "setRembParams": set_remb_parameters,
        "setStunServerAddress": set_stun_server_address,
        "setStunServerPort": set_stun_server_port,
        "setTurnUrl": set_turn_url,
        **_bandwidth_operations(),
    }


def _candidate_pair(local: str, remote: str) -> dict[str, Any]:
    return {
        "__module__": "kurento",
        "__type__": "IceCandidatePair",
        "componentId": RTP_COMPONENT,
        "localCandidate": local,
        "remoteCandidate": remote,
        "streamId": "1",
    }
