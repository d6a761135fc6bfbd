"""Given a journal, when it is replayed, then today's code does the same, or the first difference is reported."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import trio
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from roomfsm.access.policy import Enter, Policy
from roomfsm.cli import main
from roomfsm.files.places import Claim
from roomfsm.files.settings import FileSettings
from roomfsm.files.store import FileStore
from roomfsm.lifecycle.describe import MACHINES
from roomfsm.lifecycle.room import ROOM, RoomEffect
from roomfsm.lifecycle.table import Row, Table
from roomfsm.protocol.client import Chat, Configure, DeleteLine, Kick, Lock, Publish, SendFile, SetRole, View
from roomfsm.protocol.errors import Refusal
from roomfsm.protocol.fields import Source
from roomfsm.protocol.roles import Role
from roomfsm.replay.engine import Outcome, replay
from roomfsm.replay.runs import JournalError, read_runs
from roomfsm.rooms import room as rooms
from roomfsm.rooms.directory import Directory
from roomfsm.rooms.events import Administer, SetPolicy
from roomfsm.rooms.settings import RoomSettings
from roomfsm.testing import FakeMedia, Person
from tests.examples import examples
from tests.rooms.house import OFFER, settle
from tests.rooms.test_rooms_as_a_machine import LIMITS, PEOPLE, House, actions


def record(file: Path, course: Callable[[Directory, FakeMedia], Any], limits: RoomSettings = LIMITS) -> Path:
    """Run a course of events and keep the journal."""

    async def main() -> None:
        media = FakeMedia()
        async with trio.open_nursery() as nursery:
            await course(Directory(nursery, media.pool, limits, lines.append), media)
            nursery.cancel_scope.cancel()

    # Not by a file: a clock that jumps while nothing happens would not wait for a disk.
    lines: list[bytes] = []
    trio.run(main, clock=MockClock(autojump_threshold=0))
    file.write_bytes(b"".join(lines))
    return file


class Files(FileStore):
    """A store in which some files have no place."""

    def has_place(self, claim: Claim) -> bool:
        return claim.size < 100


async def files(directory: Directory, _media: FakeMedia) -> None:
    """Ada sends files: whole, too short, too late, refused, deleted, without a place; then she leaves."""
    ada, bob = Person(directory, "Ada"), Person(directory, "Bob")
    store = Files(FileSettings(max_file_bytes=1000), Path("nowhere"))
    directory._files = store
    for person in (ada, bob):
        await person.join("blue")
    for size, received, to in ((3, 3, None), (4, 3, None), (5, 5, bob.participant_id), (6, -1, None)):
        await ada.say(SendFile(name="plan.pdf", size=size, to=to))
        await settle()
        file = store.to_bring(ada.last("upload")["path"].removeprefix("files/"))
        assert file is not None
        if received >= 0:
            file.fire("put")
            file.received, file.media_type = received, "image/png"
            with suppress(Refusal):
                await file.deliver(file)
            file.follow("broken_off")
    # Something comes between while the bytes do.
    for to in (None, bob.participant_id, bob.participant_id):
        await ada.say(SendFile(name="plan.pdf", size=8, to=to))
        await settle()
        file = store.to_bring(ada.last("upload")["path"].removeprefix("files/"))
        assert file is not None
        file.fire("put")
        file.received, file.media_type = 8, "image/png"
        await (ada.say(Configure(files=False)) if to is None else bob.vanish())
        with suppress(Refusal):
            await file.deliver(file)
        file.follow("broken_off")
        await (ada.say(Configure(files=True)) if to is None else bob.come_back())
    for size in (100, 1001):
        await ada.say(SendFile(name="plan.pdf", size=size))
    await ada.say(DeleteLine(line=1))
    await trio.sleep(61)
    await ada.say(SendFile(name="plan.pdf", size=7))
    for person in (bob, ada):
        await settle()
        await person.leave()
    await trio.sleep(LIMITS.linger + 1)


async def broadcast(directory: Directory, media: FakeMedia) -> None:
    """Ada broadcasts, Bob views and leaves, Ada vanishes, comes back and leaves, the room expires."""
    ada, bob = Person(directory, "Ada"), Person(directory, "Bob")
    for person in (ada, bob):
        await person.join("blue")
    await ada.say(Publish(source=Source.CAMERA, sdp=OFFER))
    await bob.say(View(stream=ada.stream(), sdp=OFFER))
    await settle()
    await trio.sleep(2)
    await bob.leave()
    await ada.vanish()
    await trio.sleep(1)
    await ada.come_back()
    await ada.say(Chat(text="still here"))
    await settle()
    await ada.leave()
    await trio.sleep(LIMITS.linger + 1)


async def administered(directory: Directory, media: FakeMedia) -> None:
    """An administrator opens a room, changes its policy, puts people out, and asks for what is refused."""
    room = await directory.create("blue", Policy(linger=50.0, enter=Enter.INVITED, invited=("ada",)))
    await room.request(Administer(SetPolicy(Policy(max_people=2, linger=40.0, first_moderates=False))))
    ada, bob, eve = (Person(directory, name) for name in ("Ada", "Bob", "Eve"))
    for person in (ada, bob):
        await person.join("blue")
    with pytest.raises(Refusal):
        await eve.join("blue")
    await room.request(Administer(SetRole(participant=bob.participant_id, role=Role.MODERATOR)))
    await room.request(Administer(Kick(participant=ada.participant_id)))
    with pytest.raises(Refusal):
        await room.request(Administer(Kick(participant=ada.participant_id)))
    await room.request(Administer(Lock()))
    await bob.leave()
    await trio.sleep(41)


def test_what_an_administrator_does_replays_without_a_difference(tmp_path: Path) -> None:
    (outcome,) = outcomes(record(tmp_path / "journal", administered))
    assert (outcome.difference, outcome.lived) == (None, True)
    assert outcome.run.ended is not None


def outcomes(file: Path) -> list[Outcome]:
    return [replay(run) for run in read_runs(file)]


def test_given_files_everything_happens_again(tmp_path: Path) -> None:
    (outcome,) = outcomes(record(tmp_path / "j", files))
    assert outcome.difference is None
    assert outcome.lived
    ends = [entry.trigger for entry in outcome.run.entries if entry.machine == "file" and entry.dest == "gone"]
    assert sorted(ends) == [*4 * ["broken_off"], "dropped", "dropped", "recipient_left", "unused"]
    refused = [entry.refused.code for entry in outcome.run.entries if entry.refused is not None]
    between = ["no_files", "participant_away", "participant_away"]
    assert refused == ["file_incomplete", *between, "files_full", "file_too_large"]


def test_a_broadcast_replays_without_a_difference(tmp_path: Path) -> None:
    (outcome,) = outcomes(record(tmp_path / "j", broadcast))
    assert (outcome.lived, outcome.difference) == (True, None)
    assert outcome.steps == len(outcome.run.entries) > 15
    assert outcome.run.ended is not None


async def relayed(directory: Directory, media: FakeMedia) -> None:
    """One of two viewers is at another media server, which is lost; she watches again, at home, and all leave."""
    media.urls = ["ws://one", "ws://two"]
    ada, bob, eve = (Person(directory, name) for name in ("Ada", "Bob", "Eve"))
    for person in (ada, bob, eve):
        await person.join("blue")
    await ada.say(Publish(source=Source.CAMERA, sdp=OFFER))
    for viewer in (bob, eve):
        await viewer.say(View(stream=ada.stream(), sdp=OFFER))
        await settle()
    for endpoint in list(media.open):
        endpoint.connects()
        endpoint.flows(True)
    await trio.sleep(2)
    media.pipelines[1].lost.set()
    await settle()
    await eve.say(View(stream=ada.stream(), sdp=OFFER))
    await trio.sleep(2)
    for person in (bob, eve, ada):
        await person.leave()
        await settle()
    await trio.sleep(LIMITS.linger + 1)


def test_a_broadcast_over_two_media_servers_replays_without_a_difference(tmp_path: Path) -> None:
    (outcome,) = outcomes(record(tmp_path / "j", relayed, replace(LIMITS, max_people=3, views_per_media_server=1)))
    assert (outcome.lived, outcome.difference) == (True, None)
    relays = [(entry.trigger, entry.dest) for entry in outcome.run.entries if entry.machine == "relay"]
    assert relays[:2] == [("described", "described"), ("connected", "connected")]
    assert relays[-1] == ("end", "ended")


@examples(150)
@given(st.lists(actions, min_size=20, max_size=60))
def test_whatever_happened_replays_without_a_difference(course: list[tuple[Any, ...]]) -> None:
    async def play(directory: Directory, media: FakeMedia) -> None:
        house = House(directory, media)
        for number in range(PEOPLE):
            await house.act(("join", number))
        for action in course:
            await house.act(action)
        await house.end()

    with TemporaryDirectory() as folder:
        for outcome in outcomes(record(Path(folder) / "j", play)):
            assert (outcome.lived, outcome.difference) == (True, None)


@contextmanager
def changed(monkeypatch: pytest.MonkeyPatch, change: Callable[[Row[Any]], Row[Any] | None]) -> Iterator[None]:
    """The room's table with changed rows, or without some."""
    rows = tuple(row for before in ROOM.rows if (row := change(before)) is not None)
    table: Table[Any] = replace(ROOM, rows=rows)
    with monkeypatch.context() as patch:
        patch.setattr(rooms, "ROOM", table)
        patch.setitem(MACHINES, "room", table)
        yield


