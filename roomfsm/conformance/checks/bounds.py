"""The limits of a room in `welcome`. Each is reached exactly, and then exceeded by one."""

from __future__ import annotations

from roomfsm.conformance.checks import steps
from roomfsm.conformance.outcome import Failed, NotReachable, shown
from roomfsm.conformance.scene import Scene
from roomfsm.conformance.stage import Facts, Room, Stream, person

_NAMES = ("Ada", "Bob", "Cyd", "Dan", "Eve", "Fay", "Gus", "Hal")


def _name(number: int) -> str:
    return _NAMES[number] if number < len(_NAMES) else f"Guest {number}"


async def full_room(scene: Scene) -> Room:
    """A full room, whose first member sees all others come. Raises `NotReachable`."""
    people = scene.plan.limit("people")
    if people + 4 > scene.plan.options.max_connections:
        raise NotReachable(f"{people} people are more than --max-connections allows")
    room = Room(scene)
    for number in range(people):
        await room.enter(_name(number))
    return room


async def too_many_people(scene: Scene) -> Room:
    """One more person is refused, and can enter after another has left. Returns the full room."""
    room = await full_room(scene)
    late = await scene.connect("Late")
    steps.check_code(await late.ask("join", room=room.name), "room_full")
    await room.leave(room.members[-1])
    await room.join(late)
    return room


async def presenter_makes_way(scene: Scene) -> None:
    """In a full room, a newcomer gets the seat of a person who is away. Here that person is the only presenter."""
    room = await full_room(scene)
    away = room.members[-1]
    stream = await room.publish(away)
    await room.lose(away)
    # The person who has been away longest loses the seat. People who are present stay, and one more person is
    # refused.
    newcomer = await scene.connect("Newcomer")
    ref = await newcomer.send("join", room=room.name, name=newcomer.name)
    before = [member for member in room.members if member is not away]
    room.members = [*before, newcomer]
    room.streams.clear()
    facts: Facts = {
        "streamEnded": {"stream": stream.id, "reason": "left"},
        "participantLeft": {"participant": away.me, "reason": "disconnected"},
        "participantJoined": {"participant": person(newcomer)},
        "joined": room.snapshot("waiting"),
    }
    await room.told("join", "waiting", facts, asker=newcomer, ref=ref)
    late = await scene.connect("Late")
    steps.check_code(await late.ask("join", room=room.name), "room_full")
    steps.check_code(await late.ask("resume", token=away.welcome["resumeToken"]), "session_unknown")


async def presenting_room(scene: Scene) -> Room:
    """A room with as many presenters as allowed, and one more person. Raises `NotReachable`."""
    presenters, people = scene.plan.limit("presenters"), scene.plan.limit("people")
    if presenters + 4 > scene.plan.options.max_connections:
        raise NotReachable(f"{presenters} presenters are more than --max-connections allows")
    if presenters >= people:
        raise NotReachable(f"a room has place for {people} people, of whom {presenters} may present")
    room = Room(scene)
    for number in range(presenters + 1):
        await room.enter(_name(number))
    for client in room.members[:-1]:
        await room.publish(client)
    return room


async def too_many_presenters(scene: Scene) -> None:
    """One more presenter is refused, but not a second stream of a presenter."""
    room = await presenting_room(scene)
    late = room.members[-1]
    peer = await scene.peer("sendonly")
    steps.check_code(await late.ask("publish", source="camera", sdp=peer.offer), "too_many_presenters")
    await room.publish(room.members[0], "screen")
    await room.unpublish(room.streams[f"{room.members[1].me}.camera"] if len(room.members) > 2 else _any(room))
    if len(room.members) > 2:
        await room.publish(late)


def _any(room: Room) -> Stream:
    return next(iter(room.streams.values()))


async def many_views(scene: Scene) -> tuple[Room, list[Stream]]:
    """A room whose last member views as many streams as allowed, and the streams that are left.

    Raises `NotReachable`.
    """
    views = scene.plan.limit("views")
    presenters = views // 2 + 1
    if presenters + 4 > scene.plan.options.max_connections:
        raise NotReachable(f"{views} views need more than --max-connections allows")
    if presenters > scene.plan.limit("presenters") or presenters >= scene.plan.limit("people"):
        raise NotReachable(f"a room has fewer presenters than {views + 1} streams need")
    room = Room(scene)
    for number in range(presenters + 1):
        await room.enter(_name(number))
    for client in room.members[:-1]:
        for source in ("camera", "screen"):
            await room.publish(client, source)
    viewer, streams = room.members[-1], list(room.streams.values())
    for stream in streams[:views]:
        await room.view(viewer, stream)
    return room, streams[views:]


async def too_many_views(scene: Scene) -> None:
    """One more view is refused, and accepted after another has ended."""
    room, left = await many_views(scene)
    viewer, stream = room.members[-1], left[0]
    peer = await scene.peer("recvonly")
    steps.check_code(await viewer.ask("view", stream=stream.id, sdp=peer.offer), "too_many_views")
    viewed = next(other for other in room.streams.values() if other.views)
    await room.unview(viewed, viewed.views[0])
    await room.view(viewer, stream)


async def candidates_at_once(scene: Scene, number: int) -> list[str]:
    """Publish, and send so many candidates before the answer can come.

    Returns the codes of those that were refused.
    """
    room = Room(scene)
    ada = await room.enter("Ada")
    peer = await scene.peer("sendonly")
    stream = Stream(f"{ada.me}.camera", ada, peer)
    asked = ada.message("publish", source="camera", sdp=peer.offer)
    sent = [
        ada.message(
            "candidate",
            stream=stream.id,
            candidate=f"candidate:{port} 1 udp 1 127.0.0.1 {port} typ host",
            sdpMid="0",
            sdpMLineIndex=0,
        )
        for port in range(1024, 1024 + number)
    ]
    await ada.send_message(asked, *sent)
    replies = await ada.gather(asked["ref"])
    steps.check_type(replies[asked["ref"]], "answer")
    refused = [message for message in (*replies.values(), *await ada.flush()) if message["type"] == "error"]
    refs = [message["ref"] for message in sent]
    for message in refused:
        if message.get("ref") not in refs or message.get("message") != "candidate":
            raise Failed("no error but of candidates", shown(message))
    return [message["code"] for message in refused]


async def too_many_candidates(scene: Scene) -> None:
    """If so many candidates come at once that the endpoint cannot be ready in time, some are refused."""
    bound = scene.plan.limit("candidates")
    room_for = scene.plan.limit("messageBurst") - 20
    if bound >= room_for:
        raise NotReachable(f"{bound} candidates are more than limits.messageBurst allows at once")
    codes = await candidates_at_once(scene, min(room_for, 4 * bound + 40))
    if not codes:
        raise NotReachable("the endpoint was ready for candidates sooner than they came")
    if set(codes) != {"too_many_candidates"}:
        raise Failed("error with code too_many_candidates", f"errors with {sorted(set(codes))}")
