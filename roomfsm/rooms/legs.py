"""Legs: a leg is one browser's media connection with one endpoint at the media server.

A leg is a stream (the browser sends) or a view (the browser receives). Its task holds the endpoint as a scope, and
its machine says what the leg may do. Two parties move that machine: the leg's task, by what the media server
reports, and the room, which may `end` the leg at any time. Both run in the same thread and move it between two
checkpoints, so they cannot meet half way; but the task may learn of its end only later, at its next checkpoint.
So every event of the media server has a row in the state *ended*, where it does nothing.

Each leg has a generation number, because a stream of the same id may be published again while the endpoint of the
last one is still being released. A candidate of the browser belongs to one offer; if it names another one by its
username fragment, it comes from an earlier offer and is dropped.

The browser may send candidates before the endpoint can take them. They wait in a bounded channel, and the same
channel carries the later ones, so their order is kept.

If the browser's network changes, the browser restarts ICE: it sends a new offer, which the same endpoint answers.
Restarts are answered one after another, in the order in which they came. Whatever a media server says to one of
them, the leg goes on as it is; Kurento says that the endpoint has been negotiated already, and the browser then
has to ask for a new leg.

If the server was killed, media servers and browsers go on without it. A leg of the room that comes back then
*adopts* its endpoint: it has been answered, and asks for the rest. Its first offer is not known any more, but that
is only needed for candidates that come late, and a restart brings another one.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractAsyncContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import ClassVar, Protocol

import trio

from roomfsm.kurento.candidates import BundledCandidates, IceCandidate, is_mdns
from roomfsm.kurento.errors import (
    KurentoError,
    MediaServerError,
    MediaServerLost,
    ObjectGone,
    OfferRefused,
    RequestTimedOut,
    ResourcesExhausted,
    SdpInvalid,
)
from roomfsm.kurento.events import (
    DtlsConnectionState,
    DtlsConnectionStateChange,
    EndpointEvent,
    Error,
    IceCandidateFound,
    LayersWanted,
    MediaFlowInStateChanged,
    MediaFlowOutStateChanged,
    MediaFlowState,
    MediaPausedState,
    MediaPausedStateChanged,
    MediaType,
    SessionResumed,
    SpeakingState,
    SpeakingStateChanged,
    says_closed,
    says_lost,
)
from roomfsm.kurento.objects import PictureSize, WebRtcEndpoint
from roomfsm.lifecycle.stream import (
    CONNECT_TIMEOUT,
    ENDPOINT,
    STREAM,
    VIEW,
    WITH_MEDIA,
    StreamEffect,
    ViewEffect,
)
from roomfsm.lifecycle.table import Effect, Model, Table
from roomfsm.log import get_logger
from roomfsm.protocol.client import Candidate, Publish, Restart, message_type
from roomfsm.protocol.client import View as ViewMessage
from roomfsm.protocol.codec import error_of
from roomfsm.protocol.errors import ErrorCode, Refusal
from roomfsm.protocol.fields import Ref, Size, stream_id
from roomfsm.protocol.fields import Source as Published
from roomfsm.protocol.server import Answer, CandidateFound, StreamInfo
from roomfsm.rooms.allowance import UNBOUNDED, Cost, Meter, Rates
from roomfsm.rooms.journal import Journal
from roomfsm.rooms.lite_agents import lite_agent
from roomfsm.rooms.offer_words import about_offer
from roomfsm.rooms.participant import Participant
from roomfsm.rooms.settings import RoomSettings
from roomfsm.rooms.source import Source
from roomfsm.tracing import trace

_ALL = frozenset({MediaType.AUDIO, MediaType.VIDEO})
_PICTURES = {Size.SMALL: PictureSize.SMALL, Size.MEDIUM: PictureSize.MEDIUM, Size.LARGE: PictureSize.LARGE}
_RESTARTED = Cost(1.0)
_UNKEPT = frozenset({"speech"})
"""What happens so often that it would push all else out of the journal, and decides nothing."""
_UFRAG = re.compile(r"^a=ice-ufrag:(\S+)", re.MULTILINE)

_log = get_logger(__name__)

type OnChange = Callable[[Effect], None]
"""A function that is called with each effect by which the leg's new state is told."""
type OnAnswer = Callable[[], None]
"""A function that is called when the leg has been answered, before its browser is told."""


