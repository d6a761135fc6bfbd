"""The command `roomfsm` and its subcommands; serve is meant where none is named."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn, TextIO, cast

import click
import structlog
import trio

from roomfsm import __version__
from roomfsm.addresses import addresses_to_open
from roomfsm.conformance.command import conformance
from roomfsm.documents.command import diagram
from roomfsm.documents.spec_command import spec
from roomfsm.mediaserver.child import ChildSettingsError
from roomfsm.mediaserver.command import mediaserver
from roomfsm.replay.command import replay
from roomfsm.rooms.journal_file import JournalFileError
from roomfsm.server import Running, StartError, serve_until_signal
from roomfsm.settings import CONFIG_VARIABLE, Settings, SettingsError, all_settings, load, markdown_table
from roomfsm.supervise import ChildStartError

_EXIT_USAGE = 2


class _ServeByDefault(click.Group):
    """`roomfsm --port 9000` is `roomfsm serve --port 9000`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or (args[0].startswith("-") and args[0] not in ("--help", "--version")):
            args = ["serve", *args]
        return super().parse_args(ctx, args)


@click.group(cls=_ServeByDefault)
@click.version_option(__version__, prog_name="roomfsm")
def main() -> None:
    """Run video conferences and live broadcasts in the browser, with chat, in many rooms at a time.

    Without a command, roomfsm starts the room server: `roomfsm --port 9000` is the same as
    `roomfsm serve --port 9000`. All options of the server are listed by `roomfsm serve --help`.
    """


def _setting_options[F: Callable[..., Any]](command: F) -> F:
    for setting in reversed(list(all_settings())):
        kind = "TEXT" if setting.default is None else type(setting.default).__name__.upper()
        default = ", ".join(setting.default) if setting.repeatable else setting.default
        repeat = " May be repeated." if setting.repeatable else ""
        shown = "" if default in (None, "") else f"  [default: {default}]"
        option = click.option(
            setting.flag,
            setting.name,
            default=None,
            multiple=setting.repeatable,
            metavar="TEXT" if setting.repeatable else kind,
            help=setting.help + repeat + shown,
        )
        command = option(command)
    return command


@main.command()
@click.option("--config", type=click.Path(dir_okay=False, path_type=Path), help="The TOML file with settings.")
@_setting_options
def serve(config: Path | None, **flags: Any) -> None:
    """Run the room server, and the embedded media server unless --kurento is given.

    The server prints the address to open in a browser. Ctrl-C ends it.

    Every option can also be set by an environment variable (--port by ROOMFSM_PORT) or in the TOML file of
    --config (port = 8080). Options win over the environment, and the environment wins over the file.
    """
    failure, code = "", 1
    given = {name: value for name, value in flags.items() if value not in (None, ())}
    # Until the server listens for it: a closed terminal's signal ends nothing.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)

    def read() -> Settings:
        settings = load(given, os.environ, config or _path(os.environ.get(CONFIG_VARIABLE)))
        configure_logging(settings.server.log_level, settings.server.log_format)
        return settings

    try:
        settings = read()
    except SettingsError as error:
        _fail(str(error), _EXIT_USAGE)
    try:
        trio.run(serve_until_signal, settings, lambda running: _announce(settings, running), read)
    except* (StartError, ChildSettingsError, JournalFileError) as group:
        failure, code = str(_innermost(group)), _EXIT_USAGE
    except* ChildStartError as group:
        failure = str(_innermost(group))
    if failure:
        _fail(failure, code)


@main.command(name="settings")
def show_settings() -> None:
    """Print all settings of the server as a table (Markdown)."""
    click.echo(markdown_table(), nl=False)


main.add_command(mediaserver)
main.add_command(replay)
main.add_command(diagram)
main.add_command(spec)
main.add_command(conformance)


def configure_logging(level: str, style: str) -> None:
    """Log to the standard error, either as lines for people or as JSON. Raises `SettingsError`."""
    numeric = logging.getLevelNamesMapping().get(level.upper())
    if numeric is None:
        raise SettingsError(f"--log-level (log_level): {level} is not debug, info, warning or error")
    if style not in ("console", "json"):
        raise SettingsError(f"--log-format (log_format): {style} is neither console nor json")
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if style == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(numeric),
        logger_factory=structlog.PrintLoggerFactory(cast("TextIO", _Lasting(sys.stderr))),
    )


class _Lasting:
    """A stream whose reader may go away, as a closed terminal does: what is written then is lost, and no error."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        with suppress(OSError, ValueError):
            self._stream.write(text)

    def flush(self) -> None:
        with suppress(OSError, ValueError):
            self._stream.flush()


def _innermost(error: BaseException) -> BaseException:
    """The first of the errors that a group, and the groups in it, hold."""
    return _innermost(error.exceptions[0]) if isinstance(error, BaseExceptionGroup) else error


def _announce(settings: Settings, running: Running) -> None:
    addresses = addresses_to_open(settings, running.port)
    # A token that was set is known; one that was made is told here, and nowhere else.
    token = "" if settings.web.inspect_token is not None else f"?token={running.inspect_token}"
    inspector = f"inspector: {addresses[0]}inspect{token} ; " if settings.web.inspect else ""
    click.echo(f"roomfsm is at {addresses[0]}  ({inspector}Ctrl-C ends it)")
    for address in addresses[1:]:
        click.echo(f"      also at {address}")
    if settings.server.certfile is None and len(addresses) > 1:
        click.echo("  (Browsers let a page use the camera only at https:// or localhost: see --certfile.)")
    sys.stdout.flush()


def _path(text: str | None) -> Path | None:
    return Path(text) if text else None


def _fail(message: str, code: int) -> NoReturn:
    click.echo(f"roomfsm: {message}", err=True)
    sys.exit(code)
