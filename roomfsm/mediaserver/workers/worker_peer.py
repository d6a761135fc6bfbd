"""A peer that is negotiated in the main process, and whose media a worker forwards.

Theory. The main process has no UDP socket, so a :class:`WorkerPeer` is the half of a peer that speaks SDP. It
parses offers, chooses codecs and writes answers with its worker's certificate, candidates and SSRCs. Everything
else is done by the worker, which has the other half, an engine's :class:`~roomfsm.mediaserver.engine.peer.Peer`
with the same number. Its reports come back as calls of the observer.

Commands arrive in the order of the calls here, because there is one stream to a worker. A command needs no answer,
because everything that can be refused is refused here.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Protocol

from roomfsm.mediaserver.base.errors import WorkerDied
from roomfsm.mediaserver.base.kinds import ALL_KINDS, MediaKind
from roomfsm.mediaserver.dtls.state import DtlsState
from roomfsm.mediaserver.engine.media_transport import MediaTransport
from roomfsm.mediaserver.engine.observer import PeerObserver
from roomfsm.mediaserver.engine.peer import Peer
from roomfsm.mediaserver.engine.stats import PeerStats
from roomfsm.mediaserver.engine.transport import Transport
from roomfsm.mediaserver.ice.lite import Credentials
from roomfsm.mediaserver.ice.state import IceState, LocalCandidate
from roomfsm.mediaserver.sdp.answer import AcceptedTransport
from roomfsm.mediaserver.workers.messages import (
    AddCandidate,
    Command,
    Observed,
    OpenPeer,
    RequestKeyframe,
    Restart,
    SetBandwidth,
    Start,
)
from roomfsm.mediaserver.workers.process import WorkerProcess

_BANDWIDTHS = frozenset(
    {
        "max_video_receive_bandwidth",
        "max_video_send_bandwidth",
        "min_video_receive_bandwidth",
        "min_video_send_bandwidth",
    }
)
_OBSERVED: Mapping[str, tuple[Callable[[Any], Any], ...]] = {
    "ice_state_changed": (IceState,),
    "candidate_pair_selected": (str, str),
    "dtls_state_changed": (DtlsState,),
    "connection_failed": (str,),
    "media_connection_changed": (bool,),
    "receiving_changed": (MediaKind, bool),
    "sending_changed": (MediaKind, bool),
    "pause_changed": (MediaKind, bool),
    "speech_changed": (bool,),
}
"""The observer's methods, with the types of their arguments."""
_FLOWS = frozenset({"receiving_changed", "sending_changed"})


class Crossings(Protocol):
    """What a peer needs because its media may have to go from one worker to another."""

    def negotiated(self, source: WorkerPeer) -> None: ...

    def follow(self, sink: WorkerPeer, kind: MediaKind, source: WorkerPeer | None) -> None: ...

    def closed(self, peer: WorkerPeer) -> None: ...


class _Elsewhere(Transport):
    """The transport of a peer whose datagrams go to another process. It only has the ICE credentials."""

    def start(
        self, fingerprints: Sequence[tuple[str, bytes]], now: float, *, dtls_client: bool = False
    ) -> None: ...


