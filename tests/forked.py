"""Programs that start quickly: each is forked from a process that has imported the server already.

Most of what it costs to start the server is importing it: 2 of 3 seconds of a slow processor. The tests start it
hundreds of times, so in these tests it is forked by the standard library's fork server, one for each process of
pytest. From there on it is the same program: a process of its own with its own arguments, folder, environment,
files and signals, whose module is run as `python -m` runs it. Tests of the start itself start Python anew
(`tests.processes.started`).
"""

from __future__ import annotations

import multiprocessing
import multiprocessing.forkserver
import os
import runpy
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from multiprocessing.process import BaseProcess
from multiprocessing.reduction import DupFd
from pathlib import Path
from typing import IO, Any

from tests.processes import ended

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["__main__", "tests.imported"])


class Forked:
    """A forked program, as a `tests.processes.Process`."""

    def __init__(self, process: BaseProcess, stdin: IO[Any] | None, stdout: IO[Any]) -> None:
        assert process.pid is not None
        self.pid = process.pid
        self.stdin = stdin
        self.stdout: IO[Any] | None = stdout
        self.stderr: IO[Any] | None = None
        self._process = process

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        code = self._process.exitcode
        if code is None:
            raise subprocess.TimeoutExpired(self._process.name, timeout or 0)
        return code

    def send_signal(self, number: int, /) -> None:
        # As `Popen` does it: the number of a process that has ended may be another's by now.
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


@contextmanager
def forked(
    *command: str, stdin: bool = False, stderr: IO[Any] | None = None, cwd: Path | None = None
) -> Iterator[Forked]:
    """Run `python -m` with this module and these arguments until the block ends; then it is asked to end.

    Its standard output is a pipe, and if `stdin`, its standard input, too; both are text. Its standard error goes
    to the file `stderr`, or nowhere.
    """
    with ExitStack() as ours, ExitStack() as theirs:

        def pipe(*, reading: bool) -> tuple[IO[str], int]:
            reads, writes = os.pipe()
            mine, its = (reads, writes) if reading else (writes, reads)
            theirs.callback(os.close, its)
            return ours.enter_context(os.fdopen(mine, "r" if reading else "w")), its

        out, its_out = pipe(reading=True)
        in_, its_in = pipe(reading=False) if stdin else (None, theirs.enter_context(open(os.devnull)).fileno())
        its_err = stderr.fileno() if stderr else theirs.enter_context(open(os.devnull, "w")).fileno()
        files = [_Inherited(file) for file in (its_in, its_out, its_err)]
        process = _FORKS.Process(target=_run, args=(command, files, str(cwd or Path.cwd()), dict(os.environ)))
        process.start()
        theirs.close()
        with ended(Forked(process, in_, out)) as program:
            yield program


class _Inherited:
    """A file that the process that is forked gets: there it is an `int`, the number of its own copy."""

    def __init__(self, number: int) -> None:
        self._number = number

    def __reduce__(self) -> tuple[Callable[[Any], int], tuple[Any]]:
        return _its_copy, (DupFd(self._number),)


def _its_copy(file: Any) -> int:
    number: int = file.detach()
    return number


def _run(command: tuple[str, ...], files: list[Any], folder: str, environment: dict[str, str]) -> None:
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    sys.stdin = os.fdopen(0)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    module, *arguments = command
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
