"""Every bound of the protocol layer, by name."""

from dataclasses import dataclass

MAX_WORKERS = 64
"""Processes that move media."""

SECRET_VARIABLE = "ROOMFSM_KURENTO_SECRET"
"""In the environment: the secret that the media server asks for, and that the room server sends."""
MIN_SECRET = 16
"""Characters; fewer can be guessed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Times are seconds, sizes bytes."""

    max_message: int = 1024 * 1024
    """A larger websocket message closes the socket with 1009."""
    max_sockets: int = 256
    """Connections beyond are closed before the handshake."""
    max_sessions: int = 1000
    max_session_id: int = 256
    """Characters of a session id that a client chose."""
    max_objects: int = 50_000
    """Pipelines and elements of all sessions."""
    max_endpoints: int = 2000
    """WebRtcEndpoints of all sessions, each a peer of the engine."""
    max_objects_per_session: int = 20_000
    """Objects that one session has created or touched and that still exist."""
    max_subscriptions_per_object: int = 1000
    max_tags_per_object: int = 100
    outbox: int = 4096
    """Messages that wait for one socket; an event that finds no room cuts the socket."""
    send_timeout: float = 10.0
    """A client that takes no message for so long is cut."""
    handshake_timeout: float = 10.0
    """From the TCP connection to the end of the websocket handshake."""
    close_timeout: float = 0.5
    """From our closing frame to the client's."""
    collector_period: float = 240.0
    """An abandoned session ends after one to two of these, as in Kurento."""
    request_cache_time: float = 20.0
    """A repeated request id is answered with the first reply for so long, as in Kurento."""
    request_cache_size: int = 8 * 1024 * 1024
    """Replies remembered for one session; the oldest are forgotten first."""