class WorkerPeer(Peer):
    """A peer whose media another process forwards.

    After the death of its worker it can only be closed. Methods that negotiate raise :class:`WorkerDied`, and all
    others do nothing.
    """

    layered = False
    # Not of each object, as with the endpoint's: more than 30 attributes of its own would cost 1.5 kB.
    _death: WorkerDied | None = None

    def __init__(
        self, crossings: Crossings, worker: WorkerProcess[WorkerPeer], number: int, observer: PeerObserver
    ) -> None:
        assert worker.context is not None  # only ready workers are chosen
        super().__init__(worker.context, observer)
        self._crossings = crossings
        self._pushed: PeerStats | None = None
        self._flowing: dict[tuple[str, MediaKind], None] = {}
        """The media that were reported to flow, as the observer's method and the kind."""
        self.number = number
        self.worker: WorkerProcess[WorkerPeer] | None = worker
        """None after the worker has died or the peer has been closed."""
        self.tell(OpenPeer(number))

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if name in _BANDWIDTHS and "number" in self.__dict__:
            self.tell(SetBandwidth(self.number, name, value))

    def tell(self, command: Command) -> None:
        """Send the worker a command, if there is a worker that knows this peer."""
        if self.worker is not None:
            self.worker.send(command)

    def process_offer(self, offer: str) -> str:
        self._check_worker()
        return super().process_offer(offer)

    def generate_offer(self, kinds: Collection[MediaKind] = ALL_KINDS) -> str:
        self._check_worker()
        return super().generate_offer(kinds)

    def process_answer(self, answer: str) -> None:
        self._check_worker()
        super().process_answer(answer)

    def _check_worker(self) -> None:
        if self._death is not None:
            raise WorkerDied(str(self._death))

    def start(self, transports: Sequence[AcceptedTransport], credentials: Sequence[Credentials]) -> None:
        super().start(transports, credentials)
        self.tell(Start(self.number, tuple(transports), tuple(credentials)))
        self._crossings.negotiated(self)

    def restart(self, credentials: Sequence[Credentials]) -> None:
        super().restart(credentials)
        self.tell(Restart(self.number, tuple(credentials)))

    def _open_transport(
        self, credentials: Credentials, checked: Credentials | None, owner: MediaTransport
    ) -> Transport:
        del checked
        return _Elsewhere(self._context, owner, credentials)

    def gather_candidates(self) -> Sequence[LocalCandidate]:
        self._check_worker()
        return super().gather_candidates()

    def codec_mismatched(self, reason: str) -> None:
        if self._death is None:
            super().codec_mismatched(reason)

    def add_candidate(self, candidate: str, sdp_mid: str, sdp_m_line_index: int) -> None:
        super().add_candidate(candidate, sdp_mid, sdp_m_line_index)
        self.tell(AddCandidate(self.number, candidate, sdp_mid, sdp_m_line_index))

    def connect(self, sink: Peer, kinds: Collection[MediaKind] = ALL_KINDS) -> None:
        super().connect(sink, kinds)
        assert isinstance(sink, WorkerPeer)
        for kind in kinds:
            self._crossings.follow(sink, kind, self)

    def disconnect(self, sink: Peer, kinds: Collection[MediaKind] = ALL_KINDS) -> None:
        assert isinstance(sink, WorkerPeer)
        connected = [kind for kind in kinds if sink.source(kind) is self.track(kind)]
        super().disconnect(sink, kinds)
        for kind in connected:
            self._crossings.follow(sink, kind, None)

    def request_keyframe(self) -> None:
        self._check_open()
        self.tell(RequestKeyframe(self.number))

    def stats(self) -> PeerStats:
        """The statistics, which are at most a second old."""
        self._check_open()
        return self._pushed or super().stats()

    def close(self) -> None:
        if self._observer is not None:
            super().close()
            self._crossings.closed(self)

    # From the worker

    def observed(self, report: Observed) -> None:
        if self._observer is None:
            return
        types = zip(_OBSERVED[report.event], report.arguments, strict=True)
        arguments = [type_(value) for type_, value in types]
        if report.event in _FLOWS:
            kind, flowing = arguments
            if flowing:
                self._flowing[report.event, kind] = None
            else:
                self._flowing.pop((report.event, kind), None)
        getattr(self._observer, report.event)(*arguments)

    def update(self, stats: PeerStats) -> None:
        self._pushed = stats

    def died(self, error: WorkerDied) -> None:
        """Report that the worker is gone, and the connection to the browser with it."""
        self.worker = None
        self._death = error
        if self._observer is None:
            return
        self._observer.ice_state_changed(IceState.FAILED)
        self._observer.media_connection_changed(False)
        for event, kind in self._flowing:
            getattr(self._observer, event)(kind, False)
        self._flowing.clear()
        self._observer.worker_died(error)
