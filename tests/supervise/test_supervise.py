"""Whatever happens to a supervised process, its holders are told, its group is ended, and it is started again."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
import structlog
import trio

from roomfsm.supervise import ChildStartError, Patience, Supervised, kill_group
from tests.processes import LOADED

PATIENCE = Patience(silence=3.0, stop_timeout=0.3, first_delay=0.01, max_delay=0.05)
TALKS = "while :; do echo alive; sleep 0.1; done"


class Child(Supervised):
    """A shell script that says 'ready' and then anything."""

    def __init__(self, script: str, patience: Patience = PATIENCE) -> None:
        self.entries: list[dict[str, Any]] = []
        logger = structlog.wrap_logger(
            None,
            processors=[structlog.processors.add_log_level, self._keep],
            wrapper_class=structlog.make_filtering_bound_logger(0),
        )
        super().__init__("child", patience, logger)
        self.script = script
        self.cannot_open: BaseException | None = None
        self.opened = 0
        self.pids: list[int] = []
        self.told: list[tuple[str, bool]] = []
        """Why the process is gone, and whether it still existed when that was told."""
        self.log_lines = b""

    def _keep(self, _logger: Any, _name: str, entry: Any) -> Any:
        self.entries.append(dict(entry))
        raise structlog.DropEvent

    async def open_process(self) -> trio.Process:
        self.opened += 1
        if self.cannot_open is not None:
            raise self.cannot_open
        process = await trio.lowlevel.open_process(
            ["/bin/sh", "-c", self.script],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        self.pids.append(process.pid)
        return process

    async def converse(self, process: trio.Process) -> None:
        assert process.stdout is not None
        async for said in process.stdout:
            self.heard()
            if said.startswith(b"ready"):
                self.ready()
            if b"nonsense" in said:
                raise ValueError("nonsense")

    async def read_log(self, process: trio.Process) -> None:
        assert process.stderr is not None
        async for line in process.stderr:
            self.log_lines += line

    def kill(self, process: trio.Process) -> None:
        kill_group(process)

    def gone(self, why: str) -> None:
        self.told.append((why, psutil.pid_exists(self.pids[-1])))

    async def until(self, starts: int) -> None:
        while self.starts < starts:  # noqa: ASYNC110 (it tells of its starts by a count)
            await trio.sleep(0.01)


@asynccontextmanager
async def running(child: Child) -> AsyncIterator[Child]:
    with trio.fail_after(LOADED):
        async with trio.open_nursery() as nursery:
            failure = await nursery.start(child.supervise)
            assert failure is None, failure
            yield child
            nursery.cancel_scope.cancel()


async def until_dead(pid: int) -> None:
    """A process that is not our child. The process that inherited it may leave it a zombie."""
    with suppress(psutil.NoSuchProcess):
        while psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:  # noqa: ASYNC110
            await trio.sleep(0.01)


def test_the_default_patience_is_a_few_seconds() -> None:
    assert Patience().silence <= 5
    assert Patience().first_delay + Patience().max_delay < 3


async def test_a_killed_child_is_reported_at_once_and_started_again() -> None:
    async with running(Child(f"echo ready; {TALKS}")) as child:
        for starts in (2, 3):
            os.kill(child.pids[-1], signal.SIGKILL)
            await child.until(starts)
    assert [why for why, _ in child.told] == ["ended", "ended", "was ended"]
    died = [entry["status"] for entry in child.entries if entry["event"] == "child died"]
    assert died == [-signal.SIGKILL, -signal.SIGKILL]


async def test_a_hung_child_is_reported_then_killed_and_started_again() -> None:
    async with running(Child(f"echo ready; {TALKS}")) as child:
        hung = child.pids[-1]
        os.kill(hung, signal.SIGSTOP)
        await child.until(2)
        assert not psutil.pid_exists(hung)
    assert child.told[0] == ("hangs: it said nothing for 3 s", True)


async def test_a_child_that_is_ready_and_then_silent_counts_as_hung() -> None:
    async with running(Child("echo ready; sleep 1000", Patience(silence=0.3, first_delay=0.01))) as child:
        await child.until(2)
    assert child.told[0][0].startswith("hangs")


async def test_a_child_is_not_killed_because_we_ourselves_were_stopped() -> None:
    async with running(Child(f"echo ready; {TALKS}", Patience(silence=2.0))) as child:
        for _ in range(3):
            time.sleep(2.5)  # noqa: ASYNC251 (as a process that is stopped and goes on)
            await trio.sleep(0.3)
        assert child.starts == 1


async def test_output_that_cannot_be_read_ends_the_child_and_nothing_else() -> None:
    async with running(Child("echo ready; sleep 0.1; echo nonsense; sleep 1000")) as child:
        await child.until(2)
    assert child.told[0][0] == "is not understood: ValueError('nonsense')"


@pytest.mark.parametrize(
    "error",
    [
        OSError(24, "Too many open files"),
        OSError(11, "Resource temporarily unavailable"),
        OSError(12, "Cannot allocate memory"),
        FileNotFoundError(2, "No such file or directory"),
        RuntimeError("can't start new thread"),
        MemoryError(),
    ],
)
async def test_a_child_that_cannot_be_started_is_tried_again(error: Exception) -> None:
    async with running(Child(f"echo ready; {TALKS}")) as child:
        child.cannot_open = error
        os.kill(child.pids[-1], signal.SIGKILL)
        while child.opened < 4:  # noqa: ASYNC110
            await trio.sleep(0.01)
        child.cannot_open = None
        await child.until(2)
    failures = [entry["error"] for entry in child.entries if entry["event"] == "child does not start"]
    assert len(failures) >= 2
    assert failures[0] == f"child cannot be started: {error}"


@pytest.mark.parametrize("script", ["exit 3", "echo oops >&2; sleep 1000", "exec >&-; sleep 1000"])
async def test_a_child_that_is_never_ready_is_tried_again(script: str, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    script = f'if [ -e "{broken}" ]; then {script}; fi; echo ready; {TALKS}'
    patience = Patience(ready_timeout=1.0, stop_timeout=0.3, first_delay=0.01, max_delay=0.05)
    async with running(Child(script, Patience(first_delay=0.01, max_delay=0.05))) as child:
        child._patience = patience
        broken.touch()
        os.kill(child.pids[-1], signal.SIGKILL)
        while child.opened < 3:  # noqa: ASYNC110
            await trio.sleep(0.01)
        broken.unlink()
        await child.until(2)
    assert not [pid for pid in child.pids if psutil.pid_exists(pid)]


async def test_a_child_stopped_in_its_start_is_reported_and_started_again(tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    script = f'if [ -e "{broken}" ]; then rm "{broken}"; kill -STOP $$; fi; echo ready; {TALKS}'
    async with running(Child(script, Patience(ready_timeout=1000, silence=3.0, first_delay=0.01))) as child:
        broken.touch()
        os.kill(child.pids[-1], signal.SIGKILL)
        await child.until(2)
    assert child.told[1] == ("hangs: it was stopped for 3 s while it started", True)
    assert len(child.pids) == 3


async def test_a_child_stopped_in_its_start_only_for_a_moment_is_left_alone(tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    script = f'if [ -e "{broken}" ]; then rm "{broken}"; kill -STOP $$; fi; echo ready; {TALKS}'
    async with running(Child(script)) as child:
        broken.touch()
        os.kill(child.pids[-1], signal.SIGKILL)
        while len(child.pids) < 2 or psutil.Process(child.pids[1]).status() != psutil.STATUS_STOPPED:  # noqa: ASYNC110
            await trio.sleep(0.01)
        os.kill(child.pids[1], signal.SIGCONT)
        await child.until(2)
    assert len(child.pids) == 2


@pytest.mark.parametrize(
    ("script", "ready_timeout", "why"),
    [
        ("exit 3", LOADED, "child ended before it was ready"),
        ("sleep 1000", 0.5, "child not ready after 0.5 s"),
    ],
)
async def test_a_first_start_that_fails_is_reported_to_the_caller(
    script: str, ready_timeout: float, why: str
) -> None:
    child = Child(script, Patience(ready_timeout=ready_timeout))
    with trio.fail_after(LOADED):
        async with trio.open_nursery() as nursery:
            failure = await nursery.start(child.supervise)
    assert isinstance(failure, ChildStartError)
    assert str(failure) == why


async def test_a_stopped_process_of_the_group_that_holds_the_log_delays_nothing(tmp_path: Path) -> None:
    """This is like a worker that has inherited the log's pipe and hangs while the media server dies."""
    number = tmp_path / "pid"
    script = f'sleep 1000 & echo $! > "{number}"; kill -STOP $!; echo ready; {TALKS}'
    async with running(Child(script)) as child:
        held = int(number.read_text())
        while psutil.Process(held).status() != psutil.STATUS_STOPPED:  # noqa: ASYNC110
            await trio.sleep(0.01)
        os.kill(child.pids[-1], signal.SIGKILL)
        await child.until(2)
        await until_dead(held)


