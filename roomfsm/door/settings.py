"""Limits and times of the front door, for connections and requests before there is a session."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class DoorSettings:
    """Who may connect, how many connections there may be, and how long requests may be and take.

    Times are in seconds, sizes in bytes.
    """

    allow_origin: tuple[str, ...] = field(
        default=(),
        metadata={
            "help": "The origin of other pages that may connect to this server, such as https://host. '*' "
            "allows all pages.",
            "live": True,
        },
    )
    host_name: tuple[str, ...] = field(
        default=(),
        metadata={
            "help": "A name under which browsers may call this server, such as rooms.example.org, besides its "
            "IP addresses and localhost. '*' allows every name.",
            "live": True,
        },
    )
    frame_ancestors: tuple[str, ...] = field(
        default=(),
        metadata={
            "help": "The origin of pages that may show this server's pages in a frame, such as https://host. "
            "'self' is this server, and '*' allows all pages.",
            "live": True,
        },
    )
    path_prefix: str = field(
        default="",
        metadata={
            "help": "The path under which a proxy publishes this server, such as /rooms. It does not matter "
            "whether the proxy removes it from requests."
        },
    )
    trusted_proxy: tuple[str, ...] = field(
        default=(),
        metadata={
            "help": "The address or network of a proxy whose X-Forwarded-For header is believed, such as "
            "10.0.0.0/8.",
            "live": True,
        },
    )
    max_connections: int = field(
        default=10_000,
        metadata={
            "help": "The most TCP connections at a time. The system's limit of open files (ulimit -n) may "
            "allow fewer."
        },
    )
    max_connections_per_address: int = field(
        default=6000,
        metadata={"help": "The most TCP connections at a time from one address (IPv6: from one /64 network)."},
    )
    max_connection_requests: int = field(
        default=1000, metadata={"help": "The number of requests after which a connection is closed."}
    )
    keep_alive_timeout: float = field(
        default=65.0,
        metadata={
            "help": "How many seconds an idle connection waits for its next request. This should be longer "
            "than your proxy keeps idle connections."
        },
    )
    head_timeout: float = field(
        default=10.0,
        metadata={
            "help": "How many seconds a client may take to send the head of a request, or to finish a TLS "
            "handshake."
        },
    )
    body_timeout: float = field(
        default=30.0, metadata={"help": "How many seconds a client may take to send the body of a request."}
    )
    send_timeout: float = field(
        default=30.0, metadata={"help": "How many seconds a client may take to read 64 KiB of an answer."}
    )
    max_head_bytes: int = field(
        default=16_384, metadata={"help": "The most bytes that the head of a request may have."}
    )
    max_body_bytes: int = field(
        default=1_048_576, metadata={"help": "The most bytes that the body of a request may have."}
    )
    max_bodies_bytes: int = field(
        default=67_108_864,
        metadata={"help": "The most bytes that the bodies of all current requests may have together."},
    )
    max_bodies_bytes_per_address: int = field(
        default=8_388_608,
        metadata={
            "help": "The most bytes that the bodies of all current requests from one address (IPv6: from one "
            "/64 network) may have together."
        },
    )
