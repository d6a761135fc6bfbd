"""What a load test does: how many people come to how many rooms, how quickly, and what they do there."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from roomfsm.load.path import Path

MOST_PEOPLE = 20_000
MOST_RATE = 1_000.0
MOST_LINES = 10_000.0
MOST_SECONDS = 3_600.0
"""The bounds of one test. A test with more people than one process can act for is several tests at a time."""
LEAST_VIDEO, MOST_VIDEO = 15.0, 5_000.0
"""The bounds of the rate at which one presenter sends pictures, in kbit/s."""
MOST_PATH_RATE = 100_000.0
"""In kbit/s."""
MOST_PATH_TIME = 5.0
MOST_PATH_LOSS = 0.9
MOST_OUTAGE = 60.0


class PlanError(Exception):
    """The test cannot be made as it was asked for. The message says what to change."""


@dataclass(frozen=True, slots=True)
class Plan:
    """One test. Rates are per second, `churn` is in people a minute. Raises `PlanError`."""

    rooms: int = 1
    presenters: int = 1
    """In each room."""
    viewers: int = 10
    """In each room."""
    join_rate: float = 20.0
    """People who come, in all rooms together."""
    chat_rate: float = 1.0
    """Lines of chat in each room."""
    churn: float = 0.0
    """People who leave and come again at once, in all rooms together."""
    seconds: float = 30.0
    """How long everybody stays after the last one has come."""
    media: bool = False
    """Whether presenters send and viewers receive real media. Otherwise nobody presents."""
    video_rate: float = 15.0
    """The kbit/s of each presenter's pictures."""
    poor_viewers: float = 0.0
    """The share of the viewers whose media go over the poor path."""
    poor_presenters: float = 0.0
    path_rate: float = 0.0
    """The kbit/s of the poor path; 0 is without a bound."""
    path_queue: float = 0.3
    path_delay: float = 0.0
    path_loss: float = 0.0
    path_outage: float = 0.0
    path_outage_every: float = 30.0
    """These are as in `Path`."""
    room_prefix: str = "load"

    def __post_init__(self) -> None:
        for name, value, least, most in (
            ("--rooms", self.rooms, 1, MOST_PEOPLE),
            ("--presenters", self.presenters, 0, MOST_PEOPLE),
            ("--viewers", self.viewers, 0, MOST_PEOPLE),
            ("--join-rate", self.join_rate, 0.1, MOST_RATE),
            ("--chat-rate", self.chat_rate, 0, MOST_RATE),
            ("--churn", self.churn, 0, 60 * MOST_RATE),
            ("--seconds", self.seconds, 1, MOST_SECONDS),
            ("--video-rate", self.video_rate, LEAST_VIDEO, MOST_VIDEO),
            ("--poor-viewers", self.poor_viewers, 0, 1),
            ("--poor-presenters", self.poor_presenters, 0, 1),
            ("--path-rate", self.path_rate, 0, MOST_PATH_RATE),
            ("--path-queue", self.path_queue, 0.01, MOST_PATH_TIME),
            ("--path-delay", self.path_delay, 0, MOST_PATH_TIME),
            ("--path-loss", self.path_loss, 0, MOST_PATH_LOSS),
            ("--path-outage", self.path_outage, 0, MOST_OUTAGE),
            ("--path-outage-every", self.path_outage_every, 1, MOST_SECONDS),
        ):
            if not least <= value <= most:
                raise PlanError(f"{name} is from {least:g} to {most:g}, and not {value:g}")
        if not 1 <= self.people <= MOST_PEOPLE:
            raise PlanError(
                f"rooms × (presenters + viewers) is {self.people}, and must be from 1 to {MOST_PEOPLE}: for more, "
                "run several tests at a time, from several machines"
            )

        if self.rooms * self.chat_rate > MOST_LINES:
            raise PlanError(f"rooms × chat rate is at most {MOST_LINES:g} lines a second")
        self._check_path()

    def _check_path(self) -> None:
        anybody = self.poor_viewers > 0 or self.poor_presenters > 0
        if anybody and not self.media:
            raise PlanError("a poor path needs --media, because only media go over it")
        poor = max(self.path_rate, self.path_delay, self.path_loss, self.path_outage) > 0
        if anybody and not poor:
            raise PlanError(
                "nothing makes the path poor: give --path-rate, --path-delay, --path-loss or --path-outage"
            )
        if poor and not anybody:
            raise PlanError("nobody is on the poor path: give --poor-viewers or --poor-presenters")
        if self.path_outage >= self.path_outage_every:
            raise PlanError("--path-outage is shorter than --path-outage-every")

    @property
    def path(self) -> Path:
        """The poor path."""
        return Path(
            1000 * self.path_rate,
            self.path_queue,
            self.path_delay,
            loss=self.path_loss,
            outage=self.path_outage,
            every=self.path_outage_every,
        )

    @property
    def people(self) -> int:
        """How many people there are in all."""
        return self.rooms * (self.presenters + self.viewers)

    @property
    def arrival(self) -> float:
        """The seconds in which all of them come."""
        return self.people / self.join_rate

    def is_poor(self, number: int, *, presents: bool) -> bool:
        """Whether the viewer or presenter with this number, counted over all rooms, is on the poor path.

        The poor ones are spread evenly, so the first so many have the right share, too.
        """
        share = self.poor_presenters if presents else self.poor_viewers
        return int((number + 1) * share + 1e-9) > int(number * share + 1e-9)

    def room(self, number: int) -> str:
        """The name of the room with this number."""
        return f"{self.room_prefix}-{number}"


@dataclass(frozen=True, slots=True)
class Target:
    """The addresses of the server. `of` raises `PlanError`."""

    websocket: str
    api: SplitResult

    @classmethod
    def of(cls, url: str) -> Target:
        """The addresses of a server by that of its start page."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise PlanError(f"the address of a server is like https://meet.example.org, and not {url!r}")
        base = parts._replace(path=parts.path.rstrip("/"))
        socket = base._replace(scheme=base.scheme.replace("http", "ws"), path=f"{base.path}/ws")
        return cls(socket.geturl(), base._replace(path=f"{base.path}/api/v1/server"))
