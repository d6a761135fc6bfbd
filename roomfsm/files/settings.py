"""Limits and times of the files that people send to the chat."""

from __future__ import annotations

from dataclasses import dataclass, field

from roomfsm import ranges
from roomfsm.ranges import Bytes, BytesOrZero, Count, Seconds, SecondsOrZero


@dataclass(frozen=True, slots=True)
class FileSettings:
    """How much files may take, and how long they may. Times are in seconds, sizes in bytes.

    Raises `SettingsError`.
    """

    max_file_bytes: BytesOrZero = field(
        default=26_214_400,
        metadata={"help": "The most bytes that a file of the chat may have. With 0, nobody can send files."},
    )
    max_room_files_bytes: Bytes = field(
        default=209_715_200,
        metadata={
            "help": "The most bytes that all files of one room may have. One person may take half of them, and "
            "people of one address (IPv6: of one /64 network) two thirds."
        },
    )
    max_files_bytes: Bytes = field(
        default=2_147_483_648,
        metadata={
            "help": "The most bytes that the files of all rooms may have together. People of one address (IPv6: "
            "of one /64 network) may take half of them."
        },
    )
    free_disk_bytes: BytesOrZero = field(
        default=1_073_741_824,
        metadata={"help": "How many bytes of the disk stay free: beyond that, no file is taken."},
    )
    file_folder: str | None = field(
        default=None,
        metadata={
            "help": "The folder in which the server makes a temporary folder for the files. Without this setting, "
            "it is $TMPDIR, or else /var/tmp."
        },
    )
    upload_wait: Seconds = field(
        default=60.0,
        metadata={"help": "Within how many seconds a browser must begin to send a file that it has announced."},
    )
    upload_timeout: Seconds = field(
        default=900.0, metadata={"help": "How many seconds a browser may take to send a file."}
    )

    file_lifetime: SecondsOrZero = field(
        default=0.0,
        metadata={
            "help": "How many seconds a file is kept at most after it has arrived. With 0, it is kept as long as "
            "its line of chat."
        },
    )
    max_file_requests: Count = field(
        default=1000,
        metadata={
            "help": "The most requests at a time that bring or fetch a file. Each takes about 64 KiB and, besides "
            "its connection, one open file."
        },
    )
    max_file_requests_per_address: Count = field(
        default=500,
        metadata={
            "help": "The most requests at a time that bring or fetch a file and come from one address (IPv6: from "
            "one /64 network)."
        },
    )

    def __post_init__(self) -> None:
        ranges.check(self)
