"""A client of the Redis that has the data: one connection at a time, opened anew when it is of no more use.

Requests of several tasks share the connection: Redis answers them in turn. Nothing is ever sent twice, because
nobody knows whether Redis has done a request whose answer is lost; whoever asked gets the error. A request that
is cancelled leaves the connection as it is, because its answer is dropped when it comes. But if Redis has said
nothing for a while, although it was asked, the connection is ended: the machine at its other end may be gone.

coredis's own clients are not used. They repeat requests, and their pools lose a place for ever each time that no
Sentinel knows a primary.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import trio
from coredis.connection import BaseConnection
from coredis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    BusyLoadingError,
    ClusterDownError,
    NoScriptError,
    RedisError,
    ResponseError,
    TryAgainError,
)
from coredis.exceptions import ConnectionError as NotConnected

from roomfsm.store.interface import StoreCode, StoreError
from roomfsm.store.redis_address import AddressError, read_address
from roomfsm.store.redis_way import Found, Way, is_elsewhere, reason_of

_PATIENCE = 10.0
"""Seconds in which a request must be answered, unless whoever asks gives it less."""
_SILENCE = 1.0
"""A connection on which nothing came for so many seconds, although Redis was asked, is ended if somebody who asked
gives up."""

_AWAY = (NotConnected, BusyLoadingError, ClusterDownError, TryAgainError)
"""What coredis raises if Redis is away, or not ready. `TryAgainError` comes while a Cluster moves the slot."""

type Argument = str | bytes | int


class Script:
    """A script of Redis. It is sent by its hash, and as a whole to a Redis that does not know it yet."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.hash = hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()


class RedisClient:
    """Made by :func:`open_client`."""

    def __init__(self, way: Way, nursery: trio.Nursery) -> None:
        self._way = way
        self._nursery = nursery
        self._connection: BaseConnection | None = None
        self._asked_since = 0.0
        """Since when the connection has not been without a request that waits."""
        self._attempt: _Attempt | None = None
        """Under way while there is no connection."""

    @property
    def place(self) -> str:
        """The address, without user and password."""
        return self._way.address.place

    async def request(self, name: bytes, *arguments: Argument) -> Any:
        """What Redis answers. Raises `StoreError`."""
        with as_store_errors(self.place), trio.fail_after(_PATIENCE):
            return await self._request(name, *arguments)

    async def run(self, script: Script, keys: Sequence[str], arguments: Sequence[Argument]) -> Any:
        """What the script returns. Raises `StoreError`."""
        rest = (len(keys), *keys, *arguments)
        with as_store_errors(self.place), trio.fail_after(_PATIENCE):
            try:
                return await self._request(b"EVALSHA", script.hash, *rest)
            except NoScriptError:
                return await self._request(b"EVAL", script.source, *rest)

    async def find(self) -> Found:
        """Where the primary is. Raises `StoreError`."""
        with as_store_errors(self.place):
            return await self._way.find()

    async def _request(self, name: bytes, *arguments: Argument) -> Any:
        connection = self._connection
        if connection is None or not connection.usable:
            connection = await self._connected()
        if not connection.statistics.requests_pending:
            self._asked_since = time.perf_counter()
        request = connection.create_request(name, *arguments, decode=False)
        try:
            return await request
        except RedisError as error:
            if is_elsewhere(error):
                connection.invalidate()
            raise
        finally:
            if not request.complete and self._silent_for(connection) >= _SILENCE:
                connection.invalidate()

    def _silent_for(self, connection: BaseConnection) -> float:
        return time.perf_counter() - max(self._asked_since, connection.statistics.last_byte_received_at)

    async def _connected(self) -> BaseConnection:
        """A new connection. All who wait for one get the same, or the same error."""
        if self._attempt is None:
            self._attempt = _Attempt()
            # It is no part of the request, so that a request with little time does not end what others wait for.
            self._nursery.start_soon(self._connect, self._attempt)
        attempt = self._attempt
        await attempt.done.wait()
        if attempt.connection is None:
            raise attempt.fault or NotConnected("this server ends")
        return attempt.connection

    async def _connect(self, attempt: _Attempt) -> None:
        try:
            self._connection = attempt.connection = await self._way.connect(self._nursery)
        except Exception as error:  # noqa: BLE001 (a boundary: whoever waits gets it)
            attempt.fault = error
        finally:
            self._attempt = None
            attempt.done.set()


class _Attempt:
    """To make a connection."""

    def __init__(self) -> None:
        self.done = trio.Event()
        self.connection: BaseConnection | None = None
        self.fault: Exception | None = None


def way_to(url: str) -> Way:
    """The way to the Redis at this address. Raises `StoreError`."""
    try:
        return Way(read_address(url))
    except AddressError as error:
        raise StoreError(StoreCode.UNREACHABLE, f"--store: {error}") from error
    except OSError as error:
        raise StoreError(
            StoreCode.UNREACHABLE, f"--store names a certificate that cannot be read: {error}"
        ) from error


@asynccontextmanager
async def open_client(url: str) -> AsyncIterator[RedisClient]:
    """A client of the Redis at this address. The Redis need not be there yet. Raises `StoreError`."""
    way = way_to(url)
    async with trio.open_nursery() as nursery:
        yield RedisClient(way, nursery)
        nursery.cancel_scope.cancel()


@contextmanager
def as_store_errors(place: str) -> Iterator[None]:
    """Raise `StoreError` for what coredis raises."""
    try:
        yield
    except (AuthenticationError, AuthorizationError) as error:
        raise StoreError(StoreCode.UNREACHABLE, f"{place}: {error}") from error
    except (TimeoutError, trio.TooSlowError) as error:
        raise StoreError(StoreCode.SLOW, f"{place}: no answer in time") from error
    except (*_AWAY, OSError, trio.BrokenResourceError) as error:
        raise StoreError(StoreCode.UNREACHABLE, f"{place}: {reason_of(error)}") from error
    except ResponseError as error:
        if is_elsewhere(error):
            raise StoreError(StoreCode.UNREACHABLE, f"{place} has another primary: {error}") from error
        code = StoreCode.FULL if "OOM" in str(error) else StoreCode.FAILED
        raise StoreError(code, f"{place}: {error}") from error
    except RedisError as error:
        raise StoreError(StoreCode.FAILED, f"{place}: {error}") from error
