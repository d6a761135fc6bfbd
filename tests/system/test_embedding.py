"""A room server inside a foreign program changes nothing in the process, and logs in the program's way."""

from __future__ import annotations

import json
import resource
import subprocess
import sys


def embedded(*arguments: str) -> subprocess.CompletedProcess[str]:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return subprocess.run(
        [sys.executable, "-m", "tests.system.embedding", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
        # Lower than what the system would allow.
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (600, hard)),
    )


def test_open_server_changes_nothing_in_the_process_and_prints_nothing() -> None:
    done = embedded()
    assert json.loads(done.stdout) == []
    # What the standard library does with warnings where no log is set up.
    assert all("fewer connections" in line for line in done.stderr.splitlines())


def test_log_entries_go_to_the_programs_loggers_by_module() -> None:
    *lines, changed = embedded("INFO").stdout.splitlines()
    assert json.loads(changed) == []
    entries = [line.split("|", 2) for line in lines]
    assert ["roomfsm.server", "INFO"] in [entry[:2] for entry in entries]
    (warning,) = (text for name, level, text in entries if name == "roomfsm.server" and level == "WARNING")
    assert warning.startswith("fewer connections than sessions ")
    assert " connections=344 " in warning
