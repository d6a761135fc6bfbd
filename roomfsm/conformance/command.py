"""The command `roomfsm conformance`: its options."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

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
    "--spec", "spec_file", type=click.Path(dir_okay=False, path_type=Path), help="AsyncAPI document (JSON)"
)
@click.option("--only", multiple=True, metavar="GLOB", help="run these checks only; may be repeated")
@click.option("--list", "list_only", is_flag=True, help="list the checks and run none")
@click.option("--strict", is_flag=True, help="what cannot be reached here has failed, unless it was left out")
@click.option("--format", "style", type=click.Choice(FORMATS), default="text", help="of the report on stdout")
@click.option(
    "--report", "reports", type=_ReportParam(), multiple=True, help="json=FILE, junit=FILE; may be repeated"
)
@click.option("--control", metavar="URL", help="base of the control API, if not this host's")
@click.option("--control-token", metavar="TOKEN", help="sent to the control API as Authorization: Bearer")
@click.option("--no-media", is_flag=True, help="leave out what needs media endpoints")
@click.option("--insecure", is_flag=True, help="over wss: take any certificate")
@click.option("--jobs", type=click.IntRange(1), default=8, show_default=True, help="checks at once")
@click.option(
    "--max-connections",
    type=click.IntRange(1),
    default=60,
    show_default=True,
    help="websockets at once",
)
@click.option(
    "--timeout",
    type=click.FloatRange(0.1),
    default=10.0,
    show_default=True,
    help="seconds for one check, after which it has failed",
)
@click.option(
    "--patience",
    type=click.FloatRange(0),
    default=5.0,
    show_default=True,
    help="seconds to wait for what only time brings about",
)
def conformance(**given: Any) -> None:
    """Check whether a server speaks roomfsm.v1 as the specification says.

    Drives it through every state, message and transition that can be brought about from outside. Exit code 0:
    all passed that can be reached; 1: something failed, or with --strict could not be reached here; 2: it cannot
    be run.
    """
    # Not at the top: the server is the same program, and need not load what only the kit uses.
    from roomfsm.conformance.program import Request, run
    from roomfsm.documents.asyncapi import document

    if given["url"] is None and not given["list_only"]:
        raise click.UsageError("which server? Give its address like ws://localhost:8080/ws.")
    sys.exit(run(Request(**given), document))
