"""The pool of media servers: which are ready, and which one a new pipeline goes to."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

import trio

from roomfsm.kurento.errors import (
    ConnectionLost,
    KurentoError,
    MediaServerError,
    MediaServerLost,
    MediaServersFull,
    MediaServerUnavailable,
    RequestTimedOut,
    ResourcesExhausted,
)
from roomfsm.kurento.link import Link
from roomfsm.kurento.objects import MediaPipeline, open_pipeline
from roomfsm.kurento.owner import Owner
from roomfsm.kurento.session import Session
from roomfsm.kurento.settings import KurentoSettings
from roomfsm.kurento.sweep import sweep
from roomfsm.log import get_logger

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class MediaServerStatus:
    """One media server at this moment; the ids are None and the counts 0 while it has no session.

    `problem` says in words without addresses why it gets no new pipelines; None if it does.
    """

    url: str
    problem: str | None
    version: str | None
    connected: bool
    session_id: str | None
    server_id: str | None
    pipelines: int
    endpoints: int


class MediaPool:
    """Several media servers as one. Made by `open_media_pool`."""

    def __init__(self, urls: Sequence[str], settings: KurentoSettings, owner: Owner | None = None) -> None:
        self._settings = settings
        self._owner = owner
        self._changed = trio.Event()
        self._links = [Link(url, settings, self._announce) for url in urls]

    def ready(self) -> bool:
        """Whether there is a media server that answers, though it may be full."""
        return any(link.responsive for link in self._links)

    async def wait_ready(self) -> None:
        """Return as soon as there is a media server with a session."""
        while not any(link.usable for link in self._links):
            await self._changed.wait()
        await trio.lowlevel.checkpoint()

    def server_gone(self, url: str, why: str) -> None:
        """The process at `url` has ended, as who started it knows: all that was made in it is lost."""
        for link in self._links:
            if link.url == url:
                link.gone(why)

    def server_ready(self, url: str) -> None:
        """There is a new process at `url`."""
        for link in self._links:
            if link.url == url:
                link.ready()

    async def give_up_silent(self, patience: float) -> list[str]:
        """Count those that do not answer within `patience` seconds as lost, so that no release waits for them.

        Returns their addresses.
        """
        silent: list[str] = []

        async def check(link: Link) -> None:
            if link.session is not None and not await link.answers(patience):
                silent.append(link.url)
                link.gone("it does not answer, and the end is near")

        async with trio.open_nursery() as nursery:
            for link in self._links:
                nursery.start_soon(check, link)
        return silent

    @property
    def servers(self) -> Sequence[MediaServerStatus]:
        return [_status(link) for link in self._links]

    @asynccontextmanager
    async def pipeline(self, tags: Mapping[str, str]) -> AsyncIterator[MediaPipeline]:
        """A new pipeline on the ready media server with the fewest endpoints; released at the end of the scope.

        One that is full, or that makes none, is passed over for the next. Raises `MediaServerUnavailable` when
        none is ready within `ready_timeout` or those that are fail, `MediaServersFull` when they are full, and as
        `MediaPipeline.endpoint`.
        """
        deadline = trio.current_time() + self._settings.ready_timeout
        if self._owner is not None:
            tags = {**tags, **self._owner.tags}
        tried: dict[Session, MediaServerError] = {}
        async with AsyncExitStack() as stack:
            while True:
                session = await self._least_loaded(deadline, tried)
                try:
                    with trio.move_on_after(self._patience(session, tried)):
                        pipeline = await stack.enter_async_context(open_pipeline(session, tags))
                        session.failing_until = -math.inf
                        break
                    raise RequestTimedOut(session.url, "create", self._settings.pipeline_patience)
                except ResourcesExhausted as error:
                    _log.warning("kurento.full", url=session.url, error=str(error))
                    tried[session] = error
                except (KurentoError, RequestTimedOut) as error:
                    _log.warning("kurento.failing", url=session.url, error=str(error))
                    session.failing_until = trio.current_time() + self._settings.full_pause
                    tried[session] = error
                except MediaServerLost:
                    # Nothing was handed out yet: another session is as good.
                    if trio.current_time() >= deadline:
                        raise
            yield pipeline

    def _patience(self, session: Session, tried: Collection[Session]) -> float:
        """Seconds for making a pipeline: as long as may be where nobody else is left to be asked."""
        others = [link for link in self._links if link.usable and link.session not in (session, *tried)]
        return self._settings.pipeline_patience if others else math.inf

    async def _least_loaded(self, deadline: float, tried: Mapping[Session, MediaServerError]) -> Session:
        with trio.move_on_at(deadline):
            await self.wait_ready()
        ready = [
            (link.problem is not None, link.session)
            for link in self._links
            if link.usable and link.session is not None
        ]
        if not ready:
            seconds = self._settings.ready_timeout
            raise MediaServerUnavailable(f"no media server is ready within {seconds:g} s")
        left = [(doubtful, session) for doubtful, session in ready if session not in tried]
        if not left:
            why = " ; ".join(map(str, tried.values()))
            if any(isinstance(error, ResourcesExhausted) for error in tried.values()):
                raise MediaServersFull(f"{len(ready)} media servers are ready, and full: {why}")
            raise MediaServerUnavailable(f"{len(ready)} media servers are ready, and make no pipeline: {why}")

        def load(candidate: tuple[bool, Session]) -> tuple[bool, int, int]:
            doubtful, session = candidate
            return doubtful, session.objects["WebRtcEndpoint"], session.objects["MediaPipeline"]

        return min(left, key=load)[1]

    async def _sweep(self, link: Link, owner: Owner) -> None:
        """Once it can be reached, release what an earlier run of ours left at a media server."""
        while True:
            while not link.connected:
                await self._changed.wait()
            try:
                await sweep(link.url, self._settings, owner)
            except ConnectionLost as error:
                _log.info("kurento.sweep_failed", url=link.url, error=str(error))
                await trio.sleep(self._settings.reconnect_max)
            else:
                return

    def _announce(self) -> None:
        self._changed.set()
        self._changed = trio.Event()


@asynccontextmanager
async def open_media_pool(
    urls: Sequence[str], settings: KurentoSettings | None = None, owner: Owner | None = None
) -> AsyncIterator[MediaPool]:
    """Connect to the media servers at `urls` (`ws://HOST:PORT/kurento`); does not wait for them.

    Pipelines are tagged with `owner`, and those that an earlier run of it left are released. At the end the
    sessions are closed, which releases whatever is left in them, within `release_timeout`. Raises ValueError for
    an address that is not a `ws:` or `wss:` URL.
    """
    for url in urls:
        parts = urlsplit(url)
        if parts.scheme not in ("ws", "wss") or not parts.hostname:
            raise ValueError(f"not a ws: or wss: URL: {url}")
    pool = MediaPool(urls, settings or KurentoSettings(), owner)
    async with trio.open_nursery() as nursery:
        for link in pool._links:
            nursery.start_soon(link.run)
        try:
            async with trio.open_nursery() as sweeping:
                if owner is not None:
                    for link in pool._links:
                        sweeping.start_soon(pool._sweep, link, owner)
                yield pool
                sweeping.cancel_scope.cancel()
        finally:
            with trio.CancelScope(shield=True):
                async with trio.open_nursery() as closing:
                    for link in pool._links:
                        closing.start_soon(link.close)


def _status(link: Link) -> MediaServerStatus:
    session = link.session
    return MediaServerStatus(
        url=link.url,
        problem=link.problem,
        version=link.version,
        connected=link.connected,
        session_id=session.session_id if session else None,
        server_id=session.server_id if session else None,
        pipelines=session.objects["MediaPipeline"] if session else 0,
        endpoints=session.objects["WebRtcEndpoint"] if session else 0,
    )
