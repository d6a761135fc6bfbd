"""The command `roomfsm` and its subcommands. The default subcommand is `serve`.

Each subcommand is imported only when it is called. The room server takes long to import, and somebody who asks for
the version or draws a diagram should not have to wait for that. So this file imports nothing but click. It also
has a one-line summary of each command, because the help would otherwise have to import all of them.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import click

from roomfsm import __version__

_INTERRUPTED = 130
"""The exit code of a command that Ctrl-C has ended: 128 + SIGINT, as shells report it."""


@dataclass(frozen=True, slots=True)
class _Lazy:
    """A command that is not imported yet."""

    module: str
    attribute: str
    summary: str
    """Its description in the list of commands, which is the first sentence of its docstring."""


COMMANDS = {
    "check": _Lazy("roomfsm.command", "check", "Check a configuration, and say what is wrong and how to mend it."),
    "conformance": _Lazy(
        "roomfsm.conformance.command",
        "conformance",
        "Check whether a server speaks roomfsm.v1 as the specification says.",
    ),
    "diagram": _Lazy(
        "roomfsm.documents.command",
        "diagram",
        "Draw the diagram of a state machine, generated from the table that the server or the page uses.",
    ),
    "load": _Lazy(
        "roomfsm.load.command",
        "load",
        "Test how much a server bears: many simulated people enter its rooms, talk and watch.",
    ),
    "mediaserver": _Lazy(
        "roomfsm.mediaserver.command",
        "mediaserver",
        "Run the embedded media server alone, for any client of Kurento's protocol.",
    ),
    "password": _Lazy(
        "roomfsm.access_commands", "password", "Print the hash of a room's password, for the settings file."
    ),
    "replay": _Lazy(
        "roomfsm.replay.command",
        "replay",
        "Replay the journal FILE with today's code, and report the first difference.",
    ),
    "serve": _Lazy(
        "roomfsm.command", "serve", "Run the room server, and the embedded media server unless --kurento is given."
    ),
    "settings": _Lazy("roomfsm.command", "settings", "Print all settings of the server as a table (Markdown)."),
    "spec": _Lazy("roomfsm.documents.spec_command", "spec", "Print the protocol as an AsyncAPI 3 document."),
    "token": _Lazy(
        "roomfsm.access_commands",
        "token",
        "Print a token that lets one person enter a room, and the link that carries it.",
    ),
}


class _LazyGroup(click.Group):
    """Imports a subcommand when it is called; `roomfsm --port 9000` is `roomfsm serve --port 9000`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or (args[0].startswith("-") and args[0] not in ("--help", "--version")):
            args = ["serve", *args]
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            click.echo("roomfsm: ended by Ctrl-C", err=True)
            # Python itself would exit by SIGINT if the exception has passed through an `exec`.
            sys.stdout.flush()
            os._exit(_INTERRUPTED)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 (click's)
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 (click's)
        lazy = COMMANDS.get(cmd_name)
        if lazy is None:
            return None
        command: click.Command = getattr(import_module(lazy.module), lazy.attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name].summary) for name in self.list_commands(ctx)])


@click.group(cls=_LazyGroup)
@click.version_option(__version__, prog_name="roomfsm")
def main() -> None:
    """Run video conferences and live broadcasts in the browser, with chat, in many rooms at a time.

    Without a command, roomfsm starts the room server: `roomfsm --port 9000` is the same as
    `roomfsm serve --port 9000`. All options of the server are listed by `roomfsm serve --help`.
    """
