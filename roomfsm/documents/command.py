"""The command `roomfsm diagram`: a lifecycle machine as a picture, as text for other tools, or as data."""

from __future__ import annotations

import json
from pathlib import Path

import click

from roomfsm.documents.dot import dot
from roomfsm.documents.mermaid import mermaid
from roomfsm.documents.output import output_option, write
from roomfsm.documents.page_tables import FILES, page_table
from roomfsm.documents.svg import svg
from roomfsm.lifecycle.describe import MACHINES, describe

_DRAW = {"svg": svg, "mermaid": mermaid, "dot": dot}


@click.command()
@click.argument("machine", type=click.Choice([*MACHINES, *FILES]))
@click.option(
    "--format",
    "form",
    type=click.Choice([*_DRAW, "json"]),
    default="svg",
    show_default=True,
    help="The format of the diagram.",
)
@click.option("--current", metavar="STATE", multiple=True, help="Highlight this state. May be repeated.")
@output_option
def diagram(machine: str, form: str, current: tuple[str, ...], output: Path | None) -> None:
    """Draw the diagram of a state machine, generated from the table that the server or the page uses.

    Machines of the server: room, stream, view, session, server. Machines of the page: page, link, media.
    """
    table = page_table(machine) if machine in FILES else MACHINES[machine]
    names = [state.name for state in table.states]
    for state in current:
        if state not in names:
            raise click.UsageError(f"the machine {machine} has no state {state!r}; it has {', '.join(names)}")
    if form == "json":
        if current:
            raise click.UsageError("--current highlights a state in a diagram, and --format json has none")
        text = json.dumps(describe(table), ensure_ascii=False, indent=2) + "\n"
    else:
        text = _DRAW[form](table, current=current)
    write(text, output)
