"""ICE candidates of a browser that come before their endpoint can take them."""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Awaitable, Callable

import msgspec

from roomfsm.kurento.errors import CandidateBufferFull


class IceCandidate(msgspec.Struct, frozen=True, rename="camel"):
    """One trickled candidate (RFC 8838), with the member names of RTCIceCandidateInit.

    `candidate` is the attribute's value (RFC 8839 section 5.1); empty: the end of the candidates.
    """

    candidate: str
    sdp_mid: str | None = None
    sdp_m_line_index: int | None = None


_ADDRESS_FIELD = 4


def is_mdns(candidate: IceCandidate) -> bool:
    """Whether the address is a `.local` name, which no media server outside the browser's network resolves."""
    fields = candidate.candidate.split()
    return len(fields) > _ADDRESS_FIELD and fields[_ADDRESS_FIELD].lower().endswith(".local")


class Disposition(enum.Enum):
    """What became of a candidate given to a `CandidateBuffer`."""

    KEPT = enum.auto()
    """It waits for the flush."""
    READY = enum.auto()
    """The endpoint has been flushed: pass the candidate on yourself."""
    STALE = enum.auto()
    """It belongs to an endpoint that was replaced, and was dropped."""


class CandidateBuffer:
    """The candidates of one browser for one of its streams or views.

    An endpoint that is replaced gets a higher generation; candidates of a lower one mean nothing to it.
    """

    def __init__(self, bound: int) -> None:
        self._bound = bound
        self._generation = 0
        self._ready = False
        self._waiting: deque[IceCandidate] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, generation: int, candidate: IceCandidate) -> Disposition:
        """Take a candidate for the endpoint of `generation`.

        Raises `CandidateBufferFull`; what was kept before stays.
        """
        if generation < self._generation:
            return Disposition.STALE
        self._advance(generation)
        if self._ready:
            return Disposition.READY
        if len(self._waiting) >= self._bound:
            raise CandidateBufferFull(f"{self._bound} candidates wait already")
        self._waiting.append(candidate)
        return Disposition.KEPT

    async def flush(self, generation: int, send: Callable[[IceCandidate], Awaitable[None]]) -> None:
        """Send what waits for `generation`, in order, also what comes meanwhile; from then on it is ready.

        Ends early when a later generation takes over. What `send` raises passes through: that candidate
        is used up, the rest keeps waiting.
        """
        if generation < self._generation:
            return
        self._advance(generation)
        while self._generation == generation and self._waiting:
            await send(self._waiting.popleft())
        if self._generation == generation:
            self._ready = True

    def _advance(self, generation: int) -> None:
        if generation > self._generation:
            self._generation = generation
            self._ready = False
            self._waiting.clear()
