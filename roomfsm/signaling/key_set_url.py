"""The keys of tokens that an application publishes at an address, as a JWK set (RFC 7517 section 5).

The set is fetched at the start, again every so often, and when a token names a key that is not in it, because then
the application may have changed its keys. Strangers can send such tokens, too, so that a fetch is made at most
once in `Fetching.pause`. Whatever goes wrong with it, the keys of the last good fetch stay in use.

The client is made of h11, which is here anyway, and does just what this needs: one GET over a connection of its
own, with bounds on time and size. It follows no redirects, because whoever can redirect could choose the keys.
"""

from __future__ import annotations

import math
import ssl
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

import h11
import trio

from roomfsm.access.keys import KeyFault, TokenKey, read_public_key_set
from roomfsm.log import get_logger

_CHUNK = 65_536
_PORTS = {"https": 443, "http": 80}
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
                self.keys = read_public_key_set(await self._fetch())
                self._fresh = True
            except (FetchError, KeyFault) as error:
                _log.warning("key set not fetched, the keys before stay in use", url=self.url, error=str(error))
            self._tried_at = trio.current_time()

    async def _fetch(self) -> str:
        """The text at the address. Raises `FetchError`."""
        with trio.move_on_after(self._fetching.deadline):
            try:
                return (await _get(urlsplit(self.url), self._tls, self._fetching.max_bytes)).decode()
            except (OSError, h11.RemoteProtocolError) as error:
                raise FetchError(str(error) or type(error).__name__) from error
            except trio.BrokenResourceError as error:
                raise FetchError(f"The connection broke: {error.__cause__ or error}") from error
            except UnicodeDecodeError as error:
                raise FetchError("The answer is no text.") from error
        raise FetchError(f"There was no whole answer in {self._fetching.deadline:g} s.")


async def _get(url: SplitResult, tls: ssl.SSLContext | None, max_bytes: int) -> bytes:
    """The body of what a GET answers. Raises `FetchError`, and the errors of sockets, TLS and h11."""
    host, port = url.hostname or "", url.port or _PORTS[url.scheme]
    stream: trio.abc.Stream
    if url.scheme == "https":
        context = tls or ssl.create_default_context()
        stream = await trio.open_ssl_over_tcp_stream(host, port, ssl_context=context, https_compatible=True)
    else:
        stream = await trio.open_tcp_stream(host, port)
    target = (url.path or "/") + (f"?{url.query}" if url.query else "")
    headers = [("Host", url.netloc), ("Accept", "application/json"), ("Connection", "close")]
    http = h11.Connection(h11.CLIENT)
    async with stream:
        await stream.send_all(http.send(h11.Request(method="GET", target=target, headers=headers)) or b"")
        http.send(h11.EndOfMessage())
        body = b""
        while True:
            match http.next_event():
                case h11.NEED_DATA:
                    http.receive_data(bytes(await stream.receive_some(_CHUNK)))
                case h11.Response(status_code=status) if status != 200:
                    raise FetchError(f"The answer has the status {status} instead of 200.")
                case h11.Data(data=data):
                    body += data
                    if len(body) > max_bytes:
                        raise FetchError(f"The answer has more than {max_bytes} bytes.")
                case h11.EndOfMessage() | h11.ConnectionClosed():
                    return body