@dataclass(frozen=True, slots=True)
class Left:
    """What an earlier run of the server has left of a leg: the id of its endpoint, and its generation.

    `at` is the address of the media server to which the stream of a view is relayed.
    """

    endpoint: str
    generation: int
    at: str = ""


class Endpoints(Protocol):
    """The source of the legs' endpoints. Both scopes raise `MediaServerError`, and `sink` also `LegFailed`."""

    def source(self, left: str | None) -> AbstractAsyncContextManager[WebRtcEndpoint]:
        """An endpoint for a stream: a new one, or the one with this id that was left."""

    def sink(
        self, stream: Stream, left: str | None, at: str
    ) -> AbstractAsyncContextManager[tuple[Source, WebRtcEndpoint]]:
        """The source from which a view gets this stream, and an endpoint for the view, as with `source`.

        `at` is the address of the media server to which the stream of a view that was left is relayed.
        """


class LegFailed(Exception):
    """The endpoint can no longer be used. `refusal` tells the browser why, and `cause` is for the log."""

    def __init__(self, code: ErrorCode, detail: str | None, cause: str | None = None) -> None:
        super().__init__(cause or detail or code.explanation)
        self.refusal = Refusal(code, detail)


class Leg(Model, ABC):
    """One browser's media connection: it is negotiated once, gets candidates, and is watched until it ends.

    `ref` is the `ref` of the message that asked for the leg.
    """

    table: ClassVar[Table[None]]
    do: ClassVar[type[StreamEffect] | type[ViewEffect]]
    asked: ClassVar[str]
    """The client's message that asks for such a leg."""
    hears = False
    """Whether the media server finds out whether the leg's presenter speaks."""

    def __init__(
        self,
        stream_id: str,
        participant: Participant,
        offer: str,
        ref: Ref | None,
        settings: RoomSettings,
        on_change: OnChange,
        on_answer: OnAnswer,
        journal: Journal,
        left: Left | None,
    ) -> None:
        super().__init__(self.table.initial)
        self.id = stream_id
        self.participant = participant
        self.generation = participant.next_generation(stream_id) if left is None else left.generation
        self.left = None if left is None else left.endpoint
        """The id of the endpoint that it adopts; None if it begins anew."""
        self.endpoint_id = self.left
        """The id of its endpoint, once it has been answered."""
        self.settled = trio.Event()
        """Set when the state of what was left is known, or when the leg is over."""
        self.over = trio.Event()
        """Set when the leg is over, before its endpoint is released."""
        self._scope = trio.CancelScope()
        self.ref = ref
        self.offer = offer
        self._ufrags = frozenset(_UFRAG.findall(offer))
        self._settings = settings
        self._on_change = on_change
        self._on_answer = on_answer
        # What flows in a leg that is adopted has flowed all the time: nothing must be done to show it.
        self._flowing: set[MediaType] = set() if left is None else set(_ALL)
        self._patience = trio.CancelScope()
        self._begun = ExitStack()
        """The trace of how the leg began. It ends when the offer has been answered."""
        self._keep, self._kept = trio.open_memory_channel[IceCandidate](settings.candidate_buffer)
        self._restarts: list[Restart] = []
        """The restarts that have not been answered. The media server has the first one."""
        rate = settings.restart_rate
        self._restart_rates = Rates(rate, UNBOUNDED.bytes, settings.restart_burst / rate)
        self._restarted = Meter()
        self._journal = journal
        self._working: tuple[trio.Nursery, WebRtcEndpoint] | None = None
        """The nursery and the endpoint of a leg that has been answered and has not ended."""
        self._asked_at: float | None = trio.current_time() if left is None else None
        """When the leg began; None after media have flowed, and for a leg that began earlier."""
        self._leave: dict[str, Callable[[], None]] = {
            ENDPOINT: self._scope.cancel,
            CONNECT_TIMEOUT: self._patience.cancel,
        }
        journal.begin(self.table.name, self.key, self.state)
        if left is not None:
            # It has been: whatever follows from that was done then.
            self.fire("answered")

    def fire(self, trigger: str) -> tuple[Effect, ...]:
        """Move the leg's machine. Returns the effects to carry out."""
        step = self.table.fire(self, trigger, None)
        ended = self.table.state(self.state).final
        if trigger not in _UNKEPT:
            self._journal.took(self.table.name, self.key, step, who=self.participant.id, final=ended)
        if self._asked_at is not None and step.dest in WITH_MEDIA:
            self._journal.counts.starts[self.table.name].observe(trio.current_time() - self._asked_at)
            self._asked_at = None
        for resource in step.left:
            self._leave[resource]()
        return step.effects

    @property
    def told_state(self) -> str:
        """The name of the leg's state in the protocol's messages."""
        return self.table.state(self.state).told

    @property
    def key(self) -> str:
        """A name that no other leg of this kind has or had in the room: '<stream>#<generation>'."""
        return f"{self.id}#{self.generation}"

    async def run(self, endpoints: Endpoints) -> Refusal | None:
        """Hold an endpoint until `end`. If the leg itself fails, this returns what the browser is told.

        It returns None if the leg was ended, and also if the media server was lost: then all legs of the
        broadcast are lost, and the broadcast reports that once to the room.
        """
        refusal: Refusal | None = None
        try:
            with self._scope, self._begun:
                facts = {"session": self.participant.id, "stream": self.id}
                self._begun.enter_context(trace(self.asked, **facts))
                await self._hold(endpoints)
        except* (MediaServerError, LegFailed) as group:
            refusal = refusal_of(group, self.offer)
        finally:
            self.settled.set()
        return refusal

    @abstractmethod
    async def _hold(self, endpoints: Endpoints) -> None:
        """Open the endpoint and negotiate. Raises `LegFailed` or `MediaServerError`, alone or in a group."""

    def end(self, refusal: Refusal) -> bool:
        """End the leg: its task is cancelled, which releases its endpoint.

        If the offer has not been answered yet, its sender gets `refusal` as the answer, and this returns True.
        """
        refused = self.do.REFUSE_OFFER in self.fire("end")
        self.over.set()
        if refused:
            self.participant.send(error_of(refusal, self.ref, self.asked, stream=self.id))
        for restart in self._restarts:
            self._refuse_restart(restart, refusal)
        self._restarts.clear()
        return refused

    def take(self, message: Candidate) -> None:
        """Keep a candidate of the browser until the endpoint can take it.

        A candidate of an earlier offer is dropped. Raises `Refusal` with `TOO_MANY_CANDIDATES`.
        """
        if self.do.KEEP_CANDIDATE not in self.fire("candidate"):
            return
        if message.username_fragment is not None and message.username_fragment not in self._ufrags:
            return
        # Kurento needs the mid and the index of the m-line; a browser may send only one of them.
        index = message.sdp_m_line_index or 0
        candidate = IceCandidate(
            candidate=message.candidate, sdp_mid=message.sdp_mid or str(index), sdp_m_line_index=index
        )
        if not candidate.candidate or is_mdns(candidate):
            return
        try:
            self._keep.send_nowait(candidate)
        except trio.WouldBlock:
            raise Refusal(ErrorCode.TOO_MANY_CANDIDATES) from None

    @property
    def restart_fits(self) -> bool:
        """Whether one more restart may wait for its answer."""
        return len(self._restarts) < self._settings.restart_buffer

    @property
    def restart_due(self) -> bool:
        """Whether it has not been restarted too often lately."""
        self._restarted.run_down(self._restart_rates, trio.current_time())
        return self._restarted.has_place(self._restart_rates, _RESTARTED)

    def restart(self, message: Restart) -> None:
        """Have a new offer of the same connection answered, if `restart_fits` and `restart_due`.

        Raises `IllegalInState` while the first offer has no answer.
        """
        if self.do.RESTART not in self.fire("restart"):
            return
        self._restarted.use(_RESTARTED)
        # The candidates of the new offer follow it at once.
        self._ufrags = frozenset(_UFRAG.findall(message.sdp))
        self._restarts.append(message)
        if len(self._restarts) == 1 and self._working is not None:
            nursery, endpoint = self._working
            nursery.start_soon(self._answer_restarts, endpoint)

    async def _answer_restarts(self, endpoint: WebRtcEndpoint) -> None:
        while self._restarts:
            restart = self._restarts[0]
            answer: str | None = None
            try:
                answer = await endpoint.process_offer(restart.sdp)
            except ObjectGone:
                raise
            except (KurentoError, RequestTimedOut) as error:
                # A client may have as many restarts refused as it likes.
                _log.debug("restart refused", leg=self.key, why=type(error).__name__)
            if not self._restarts:
                return  # The leg has ended meanwhile, and the sender has been told.
            self._restarts.pop(0)
            if answer is None:
                if not self._restarts:
                    # The connection goes on with the last offer that was answered.
                    self._ufrags = frozenset(_UFRAG.findall(self.offer))
                self._refuse_restart(restart, Refusal(ErrorCode.RESTART_REFUSED))
            else:
                self.offer = restart.sdp
                self._send_answer(answer, restart.ref)

    def _send_answer(self, sdp: str, ref: Ref | None) -> None:
        self.participant.send(Answer(stream=self.id, sdp=sdp, hears=self.hears, ref=ref))

    def _refuse_restart(self, restart: Restart, refusal: Refusal) -> None:
        self.participant.send(error_of(refusal, restart.ref, message_type(restart), stream=self.id))

    async def _negotiate(self, endpoint: WebRtcEndpoint) -> None:
        """Answer the offer, if nobody has. Then pass candidates both ways and watch the endpoint, until it ends.

        Raises `LegFailed` when the media connection is over, or `MediaServerError`.
        """
        answer = ""
        if self.left is None:
            if (fault := lite_agent(self.offer)) is not None:
                raise LegFailed(ErrorCode.SDP_INVALID, fault)
            answer = await endpoint.process_offer(self.offer)
        await self._learn(endpoint, answer)
        if self.left is None and self.do.SEND_ANSWER in self.fire("answered"):
            self.endpoint_id = endpoint.id
            self._on_answer()
            self._send_answer(answer, self.ref)
        self._begun.close()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._watch, endpoint, BundledCandidates(answer))
            nursery.start_soon(self._expect_connection)
            self._working = nursery, endpoint
            self._negotiated()
            try:
                if self.left is None:
                    await endpoint.gather_candidates()
                else:
                    # These came before the endpoint was adopted. Their candidates follow them.
                    await self._answer_restarts(endpoint)
                await endpoint.add_ice_candidates(self._kept)
            finally:
                # From here on the nursery takes no more tasks.
                self._working = None

    async def _learn(self, endpoint: WebRtcEndpoint, answer: str) -> None:
        """Learn what the endpoint can do by its answer, which is empty if an earlier run has got it."""

    def _negotiated(self) -> None:
        """The offer has been answered."""

    async def _expect_connection(self) -> None:
        with self._patience:
            await trio.sleep(self._settings.connect_timeout)
            raise LegFailed(ErrorCode.MEDIA_FAILED, "no media connection came up between browser and media server")

    async def _watch(self, endpoint: WebRtcEndpoint, candidates: BundledCandidates) -> None:
        async for event in endpoint.events:
            match event:
                case IceCandidateFound():
                    if (found := candidates.pick(event.candidate)) is not None:
                        self._send_candidate(found)
                case DtlsConnectionStateChange(state=DtlsConnectionState.CONNECTED):
                    await self._move("connected", endpoint, begun=self._flowing)
                case _ if says_closed(event):
                    raise LegFailed(ErrorCode.MEDIA_FAILED, "the browser closed its media connection")
                case _ if says_lost(event):
                    raise LegFailed(ErrorCode.MEDIA_FAILED, "the media connection to the browser is lost")
                case Error(type="STREAM_ERROR_CODEC_NOT_FOUND" | "STREAM_ERROR_DECRYPT", description=description):
                    raise LegFailed(ErrorCode.MEDIA_FAILED, about_offer(description, self.offer), description)
                case SessionResumed():
                    # The events of the time without a connection to the media server are lost, so we ask.
                    if await endpoint.is_connected():
                        await self._move("connected", endpoint, begun=self._flowing)
                    await self._ask_flow(endpoint)
                    self.settled.set()
                case _:
                    await self._follow(event, endpoint)

    def _send_candidate(self, found: IceCandidate) -> None:
        self.participant.send(
            CandidateFound(
                stream=self.id,
                candidate=found.candidate,
                sdp_mid=found.sdp_mid or "0",
                sdp_m_line_index=found.sdp_m_line_index or 0,
            )
        )

    @abstractmethod
    def _flow_of(self, event: EndpointEvent) -> tuple[MediaType, MediaFlowState] | None:
        """The media type and its state, if the event reports the flow that makes this leg live; else None."""

    @abstractmethod
    async def _is_flowing(self, endpoint: WebRtcEndpoint, media_type: MediaType) -> bool:
        """Ask the media server for the state that `_flow_of` reads from events."""

    async def _ask_flow(self, endpoint: WebRtcEndpoint) -> None:
        flowing = {
            media_type
            for media_type in (MediaType.AUDIO, MediaType.VIDEO)
            if await self._is_flowing(endpoint, media_type)
        }
        await self._flow(flowing, endpoint)

    async def _follow(self, event: EndpointEvent, endpoint: WebRtcEndpoint) -> None:
        match self._flow_of(event):
            case (media_type, MediaFlowState.FLOWING):
                await self._flow(self._flowing | {media_type}, endpoint)
            case (media_type, _):
                await self._flow(self._flowing - {media_type}, endpoint)

    async def _flow(self, flowing: set[MediaType], endpoint: WebRtcEndpoint) -> None:
        begun, self._flowing = flowing - self._flowing, flowing
        await self._move("flowing" if flowing else "silent", endpoint, begun=begun)

    async def _move(
        self, trigger: str, endpoint: WebRtcEndpoint, begun: Collection[MediaType] = frozenset()
    ) -> None:
        """Move the leg's machine by what the media server sees, and carry out the effects.

        `begun` are the media that have just begun to flow between the media server and the browser.
        """
        for effect in self.fire(trigger):
            if effect is not ViewEffect.ASK_KEYFRAME:
                self._on_change(effect)
            elif MediaType.VIDEO in begun:
                await self._ask_keyframe(endpoint)

    async def _ask_keyframe(self, endpoint: WebRtcEndpoint) -> None:
        """Ask for a keyframe. The browser shows nothing before it gets one.

        This must not be called before video has reached the endpoint: until then Kurento refuses the request
        (40111), and if the presenter sends only audio, it always does. A refused request is no failure of the
        view, because the presenter's browser sends keyframes by itself as well.
        """
        try:
            await endpoint.request_keyframe()
        except (KurentoError, RequestTimedOut) as error:
            _log.debug("no keyframe can be asked for", view=self.key, error=str(error))


