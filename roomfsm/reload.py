"""SIGHUP: the certificate and the settings are read again, while the server runs.

Some settings can change at run time (`metadata={"live": True}`): those that are looked at anew for each
connection, request or join. The others would need a restart, and the log names them. What cannot be read, or is
wrong, leaves in force what was; the signal ends nothing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, Protocol

import trio

from roomfsm.log import get_logger
from roomfsm.settings import Settings, SettingsError, all_settings

_READ_WITHIN = 5.0
"""Seconds: a file may be on a disk that is gone."""

_log = get_logger(__name__)

type Read = Callable[[], Settings]


class Server(Protocol):
    """What runs by the settings."""

    def apply(self, settings: Settings) -> None:
        """From now on go by these settings, of which some are others than before."""

    async def renew_certificate(self, settings: Settings) -> str | None:
        """From now on show the certificate as it stands in its file; or say why that cannot be."""


async def reload(now: Settings, read: Read, server: Server) -> Settings:
    """Read the settings again and let the server go by them. Returns those that are in force then."""
    new = await _read(read) or now
    settings, changed, waiting = merge(now, new)
    fault = await server.renew_certificate(settings)
    if fault is not None:
        _log.error("certificate not read, the one before stays in force", error=fault)
        before = dataclasses.replace(settings.server, certfile=now.server.certfile, keyfile=now.server.keyfile)
        settings = dataclasses.replace(settings, server=before)
    server.apply(settings)
    _log.info("settings and certificate were read again", changed=changed)
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
            # A fault of ours in reading must not end the server.
            _log.exception("settings not read, those before stay in force")
    if scope.cancelled_caught:
        _log.error("settings not read, those before stay in force", error=f"no answer in {_READ_WITHIN:g} s")
    return None


def merge(now: Settings, new: Settings) -> tuple[Settings, list[str], list[str]]:
    """`now` with what can change of `new`; the flags of what did, and of what differs and cannot."""
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
    replaced = {part: dataclasses.replace(getattr(now, part), **values) for part, values in parts.items()}
    return dataclasses.replace(now, **replaced), changed, waiting
