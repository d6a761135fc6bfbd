"""The machine of a media server in the pool: whether broadcasts may begin there, and when it may be taken away.

It says what the operator wants of the media server. Whether it can be reached at the moment is another question,
which only the client of its protocol can answer.
"""

from __future__ import annotations

from dataclasses import dataclass

from roomfsm.lifecycle.table import STAYS, Guard, Row, State, Table


@dataclass(frozen=True, slots=True)
class MediaServerFacts:
    """What the guards may look at: how many pipelines of ours the media server has.

    `expected` says that rooms of other nodes may still come and have pipelines there.
    """

    pipelines: int = 0
    expected: bool = False


nothing_there = Guard[MediaServerFacts]("no pipeline of ours is there", lambda f: f.pipelines == 0)
nothing_expected = Guard[MediaServerFacts](
    "no room of another node can come that has one there", lambda f: not f.expected
)

MEDIA_SERVER: Table[MediaServerFacts] = Table(
    "mediaServer",
    "One media server, from the moment in which the server knows it until it is taken away.",
    states=(
        State("in use", "broadcasts may begin there"),
        State("draining", "the broadcasts that are there go on until they end, and none begins"),
        State("drained", "no broadcast is there, and none begins"),
        State("leaving", "nobody names it any more: the broadcasts that are there go on, and none begins"),
        State("removed", "the server does not know it any more", final=True),
    ),
    rows=(
        Row(("choose",), ("in use",), STAYS),
        Row(("chooseAlias",), ("in use", "leaving"), STAYS),
        Row(("drainMediaServer",), ("in use", "draining"), "draining"),
        Row(("drainMediaServer",), ("drained",), STAYS),
        Row(("emptied",), ("draining",), "drained", (nothing_there,)),
        Row(("useMediaServer",), ("in use", "draining", "drained"), "in use"),
        Row(("removeMediaServer",), ("drained",), "removed"),
        Row(("unlisted",), ("in use", "draining", "drained"), "leaving"),
        Row(("listed",), ("leaving",), "in use"),
        Row(("emptied",), ("leaving",), "removed", (nothing_there, nothing_expected)),
    ),
    causes={
        "choose": "a broadcast begins, and needs a media server",
        "chooseAlias": "a broadcast begins, and needs a media server, which this one is under another address",
        "drainMediaServer": "an administrator wants no more broadcasts to begin there",
        "emptied": "the server asks whenever it looks at a media server that is draining or leaving",
        "useMediaServer": "an administrator wants broadcasts to begin there again",
        "removeMediaServer": "an administrator takes the media server away",
        "unlisted": "no node lists it any more, or an administrator has taken it away at another node",
        "listed": "a node lists it again, or an administrator has added it again",
    },
)
