"""Steps that several checks need: they bring a room, a stream or a view into a state by the shortest path."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from roomfsm.conformance.outcome import Failed, Message, NeverReachable, shown
from roomfsm.conformance.paths import diagram, rows_to, way_to
from roomfsm.conformance.scene import Scene
from roomfsm.conformance.spec import Machine, Pair, Row, Spec
from roomfsm.conformance.stage import Leg, Room, Stream
from roomfsm.conformance.wire import Client, Expected

ROOM_TRIGGERS = ("join", "publish", "close")
"""The triggers by which a client or an administrator brings a room into its states."""
LEG_TRIGGERS = ("answered", "connected", "flowing", "silent", "picture_off", "end")
"""The triggers by which a peer brings its stream or view into its states."""

_ANSWERS = "a media server answers when it can: nobody outside can hold it back"
_EARLY = (
    "only some media servers tell of media before the connection is there: nobody outside can bring that about"
)
_UNSEEN = {
    ("ended", None): "of an endpoint that is being released: nobody is told",
    ("offered", "candidate"): _ANSWERS,
    ("offered", "view"): _ANSWERS,
    ("offered", "end"): _ANSWERS,
    ("offered", "picture_off"): _ANSWERS,
    ("offered", "picture_on"): _ANSWERS,
    ("offered-paused", None): _ANSWERS,
    ("answered", "flowing"): _EARLY,
    ("answered-paused", "flowing"): _EARLY,
    ("answered-paused", "silent"): _EARLY,
    ("awaiting", None): _EARLY,
    ("lapsed", None): _EARLY,
    ("answered", "silent"): "a media server speaks of silence only after media were seen; nobody is told",
    ("connected", "silent"): "a media server speaks of silence only after media were seen; nobody is told",
    ("stalled", "silent"): "a media server speaks of silence once; nobody is told",
}
_OF_PATHS = ("narrow", "wide")
_LIMITED = ("limited", "stalled-limited", "awaiting-limited", "lapsed-limited")

TOO_SOON = "the room left closing too soon (a server may keep it there: --closing-notice)"


@dataclass(slots=True)
class Place:
    """A room with Ada and Bob in it. Bob publishes the streams."""

    room: Room
    ada: Client
    bob: Client

    @property
    def stream(self) -> Stream:
        """Bob's stream."""
        return next(stream for stream in self.room.streams.values() if stream.client is self.bob)


async def bring(scene: Scene, state: str) -> Place:
    """A room in that state. Raises `NotReachable` if the tables have no path for people to that state."""
    pair = next((pair for pair in scene.spec.legality if pair.room == state), None)
    way = None if pair is None else way_to(scene.spec, pair, ROOM_TRIGGERS)
    if way is None:
        raise NeverReachable(f"no way of a client leads to a room that is {state}")
    room = Room(scene)
    place: Place | None = None
    for step in way:
        match step.trigger:
            case "join":
                place = Place(room, await room.enter("Ada"), await room.enter("Bob"))
            case "publish":
                assert place is not None
                await room.publish(place.bob)
            case "close":
                await room.close()
    assert place is not None
    return place


async def knocking(scene: Scene) -> tuple[Place, Client]:
    """A room with a lobby, in which Cyd waits. Ada moderates the room."""
    place = await bring(scene, "waiting")
    await place.room.configure(place.ada, lobby=True)
    cyd = await scene.connect("Cyd")
    await place.room.knock(cyd)
    return place, cyd


async def bystander(scene: Scene) -> None:
    """Add a person in another room, who must get no messages. `Scene.finish` checks that."""
    await Room(scene).enter("Zoe")


def path_of_pair(spec: Spec, pair: Pair) -> str:
    """The path of a newcomer to that state."""
    way = way_to(spec, pair, ROOM_TRIGGERS)
    if way is None:
        return ""
    machine = "session" if pair.room is None else "room"
    return diagram(spec.machines[machine], [row for step in way for row in step.rows if row.machine == machine])


