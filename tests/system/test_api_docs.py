"""docs/api.md says what is true, and its examples do what it says: a shell runs them, with curl."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest
import trio

from roomfsm.rooms.media_servers import id_of
from roomfsm.web.api.problems import STATUS, ApiCode
from tests.protocol_client import open_client
from tests.serving import serving

TEXT = (Path(__file__).parents[2] / "docs" / "api.md").read_text(encoding="utf-8")
TOKEN = "an-admin-token-for-docs"


def examples(heading: str) -> list[str]:
    """The commands below that heading, one curl each."""
    part = re.split(r"\n## ", TEXT.partition(f"\n## {heading}\n")[2])[0]
    blocks = re.findall(r"```sh run\n(.*?)```", part, re.DOTALL)
    return [f"curl{one}" for block in blocks for one in re.split(r"^curl", block, flags=re.MULTILINE)[1:]]


async def run(command: str, port: int, **variables: str) -> str:
    """What the command prints. It must succeed, which with `--fail-with-body` means a status below 400."""
    environment = {
        "PATH": os.environ["PATH"],
        "ROOMS": f"http://127.0.0.1:{port}",
        "TOKEN": TOKEN,
        **variables,
    }
    done = await trio.run_process(
        ["sh", "-c", command],
        env=environment,
        capture_stdout=True,
        capture_stderr=True,
        check=False,
    )
    assert done.returncode == 0, (command, done.stdout, done.stderr)
    return done.stdout.decode()


@pytest.fixture(scope="module", autouse=True)
def curl() -> None:
    subprocess.run(["curl", "--version"], check=True, capture_output=True)


async def test_the_examples_about_rooms(media_server: str) -> None:
    (shown,) = re.findall(r"shows the room:\n\n```json\n(.*?)```", TEXT, re.DOTALL)
    async with serving(media_server, admin_token=TOKEN) as server:
        create, *more = examples("Rooms")
        created, documented = json.loads(await run(create, server.port)), json.loads(shown)
        for changing in ("run", "opened"):
            created["room"][changing] = documented["room"][changing]
        assert created == documented
        for command in more:
            await run(command, server.port)
        room = server.running.directory.find("board")
        assert room is None or room.over


async def test_the_examples_about_people(media_server: str) -> None:
    async with serving(media_server, admin_token=TOKEN) as server, open_client(server.url) as ada:
        joined = await ada.join("blue")
        said = [await run(one, server.port, ROOM="blue", PERSON=joined["you"]) for one in examples("People")]
        assert [one["id"] for one in json.loads(said[0])["people"]] == [joined["you"]]
        assert (await ada.expect("participantLeft"))["reason"] == "banned"
        # The last example ended the ban.
        assert (await ada.ask("join", room="blue"))["type"] == "joined"


async def test_the_examples_about_access_and_the_server(media_server: str) -> None:
    key = "a-shared-secret-of-at-least-32-bytes"
    async with serving(media_server, admin_token=TOKEN, token_key=(key,)) as server:
        token, _, explained = [json.loads(await run(one, server.port)) for one in examples("Tokens and policies")]
        assert token["path"].startswith("/r/board#token=")
        assert explained["role"] == "moderator"
        old = id_of(media_server)
        show, *replace = examples("The server")
        assert json.loads(await run(show, server.port))["state"] == "open"
        added, drained, told = [json.loads(await run(one, server.port, OLD=old)) for one in replace[:3]]
        # Nothing was there.
        assert (added["number"], drained["state"]) == (2, "drained")
        assert [one["state"] for one in told["mediaServers"]] == ["drained", "in use"]
        assert await run(replace[3], server.port, OLD=old) == ""


def test_every_code_of_the_api_is_described() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\d+) \| (.*) \|$", TEXT, re.MULTILINE)
    assert rows == [(str(code), str(int(STATUS[code])), code.explanation) for code in ApiCode]
