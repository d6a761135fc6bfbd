"""Limits and times of rooms."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class RoomSettings:
    """What a room may hold and how long it waits; times in seconds, bandwidths in kbit/s."""

    max_rooms: int = field(default=1000, metadata={"help": "rooms open at a time"})
    max_rooms_per_address: int = field(
        default=500,
        metadata={"help": "rooms open at a time that people of one address (IPv6: of one /64 network) opened"},
    )
    max_rooms_per_session: int = field(
        default=20, metadata={"help": "rooms open at a time that one browser's session opened"}
    )
    max_people: int = field(default=500, metadata={"help": "people in a room"})
    max_presenters: int = field(default=16, metadata={"help": "people presenting in a room at a time"})
    max_views: int = field(default=32, metadata={"help": "streams that one participant views at a time"})
    chat_history: int = field(default=100, metadata={"help": "lines of chat that a newcomer gets", "zero": True})
    chat_history_bytes: int = field(
        default=65_536, metadata={"help": "bytes, as encoded, of the lines of chat that a newcomer gets"}
    )
    told_rate: float = field(
        default=15.0,
        metadata={
            "help": "messages a second that one person may have told to everybody in a room, on average "
            "(a line of chat counts once, coming in and viewing twice, another name three times, presenting four)"
        },
    )
    told_bytes: float = field(
        default=16_384.0,
        metadata={"help": "bytes a second that one person may have told to everybody, on average"},
    )
    room_told_rate: float = field(
        default=100.0,
        metadata={"help": "messages a second that all people of a room together may have told to everybody in it"},
    )
    room_told_bytes: float = field(
        default=65_536.0,
        metadata={"help": "bytes a second that all people of a room together may have told to everybody in it"},
    )
    told_seconds: float = field(
        default=10.0, metadata={"help": "seconds' worth of these rates that may be used at once"}
    )
    room_entries_rate: float = field(
        default=10.0,
        metadata={"help": "times a second that people may come into one room, on average"},
    )
    room_entries_burst: int = field(
        default=2500,
        metadata={
            "help": "times that people may come into one room at once; one address alone has half of them, and "
            "leaves the rest to others"
        },
    )
    room_changes_rate: float = field(
        default=40.0,
        metadata={
            "help": "changes a second (names, who is away, viewers of a stream) that a room tells; "
            "beyond that only the newest of each is told, later"
        },
    )
    room_inbox: int = field(default=256, metadata={"help": "messages waiting at a room before senders wait"})
    linger: float = field(default=30.0, metadata={"help": "seconds that an empty room stays open", "zero": True})
    closing_deadline: float = field(
        default=2.0, metadata={"help": "seconds that a closing room waits for its endpoints' release"}
    )
    closing_notice: float = field(
        default=0.0,
        metadata={"help": "seconds that a closing room stays at least, its people in it", "zero": True},
    )
    connect_timeout: float = field(
        default=30.0,
        metadata={"help": "seconds from an answer until the browser's media connection must be up"},
    )
    candidate_buffer: int = field(
        default=64, metadata={"help": "browser candidates kept for an endpoint that is not ready yet"}
    )
    video_kbps: int = field(
        default=3000, metadata={"help": "most that one video stream may take, in kbit/s, each way"}
    )
    journal_entries: int = field(
        default=500, metadata={"help": "entries of its journal that a room keeps in memory, the newest"}
    )
    journal_bodies: bool = field(
        default=False, metadata={"help": "keep what was said, offers and candidates in the journal"}
    )
    journal_refusals: float = field(
        default=5.0, metadata={"help": "refusals of one participant that a journal tells a second, on average"}
    )
    journal_file: str | None = field(
        default=None, metadata={"help": "file to which the journals of all rooms are appended, as JSON lines"}
    )
    journal_file_bytes: int = field(
        default=67_108_864,
        metadata={"help": "bytes of the journal file before it is begun anew (kept once as FILE.1)"},
    )
