"""Decides whether a viewer's path can carry the picture. If it cannot, video is paused and the sound goes on.

Theory. A full path drops packets of sound as well as of the picture, so the viewer gets a still picture and broken
words. The publisher lowers its bitrate for viewers who are not far behind the others
(:mod:`~roomfsm.mediaserver.forwarding.remb`). A viewer who still loses much after some seconds is better off
without the picture. Loss alone says little, because a radio link may lose a tenth of its packets and have room for
twice as many. So the browser's estimate must also be below the bitrate that is sent. If the browser estimates
nothing, the loss must be greater. A path with a long queue loses nothing at first, so a long round trip counts
like a loss.

A viewer of layers gets the smallest one before this is of use. Where we estimate the path ourselves
(:mod:`~roomfsm.mediaserver.forwarding.bandwidth`), it is known whether that one fits, and sooner. Probes go on
while the picture is paused, so it comes back soon after it fits, and is not tried while it does not.

Otherwise nothing can be measured while nothing is sent, because browsers repeat their last estimate. So the
picture is tried again after a while, and stays if the path has carried it for some seconds. Each trial that fails
costs the viewer some sound, so the time until the next trial doubles.
"""

from enum import Enum

from roomfsm.mediaserver.base.kinds import MediaKind
from roomfsm.mediaserver.base.settings import EngineSettings
from roomfsm.mediaserver.forwarding.viewer_path import ViewerPath

_LOSSY = 0.1
"""A path is too slow if it loses this fraction or more and the browser's estimate says that it is full."""
_LOSSY_UNESTIMATED = 0.2
"""A path is too slow if it loses this fraction or more and the browser estimates nothing."""
_FULL = 0.9
"""A path is full if the estimate is below this share of the sent bitrate."""
_LONG_ROUND_TRIP = 1.0
"""A round trip of so many seconds can only come from a long queue."""
_HASTE = 3
"""During a trial, the picture is paused so many times sooner, and so it is if the smallest layer does not fit."""
_GOOD_SOUND = 0.05
"""If no more than this fraction of the sound is lost, the next trial begins at its time."""
_DOUBT = 2
"""If more sound is lost, the next trial begins so many times later. It is not given up, because a radio link may
lose that much whatever is sent."""
_SURE = 4
"""If the smallest layer fits by our own estimate, the next trial begins so many times sooner."""


class Picture(Enum):
    """What happens with the picture."""

    SENT = "sent"
    PAUSED = "paused"
    TRIED = "tried"
    """It is sent on trial, and may be paused again soon."""


class PictureGate:
    """Decides for one viewer. It is pure: the time and the data about the path are passed to it."""

    __slots__ = ("_poor_since", "_settings", "_since", "_wait", "picture")

    def __init__(self, settings: EngineSettings) -> None:
        self._settings = settings
        self.picture = Picture.SENT
        self._since = float("-inf")
        """When the present state of `picture` began."""
        self._poor_since: float | None = None
        self._wait = settings.picture_first_pause

    def judge(self, path: ViewerPath, sending: bool, now: float, fits: bool | None = None) -> Picture:
        """Decide what happens with the picture, from the present data about the path.

        Called about every half second. `sending` says that the picture is being sent, and does not wait for a
        keyframe. `fits` says whether the smallest layer fits; None if that is not known.
        """
        if self.picture is Picture.PAUSED:
            if fits is not False and now - self._since >= self._pause(path, fits, now):
                self._become(Picture.TRIED, now)
        elif not sending:
            # While the picture waits for a keyframe, nothing is learned about the path.
            self._poor_since = None
            if self.picture is Picture.TRIED:
                self._since = now
        elif not (is_too_slow(path, now) if fits is None else not fits):
            self._poor_since = None
            if self.picture is Picture.TRIED and now - self._since >= self._settings.picture_trial:
                self._become(Picture.SENT, now)
        elif self._poor_since is None:
            self._poor_since = now
        elif now - self._poor_since >= self._patience / (1 if fits is None else _HASTE):
            self._end(now)
        return self.picture

    def _pause(self, path: ViewerPath, fits: bool | None, now: float) -> float:
        """The seconds until the next trial."""
        if fits:
            return self._wait / _SURE
        sound = path.loss(MediaKind.AUDIO, now)
        return self._wait if sound is None or sound <= _GOOD_SOUND else self._wait * _DOUBT

    @property
    def _patience(self) -> float:
        patience = self._settings.picture_patience
        return patience / _HASTE if self.picture is Picture.TRIED else patience

    def _end(self, now: float) -> None:
        """Pause the picture."""
        settings = self._settings
        steady = self.picture is Picture.SENT and now - self._since >= settings.picture_longest_pause
        self._wait = (
            settings.picture_first_pause if steady else min(2 * self._wait, settings.picture_longest_pause)
        )
        self._become(Picture.PAUSED, now)

    def _become(self, picture: Picture, now: float) -> None:
        self.picture, self._since, self._poor_since = picture, now, None


def is_too_slow(path: ViewerPath, now: float) -> bool:
    """Whether the path cannot carry the bitrate that is sent over it at present."""
    loss = path.loss(MediaKind.VIDEO, now)
    # What another media server estimates is about the paths of its viewers, and it judges them itself.
    estimate = None if path.to_server else path.estimate(now)
    if loss is None:
        return False
    if estimate is None:
        return loss >= _LOSSY_UNESTIMATED
    queued = path.newest_round_trip is not None and path.newest_round_trip >= _LONG_ROUND_TRIP
    return (loss >= _LOSSY or queued) and estimate < _FULL * path.rate
