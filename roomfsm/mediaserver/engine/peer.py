"""One WebRTC peer: its negotiation, the media that its browser sends (tracks) and receives (sinks), and its
statistics.

Theory. A peer is negotiated once, by our answer to its offer or by its answer to ours, and the agreement does not
change after that. A browser whose network has changed may only restart ICE with another offer. Peers can be
connected before they are negotiated. The peer that is negotiated second chooses a codec that fits the other. So a
peer has a sink for each kind of media from the beginning. It has a track only for a kind that its browser sends or
that a sink follows, because most peers are viewers and need none. A peer has no transport before the negotiation,
and after it one for each BUNDLE group or unbundled m-line (RFC 9143).

The peer distributes the RTCP packets of its browser (RFC 3550 section 6). The browser has two roles. As a sender
it reports its clock (SR), which goes to the track with that SSRC. As a receiver it reports losses (report blocks),
asks for packets (NACK) and keyframes (PLI, FIR), and reports its bandwidth (REMB). These go to `path`, or to the
source of the sink that they are about.

After :meth:`Peer.close` the observer gets no more reports, and no reference cycle holds the peer, so its memory is
freed at once.
"""

import secrets
from collections.abc import Collection, Sequence
from functools import partial
from typing import ClassVar, Protocol

from roomfsm.mediaserver.base.boundary import Boundary
from roomfsm.mediaserver.base.errors import (
    AlreadyNegotiated,
    AnswerAlreadyProcessed,
    OfferNotGenerated,
    PeerClosed,
    SdpError,
)
from roomfsm.mediaserver.base.kinds import ALL_KINDS, MediaKind, PictureSize
from roomfsm.mediaserver.base.refusal import Refusal
from roomfsm.mediaserver.dtls.state import DtlsState
from roomfsm.mediaserver.engine.checking_transport import CheckingTransport
from roomfsm.mediaserver.engine.media_transport import MediaTransport, dtls_state, ice_state
from roomfsm.mediaserver.engine.observer import PeerObserver
from roomfsm.mediaserver.engine.own_port import OwnPort
from roomfsm.mediaserver.engine.stats import PeerStats
from roomfsm.mediaserver.engine.transport import Network, Transport
from roomfsm.mediaserver.forwarding.picture_gate import Picture, PictureGate
from roomfsm.mediaserver.forwarding.shared_path import SharedPath
from roomfsm.mediaserver.forwarding.simulcast import Simulcast
from roomfsm.mediaserver.forwarding.sink import Sink
from roomfsm.mediaserver.forwarding.surroundings import Outlet
from roomfsm.mediaserver.forwarding.track import Track
from roomfsm.mediaserver.forwarding.viewer_path import ViewerPath
from roomfsm.mediaserver.ice.allowance import Allowance
from roomfsm.mediaserver.ice.lite import Credentials, is_over_tcp
from roomfsm.mediaserver.ice.state import IceState, LocalCandidate
from roomfsm.mediaserver.rtp import rtcp
from roomfsm.mediaserver.rtp.extensions import AUDIO_LEVEL, REPAIRED_RID, RID, OutgoingExtensions
from roomfsm.mediaserver.rtp.transport_feedback import TransportFeedback
from roomfsm.mediaserver.sdp.answer import (
    AcceptedMedia,
    AcceptedTransport,
    LocalEnd,
    accept,
    undecodable,
    write_answer,
)
from roomfsm.mediaserver.sdp.codec import Codec
from roomfsm.mediaserver.sdp.description import Direction, Offer, parse_offer
from roomfsm.mediaserver.sdp.offer import propose, read_answer
from roomfsm.mediaserver.sdp.restart import Negotiated, with_credentials

_CLOSING = Boundary("closing one peer")
_MOVING = Boundary("moving one viewer to layers")
_KILOBIT = 1000
_STATUSES_A_SECOND = 10_000
"""So many packets a second a browser may tell us to have come, or not. It is sent far fewer."""
_HEADER = 12
"""The bytes of an RTP header without extensions."""


