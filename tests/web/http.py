"""One HTTP request in a test, on a connection of its own."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import h11
import trio

from tests.serving import Served


class Reply:
    """The server's answer."""

    def __init__(self, response: h11.Response | h11.InformationalResponse, body: bytes) -> None:
        self.status = response.status_code
        self.headers = {name.decode(): value.decode() for name, value in response.headers}
        self.body = body


async def get(
    server: Served,
    target: str,
    method: str = "GET",
    content: bytes = b"",
    headers: Mapping[str, str] = MappingProxyType({}),
    *,
    stranger: bool = False,
) -> Reply:
    """Send one request, with the inspector's token unless a `stranger` sends it."""
    connection = h11.Connection(h11.CLIENT)
    async with await trio.open_tcp_stream("127.0.0.1", server.port) as stream:
        fields = {"Host": f"127.0.0.1:{server.port}", "Connection": "close"}
        if not stranger:
            fields["Authorization"] = f"Bearer {server.running.inspect_token}"
        fields.update(headers)
        if method != "GET":
            fields["Content-Length"] = str(len(content))
        request = h11.Request(method=method, target=target, headers=list(fields.items()))
        parts = [request, *([h11.Data(content)] if content else []), h11.EndOfMessage()]
        await stream.send_all(b"".join(connection.send(part) or b"" for part in parts))
        response, body = None, b""
        with trio.fail_after(60):
            while True:
                event = connection.next_event()
                if event is h11.NEED_DATA:
                    connection.receive_data(await stream.receive_some(65536))
                elif isinstance(event, h11.Response):
                    response = event
                elif isinstance(event, h11.Data):
                    body += bytes(event.data)
                else:
                    assert isinstance(event, h11.EndOfMessage)
                    assert response is not None
                    return Reply(response, body)
