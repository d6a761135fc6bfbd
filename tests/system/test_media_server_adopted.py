"""A media server whose parent is killed goes on, and the next parent takes it over as it is."""

from __future__ import annotations

import errno
import json
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import AbstractContextManager, suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import psutil
import pytest
import trio

from roomfsm import adoption, media_server_child
from roomfsm.adoption import Trace
from roomfsm.media_server_child import ChildSettings, MediaServerChild, open_media_server_child
from roomfsm.pids import boot
from roomfsm.pids import started as start_of
from tests.forked import Forked, forked
from tests.mediaserver.kurento_client import open_client
from tests.processes import LOADED, started
from tests.system.left import kill_left
from tests.system.parent import FileMemory
from tests.system.test_media_server_child import Log

LONG = ChildSettings(media_host="127.0.0.1", linger=LOADED, first_delay=0.01)


class House:
    """Where parents of one media server come and go."""

    def __init__(self, folder: Path) -> None:
        self.memory = FileMemory(folder / "memory", [folder])
        self.folder = folder
        self.seen: set[Trace] = set()
        """All that were left here, of which the newest is not the only one that may still run."""

    @property
    def trace(self) -> Trace | None:
        file = self.memory.file
        if not file.exists():
            return None
        trace = msgspec.json.decode(file.read_bytes(), type=Trace)
        self.seen.add(trace)
        return trace

    def meetings(self) -> list[Path]:
        return list(self.folder.glob("media-*"))

    def parent_dies(self, settings: ChildSettings = LONG) -> dict[str, Any]:
        """Run a parent until its media server is ready, and kill it. Returns what it says of the media server."""
        left = parent_dies(self.memory.file, self.folder, settings)
        assert self.trace is not None
        return left


def parent(memory: Path, folder: Path, settings: ChildSettings) -> AbstractContextManager[Forked]:
    given = msgspec.json.encode(settings).decode()
    return forked("tests.system.parent", str(memory), str(folder), given)


def parent_dies(memory: Path, folder: Path, settings: ChildSettings) -> dict[str, Any]:
    with parent(memory, folder, settings) as process:
        assert process.stdout is not None
        told: dict[str, Any] = json.loads(process.stdout.readline())
        process.kill()
        process.wait(LOADED)
    return told


@pytest.fixture
def house() -> Iterator[House]:
    # Those of pytest may have too long a path for a socket.
    with TemporaryDirectory() as folder:
        made = House(Path(folder))
        try:
            yield made
        finally:
            newest = made.trace
            for trace in made.seen if newest is None else made.seen | {newest}:
                kill_left(trace)


async def until_gone(pid: int) -> None:
    """Wait for the end of a process that is not our child. Whoever inherited it may leave it a zombie."""
    with trio.fail_after(LOADED), suppress(psutil.NoSuchProcess):
        while psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:  # noqa: ASYNC110
            await trio.sleep(0.01)


def is_alive(pid: int) -> bool:
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


def events(log: Log, source: str = "mediaserver") -> list[str]:
    return [entry["event"] for entry in log.entries if entry.get("source") == source]


async def test_the_next_parent_has_the_same_process_with_its_sessions_again_and_again(house: House) -> None:
    left = house.parent_dies()
    async with open_client(left["url"], left["secret"]) as client:
        session = (await client.request("connect", {}))["result"]["sessionId"]
        pipeline = await client.pipeline()
    again = house.parent_dies()
    assert again == left
    log = Log()
    async with open_media_server_child(LONG, log.logger, house.memory) as child:
        assert (child.pid, child.url, child.secret) == (left["pid"], left["url"], left["secret"])
        async with open_client(child.url, child.secret) as client:
            assert (await client.request("connect", {"sessionId": session}))["result"]["sessionId"] == session
            assert "result" in await client.request("describe", {"object": pipeline})
        # What it has said while nobody listened has come, too.
        with trio.fail_after(LOADED):
            while len(events(log)) < 2:  # noqa: ASYNC110
                await trio.sleep(0.01)
    # As that of any child, its end is heard.
    assert events(log) == [
        "the room server is gone, the media go on",
        "another room server has taken over",
        "media server ends",
    ]
    await until_gone(left["pid"])
    assert house.trace is None
    assert house.meetings() == []


