"""What a load test does: how many people come to how many rooms, how quickly, and what they do there."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

MOST_PEOPLE = 20_000
MOST_RATE = 1_000.0
MOST_LINES = 10_000.0
MOST_SECONDS = 3_600.0
"""The bounds of one test. A test with more people than one process can act for is several tests at a time."""


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

    @property
    def people(self) -> int:
        """How many people there are in all."""
        return self.rooms * (self.presenters + self.viewers)

    @property
    def arrival(self) -> float:
        """The seconds in which all of them come."""
        return self.people / self.join_rate

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
