"""What `roomfsm load` does: asks the server whether it may, runs the test, shows it, and writes the reports."""

from __future__ import annotations

import json
import resource
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

import trio
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from roomfsm.http_client import HttpError, request
from roomfsm.load.figures import Figures
from roomfsm.load.plan import Plan, PlanError, Target
from roomfsm.load.report import (
    TIME_HEADS,
    as_html,
    as_json,
    media_of,
    media_rows,
    media_time_rows,
    rows,
    time_rows,
)
from roomfsm.load.run import LoadTest

_ASK = 10.0
_MOST_BYTES = 1_000_000
_SPARE_FILES = 64
MENDS = {
    "too_many_rooms": "--max-rooms-per-address",
    "server_full": "--max-sessions or --max-rooms",
    "room_full": "--max-people",
    "too_many_presenters": "--max-presenters",
    "rate_limited": "the rates of rooms and addresses",
    "closed_4003": "--max-sessions-per-address",
}
"""The settings of the server that have to be raised if so many people come from one address, by the error."""


class NotAllowed(Exception):
    """The server cannot be tested, or does not want to be. The message says why."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the command was asked for."""

    url: str
    plan: Plan
    admin_token: str
    insecure: bool = False
    json_file: Path | None = None
    html_file: Path | None = None


async def ask_server(target: Target, token: str, tls: ssl.SSLContext | None) -> dict[str, Any]:
    """What the server says of itself to somebody who has its admin token. Raises `NotAllowed`."""
    try:
        with trio.fail_after(_ASK):
            headers = [("Authorization", f"Bearer {token}")]
            answer = await request("GET", target.api, headers, tls=tls, max_bytes=_MOST_BYTES)
        found = json.loads(answer.body) if answer.good else {}
    except (HttpError, ValueError, trio.TooSlowError) as error:
        raise NotAllowed(
            f"{target.api.geturl()} gives no answer that can be used: {error or 'too slow'}"
        ) from error
    if answer.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        raise NotAllowed("this is not the server's admin token. Only who runs a server may test it")
    if answer.status == HTTPStatus.NOT_FOUND:
        raise NotAllowed("the server has no admin API: start it with --admin-token, and give that token here, too")
    if not answer.good or not isinstance(found, dict):
        raise NotAllowed(f"{target.api.geturl()} answers {answer.status}")
    return found


def raise_file_limit(plan: Plan) -> None:
    """Let this process have as many sockets as the test needs. Raises `PlanError`."""
    streams = plan.people * max(plan.presenters, 1) if plan.media else 0
    need = plan.people + streams + _SPARE_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < need:
        if hard != resource.RLIM_INFINITY and hard < need:
            raise PlanError(f"the test needs {need} open files, and this user may have {hard}: see `ulimit -n`")
        resource.setrlimit(resource.RLIMIT_NOFILE, (need, hard))


def run(wanted: Wanted, console: Console) -> int:
    """Run the test. Returns the exit code. Raises `PlanError` or `NotAllowed`."""
    target = Target.of(wanted.url)
    raise_file_limit(wanted.plan)
    tls = _tls(target, insecure=wanted.insecure)
    for file in (wanted.json_file, wanted.html_file):
        if file is not None:
            _try(file)
    server = trio.run(ask_server, target, wanted.admin_token, tls)
    test = LoadTest(wanted.plan, target.websocket, tls)
    interrupted = False
    try:
        _show(test, console)
    except* KeyboardInterrupt:
        interrupted = True
    figures = test.figures
    console.print(_summary(figures))
    for code in figures.errors:
        if code in MENDS:
            console.print(f"[bold]{code}[/]: raise {MENDS[code]} on the server for the test")
    if wanted.json_file is not None:
        wanted.json_file.write_text(json.dumps(as_json(wanted.plan, server, figures), indent=1) + "\n")
    if wanted.html_file is not None:
        wanted.html_file.write_text(as_html(wanted.plan, wanted.url, figures))
    return 1 if interrupted or figures.errors or figures.missed or figures.doubled else 0


def _tls(target: Target, *, insecure: bool) -> ssl.SSLContext | None:
    if target.api.scheme != "https":
        return None
    context = ssl.create_default_context()
    if insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _try(file: Path) -> None:
    """Find out before the test whether the report can be written. Raises `PlanError`."""
    try:
        file.open("a").close()
    except OSError as error:
        raise PlanError(f"{file} cannot be written: {error.strerror}") from error


def _show(test: LoadTest, console: Console) -> None:
    plan = test.plan
    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:.0f}/{task.total:.0f}"),
        TimeRemainingColumn(),
        console=console,
    )
    come = progress.add_task("people come", total=plan.people)
    stay = progress.add_task("seconds", total=plan.arrival + plan.seconds)
    with Live(progress, console=console, refresh_per_second=4, transient=True) as live:

        def tell(seconds: float) -> None:
            progress.update(come, completed=min(test.figures.joined, plan.people))
            progress.update(stay, completed=min(seconds, plan.arrival + plan.seconds))
            live.update(Group(progress, _summary(test.figures)))

        trio.run(test.run, tell)


def _summary(figures: Figures) -> RenderableType:
    parts = [_counts(rows(figures)), _times(time_rows(figures))]
    for name, media in media_of(figures):
        parts += [Text(name, "bold"), _counts(media_rows(media)), _times(media_time_rows(media))]
    return Group(*parts)


def _counts(lines: Sequence[tuple[str, str]]) -> RenderableType:
    counts = Table(show_header=False, box=None)
    for line in lines:
        counts.add_row(*line)
    return counts


def _times(lines: Sequence[tuple[str, ...]]) -> RenderableType:
    times = Table(*TIME_HEADS, box=None)
    for column in times.columns[1:]:
        column.justify = "right"
    for line in lines:
        times.add_row(*line)
    return times
