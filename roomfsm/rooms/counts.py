"""What has happened on this server since it started: counts that only grow, and times.

They are plain additions where something happens. Whoever reads them (`roomfsm.metrics`) does all other work when
somebody asks. A count is never kept for a room, a person or an address, so there are as many as the tables and the
protocol have words, however many people come.
"""

from __future__ import annotations

from collections import Counter

from roomfsm.histogram import Histogram
from roomfsm.protocol.client import CLIENT_MESSAGES, message_type
from roomfsm.protocol.errors import CloseCode
from roomfsm.protocol.server import Error

_MESSAGES = frozenset(message_type(message) for message in CLIENT_MESSAGES)
NO_MESSAGE, UNKNOWN_MESSAGE = "none", "unknown"
"""Used instead of a message's type: no message was refused, or one of a type that there is not."""


class Counts:
    """The counts of one server. Everything that runs on it adds to the same object."""

    def __init__(self) -> None:
        self.moves: Counter[tuple[str, str]] = Counter()
        """Steps of the machines, by machine and trigger."""
        self.errors: Counter[tuple[str, str]] = Counter()
        """`error` messages that were sent, by code and by the type of the client's message."""
        self.closes: Counter[str] = Counter()
        """Websockets that the server closed, by the name of the close code."""
        self.entries = {"join": Histogram(), "switch": Histogram()}
        """Seconds from the message until the room had sent its description."""
        self.starts = {"stream": Histogram(), "view": Histogram()}
        """Seconds from the message `publish` or `view` until the media server saw media flow."""
        self.first_frames = Histogram()
        """Seconds from a message `view` until the first picture, as pages report them."""

    def sent_error(self, error: Error) -> None:
        """Count an `error` message."""
        asked = error.message
        if asked not in _MESSAGES:
            # The client chose this word, and may choose any number of them.
            asked = NO_MESSAGE if asked is None else UNKNOWN_MESSAGE
        self.errors[error.code, asked] += 1

    def closed(self, code: CloseCode) -> None:
        """Count a websocket that the server closes."""
        self.closes[code.name.lower()] += 1
