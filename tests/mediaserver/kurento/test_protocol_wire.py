"""The wire: malformed messages, paths, frame sizes, order, clients that do not read (recording 04)."""

import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Any

import pytest
import trio
from trio_websocket import (
    ConnectionClosed,
    WebSocketConnection,
    open_websocket_url,
    wrap_client_stream,
    wrap_server_stream,
)
from wsproto.utilities import LocalProtocolError

from roomfsm.mediaserver.base.settings import EngineSettings
from roomfsm.mediaserver.engine.engine import open_engine
from roomfsm.mediaserver.kurento.limits import Limits
from roomfsm.mediaserver.kurento.methods import Methods
from roomfsm.mediaserver.kurento.registry import Objects
from roomfsm.mediaserver.kurento.server import ClientSocket
from tests.mediaserver.kurento_client import PATIENCE, Client, open_client, open_server, tcp

INVALID_REQUEST = {
    "id": None,
    "jsonrpc": "2.0",
    "error": {"code": -32600, "message": "Invalid JSON-RPC request."},
}


async def answer(client: Client, message: Any) -> dict[str, Any]:
    """The next message after sending this one."""
    before = len(client.received)
    await client.send(message)
    return await client.wait_for(lambda _: True, since=before)


@pytest.mark.parametrize(
    "message",
    [
        '"hello"',
        "42",
        "null",
        "[]",
        "{}",
        '[{"jsonrpc":"2.0","id":1,"method":"ping"},{"jsonrpc":"2.0","id":2,"method":"ping"}]',
        '{"id":1,"method":"ping","params":{}}',
        '{"jsonrpc":"1.0","id":1,"method":"ping","params":{}}',
        '{"jsonrpc":"2.0","id":1,"params":{}}',
        '{"jsonrpc":"2.0","id":1,"method":5,"params":{}}',
        '{"jsonrpc":"2.0","id":{"a":1},"method":"ping","params":{}}',
        '{"jsonrpc":"2.0","id":1,"result":{}}',
    ],
)
async def test_json_that_is_no_request_is_answered_and_the_socket_goes_on(message: str) -> None:
    async with open_server() as server, open_client(server.url) as client:
        assert await answer(client, message) == INVALID_REQUEST
        assert (await client.request("ping", {}))["result"] == {"value": "pong"}


@pytest.mark.parametrize("message", ["this is not json", '{"jsonrpc":"2.0","id":1,"method":', "", "[" * 100_000])
async def test_what_is_not_json_closes_the_socket_and_leaves_the_session(message: str) -> None:
    """Kurento cuts TCP; a closing frame says why."""
    async with open_server() as server:
        async with open_client(server.url) as client:
            pipeline = await client.pipeline()
            await client.send(message)
            assert (await client.closed())[0] == 1007
        async with open_client(server.url) as other:
            assert await other.invoke(pipeline, "getName") == pipeline


async def test_replies_to_earlier_requests_come_before_the_close() -> None:
    async with open_server() as server, open_client(server.url) as client:
        for id_ in range(50):
            await client.send({"jsonrpc": "2.0", "id": id_, "method": "ping"})
        await client.send("not json")
        assert (await client.closed())[0] == 1007
        assert [message["id"] for message in client.received] == list(range(50))


@pytest.mark.parametrize("params", ["[1, 2]", '"x"', "7"])
async def test_params_that_are_no_object_are_refused(params: str) -> None:
    async with open_server() as server, open_client(server.url) as client:
        reply = await answer(client, f'{{"jsonrpc":"2.0","id":1,"method":"ping","params":{params}}}')
        assert (reply["id"], reply["error"]["code"]) == (1, -32603)


async def test_a_notification_is_carried_out_and_its_result_sent_as_an_error() -> None:
    async with open_server() as server, open_client(server.url) as client:
        for message in (
            '{"jsonrpc":"2.0","method":"ping"}',
            '{"jsonrpc":"2.0","id":null,"method":"ping","params":{}}',
        ):
            assert await answer(client, message) == {
                "id": None,
                "jsonrpc": "2.0",
                "error": {
                    "code": -32000,
                    "message": "Ignoring response because of a notification request",
                    "data": {"value": "pong"},
                },
            }
        reply = await answer(client, '{"jsonrpc":"2.0","method":"nope","params":{}}')
        assert reply["error"] == {"code": -32601, "message": "Method not found."}


@pytest.mark.parametrize(("id_", "answered"), [("1.5", 1.5), ("99999999999999999999", 1e20), ('"x"', "x")])
async def test_id_comes_back(id_: str, answered: float | str) -> None:
    async with open_server() as server, open_client(server.url) as client:
        reply = await answer(client, f'{{"jsonrpc":"2.0","id":{id_},"method":"ping"}}')
        assert reply["id"] == answered


async def test_binary_frame_is_read_like_text() -> None:
    async with open_server() as server, open_client(server.url) as client:
        reply = await answer(client, b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{}}')
        assert reply["result"] == {"value": "pong"}


@pytest.mark.parametrize("path", ["/nope", "/kurento/", "/", "/kurento2"])
async def test_wrong_path_is_closed_with_1002(path: str) -> None:
    async with open_server() as server, open_client(server.url.replace("/kurento", path)) as client:
        assert await client.closed() == (1002, "Invalid path")


async def test_path_may_have_a_query() -> None:
    async with open_server() as server, open_client(server.url + "?x=1") as client:
        assert (await client.request("ping"))["result"] == {"value": "pong"}


