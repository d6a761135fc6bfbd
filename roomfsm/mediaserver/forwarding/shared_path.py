"""The path to one participant, over which the pictures of several others come, and who gets how much of it.

Theory. Each view is a peer with a transport of its own, and all transports of a participant share one path. So
what the path carries is estimated for all of them (:mod:`~roomfsm.mediaserver.forwarding.bandwidth.estimator`),
and each picture has a *claim*. Claims have an order: large pictures come first, and of two of one size the one
that came first.

1. Every picture gets its smallest layer, as far as the path carries them, in that order. No picture is paused so
   that another one can be sharper.
2. What is left makes pictures larger, in that order. A picture yields what it has beyond its smallest layer as
   soon as one before it can use that.

There is no plan for all pictures: each asks how much is left for it, from what the others claim, and tells what it
takes. Sound is not among the numbered packets, so it is not in the estimate either, and what it needs is its own.
"""

from roomfsm.mediaserver.base.kinds import PictureSize
from roomfsm.mediaserver.base.settings import EngineSettings
from roomfsm.mediaserver.forwarding.bandwidth.estimator import PathEstimator

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

    @property
    def reserved_for_least(self) -> float:
        """What this picture must leave to others if it gets its smallest layer."""
        ours = self.order
        return sum(other.least for other in self._path.claims if other.order < ours)

    @property
    def reserved(self) -> float:
        """What this picture must leave to others if it gets a larger one."""
        ours, sum_ = self.order, 0.0
        for other in self._path.claims:
            if other is not self:
                sum_ += max(other.taken, other.least) if other.order < ours else other.least
        return sum_

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
