"""A relay: one stream at another media server than the one to which its presenter sends it.

Two endpoints are connected with each other as a browser's would be with either. The one that sends is a viewer of
the stream where it comes from. That may be a relay, too, so that the relays of a stream are a tree.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

import trio

from roomfsm.kurento.candidates import BundledCandidates
from roomfsm.kurento.errors import KurentoError, RequestTimedOut
from roomfsm.kurento.events import (
    DtlsConnectionState,
    DtlsConnectionStateChange,
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
from roomfsm.protocol.errors import ErrorCode
from roomfsm.rooms.journal import Journal
from roomfsm.rooms.legs import LegFailed

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Source:
    """Where a stream can be had: the endpoint from which it flows into this pipeline."""

    pipeline: MediaPipeline
    endpoint: WebRtcEndpoint


_BOTH = (MediaType.AUDIO, MediaType.VIDEO)

type Opening[T] = Callable[[], AbstractAsyncContextManager[T]]


class Relay(Model):
    """One stream on its way to another media server. `key` names it in the journal."""

    def __init__(self, key: str, journal: Journal, connect_timeout: float) -> None:
        super().__init__(RELAY.initial)
        self.key = key
        self._journal = journal
        self._connect_timeout = connect_timeout
        self._patience = trio.CancelScope()
        self._flowing: set[MediaType] = set()
        journal.begin(RELAY.name, key, self.state)

    def fire(self, trigger: str) -> None:
        """Move the relay's machine."""
        step = RELAY.fire(self, trigger, None)
        self._journal.took(RELAY.name, self.key, step, final=RELAY.state(self.state).final)
        # The endpoints are scopes around whoever moves the machine.
        if CONNECT_TIMEOUT in step.left:
            self._patience.cancel()

    @asynccontextmanager
    async def open(
        self, above: Opening[Source], below: Opening[MediaPipeline], limits: BandwidthLimits
    ) -> AsyncIterator[Source]:
        """The stream in the pipeline `below`, from the source `above`.

        Raises `MediaServerError`, `LegFailed` and `SharedLost`, alone or in a group.
        """
        try:
            async with (
                above() as source,
                below() as pipeline,
                source.pipeline.endpoint(limits) as sender,
                pipeline.endpoint(limits) as receiver,
            ):
                await source.endpoint.connect(sender)
                offer = narrowed(await sender.generate_offer(), await source.endpoint.local_description())
                answer = await receiver.process_offer(offer)
                await sender.process_answer(answer)
                self.fire("described")
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._watch, sender, receiver, BundledCandidates(offer), False)
                    nursery.start_soon(self._watch, receiver, sender, BundledCandidates(answer), True)
                    nursery.start_soon(self._expect_connection)
                    await sender.gather_candidates()
                    await receiver.gather_candidates()
                    yield Source(pipeline, receiver)
                    nursery.cancel_scope.cancel()
        finally:
            self.fire("end")

    async def _expect_connection(self) -> None:
        with self._patience:
            await trio.sleep(self._connect_timeout)
            raise LegFailed(ErrorCode.MEDIA_FAILED, "no connection came up between two media servers")

    async def _watch(
        self,
        endpoint: WebRtcEndpoint,
        other: WebRtcEndpoint,
        candidates: BundledCandidates,
        receives: bool,
    ) -> None:
        async for event in endpoint.events:
            match event:
                case IceCandidateFound():
                    if (found := candidates.pick(event.candidate)) is not None:
                        try:
                            await other.add_ice_candidate(found)
                        except (KurentoError, RequestTimedOut) as error:
                            _log.debug("candidate of a relay refused", relay=self.key, error=str(error))
                case DtlsConnectionStateChange(state=DtlsConnectionState.CONNECTED):
                    self.fire("connected")
                case (
                    DtlsConnectionStateChange(state=DtlsConnectionState.CLOSED | DtlsConnectionState.FAILED)
                    | IceComponentStateChanged(state=IceComponentState.FAILED)
                    | MediaStateChanged(new_state=MediaState.DISCONNECTED)
                ):
                    raise LegFailed(ErrorCode.MEDIA_FAILED, "the connection between two media servers is lost")
                case MediaFlowOutStateChanged(media_type=media_type, state=state) if receives:
                    self._flow(media_type, flows=state is MediaFlowState.FLOWING)
                case SessionResumed():
                    # Events may have been lost.
                    if await endpoint.is_connected():
                        self.fire("connected")
                    for kind in _BOTH if receives else ():
                        self._flow(kind, flows=await endpoint.is_flowing_out(kind))
                case _:
                    pass

    def _flow(self, media_type: MediaType, *, flows: bool) -> None:
        self._flowing = self._flowing | {media_type} if flows else self._flowing - {media_type}
        self.fire("flowing" if self._flowing else "silent")
