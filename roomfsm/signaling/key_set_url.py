"""The keys of tokens that an application publishes at an address, as a JWK set (RFC 7517 section 5).

The set is fetched at the start, again every so often, and when a token names a key that is not in it, because then
the application may have changed its keys. Strangers can send such tokens, too, so that a fetch is made at most
once in `Fetching.pause`. Whatever goes wrong with it, the keys of the last good fetch stay in use.

The client (`roomfsm.http_client`) follows no redirects, because whoever can redirect could choose the keys.
"""

from __future__ import annotations

import math
import ssl
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import urlsplit

import trio

from roomfsm.access.keys import KeyFault, TokenKey, read_public_key_set
from roomfsm.http_client import HttpError, request
from roomfsm.log import get_logger

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Fetching:
    """The bounds of fetching. Times are in seconds."""

    interval: float = 600.0
    """How long after a good fetch the next one is made."""
    pause: float = 30.0
    """The shortest time between two fetches."""
    deadline: float = 10.0
    """The longest time of one fetch."""
    max_bytes: int = 262_144
    """The longest key set."""


class FetchError(Exception):
    """The key set could not be fetched. The message says why."""


class KeySetUrl:
    """The key set at one address. `tls` is for an authority that the system does not know."""

    def __init__(self, url: str, fetching: Fetching | None = None, tls: ssl.SSLContext | None = None) -> None:
        self.url = url
        self.keys: tuple[TokenKey, ...] = ()
        """The keys of the last good fetch."""
        self._fetching = fetching or Fetching()
        self._tls = tls
        self._lock = trio.Lock()
        self._tried_at = -math.inf
        self._fresh = False
        """Whether the last fetch was a good one."""

    async def keep_fresh(self) -> None:
        """Fetch the set now, and again after each interval. Ends only by being cancelled."""
        while True:
            await self.renew()
            await trio.sleep(self._fetching.interval if self._fresh else self._fetching.pause)

    async def renew(self) -> None:
        """Fetch the set, unless that was tried a moment ago.

        Several who ask at a time share one fetch.
        """
        async with self._lock:
            if trio.current_time() - self._tried_at < self._fetching.pause:
                return
            self._fresh = False
            try:
                self.keys = read_public_key_set(await self.fetch())
                self._fresh = True
            except (FetchError, KeyFault) as error:
                _log.warning("key set not fetched, the keys before stay in use", url=self.url, error=str(error))
            except Exception:  # noqa: BLE001 (a boundary)
                # Whatever somebody else's server sends must not end ours.
                _log.exception("key set not fetched, the keys before stay in use", url=self.url)
            self._tried_at = trio.current_time()

    async def fetch(self) -> str:
        """The text that is at the address now. Raises `FetchError`."""
        with trio.move_on_after(self._fetching.deadline):
            try:
                answer = await request(
                    "GET",
                    urlsplit(self.url),
                    [("Accept", "application/json")],
                    tls=self._tls,
                    max_bytes=self._fetching.max_bytes,
                )
                if answer.status != HTTPStatus.OK:
                    raise FetchError(f"The answer has the status {answer.status} instead of 200.")
                return answer.body.decode()
            except HttpError as error:
                raise FetchError(str(error)) from error
            except UnicodeDecodeError as error:
                raise FetchError("The answer is no text.") from error
        raise FetchError(f"There was no whole answer in {self._fetching.deadline:g} s.")