class Stream(Leg):
    """What a presenter publishes."""

    table = STREAM
    do = StreamEffect
    asked = message_type(Publish)

    def __init__(
        self,
        message: Publish,
        participant: Participant,
        settings: RoomSettings,
        on_change: OnChange,
        on_answer: OnAnswer,
        journal: Journal,
        left: Left | None = None,
    ) -> None:
        super().__init__(
            stream_id(participant.id, message.source),
            participant,
            message.sdp,
            message.ref,
            settings,
            on_change,
            on_answer,
            journal,
            left,
        )
        self.source = message.source
        self.views: dict[str, View] = {}
        self.layers: tuple[str, ...] | None = None
        """The layers of the picture that viewers can use; None if all can be used, or there is only one."""
        self.speaks: bool | None = None
        """Whether the presenter speaks by the media server's word; None while that does not hear it."""
        self.answered = trio.Event()
        """Set when its offer has been answered."""
        self._endpoint: WebRtcEndpoint | None = None
        self._has_endpoint = trio.Event()

    def info(self) -> StreamInfo:
        """The stream as everybody in the room sees it."""
        return StreamInfo(
            id=self.id,
            participant=self.participant.id,
            source=self.source,
            state=self.told_state,
            generation=self.generation,
            viewers=len(self.views),
        )

    async def _learn(self, endpoint: WebRtcEndpoint, answer: str) -> None:
        # The sound of a shared screen is nobody's speech.
        self.hears = self.source is Published.CAMERA and await endpoint.hears(answer)

    def _negotiated(self) -> None:
        self.answered.set()
        if self.hears and self._working is not None:
            nursery, endpoint = self._working
            nursery.start_soon(endpoint.follow_speech)
            self._hear(False)

    async def endpoint(self) -> WebRtcEndpoint:
        """Wait until the stream has an endpoint, and return that."""
        await self._has_endpoint.wait()
        assert self._endpoint is not None
        return self._endpoint

    async def _hold(self, endpoints: Endpoints) -> None:
        async with endpoints.source(self.left) as endpoint:
            self._endpoint = endpoint
            self._has_endpoint.set()
            await self._negotiate(endpoint)

    def _flow_of(self, event: EndpointEvent) -> tuple[MediaType, MediaFlowState] | None:
        # For Kurento, a presenter's media flow *out* of its endpoint, into the pipeline.
        match event:
            case MediaFlowOutStateChanged(media_type=media_type, state=state):
                return media_type, state
        return None

    async def _follow(self, event: EndpointEvent, endpoint: WebRtcEndpoint) -> None:
        match event:
            case LayersWanted(layers=layers):
                await self._use(layers, endpoint)
            case SpeakingStateChanged(state=state):
                self._hear(state is SpeakingState.SPEAKING)
            case _:
                await super()._follow(event, endpoint)

    async def _ask_flow(self, endpoint: WebRtcEndpoint) -> None:
        await super()._ask_flow(endpoint)
        if (layers := await endpoint.layers_wanted()) is not None:
            await self._use(layers, endpoint)
        if self.hears:
            self._hear(await endpoint.is_speaking())

    def _hear(self, speaks: bool) -> None:
        if speaks is not self.speaks:
            self.speaks = speaks
            for effect in self.fire("speech"):
                self._on_change(effect)

    async def _use(self, layers: tuple[str, ...], endpoint: WebRtcEndpoint) -> None:
        if layers != self.layers:
            self.layers = layers
            await self._move("layers", endpoint)

    async def _is_flowing(self, endpoint: WebRtcEndpoint, media_type: MediaType) -> bool:
        return await endpoint.is_flowing_out(media_type)


