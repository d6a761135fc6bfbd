"""Given a command that has just been started, when Ctrl-C comes, then it ends with a line and its exit code."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from tests.processes import LOADED

SIGNALLED_AT = """
import os, runpy, signal, sys
number, moment, program = int(sys.argv[1]), sys.argv[2], sys.argv[3]

def audit(event, arguments):
    global moment
    if moment and moment in (event, arguments[0] if event == "import" else ""):
        moment = ""
        os.kill(os.getpid(), number)

sys.argv[:4] = [program]
sys.addaudithook(audit)
runpy.run_module(program, run_name="__main__")
"""
"""Runs another program as `python -m` does, and gets a signal at an audit event, or as it imports a module."""

BARE = ("--port=0", "--kurento=ws://127.0.0.1:9/kurento")
SERVE = ("serve", *BARE)
MEDIA = ("mediaserver", "--port=0")


def ended_at(
    number: signal.Signals, moment: str, *arguments: str, program: str = "roomfsm"
) -> subprocess.CompletedProcess[str]:
    """Run a program, signal it at the moment, and return how it ended."""
    command = [sys.executable, "-c", SIGNALLED_AT, str(int(number)), moment, program, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=4 * LOADED, check=False)


@pytest.mark.parametrize(
    ("arguments", "module", "code"),
    [
        *((BARE, module, 0) for module in ("roomfsm.cli", "click", "roomfsm.settings")),
        *((SERVE, module, 0) for module in ("roomfsm.program", "structlog", "trio", "roomfsm.server")),
        *((MEDIA, module, 0) for module in ("click", "roomfsm.mediaserver.program", "OpenSSL")),
        *((("spec",), module, 130) for module in ("click", "roomfsm.documents.asyncapi", "transitions")),
        (("conformance", "--list"), "roomfsm.conformance.program", 130),
        (("--version",), "click", 130),
    ],
)
def test_ctrl_c_ends_it_quietly_whatever_is_being_imported(
    arguments: tuple[str, ...], module: str, code: int
) -> None:
    done = ended_at(signal.SIGINT, module, *arguments)
    lines = [line for line in done.stderr.splitlines() if "is starting" not in line]
    assert (done.returncode, lines, done.stdout) == (code, ["roomfsm: ended by Ctrl-C"], "")


@pytest.mark.parametrize(("arguments", "module"), [(SERVE, "click"), (SERVE, "roomfsm.server"), (MEDIA, "trio")])
def test_sigterm_ends_a_server_in_the_same_way(arguments: tuple[str, ...], module: str) -> None:
    done = ended_at(signal.SIGTERM, module, *arguments)
    lines = [line for line in done.stderr.splitlines() if "is starting" not in line]
    assert (done.returncode, lines) == (0, ["roomfsm: ended by SIGTERM"])


@pytest.mark.parametrize(
    ("arguments", "event"),
    [
        (SERVE, "socket.bind"),
        (MEDIA, "socket.bind"),
        (("serve", "--port=0", "--media-host=127.0.0.1"), "subprocess.Popen"),
        ((*MEDIA, "--workers=2"), "subprocess.Popen"),
    ],
)
def test_ctrl_c_while_the_server_opens_what_it_must_close_ends_it_quietly(
    arguments: tuple[str, ...], event: str
) -> None:
    done = ended_at(signal.SIGINT, event, *arguments)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert "Aborted" not in done.stderr


def test_ctrl_c_in_a_terminal_does_not_disturb_a_worker_that_starts() -> None:
    """The terminal's signal goes to the workers, too. They ignore it before they import anything."""
    done = ended_at(signal.SIGINT, "trio", program="roomfsm.mediaserver.workers")
    # It goes on until it misses its arguments.
    assert "KeyboardInterrupt" not in done.stderr
    assert "ValueError: not enough values" in done.stderr
