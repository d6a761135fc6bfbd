"""The composition root: starts all parts of the server, and ends them gracefully."""

from __future__ import annotations

import dataclasses
import gc
import importlib
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import trio
from quart import Blueprint

from roomfsm.access.policy import Policies
from roomfsm.certificates import Certificate, CertificateError, read_certificate
from roomfsm.door.front_door import FrontDoor
from roomfsm.door.listeners import ListenError, listen_on, open_listeners
from roomfsm.door.settings import DoorSettings
from roomfsm.files.store import FileFolderError, FileStore, open_file_store
from roomfsm.hosts import host_setting
from roomfsm.kurento.objects import PipelinePlace
from roomfsm.kurento.owner import Owner, node_name
from roomfsm.kurento.pool import MediaPool, open_media_pool
from roomfsm.kurento.settings import KurentoSettings
from roomfsm.lifecycle.server import ServerEffect, ServerFacts
from roomfsm.log import get_logger
from roomfsm.media_memory import MediaMemory
from roomfsm.media_server_child import ChildSettings, MediaServerChild, open_media_server_child
from roomfsm.open_files import allow_open_files, connections_possible
from roomfsm.protocol import names
from roomfsm.reload import Read, reload
from roomfsm.rooms.directory import Directory, open_directory
from roomfsm.rooms.journal_file import open_journal_file
from roomfsm.rooms.media_servers import MediaServers
from roomfsm.rooms.observers import Observers
from roomfsm.rooms.record import NOTHING_KEPT
from roomfsm.rooms.room import RESTARTING, SHUTDOWN
from roomfsm.rooms.server_life import ServerLife
from roomfsm.rooms.writer import Writer, open_writer
from roomfsm.settings import ServerSettings, Settings
from roomfsm.signaling.come_back import SETTLED_WITHIN, come_back
from roomfsm.signaling.entrance import open_entrance
from roomfsm.signaling.registry import Registry, open_registry
from roomfsm.signaling.session import limits_of
from roomfsm.store.interface import StoreError
from roomfsm.store.opening import folder_of, is_default, open_store
from roomfsm.web.access import Access, new_token
from roomfsm.web.across import Across
from roomfsm.web.api.api import AdminAccess, create_api
from roomfsm.web.api.handlers import Parts
from roomfsm.web.app import create_app, create_metrics_app
from roomfsm.web.file_exchange import bounds_of, create_files, with_uploads
from roomfsm.web.http import open_http_server
from roomfsm.web.metrics import MetricsAccess, create_metrics
from roomfsm.web.others import Others
from roomfsm.webhooks.delivery import Webhooks, open_webhooks

if TYPE_CHECKING:
    from roomfsm.cluster import Cluster
    from roomfsm.metrics.page import MetricsPage

DRAIN_DEADLINE = 3.5
"""Seconds for the rooms and connections to end. Together with the end of the media server it takes less than 5
s."""
_FLUSH = 1.0
"""Seconds that the end of the server gives the store, so that browsers still learn that it ends."""
_METRICS_CONNECTIONS = 64
"""The most connections at `--metrics-bind`."""

_EMBEDDED = "embedded"
"""The owner of what is in our own media server."""
_ANSWER_PATIENCE = 1.0
"""Seconds in which a media server must answer during the shutdown. Otherwise it counts as lost."""


