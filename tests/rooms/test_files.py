"""Given people in a room, when they send files, then they can be fetched as long as their lines live."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from roomfsm.access.policy import Policies, Policy
from roomfsm.files.settings import FileSettings
from roomfsm.files.shared_file import SharedFile
from roomfsm.files.store import FileStore
from roomfsm.protocol.client import Ban, Chat, ClearChat, Configure, DeleteLine, Kick, Mute, SendFile, SetRole
from roomfsm.protocol.errors import Refusal
from roomfsm.protocol.roles import Role
from roomfsm.rooms.directory import Directory, open_directory
from roomfsm.rooms.events import RoomMessage
from roomfsm.rooms.journal import Entry
from roomfsm.rooms.room import RoomOver
from roomfsm.testing import FakeMedia, Person
from tests.rooms.house import SMALL, people, settle

BOUNDS = FileSettings(
    max_file_bytes=100_000, max_room_files_bytes=1_000_000, max_files_bytes=3_000_000, upload_wait=60.0
)


@asynccontextmanager
async def house(
    policy: Policy | None = None, chat_lines: int = 1000, chat_history: int = 3, file_lifetime: float = 0
) -> AsyncIterator[tuple[Directory, FileStore]]:
    """Rooms with a store whose files nobody writes, so that no disk holds up the clock."""
    store = FileStore(replace(BOUNDS, file_lifetime=file_lifetime), Path("nowhere"))
    settings = replace(SMALL, chat_lines=chat_lines, chat_history=chat_history, linger=0)
    async with open_directory(
        FakeMedia().pool, settings, policies=Policies(default=policy), files=store
    ) as directory:
        yield directory, store


async def say(person: Person, message: RoomMessage) -> None:
    await person.say(message)
    await settle()


def asked(person: Person, store: FileStore) -> SharedFile:
    """The file that the person may bring now."""
    file = store.to_bring(person.last("upload")["path"].removeprefix("files/"))
    assert file is not None
    return file


async def send(person: Person, store: FileStore, name: str = "a.txt", to: str | None = None) -> SharedFile:
    await say(person, SendFile(name=name, size=3, to=to, ref=7))
    file = asked(person, store)
    file.fire("put")
    file.received, file.media_type = 3, "application/octet-stream"
    await file.deliver(file)
    return file


def live(store: FileStore) -> list[str]:
    return [file.announced.name for file in store.files]


async def test_a_file_is_told_when_it_is_there_and_to_those_who_come_later(autojump_clock: MockClock) -> None:
    async with house() as (directory, store):
        ada, bob = await people(directory, "Ada", "Bob")
        await say(ada, SendFile(name="a.txt", size=3, reply_to=None, ref=7))
        upload = ada.last("upload")
        assert (upload["ref"], upload["seconds"]) == (7, 60.0)
        assert bob.all("upload") == bob.all("chat") == []
        file = asked(ada, store)
        file.fire("put")
        file.received, file.media_type = 3, "image/png"
        await file.deliver(file)
        line = bob.last("chat")["line"]
        assert (line["text"], line["participant"], line["seq"]) == ("a.txt", ada.participant_id, 1)
        told = {"name": "a.txt", "size": 3, "mediaType": "image/png", "path": f"files/{file.token}"}
        assert line["file"] == told
        assert store.to_fetch(file.token) is file
        (eve,) = await people(directory, "Eve")
        assert eve.last("joined")["chat"] == [line]
        assert eve.last("joined")["files"] is True
        # It stays when its sender has left.
        await ada.leave()
        assert live(store) == ["a.txt"]


async def test_a_file_goes_with_its_line(autojump_clock: MockClock) -> None:
    async with house(chat_lines=4) as (directory, store):
        (ada,) = await people(directory, "Ada")
        for name in "abc":
            await send(ada, store, name)
        await say(ada, DeleteLine(line=2))
        assert live(store) == ["a", "c"]
        # The room knows who said the last four lines. With the fifth, the first goes, and so does its file.
        for text in ("4", "5"):
            assert live(store) == ["a", "c"]
            await say(ada, Chat(text=text))
        assert live(store) == ["c"]
        await send(ada, store, "d")
        await say(ada, ClearChat())
        assert live(store) == []


async def test_a_file_is_kept_for_so_long_and_no_longer_and_its_line_says_until_when(
    autojump_clock: MockClock,
) -> None:
    async with house(file_lifetime=600.0) as (directory, store):
        ada, bob = await people(directory, "Ada", "Bob")
        await send(ada, store, "public")
        await send(ada, store, "private", to=bob.participant_id)
        for line in (said["line"] for said in bob.all("chat")):
            assert line["file"]["until"] == line["at"] + 600_000
        await trio.sleep(599.9)
        assert live(store) == ["public", "private"]
        await trio.sleep(0.2)
        assert live(store) == []
        # Its line is still there, can be deleted, and tells newcomers that the file is gone.
        (eve,) = await people(directory, "Eve")
        assert eve.last("joined")["chat"] == [bob.all("chat")[0]["line"]]
        await say(ada, DeleteLine(line=1, ref=1))
        assert ada.last("lineDeleted")["ref"] == 1
        # One that goes with its line before has no life to end.
        await send(ada, store, "deleted")
        await say(ada, DeleteLine(line=2))
        await trio.sleep(601)
        assert live(store) == []


async def test_no_task_waits_for_the_end_of_a_file_that_is_gone(autojump_clock: MockClock) -> None:
    async with house(file_lifetime=86_400.0) as (directory, store):
        (ada,) = await people(directory, "Ada")
        await settle()
        tasks = ada.sits_in._nursery
        assert tasks is not None
        before = len(tasks.child_tasks)
        for line in range(1, 4):
            await send(ada, store)
            await say(ada, DeleteLine(line=line))
        assert len(tasks.child_tasks) == before
        await send(ada, store)
        await settle()
        assert len(tasks.child_tasks) == before + 1


async def test_no_newcomer_gets_a_line_whose_file_is_gone(autojump_clock: MockClock) -> None:
    async with house(chat_lines=1, chat_history=3) as (directory, store):
        (ada,) = await people(directory, "Ada")
        for name in "abcd":
            await send(ada, store, name)
        (bob,) = await people(directory, "Bob")
        assert [line["text"] for line in bob.last("joined")["chat"]] == live(store) == ["b", "c", "d"]
        await say(bob, Chat(text="nice", reply_to=2, ref=1))
        assert bob.last("chat")["line"]["replyTo"] == 2


async def test_all_files_go_with_their_room_and_their_places_are_free_when_the_bytes_are() -> None:
    async with house() as (directory, store), trio.open_nursery() as nursery:
        (ada,) = await people(directory, "Ada")
        await send(ada, store)
        await say(ada, SendFile(name="b.txt", size=3))
        await ada.leave()
        with trio.fail_after(60):
            while len(directory):
                await settle(0.01)
            assert live(store) == []
            assert store.places.taken > 0
            nursery.start_soon(store.remove_doomed)
            while store.places.taken:
                await settle(0.01)
        nursery.cancel_scope.cancel()


async def test_a_private_file_is_told_to_one_person_and_goes_when_one_of_the_two_leaves(
    autojump_clock: MockClock,
) -> None:
    async with house() as (directory, store):
        ada, bob, eve = await people(directory, "Ada", "Bob", "Eve")
        await send(ada, store, "a", to=bob.participant_id)
        await send(bob, store, "b", to=eve.participant_id)
        assert [line["line"]["text"] for line in ada.all("chat")] == ["a"]
        assert [line["line"]["text"] for line in bob.all("chat")] == ["a", "b"]
        assert [line["line"]["to"] for line in eve.all("chat")] == [eve.participant_id]
        await ada.leave()
        assert live(store) == ["b"]
        await eve.leave()
        assert live(store) == []


async def coming(person: Person, store: FileStore, to: Person | None = None) -> SharedFile:
    """A file whose bytes have all come, and which is not delivered yet."""
    await say(person, SendFile(name="a.txt", size=3, to=to.participant_id if to else None))
    file = asked(person, store)
    file.fire("put")
    file.received, file.media_type = 3, "application/octet-stream"
    return file


async def test_a_private_file_is_refused_while_it_cannot_be_told(autojump_clock: MockClock) -> None:
    async with house() as (directory, store):
        ada, bob = await people(directory, "Ada", "Bob")
        file = await coming(ada, store, bob)
        await bob.vanish()
        with pytest.raises(Refusal) as away:
            await file.deliver(file)
        assert away.value.code == "participant_away"
        # Whoever is back in time gets it.
        await bob.come_back()
        await file.deliver(file)
        assert bob.last("chat")["line"]["text"] == "a.txt"
        file = await coming(ada, store, bob)
        await bob.leave()
        with pytest.raises(Refusal) as left:
            await file.deliver(file)
        assert left.value.code == "no_such_participant"
        assert len(ada.all("chat")) == 1


async def test_a_room_that_takes_no_files_any_more_takes_none_that_was_announced(
    autojump_clock: MockClock,
) -> None:
    async with house() as (directory, store):
        ada, bob = await people(directory, "Ada", "Bob")
        file = await coming(bob, store)
        await say(ada, Configure(files=False))
        with pytest.raises(Refusal) as refused:
            await file.deliver(file)
        assert refused.value.code == "no_files"
        assert ada.all("chat") == []


@pytest.mark.parametrize("put_out", [Kick, Ban])
async def test_what_somebody_sends_who_is_put_out_is_told_to_nobody(
    autojump_clock: MockClock, put_out: type[Kick | Ban]
) -> None:
    async with house() as (directory, store):
        ada, bob = await people(directory, "Ada", "Bob")
        file = await coming(bob, store)
        await say(ada, put_out(participant=bob.participant_id))
        assert (file.over, file.uploading.cancel_called) == (True, True)
        with pytest.raises(Refusal):
            await file.deliver(file)
        assert ada.all("chat") == []


async def test_whoever_may_chat_may_send_files(autojump_clock: MockClock) -> None:
    async with house() as (directory, store):
        ada, bob = await people(directory, "Ada", "Bob")
        file = await coming(bob, store)
        await say(ada, SetRole(participant=bob.participant_id, role=Role.VIEWER))
        await say(ada, Mute(participant=bob.participant_id, hold=True))
        await file.deliver(file)
        await say(bob, Chat(text="and this"))
        assert len(ada.all("chat")) == 2


async def test_what_is_on_its_way_goes_with_its_sender(autojump_clock: MockClock) -> None:
    async with house() as (directory, store):
        ada, bob = await people(directory, "Ada", "Bob")
        await say(ada, SendFile(name="offered", size=3))
        await say(ada, SendFile(name="arriving", size=3))
        file = asked(ada, store)
        file.fire("put")
        await ada.vanish()
        assert live(store) == ["offered", "arriving"]
        await ada.leave("disconnected")
        assert live(store) == []
        assert file.uploading.cancel_called
        with pytest.raises((Refusal, RoomOver)):
            await file.deliver(file)
        assert bob.all("chat") == []


async def test_a_file_that_does_not_begin_to_come_in_time_is_not_waited_for(autojump_clock: MockClock) -> None:
    async with house() as (directory, store):
        (ada,) = await people(directory, "Ada")
        await say(ada, SendFile(name="a.txt", size=3))
        await say(ada, SendFile(name="b.txt", size=3))
        asked(ada, store).fire("put")
        await trio.sleep(59.9)
        assert live(store) == ["a.txt", "b.txt"]
        await trio.sleep(0.2)
        assert live(store) == ["b.txt"]


async def test_a_file_that_came_in_part_is_not_told(autojump_clock: MockClock) -> None:
    async with house() as (directory, store):
        (ada,) = await people(directory, "Ada")
        await say(ada, SendFile(name="a.txt", size=3))
        file = asked(ada, store)
        file.fire("put")
        file.received = 2
        with pytest.raises(Refusal, match="not as long"):
            await file.deliver(file)
        assert ada.all("chat") == []


@pytest.mark.parametrize(("size", "code"), [(100_000, None), (100_001, "file_too_large")])
async def test_a_file_may_have_as_many_bytes_as_the_setting_says(
    autojump_clock: MockClock, size: int, code: str | None
) -> None:
    async with house() as (directory, _):
        (ada,) = await people(directory, "Ada")
        await say(ada, SendFile(name="a.txt", size=size, ref=1))
        last = ada.messages[-1]
        assert (last["type"], last.get("code")) == (("error", code) if code else ("upload", None))


async def test_one_person_cannot_take_all_places(autojump_clock: MockClock) -> None:
    async with house() as (directory, _):
        ada, bob = await people(directory, "Ada", "Bob")
        for _ in range(9):
            await say(ada, SendFile(name="a.txt", size=100_000, ref=1))
        assert len(ada.all("upload")) == 5
        assert ada.last("error")["code"] == "files_full"
        await say(bob, SendFile(name="b.txt", size=100_000, ref=1))
        assert len(bob.all("upload")) == 1


async def test_whoever_leaves_and_comes_back_gets_no_more_place(autojump_clock: MockClock) -> None:
    async with house() as (directory, store):
        (bob,) = await people(directory, "Bob")
        for _ in range(3):
            (ada,) = await people(directory, "Ada")
            ada.messages.clear()
            # Files that are here stay when their sender leaves.
            while not ada.all("error"):
                await say(ada, SendFile(name="a.txt", size=100_000, ref=1))
                if not ada.all("error"):
                    file = asked(ada, store)
                    file.fire("put")
                    file.received = 100_000
                    await file.deliver(file)
            await ada.leave()
        assert len(store.files) == 7
        bob.voice.address = "192.0.2.2"
        await say(bob, SendFile(name="b.txt", size=100_000, ref=1))
        assert len(bob.all("upload")) == 1


async def test_the_policy_of_a_room_or_its_moderator_can_forbid_files(autojump_clock: MockClock) -> None:
    async with house(Policy(files=False)) as (directory, store):
        ada, bob = await people(directory, "Ada", "Bob")
        assert "files" not in bob.last("joined")
        await say(ada, SendFile(name="a.txt", size=3, ref=1))
        assert ada.last("error")["code"] == "no_files"
        await say(ada, Configure(files=True, ref=2))
        assert bob.last("roomChanged")["files"] is True
        await send(bob, store)
        await say(ada, Configure(files=False))
        await say(bob, SendFile(name="b.txt", size=3, ref=3))
        assert bob.last("error")["code"] == "no_files"
        # What is there stays, because its line does.
        assert live(store) == ["a.txt"]


async def test_a_server_without_a_store_takes_no_files(autojump_clock: MockClock) -> None:
    async with open_directory(FakeMedia().pool, SMALL) as directory:
        (ada,) = await people(directory, "Ada")
        await say(ada, SendFile(name="a.txt", size=3, ref=1))
        assert ada.last("error")["code"] == "no_files"
        assert "files" not in ada.last("joined")


async def test_the_journal_knows_what_happened_to_a_file_and_not_what_it_is_called(
    autojump_clock: MockClock,
) -> None:
    async with house() as (directory, store):
        (ada,) = await people(directory, "Ada")
        await send(ada, store, "secret plan.pdf")
        entries = [entry for entry in ada.sits_in.journal.since(0) if isinstance(entry, Entry)]
        steps = [(entry.machine, entry.id, entry.trigger) for entry in entries][-4:]
        assert steps == [
            ("room", None, "sendFile"),
            ("file", "1", "put"),
            ("room", None, "file_arrived"),
            ("file", "1", "arrived"),
        ]
        message = entries[-4].message
        assert message is not None
        assert (message["name"], message["size"]) == ("<15 characters>", 3)
        assert b"secret" not in ada.sits_in.journal.lines()