async def test_message_of_max_message_bytes_is_served_and_one_more_closes_with_1009() -> None:
    limit = 5000
    async with open_server(Limits(max_message=limit)) as server:
        async with open_client(server.url) as client:
            message = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "describe", "params": {"object": "x"}})
            exact = message.replace('"x"', '"' + "x" * (limit - len(message) + 1) + '"')
            assert len(exact) == limit
            assert (await answer(client, exact))["error"]["code"] == 40101
            await client.send(exact.replace("describe", "describe "))
            assert (await client.closed())[0] == 1009
        async with open_client(server.url) as other:
            await other.request("ping")


async def test_client_in_the_middle_of_too_large_a_message_learns_why_it_is_closed() -> None:
    async with open_server(Limits(max_message=1000)) as server, open_client(server.url) as client:
        with suppress(ConnectionClosed):
            await client.send("x" * 20_000_000)
        assert (await client.closed())[0] == 1009


async def test_pipelined_requests_are_answered_in_order() -> None:
    async with open_server() as server, open_client(server.url) as client:
        for id_ in range(1, 101):
            await client.send({"jsonrpc": "2.0", "id": id_, "method": "ping", "params": {}})
        await client.wait_for(lambda message: message["id"] == 100)
        assert [message["id"] for message in client.received] == list(range(1, 101))


async def test_slow_request_delays_only_its_own_socket() -> None:
    async with open_server() as server, open_client(server.url) as slow, open_client(server.url) as quick:
        invoke = {"object": "manager_ServerManager", "operation": "getUsedCpu"}
        params = invoke | {"operationParams": {"interval": 300}}
        await slow.send({"jsonrpc": "2.0", "id": 1, "method": "invoke", "params": params})
        await slow.send({"jsonrpc": "2.0", "id": 2, "method": "ping"})
        await quick.request("ping")
        assert slow.received == []
        await slow.wait_for(lambda message: message["id"] == 2)
        assert [message["id"] for message in slow.received] == [1, 2]


async def closed(use: Callable[[], Awaitable[object]]) -> None:
    """Use a websocket until it is closed.

    `LocalProtocolError` is what sending raises while trio-websocket answers the other side's close.
    """
    with trio.fail_after(PATIENCE), suppress(ConnectionClosed, LocalProtocolError):
        while True:
            await use()


async def test_a_client_that_does_not_read_events_is_cut_and_the_others_go_on() -> None:
    manager = "manager_ServerManager"
    async with open_server(Limits(outbox=20)) as server, open_client(server.url) as busy:
        # Half a megabyte an event, so that what the kernel holds for a socket is soon full.
        await busy.invoke(manager, "addTag", key="weight", value="x" * 500_000)
        await busy.invoke(manager, "setSendTagsInEvents", sendTagsInEvents=True)
        async with open_websocket_url(server.url, message_queue_size=0) as deaf:
            subscribe = {"object": manager, "type": "ObjectCreated"}
            request = {"jsonrpc": "2.0", "id": 1, "method": "subscribe", "params": subscribe}
            await deaf.send_message(json.dumps(request))
            await deaf.get_message()
            for _ in range(100):
                await busy.call("release", object=await busy.pipeline())
            await closed(deaf.get_message)
        await busy.request("ping")


@pytest.mark.parametrize(("events", "cut"), [(3, False), (4, True)])
async def test_the_outbox_holds_so_many_messages_and_no_more(events: int, cut: bool) -> None:
    limits = Limits(outbox=3)
    async with open_engine(EngineSettings(host="127.0.0.1")) as engine, trio.open_nursery() as nursery:
        ours, theirs = map(trio.SocketStream, trio.socket.socketpair())
        accepted: list[WebSocketConnection] = []

        async def accept() -> None:
            accepted.append(await (await wrap_server_stream(nursery, ours)).accept())

        nursery.start_soon(accept)
        client = await wrap_client_stream(nursery, theirs, "localhost", "/kurento")
        socket, methods = ClientSocket(accepted[0], limits), Methods(Objects(engine, limits))
        for number in range(events):
            socket.push(str(number))
        with trio.fail_after(PATIENCE):
            if cut:
                await socket.serve(methods)  # returns at once
            else:
                nursery.start_soon(socket.serve, methods)
                assert [await client.get_message() for _ in range(events)] == ["0", "1", "2"]
        nursery.cancel_scope.cancel()


async def test_client_that_does_not_read_replies_is_cut_after_send_timeout() -> None:
    limits = Limits(send_timeout=0.2, max_message=2_000_000)
    async with open_server(limits) as server, open_client(server.url) as other:
        async with open_websocket_url(server.url, message_queue_size=0) as deaf:
            params = {"object": "x" * 1_000_000}
            request = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "describe", "params": params})
            await closed(partial(deaf.send_message, request))
        assert (await other.request("ping"))["result"] == {"value": "pong"}


async def test_connection_that_never_shakes_hands_is_dropped() -> None:
    async with open_server(Limits(handshake_timeout=0.1)) as server, await tcp(server.url) as stream:
        with trio.fail_after(PATIENCE):
            assert await stream.receive_some() == b""


async def test_one_socket_more_than_max_sockets_is_closed() -> None:
    async with (
        open_server(Limits(max_sockets=2)) as server,
        open_client(server.url) as one,
        open_client(server.url) as two,
    ):
        await one.request("ping")
        await two.request("ping")
        async with await tcp(server.url) as third:
            with trio.fail_after(PATIENCE):
                assert await third.receive_some() == b""
        await one.request("ping")
