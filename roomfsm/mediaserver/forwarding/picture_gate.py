"""Whether a viewer's path can take the picture: for one whose path cannot, video is paused and the sound goes on.

Theory. A path that is full drops what it cannot hold, sound as well as picture: its viewer gets a still picture
and broken words. The publisher slows down for those of its viewers who are not far behind the others
(:mod:`~roomfsm.mediaserver.forwarding.remb`); whoever still loses much after some seconds is better off without
the picture. Loss alone says little, for a radio link may lose a tenth of its packets and have room for twice as
many. So it must come with an estimate of the browser below what is sent, or, of a browser that estimates nothing,
be great. A path with a long queue loses nothing at first: there the round trip takes the place of the loss.

While nothing is sent nothing can be measured: browsers repeat the estimate that they had. So the picture is tried
again after a while, and given for good when the path has taken it for some seconds. Each try that fails costs the
viewer some sound, so each time the next one is twice as far off.
"""

from enum import Enum

from roomfsm.mediaserver.base.kinds import MediaKind
from roomfsm.mediaserver.base.settings import EngineSettings
from roomfsm.mediaserver.forwarding.viewer_path import ViewerPath

_LOSSY = 0.1
"""A fraction lost from which on a path that is full, by the browser's estimate, is too slow."""
_LOSSY_UNESTIMATED = 0.2
"""The fraction from which on it is too slow where the browser estimates nothing."""
_FULL = 0.9
"""An estimate below so much of what is sent says that the path is full."""
_LONG_ROUND_TRIP = 1.0
"""Seconds that only a long queue can take."""
_HASTE = 3
"""A picture that is tried is paused so much sooner."""
_GOOD_SOUND = 0.05
"""Up to this fraction of the sound lost, the picture may be tried again at its time."""
_DOUBT = 2
"""With more of it lost the picture is tried so much later: a radio link may lose that much whatever is sent."""


class Picture(Enum):
    """What becomes of the picture."""

    SENT = "sent"
    PAUSED = "paused"
    TRIED = "tried"
    """It is sent, and may be paused again soon."""


class PictureGate:
    """Decides for one viewer. Pure: it is told the time and what is known of the path."""

    __slots__ = ("_poor_since", "_settings", "_since", "_wait", "picture")

    def __init__(self, settings: EngineSettings) -> None:
        self._settings = settings
        self.picture = Picture.SENT
        self._since = float("-inf")
        """When the picture was last given for good, paused, or began to be tried."""
        self._poor_since: float | None = None
        self._wait = settings.picture_first_pause

    def judge(self, path: ViewerPath, sending: bool, now: float) -> Picture:
        """What becomes of the picture, by what the path has told until now; called every half second or so.

        `sending`: the picture goes out at present, and is not waiting for a keyframe.
        """
        if self.picture is Picture.PAUSED:
            sound = path.loss(MediaKind.AUDIO, now)
            doubt = 1 if sound is None or sound <= _GOOD_SOUND else _DOUBT
            if now - self._since >= self._wait * doubt:
                self._become(Picture.TRIED, now)
        elif not sending:
            # What is waited for is no merit of the path.
            self._poor_since = None
            if self.picture is Picture.TRIED:
                self._since = now
        elif not is_too_slow(path, now):
            self._poor_since = None
            if self.picture is Picture.TRIED and now - self._since >= self._settings.picture_trial:
                self._become(Picture.SENT, now)
        elif self._poor_since is None:
            self._poor_since = now
        elif now - self._poor_since >= self._patience:
            self._pause(now)
        return self.picture

    @property
    def _patience(self) -> float:
        patience = self._settings.picture_patience
        return patience / _HASTE if self.picture is Picture.TRIED else patience

    def _pause(self, now: float) -> None:
        settings = self._settings
        steady = self.picture is Picture.SENT and now - self._since >= settings.picture_longest_pause
        self._wait = (
            settings.picture_first_pause if steady else min(2 * self._wait, settings.picture_longest_pause)
        )
        self._become(Picture.PAUSED, now)

    def _become(self, picture: Picture, now: float) -> None:
        self.picture, self._since, self._poor_since = picture, now, None


def is_too_slow(path: ViewerPath, now: float) -> bool:
    """Whether the path cannot take what is sent over it at present."""
    loss, estimate = path.loss(MediaKind.VIDEO, now), path.estimate(now)
    if loss is None:
        return False
    if estimate is None:
        return loss >= _LOSSY_UNESTIMATED
    queued = path.newest_round_trip is not None and path.newest_round_trip >= _LONG_ROUND_TRIP
    return (loss >= _LOSSY or queued) and estimate < _FULL * path.rate
