"""Given a browser's connection, each bad input gets its error or its close code."""

from __future__ import annotations

import inspect
import json
import re
import socket
import ssl
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

import psutil
import pytest
import trio
import trio.testing
from trio_websocket import ConnectionClosed, ConnectionRejected, WebSocketConnection, open_websocket_url
from wsproto import WSConnection
from wsproto.connection import Connection, ConnectionType
from wsproto.events import CloseConnection, TextMessage

from roomfsm.protocol import SUBPROTOCOL
from roomfsm.protocol.errors import CloseCode
from roomfsm.rooms.events import Depart, Enter, Vacate
from roomfsm.rooms.room import Room
from tests.protocol_client import Client, open_client
from tests.serving import UNMETERED, Served, serving


async def still_serves(server: Served) -> None:
    """Check that somebody else can connect and gets answers."""
    async with open_client(server.url) as other:
        await other.join("still-here", "Zoe")


async def rejected(server: Served, **options: Any) -> int:
    with pytest.raises(ConnectionRejected) as refused:
        async with open_websocket_url(server.url, **{"subprotocols": [SUBPROTOCOL], **options}):
            pass
    return int(refused.value.status_code)


async def test_the_welcome_has_the_protocol_the_token_and_the_limits(media_server: str) -> None:
    async with serving(media_server, resume_window=12.0, heartbeat=7.0) as server, open_client(server.url) as ada:
        assert ada.welcome["protocol"] == SUBPROTOCOL
        assert (ada.welcome["resumeWindow"], ada.welcome["heartbeat"]) == (12.0, 7.0)
        assert len(ada.welcome["resumeToken"]) >= 32
        assert ada.welcome["limits"]["messageBytes"] == 262_144


async def test_a_handshake_needs_the_subprotocol(media_server: str) -> None:
    async with serving(media_server) as server:
        assert await rejected(server, subprotocols=[]) == 400
        assert await rejected(server, subprotocols=["roomfsm.v0"]) == 400
        await still_serves(server)


async def test_a_page_of_another_origin_is_refused_unless_it_is_allowed(media_server: str) -> None:
    async with serving(media_server, allow_origin=("https://good.example",)) as server:
        for origin in ("http://evil.example", f"http://127.0.0.1:{server.port + 1}", "null", ""):
            assert await rejected(server, extra_headers=[(b"Origin", origin.encode())]) == 403
        for origin in (f"http://127.0.0.1:{server.port}", "https://good.example"):
            async with open_client(server.url, [(b"Origin", origin.encode())]):
                pass
    async with (
        serving(media_server, allow_origin=("*",)) as server,
        open_client(server.url, [(b"Origin", b"http://evil.example")]),
    ):
        pass


async def test_the_server_has_a_bound_of_sessions(media_server: str) -> None:
    async with serving(media_server, max_sessions=2) as server:
        async with open_client(server.url), open_client(server.url):
            assert await rejected(server) == 503
        # The two said goodbye. Their places become free when the server has heard that.
        with trio.fail_after(60):
            while True:
                with suppress(ConnectionRejected):
                    await still_serves(server)
                    break


async def test_a_bad_message_gets_an_error_and_the_session_goes_on(media_server: str) -> None:
    async with serving(media_server) as server, open_client(server.url) as ada:
        for text, code in (
            ("{", "malformed"),
            ('{"type":"dance"}', "unknown_message"),
            ('{"type":"join"}', "malformed"),
            ('{"type":"chat","text":"x"}', "illegal_in_state"),
        ):
            await ada.send_text(text)
            assert (await ada.expect("error"))["code"] == code
        await ada.join("blue")
        assert (await ada.ask("join", room="blue"))["code"] == "illegal_in_state"
        assert (await ada.ask("rename", name="x" * 10_000))["path"] == "$.name"
        assert (await ada.ask("ping"))["type"] == "pong"


async def test_a_binary_message_is_refused(media_server: str) -> None:
    async with serving(media_server) as server, open_client(server.url) as ada:
        await ada.websocket.send_message(b"\x00")
        assert await ada.closed() == CloseCode.UNSUPPORTED_DATA
        await still_serves(server)


async def test_a_message_of_the_greatest_size_passes_and_a_longer_one_does_not(media_server: str) -> None:
    async with serving(media_server, max_message_bytes=1000) as server, open_client(server.url) as ada:
        frame = json.dumps({"type": "ping", "ref": 1})
        await ada.send_text(frame + " " * (1000 - len(frame)))
        assert (await ada.expect("pong"))["ref"] == 1
        await ada.send_text(frame + " " * (1001 - len(frame)))
        assert await ada.closed() == CloseCode.MESSAGE_TOO_BIG
        await still_serves(server)


