"""The command `roomfsm conformance`: its options."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from roomfsm.extras import extra

FORMATS = ("text", "json", "junit")


class _ReportParam(click.ParamType[tuple[str, Path]]):
    """`json=FILE` or `junit=FILE`."""

    name = "FORMAT=FILE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, Path]:
        style, found, file = str(value).partition("=")
        if style not in FORMATS or not found or not file:
            self.fail(f"{value!r} is not like json=FILE or junit=FILE", param, ctx)
        return style, Path(file)


@click.command()
@click.argument("url", metavar="ws://HOST/ws", required=False)
@click.option(
    "--spec",
    "spec_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The specification to check against (AsyncAPI, JSON). The default is that of `roomfsm spec`.",
)
@click.option(
    "--only",
    multiple=True,
    metavar="GLOB",
    help="Run only the checks whose names match, such as 'race/*'. May be repeated.",
)
@click.option("--list", "list_only", is_flag=True, help="List the names of the checks, and run none.")
@click.option("--strict", is_flag=True, help="Count checks that cannot be reached on this server as failed.")
@click.option(
    "--format",
    "style",
    type=click.Choice(FORMATS),
    default="text",
    help="The format of the report on the standard output.",
)
@click.option(
    "--report",
    "reports",
    type=_ReportParam(),
    multiple=True,
    help="Also write the report to a file: json=FILE or junit=FILE. May be repeated.",
)
@click.option(
    "--control",
    metavar="URL",
    help="The address of the control API, such as http://host:8080, if it is not on the server that is checked.",
)
@click.option(
    "--control-token",
    metavar="TOKEN",
    help="The token for the control API: for our server, the inspector's token, which it prints when it starts.",
)
@click.option("--no-media", is_flag=True, help="Leave out the checks that need a media server.")
@click.option("--insecure", is_flag=True, help="With wss://, accept any certificate.")
@click.option(
    "--jobs", type=click.IntRange(1), default=8, show_default=True, help="How many checks run at a time."
)
@click.option(
    "--max-connections",
    type=click.IntRange(1),
    default=60,
    show_default=True,
    help="How many websockets the kit opens at a time at most.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(0.1),
    default=10.0,
    show_default=True,
    help="How many seconds one check may take. Then it has failed.",
)
@click.option(
    "--patience",
    type=click.FloatRange(0),
    default=5.0,
    show_default=True,
    help="How many seconds a check may wait for a timer of the server, such as the resume window.",
)
def conformance(**given: Any) -> None:
    """Check whether a server speaks roomfsm.v1 as the specification says.

    The kit connects as several clients and drives the server through every state, message and transition that
    clients can reach. docs/conformance.md explains the report.

    The exit code is 0 if every check that can be reached passed; 1 if a check failed, or, with --strict, could not
    be reached on this server; and 2 if the kit could not run, for example because nothing answers at the address.
    """
    with extra("conformance", "roomfsm conformance"):
        from roomfsm.conformance.program import Request, run
    from roomfsm.documents.asyncapi import document

    if given["url"] is None and not given["list_only"]:
        raise click.UsageError("which server? Give its address, such as ws://localhost:8080/ws.")
    sys.exit(run(Request(**given), document))
