"""An endpoint's connection as Kurento's clients see it: the states of the endpoint's peer, and events about them.

Kurento reports a connection in several ways at the same time, and different clients wait for different reports: a
DTLS state for each half of the transport, an ICE state for each component, the connection as a whole, the media as
a whole, and the flow of each kind of media in each direction. This module makes all of them from the reports of
the engine's peer to its observer.
"""

from __future__ import annotations

from collections.abc import Collection
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from roomfsm.log import get_logger
from roomfsm.mediaserver.base.errors import EngineFull, WorkerDied
from roomfsm.mediaserver.base.kinds import MediaKind
from roomfsm.mediaserver.dtls.state import DtlsState
from roomfsm.mediaserver.ice.state import IceState
from roomfsm.mediaserver.kurento.errors import NotEnoughResourcesError, WorkerDiedError
from roomfsm.mediaserver.kurento.objects import MediaElement, MediaPipeline, MediaType, Registry

if TYPE_CHECKING:
    from roomfsm.mediaserver.kurento.arguments import Arguments

DTLS_ENCODER, DTLS_DECODER = "[bundle/dtlssrtpenc]", "[bundle/dtlssrtpdec]"
"""The two halves of a transport, for which Kurento reports DTLS states."""

CODEC_NOT_FOUND, DECRYPT = 6, 12
"""GStreamer's numbers of these stream errors, for Error events."""

RTP_COMPONENT, RTCP_COMPONENT = 1, 2
"""The ICE components (RFC 8445 section 3). With rtcp-mux the second one is never used, and Kurento leaves it
GATHERING for ever."""

log = get_logger(__name__)


class ConnectionState(StrEnum):
    """The states of the transport, and also of the media."""

    DISCONNECTED = "DISCONNECTED"
    CONNECTED = "CONNECTED"


class ObservedEndpoint(MediaElement):
    """An endpoint with one peer of the engine, which it observes (`PeerObserver`).

    Media from the browser flow out to the sinks (MediaFlowOut), and media to the browser flow in from the source
    (MediaFlowIn).
    """

    _layers_wanted: list[str] | None = None
    """The simulcast layers that are wanted; None if the browser sends none, or all are."""
    _speaks = False
    """Whether the browser's user speaks, by the levels of the sound."""

    def __init__(self, objects: Registry, pipeline: MediaPipeline) -> None:
        super().__init__(objects, pipeline)
        self._serial = objects.next_endpoint_serial()
        self._ice_state: IceState | None = None
        self._dtls_begun = False
        self._candidate_pair: tuple[str, str] | None = None
        self._connection_state = ConnectionState.DISCONNECTED
        self._media_state = ConnectionState.DISCONNECTED
        self._flowing_in: set[str] = set()
        self._flowing_out: set[str] = set()
        self._paused: set[str] = set()
        self._passed_through: list[MediaKind] = []
        self._fed_by: dict[MediaType, ObservedEndpoint] = {}
        """For each type, the endpoint whose media this endpoint's browser gets."""
        self._video_came = False
        """Whether video has reached the endpoint from its present source."""
        try:
            self.peer = objects.engine.open_peer(self)
        except EngineFull as error:
            raise NotEnoughResourcesError(str(error)) from error

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
        if isinstance(origin, ObservedEndpoint):
            self._fed_by[kind] = origin
            origin.peer.connect(self.peer, [media_kind])
        elif before is not None:
            before.peer.disconnect(self.peer, [media_kind])

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
            # The state stays CONNECTED for ever, even if the peer vanishes.
            self._connection_state = self._change_state(
                "ConnectionStateChanged", self._connection_state, ConnectionState.CONNECTED
            )
        self._emit_dtls_state(state, DTLS_DECODER)
        self._emit_dtls_state(state, DTLS_ENCODER)

    def connection_failed(self, reason: str) -> None:
        log.warning("handshake failed", endpoint=self.id, reason=reason)
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

    def speech_changed(self, speaks: bool) -> None:
        self._speaks = speaks
        self.emit("SpeakingStateChanged", state="SPEAKING" if speaks else "NOT_SPEAKING")

    def layers_wanted(self, names: Collection[str]) -> None:
        self._layers_wanted = sorted(names)
        self.emit("LayersWanted", layers=self._layers_wanted)

    def codec_mismatched(self, reason: str) -> None:
        self.emit("Error", errorCode=CODEC_NOT_FOUND, type="STREAM_ERROR_CODEC_NOT_FOUND", description=reason)

    def worker_died(self, error: WorkerDied) -> None:
        if self._speaks:
            self.speech_changed(False)
        description = f"{error}: the endpoint has no connection any more and can only be released"
        self.emit("Error", errorCode=WorkerDiedError.code, type=WorkerDiedError.type, description=description)
        if self.pipeline is not None:
            self.pipeline.worker_died(error)

    def tell_passed_through(self, kind: MediaKind) -> None:
        """Report that media of that kind reach a first sink and are not transcoded. They never are here."""
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


def _candidate_pair(local: str, remote: str) -> dict[str, Any]:
    return {
        "__module__": "kurento",
        "__type__": "IceCandidatePair",
        "componentId": RTP_COMPONENT,
        "localCandidate": local,
        "remoteCandidate": remote,
        "streamId": "1",
    }
