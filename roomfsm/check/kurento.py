"""Checks each media server of `--kurento`, and those of other nodes: whether it answers, and its version."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import trio

from roomfsm.check.findings import Finding, fault, ok, warning
from roomfsm.door.listeners import ListenError, open_listeners
from roomfsm.kurento.connection import open_connection
from roomfsm.kurento.errors import MediaServerError
from roomfsm.kurento.link import OLDEST, closing, is_too_old
from roomfsm.kurento.objects import MANAGER
from roomfsm.kurento.session import invocation, value_of
from roomfsm.kurento.settings import KurentoSettings
from roomfsm.rooms.media_servers import Registered
from roomfsm.settings import Settings
from roomfsm.store.interface import StoreError

_NAME = "kurento"
_PATIENCE = 4.0
"""Seconds for each answer of a media server."""


async def check_kurento(settings: Settings) -> list[Finding]:
    """Connect to each media server as the room server would: those of the settings, and those of other nodes."""
    server = settings.server
    asks = {url: partial(_ask, url, _patient(server.kurento_secret)) for url in server.kurento}
    why: dict[str, str] = {}
    registered = await _registered(settings)
    for url, entry in registered.items():
        who = [*(["an administrator"] if entry.added else []), *entry.nodes]
        why[url] = f"known from {', '.join(who)}"
        asks.setdefault(url, partial(_ask, url, _patient(entry.secret), "take it away by the admin API"))
    found: dict[str, Finding] = {}

    async def ask(url: str) -> None:
        one = await asks[url]()
        found[url] = replace(one, what=f"{one.what}; {why[url]}") if url in why else one

    async with trio.open_nursery() as nursery:
        for url in asks:
            nursery.start_soon(ask, url)
    embedded = [] if server.kurento else [await _embedded(settings, registered)]
    return embedded + [found[url] for url in asks]


async def _embedded(settings: Settings, registered: Mapping[str, Registered]) -> Finding:
    """Whether the embedded media server can be shared, if it is to be."""
    if settings.server.share_media_server is None:
        return ok(_NAME, "none: the server starts the embedded media server")
    host, port = settings.server.media_server_address
    shared = f"the embedded media server is shared at {host}, port {port}"
    own = [one for url, one in registered.items() if _at(url) == (host, port)]
    if settings.nodes.node in {node.partition("/")[0] for one in own for node in one.nodes}:
        return ok(_NAME, f"{shared}, and this server runs already")
    try:
        async with open_listeners((host,), port):
            return ok(_NAME, f"none: {shared}, which is free")
    except ListenError as error:
        mend = "end the program that uses the port, or choose another --share-media-server"
        return fault(_NAME, str(error), mend)


def _at(url: str) -> tuple[str | None, int | None]:
    parts = urlsplit(url)
    return parts.hostname, parts.port


def _patient(secret: str | None) -> KurentoSettings:
    return KurentoSettings(secret=secret, ping_timeout=_PATIENCE)


async def _registered(settings: Settings) -> Mapping[str, Registered]:
    """The media servers that nodes share, if this server is one."""
    if settings.nodes.node is None or settings.store.store is None:
        return {}
    try:
        from roomfsm.nodes.media_register import read_media_register

        with trio.fail_after(_PATIENCE):
            return await read_media_register(settings.store.store)
    except (ModuleNotFoundError, StoreError, trio.TooSlowError):
        return {}  # The check of the store says that.


async def _ask(url: str, settings: KurentoSettings, mend: str = "correct --kurento") -> Finding:
    try:
        version = await _version(url, settings)
    except MediaServerError as error:
        return fault(_NAME, f"{url}: {error}", f"start it, open its port to this machine, or {mend}")
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
