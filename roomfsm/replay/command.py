"""The command `roomfsm replay`, which reports where today's code differs from a journal."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NoReturn

import click
import structlog

from roomfsm.replay.engine import Difference, Outcome
from roomfsm.replay.engine import replay as replay_run
from roomfsm.replay.runs import JournalError, read_runs
from roomfsm.rooms.journal import Entry

_EXIT_DIFFERENT = 1
_EXIT_USAGE = 2


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--run", "only", help="Replay only the run with this id. The output names the ids.")
@click.option("--verbose", is_flag=True, help="Also report the runs that do not differ.")
def replay(file: Path, only: str | None, verbose: bool) -> None:
    """Replay the journal FILE with today's code, and report the first difference.

    A journal is a file that `roomfsm serve --journal-file` wrote, or that was downloaded from /inspect/ROOM. The
    replay has a clock of its own, so that an hour takes a second.

    The exit code is 0 if today's code does the same as the journal says; 1 if it does something else, and then the
    first difference of each run is printed; and 2 if FILE is not a journal.
    """
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    try:
        runs = read_runs(file, lambda warning: click.echo(f"roomfsm: {warning}", err=True))
    except JournalError as error:
        _fail(str(error))
    chosen = [run for run in runs if only in (None, run.id)]
    if not chosen:
        _fail(f"{file}: there is no run {only!r}; the file has {', '.join(run.id for run in runs)}")
    outcomes = [replay_run(run) for run in chosen]
    for outcome in outcomes:
        if verbose or outcome.difference is not None:
            click.echo(describe(outcome))
    different = [outcome.run.id for outcome in outcomes if outcome.difference is not None]
    steps = sum(outcome.steps for outcome in outcomes)
    only_tables = sum(not outcome.lived for outcome in outcomes)
    click.echo(
        f"runs: {len(outcomes)}, of which put to the tables alone: {only_tables}; steps alike: {steps};"
        f" runs that differ: {', '.join(different) or 'none'}"
    )
    sys.exit(_EXIT_DIFFERENT if different else 0)


def describe(outcome: Outcome) -> str:
    """The outcome of one run in words, with the first difference if there is one."""
    how = "lived again" if outcome.lived else "its beginning is not here, so each step was put to the tables alone"
    lines = [f"{outcome.run.name}: {outcome.steps} of {len(outcome.run.entries)} steps alike ({how})"]
    if outcome.difference is not None:
        lines += _describe(outcome.difference)
    return "\n".join(lines)


def _describe(difference: Difference) -> list[str]:
    then, today = difference.then, difference.today
    lines = []
    if then is not None:
        lines.append(f"  first difference at step {then.seq}, {then.at:.3f} s after the room opened")
        lines.append(f"    then:  {in_words(then)}")
        lines.append(f"    today: {'nothing' if today is None else in_words(today)}")
    elif today is not None:
        lines.append(f"  at the end today does more: {in_words(today)}")
    if difference.why is not None:
        lines.append(f"    {difference.why}")
    return lines


def in_words(entry: Entry) -> str:
    """One entry as a line: machine, person, trigger, from → to, and effects or refusal."""
    machine = entry.machine if entry.id is None else f"{entry.machine} {entry.id}"
    who = "" if entry.who is None or entry.who == entry.id else f" of {entry.who}"
    if entry.refused is not None:
        by = "" if entry.refused.machine is None else f" by {entry.refused.machine} {entry.refused.state}"
        return f"{machine}, {entry.source}: {entry.trigger}{who} refused, {entry.refused.code}{by}"
    effects = f" / {', '.join(entry.effects)}" if entry.effects else ""
    return f"{machine}: {entry.trigger}{who}, {entry.source} → {entry.dest}{effects}"


def _fail(message: str) -> NoReturn:
    click.echo(f"roomfsm: {message}", err=True)
    sys.exit(_EXIT_USAGE)
