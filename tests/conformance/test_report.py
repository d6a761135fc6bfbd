"""The reports of a run in which something failed, with strange texts in it."""

from __future__ import annotations

import json
from xml.etree import ElementTree

from roomfsm.conformance.outcome import Record, shown
from roomfsm.conformance.report import Report
from roomfsm.conformance.runner import FAILED, NOT_REACHABLE, PASSED, Result
from roomfsm.conformance.scene import Check, Scene


async def nothing(scene: Scene) -> None:
    """A check that does nothing."""


STRANGE = 'chat {text: "<&]]>\x00\ud83e\u202e"}'
REPORT = Report(
    "ws://host/ws",
    "roomfsm.v1",
    "server/1",
    1.5,
    [
        Result(Check("cell/connected/-/ping", nothing, "session: connected, then ping"), PASSED, 0.1),
        Result(
            Check("cell/joined/waiting/chat", nothing, "room: empty —join→ waiting"),
            FAILED,
            0.2,
            "chat",
            STRANGE,
            messages=["Ada → chat #1", f"Ada ← {STRANGE}"],
        ),
        Result(Check("cell/joined/closing/chat", nothing), NOT_REACHABLE, 0.0, reason="too soon"),
        Result(Check("row/room/waiting/chat/waiting", nothing), PASSED, 0.3),
    ],
)


def test_the_report_as_text() -> None:
    text = REPORT.as_text()
    assert "cells        1 of 2 reachable (50 %), 3 in all" in text
    assert "transitions  1 of 1 reachable (100 %), 1 in all" in text
    assert "passed 2, failed 1, not reachable 1 (0 with any server, 1 here)" in text
    for part in ("FAILED cell/joined/waiting/chat", "room: empty —join→ waiting", "  1 Ada → chat #1", "too soon"):
        assert part in text


def test_the_coverage_counts_only_the_chosen_checks() -> None:
    text = Report("ws://host/ws", "p", "s", 1.0, [Result(Check("race/late", nothing), PASSED, 0.1)]).as_text()
    assert text.splitlines()[1:] == ["passed 1, failed 0, not reachable 0"]


def failed(name: str, expected: str, came: str, like: str = "") -> Result:
    check = Check(f"cell/joined/waiting/{name}", nothing)
    return Result(check, FAILED, 0.1, expected, came, messages=[f"Ada → {name}"], like=like)


SHAPE = "at Bob: a message that fits its schema"
ALIKE = [
    failed("chat", "at Ada: chat #4", "error #4 {room: k0123abcd-1}"),
    failed("view", SHAPE, "chat {at: 12}: $.at", "chat: $.at"),
    failed("leave", "at Bob: chat #17", "error #17 {room: kffffffff-2}"),
    failed("publish", SHAPE, "chat {at: 13}: $.at", "chat: $.at"),
    failed("rename", "at Ada: chat #4", 'error #4 {code: "room_full"}'),
    failed("switch", SHAPE, "joined {}: $", "joined: $"),
]


def test_failures_of_one_fault_are_told_together_with_the_first_in_full() -> None:
    report = Report("ws://host/ws", "p", "s", 1.0, ALIKE)
    parts = report.as_text().split("\n\n")[1:]
    assert [part.splitlines()[0] for part in parts] == [
        f"FAILED cell/joined/waiting/{name}" for name in ("chat", "view", "rename", "switch")
    ]
    assert parts[0].splitlines()[1:] == [
        "  expected  at Ada: chat #4",
        "  came      error #4 {room: k0123abcd-1}",
        "  messages",
        "      1 Ada → chat",
        "  the same in 1 more",
        "    cell/joined/waiting/leave",
    ]
    assert parts[1].splitlines()[-2:] == ["  the same in 1 more", "    cell/joined/waiting/publish"]
    # Programs get each of them in full.
    assert [check["messages"] for check in json.loads(report.as_json())["checks"]] == [r.messages for r in ALIKE]
    failures = list(ElementTree.fromstring(report.as_junit().encode()).iter("failure"))
    for result, failure in zip(ALIKE, failures, strict=True):
        assert result.messages[0] in str(failure.text)


UNREACHED = [
    Result(
        Check("row/room/waiting/media_lost/waiting", nothing), NOT_REACHABLE, 0.0, reason="a death", never=True
    ),
    Result(Check("row/room/waiting/close/closing", nothing), NOT_REACHABLE, 0.0, reason="too soon"),
]


