"""Given one stranger who attacks over real sockets, honest people are served as before.

`pytest -s` prints figures. `tests/bench/strangers.py` measures a server in a process of its own. The server
trusts the tests as a proxy, so that strangers and honest people have addresses of their own.
"""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

import pytest
import trio
from trio_websocket import ConnectionClosed

from roomfsm.protocol.errors import CloseCode
from roomfsm.protocol.names import display_name
from tests.processes import LOADED
from tests.protocol_client import Client, open_client
from tests.serving import Served, serving

HONEST, STRANGER = "192.0.2.1", "198.51.100.1"
TRUSTING: dict[str, Any] = {"trusted_proxy": ("127.0.0.1",)}
ORDINARY_LINE = 125_000
"""The bytes per second of a slow reader: 1 Mbit/s."""


@asynccontextmanager
async def somebody(server: Served, address: str = HONEST) -> AsyncIterator[Client]:
    async with open_client(server.url, [(b"X-Forwarded-For", address.encode())]) as client:
        yield client


@asynccontextmanager
async def everybody(server: Served, count: int, room: str, address: str = HONEST) -> AsyncIterator[list[Client]]:
    """A room with so many people, who read everything that they are sent."""
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(somebody(server, address)) for _ in range(count)]
        for number, client in enumerate(clients):
            await client.join(room, f"Person {number}")
        yield clients


