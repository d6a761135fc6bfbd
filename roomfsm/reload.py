"""On SIGHUP, reads the certificate and the settings again while the server runs.

Some settings can change at run time (`metadata={"live": True}`), because they are looked up for each connection,
request or join. The others need a restart, and the log names them. If something cannot be read or is wrong, the
old values stay in force. The signal ends nothing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, Protocol

import trio

from roomfsm.log import get_logger
from roomfsm.settings import POLICIES, Settings, SettingsError, all_settings

_READ_WITHIN = 5.0
"""The most seconds for reading, because a file may be on a disk that does not answer."""

_log = get_logger(__name__)

type Read = Callable[[], Settings]


class Server(Protocol):
    """The parts of the server that use the settings."""

    def apply(self, settings: Settings) -> None:
        """Use these settings from now on. Some of them have changed."""

    async def renew_certificate(self, settings: Settings) -> str | None:
        """Use the certificate in its file from now on. Returns the reason if that is not possible."""


async def reload(now: Settings, read: Read, server: Server) -> Settings:
    """Read the settings again and let the server use them. Returns the settings that are then in force."""
    new = await _read(read)
    settings, changed, waiting = merge(now, new or now)
    fault = await server.renew_certificate(settings)
    if fault is not None:
        _log.error("certificate not read, the one before stays in force", error=fault)
        before = dataclasses.replace(
            settings.server, certfile=now.server.certfile, keyfile=now.server.keyfile, tls=now.server.tls
        )
        settings = dataclasses.replace(settings, server=before)
    server.apply(settings)
    if new is not None:
        what = "settings and certificate" if fault is None else "settings"
        _log.info(f"{what} were read again", changed=changed)
    elif fault is None and settings.server.https:
        _log.info("certificate was read again")
    if waiting:
        _log.warning("these settings change at the next start only", settings=waiting)
    return settings


async def _read(read: Read) -> Settings | None:
    with trio.move_on_after(_READ_WITHIN) as scope:
        try:
            return await trio.to_thread.run_sync(read, abandon_on_cancel=True)
        except SettingsError as error:
            _log.error("settings not read, those before stay in force", error=str(error))
        except Exception:  # noqa: BLE001 (a boundary)
            # A mistake in our code for reading must not end the server.
            _log.exception("settings not read, those before stay in force")
    if scope.cancelled_caught:
        _log.error("settings not read, those before stay in force", error=f"no answer in {_READ_WITHIN:g} s")
    return None


def merge(now: Settings, new: Settings) -> tuple[Settings, list[str], list[str]]:
    """The settings `now` with the changes from `new` that are possible at run time.

    Also returns the flags that changed, and the flags that differ but cannot change.
    """
    changed: list[str] = []
    waiting: list[str] = []
    parts: dict[str, dict[str, Any]] = {}
    for setting in all_settings():
        value = getattr(getattr(new, setting.part), setting.name)
        if value == getattr(getattr(now, setting.part), setting.name):
            continue
        if setting.live:
            changed.append(setting.flag)
            parts.setdefault(setting.part, {})[setting.name] = value
        else:
            waiting.append(setting.flag)
    if new.policies != now.policies:
        changed.append(f"[{POLICIES}]")
    replaced: dict[str, Any] = {}
    for part, values in parts.items():
        try:
            replaced[part] = dataclasses.replace(getattr(now, part), **values)
        except SettingsError:
            # What can change fits only together with something that cannot change.
            flags = [setting.flag for setting in all_settings() if setting.part == part and setting.name in values]
            changed = [flag for flag in changed if flag not in flags]
            waiting += flags
    return dataclasses.replace(now, **replaced, policies=new.policies), changed, waiting
