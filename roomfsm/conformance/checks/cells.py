"""Every message in every state is accepted with its reply, or refused with the messages that are allowed
instead.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from roomfsm.conformance.checks import files, seats, steps
from roomfsm.conformance.checks.steps import Place
from roomfsm.conformance.outcome import Failed, NeverReachable, NotReachable, shown
from roomfsm.conformance.paths import diagram
from roomfsm.conformance.scene import Check, Plan, Scene
from roomfsm.conformance.spec import Pair
from roomfsm.conformance.stage import Leg, Room, Stream, candidate_of
from roomfsm.conformance.wire import Client

_LEG_MESSAGES = {
    "stream": ("candidate", "view", "unpublish", "restart"),
    "view": ("candidate", "view", "unview", "adjust", "restart"),
}
"""The messages about a stream, and about a view of it."""


def checks(plan: Plan) -> Iterator[Check]:
    """A check for each message in each pair of states, and in each state of a stream and of a view."""
    spec = plan.spec
    for pair in spec.legality:
        path = steps.path_of_pair(spec, pair)
        for message in spec.messages:
            media = pair.room == "broadcasting" or (message == "publish" and message in pair.allowed)
            yield Check(
                f"cell/{pair.key}/{message}",
                partial(_cell, pair=pair, message=message),
                f"{path}, then {message}",
                media=media,
            )
    for name, messages in _LEG_MESSAGES.items():
        machine = spec.machines[name]
        for state in machine.states:
            rows = steps.way_of_leg(machine, state)
            for message in messages:
                yield Check(
                    f"cell/{name}/{state}/{message}",
                    partial(_leg_cell, machine=name, state=state, message=message),
                    f"{diagram(machine, rows or ())}, then {message}",
                    media=True,
                )


async def _cell(scene: Scene, *, pair: Pair, message: str) -> None:
    place: Place | None = None
    if pair.session == "knocking":
        place, client = await steps.knocking(scene)
    elif pair.room is None:
        client = await scene.connect("Ada")
    else:
        place = await steps.bring(scene, pair.room)
        client = place.ada
    await steps.bystander(scene)
    if message in pair.allowed:
        if pair.session == "knocking":
            await seats.while_knocking(scene, place, client, message)
        else:
            await accepted(scene, client, place, message)
        return
    stream = f"{place.bob.me}.camera" if place else "nobody.camera"
    reply = await client.ask(message, **steps.sample(scene, client, message, stream))
    # The replies for a person who is in no room: `joined`, or that there is no such session.
    out = steps.out_of_closing(scene, reply) or reply["type"] == "joined" or reply.get("code") == "session_unknown"
    if pair.room == "closing" and out:
        raise NotReachable(steps.TOO_SOON)
    steps.check_illegal(reply, pair, message)


async def accepted(scene: Scene, client: Client, place: Place | None, message: str) -> None:
    """Check that the message is legal and gets the reply of the specification.

    Raises `Failed` or `NotReachable`.
    """
    if place is None:
        await _accepted_outside(scene, client, message)
        return
    room = place.room
    match message:
        case "leave" if room.state == "closing":
            await leave_closing(scene, place, client)
        case "leave":
            await room.leave(client)
        case "switch":
            await room.switch(client, Room(scene))
        case "rename":
            await room.rename(client, "Countess")
        case "chat":
            await room.chat(client)
        case "sendFile":
            await files.accepted(place)
        case "publish":
            await room.publish(client)
        case "unpublish":
            await room.unpublish(await room.publish(client))
        case "endStream":
            await room.end_stream(client, place.stream)
        case "view":
            await room.view(client, place.stream)
        case "unview":
            await room.unview(place.stream, await room.view(client, place.stream))
        case "adjust":
            await room.adjust(await room.view(client, place.stream), "none")
        case "candidate":
            await room.pass_candidate(await room.view(client, place.stream))
            await room.chat(client)
        case "restart":
            await room.restart(await room.view(client, place.stream))
        case _ if message in seats.MESSAGES:
            await seats.moderates(place, message)
        case "ping":
            steps.check_type(await client.ask("ping"), "pong")
            if room.state == "closing" and steps.out_of_closing(
                scene, await client.ask("chat", text="still here?")
            ):
                raise NotReachable(steps.TOO_SOON)
        case _:
            raise NeverReachable(f"the kit does not know {message}")


async def leave_closing(scene: Scene, place: Place, client: Client) -> None:
    """Leave a closing room. Raises `NotReachable` if the room removed everybody before."""
    ref = await client.send("leave")
    message = await client.next("the reply to leave")
    if steps.out_of_closing(scene, message):
        raise NotReachable(steps.TOO_SOON)
    if (message["type"], message.get("ref")) != ("participantLeft", ref):
        raise Failed("participantLeft", shown(message))
    await place.room.left(client, "left")


async def _accepted_outside(scene: Scene, client: Client, message: str) -> None:
    match message:
        case "join":
            await Room(scene).join(client)
        case "resume":
            room = Room(scene)
            lost = await room.enter("Bob")
            await room.enter("Cyd")
            await room.lose(lost)
            client.name = lost.name
            await room.resume(lost, client)
        case "ping":
            steps.check_type(await client.ask("ping"), "pong")
        case _:
            raise NeverReachable(f"the kit does not know {message}")


async def _leg_cell(scene: Scene, *, machine: str, state: str, message: str) -> None:
    place, leg = await steps.leg_in(scene, machine, state)
    await steps.bystander(scene)
    if machine == "stream":
        assert isinstance(leg, Stream)
        await _stream_cell(scene, place, leg, message)
    else:
        await _view_cell(scene, place, leg, message)


async def _stream_cell(scene: Scene, place: Place, stream: Stream, message: str) -> None:
    room = place.room
    over = stream.state == "ended"
    match message:
        case "candidate" if over:
            steps.check_code(await place.bob.ask(message, **candidate_of(stream)), "no_such_stream")
        case "candidate":
            await room.pass_candidate(stream)
        case "view" if over:
            peer = await scene.peer("recvonly")
            reply = await place.ada.ask(message, stream=stream.id, sdp=peer.offer)
            steps.check_code(reply, "no_such_stream")
        case "view":
            await room.view(place.ada, stream)
            if stream.state == "live":
                # A view of a live stream is reported when its media flow, whether it was connected before or not.
                await steps.show(place, stream, stream.views[0])
        case "unpublish" if over:
            steps.check_code(await place.bob.ask(message, stream=stream.id), "no_such_stream")
        case "unpublish":
            await room.unpublish(stream)
        case "restart" if over:
            steps.check_code(
                await place.bob.ask(message, stream=stream.id, sdp=stream.peer.offer), "no_such_stream"
            )
        case "restart":
            await room.restart(stream)
    await room.chat(place.bob)


async def _view_cell(scene: Scene, place: Place, view: Leg, message: str) -> None:
    room, stream, over = place.room, place.stream, view.state == "ended"
    match message:
        case "candidate" if over:
            steps.check_code(await place.ada.ask(message, **candidate_of(view)), "not_viewing")
        case "candidate":
            await room.pass_candidate(view)
        case "view" if over:
            await room.view(place.ada, stream)
        case "view":
            reply = await place.ada.ask(message, stream=view.id, sdp=view.peer.offer)
            steps.check_code(reply, "already_viewing")
        case "unview" if over:
            steps.check_code(await place.ada.ask(message, stream=view.id), "not_viewing")
        case "unview":
            await room.unview(stream, view)
        case "adjust" if over:
            steps.check_code(await place.ada.ask(message, stream=view.id, size="none"), "not_viewing")
        case "adjust":
            await steps.adjust(place, stream, view, "none")
            # Of a stalled stream, some media servers send the last picture again, and others do not.
            if stream.state != "stalled":
                await steps.adjust(place, stream, view, "large")
        case "restart" if over:
            steps.check_code(await place.ada.ask(message, stream=view.id, sdp=view.peer.offer), "not_viewing")
        case "restart":
            await room.restart(view)
    await room.chat(place.ada)
