"""A request by HTTP to the server, for the files of the chat. It can also break off, which no library would do."""

from __future__ import annotations

from dataclasses import dataclass

import h11
import trio

from roomfsm.conformance.outcome import Failed
from roomfsm.conformance.raw import Target

_TIMEOUT = 10.0


@dataclass(frozen=True, slots=True)
class Reply:
    """The server's answer. Names of headers are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    def has(self, header: str, *words: str) -> bool:
        """Whether a header contains all these words."""
        return all(word in self.headers.get(header, "").lower() for word in words)


async def ask(
    target: Target, method: str, path: str, content: bytes = b"", announced: int | None = None, **headers: str
) -> Reply | None:
    """Send one request to a path that is relative to the address of the websocket.

    `announced` is the length that the head tells, if that is not the content's; with -1 the content comes in
    chunks, and the head tells no length. Returns None if the server does not answer, for example because less than
    announced has come. Raises `Failed` if it cannot be reached.
    """
    length = len(content) if announced is None else announced
    fields = [("host", target.authority), ("connection", "close"), *headers.items()]
    if method == "PUT":
        fields.append(("transfer-encoding", "chunked") if length < 0 else ("content-length", str(length)))
    http = h11.Connection(h11.CLIENT)
    base = target.path.partition("?")[0].rpartition("/")[0]
    data = http.send(h11.Request(method=method, target=f"{base}/{path}", headers=fields)) or b""
    data += (http.send(h11.Data(content)) or b"") if content else b""
    if len(content) >= length:
        data += http.send(h11.EndOfMessage()) or b""
    try:
        async with await target.connect() as stream:
            with trio.move_on_after(_TIMEOUT):
                await stream.send_all(data)
                if len(content) < length:
                    return None
                return await _reply(http, stream)
    except (OSError, trio.BrokenResourceError, h11.RemoteProtocolError) as error:
        raise Failed(f"an answer to {method} {path}", str(error) or type(error).__name__) from error
    return None


async def _reply(http: h11.Connection, stream: trio.abc.Stream) -> Reply:
    status, headers, body = 0, dict[str, str](), b""
    while True:
        came = http.next_event()
        if came is h11.NEED_DATA:
            http.receive_data(bytes(await stream.receive_some(65_536)))
        elif isinstance(came, h11.Response):
            status = came.status_code
            headers = {name.decode().lower(): value.decode("latin-1") for name, value in came.headers}
        elif isinstance(came, h11.Data):
            body += bytes(came.data)
        elif isinstance(came, h11.EndOfMessage):
            return Reply(status, headers, body)
        elif not isinstance(came, h11.InformationalResponse):
            raise h11.RemoteProtocolError("no response")
