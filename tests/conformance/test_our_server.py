"""Our own server, with everything in it, does what the specification says in every cell and transition."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from xml.etree import ElementTree

import msgspec
import pytest
import trio

from roomfsm.protocol.client import React
from roomfsm.protocol.codec import Outgoing
from roomfsm.protocol.errors import ErrorCode
from roomfsm.protocol.server import Error
from roomfsm.rooms import facts
from roomfsm.rooms.allowance import Cost
from roomfsm.rooms.events import RoomMessage
from roomfsm.signaling.connection import Connection
from tests.conformance.kit import SMALL, Run, run_kit
from tests.serving import serving
from tests.system.program import Program, running

REASONS = {
    "needs the media server's death",
    "needs the server's patience with a file",
    "needs the instant in which the bytes come",
    "a media server speaks of silence only after media were seen; nobody is told",
    "a media server speaks of silence once; nobody is told",
    "of an endpoint that is being released: nobody is told",
    "needs as many rooms as the server may have",
    "needs the server's end",
    "needs the server's start or end",
    "needs the server's administrator",
    "needs several servers with one set of rooms",
    "nobody outside can keep a session resuming",
    "nobody outside can keep a session away",
    "needs a key of the server's tokens",
    "needs a room with a password",
    "needs the instant between a room's end and its people's dismissal",
    "needs the media server's absence",
    "needs media servers that can carry no more",
    "needs a fault of the media server",
    "needs the store's failure",
    "needs another server that takes the room",
    "needs the server to be restarted",
    "a media server need not know the viewer's path, and the kit's path is good",
    "a media server need not take layers, and the kit's peers send one",
    "a media server need not hear who speaks, and the kit's peers tell no audio levels",
    "no way leads to a view that is limited",
    "no way leads to a view that is stalled-limited",
    "no way leads to a view that is awaiting-limited",
    "no way leads to a view that is lapsed-limited",
    "no way leads to a view that is awaiting",
    "no way leads to a view that is lapsed",
    "no way leads to a view that is offered-paused",
    "a media server answers when it can: nobody outside can hold it back",
    "only some media servers tell of media before the connection is there: nobody outside can bring that about",
    "a media connection comes up once",
}
"""The reasons why some parts of the document can be seen at no server from outside."""


ONLY_THESE = ("--only=limit/*", "--only=cell/joined/closing/*", "--only=row/session/*", "--only=guard/*")

CELLS_AND_ROWS = ("--only=cell/joined/*", "--only=cell/view/*", "--only=row/*", "--only=race/*")

DEAF = ("--timeout=300",)
"""Everything should pass, so nobody waits in vain. This is a bound for a busy machine."""


ROOT = Path(__file__).parents[2]


def sample_figures(text: str) -> tuple[str, ...]:
    """The number of checks and the lines with the sums of the first report in the text."""
    found = re.search(
        r"^roomfsm\.v1 at .*: (\d+ checks) in .*\n(cells .*)\n(transitions .*)\n(passed .*)$", text, re.M
    )
    assert found is not None
    return found.groups()


async def checked(folder: Path, program: Program, *options: str) -> Run:
    run = await run_kit(folder, program.url, f"--control-token={program.token}", *options)
    print(run.out, run.err)
    return run


async def test_our_server_passes_everything_that_can_be_reached(tmp_path: Path) -> None:
    junit = tmp_path / "report.xml"
    with running(tmp_path, *SMALL) as program:
        run = await checked(tmp_path, program, f"--report=junit={junit}", "--strict", *DEAF)
    assert run.code == 0
    report = run.report
    for coverage in (report["cells"], report["transitions"]):
        assert coverage["reached"] == coverage["reachable"] > 0
    # All but those of what waits for its answer, of a view whose path is too slow (which the kit's never is), and
    # of one whose media flow before it is connected.
    assert report["cells"]["reachable"] == 5 * 35 + 5 * 4 + 7 * 5
    assert report["cells"]["all"] == report["cells"]["reachable"] + 4 + 8 * 5
    assert {check["reason"] for check in report["checks"] if check["status"] == "not reachable"} <= REASONS
    assert report["notReachableHere"] == 0
    assert report["failed"] == 0
    # Checks wait for each other's timers side by side, on a busy machine as on a quiet one.
    assert report["seconds"] < sum(check["seconds"] for check in report["checks"]) / 3
    assert sample_figures(run.out) == sample_figures((ROOT / "docs" / "conformance.md").read_text("utf-8"))
    # The three reports tell the same.
    assert f"passed {report['passed']}, failed 0, not reachable {report['notReachable']}" in run.out
    cases = list(ElementTree.parse(junit).iter("testcase"))
    assert [case.get("name") for case in cases] == [check["id"] for check in report["checks"]]
    skipped = {case.get("name") for case in cases if case.find("skipped") is not None}
    assert skipped == run.ids("not reachable")
    assert "Traceback" not in program.log.read_text()


async def test_a_bound_that_is_too_large_to_be_reached_is_not_reachable(tmp_path: Path, media_server: str) -> None:
    """A server with its default settings."""
    with running(tmp_path, f"--kurento={media_server}") as program:
        run = await checked(tmp_path, program, "--patience=0", "--max-connections=30", *ONLY_THESE, *DEAF)
    assert run.code == 0
    reasons = {check["id"]: check["reason"] for check in run.report["checks"] if "reason" in check}
    assert "too soon" in reasons["cell/joined/closing/chat"]
    assert "--max-connections 30" in reasons["limit/people"]
    assert "--patience" in reasons["row/session/away/expire/gone"]


async def test_without_media_the_rest_is_checked(tmp_path: Path, media_server: str) -> None:
    with running(tmp_path, f"--kurento={media_server}", *SMALL) as program:
        run = await checked(tmp_path, program, "--no-media", "--strict", *CELLS_AND_ROWS, *DEAF)
    assert run.code == 0
    assert run.report["notReachableHere"] == 0
    assert "row/room/waiting/publish/broadcasting" in run.ids("not reachable")
    assert "row/room/waiting/chat/waiting" in run.ids("passed")


async def test_without_the_control_api_the_rest_is_checked(tmp_path: Path, media_server: str) -> None:
    async with serving(media_server) as server:
        run = await run_kit(tmp_path, server.url, "--control=http://127.0.0.1:9", "--only=row/room/*/close/*")
        strict = await run_kit(
            tmp_path, server.url, "--control=http://127.0.0.1:9", "--only=row/room/*/close/*", "--strict"
        )
    assert run.code == 0
    assert len(run.ids("not reachable")) == 3
    assert strict.code == 1
    assert strict.report["notReachableHere"] == 3


async def test_a_token_that_the_control_api_refuses_ends_the_run(tmp_path: Path, media_server: str) -> None:
    chosen = ("--only=row/room/*/close/*", "--only=cell/joined/closing/*")
    async with serving(media_server, inspect_token="the-right-token-of-all") as server:
        refused = await run_kit(tmp_path, server.url, *chosen, "--control-token=wrong")
        without = await run_kit(tmp_path, server.url, "--only=row/room/waiting/close/*")
        taken = await run_kit(
            tmp_path, server.url, "--only=row/room/waiting/close/*", "--control-token=the-right-token-of-all"
        )
    assert (refused.code, refused.out, refused.report) == (2, "", {})
    assert refused.err == "roomfsm conformance: the control API refused the token (HTTP 401)\n"
    assert without.code == 0
    assert "answered 401 (see --control, --control-token)" in without.out
    assert taken.ids("passed") == {"row/room/waiting/close/closing"}


@pytest.mark.parametrize(("named", "passes"), [(None, True), ("join", True), ("chat", False)])
async def test_an_error_may_name_the_message_that_was_malformed(
    named: str | None, passes: bool, tmp_path: Path, media_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    send = Connection.send

    def naming(connection: Connection, outgoing: Outgoing) -> None:
        if isinstance(outgoing.message, Error) and outgoing.message.code is ErrorCode.MALFORMED:
            outgoing = Outgoing(msgspec.structs.replace(outgoing.message, message=named))
        send(connection, outgoing)

    monkeypatch.setattr(Connection, "send", naming)
    async with serving(media_server) as server:
        run = await run_kit(tmp_path, server.url, "--only=field/join")
    assert run.ids("passed" if passes else "failed") == {"field/join"}, run.out


@pytest.mark.parametrize(("taken", "passes"), [(2, True), (1000, False)])
async def test_a_reaction_that_is_taken_after_a_flood_is_tried_again_in_another_room(
    taken: int, passes: bool, tmp_path: Path, media_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As by a server that has paused just before it. What is taken gets no reply that could be waited for."""
    cost_of, free = facts._cost_of, iter(range(taken))

    def cost(message: RoomMessage) -> Cost | None:
        return None if isinstance(message, React) and next(free, None) is not None else cost_of(message)

    monkeypatch.setattr(facts, "_cost_of", cost)
    async with serving(media_server, told_rate=1.5, told_seconds=100.0) as server:
        run = await run_kit(tmp_path, server.url, "--only=guard/seat/react/rate_limited", *DEAF)
    assert run.ids("passed" if passes else "failed") == {"guard/seat/react/rate_limited"}, run.out
    assert passes or "came      no refusal" in run.out


