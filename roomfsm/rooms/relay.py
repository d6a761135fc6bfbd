"""A relay: one stream at another media server than the one to which its presenter sends it.

Two endpoints are connected with each other as a browser's would be with either. The one that sends is a viewer of
the stream where it comes from. That may be a relay, too, so that the relays of a stream are a tree.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace

import trio

from roomfsm.kurento.candidates import BundledCandidates, IceCandidate
from roomfsm.kurento.errors import KurentoError, MediaServerError, ObjectGone, RequestTimedOut
from roomfsm.kurento.events import (
    DtlsConnectionState,
    DtlsConnectionStateChange,
    EndpointEvent,
    IceCandidateFound,
    MediaFlowOutStateChanged,
    MediaFlowState,
    MediaType,
    SessionResumed,
    says_closed,
    says_lost,
)
from roomfsm.kurento.objects import BandwidthLimits, MediaPipeline, WebRtcEndpoint
from roomfsm.kurento.relay_offer import narrowed
from roomfsm.lifecycle.relay import RELAY
from roomfsm.lifecycle.stream import CONNECT_TIMEOUT
from roomfsm.lifecycle.table import Model
from roomfsm.log import get_logger
from roomfsm.rooms.journal import Journal
from roomfsm.rooms.legs import leaves
from roomfsm.rooms.shared import Fail, SharedLost
from roomfsm.rooms.source import Source

_log = get_logger(__name__)


_LOST = "the connection between two media servers is lost"
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


@dataclass(frozen=True, slots=True)
class Ends:
    """The ids of the two endpoints of a relay."""

    sender: str
    receiver: str


class Relay(Model):
    """One stream on its way to another media server. `key` names it in the journal.

    `patience` is the number of seconds in which the two media servers must be connected. If they lose each other
    later, the relay is made anew, but not twice within `pause` seconds. `on_up` is called whenever they are
    connected. `left` are the endpoints of a relay that an earlier run of the server has left.
    """

    def __init__(
        self,
        key: str,
        journal: Journal,
        patience: float,
        pause: float,
        on_up: Callable[[], None],
        left: Ends | None = None,
    ) -> None:
        super().__init__(RELAY.initial)
        self.key = key
        self._journal = journal
        self._patience = patience
        self._pause = pause
        self._on_up = on_up
        self._left = left
        self.ends = left
        """Its endpoints, or those that it is about to adopt; None while it is not connected."""
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
        if CONNECT_TIMEOUT in step.entered:
            self._up = trio.Event()

    @asynccontextmanager
    async def open(
        self,
        above: Callable[[], AbstractAsyncContextManager[Source]],
        below: Callable[[], AbstractAsyncContextManager[MediaPipeline]],
        limits: BandwidthLimits,
        fail: Fail,
    ) -> AsyncIterator[Source]:
        """The stream in the pipeline `below`, from the source `above`, as soon as the two are connected.

        When the relay is made anew, `above` is asked again. Raises `SharedLost` if the pipeline is lost. Any other
        failure is told by `fail`.
        """
        try:
            async with below() as pipeline, trio.open_nursery() as nursery:
                source = Source(pipeline, at=pipeline.server_url)
                nursery.start_soon(self._keep_up, above, source, limits, fail)
                await source.after(None)
                yield source
                nursery.cancel_scope.cancel()
        finally:
            self.fire("end")

    async def _keep_up(
        self,
        above: Callable[[], AbstractAsyncContextManager[Source]],
        source: Source,
        limits: BandwidthLimits,
        fail: Fail,
    ) -> None:
        """Make the relay, and make it anew when it is lost, until it cannot be made."""
        remade = -math.inf
        while True:
            why = await self._make(above, source, limits)
            now = trio.current_time()
            if "lost" not in RELAY.legal(self.state) or now < remade + self._pause:
                return fail(why)
            _log.info("relay lost, and made anew", relay=self.key, error=str(why))
            self.fire("lost")
            remade = now

    async def _make(
        self,
        above: Callable[[], AbstractAsyncContextManager[Source]],
        source: Source,
        limits: BandwidthLimits,
    ) -> Exception:
        """Make the relay, and hold it until it is lost. Returns why it is."""
        errors: list[Exception] = []
        self._flowing = set()
        try:
            async with above() as origin, trio.open_nursery() as nursery:
                nursery.start_soon(self._expect_connection, source.pipeline.server_url)
                left, self._left = self._left, None
                if left is not None:
                    # It has been.
                    self.fire("described")
                    self.fire("connected")
                async with _pair(origin.pipeline, source.pipeline, limits, left) as (sender, receiver):
                    if left is None:
                        await self._connect(origin, sender, receiver, nursery)
                    else:
                        await self._go_on(origin, sender, receiver, nursery)
                    await self._up.wait()
                    self.ends = Ends(sender.id, receiver.id)
                    self._on_up()
                    source.replace(receiver)
                    try:
                        await trio.sleep_forever()
                    finally:
                        # Before it is released: whoever finds it gone then knows that there will be another one.
                        source.replace(None)
        except* (RelayFailed, SharedLost) as group:
            errors = leaves(group)
        self.ends = None
        return errors[0]

    async def _connect(
        self, origin: Source, sender: WebRtcEndpoint, receiver: WebRtcEndpoint, nursery: trio.Nursery
    ) -> None:
        """Let the two describe themselves to each other, and pass their candidates on in the nursery.

        Raises `RelayFailed`.
        """
        ours, theirs = sender.server_url, receiver.server_url
        feeding = await origin.after(None)
        with blamed(ours):
            await feeding.connect(sender)
            described = await feeding.local_description()
            offer = narrowed(await sender.generate_offer(), described)
        with blamed(theirs):
            answer = await receiver.process_offer(offer)
        with blamed(ours):
            await sender.process_answer(answer)
        self.fire("described")
        self._follow_both(
            origin, feeding, _Side(sender, receiver, offer), _Side(receiver, sender, answer), nursery
        )
        with blamed(ours):
            await sender.gather_candidates()
        with blamed(theirs):
            await receiver.gather_candidates()

    async def _go_on(
        self, origin: Source, sender: WebRtcEndpoint, receiver: WebRtcEndpoint, nursery: trio.Nursery
    ) -> None:
        """Follow two endpoints that are connected already. Raises `RelayFailed`."""
        feeding = await origin.after(None)
        with blamed(sender.server_url):
            if not await feeding.connected_to(sender):
                await feeding.connect(sender)
        self._follow_both(origin, feeding, _Side(sender, receiver, ""), _Side(receiver, sender, ""), nursery)

    def _follow_both(
        self, origin: Source, feeding: WebRtcEndpoint, sender: _Side, receiver: _Side, nursery: trio.Nursery
    ) -> None:
        nursery.start_soon(_feed, origin, feeding, sender.endpoint)
        nursery.start_soon(self._watch, sender)
        nursery.start_soon(self._watch, replace(receiver, receives=True))

    async def _expect_connection(self, url: str) -> None:
        with trio.move_on_after(self._patience) as late:
            await self._up.wait()
        if late.cancelled_caught:
            raise RelayFailed(url, "no connection came up between two media servers")

    async def _watch(self, side: _Side) -> None:
        """Pass candidates on and follow what an endpoint tells, until it tells that it is over.

        Raises `RelayFailed`.
        """
        url, candidates = side.endpoint.server_url, BundledCandidates(side.description)
        with blamed(url):
            async for event in side.endpoint.events:
                if isinstance(event, IceCandidateFound):
                    if (found := candidates.pick(event.candidate)) is not None:
                        await self._pass_on(found, side.other)
                elif says_closed(event) or says_lost(event):
                    raise RelayFailed(url, _LOST)
                else:
                    await self._follow(event, side)

    async def _pass_on(self, candidate: IceCandidate, endpoint: WebRtcEndpoint) -> None:
        with blamed(endpoint.server_url):
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
                elif "lost" in RELAY.legal(self.state):
                    raise RelayFailed(side.endpoint.server_url, _LOST)
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
async def _pair(
    above: MediaPipeline, below: MediaPipeline, limits: BandwidthLimits, left: Ends | None
) -> AsyncIterator[tuple[WebRtcEndpoint, WebRtcEndpoint]]:
    """An endpoint in each of two pipelines, a new one or the one that was left.

    At the end neither waits for the release of the other. Raises `RelayFailed`, alone or in a group.
    """

    async def hold(
        pipeline: MediaPipeline, left: str | None, *, task_status: trio.TaskStatus[WebRtcEndpoint]
    ) -> None:
        opening = pipeline.endpoint(limits) if left is None else pipeline.adopt(left)
        with blamed(pipeline.server_url):
            async with opening as endpoint:
                endpoint.relays()
                task_status.started(endpoint)
                await trio.sleep_forever()

    sender, receiver = (None, None) if left is None else (left.sender, left.receiver)
    async with trio.open_nursery() as nursery:
        yield await nursery.start(hold, above, sender), await nursery.start(hold, below, receiver)
        nursery.cancel_scope.cancel()


async def _feed(origin: Source, feeding: WebRtcEndpoint, sender: WebRtcEndpoint) -> None:
    """Connect the sender to each endpoint that takes the place of the one that feeds it. Raises `RelayFailed`."""
    while True:
        feeding = await origin.after(feeding)
        try:
            with blamed(sender.server_url):
                await feeding.connect(sender)
        except RelayFailed as error:
            if not isinstance(error.__cause__, ObjectGone) or origin.endpoint is feeding:
                raise
