"""A small HTTP client for the few requests that the server makes itself: key sets of tokens, and webhooks.

It is made of h11, which is here anyway, and does just what these need: one request over a connection of its own,
with a bound on what is read. It follows no redirects. Whoever can redirect could choose whose keys we believe, or
make us send requests to addresses that only this machine can reach.

The caller sets the deadline, by a cancel scope.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from http import HTTPStatus
from urllib.parse import SplitResult

import h11
import trio

_CHUNK = 65_536
_PORTS = {"https": 443, "http": 80}


class HttpError(Exception):
    """There was no usable answer. The message says why."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a request. The body is read only if the status is one of 2xx and the caller wants it."""

    status: int
    headers: dict[str, str]
    body: bytes = b""

    @property
    def good(self) -> bool:
        """Whether the status is one of 2xx."""
        return HTTPStatus.OK <= self.status < HTTPStatus.MULTIPLE_CHOICES


async def request(
    method: str,
    url: SplitResult,
    headers: Iterable[tuple[str, str]] = (),
    content: bytes = b"",
    *,
    tls: ssl.SSLContext | None = None,
    max_bytes: int = 0,
) -> Answer:
    """Make one request. At most `max_bytes` of the body are read; 0 means that it is not read at all.

    `tls` is for an authority that the system does not know. Raises `HttpError`.
    """
    try:
        return await _request(method, url, headers, content, tls, max_bytes)
    except (OSError, h11.RemoteProtocolError) as error:
        raise HttpError(str(error) or type(error).__name__) from error
    except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
        raise HttpError(f"The connection broke: {error.__cause__ or error}") from error


async def _request(
    method: str,
    url: SplitResult,
    headers: Iterable[tuple[str, str]],
    content: bytes,
    tls: ssl.SSLContext | None,
    max_bytes: int,
) -> Answer:
    host, port = url.hostname or "", url.port or _PORTS[url.scheme]
    stream: trio.abc.Stream
    if url.scheme == "https":
        context = tls or _system_tls()
        stream = await trio.open_ssl_over_tcp_stream(host, port, ssl_context=context, https_compatible=True)
    else:
        stream = await trio.open_tcp_stream(host, port)
    target = (url.path or "/") + (f"?{url.query}" if url.query else "")
    fields = [("Host", url.netloc), ("Connection", "close"), *headers]
    if content:
        fields.append(("Content-Length", str(len(content))))
    http = h11.Connection(h11.CLIENT)
    head = http.send(h11.Request(method=method, target=target, headers=fields)) or b""
    sent = head + (http.send(h11.Data(content)) or b"" if content else b"")
    http.send(h11.EndOfMessage())
    async with stream:
        # A server may answer, and close, before it has read everything. Then reading has the answer, or says why.
        with suppress(trio.BrokenResourceError):
            await stream.send_all(sent)
        return await _receive(stream, http, max_bytes)


async def _receive(stream: trio.abc.Stream, http: h11.Connection, max_bytes: int) -> Answer:
    answer: Answer | None = None
    body = b""
    while True:
        match http.next_event():
            case h11.NEED_DATA:
                http.receive_data(bytes(await stream.receive_some(_CHUNK)))
            case h11.Response() as response:
                told = {name.decode("ascii"): value.decode("latin-1") for name, value in response.headers}
                answer = Answer(response.status_code, told)
                if max_bytes == 0 or not answer.good:
                    return answer
            case h11.Data(data=data):
                body += data
                if len(body) > max_bytes:
                    raise HttpError(f"The answer has more than {max_bytes} bytes.")
            case h11.EndOfMessage() | h11.ConnectionClosed():
                if answer is None:
                    raise HttpError("The connection was closed before the answer.")
                return Answer(answer.status, answer.headers, body)


@cache
def _system_tls() -> ssl.SSLContext:
    # It takes some 20 ms to read the authorities of the system.
    return ssl.create_default_context()
