"""The commands `roomfsm serve`, `roomfsm check` and `roomfsm settings`: their options, one for each setting.

Only the code that reads the settings is imported here. The server itself (`roomfsm.program`) is imported after the
settings are read and the first line is printed, so that people see at once that something happens.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import msgspec

from roomfsm.settings import (
    CONFIG_VARIABLE,
    SECRET_FILE,
    Setting,
    Settings,
    SettingsError,
    all_settings,
    load,
    markdown_table,
)

_EXIT_USAGE = 2


def _help(setting: Setting) -> str:
    repeat = " May be repeated." if setting.repeatable else ""
    in_file = f" {SECRET_FILE}PATH reads it from a file." if setting.secret else ""
    default = ", ".join(setting.default) if setting.repeatable else setting.default
    shown = "" if default in (None, "") else f"  [default: {default}]"
    return setting.help + repeat + in_file + shown


def _setting_options[F: Callable[..., Any]](command: F) -> F:
    for setting in reversed(list(all_settings())):
        is_text = setting.repeatable or setting.default is None or isinstance(setting.default, str)
        option = click.option(
            setting.flag,
            setting.name,
            default=None,
            multiple=setting.repeatable,
            metavar="TEXT" if is_text else type(setting.default).__name__.upper(),
            help=_help(setting),
        )
        command = option(command)
    return command


@click.command()
@click.option("--config", type=click.Path(dir_okay=False, path_type=Path), help="The TOML file with settings.")
@_setting_options
def serve(config: Path | None, **flags: Any) -> None:
    """Run the room server, and the embedded media server unless --kurento is given.

    The server prints the address to open in a browser. Ctrl-C ends it.

    Every option can also be set by an environment variable (--port by ROOMFSM_PORT) or in the TOML file of
    --config (port = 8080). Options win over the environment, and the environment wins over the file.
    """
    read = _reader(config, flags)
    # Until the server handles it, the signal of a closed terminal is ignored.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        settings = read()
    except SettingsError as error:
        click.echo(f"roomfsm: {error}", err=True)
        sys.exit(_EXIT_USAGE)
    _say_starting(settings)

    # This is not at the top of the file, because it takes most of the time until the server runs.
    from roomfsm.program import run

    sys.exit(run(settings, read))


@click.command()
@click.option("--config", type=click.Path(dir_okay=False, path_type=Path), help="The TOML file with settings.")
@click.option("--format", "output", type=click.Choice(("text", "json")), default="text", help="How it is printed.")
@_setting_options
def check(config: Path | None, output: str, **flags: Any) -> None:
    """Check a configuration, and say what is wrong and how to mend it.

    It takes the options of `roomfsm serve`. Each line is ok, a warning (it works for some people, or not for long)
    or a fault. With a fault the exit code is 1. Nothing is started and nobody is disturbed, so it can run beside
    the server.
    """
    from roomfsm.check.program import run

    sys.exit(run(_reader(config, flags), output))


@click.command()
def settings() -> None:
    """Print all settings of the server as a table (Markdown)."""
    click.echo(markdown_table(), nl=False)


def _reader(config: Path | None, flags: Mapping[str, Any]) -> Callable[[], Settings]:
    """Reads the settings from the flags, the environment and the file. It raises `SettingsError`."""
    given = {name: value for name, value in flags.items() if value not in (None, ())}
    return lambda: load(given, os.environ, config or _path(os.environ.get(CONFIG_VARIABLE)))


def _say_starting(settings: Settings) -> None:
    """Print the first line, on the standard error and in the format of the log."""
    line = "roomfsm is starting …"
    if settings.server.log_format == "json":
        now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
        line = msgspec.json.encode({"event": "server starts", "level": "info", "timestamp": now}).decode()
    click.echo(line, err=True)


def _path(text: str | None) -> Path | None:
    return Path(text) if text else None
