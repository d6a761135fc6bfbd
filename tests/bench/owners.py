"""Which node had a room when, as the journals of all nodes say, and whether two ever took lines for it.

A node that hung, or was cut off, learns late that a room is another's. Until then it goes on with it, which nobody
must rely on. So what counts is what it accepts after another node has opened the room. A node that believes in its
lease no longer accepts nothing; one that has hung may take what came meanwhile, before it learns better. The store
refuses that, and nobody is told: for that, look at the lines that people have (`tests.nodes.crowd`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import msgspec

from roomfsm.rooms.journal import Ended, Entry, Opened

_decode = msgspec.json.Decoder(Opened | Entry | Ended).decode


@dataclass(slots=True)
class Tenure:
    """One node has one room. Times are in seconds since 1970."""

    node: str
    room: str
    since: float
    until: float
    """When it wrote the last that there is of the room: its end, unless the node was killed."""
    lines: list[float] = field(default_factory=list)
    """When it accepted lines of chat."""


@dataclass(frozen=True, slots=True)
class Overlap:
    """A node went on with a room for so many seconds after another had opened it, and accepted lines meanwhile."""

    earlier: Tenure
    later: Tenure
    seconds: float
    lines: int


def tenures(journals: Mapping[str, Path]) -> list[Tenure]:
    """Who had which room when, by the files of the nodes. The last line of a node that was killed may be torn."""
    found: dict[tuple[str, str], Tenure] = {}
    for node, path in journals.items():
        for raw in path.read_bytes().splitlines():
            try:
                line = _decode(raw)
            except msgspec.DecodeError:
                continue
            match line:
                case Opened():
                    began = line.opened / 1000
                    found[node, line.run] = Tenure(node, line.room, began, began)
                case Entry() | Ended() if (node, line.run) in found:
                    tenure = found[node, line.run]
                    tenure.until = tenure.since + line.at
                    if isinstance(line, Entry) and line.trigger == "chat" and line.refused is None:
                        tenure.lines.append(tenure.until)
    return sorted(found.values(), key=lambda one: one.since)


def overlaps(all_tenures: Iterable[Tenure]) -> list[Overlap]:
    """Each time that a node had a room that another had opened meanwhile."""
    by_room: defaultdict[str, list[Tenure]] = defaultdict(list)
    for tenure in all_tenures:
        by_room[tenure.room].append(tenure)
    return [
        Overlap(one, other, one.until - other.since, sum(at > other.since for at in one.lines))
        for of_one_room in by_room.values()
        for one, other in pairwise(of_one_room)
        if one.until > other.since
    ]
