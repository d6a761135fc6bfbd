"""Where the rooms are kept, and how much may wait for the store."""

from __future__ import annotations

from dataclasses import dataclass, field

from roomfsm import ranges
from roomfsm.ranges import Bytes, Count, Seconds, SettingsError
from roomfsm.store.redis_address import AddressError, read_address

NOWHERE = "none"
"""The value of `--data` with which nothing is kept."""


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """Where the rooms are kept, and how much may wait for the store. Times are in seconds, sizes in bytes.

    Raises `SettingsError`.
    """

    data: str | None = field(
        default=None,
        metadata={
            "help": "The folder in which the rooms are kept, so that they outlive the server. Without this "
            "setting it is the folder roomfsm in the user's folder for the state of programs. none keeps nothing."
        },
    )
    store: str | None = field(
        default=None,
        metadata={
            "help": "The address of a Redis in which the rooms are kept, instead of a folder: "
            "redis://[USER:PASSWORD@]HOST[:PORT][/NUMBER], redis+sentinel://…HOST[:PORT][,HOST…]/SERVICE with "
            "Sentinels, redis+cluster://…HOST[:PORT][,HOST…] for a Cluster, or rediss… with TLS. It needs "
            "roomfsm[redis].",
            "secret": True,
        },
    )
    store_deadline: Seconds = field(
        default=2.0,
        metadata={
            "help": "How many seconds the store has to keep what rooms have promised. Beyond that the rooms go on "
            "without it, and refuse what cannot be kept, until it answers again."
        },
    )
    store_events: Count = field(
        default=500,
        metadata={"help": "After how many events the events of a room are replaced by one snapshot in the store."},
    )
    store_queue: Count = field(
        default=50_000,
        metadata={
            "help": "How many events, and messages that must wait for them, may wait for the store. Beyond that "
            "the rooms wait, too."
        },
    )
    store_queue_bytes: Bytes = field(
        default=16_777_216,
        metadata={
            "help": "The most bytes of events, and of messages that must wait for them, that may wait for the "
            "store."
        },
    )

    def __post_init__(self) -> None:
        ranges.check(self)
        if self.data == "":
            raise SettingsError(f"--data: name a folder, or {NOWHERE}")
        if self.store is None:
            return
        if self.data is not None:
            raise SettingsError("--data and --store: the rooms are kept in one place, so give one of the two")
        try:
            read_address(self.store)
        except AddressError as error:
            raise SettingsError(f"--store: {error}") from error
