"""The media server as a program: its settings, its parts, and the signals that end it."""

from __future__ import annotations

import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import trio

from roomfsm import adoption, ranges
from roomfsm.hosts import host_and_port, host_setting
from roomfsm.log import get_logger
from roomfsm.mediaserver.base.settings import EngineSettings
from roomfsm.mediaserver.engine import memory
from roomfsm.mediaserver.engine.engine import Engine, open_engine
from roomfsm.mediaserver.ice import announced
from roomfsm.mediaserver.kurento.limits import Limits
from roomfsm.mediaserver.kurento.registry import Objects
from roomfsm.mediaserver.kurento.server import Clients, open_websocket_server
from roomfsm.mediaserver.parents import Parents, Ready
from roomfsm.mediaserver.workers.workers import Workers, open_workers
from roomfsm.ranges import MAX_PORT, SECRET_RULE, Port, SettingsError, has_ports, is_secret

log = get_logger(__name__)

_UDP_OPTIONS = "--media-host and --media-port"


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaServerSettings:
    """The settings of the media server. Raises `SettingsError`."""

    host: str = "127.0.0.1"
    """The TCP address of the websocket server."""
    port: Port = 8888
    """The TCP port. 0 lets the system choose one."""
    host_names: tuple[str, ...] = ()
    """Names by which clients may call the server, besides `host`, addresses and the loopback names."""
    secret: str | None = field(default=None, repr=False)
    """The secret that a client must know. Without it, every program that can reach `host` may connect."""
    media_host: str = EngineSettings().host
    media_port: Port = EngineSettings().port
    """The UDP port of the first worker. Further workers have the next ports. 0 lets the system choose each of
    them."""
    media_tcp_port: Port = 0
    """The TCP port for the media of the first worker. Further workers have the next ports. 0 means none."""
    announced_tcp_port: Port = 0
    """The TCP port that browsers are told for the first worker. 0 means `media_tcp_port`."""
    announced_addresses: tuple[str, ...] = ()
    workers: ranges.Workers = 1
    """The number of processes that forward media. With one, the process that serves the protocol forwards media
    itself."""
    exit_with_parent: bool = False
    """Whether to exit when the standard input ends, unless it is told to go on (`Parents`)."""
    parent_socket: int | None = None
    """The descriptor of the listening Unix socket at which another parent may come."""
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        ranges.check(self)
        if not has_ports(self.media_port, self.workers):
            raise SettingsError(
                f"--media-port: each of the {self.workers} --workers needs a port,"
                f" and from {self.media_port} on there are {MAX_PORT + 1 - self.media_port}"
            )
        if not has_ports(self.media_tcp_port, self.workers):
            raise SettingsError(f"--media-tcp-port: {self.media_tcp_port} leaves too few ports for the --workers")
        if not has_ports(self.announced_tcp_port, self.workers):
            raise SettingsError(
                f"--announced-tcp-port: {self.announced_tcp_port} leaves too few ports for the --workers"
            )
        for name in self.host_names:
            if host_setting(name) is None:
                raise SettingsError(f"--host-name: not a host name: {name!r}")
        for address in self.announced_addresses:
            try:
                _, port = host_and_port(address)
            except ValueError as error:
                raise SettingsError(f"--announced-address: {error}") from None
            if port is not None and not has_ports(port, self.workers):
                raise SettingsError(f"--announced-address: {address} leaves too few ports for the --workers")
        if self.secret is not None and not is_secret(self.secret):
            raise SettingsError(f"the secret cannot be used: {SECRET_RULE}")

    @property
    def engine(self) -> EngineSettings:
        return EngineSettings(
            host=self.media_host,
            port=self.media_port,
            tcp=self.media_tcp_port > 0,
            tcp_port=self.media_tcp_port,
            announced_tcp_port=self.announced_tcp_port,
            max_peers=self.limits.max_endpoints,
        )


class AddressError(Exception):
    """An address of the settings cannot be used. The message says which one, and why."""


