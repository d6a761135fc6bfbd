"""What the main process and a worker tell each other over a Unix stream: one JSON object a line.

A peer, the *source* of a track or the owner of a sink, goes by the number that the main process gave it.
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
    """From the main process."""


class OpenPeer(Command, frozen=True):
    peer: int


class Start(Command, frozen=True):
    """The main process has agreed on these transports with the browser, each with ICE credentials of ours."""

    peer: int
    transports: tuple[AcceptedTransport, ...]
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
    """A peer's sink takes its media from that source, here or mirrored here; or from none."""

    peer: int
    kind: MediaKind
    source: int | None


class RequestKeyframe(Command, frozen=True):
    peer: int


class ClosePeer(Command, frozen=True):
    peer: int


class OpenMirror(Command, frozen=True):
    """Sinks here will follow a source whose peer is on the worker `origin`."""

    source: int
    kind: MediaKind
    origin: int
    opening: int
    """Which it is of all that are opened: said again by :class:`MirrorOpened`."""


class NegotiateMirror(Command, frozen=True):
    """The source's browser will send this codec, and the audio level in the header extension of that id."""

    source: int
    kind: MediaKind
    codec: Codec
    audio_level: int


class CloseMirror(Command, frozen=True):
    source: int
    kind: MediaKind


class OpenRelay(Command, frozen=True):
    """Hand what this source sends to the worker `target` too, which mirrors it."""

    source: int
    kind: MediaKind
    target: int


class CloseRelay(Command, frozen=True):
    source: int
    kind: MediaKind
    target: int


class Report(msgspec.Struct, frozen=True, tag=True):
    """From a worker."""


class WorkerReady(Report, frozen=True):
    """What the answers of the worker's peers say."""

    port: int
    fingerprint: str
    candidates: tuple[str, ...]
    ssrcs: Mapping[MediaKind, int]
    repair_ssrc: int
    cname: str


class WorkerFailed(Report, frozen=True):
    """It cannot open its UDP port."""

    error: str


class Observed(Report, frozen=True):
    """A call of :class:`~roomfsm.mediaserver.engine.observer.PeerObserver`."""

    peer: int
    event: str
    arguments: tuple[Any, ...]


class MirrorOpened(Report, frozen=True):
    """What the origin hands over is taken from now on: of what came sooner, the first keyframe would be missed."""

    source: int
    kind: MediaKind
    opening: int


class Statistics(Report, frozen=True):
    """The statistics of all connected peers and the engine's latency; sent once a second."""

    peers: Mapping[int, PeerStats]
    latency: float


class Fault(Report, frozen=True):
    """An unexpected exception: what it was the end of, how often that has happened, and the traceback."""

    what: str
    times: int
    cause: str


type AnyCommand = (
    OpenPeer
    | Start
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
