"""Takes stock of a media server: which objects it holds for us, compared with those that we hold, and its traffic.

Objects come and go while the media server is asked, so the two lists are never of the same moment. What makes
them comparable is that each object is in our books for longer than at the media server: from the answer to its
creation until its release is confirmed. So an object that only the media server has must be in our books at no
time while we asked; and an object that only we have must have been in our books before and after. One object may
still be missing in the books: its creation is carried out, and the answer is on its way. When a last request on
the connection of our session has been answered, that answer has come, too, because Kurento answers in order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import trio

from roomfsm.kurento.errors import KurentoError, ObjectGone
from roomfsm.kurento.owner import Owner
from roomfsm.kurento.session import Session
from roomfsm.kurento.visit import Visit

PIPELINE, ENDPOINT = "MediaPipeline", "WebRtcEndpoint"
_AT_ONCE = 16
"""How many requests wait for their answers at a time."""
_SAMPLED = 200
"""The most endpoints whose traffic is asked for in one visit. The next visit begins with the others."""

_COUNTED: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "inboundrtp": (
        "from",
        {"bytes": "bytesReceived", "packets": "packetsReceived", "lost": "packetsLost", "nacks": "nackCount"},
    ),
    "outboundrtp": ("to", {"bytes": "bytesSent", "packets": "packetsSent", "nacks": "nackCount"}),
}
"""What is read from Kurento's statistics (those of WebRTC in 2016) by their `type`: the begin of a direction, and
our words for their members."""
_BROWSERS, _MEDIA_SERVERS = "browsers", "media_servers"


@dataclass(frozen=True, slots=True)
class Stock:
    """What one media server holds for us. Each count is by type of object."""

    held: Mapping[str, int]
    """How many objects we hold there."""
    reported: Mapping[str, int]
    """How many objects the media server holds for us."""
    only_here: Mapping[str, int] = field(default_factory=dict)
    """How many of ours the media server does not have."""
    only_there: Mapping[str, int] = field(default_factory=dict)
    """How many the media server holds for us that we do not know: they are leaked."""


class Traffic:
    """The media of all endpoints together: bytes, packets, lost packets and requests to repeat some (NACKs).

    Kurento counts for each endpoint. This adds up what was counted since the visit before. What an endpoint
    carried between the last visit and its end is missing.
    """

    def __init__(self) -> None:
        self.totals: Counter[tuple[str, str]] = Counter()
        """By direction (`from_browsers`, `to_browsers`; for relays `from_media_servers`, `to_media_servers`) and
        kind (`bytes`, `packets`, `lost`, `nacks`)."""
        self._before: dict[str, Counter[tuple[str, str, str]]] = {}
        """For each endpoint, what it had counted at the last visit. Those that waited longest are the first."""

    def next_to_ask(self, endpoints: Collection[str]) -> list[str]:
        """Which endpoints should be asked now. `endpoints` are all that there are."""
        alive = set(endpoints)
        self._before = {endpoint: counted for endpoint, counted in self._before.items() if endpoint in alive}
        for endpoint in endpoints:
            self._before.setdefault(endpoint, Counter())
        return list(self._before)[:_SAMPLED]

    def add(self, endpoint: str, stats: Any, *, relays: bool = False) -> None:
        """Add what an endpoint reports (the result of `getStats`). `relays` says that it is one end of a relay."""
        other_side = _MEDIA_SERVERS if relays else _BROWSERS
        now: Counter[tuple[str, str, str]] = Counter()
        entries = stats.items() if isinstance(stats, dict) else ()
        for key, entry in entries:
            if not isinstance(entry, dict):
                continue
            way, members = _COUNTED.get(str(entry.get("type")), ("", {}))
            for kind, member in members.items():
                value = entry.get(member)
                if isinstance(value, int | float):
                    now[str(key), f"{way}_{other_side}", kind] += int(value)
        before = self._before.pop(endpoint, Counter())
        for (key, direction, kind), value in now.items():
            # What a browser reports as lost may become less, when packets arrive late (RFC 3550 section 6.4.1).
            self.totals[direction, kind] += max(0, value - before[key, direction, kind])
        self._before[endpoint] = now


async def take_stock(
    visit: Visit, session: Session, owner: Owner | None, catch_up: Callable[[], Awaitable[object]]
) -> Stock:
    """Compare what `session` holds with what the media server of this visit reports.

    Without an `owner`, everything there is ours. `catch_up` waits until all answers have come that were under way
    on the session's connection. Raises the errors of `Visit`.
    """
    before = dict(session.held)
    with session.noting() as known:
        pipelines = await visit.pipelines()
        ours = set(pipelines) if owner is None else {pipeline for pipeline in pipelines if pipeline in known}

        async def is_ours(pipeline: str) -> None:
            assert owner is not None
            if owner.tags.items() <= (await visit.tags(pipeline)).items():
                ours.add(pipeline)

        await _for_each([pipeline for pipeline in pipelines if pipeline not in ours], is_ours)
        endpoints: set[str] = set()

        async def list_endpoints(pipeline: str) -> None:
            endpoints.update(await visit.children(pipeline))

        await _for_each(sorted(ours), list_endpoints)
        await catch_up()
        after = session.held
        there = {**dict.fromkeys(ours, PIPELINE), **dict.fromkeys(endpoints, ENDPOINT)}
        return Stock(
            held=Counter(before.values()),
            reported=Counter(there.values()),
            only_here=Counter(kind for id_, kind in before.items() if id_ in after and id_ not in there),
            only_there=Counter(kind for id_, kind in there.items() if id_ not in known),
        )


async def sample_traffic(visit: Visit, session: Session, traffic: Traffic) -> None:
    """Ask endpoints for their statistics, those first that were not asked for longest."""
    endpoints = [object_id for object_id, kind in session.held.items() if kind == ENDPOINT]

    async def ask(endpoint: str) -> None:
        relays = endpoint in session.relaying
        traffic.add(endpoint, await visit.invoke(endpoint, "getStats"), relays=relays)

    await _for_each(traffic.next_to_ask(endpoints), ask)


async def _for_each(items: list[str], work: Callable[[str], Awaitable[None]]) -> None:
    """Do this for each object, a few at a time. It is no error if an object has gone meanwhile."""
    waiting = iter(items)

    async def worker() -> None:
        for item in waiting:
            try:
                await work(item)
            except ObjectGone:
                continue

    errors: list[KurentoError] = []

    async def guarded() -> None:
        try:
            await worker()
        except KurentoError as error:
            errors.append(error)

    async with trio.open_nursery() as nursery:
        for _ in range(min(_AT_ONCE, len(items))):
            nursery.start_soon(guarded)
    if errors:
        raise errors[0]