async def test_a_process_outside_the_group_that_holds_the_log_delays_by_a_second() -> None:
    script = f"setsid sleep 20 & echo ready; {TALKS}"
    async with running(Child(script)) as child:
        os.kill(child.pids[-1], signal.SIGKILL)
        began = trio.current_time()
        await child.until(2)
        assert trio.current_time() - began < 15


@pytest.mark.parametrize("stop", [False, True])
async def test_when_we_end_a_child_that_ignores_all_signals_is_killed(stop: bool) -> None:
    child = Child(f'trap "" TERM; echo ready; {TALKS}')
    async with running(child):
        if stop:
            os.kill(child.pids[-1], signal.SIGSTOP)
    assert not psutil.pid_exists(child.pids[-1])
    assert child.pid is None


async def test_an_exception_while_others_are_told_ends_nothing() -> None:
    child = Child(f"echo ready; {TALKS}")

    def fail(why: str) -> None:
        raise KeyError(why)

    child.gone = fail  # type: ignore[method-assign]
    async with running(child):
        os.kill(child.pids[-1], signal.SIGKILL)
        await child.until(2)
    assert "not all were told that the child is gone" in [entry["event"] for entry in child.entries]
    assert not [pid for pid in child.pids if psutil.pid_exists(pid)]


@pytest.mark.parametrize("what", ["ask_to_end", "kill"])
async def test_an_exception_while_the_child_is_ended_ends_nothing(what: str) -> None:
    child = Child(f"echo ready; {TALKS}")
    usual = getattr(child, what)

    def fail(process: trio.Process) -> None:
        setattr(child, what, usual)
        if what == "kill":
            process.kill()
        raise PermissionError(process.pid)

    setattr(child, what, fail)
    async with running(child):
        child._give_up("is of no more use")
        child._hangs = what == "kill"
        await child.until(2)
    asked = "asked to end" if what == "ask_to_end" else "killed"
    assert f"child cannot be {asked}" in [entry["event"] for entry in child.entries]
