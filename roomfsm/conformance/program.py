"""A run of the kit from its options to its exit code: it greets the server, runs the checks, and writes the
report.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import click
import trio
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from roomfsm.conformance.checks import all_checks
from roomfsm.conformance.control import Control
from roomfsm.conformance.greeting import greet
from roomfsm.conformance.outcome import CannotRun
from roomfsm.conformance.raw import Target
from roomfsm.conformance.report import FORMATS, Report
from roomfsm.conformance.runner import FAILED, Result, Runner
from roomfsm.conformance.scene import Check, Options, Plan
from roomfsm.conformance.spec import Spec

EXIT_PASSED, EXIT_FAILED, EXIT_CANNOT = 0, 1, 2
_NOWHERE = "ws://localhost/ws"
"""The server whose checks are listed if no address was given. The kit does not connect to it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """The options of the command line. Without a `url`, only the list of checks can be printed."""

    url: str | None
    spec_file: Path | None
    only: Sequence[str]
    list_only: bool
    strict: bool
    style: str
    reports: Sequence[tuple[str, Path]]
    control: str | None
    control_token: str | None
    no_media: bool
    insecure: bool
    jobs: int
    max_connections: int
    timeout: float
    patience: float


def run(request: Request, default: Callable[[], dict[str, Any]]) -> int:
    """Carry out the request, and return the exit code.

    `default` returns the specification that is used if no other is given.
    """
    try:
        plan = _plan(request, _spec(request.spec_file, default))
        if request.list_only:
            for check in _chosen(plan, request.only):
                click.echo(check.id)
            return EXIT_PASSED
        report = trio.run(_run, plan, request)
        for style, file in request.reports:
            _write(file, FORMATS[style](report))
    except CannotRun as error:
        click.echo(f"roomfsm conformance: {error}", err=True)
        return EXIT_CANNOT
    click.echo(_encoded(FORMATS[request.style](report)), nl=False)
    return EXIT_PASSED if report.ok else EXIT_FAILED


def _plan(request: Request, spec: Spec) -> Plan:
    options = Options(
        jobs=request.jobs,
        timeout=request.timeout,
        patience=request.patience,
        max_connections=request.max_connections,
        media=not request.no_media,
    )
    target = Target.parse(request.url or _NOWHERE, insecure=request.insecure)
    return Plan(spec, target, _control(spec, target, request), options, {})


async def _run(plan: Plan, request: Request) -> Report:
    started = trio.current_time()
    welcome = await greet(plan.target, plan.spec, plan.options.timeout)
    plan = Plan(plan.spec, plan.target, plan.control, plan.options, welcome)
    checks = _chosen(plan, request.only)
    with _progress(len(checks)) as tell:
        results = await Runner(plan, tell).run(checks)
    server = str(welcome.get("server", "a server without a name"))
    seconds = trio.current_time() - started
    return Report(plan.target.url, plan.spec.protocol, server, seconds, results, request.strict)


def _chosen(plan: Plan, only: Sequence[str]) -> list[Check]:
    checks = [check for check in all_checks(plan) if not only or any(fnmatchcase(check.id, glob) for glob in only)]
    if not checks:
        raise CannotRun(f"no check is like {' or '.join(only)} (see --list)")
    return checks


@contextmanager
def _progress(total: int) -> Iterator[Any]:
    """Show the progress on the standard error: as a bar on a terminal, or else as a line for each failure."""
    console = Console(stderr=True)
    if not console.is_terminal:

        def line(result: Result) -> None:
            if result.status == FAILED:
                click.echo(f"failed: {result.check.id}", err=True)

        yield line
        return
    columns = (
        TextColumn("[progress.description]{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("checks", total=total)

        def step(result: Result) -> None:
            if result.status == FAILED:
                progress.console.print(f"failed: {result.check.id}", style="red", markup=False, highlight=False)
            progress.update(task, advance=1, description=result.check.group)

        yield step


def _spec(file: Path | None, default: Callable[[], dict[str, Any]]) -> Spec:
    if file is None:
        return Spec(default())
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise CannotRun(f"{file}: {error.strerror}") from error
    except json.JSONDecodeError as error:
        raise CannotRun(f"{file}: not JSON (line {error.lineno}, column {error.colno})") from error
    except UnicodeDecodeError as error:
        raise CannotRun(f"{file}: not JSON (no UTF-8 at byte {error.start})") from error
    except RecursionError as error:
        raise CannotRun(f"{file}: nested too deeply") from error
    return Spec(found, str(file))


def _control(spec: Spec, target: Target, request: Request) -> Control | None:
    if spec.close is None:
        return None
    base = request.control
    if base is None:
        base = f"{'http' if target.tls is None else 'https'}://{target.authority}/"
    elif not base.startswith(("http://", "https://")):
        raise CannotRun(f"--control: not like http://host:8080: {base}")
    method, path = spec.close
    address = Target.parse(base.replace("http", "ws", 1), insecure=request.insecure)
    return Control(address, method, path, request.control_token)


def _write(file: Path, text: str) -> None:
    try:
        file.write_bytes(_encoded(text))
    except OSError as error:
        raise CannotRun(f"{file}: {error.strerror}") from error


def _encoded(text: str) -> bytes:
    """The text as UTF-8. Half a character, which JSON can contain, is written as an escape sequence."""
    return text.encode("utf-8", "backslashreplace")
