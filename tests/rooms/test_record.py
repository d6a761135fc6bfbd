"""Rooms note what outlives the server, and tell it when it is kept. A store that fails does not stop them."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from roomfsm.access.policy import Policy
from roomfsm.files.settings import FileSettings
from roomfsm.files.shared_file import SharedFile
from roomfsm.files.store import UPLOAD_RESULTS, FileStore
from roomfsm.protocol.client import (
    Chat,
    CloseRoom,
    Configure,
    DeleteLine,
    Deny,
    Lock,
    RaiseHand,
    Rename,
    SendFile,
    View,
)
from roomfsm.protocol.errors import ErrorCode, Refusal
from roomfsm.protocol.fields import Source
from roomfsm.protocol.roles import Role
from roomfsm.rooms import durable
from roomfsm.rooms.allowance import UNBOUNDED, Voice
from roomfsm.rooms.come_back import CannotComeBack
from roomfsm.rooms.events import Administer
from roomfsm.rooms.room import RoomOver
from roomfsm.rooms.writer import open_writer
from roomfsm.store.interface import Past, Snapshot, StoreCode
from roomfsm.store.settings import StoreSettings
from roomfsm.testing import Person
from roomfsm.testing.session import FakeSession
from tests.rooms.house import OFFER, people, publish, settle
from tests.rooms.kept import Kept, MemoryStore, kept, newcomer

DEADLINE = StoreSettings().store_deadline


def events(store: MemoryStore, room: str = "blue") -> list[durable.Durable]:
    past = store.pasts[room]
    return durable.decode(past.snapshot, past.events)


def kinds(store: MemoryStore) -> list[str]:
    return [type(event).__name__ for event in events(store)]


def said(person: Person) -> list[str]:
    return [message["line"]["text"] for message in person.all("chat")]


def errors(person: Person) -> list[str]:
    return [message["code"] for message in person.all("error")]


async def test_what_happens_in_a_room_is_in_the_store_when_it_is_told(autojump_clock: MockClock) -> None:
    store = MemoryStore()
    async with kept(store) as server:
        (ada,) = await people(server.directory, "Ada")
        await settle()
        assert ada.last("joined")["you"] == ada.participant_id
        assert kinds(store) == ["Opened", "Sat"]
        store.hangs = True
        await ada.say(Chat(text="hello", ref=1))
        await settle()
        assert ada.all("chat") == [], "the line was told before it was kept"
        store.mend()
        await settle()
        assert said(ada) == ["hello"]
        assert kinds(store) == ["Opened", "Sat", "Said"]


async def test_what_is_told_keeps_its_order_and_nothing_else_overtakes_it(autojump_clock: MockClock) -> None:
    store = MemoryStore()
    async with kept(store) as server:
        ada, bob = await people(server.directory, "Ada", "Bob")
        await settle()
        store.hangs = True
        await ada.say(Chat(text="one", ref=1))
        await settle()
        # Nothing of this is kept, but it comes after a line that is.
        await ada.say(Chat(text="in private", to=bob.participant_id, ref=2))
        await bob.say(Chat(text="two", ref=3))
        await settle()
        assert said(bob) == []
        store.mend()
        await settle()
        assert said(ada) == said(bob) == ["one", "in private", "two"]


@pytest.mark.parametrize("by", ["switch", "leave"])
async def test_what_another_room_tells_a_person_overtakes_nothing(by: str, autojump_clock: MockClock) -> None:
    store = MemoryStore()
    async with kept(store) as server:
        ada, bob = await people(server.directory, "Ada", "Bob")
        (eve,) = await people(server.directory, "Eve", room="red")
        await eve.say(Configure(lobby=True))
        await settle()
        before = len(bob.messages)
        store.hangs = True
        await ada.say(Chat(text="wait for me"))
        await settle()
        async with trio.open_nursery() as nursery:
            if by == "switch":
                nursery.start_soon(bob.switch, "red")
            else:
                await bob.leave()
                nursery.start_soon(bob.join, "red")
            await settle()
            assert len(bob.messages) == before, "the lobby of a room overtook a line of the room before"
            assert len(eve.all("lobby")) == 1
            store.mend()
        await settle()
        told = [message["type"] for message in bob.messages[before:]]
        assert told == ["chat", "knocking"] if by == "switch" else ["chat", "participantLeft", "knocking"]


async def test_a_person_who_came_back_over_another_network_has_its_address_after_a_restart(
    autojump_clock: MockClock,
) -> None:
    store = MemoryStore()
    async with kept(store) as server:
        (ada,) = await people(server.directory, "Ada")
        await ada.vanish()
        ada.voice.address = "203.0.113.9"
        await ada.come_back()
        await settle()
    async with kept(store) as server:
        (room,) = server.directory.rooms()
        assert room.people[ada.participant_id].seat.voice.address == "203.0.113.9"


async def test_a_room_with_nothing_to_keep_tells_at_once_while_another_waits(autojump_clock: MockClock) -> None:
    store = MemoryStore()
    async with kept(store) as server:
        ada, bob = await people(server.directory, "Ada", "Bob")
        (eve,) = await people(server.directory, "Eve", room="red")
        (dan,) = await people(server.directory, "Dan", room="red")
        await settle()
        store.hangs = True
        await ada.say(Chat(text="kept"))
        await eve.say(Chat(text="quick", to=dan.participant_id))
        await settle()
        assert (said(dan), said(bob)) == (["quick"], [])
        store.mend()


async def test_many_rooms_share_one_commit(autojump_clock: MockClock) -> None:
    store = MemoryStore()
    async with kept(store) as server:
        crowd = [(await people(server.directory, "Ada", room=f"room {number}"))[0] for number in range(3)]
        await settle()
        store.hangs = True
        await crowd[0].say(Chat(text="first"))
        await settle()
        before = len(store.commits)
        for person in crowd:
            await person.say(Chat(text="later"))
            await person.say(Rename(name="Bea"))
        store.mend()
        await settle()
        first, second = store.commits[before:]
        assert len(first) == 1
        assert sorted(write.room for write in second) == ["room 0", "room 1", "room 2"]


@pytest.mark.parametrize("limit", [{"store_queue": 4}, {"store_queue_bytes": 400}], ids=str)
async def test_a_full_queue_holds_up_the_room_and_so_its_senders(
    limit: dict[str, Any], autojump_clock: MockClock
) -> None:
    store = MemoryStore()
    async with kept(store, settings=StoreSettings(data="none", store_deadline=60.0, **limit)) as server:
        (ada,) = await people(server.directory, "Ada")
        await settle()
        store.hangs = True
        for number in range(50):
            await ada.say(Chat(text=str(number)))
        await settle()
        # Each line is an event and a message. The bound may be passed by what one event of the room tells.
        assert server.writer.waiting <= 6
        assert server.directory.rooms()[0].waiting > 40
        store.mend()
        await settle()
        assert said(ada) == [str(number) for number in range(50)]


async def test_a_snapshot_replaces_the_events_when_there_are_more_than_the_setting_says(
    autojump_clock: MockClock,
) -> None:
    store = MemoryStore()
    async with kept(store, settings=StoreSettings(data="none", store_events=5)) as server:
        (ada,) = await people(server.directory, "Ada")
        for number in range(3):
            await ada.say(Chat(text=str(number)))
            await settle()
        assert (store.pasts["blue"].snapshot, len(store.pasts["blue"].events)) == (None, 5)
        await ada.say(Chat(text="3"))
        await settle()
        past = store.pasts["blue"]
        assert past.snapshot is not None
        assert (past.position, past.events) == (6, ())
        await ada.say(Chat(text="4"))
        await settle()
        assert len(store.pasts["blue"].events) == 1


@pytest.mark.parametrize("by", ["moderator", "administrator", "linger"])
async def test_a_room_that_has_ended_is_forgotten(by: str, autojump_clock: MockClock) -> None:
    store = MemoryStore()
    async with kept(store) as server:
        (ada,) = await people(server.directory, "Ada")
        await settle()
        assert list(store.pasts) == ["blue"]
        if by == "moderator":
            await ada.say(CloseRoom(ref=1))
        elif by == "administrator":
            await server.directory.close_room("blue", "administrator")
        else:
            await ada.leave()
            await trio.sleep(31)
        await settle()
        assert store.pasts == {}


@pytest.mark.parametrize("mended", [True, False])
async def test_an_administrator_learns_that_a_room_is_closed_when_its_end_is_kept(
    mended: bool, autojump_clock: MockClock
) -> None:
    store = MemoryStore()
    async with kept(store) as server, trio.open_nursery() as nursery:
        await people(server.directory, "Ada")
        await settle()
        store.hangs = True
        closed = trio.Event()

        async def close() -> None:
            assert await server.directory.close_room("blue", "administrator")
            closed.set()

        nursery.start_soon(close)
        await trio.sleep(DEADLINE / 2)
        assert not closed.is_set()
        assert list(store.pasts) == ["blue"], "a server that is killed now has the room when it is started again"
        if mended:
            store.mend()
            await settle()
            assert closed.is_set()
            assert store.pasts == {}
        else:
            await trio.sleep(DEADLINE)
            assert closed.is_set(), "a store that fails holds up an administrator for ever"
        store.mend()


async def test_a_room_of_the_same_name_begins_anew_even_if_the_end_of_the_old_one_waits(
    autojump_clock: MockClock,
) -> None:
    store = MemoryStore()
    async with kept(store) as server:
        (ada,) = await people(server.directory, "Ada")
        await ada.say(Chat(text="old"))
        await settle()
        store.hangs = True
        eve = Person(server.directory, "Eve", "198.51.100.7")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.directory.close_room, "blue", "administrator")
            await trio.sleep(0.1)
            nursery.start_soon(eve.join, "blue")
            await trio.sleep(0.1)
            store.mend()
        await settle()
        assert kinds(store) == ["Opened", "Sat"]
        assert eve.last("joined")["chat"] == []


async def test_the_end_of_the_server_forgets_no_room(autojump_clock: MockClock) -> None:
    store = MemoryStore()
    async with kept(store) as server:
        (ada,) = await people(server.directory, "Ada")
        await ada.say(Chat(text="last words"))
        await server.directory.close()
    assert kinds(store) == ["Opened", "Sat", "Said"]


async def test_a_room_that_fails_is_set_aside_with_all_that_was_noted(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = MemoryStore()
    async with kept(store) as server:
        (ada,) = await people(server.directory, "Ada")
        await settle()

        def fail(*_: object) -> None:
            raise ZeroDivisionError

        monkeypatch.setattr("roomfsm.rooms.chat.ChatHistory.in_private", fail)
        bob = (await people(server.directory, "Bob"))[0]
        await ada.say(Chat(text="x", to=bob.participant_id))
        await settle()
        assert store.pasts == {}
        (aside,) = store.set_aside
        assert "chat" in aside.why
        assert ada.last("closing")["reason"] == "room_failed"


async def test_the_end_of_the_server_keeps_what_a_failing_store_missed(autojump_clock: MockClock) -> None:
    store = MemoryStore()
    async with kept(store) as server:
        (ada,) = await people(server.directory, "Ada")
        await settle()
        store.fail()
        await ada.say(RaiseHand())
        await trio.sleep(DEADLINE + 1)
        await server.directory.close()
        store.mend()
        await trio.sleep(1)
    assert [event.number for event in events(store) if isinstance(event, durable.HandMoved)] == [1]
    assert "Sat" in kinds(store), "the room was described after it was emptied"


async def test_the_end_of_the_server_makes_no_snapshot_of_an_emptied_room(autojump_clock: MockClock) -> None:
    store = MemoryStore()
    async with kept(store, settings=StoreSettings(data="none", store_events=3)) as server:
        (ada,) = await people(server.directory, "Ada")
        await settle()
        await ada.say(Chat(text="one"))
        await ada.say(Chat(text="two"))
        await server.directory.close()
    assert "Sat" in kinds(store)


async def test_whoever_closes_a_room_closes_it_for_good_whatever_the_reason(autojump_clock: MockClock) -> None:
    store = MemoryStore()
    async with kept(store) as server:
        await people(server.directory, "Ada")
        await settle()
        await server.directory.close_room("blue", "shutdown")
        await trio.sleep(60)
        assert store.pasts == {}


async def test_a_room_that_is_only_cancelled_has_not_failed(autojump_clock: MockClock) -> None:
    # Whether its own task is cancelled first, or one of those that it has started, is up to trio.
    for _ in range(20):
        store = MemoryStore()
        async with kept(store) as server:
            (ada,) = await people(server.directory, "Ada")
            await ada.leave()
            await settle()
        assert (list(store.pasts), store.set_aside) == (["blue"], [])


async def test_a_room_is_set_aside_that_fails_in_one_of_its_tasks(autojump_clock: MockClock) -> None:
    store = MemoryStore()
    async with kept(store) as server:
        await people(server.directory, "Ada")
        await settle()
        room = server.directory.find("blue")
        assert room is not None

        def fail() -> None:
            raise ZeroDivisionError

        room._do_later(0, fail)
        await settle()
        assert store.pasts == {}
        assert [aside.room for aside in store.set_aside] == ["blue"]
        (eve,) = await people(server.directory, "Eve")
        await settle()
        assert eve.last("joined")["room"] == "blue"
        assert server.directory.keeps


async def test_what_a_fault_has_left_behind_of_a_room_is_set_aside_by_the_next_one(
    autojump_clock: MockClock,
) -> None:
    store = MemoryStore()
    async with kept(store) as server:
        store.pasts["blue"] = past_of(
            durable.Opened("blue"), durable.DoorMoved("lock"), durable.DoorMoved("unlock")
        )
        (ada,) = await people(server.directory, "Ada")
        await settle()
        assert ada.last("joined")["room"] == "blue"
        assert kinds(store) == ["Opened", "Sat"]
        assert [aside.room for aside in store.set_aside] == ["blue"]
        await ada.say(Chat(text="hello", ref=1))
        await settle()
        assert said(ada) == ["hello"]
        assert len(store.set_aside) == 1


async def test_a_room_that_cannot_be_described_promises_nothing_and_harms_no_other(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = MemoryStore()
    async with kept(store, settings=StoreSettings(data="none", store_events=3)) as server:
        (ada,) = await people(server.directory, "Ada")
        (eve,) = await people(server.directory, "Eve", room="red")
        await settle()

        def fail() -> None:
            raise ZeroDivisionError

        room = server.directory.find("blue")
        assert room is not None
        room.record.describe_by(fail)  # type: ignore[arg-type]
        for text in ("one", "two", "three"):
            await ada.say(Chat(text=text, ref=text))
            await settle()
        assert errors(ada)[-1] == "store_unavailable"
        assert [aside.room for aside in store.set_aside] == ["blue"]
        await eve.say(Chat(text="hello", ref=1))
        await settle()
        assert said(eve) == ["hello"]


async def test_a_fault_of_the_library_of_the_store_ends_no_room(autojump_clock: MockClock) -> None:
    store = MemoryStore()
    async with kept(store) as server:
        (ada,) = await people(server.directory, "Ada")
        await settle()
        store.error = RuntimeError("a pool")
        await ada.say(Chat(text="hello", ref=1))
        await settle()
        assert not server.directory.keeps
        assert server.writer.problem is not None
        assert server.writer.problem.code is StoreCode.FAILED
        store.mend()
        await trio.sleep(1)
        assert said(ada) == ["hello"]
        assert server.directory.keeps


async def test_what_waited_is_told_in_order_even_if_more_comes_meanwhile(autojump_clock: MockClock) -> None:
    store = MemoryStore()
    async with open_writer(store, StoreSettings(data="none")) as writer:
        record = writer.record("blue")
        told: list[int] = []
        most = 0

        class Ear:
            """Hears numbers, and how many came since anything else had its turn."""

            participant_id = "p1"

            @property
            def ear(self) -> Any:
                return self.hear

            def hear(self, outgoing: Any) -> None:
                told.append(outgoing.number)

        class Numbered:
            payload = b"x"

            def __init__(self, number: int) -> None:
                self.number = number

        async def watch() -> None:
            nonlocal most
            before = 0
            while True:
                await trio.lowlevel.checkpoint()
                most = max(most, len(told) - before)
                if told and len(told) < 1700 and len(told) != before:
                    # This comes while others still wait.
                    record.tell(Ear(), Numbered(1200 + len(told)))  # type: ignore[arg-type]
                before = len(told)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch)
            record.note(durable.Opened("blue"))
            for number in range(1200):
                record.tell(Ear(), Numbered(number))  # type: ignore[arg-type]
            await writer.flush()
            nursery.cancel_scope.cancel()
        assert told == sorted(told)
        assert len(told) > 1200
        # The tasks of one moment run in any order, so two batches may come between two looks.
        assert most <= 1000


# A store that fails


async def test_while_the_store_fails_rooms_go_on_and_refuse_what_they_cannot_promise(
    autojump_clock: MockClock,
) -> None:
    store = MemoryStore()
    async with kept(store) as server:
        ada, bob = await people(server.directory, "Ada", "Bob")
        await settle()
        store.fail()
        # The first one finds out. It waits for as long as the store fails.
        await ada.say(Chat(text="lost?", ref=1))
        await settle()
        await trio.sleep(DEADLINE + 0.1)
        assert said(ada) == []
        for refused in (Chat(text="no", ref=2), Lock(ref=3)):
            await ada.say(refused)
        await settle()
        assert errors(ada) == [ErrorCode.STORE_UNAVAILABLE] * 2
        # What promises nothing goes on at once.
        await bob.say(RaiseHand(ref=4))
        await bob.say(Chat(text="between us", to=ada.participant_id))
        await settle()
        assert ada.last("participantChanged")["participant"]["hand"] == 1
        assert said(ada) == ["between us"]
        await bob.vanish()
        await bob.come_back()
        assert bob.last("joined")["resumed"] is True
        with pytest.raises(Refusal) as refusal:
            await newcomer(server.directory, "blue")
        assert refusal.value.code is ErrorCode.STORE_UNAVAILABLE
        with pytest.raises(Refusal) as refusal:
            await newcomer(server.directory, "a new room")
        assert refusal.value.code is ErrorCode.STORE_UNAVAILABLE
        assert server.writer.problem is not None

        store.mend()
        await trio.sleep(1)
        assert server.directory.keeps
        assert said(ada) == said(bob) == ["between us", "lost?"]
        await ada.say(Chat(text="again", ref=5))
        await settle()
        (snapshot, *rest) = events(store)
        assert isinstance(snapshot, durable.Opened)
        assert durable.HandMoved(bob.participant_id, 1) in rest
        kept_lines = [line.text for event in rest if isinstance(event, durable.ChatKept) for line in event.lines]
        assert kept_lines == ["lost?"]
        assert isinstance(rest[-1], durable.Said)
        assert server.writer.counts.failures[StoreCode.FULL] > 0


async def fail(server: Kept, store: MemoryStore, person: Person) -> None:
    """Let the store fail, and let the server find out."""
    store.fail()
    await person.say(RaiseHand())
    await trio.sleep(DEADLINE + 0.1)
    assert not server.directory.keeps


async def test_while_the_store_fails_nobody_in_the_lobby_is_banned(autojump_clock: MockClock) -> None:
    store = MemoryStore()
    async with kept(store, policy=Policy(lobby=True)) as server:
        (ada,) = await people(server.directory, "Ada")
        bob, cyd = await people(server.directory, "Bob", "Cyd")
        await fail(server, store, ada)
        await ada.say(Deny(participant=bob.participant_id, seconds=60.0, ref=1))
        await settle()
        assert errors(ada) == [ErrorCode.STORE_UNAVAILABLE]
        assert (bob.state, ada.all("bans")) == ("knocking", [])
        # Without a ban nothing is promised.
        await ada.say(Deny(participant=cyd.participant_id, ref=2))
        await settle()
        assert (cyd.last("error")["code"], bob.state) == (ErrorCode.DENIED, "knocking")


async def test_while_the_store_fails_a_file_comes_to_one_person_and_not_to_everybody(
    autojump_clock: MockClock,
) -> None:
    store, files = MemoryStore(), FileStore(FileSettings(), Path("nowhere"))
    async with kept(store, files=files) as server:
        ada, bob = await people(server.directory, "Ada", "Bob")
        arriving: list[SharedFile] = []
        for to in (None, bob.participant_id):
            await ada.say(SendFile(name="a.txt", size=3, to=to))
            await settle()
            file = files.to_bring(ada.last("upload")["path"].removeprefix("files/"))
            assert file is not None
            file.fire("put")
            file.received, file.media_type = 3, "text/plain"
            arriving.append(file)
        await fail(server, store, ada)
        for_all, for_bob = arriving
        with pytest.raises(Refusal) as refusal:
            await for_all.deliver(for_all)
        assert refusal.value.code is ErrorCode.STORE_UNAVAILABLE
        assert refusal.value.code in UPLOAD_RESULTS
        await for_bob.deliver(for_bob)
        assert [message["line"]["to"] for message in bob.all("chat")] == [bob.participant_id]


async def test_a_store_that_hangs_holds_up_nobody_past_the_deadline(autojump_clock: MockClock) -> None:
    store = MemoryStore()
    async with kept(store) as server:
        ada, bob = await people(server.directory, "Ada", "Bob")
        await settle()
        store.hangs = True
        await ada.say(Rename(name="Countess", ref=1))
        await settle()
        assert bob.all("participantChanged") == []
        await trio.sleep(DEADLINE + 0.1)
        assert bob.last("participantChanged")["participant"]["name"] == "Countess"
        assert server.writer.problem is not None
        assert server.writer.problem.code is StoreCode.SLOW
        store.mend()
        await trio.sleep(1)
        assert server.directory.keeps


async def test_a_line_that_met_a_failing_store_is_told_to_nobody_before_it_is_kept(
    autojump_clock: MockClock,
) -> None:
    store = MemoryStore()
    async with kept(store) as server:
        ada, bob, eve = await people(server.directory, "Ada", "Bob", "Eve")
        await ada.say(Chat(text="before"))
        await settle()
        store.hangs = True
        # Eve is gone before the deadline, and Bob comes back after it. The moderator deletes the second line.
        for text in ("one", "two"):
            await ada.say(Chat(text=text))
        await ada.say(DeleteLine(line=3, ref=1))
        await eve.leave()
        await trio.sleep(DEADLINE + 0.1)
        assert eve.last("participantLeft")["participant"] == eve.participant_id
        await bob.vanish()
        await bob.come_back()
        await bob.vanish()
        await bob.come_back()
        await settle()
        assert [line["text"] for line in bob.last("joined")["chat"]] == ["before"]
        assert said(ada) == said(bob) == said(eve) == ["before"]
        assert ada.all("lineDeleted") == [], "somebody is told of a line's end before the line"
        count = len(bob.messages)
        store.mend()
        await trio.sleep(1)
        assert said(ada) == ["before", "one", "two"]
        assert [message["type"] for message in ada.messages[-3:]] == ["chat", "chat", "lineDeleted"]
        assert [message["line"]["text"] for message in bob.messages[count:]] == ["one"]
        assert said(eve) == ["before"], "somebody who has left is told what is said in the room"
        zoe = await newcomer(server.directory, "blue")
        await settle()
        assert [line["text"] for line in zoe.last("joined")["chat"]] == ["before", "one"]


async def test_lines_that_are_never_kept_are_never_told(autojump_clock: MockClock) -> None:
    store = MemoryStore()
    async with kept(store) as server:
        (ada,) = await people(server.directory, "Ada")
        await settle()
        store.hangs = True
        await ada.say(Chat(text="lost", ref=1))
        await trio.sleep(DEADLINE + 0.1)
        store.lost = {"blue"}
        store.mend()
        await trio.sleep(1)
        assert said(ada) == []
        assert server.directory.keeps


async def test_a_line_of_a_room_that_is_closed_meanwhile_is_not_told(autojump_clock: MockClock) -> None:
    store = MemoryStore()
    async with kept(store) as server:
        (ada,) = await people(server.directory, "Ada")
        await settle()
        store.hangs = True
        await ada.say(Chat(text="lost", ref=1))
        await trio.sleep(DEADLINE + 0.1)
        await ada.say(CloseRoom())
        await settle()
        store.mend()
        await trio.sleep(1)
        assert (said(ada), store.pasts) == ([], {})


@pytest.mark.parametrize("code", [StoreCode.FORGOTTEN, StoreCode.CONFLICT])
async def test_if_the_store_has_lost_something_every_room_is_written_anew(
    code: StoreCode, autojump_clock: MockClock
) -> None:
    store = MemoryStore()
    async with kept(store) as server:
        for room in ("red", "green"):
            await people(server.directory, "Ada", room=room)
        await settle()
        (bob,) = await people(server.directory, "Bob")
        await settle()
        store.pasts.clear()
        if code is StoreCode.FORGOTTEN:
            store.fail(code)
        await bob.say(Chat(text="hello"))
        await settle()
        store.mend()
        await trio.sleep(1)
        assert sorted(store.pasts) == ["blue", "green", "red"]
        assert all(isinstance(write, Snapshot) for write in store.commits[-1])


async def test_a_busy_room_heals_too(autojump_clock: MockClock) -> None:
    store = MemoryStore()
    async with kept(store) as server:
        (ada,) = await people(server.directory, "Ada")
        await settle()
        store.fail()
        await ada.say(RaiseHand())
        await trio.sleep(DEADLINE + 1)
        store.mend()

        async def chatter() -> None:
            number = 0
            while True:
                number += 1
                await ada.say(Rename(name=f"Ada {number}"))
                await trio.sleep(0.001)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(chatter)
            await trio.sleep(1)
            assert server.directory.keeps
            nursery.cancel_scope.cancel()


async def test_the_end_of_the_server_waits_for_a_store_that_hangs_only_for_its_deadline(
    autojump_clock: MockClock,
) -> None:
    store = MemoryStore()
    began = trio.current_time()
    async with open_writer(store, StoreSettings(data="none", store_deadline=60.0)) as writer:
        store.hangs = True
        writer.record("blue").note(durable.Opened("blue"))
    assert trio.current_time() - began <= 2.5


# Rooms that are another server's


async def test_a_room_that_is_lost_ends_without_a_word_and_harms_no_other(autojump_clock: MockClock) -> None:
    store = MemoryStore()
    async with kept(store) as server:
        ada, bob = await people(server.directory, "Ada", "Bob")
        (eve,) = await people(server.directory, "Eve", room="red")
        await ada.say(publish())
        await bob.say(View(stream=ada.stream(), sdp=OFFER))
        await settle()
        room = server.directory.find("blue")
        assert room is not None
        before = [len(person.messages) for person in (ada, bob)]
        pasts = store.pasts["blue"]
        store.lost = {"blue"}
        await ada.say(Chat(text="never", ref=1))
        await eve.say(Chat(text="kept", ref=1))
        await settle()
        assert [len(person.messages) for person in (ada, bob)] == before
        assert (ada.was_sent_on, bob.was_sent_on, eve.was_sent_on) == (True, True, False)
        assert (ada.state, bob.state) == ("connected", "connected")
        assert said(eve) == ["kept"]
        assert store.pasts["blue"] == pasts
        assert server.directory.find("blue") is None
        assert (room.state, room.ended_by) == ("closed", "disowned")
        assert server.media.open == []
        assert server.directory.keeps
        assert server.writer.waiting == server.writer.waiting_bytes == 0


async def test_nothing_that_waits_in_the_inbox_of_a_lost_room_is_done_or_refused(
    autojump_clock: MockClock,
) -> None:
    store = MemoryStore()
    async with kept(store, policy=Policy(lobby=True)) as server:
        ada, bob = await people(server.directory, "Ada", "Bob")
        assert bob.state == "knocking"
        await settle()
        before = [len(person.messages) for person in (ada, bob)]
        store.lost = {"blue"}
        room = server.directory.find("blue")
        assert room is not None
        server.writer.disown_all()
        # The room has not had its turn since.
        asked = Administer(Lock())
        refused: list[type[Exception]] = []

        async def administer() -> None:
            with pytest.raises(RoomOver):
                await room.request(asked)
            refused.append(RoomOver)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(administer)
            await ada.say(RaiseHand(ref=1))
        await settle()
        assert refused == [RoomOver]
        assert [len(person.messages) for person in (ada, bob)] == before
        assert (ada.was_sent_on, bob.was_sent_on) == (True, True)


async def test_a_server_that_may_have_lost_its_rooms_promises_nothing_even_if_its_store_works(
    autojump_clock: MockClock,
) -> None:
    store, cut_off = MemoryStore(), trio.Event()
    async with open_writer(store, StoreSettings(data="none"), lambda: not cut_off.is_set()) as writer:
        record = writer.record("blue")
        assert (writer.keeps, record.keeps) == (True, True)
        cut_off.set()
        assert (writer.keeps, record.keeps) == (False, False)
        # What was accepted before is kept all the same, if the store takes it.
        record.note(durable.Opened("blue"))
        await writer.flush()
        assert kinds(store) == ["Opened"]


async def test_an_administrator_is_not_told_that_what_a_lost_room_did_is_done(autojump_clock: MockClock) -> None:
    store = MemoryStore()
    async with kept(store) as server:
        await people(server.directory, "Ada")
        await settle()
        store.lost = {"blue", "red"}
        for closing in (
            partial(server.directory.close_room, "blue", "administrator"),
            partial(server.directory.create, "red"),
        ):
            with pytest.raises(RoomOver):
                await closing()
        await settle()
        assert list(store.pasts) == ["blue"]
        assert len(server.directory) == 0


async def test_a_server_that_all_took_for_dead_writes_nothing_of_its_old_rooms(autojump_clock: MockClock) -> None:
    store = MemoryStore()
    async with kept(store) as server:
        (ada,) = await people(server.directory, "Ada")
        (eve,) = await people(server.directory, "Eve", room="red")
        await eve.leave()
        await settle()
        before = dict(store.pasts)
        store.hangs = True
        await ada.say(Chat(text="in the commit that hangs", ref=1))
        await settle()
        await ada.say(Chat(text="after it", ref=2))
        await settle()
        server.writer.disown_all()
        store.fail()
        store.hangs = False
        store.done.set()
        await trio.sleep(DEADLINE + 1)
        assert said(ada) == []
        # The name is free for the server's next life.
        store.mend()
        await trio.sleep(1)
        assert store.pasts == before
        store.pasts.clear()
        await people(server.directory, "Bob")
        await settle()
        assert kinds(store) == ["Opened", "Sat"]


# Rooms that cannot come back


SAT = durable.Sat(
    person="p1",
    name="Ada",
    role=Role.PRESENTER,
    given=Role.PRESENTER,
    address="192.0.2.1",
    at=1,
    tokens=(b"hash",),
)


PLACE = durable.MediaAt("ws://memory", "session", "server", "pipeline")
FILMED = durable.Published("p1", Source.CAMERA, 1, "endpoint-1")
SEEN = durable.Viewed("p1", FILMED.stream, 1, "endpoint-2")
ELSEWHERE = durable.Viewed("p1", "p2.camera", 1, "endpoint-2")
UNSEEN = durable.Unviewed("p1", FILMED.stream)


def past_of(*told: durable.Durable) -> Past:
    return Past(None, 0, tuple(durable.encode(event) for event in told))


@pytest.mark.parametrize(
    ("past", "why"),
    [
        (Past(None, 0, (b"{",)), "cannot be read"),
        (Past(None, 0, (b'{"is":"unheard of"}',)), "cannot be read"),
        (Past(b"[]", 3, ()), "does not say how it was opened"),
        (Past(None, 0, (durable.encode(durable.Opened("red")),)), "that of the room 'red'"),
        (
            past_of(durable.Opened("blue"), durable.Left("p1")),
            "event 2, left of p1: nobody has the id 'p1'",
        ),
        (
            past_of(durable.Opened("blue"), durable.DoorMoved("kick")),
            "event 2",
        ),
        (past_of(durable.Opened("blue"), durable.Opened("blue")), "only be the first"),
        (past_of(durable.Opened("blue"), SAT, SAT), "event 3, sat of p1"),
        (past_of(durable.Opened("blue"), SAT, FILMED), "event 3, published of p1"),
        (past_of(durable.Opened("blue"), SAT, PLACE, FILMED, UNSEEN), "event 5, unviewed of p1"),
        (past_of(durable.Opened("blue"), SAT, PLACE, FILMED, SEEN, SEEN), "event 6, viewed of p1"),
        (past_of(durable.Opened("blue"), SAT, PLACE, FILMED, ELSEWHERE), "event 5, viewed of p1"),
        (past_of(durable.Opened("blue"), SAT, PLACE, SEEN), "event 4, viewed of p1"),
    ],
)
async def test_a_room_whose_events_the_tables_do_not_take_is_set_aside_by_name(
    past: Past, why: str, autojump_clock: MockClock
) -> None:
    def sitter_of(told: durable.Sat) -> FakeSession:
        return FakeSession(told.person, Voice(told.person, told.address, UNBOUNDED))

    store = MemoryStore()
    async with kept(store) as server:
        store.pasts["blue"] = past
        with pytest.raises(CannotComeBack) as error:
            server.directory.bring_back("blue", past, sitter_of)
        assert why in str(error.value)
        await settle()
        assert [aside.room for aside in store.set_aside] == ["blue"]
        assert "192.0.2.1" not in str(error.value)
        # A new room of that name can begin at once.
        await people(server.directory, "Ada")
        await settle()
        assert kinds(store) == ["Opened", "Sat"]
