"""The machines of a stream (what a presenter publishes) and of a view (one viewer's reception of it).

Both begin with an offer, are answered, and get a media connection, over which media flow. What the protocol calls
*negotiating* is three states here, because each decides something: while *offered*, who asked has no answer yet;
while *answered*, the browser has a limited time to connect; while *connected*, it is there, and nothing flows.

Media that flow from a browser prove that it is connected. Media that flow to a browser do not: a media server may
see them arrive at a viewer's endpoint before the viewer is connected. So a view has two more states for that time,
*awaiting* and *lapsed*, which the protocol tells as *live* and *stalled*.

A view has three facts that change each on its own: whether its browser is connected, whether media flow, and
whether the path to the viewer is too slow for the picture. A slow path hides from the viewer whether media
flow, but the table must not forget it: what the view is told to be when the path is good again depends on it.
So each of the four states *awaiting*, *lapsed*, *live* and *stalled* has a partner with a slow path, and the
protocol tells all four partners as *limited*. A path is only found to be slow by media that were sent over it,
so there are no partners of the two states in which no media have been seen: *answered* and *connected* lead to
the partners of those in which media flowed and have stopped. The time to connect runs on until the media server
says that the browser is connected.

A viewer who does not look at the picture may do without it (`adjust`), and still gets the sound. Then it decides
nothing whether media flow or the path is slow, so one state takes the place of all those above: *paused*. What is
true is asked of the media server when the picture is wanted again. Before the browser is connected, *offered* and
*answered* have a partner each that remembers the wish.

If the browser's network changes, it makes a new offer for the same media connection (`restart`, an ICE restart by
RFC 8445 section 9). That changes none of the facts above: what flows is reported as before, and the encryption
goes on, so a restart has one row that stays wherever the offer has been answered. While *offered*, an offer is on
its way already, so there is nothing that could be restarted.
"""

from __future__ import annotations

from roomfsm.lifecycle.table import STAYS, Audience, Effect, Row, State, Table, Tell

ENDPOINT = "endpoint"
CONNECT_TIMEOUT = "connect timeout"
"""The time that the browser has to connect. When it is over, the stream or view fails."""


class StreamEffect(Effect):
    """What a stream's transition asks the room to do."""

    SEND_ANSWER = (
        "send answer",
        "the media server's answer to the offer goes to its sender",
        (Tell("answer", Audience.OWNER),),
    )
    REFUSE_OFFER = (
        "refuse offer",
        "the sender of the offer learns why it gets no answer",
        (Tell("error", Audience.OWNER),),
    )
    KEEP_CANDIDATE = "keep candidate", "the candidate is kept until the endpoint can take it"
    RESTART = (
        "restart",
        "the endpoint is asked to answer the new offer, and goes on as it is if it cannot",
        (Tell("answer", Audience.OWNER),),
    )
    TELL_STATE = "tell state", "everybody learns the stream's new state", (Tell("streamChanged", Audience.ALL),)
    TELL_LAYERS = (
        "tell layers",
        "the presenter learns which layers of the picture viewers can use",
        (Tell("layers", Audience.OWNER),),
    )
    NOTE_SPEECH = (
        "note speech",
        "it is known from the sound whether the presenter speaks; everybody is told at the end of the present "
        "interval",
        (Tell("speaking", Audience.ALL, "unless everybody knows it"),),
    )


class ViewEffect(Effect):
    """What a view's transition asks the room to do."""

    SEND_ANSWER = (
        "send answer",
        "the media server's answer to the offer goes to its sender",
        (Tell("answer", Audience.OWNER),),
    )
    REFUSE_OFFER = (
        "refuse offer",
        "the sender of the offer learns why it gets no answer",
        (Tell("error", Audience.OWNER),),
    )
    KEEP_CANDIDATE = "keep candidate", "the candidate is kept until the endpoint can take it"
    RESTART = (
        "restart",
        "the endpoint is asked to answer the new offer, and goes on as it is if it cannot",
        (Tell("answer", Audience.OWNER),),
    )
    TELL_STATE = "tell state", "the viewer learns the view's new state", (Tell("streamChanged", Audience.OWNER),)
    TELL_LIMITED = (
        "tell limited",
        "the viewer learns that the view is limited, because the path to the viewer is too slow",
        (Tell("streamChanged", Audience.OWNER, "with the reason `slow_path`"),),
    )
    ASK_KEYFRAME = (
        "ask keyframe",
        "if video has just begun to flow to the browser, the media server asks the presenter for a keyframe",
    )


_NEGOTIATING = "negotiating"
_begin = (
    State("offered", "the media server has not answered the offer yet", (ENDPOINT,), told_as=_NEGOTIATING),
    State("answered", "the browser is not connected yet", (ENDPOINT, CONNECT_TIMEOUT), told_as=_NEGOTIATING),
)
_connected = State(
    "connected", "the browser is connected, and no media have been seen yet", (ENDPOINT,), told_as=_NEGOTIATING
)
_live = State("live", "the media server sees media flow (ICE being connected is not enough)", (ENDPOINT,))
_stalled = State("stalled", "media flowed before, and have stopped", (ENDPOINT,))
_ended = State("ended", "it is over, and its endpoint is released", final=True)

