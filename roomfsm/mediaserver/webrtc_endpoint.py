"""WebRtcEndpoint: one engine peer as Kurento's remote object, with the events that its states make."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar
from uuid import uuid4

from roomfsm.mediaserver import events
from roomfsm.mediaserver.engine import (
    AlreadyNegotiated,
    DtlsState,
    EngineFull,
    IceState,
    MediaKind,
    NoCommonCodec,
    SdpError,
)
from roomfsm.mediaserver.errors import (
    AddCandidateError,
    AlreadyNegotiatedError,
    NoLocalSdpError,
    NoRemoteSdpError,
    NotEnoughResourcesError,
    NotImplementedByServerError,
    OfferNotGeneratedError,
    ProcessOfferError,
    SdpParseError,
)
from roomfsm.mediaserver.objects import MediaElement, MediaType, Operation

if TYPE_CHECKING:
    from roomfsm.mediaserver.arguments import Arguments
    from roomfsm.mediaserver.media import ReceivingStats, SendingStats
    from roomfsm.mediaserver.registry import Objects

DTLS_ENCODER, DTLS_DECODER = "[bundle/dtlssrtpenc]", "[bundle/dtlssrtpdec]"
"""The two halves of a transport that Kurento reports DTLS states of."""

CODEC_NOT_FOUND = 6
"""Number of that stream error of GStreamer's, as an Error event has it."""

RTP_COMPONENT, RTCP_COMPONENT = 1, 2
"""RFC 8445 section 3; with rtcp-mux the second is never used: Kurento leaves it GATHERING for ever."""


BANDWIDTHS = {
    "MaxVideoRecvBandwidth": ("max_video_receive_bandwidth", 0),
    "MaxVideoSendBandwidth": ("max_video_send_bandwidth", 500),
    "MinVideoRecvBandwidth": ("min_video_receive_bandwidth", 0),
    "MinVideoSendBandwidth": ("min_video_send_bandwidth", 100),
}
"""Kurento's property → the peer's attribute, and Kurento's default in kbit/s; 0 is without limit."""


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
            setattr(endpoint.peer, attribute, arguments.integer(name[0].lower() + name[1:]))

        operations[f"get{name}"] = read
        operations[f"set{name}"] = write
    return operations


