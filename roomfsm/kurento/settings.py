"""Every limit and period of the Kurento client, by name."""

from __future__ import annotations

from dataclasses import dataclass, field

REPLY_CACHE_SECONDS = 20.0
"""How long Kurento answers a repeated request id from its cache instead of carrying the request out again."""


@dataclass(frozen=True, slots=True)
class KurentoSettings:
    """Seconds unless said otherwise."""

    request_timeout: float = 10.0
    """A request that is not answered by then raises `RequestTimedOut`; a reconnect counts in."""
    ping_interval: float = 2.0
    silent_after: float = 2.5
    """From a ping that is not answered until the media server counts as not ready; with `ping_interval` it takes
    less than 5 s until a hung one is told by `/health/ready` and gets no more pipelines."""
    ping_timeout: float = 5.0
    """How long a media server may be silent until it is cut off: while connecting, or while a ping waits."""
    reconnect_first: float = 0.1
    """The first wait before a new connection; doubled up to `reconnect_max`, with jitter."""
    reconnect_max: float = 5.0
    reconnect_grace: float = 10.0
    """How long a session whose connection was cut may be resumed before it counts as lost."""
    release_timeout: float = 2.0
    """Bound of every clean-up: releasing one object, closing the session, closing the connection."""
    event_buffer: int = 256
    """Unread events of one endpoint."""
    full_pause: float = 30.0
    """For so long others are preferred to a media server that refused for want of resources, or failed."""
    pipeline_patience: float = 3.0
    """From asking for a pipeline, which takes milliseconds, until another media server is asked instead."""
    ready_timeout: float = 5.0
    """How long a new pipeline waits for a media server that is ready."""
    max_message_bytes: int = 4 * 1024 * 1024
    """A longer message cuts the connection (close code 1009); the longest recorded reply has 80 kB."""

    secret: str | None = field(default=None, repr=False)
    """Sent to the media servers as a bearer's token; None: they ask for none."""

    def __post_init__(self) -> None:
        if not self.request_timeout < REPLY_CACHE_SECONDS:
            # A request resent after a reconnect must find its reply still cached, or it is carried out twice.
            raise ValueError(f"request_timeout must be below {REPLY_CACHE_SECONDS:g} s")
        if min(self.event_buffer, self.max_message_bytes) < 1:
            raise ValueError("buffers and message sizes must be at least 1")
