"""Limits and times of rooms."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class RoomSettings:
    """What a room may hold and how long it waits; times in seconds, bandwidths in kbit/s."""

    max_rooms: int = field(default=1000, metadata={"help": "rooms open at a time"})
    max_people: int = field(default=500, metadata={"help": "people in a room"})
    max_presenters: int = field(default=16, metadata={"help": "people presenting in a room at a time"})
    max_views: int = field(default=32, metadata={"help": "streams that one participant views at a time"})
    chat_history: int = field(default=100, metadata={"help": "lines of chat that a newcomer gets", "zero": True})
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
