"""The machines of a stream (what a presenter publishes) and of a view (one viewer's reception of it)."""

from __future__ import annotations

from roomfsm.lifecycle.table import STAYS, Audience, Effect, Row, State, Table, Tell


class StreamEffect(Effect):
    """What a stream's transition asks for."""

    SEND_ANSWER = "send answer", "the media server's answer to the offer", (Tell("answer", Audience.OWNER),)
    KEEP_CANDIDATE = "keep candidate", "until the endpoint can take it"
    TELL_STATE = "tell state", "the stream has another state", (Tell("streamChanged", Audience.ALL),)


class ViewEffect(Effect):
    """What a view's transition asks for."""

    SEND_ANSWER = "send answer", "the media server's answer to the offer", (Tell("answer", Audience.OWNER),)
    KEEP_CANDIDATE = "keep candidate", "until the endpoint can take it"
    TELL_STATE = "tell state", "the view has another state", (Tell("streamChanged", Audience.OWNER),)
    TELL_LIMITED = (
        "tell limited",
        "the view has another state, because of the viewer's path",
        (Tell("streamChanged", Audience.OWNER, "with the reason `slow_path`"),),
    )


_states = (
    State("negotiating", "offer taken; no media seen yet", owns="endpoint"),
    State("live", "media are seen flowing, not merely ICE connected", owns="endpoint"),
    State("stalled", "media flowed and have stopped", owns="endpoint"),
    State("ended", "over; its endpoint is released", final=True),
)
_open = ("negotiating", "live", "stalled")


def _rows(do: type[StreamEffect] | type[ViewEffect]) -> tuple[Row[None], ...]:
    return (
        Row(("answered",), ("negotiating",), STAYS, (), (do.SEND_ANSWER,)),
        Row(("candidate",), _open, STAYS, (), (do.KEEP_CANDIDATE,)),
        Row(("flowing",), ("negotiating", "stalled"), "live", (), (do.TELL_STATE,)),
        Row(("flowing",), ("live",), STAYS),
        Row(("silent",), ("live",), "stalled", (), (do.TELL_STATE,)),
        Row(("silent",), ("negotiating", "stalled"), STAYS),
        Row(("end",), _open, "ended"),
        # The endpoint may still have something to say while it is being released.
        Row(("answered", "flowing", "silent"), ("ended",), STAYS),
    )


_limited = State(
    "limited", "live, but the viewer's path is too slow for the picture: only the sound is sent", owns="endpoint"
)

_causes = {
    "answered": "the media server answered the offer",
    "flowing": "the media server sees media flow",
    "silent": "the media server sees no media flow",
}

STREAM: Table[None] = Table(
    "stream",
    "What a presenter publishes: one endpoint at the media server that takes the media.",
    _states,
    (Row(("view",), _open, STAYS), *_rows(StreamEffect)),
    _causes | {"end": "unpublished, its presenter left, its endpoint failed, or the room's media ended"},
)
VIEW: Table[None] = Table(
    "view",
    "One viewer's reception of a stream: one endpoint at the media server that passes the media on.",
    (*_states[:-1], _limited, _states[-1]),
    (
        *_rows(ViewEffect),
        Row(("candidate",), ("limited",), STAYS, (), (ViewEffect.KEEP_CANDIDATE,)),
        Row(("narrow",), _open, "limited", (), (ViewEffect.TELL_LIMITED,)),
        Row(("wide",), ("limited",), "live", (), (ViewEffect.TELL_STATE,)),
        # What flows to a limited view is the sound, which may stop and come again.
        Row(("flowing", "silent", "narrow"), ("limited",), STAYS),
        Row(("wide",), _open, STAYS),
        Row(("narrow", "wide"), ("ended",), STAYS),
        Row(("end",), ("limited",), "ended"),
    ),
    _causes
    | {
        "narrow": "the media server sends the picture no longer: the viewer's path is too slow for it",
        "wide": "the media server sends the picture again",
        "end": "unviewed, the viewer left, its endpoint failed, or the stream ended",
    },
)