async def test_our_server_passes_over_tls(
    tmp_path: Path, media_server: str, certificate: tuple[Path, Path]
) -> None:
    certfile, keyfile = certificate
    async with serving(media_server, certfile=str(certfile), keyfile=str(keyfile)) as server:
        refused = await run_kit(tmp_path, server.url)
        assert refused.code == 2
        assert "certificate" in refused.err
        run = await run_kit(tmp_path, server.url, "--insecure", "--only=ws/*", "--only=cell/connected/*", *DEAF)
    assert run.code == 0, run.out


async def test_checks_can_be_listed_and_chosen(tmp_path: Path) -> None:
    listed = await run_kit(tmp_path, "--list", "--only=guard/room/publish/*")
    assert listed.out.split() == [
        "guard/room/publish/not_permitted",
        "guard/room/publish/already_publishing",
        "guard/room/publish/too_many_presenters",
        "guard/room/publish/rate_limited",
    ]
    none = await run_kit(tmp_path, "ws://127.0.0.1:9/ws", "--list", "--only=no-such-check")
    assert (none.code, none.out) == (2, "")
    assert "--list" in none.err
    nowhere = await run_kit(tmp_path, "--only=ws/*")
    assert (nowhere.code, nowhere.out) == (2, "")
    assert "which server?" in nowhere.err


async def test_the_server_is_checked_against_the_given_document(tmp_path: Path, media_server: str) -> None:
    written = await trio.run_process([sys.executable, "-m", "roomfsm", "spec"], capture_stdout=True)
    text = written.stdout.decode()
    assert '"participantLeft"' in text
    spec = tmp_path / "spec.json"
    spec.write_text(text.replace('"participantLeft"', '"participantGone"'))
    async with serving(media_server) as server:
        run = await run_kit(tmp_path, server.url, f"--spec={spec}", "--only=row/room/waiting/leave/waiting")
    assert run.code == 1
    assert "there is no message of type 'participantLeft' from a server" in run.out
