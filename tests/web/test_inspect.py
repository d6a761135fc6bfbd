"""Given rooms, tests what the inspector's addresses show, at once and later, and the bound of watchers."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio

from roomfsm.lifecycle.describe import MACHINES
from roomfsm.rooms.journal import Entry, Opened, decode_line
from tests.protocol_client import open_client
from tests.serving import Served, serving
from tests.web.http import get

PATIENCE = 60.0


class Feed:
    """Server-sent events as they come."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._text = b""

    async def next(self) -> Any:
        """The data of the next event."""
        with trio.fail_after(PATIENCE):
            while True:
                # The chunks of HTTP are ours to skip: a line that is an event's begins with "data: ".
                for line in self._text.split(b"\n"):
                    if line.startswith(b"data: ") and b"\n\n" in self._text[self._text.index(line) :]:
                        self._text = self._text[self._text.index(line) + len(line) :]
                        return json.loads(line.removeprefix(b"data: "))
                self._text += await self._stream.receive_some(65536)

    async def until(self, holds: Any) -> Any:
        """The first event that fits."""
        while True:
            event = await self.next()
            if holds(event):
                return event


def _asking_for(server: Served, path: str) -> bytes:
    token = server.running.inspect_token
    lines = (f"GET /inspect/api{path} HTTP/1.1", "Host: localhost", f"Authorization: Bearer {token}", "", "")
    return "\r\n".join(lines).encode()


@asynccontextmanager
async def feed(server: Served, path: str) -> AsyncIterator[Feed]:
    async with await trio.open_tcp_stream("127.0.0.1", server.port) as stream:
        await stream.send_all(_asking_for(server, path))
        yield Feed(stream)


@pytest.mark.parametrize("target", ["/inspect", "/inspect/blue", "/inspect/R%C3%A4ume", "/inspect/api"])
async def test_the_inspectors_pages_are_served(media_server: str, target: str) -> None:
    async with serving(media_server) as server:
        reply = await get(server, target)
        assert (reply.status, b"inspect.js" in reply.body) == (200, True)
        assert "default-src 'self'" in reply.headers["content-security-policy"]


@pytest.mark.parametrize("target", ["/inspect/a%20b", "/inspect/%ff", "/inspect/" + "x" * 65])
async def test_the_inspectors_page_answers_for_a_name_that_no_room_can_have(
    media_server: str, target: str
) -> None:
    async with serving(media_server) as server:
        reply = await get(server, target)
        assert (reply.status, b"inspect.js" in reply.body) == (404, True)


@pytest.mark.parametrize("target", ["/inspect/assets/other.svg", "/inspect/api/rooms/none", "/inspect/x/y"])
async def test_an_unknown_room_or_machine_gets_404(media_server: str, target: str) -> None:
    async with serving(media_server) as server:
        assert (await get(server, target)).status == 404


async def test_the_diagrams_come_without_styles_of_their_own(media_server: str) -> None:
    async with serving(media_server) as server:
        for machine in MACHINES:
            reply = await get(server, f"/inspect/assets/{machine}.svg")
            assert reply.headers["content-type"].startswith("image/svg+xml")
            assert b"<svg" in reply.body
            assert b"<style" not in reply.body
            assert b"style=" not in reply.body
        reply = await get(server, "/inspect/assets/diagram.css")
        assert reply.headers["content-type"].startswith("text/css")


async def test_the_inspector_describes_a_room_in_full(media_server: str) -> None:
    async with serving(media_server) as server, open_client(server.url) as ada, open_client(server.url) as bob:
        await ada.join("Blue")
        await bob.join("blue", "Bob")
        await bob.ask("publish", source="camera", sdp="nonsense")
        (glance,) = json.loads((await get(server, "/inspect/api/rooms")).body)
        assert (glance["name"], glance["people"], glance["inbox"]) == ("Blue", 2, 0)
        room = json.loads((await get(server, "/inspect/api/rooms/BLUE")).body)
        assert [(person["name"], person["state"]) for person in room["people"]] == [
            ("Ada", "joined"),
            ("Bob", "joined"),
        ]
        moves = {(m["trigger"], m["source"], m["dest"]): m["count"] for m in room["machines"]["room"]["moves"]}
        assert moves["join", "empty", "waiting"] == 1
        assert moves["publish", "waiting", "broadcasting"] == 1
        assert room["machines"]["session"]["present"] == {"joined": 2}
        assert {"publish", "leave"} <= set(room["legalInside"])
        assert "join" not in room["legalInside"]
        assert room["legalOutside"] == ["join", "switch"]


async def test_the_journal_can_be_downloaded(media_server: str) -> None:
    async with serving(media_server) as server, open_client(server.url) as ada:
        await ada.join("blue")
        await ada.ask("chat", text="a secret")
        reply = await get(server, "/inspect/api/rooms/blue/journal")
        assert reply.headers["content-type"] == "application/jsonl"
        assert "blue.journal.jsonl" in reply.headers["content-disposition"]
        opened, *entries = (decode_line(line) for line in reply.body.splitlines())
        assert isinstance(opened, Opened)
        assert [entry.trigger for entry in entries if isinstance(entry, Entry)] == ["join", "join", "chat"]
        assert b"secret" not in reply.body


