"""Each deliberate fault in a server is found, by the checks that are about it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conformance.broken_server import FAULTS
from tests.conformance.kit import SMALL, Run, run_kit
from tests.system.program import running

FINDS = {
    "a_row_removed": {"cell/joined/waiting/chat", "row/room/waiting/chat/waiting"},
    "a_row_added": {"cell/joined/closing/chat"},
    "a_guard_removed": {"guard/room/view/own_stream"},
    "a_bound_off_by_one": {"guard/room/join/room_full", "error/switch/room_full"},
    "another_error_code": {"guard/room/unpublish/not_your_stream"},
    "allowed_in_another_order": {"cell/connected/-/chat", "cell/joined/waiting/view", "cell/joined/closing/chat"},
    "a_message_lost": {"row/room/waiting/leave/waiting", "row/room/broadcasting/leave/waiting"},
    "room_state_before_joined": {"row/room/empty/join/waiting", "cell/connected/-/join"},
    "room_state_before_stream_started": {"row/room/waiting/publish/broadcasting", "cell/joined/waiting/publish"},
    "the_answer_to_everybody": {"row/stream/offered/answered/answered", "cell/joined/waiting/publish"},
    "chat_heard_in_other_rooms": {"row/room/waiting/chat/waiting", "row/room/broadcasting/chat/broadcasting"},
    "no_ref_in_a_reply": {"row/room/waiting/rename/waiting", "cell/joined/broadcasting/rename"},
    "a_reply_to_candidates": {
        "cell/joined/broadcasting/candidate",
        "row/room/broadcasting/candidate/broadcasting",
        "race/candidate-before-answer",
    },
    "late_candidates_are_swallowed": {"race/late-candidate/unview", "guard/room/candidate/no_such_stream"},
    "resume_forgets": {"row/session/away/reattach/resuming", "row/room/waiting/back/waiting"},
    "another_close_code": {"row/session/joined/reattach/resuming"},
    "a_field_of_another_type": {"row/room/waiting/chat/waiting", "order/chat"},
    "a_private_line_for_everybody": {"row/room/waiting/chat/waiting", "row/room/broadcasting/chat/broadcasting"},
    "a_private_line_that_is_kept": {"row/room/waiting/chat/waiting"},
    "everybody_deletes_every_line": {"guard/seat/deleteLine/not_permitted"},
    "a_line_that_is_deleted_is_told_to_newcomers": {
        "cell/joined/waiting/deleteLine",
        "guard/room/chat/no_such_line",
    },
    "a_held_person_is_heard": {"guard/seat/media/muted", "guard/seat/speaking/muted"},
    "who_is_muted_is_not_asked": {"row/sound/audible/held/held", "cell/joined/waiting/mute"},
    "a_reaction_of_somebody_else": {"row/seat/seated/react/seated", "cell/joined/waiting/react"},
    "a_picture_that_is_always_sent": {"view/picture-paused"},
    "a_viewer_who_can_kick": {"guard/seat/kick/not_permitted"},
    "everybody_admits": {"guard/seat/admit/not_permitted"},
    "a_lobby_that_lets_through": {"row/session/connected/join/knocking", "cell/knocking/-/chat"},
    "a_lobby_that_everybody_sees": {"row/seat/knocking/admitted/seated", "row/seat/seated/deny/seated"},
    "a_denial_that_nobody_is_told": {"row/seat/knocking/denied/gone", "error/join/denied"},
    "a_room_that_is_heard_in_its_lobby": {"row/seat/seated/admit/seated", "row/session/knocking/admitted/joined"},
    "a_ban_that_ends_early": {"seat/ban-ends"},
    "a_stream_is_never_live": {"row/stream/connected/flowing/live", "cell/stream/live/view"},
}

UNBOUNDED = "a_room_without_a_budget_of_entries"


async def run_against(fault: str, folder: Path, media_server: str, *options: str, notice: float = 2) -> Run:
    arguments = ("--log-level=error", f"--kurento={media_server}", *SMALL, f"--closing-notice={notice}")
    with running(folder, *arguments, program=("tests.conformance.broken_server", fault)) as program:
        run = await run_kit(folder, program.url, f"--control-token={program.token}", *options)
    print(run.out, run.err)
    return run


def test_every_fault_has_a_case_in_this_file() -> None:
    assert {*FINDS, UNBOUNDED} == set(FAULTS)


async def test_the_kit_finds_that_a_servers_budget_is_missing(tmp_path: Path, media_server: str) -> None:
    """No limit says how large this budget is, so the kit can only say that it was not reached."""
    check = "guard/room/join/rate_limited"
    options = (f"--only={check}", "--only=limit/entering", "--strict", "--timeout=60")
    run = await run_against(UNBOUNDED, tmp_path, media_server, *options, notice=0)
    assert run.code == 1
    assert (run.ids("not reachable"), run.ids("passed")) == ({check}, {"limit/entering"})
    assert run.report["notReachableHere"] == 1


@pytest.mark.parametrize("fault", FINDS)
async def test_the_kit_finds_the_servers_fault(fault: str, tmp_path: Path, media_server: str) -> None:
    chosen = [f"--only={check}" for check in FINDS[fault]]
    # What the fault has nothing to do with passes.
    other = "ws/ping"
    # Nobody waits in vain for a room that closes with notice, where none is to be seen.
    notice = 2 if any("closing" in check for check in FINDS[fault]) else 0
    options = (*chosen, f"--only={other}", "--timeout=3")
    run = await run_against(fault, tmp_path, media_server, *options, notice=notice)
    assert run.code == 1
    assert run.ids("failed") == FINDS[fault]
    assert run.ids("passed") == {other}


async def test_a_failure_shows_the_messages_that_led_to_it(tmp_path: Path, media_server: str) -> None:
    """The checks that do not depend on the fault pass."""
    some = ("--only=cell/joined/waiting/*", "--only=row/room/waiting/chat/*", "--only=ws/*", "--timeout=15")
    run = await run_against("a_row_removed", tmp_path, media_server, *some)
    assert run.code == 1
    failed = {check["id"]: check for check in run.report["checks"] if check["status"] == "failed"}
    assert failed.keys() >= FINDS["a_row_removed"]
    assert len(failed) < run.report["passed"] / 2
    shown = failed["cell/joined/waiting/chat"]
    assert shown["path"] == "room: empty —join→ waiting, then chat"
    assert shown["expected"].startswith("at Ada: chat #")
    assert 'code: "illegal_in_state"' in shown["came"]
    said = [line for line in shown["messages"] if line.startswith("Ada →")]
    assert [line.split()[2] for line in said] == ["join", "chat"]
    for part in (f"FAILED {shown['id']}", shown["path"], shown["expected"], shown["came"], *shown["messages"]):
        assert part in run.out


async def test_failures_with_one_cause_are_reported_together(tmp_path: Path, media_server: str) -> None:
    """The lines of chat have other times, refs and rooms, but the fault is the same."""
    chosen = [f"--only={check}" for check in FINDS["a_field_of_another_type"]]
    run = await run_against("a_field_of_another_type", tmp_path, media_server, *chosen)
    assert run.code == 1
    lines = run.out.splitlines()
    assert [line for line in lines if line.startswith("FAILED")] == ["FAILED row/room/waiting/chat/waiting"]
    assert lines[-2:] == ["  the same in 1 more", "    order/chat"]
