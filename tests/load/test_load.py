"""`roomfsm load` against the real server, with real media."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from roomfsm.load.plan import Plan
from roomfsm.load.program import MENDS
from roomfsm.load.run import LoadTest
from roomfsm.protocol.errors import CloseCode, ErrorCode
from tests.processes import LOADED
from tests.protocol_client import open_client
from tests.system.program import Program, running

TOKEN = "a-token-for-tests-of-the-load"


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    with running(tmp_path_factory.mktemp("server"), f"--admin-token={TOKEN}") as program:
        yield program


def load(address: str, *options: str, token: str = TOKEN) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "roomfsm", "load", address, f"--admin-token={token}", *options]
    # Times of a second and more make the columns wider, and a text would be broken elsewhere.
    env = {**os.environ, "COLUMNS": "200"}
    return subprocess.run(command, capture_output=True, text=True, timeout=4 * LOADED, check=False, env=env)


def test_people_come_talk_and_watch_and_the_reports_say_how_that_went(program: Program, tmp_path: Path) -> None:
    as_json, as_html = tmp_path / "report.json", tmp_path / "report.html"
    done = load(
        program.address,
        *(
            "--rooms=2",
            "--presenters=1",
            "--viewers=2",
            "--join-rate=3",
            "--chat-rate=2",
            # On a busy machine all this takes some of them.
            "--seconds=10",
            "--media",
            # One of the four viewers, and neither presenter.
            "--poor-viewers=0.25",
            "--path-delay=0.1",
        ),
        *("--churn=30", f"--json={as_json}", f"--html={as_html}"),
    )
    report = json.loads(as_json.read_text())
    figures = report["figures"]
    assert done.returncode == 0, (figures["errors"], done.stdout, done.stderr)
    assert report["plan"]["rooms"] == 2
    assert "sessions" in json.dumps(report["server"])
    # Some of the six left and came again.
    assert figures["joined"] > 6
    assert figures["times"]["join"]["count"] == figures["joined"]
    good, poor = figures["media"]["good"], figures["media"]["poor"]
    assert (good["times"]["frame"]["count"] >= 3, poor["times"]["frame"]["count"] >= 1) == (True, True)
    assert (good["videoPackets"] > 0, poor["videoPackets"] > 0) == (True, True)
    # A check and its answer, and the handshake, take two round trips at least.
    assert poor["times"]["connected"]["p50"] > 400
    assert figures["linesTold"] == figures["times"]["message"]["count"] > 0
    assert (figures["linesMissed"], figures["linesDoubled"], figures["errors"]) == (0, 0, {})
    assert max(second["people"] for second in report["seconds"]) == 6
    page = as_html.read_text()
    assert "<svg" in page
    assert program.address.rstrip("/") in page
    assert "the first picture is whole" in done.stdout
    assert "Media over the poor path" in done.stdout
    assert "Media over the poor path" in page
    # Everybody leaves, and no seat waits for anybody. Some may have left before they knew of having come.
    end = monotonic() + LOADED
    while (log := program.log.read_text()).count(" left ") < log.count(" joined "):
        assert monotonic() < end, log
        sleep(0.05)
    assert log.count(" joined ") >= figures["joined"]


async def test_the_last_lines_are_waited_for_and_missed_if_they_do_not_come(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Deaf:
        async def say(self, number: int) -> None:
            """Nobody is told."""

    async def take_part(*given: Any) -> None:
        people, person = given[-2], Deaf()
        people.add(person)
        try:
            await trio.sleep_forever()
        finally:
            given[-3].leave(person)

    monkeypatch.setattr("roomfsm.load.run.take_part", take_part)
    test = LoadTest(Plan(viewers=1, seconds=9), "ws://nowhere", None)
    await test.run(lambda _: None)
    assert test.figures.missed >= test.figures.sent > 5


async def somebody_talks(url: str) -> None:
    """Wait until one of the people in the room says something, who then knows of being there."""
    async with open_client(url) as stranger:
        await stranger.join(Plan().room(0))
        await stranger.expect("chat")


def test_an_interrupted_test_leaves_its_reports(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    with running(tmp_path, f"--admin-token={TOKEN}") as program:
        command = [sys.executable, "-m", "roomfsm", "load", program.address, f"--admin-token={TOKEN}"]
        with subprocess.Popen(
            [*command, f"--json={report}", "--seconds=300"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as test:
            trio.run(somebody_talks, program.url)
            test.send_signal(signal.SIGINT)
            said = test.communicate(timeout=LOADED)
    assert test.returncode == 1, said
    assert "Traceback" not in said[1]
    assert json.loads(report.read_text())["figures"]["joined"] > 0


def test_what_the_server_refuses_is_counted_with_the_setting_to_raise(tmp_path: Path) -> None:
    with running(tmp_path, f"--admin-token={TOKEN}", "--max-people=1") as program:
        done = load(program.address, "--viewers=2", "--presenters=0", "--seconds=5")
    assert done.returncode == 1
    assert "error: room_full" in done.stdout
    assert "--max-people" in done.stdout


def test_only_who_runs_a_server_may_test_it(program: Program, tmp_path: Path) -> None:
    wrong = load(program.address, token="wrong")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert "not the server's admin token" in wrong.stderr
    with running(tmp_path) as without:
        none = load(without.address)
    assert none.returncode == 2
    assert "admin" in none.stderr


@pytest.mark.parametrize(
    ("address", "options", "said"),
    [
        ("http://127.0.0.1:1", [], "127.0.0.1:1"),
        ("localhost", [], "https://meet.example.org"),
        ("http://127.0.0.1:1", ["--viewers=0", "--presenters=0"], "from 1 to"),
        ("http://127.0.0.1:1", ["--html=/no/such/folder/report.html"], "cannot be written"),
    ],
)
def test_what_cannot_be_done_is_said_before_anybody_comes(address: str, options: list[str], said: str) -> None:
    done = load(address, *options)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_the_settings_to_raise_are_named_for_codes_that_there_are() -> None:
    closed = {f"closed_{int(code)}" for code in CloseCode}
    assert set(MENDS) <= {str(code) for code in ErrorCode} | closed
