"""kill -9 of a real server, and a start again: rooms, seats, chat and bans are as they were."""

from __future__ import annotations

import signal
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from roomfsm.protocol.roles import Role
from roomfsm.rooms import durable
from roomfsm.store.interface import Append
from roomfsm.store.sqlite import FILE, open_sqlite
from tests.forked import forked
from tests.processes import LOADED
from tests.protocol_client import Client, Wire, open_client
from tests.redis_server import redis_server
from tests.system.program import Program, running

type Main = Callable[[Program], Any]


def serve(folder: Path, main: Main, *arguments: str, end: signal.Signals = signal.SIGKILL) -> Any:
    """Run the program with its rooms in this folder, do this, and end it in this way."""
    arguments = arguments or (f"--data={folder / 'data'}",)
    with running(folder, *arguments) as program:
        found = trio.run(main, program)
        program.process.send_signal(end)
        code = program.process.wait(LOADED)
        assert code == (0 if end is signal.SIGTERM else -end)
    assert "Traceback" not in (folder / "server.log").read_text()
    return found


async def dies(program: Program, end: signal.Signals, *clients: Client) -> None:
    """End the program while these clients are connected: none of them says goodbye."""
    program.process.send_signal(end)
    for client in clients:
        await client.closed()


async def resume(client: Client, token: str) -> Wire:
    return await client.ask("resume", token=token)


def without_ways(joined: Wire) -> Wire:
    """What a room says of itself, apart from who gets it and who is away."""
    told = {key: value for key, value in joined.items() if key not in ("ref", "resumed", "you", "iceServers")}
    told["participants"] = [{k: v for k, v in one.items() if k != "away"} for one in joined["participants"]]
    return told


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.parametrize("where", ["sqlite", "redis"])
def test_everybody_is_back_in_the_seat_and_the_room_is_as_it_was(
    tmp_path: Path, where: str, end: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    with _store(tmp_path, where, monkeypatch) as arguments:
        tokens: dict[str, str] = {}

        async def before(program: Program) -> Wire:
            async with open_client(program.url) as ada, open_client(program.url) as bob:
                await ada.join("blue", "Ada")
                joined = await bob.join("blue", "Bob")
                assert joined["participants"][0]["role"] == "moderator"
                for number in range(5):
                    assert (await ada.ask("chat", text=f"line {number}"))["type"] == "chat"
                await ada.ask("deleteLine", line=2)
                await bob.ask("raiseHand")
                await bob.ask("rename", name="Robert")
                await ada.ask("setRole", participant=bob.me, role="viewer")
                await ada.ask("mute", participant=bob.me, hold=True)
                await ada.ask("configure", listed=False)
                await ada.ask("lock")
                tokens["Ada"], tokens["Bob"] = ada.welcome["resumeToken"], bob.welcome["resumeToken"]
                # She comes back while the server runs, and has another token then.
                async with open_client(program.url) as again:
                    told = await resume(again, tokens["Ada"])
                    tokens["Ada"] = again.welcome["resumeToken"]
                    await dies(program, end, bob, again)
                    return {"told": told, "ada": ada.me, "bob": bob.me}

        async def after(program: Program) -> None:
            async with open_client(program.url) as ada, open_client(program.url) as bob:
                told = await resume(ada, tokens["Ada"])
                assert told["type"] == "joined", told
                assert told["you"] == found["ada"]
                assert without_ways(told) == without_ways(found["told"])
                assert [one.get("away", False) for one in told["participants"]] == [False, True]
                back = await resume(bob, tokens["Bob"])
                assert back["you"] == found["bob"]
                assert [one.get("away", False) for one in back["participants"]] == [False, False]
                assert [line["text"] for line in back["chat"]] == [f"line {n}" for n in (0, 2, 3, 4)]
                # The numbers go on, and a moderator is still one.
                assert (await ada.ask("chat", text="on"))["line"]["seq"] == 6
                assert (await ada.ask("unlock"))["type"] == "roomChanged"
                # The token was used, and there is a new one.
                async with open_client(program.url) as stranger:
                    assert (await resume(stranger, "no such token"))["code"] == "session_unknown"

        found = serve(tmp_path, before, *arguments, end=end)
        serve(tmp_path, after, *arguments)


@contextmanager
def _store(folder: Path, where: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, ...]]:
    """The arguments for a store of its own."""
    if where == "sqlite":
        yield (f"--data={folder / 'data'}",)
        return
    monkeypatch.delenv("ROOMFSM_DATA")
    with redis_server(folder) as url:
        yield (f"--store={url}",)