async def test_a_feed_follows_a_room_through_its_life(media_server: str) -> None:
    async with (
        serving(media_server, inspect_interval=0.01, linger=0.0) as server,
        feed(server, "/rooms/blue/feed") as watcher,
        open_client(server.url) as ada,
    ):
        assert await watcher.next() == {"room": None, "over": True, "journal": []}
        await ada.join("blue")
        event = await watcher.next()
        entries = event["journal"]
        while len(entries) < 2:
            # The room was looked at between two of its steps.
            event = await watcher.next()
            entries += event["journal"]
        assert event["room"]["glance"]["state"] == "waiting"
        assert [entry["seq"] for entry in entries] == [1, 2]
        await ada.ask("rename", name="Countess")
        event = await watcher.next()
        assert [entry["trigger"] for entry in event["journal"]] == ["rename"]
        assert event["room"]["people"][0]["name"] == "Countess"
        run = event["room"]["glance"]["run"]
        await ada.ask("leave")
        entries = []
        while not event["over"]:
            # The room may be looked at between its last steps.
            event = await watcher.next()
            entries += event["journal"]
        assert (event["room"]["glance"]["run"], event["room"]["glance"]["state"]) == (run, "closed")
        assert [entry["trigger"] for entry in entries[-2:]] == ["expire", "drained"]
        await ada.join("blue")
        event = await watcher.until(lambda event: not event["over"])
        assert event["room"]["glance"]["run"] != run
        # The room may have been looked at before its first step.
        while not event["journal"]:
            event = await watcher.next()
        assert event["journal"][0]["seq"] == 1


async def test_every_watcher_is_told_of_every_change(media_server: str) -> None:
    """A page that looks at the same moment as another gets the present state, not what the other got."""
    async with (
        serving(media_server, inspect_interval=0.01) as server,
        feed(server, "/rooms/blue/feed") as one,
        feed(server, "/rooms/blue/feed") as other,
        open_client(server.url) as ada,
    ):
        await ada.join("blue")
        for number in range(20):
            await ada.ask("rename", name=f"Ada {number}")
            for watcher in (one, other):
                name = ""
                # Several changes may be told at once.
                while name != f"Ada {number}":
                    event = await watcher.until(lambda event: event["room"] and event["journal"])
                    assert event["room"]["glance"]["steps"] == event["journal"][-1]["seq"]
                    name = event["room"]["people"][0]["name"]


async def test_a_feed_follows_the_list_of_rooms(media_server: str) -> None:
    async with (
        serving(media_server, inspect_interval=0.01) as server,
        feed(server, "/feed") as watcher,
        open_client(server.url) as ada,
    ):
        assert await watcher.next() == []
        await ada.join("blue")
        (room,) = await watcher.until(lambda rooms: rooms and rooms[0]["people"])
        assert (room["name"], room["people"]) == ("blue", 1)


async def test_a_feed_follows_the_servers_machine(media_server: str) -> None:
    async with (
        serving(media_server, inspect_watchers=1, inspect_interval=0.01) as server,
        # A page of all rooms follows both, and counts once.
        feed(server, "/feed") as rooms,
        feed(server, "/server/feed") as watcher,
    ):
        assert await rooms.next() == []
        seen = await watcher.next()
        assert (seen["state"], seen["machine"]["present"]) == ("open", {"open": 1})
        assert seen["machine"]["visits"] == {"starting": 1, "open": 1}
        assert seen["machine"]["moves"] == [
            {"trigger": "opened", "source": "starting", "dest": "open", "count": 1}
        ]
        assert json.loads((await get(server, "/inspect/api/server")).body)["state"] == "open"
        server.running.directory.life.fire("stop")
        closing = await watcher.next()
        assert (closing["state"], closing["machine"]["present"]) == ("closing", {"closing": 1})
        assert closing["since"] <= closing["machine"]["dwelt"]["closing"] + 0.001


async def test_watchers_have_a_bound_and_a_place_becomes_free_again(media_server: str) -> None:
    async with serving(media_server, inspect_watchers=2, inspect_interval=0.01) as server:
        async with feed(server, "/feed") as one, feed(server, "/rooms/blue/feed") as two:
            assert (await one.next(), await two.next()) == ([], {"room": None, "over": True, "journal": []})
            refused = await get(server, "/inspect/api/feed")
            assert (refused.status, b"--inspect-watchers" in refused.body) == (503, True)
        with trio.fail_after(PATIENCE):
            while True:
                async with feed(server, "/feed") as third:
                    with trio.move_on_after(0.5):
                        if await third.next() == []:
                            break


async def test_a_watcher_that_sent_much_in_advance_is_noticed_to_be_gone(media_server: str) -> None:
    async with serving(media_server, inspect_watchers=1, inspect_interval=0.01) as server:
        stream = await trio.open_tcp_stream("127.0.0.1", server.port)
        await stream.send_all(_asking_for(server, "/feed") * 200)
        assert await Feed(stream).next() == []
        await stream.aclose()
        async with open_client(server.url) as ada:
            with trio.fail_after(PATIENCE):
                while True:
                    await ada.join("blue")
                    await ada.ask("leave")
                    async with feed(server, "/feed") as second:
                        with trio.move_on_after(0.5):
                            if isinstance(await second.next(), list):
                                break


async def test_watchers_do_not_delay_the_end_of_the_server(media_server: str) -> None:
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            async with serving(media_server) as server:
                stream = await trio.open_tcp_stream("127.0.0.1", server.port)
                await stream.send_all(_asking_for(server, "/feed"))
                assert await Feed(stream).next() == []
                began = trio.current_time()
            assert trio.current_time() - began < PATIENCE / 3
            nursery.cancel_scope.cancel()
        await stream.aclose()


async def test_no_page_may_show_the_inspector_in_a_frame() -> None:
    portal = "https://portal.example.org"
    async with serving("ws://127.0.0.1:9", frame_ancestors=(portal,)) as server:
        for path, ancestors in (("/", portal), ("/inspect", "'none'"), ("/inspect/r", "'none'")):
            answer = await get(server, path)
            assert answer.headers["content-security-policy"].endswith(f"frame-ancestors {ancestors}"), path
