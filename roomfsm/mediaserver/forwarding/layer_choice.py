"""Decides which layer of a simulcast stream one viewer gets.

Theory. A viewer gets the best layer that its path carries, and none that is larger than its picture. A path that
has become too slow loses sound as well, so the viewer goes down at once. Going up is a risk: the estimate may be
wrong, and then the viewer gets a keyframe for the larger layer, loses packets, and needs another keyframe for the
smaller one. So there must be room to spare, and a viewer who has just come down waits. The wait doubles with each
step up that was taken back, and is short again when a step has lasted.

The smallest layer may also be there *thinned*: with only a part of its pictures. That is the last choice before
there is no picture at all. Nobody who has seen nothing yet begins with it, and no other layer is thinned, because
the next smaller layer moves better than a thinned one.

A browser sends no layer that nobody wants, and ceases to send the larger ones while its own path is too slow. So
there are two results: the layer to *take* among those that come, and the layer to *wish* for, which may be none of
them. While a viewer wishes for a layer, the browser is asked to send it.

Some viewers' browsers estimate at most half as much again as they receive (REMB), so their estimate never says
that a larger layer would fit. They get it on *trial*, if nothing speaks against it. A trial that fails costs some
sound, so the longest wait before another one is longer.
"""

from collections.abc import Sequence
from typing import NamedTuple

from roomfsm.mediaserver.base.settings import EngineSettings


class Margins(NamedTuple):
    """How sure an estimate is."""

    spare: float
    """A larger layer must fit into this share of the estimate."""
    lack: float
    """A layer is left when the estimate is below this share of its bitrate."""


OURS = Margins(0.95, 1.0)
"""We know by probes that there is room, and at once that there is none."""
THEIRS = Margins(0.9, 0.85)
"""An estimate of the browser changes all the time, as the bitrate does."""
_STEADY = 3
"""A step up that has lasted for so many times the longest wait was right."""


class Offered(NamedTuple):
    """One layer, as it can be chosen."""

    bitrate: float
    """What it needs, in bit/s."""
    comes: bool
    """Whether packets of it come at present."""


class Chosen(NamedTuple):
    """The indexes of two layers."""

    take: int
    wish: int


class LayerChoice:
    """Decides for one viewer. It is pure: the time and the data are passed to it.

    Layers are in the order of their size. `most` is the index of the largest one that is of use to the viewer.
    `budget` is the bitrate that the path has for them, in bit/s; without one, nothing limits the viewer.
    """

    __slots__ = ("_came_down", "_settings", "_stepped_up", "_tried", "_wait")

    def __init__(self, settings: EngineSettings) -> None:
        self._settings = settings
        self._stepped_up: float | None = None
        """When the last step up was taken, if it has not turned out to be right or wrong."""
        self._tried = False
        """Whether that was a trial."""
        self._came_down = float("-inf")
        """When the path was last too slow, or nothing was known about it."""
        self._wait = settings.layer_wait

    def begin(
        self, layers: Sequence[Offered], most: int, budget: float | None, now: float, *, thinned: bool = False
    ) -> Chosen:
        """The layers for a viewer who gets none: the middle one, because little is known about the path yet.

        `thinned` says that the first layer is the second one thinned.
        """
        if budget is None:
            self._came_down = now
        wish = min(most, (len(layers) - thinned) // 2 + thinned)
        while wish and budget is not None and layers[wish].bitrate > budget:
            wish -= 1
        return Chosen(_nearest(layers, wish), wish)

    def choose(
        self,
        layers: Sequence[Offered],
        present: int,
        most: int,
        budget: float | None,
        now: float,
        *,
        margins: Margins = THEIRS,
        on_trial: bool = False,
    ) -> Chosen:
        """The layers for a viewer who gets the layer `present`. `on_trial` says that a larger one may be tried."""
        if budget is None and margins is OURS:
            return Chosen(present, present)  # Nothing is known at the moment.
        fits = most
        while fits and budget is not None and layers[fits].bitrate > budget * margins.spare:
            fits -= 1
        if fits < present and (present > most or _is_short(layers[present], budget, margins)):
            if present <= most:
                self._taken_back(now)
            return Chosen(_nearest(layers, fits), fits)
        if not layers[present].comes:
            return Chosen(_nearest(layers, present), max(present, fits))
        tried = fits <= present < most and on_trial
        if tried:
            fits = present + 1
        if fits <= present or now - self._came_down < self._wait:
            self._judge_last_step(now)
            return Chosen(present, present)
        take = max(index for index in range(present, fits + 1) if layers[index].comes)
        if take > present:
            self._stepped_up, self._tried = now, tried
        return Chosen(take, fits)

    def _taken_back(self, now: float) -> None:
        settings = self._settings
        if self._stepped_up is not None:
            longest = settings.picture_longest_pause if self._tried else settings.layer_longest_wait
            self._wait = min(2 * self._wait, longest)
            self._stepped_up = None
        self._came_down = now

    def _judge_last_step(self, now: float) -> None:
        lasted = self._stepped_up is not None and now - self._stepped_up >= (
            self._settings.layer_longest_wait * _STEADY
        )
        if lasted:
            self._stepped_up, self._wait = None, self._settings.layer_wait


def lacking(layers: Sequence[Offered], present: int, most: int) -> float:
    """The budget at which the next larger layer is chosen by :data:`OURS`, in bit/s; 0 if there is none of use."""
    return layers[present + 1].bitrate / OURS.spare if present < most else 0.0


def _is_short(layer: Offered, budget: float | None, margins: Margins) -> bool:
    return budget is not None and budget < layer.bitrate * margins.lack


def _nearest(layers: Sequence[Offered], wanted: int) -> int:
    """The largest layer up to `wanted` that comes, or else the smallest one that does; `wanted` if none comes."""
    smaller = (index for index in range(wanted, -1, -1) if layers[index].comes)
    larger = (index for index in range(wanted + 1, len(layers)) if layers[index].comes)
    return next(smaller, next(larger, wanted))
