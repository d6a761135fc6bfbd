"""Limits and times of websockets and sessions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from msgspec import Meta

from roomfsm import ranges
from roomfsm.protocol.server import IceServer
from roomfsm.ranges import Bytes, Count, Rate, Seconds, SecondsOrZero, SettingsError
from roomfsm.signaling.ice_uris import is_stun_uri, is_turn_uri

TurnTtl = Annotated[float, Meta(ge=60, le=2_592_000)]
"""The lower limit leaves time to connect, and the upper one is a month."""


@dataclass(frozen=True, slots=True)
class SignalingSettings:
    """How much a browser may send, and how long it may be silent. All times are in seconds.

    Raises `SettingsError`.
    """

    turn_uri: tuple[str, ...] = field(
        default=(),
        metadata={
            "help": "The address of a TURN server for browsers, such as turn:host:3478 or "
            "turns:host:443?transport=tcp. It needs --turn-secret.",
            "live": True,
        },
    )
    turn_secret: str | None = field(
        default=None,
        metadata={
            "help": "The secret shared with the TURN servers of --turn-uri, from which time-limited "
            "credentials are made (TURN REST).",
            "secret": True,
            "live": True,
        },
    )
    turn_ttl: TurnTtl = field(
        default=43200.0,
        metadata={
            "help": "How many seconds a TURN credential is valid. Somebody who stays longer gets a new one at "
            "half time.",
            "live": True,
        },
    )
    ice_servers: tuple[IceServer, ...] = field(
        default=(),
        metadata={"help": "A STUN or TURN server for browsers: URL, or URL|username|credential.", "live": True},
    )
    max_sessions: Count = field(
        default=5000,
        metadata={
            "help": "The most browsers at a time. A browser that lost its connection and may still come back "
            "counts."
        },
    )
    max_sessions_per_address: Count = field(
        default=1500,
        metadata={
            "help": "The most browsers at a time from one address (IPv6: from one /64 network). A browser "
            "that lost its connection and may still come back counts."
        },
    )
    max_away_per_address: Count = field(
        default=1000,
        metadata={
            "help": "The most browsers of one address that lost their connection and may still come back. "
            "Beyond that, the one that has been away longest loses its place."
        },
    )
    max_away_per_room: Count = field(
        default=500,
        metadata={
            "help": "The most people of one room who lost their connection and may still come back. Beyond "
            "that, the one who has been away longest loses the place."
        },
    )
    entries_per_address: Rate = field(
        default=20.0,
        metadata={
            "help": "How many times a second people of one address may enter a room or come back, on average."
        },
    )
    entries_burst_per_address: Count = field(
        default=2000,
        metadata={"help": "How many times people of one address may enter a room or come back at once."},
    )
    told_rate_per_address: Rate = field(
        default=300.0,
        metadata={
            "help": "How many messages a second people of one address may send to everybody in their rooms, "
            "on average."
        },
    )
    told_bytes_per_address: Rate = field(
        default=196_608.0,
        metadata={
            "help": "How many bytes a second people of one address may send to everybody in their rooms, on "
            "average."
        },
    )
    max_message_bytes: Bytes = field(
        default=262_144, metadata={"help": "The most bytes that one message from a browser may have."}
    )
    max_message_fragments: Count = field(
        default=1024,
        metadata={
            "help": "The most parts in which one message may arrive (websocket fragments, and reads from the "
            "network)."
        },
    )
    message_timeout: Seconds = field(
        default=30.0, metadata={"help": "How many seconds a message may take from its first part to its last."}
    )
    max_messages_bytes: Bytes = field(
        default=134_217_728,
        metadata={
            "help": "The most bytes of messages, from all browsers together, that were received and are not "
            "handled yet."
        },
    )
    max_messages_bytes_per_address: Bytes = field(
        default=33_554_432,
        metadata={
            "help": "The most bytes of messages, from all browsers of one address (IPv6: of one /64 network), "
            "that were received and are not handled yet."
        },
    )
    message_rate: Rate = field(
        default=100.0, metadata={"help": "How many messages a second a browser may send, on average."}
    )
    message_burst: Count = field(default=500, metadata={"help": "How many messages a browser may send at once."})
    outbox_messages: Count = field(
        default=2000,
        metadata={
            "help": "How many messages may wait for a browser that reads slowly. Beyond that its connection "
            "is closed."
        },
    )
    outbox_bytes: Bytes = field(
        default=4_194_304,
        metadata={
            "help": "How many bytes may wait for a browser that reads slowly. Beyond that its connection is "
            "closed."
        },
    )
    heartbeat: Seconds = field(
        default=20.0, metadata={"help": "How many seconds pass between two pings to a browser."}
    )
    heartbeat_timeout: Seconds = field(
        default=10.0, metadata={"help": "How many seconds a browser may take to answer a ping."}
    )
    resume_window: SecondsOrZero = field(
        default=30.0,
        metadata={
            "help": "How many seconds a browser has to come back after it lost its connection.",
        },
    )
    close_timeout: Seconds = field(
        default=1.0, metadata={"help": "How many seconds a browser may take to close its side of a websocket."}
    )

    def __post_init__(self) -> None:
        ranges.check(self)
        for server in self.ice_servers:
            _check_ice_server(server)
        for url in self.turn_uri:
            if not is_turn_uri(url):
                raise SettingsError(
                    f"--turn-uri: {url} is not like turn:host:3478 or turns:host:443?transport=tcp"
                )
        if bool(self.turn_uri) != (self.turn_secret is not None):
            raise SettingsError(
                "TURN credentials need both --turn-uri and --turn-secret, but only one of them is set"
            )
        if self.turn_secret == "":
            raise SettingsError("--turn-secret: the secret is empty")


def _check_ice_server(server: IceServer) -> None:
    """Check every address: a browser that gets one wrong address uses none. Raises `SettingsError`."""
    for url in server.urls:
        if not is_stun_uri(url) and not is_turn_uri(url):
            raise SettingsError(f"--ice-servers: {url} is not an address such as stun:host:3478 or turn:host:3478")
        if url.startswith("turn") and not (server.username and server.credential):
            raise SettingsError(
                f"--ice-servers: {url} needs a user name and a credential: URL|username|credential"
            )
