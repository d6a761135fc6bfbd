"""What the inspector shows of this server as one of several nodes: its machine, the others, what they share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from roomfsm.nodes.counts import RECEIVED, SENT
from roomfsm.nodes.ledger import Info, Seen
from roomfsm.nodes.life import NodeEntry
from roomfsm.nodes.link import Link
from roomfsm.nodes.membership import Membership
from roomfsm.rooms.inspection import MachineSeen, Shown, machine_at, since
from roomfsm.rooms.media_servers import MediaServer


class LinkSeen(Shown, frozen=True, kw_only=True):
    """The link to another node. `waiting` messages, with so many bytes, have not arrived there yet.

    `broken` says how often the link broke, and `lost` how many messages were on their way then.
    """

    sent: int
    received: int
    waiting: int
    waiting_bytes: int
    broken: int
    lost: int


class OtherSeen(Shown, frozen=True, kw_only=True):
    """Another node, as it was at this node's last beat.

    `lease_left` is in seconds, and less than 0 if the lease was over. `differ` are the settings that it has
    otherwise, although all nodes must have them alike.
    """

    id: str
    people: int
    rooms: int
    draining: bool
    lease_left: float
    version: str
    differ: tuple[str, ...]
    link: LinkSeen | None


class MediaServerSeen(Shown, frozen=True, kw_only=True):
    """A media server that this node knows, and why (`roomfsm.rooms.media_servers.Origin`).

    `nodes` have it in their settings. Pipelines and endpoints are those of this node. `busy` is in percent.
    """

    url: str
    origin: str
    nodes: tuple[str, ...]
    state: str
    problem: str | None
    pipelines: int
    endpoints: int
    busy: float | None


class NodeSeen(Shown, frozen=True, kw_only=True):
    """This node: its state, for how many seconds it has been in that, and for how many its lease is good.

    `edge` are the browsers here whose sessions are at other nodes, and `visitors` the sessions here whose browsers
    are at other nodes. `age` is the number of seconds since the node began to start, as in the journal.
    """

    id: str
    state: str
    since: float
    age: float
    lease_left: float
    edge: int
    visitors: int
    machine: MachineSeen
    journal: tuple[NodeEntry, ...]
    others: tuple[OtherSeen, ...]
    media_servers: tuple[MediaServerSeen, ...]


def look_at_node(
    membership: Membership,
    links: Mapping[str, Link],
    differ: Callable[[Info], list[str]],
    edge: int,
    visitors: int,
    media_servers: Iterable[MediaServer],
) -> NodeSeen:
    """Describe this node and what it knows of the others. `differ` names the settings that one has otherwise."""
    life = membership.life
    return NodeSeen(
        id=membership.me,
        state=life.state,
        since=since(life.tally, None, life.age),
        age=round(life.age, 3),
        lease_left=round(membership.lease_left, 3),
        edge=edge,
        visitors=visitors,
        machine=machine_at(life.tally, life.age),
        journal=tuple(life.journal),
        others=tuple(_other(seen, links.get(seen.id), differ) for seen in membership.others),
        media_servers=tuple(map(_media_server, media_servers)),
    )


def _other(seen: Seen, link: Link | None, differ: Callable[[Info], list[str]]) -> OtherSeen:
    return OtherSeen(
        id=seen.id,
        people=seen.info.people,
        rooms=seen.info.rooms,
        draining=seen.info.draining,
        lease_left=round(seen.left, 3),
        version=seen.info.version,
        differ=tuple(differ(seen.info)),
        link=None if link is None else _link(link),
    )


def _media_server(server: MediaServer) -> MediaServerSeen:
    status = server.status
    return MediaServerSeen(
        url=status.url,
        origin=server.origin.value,
        nodes=server.nodes,
        state=server.state,
        problem=status.problem,
        pipelines=status.pipelines,
        endpoints=status.endpoints,
        busy=None if status.busy is None else round(status.busy, 1),
    )


def _link(link: Link) -> LinkSeen:
    waiting, size = link.under_way
    counts = link.counts
    return LinkSeen(
        sent=counts.messages[SENT],
        received=counts.messages[RECEIVED],
        waiting=waiting,
        waiting_bytes=size,
        broken=counts.broken,
        lost=counts.lost,
    )
