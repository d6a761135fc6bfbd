"""The machines of a stream (what a presenter publishes) and of a view (one viewer's reception of it)."""

from __future__ import annotations

from enum import StrEnum

from roomfsm.lifecycle.table import STAYS, Row, State, Table


class EndpointEffect(StrEnum):
    """What a stream's or a view's transition asks for."""

    SEND_ANSWER = "send answer"
    KEEP_CANDIDATE = "keep candidate"  # until the endpoint can take it
    TELL_STATE = "tell state"  # streamChanged


_states = (
    State("negotiating", "offer taken; no media seen yet", owns="endpoint"),
    State("live", "media are seen flowing, not merely ICE connected", owns="endpoint"),
    State("stalled", "media flowed and have stopped", owns="endpoint"),
    State("ended", "over; its endpoint is released", final=True),
)
_open = ("negotiating", "live", "stalled")
_rows: tuple[Row[None], ...] = (
    Row(("answered",), ("negotiating",), STAYS, (), (EndpointEffect.SEND_ANSWER,)),
    Row(("candidate",), _open, STAYS, (), (EndpointEffect.KEEP_CANDIDATE,)),
    Row(("flowing",), ("negotiating", "stalled"), "live", (), (EndpointEffect.TELL_STATE,)),
    Row(("flowing",), ("live",), STAYS),
    Row(("silent",), ("live",), "stalled", (), (EndpointEffect.TELL_STATE,)),
    Row(("silent",), ("negotiating", "stalled"), STAYS),
    Row(("end",), _open, "ended"),
    # The endpoint may still have something to say while it is being released.
    Row(("answered", "flowing", "silent"), ("ended",), STAYS),
)

STREAM: Table[None] = Table("stream", _states, (Row(("view",), _open, STAYS), *_rows))
VIEW: Table[None] = Table("view", _states, _rows)