async def test_a_child_that_its_parent_leaves_is_the_next_ones_with_all_that_it_has_said(house: House) -> None:
    log = Log()
    async with open_media_server_child(LONG, log.logger, house.memory) as child:
        with trio.fail_after(LOADED):
            while not child.may_be_left:  # noqa: ASYNC110
                await trio.sleep(0.01)
        child.leaves = True
        trace, left = house.trace, (child.pid, child.url, child.secret)
    assert trace is not None
    assert trace.is_certain
    assert house.trace == trace
    assert house.meetings() == [Path(trace.folder)]
    assert "media server ends" not in events(log)
    async with open_media_server_child(LONG, log.logger, house.memory) as child:
        assert (child.pid, child.url, child.secret) == left
        assert child.may_be_left
        with trio.fail_after(LOADED):
            while "another room server has taken over" not in events(log):  # noqa: ASYNC110
                await trio.sleep(0.01)
    await until_gone(trace.pid)
    assert house.trace is None


@pytest.mark.parametrize("what", ["no linger", "no memory"])
async def test_a_child_that_would_end_with_its_parent_is_not_left(house: House, what: str) -> None:
    settings = replace(LONG, linger=0.0) if what == "no linger" else LONG
    async with open_media_server_child(
        settings, Log().logger, house.memory if what == "no linger" else None
    ) as child:
        assert not child.may_be_left
        child.leaves = True
        pid = child.pid
    assert pid is not None
    assert not is_alive(pid)


async def test_an_adopted_child_is_heard_and_if_it_hangs_it_is_killed_and_started_again(house: House) -> None:
    left = house.parent_dies()
    log = Log()
    async with open_media_server_child(LONG, log.logger, house.memory) as child:
        heard = 0

        def hear() -> None:
            nonlocal heard
            heard += 1
            MediaServerChild.heard(child)

        child.heard = hear  # type: ignore[method-assign]
        with trio.fail_after(LOADED):
            while heard < 2 * LONG.silence:  # noqa: ASYNC110 (longer than it may be silent)
                await trio.sleep(0.05)
            assert (child.starts, child.pid) == (1, left["pid"])
            os.kill(left["pid"], signal.SIGSTOP)
            while child.starts < 2:  # noqa: ASYNC110
                await trio.sleep(0.05)
        await until_gone(left["pid"])
        assert child.pid != left["pid"]
        assert (child.url, child.secret) == (left["url"], left["secret"])
        async with open_client(child.url, child.secret) as client:
            assert (await client.request("ping"))["result"] == {"value": "pong"}
        assert house.trace is not None
        assert house.trace.pid == child.pid
        assert len(house.meetings()) == 1
    assert house.meetings() == []


async def test_the_death_of_an_adopted_child_is_seen_and_it_is_started_again(house: House) -> None:
    left = house.parent_dies()
    async with open_media_server_child(LONG, Log().logger, house.memory) as child:
        os.kill(left["pid"], signal.SIGKILL)
        with trio.fail_after(LOADED):
            while child.starts < 2:  # noqa: ASYNC110
                await trio.sleep(0.01)
        assert child.url == left["url"]


async def test_workers_outlive_the_parent_as_well(house: House) -> None:
    settings = replace(LONG, workers=2)
    left = house.parent_dies(settings)
    workers = {worker.pid for worker in psutil.Process(left["pid"]).children()}
    assert len(workers) == 2
    async with open_media_server_child(settings, Log().logger, house.memory) as child:
        assert child.pid == left["pid"]
        assert {worker.pid for worker in psutil.Process(child.pid).children()} == workers
        os.kill(left["pid"], signal.SIGSTOP)
        child.does_not_answer()
        for pid in workers:
            await until_gone(pid)


