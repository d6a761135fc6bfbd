"""The pool of media servers. It knows which of them are ready, and chooses one for each new pipeline."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Mapping, Sequence, Set
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

import trio

from roomfsm.kurento.busy import Measured, measure
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
from roomfsm.kurento.objects import MediaPipeline, PipelinePlace, adopt_pipeline, open_pipeline
from roomfsm.kurento.owner import Owner, is_running
from roomfsm.kurento.requests import CallCounts
from roomfsm.kurento.session import Session
from roomfsm.kurento.settings import KurentoSettings
from roomfsm.kurento.stock import ENDPOINT, PIPELINE, Stock, Traffic, sample_traffic, take_stock
from roomfsm.kurento.sweep import sweep
from roomfsm.kurento.visit import open_visit
from roomfsm.log import get_logger

_TENTH = 10.0

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class MediaServerStatus:
    """The state of one media server now. While it has no session, the ids are None and the counts 0.

    `number` counts the media servers in the order in which they became known, from 1 on.

    `problem` says in words, and without addresses, why the media server gets no new pipelines. It is None if it
    gets them.
    """

    number: int
    url: str
    problem: str | None
    version: str | None
    connected: bool
    session_id: str | None
    server_id: str | None
    pipelines: int
    endpoints: int
    busy: float | None
    """The percent of its processor's cores that it uses, by its last word, and with what we have added since. None
    if it was not asked, because there is no other media server, or did not say."""


class MediaPool:
    """Several media servers that are used as one. `open_media_pool` creates it."""

    def __init__(
        self,
        urls: Sequence[str],
        settings: KurentoSettings,
        owner: Owner | None = None,
        is_ours: Callable[[], bool] | None = None,
        *,
        is_private: bool = False,
    ) -> None:
        self._settings = settings
        self._is_ours = is_ours
        self._private = frozenset(urls if is_private else ())
        """The media servers that only we use."""
        self.owner = owner
        """The run of the room server; None if pipelines have no owner."""
        self._changed = trio.Event()
        self.may_choose: Callable[[str, Collection[str]], bool] = lambda *_: True
        """Whether pipelines may be created at the media server with this address, which also has those others."""
        self.look_again: Callable[[], Awaitable[None]] | None = None
        """Adds the media servers that others know and we do not yet."""
        self._start: Callable[[Link], None] | None = None
        self._begun = trio.Event()
        """Set when the pool begins to connect."""
        self._claims: set[PipelinePlace] = set()
        """The pipelines that are to be adopted, as long as nobody knows whether they are still there."""
        self._used_by_others: set[PipelinePlace] = set()
        """The places that `resume` was told, and that earlier runs still use."""
        self.calls = CallCounts()
        """The requests to all media servers."""
        self._numbers = itertools.count(1)
        self._links: list[Link] = []
        self._traffic: dict[int, Traffic] = {}
        for url in urls:
            self._new_link(url, settings)

    def _new_link(self, url: str, settings: KurentoSettings) -> Link:
        is_ours = None if url in self._private else self._is_ours
        link = Link(url, settings, self._announce, self.calls, next(self._numbers), is_ours)
        self._links.append(link)
        self._traffic[link.number] = Traffic()
        return link

    async def _measure(self, link: Link) -> None:
        """Ask a media server again and again how busy it is, for as long as there are others, too."""
        while link in self._links:
            if len(self._links) > 1 and link.responsive and link.session is not None:
                link.measured = await self._measured(link, link.session.objects[ENDPOINT])
            await trio.sleep(self._settings.measure_interval)

    async def _measured(self, link: Link, endpoints: int) -> Measured | None:
        try:
            with trio.move_on_after(self._settings.request_timeout):
                async with open_visit(link.url, link.settings, self.calls) as there:
                    try:
                        return await measure(there, endpoints)
                    except KurentoError as error:
                        raise ConnectionLost(f"refused: {error}") from error
        except ConnectionLost as error:
            _log.debug("kurento not measured", url=link.url, error=str(error))
        return None

    def resume(self, places: Iterable[PipelinePlace] = ()) -> None:
        """Begin to connect. At these places there are pipelines that will be adopted.

        A link goes on with the session in which most of its pipelines are. What a run has that has not ended
        cannot be adopted. This is called once.
        """
        assert self._start is not None
        places = set(places)
        self._claims = _left_by_the_dead(places)
        self._used_by_others = places - self._claims
        if self.owner is not None:
            runs = {place.left_by for place in self._claims if place.left_by is not None}
            self.owner = replace(self.owner, earlier=tuple(runs))
        for link in self._links:
            there = Counter((one.session_id, one.server_id) for one in self._claims if one.url == link.url)
            for former, _ in there.most_common(1):
                link.resume(*former)
            self._start(link)
        self._begun.set()

    def ready(self) -> bool:
        """Whether at least one media server answers and may be chosen, even if it is full."""
        return any(link.responsive and self._may_choose(link) for link in self._links)

    @property
    def layered(self) -> bool:
        """Whether each media server that may be chosen takes a picture in several layers (simulcast).

        As long as that is not known, it is assumed: a client learns from the answer to its offer.
        """
        return all(link.layered is not False for link in self._usable() or self._links)

    async def wait_ready(self) -> None:
        """Wait until at least one media server has a session, and may be chosen."""
        while not self._usable():
            await self._changed.wait()
        await trio.lowlevel.checkpoint()

    def _usable(self, at: str | None = None) -> list[Link]:
        """The media servers that have a session and may be chosen: all, or the one with the address `at`."""
        return [
            link
            for link in self._links
            if link.usable and link.session is not None and self._may_choose(link) and at in (None, link.url)
        ]

    def _may_choose(self, link: Link) -> bool:
        """Whether pipelines may be created there, by this link.

        A media server that we know by several addresses is used by the first one that works.
        """
        return self._twin(link) is None and self.may_choose(link.url, self.names_of(link.url) - {link.url})

    def _twin(self, link: Link) -> Link | None:
        """The link by which the same media server is used, if it is known by several addresses."""
        names = self.names_of(link.url)
        first = next((one for one in self._links if one.usable and one.url in names), link)
        return None if first is link else first

    def names_of(self, url: str) -> Set[str]:
        """All addresses by which we know the media server at this one. They have the same `serverId`."""
        ids = {link.session.server_id for link in self._links if link.url == url and link.session is not None}
        same = {link.url for link in self._links if link.session is not None and link.session.server_id in ids}
        return same | {url}

    def server_gone(self, url: str, why: str) -> None:
        """Tell the pool that the process at `url` has ended, so that everything in it is lost.

        The starter of the process calls this.
        """
        for link in self._links:
            if link.url == url:
                link.gone(why)

    def server_ready(self, url: str) -> None:
        """Tell the pool that there is a new process at `url`."""
        for link in self._links:
            if link.url == url:
                link.ready()

    async def give_up_silent(self, patience: float) -> list[str]:
        """Treat media servers that do not answer within `patience` seconds as lost, so that no release waits for
        them.

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
    def adoption_time(self) -> float:
        """For so many seconds after a room server has gone, others may adopt what it had."""
        return self._settings.adoption_time

    @property
    def servers(self) -> Sequence[MediaServerStatus]:
        return [_status(link, self._twin(link)) for link in self._links]

    @property
    def traffic(self) -> Mapping[int, Traffic]:
        """The media of each media server by its number, as far as `take_stock` has asked for them."""
        return self._traffic

    async def take_stock(self, patience: float) -> Mapping[int, Stock | None]:
        """Compare what we hold at each media server with what it reports, and ask for its traffic.

        The result is by the numbers of the media servers.
        None stands for a media server that cannot be asked, or does not answer within `patience` seconds.
        """
        # What a media server has is counted once, by whatever addresses we know it.
        links = [link for link in self._links if self._twin(link) is None]
        stocks: dict[int, Stock | None] = {link.number: None for link in links}

        async def visit(link: Link, traffic: Traffic) -> None:
            session = link.session
            if session is None or not link.usable:
                return
            with trio.move_on_after(patience):
                try:
                    async with open_visit(link.url, link.settings, self.calls) as there:
                        try:
                            stocks[link.number] = await take_stock(
                                there, session, self.owner, lambda: link.answers(patience)
                            )
                            await sample_traffic(there, session, traffic)
                        except KurentoError as error:
                            raise ConnectionLost(f"refused: {error}") from error
                except ConnectionLost as error:
                    _log.info("kurento stock not taken", url=link.url, error=str(error))

        async with trio.open_nursery() as nursery:
            for link in links:
                nursery.start_soon(visit, link, self._traffic[link.number])
        return stocks

    def add(self, url: str, secret: str | None) -> None:
        """Connect to another media server, without waiting for the connection. `secret` is what it asks for.

        Raises `ValueError` for an address that is not a `ws:` or `wss:` URL.
        """
        _check_url(url)
        assert self._start is not None
        self._start(self._new_link(url, replace(self._settings, secret=secret)))

    def use_secret(self, url: str, secret: str | None) -> None:
        """Learn what a media server asks for now, which may be another one at the same address."""
        for link in self._links:
            if link.url == url and link.settings.secret != secret:
                link.settings = replace(link.settings, secret=secret)
                link.ready()

    async def remove(self, url: str) -> None:
        """Forget a media server, and close the session with it, which releases what is left there."""
        gone = [link for link in self._links if link.url == url]
        self._links = [link for link in self._links if link.url != url]
        for link in gone:
            self._traffic.pop(link.number, None)
            await link.close()
        # Whoever waits for its connection waits for nothing.
        self._announce()

    def may_choose_another(self) -> None:
        """Learn that `may_choose` may have another answer now."""
        self._announce()

    def another(self, besides: Collection[str]) -> str | None:
        """The address of the ready media server with the fewest endpoints that is not one of these.

        None if there is none that is neither full nor failing.
        """
        links = [link for link in self._links if link.url not in besides and self.takes(link.url)]
        return min(links, key=_load_of(links)).url if links else None

    def takes(self, url: str) -> bool:
        """Whether the media server at this address is neither full, failing, silent nor being drained."""
        return any(
            link.usable and link.problem is None and self._may_choose(link)
            for link in self._links
            if link.url == url
        )

    @asynccontextmanager
    async def pipeline(self, tags: Mapping[str, str], at: str | None = None) -> AsyncIterator[MediaPipeline]:
        """A new pipeline on the ready media server with the fewest endpoints, or on the one with the address `at`.

        It is released at the end of the scope. If a media server is full or fails to create a pipeline, the next
        one is tried. Raises `MediaServerUnavailable` if none is ready within `ready_timeout` or all that are ready
        fail, `MediaServersFull` if they are full, and the errors of `MediaPipeline.endpoint`.
        """
        deadline = trio.current_time() + self._settings.ready_timeout
        if self.owner is not None:
            tags = {**tags, **self.owner.tags}
        tried: dict[Session, MediaServerError] = {}
        async with AsyncExitStack() as stack:
            while True:
                session = await self._least_loaded(deadline, tried, at)
                try:
                    with trio.move_on_after(self._patience(session, tried)):
                        pipeline = await stack.enter_async_context(open_pipeline(session, tags))
                        session.failing_until = -math.inf
                        break
                    raise RequestTimedOut(session.url, "create", self._settings.pipeline_patience)
                except ResourcesExhausted as error:
                    _log.warning("kurento full", url=session.url, error=str(error))
                    tried[session] = error
                except (KurentoError, RequestTimedOut) as error:
                    _log.warning("kurento failing", url=session.url, error=str(error))
                    session.failing_until = trio.current_time() + self._settings.full_pause
                    tried[session] = error
                except MediaServerLost:
                    # The caller has got nothing yet, so another session can be used instead.
                    if trio.current_time() >= deadline:
                        raise
            yield pipeline

    @asynccontextmanager
    async def adopt(self, place: PipelinePlace) -> AsyncIterator[MediaPipeline]:
        """A pipeline that an earlier run, or another room server, has left. The end of the scope releases it.

        Raises `MediaServerLost` if its media server is not one of ours, or has been restarted,
        `MediaServerUnavailable` if it cannot be reached within `ready_timeout`, and the errors of
        `MediaPipeline.endpoint`: `ObjectGone` if the pipeline is gone.
        """
        await self._begun.wait()
        async with AsyncExitStack() as stack:
            try:
                session = await self._session_at(place)
                tags = {} if self.owner is None else self.owner.tags
                pipeline = await stack.enter_async_context(adopt_pipeline(session, place, tags))
            finally:
                self._claims.discard(place)
                for link in self._links:
                    if not self._claimed(link):
                        # A session must not keep alive what nobody adopts any more.
                        link.resume_no_more()
                self._announce()
            yield pipeline

    def leave(self, place: PipelinePlace, endpoint_ids: Iterable[str]) -> None:
        """Let a pipeline of ours and these of its endpoints be when their scopes end.

        Somebody who is told the place goes on with them, as with what a program that was killed has left.
        """
        for link in self._links:
            if link.url == place.url:
                link.leave((place.pipeline_id, *endpoint_ids))

    def pass_on(self, place: PipelinePlace, endpoint_ids: Iterable[str]) -> None:
        """As `leave`, if other room servers may adopt it: they use this media server, too."""
        if self._is_ours is not None and place.url not in self._private:
            self.leave(place, endpoint_ids)

    def leaves(self, url: str) -> bool:
        """Whether something at this media server may be left to somebody else.

        Before `resume`, nobody knows what an earlier run has left there.
        """
        return not self._begun.is_set() or any(link.leaves for link in self._links if link.url == url)

    def _claimed(self, link: Link) -> bool:
        return any(place.url == link.url for place in self._claims)

    async def _session_at(self, place: PipelinePlace) -> Session:
        """Our session with the media server of this place."""
        link = self._link_to(place)
        if link is None and self.look_again is not None:
            await self.look_again()
            link = self._link_to(place)
        if link is None:
            raise MediaServerLost(place.url, "it is not one of ours")
        if place in self._used_by_others:
            raise MediaServerLost(place.url, "the room server that has left the pipeline is still running")
        with trio.move_on_after(self._settings.ready_timeout):
            # If nobody listens there, no process is left that could have the pipeline.
            while not link.connected and not link.refused:
                await self._changed.wait()
        if link.session is None:
            raise MediaServerUnavailable(f"{place.url} cannot be reached")
        if link.session.server_id != place.server_id:
            raise MediaServerLost(place.url, "it has been restarted, or is another one at the same address")
        return link.session

    def _link_to(self, place: PipelinePlace) -> Link | None:
        """The link to the media server of this place, which others may know by another address."""
        for link in self._links:
            if link.session is not None and link.session.server_id == place.server_id:
                return link
        return next((link for link in self._links if link.url == place.url), None)

    def _patience(self, session: Session, tried: Collection[Session]) -> float:
        """Seconds that a media server gets to create a pipeline.

        The last one that can be asked gets as much time as possible.
        """
        others = [
            link
            for link in self._links
            if link.usable and self._may_choose(link) and link.session not in (session, *tried)
        ]
        return self._settings.pipeline_patience if others else math.inf

    async def _least_loaded(
        self, deadline: float, tried: Mapping[Session, MediaServerError], at: str | None
    ) -> Session:
        ready: list[Link] = []
        with trio.move_on_at(deadline):
            while not (ready := self._usable(at)):
                await self._changed.wait()
            await trio.lowlevel.checkpoint()
        if not ready:
            seconds = self._settings.ready_timeout
            raise MediaServerUnavailable(f"no media server is ready within {seconds:g} s")
        left = [link for link in ready if link.session not in tried]
        if not left:
            why = " ; ".join(map(str, tried.values()))
            if any(isinstance(error, ResourcesExhausted) for error in tried.values()):
                raise MediaServersFull(f"{len(ready)} media servers are ready, and full: {why}")
            raise MediaServerUnavailable(f"{len(ready)} media servers are ready, and make no pipeline: {why}")
        load = _load_of(left)
        chosen = min(left, key=lambda link: (link.problem is not None, *load(link))).session
        assert chosen is not None
        return chosen

    async def _sweep(self, link: Link, owner: Owner) -> None:
        """As soon as a media server can be reached, and what is to be adopted there is adopted, release the other
        pipelines that an earlier run of ours left there. Other room servers get their time to adopt them.
        """
        if self._is_ours is not None:
            await trio.sleep(self._settings.adoption_time)
        while True:
            while not link.connected and link in self._links:
                await self._changed.wait()
            if link not in self._links:
                return
            with trio.move_on_after(2 * self._settings.ready_timeout):
                while self._claimed(link):
                    await self._changed.wait()
            try:
                await sweep(link.url, link.settings, owner, link.session.held if link.session else ())
            except ConnectionLost as error:
                _log.info("kurento sweep failed", url=link.url, error=str(error))
                await trio.sleep(self._settings.reconnect_max)
            else:
                return

    async def _let_go(self, link: Link) -> None:
        """Let go of what was left at a media server, when others have had their time to adopt it."""
        while link in self._links:
            await trio.sleep(self._settings.adoption_time / 2)
            if link.session is not None:
                link.session.let_go_of_left()

    def _announce(self) -> None:
        self._changed.set()
        self._changed = trio.Event()