class Line:
    """A cheap websocket for tests. `received` has the bytes that came, unparsed."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self.received = b""
        self.ended = False
        self._more = trio.Event()

    async def read(self, rate: int | None) -> None:
        """Read so many bytes a second, or everything that comes."""
        while not self.ended:
            data = await self.stream.receive_some(None if rate is None else rate // 20)
            self.received += data
            self.ended = not data
            self._more.set()
            self._more = trio.Event()
            if rate is not None:
                await trio.sleep(0.05)

    async def hears(self, word: bytes) -> None:
        with trio.fail_after(3 * LOADED):
            while word not in self.received and not self.ended:
                await self._more.wait()
        assert not self.ended, "cut"

    async def say(self, **message: Any) -> None:
        payload = json.dumps(message).encode()
        assert len(payload) < 126
        await self.stream.send_all(bytes([0x81, 0x80 | len(payload), 0, 0, 0, 0]) + payload)


@asynccontextmanager
async def open_line(
    server: Served, rate: int | None = ORDINARY_LINE, address: str = HONEST
) -> AsyncIterator[Line]:
    raw = trio.socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)
    await raw.connect(("127.0.0.1", server.port))
    async with trio.SocketStream(raw) as stream, trio.open_nursery() as nursery:
        await stream.send_all(
            b"GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
            b"Sec-WebSocket-Protocol: roomfsm.v1\r\nX-Forwarded-For: " + address.encode() + b"\r\n\r\n"
        )
        line = Line(stream)
        nursery.start_soon(line.read, rate)
        await line.hears(b'"welcome"')
        yield line
        nursery.cancel_scope.cancel()


async def hearing(client: Client) -> None:
    """Read until the server closes."""
    with suppress(ConnectionClosed):
        while True:
            await client.websocket.get_message()


async def round_trips(client: Client, count: int = 20) -> list[float]:
    """The seconds from sending a line to hearing it, sorted. The pauses between are those of a person."""
    seconds = []
    for number in range(count):
        began = trio.current_time()
        said = await client.ask("chat", text=f"honest {number}")
        assert said["type"] == "chat", said
        seconds.append(trio.current_time() - began)
        await trio.sleep(0.1)
    return sorted(seconds)


def figures(what: str, before: list[float], during: list[float]) -> None:
    for name, seconds in (("before", before), ("attacked", during)):
        p50, p95 = seconds[len(seconds) // 2], seconds[len(seconds) * 95 // 100]
        print(f"{what}: {name} p50 {p50 * 1e3:.1f} ms, p95 {p95 * 1e3:.1f} ms")


# Messages to everybody


@pytest.mark.parametrize("text", ["\x01" * 4000, "🦉" * 4000, '"' * 4000, "\n" * 4000])
async def test_a_burst_of_long_lines_cuts_nobody_whose_network_is_ordinary(media_server: str, text: str) -> None:
    async with (
        serving(media_server, **TRUSTING) as server,
        open_line(server) as slow,
        somebody(server) as ada,
        somebody(server, STRANGER) as stranger,
    ):
        await slow.say(type="join", room="blue", name="Slow")
        await slow.hears(b'"joined"')
        await ada.join("blue")
        before = await round_trips(ada)
        await stranger.join("blue", "Stranger")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(hearing, stranger)
            for _ in range(480):
                await stranger.send("chat", text=text)
            figures("burst of long lines", before, await round_trips(ada))
            nursery.cancel_scope.cancel()
        await ada.ask("chat", text="it is over")
        await slow.hears(b"it is over")
        # This also holds for a person who enters or comes back, because the kept chat has a bound, too.
        async with open_line(server) as late:
            await late.say(type="join", room="blue", name="Late")
            await late.hears(b'"joined"')
            assert len(late.received) < 100_000


async def test_many_sockets_of_one_address_do_not_silence_the_others(media_server: str) -> None:
    async with (
        serving(media_server, **TRUSTING) as server,
        everybody(server, 1, "blue") as (ada,),
        open_line(server, None) as bob,
        AsyncExitStack() as stack,
    ):
        await bob.say(type="join", room="blue", name="Bob")
        before = await round_trips(ada)
        strangers = [await stack.enter_async_context(open_line(server, None, STRANGER)) for _ in range(12)]
        began = trio.current_time()

        async def flood(stranger: Line) -> None:
            await stranger.say(type="join", room="blue", name="Stranger")
            for number in range(200):
                await stranger.say(type="chat", text=f"flood {number}")
                await trio.sleep(0.01)

        async with trio.open_nursery() as nursery:
            for stranger in strangers:
                nursery.start_soon(flood, stranger)
            for stranger in strangers:
                await stranger.hears(b"flood")
            # None of them is refused: `round_trips` would notice that.
            figures("twelve sockets that flood", before, await round_trips(ada))
        await ada.ask("chat", text="it is over")
        await bob.hears(b"it is over")
        seconds = trio.current_time() - began
        told = bob.received.count(b"flood")
        print(f"of {200 * 12} lines {told} were told")
        # This is the room's burst and rate.
        assert 0 < told <= 1000 + 100 * seconds


async def test_a_person_who_renames_all_the_time_is_told_only_as_often_as_allowed(media_server: str) -> None:
    async with (
        serving(media_server, **TRUSTING) as server,
        everybody(server, 20, "blue") as honest,
        somebody(server, STRANGER) as stranger,
        trio.open_nursery() as nursery,
    ):
        await stranger.join("blue", "Stranger")
        for client in honest[1:]:
            nursery.start_soon(hearing, client)
        before = await round_trips(honest[0])
        nursery.start_soon(hearing, stranger)

        async def rename() -> None:
            for number in range(300):
                await stranger.send("rename", name=f"Stranger {number}")
                await trio.sleep(0.01)

        nursery.start_soon(rename)
        began = trio.current_time()
        figures("renames", before, await round_trips(honest[0]))
        seconds = trio.current_time() - began
        renamed = [m for m in honest[0].seen if m["type"] == "participantChanged"]
        print(f"{len(renamed)} of 300 renames were told")
        limits = stranger.welcome["limits"]
        assert len(renamed) <= (limits["toldBurst"] + seconds * limits["toldRate"]) / 3 + 1
        assert not any(m["type"] == "participantLeft" for m in honest[0].seen)
        nursery.cancel_scope.cancel()


async def test_a_person_who_is_refused_is_told_so_and_stays_connected(media_server: str) -> None:
    async with serving(media_server, told_rate=0.01, told_seconds=500.0) as server, open_client(server.url) as ada:
        await ada.join("blue")
        replies = [await ada.ask("chat", text=str(number)) for number in range(5)]
        # Entering took two of five.
        assert [reply["type"] for reply in replies] == ["chat"] * 3 + ["error"] * 2
        assert (replies[-1]["code"], replies[-1]["message"]) == ("rate_limited", "chat")
        assert (await ada.ask("ping"))["type"] == "pong"
        assert (await ada.ask("switch", room="red"))["code"] == "rate_limited"
        assert (await ada.ask("leave"))["type"] == "participantLeft"
        assert (await ada.ask("join", room="red"))["code"] == "rate_limited"


@pytest.mark.parametrize("name", ["Zoë {}", "Zo\u115f {}"])
async def test_names_beyond_the_rate_are_not_checked(
    media_server: str, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Checking names has a bound like sending them. The second of these names is not valid."""
    looked_at: list[str] = []

    def look(text: str) -> str:
        looked_at.append(text)
        return display_name(text)

    async with serving(media_server, told_rate=0.01, told_seconds=900.0) as server, open_client(server.url) as ada:
        await ada.join("blue")
        monkeypatch.setattr("roomfsm.protocol.codec.display_name", look)
        replies = [await ada.ask("rename", name=name.format(number)) for number in range(30)]
        assert len(looked_at) == 3
        assert [reply["code"] for reply in replies[3:]] == ["rate_limited"] * 27
        assert (await ada.ask("ping"))["type"] == "pong"


