"""People who came back with their rooms keep their places while their browsers find the new server."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from roomfsm.protocol.errors import CloseCode
from roomfsm.protocol.roles import Role
from roomfsm.rooms import durable
from roomfsm.rooms.durable import encode
from roomfsm.signaling import registry
from roomfsm.signaling.addresses import Address
from roomfsm.signaling.session import Session
from roomfsm.store.interface import Append, Remember, Write
from roomfsm.store.sqlite import SqliteStore, open_sqlite
from tests.protocol_client import open_client
from tests.serving import serving


async def two_people_stay_in_the_store(media_server: str, data: str) -> list[str]:
    """Ada and Bob are in a room when the server ends. Returns their tokens."""

    async def sit(url: str, task_status: trio.TaskStatus[str]) -> None:
        async with open_client(url) as client:
            await client.join("blue")
            task_status.started(client.welcome["resumeToken"])
            await client.closed()

    async with trio.open_nursery() as nursery, serving(media_server, data=data) as server:
        return [await nursery.start(sit, server.url) for _ in range(2)]


@pytest.mark.parametrize(
    "bound",
    [
        {"max_people": 2},
        {"max_away_per_room": 1, "max_people": 4},
        {"max_away_per_address": 1},
        {"max_sessions_per_address": 2},
        {"max_sessions": 2},
    ],
    ids=str,
)
async def test_strangers_who_are_there_first_put_nobody_out(
    bound: dict[str, int], media_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # They are all here before it is over, however busy the machine is.
    monkeypatch.setattr(registry, "GRACE", 3600.0)
    data = str(tmp_path / "data")
    tokens = await two_people_stay_in_the_store(media_server, data)
    async with serving(media_server, data=data, **bound) as server, open_client(server.url) as eve:
        told = await eve.ask("join", room="blue", name="Eve")
        assert told.get("code") == ("room_full" if bound.get("max_people") == 2 else None)
        if "max_away_per_room" in bound or "max_away_per_address" in bound:
            async with open_client(server.url) as dan:
                await dan.join("blue", "Dan")
                await dan.websocket._stream.aclose()
                with trio.fail_after(60):
                    # He is away, too, and nobody makes way for that.
                    while not server.running.registry._away:  # noqa: ASYNC110
                        await trio.sleep(0.01)
        for token in tokens:
            async with open_client(server.url) as client:
                assert (await client.ask("resume", token=token))["type"] == "joined"
                await client.ask("leave")


async def test_when_the_grace_is_over_they_make_way(
    media_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "GRACE", 0.2)
    data = str(tmp_path / "data")
    await two_people_stay_in_the_store(media_server, data)
    async with serving(media_server, data=data, max_people=2) as server:
        with trio.fail_after(60):
            while True:
                async with open_client(server.url) as eve:
                    told = await eve.ask("join", room="blue", name="Eve")
                    if told["type"] == "joined":
                        break
                    assert told["code"] == "room_full"
        assert server.running.registry.sessions


async def test_people_of_one_address_come_back_to_one_address_even_if_they_had_moved(
    media_server: str, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    crowd = [("first", "192.0.2.1"), *((f"p{n}", f"198.51.100.{n}") for n in range(120)), ("last", "192.0.2.1")]
    events: list[durable.Durable] = [durable.Opened("blue")]
    for person, came_from in crowd:
        told: dict[str, Any] = {"person": person, "name": person, "address": came_from, "at": 1}
        events.append(durable.Sat(**told, role=Role.PRESENTER, given=Role.PRESENTER, tokens=(person.encode(),)))
    events.append(durable.Returned("p7", (b"new",), "192.0.2.1"))
    async with open_sqlite(data) as store:
        await store.commit([Append("blue", 0, tuple(encode(event) for event in events), {})])
    async with serving(media_server, data=str(data)) as server:
        found = {session.participant_id: session for session in server.running.registry.sessions}
        assert len(found) == len(crowd)
        address: Address[Session] = found["first"].address
        assert address.key == "192.0.2.1"
        assert found["last"].address is found["p7"].address is address
        assert found["p7"].voice.address == "192.0.2.1"
        assert set(address.expected) == {found["first"], found["last"], found["p7"]}


async def test_the_people_of_a_room_that_goes_on_at_another_server_are_told_nothing_and_come_back(
    media_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost: set[str] = set()
    commit = SqliteStore.commit

    async def refusing(store: SqliteStore, writes: Sequence[Write]) -> Sequence[str]:
        foreign = [write for write in writes if not isinstance(write, Remember) and write.room in lost]
        await commit(store, [write for write in writes if write not in foreign])
        return tuple(write.room for write in foreign)

    monkeypatch.setattr(SqliteStore, "commit", refusing)
    async with (
        serving(media_server, data=str(tmp_path / "data"), resume_window=3600.0) as server,
        open_client(server.url) as ada,
        open_client(server.url) as bob,
        open_client(server.url) as eve,
        open_client(server.url) as again,
    ):
        registry, directory = server.running.registry, server.running.directory
        await ada.join("blue", "Ada")
        await bob.join("blue", "Bob")
        await eve.join("red", "Eve")
        with trio.fail_after(60):
            await bob.websocket._stream.aclose()
            while not registry._away:
                await wait_all_tasks_blocked(0.01)
            lost.add("blue")
            await ada.send("chat", text="nobody hears this")
            assert await ada.closed() == CloseCode.GOING_AWAY
            assert "chat" not in {message["type"] for message in ada.seen}
            # The session of Bob, who is away, has ended, too.
            while len(registry.sessions) > 2:
                await wait_all_tasks_blocked(0.01)
        assert [room.name for room in directory.rooms()] == ["red"]
        told = await again.ask("resume", token=ada.welcome["resumeToken"])
        assert told["code"] == "session_unknown"
        assert (await eve.ask("chat", text="still here"))["line"]["text"] == "still here"
