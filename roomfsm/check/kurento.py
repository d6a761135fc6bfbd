"""Checks each media server of `--kurento`: whether it answers, and its version."""

from __future__ import annotations

import itertools
from typing import Any

import trio

from roomfsm.check.findings import Finding, fault, ok, warning
from roomfsm.kurento.connection import open_connection
from roomfsm.kurento.errors import MediaServerError
from roomfsm.kurento.link import OLDEST, closing, is_too_old
from roomfsm.kurento.objects import MANAGER
from roomfsm.kurento.session import invocation, value_of
from roomfsm.kurento.settings import KurentoSettings
from roomfsm.settings import Settings

_NAME = "kurento"
_PATIENCE = 4.0
"""Seconds for each answer of a media server."""


async def check_kurento(settings: Settings) -> list[Finding]:
    """Connect to each media server as the room server would."""
    urls = settings.server.kurento
    if not urls:
        return [ok(_NAME, "none: the server starts the embedded media server")]
    found: dict[str, Finding] = {}

    async def ask(url: str) -> None:
        found[url] = await _ask(
            url, KurentoSettings(secret=settings.server.kurento_secret, ping_timeout=_PATIENCE)
        )

    async with trio.open_nursery() as nursery:
        for url in urls:
            nursery.start_soon(ask, url)
    return [found[url] for url in urls]


async def _ask(url: str, settings: KurentoSettings) -> Finding:
    try:
        version = await _version(url, settings)
    except MediaServerError as error:
        return fault(_NAME, f"{url}: {error}", "start it, open its port to this machine, or correct --kurento")
    oldest = ".".join(map(str, OLDEST))
    if version is None:
        return warning(_NAME, f"{url} does not say its version", f"make sure that it is {oldest} or newer")
    if is_too_old(version):
        return fault(_NAME, f"{url} is version {version}", f"update it to {oldest} or newer")
    return ok(_NAME, f"{url} answers; version {version}")


async def _version(url: str, settings: KurentoSettings) -> str | None:
    """Raises `MediaServerError`."""
    info: Any = None
    async with open_connection(url, settings, itertools.count(1), lambda _: None) as connection:
        session = (await connection.call("connect", {}))["sessionId"]
        info = value_of(await connection.call("invoke", {**invocation(MANAGER, "getInfo"), "sessionId": session}))
        await connection.call("closeSession", closing(session))
    version = info.get("version") if isinstance(info, dict) else None
    return version if isinstance(version, str) else None
