"""Opens the store that the settings name. The libraries of a store are imported only if it is used."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from roomfsm.store.interface import Store, StoreCode, StoreError
from roomfsm.store.settings import NOWHERE, StoreSettings

if TYPE_CHECKING:
    from roomfsm.store.redis import Fence


@asynccontextmanager
async def open_store(
    settings: StoreSettings, name: str, fence: Callable[[], Fence] | None = None
) -> AsyncIterator[Store | None]:
    """The store of the settings, or None if they want none. `name` is this server, as other servers are told.

    `fence` gives what each commit carries, if several nodes own the Redis together.

    Raises `StoreError`, or `ModuleNotFoundError` without the library for Redis.
    """
    if settings.store is not None:
        from roomfsm.store.redis import open_redis

        async with open_redis(settings.store, name, fence) as redis:
            yield redis
    elif settings.data == NOWHERE:
        yield None
    else:
        from roomfsm.store.sqlite import open_sqlite

        async with open_sqlite(folder_of(settings)) as sqlite:
            yield sqlite


def is_default(settings: StoreSettings) -> bool:
    """Whether the settings leave it to us where the rooms are kept."""
    return settings.data is None and settings.store is None


def folder_of(settings: StoreSettings) -> Path:
    """The folder in which the rooms are kept. Raises `StoreError`."""
    if settings.data is not None:
        try:
            return Path(settings.data).expanduser()
        except RuntimeError as error:
            raise StoreError(StoreCode.UNWRITABLE, f"{settings.data}: {error}") from error
    from platformdirs import user_state_path

    return user_state_path("roomfsm", appauthor=False)
