"""The machine of a relay: one stream on its way from one media server to another.

A media server has only so many viewers. Beyond that, a stream is relayed to another media server: an endpoint at
the one, which is a viewer of the stream there, and an endpoint at the other, which is a presenter there, are
connected with each other. The first makes the offer, and the second answers it. If they lose each other, the relay
begins anew under its viewers, who need not negotiate again. Nobody but the two media servers and the room knows of
it, so no message reaches this machine.
"""

from __future__ import annotations

from roomfsm.lifecycle.stream import CONNECT_TIMEOUT
from roomfsm.lifecycle.table import STAYS, Row, State, Table

ENDPOINTS = "endpoints"
"""The endpoint that sends, and the one that receives. If these lose each other, two others take their place."""

_open = ("asked", "described", "connected", "live", "stalled")

RELAY: Table[None] = Table(
    "relay",
    "One stream on its way from one media server to another, whose viewers get it there.",
    states=(
        State(
            "asked",
            "the two media servers do not have each other's description yet",
            owns=(ENDPOINTS, CONNECT_TIMEOUT),
        ),
        State("described", "they are not connected yet", owns=(ENDPOINTS, CONNECT_TIMEOUT)),
        State("connected", "they are connected, and no media have been seen yet", owns=(ENDPOINTS,)),
        State("live", "the receiving media server sees media flow", owns=(ENDPOINTS,)),
        State("stalled", "media flowed before, and have stopped", owns=(ENDPOINTS,)),
        State("ended", "it is over, and both endpoints are released", final=True),
    ),
    rows=(
        Row(("described",), ("asked",), "described"),
        Row(("connected",), ("described",), "connected"),
        Row(("connected",), ("connected", "live", "stalled"), STAYS),
        # Media prove that the two are connected, even if the event that says so is missing.
        Row(("flowing",), ("described", "connected", "stalled"), "live"),
        Row(("flowing",), ("live",), STAYS),
        Row(("silent",), ("live",), "stalled"),
        Row(("silent",), ("described", "connected", "stalled"), STAYS),
        Row(("lost",), ("connected", "live", "stalled"), "asked"),
        Row(("end",), _open, "ended"),
    ),
    causes={
        "described": "the offer of the one media server has been answered by the other",
        "connected": "the connection between the two media servers is up",
        "flowing": "the receiving media server sees media flow",
        "silent": "the receiving media server sees no media flow",
        "lost": "the two media servers have lost each other, or the sending one is lost, and two other endpoints "
        "are made",
        "end": "nobody watches the stream there any more, it has ended, or a media server failed",
    },
)