def test_nothing_that_was_promised_is_lost_and_nothing_is_said_twice(tmp_path: Path) -> None:
    """Somebody talks as fast as the server answers, and the server is killed in the middle of it."""
    promised: list[int] = []

    async def talk_on(ada: Client) -> None:
        number = 0
        while True:
            number += 1
            if (await ada.ask("chat", text=str(number)))["type"] == "chat":
                promised.append(number)

    async def talk(program: Program) -> str:
        async with open_client(program.url) as ada:
            await ada.join("blue")
            async with trio.open_nursery() as nursery:
                nursery.start_soon(talk_on, ada)
                with trio.fail_after(LOADED):
                    while len(promised) < 100:  # noqa: ASYNC110 (a list tells nobody)
                        await trio.sleep(0.01)
                nursery.cancel_scope.cancel()
            await dies(program, signal.SIGKILL, ada)
            token: str = ada.welcome["resumeToken"]
            return token

    async def look(program: Program) -> None:
        async with open_client(program.url) as ada:
            told = await resume(ada, token)
            lines = [int(line["text"]) for line in told["chat"]]
            assert lines == sorted(set(lines)), "a line is said twice"
            assert set(promised[-50:]) <= set(lines)

    rates = ("--told-rate=100000", "--room-told-rate=100000", "--message-rate=100000", "--message-burst=100000")
    arguments = (f"--data={tmp_path / 'data'}", *rates)
    token = serve(tmp_path, talk, *arguments)
    serve(tmp_path, look, *arguments)


def test_a_ban_outlives_the_server(tmp_path: Path) -> None:
    async def before(program: Program) -> None:
        proxied = [(b"X-Forwarded-For", b"203.0.113.9")]
        async with open_client(program.url) as ada, open_client(program.url, proxied) as eve:
            await ada.join("blue")
            await eve.join("blue")
            await ada.ask("ban", participant=eve.me, seconds=1000)
            await dies(program, signal.SIGKILL, ada)

    async def after(program: Program) -> None:
        async with open_client(program.url, [(b"X-Forwarded-For", b"203.0.113.9")]) as eve:
            assert (await eve.ask("join", room="blue"))["code"] == "banned"

    arguments = (f"--data={tmp_path / 'data'}", "--trusted-proxy=127.0.0.1")
    serve(tmp_path, before, *arguments)
    serve(tmp_path, after, *arguments)


def test_a_room_to_which_nobody_comes_back_ends_and_is_forgotten(tmp_path: Path) -> None:
    async def before(program: Program) -> None:
        async with open_client(program.url) as ada:
            await ada.join("blue")
            await dies(program, signal.SIGKILL, ada)

    async def after(program: Program) -> None:
        with trio.fail_after(LOADED):
            while (await trio.to_thread.run_sync(program.health))[1]["rooms"]:  # noqa: ASYNC110 (another process)
                await trio.sleep(0.05)

    arguments = (f"--data={tmp_path / 'data'}", "--resume-window=0.2", "--linger=0.2")
    serve(tmp_path, before, *arguments)
    serve(tmp_path, after, *arguments, end=signal.SIGTERM)
    with sqlite3.connect(tmp_path / "data" / FILE) as db:
        assert db.execute("SELECT count(*) FROM room").fetchone() == (0,)
        assert db.execute("SELECT count(*) FROM token").fetchone() == (0,)