async def test_when_nobody_comes_it_ends_by_itself_and_leaves_nothing(house: House) -> None:
    left = house.parent_dies(replace(LONG, linger=0.5))
    await until_gone(left["pid"])
    assert house.meetings() == []


@pytest.mark.parametrize("other", [{"announced_addresses": ("203.0.113.7",)}, {"linger": 0.0}], ids=str)
async def test_with_other_settings_it_is_ended_and_a_new_one_started(house: House, other: dict[str, Any]) -> None:
    left = house.parent_dies()
    async with open_media_server_child(replace(LONG, **other), Log().logger, house.memory) as child:
        assert not is_alive(left["pid"])
        assert child.pid != left["pid"]
        assert child.secret != left["secret"]
        assert len(house.meetings()) == (0 if "linger" in other else 1)
    assert house.trace is None


async def test_one_that_hangs_is_killed_and_a_new_one_started(house: House) -> None:
    left = house.parent_dies()
    os.kill(left["pid"], signal.SIGSTOP)
    log = Log()
    async with open_media_server_child(replace(LONG, silence=3.0), log.logger, house.memory) as child:
        assert not is_alive(left["pid"])
        assert child.pid != left["pid"]
    assert "the media server of the run before hangs, and is killed" in [entry["event"] for entry in log.entries]


async def test_one_with_another_parent_is_left_alone(house: House) -> None:
    async with open_media_server_child(LONG, Log().logger, house.memory) as first:
        second_folder = house.folder / "copy"
        second_folder.mkdir()
        memory = FileMemory(second_folder / "memory", [second_folder])
        memory.file.write_bytes(house.memory.file.read_bytes())
        log = Log()
        async with open_media_server_child(replace(LONG, stop_timeout=0.2), log.logger, memory) as second:
            assert second.pid != first.pid
            assert second.secret != first.secret
        assert "the media server of the run before has another parent" in [e["event"] for e in log.entries]
        async with open_client(first.url, first.secret) as client:
            assert (await client.request("ping"))["result"] == {"value": "pong"}
        assert first.starts == 1


async def test_who_does_not_know_the_secret_is_turned_away(house: House) -> None:
    house.parent_dies()
    (meeting,) = house.meetings()
    for said in (b'{"secret": "a-guess-of-the-secret"}\n', b"junk\n", b""):
        with trio.fail_after(LOADED):
            async with await trio.open_unix_socket(meeting / "parent") as stream:
                await stream.send_all(said)
                assert await stream.receive_some() == b""
    assert meeting.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("how", ["another start", "another boot", "no folder"])
async def test_a_trace_of_another_process_harms_nobody(house: House, how: str) -> None:
    with started(["sleep", "1000"]) as stranger:
        trace = Trace(
            folder=str(house.folder / "media-gone"),
            secret="a-secret-of-somebody",
            pid=stranger.pid,
            start="1" if how == "another start" else start_of(stranger.pid),
            boot="another" if how == "another boot" else boot(),
            settings="other settings" if how != "no folder" else LONG.digest,
        )
        if how == "no folder":
            # It is the right process, and cannot be reached: nobody could use it any more.
            house.memory.file.write_bytes(msgspec.json.encode(trace))
            async with open_media_server_child(LONG, Log().logger, house.memory):
                assert stranger.wait(LOADED) == -signal.SIGTERM
            return
        house.memory.file.write_bytes(msgspec.json.encode(trace))
        async with open_media_server_child(LONG, Log().logger, house.memory):
            assert stranger.poll() is None


async def until_refused(socket_file: Path) -> None:
    """Wait until nobody listens there. A process is a zombie while threads that have its files still end."""
    with trio.fail_after(LOADED), suppress(ConnectionRefusedError):
        while True:
            stream = await trio.open_unix_socket(socket_file)
            await stream.aclose()
            await trio.sleep(0.01)


def hide(monkeypatch: pytest.MonkeyPatch, pid: int) -> None:
    """As hidepid does, or a user namespace that each run has for itself."""
    monkeypatch.setattr(adoption, "started", lambda asked: "" if asked == pid else start_of(asked))


