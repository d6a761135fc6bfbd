"""A room server with `--kurento`, and media servers of their own that die, hang or are shared."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from roomfsm.kurento.owner import INSTANCE_TAG, NAME_TAG, Owner, node_name
from roomfsm.mediaserver.kurento.server_manager import MANAGER_ID
from tests.mediaserver import kurento_client
from tests.mediaserver.peer import TestPeer, open_test_peer
from tests.ports import reserved_port
from tests.processes import media_server_program
from tests.protocol_client import Client, open_client
from tests.system.cycles import PATIENCE, connect
from tests.system.program import Program, running

type Health = dict[str, Any]


@contextmanager
def media_server() -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A `roomfsm mediaserver`, which a test may stop, and its address."""
    with media_server_program() as (url, process):
        try:
            yield url, process
        finally:
            process.send_signal(signal.SIGCONT)


@asynccontextmanager
async def presenting(url: str, room: str) -> AsyncIterator[tuple[Client, TestPeer]]:
    """A person whose camera has been answered."""
    async with open_client(url) as ada, open_test_peer("sendonly") as camera:
        await ada.join(room)
        await connect(camera, await ada.ask("publish", source="camera", sdp=camera.offer))
        yield ada, camera


async def tags_at(media: kurento_client.Client) -> dict[str, dict[str, str]]:
    """The tags of every pipeline, by the pipeline's room."""
    found = {}
    for pipeline in await media.invoke(MANAGER_ID, "getPipelines"):
        reply = await media.request("invoke", {"object": pipeline, "operation": "getTags"})
        if "error" not in reply:  # released since it was listed
            tags = {tag["key"]: tag["value"] for tag in reply["result"]["value"]}
            found[tags["room"]] = tags
    return found


@asynccontextmanager
async def open_program(folder: Path, *arguments: str) -> AsyncIterator[Program]:
    """Like `running`, but the test's own browsers go on while it starts and ends."""
    await trio.Path(folder).mkdir(exist_ok=True)
    manager = running(folder, *arguments)
    program = await trio.to_thread.run_sync(manager.__enter__)
    try:
        yield program
    finally:
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(manager.__exit__, None, None, None)


async def test_a_restarted_room_server_removes_only_what_its_killed_run_left(tmp_path: Path) -> None:
    with media_server() as (url, _), reserved_port() as port:
        async with (
            open_program(tmp_path / "other", f"--kurento={url}") as other,
            presenting(other.url, "others"),
            # A monitor that looks all the while, and so would keep every orphan for ever.
            kurento_client.open_client(url) as monitor,
        ):
            same = f"--port={port}"
            async with open_program(tmp_path / "first", f"--kurento={url}", same) as program:
                async with presenting(program.url, "ours"):
                    before = await tags_at(monitor)
                    assert before.keys() == {"ours", "others"}
                    assert before["ours"][NAME_TAG] != before["others"][NAME_TAG]
                    program.process.kill()
                    program.process.wait()
                assert (await tags_at(monitor)).keys() == {"ours", "others"}
            async with open_program(tmp_path / "second", f"--kurento={url}", same) as successor:
                await until_gone("ours", monitor)
                async with presenting(successor.url, "new"):
                    after = await tags_at(monitor)
                    assert after.keys() == {"new", "others"}
                    assert after["others"] == before["others"]
                    assert after["new"][NAME_TAG] == before["ours"][NAME_TAG]
                    assert after["new"][INSTANCE_TAG] != before["ours"][INSTANCE_TAG]


async def until_gone(room: str, media: kurento_client.Client) -> None:
    """The media server does not report its objects; it must be asked for them."""
    with trio.fail_after(PATIENCE):
        while True:
            if room not in await tags_at(media):
                return
            await trio.sleep(0.05)


async def health(program: Program) -> tuple[int, Health]:
    return await trio.to_thread.run_sync(program.health)


async def health_until(program: Program, holds: Callable[[int, Health], bool]) -> Health:
    """Ask repeatedly, like a load balancer."""
    with trio.fail_after(PATIENCE):
        while True:
            status, body = await health(program)
            if holds(status, body):
                return body
            await trio.sleep(0.05)


async def test_a_hung_media_server_is_reported_soon_and_only_by_its_number(tmp_path: Path) -> None:
    with media_server() as (one, hung), media_server() as (two, _):
        async with open_program(tmp_path, f"--kurento={one}", f"--kurento={two}") as program:
            await health_until(program, lambda _, body: all(not one["problem"] for one in body["mediaServers"]))
            hung.send_signal(signal.SIGSTOP)
            since = time.monotonic()
            told = await health_until(program, lambda _, body: bool(body["mediaServers"][0]["problem"]))
            took = time.monotonic() - since
            print(f"told after {took:.1f} s")
            assert took < 12, "it took 15 s"
            problems = [(server["number"], server["problem"]) for server in told["mediaServers"]]
            assert problems == [(1, "silent: it does not answer"), (2, None)]
            assert told["ready"], "the other one serves"
            assert not re.search(r"wss?://|127\.0\.0\.1", json.dumps(told))


async def test_without_any_media_server_the_server_says_which_are_missing(tmp_path: Path) -> None:
    with media_server() as (url, process):
        async with open_program(tmp_path, f"--kurento={url}") as program:
            await health_until(program, lambda status, _: status == 200)
            process.kill()
            told = await health_until(program, lambda status, _: status == 503)
            (server,) = told["mediaServers"]
            assert server["problem"].startswith("unreachable")
            assert not re.search(r"wss?://|127\.0\.0\.1", json.dumps(told))


def test_an_owners_name_survives_a_restart_and_belongs_to_nobody_else() -> None:
    assert node_name("0.0.0.0", 8080) == node_name("0.0.0.0", 8080)
    assert len({node_name(host, port) for host in ("0.0.0.0", "10.0.0.1") for port in (8080, 8081)}) == 4


@pytest.mark.parametrize(
    ("name", "instance", "left"),
    [
        ("blue:8080", "another-boot 1 1 aa", True),
        ("blue:8080", "of another form", True),
        ("red:8080", "another-boot 1 1 aa", False),
        (None, None, False),
        ("blue:8080", None, False),
    ],
)
def test_given_these_tags_an_object_was_or_was_not_left_by_an_earlier_run(
    name: str | None, instance: str | None, left: bool
) -> None:
    owner = Owner("blue:8080")
    tags = {key: value for key, value in ((NAME_TAG, name), (INSTANCE_TAG, instance)) if value is not None}
    assert owner.left(tags | {"room": "r"}) is left
    assert not owner.left(owner.tags)


def test_an_object_of_a_process_that_still_runs_was_not_left_behind() -> None:
    """This happens if two servers have the same name by mistake, or if the earlier run is just ending."""
    program = "from roomfsm.kurento.owner import *; print(this_instance(), flush=True); input()"
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        instance = process.stdout.readline().decode().strip()
        owner = Owner("blue:8080")
        assert not owner.left({NAME_TAG: "blue:8080", INSTANCE_TAG: instance})
        process.communicate(b"\n")
        assert owner.left({NAME_TAG: "blue:8080", INSTANCE_TAG: instance})