WITH_MEDIA = frozenset({"live", "limited"})
"""The states of a stream or view in which media flow over the connection with the browser."""

_causes = {
    "answered": "the media server answered the offer",
    "connected": "the browser's media connection is up",
    "flowing": "the media server sees media flow",
    "silent": "the media server sees no media flow",
}

_do_stream = StreamEffect
_stream_open = ("offered", "answered", "connected", "live", "stalled")

STREAM: Table[None] = Table(
    "stream",
    "What a presenter publishes: one endpoint at the media server, which receives the media.",
    (*_begin, _connected, _live, _stalled, _ended),
    (
        Row(("view",), _stream_open, STAYS),
        Row(("candidate",), _stream_open, STAYS, (), (_do_stream.KEEP_CANDIDATE,)),
        Row(("restart",), ("answered", "connected", "live", "stalled"), STAYS, (), (_do_stream.RESTART,)),
        Row(("layers",), ("answered", "connected", "live", "stalled"), STAYS, (), (_do_stream.TELL_LAYERS,)),
        Row(("speech",), ("answered", "connected", "live", "stalled"), STAYS, (), (_do_stream.NOTE_SPEECH,)),
        Row(("answered",), ("offered",), "answered", (), (_do_stream.SEND_ANSWER,)),
        Row(("connected",), ("answered",), "connected"),
        Row(("connected",), ("connected", "live", "stalled"), STAYS),
        Row(("flowing",), ("connected", "stalled"), "live", (), (_do_stream.TELL_STATE,)),
        # Media from a browser prove that it is connected, even if the event that says so is missing.
        Row(("flowing",), ("answered",), "live", (), (_do_stream.TELL_STATE,)),
        Row(("flowing",), ("live",), STAYS),
        Row(("silent",), ("live",), "stalled", (), (_do_stream.TELL_STATE,)),
        Row(("silent",), ("answered", "connected", "stalled"), STAYS),
        Row(("end",), ("offered",), "ended", (), (_do_stream.REFUSE_OFFER,)),
        Row(("end",), ("answered", "connected", "live", "stalled"), "ended"),
        # While the endpoint is being released, the media server may still send events about it.
        Row(("answered", "connected", "flowing", "silent", "layers", "speech"), ("ended",), STAYS),
    ),
    _causes
    | {
        "layers": "the media server says which layers of the picture are of use",
        "speech": "the media server says whether the presenter speaks",
        "end": "the presenter stopped it or left, its endpoint failed, or the room's media ended",
    },
)

_do_view = ViewEffect
_LIMITED = "limited"
_unlimited = ("answered", "awaiting", "lapsed", "connected", "live", "stalled")
_limited = (_LIMITED, "stalled-limited", "awaiting-limited", "lapsed-limited")
_paused = ("answered-paused", "paused")
_view_open = ("offered", "offered-paused", *_unlimited, *_limited, *_paused)