@dataclass(slots=True)
class Running:
    """A server that accepts connections."""

    port: int
    directory: Directory
    registry: Registry
    across: Across
    door: FrontDoor
    access: Access
    metrics_access: MetricsAccess
    admin: AdminAccess
    webhooks: Webhooks
    _certificate: Certificate | None
    _cluster: Cluster | None

    @property
    def inspect_token(self) -> str:
        """The token that opens the inspector."""
        return self.access.token

    def apply(self, settings: Settings) -> None:
        """Use these settings from now on, as far as they can change at run time (`roomfsm.reload`)."""
        self.door.apply(_door_settings(settings, self._certificate))
        self.registry.settings = settings.signaling
        self.directory.policies = _policies(settings)
        self.registry.entrance.apply(settings.access)
        if settings.web.inspect_token is not None:
            self.access.token = settings.web.inspect_token
        self.metrics_access.token = settings.web.metrics_token
        self.admin.token = settings.web.admin_token
        self.webhooks.apply(settings.webhooks)
        if self._cluster is not None:
            self._cluster.apply(settings)

    async def drain(self, seconds: float) -> None:
        """Open no more rooms, and give people so many seconds. Returns early if nobody is left.

        If there are other nodes, they get the rooms, and nobody has to leave.
        """
        if self._cluster is not None:
            await self._cluster.hand_over()
        await self.registry.drain(seconds)

    async def renew_certificate(self, settings: Settings) -> str | None:
        """Use the certificate in its file from now on. Returns the reason if that is not possible."""
        if (self.door.tls is not None) != settings.server.https:
            return "HTTPS is turned on and off at the next start only"
        try:
            certificate = await read_certificate(settings)
        except CertificateError as error:
            return str(error)
        if certificate is not None:
            self._certificate, self.door.tls = certificate, certificate.tls
        return None


@dataclass(frozen=True, slots=True)
class _Media:
    """The media servers, and our child among them, if there is one."""

    pool: MediaPool
    child: MediaServerChild | None = None
    is_shared: bool = False
    """Whether other nodes use our child, too."""

    @property
    def can_stay(self) -> bool:
        """Whether the media servers go on without this run, and the next one finds them."""
        return self.child is None or self.child.may_be_left

    def leave(self) -> None:
        """Let our child be at the end, if something in it is left to the next run."""
        if self.child is not None:
            self.child.leaves = self.pool.leaves(self.child.url)

    def leave_to_others(self) -> None:
        """Let our child be at the end, if other nodes have something in it. The next run takes it over."""
        if self.child is not None:
            self.child.leaves = self.is_shared

    async def give_up_silent(self) -> None:
        """Prepare the shutdown: do not wait for a media server that hangs, nor for the child's goodbye."""
        silent = await self.pool.give_up_silent(_ANSWER_PATIENCE)
        if self.child is not None and self.child.url in silent:
            self.child.does_not_answer()


class End:
    """When the server is to end, and how. Whoever runs it asks for that."""

    def __init__(self) -> None:
        self.asked = trio.Event()
        self.is_restart = False
        """Whether the server is started again at once, so that it leaves the media to its next run."""
        self._starting = trio.CancelScope()

    def ask(self, *, is_restart: bool) -> None:
        """End the server. If this is called several times, the end is a restart only if each call says so."""
        self.is_restart = is_restart and (self.is_restart or not self.asked.is_set())
        self.asked.set()
        self._starting.cancel()

    @contextmanager
    def interrupts(self) -> Iterator[None]:
        """The scope of the start, or of the part of it that can be interrupted from now on."""
        with trio.CancelScope() as self._starting:
            yield


class StartError(Exception):
    """The server cannot start with its settings."""


