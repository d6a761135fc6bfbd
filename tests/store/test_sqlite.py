"""What can go wrong with a file, and what a store of SQLite says then."""

from __future__ import annotations

import os
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import trio

from roomfsm.store import sqlite
from roomfsm.store.interface import Append, Past, Remember, Snapshot, StoreCode, StoreError
from roomfsm.store.sqlite import FILE, LOCK, SCHEMA, open_sqlite
from tests.processes import LOADED, started


async def code_of_opening(folder: Path) -> tuple[StoreCode, str]:
    with pytest.raises(StoreError) as raised:
        async with open_sqlite(folder):
            pass
    return raised.value.code, raised.value.detail


async def test_only_the_owner_may_read_what_is_kept(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    before = os.umask(0)
    try:
        async with open_sqlite(folder) as store:
            await store.commit([Append("blue", 0, (b"one",))])
            files = sorted(folder.iterdir())
            assert {file.name for file in files} >= {FILE, f"{FILE}-wal", LOCK}
            assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
            assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    finally:
        os.umask(before)


async def test_files_that_others_may_read_become_private(tmp_path: Path) -> None:
    async with open_sqlite(tmp_path) as store:
        await store.commit([Append("blue", 0, (b"one",))])
        left = {name: (tmp_path / name).read_bytes() for name in (FILE, f"{FILE}-wal")}
    folder = tmp_path / "copy"
    folder.mkdir()
    for name, content in left.items():
        (folder / name).write_bytes(content)
        (folder / name).chmod(0o644)
    async with open_sqlite(folder) as store:
        assert await store.rooms() == ["blue"]
        assert {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()} == {0o600}


async def test_a_second_server_is_kept_out_and_told_of_the_first(tmp_path: Path) -> None:
    async with open_sqlite(tmp_path):
        code, detail = await code_of_opening(tmp_path)
        assert code is StoreCode.IN_USE
        assert f"process {os.getpid()}" in detail
    async with open_sqlite(tmp_path):
        pass


_WRITES_FOR_EVER = """
import pathlib, sys, trio
from roomfsm.store.interface import Append
from roomfsm.store.sqlite import open_sqlite

async def main():
    async with open_sqlite(pathlib.Path(sys.argv[1])) as store:
        for number in range(1_000_000):
            await store.commit([Append("blue", number, (b"%d" % number,))])
            print(number, flush=True)

trio.run(main)
"""


async def test_what_was_confirmed_is_there_after_kill_9_and_the_folder_is_free(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _WRITES_FOR_EVER, str(tmp_path)]
    with started(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        confirmed = 0
        while confirmed < 100:
            confirmed = int(process.stdout.readline())
        process.send_signal(signal.SIGKILL)
        for line in process.stdout:
            confirmed = int(line)
        process.wait()
    async with open_sqlite(tmp_path) as store:
        past = await store.read("blue")
        # One more may have been written, and its confirmation lost.
        assert past.next in (confirmed + 1, confirmed + 2)
        assert past.events == tuple(b"%d" % number for number in range(past.next))


async def test_what_was_committed_goes_to_the_disk_soon_without_another_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "_SYNC", 0.01)
    async with open_sqlite(tmp_path) as store:
        await store.commit([Append("blue", 0, (b"x" * 100_000,))])
        # The event is in the file itself, and not only in the log beside it.
        while (tmp_path / FILE).stat().st_size < 100_000:  # noqa: ASYNC110 (nothing tells it)
            await trio.sleep(0.01)


async def test_a_commit_does_not_wait_for_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, free = threading.Event(), threading.Event()

    def hangs(_: object) -> None:
        begun.set()
        free.wait(LOADED)

    monkeypatch.setattr(sqlite, "_SYNC", 0.01)
    monkeypatch.setattr(sqlite, "_checkpoint", hangs)
    async with open_sqlite(tmp_path) as store:
        await store.commit([Append("blue", 0, (b"one",))])
        assert await trio.to_thread.run_sync(begun.wait, LOADED)
        await store.commit([Append("blue", 1, (b"two",))])
        assert (await store.read("blue")).next == 2
        assert not free.is_set()
        free.set()


async def test_the_log_begins_anew_while_there_are_commits_all_the_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "_SYNC", 1000.0)
    monkeypatch.setattr(sqlite, "_LOG_PAGES", 20)
    async with open_sqlite(tmp_path) as store:
        for number in range(100):
            await store.commit([Append("blue", number, (b"x" * 10_000,))])
        assert (tmp_path / f"{FILE}-wal").stat().st_size < 40 * 4200


