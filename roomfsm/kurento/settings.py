"""The limits and times of the Kurento client."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from msgspec import Meta

from roomfsm import ranges
from roomfsm.ranges import Bytes, Count, Seconds

REPLY_CACHE_SECONDS = 20.0
"""For so many seconds Kurento answers a repeated request id from its cache, without carrying the request out
again."""

RequestSeconds = Annotated[float, Meta(gt=0, lt=REPLY_CACHE_SECONDS)]
"""When a request is sent again after a reconnect, its reply must still be in the cache. Otherwise the request
would be carried out twice."""


@dataclass(frozen=True, slots=True)
class KurentoSettings:
    """Settings of the Kurento client. Times are in seconds.

    Raises `SettingsError`, a `ValueError`.
    """

    request_timeout: RequestSeconds = 10.0
    """A request without an answer raises `RequestTimedOut` after this time, which includes time spent on
    reconnecting."""
    ping_interval: Seconds = 2.0
    silent_after: Seconds = 2.5
    """A media server counts as silent when a ping has been unanswered for so long. With `ping_interval`, it takes
    less than 5 s until `/health/ready` reports a media server that hangs and it gets no more pipelines."""
    ping_timeout: Seconds = 5.0
    """The connection is cut if the media server is silent for so long while it is being connected or while a ping
    waits."""
    reconnect_first: Seconds = 0.1
    """The first wait before a new connection. Each wait is twice as long as the one before, up to `reconnect_max`,
    and is shortened at random by up to half."""
    reconnect_max: Seconds = 5.0
    reconnect_grace: Seconds = 10.0
    """How long a session whose connection was cut may be resumed before it counts as lost."""
    release_timeout: Seconds = 2.0
    """The longest time for each step of cleaning up: releasing one object, closing the session, closing the
    connection."""
    event_buffer: Count = 256
    """The most unread events of one endpoint."""
    requests_ahead: Count = 32
    """The most candidates of one endpoint that wait for their replies while the next is sent."""
    full_pause: Seconds = 30.0
    """For so long after a media server refused because it was full, or failed, the others are preferred."""
    pipeline_patience: Seconds = 3.0
    """If a media server has not made a pipeline after so long (usually it takes milliseconds), another one is
    asked instead."""
    measure_interval: Seconds = 10.0
    """How often media servers are asked how busy they are, if there are several."""
    ready_timeout: Seconds = 5.0
    """How long a new pipeline waits until a media server is ready."""
    adoption_time: Seconds = 30.0
    """For so long, what was left to other room servers is held for them, and what a run of ours has left that has
    ended is not released, because they may be about to adopt it."""
    max_message_bytes: Bytes = 4 * 1024 * 1024
    """A longer message ends the connection with close code 1009. The longest recorded reply has 80 kB."""

    secret: str | None = field(default=None, repr=False)
    """The secret that is sent to the media servers as a bearer token; None if they need none."""

    def __post_init__(self) -> None:
        ranges.check(self)
