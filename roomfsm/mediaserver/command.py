"""The command `mediaserver`: the embedded media server in the foreground, or as a child of the room server."""

from __future__ import annotations

import ipaddress
import logging
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TextIO, cast

import click
import structlog
import trio

from roomfsm.hosts import host_setting
from roomfsm.mediaserver.kurento.limits import SECRET_VARIABLE
from roomfsm.mediaserver.parents import Ready
from roomfsm.mediaserver.program import AddressError, MediaServerSettings, first_error, run_until_told
from roomfsm.open_files import allow_open_files
from roomfsm.ranges import MANY, MAX_PORT, MAX_WORKERS, SECRET_RULE, SettingsError, is_secret

_DEFAULTS = MediaServerSettings()
_EXIT_SETTINGS = 2
"""The exit code if the settings cannot be used. A room server can tell this from a fault of its child."""


def _bound[F: Callable[..., object]](name: str, what: str) -> Callable[[F], F]:
    """The option for one of the :class:`~roomfsm.mediaserver.kurento.limits.Limits`."""
    default = getattr(_DEFAULTS.limits, f"max_{name}")
    return click.option(
        f"--max-{name}", type=click.IntRange(1, MANY), default=default, show_default=True, help=what
    )


@click.command()
@click.option(
    "--host",
    default=_DEFAULTS.host,
    show_default=True,
    help="The address on which Kurento's protocol is served (TCP).",
)
@click.option(
    "--port",
    type=click.IntRange(0, MAX_PORT),
    default=_DEFAULTS.port,
    show_default=True,
    help="The port on which Kurento's protocol is served (TCP).",
)
@click.option(
    "--media-host",
    default=_DEFAULTS.media_host,
    show_default=True,
    help="The address for media (UDP). :: means every interface, IPv4 and IPv6.",
)
@click.option(
    "--host-name",
    "host_names",
    multiple=True,
    help="A name under which clients may call this server, besides its addresses. May be repeated.",
)
@click.option(
    "--secret-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help=f"The file with a secret that clients must know. ${SECRET_VARIABLE} can hold the secret itself instead.",
)
@click.option(
    "--media-port",
    type=click.IntRange(0, MAX_PORT),
    default=_DEFAULTS.media_port,
    show_default=True,
    help="The port for all media (UDP). 0 picks a free one.",
)
@click.option(
    "--media-tcp-port",
    type=click.IntRange(0, MAX_PORT),
    default=_DEFAULTS.media_tcp_port,
    show_default=True,
    help="The port for the media of browsers whose network lets no UDP through (TCP). 0 means none.",
)
@click.option(
    "--announced-tcp-port",
    type=click.IntRange(0, MAX_PORT),
    default=_DEFAULTS.announced_tcp_port,
    show_default=True,
    help="The TCP port that browsers are told, if it is not --media-tcp-port, for example because of a proxy.",
)
@click.option(
    "--announced-address",
    "announced_addresses",
    multiple=True,
    help="The address or host name that browsers are told, if it is not this machine's own, for example because "
    "of a NAT. Add :PORT if the port differs, too. May be repeated.",
)
@click.option(
    "--collector-period",
    type=click.FloatRange(0, MANY, min_open=True),
    default=_DEFAULTS.limits.collector_period,
    show_default=True,
    help="After one to two periods of so many seconds, the objects of a client that is gone are released.",
)
@_bound("sessions", "The most sessions of clients.")
@_bound("objects", "The most pipelines and endpoints of all sessions together.")
@_bound("endpoints", "The most endpoints of all sessions together. Each is the media connection of a browser.")
@click.option(
    "--workers",
    type=click.IntRange(1, MAX_WORKERS),
    default=_DEFAULTS.workers,
    show_default=True,
    help="The number of processes that forward media. Each uses ports of its own, from --media-port and "
    "--media-tcp-port on.",
)
@click.option(
    "--exit-with-parent",
    is_flag=True,
    help="For programs that start this one: end when the standard input ends, announce the address as JSON, and "
    "report each second that the server is alive.",
)
@click.option(
    "--parent-socket",
    type=click.IntRange(min=3),
    hidden=True,
    help="For a room server that starts this program: the descriptor of the listening Unix socket at which the "
    "next room server comes if the first one has vanished.",
)
@click.option(
    "--log-format",
    type=click.Choice(["console", "json"]),
    default="console",
    show_default=True,
    help="How log lines are written.",
)
def mediaserver(
    host: str,
    port: int,
    host_names: tuple[str, ...],
    secret_file: Path | None,
    media_host: str,
    media_port: int,
    media_tcp_port: int,
    announced_tcp_port: int,
    announced_addresses: tuple[str, ...],
    collector_period: float,
    max_sessions: int,
    max_objects: int,
    max_endpoints: int,
    workers: int,
    exit_with_parent: bool,
    parent_socket: int | None,
    log_format: str,
) -> None:
    """Run the embedded media server alone, for any client of Kurento's protocol.

    Clients connect to ws://HOST:PORT/kurento. A request that would exceed one of the limits gets the error 40009,
    NOT_ENOUGH_RESOURCES.
    """
    _configure_logging(log_format, lasting=parent_socket is not None)
    # Until the server handles it, the signal of a closed terminal is ignored.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    secret = _secret(secret_file)
    try:
        settings = MediaServerSettings(
            host=host,
            port=port,
            host_names=tuple(host_setting(name) or name for name in host_names),
            secret=secret,
            media_host=media_host,
            media_port=media_port,
            media_tcp_port=media_tcp_port,
            announced_tcp_port=announced_tcp_port,
            announced_addresses=announced_addresses,
            workers=workers,
            exit_with_parent=exit_with_parent,
            parent_socket=parent_socket,
            limits=replace(
                _DEFAULTS.limits,
                collector_period=collector_period,
                max_sessions=max_sessions,
                max_objects=max_objects,
                max_endpoints=max_endpoints,
            ),
        )
    except SettingsError as error:
        raise click.UsageError(str(error)) from error
    if is_open_to_others(settings):
        structlog.get_logger().warning(
            "everybody who can reach this port can control the media server", host=host, see="--secret-file"
        )
    allow_open_files()
    failure = ""
    try:
        trio.run(run_until_told, settings, _announce_nothing if exit_with_parent else _announce)
    except* AddressError as group:
        failure = str(first_error(group))
    if failure:
        if exit_with_parent:
            structlog.get_logger().error(failure)
        else:
            click.echo(f"roomfsm mediaserver: {failure}", err=True)
        sys.exit(_EXIT_SETTINGS)


