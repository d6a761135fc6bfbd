"""Races: whatever comes first, every message with a ref gets one reply, and the room continues as a table says."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import partial

import trio

from roomfsm.conformance.checks import steps
from roomfsm.conformance.checks.steps import bring
from roomfsm.conformance.outcome import Failed, Message, Over, shown
from roomfsm.conformance.scene import Check, Plan, Scene
from roomfsm.conformance.stage import Leg, Room, Stream, candidate_of
from roomfsm.conformance.wire import Client, Ref


def checks(plan: Plan) -> Iterator[Check]:
    """A check for each race."""
    yield Check("race/late-candidate/unpublish", partial(_late_candidate, message="unpublish"), media=True)
    yield Check("race/late-candidate/unview", partial(_late_candidate, message="unview"), media=True)
    yield Check("race/candidate-before-answer", _candidate_before_answer, media=True)
    yield Check("race/candidate-before-publish", _candidate_before_publish, media=True)
    yield Check("race/view-before-answer", _view_before_answer, media=True)
    yield Check("race/view-before-publish", _view_before_publish, media=True)
    yield Check("race/double-publish", _double_publish, media=True)
    yield Check("race/double-view", _double_view, media=True)
    yield Check("race/republish", _republish, media=True)
    yield Check("race/leave-during-answer", partial(_leave_during_answer, message="leave"), media=True)
    yield Check("race/switch-during-answer", partial(_leave_during_answer, message="switch"), media=True)
    yield Check("race/disconnect-during-answer", _disconnect_during_answer, media=True)
    yield Check("race/close-during-offer", _close_during_offer, media=True)
    yield Check("race/join-while-closing", _join_while_closing)
    yield Check("race/two-joins", _two_joins)
    yield Check("race/two-leaves", _two_leaves)
    yield Check("race/switch-and-leave", _switch_and_leave)
    yield Check("race/two-resumes", _two_resumes)


async def answers(client: Client, *messages: Message) -> list[Message]:
    """Send messages together, and return the only reply to each, in the order of the messages."""
    await client.send_message(*messages)
    refs = [message["ref"] for message in messages]
    replies = await client.gather(*refs)
    once(await client.flush(), refs)
    return [replies[ref] for ref in refs]


def once(later: Sequence[Message], refs: Sequence[Ref]) -> None:
    """Check that no second reply came later. Raises `Failed`."""
    for message in later:
        if message.get("ref") in refs:
            raise Failed(f"one reply to #{message['ref']}", f"another: {shown(message)}")


async def _late_candidate(scene: Scene, *, message: str) -> None:
    """If a candidate was under way when its stream or view ended, it is refused and not ignored."""
    place = await bring(scene, "broadcasting")
    leg: Leg = place.stream
    codes: tuple[str, ...] = ("illegal_in_state", "no_such_stream")
    if message == "unview":
        leg, codes = await place.room.view(place.ada, place.stream), ("not_viewing",)
    client = leg.client
    ended = client.message(message, stream=leg.id)
    late = client.message("candidate", **candidate_of(leg))
    replies = await answers(client, ended, late)
    steps.check_type(replies[0], str(scene.spec.replies[message]))
    steps.check_code(replies[1], *codes)
    await place.ada.flush()
    await place.bob.flush()


def _offer(client: Client, leg: Leg, stream: str | None = None) -> Message:
    if stream is None:
        return client.message("publish", source="camera", sdp=leg.peer.offer)
    return client.message("view", stream=stream, sdp=leg.peer.offer)


async def _unborn(scene: Scene, client: Client) -> Stream:
    return Stream(f"{client.me}.camera", client, await scene.peer("sendonly"))


async def _candidate_before_answer(scene: Scene) -> None:
    """Candidates follow their offer at once, as browsers send them."""
    place = await bring(scene, "waiting")
    stream = await _unborn(scene, place.ada)
    asked = _offer(place.ada, stream)
    candidates = [place.ada.message("candidate", **candidate_of(stream)) for _ in range(3)]
    await place.ada.send_message(asked, *candidates)
    await place.room.started(stream)
    await place.room.answered(stream, "stream", asked["ref"])
    await place.room.chat(place.ada)


async def _candidate_before_publish(scene: Scene) -> None:
    place = await bring(scene, "waiting")
    stream = await _unborn(scene, place.ada)
    candidate, asked = place.ada.message("candidate", **candidate_of(stream)), _offer(place.ada, stream)
    replies = await answers(place.ada, candidate, asked)
    steps.check_code(replies[0], "illegal_in_state")
    steps.check_type(replies[1], "answer")
    await place.bob.flush()


async def _view_before_answer(scene: Scene) -> None:
    """A stream can be viewed as soon as it has started, before its presenter has an answer or sends media."""
    place = await bring(scene, "waiting")
    room, stream = place.room, await _unborn(scene, place.ada)
    view = Leg(stream.id, place.bob, await scene.peer("recvonly"))
    asked = _offer(place.ada, stream)
    wanted = _offer(place.bob, view, stream.id)
    await place.ada.send_message(asked)
    await place.bob.next("streamStarted")
    await place.bob.send_message(wanted)
    steps.check_type((await place.bob.gather(wanted["ref"]))[wanted["ref"]], "answer")
    steps.check_type((await place.ada.gather(asked["ref"]))[asked["ref"]], "answer")
    once(await place.ada.flush(), [asked["ref"]])
    once(await place.bob.flush(), [wanted["ref"]])
    ref = await place.ada.send("unpublish", stream=stream.id)
    steps.check_type((await place.ada.gather(ref))[ref], "streamEnded")
    room.state = "waiting"
    await place.ada.flush()
    await place.bob.flush()


async def _view_before_publish(scene: Scene) -> None:
    """Both requests come at the same moment, so the stream may exist or not."""
    place = await bring(scene, "waiting")
    stream = await _unborn(scene, place.ada)
    view = Leg(stream.id, place.bob, await scene.peer("recvonly"))
    asked, wanted = _offer(place.ada, stream), _offer(place.bob, view, stream.id)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(place.ada.send_message, asked)
        nursery.start_soon(place.bob.send_message, wanted)
    steps.check_type((await place.ada.gather(asked["ref"]))[asked["ref"]], "answer")
    reply = (await place.bob.gather(wanted["ref"]))[wanted["ref"]]
    if reply["type"] != "answer":
        steps.check_code(reply, "illegal_in_state", "no_such_stream")
    once(await place.ada.flush(), [asked["ref"]])
    once(await place.bob.flush(), [wanted["ref"]])


async def _double_publish(scene: Scene) -> None:
    place = await bring(scene, "waiting")
    first, second = await _unborn(scene, place.ada), await _unborn(scene, place.ada)
    replies = await answers(place.ada, _offer(place.ada, first), _offer(place.ada, second))
    steps.check_type(replies[0], "answer")
    steps.check_code(replies[1], "already_publishing")
    await place.bob.flush()


async def _double_view(scene: Scene) -> None:
    place = await bring(scene, "broadcasting")
    stream = place.stream
    views = [Leg(stream.id, place.ada, await scene.peer("recvonly")) for _ in range(2)]
    replies = await answers(place.ada, *(_offer(place.ada, view, stream.id) for view in views))
    steps.check_type(replies[0], "answer")
    steps.check_code(replies[1], "already_viewing")
    await place.bob.flush()


async def _republish(scene: Scene) -> None:
    """A stream is ended and begun again at once. The new stream is a different one, and gets its own answer."""
    place = await bring(scene, "broadcasting")
    bob, old = place.bob, place.stream
    again = await _unborn(scene, bob)
    replies = await answers(bob, bob.message("unpublish", stream=old.id), _offer(bob, again))
    steps.check_type(replies[0], "streamEnded")
    steps.check_type(replies[1], "answer")
    await place.ada.flush()


async def _leave_during_answer(scene: Scene, *, message: str) -> None:
    place = await bring(scene, "waiting")
    stream = await _unborn(scene, place.ada)
    fields = {"room": scene.room_name()} if message == "switch" else {}
    replies = await answers(place.ada, _offer(place.ada, stream), place.ada.message(message, **fields))
    if replies[0]["type"] != "answer":
        steps.check_code(replies[0], "ended")
    steps.check_type(replies[1], str(scene.spec.replies[message]))
    await _alone_in_waiting(place.room, place.bob)


async def _alone_in_waiting(room: Room, client: Client) -> None:
    """Check that the messages that came meanwhile leave the room waiting, with this person in it."""
    seen = await client.flush()
    states = [message for message in seen if message["type"] == "roomState"]
    started = [message for message in seen if message["type"] == "streamStarted"]
    if started and not (states and states[-1]["state"] == "waiting"):
        # A server may report a leave later. The report ends with roomState.
        while True:
            message = await client.next("roomState {state: waiting}")
            if message["type"] == "roomState" and message["state"] == "waiting":
                break
    room.members = [client]
    room.state = "waiting"
    await room.chat(client)


async def _disconnect_during_answer(scene: Scene) -> None:
    """The stream of a person who comes back still exists or has failed. The room must report its real state."""
    place = await bring(scene, "waiting")
    ada, bob = place.ada, place.bob
    stream = await _unborn(scene, ada)
    await ada.send_message(_offer(ada, stream))
    await ada.cut()
    while True:
        message = await bob.next("participantChanged {away: true}")
        if message["type"] == "participantChanged":
            break
    back = await scene.connect("Ada")
    joined = await back.ask("resume", token=ada.welcome["resumeToken"])
    steps.check_type(joined, "joined")
    back.me = ada.me
    if joined["you"] != ada.me:
        raise Failed(f"joined as {ada.me}", shown(joined))
    await bob.flush()
    await back.flush()
    ref = await back.send("unpublish", stream=stream.id)
    reply = (await back.gather(ref))[ref]
    if any(item["id"] == stream.id for item in joined["streams"]):
        steps.check_type(reply, "streamEnded")
    else:
        steps.check_code(reply, "illegal_in_state", "no_such_stream")
    await back.flush()
    await bob.flush()


async def _close_during_offer(scene: Scene) -> None:
    """The offer must be answered in any case."""
    place = await bring(scene, "waiting")
    stream = await _unborn(scene, place.ada)
    asked = _offer(place.ada, stream)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(scene.close_room, place.room.name)
        nursery.start_soon(place.ada.send_message, asked)
    reply = (await place.ada.gather(asked["ref"]))[asked["ref"]]
    if reply["type"] != "answer":
        steps.check_code(reply, *scene.spec.errors["publish"])
    once(await place.ada.flush(), [asked["ref"]])
    await place.bob.flush()


async def _join_while_closing(scene: Scene) -> None:
    """While the room closes, the message is refused with the messages that are allowed.

    After that, the person enters a new room of that name.
    """
    late = await scene.connect("Late")
    place = await bring(scene, "closing")
    while True:
        reply = await late.ask("join", room=place.room.name)
        if reply["type"] == "joined":
            break
        wanted = {"code": "illegal_in_state", "machine": "room", "state": "closing", "message": "join"}
        allowed = list(scene.spec.pair("connected", None).allowed)
        if {key: reply.get(key) for key in wanted} != wanted or reply.get("allowed") != allowed:
            raise Failed(shown({"type": "error", **wanted, "allowed": allowed}), shown(reply))
        await trio.sleep(0.1)
    if [person["id"] for person in joined_people(reply)] != [late.me]:
        raise Failed("an empty room of that name", shown(reply))
    await late.flush()


def joined_people(joined: Message) -> list[Message]:
    """The people in the room."""
    people: list[Message] = joined["participants"]
    return people


async def _two_joins(scene: Scene) -> None:
    ada = await scene.connect("Ada")
    first, second = scene.room_name(), scene.room_name()
    replies = await answers(ada, ada.message("join", room=first), ada.message("join", room=second))
    if replies[0].get("room") != first:
        raise Failed(f"joined of {first}", shown(replies[0]))
    pair = next(pair for pair in scene.spec.legality if (pair.session, pair.room) == ("joined", "waiting"))
    steps.check_illegal(replies[1], pair, "join")


async def _two_leaves(scene: Scene) -> None:
    place = await bring(scene, "waiting")
    replies = await answers(place.ada, place.ada.message("leave"), place.ada.message("leave"))
    steps.check_type(replies[0], "participantLeft")
    steps.check_illegal(replies[1], scene.spec.pair("connected", None), "leave")
    await place.room.left(place.ada, "left")


async def _switch_and_leave(scene: Scene) -> None:
    place = await bring(scene, "waiting")
    other = scene.room_name()
    replies = await answers(place.ada, place.ada.message("switch", room=other), place.ada.message("leave"))
    if replies[0].get("room") != other:
        raise Failed(f"joined of {other}", shown(replies[0]))
    steps.check_type(replies[1], "participantLeft")
    await place.room.left(place.ada, "switched")
    steps.check_type(await place.ada.ask("join", room=other), "joined")
    await place.ada.flush()


async def _two_resumes(scene: Scene) -> None:
    """Both may resume, one after the other, and the earlier one is then closed.

    At the end one of them is in the room.
    """
    place = await bring(scene, "waiting")
    await place.room.lose(place.bob)
    token = place.bob.welcome["resumeToken"]
    two = [await scene.connect("Bob"), await scene.connect("Bob")]
    asked = [client.message("resume", token=token) for client in two]
    async with trio.open_nursery() as nursery:
        for client, message in zip(two, asked, strict=True):
            nursery.start_soon(client.send_message, message)
    for client, message in zip(two, asked, strict=True):
        await _reply_or_end(client, message["ref"])
    inside = [client for client in two if await _still_in(scene, client)]
    if len(inside) != 1:
        raise Failed("one of the two in the room", f"{len(inside)} of them")
    await place.ada.flush()


async def _reply_or_end(client: Client, ref: Ref) -> None:
    """Receive messages until the reply comes or the connection is closed. Raises `Failed` for any other reply."""
    with suppress(Over):
        while (message := await client.next(f"a reply to #{ref}")).get("ref") != ref:
            if message.get("ref") is not None:
                raise Failed(f"replies to #{ref} only at {client.label}", shown(message))


async def _still_in(scene: Scene, client: Client) -> bool:
    """Whether a person can say something in the room.

    A person whose session was taken over must be closed with the right code.
    """
    try:
        ref = await client.send("chat", text="it is me")
        return bool((await client.gather(ref))[ref]["type"] == "chat")
    except Over:
        expected = scene.spec.close_codes["resumed_elsewhere"]
        if client.left != expected:
            raise Failed(f"closed with {expected}", f"closed with {client.left}") from None
        return False