async def test_a_megabyte_of_text_is_too_big(media_server: str) -> None:
    async with serving(media_server) as server, open_client(server.url) as ada:
        await ada.send_text("x" * 1_000_000)
        assert await ada.closed() == CloseCode.MESSAGE_TOO_BIG


async def test_a_whole_burst_is_answered_and_one_more_message_is_a_flood(media_server: str) -> None:
    burst = 20
    async with serving(media_server, message_burst=burst, message_rate=0.001) as server:
        async with open_client(server.url) as ada:
            for _ in range(burst):
                assert (await ada.ask("ping"))["type"] == "pong"
            await ada.send("ping")
            assert (await ada.expect("error"))["code"] == "rate_limited"
            assert await ada.closed() == CloseCode.POLICY_VIOLATION
        await still_serves(server)


@pytest.mark.parametrize("size", [30, 200_000, 3_000_000])
async def test_a_flood_closes_the_senders_connection_and_takes_no_memory(media_server: str, size: int) -> None:
    """Send 300 MB in messages of this size, whatever comes back."""
    text = '{"type":"ping"}'.ljust(size)
    # The burst and rate are small, because a busy machine may not be able to exceed the usual ones.
    async with (
        serving(media_server, message_burst=100, message_rate=1.0) as server,
        open_client(server.url) as ada,
    ):
        before = psutil.Process().memory_info().rss

        async def flood() -> None:
            with suppress(ConnectionClosed):
                for _ in range(300_000_000 // size):
                    await ada.send_text(text)
                raise AssertionError("300 MB were taken")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(flood)
            assert await ada.closed() in (CloseCode.POLICY_VIOLATION, CloseCode.MESSAGE_TOO_BIG)
        assert psutil.Process().memory_info().rss - before < 30_000_000
        await still_serves(server)


async def test_a_browser_that_does_not_read_is_cut_and_the_others_are_not_slowed(media_server: str) -> None:
    async with (
        serving(media_server, outbox_bytes=100_000, message_burst=10_000, **UNMETERED) as server,
        open_client(server.url) as ada,
    ):
        await ada.join("blue")
        raw = await not_reading(server)
        async with raw:
            await ada.expect("participantJoined")
            while not any(message["type"] == "participantChanged" for message in ada.seen):
                assert (await ada.ask("chat", text="x" * 4000))["type"] == "chat"
            away = await ada.expect("participantChanged")
            assert away["participant"]["away"] is True


async def not_reading(server: Served) -> trio.SocketStream:
    """A browser that joins and then never reads again."""
    raw = trio.socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    await raw.connect(("127.0.0.1", server.port))
    stream = trio.SocketStream(raw)
    await stream.send_all(
        b"GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
        b"Sec-WebSocket-Protocol: roomfsm.v1\r\n\r\n"
    )
    await stream.receive_some(4096)
    payload = b'{"type":"join","room":"blue","name":"Deaf"}'
    await stream.send_all(bytes([0x81, 0x80 | len(payload), 0, 0, 0, 0]) + payload)
    return stream


async def test_a_session_whose_connection_is_lost_is_away_and_can_be_resumed(media_server: str) -> None:
    async with serving(media_server) as server, open_client(server.url) as bob:
        await bob.join("blue", "Bob")
        async with open_client(server.url) as ada:
            await ada.join("blue")
            await ada.ask("chat", text="before")
            token = ada.welcome["resumeToken"]
            await ada.websocket._stream.aclose()
        assert (await bob.expect("participantChanged"))["participant"]["away"] is True
        await bob.ask("chat", text="meanwhile")
        async with open_client(server.url) as ada2:
            joined = await ada2.ask("resume", token=token)
            assert (joined["type"], joined["you"], joined["resumed"]) == ("joined", ada.me, True)
            assert [line["text"] for line in joined["chat"]] == ["before", "meanwhile"]
            assert "away" not in (await bob.expect("participantChanged"))["participant"]
            # The old token and the new one both belong to the session.
            for known in (token, ada2.welcome["resumeToken"]):
                async with open_client(server.url) as ada3:
                    assert (await ada3.ask("resume", token=known))["you"] == ada.me
                    assert (await ada3.ask("chat", text="I am back"))["line"]["participant"] == ada.me
                    token = ada3.welcome["resumeToken"]
                    await ada3.websocket._stream.aclose()
                break
        assert await ada2.closed() == CloseCode.RESUMED_ELSEWHERE


async def test_a_browser_that_does_not_come_back_leaves_when_the_window_is_over(media_server: str) -> None:
    async with serving(media_server, resume_window=0.05) as server, open_client(server.url) as bob:
        await bob.join("blue", "Bob")
        async with open_client(server.url) as ada:
            await ada.join("blue")
            await ada.websocket._stream.aclose()
        left = await bob.expect("participantLeft")
        assert (left["participant"], left["reason"]) == (ada.me, "disconnected")
        async with open_client(server.url) as late:
            refused = await late.ask("resume", token=ada.welcome["resumeToken"])
            assert refused["code"] == "session_unknown"
            await late.join("blue")


async def test_a_browser_that_says_goodbye_leaves_at_once(media_server: str) -> None:
    async with serving(media_server) as server, open_client(server.url) as bob:
        await bob.join("blue", "Bob")
        async with open_client(server.url) as ada:
            await ada.join("blue")
        left = await bob.expect("participantLeft")
        assert (left["participant"], left["reason"]) == (ada.me, "left")


async def test_a_session_cannot_resume_itself(media_server: str) -> None:
    async with serving(media_server) as server, open_client(server.url) as ada:
        refused = await ada.ask("resume", token=ada.welcome["resumeToken"])
        assert refused["code"] == "session_unknown"
        await ada.join("blue")


async def test_a_browser_that_does_not_answer_pings_is_away(media_server: str) -> None:
    async with (
        serving(media_server, heartbeat=0.05, heartbeat_timeout=5.0) as server,
        open_client(server.url) as bob,
    ):
        await bob.join("blue", "Bob")
        deaf = await not_reading(server)
        async with deaf:
            assert (await bob.expect("participantJoined"))["participant"]["name"] == "Deaf"
            assert (await bob.expect("participantChanged"))["participant"]["away"] is True
        # Bob is still there, because his library answers pings.
        assert (await bob.ask("ping"))["type"] == "pong"


async def test_a_ping_of_the_browser_is_answered_in_order(media_server: str) -> None:
    async with serving(media_server) as server, open_client(server.url) as ada:
        with trio.fail_after(60):
            await ada.websocket.ping(b"there?")


async def test_a_person_who_switches_keeps_the_name_and_leaves_the_old_room(media_server: str) -> None:
    async with serving(media_server) as server, open_client(server.url) as ada, open_client(server.url) as bob:
        await bob.join("blue", "Bob")
        await ada.join("blue", "Ada")
        await ada.ask("rename", name="Countess")
        joined = await ada.ask("switch", room="red")
        assert (joined["room"], joined["participants"][0]["name"]) == ("red", "Countess")
        assert (await bob.expect("participantLeft"))["reason"] == "switched"
        for room in ("blue", "red", "blue"):
            assert (await ada.ask("switch", room=room))["room"] == room
        assert (await ada.ask("switch", room="BLUE"))["code"] == "already_in_room"
        assert (await ada.ask("chat", text="here"))["line"]["name"] == "Countess"


async def test_a_person_who_switches_back_at_once_gets_a_new_seat(
    media_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old room may learn very late that the person has left."""
    held = trio.Event()
    request = Room.request

    async def late(room: Room, event: Enter | Depart | Vacate) -> None:
        if isinstance(event, Depart):
            await held.wait()
        await request(room, event)

    monkeypatch.setattr(Room, "request", late)
    async with serving(media_server) as server, open_client(server.url) as ada:
        await ada.join("blue")
        await ada.send("switch", room="red")
        back = await ada.send("switch", room="blue")
        await ada.expect("joined", room="red")
        await trio.testing.wait_all_tasks_blocked()
        held.set()
        reply = await ada.expect(ref=back)
        assert (reply["type"], reply.get("room")) == ("joined", "blue")


async def test_a_person_who_switches_to_a_full_room_stays_in_the_old_one(media_server: str) -> None:
    async with (
        serving(media_server, max_people=1) as server,
        open_client(server.url) as ada,
        open_client(server.url) as bob,
    ):
        await bob.join("red", "Bob")
        await ada.join("blue")
        assert (await ada.ask("switch", room="red"))["code"] == "room_full"
        assert (await ada.ask("chat", text="still in blue"))["type"] == "chat"


async def test_a_hundred_people_may_come_and_go_at_once(media_server: str) -> None:
    async with serving(media_server) as server, open_client(server.url) as ada:
        await ada.join("blue")

        async def visit(number: int) -> None:
            async with open_client(server.url) as guest:
                await guest.join("blue", f"guest {number}")
                await guest.ask("chat", text=f"I am {number}")

        async with trio.open_nursery() as nursery:
            for number in range(100):
                nursery.start_soon(visit, number)
        for _ in range(100):
            await ada.expect("participantLeft")
        lines = [message["line"]["seq"] for message in ada.seen if message["type"] == "chat"]
        assert lines == list(range(1, 101))


async def test_a_draining_server_tells_everybody_and_closes_with_1001(media_server: str) -> None:
    async with serving(media_server) as server, trio.open_nursery() as nursery:
        clients: list[Client] = []
        ready = trio.Event()

        async def stay(room: str | None) -> None:
            async with open_client(server.url) as client:
                if room is not None:
                    await client.join(room)
                clients.append(client)
                if len(clients) == 3:
                    ready.set()
                assert (await client.expect("closing"))["scope"] == "server"
                assert await client.closed() == CloseCode.GOING_AWAY

        for room in ("blue", "red", None):
            nursery.start_soon(stay, room)
        await ready.wait()
        deaf = await not_reading(server)
        server.running.registry.close("shutdown")
        await server.running.directory.close()
        with trio.fail_after(60):
            await server.running.registry.disconnect()
        await deaf.aclose()


async def test_tls_is_served_on_the_same_port(media_server: str, certificate: tuple[Path, Path]) -> None:
    certfile, keyfile = certificate
    async with serving(media_server, certfile=str(certfile), keyfile=str(keyfile)) as server:
        async with (
            open_client(server.url, tls=trusting(certfile)) as ada,
            open_client(server.url, tls=trusting(certfile)) as bob,
        ):
            await ada.join("blue")
            await bob.join("blue", "Bob")
            for number in range(50):
                await ada.ask("chat", text=f"{number} " + "x" * 3000)
            lines = [(await bob.expect("chat"))["line"]["seq"] for _ in range(50)]
            assert lines == list(range(1, 51))
        # A client without TLS gets no service, and affects nobody.
        async with await trio.open_tcp_stream("127.0.0.1", server.port) as plain:
            await plain.send_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            with trio.fail_after(60):
                while await plain.receive_some():
                    pass


def trusting(certfile: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(certfile))


async def test_a_leave_gets_a_reply_with_a_ref_or_without(media_server: str) -> None:
    async with serving(media_server) as server, open_client(server.url) as ada:
        await ada.join("blue")
        await ada.send_text('{"type":"leave"}')
        assert await ada.expect("participantLeft") == {
            "type": "participantLeft",
            "participant": ada.me,
            "reason": "left",
        }


async def test_the_canary_of_a_websocket_that_begins_with_its_frames() -> None:
    """trio-websocket 0.12.2 uses only those parts of `WSConnection` that wsproto 1.3.2's `Connection` has, too."""
    assert (version("trio-websocket"), version("wsproto")) == ("0.12.2", "1.3.2")
    ours, theirs = trio.testing.memory_stream_pair()
    protocol = Connection(ConnectionType.SERVER)
    websocket = WebSocketConnection(ours, cast(WSConnection, protocol))
    assert set(re.findall(r"self\._wsproto\.(\w+)", inspect.getsource(WebSocketConnection))) <= set(dir(protocol))
    client = Connection(ConnectionType.CLIENT)
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(websocket._reader_task)
            await theirs.send_all(client.send(TextMessage("hello")))
            assert await websocket.get_message() == "hello"
            await websocket.send_message("you, too")
            client.receive_data(bytes(await theirs.receive_some()))
            assert [event.data for event in client.events() if isinstance(event, TextMessage)] == ["you, too"]
            await theirs.send_all(client.send(CloseConnection(1000)))
    assert websocket.closed is not None
    assert websocket.closed.code == 1000


async def test_a_refused_message_is_in_the_journal_of_the_room(media_server: str) -> None:
    async with serving(media_server) as server, open_client(server.url) as ada:
        await ada.join("blue")
        await ada.ask("unpublish", stream=f"{ada.me}.camera")
        room = server.running.directory.find("blue")
        assert room is not None
        (entry,) = [entry for entry in room.journal.since(0) if entry.refused is not None]
        assert (entry.machine, entry.who, entry.trigger) == ("session", ada.me, "unpublish")
        assert entry.refused is not None
        assert entry.refused.code == "illegal_in_state"
