"""The path to one participant, over which the pictures of several others come, and who gets how much of it.

Theory. Each view is a peer with a transport of its own, and all transports of a participant share one path. So
what the path carries is estimated for all of them (:mod:`~roomfsm.mediaserver.forwarding.bandwidth.estimator`),
and each picture has a *claim*. Claims have an order: large pictures come first, and of two of one size the one
that came first.

1. Every picture gets its smallest layer, as far as the path carries them, in that order. No picture is paused so
   that another one can be sharper. One that does not fit leaves its place to those after it.
2. What is left makes pictures larger, in that order. A picture yields what it has beyond its smallest layer as
   soon as one before it can use that.

There is no plan for all pictures: each asks how much is left for it, from what the others claim, and tells what it
takes. Sound is not among the numbered packets, so it is not in the estimate either, and what it needs is its own.
"""

import math
from collections.abc import Iterator

from roomfsm.mediaserver.base.kinds import PictureSize
from roomfsm.mediaserver.base.settings import EngineSettings
from roomfsm.mediaserver.forwarding.bandwidth.estimator import PathEstimator

STAYS, BEGINS = 0.9, 1.05
"""A picture goes on with its smallest layer while the path has so much of what that needs, and begins when it has
so much."""
_ORDER = {PictureSize.LARGE: 0, PictureSize.MEDIUM: 1, PictureSize.SMALL: 2}


class Claim:
    """What one picture needs of the path, in bit/s. A picture that is not wanted needs nothing."""

    __slots__ = ("_path", "_serial", "least", "size", "taken")

    def __init__(self, path: "SharedPath", serial: int) -> None:
        self._path = path
        self._serial = serial
        self.size = PictureSize.LARGE
        self.least = 0.0
        """The bitrate of the smallest layer, also while the picture is paused."""
        self.taken = 0.0
        """The bitrate of the layer that it gets, or waits or wishes for."""

    @property
    def order(self) -> tuple[int, int]:
        """The claim with the smaller one comes first."""
        return _ORDER[self.size], self._serial

    @property
    def is_first(self) -> bool:
        """Whether no other picture takes anything."""
        return not any(other.taken for other in self._path.claims if other is not self)

    def reserved_for_least(self, carried: float = math.inf) -> float:
        """What this picture must leave to others of `carried` if it gets its smallest layer."""
        return sum(other.least for other in self._path.fitting(carried, before=self))

    def reserved(self, carried: float = math.inf) -> float:
        """What this picture must leave to others of `carried` if it gets a larger layer."""
        ours = self.order
        return sum(
            max(other.taken, other.least) if other.order < ours else other.least
            for other in self._path.fitting(carried)
            if other is not self
        )

    def clear(self) -> None:
        """Claim nothing."""
        self.least = self.taken = 0.0


class SharedPath:
    """The estimate of a path, and the claims of the pictures that come over it."""

    __slots__ = ("__weakref__", "_serial", "claims", "estimator")

    def __init__(self, settings: EngineSettings) -> None:
        self.estimator = PathEstimator(settings)
        self.claims: list[Claim] = []
        self._serial = 0

    def open_claim(self) -> Claim:
        """Claim something for one more picture."""
        self._serial += 1
        claim = Claim(self, self._serial)
        self.claims.append(claim)
        return claim

    def forget(self, claim: Claim) -> None:
        self.claims.remove(claim)

    def fitting(self, carried: float, before: Claim | None = None) -> Iterator[Claim]:
        """The claims whose smallest layers fit, in their order, or those of them that come before a claim.

        One that does not fit leaves its place to those after it. One that gets nothing needs some room to begin,
        and one that gets something stays with a little less.
        """
        left = carried
        for claim in sorted(self.claims, key=lambda one: one.order):
            if claim is before:
                return
            if left >= claim.least * (STAYS if claim.taken else BEGINS):
                left -= claim.least
                yield claim