async def serve_until_signal(
    settings: Settings, announce: Callable[[Running], None], read: Read, sockets: Sequence[socket.socket] = ()
) -> None:
    """Run the server until SIGTERM or Ctrl-C, and then end it gracefully. On SIGHUP, `read` the settings again.

    It listens on these sockets, if there are any.

    After SIGTERM people first get the time of `--drain`. A second signal of either kind ends that time. SIGTERM is
    how the server is restarted: what goes on is left to the next run, if that can find it. Ctrl-C ends everything.

    A signal during the start cancels the start. Raises `StartError`, `ChildStartError` or `JournalFileError`, in a
    group.
    """
    allow_open_files()
    signals = _Signals()
    async with trio.open_nursery() as nursery:
        await nursery.start(signals.listen)
        with signals.end.interrupts():
            async with open_server(settings, sockets, signals.end) as running, trio.open_nursery() as reloading:
                # Imported modules live as long as the program. A full collection that skips them stops an idle
                # server for 0.2 ms instead of 20 ms, and a server with a thousand people for 85 ms instead of 115
                # ms.
                gc.collect()
                gc.freeze()
                if signals.end.asked.is_set():  # During the start: nobody is there.
                    signals.countdown.cancel()
                else:
                    announce(running)
                reloading.start_soon(_reload_when_told, signals, settings, read, running)
                await signals.end.asked.wait()
                if settings.server.drain and not signals.countdown.cancel_called:
                    people = sum(len(room.people) for room in running.directory.rooms())
                    get_logger(__name__).info(
                        "draining, another signal ends it now", seconds=settings.server.drain, people=people
                    )
                    with signals.countdown:
                        await running.drain(settings.server.drain)
                reloading.cancel_scope.cancel()
        nursery.cancel_scope.cancel()


