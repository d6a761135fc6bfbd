"""Given a server with people in its rooms, tests what receivers are told, and when."""

from __future__ import annotations

import re
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from roomfsm.access.policy import Policy
from roomfsm.protocol.client import Ban, Chat, Kick, Rename, Unpublish
from roomfsm.rooms.directory import open_directory
from roomfsm.rooms.events import Administer
from roomfsm.rooms.observers import Observers
from roomfsm.testing import FakeMedia
from roomfsm.webhooks.delivery import open_webhooks
from roomfsm.webhooks.events import TYPES, RoomEvents
from roomfsm.webhooks.settings import WebhookSettings
from tests.processes import LOADED
from tests.protocol_client import open_client
from tests.rooms.house import SMALL, people, publish, settle
from tests.serving import serving
from tests.webhooks.receiver import SECRET, receiving, silent, verified

TEXT = (Path(__file__).parents[2] / "docs" / "webhooks.md").read_text(encoding="utf-8")

type Told = list[tuple[str, dict[str, Any]]]


def observed(told: Told) -> Observers:
    return Observers([RoomEvents(lambda type_, _, data: told.append((type_, data)))])


def short(told: Told) -> list[tuple[Any, ...]]:
    """The type, whom it is about, and the reason."""
    return [
        (type_, data["participant"]["name"] if "participant" in data else data["room"], data.get("reason"))
        for type_, data in told
    ]


async def test_receivers_are_told_who_comes_presents_and_goes(autojump_clock: MockClock) -> None:
    told: Told = []
    media = FakeMedia()
    async with open_directory(media.pool, SMALL, observers=observed(told)) as directory:
        ada, bob = await people(directory, "Ada", "Bob")
        await ada.say(Rename(name="Countess"))
        await ada.say(Chat(text="a secret"))
        for _ in range(2):
            await bob.say(publish())
            await settle()
            await bob.say(Unpublish(stream=bob.stream()))
        await bob.leave()
        await ada.say(publish())
        await settle()
        await ada.leave()
        await trio.sleep(SMALL.linger + 1)
    assert short(told) == [
        ("roomOpened", "blue", None),
        ("participantJoined", "Ada", None),
        ("participantJoined", "Bob", None),
        ("streamStarted", "Bob", None),
        ("streamEnded", "Bob", "unpublished"),
        ("streamStarted", "Bob", None),
        ("streamEnded", "Bob", "unpublished"),
        ("participantLeft", "Bob", "left"),
        ("streamStarted", "Countess", None),
        ("streamEnded", "Countess", "left"),
        ("participantLeft", "Countess", "left"),
        ("roomClosed", "blue", "expire"),
    ]
    assert "a secret" not in str(told)
    streams = [data["stream"] for type_, data in told if type_ == "streamStarted"]
    assert streams[1] == {"id": bob.stream(), "source": "camera", "generation": 2}
    assert told[1][1]["participant"] == {
        "id": ada.participant_id,
        "name": "Ada",
        "role": "moderator",
        "subject": None,
    }
    assert len({data["run"] for _, data in told}) == 1


async def test_who_puts_somebody_out_is_told(autojump_clock: MockClock) -> None:
    told: Told = []
    async with open_directory(FakeMedia().pool, SMALL, observers=observed(told)) as directory:
        ada, bob = await people(directory, "Ada", "Bob")
        await ada.say(Kick(participant=bob.participant_id))
        await settle()
        await bob.join("blue")
        await ada.sits_in.request(Administer(Ban(participant=bob.participant_id)))
        await directory.close_room("blue", "tea")
        await settle()
    kicked = [data for type_, data in told if type_ == "kicked"]
    assert [data["banned"] for data in kicked] == [False, True]
    assert kicked[0]["by"]["participant"]["name"] == "Ada"
    assert [data["by"]["administrator"] for data in kicked] == [False, True]
    assert short(told)[-4:] == [
        ("kicked", "Bob", None),
        ("participantLeft", "Bob", "banned"),
        ("participantLeft", "Ada", "room_closed"),
        ("roomClosed", "blue", "tea"),
    ]