async def test_somebody_who_resumes_too_often_is_refused(media_server: str) -> None:
    async with (
        serving(media_server, told_rate=0.01, told_seconds=700.0) as server,
        open_client(server.url) as bob,
        open_client(server.url) as ada,
    ):
        await bob.join("blue", "Bob")
        await ada.join("blue")
        token, replies = ada.welcome["resumeToken"], []
        for _ in range(4):
            async with open_client(server.url) as again:
                reply = await again.ask("resume", token=token)
                replies.append(reply.get("code", reply["type"]))
                token = again.welcome["resumeToken"] if reply["type"] == "joined" else token
                await again.websocket._stream.aclose()
        assert replies == ["joined", "joined", "rate_limited", "rate_limited"]
        assert (await bob.ask("chat", text="undisturbed"))["type"] == "chat"


# Rooms


async def test_one_socket_that_switches_all_the_time_keeps_nobody_out(media_server: str) -> None:
    async with serving(media_server, max_rooms=30, **TRUSTING) as server, somebody(server, STRANGER) as stranger:
        await stranger.join("room-0")
        refused = 0
        for number in range(1, 300):
            reply = await stranger.ask("switch", room=f"room-{number}")
            refused += reply["type"] == "error"
        rooms = len(server.running.directory)
        print(f"300 switches: {rooms} rooms, {refused} refused")
        assert rooms <= 21
        async with everybody(server, 1, "honest"), everybody(server, 1, "other"):
            pass


# Seats


async def reset(server: Served, room: str, address: str) -> None:
    """Join and reset the connection, like somebody whose network failed."""
    async with somebody(server, address) as client:
        reply = await client.ask("join", room=room, name="Ghost")
        assert reply["type"] in ("joined", "error")
        await client.websocket._stream.aclose()


async def test_seats_of_lost_connections_keep_nobody_out_of_a_room(media_server: str) -> None:
    async with serving(media_server, max_people=10, **TRUSTING) as server, everybody(server, 2, "blue") as honest:
        for _ in range(30):
            await reset(server, "blue", STRANGER)
        async with everybody(server, 8, "blue", "192.0.2.2") as newcomers:
            for client in (*honest, *newcomers):
                assert (await client.ask("chat", text="here"))["type"] == "chat"
            async with somebody(server, "192.0.2.3") as one_more:
                assert (await one_more.ask("join", room="blue"))["code"] == "room_full"


async def test_a_seat_that_made_way_cannot_be_resumed(media_server: str) -> None:
    async with serving(media_server, max_people=2, **TRUSTING) as server, somebody(server) as bob:
        await bob.join("blue", "Bob")
        async with somebody(server) as ada:
            await ada.join("blue")
            await ada.websocket._stream.aclose()
        await bob.expect("participantChanged")
        async with somebody(server) as eve, somebody(server) as back:
            await eve.join("blue", "Eve")
            assert (await back.ask("resume", token=ada.welcome["resumeToken"]))["code"] == "session_unknown"
            assert (await back.ask("join", room="blue"))["code"] == "room_full"
            await eve.ask("leave")
            await back.join("blue")


