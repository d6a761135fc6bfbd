"""The limits of the protocol layer."""

from dataclasses import dataclass

from roomfsm import ranges
from roomfsm.ranges import Count, CountOrZero, Seconds

SECRET_VARIABLE = "ROOMFSM_KURENTO_SECRET"
"""The environment variable with the secret that the media server asks for and the room server sends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limits of the protocol layer. Times are in seconds, sizes in bytes. Raises `SettingsError`."""

    max_message: Count = 1024 * 1024
    """A larger websocket message closes the socket with code 1009."""
    max_sockets: Count = 256
    """Further connections are closed before the handshake."""
    max_sessions: Count = 1000
    max_session_id: Count = 256
    """The most characters of a session id that a client chose."""
    max_participant: Count = 256
    """The most characters of the name of a participant to whom endpoints belong."""
    max_objects: Count = 50_000
    """The most pipelines and elements of all sessions."""
    max_endpoints: Count = 2000
    """The most WebRtcEndpoints of all sessions. Each is a peer of the engine."""
    max_objects_per_session: Count = 20_000
    """The most existing objects that one session has created or touched."""
    max_subscriptions_per_object: Count = 1000
    max_tags_per_object: Count = 100
    outbox: Count = 4096
    """The most messages that wait for one socket. If there is no room for an event, the socket is cut."""
    send_timeout: Seconds = 10.0
    """A client that accepts no message for so long is cut."""
    handshake_timeout: Seconds = 10.0
    """The longest time from the TCP connection to the end of the websocket handshake."""
    close_timeout: Seconds = 0.5
    """The longest time from our closing frame to the client's."""
    collector_period: Seconds = 240.0
    """An abandoned session ends after one to two of these periods, as in Kurento."""
    request_cache_time: Seconds = 20.0
    """For so long, a repeated request id is answered with the first reply, as in Kurento."""
    request_cache_size: CountOrZero = 8 * 1024 * 1024
    """The size of the replies that are remembered for one session. The oldest are forgotten first."""

    def __post_init__(self) -> None:
        ranges.check(self)