class WebRtcEndpoint(MediaElement):
    """An endpoint that answers one browser's offer; it observes its peer (`media.PeerObserver`).

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

    def __init__(self, objects: Objects, arguments: Arguments) -> None:
        pipeline = objects.find_pipeline(arguments.text("mediaPipeline"))
        for flag in ("recvonly", "sendonly", "useDataChannels"):
            if flag in arguments:
                arguments.boolean(flag)
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
        self._passed_through: list[MediaKind] = []
        self._stats_ids: dict[tuple[str, MediaKind], str] = {}
        self.stun_server_address = ""
        self.stun_server_port = 0
        self.turn_url = ""
        try:
            self.peer = objects.engine.open_peer(self)
        except EngineFull as error:
            raise NotEnoughResourcesError(str(error)) from error
        for attribute, default in BANDWIDTHS.values():
            setattr(self.peer, attribute, default)

    def dispose(self) -> None:
        super().dispose()
        self.peer.close()

    def link(self, sink: MediaElement, kinds: Iterable[MediaType]) -> None:
        if isinstance(sink, WebRtcEndpoint) and (carried := _carried(kinds)):
            self.peer.connect(sink.peer, carried)

    def unlink(self, sink: MediaElement, kinds: Iterable[MediaType]) -> None:
        if isinstance(sink, WebRtcEndpoint) and (carried := _carried(kinds)):
            self.peer.disconnect(sink.peer, carried)

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
            raise ProcessOfferError(str(error)) from error
        except SdpError as error:
            raise SdpParseError("Invalid SDP") from error
        self.emit("MediaSessionStarted")
        if self._gather_wanted:
            self._gather()
        return answer

    def generate_offer(self, _arguments: Arguments) -> str:
        if self.peer.local_description is not None:
            raise AlreadyNegotiatedError
        raise NotImplementedByServerError("This server answers offers and makes none")

    def process_answer(self, arguments: Arguments) -> str:
        arguments.text("answer")
        raise OfferNotGeneratedError

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
        for candidate, sdp_mid, sdp_m_line_index in self.peer.gather_candidates():
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

    def media_connection_changed(self, connected: bool) -> None:
        state = ConnectionState.CONNECTED if connected else ConnectionState.DISCONNECTED
        self._media_state = self._change_state("MediaStateChanged", self._media_state, state)

    def receiving_changed(self, kind: MediaKind, flowing: bool) -> None:
        self._change_flow("MediaFlowOutStateChanged", self._flowing_out, kind, flowing)

    def sending_changed(self, kind: MediaKind, flowing: bool) -> None:
        self._change_flow("MediaFlowInStateChanged", self._flowing_in, kind, flowing)
        source = self.sources.get(MediaType(kind))
        if flowing and isinstance(source, WebRtcEndpoint):
            source.tell_passed_through(kind)

    def codec_mismatched(self, reason: str) -> None:
        self.emit("Error", errorCode=CODEC_NOT_FOUND, type="STREAM_ERROR_CODEC_NOT_FOUND", description=reason)

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

    def is_media_flowing_in(self, arguments: Arguments) -> bool:
        return arguments.enumeration("mediaType", MediaType) in self._flowing_in

    def is_media_flowing_out(self, arguments: Arguments) -> bool:
        return arguments.enumeration("mediaType", MediaType) in self._flowing_out

    def is_media_transcoding(self, arguments: Arguments) -> bool:
        arguments.enumeration("mediaType", MediaType)
        return False

    def get_stats(self, arguments: Arguments) -> dict[str, Any] | None:
        """Statistics by id (W3C's 2016 names, as Kurento has them); null before the transport is connected."""
        wanted: tuple[str, ...] = tuple(MediaType)
        if "mediaType" in arguments:
            wanted = (arguments.enumeration("mediaType", MediaType),)
        if self._connection_state is ConnectionState.DISCONNECTED:
            return None
        peer = self.peer.stats()
        found: list[dict[str, Any]] = []
        for kind, received in peer.receiving.items():
            if kind in wanted:
                found.append(self._stats_head("inboundrtp", kind) | _inbound(received))
        for kind, sent in peer.sending.items():
            if kind in wanted:
                found.append(self._stats_head("outboundrtp", kind) | _outbound(sent))
        return {stats["id"]: stats for stats in found}

    def _stats_head(self, type_: str, kind: MediaKind) -> dict[str, Any]:
        return {
            "__module__": "kurento",
            "associateStatsId": "",
            "codecId": "",
            "firCount": 0,
            "fractionLost": 0.0,
            "id": self._stats_ids.setdefault((type_, kind), str(uuid4())),
            "isRemote": False,
            "mediaTrackId": "",
            "sliCount": 0,
            "timestampMillis": time.time_ns() // 1_000_000,
            "transportId": "",
            "type": type_,
        }

    # Setting

    def set_stun_server_address(self, arguments: Arguments) -> None:
        """Kept to be read again: an ICE-lite agent has no use for STUN and TURN servers (RFC 8445 section 2.5)."""
        self.stun_server_address = arguments.text("stunServerAddress")

    def set_stun_server_port(self, arguments: Arguments) -> None:
        self.stun_server_port = arguments.integer("stunServerPort")

    def set_turn_url(self, arguments: Arguments) -> None:
        self.turn_url = arguments.text("turnUrl")

    OPERATIONS: ClassVar[Mapping[str, Operation]] = {
        **MediaElement.OPERATIONS,
        "addIceCandidate": add_ice_candidate,
        "gatherCandidates": gather_candidates,
        "generateOffer": generate_offer,
        "getConnectionState": lambda self, _: self._connection_state,
        "getICECandidatePairs": get_ice_candidate_pairs,
        "getIceConnectionState": get_ice_connection_state,
        "getLocalSessionDescriptor": get_local_session_descriptor,
        "getMediaState": lambda self, _: self._media_state,
        "getRemoteSessionDescriptor": get_remote_session_descriptor,
        "getStats": get_stats,
        "getStunServerAddress": lambda self, _: self.stun_server_address,
        "getStunServerPort": lambda self, _: self.stun_server_port,
        "getTurnUrl": lambda self, _: self.turn_url,
        "isMediaFlowingIn": is_media_flowing_in,
        "isMediaFlowingOut": is_media_flowing_out,
        "isMediaTranscoding": is_media_transcoding,
        "processAnswer": process_answer,
        "processOffer": process_offer,
        "requestKeyframe": lambda self, _: self.peer.request_keyframe(),
        "setStunServerAddress": set_stun_server_address,
        "setStunServerPort": set_stun_server_port,
        "setTurnUrl": set_turn_url,
        **_bandwidth_operations(),
    }


def _carried(kinds: Iterable[MediaType]) -> list[MediaKind]:
    """The types that the engine carries: all but DATA."""
    return [MediaKind(kind) for kind in kinds if kind is not MediaType.DATA]


def _candidate_pair(local: str, remote: str) -> dict[str, Any]:
    return {
        "__module__": "kurento",
        "__type__": "IceCandidatePair",
        "componentId": RTP_COMPONENT,
        "localCandidate": local,
        "remoteCandidate": remote,
        "streamId": "1",
    }


def _inbound(stats: ReceivingStats) -> dict[str, Any]:
    return {
        "__type__": "RTCInboundRTPStreamStats",
        "bytesReceived": stats.bytes,
        "jitter": stats.jitter,
        "nackCount": stats.nacks,
        "packetsLost": stats.lost,
        "packetsReceived": stats.packets,
        "pliCount": stats.keyframe_requests,
        "remb": stats.remb,
        "ssrc": str(stats.ssrc),
    }


def _outbound(stats: SendingStats) -> dict[str, Any]:
    return {
        "__type__": "RTCOutboundRTPStreamStats",
        "bytesSent": stats.bytes,
        "nackCount": stats.nacks,
        "packetsLost": 0,
        "packetsSent": stats.packets,
        "pliCount": stats.keyframe_requests,
        "remb": stats.remb,
        "roundTripTime": 0.0,
        "ssrc": str(stats.ssrc),
        "targetBitrate": 0.0,
    }
