"""Limits and times of rooms."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from roomfsm import ranges
from roomfsm.access.policy import Policy
from roomfsm.protocol.fields import BanSeconds
from roomfsm.ranges import Bytes, Count, CountOrZero, Rate, Seconds, SecondsOrZero


@dataclass(frozen=True, slots=True)
class RoomSettings:
    """How much a room may hold, and how long it waits. Times are in seconds, bandwidths in kbit/s.

    Raises `SettingsError`.
    """

    max_rooms: Count = field(default=1000, metadata={"help": "The most rooms that are open at a time."})
    max_rooms_per_address: Count = field(
        default=500,
        metadata={
            "help": "The most open rooms that were opened by people of one address (IPv6: of one /64 network)."
        },
    )
    max_rooms_per_session: Count = field(
        default=20, metadata={"help": "The most open rooms that were opened by one browser."}
    )
    max_people: Count = field(default=500, metadata={"help": "The most people in a room."})
    max_presenters: Count = field(
        default=16, metadata={"help": "The most people who present in a room at a time."}
    )
    max_views: Count = field(default=32, metadata={"help": "The most streams that one person watches at a time."})
    chat_history: CountOrZero = field(
        default=100,
        metadata={"help": "How many earlier lines of chat somebody gets who enters a room."},
    )
    chat_history_bytes: Bytes = field(
        default=65_536,
        metadata={"help": "The most bytes (as encoded) of earlier chat that somebody gets who enters a room."},
    )
    chat_lines: Count = field(
        default=1000,
        metadata={
            "help": "How many of the last lines of chat can be answered or deleted, and keep their files. Those "
            "that newcomers get always can and do."
        },
    )
    told_rate: Rate = field(
        default=15.0,
        metadata={
            "help": "How many messages a second one person may send to everybody in the room, on average. A "
            "line of chat counts as one message, entering and starting to watch as two, a new name as "
            "three, starting to present as four."
        },
    )
    told_bytes: Rate = field(
        default=16_384.0,
        metadata={"help": "How many bytes a second one person may send to everybody in the room, on average."},
    )
    room_told_rate: Rate = field(
        default=100.0,
        metadata={
            "help": "How many messages a second all people of a room together may send to everybody in it, on "
            "average."
        },
    )
    room_told_bytes: Rate = field(
        default=65_536.0,
        metadata={
            "help": "How many bytes a second all people of a room together may send to everybody in it, on "
            "average."
        },
    )
    told_seconds: Seconds = field(
        default=10.0, metadata={"help": "How many seconds' worth of these rates may be used at once."}
    )
    room_entries_rate: Rate = field(
        default=10.0,
        metadata={"help": "How many people may enter one room a second, on average."},
    )
    room_entries_burst: Count = field(
        default=2500,
        metadata={
            "help": "How many people may enter one room at once. People of one address may take half of it, and "
            "half of --room-entries-rate."
        },
    )
    room_changes_rate: Rate = field(
        default=40.0,
        metadata={
            "help": "How many changes a second (names, who is away, number of viewers) a room announces. "
            "Beyond that it waits, and then announces only the newest change of each kind."
        },
    )
    speaking_interval: Seconds = field(
        default=0.5,
        metadata={
            "help": "How many seconds a room waits at least until it tells again who speaks in it, "
            "and who shows which reactions."
        },
    )
    reactions_at_once: Count = field(
        default=40,
        metadata={
            "help": "How many reactions a room tells in one message. Those beyond that are left out, because "
            "nobody can look at more."
        },
    )
    room_inbox: Count = field(
        default=256,
        metadata={"help": "How many messages may wait for a room. Beyond that their senders have to wait."},
    )
    ban_seconds: BanSeconds = field(
        default=3600.0,
        metadata={
            "help": "How many seconds a moderator's ban holds, unless the moderator gives another time. It ends "
            "with the room."
        },
    )
    max_bans: Count = field(
        default=500,
        metadata={"help": "The most bans of a room. Beyond that, the one that would end first ends at once."},
    )
    max_in_lobby: Count = field(
        default=100,
        metadata={
            "help": "The most people who may wait in the lobby of a room at the same time. People of one address "
            "(IPv6: of one /64 network) may be half of them."
        },
    )
    linger: SecondsOrZero = field(default=30.0, metadata={"help": "How many seconds an empty room stays open."})
    closing_deadline: Seconds = field(
        default=2.0,
        metadata={"help": "How many seconds a closing room waits until its media endpoints are released."},
    )
    closing_notice: SecondsOrZero = field(
        default=0.0,
        metadata={"help": "How many seconds a closing room keeps its people at least."},
    )
    connect_timeout: Seconds = field(
        default=30.0,
        metadata={
            "help": "How many seconds a browser's media connection may take to be established, counted from "
            "the answer."
        },
    )
    candidate_buffer: Count = field(
        default=64,
        metadata={
            "help": "How many of a browser's ICE candidates are kept for an endpoint that is not ready yet."
        },
    )
    restart_rate: Rate = field(
        default=0.2,
        metadata={
            "help": "How many times a second one media connection may be restarted because the browser's network "
            "has changed, on average."
        },
    )
    restart_burst: Count = field(
        default=5, metadata={"help": "How many times one media connection may be restarted at once."}
    )
    restart_buffer: Count = field(
        default=4,
        metadata={"help": "How many restarts of one media connection may wait for the media server's answer."},
    )
    video_kbps: Count = field(
        default=3000, metadata={"help": "The most kbit/s that one video stream may use in each direction."}
    )
    views_per_media_server: CountOrZero = field(
        default=250,
        metadata={
            "help": "The most views of one room at one media server, with the relays that begin there. Beyond "
            "that, streams are relayed to another media server, which must be reachable from there by UDP. 0: "
            "never."
        },
    )
    relays_per_media_server: Count = field(
        default=8,
        metadata={
            "help": "To how many other media servers one media server relays one stream. Beyond that, these relay "
            "it on."
        },
    )
    relay_connect_timeout: Seconds = field(
        default=5.0,
        metadata={
            "help": "How many seconds two media servers may take to be connected for a relay. Its first viewer "
            "waits meanwhile."
        },
    )
    relay_linger: SecondsOrZero = field(
        default=5.0,
        metadata={"help": "How many seconds a relay goes on after its last viewer has left."},
    )
    relay_pause: Seconds = field(
        default=30.0,
        metadata={
            "help": "For how many seconds after a relay failed the media server that is to blame gets no more "
            "viewers of the room, and a relay that was made anew is not made anew again."
        },
    )
    views_again_rate: Rate = field(
        default=50.0,
        metadata={
            "help": "How many viewers of a room a second are told that their media server, or the relay to it, is "
            "lost. Their pages ask for the stream again at once."
        },
    )
    journal_entries: Count = field(
        default=500,
        metadata={"help": "How many entries of its journal a room keeps in memory. It keeps the newest."},
    )
    journal_bodies: bool = field(
        default=False,
        metadata={"help": "Whether the journal also keeps what people said, their offers and their candidates."},
    )
    journal_refusals: Rate = field(
        default=5.0,
        metadata={"help": "How many refused messages of one person the journal records a second, on average."},
    )
    journal_file: str | None = field(
        default=None, metadata={"help": "The file to which the journals of all rooms are appended, as JSON lines."}
    )
    journal_file_bytes: Bytes = field(
        default=67_108_864,
        metadata={
            "help": "The size at which the journal file is renamed to FILE.1, replacing an older one, and a "
            "new one is begun."
        },
    )

    def __post_init__(self) -> None:
        ranges.check(self)

    def under(self, policy: Policy) -> RoomSettings:
        """The settings of a room with this policy."""
        own: dict[str, Any] = {
            "max_people": policy.max_people,
            "max_presenters": policy.max_presenters,
            "linger": policy.linger,
        }
        changed = {name: value for name, value in own.items() if value is not None}
        # A copy is checked anew, which takes a fifth of what it takes to open a room.
        return replace(self, **changed) if changed else self