@pytest.mark.parametrize("content", [b"this is no database" * 100, b"SQLite format 3\0" + b"\xff" * 4096])
async def test_a_damaged_file_is_named_and_not_touched(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE).write_bytes(content)
    code, detail = await code_of_opening(tmp_path)
    assert code is StoreCode.CORRUPT
    assert str(tmp_path / FILE) in detail
    assert (tmp_path / FILE).read_bytes() == content


async def test_the_database_of_another_program_is_not_taken_for_ours(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / FILE)) as other:
        other.execute("CREATE TABLE recipes (name TEXT)")
        other.commit()
    code, detail = await code_of_opening(tmp_path)
    assert code is StoreCode.CORRUPT
    assert "another program" in detail


async def test_the_file_of_a_newer_roomfsm_is_refused(tmp_path: Path) -> None:
    async with open_sqlite(tmp_path) as store:
        await store.commit([Append("blue", 0, (b"one",))])
    with closing(sqlite3.connect(tmp_path / FILE)) as newer:
        newer.execute(f"PRAGMA user_version = {SCHEMA + 1}")
    code, detail = await code_of_opening(tmp_path)
    assert code is StoreCode.NEWER
    assert f"version {SCHEMA + 1}" in detail


async def test_damage_that_is_found_later_is_told(tmp_path: Path) -> None:
    async with open_sqlite(tmp_path) as store:
        await store.commit([Append(f"room {n}", 0, (b"x" * 3000,)) for n in range(100)])
    content = bytearray((tmp_path / FILE).read_bytes())
    content[8192:] = b"\xee" * (len(content) - 8192)
    (tmp_path / FILE).write_bytes(content)

    async def read_all() -> None:
        async with open_sqlite(tmp_path) as store:
            for n in range(100):
                await store.read(f"room {n}")

    with pytest.raises(StoreError) as raised:
        await read_all()
    assert raised.value.code is StoreCode.CORRUPT


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of half a megabyte."""
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(disk)], check=True)
    try:
        yield disk
    finally:
        subprocess.run(["umount", str(disk)], check=True)


async def test_a_full_disk_is_told_and_goes_on_when_there_is_room_again(small_disk: Path) -> None:
    ballast = small_disk / "ballast"
    async with open_sqlite(small_disk) as store:
        await store.commit([Append("blue", 0, (b"one",))])
        with pytest.raises(OSError, match="No space left"):
            ballast.write_bytes(b"x" * 1_000_000)
        with pytest.raises(StoreError) as raised:
            await store.commit([Append("blue", 1, (b"x" * 100_000,))])
        assert raised.value.code is StoreCode.FULL
        # What was there is there, and nothing of the commit that failed.
        assert await store.read("blue") == Past(None, 0, (b"one",))
        ballast.unlink()
        await store.commit([Append("blue", 1, (b"x" * 100_000,))])
        assert (await store.read("blue")).next == 2
    with pytest.raises(OSError, match="No space left"):
        ballast.write_bytes(b"x" * 1_000_000)
    (small_disk / FILE).unlink()
    with pytest.raises(OSError, match="No space left"), ballast.open("ab") as file:
        file.write(b"x" * 1_000_000)
    assert (await code_of_opening(small_disk))[0] is StoreCode.FULL


async def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    code, detail = await code_of_opening(tmp_path / "file" / "data")
    assert code is StoreCode.UNWRITABLE
    assert "file/data" in detail


async def test_a_job_that_is_not_waited_for_is_done_all_the_same(tmp_path: Path) -> None:
    async with open_sqlite(tmp_path) as store:
        with trio.CancelScope() as scope:
            scope.cancel()
            await store.commit([Snapshot("blue", 3, b"all")])
        assert scope.cancelled_caught
        assert await store.read("blue") == Past(b"all", 3, ())


async def test_a_file_of_a_version_that_remembered_nothing_is_used_as_it_is(tmp_path: Path) -> None:
    async with open_sqlite(tmp_path) as store:
        await store.commit([Append("blue", 0, (b"one",))])
    with closing(sqlite3.connect(tmp_path / FILE)) as db:
        db.execute("DROP TABLE remembered")
    async with open_sqlite(tmp_path) as store:
        assert await store.remembered("here") is None
        await store.commit([Remember("here", b"one")])
        assert await store.read("blue") == Past(None, 0, (b"one",))