class View(Leg):
    """One viewer's reception of a stream."""

    table = VIEW
    do = ViewEffect
    asked = message_type(ViewMessage)

    def __init__(
        self,
        message: ViewMessage,
        stream: Stream,
        participant: Participant,
        settings: RoomSettings,
        on_change: OnChange,
        on_answer: OnAnswer,
        journal: Journal,
        left: Left | None = None,
    ) -> None:
        super().__init__(
            stream.id, participant, message.sdp, message.ref, settings, on_change, on_answer, journal, left
        )
        self.stream = stream
        self.at = "" if left is None else left.at
        """The address of the media server to which the stream is relayed for it; empty if it is at the home."""
        self.reason: str | None = None
        """The reason for the view's state that its viewer was told; None if there was none."""
        self._source: Source | None = None
        """Where the view gets the stream: at the stream's own endpoint, or that of a relay."""
        self._fed_by: WebRtcEndpoint | None = None
        """The endpoint of the source that is, or was, connected to the view."""
        self._size = Size.LARGE
        self._size_told = left is None
        """Whether the viewer has told this run how large the picture is seen."""
        self._passing: frozenset[MediaType] = frozenset()
        """The media that are connected to the view from there."""
        self._shown = PictureSize.LARGE if left is None else None
        """The size of the picture that the media server knows; None if that is not known here."""
        self._adapting = False
        self._flow_unknown = False
        """Whether the media server must be asked about the flow, because the picture was not wanted meanwhile."""
        if message.size is not Size.LARGE:
            self.adjust(message.size)

    @property
    def key(self) -> str:
        return f"{self.participant.id}>{self.id}#{self.generation}"

    async def _hold(self, endpoints: Endpoints) -> None:
        async with endpoints.sink(self.stream, self.left, self.at) as (source, endpoint):
            self._source, self.at = source, source.at
            if self.left is None:
                await endpoint.is_viewed_by(self.participant.id)
                await self._show(endpoint)
                await self._connect(source, endpoint)
            else:
                self._fed_by = await source.after(None)
                self._passing = _ALL & await self._fed_by.connected_to(endpoint)
                # The view may have ended meanwhile.
                await trio.lowlevel.checkpoint_if_cancelled()
                # From a relay that had to be made anew nothing is passed on yet.
                made_anew = source.at and not self._passing
                if not self._size_told and MediaType.VIDEO not in self._passing and not made_anew:
                    self.adjust(Size.NONE)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._follow_source, source)
                await self._negotiate(endpoint)
                nursery.cancel_scope.cancel()

    async def _connect(self, source: Source, endpoint: WebRtcEndpoint) -> None:
        """Connect the view before its offer is answered: the answer depends on the codecs of the stream."""
        while self._fed_by is None:
            feeding, wanted = await source.after(None), self._wanted
            with _unless_replaced(source, feeding):
                for kind in (None,) if wanted == _ALL else sorted(wanted):
                    await feeding.connect(endpoint, kind)
                self._fed_by, self._passing = feeding, wanted

    async def _follow_source(self, source: Source) -> None:
        """Connect the view again whenever another endpoint feeds it."""
        feeding = self._fed_by
        while True:
            feeding = await source.after(feeding)
            self.adapt()

    @property
    def paused(self) -> bool:
        """Whether the viewer does not want the picture."""
        return self._size is Size.NONE

    @property
    def _wanted(self) -> frozenset[MediaType]:
        """The media of the stream that its presenter may send, and that the viewer wants."""
        sound = {MediaType.AUDIO} if self.stream.participant.audible else set()
        picture = set() if self.paused else {MediaType.VIDEO}
        return frozenset(sound | picture)

    def adjust(self, size: Size) -> None:
        """Note how large the viewer sees the picture, and begin or cease to send it if that changes anything."""
        self._size, self._size_told = size, True
        if size is Size.NONE:
            self.reason = None
            # How long such a view takes to begin says nothing.
            self._asked_at = None
        before = self.state
        self.fire("picture_off" if size is Size.NONE else "picture_on")
        self._flow_unknown = size is not Size.NONE and self.state != before
        self.adapt()

    @property
    def _fitting(self) -> PictureSize | None:
        """The size of the picture that the media server should know. A picture that is not wanted has none."""
        return _PICTURES.get(self._size, self._shown) if self._size_told else self._shown

    async def _show(self, endpoint: WebRtcEndpoint) -> None:
        """Tell the media server how large the viewer sees the picture, if it does not know."""
        size = self._fitting
        if size is not None and size is not self._shown:
            self._shown = size
            await endpoint.show_picture(size)

    def _negotiated(self) -> None:
        # The presenter or the viewer may have decided otherwise since the endpoints were connected.
        self.adapt()

    def adapt(self) -> None:
        """Pass on to the viewer what is wanted, if that has changed.

        A view that is not answered yet does so as soon as it is.
        """
        if self._working is None or self._adapting or self._as_wanted:
            return
        nursery, endpoint = self._working
        self._adapting = True
        nursery.start_soon(self._adapt, endpoint)

    @property
    def _as_wanted(self) -> bool:
        """Whether nothing has to be done, or can be, because the source has no endpoint now."""
        assert self._source is not None
        feeding = self._source.endpoint
        as_wanted = self._wanted == self._passing and not self._flow_unknown and self._fitting is self._shown
        return feeding is None or (as_wanted and feeding is self._fed_by)

    async def _adapt(self, endpoint: WebRtcEndpoint) -> None:
        """Connect and disconnect until it is as it is wanted, which may change meanwhile."""
        source = self._source
        assert source is not None
        # A viewer may think better of it at once.
        await trio.lowlevel.checkpoint()
        while not self._as_wanted:
            await self._show(endpoint)
            if (feeding := source.endpoint) is None:
                break  # There will be another one, and it is done then.
            if feeding is not self._fed_by:
                self._fed_by, self._passing = feeding, frozenset()
            with _unless_replaced(source, feeding):
                await self._pass(feeding, endpoint, self._wanted)
        self._adapting = False

    async def _pass(self, feeding: WebRtcEndpoint, endpoint: WebRtcEndpoint, wanted: frozenset[MediaType]) -> None:
        """Have the view fed with what is wanted."""
        for kind in sorted(self._passing - wanted):
            await feeding.disconnect(endpoint, kind)
        begun = wanted - self._passing
        for kind in sorted(begun):
            await feeding.connect(endpoint, kind)
        self._passing = wanted
        asks = MediaType.VIDEO in begun or (self._flow_unknown and MediaType.VIDEO in wanted)
        self._flow_unknown = False
        if asks:
            # Even if the media server did not notice the pause, the viewer needs a keyframe after it.
            self._flowing = self._flowing - {MediaType.VIDEO}
            await self._ask_flow(endpoint)

    def _flow_of(self, event: EndpointEvent) -> tuple[MediaType, MediaFlowState] | None:
        match event:
            case MediaFlowInStateChanged(media_type=media_type, state=state):
                return media_type, state
        return None

    async def _follow(self, event: EndpointEvent, endpoint: WebRtcEndpoint) -> None:
        match event:
            case MediaPausedStateChanged(media_type=MediaType.VIDEO, state=state):
                await self._move("narrow" if state is MediaPausedState.PAUSED else "wide", endpoint)
            case _:
                await super()._follow(event, endpoint)

    async def _ask_flow(self, endpoint: WebRtcEndpoint) -> None:
        # We report a path that became slow before the flow of media, and a path that became good after it.
        # Otherwise the viewer would be told of a state that the view was never in.
        paused = await endpoint.is_paused(MediaType.VIDEO)
        if paused:
            await self._move("narrow", endpoint)
        await super()._ask_flow(endpoint)
        if not paused:
            await self._move("wide", endpoint)

    async def _is_flowing(self, endpoint: WebRtcEndpoint, media_type: MediaType) -> bool:
        return await endpoint.is_flowing_in(media_type)