def test_checks_that_no_server_permits_are_listed_apart() -> None:
    report = Report("ws://host/ws", "p", "s", 1.0, UNREACHED)
    assert report.ok
    text = report.as_text()
    assert "not reachable 2 (1 with any server, 1 here)" in text
    never, here = text.split("\n\n")[1:]
    assert never.splitlines()[0] == "Not reachable with any server"
    assert "a death" in never
    assert here.splitlines()[0] == "Not reachable here: it depends on this server, its settings or these options"
    assert "too soon" in here


def test_with_strict_a_check_that_is_not_reachable_has_failed() -> None:
    report = Report("ws://host/ws", "p", "s", 1.0, UNREACHED, strict=True)
    assert not report.ok
    assert "options (counts as failed: --strict)" in report.as_text()
    assert json.loads(report.as_json())["notReachableHere"] == 1
    (suite,) = ElementTree.fromstring(report.as_junit().encode()).iter("testsuite")
    assert [suite.get(name) for name in ("tests", "failures", "skipped")] == ["2", "1", "1"]
    failure = suite.find("testcase/failure")
    assert failure is not None
    assert failure.get("message") == "not reachable: too soon"
    assert Report("ws://host/ws", "p", "s", 1.0, UNREACHED[:1], strict=True).ok


def test_with_strict_a_check_that_was_left_out_has_not_failed() -> None:
    left_out = Result(Check("cell/joined/waiting/view", nothing), NOT_REACHABLE, 0.0, reason="-no-", left_out=True)
    report = Report("ws://host/ws", "p", "s", 1.0, [UNREACHED[0], left_out], strict=True)
    assert report.ok
    text = report.as_text()
    assert "not reachable 2 (1 with any server, 0 here, 1 left out)" in text
    assert "\n\nLeft out, as asked for\n  -no-\n    cell/joined/waiting/view\n" in text
    figures = json.loads(report.as_json())
    assert (figures["notReachableHere"], figures["leftOut"], figures["checks"][1]["leftOut"]) == (0, 1, True)
    assert [suite.get("failures") for suite in ElementTree.fromstring(report.as_junit().encode())] == ["0", "0"]


def test_the_report_as_json() -> None:
    report = json.loads(REPORT.as_json())
    assert report["cells"] == {"reached": 1, "reachable": 2, "all": 3}
    assert (report["passed"], report["failed"], report["notReachable"]) == (2, 1, 1)
    assert report["checks"][1]["came"] == STRANGE
    assert report["checks"][2] == {
        "id": "cell/joined/closing/chat",
        "status": "not reachable",
        "seconds": 0.0,
        "path": None,
        "reason": "too soon",
        "never": False,
        "leftOut": False,
    }


def test_control_characters_are_not_printed_to_the_terminal() -> None:
    assert shown({"type": "chat", "text": "\x1b[2J\u202ea\nb"}) == 'chat {text: "·[2J·a⏎b"}'
    assert shown("\x1b[2J") == "·[2J"


def test_the_report_as_junit() -> None:
    root = ElementTree.fromstring(REPORT.as_junit().encode("utf-8"))
    cells, rows = root.iter("testsuite")
    counts = [cells.get(name) for name in ("name", "tests", "failures", "skipped", "errors")]
    assert counts == ["cell", "3", "1", "1", "0"]
    assert (rows.get("name"), rows.get("failures")) == ("row", "0")
    failure = cells.find("testcase/failure")
    assert failure is not None
    assert '"<&]]>' in (failure.text or "")
    assert cells.find("testcase/skipped") is not None


def test_a_long_message_is_shown_cut() -> None:
    message = {"type": "answer", "ref": 3, "stream": "p.camera", "sdp": "v=0\r\n" * 100, "ok": True, "no": None}
    line = shown(message)
    assert line.startswith('answer #3 {stream: "p.camera", sdp: "v=0⏎')
    assert line.endswith('(500 characters)", ok: true, no: null}')


def test_a_long_record_is_cut_in_its_middle() -> None:
    record = Record()
    for number in range(1000):
        record.sent("Ada", str(number))
    lines = record.excerpt()
    assert (lines[0], lines[-1], len(lines)) == ("Ada → 0", "Ada → 999", 61)
    assert "… 940 more …" in lines
