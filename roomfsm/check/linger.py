"""Checks whether the embedded media server can outlive a server that dies, so that the next one takes it over."""

from __future__ import annotations

from pathlib import Path

import trio

from roomfsm import adoption
from roomfsm.check.findings import Finding, ok, warning
from roomfsm.check.store import nearest
from roomfsm.media_memory import meeting_folders
from roomfsm.settings import Settings
from roomfsm.store.interface import StoreError
from roomfsm.store.opening import folder_of
from roomfsm.store.settings import NOWHERE

_CHECK = "linger"


async def check_linger(settings: Settings) -> list[Finding]:
    """Where the next server would find the media server."""
    return [await trio.to_thread.run_sync(_check, settings)]


def _check(settings: Settings) -> Finding:
    if settings.server.kurento:
        return ok(_CHECK, "the media servers are programs of their own")
    seconds = settings.server.media_linger
    if not seconds:
        return ok(_CHECK, "the media server ends with the server (--media-linger 0)")
    if settings.store.data == NOWHERE:
        return ok(_CHECK, "the media server ends with the server (--data none)")
    if not adoption.is_possible():
        return warning(
            _CHECK,
            "this system cannot watch a process of others, so the media server ends with the server",
            "--media-linger 0, or Linux 5.3 or newer with /proc",
        )
    try:
        folder = None if settings.store.store else folder_of(settings.store)
    except StoreError:
        folder = None  # The check of the store says so.
    for place in meeting_folders(folder):
        if adoption.is_short_enough(place) and _can_meet(nearest(place)):
            return ok(
                _CHECK, f"the media server outlives a server that dies by {seconds:g} s (it is found in {place})"
            )
    return warning(
        _CHECK,
        "there is no folder in which a new server finds the media server, so it ends with the server",
        "let XDG_RUNTIME_DIR be a folder with a short path that this user can write",
    )


def _can_meet(folder: Path) -> bool:
    try:
        meeting = adoption.Meeting(folder)
    except OSError:
        return False
    meeting.close()
    meeting.give_up()
    return True