def without(trigger: str, source: str) -> Callable[[Row[Any]], Row[Any] | None]:
    def change(row: Row[Any]) -> Row[Any] | None:
        return None if trigger in row.triggers and source in row.sources else row

    return change


def test_a_removed_row_is_the_first_difference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = record(tmp_path / "j", broadcast)
    with changed(monkeypatch, without("view", "broadcasting")):
        (outcome,) = outcomes(file)
    difference = outcome.difference
    assert difference is not None
    assert difference.then is not None
    assert difference.today is not None
    assert difference.today.refused is not None
    assert (difference.then.trigger, difference.then.refused) == ("view", None)
    assert (difference.today.refused.code, difference.today.refused.state) == ("illegal_in_state", "broadcasting")
    assert outcome.steps == difference.then.seq - 1


def test_another_destination_is_a_difference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = record(tmp_path / "j", broadcast)

    def change(row: Row[Any]) -> Row[Any]:
        return replace(row, effects=()) if row.triggers == ("chat",) else row

    with changed(monkeypatch, change):
        (outcome,) = outcomes(file)
    assert outcome.difference is not None
    assert (outcome.difference.then, outcome.difference.today) != (None, None)
    assert [entry.effects for entry in (outcome.difference.then, outcome.difference.today) if entry] == [
        ("say",),
        (),
    ]


