"""The settings that all nodes must have alike, and how nodes find out that they have not.

A room may live at any node, and a request about it may come in at any other. So whatever decides who may do what,
and how much, must be the same everywhere. Each node shows the others a fingerprint of these settings. It has only
16 bits for each setting: enough to notice that two differ, and too few to find out a secret.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from itertools import batched
from typing import Any

import msgspec

from roomfsm.settings import POLICIES, Settings, all_settings

ALIKE = (
    # Who may do what.
    "path_prefix",
    "inspect",
    "inspect_token",
    "admin_token",
    "token_key",
    "require_token",
    "token_audience",
    "token_leeway",
    "max_token_length",
    # What a room is.
    "max_people",
    "max_presenters",
    "max_views",
    "chat_history",
    "chat_history_bytes",
    "chat_lines",
    "ban_seconds",
    "max_bans",
    "max_in_lobby",
    "linger",
    "resume_window",
    "max_message_bytes",
    "max_file_bytes",
    "max_room_files_bytes",
    "file_lifetime",
    # Who is told.
    "webhook",
    "webhook_secret",
    # How soon a node counts as dead.
    "node_lease",
)
"""The names of the settings. The policies of rooms are compared, too."""

_SIZE = 4
"""Hexadecimal digits for each setting."""


def fingerprint(settings: Settings) -> str:
    """What a node shows the others of its settings: first the names, then each value.

    It is text, because Redis reads what a node shows, and knows no bytes there.
    """
    values = list(_values(settings))
    names = _short("", [name for name, _ in values])
    return names + "".join(_short(name, value) for name, value in values)


def differences(settings: Settings, other: str) -> list[str]:
    """The settings that another node, which shows this fingerprint, has otherwise.

    Empty, too, if that node is of another version, which has other settings: nobody can compare them.
    """
    own = fingerprint(settings)
    if len(own) != len(other) or own[:_SIZE] != other[:_SIZE]:
        return []
    parts = zip(batched(own, _SIZE, strict=True), batched(other, _SIZE, strict=True), strict=True)
    _, *same = (mine == theirs for mine, theirs in parts)
    return [name for (name, _), is_same in zip(_values(settings), same, strict=True) if not is_same]


def _values(settings: Settings) -> Iterator[tuple[str, Any]]:
    for setting in all_settings():
        if setting.name in ALIKE:
            yield setting.flag, getattr(getattr(settings, setting.part), setting.name)
    yield f"[{POLICIES}]", settings.policies


def _short(name: str, value: Any) -> str:
    text = msgspec.json.encode([name, value], order="deterministic")
    return hashlib.sha256(text).hexdigest()[:_SIZE]