def test_somebody_who_was_switching_when_the_server_was_killed_is_in_one_room(tmp_path: Path) -> None:
    token = b"0123456789abcdef"

    async def fill() -> None:
        async with open_sqlite(tmp_path / "data") as store:
            for room in ("blue", "red"):
                sat = durable.Sat(
                    person="p1",
                    name="Ada",
                    role=Role.MODERATOR,
                    given=Role.PRESENTER,
                    address="127.0.0.1",
                    at=1,
                    tokens=(token,),
                )
                events = durable.encode(durable.Opened(room)), durable.encode(sat)
                await store.commit([Append(room, 0, events, {token: True})])

    async def look(program: Program) -> None:
        async with open_client(program.url) as eve:
            assert [one["id"] for one in (await eve.join("red", "Eve"))["participants"]] == ["p1", eve.me]
            switched = await eve.ask("switch", room="blue")
            assert [one["id"] for one in switched["participants"]] == [eve.me]

    trio.run(fill)
    serve(tmp_path, look)


def test_two_servers_with_one_folder_are_a_clear_error(tmp_path: Path) -> None:
    with running(tmp_path, f"--data={tmp_path / 'data'}"):
        log = tmp_path / "second.log"
        with (
            log.open("w") as stderr,
            forked("roomfsm", "serve", "--port=0", f"--data={tmp_path / 'data'}", stderr=stderr) as second,
        ):
            assert second.wait(LOADED) == 2
        assert "store_in_use" in log.read_text()
        assert "Traceback" not in log.read_text()


def test_a_second_server_with_no_folder_of_its_own_keeps_nothing_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ROOMFSM_DATA")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    (tmp_path / "second").mkdir()
    # Started anew, because a fork has the environment of the process that it was forked from.
    python = Path(sys.executable)
    with running(tmp_path, python=python) as first, running(tmp_path / "second", python=python) as second:
        assert "rooms are kept" in first.log.read_text()
        assert (tmp_path / "roomfsm" / FILE).exists()
        said = second.log.read_text()
        assert "rooms are not kept" in said
        assert "store_in_use" in said


@pytest.mark.parametrize(("how", "code"), [("damaged", "store_corrupt"), ("newer", "store_newer")])
def test_a_file_that_cannot_be_read_is_a_clear_error(tmp_path: Path, how: str, code: str) -> None:
    data = tmp_path / "data"
    data.mkdir()
    if how == "damaged":
        (data / FILE).write_bytes(b"no database" * 100)
    else:
        with sqlite3.connect(data / FILE) as db:
            db.executescript("PRAGMA application_id = 0x726F6F6D; PRAGMA user_version = 99; CREATE TABLE room (x)")
    log = tmp_path / "server.log"
    with (
        log.open("w") as stderr,
        forked("roomfsm", "serve", "--port=0", f"--data={data}", stderr=stderr) as program,
    ):
        assert program.wait(LOADED) == 2
    assert code in log.read_text()
    assert "Traceback" not in log.read_text()


def test_a_room_that_cannot_come_back_is_set_aside_and_the_others_are_there(tmp_path: Path) -> None:
    async def before(program: Program) -> list[str]:
        async with open_client(program.url) as ada, open_client(program.url) as bob:
            await ada.join("blue")
            await bob.join("red")
            await dies(program, signal.SIGKILL, ada, bob)
            return [ada.welcome["resumeToken"], bob.welcome["resumeToken"]]

    async def after(program: Program) -> None:
        async with open_client(program.url) as ada:
            assert (await resume(ada, tokens[0]))["code"] == "session_unknown"
            assert (await resume(ada, tokens[1]))["room"] == "red"

    tokens = serve(tmp_path, before)
    with sqlite3.connect(tmp_path / "data" / FILE) as db:
        db.execute(
            "UPDATE event SET event = ? WHERE room = 'blue' AND position = 1", (b'{"is":"left","person":"x"}',)
        )
    serve(tmp_path, after)
    log = (tmp_path / "server.log").read_text()
    assert "room set aside" in log
    with sqlite3.connect(tmp_path / "data" / FILE) as db:
        ((room, why),) = db.execute("SELECT room, why FROM aside").fetchall()
    assert room == "blue"
    assert "event 2" in why