VIEW: Table[None] = Table(
    "view",
    "One viewer's reception of a stream: one endpoint at the media server, which sends the media to the viewer.",
    (
        *_begin,
        State(
            "awaiting",
            "media flow, and wait for the browser to be connected",
            (ENDPOINT, CONNECT_TIMEOUT),
            told_as="live",
        ),
        State(
            "lapsed",
            "media flowed and have stopped before the browser was connected",
            (ENDPOINT, CONNECT_TIMEOUT),
            told_as="stalled",
        ),
        _connected,
        _live,
        _stalled,
        State(
            "limited",
            "it is live, but the path to the viewer is too slow for the picture: only the sound is sent",
            (ENDPOINT,),
        ),
        State(
            "stalled-limited",
            "the path to the viewer is too slow for the picture, and no media flow",
            (ENDPOINT,),
            told_as=_LIMITED,
        ),
        State(
            "awaiting-limited",
            "as limited, but the browser is not connected yet",
            (ENDPOINT, CONNECT_TIMEOUT),
            told_as=_LIMITED,
        ),
        State(
            "lapsed-limited",
            "as stalled-limited, but the browser is not connected yet",
            (ENDPOINT, CONNECT_TIMEOUT),
            told_as=_LIMITED,
        ),
        State(
            "paused",
            "the viewer does not want the picture, and gets only the sound",
            (ENDPOINT,),
        ),
        State(
            "offered-paused",
            "as offered, and the viewer does not want the picture",
            (ENDPOINT,),
            told_as=_NEGOTIATING,
        ),
        State(
            "answered-paused",
            "as paused, but the browser is not connected yet",
            (ENDPOINT, CONNECT_TIMEOUT),
            told_as=_NEGOTIATING,
        ),
        _ended,
    ),
    (
        Row(("candidate",), _view_open, STAYS, (), (_do_view.KEEP_CANDIDATE,)),
        Row(("restart",), (*_unlimited, *_limited, *_paused), STAYS, (), (_do_view.RESTART,)),
        Row(("answered",), ("offered",), "answered", (), (_do_view.SEND_ANSWER,)),
        Row(("answered",), ("offered-paused",), "answered-paused", (), (_do_view.SEND_ANSWER,)),
        Row(("connected",), ("answered",), "connected"),
        Row(("connected",), ("awaiting",), "live", (), (_do_view.ASK_KEYFRAME,)),
        Row(("connected",), ("lapsed",), "stalled"),
        Row(("connected",), ("awaiting-limited",), "limited"),
        Row(("connected",), ("lapsed-limited",), "stalled-limited"),
        Row(("connected",), ("connected", "live", "stalled", "limited", "stalled-limited"), STAYS),
        Row(("flowing",), ("connected", "stalled"), "live", (), (_do_view.TELL_STATE, _do_view.ASK_KEYFRAME)),
        Row(("flowing",), ("answered", "lapsed"), "awaiting", (), (_do_view.TELL_STATE,)),
        Row(("flowing",), ("live",), STAYS, (), (_do_view.ASK_KEYFRAME,)),
        Row(("flowing",), ("awaiting",), STAYS),
        Row(("silent",), ("live",), "stalled", (), (_do_view.TELL_STATE,)),
        Row(("silent",), ("awaiting",), "lapsed", (), (_do_view.TELL_STATE,)),
        Row(("silent",), ("answered", "lapsed", "connected", "stalled"), STAYS),
        # A view with a slow path gets only the sound. The viewer has been told why there is no picture.
        Row(("flowing",), ("stalled-limited",), "limited"),
        Row(("flowing",), ("lapsed-limited",), "awaiting-limited"),
        Row(("flowing",), ("limited", "awaiting-limited"), STAYS),
        Row(("silent",), ("limited",), "stalled-limited"),
        Row(("silent",), ("awaiting-limited",), "lapsed-limited"),
        Row(("silent",), ("stalled-limited", "lapsed-limited"), STAYS),
        Row(("narrow",), ("live",), "limited", (), (_do_view.TELL_LIMITED,)),
        Row(("narrow",), ("connected", "stalled"), "stalled-limited", (), (_do_view.TELL_LIMITED,)),
        Row(("narrow",), ("awaiting",), "awaiting-limited", (), (_do_view.TELL_LIMITED,)),
        Row(("narrow",), ("answered", "lapsed"), "lapsed-limited", (), (_do_view.TELL_LIMITED,)),
        Row(("narrow",), _limited, STAYS),
        # The media server begins a picture that it had paused with a keyframe by itself.
        Row(("wide",), ("limited",), "live", (), (_do_view.TELL_STATE,)),
        Row(("wide",), ("stalled-limited",), "stalled", (), (_do_view.TELL_STATE,)),
        Row(("wide",), ("awaiting-limited",), "awaiting", (), (_do_view.TELL_STATE,)),
        Row(("wide",), ("lapsed-limited",), "lapsed", (), (_do_view.TELL_STATE,)),
        Row(("wide",), _unlimited, STAYS),
        Row(("picture_off",), ("offered", "offered-paused"), "offered-paused"),
        Row(
            ("picture_off",),
            ("answered", "awaiting", "lapsed", "awaiting-limited", "lapsed-limited", "answered-paused"),
            "answered-paused",
        ),
        Row(("picture_off",), ("connected", "live", "stalled", "limited", "stalled-limited", "paused"), "paused"),
        Row(("picture_on",), ("offered-paused",), "offered"),
        Row(("picture_on",), ("answered-paused",), "answered"),
        # Whether media flow, and how good the path is, the media server is asked then.
        Row(("picture_on",), ("paused",), "connected"),
        Row(("picture_on",), ("offered", *_unlimited, *_limited), STAYS),
        Row(("connected",), ("answered-paused",), "paused", (), (_do_view.TELL_STATE,)),
        Row(("connected",), ("paused",), STAYS),
        Row(("flowing", "silent", "narrow", "wide"), _paused, STAYS),
        Row(("end",), ("offered", "offered-paused"), "ended", (), (_do_view.REFUSE_OFFER,)),
        Row(("end",), (*_unlimited, *_limited, *_paused), "ended"),
        # While the endpoint is being released, the media server may still send events about it.
        Row(("answered", "connected", "flowing", "silent", "narrow", "wide"), ("ended",), STAYS),
    ),
    _causes
    | {
        "narrow": "the media server stopped sending the picture, because the path to the viewer is too slow",
        "wide": "the media server sends the picture again",
        "picture_off": "the viewer does not want the picture",
        "picture_on": "the viewer wants the picture",
        "end": "the viewer stopped it or left, its endpoint failed, or the stream ended",
    },
)