async def test_sessions_that_are_away_count_and_make_way_for_new_ones(media_server: str) -> None:
    async with serving(media_server, max_sessions=5, **TRUSTING) as server, somebody(server) as bob:
        await bob.join("blue", "Bob")
        for _ in range(10):
            await reset(server, "blue", STRANGER)
        assert len(server.running.registry) <= 5
        async with everybody(server, 4, "blue"):
            assert len(server.running.registry) == 5
            with pytest.raises(Exception, match="503"):
                async with somebody(server):
                    pass


async def test_an_address_has_a_bound_of_sessions(media_server: str) -> None:
    async with serving(media_server, max_sessions_per_address=3, **TRUSTING) as server:
        await reset(server, "blue", STRANGER)
        async with everybody(server, 3, "blue", STRANGER) as strangers:
            # The session that was away has made way. No connected one does.
            with pytest.raises(ConnectionClosed) as refused:
                async with somebody(server, STRANGER):
                    pass
            assert refused.value.reason is not None
            assert refused.value.reason.code == CloseCode.TOO_MANY_SESSIONS
            async with everybody(server, 3, "blue") as honest:
                assert (await honest[0].ask("ping"))["type"] == "pong"
            await strangers[0].ask("leave")
            await strangers[0].websocket.aclose()
            async with everybody(server, 1, "blue", STRANGER):
                pass


@pytest.mark.parametrize("bound", [{"max_away_per_address": 2}, {"max_away_per_room": 2}])
async def test_beyond_the_bound_of_sessions_away_the_longest_away_makes_way(
    media_server: str, bound: dict[str, int]
) -> None:
    async with serving(media_server, **TRUSTING, **bound) as server, somebody(server) as bob:
        await bob.join("blue", "Bob")
        lost = []
        for number in range(3):
            async with somebody(server, STRANGER) as client:
                await client.join("blue", f"Lost {number}")
                lost.append(client)
                await client.websocket._stream.aclose()
            await bob.expect("participantChanged")
        assert (await bob.expect("participantLeft"))["participant"] == lost[0].me
        async with somebody(server, STRANGER) as back:
            assert (await back.ask("resume", token=lost[0].welcome["resumeToken"]))["code"] == "session_unknown"
            assert (await back.ask("resume", token=lost[1].welcome["resumeToken"]))["you"] == lost[1].me


async def test_people_of_one_address_may_enter_only_so_often(media_server: str) -> None:
    few = {"entries_per_address": 0.001, "entries_burst_per_address": 4}
    async with (
        serving(media_server, **TRUSTING, **few) as server,
        somebody(server, STRANGER) as fifth,
        everybody(server, 3, "blue", STRANGER) as strangers,
    ):
        assert (await strangers[0].ask("switch", room="red"))["type"] == "joined"
        refused = await fifth.ask("join", room="blue")
        assert (refused["code"], refused["message"]) == ("rate_limited", "join")
        assert "address" in refused["detail"]
        async with everybody(server, 3, "blue"):
            pass


async def test_a_64_network_of_ipv6_counts_as_one_address(media_server: str) -> None:
    async with (
        serving(media_server, max_sessions_per_address=1, **TRUSTING) as server,
        somebody(server, "2001:db8:1:1::1"),
        somebody(server, "2001:db8:1:2::1"),
    ):
        with pytest.raises(ConnectionClosed):
            async with somebody(server, "2001:db8:1:1:ffff::2"):
                pass


async def test_the_header_of_a_proxy_that_is_not_trusted_is_ignored(media_server: str) -> None:
    async with serving(media_server, max_sessions_per_address=1) as server, somebody(server, "192.0.2.1"):
        with pytest.raises(ConnectionClosed):
            async with somebody(server, "192.0.2.2"):
                pass


async def test_idle_addresses_are_forgotten(media_server: str) -> None:
    async with serving(media_server, told_seconds=0.05, entries_per_address=1e6, **TRUSTING) as server:
        for number in range(250):
            async with somebody(server, f"198.51.{number}.1"):
                pass
        assert len(server.running.registry._addresses) <= 210
