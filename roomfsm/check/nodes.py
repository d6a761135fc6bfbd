"""Checks the other nodes: whether this server's name is free, who else is there, and which settings differ.

Whether their Redis answers, and keeps what it is given, is for `roomfsm.check.store` to say.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import trio

from roomfsm.alike import differences
from roomfsm.check.findings import Finding, ok, warning
from roomfsm.kurento.owner import is_running
from roomfsm.settings import Settings
from roomfsm.store.interface import StoreError
from roomfsm.store.redis_keys import NODES_OWN

if TYPE_CHECKING:
    from roomfsm.nodes.ledger import Seen

_CHECK = "nodes"
_PATIENCE = 5.0
"""Seconds in which Redis must answer."""


async def check_nodes(settings: Settings) -> list[Finding]:
    """Look at the nodes in Redis, without becoming one of them."""
    name, url = settings.nodes.node, settings.store.store
    if name is None or url is None:
        return [ok(_CHECK, "none: this server has its rooms for itself")]
    try:
        from roomfsm.nodes.ledger import open_ledger
    except ModuleNotFoundError:
        return []  # The check of the store says that.
    try:
        async with open_ledger(url, settings.nodes.node_lease) as ledger:
            with trio.fail_after(_PATIENCE):
                owner, nodes = await ledger.look()
    except (StoreError, trio.TooSlowError):
        return []  # The check of the store says that.
    return list(_judged(settings, name, owner, nodes))


def _judged(settings: Settings, name: str, owner: str, nodes: Sequence[Seen]) -> Iterator[Finding]:
    if owner and not owner.startswith(NODES_OWN):
        mend = "end it first, or start it with --node, too; its rooms stay"
        yield warning(_CHECK, f"the Redis belongs to a server without --node, which would lose it ({owner})", mend)
    alive = [node for node in nodes if node.alive]
    yield from (_namesake(node) for node in alive if node.info.name == name)
    others = [node for node in alive if node.info.name != name]
    for node in others:
        yield _other(settings, node)
    for node in nodes:
        if not node.alive:
            mend = "start it again, or leave it: the next node that runs takes its rooms"
            yield warning(_CHECK, f"{node.id} is dead, and nobody has taken its {_counted(node)} yet", mend)
    if not others:
        yield ok(_CHECK, f"no node but {name} is there now")


def _namesake(node: Seen) -> Finding:
    if is_running(node.info.process):
        return ok(_CHECK, f"{node.info.name} runs on this machine already, with {_counted(node)}")
    mend = "if that is another server, give this one another --node"
    return warning(_CHECK, f"a node that is called {node.info.name} runs elsewhere ({node.id})", mend)


def _other(settings: Settings, node: Seen) -> Finding:
    differ = differences(settings, node.info.alike)
    if differ:
        what = f"{node.id} has other settings: {', '.join(differ)}"
        return warning(_CHECK, what, "give all nodes the same, and reload or restart them")
    drains = ", and drains" if node.info.draining else ""
    lease = f"its lease is good for {node.left:.1f} s"
    return ok(_CHECK, f"{node.id} has {_counted(node)}{drains}; {lease}; version {node.info.version}")


def _counted(node: Seen) -> str:
    people, rooms = node.info.people, node.info.rooms
    return f"{people} {'person' if people == 1 else 'people'} in {rooms} {'room' if rooms == 1 else 'rooms'}"
