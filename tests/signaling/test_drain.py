"""Given a server that drains, people have time, are told how much, and open no more rooms."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest
import trio
from trio.testing import MockClock

from roomfsm.lifecycle.server import SERVER
from roomfsm.protocol.codec import Outgoing
from roomfsm.rooms.directory import Directory
from roomfsm.rooms.server_life import ServerLife
from roomfsm.rooms.settings import RoomSettings
from roomfsm.signaling.connection import Connection
from roomfsm.signaling.registry import Registry
from roomfsm.signaling.session import Session
from roomfsm.signaling.settings import SignalingSettings
from tests.protocol_client import open_client
from tests.serving import serving
from tests.web.http import get

LONG = 3000.0


async def test_people_go_on_and_come_back_but_open_no_room(media_server: str) -> None:
    async with serving(media_server) as server, trio.open_nursery() as nursery, open_client(server.url) as ada:
        await ada.join("blue")
        nursery.start_soon(server.running.drain, LONG)
        assert (await ada.expect("closing"))["seconds"] == LONG
        ready = await get(server, "/health/ready")
        told = json.loads(ready.body)
        assert (ready.status, told["ready"], told["state"]) == (503, False, "draining")
        assert "shutting down" in told["problem"]
        assert (await get(server, "/health/live")).status == 200
        # Somebody who comes later is told right after the welcome, and enters the room that is open.
        async with open_client(server.url) as bob:
            told = await bob.expect("closing")
            assert (told["scope"], told["reason"]) == ("server", "shutdown")
            assert 0 < told["seconds"] <= LONG
            assert (await bob.ask("join", room="green", name="Bob"))["code"] == "server_closing"
            await bob.join("blue", "Bob")
            assert (await bob.ask("switch", room="green"))["code"] == "server_closing"
            assert (await bob.ask("chat", text="still here"))["type"] == "chat"
        rooms = json.loads((await get(server, "/api/rooms")).body)
        assert [room["name"] for room in rooms["rooms"]] == ["blue"]
        assert server.running.directory.life.state == "draining"
        async with open_client(server.url) as back:
            resumed = await back.ask("resume", token=ada.welcome["resumeToken"])
            assert (resumed["type"], resumed["room"]) == ("joined", "blue")
            await back.send("leave")
            # Once nobody is left, the drain is over, long before its time.


class Heard:
    """A connection that notes what it is sent, and when."""

    def __init__(self) -> None:
        self.told: list[tuple[float, Any]] = []

    def send(self, outgoing: Outgoing) -> None:
        self.told.append((trio.current_time(), msgspec.json.decode(outgoing.payload)))


@pytest.mark.parametrize(("seconds", "told"), [(3.5, [4]), (30, [30, 10]), (301, [301, 300, 120, 60, 30, 10])])
async def test_everybody_is_reminded_while_the_time_runs_out(
    seconds: float, told: list[int], autojump_clock: MockClock
) -> None:
    life = ServerLife()
    life.fire("opened")
    directory = cast("Directory", SimpleNamespace(life=life, settings=RoomSettings()))
    async with trio.open_nursery() as nursery:
        registry = Registry(nursery, directory, SignalingSettings(), cast("Any", None), cast("Any", None))
        connection = Heard()
        registry._serving.add(cast("Connection", connection))
        registry._by_token[b"a token"] = cast("Session", object())
        begun = trio.current_time()
        await registry.drain(seconds)
        assert trio.current_time() - begun == pytest.approx(seconds)
        assert [message["seconds"] for _, message in connection.told] == told
        for at, message in connection.told[1:]:
            assert begun + seconds - at == pytest.approx(message["seconds"])
        assert registry.countdown is None
        registry.close("shutdown")
        assert "seconds" not in connection.told[-1][1]
        assert life.state == "closing"
    assert "drain" not in SERVER.legal("closing")
