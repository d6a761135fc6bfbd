"""A visit to a media server, on a connection and in a session of its own, to look at all objects there.

A session holds every object that it has looked at, also those of other room servers, and must neither keep them
alive nor end them. So this is never done in the session that holds the rooms' pipelines, and the session of a
visit is closed without `release`. Kurento handles the requests of one connection one after another; those of a
visit are not in the way of the rooms.
"""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

from roomfsm.jsonrpc import Message, Params
from roomfsm.kurento.connection import Connection, open_connection
from roomfsm.kurento.errors import ConnectionLost, KurentoError
from roomfsm.kurento.objects import MANAGER
from roomfsm.kurento.requests import CallCounts
from roomfsm.kurento.session import invocation, value_of
from roomfsm.kurento.settings import KurentoSettings


class Visit:
    """An open visit. Every method raises `KurentoError` or `ConnectionLost`."""

    def __init__(self, connection: Connection, session: Params) -> None:
        self._connection = connection
        self._session = session

    async def call(self, method: str, params: Params) -> Any:
        """Send a request and return its result."""
        return await self._connection.call(method, {**params, **self._session})

    async def invoke(self, object_id: str, operation: str, params: Params | None = None) -> Any:
        """Call an operation, and return its value."""
        return value_of(await self.call("invoke", invocation(object_id, operation, params)))

    async def pipelines(self) -> list[str]:
        """The ids of all pipelines of the media server, whoever owns them."""
        return _texts(await self.invoke(MANAGER, "getPipelines"))

    async def children(self, pipeline: str) -> list[str]:
        """The ids of the elements in a pipeline."""
        return _texts(await self.invoke(pipeline, "getChildren"))

    async def tags(self, object_id: str) -> Mapping[str, str]:
        """The tags of an object."""
        tags = await self.invoke(object_id, "getTags")
        pairs = [(tag.get("key"), tag.get("value")) for tag in tags or () if isinstance(tag, dict)]
        return {key: value for key, value in pairs if isinstance(key, str) and isinstance(value, str)}


@asynccontextmanager
async def open_visit(
    url: str, settings: KurentoSettings, counts: CallCounts | None = None
) -> AsyncIterator[Visit]:
    """Visit the media server at `url`. Raises `ConnectionLost`, also if the media server refuses the session."""
    async with open_connection(url, settings, itertools.count(1), _ignore, counts) as connection:
        try:
            opened = await connection.call("connect", {})
        except KurentoError as error:
            raise ConnectionLost(f"no session: {error}") from error
        session_id = opened.get("sessionId") if isinstance(opened, dict) else None
        if not isinstance(session_id, str):
            raise ConnectionLost("the reply to connect has no sessionId")
        session: Params = {"sessionId": session_id}
        try:
            yield Visit(connection, session)
        finally:
            with suppress(KurentoError):
                await connection.part("closeSession", session)


def _texts(value: Any) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def _ignore(_: Message) -> None:
    """Ignore messages, because nothing is subscribed to."""