@pytest.mark.parametrize("other", [{}, {"announced_addresses": ("203.0.113.7",)}], ids=str)
async def test_one_that_the_system_hides_is_proved_by_its_socket(
    house: House, monkeypatch: pytest.MonkeyPatch, other: dict[str, Any]
) -> None:
    left = house.parent_dies()
    trace = house.trace
    hide(monkeypatch, left["pid"])
    async with open_media_server_child(replace(LONG, **other), Log().logger, house.memory) as child:
        assert (child.pid == left["pid"]) == (not other)
        assert is_alive(left["pid"]) == (not other)
        heard = trio.Event()

        def hear() -> None:
            heard.set()
            MediaServerChild.heard(child)

        monkeypatch.setattr(child, "heard", hear)
        with trio.fail_after(LOADED):
            await heard.wait()
        # Where it is has been noted by now, so that it could be found again.
        assert (house.trace == trace) == (not other)
    await until_gone(left["pid"])
    assert house.meetings() == []


async def test_a_hidden_process_that_has_its_number_now_is_not_touched(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = house.parent_dies()
    os.kill(left["pid"], signal.SIGKILL)
    await until_gone(left["pid"])
    assert house.trace is not None
    await until_refused(Path(house.trace.folder) / "parent")
    with started(["sleep", "1000"]) as stranger:
        hide(monkeypatch, stranger.pid)
        house.memory.file.write_bytes(msgspec.json.encode(msgspec.structs.replace(house.trace, pid=stranger.pid)))
        async with open_media_server_child(LONG, Log().logger, house.memory):
            assert len(house.meetings()) == 1
            assert stranger.poll() is None


@pytest.mark.parametrize("refuses", ["sockets", "pipes"])
async def test_in_a_folder_that_cannot_have_sockets_or_pipes_the_next_folder_is_tried(
    house: House, monkeypatch: pytest.MonkeyPatch, refuses: str
) -> None:
    first = house.folder / "first"
    first.mkdir()

    def mkfifo(path: Path, mode: int) -> None:
        if refuses == "pipes" and path.is_relative_to(first):
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))
        usual(path, mode)

    class Socket(socket.socket):
        def bind(self, address: Any) -> None:
            if refuses == "sockets" and str(address).startswith(str(first)):
                raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))
            super().bind(address)

    usual = os.mkfifo
    monkeypatch.setattr(os, "mkfifo", mkfifo)
    monkeypatch.setattr(socket, "socket", Socket)
    house.memory.folders = [first, house.folder]
    async with open_media_server_child(LONG, Log().logger, house.memory):
        assert house.trace is not None
        assert Path(house.trace.folder).parent == house.folder
        assert list(first.iterdir()) == []


