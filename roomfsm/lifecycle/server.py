"""The machine of the server itself: when it takes people in, and how it answers health checks.

No client's message moves this machine, but it decides what everybody may do: whether a browser may connect,
whether a room may be opened, and what `/health/ready` and `/health/live` say.
"""

from __future__ import annotations

from dataclasses import dataclass

from roomfsm.lifecycle.table import STAYS, Audience, Effect, Guard, Row, State, Table, Tell
from roomfsm.protocol.errors import ErrorCode


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """What the server's guards may look at.

    `sessions` is the number of sessions that there would be with the one that asks. `media_reachable` says
    whether at least one media server can be reached, and `store_keeps` that the store works, or that the server
    has none. `media_stay` says that the store has everything by which the next run finds the media of the rooms,
    and that the media servers go on until then.
    """

    sessions: int = 0
    max_sessions: int = 0
    media_reachable: bool = False
    store_keeps: bool = True
    media_stay: bool = False


class ServerEffect(Effect):
    """What a transition of the server's machine asks the server to do."""

    TELL_COUNTDOWN = (
        "tell countdown",
        "everybody learns in how many seconds the server closes, and so does everybody who connects until then",
        (Tell("closing", Audience.ALL),),
    )
    TELL_CLOSING = (
        "tell closing",
        "everybody learns that the server closes, and every room closes",
        (Tell("closing", Audience.ALL),),
    )
    TELL_RESTARTING = (
        "tell restarting",
        "everybody learns that the server is being restarted, and every room is handed over to its next run",
        (Tell("closing", Audience.ALL, "with the reason `restarting`"),),
    )


has_place = Guard[ServerFacts](
    "the server has a place for another session", lambda f: f.sessions <= f.max_sessions, ErrorCode.SERVER_FULL
)
media_reachable = Guard[ServerFacts](
    "a media server can be reached", lambda f: f.media_reachable, ErrorCode.MEDIA_UNAVAILABLE
)
store_keeps = Guard[ServerFacts](
    "the store keeps what rooms promise", lambda f: f.store_keeps, ErrorCode.STORE_UNAVAILABLE
)
media_stay = Guard[ServerFacts]("the next run can go on with the media of the rooms", lambda f: f.media_stay)
media_end = Guard[ServerFacts]("the media of the rooms end with this run", lambda f: not f.media_stay)
never = Guard[ServerFacts]("never: the server is closing", lambda _: False, ErrorCode.SERVER_CLOSING)

_BEFORE_THE_END = ("starting", "open", "draining")

SERVER: Table[ServerFacts] = Table(
    "server",
    "The server program, from its start until everything is released.",
    states=(
        State("starting", "the program looks for its media servers and opens its ports", owns=("listeners",)),
        State("open", "browsers may connect, and rooms may be opened", owns=("listeners", "front door")),
        State(
            "draining",
            "people have some time to come to an end, and may still enter open rooms, but no room is opened",
            owns=("listeners", "front door", "countdown"),
        ),
        State(
            "closing",
            "nobody can connect any more; the rooms close, and then the connections, within a deadline",
        ),
        State("closed", "everything is released", final=True),
    ),
    rows=(
        Row(("opened",), ("starting",), "open"),
        Row(("connect",), ("open",), STAYS, (has_place,)),
        Row(("open_room",), ("open",), STAYS, (store_keeps,)),
        Row(("ready",), ("open",), STAYS, (media_reachable, store_keeps)),
        Row(("live",), ("starting", "open", "draining", "closing"), STAYS),
        Row(("drain",), ("open",), "draining", (), (ServerEffect.TELL_COUNTDOWN,)),
        # Whoever loses the connection during the countdown may come back.
        Row(("connect",), ("draining",), STAYS, (has_place,), (ServerEffect.TELL_COUNTDOWN,)),
        Row(("stop",), _BEFORE_THE_END, "closing", (), (ServerEffect.TELL_CLOSING,)),
        Row(("start_again",), _BEFORE_THE_END, "closing", (media_stay,), (ServerEffect.TELL_RESTARTING,)),
        Row(("start_again",), _BEFORE_THE_END, "closing", (media_end,), (ServerEffect.TELL_CLOSING,)),
        # The rooms and the connections are stopped separately, and each of the two fires this trigger.
        Row(("stop",), ("closing",), STAYS),
        Row(("connect",), ("closing", "closed"), STAYS, (never,)),
        Row(("open_room", "ready"), ("draining", "closing", "closed"), STAYS, (never,)),
        Row(("drained",), ("closing",), "closed"),
    ),
    causes={
        "opened": "the front door accepts connections",
        "connect": "a browser opens a websocket",
        "open_room": "somebody enters a room that is not open",
        "ready": "somebody asks /health/ready",
        "live": "somebody asks /health/live",
        "drain": "the program gets SIGTERM, and `--drain` gives people time",
        "stop": "the program gets Ctrl-C, or ends because of an error",
        "start_again": "the program gets SIGTERM, and no time is left or given",
        "drained": "rooms and connections have ended, or the deadline for that is over",
    },
)
