"""Limits and times of websockets and sessions."""

from __future__ import annotations

from dataclasses import dataclass, field

from roomfsm.protocol.server import IceServer


@dataclass(frozen=True, slots=True)
class SignalingSettings:
    """What one browser may send and how long it may be silent; times in seconds."""

    turn_uri: tuple[str, ...] = field(
        default=(),
        metadata={
            "help": "TURN server, as turn:host:3478 or turns:host:443?transport=tcp; needs --turn-secret",
            "live": True,
        },
    )
    turn_secret: str | None = field(
        default=None,
        metadata={
            "help": "what the servers of --turn-uri make and check time-limited credentials by (TURN REST)",
            "secret": True,
            "live": True,
        },
    )
    turn_ttl: float = field(
        default=43200.0,
        metadata={
            "help": "seconds that such credentials are good for; who stays gets new ones at half time",
            "live": True,
        },
    )
    ice_servers: tuple[IceServer, ...] = field(
        default=(),
        metadata={"help": "STUN or TURN server for browsers: URL, or URL|username|credential", "live": True},
    )
    max_sessions: int = field(
        default=5000, metadata={"help": "browsers at a time, lost ones that may come back among them"}
    )
    max_sessions_per_address: int = field(
        default=1500,
        metadata={"help": "browsers of one address (IPv6: of one /64 network) at a time, lost ones among them"},
    )
    max_away_per_address: int = field(
        default=1000,
        metadata={
            "help": "browsers of one address whose connection is lost and may be resumed; the oldest make way"
        },
    )
    max_away_per_room: int = field(
        default=500,
        metadata={"help": "people of a room whose connection is lost and may be resumed; the oldest make way"},
    )
    entries_per_address: float = field(
        default=20.0,
        metadata={"help": "times a second that people of one address may come into a room or back, on average"},
    )
    entries_burst_per_address: int = field(
        default=2000, metadata={"help": "times that people of one address may come into a room or back at once"}
    )
    told_rate_per_address: float = field(
        default=300.0,
        metadata={
            "help": "messages a second that people of one address may have told to everybody in their rooms"
        },
    )
    told_bytes_per_address: float = field(
        default=196_608.0,
        metadata={"help": "bytes a second that people of one address may have told to everybody in their rooms"},
    )
    max_message_bytes: int = field(default=262_144, metadata={"help": "longest message from a browser, bytes"})
    max_message_fragments: int = field(
        default=1024, metadata={"help": "parts that a message may come in: websocket fragments, and reads of them"}
    )
    message_timeout: float = field(
        default=30.0, metadata={"help": "seconds that a message may take from its first fragment to its last"}
    )
    max_messages_bytes: int = field(
        default=134_217_728, metadata={"help": "bytes of messages from all browsers, read and not handled yet"}
    )
    max_messages_bytes_per_address: int = field(
        default=33_554_432, metadata={"help": "the same, from one address (IPv6: from one /64 network)"}
    )
    message_rate: float = field(
        default=100.0, metadata={"help": "messages a second that a browser may send, on average"}
    )
    message_burst: int = field(default=500, metadata={"help": "messages that a browser may send at once"})
    outbox_messages: int = field(
        default=2000, metadata={"help": "messages waiting for a browser that reads slowly, before it is cut"}
    )
    outbox_bytes: int = field(
        default=4_194_304, metadata={"help": "bytes waiting for a browser that reads slowly, before it is cut"}
    )
    heartbeat: float = field(default=20.0, metadata={"help": "seconds between pings to a browser"})
    heartbeat_timeout: float = field(
        default=10.0, metadata={"help": "seconds that a browser may take to answer a ping"}
    )
    resume_window: float = field(
        default=30.0, metadata={"help": "seconds in which a lost connection may be resumed", "zero": True}
    )
    close_timeout: float = field(
        default=1.0, metadata={"help": "seconds that a browser may take to close its side of a websocket"}
    )
