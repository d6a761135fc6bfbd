"""The machine of a node: one of several servers that share one Redis, and with it one set of rooms.

A node holds a lease in Redis, which it renews again and again (a *beat*). A node whose lease is over may be
taken for dead by the others, who take its rooms. It cannot see that at once. So it asks its own clock: when it has
had no answer to a beat for as long as the lease lasts, it is *cut off*, and promises nothing any more. Whether it
still has its rooms it learns from the next answer.

An id is used once. A node that was taken for dead gets another one, after all rooms that it had are gone, so that
nothing that it had begun under the old id can be mistaken for something that it does under the new one.
"""

from __future__ import annotations

from roomfsm.lifecycle.table import STAYS, Effect, Row, State, Table


class NodeEffect(Effect):
    """What a transition of a node's machine asks the node to do."""

    CLAIM = "claim", "the node registers once more under its id, and as the home of the rooms that it has"
    GIVE_UP = "give up", "all rooms end here without a word, because they are not this node's any more"
    RENAME = "rename", "the node gets another id"


NODE: Table[None] = Table(
    "node",
    "One of several servers that share one set of rooms (`--node`), from its start to its end.",
    states=(
        State("joining", "the node asks for a place among the others", owns=("places",)),
        State("member", "the others know the node, and rooms may live there", owns=("lease", "places")),
        State(
            "cut_off",
            "the lease may be over, because no beat was answered for so long; nothing is promised",
            owns=("lease", "places"),
        ),
        State("draining", "the node takes no more rooms, and hands over those that it has", owns=("lease",)),
        State("outlived", "the others have taken the node for dead, and have its rooms"),
        State("gone", "the node is no part of this any more", final=True),
    ),
    rows=(
        Row(("joined",), ("joining",), "member"),
        Row(("refused",), ("joining", "draining"), "gone", (), (NodeEffect.GIVE_UP,)),
        Row(("beat",), ("member", "draining"), STAYS),
        Row(("beat",), ("cut_off",), "member"),
        Row(("late",), ("member",), "cut_off"),
        Row(("late",), ("draining",), STAYS),
        Row(("reaped",), ("member", "cut_off"), "outlived", (), (NodeEffect.GIVE_UP,)),
        Row(("reaped",), ("draining",), "gone", (), (NodeEffect.GIVE_UP,)),
        Row(("join_again",), ("outlived",), "joining", (), (NodeEffect.RENAME,)),
        # Rooms go on meanwhile. What they promise waits until the node is a member again.
        Row(("forgotten",), ("member", "cut_off"), "joining", (), (NodeEffect.CLAIM,)),
        Row(("forgotten",), ("draining",), STAYS, (), (NodeEffect.CLAIM,)),
        Row(("drain",), ("member", "cut_off"), "draining"),
        Row(("stop",), ("joining", "member", "cut_off", "draining"), "gone"),
    ),
    causes={
        "joined": "Redis has registered the node",
        "refused": "another node of this name is running",
        "beat": "Redis has renewed the lease",
        "late": "no beat was answered for as long as the lease lasts, by the node's own clock",
        "reaped": "Redis does not know the node any more, because others have taken it for dead",
        "join_again": "all rooms of the node are gone",
        "forgotten": "Redis has lost its data",
        "drain": "the program gets SIGTERM, and gives its rooms to others",
        "stop": "the server ends",
    },
)
