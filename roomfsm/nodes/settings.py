"""Whether this server shares its rooms with others, how it is called, and how much it may tell them at once."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Annotated

from msgspec import Meta

from roomfsm import ranges
from roomfsm.ranges import Bytes, Count, SettingsError

MAX_NAME = 64
_NAME = re.compile(rf"[A-Za-z0-9._-]{{1,{MAX_NAME}}}")

Lease = Annotated[float, Meta(ge=0.2, le=60)]
"""Seconds. With less, a node that is only busy would be taken for dead; with more, its rooms would be away for
long."""


@dataclass(frozen=True, slots=True)
class NodeSettings:
    """Whether this server is a node, and how soon the others take it for dead. Raises `SettingsError`."""

    node: str | None = field(
        default=None,
        metadata={
            "help": "The name of this server among several that share one set of rooms in one Redis (--store): up "
            f"to {MAX_NAME} letters, digits, dots, underscores and hyphens. Each server needs a name of its own, "
            "and keeps it when it is started again. Without this setting the server is the only one in its Redis."
        },
    )
    node_lease: Lease = field(
        default=4.0,
        metadata={
            "help": "After how many seconds without a sign of life the other servers take this one for dead, and "
            "take its rooms. All servers should have the same value."
        },
    )

    def __post_init__(self) -> None:
        ranges.check(self)
        if self.node is not None and _NAME.fullmatch(self.node) is None:
            raise SettingsError(
                f"--node: a name has 1 to {MAX_NAME} letters (A to Z), digits, dots, underscores and hyphens"
            )


@dataclass(frozen=True, slots=True)
class BusSettings:
    """How much may be under way between two nodes. Raises `SettingsError`."""

    bus_queue: Count = field(
        default=50_000,
        metadata={
            "help": "How many messages from this server to another one may be under way. Beyond that, or if Redis "
            "is away for so long that they are too many, they are lost, and both servers learn that."
        },
    )
    bus_queue_bytes: Bytes = field(
        default=33_554_432,
        metadata={
            "help": "The most bytes of messages from this server to another one that may be under way. A single "
            "message that is larger is lost, too."
        },
    )

    def __post_init__(self) -> None:
        ranges.check(self)