async def test_where_no_process_can_be_watched_none_is_left_for_later(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(pid: int) -> int:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr(os, "pidfd_open", refused)
    assert not adoption.is_possible()
    async with open_media_server_child(LONG, Log().logger, house.memory):
        assert house.meetings() == []
        assert house.trace is None


async def test_one_that_cannot_be_watched_does_not_count_as_ended(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(pid: int) -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    left = house.parent_dies()
    assert house.trace is not None
    with monkeypatch.context() as patched:
        patched.setattr(os, "pidfd_open", refused)
        assert await adoption.adopt(house.trace, LONG.digest, LONG, Log().logger) is None
    async with open_media_server_child(LONG, Log().logger, house.memory) as child:
        assert child.pid == left["pid"]


async def test_places_where_nobody_meets_any_more_are_removed(house: House) -> None:
    left = house.parent_dies()
    stale = adoption.Meeting(house.folder)
    stale.close()
    async with open_media_server_child(LONG, Log().logger, house.memory) as child:
        assert child.pid == left["pid"]
        assert house.trace is not None
        assert house.meetings() == [Path(house.trace.folder)]


class BusyMemory(FileMemory):
    """Has no time for what is written first."""

    writes = 0

    async def write(self, trace: bytes | None) -> bool:
        self.writes += 1
        if self.writes == 1:
            await trio.sleep_forever()
        return await super().write(trace)


async def test_a_trace_that_was_not_kept_or_is_lost_is_kept_later(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(media_server_child, "_LOOK_AGAIN", 0.0)
    log = Log()
    memory = BusyMemory(house.memory.file, house.memory.folders)
    async with open_media_server_child(LONG, log.logger, memory) as child:
        for _ in range(2):
            with trio.fail_after(LOADED):
                while house.trace is None:  # noqa: ASYNC110
                    await trio.sleep(0.01)
            assert house.trace.pid == child.pid
            house.memory.file.unlink()
        assert child.starts == 1
    assert "the store is too slow" in [entry.get("why") for entry in log.entries]


class CancellingMemory(FileMemory):
    """The start is cancelled while the memory is read."""

    def __init__(self, house: House, *, answers: bool) -> None:
        super().__init__(house.memory.file, house.memory.folders)
        self.start = trio.CancelScope()
        self.answers = answers

    async def read(self) -> bytes | None:
        self.start.cancel()
        if not self.answers:
            await trio.lowlevel.checkpoint()
        return await super().read()


@pytest.mark.parametrize("hangs", [False, True])
async def test_a_start_that_is_cancelled_leaves_a_media_server_as_it_was_unless_it_hangs(
    house: House, hangs: bool
) -> None:
    left = house.parent_dies()
    if hangs:
        os.kill(left["pid"], signal.SIGSTOP)
    memory = CancellingMemory(house, answers=True)
    with memory.start:
        async with open_media_server_child(replace(LONG, silence=1.0), Log().logger, memory):
            pytest.fail("it was cancelled before")
    assert memory.start.cancelled_caught
    if hangs:
        await until_gone(left["pid"])
        assert house.trace is None
        assert house.meetings() == []
        return
    async with open_media_server_child(LONG, Log().logger, house.memory) as child:
        assert (child.pid, child.url) == (left["pid"], left["url"])


async def test_one_that_was_not_found_because_the_start_was_cancelled_can_be_found_later(house: House) -> None:
    left = house.parent_dies()
    memory = CancellingMemory(house, answers=False)
    with memory.start:
        async with open_media_server_child(LONG, Log().logger, memory):
            pytest.fail("it was cancelled before")
    async with open_media_server_child(LONG, Log().logger, house.memory) as child:
        assert child.pid == left["pid"]


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff", b'{"pid": "x"}'])
async def test_a_trace_that_cannot_be_read_is_as_none(house: House, content: bytes) -> None:
    house.memory.file.write_bytes(content)
    async with open_media_server_child(LONG, Log().logger, house.memory) as child:
        assert house.trace is not None
        assert house.trace.pid == child.pid


@pytest.mark.parametrize("what", ["the memory fails", "no folder to meet in", "too long a path", "no linger"])
async def test_a_child_that_nobody_could_find_ends_with_its_parent(tmp_path: Path, what: str) -> None:
    memory, folder = tmp_path / "memory", tmp_path
    if what == "the memory fails":
        memory = tmp_path / "missing" / "memory"
    elif what == "no folder to meet in":
        folder = tmp_path / "missing"
    elif what == "too long a path":
        folder = tmp_path / ("x" * 100)
        folder.mkdir()
    left = parent_dies(memory, folder, replace(LONG, linger=0.0) if what == "no linger" else LONG)
    await until_gone(left["pid"])
    assert not memory.exists()
    assert House(folder).meetings() == []


async def test_a_child_whose_parent_dies_while_it_starts_ends_as_well(house: House) -> None:
    with parent(house.memory.file, house.folder, LONG) as process:
        with trio.fail_after(LOADED):
            while not (children := psutil.Process(process.pid).children()):  # noqa: ASYNC110
                await trio.sleep(0.005)
        process.kill()
        process.wait(LOADED)
    await until_gone(children[0].pid)
    assert house.trace is None