@asynccontextmanager
async def open_media_pool(
    urls: Sequence[str],
    settings: KurentoSettings | None = None,
    owner: Owner | None = None,
    *,
    at_once: bool = True,
    is_ours: Callable[[], bool] | None = None,
    is_private: bool = False,
) -> AsyncIterator[MediaPool]:
    """Connect to the media servers at `urls` (`ws://HOST:PORT/kurento`), without waiting for the connections.

    If not `at_once`, that begins with `MediaPool.resume`. Pipelines are tagged with `owner`, and pipelines that an
    earlier run of the owner left are adopted or released. At the end the sessions are closed within
    `release_timeout`, which releases everything that is left in them. `is_ours` is given if other room servers
    adopt what is here when they take this one for dead, and says whether that has certainly not happened: nothing
    is released unless it is true. `is_private` says that all the same only we use these media servers. Raises
    `ValueError` for an address that is not a `ws:` or `wss:` URL.
    """
    for url in urls:
        _check_url(url)
    pool = MediaPool(urls, settings or KurentoSettings(), owner, is_ours, is_private=is_private)
    async with trio.open_nursery() as nursery:
        try:
            async with trio.open_nursery() as sweeping:

                def start(link: Link) -> None:
                    nursery.start_soon(link.run)
                    sweeping.start_soon(pool._measure, link)
                    if pool.owner is not None:
                        sweeping.start_soon(pool._sweep, link, pool.owner)
                    if is_ours is not None:
                        sweeping.start_soon(pool._let_go, link)

                pool._start = start
                if at_once:
                    pool.resume()
                yield pool
                sweeping.cancel_scope.cancel()
        finally:
            with trio.CancelScope(shield=True):
                async with trio.open_nursery() as closing:
                    for link in pool._links:
                        closing.start_soon(link.close)