class _Signals:
    """Handles the signals of the system."""

    def __init__(self) -> None:
        self.end = End()
        self.read_again = trio.Event()
        self.countdown = trio.CancelScope()
        """The scope of the time that people get after SIGTERM. Whoever presses Ctrl-C wants no countdown."""

    async def listen(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Handle signals until cancelled.

        A second signal ends the countdown, and after a Ctrl-C nothing is left to the next run. What comes then is
        limited in time, and `uv run` passes each Ctrl-C on, so that the program gets it twice.
        """
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
            task_status.started()
            async for number in signals:
                if number == signal.SIGHUP:
                    self.read_again.set()
                    continue
                if not self.end.asked.is_set():
                    get_logger(__name__).info("server ends", signal=signal.Signals(number).name)
                if number == signal.SIGINT or self.end.asked.is_set():
                    self.countdown.cancel()
                self.end.ask(is_restart=number == signal.SIGTERM)


async def _reload_when_told(signals: _Signals, settings: Settings, read: Read, running: Running) -> None:
    while True:
        await signals.read_again.wait()
        signals.read_again = trio.Event()
        settings = await reload(settings, read, running)


@asynccontextmanager
async def open_server(
    settings: Settings, sockets: Sequence[socket.socket] = (), end: End | None = None
) -> AsyncIterator[Running]:
    """The whole room server. It listens on these sockets, or else where the settings say.

    At the end of the scope everybody is told, every endpoint is released, or left to the next run as `end` says,
    and every socket is closed. If the end is asked for during the start, nobody is let in.

    It can run inside another program. It handles no signals, configures no log (see `roomfsm.log`), patches no
    library, and does not change the limit of open files, which limits its connections.

    Raises `StartError`, `ChildStartError` or `JournalFileError`.
    """
    life, policies, end = ServerLife(), _policies(settings), end or End()
    # Steps that may fail because of wrong settings come first, before anything is started.
    try:
        certificate = await read_certificate(settings)
    except CertificateError as error:
        raise StartError(str(error)) from error
    admin = AdminAccess(settings.web.admin_token)
    access = Access(settings.web.inspect_token or new_token(), settings.door.path_prefix)
    metrics_access = MetricsAccess(settings.web.metrics_token)

    others = Others(settings.web.node_list_timeout)

    async def write_metrics(accept: str) -> tuple[bytes, str]:
        return await metrics.write(accept)

    async with (
        _open_tracing(settings.server),
        _open_listeners(settings.server.host, settings.server.port, sockets=sockets) as listeners,
        _open_metrics_port(settings, create_metrics(write_metrics, metrics_access, is_open=True)) as metrics_port,
        open_journal_file(settings.rooms) as write_journal,
        _open_cluster(settings) as cluster,
        _open_writer(settings, _port(listeners), cluster) as writer,
        _open_media(settings, _port(listeners), writer, cluster) as media,
        open_webhooks(settings.webhooks) as webhooks,
        _open_files(settings) as files,
        open_directory(
            media.pool,
            settings.rooms,
            write_journal,
            life,
            policies,
            Observers(webhooks.observers),
            files,
            NOTHING_KEPT if writer is None else writer,
        ) as directory,
        open_entrance(settings.access, directory.policy_of) as entrance,
        open_registry(
            directory,
            settings.signaling,
            limits_of(
                settings.signaling, settings.rooms, None if files is None else settings.files.max_file_bytes
            ),
            entrance,
        ) as registry,
        _open_media_servers(settings, media, directory, cluster) as media_servers,
        open_http_server(
            create_app(
                directory,
                media.pool,
                lambda: len(registry),
                settings.web,
                access,
                create_metrics(write_metrics, metrics_access, is_open=False),
                create_files(files),
                create_api(
                    Parts(
                        directory=directory,
                        pool=media.pool,
                        media_servers=media_servers,
                        session_count=lambda: len(registry),
                        grant=lambda join: entrance.grant(join, None),
                        access=lambda: entrance.settings,
                        others=others,
                    ),
                    admin,
                    settings.door.path_prefix,
                ),
                lambda: admin.token is not None,
                others,
            )
        ) as serve_http,
    ):
        bound_of = bounds_of(files, settings.door.body_timeout)
        across = Across(others, files, with_uploads(files, serve_http), bound_of, settings.web, settings.door)
        door = FrontDoor(
            _door_settings(settings, certificate),
            registry.serve,
            across.serve,
            lambda: registry.full,
            None if certificate is None else certificate.tls,
            bound_of,
        )
        metrics = _Metrics(directory, registry, media.pool, door, files, writer, cluster)
        port = _port(listeners)

        def close_listeners() -> None:
            for listener in listeners:
                listener.socket.close()

        life.leave["listeners"] = close_listeners

        async def accept(*, task_status: trio.TaskStatus[None]) -> None:
            async with trio.open_nursery() as acceptor:
                life.leave["listeners"] = acceptor.cancel_scope.cancel
                acceptor.start_soon(trio.to_thread.run_sync, names.prepare)
                await acceptor.start(door.serve, listeners, connections)
                acceptor.start_soon(metrics_port, connections)
                task_status.started()

        async with trio.open_nursery() as connections:
            try:
                # Browsers can connect already, and wait until the rooms are there. Once this scope is over, asking
                # for the end interrupts nothing any more.
                with end.interrupts():
                    if cluster is None:
                        await _come_back(writer, directory, registry, media.pool)
                    else:
                        # Its rooms come back as the nodes share them.
                        assert writer is not None
                        media.pool.resume()
                        cluster.attach(writer, directory, registry, across, media_servers)
                        media.pool.look_again = cluster.look_at_media_servers
                        others.look_at_node = cluster.look
                if not end.asked.is_set():
                    await connections.start(accept)
                    if cluster is not None:
                        # It goes on until the last browser has learned that the server ends.
                        await connections.start(cluster.run)
                    life.fire("opened")
                yield Running(
                    port,
                    directory,
                    registry,
                    across,
                    door,
                    access,
                    metrics_access,
                    admin,
                    webhooks,
                    certificate,
                    cluster,
                )
            except StartError:
                # The next start goes on with what this one could not take over.
                end.is_restart = True
                raise
            finally:
                if cluster is not None:
                    life.fire("stop")
                    # It has a deadline of its own, so that a Redis that hangs leaves the rest its time.
                    with trio.CancelScope(shield=True):
                        await cluster.hand_over()
                with trio.move_on_after(DRAIN_DEADLINE, shield=True):
                    # What the next run could take over, other nodes have got.
                    stays = end.is_restart and cluster is None
                    await _drain(media, directory, registry, writer, is_restart=stays)
                if end.is_restart and cluster is not None:
                    media.leave_to_others()
                life.fire("drained")
                connections.cancel_scope.cancel()


def _policies(settings: Settings) -> Policies:
    return Policies(settings.policies, require_token=settings.access.require_token)


def _door_settings(settings: Settings, certificate: Certificate | None) -> DoorSettings:
    """The settings of the front door, with values that follow from other settings and from the system."""
    return dataclasses.replace(
        settings.door,
        max_connections=_connections(settings),
        host_name=_host_names(settings, certificate),
    )


def _host_names(settings: Settings, certificate: Certificate | None) -> tuple[str, ...]:
    """The names to which we answer: those of the settings, those on which we listen, and those of the
    certificate.
    """
    ours = [
        name for name in map(host_setting, (*settings.door.host_name, *settings.server.host)) if name is not None
    ]
    names = () if certificate is None else certificate.names
    return tuple(dict.fromkeys((*ours, *names)))


def _connections(settings: Settings) -> int:
    """The most connections that the settings and the system allow."""
    possible = connections_possible()
    if possible < settings.signaling.max_sessions:
        get_logger(__name__).warning(
            "fewer connections than sessions",
            connections=possible,
            sessions=settings.signaling.max_sessions,
            see="ulimit -n, --max-sessions",
        )
    return min(possible, settings.door.max_connections)


async def _drain(
    media: _Media, directory: Directory, registry: Registry, writer: Writer | None, *, is_restart: bool
) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(media.give_up_silent)
        if is_restart:
            stay = await _flush(writer) and media.can_stay
            step = directory.life.fire("start_again", ServerFacts(media_stay=stay))
        else:
            step = directory.life.fire("stop")
        if ServerEffect.TELL_RESTARTING in step.effects:
            registry.close(RESTARTING)
            await directory.hand_over()
            media.leave()
        else:
            registry.close(SHUTDOWN)
            await directory.close()
        # Some of what people are to be told may wait for the store.
        await _flush(writer)
        await registry.disconnect()


async def _flush(writer: Writer | None) -> bool:
    """Wait until the store has everything that was noted so far. Returns whether it has."""
    if writer is None:
        return False
    with trio.move_on_after(_FLUSH):
        await writer.flush()
        return writer.keeps
    return False


class _Metrics:
    """The page of metrics. What it needs is imported when somebody asks for the first time."""

    def __init__(
        self,
        directory: Directory,
        registry: Registry,
        pool: MediaPool,
        door: FrontDoor,
        files: FileStore | None,
        writer: Writer | None,
        cluster: Cluster | None,
    ) -> None:
        self._parts = (directory, registry, pool, door, files, writer, cluster)
        self._page: MetricsPage | None = None

    async def write(self, accept: str) -> tuple[bytes, str]:
        """The page and its content type (`roomfsm.metrics.page`)."""
        if self._page is None:
            # In a thread, because it takes a tenth of a second.
            self._page = await trio.to_thread.run_sync(self._make)
        return await self._page.write(accept)

    def _make(self) -> MetricsPage:
        from roomfsm.metrics.page import MetricsPage

        return MetricsPage(*self._parts)


@asynccontextmanager
async def _open_cluster(settings: Settings) -> AsyncIterator[Cluster | None]:
    """This server's part in a set of nodes; None if it is the only server. What it needs is imported only then."""
    url = settings.store.store
    if settings.nodes.node is None or url is None:
        yield None
        return
    try:
        await trio.to_thread.run_sync(importlib.import_module, "roomfsm.cluster")
    except ModuleNotFoundError as error:
        raise StartError(_lacking(error)) from error
    from roomfsm.cluster import Cluster, NameTaken

    cluster = Cluster(url, settings)
    async with AsyncExitStack() as stack:
        try:
            await stack.enter_async_context(cluster.joined())
        except (StoreError, NameTaken) as error:
            raise StartError(str(error)) from error
        yield cluster


def _lacking(error: ModuleNotFoundError) -> str:
    return f"--store needs {error.name}, which is not installed: pip install 'roomfsm[redis]'"


@asynccontextmanager
async def _open_writer(settings: Settings, port: int, cluster: Cluster | None) -> AsyncIterator[Writer | None]:
    """What keeps the rooms, or None if nothing does."""
    async with AsyncExitStack() as stack:
        name = node_name(",".join(settings.server.host), port)
        fence = None if cluster is None else lambda: cluster.membership.fence
        try:
            store = await stack.enter_async_context(open_store(settings.store, name, fence))
        except StoreError as error:
            if not is_default(settings.store):
                raise StartError(str(error)) from error
            # Nobody has asked for it: a second server on a laptop, or one without a home, does without.
            get_logger(__name__).warning(
                "rooms are not kept", why=error.detail, code=error.code, mend=error.code.mend
            )
            yield None
            return
        except ModuleNotFoundError as error:
            raise StartError(_lacking(error)) from error
        if store is None:
            yield None
            return
        get_logger(__name__).info("rooms are kept", place=store.place)
        may_promise = (lambda: True) if cluster is None else lambda: cluster.membership.holds
        yield await stack.enter_async_context(open_writer(store, settings.store, may_promise))


async def _come_back(writer: Writer | None, directory: Directory, registry: Registry, pool: MediaPool) -> None:
    """Bring back the rooms, and their media as far as they are still there."""
    places: Sequence[PipelinePlace] = ()
    if writer is not None:
        try:
            places = await come_back(writer.store, directory, registry, writer.counts)
        except StoreError as error:
            raise StartError(str(error)) from error
    pool.resume(places)
    with trio.move_on_after(SETTLED_WITHIN):
        # Who comes back sees what goes on, and not what is about to end.
        for room in directory.rooms():
            await room.until_settled()


@asynccontextmanager
async def _open_files(settings: Settings) -> AsyncIterator[FileStore | None]:
    async with AsyncExitStack() as stack:
        try:
            files = await stack.enter_async_context(open_file_store(settings.files))
        except FileFolderError as error:
            raise StartError(str(error)) from error
        yield files


@asynccontextmanager
async def _open_tracing(settings: ServerSettings) -> AsyncIterator[None]:
    """Send traces to `--otlp-endpoint`, if it is set. Only then its libraries are imported."""
    if settings.otlp_endpoint is None:
        yield
        return
    try:
        otlp = await trio.to_thread.run_sync(importlib.import_module, "roomfsm.otlp")
    except ModuleNotFoundError as error:
        raise StartError(
            f"--otlp-endpoint needs {error.name}, which is not installed: pip install 'roomfsm[tracing]'"
        ) from error
    async with otlp.open_otlp(settings.otlp_endpoint):
        yield


type _Serve = Callable[[trio.Nursery], Awaitable[None]]


@asynccontextmanager
async def _open_metrics_port(settings: Settings, metrics: Blueprint) -> AsyncIterator[_Serve]:
    """Listen at `--metrics-bind`, if it is set. Yields what serves the port, with its connections in a nursery."""
    if settings.web.metrics_address is None:

        async def serve_nothing(_: trio.Nursery) -> None:
            pass

        yield serve_nothing
        return
    host, port = settings.web.metrics_address
    async with (
        _open_listeners((host,), port, "--metrics-bind") as listeners,
        open_http_server(create_metrics_app(metrics)) as serve_http,
    ):
        own = dataclasses.replace(
            settings.door,
            path_prefix="",
            max_connections=_METRICS_CONNECTIONS,
            host_name=_host_names(settings, None),
        )
        door = FrontDoor(own, None, serve_http, lambda: False)

        async def serve(connections: trio.Nursery) -> None:
            await door.serve(listeners, connections)

        yield serve


@asynccontextmanager
async def _open_listeners(
    hosts: Sequence[str], port: int, flags: str = "--host and --port", sockets: Sequence[socket.socket] = ()
) -> AsyncIterator[list[trio.SocketListener]]:
    async with AsyncExitStack() as stack:
        try:
            opening = listen_on(sockets) if sockets else open_listeners(hosts, port)
            listeners = await stack.enter_async_context(opening)
        except ListenError as error:
            raise StartError(f"{error} (see {flags})") from error
        yield listeners


@asynccontextmanager
async def _open_media(
    settings: Settings, port: int, writer: Writer | None, cluster: Cluster | None
) -> AsyncIterator[_Media]:
    """The media servers of the settings, or else an embedded one, which may be that of an earlier run.

    Other nodes use those of the settings, too, and the embedded one if it is shared. Rooms move with what they
    have there.

    The pool connects when it is told to `resume`.
    """
    server = settings.server
    # The name of the run must be another one at each node, because they share media servers.
    owner: Owner | None = Owner(node_name(",".join(server.host), port))
    kurento, is_ours = KurentoSettings(secret=server.kurento_secret), None
    if cluster is not None:
        # The rooms of a node that is gone move when its lease is over.
        slowly = kurento.adoption_time + 2 * settings.nodes.node_lease
        kurento = dataclasses.replace(kurento, adoption_time=slowly)
        is_ours = partial(_holds, cluster)
    if server.kurento:
        async with open_media_pool(server.kurento, kurento, owner, at_once=False, is_ours=is_ours) as pool:
            yield _Media(pool)
        return
    child_host, child_port = server.media_server_address
    child_settings = ChildSettings(
        host=child_host,
        port=child_port,
        media_host=server.media_host,
        media_port=server.media_port,
        media_tcp_port=server.media_tcp_port,
        announced_tcp_port=server.announced_tcp_port,
        announced_addresses=server.announced_address,
        workers=server.media_workers,
        linger=server.media_linger,
    )
    memory = None
    if writer is not None:
        memory = MediaMemory(writer.store, None if settings.store.store else folder_of(settings.store))
    if cluster is None:
        # Nobody else knows its secret, so what an earlier run has left there was ours.
        owner = None if writer is None else Owner(_EMBEDDED)
    async with open_media_server_child(child_settings, get_logger(__name__), memory) as child:
        kurento = dataclasses.replace(kurento, secret=child.secret)
        async with open_media_pool(
            (child.url,),
            kurento,
            owner,
            at_once=False,
            is_ours=is_ours,
            is_private=server.share_media_server is None,
        ) as pool:
            child.holder = pool
            yield _Media(pool, child, server.share_media_server is not None)


@asynccontextmanager
async def _open_media_servers(
    settings: Settings, media: _Media, directory: Directory, cluster: Cluster | None
) -> AsyncIterator[MediaServers]:
    """What an administrator sees of the media servers. All nodes share them."""
    server, is_embedded = settings.server, media.child is not None
    open_servers = partial(
        MediaServers, media.pool, server.max_media_servers, directory.counts, is_embedded=is_embedded
    )
    if cluster is None:
        yield open_servers()
        return
    listed, private = dict.fromkeys(server.kurento, server.kurento_secret), []
    if media.child is not None and server.share_media_server is not None:
        listed[media.child.url] = media.child.secret
    elif media.child is not None:
        private.append(media.child.url)
    async with AsyncExitStack() as stack:
        try:
            register = await stack.enter_async_context(cluster.media_register(listed))
        except StoreError as error:
            raise StartError(str(error)) from error
        yield open_servers(register=register, private=private)


def _holds(cluster: Cluster) -> bool:
    """Whether this node's lease certainly goes on."""
    return cluster.membership.holds


def _port(listeners: Sequence[trio.SocketListener]) -> int:
    port: int = listeners[0].socket.getsockname()[1]
    return port