def is_open_to_others(settings: MediaServerSettings) -> bool:
    """Whether programs on other machines can reach the control port and need no secret."""
    if settings.secret is not None:
        return False
    try:
        return not ipaddress.ip_address(settings.host).is_loopback
    except ValueError:
        return settings.host != "localhost"


def _secret(file: Path | None) -> str | None:
    # The secret is removed from the environment, because the workers inherit it.
    secret = os.environ.pop(SECRET_VARIABLE, "") or None
    if file is not None:
        try:
            secret = file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise click.BadParameter(f"{file}: {error}", param_hint="--secret-file") from error
    if secret is not None and not is_secret(secret):
        where = f"${SECRET_VARIABLE}" if file is None else str(file)
        raise click.UsageError(f"{where}: {SECRET_RULE}")
    return secret


def _announce(ready: Ready) -> None:
    click.echo(f"Media server at {ready.url}, media at UDP port {ready.media_port}")


def _announce_nothing(_ready: Ready) -> None:
    """A parent is told in its own conversation."""


class _Log:
    """The standard error as a pipe that never waits, and whose reader may be gone: what it cannot take is lost."""

    def write(self, text: str) -> None:
        with suppress(OSError):
            os.write(2, text.encode(errors="replace"))

    def flush(self) -> None:
        """Nothing to do: nothing is held back."""


def _configure_logging(log_format: str, *, lasting: bool) -> None:
    """`lasting` is for a log whose readers come and go."""
    renderer: structlog.typing.Processor = structlog.processors.JSONRenderer()
    if log_format == "console":
        renderer = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(cast("TextIO", _Log()) if lasting else sys.stderr),
    )
