"""Given a room, when its machines move or refuse, then its journal tells who did what, and what came of it."""

from __future__ import annotations

import json
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
from roomfsm.rooms.journal_file import JournalFileError
from roomfsm.rooms.settings import RoomSettings
from tests.rooms.media import Media
from tests.rooms.person import Person
from tests.rooms.test_room import OFFER, settle


async def people(directory: Directory, *names: str) -> list[Person]:
    persons = [Person(directory, name) for name in names]
    for person in persons:
        await person.join("blue")
    return persons


async def test_a_broadcast_is_told_in_order_by_all_machines(autojump_clock: MockClock) -> None:
    async with open_directory(Media().pool, RoomSettings()) as directory:
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
            ("stream", a, "view", "negotiating", "negotiating"),
            ("stream", a, "answered", "negotiating", "negotiating"),
            ("view", b, "answered", "negotiating", "negotiating"),
            ("room", a, "unpublish", "broadcasting", "waiting"),
            ("view", b, "end", "negotiating", "ended"),
            ("stream", a, "end", "negotiating", "ended"),
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
        assert journal.tallies["stream"].visits == {"negotiating": 1, "ended": 1}


async def test_a_refusal_is_told_with_its_reason_and_what_the_guards_saw(autojump_clock: MockClock) -> None:
    async with open_directory(Media().pool, RoomSettings(max_people=1)) as directory:
        (ada,) = await people(directory, "Ada")
        await ada.say(Unpublish(stream="none", ref=4))
        with pytest.raises(Exception, match="as many people"):
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
        assert full.message == {"type": "join", "name": "Bob"}


@pytest.mark.parametrize("bodies", [False, True])
async def test_what_was_said_is_kept_only_where_asked_for(autojump_clock: MockClock, bodies: bool) -> None:
    async with open_directory(Media().pool, RoomSettings(journal_bodies=bodies)) as directory:
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


async def test_only_the_newest_entries_are_kept(autojump_clock: MockClock) -> None:
    async with open_directory(Media().pool, RoomSettings(journal_entries=3)) as directory:
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


async def test_the_file_has_every_line_of_every_room(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    settings = RoomSettings(journal_file=str(path), journal_entries=1, linger=0.0)
    for _ in range(2):
        async with open_directory(Media().pool, settings) as directory:
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


async def test_a_file_at_its_bound_is_begun_anew(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_bytes(b"x" * 2000)
    async with open_directory(
        Media().pool, RoomSettings(journal_file=str(path), journal_file_bytes=2000)
    ) as house:
        await people(house, "Ada")
    assert (tmp_path / "journal.jsonl.1").read_bytes() == b"x" * 2000
    assert isinstance(read(path)[0], Opened)


async def test_a_file_that_cannot_be_written_is_told_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(JournalFileError, match="Is a directory"):
        async with open_directory(Media().pool, RoomSettings(journal_file=str(tmp_path))):
            pass


async def test_a_disk_that_fails_later_harms_no_room(tmp_path: Path) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    async with open_directory(Media().pool, RoomSettings(journal_file=str(folder / "j"))) as directory:
        (folder / "j").unlink()
        folder.rmdir()
        (ada,) = await people(directory, "Ada")
        await ada.say(Chat(text="hello", ref=1))
        await trio.testing.wait_all_tasks_blocked()
        assert ada.last("chat")["ref"] == 1


def test_lines_are_json() -> None:
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
