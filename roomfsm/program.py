"""The room server as a program: its log, its output, and its exit code.

Everything that changes the process as a whole is done here and in `roomfsm.server.serve_until_signal`: the log,
signals, the limit of open files, and the garbage collector. `open_server` changes nothing of the process, which
may belong to another program.
"""

from __future__ import annotations

import dataclasses
import logging
import os
import socket
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TextIO, cast

import click
import structlog
import trio

from roomfsm.addresses import address_for_phones, addresses_to_open
from roomfsm.door.inherited import addresses_of, inherited_sockets
from roomfsm.door.listeners import ListenError
from roomfsm.media_server_child import ChildSettingsError
from roomfsm.rooms.journal_file import JournalFileError
from roomfsm.server import Running, StartError, serve_until_signal
from roomfsm.settings import Settings
from roomfsm.supervise import ChildStartError

_EXIT_FAILED, _EXIT_USAGE = 1, 2


def run(settings: Settings, read: Callable[[], Settings]) -> int:
    """Serve until a signal ends the program. `read` reads the settings again. Returns the exit code."""

    def read_anew() -> Settings:
        new = read()
        configure_logging(new)
        return _listening_at(sockets, new)

    configure_logging(settings)
    failure, code = "", 0
    try:
        sockets = inherited_sockets(os.environ)
    except ListenError as error:
        click.echo(f"roomfsm: {error}", err=True)
        return _EXIT_USAGE
    settings = _listening_at(sockets, settings)
    try:
        trio.run(serve_until_signal, settings, lambda running: _announce(settings, running), read_anew, sockets)
    except* (StartError, ChildSettingsError, JournalFileError) as group:
        failure, code = str(_innermost(group)), _EXIT_USAGE
    except* ChildStartError as group:
        failure, code = str(_innermost(group)), _EXIT_FAILED
    if failure:
        click.echo(f"roomfsm: {failure}", err=True)
    return code


def _listening_at(sockets: Sequence[socket.socket], settings: Settings) -> Settings:
    """The settings with the addresses of these sockets, if there are any."""
    if not sockets:
        return settings
    host, port = addresses_of(sockets)
    return dataclasses.replace(settings, server=dataclasses.replace(settings.server, host=host, port=port))


def configure_logging(settings: Settings) -> None:
    """Log to the standard error, as lines for people or as JSON. Log entries of libraries go the same way."""
    level = logging.getLevelNamesMapping()[settings.server.log_level.upper()]
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if settings.server.log_format == "json"
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
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(cast("TextIO", _Lasting(sys.stderr))),
    )
    logging.basicConfig(level=max(level, logging.WARNING), handlers=[_OfLibraries()], force=True)


class _OfLibraries(logging.Handler):
    """Passes log entries that libraries make by the standard library to structlog."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            event, more = record.getMessage(), {} if record.exc_info is None else {"exc_info": record.exc_info}
        except Exception:  # noqa: BLE001 (as every handler does: logging never fails)
            self.handleError(record)
            return
        structlog.get_logger().log(record.levelno, event, logger=record.name, **more)


class _Lasting:
    """A stream whose reader may go away, such as a closed terminal.

    Text that is written after that is lost, without an error.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        with suppress(OSError, ValueError):
            self._stream.write(text)

    def flush(self) -> None:
        with suppress(OSError, ValueError):
            self._stream.flush()


def _innermost(error: BaseException) -> BaseException:
    """The first error in a group and the groups within it."""
    return _innermost(error.exceptions[0]) if isinstance(error, BaseExceptionGroup) else error


def _announce(settings: Settings, running: Running) -> None:
    addresses = addresses_to_open(settings, running.port)
    # A token from the settings is known to the operator. A token that the server made is printed here and nowhere
    # else.
    token = "" if settings.web.inspect_token is not None else f"?token={running.inspect_token}"
    inspector = f"inspector: {addresses[0]}inspect{token} ; " if settings.web.inspect else ""
    click.echo(f"roomfsm is at {addresses[0]}  ({inspector}Ctrl-C ends it)")
    for address in addresses[1:]:
        click.echo(f"      also at {address}")
    if not settings.server.https and len(addresses) > 1:
        click.echo("  (Browsers let a page use the camera only at https:// or localhost: see --tls self-signed.)")
    if settings.server.tls is not None:
        _invite_phones(addresses)
    sys.stdout.flush()


def _invite_phones(addresses: Sequence[str]) -> None:
    """Say how a phone opens the server with its self-signed certificate."""
    click.echo("  (Browsers warn once of the self-signed certificate. Then the page may use the camera.)")
    address = address_for_phones(addresses)
    if address is None:
        click.echo("  (Only this computer can open it. To let phones in, start it with --host 0.0.0.0 as well.)")
    elif sys.stdout.isatty() and "utf" in (sys.stdout.encoding or "").lower():
        # segno is pure Python without dependencies, and draws for terminals.
        import segno

        click.echo(f"  Open {address} on a phone:")
        segno.make(address).terminal(compact=True)