async def run(
    settings: MediaServerSettings, *, task_status: trio.TaskStatus[Ready] = trio.TASK_STATUS_IGNORED
) -> None:
    """Serve until cancelled. Before it returns, every object is released and every peer is closed.

    Raises `AddressError`, in groups.
    """
    addresses = await _announced(settings.announced_addresses)
    engine_settings = replace(settings.engine, announced_addresses=addresses)
    opening: AbstractAsyncContextManager[Engine | Workers] = open_engine(engine_settings)
    if settings.workers > 1:
        opening = open_workers(engine_settings, settings.workers)
    async with AsyncExitStack() as stack:
        media = f"serve media on {settings.media_host}, {_media_ports(settings)}"
        with _saying_what(media, _options(settings)):
            engine = await stack.enter_async_context(opening)
        objects = Objects(engine, settings.limits)
        stack.callback(objects.close)
        clients = Clients((*settings.host_names, settings.host.lower()), settings.secret)
        serving = open_websocket_server(objects, settings.limits, settings.host, settings.port, clients)
        with _saying_what(f"listen on {settings.host}, port {settings.port}", "--host and --port"):
            server = await stack.enter_async_context(serving)
        task_status.started(Ready(server.url, engine.port))
        await announced.follow(settings.announced_addresses, addresses, engine.announce)


async def _announced(given: tuple[str, ...]) -> tuple[str, ...]:
    """The announced addresses at the start; empty if a name cannot be looked up now. Raises `AddressError`."""
    try:
        return await announced.look_up(given)
    except announced.UnknownName as error:
        raise AddressError(f"{error} (see --announced-address)") from error
    except OSError as error:
        # The network may be out of order at the moment. The next look-up will then find the name.
        log.error("announced address not looked up, browsers get our own for now", error=str(error))
        return ()


def _media_ports(settings: MediaServerSettings) -> str:
    udp, tcp = (
        f"{protocol} port {first}"
        if not first or settings.workers == 1
        else f"{protocol} ports {first} to {first + settings.workers - 1}"
        for protocol, first in (("UDP", settings.media_port), ("TCP", settings.media_tcp_port))
    )
    return f"{udp}, {tcp}" if settings.media_tcp_port else udp


def _options(settings: MediaServerSettings) -> str:
    """The options that say where media are served."""
    return "--media-host, --media-port and --media-tcp-port" if settings.media_tcp_port else _UDP_OPTIONS


@contextmanager
def _saying_what(attempt: str, options: str) -> Iterator[None]:
    try:
        yield
    except* OSError as group:
        error = first_error(group)
        raise AddressError(f"cannot {attempt}: {error.strerror or error} (see {options})") from group


def first_error[Error: BaseException](group: BaseExceptionGroup[Error]) -> Error:
    """The first error in a group, however deep it is nested."""
    error = group.exceptions[0]
    return first_error(error) if isinstance(error, BaseExceptionGroup) else error


async def run_until_told(settings: MediaServerSettings, announce: Callable[[Ready], None]) -> None:
    """Call `run` until SIGTERM or Ctrl-C, or with `exit_with_parent` until there is no parent any more.

    With `exit_with_parent`, the loop that forwards the media talks to the parent. Raises `AddressError`, in
    groups.
    """
    # Signals are handled before the server reports that it is ready, because a program that reads the report may
    # send one at once.
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
        async with trio.open_nursery() as nursery:
            ready = await nursery.start(run, settings)
            memory.settle_start_up()
            announce(ready)
            if settings.exit_with_parent:
                nursery.start_soon(_serve_parents, ready, settings, nursery.cancel_scope)
            async for number in signals:
                if number == signal.SIGHUP:
                    # A closed terminal sends this signal, too, which is no reason to end.
                    log.info("media server goes on", signal="SIGHUP")
                    continue
                log.info("media server ends", signal=signal.Signals(number).name)
                nursery.cancel_scope.cancel()
                break


async def _serve_parents(ready: Ready, settings: MediaServerSettings, scope: trio.CancelScope) -> None:
    if settings.parent_socket is None:
        why = await Parents(ready).serve()
    else:
        with socket.socket(fileno=settings.parent_socket) as listener:
            folder = Path(listener.getsockname()).parent
            try:
                why = await Parents(ready, listener, settings.secret).serve()
            finally:
                # Nobody can find this process there any more, and the parent may be gone.
                adoption.remove(folder)
    log.info("media server ends", reason=why)
    scope.cancel()
