"""Closing a room by the control API: the request, and the answers which mean that the API is not available."""

from __future__ import annotations

from contextlib import AsyncExitStack

import pytest
import trio

from roomfsm.conformance.control import Control
from roomfsm.conformance.outcome import CannotRun, NotReachable
from roomfsm.conformance.raw import Target
from tests.conformance.test_cannot_run import fake, read_head


async def asked(answer: bytes, room: str, token: str | None) -> bytes:
    """Close a room, answer the request like this, and return its head."""
    heads: list[bytes] = []

    async def serve(stream: trio.SocketStream) -> None:
        heads.append(await read_head(stream))
        await stream.send_all(answer)

    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(fake(serve))
        base = Target.parse(url.removesuffix("/ws") + "/behind/")
        await Control(base, "POST", "/rooms/{room}/close", token).close(room)
    return heads[0]


async def test_the_control_request_has_the_room_in_its_path_and_the_token_in_a_header() -> None:
    with trio.fail_after(60):
        head = await asked(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n", "Zürich/1", "secret")
    lines = head.decode().lower().split("\r\n")
    assert lines[0] == "post /behind/rooms/z%c3%bcrich%2f1/close http/1.1"
    assert "authorization: bearer secret" in lines


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", "answered 403"),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "answered 404"),
        (b"no HTTP at all\r\n\r\n", "cannot be reached"),
        (b"", "cannot be reached"),
    ],
)
async def test_without_the_control_api_the_checks_that_need_it_are_not_reachable(answer: bytes, why: str) -> None:
    with (
        trio.fail_after(60),
        pytest.RaisesGroup(pytest.RaisesExc(NotReachable, match=why), flatten_subgroups=True),
    ):
        await asked(answer, "blue", None)


@pytest.mark.parametrize("status", [b"401 Unauthorized", b"403 Forbidden"])
async def test_a_refused_token_does_not_count_as_not_reachable(status: bytes) -> None:
    refused = pytest.RaisesExc(CannotRun, match=f"the control API refused the token .HTTP {status.decode()[:3]}")
    with trio.fail_after(60), pytest.RaisesGroup(refused, flatten_subgroups=True):
        await asked(b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\n\r\n", "blue", "wrong")
