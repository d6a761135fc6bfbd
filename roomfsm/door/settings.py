"""Limits and times of the front door, for connections and requests before there is a session."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from roomfsm import ranges
from roomfsm.door.client_address import networks_of
from roomfsm.hosts import host_setting
from roomfsm.ranges import Bytes, Count, Seconds, SettingsError

_FRAME_ANCESTOR = re.compile(r"https?://(\*\.)?[A-Za-z0-9.-]+(:([0-9]{1,5}|\*))?")
_PATH_PREFIX = re.compile(r"(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+")


@dataclass(frozen=True, slots=True)
class DoorSettings:
    """Who may connect, how many connections there may be, and how long requests may be and take.

    Times are in seconds, sizes in bytes. Raises `SettingsError`.
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
    max_connections: Count = field(
        default=10_000,
        metadata={
            "help": "The most TCP connections at a time. The system's limit of open files (ulimit -n) may "
            "allow fewer."
        },
    )
    max_connections_per_address: Count = field(
        default=6000,
        metadata={"help": "The most TCP connections at a time from one address (IPv6: from one /64 network)."},
    )
    max_connection_requests: Count = field(
        default=1000, metadata={"help": "The number of requests after which a connection is closed."}
    )
    keep_alive_timeout: Seconds = field(
        default=65.0,
        metadata={
            "help": "How many seconds an idle connection waits for its next request. This should be longer "
            "than your proxy keeps idle connections."
        },
    )
    head_timeout: Seconds = field(
        default=10.0,
        metadata={
            "help": "How many seconds a client may take to send the head of a request, or to finish a TLS "
            "handshake."
        },
    )
    body_timeout: Seconds = field(
        default=30.0, metadata={"help": "How many seconds a client may take to send the body of a request."}
    )
    send_timeout: Seconds = field(
        default=30.0, metadata={"help": "How many seconds a client may take to read 64 KiB of an answer."}
    )
    max_head_bytes: Bytes = field(
        default=16_384, metadata={"help": "The most bytes that the head of a request may have."}
    )
    max_body_bytes: Bytes = field(
        default=1_048_576, metadata={"help": "The most bytes that the body of a request may have."}
    )
    max_bodies_bytes: Bytes = field(
        default=67_108_864,
        metadata={"help": "The most bytes that the bodies of all current requests may have together."},
    )
    max_bodies_bytes_per_address: Bytes = field(
        default=8_388_608,
        metadata={
            "help": "The most bytes that the bodies of all current requests from one address (IPv6: from one "
            "/64 network) may have together."
        },
    )

    def __post_init__(self) -> None:
        ranges.check(self)
        for origin in self.allow_origin:
            if origin != "*" and not re.fullmatch(r"https?://[^/]+", origin):
                raise SettingsError(f"--allow-origin: {origin} is neither '*' nor an origin such as https://host")
        try:
            networks_of(self.trusted_proxy)
        except ValueError as error:
            raise SettingsError(
                f"--trusted-proxy takes an address, or a network such as 10.0.0.0/8: {error}"
            ) from None
        for name in self.host_name:
            if host_setting(name) is None:
                raise SettingsError(f"--host-name: {name} is not a host name such as rooms.example.org")
        for origin in self.frame_ancestors:
            if origin not in ("self", "*") and not _FRAME_ANCESTOR.fullmatch(origin):
                raise SettingsError(
                    f"--frame-ancestors: {origin} is neither 'self' nor '*' nor an origin such as https://host"
                )
        if self.path_prefix and not _PATH_PREFIX.fullmatch(self.path_prefix):
            raise SettingsError(
                f"--path-prefix: {self.path_prefix} must begin with a slash and not end with one, as in /rooms"
            )
