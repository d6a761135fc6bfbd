"""A link between two engines: a stream goes from one media server to another, as the room server relays it."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from roomfsm.mediaserver.engine.engine import Engine, Peer
from roomfsm.mediaserver.sdp.description import Direction
from roomfsm.mediaserver.workers.workers import Workers
from tests.mediaserver.observer import RecordingObserver


@dataclass(frozen=True, slots=True)
class Link:
    """Its two ends: the parent offers and sends, the child answers, checks and receives."""

    parent: Peer
    child: Peer
    parent_observer: RecordingObserver
    child_observer: RecordingObserver


def _unchanged(description: str) -> str:
    return description


def open_link(
    parent: Engine | Workers,
    child: Engine | Workers,
    source: Peer | None = None,
    *,
    way: Callable[[str], str] = _unchanged,
    direction: Direction = Direction.SENDONLY,
) -> Link:
    """Negotiate a link. The child's server gets the media of `source`, and its path is the one that `way` writes
    into the offer.
    """
    link = Link(
        parent.open_peer(ours := RecordingObserver()), child.open_peer(theirs := RecordingObserver()), ours, theirs
    )
    link.parent.direction = direction
    if source is not None:
        source.connect(link.parent)
    answer = link.child.process_offer(way(link.parent.generate_offer()))
    link.parent.process_answer(answer)
    return link


@asynccontextmanager
async def linked(
    parent: Engine | Workers,
    child: Engine | Workers,
    source: Peer | None = None,
    *,
    way: Callable[[str], str] = _unchanged,
    direction: Direction = Direction.SENDONLY,
) -> AsyncIterator[Link]:
    """A link that is connected."""
    link = open_link(parent, child, source, way=way, direction=direction)
    for observer in (link.parent_observer, link.child_observer):
        await observer.wait_for("media", True)
    yield link