@contextmanager
def _unless_replaced(source: Source, feeding: WebRtcEndpoint) -> Iterator[None]:
    """What is done with an endpoint that is gone, because another one has its place now, is done again."""
    try:
        yield
    except ObjectGone:
        if source.endpoint is feeding:
            raise


def refusal_of(group: BaseExceptionGroup[MediaServerError | LegFailed], offer: str) -> Refusal | None:
    """What the browser is told when its leg failed; None if the media server was lost, which the room handles.

    The browser gets the media server's own words only if they are about its offer (`about_offer`). All other words
    may name internal addresses and objects. They go to the log alone, as the refusal's `__cause__`.
    """
    errors = leaves(group)
    refusal = Refusal(ErrorCode.MEDIA_FAILED)
    for error in errors:
        match error:
            case MediaServerLost():
                return None
            case LegFailed():
                refusal = error.refusal
            case SdpInvalid():
                refusal = Refusal(ErrorCode.SDP_INVALID, about_offer(error.message, offer))
            case OfferRefused():
                refusal = Refusal(ErrorCode.MEDIA_FAILED, about_offer(error.message, offer))
            case ResourcesExhausted():
                refusal = Refusal(ErrorCode.MEDIA_FULL)
            case _:
                continue
        refusal.__cause__ = error
        return refusal
    refusal.__cause__ = errors[0]
    return refusal


def leaves[E: BaseException](group: BaseExceptionGroup[E]) -> list[E]:
    """The errors in a group and in the groups inside it, as one flat list."""
    flat: list[E] = []
    for error in group.exceptions:
        flat += leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return flat
