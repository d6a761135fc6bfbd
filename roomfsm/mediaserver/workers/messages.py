"""The messages between the main process and a worker: one JSON object in each line of a Unix stream.

The number that the main process gave to a peer identifies it, as the *source* of a track or the owner of a sink.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from roomfsm.mediaserver.base.kinds import MediaKind
from roomfsm.mediaserver.engine.stats import PeerStats
from roomfsm.mediaserver.ice.lite import Credentials
from roomfsm.mediaserver.sdp.answer import AcceptedTransport
from roomfsm.mediaserver.sdp.codec import Codec

MAX_LINE = 4 * 1024 * 1024


class Command(msgspec.Struct, frozen=True, tag=True):
    """A message from the main process to a worker."""


class OpenPeer(Command, frozen=True):
    peer: int


class Start(Command, frozen=True):
    """Start the transports that the main process and the browser have agreed on.

    `credentials` are our ICE credentials for each.
    """

    peer: int
    transports: tuple[AcceptedTransport, ...]
    credentials: tuple[Credentials, ...]


class Restart(Command, frozen=True):
    """Restart ICE. `credentials` are our new ones for each transport."""

    peer: int
    credentials: tuple[Credentials, ...]


class AddCandidate(Command, frozen=True):
    peer: int
    candidate: str
    sdp_mid: str
    sdp_m_line_index: int


class SetBandwidth(Command, frozen=True):
    peer: int
    name: str
    kilobits: int


class Follow(Command, frozen=True):
    """Connect a peer's sink to a source, which is on this worker or mirrored here. None disconnects it."""

    peer: int
    kind: MediaKind
    source: int | None


class RequestKeyframe(Command, frozen=True):
    peer: int


class ClosePeer(Command, frozen=True):
    peer: int


class OpenMirror(Command, frozen=True):
    """Open a mirror of a source whose peer is on the worker `origin`, because sinks of this worker will follow
    it.
    """

    source: int
    kind: MediaKind
    origin: int
    opening: int
    """The number of this opening, which :class:`MirrorOpened` repeats."""


class NegotiateMirror(Command, frozen=True):
    """Set the codec that the source's browser will send, and the id of the header extension with the audio
    level.
    """

    source: int
    kind: MediaKind
    codec: Codec
    audio_level: int


class CloseMirror(Command, frozen=True):
    source: int
    kind: MediaKind


class OpenRelay(Command, frozen=True):
    """Send the media of this source to the worker `target` as well, which mirrors it."""

    source: int
    kind: MediaKind
    target: int


class CloseRelay(Command, frozen=True):
    source: int
    kind: MediaKind
    target: int


class Report(msgspec.Struct, frozen=True, tag=True):
    """A message from a worker to the main process."""


class WorkerReady(Report, frozen=True):
    """The worker is ready. The fields are the data that the answers of its peers contain."""

    port: int
    tcp_port: int | None
    fingerprint: str
    candidates: tuple[str, ...]
    ssrcs: Mapping[MediaKind, int]
    repair_ssrc: int
    cname: str


class WorkerFailed(Report, frozen=True):
    """The worker cannot open its UDP port."""

    error: str


class Observed(Report, frozen=True):
    """A call of :class:`~roomfsm.mediaserver.engine.observer.PeerObserver`."""

    peer: int
    event: str
    arguments: tuple[Any, ...]


class MirrorOpened(Report, frozen=True):
    """The mirror is open.

    The origin may send from now on. Packets sent earlier would be lost, including the first keyframe.
    """

    source: int
    kind: MediaKind
    opening: int


class Statistics(Report, frozen=True):
    """The statistics of all connected peers and the engine's latency in seconds, sent once a second."""

    peers: Mapping[int, PeerStats]
    latency: float


class Fault(Report, frozen=True):
    """An unexpected exception: what it ended, how often that has happened, and the traceback."""

    what: str
    times: int
    cause: str


type AnyCommand = (
    OpenPeer
    | Start
    | Restart
    | AddCandidate
    | SetBandwidth
    | Follow
    | RequestKeyframe
    | ClosePeer
    | OpenMirror
    | NegotiateMirror
    | CloseMirror
    | OpenRelay
    | CloseRelay
)
type AnyReport = WorkerReady | WorkerFailed | Observed | MirrorOpened | Statistics | Fault