def path_of_row(spec: Spec, row: Row) -> str:
    """The shortest path of the row's machine to the row's source, followed by the row."""
    machine = spec.machines[row.machine]
    if row.machine in ("stream", "view") and (way := way_of_leg(machine, row.source)) is not None:
        return diagram(machine, [*way, row])
    able = {r.trigger for r in machine.rows} - {"expire", "media_lost", "end"}
    before = rows_to(machine, row.source, able) or rows_to(machine, row.source, {r.trigger for r in machine.rows})
    return diagram(machine, [*(before or ()), row])


def why_unseen(row: Row) -> str | None:
    """The reason why nobody outside can cause or see a row of a stream or view; None if somebody can."""
    if row.trigger in _OF_PATHS or row.source in _LIMITED:
        return "a media server need not know the viewer's path, and the kit's path is good"
    if row.trigger == "layers":
        return "a media server need not take layers, and the kit's peers send one"
    if row.trigger == "speech":
        return "a media server need not hear who speaks, and the kit's peers tell no audio levels"
    if row.trigger == "connected" and row.source == row.dest:
        return "a media connection comes up once"
    return _UNSEEN.get((row.source, row.trigger)) or _UNSEEN.get((row.source, None))


def way_of_leg(machine: Machine, state: str) -> list[Row] | None:
    """The path by which a peer brings its stream or view into a state.

    It has only rows that somebody outside can cause.
    """
    seen = tuple(row for row in machine.rows if why_unseen(row) is None)
    return rows_to(replace(machine, rows=seen), state, LEG_TRIGGERS)


async def leg_in(scene: Scene, machine: str, state: str) -> tuple[Place, Leg]:
    """Bob's stream, or Ada's view of it, in a state. A second stream of Bob's keeps the room broadcasting."""
    way = way_of_leg(scene.spec.machines[machine], state)
    if way is None:
        raise NeverReachable(f"no way leads to a {machine} that is {state}")
    if not way:
        raise NeverReachable(_ANSWERS)
    place = await bring(scene, "broadcasting")
    stream = place.stream
    await place.room.publish(place.bob, "screen")
    if machine == "stream":
        await play(place, stream, None, [row.trigger for row in way])
        return place, stream
    if any(row.trigger == "flowing" for row in way):
        await play(place, stream, None, ["flowing"])
    view = await place.room.view(place.ada, stream)
    triggers = [row.trigger for row in way]
    if "flowing" in triggers:
        # The media of a live stream flow as soon as the viewer is connected.
        triggers.remove("connected")
    await play(place, stream, view, triggers)
    return place, view


async def play(place: Place, stream: Stream, view: Leg | None, triggers: list[str]) -> None:
    """Cause triggers of the stream, or of a view of it."""
    for trigger in triggers:
        match trigger:
            case "connected":
                await place.room.connect(view or stream)
            case "flowing" if view is None:
                await flow(place, stream, None)
            case "flowing":
                await show(place, stream, view)
            case "silent":
                await fall_silent(place, stream, view)
            case "picture_off" if view is not None:
                await adjust(place, stream, view, "none")
            case "end" if view is not None:
                await place.room.unview(stream, view)
            case "end":
                await place.room.unpublish(stream)


async def adjust(place: Place, stream: Stream, view: Leg, size: str) -> None:
    """Let the viewer tell how large the picture is seen. One that is wanted again flows if the stream is live."""
    begins = view.paused and size != "none"
    await place.room.adjust(view, size)
    if begins and stream.state == "live" and view.peer.connected.is_set():
        await is_told(stream, view, "live")


async def flow(place: Place, stream: Stream, view: Leg | None, *kinds: str) -> None:
    """Let the presenter send media. The stream becomes live, and so does a view that had media before."""
    if not stream.peer.connected.is_set():
        await place.room.connect(stream)
    stream.peer.play(*(kinds or ("audio", "video")))
    await _changes(place, stream, view, "live")


async def fall_silent(place: Place, stream: Stream, view: Leg | None) -> None:
    """Let the presenter stop sending media."""
    stream.peer.play()
    await _changes(place, stream, view, "stalled")


async def show(place: Place, stream: Stream, view: Leg | None) -> None:
    """Connect a viewer's media. The media of a live stream flow then."""
    assert view is not None
    if stream.state != "live":
        await flow(place, stream, view)
        return
    await place.room.connect(view)
    await is_told(stream, view, "live")


