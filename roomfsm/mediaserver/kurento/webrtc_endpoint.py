"""WebRtcEndpoint: one peer of the engine as a remote object of Kurento's, with its negotiation and its
operations.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar

from roomfsm.log import get_logger
from roomfsm.mediaserver.base.errors import (
    AlreadyNegotiated,
    AnswerAlreadyProcessed,
    NoCommonCodec,
    OfferNotGenerated,
    SdpError,
    WorkerDied,
)
from roomfsm.mediaserver.base.kinds import MediaKind, PictureSize
from roomfsm.mediaserver.kurento import events
from roomfsm.mediaserver.kurento.bandwidths import BANDWIDTHS, REMB_PARAMETERS, bandwidth_operations
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
    NotImplementedByServerError,
    OfferNotGeneratedError,
    ProcessAnswerError,
    ProcessOfferError,
    SdpParseError,
    WorkerDiedError,
)
from roomfsm.mediaserver.kurento.objects import MediaType, Operation, Registry, Unavailable
from roomfsm.mediaserver.kurento.observed_endpoint import ConnectionState, ObservedEndpoint
from roomfsm.mediaserver.sdp.description import Direction
from roomfsm.sdp_secrets import masked

if TYPE_CHECKING:
    from roomfsm.mediaserver.kurento.arguments import Arguments

_MTU = 1200
"""The size of RTP packets in bytes that browsers choose by themselves."""

_NO_DATA_CHANNELS = Unavailable("This server has no data channels")
_NO_MTU = Unavailable("Packets are forwarded with the length that they came with")
_ANNOUNCED = Unavailable("All endpoints share one UDP port: see --media-host and --announced-address")

log = get_logger(__name__)


class CertificateKeyType(StrEnum):
    RSA = "RSA"
    ECDSA = "ECDSA"


class WebRtcEndpoint(ObservedEndpoint):
    """An endpoint that answers a browser's offer, or makes an offer itself."""

    TYPE = "WebRtcEndpoint"
    HIERARCHY = (
        "kurento.BaseRtpEndpoint",
        "kurento.SdpEndpoint",
        "kurento.SessionEndpoint",
        "kurento.Endpoint",
        *ObservedEndpoint.HIERARCHY,
    )
    EVENTS = events.WEBRTC_ENDPOINT_EVENTS
    # Not of each object: CPython (3.13) takes 1.5 kB more for one that has more than 30 attributes of its own.
    stun_server_address = ""
    stun_server_port = 0
    turn_url = ""

    def __init__(self, objects: Registry, arguments: Arguments) -> None:
        pipeline = objects.find_pipeline(arguments.text("mediaPipeline"))
        recvonly, sendonly, _ = (
            flag in arguments and arguments.boolean(flag) for flag in ("recvonly", "sendonly", "useDataChannels")
        )
        if "certificateKeyType" in arguments:
            arguments.enumeration("certificateKeyType", CertificateKeyType)
        super().__init__(objects, pipeline)
        self._gathered = False
        self._gather_wanted = False
        self._remb_parameters: dict[str, float] | None = None
        self._stats = EndpointStats(self.id)
        if recvonly is not sendonly:
            self.peer.direction = Direction.RECVONLY if recvonly else Direction.SENDONLY
        for attribute, default in BANDWIDTHS.values():
            setattr(self.peer, attribute, default)

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
            log.warning("offer refused", endpoint=self.id, reason=masked(str(error), offer))
            raise ProcessOfferError(str(error)) from error
        except WorkerDied as error:
            raise WorkerDiedError(str(error)) from error
        except SdpError as error:
            log.warning("offer refused", endpoint=self.id, reason=masked(str(error), offer))
            raise SdpParseError(f"Invalid SDP: {error}") from error
        if self.peer.refused_media:
            reasons = [masked(reason, offer) for reason in self.peer.refused_media]
            log.info("part of an offer refused", endpoint=self.id, reasons=reasons)
        self.emit("MediaSessionStarted")
        if self._gather_wanted:
            self._gather()
        return answer

    def generate_offer(self, arguments: Arguments) -> str:
        """Make our offer. `options` can leave out audio or video."""
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
        """Use the answer to our offer. Returns the offer, as Kurento does."""
        answer = arguments.text("answer")
        try:
            self.peer.process_answer(answer)
        except OfferNotGenerated as error:
            raise OfferNotGeneratedError from error
        except AnswerAlreadyProcessed as error:
            raise AnswerAlreadyProcessedError from error
        except NoCommonCodec as error:
            log.warning("answer refused", endpoint=self.id, reason=masked(str(error), answer))
            raise ProcessAnswerError(str(error)) from error
        except WorkerDied as error:
            raise WorkerDiedError(str(error)) from error
        except SdpError as error:
            log.warning("answer refused", endpoint=self.id, reason=masked(str(error), answer))
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
        """Send the candidates as events. If there was no offer yet, this is done when the offer comes."""
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

    # Reading

    def is_media_paused(self, arguments: Arguments) -> bool:
        """Whether the browser gets no media of a type because its path is too slow.

        Kurento does not have this operation.
        """
        return arguments.enumeration("mediaType", MediaType) in self._paused

    def is_speaking(self, _arguments: Arguments) -> bool:
        """Whether the browser's user speaks. Kurento does not have this operation."""
        return self._speaks

    def get_layers_wanted(self, _arguments: Arguments) -> list[str] | None:
        """The simulcast layers that are wanted; null if all are. Kurento does not have this operation."""
        return self._layers_wanted

    def set_picture_size(self, arguments: Arguments) -> None:
        """Note how large the browser shows the picture. Kurento does not have this operation."""
        self.peer.resize_picture(arguments.enumeration("size", PictureSize))

    def set_participant(self, arguments: Arguments) -> None:
        """Note whose browser this is, before it is negotiated.

        All endpoints of a pipeline that belong to one participant share one path, which is estimated for all of
        them. Kurento does not have this operation.
        """
        participant, limit = arguments.text("participant"), self.objects.limits.max_participant
        if not 0 < len(participant) <= limit:
            raise MarshallError(f"'participant' has 1 to {limit} characters, not {len(participant)}")
        if self.pipeline is None:
            return
        try:
            self.peer.share_path(f"{self.pipeline.id} {participant}")
        except AlreadyNegotiated as error:
            raise AlreadyNegotiatedError from error

    def get_stats(self, arguments: Arguments) -> dict[str, Any] | None:
        """Statistics, by id; null before the transport is connected."""
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
        """Store the parameters, only to be read again.

        This server estimates bandwidths in its own way, and begins without a limit.
        """
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
        """Store the address, only to be read again.

        An ICE-lite agent does not use STUN and TURN servers (RFC 8445 section 2.5).
        """
        self.stun_server_address = arguments.text("stunServerAddress")

    def set_stun_server_port(self, arguments: Arguments) -> None:
        self.stun_server_port = arguments.integer("stunServerPort")

    def set_turn_url(self, arguments: Arguments) -> None:
        self.turn_url = arguments.text("turnUrl")

    def set_ice_tcp(self, arguments: Arguments) -> None:
        wanted = arguments.boolean("iceTcp")
        if wanted and not self._has_tcp():
            raise NotImplementedByServerError("This server takes media by UDP only: see --media-tcp-port")
        self.peer.over_tcp = wanted

    def _has_tcp(self) -> bool:
        return self.objects.engine.settings.tcp

    def get_ice_tcp(self, _arguments: Arguments) -> bool:
        return self._has_tcp() and self.peer.over_tcp

    OPERATIONS: ClassVar[Mapping[str, Operation]] = {
        **ObservedEndpoint.OPERATIONS,
        "addIceCandidate": add_ice_candidate,
        "closeDataChannel": _NO_DATA_CHANNELS,
        "createDataChannel": _NO_DATA_CHANNELS,
        "gatherCandidates": gather_candidates,
        "generateOffer": generate_offer,
        "getConnectionState": lambda self, _: self._connection_state,
        "getICECandidatePairs": ObservedEndpoint.get_ice_candidate_pairs,
        "getExternalIPv4": lambda _, __: "",
        "getExternalIPv6": lambda _, __: "",
        "getIceConnectionState": ObservedEndpoint.get_ice_connection_state,
        "getIceTcp": get_ice_tcp,
        "getLayersWanted": get_layers_wanted,
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
        "isSpeaking": is_speaking,
        "processAnswer": process_answer,
        "processOffer": process_offer,
        "requestKeyframe": request_keyframe,
        "setExternalIPv4": _ANNOUNCED,
        "setExternalIPv6": _ANNOUNCED,
        "setIceTcp": set_ice_tcp,
        "setMtu": _NO_MTU,
        "setNetworkInterfaces": _ANNOUNCED,
        "setParticipant": set_participant,
        "setPictureSize": set_picture_size,
        "setRembParams": set_remb_parameters,
        "setStunServerAddress": set_stun_server_address,
        "setStunServerPort": set_stun_server_port,
        "setTurnUrl": set_turn_url,
        **bandwidth_operations(),
    }
