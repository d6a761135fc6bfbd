"""Given a room, when its machines move or refuse, then its journal says who did what, and with which result."""

from __future__ import annotations

import json
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio
from trio.testing import MockClock

from roomfsm.protocol.client import Candidate, Chat, Publish, Unpublish, View
from roomfsm.protocol.fields import Source
from roomfsm.rooms.directory import Directory, open_directory
from roomfsm.rooms.journal import Ended, Entry, Opened, decode_line
from roomfsm.rooms.journal_file import JournalFileError, open_journal_file
from roomfsm.rooms.settings import RoomSettings
from roomfsm.testing import FakeMedia, Person
from tests.rooms.house import OFFER, settle


async def people(directory: Directory, *names: str) -> list[Person]:
    persons = [Person(directory, name) for name in names]
    for person in persons:
        await person.join("blue")
    return persons


async def test_the_journal_has_the_steps_of_all_machines_in_order(autojump_clock: MockClock) -> None:
    async with open_directory(FakeMedia().pool, RoomSettings()) as directory:
        ada, bob = await people(directory, "Ada", "Bob")
        await ada.say(Publish(source=Source.CAMERA, sdp=OFFER))
        await bob.say(View(stream=ada.stream(), sdp=OFFER))
        await settle()
        await trio.sleep(2)
        await ada.say(Unpublish(stream=ada.stream()))
        await settle()
        journal = ada.sits_in.journal
        told = [(e.machine, e.who, e.trigger, e.source, e.dest) for e in journal.since(0)]
        a, b = ada.participant_id, bob.participant_id
        assert told == [
            ("room", a, "join", "empty", "waiting"),
            ("session", a, "join", "connected", "joined"),
            ("room", b, "join", "waiting", "waiting"),
            ("session", b, "join", "connected", "joined"),
            ("room", a, "publish", "waiting", "broadcasting"),
            ("room", b, "view", "broadcasting", "broadcasting"),
            ("stream", a, "view", "offered", "offered"),
            ("stream", a, "answered", "offered", "answered"),
            ("view", b, "answered", "offered", "answered"),
            ("room", a, "unpublish", "broadcasting", "waiting"),
            ("view", b, "end", "answered", "ended"),
            ("stream", a, "end", "answered", "ended"),
        ]
        last = journal.since(11)[-1]
        assert last.id == f"{ada.stream()}#1"
        assert last.at == pytest.approx(2.0)
        assert journal.since(8)[0].id == f"{b}>{ada.stream()}#1"
        tally = journal.tallies["room"]
        assert tally.moves["publish", "waiting", "broadcasting"] == 1
        assert tally.dwelt(journal.age) == pytest.approx({"empty": 0, "waiting": 0, "broadcasting": 2})
        assert tally.present() == {"waiting": 1}
        assert journal.tallies["stream"].present() == {}
        assert journal.tallies["stream"].visits == {"offered": 1, "answered": 1, "ended": 1}


async def test_a_refusal_is_recorded_with_its_reason_and_the_facts(autojump_clock: MockClock) -> None:
    async with open_directory(FakeMedia().pool, RoomSettings(max_people=1)) as directory:
        (ada,) = await people(directory, "Ada")
        await ada.say(Unpublish(stream="none", ref=4))
        with pytest.raises(Exception, match="limit of people"):
            await Person(directory, "Bob").join("blue")
        illegal, full = ada.sits_in.journal.since(2)
        assert illegal.refused is not None
        assert (illegal.refused.code, illegal.refused.machine, illegal.refused.state) == (
            "illegal_in_state",
            "room",
            "waiting",
        )
        assert illegal.message == {"type": "unpublish", "stream": "none", "ref": 4}
        assert full.refused is not None
        assert (full.refused.code, full.facts) == (
            "room_full",
            {"people": 2, "max_presenters": 16, "max_views": 32},
        )
        address = ada.sits_in.journal.pseudonym("192.0.2.1")
        assert full.message == {"type": "join", "name": "Bob", "session": "connected", "address": address}


@pytest.mark.parametrize("bodies", [False, True])
async def test_the_words_of_people_are_kept_only_if_the_settings_ask_for_them(
    autojump_clock: MockClock, bodies: bool
) -> None:
    async with open_directory(FakeMedia().pool, RoomSettings(journal_bodies=bodies)) as directory:
        (ada,) = await people(directory, "Ada")
        await ada.say(Publish(source=Source.CAMERA, sdp=OFFER))
        await ada.say(Chat(text="a secret"))
        await ada.say(Candidate(stream=ada.stream(), candidate="candidate:1 1 udp 1 192.0.2.7 9 typ host"))
        await settle()
        lines = ada.sits_in.journal.lines().decode()
        for body in ("a secret", "ice-ufrag", "192.0.2.7"):
            assert (body in lines) == bodies
        if not bodies:
            assert "<8 characters>" in lines


async def test_a_person_who_is_refused_all_the_time_does_not_push_out_other_entries(
    autojump_clock: MockClock,
) -> None:
    async with open_directory(FakeMedia().pool, RoomSettings(journal_refusals=2.0)) as directory:
        ada, bob = await people(directory, "Ada", "Bob")
        for _ in range(30):
            await bob.say(Unpublish(stream="none"))
        await ada.say(Unpublish(stream="none"))
        await settle()
        journal = ada.sits_in.journal
        refused = [entry.who for entry in journal.since(4)]
        assert refused == [bob.participant_id] * 8 + [ada.participant_id]
        await trio.sleep(0.5)
        await bob.say(Unpublish(stream="none"))
        await settle()
        last = journal.since(0)[-1]
        assert last.refused is not None
        assert (last.who, last.refused.left_out) == (bob.participant_id, 22)