class PeerContext(Outlet, Network, Protocol):
    """The parts of the engine that a peer needs."""

    def open_port(self) -> OwnPort:
        """Open a UDP socket for one transport. Raises `OSError`."""

    def shared_path(self, name: str) -> SharedPath:
        """The path with that name, as long as somebody has it."""

    def forget(self, peer: "Peer") -> None: ...


class Peer:
    """One peer. :meth:`~roomfsm.mediaserver.engine.engine.Engine.open_peer` creates it, and :meth:`close` ends it.

    All methods are synchronous, and for the engine's thread only. After `close`, all other methods raise
    :class:`PeerClosed`. The bandwidths are in kbit/s, and 0 or less means unlimited. `send` limits the bitrate
    that this viewer can request from its source, and `receive` the bitrate that is requested from this publisher.
    """

    layered: ClassVar[bool] = True
    """Whether the browser may send its picture in several layers."""
    # Not of each object, as it is nearly always the same: see `WorkerPeer`.
    over_tcp = True
    """Whether the browser is told our TCP candidates, if there are any."""

    def __init__(self, context: PeerContext, observer: PeerObserver) -> None:
        self._context = context
        self._observer: PeerObserver | None = observer
        self._tracks: dict[MediaKind, Track | Simulcast] = {}
        """The tracks that :meth:`track` was asked for, or what the browser sends instead of them."""
        self.path = ViewerPath(context.settings)
        """The path to this peer's browser, for all media that are sent to it."""
        self._sinks = {kind: Sink(kind, self) for kind in ALL_KINDS}
        self._gate = PictureGate(context.settings)
        self._transports: list[MediaTransport] = []
        """The transports that were agreed on: one, or one for each m-line if they are not bundled."""
        self._carriers: dict[MediaKind, MediaTransport] = {}
        """The transport of each kind."""
        self._ice_state = IceState.DISCONNECTED
        self._dtls_state = DtlsState.NEW
        self._media_lines: list[tuple[str, int]] = []
        """The mid and index of each m-line that was accepted, or that we offered."""
        self._offered: Offer | None = None
        self._offered_credentials: list[Credentials] = []
        """The credentials of each m-line of our offer."""
        self._negotiated: Negotiated | None = None
        """What a restart must not change; None unless we have answered the offer of a full agent."""
        self._connected = False
        self._last_command: int | None = None
        """The command number of the browser's newest FIR (RFC 5104 section 4.3.1)."""
        most = context.settings.max_retransmissions
        self._retransmissions = Allowance(most, most)
        self._told = Allowance(_STATUSES_A_SECOND, _STATUSES_A_SECOND)
        """How many packets' arrivals the browser may still tell us."""
        self.local_description: str | None = None
        self.refused_media: tuple[str, ...] = ()
        """The reasons why m-lines of the offer are refused, as texts for people."""
        self.remote_description: str | None = None
        self.direction = Direction.SENDRECV
        """The most that this peer does, even if more is offered."""
        self.max_audio_receive_bandwidth = 0
        self.max_video_send_bandwidth = 0
        self.min_video_send_bandwidth = 0
        self.max_video_receive_bandwidth = 0
        self.min_video_receive_bandwidth = 0

    # Negotiation

    def process_offer(self, offer: str) -> str:
        """Answer an SDP offer. After the first one, only an offer that restarts ICE is answered.

        Raises :class:`SdpError`, :class:`NoCommonCodec` if this is a viewer that cannot decode its source, or
        :class:`AlreadyNegotiated` if an earlier call succeeded and this does not restart ICE.
        """
        self._check_open()
        if self.local_description is not None:
            return self._answer_restart(offer)
        self._check_length(offer)
        parsed = parse_offer(offer)
        negotiated = Negotiated(parsed)
        for section in parsed.sections:
            section.direction = section.direction.limited_to(self.direction.reversed())
        agreement = accept(
            parsed,
            self._source_codecs(),
            self._viewer_codecs(),
            layered=self.layered,
        )
        credentials = [Credentials.new() for _ in agreement.transports]
        answer = write_answer(parsed, agreement, self._local_end(), credentials)
        self.remote_description, self.local_description = offer, answer
        self.refused_media = tuple(agreement.refused.values())
        if parsed.ice_lite is None:
            negotiated.answered(agreement.media)
            self._negotiated = negotiated
            self._name_media_lines(agreement.media)
        self._note_undecodable(undecodable(parsed, agreement.media))
        self.start(agreement.transports, credentials)
        return answer

    def _answer_restart(self, offer: str) -> str:
        refused = AlreadyNegotiated("the peer has already answered or made an offer")
        if self._negotiated is None or self.local_description is None:
            raise refused
        try:
            self._check_length(offer)
            parsed = parse_offer(offer)
        except SdpError as error:
            raise refused from error
        if not self._negotiated.restarts(parsed):
            raise refused
        old = [carried.transport.ice.credentials for carried in self._transports]
        new = [Credentials.new() for _ in old]
        answer = with_credentials(self.local_description, list(zip(old, new, strict=True)))
        self.remote_description, self.local_description = offer, answer
        self._negotiated.restarted(parsed)
        self.restart(new)
        return answer

    def restart(self, credentials: Sequence[Credentials]) -> None:
        """Restart ICE with these credentials of ours for each transport."""
        self._check_open()
        for carried, ours in zip(self._transports, credentials, strict=True):
            carried.transport.restart(ours)

    def generate_offer(self, kinds: Collection[MediaKind] = ALL_KINDS) -> str:
        """Make an SDP offer of these kinds.

        Raises :class:`NoCommonCodec` if we cannot offer the codec of this viewer's source, or
        :class:`AlreadyNegotiated` if an earlier call succeeded.
        """
        self._check_unnegotiated()
        offered, proposed = propose(kinds, self.direction, self._source_codecs(), self._viewer_codecs())
        credentials = [Credentials.new() for _ in proposed.transports]
        offer = write_answer(offered, proposed, self._local_end(), credentials, setup="actpass")
        self._offered, self._offered_credentials, self.local_description = offered, credentials, offer
        self._name_media_lines(proposed.media)
        return offer

    def process_answer(self, answer: str) -> None:
        """Use the answer to our offer.

        Raises :class:`SdpError`, or :class:`NoCommonCodec` if this is a viewer that cannot decode its source.
        After these errors another answer may come. Raises :class:`OfferNotGenerated` if there was no offer, and
        :class:`AnswerAlreadyProcessed` if an earlier call succeeded.
        """
        self._check_open()
        if self._offered is None:
            raise OfferNotGenerated("the peer has made no offer")
        if self.remote_description is not None:
            raise AnswerAlreadyProcessed("the peer has taken an answer already")
        self._check_length(answer)
        answered = read_answer(answer, self._offered, self._source_codecs())
        self.remote_description = answer
        self._note_undecodable(answered.undecodable)
        # For bundled m-lines, the credentials of the tagged one are used (RFC 9143 section 7.5).
        credentials = [self._offered_credentials[one.media[0].index] for one in answered.transports]
        self.start(answered.transports, credentials)

    def _check_unnegotiated(self) -> None:
        self._check_open()
        if self.local_description is not None:
            raise AlreadyNegotiated("the peer has already answered or made an offer")

    def _check_length(self, description: str) -> None:
        limit = self._context.settings.max_sdp
        if len(description) > limit:
            raise SdpError(f"the description is longer than {limit} characters")

    def _source_codecs(self) -> dict[MediaKind, Codec]:
        """The codecs of the streams that this peer is connected to, if they are known."""
        return {
            kind: sink.source.codec
            for kind, sink in self._sinks.items()
            if sink.source is not None and sink.source.codec is not None
        }

    def _viewer_codecs(self) -> dict[MediaKind, list[tuple[Codec, ...]]]:
        """The codecs that each viewer who is already connected can decode."""
        return {kind: [sink.codecs for sink in track.sinks if sink.codecs] for kind, track in self._tracks.items()}

    def _local_end(self) -> LocalEnd:
        context = self._context
        return LocalEnd(
            context.identity.fingerprint,
            self._candidates(),
            context.ssrcs,
            context.cname,
            secrets.token_hex(8),
            max(0, self.max_video_receive_bandwidth),
            context.repair_ssrc,
            max(0, self.max_audio_receive_bandwidth),
        )

    def _candidates(self) -> Sequence[str]:
        candidates = self._context.candidates
        return candidates if self.over_tcp else [line for line in candidates if not is_over_tcp(line)]

    def _name_media_lines(self, media: Sequence[AcceptedMedia]) -> None:
        self._media_lines = [(one.mid, one.index) for one in media]

    def _note_undecodable(self, kinds: Collection[MediaKind]) -> None:
        for kind in kinds:
            self._sinks[kind].undecodable = True

    def start(self, transports: Sequence[AcceptedTransport], credentials: Sequence[Credentials]) -> None:
        """Carry out an agreement, which was made here or by another process for us.

        `credentials` are ours for each transport.
        """
        for accepted, ours in zip(transports, credentials, strict=True):
            carried = MediaTransport(
                self._context,
                self,
                [media.kind for media in accepted.media],
                partial(self._open_transport, ours, accepted.checked),
            )
            self._transports.append(carried)
            if accepted.to_server:
                self.path.leads_to_server()
            carried.start(accepted, self._context.now())
            for media in accepted.media:
                self._carriers[media.kind] = carried
                if media.direction.receives:
                    self._receive(media, carried)
                if media.direction.sends:
                    sink = self._sinks[media.kind]
                    sink.codecs = media.codecs
                    sink.extensions = OutgoingExtensions.negotiated(media.extensions, media.section.mid)
                    # A peer that also sends has agreed on these numbers for its own packets.
                    if media.kind is MediaKind.VIDEO and not media.direction.receives and not accepted.to_server:
                        sink.numbered = OutgoingExtensions.negotiated(
                            media.extensions, media.section.mid, numbered=True
                        )
                    sink.refresh()

    def _receive(self, media: AcceptedMedia, carried: MediaTransport) -> None:
        """Take an m-line that the browser sends."""
        extensions, codec = media.extensions, media.codecs[0]
        if not media.layers:
            track = self.track(media.kind)
            carried.receive(media, track)
            track.negotiated(codec, extensions.get(AUDIO_LEVEL, 0))
            return
        simulcast = Simulcast(media.kind, self._context, self, media.layers)
        carried.receive(media, simulcast)
        simulcast.negotiated(codec, extensions.get(RID, 0), extensions.get(REPAIRED_RID, 0))
        early, self._tracks[media.kind] = self._tracks.get(media.kind), simulcast
        # Viewers may have been connected before it was known that there are layers.
        for sink in [] if early is None else list(early.sinks):
            with _MOVING:
                sink.follow(simulcast)
        if early is not None:
            early.close()
            if isinstance(early, Track):
                self._context.attention.discard(early)

    def _open_transport(
        self, credentials: Credentials, checked: Credentials | None, owner: MediaTransport
    ) -> Transport:
        if checked is None:
            return Transport(self._context, owner, credentials)
        return CheckingTransport(self._context, owner, credentials, checked, self._context.open_port)

    def gather_candidates(self) -> Sequence[LocalCandidate]:
        """Our candidates for each m-line that was accepted. The answer has them, too.

        There are none if we check a lite agent, which learns our address from the checks.
        """
        self._check_open()
        for carried in self._transports:
            carried.transport.gathering()
        return [
            LocalCandidate(candidate, mid, index)
            for mid, index in self._media_lines
            for candidate in self._candidates()
        ]

    def add_candidate(self, candidate: str, sdp_mid: str, sdp_m_line_index: int) -> None:
        """Remember a candidate of the browser, at any time.

        We check only candidates of a lite agent. Otherwise a candidate only serves to name the selected pair. So
        every transport may know it. Candidates that are not UDP candidates with an IP address are ignored.
        """
        self._check_open()
        del sdp_mid, sdp_m_line_index
        for carried in self._transports:
            carried.transport.add_remote_candidate(candidate)

    # Media

    def connect(self, sink: "Peer", kinds: Collection[MediaKind] = ALL_KINDS) -> None:
        """Send the media of this peer's browser to another peer's browser, replacing its earlier source of that
        kind.
        """
        self._check_open()
        sink._check_open()
        for kind in kinds:
            sink._sinks[kind].follow(self._incoming(kind))

    def disconnect(self, sink: "Peer", kinds: Collection[MediaKind] = ALL_KINDS) -> None:
        """Undo :meth:`connect`. Kinds that are not connected are ignored."""
        self._check_open()
        for kind in kinds:
            followed = sink._sinks.get(kind)
            if followed is not None and followed.source is not None and followed.source is self._tracks.get(kind):
                followed.follow(None)

    def track(self, kind: MediaKind) -> Track:
        """The track of what this peer's browser sends in one layer, now or after the negotiation."""
        track = self._incoming(kind)
        assert isinstance(track, Track)
        return track

    def _incoming(self, kind: MediaKind) -> Track | Simulcast:
        """What this peer's browser sends, now or after the negotiation."""
        self._check_open()
        track = self._tracks.get(kind)
        if track is None:
            track = self._tracks[kind] = Track(kind, self._context, self)
        return track

    def source(self, kind: MediaKind) -> object:
        """The track that this peer's browser gets, or None."""
        sink = self._sinks.get(kind)
        return None if sink is None else sink.source

    def follow(self, kind: MediaKind, source: Track | None) -> None:
        """Send a track of any peer to this peer's browser, replacing its earlier source.

        With None, send nothing.
        """
        self._check_open()
        self._sinks[kind].follow(source)

    def share_path(self, name: str) -> None:
        """Share the path to the browser with all peers that call it by the same name.

        Raises :class:`AlreadyNegotiated` after the negotiation.
        """
        self._check_unnegotiated()
        self.path.share(self._context.shared_path(name))

    def resize_picture(self, size: PictureSize) -> None:
        """Note how large this peer's user sees the picture.

        If the source sends it in several layers, a fitting one is chosen.
        """
        self._check_open()
        self._sinks[MediaKind.VIDEO].resize(size)

    def request_keyframe(self) -> None:
        """Ask for a keyframe: the source of the video that this peer gets, or else its own browser, if that sends
        video.
        """
        self._check_open()
        sink = self._sinks[MediaKind.VIDEO]
        if sink.source is not None:
            sink.source.request_keyframe_at_start(sink)
        elif (track := self._tracks.get(MediaKind.VIDEO)) is not None:
            track.request_keyframe()

    def stats(self) -> PeerStats:
        self._check_open()
        addresses = (carried.transport.remote_address for carried in self._transports)
        receiving = {kind: stats for kind, track in self._tracks.items() if (stats := track.stats()) is not None}
        sending = {
            kind: sink.stats(self._context.ssrcs[kind]) for kind, sink in self._sinks.items() if sink.codecs
        }
        address = next((address for address in addresses if address is not None), None)
        return PeerStats(self._ice_state, self._dtls_state, address, receiving, sending)

    def close(self) -> None:
        """Say goodbye to the browser and forget the peer. The observer gets no more reports."""
        if self._observer is None:
            return
        self._observer = None
        for track in self._tracks.values():
            with _CLOSING:
                track.close()
            if isinstance(track, Track):
                self._context.attention.discard(track)
        for sink in self._sinks.values():
            with _CLOSING:
                sink.follow(None)
        self.path.close()
        for carried in self._transports:
            with _CLOSING:
                carried.close()
        # These objects refer to this peer. Without the references everything is freed at once, and not only by the
        # garbage collector.
        self._tracks, self._sinks, self._transports, self._carriers = {}, {}, [], {}
        self._context.forget(self)

    def _check_open(self) -> None:
        if self._observer is None:
            raise PeerClosed("the peer was closed")

    # Called by its transports

    def ice_changed(self) -> None:
        state = ice_state(self._transports)
        if state is not self._ice_state:
            self._ice_state = state
            if self._observer is not None:
                self._observer.ice_state_changed(state)

    def candidate_pair_selected(self, local: str, remote: str) -> None:
        if self._observer is not None:
            self._observer.candidate_pair_selected(local, remote)

    def dtls_changed(self) -> None:
        state = dtls_state(self._transports)
        if state is not self._dtls_state:
            self._dtls_state = state
            if self._observer is not None:
                self._observer.dtls_state_changed(state)

    def connection_failed(self, reason: str) -> None:
        if self._observer is not None:
            self._observer.connection_failed(reason)

    def path_changed(self, carried: MediaTransport) -> None:
        transport = carried.transport
        sender, selected = transport.sender, transport.ice.selected
        usable = transport.usable and selected is not None
        for kind, sink in self._sinks.items():
            if kind not in carried.kinds:
                continue
            sink.open = usable
            if usable and sender is not None and selected is not None:
                sink.address, sink.control = selected
                sink.own_socket = transport.own_socket
                sink.handle = sender.handle
                sink.tag_length = sender.tag_length
            sink.refresh()
        connected = all(one.transport.usable for one in self._transports)
        if connected is not self._connected:
            self._connected = connected
            if self._observer is not None:
                self._observer.media_connection_changed(connected)

    def rtcp_received(self, compound: bytes, now: float) -> None:
        try:
            told = int(self._told.left(now)) if self.path.transport is not None else 0
            packets = rtcp.parse(compound, int(self._retransmissions.left(now)), told)
        except rtcp.RtcpError:
            self._context.refuse(Refusal.RTCP_MALFORMED)
            return
        # Each sender report goes to every viewer. So if a compound has several reports of one SSRC, only the last
        # one is used.
        reports: dict[int, rtcp.SenderReport] = {}
        keyframe_wanted = False
        for packet in packets:
            match packet:
                case rtcp.SenderReport():
                    reports[packet.ssrc] = packet
                case rtcp.Nack():
                    self._retransmit(packet, now)
                case rtcp.KeyframeRequest():
                    keyframe_wanted |= self._is_new_wish(packet)
                case TransportFeedback() if self.path.transport is not None:
                    self._told.take(len(packet.arrivals), now)
                    self.path.transport.feedback(packet, now)
                case rtcp.Remb():
                    self.path.estimated(packet.bitrate, now)
                case rtcp.ReceiverReport():
                    self._note_reports(packet.blocks, now)
        if keyframe_wanted:
            self._pass_on_keyframe_wish(now)
        for report in reports.values():
            for track in self._tracks.values():
                track.sender_report(report, now)

    def _note_reports(self, blocks: Sequence[rtcp.ReportBlock], now: float) -> None:
        for block in blocks:
            for kind, ssrc in self._context.ssrcs.items():
                if block.ssrc == ssrc:
                    self.path.reported(kind, block, now)

    def _retransmit(self, nack: rtcp.Nack, now: float) -> None:
        for kind, sink in self._sinks.items():
            if nack.media_ssrc == self._context.ssrcs[kind] and sink.source is not None:
                numbers = tuple(dict.fromkeys(nack.sequence_numbers))
                sink.source.retransmit(sink, numbers[: self._retransmissions.take(len(numbers), now)], now)

    def _is_new_wish(self, request: rtcp.KeyframeRequest) -> bool:
        """Whether a request is about our video and is not a repetition."""
        if request.media_ssrc != self._context.ssrcs[MediaKind.VIDEO]:
            return False
        if request.command is not None:
            if request.command == self._last_command:
                return False
            self._last_command = request.command
        return True

    def _pass_on_keyframe_wish(self, now: float) -> None:
        """Report the wish to the source of our video, once for each compound, however many requests it has."""
        sink = self._sinks[MediaKind.VIDEO]
        if sink.source is not None:
            sink.keyframe_requests += 1
            sink.source.request_keyframe_for(sink, now)

    # Called by tracks and sinks

    @property
    def receive_limits(self) -> tuple[int, int]:
        return _limits(self.min_video_receive_bandwidth, self.max_video_receive_bandwidth)

    @property
    def send_limits(self) -> tuple[int, int]:
        return _limits(self.min_video_send_bandwidth, self.max_video_send_bandwidth)

    def send_rtcp(self, kind: MediaKind, compound: bytes) -> None:
        """Send RTCP about that kind of media over its transport."""
        if (carried := self._carriers.get(kind)) is not None:
            carried.transport.send_rtcp(compound)

    def receiving_changed(self, kind: MediaKind, flowing: bool) -> None:
        if self._observer is not None:
            self._observer.receiving_changed(kind, flowing)

    def sending_changed(self, kind: MediaKind, flowing: bool) -> None:
        if self._observer is not None:
            self._observer.sending_changed(kind, flowing)

    def speech_changed(self, speaks: bool) -> None:
        if self._observer is not None:
            self._observer.speech_changed(speaks)

    def layers_wanted(self, names: Collection[str]) -> None:
        if self._observer is not None:
            self._observer.layers_wanted(names)

    def codec_mismatched(self, reason: str) -> None:
        if self._observer is not None:
            self._observer.codec_mismatched(reason)

    # Called by the engine's clock

    def tick(self, now: float) -> None:
        """Send reports, and check flow and silence. Called every `report_interval`."""
        self.path.measure(sum(sink.octets + _HEADER * sink.packets for sink in self._sinks.values()), now)
        video = self._sinks[MediaKind.VIDEO]
        if self.path.claim is not None and isinstance(video.source, Track):
            # It was moved here from layers. Its packets are still numbered, so the others must leave room for it.
            self.path.claim.least = self.path.claim.taken = self.path.rate
        if video.keyframe_wish is not None and video.source is not None:
            video.source.renew_keyframe_wish(video, now)
        self._judge_picture(video, now)
        for carried in self._transports:
            carried.transport.check_silence(now)
            carried.transport.settle(now)
            self._report(carried, now)

    def _judge_picture(self, video: Sink, now: float) -> None:
        """Pause the picture if the path cannot carry it, and try it again later."""
        before = self._gate.picture
        fits = video.source.smallest_fits(video, now) if video.source is not None else None
        picture = self._gate.judge(self.path, video.group is not None and video.flowing, now, fits)
        if picture is Picture.PAUSED:
            if not video.paused:
                if before is Picture.SENT:
                    self._tell_pause(True)
                video.pause()
                self.path.paused()
        elif video.paused or (picture is Picture.TRIED and video.group is None):
            video.go_on(now)
        if before is Picture.TRIED and picture is Picture.SENT:
            self._tell_pause(False)

    def _tell_pause(self, paused: bool) -> None:
        if self._observer is not None:
            self._observer.pause_changed(MediaKind.VIDEO, paused)

    def _report(self, carried: MediaTransport, now: float) -> None:
        """Report what came over a transport."""
        reports: list[rtcp.ReportBlock] = []
        estimates = b""
        for track in dict.fromkeys(carried.by_payload_type.values()):  # A track may have several payload types.
            track.check_flow(now)
            track.renew(now)
            report = track.report(now)
            if report is not None:
                reports += report[0]
                estimates += report[1]
        if reports:
            ours = self._context.ssrcs[MediaKind.VIDEO]
            carried.transport.send_rtcp(
                rtcp.receiver_report(ours, reports)
                + rtcp.source_description(ours, self._context.cname)
                + estimates
            )


def _limits(least: int, greatest: int) -> tuple[int, int]:
    """Convert two bandwidths from kbit/s to bit/s."""
    return max(0, least) * _KILOBIT, max(0, greatest) * _KILOBIT
