"""Finds the pipelines that an earlier run of this room server left at a media server by their tags, and releases
them.
"""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

import trio

from roomfsm.jsonrpc import Message, Params
from roomfsm.kurento.connection import Connection, open_connection
from roomfsm.kurento.errors import ConnectionLost, KurentoError, ObjectGone
from roomfsm.kurento.objects import MANAGER
from roomfsm.kurento.owner import Owner
from roomfsm.kurento.session import invocation, value_of
from roomfsm.kurento.settings import KurentoSettings
from roomfsm.log import get_logger

_log = get_logger(__name__)


async def sweep(url: str, settings: KurentoSettings, owner: Owner) -> int:
    """Release the pipelines at `url` that an earlier run of `owner` left, and return how many there were.

    The search uses a connection and a session of its own, which is closed without `release`. A session holds all
    pipelines that it has looked at, also those of other room servers, and must neither keep them alive nor end
    them.

    Raises `ConnectionLost`, also if the media server refuses a request.
    """
    async with open_connection(url, settings, itertools.count(1), _ignore) as connection:
        try:
            async with _open_session(connection, settings) as session:
                return await _release_left(connection, session, url, owner)
        except KurentoError as error:
            raise ConnectionLost(f"cannot sweep: {error}") from error


@asynccontextmanager
async def _open_session(connection: Connection, settings: KurentoSettings) -> AsyncIterator[Params]:
    opened = await connection.call("connect", {})
    session_id = opened.get("sessionId") if isinstance(opened, dict) else None
    if not isinstance(session_id, str):
        raise ConnectionLost("the reply to connect has no sessionId")
    session: Params = {"sessionId": session_id}
    try:
        yield session
    finally:
        with trio.move_on_after(settings.release_timeout, shield=True):
            with suppress(KurentoError):
                await connection.call("closeSession", session)
            await connection.close()


async def _release_left(connection: Connection, session: Params, url: str, owner: Owner) -> int:
    released = 0
    found = value_of(await connection.call("invoke", {**invocation(MANAGER, "getPipelines"), **session}))
    for pipeline in found if isinstance(found, list) else ():
        try:
            tags = value_of(await connection.call("invoke", {**invocation(pipeline, "getTags"), **session}))
        except ObjectGone:
            continue  # it was released after it had been listed
        if owner.left(_by_key(tags)):
            await connection.call("release", {"object": pipeline, **session})
            released += 1
    if released:
        _log.warning("kurento left behind released", url=url, owner=owner.name, pipelines=released)
    return released


def _by_key(tags: Any) -> Mapping[str, str]:
    if not isinstance(tags, list):
        return {}
    pairs = [(tag.get("key"), tag.get("value")) for tag in tags if isinstance(tag, dict)]
    return {key: value for key, value in pairs if isinstance(key, str) and isinstance(value, str)}


def _ignore(_: Message) -> None:
    """Ignore messages, because nothing is subscribed to."""