def test_a_room_that_fails_today_is_a_difference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = record(tmp_path / "j", broadcast)

    def change(row: Row[Any]) -> Row[Any]:
        return replace(row, effects=(RoomEffect.RENAME,)) if row.triggers == ("view",) else row

    with changed(monkeypatch, change):
        (outcome,) = outcomes(file)
    assert outcome.difference is not None
    assert "today the room fails: AssertionError" in str(outcome.difference.why)


def test_a_timer_that_is_longer_today_is_a_difference(tmp_path: Path) -> None:
    file = record(tmp_path / "j", broadcast)
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    lines[0]["settings"]["linger"] = LIMITS.linger * 10
    file.write_text("\n".join(json.dumps(line) for line in lines))
    (outcome,) = outcomes(file)
    assert outcome.difference is not None
    assert outcome.difference.then is not None
    assert (outcome.difference.then.trigger, outcome.difference.today) == ("expire", None)


def test_a_journal_without_its_beginning_is_checked_with_the_tables_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = record(tmp_path / "j", broadcast)
    lines = file.read_text().splitlines()
    file.write_text("\n".join([lines[0], *lines[3:]]))
    (outcome,) = outcomes(file)
    assert (outcome.lived, outcome.difference) == (False, None)
    with changed(monkeypatch, without("view", "broadcasting")):
        (outcome,) = outcomes(file)
    assert outcome.difference is not None
    assert outcome.difference.then is not None
    assert outcome.difference.then.trigger == "view"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "No such file"),
        (b"", "no journal"),
        (b"hello\n", "line 1"),
        (b'{"kind":"opened","run":"a"}\n', "line 1"),
        (b"\xff\xfe\n", "line 1"),
        (
            b'{"kind":"opened","run":"a","format":"other","room":"b","opened":1,"server":"s","settings":{}}',
            "other",
        ),
    ],
)
def test_a_file_that_is_no_journal_is_refused_in_words(tmp_path: Path, content: bytes | None, said: str) -> None:
    file = tmp_path / "journal"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(JournalError, match=said):
        read_runs(file)
    result = CliRunner().invoke(main, ["replay", str(file)])
    assert (result.exit_code, "Traceback" in result.output) == (2, False)
    assert said in result.stderr


def test_half_a_line_of_a_server_that_died_is_ignored(tmp_path: Path) -> None:
    one, other = (
        record(tmp_path / "one", broadcast).read_bytes(),
        record(tmp_path / "other", broadcast).read_bytes(),
    )
    file = tmp_path / "j"
    file.write_bytes(one[:-10] + b"\n" + other)
    warnings: list[str] = []
    runs = read_runs(file, warnings.append)
    assert len(warnings) == 1
    assert [run.ended is None for run in runs] == [True, False]
    assert [replay(run).difference for run in runs] == [None, None]


def test_the_command_reports_what_it_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = record(tmp_path / "j", broadcast)
    result = CliRunner().invoke(main, ["replay", str(file)])
    assert result.exit_code == 0, result.output
    assert "runs that differ: none" in result.output
    assert "lived again" not in result.output
    result = CliRunner().invoke(main, ["replay", "--verbose", str(file)])
    assert "lived again" in result.output
    with changed(monkeypatch, without("chat", "waiting")), changed(monkeypatch, without("view", "broadcasting")):
        result = CliRunner().invoke(main, ["replay", str(file)])
    assert result.exit_code == 1
    assert "today: room, broadcasting: view" in result.output
    assert "illegal_in_state by room broadcasting" in result.output
    result = CliRunner().invoke(main, ["replay", "--run", "none", str(file)])
    assert result.exit_code == 2