async def test_a_long_body_is_cut(autojump_clock: MockClock) -> None:
    async with open_directory(FakeMedia().pool, RoomSettings(journal_bodies=True)) as directory:
        (ada,) = await people(directory, "Ada")
        await ada.say(Chat(text="x" * 4000))
        await settle()
        assert ada.sits_in.journal.since(2)[0].message == {"type": "chat", "text": "x" * 2000}


async def test_a_leg_that_has_ended_is_counted_once(autojump_clock: MockClock) -> None:
    async with open_directory(FakeMedia().pool, RoomSettings()) as directory:
        (ada,) = await people(directory, "Ada")
        await ada.say(Publish(source=Source.CAMERA, sdp=OFFER))
        await settle()
        room = ada.sits_in
        stream = room.streams[ada.stream()]
        await ada.say(Unpublish(stream=stream.id))
        await settle()
        stream.fire("silent")
        assert room.journal.tallies["stream"].visits == {"offered": 1, "answered": 1, "ended": 1}
        assert room.journal.tallies["stream"].present() == {}


async def test_a_full_journal_keeps_the_newest_entries(autojump_clock: MockClock) -> None:
    async with open_directory(FakeMedia().pool, RoomSettings(journal_entries=3)) as directory:
        (ada,) = await people(directory, "Ada")
        for text in "abcd":
            await ada.say(Chat(text=text))
        await settle()
        journal = ada.sits_in.journal
        assert [entry.seq for entry in journal.since(0)] == [4, 5, 6]
        assert [entry.seq for entry in journal.since(5)] == [6]
        assert journal.since(6) == []
        assert isinstance(decode_line(journal.lines().splitlines()[0]), Opened)


def read(path: Path) -> list[Any]:
    return [decode_line(line) for line in path.read_bytes().splitlines()]


@asynccontextmanager
async def open_recorded(settings: RoomSettings) -> AsyncIterator[Directory]:
    """Rooms whose journals are written to the file in the settings."""
    async with (
        open_journal_file(settings) as write_journal,
        open_directory(FakeMedia().pool, settings, write_journal) as directory,
    ):
        yield directory


async def test_the_journal_file_has_every_line_of_every_room(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    settings = RoomSettings(journal_file=str(path), journal_entries=1, linger=0.0)
    for _ in range(2):
        async with open_recorded(settings) as directory:
            (ada,) = await people(directory, "Ada")
            await ada.say(Chat(text="hello"))
            await settle()
            await ada.leave()
            await directory.close_rooms("drain")
    lines = read(path)
    kinds = [type(line) for line in lines if line.run == lines[0].run]
    assert (kinds[0], kinds[-1], set(kinds[1:-1])) == (Opened, Ended, {Entry})
    assert len({line.run for line in lines}) == 2
    assert [line.trigger for line in lines if isinstance(line, Entry)][:3] == ["join", "join", "chat"]


async def test_a_file_that_reaches_its_bound_is_renamed_and_a_new_one_begun(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_bytes(b"x" * 3999 + b"\n")
    async with open_recorded(RoomSettings(journal_file=str(path), journal_file_bytes=4000)) as house:
        await people(house, "Ada")
    assert (tmp_path / "journal.jsonl.1").read_bytes() == b"x" * 3999 + b"\n"
    assert isinstance(read(path)[0], Opened)


async def test_after_half_a_line_of_a_dead_server_a_new_line_begins(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_bytes(b'{"kind":"step","ru')
    async with open_recorded(RoomSettings(journal_file=str(path))) as house:
        await people(house, "Ada")
    first, *rest = path.read_bytes().splitlines()
    assert first == b'{"kind":"step","ru'
    assert isinstance(decode_line(rest[0]), Opened)
    assert (
        path.stat().st_mode & 0o077 == 0o044
    )  # The mode stays as it was. Only a new file is readable for its owner alone.
    new = tmp_path / "new.jsonl"
    async with open_recorded(RoomSettings(journal_file=str(new))) as house:
        await people(house, "Ada")
    assert new.stat().st_mode & 0o777 == 0o600


async def test_a_disk_that_hangs_does_not_delay_the_servers_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hangs = threading.Event()
    monkeypatch.setattr("roomfsm.rooms.journal_file._append", lambda *_arguments: hangs.wait(20))
    began = trio.current_time()
    async with open_recorded(RoomSettings(journal_file=str(tmp_path / "j"))) as house:
        await people(house, "Ada")
    assert trio.current_time() - began < 15
    hangs.set()


async def test_a_file_that_cannot_be_written_is_an_error_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(JournalFileError, match="not a regular file"):
        async with open_recorded(RoomSettings(journal_file=str(tmp_path))):
            pass


async def test_a_disk_that_fails_later_does_not_affect_a_room(tmp_path: Path) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    async with open_recorded(RoomSettings(journal_file=str(folder / "j"))) as directory:
        (folder / "j").unlink()
        folder.rmdir()
        (ada,) = await people(directory, "Ada")
        await ada.say(Chat(text="hello", ref=1))
        await trio.testing.wait_all_tasks_blocked()
        assert ada.last("chat")["ref"] == 1


def test_every_line_is_json() -> None:
    entry = Entry(run="r", seq=1, at=0.5, machine="room", trigger="join", source="empty", dest="waiting")
    assert json.loads(msgspec.json.encode(entry)) == {
        "kind": "step",
        "run": "r",
        "seq": 1,
        "at": 0.5,
        "machine": "room",
        "trigger": "join",
        "source": "empty",
        "dest": "waiting",
    }
