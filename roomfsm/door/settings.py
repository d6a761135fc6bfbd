"""Limits and times of the front door: connections and what is asked over them, before anybody has a session."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class DoorSettings:
    """Who may connect, how many, how long a request may be and take; times in seconds, sizes in bytes."""

    allow_origin: tuple[str, ...] = field(
        default=(),
        metadata={
            "help": "origin of pages, beside our own, that may connect, as https://host; '*' is any",
            "live": True,
        },
    )
    host_name: tuple[str, ...] = field(
        default=(),
        metadata={
            "help": "name that the server answers to, beside addresses and localhost, as rooms.example.org; "
            "'*' is any",
            "live": True,
        },
    )
    frame_ancestors: tuple[str, ...] = field(
        default=(),
        metadata={
            "help": "origin of pages that may show ours in a frame, as https://host; 'self', or '*' for any",
            "live": True,
        },
    )
    path_prefix: str = field(
        default="",
        metadata={"help": "path below which a proxy shows the server, as /rooms, whether it takes it off or not"},
    )
    trusted_proxy: tuple[str, ...] = field(
        default=(),
        metadata={
            "help": "address or network of a proxy whose X-Forwarded-For is believed, as 10.0.0.0/8",
            "live": True,
        },
    )
    max_connections: int = field(
        default=10_000,
        metadata={"help": "TCP connections at a time; the limit of open files (ulimit -n) may allow fewer"},
    )
    max_connections_per_address: int = field(
        default=6000,
        metadata={"help": "TCP connections at a time from one address (IPv6: from one /64 network)"},
    )
    max_connection_requests: int = field(
        default=1000, metadata={"help": "requests over one connection, after which it is closed"}
    )
    keep_alive_timeout: float = field(
        default=65.0,
        metadata={"help": "seconds that a connection may wait for its next request; longer than proxies wait"},
    )
    head_timeout: float = field(
        default=10.0, metadata={"help": "seconds that a client may take for a request head, or a TLS handshake"}
    )
    body_timeout: float = field(
        default=30.0, metadata={"help": "seconds that a client may take for the body of a request"}
    )
    send_timeout: float = field(
        default=30.0, metadata={"help": "seconds that a client may take to read 64 KiB of an answer"}
    )
    max_head_bytes: int = field(default=16_384, metadata={"help": "longest request head, bytes"})
    max_body_bytes: int = field(default=1_048_576, metadata={"help": "longest body of a request, bytes"})
    max_bodies_bytes: int = field(
        default=67_108_864, metadata={"help": "bytes of the bodies of all requests that are being served"}
    )
    max_bodies_bytes_per_address: int = field(
        default=8_388_608, metadata={"help": "the same, from one address (IPv6: from one /64 network)"}
    )