def _left_by_the_dead(places: set[PipelinePlace]) -> set[PipelinePlace]:
    """The places without those in the sessions of runs that are still running.

    To resume such a session would cut that run off from its media servers.
    """
    alive = {
        (place.url, place.session_id)
        for place in places
        if place.left_by is not None and is_running(place.left_by.instance)
    }
    if alive:
        _log.error(
            "another room server still uses the media of our rooms, end it and start this one again",
            sessions=len(alive),
        )
    return {place for place in places if (place.url, place.session_id) not in alive}


def _check_url(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme not in ("ws", "wss") or not parts.hostname:
        raise ValueError(f"not a ws: or wss: URL: {url}")


def _load_of(links: Collection[Link]) -> Callable[[Link], tuple[int, int, int]]:
    """Which of these links has less to bear: how busy it is, our endpoints and our pipelines there.

    A difference of less than a tenth of its processor says nothing. If one of them was not measured, nobody knows
    which is less busy, and only what is ours counts.
    """
    measured = all(link.measured is not None for link in links)

    def load(link: Link) -> tuple[int, int, int]:
        ours = Counter[str]() if link.session is None else link.session.objects
        busy = link.measured.now(ours[ENDPOINT]) if measured and link.measured is not None else 0.0
        return int(busy // _TENTH), ours[ENDPOINT], ours[PIPELINE]

    return load


def _status(link: Link, twin: Link | None) -> MediaServerStatus:
    session = link.session
    is_twin = f"known twice: it is used as media server {twin.number}" if twin is not None else None
    return MediaServerStatus(
        number=link.number,
        url=link.url,
        problem=link.problem or is_twin,
        version=link.version,
        connected=link.connected,
        session_id=session.session_id if session else None,
        server_id=session.server_id if session else None,
        pipelines=session.objects[PIPELINE] if session else 0,
        endpoints=session.objects[ENDPOINT] if session else 0,
        busy=link.measured.now(session.objects[ENDPOINT]) if session and link.measured else None,
    )
