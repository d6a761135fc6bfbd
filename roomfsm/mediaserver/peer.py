"""One WebRTC peer: its negotiation, the media that its browser sends (tracks) and gets (sinks), its statistics."""

import secrets
from collections.abc import Collection, Sequence
from typing import Protocol

from roomfsm.mediaserver import rtcp
from roomfsm.mediaserver.answer import AcceptedMedia, LocalTransport, accept, write_answer
from roomfsm.mediaserver.media import (
    ALL_KINDS,
    AlreadyNegotiated,
    DtlsState,
    IceState,
    LocalCandidate,
    MediaKind,
    PeerClosed,
    PeerObserver,
    PeerStats,
    Refusal,
    SdpError,
)
from roomfsm.mediaserver.sdp import parse_offer
from roomfsm.mediaserver.sink import Sink
from roomfsm.mediaserver.track import Outlet, Track
from roomfsm.mediaserver.transport import Network, Transport

_KILOBIT = 1000


class PeerContext(Outlet, Network, Protocol):
    """What a peer needs of the engine."""

    def now(self) -> float: ...

    def forget(self, peer: "Peer") -> None: ...


class Peer:
    """Made by :meth:`~roomfsm.mediaserver.engine.Engine.open_peer`; ends with :meth:`close`.

    All methods are synchronous, for the engine's thread; all but `close` raise :class:`PeerClosed` after it.
    The bandwidths are kbit/s, 0 is unlimited: `send` bounds what this viewer's estimate can ask of its source,
    `receive` what is asked of this publisher.
    """

    def __init__(self, context: PeerContext, observer: PeerObserver) -> None:
        self._context = context
        self._observer: PeerObserver | None = observer
        self._transport = Transport(context, self)
        self._tracks = {kind: Track(kind, context, self) for kind in ALL_KINDS}
        self._sinks = {kind: Sink(kind, self) for kind in ALL_KINDS}
        self._by_payload_type: dict[int, Track] = {}
        self._media_lines: list[tuple[str, int]] = []
        """mid and index of each accepted m-line."""
        self._connected = False
        self._report_time = 0.0
        self.local_description: str | None = None
        self.remote_description: str | None = None
        self.max_video_send_bandwidth = 0
        self.min_video_send_bandwidth = 0
        self.max_video_receive_bandwidth = 0
        self.min_video_receive_bandwidth = 0

    # Negotiation

    def process_offer(self, offer: str) -> str:
        """Answer an SDP offer. Raises :class:`SdpError`, or :class:`AlreadyNegotiated` after a success."""
        self._check_open()
        if self.local_description is not None:
            raise AlreadyNegotiated("the peer has already answered an offer")
        settings = self._context.settings
        if len(offer) > settings.max_sdp:
            raise SdpError(f"the offer is longer than {settings.max_sdp} characters")
        parsed = parse_offer(offer)
        sources = {
            kind: sink.source.codec
            for kind, sink in self._sinks.items()
            if sink.source is not None and sink.source.codec is not None
        }
        accepted = accept(parsed, sources)
        ice = self._transport.ice
        answer = write_answer(
            parsed,
            accepted,
            LocalTransport(
                ice.ufrag,
                ice.password,
                self._context.identity.fingerprint,
                self._context.candidates,
                self._context.ssrcs,
                self._context.cname,
                secrets.token_hex(8),
                self.max_video_receive_bandwidth,
            ),
        )
        self.remote_description, self.local_description = offer, answer
        self._start(accepted)
        return answer

    def _start(self, accepted: Sequence[AcceptedMedia]) -> None:
        self._media_lines = [(media.mid, media.index) for media in accepted]
        if accepted:
            section = accepted[0].section
            for candidate in section.candidates:
                self._transport.ice.add_remote_candidate(candidate)
            self._transport.start(section.fingerprints[0], self._context.now())
        for media in accepted:
            if media.direction.receives:
                track = self._tracks[media.kind]
                self._by_payload_type[media.codecs[0].payload_type] = track
                track.negotiated(media.codecs[0])
            if media.direction.sends:
                sink = self._sinks[media.kind]
                sink.codecs = media.codecs
                sink.abs_send_time = media.abs_send_time
                sink.refresh()

    def gather_candidates(self) -> Sequence[LocalCandidate]:
        """Our candidates for each m-line that was accepted; the answer has them too."""
        self._check_open()
        self._transport.gathering()
        return [
            LocalCandidate(candidate, mid, index)
            for mid, index in self._media_lines
            for candidate in self._context.candidates
        ]

    def add_candidate(self, candidate: str, sdp_mid: str, sdp_m_line_index: int) -> None:
        """Take a candidate of the browser at any time. Being ICE-lite we send no checks, so nothing can go wrong:
        what is not a UDP candidate with an address is passed over. Bundled m-lines share the candidates."""
        self._check_open()
        del sdp_mid, sdp_m_line_index
        self._transport.ice.add_remote_candidate(candidate)

    # Media

    def connect(self, sink: "Peer", kinds: Collection[MediaKind] = ALL_KINDS) -> None:
        """Send what this peer's browser sends to another's, in place of that one's earlier source of the kind."""
        self._check_open()
        sink._check_open()
        for kind in kinds:
            sink._sinks[kind].follow(self._tracks[kind])

    def disconnect(self, sink: "Peer", kinds: Collection[MediaKind] = ALL_KINDS) -> None:
        """Undo :meth:`connect`; what is not connected is passed over."""
        self._check_open()
        for kind in kinds:
            if sink._sinks[kind].source is self._tracks[kind]:
                sink._sinks[kind].follow(None)

    def track(self, kind: MediaKind) -> Track:
        """What this peer's browser sends."""
        return self._tracks[kind]

    def source(self, kind: MediaKind) -> object:
        """The track that this peer's browser gets; None without one."""
        return self._sinks[kind].source

    def follow(self, kind: MediaKind, source: Track | None) -> None:
        """Send this peer's browser a track, of whatever peer, in place of its earlier source; or none."""
        self._check_open()
        self._sinks[kind].follow(source)

    @property
    def ice_credentials(self) -> tuple[str, str]:
        """ufrag and password of our end."""
        ice = self._transport.ice
        return ice.ufrag, ice.password

    def use_ice_credentials(self, ufrag: str, password: str) -> None:
        """Before negotiation: those that another process has told the browser."""
        self._transport.ice.use_credentials(ufrag, password)

    def request_keyframe(self) -> None:
        """Ask this peer's browser, if it sends video, else the source of the video that it gets."""
        self._check_open()
        track = self._tracks[MediaKind.VIDEO]
        source = self._sinks[MediaKind.VIDEO].source
        if track.codec is not None:
            track.request_keyframe()
        elif source is not None:
            source.request_keyframe()

    def stats(self) -> PeerStats:
        self._check_open()
        transport = self._transport
        receiving = {kind: stats for kind, track in self._tracks.items() if (stats := track.stats()) is not None}
        sending = {
            kind: sink.stats(self._context.ssrcs[kind]) for kind, sink in self._sinks.items() if sink.codecs
        }
        return PeerStats(transport.ice_state, transport.dtls_state, transport.remote_address, receiving, sending)

    def close(self) -> None:
        """Say goodbye to the browser and forget the peer. Nothing is told to the observer any more."""
        if self._observer is None:
            return
        self._observer = None
        for track in self._tracks.values():
            track.close()
            self._context.attention.discard(track)
        for sink in self._sinks.values():
            sink.follow(None)
        self._transport.close()
        self._context.forget(self)

    def _check_open(self) -> None:
        if self._observer is None:
            raise PeerClosed("the peer was closed")

    # Called by the transport

    def ice_state_changed(self, state: IceState) -> None:
        if self._observer is not None:
            self._observer.ice_state_changed(state)

    def candidate_pair_selected(self, local: str, remote: str) -> None:
        if self._observer is not None:
            self._observer.candidate_pair_selected(local, remote)

    def dtls_state_changed(self, state: DtlsState) -> None:
        if self._observer is not None:
            self._observer.dtls_state_changed(state)

    def path_changed(self) -> None:
        transport = self._transport
        usable, sender = transport.usable, transport.sender
        for sink in self._sinks.values():
            sink.open = usable
            if usable and sender is not None and transport.ice.selected is not None:
                sink.address = transport.ice.selected
                sink.handle = sender.handle
                sink.tag_length = sender.tag_length
            sink.refresh()
        if usable is not self._connected:
            self._connected = usable
            if self._observer is not None:
                self._observer.media_connection_changed(usable)

    def rtp_received(self, packet: bytes, now: float) -> None:
        track = self._by_payload_type.get(packet[1] & 0x7F)
        refusal = Refusal.RTP_UNKNOWN_PAYLOAD if track is None else track.receive(packet, now)
        if refusal is not None:
            self._context.refuse(refusal)

    def rtcp_received(self, compound: bytes, now: float) -> None:
        try:
            packets = rtcp.parse(compound)
        except rtcp.RtcpError:
            self._context.refuse(Refusal.RTCP_MALFORMED)
            return
        for packet in packets:
            match packet:
                case rtcp.SenderReport():
                    for track in self._tracks.values():
                        track.sender_report(packet, now)
                case rtcp.Nack():
                    self._retransmit(packet)
                case rtcp.KeyframeRequest():
                    self._pass_on_keyframe_request()
                case rtcp.Remb():
                    video = self._sinks[MediaKind.VIDEO]
                    video.remb, video.remb_time = packet.bitrate, now

    def _retransmit(self, nack: rtcp.Nack) -> None:
        for kind, sink in self._sinks.items():
            if nack.media_ssrc == self._context.ssrcs[kind] and sink.source is not None:
                sink.source.retransmit(sink, nack.sequence_numbers)

    def _pass_on_keyframe_request(self) -> None:
        sink = self._sinks[MediaKind.VIDEO]
        sink.keyframe_requests += 1
        if sink.source is not None:
            sink.source.request_keyframe()

    # Called by tracks and sinks

    @property
    def receive_limits(self) -> tuple[int, int]:
        return self.min_video_receive_bandwidth * _KILOBIT, self.max_video_receive_bandwidth * _KILOBIT

    @property
    def send_limits(self) -> tuple[int, int]:
        return self.min_video_send_bandwidth * _KILOBIT, self.max_video_send_bandwidth * _KILOBIT

    def send_rtcp(self, compound: bytes) -> None:
        self._transport.send_rtcp(compound)

    def receiving_changed(self, kind: MediaKind, flowing: bool) -> None:
        if self._observer is not None:
            self._observer.receiving_changed(kind, flowing)

    def sending_changed(self, kind: MediaKind, flowing: bool) -> None:
        if self._observer is not None:
            self._observer.sending_changed(kind, flowing)

    # Called by the engine's clock

    def tick(self, now: float) -> None:
        """Reports, flow and silence; each `report_interval`."""
        self._transport.check_silence(now)
        reports = []
        for track in self._by_payload_type.values():
            track.check_flow(now)
            report = track.report(now)
            if report is not None:
                reports.append(report)
        if reports:
            ours = self._context.ssrcs[MediaKind.VIDEO]
            self.send_rtcp(
                rtcp.receiver_report(ours, [block for block, _ in reports])
                + rtcp.source_description(ours, self._context.cname)
                + b"".join(estimate for _, estimate in reports)
            )
