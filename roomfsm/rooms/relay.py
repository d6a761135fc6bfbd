"""A relay: one stream at another media server than the one to which its presenter sends it.

Two endpoints are connected with each other as a browser's would be with either. The one that sends is a viewer of
the stream where it comes from. That may be a relay, too, so that the relays of a stream are a tree.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass

import trio

from roomfsm.kurento.candidates import BundledCandidates, IceCandidate
from roomfsm.kurento.errors import KurentoError, MediaServerError, RequestTimedOut
from roomfsm.kurento.events import (
    DtlsConnectionState,
    DtlsConnectionStateChange,
    EndpointEvent,
    IceCandidateFound,
    IceComponentState,
    IceComponentStateChanged,
    MediaFlowOutStateChanged,
    MediaFlowState,
    MediaState,
    MediaStateChanged,
    MediaType,
    SessionResumed,
)
from roomfsm.kurento.objects import BandwidthLimits, MediaPipeline, WebRtcEndpoint
from roomfsm.kurento.relay_offer import narrowed
from roomfsm.lifecycle.relay import RELAY
from roomfsm.lifecycle.stream import CONNECT_TIMEOUT
from roomfsm.lifecycle.table import Model
from roomfsm.log import get_logger
from roomfsm.rooms.journal import Journal
from roomfsm.rooms.shared import Fail

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Source:
    """Where a stream can be had: the endpoint from which it flows into this pipeline."""

    pipeline: MediaPipeline
    endpoint: WebRtcEndpoint


_BOTH = (MediaType.AUDIO, MediaType.VIDEO)


class RelayFailed(Exception):
    """A relay could not be made, or is lost. `url` is the address of the media server that is to blame."""

    def __init__(self, url: str, why: str) -> None:
        super().__init__(f"{url}: {why}")
        self.url = url


@contextmanager
def blamed(url: str) -> Iterator[None]:
    """An error of a media server here is the fault of the one at `url`. Raises `RelayFailed`."""
    try:
        yield
    except MediaServerError as error:
        raise RelayFailed(url, str(error)) from error


class Relay(Model):
    """One stream on its way to another media server. `key` names it in the journal.

    `patience` is the number of seconds in which the two media servers must be connected.
    """

    def __init__(self, key: str, journal: Journal, patience: float) -> None:
        super().__init__(RELAY.initial)
        self.key = key
        self._journal = journal
        self._patience = patience
        self._flowing: set[MediaType] = set()
        self._up = trio.Event()
        """Set when the two media servers are connected."""
        journal.begin(RELAY.name, key, self.state)

    def fire(self, trigger: str) -> None:
        """Move the relay's machine."""
        step = RELAY.fire(self, trigger, None)
        self._journal.took(RELAY.name, self.key, step, final=RELAY.state(self.state).final)
        # The endpoints are scopes around whoever moves the machine.
        if CONNECT_TIMEOUT in step.left:
            self._up.set()

    @asynccontextmanager
    async def open(
        self,
        above: Callable[[], AbstractAsyncContextManager[Source]],
        below: Callable[[], AbstractAsyncContextManager[MediaPipeline]],
        limits: BandwidthLimits,
        fail: Fail,
    ) -> AsyncIterator[Source]:
        """The stream in the pipeline `below`, from the source `above`, as soon as the two are connected.

        Raises `RelayFailed` and `SharedLost`. What fails later is told by `fail`.
        """
        try:
            async with above() as source, below() as pipeline, trio.open_nursery() as nursery:
                ours, theirs = source.pipeline.server_url, pipeline.server_url
                nursery.start_soon(self._expect_connection, theirs, fail)
                async with _endpoint(source.pipeline, limits) as sender, _endpoint(pipeline, limits) as receiver:
                    with blamed(ours):
                        await source.endpoint.connect(sender)
                        described = await source.endpoint.local_description()
                        offer = narrowed(await sender.generate_offer(), described)
                    with blamed(theirs):
                        answer = await receiver.process_offer(offer)
                    with blamed(ours):
                        await sender.process_answer(answer)
                    self.fire("described")
                    nursery.start_soon(self._watch, _Side(sender, receiver, offer), fail)
                    nursery.start_soon(self._watch, _Side(receiver, sender, answer, receives=True), fail)
                    with blamed(ours):
                        await sender.gather_candidates()
                    with blamed(theirs):
                        await receiver.gather_candidates()
                    await self._up.wait()
                    yield Source(pipeline, receiver)
                    nursery.cancel_scope.cancel()
        finally:
            self.fire("end")

    async def _expect_connection(self, url: str, fail: Fail) -> None:
        with trio.move_on_after(self._patience) as late:
            await self._up.wait()
        if late.cancelled_caught:
            fail(RelayFailed(url, "no connection came up between two media servers"))

    async def _watch(self, side: _Side, fail: Fail) -> None:
        """Pass candidates on and follow what an endpoint tells, until it tells that it is over."""
        url, candidates = side.endpoint.server_url, BundledCandidates(side.description)
        try:
            async for event in side.endpoint.events:
                if isinstance(event, IceCandidateFound):
                    if (found := candidates.pick(event.candidate)) is not None:
                        await self._pass_on(found, side.other)
                elif (why := _end_told_by(event)) is not None:
                    return fail(RelayFailed(url, why))
                else:
                    await self._follow(event, side)
        except MediaServerError as error:
            fail(RelayFailed(url, str(error)))

    async def _pass_on(self, candidate: IceCandidate, endpoint: WebRtcEndpoint) -> None:
        try:
            await endpoint.add_ice_candidate(candidate)
        except (KurentoError, RequestTimedOut) as error:
            _log.debug("candidate of a relay refused", relay=self.key, error=str(error))

    async def _follow(self, event: EndpointEvent, side: _Side) -> None:
        match event:
            case DtlsConnectionStateChange(state=DtlsConnectionState.CONNECTED):
                self.fire("connected")
            case MediaFlowOutStateChanged(media_type=media_type, state=state) if side.receives:
                self._flow(media_type, flows=state is MediaFlowState.FLOWING)
            case SessionResumed():
                # Events may have been lost.
                if await side.endpoint.is_connected():
                    self.fire("connected")
                for kind in _BOTH if side.receives else ():
                    self._flow(kind, flows=await side.endpoint.is_flowing_out(kind))
            case _:
                pass

    def _flow(self, media_type: MediaType, *, flows: bool) -> None:
        self._flowing = self._flowing | {media_type} if flows else self._flowing - {media_type}
        self.fire("flowing" if self._flowing else "silent")


@dataclass(frozen=True, slots=True)
class _Side:
    """One of the two endpoints, the other one, and the description that the other one got from it."""

    endpoint: WebRtcEndpoint
    other: WebRtcEndpoint
    description: str
    receives: bool = False


@asynccontextmanager
async def _endpoint(pipeline: MediaPipeline, limits: BandwidthLimits) -> AsyncIterator[WebRtcEndpoint]:
    """A new endpoint. Raises `RelayFailed`."""
    async with AsyncExitStack() as stack:
        with blamed(pipeline.server_url):
            endpoint = await stack.enter_async_context(pipeline.endpoint(limits))
        yield endpoint


def _end_told_by(event: EndpointEvent) -> str | None:
    """Why the connection is over, if the event says so."""
    match event:
        case (
            DtlsConnectionStateChange(state=DtlsConnectionState.CLOSED | DtlsConnectionState.FAILED)
            | IceComponentStateChanged(state=IceComponentState.FAILED)
            | MediaStateChanged(new_state=MediaState.DISCONNECTED)
        ):
            return "the connection between two media servers is lost"
    return None