async def test_whoever_came_has_left_when_the_room_is_closed_however_it_ends(autojump_clock: MockClock) -> None:
    for end in ("closed", "shutdown", "cancelled"):
        told: Told = []
        with trio.CancelScope() as scope:
            async with open_directory(FakeMedia().pool, SMALL, observers=observed(told)) as directory:
                (ada,) = await people(directory, "Ada")
                await ada.say(publish())
                await settle()
                match end:
                    case "closed":
                        await directory.close_room("blue", "tea")
                        await settle()
                    case "shutdown":
                        await directory.close()
                    case "cancelled":
                        scope.cancel()
        types = [type_ for type_, _ in told]
        assert sorted(types) == sorted(
            ["roomOpened", "participantJoined", "streamStarted", "streamEnded", "participantLeft", "roomClosed"]
        ), end
        assert types[-1] == "roomClosed"


async def test_a_room_that_is_created_and_never_used_is_told_as_well(autojump_clock: MockClock) -> None:
    told: Told = []
    async with open_directory(FakeMedia().pool, SMALL, observers=observed(told)) as directory:
        await directory.create("board", Policy(linger=1.0))
        await trio.sleep(2)
        assert short(told) == [("roomOpened", "board", None), ("roomClosed", "board", "expire")]


async def test_an_observer_that_fails_ends_no_room(autojump_clock: MockClock) -> None:
    class Broken(RoomEvents):
        def _tell(self, type_: str, room: Any, **data: Any) -> None:
            raise ZeroDivisionError

    told: Told = []
    broken = Broken(lambda *_: None)
    observers = Observers([broken, RoomEvents(lambda type_, _, data: told.append((type_, data)))])
    async with open_directory(FakeMedia().pool, SMALL, observers=observers) as directory:
        (ada,) = await people(directory, "Ada")
        assert ada.sits_in.state == "waiting"
        assert [type_ for type_, _ in told] == ["roomOpened", "participantJoined"]


async def test_a_real_server_tells_a_real_receiver(media_server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("roomfsm.webhooks.delivery._LAST_SENDING", LOADED)
    async with receiving() as receiver:
        hooks = {"webhook": (receiver.url,), "webhook_secret": (SECRET,)}
        async with serving(media_server, **hooks) as server, open_client(server.url) as ada:
            await ada.join("Blue")
            await receiver.until(2)
            assert [got.event["type"] for got in receiver.got] == ["roomOpened", "participantJoined"]
            event = verified(receiver.got[1])
            assert event["data"]["participant"]["name"] == "Ada"
            assert abs(datetime.fromisoformat(event["timestamp"]).timestamp() - time.time()) < 60
        # The server has ended, and has told it.
        assert receiver.types() == ["roomOpened", "participantJoined", "participantLeft", "roomClosed"]
        assert receiver.events[-1]["data"]["reason"] == "shutdown"


async def test_a_dead_receiver_slows_no_room_and_does_not_keep_the_server(media_server: str) -> None:
    async with receiving(otherwise=silent) as dead:
        hooks = {"webhook": (dead.url,), "webhook_secret": (SECRET,), "webhook_timeout": 3600.0}
        with trio.fail_after(100):
            async with serving(media_server, **hooks) as server, open_client(server.url) as ada:
                for number in range(50):
                    await ada.join(f"room-{number}") if number == 0 else await ada.ask(
                        "switch", room=f"room-{number}"
                    )
                assert (await ada.ask("ping"))["type"] == "pong"


def test_the_documentation_describes_every_type() -> None:
    assert [f"| `{type_}` |" in TEXT for type_ in TYPES] == [True] * len(TYPES)


async def test_the_receiver_in_the_documentation_takes_webhooks(capsys: pytest.CaptureFixture[str]) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    there: dict[str, Any] = {"SECRET": SECRET}
    exec(example, there)
    async with (
        receiving() as receiver,
        open_webhooks(WebhookSettings(webhook=(receiver.url,), webhook_secret=(SECRET,))) as webhooks,
    ):
        webhooks.receivers[0].put("roomOpened", "blue", {"room": "Blue", "run": "1"})
        await receiver.until(1)
    there["receive"](receiver.got[0].headers, receiver.got[0].body)
    assert capsys.readouterr().out == "roomOpened Blue\n"
