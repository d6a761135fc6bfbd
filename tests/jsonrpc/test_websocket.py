"""Our websockets survive messages that come while they close, and other websockets are unchanged."""

from __future__ import annotations

from importlib.metadata import version

import pytest
import trio
import trio.testing
from trio_websocket import WebSocketConnection
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, CloseConnection, Ping, Request, TextMessage
from wsproto.utilities import LocalProtocolError

from roomfsm.jsonrpc.websocket import Websocket


async def test_the_handlers_that_we_replace_are_the_ones_we_know() -> None:
    """`Websocket` overrides private methods of trio-websocket 0.12.2, which raise for late messages."""
    assert version("trio-websocket") == "0.12.2"
    ours, theirs = trio.testing.memory_stream_pair()
    # Not open yet, as while closing.
    theirs_way = WebSocketConnection(ours, WSConnection(ConnectionType.SERVER), max_message_size=1)
    mended = Websocket(ours, WSConnection(ConnectionType.SERVER), max_message_size=1)
    for late in (Ping(), TextMessage("too long")):
        handler = "_handle_ping_event" if isinstance(late, Ping) else "_handle_message_event"
        with pytest.raises(LocalProtocolError):
            await getattr(theirs_way, handler)(late)
        await getattr(mended, handler)(late)
    await theirs.aclose()


def test_the_librarys_own_class_has_its_own_handlers() -> None:
    for name in ("_handle_ping_event", "_handle_message_event", "_handle_close_connection_event"):
        assert vars(WebSocketConnection)[name].__module__ == "trio_websocket._impl"
        assert name in vars(Websocket)


async def test_a_frame_that_breaks_the_rules_is_answered_with_the_code_of_its_fault(nursery: trio.Nursery) -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    client = WSConnection(ConnectionType.CLIENT)
    websocket = Websocket(ours, WSConnection(ConnectionType.SERVER))
    nursery.start_soon(websocket._reader_task)
    await theirs.send_all(client.send(Request(host="localhost", target="/")))
    await (await websocket._get_request()).accept()
    client.receive_data(bytes(await theirs.receive_some()))
    assert any(isinstance(event, AcceptConnection) for event in client.events())
    # A text frame that is not UTF-8, with the mask of zeros.
    await theirs.send_all(b"\x81\x81\x00\x00\x00\x00\xff")
    client.receive_data(bytes(await theirs.receive_some()))
    (closed,) = client.events()
    assert isinstance(closed, CloseConnection)
    assert closed.code == 1007
