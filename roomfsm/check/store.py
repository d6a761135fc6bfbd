"""Checks where the rooms are kept: whether the folder can be written, or Redis be reached."""

from __future__ import annotations

import os
from pathlib import Path

import trio

from roomfsm.check.findings import Finding, fault, ok, warning
from roomfsm.settings import Settings
from roomfsm.store.interface import StoreCode, StoreError
from roomfsm.store.opening import folder_of, is_default
from roomfsm.store.settings import NOWHERE, StoreSettings

_CHECK = "store"
_OLDEST = (6, 2)
"""The oldest Redis that has all commands that we use."""
_SLOW = 0.02
"""Seconds. A line of chat is told when Redis has confirmed it."""


async def check_store(settings: Settings) -> list[Finding]:
    """Whether rooms can be kept. A server that runs meanwhile is not disturbed."""
    if settings.store.store is not None:
        return await _check_redis(settings.store.store)
    if settings.store.data == NOWHERE:
        return [ok(_CHECK, "rooms end with the server (--data none)")]
    return [await trio.to_thread.run_sync(_check_folder, settings.store)]


def _check_folder(settings: StoreSettings) -> Finding:
    try:
        folder = folder_of(settings)
    except StoreError as error:
        return fault(_CHECK, error.detail, error.code.mend)
    there = nearest(folder)
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        # Without a folder that somebody has named, the server runs all the same, and keeps nothing.
        found = warning if is_default(settings) else fault
        return found(_CHECK, f"{there} cannot be written", StoreCode.UNWRITABLE.mend)
    return ok(_CHECK, f"rooms are kept in {folder}")


def nearest(folder: Path) -> Path:
    """The folder, or the one above it that exists."""
    return next(one for one in (folder, *folder.absolute().parents) if one.exists())


async def _check_redis(url: str) -> list[Finding]:
    try:
        from roomfsm.store.redis import Keeping, ask_redis
    except ModuleNotFoundError as error:
        mend = "pip install 'roomfsm[redis]'"
        return [fault(_CHECK, f"--store needs {error.name}, which is not installed", mend)]
    try:
        asked = await ask_redis(url)
    except StoreError as error:
        return [fault(_CHECK, error.detail, error.code.mend)]
    wrong = []
    place = asked.place
    if asked.version and asked.version < _OLDEST:
        shown = ".".join(map(str, asked.version))
        wrong.append(fault(_CHECK, f"{place} is version {shown}", "update it to Redis 6.2 or newer, or to Valkey"))
    match asked.keeping:
        case Keeping.ALL:
            loses = None
        case Keeping.SAVE_POINTS:
            loses = "forgets what came after its last save point"
        case Keeping.NOTHING:
            loses = "forgets everything"
    if loses is not None:
        wrong.append(warning(_CHECK, f"{place} {loses} when it ends", "set appendonly yes in its settings"))
    if asked.evicts is not None:
        what = f"{place} drops rooms when its memory is full (maxmemory-policy {asked.evicts})"
        wrong.append(warning(_CHECK, what, "set maxmemory-policy noeviction in its settings"))
    for silent in asked.silent:
        what = f"of those that {place} names, one does not answer: {silent}"
        wrong.append(warning(_CHECK, what, "start it, or take it out of --store"))
    if asked.replicas == 0:
        what = f"nobody would take over if the primary of {place} failed"
        wrong.append(warning(_CHECK, what, "start a replica of it"))
    if asked.answers > _SLOW:
        what = f"{place} answers in {asked.answers * 1000:.0f} ms, and everything that is promised waits for that"
        wrong.append(warning(_CHECK, what, "use a Redis that is nearer, or less busy"))
    return wrong or [ok(_CHECK, f"rooms are kept in {place}, which answers in {asked.answers * 1000:.1f} ms")]