async def is_told(stream: Stream, view: Leg, state: str) -> None:
    """Check that the viewer is told this state of the view."""
    view.state = state
    await view.client.expect(Expected("streamChanged", {"stream": {"id": stream.id}, "view": state, "ref": None}))


async def _changes(place: Place, stream: Stream, view: Leg | None, state: str) -> None:
    """Check that everybody is told about the stream, and the viewer also about the view. Either may come first."""
    stream.state = state
    for client in place.room.members:
        expected = [Expected("streamChanged", {"stream": stream.info(), "view": None, "ref": None})]
        if view is not None and client is view.client and not view.paused:
            view.state = state
            fields: Message = {"stream": {"id": stream.id}, "view": state, "ref": None}
            expected.append(Expected("streamChanged", fields))
        await client.expect_in_any_order(*expected)


def sample(scene: Scene, client: Client, message: str, stream: str) -> Message:
    """Fields that make a message well-formed. It need not be legal in the state."""
    samples: dict[str, Message] = {
        "join": {"room": scene.room_name()},
        "leave": {},
        "switch": {"room": scene.room_name()},
        "rename": {"name": "Countess"},
        "chat": {"text": "hello"},
        "sendFile": {"name": "notes.txt", "size": 3},
        "publish": {"source": "camera", "sdp": "v=0"},
        "unpublish": {"stream": f"{client.me}.camera"},
        "endStream": {"stream": stream},
        "view": {"stream": stream, "sdp": "v=0"},
        "unview": {"stream": stream},
        "adjust": {"stream": stream, "size": "none"},
        "restart": {"stream": stream, "sdp": "v=0"},
        "candidate": {"stream": stream, "candidate": "candidate:1 1 udp 1 127.0.0.1 9 typ host", "sdpMid": "0"},
        "raiseHand": {},
        "lowerHand": {"participant": client.me},
        "media": {"microphone": True, "camera": True},
        "speaking": {"speaking": True},
        "react": {"reaction": "heart"},
        "mute": {"participant": client.me},
        "unmute": {"participant": client.me},
        "kick": {"participant": client.me},
        "ban": {"participant": client.me},
        "unban": {"participant": client.me},
        "setRole": {"participant": client.me, "role": "viewer"},
        "admit": {"participant": client.me},
        "deny": {"participant": client.me},
        "configure": {"lobby": True},
        "lock": {},
        "unlock": {},
        "clearChat": {},
        "deleteLine": {"line": 1},
        "closeRoom": {},
        "ping": {},
        "resume": {"token": "none"},
    }
    if message not in samples:
        raise NeverReachable(f"the kit has no sample of {message}")
    return samples[message]


def check_illegal(reply: Message, pair: Pair, message: str) -> None:
    """Check that the reply refuses the message as the table says, with the messages that are allowed instead.

    Raises `Failed`.
    """
    machine, state = pair.refused[message]
    expected: dict[str, Any] = {
        "code": "illegal_in_state",
        "message": message,
        "machine": machine,
        "state": state,
        "allowed": list(pair.allowed),
    }
    if reply["type"] != "error" or {key: reply.get(key) for key in expected} != expected:
        raise Failed(shown({"type": "error", **expected}), shown(reply))


def check_code(reply: Message, *codes: str) -> None:
    """Check that the reply is an error with one of these codes. Raises `Failed`."""
    if reply["type"] != "error" or reply.get("code") not in codes:
        raise Failed(f"error with code {' or '.join(codes)}", shown(reply))


def check_type(reply: Message, kind: str) -> None:
    """Check that the reply has this type. Raises `Failed`."""
    if reply["type"] != kind:
        raise Failed(kind, shown(reply))


def out_of_closing(scene: Scene, reply: Message) -> bool:
    """Whether a reply shows that the room, which is closed by now, has removed the person."""
    return reply["type"] == "error" and (
        reply.get("code") == "room_closed"
        or (reply.get("machine"), reply.get("state")) == ("session", scene.spec.machines["session"].initial)
    )
