"""The machines of a stream (what a presenter publishes) and of a view (one viewer's reception of it)."""

from __future__ import annotations

from roomfsm.lifecycle.table import STAYS, Audience, Effect, Row, State, Table, Tell


class StreamEffect(Effect):
    """What a stream's transition asks the room to do."""

    SEND_ANSWER = (
        "send answer",
        "the media server's answer to the offer goes to its sender",
        (Tell("answer", Audience.OWNER),),
    )
    KEEP_CANDIDATE = "keep candidate", "the candidate is kept until the endpoint can take it"
    TELL_STATE = "tell state", "everybody learns the stream's new state", (Tell("streamChanged", Audience.ALL),)


class ViewEffect(Effect):
    """What a view's transition asks the room to do."""

    SEND_ANSWER = (
        "send answer",
        "the media server's answer to the offer goes to its sender",
        (Tell("answer", Audience.OWNER),),
    )
    KEEP_CANDIDATE = "keep candidate", "the candidate is kept until the endpoint can take it"
    TELL_STATE = "tell state", "the viewer learns the view's new state", (Tell("streamChanged", Audience.OWNER),)
    TELL_LIMITED = (
        "tell limited",
        "the viewer learns that the view is limited, because the path to the viewer is too slow",
        (Tell("streamChanged", Audience.OWNER, "with the reason `slow_path`"),),
    )


_states = (
    State("negotiating", "the offer was taken, and no media have been seen yet", owns="endpoint"),
    State("live", "the media server sees media flow (ICE being connected is not enough)", owns="endpoint"),
    State("stalled", "media flowed before, and have stopped", owns="endpoint"),
    State("ended", "it is over, and its endpoint is released", final=True),
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
        # While the endpoint is being released, the media server may still send events about it.
        Row(("answered", "flowing", "silent"), ("ended",), STAYS),
    )


_limited = State(
    "limited",
    "it is live, but the path to the viewer is too slow for the picture: only the sound is sent",
    owns="endpoint",
)

_causes = {
    "answered": "the media server answered the offer",
    "flowing": "the media server sees media flow",
    "silent": "the media server sees no media flow",
}

STREAM: Table[None] = Table(
    "stream",
    "What a presenter publishes: one endpoint at the media server, which receives the media.",
    _states,
    (Row(("view",), _open, STAYS), *_rows(StreamEffect)),
    _causes | {"end": "the presenter stopped it or left, its endpoint failed, or the room's media ended"},
)
VIEW: Table[None] = Table(
    "view",
    "One viewer's reception of a stream: one endpoint at the media server, which sends the media to the viewer.",
    (*_states[:-1], _limited, _states[-1]),
    (
        *_rows(ViewEffect),
        Row(("candidate",), ("limited",), STAYS, (), (ViewEffect.KEEP_CANDIDATE,)),
        Row(("narrow",), _open, "limited", (), (ViewEffect.TELL_LIMITED,)),
        Row(("wide",), ("limited",), "live", (), (ViewEffect.TELL_STATE,)),
        # Only the sound flows to a limited view. It may stop and come back.
        Row(("flowing", "silent", "narrow"), ("limited",), STAYS),
        Row(("wide",), _open, STAYS),
        Row(("narrow", "wide"), ("ended",), STAYS),
        Row(("end",), ("limited",), "ended"),
    ),
    _causes
    | {
        "narrow": "the media server stopped sending the picture, because the path to the viewer is too slow",
        "wide": "the media server sends the picture again",
        "end": "the viewer stopped it or left, its endpoint failed, or the stream ended",
    },
)
