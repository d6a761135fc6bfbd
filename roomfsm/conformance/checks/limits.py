"""Every limit in `welcome` or in a schema: a message at the limit is accepted, and one beyond it is refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from typing import Any

from roomfsm.conformance.checks import bounds, steps
from roomfsm.conformance.checks.guards import comes_too_often
from roomfsm.conformance.checks.steps import bring
from roomfsm.conformance.outcome import Failed, NeverReachable, NotReachable, shown
from roomfsm.conformance.scene import Check, Plan, Scene
from roomfsm.conformance.spec import Field
from roomfsm.conformance.stage import Room
from roomfsm.conformance.wire import Client

_MAX_INT = 2**53 - 1
_ASTRAL = "🦉"
"""One character that has two UTF-16 units and four bytes."""


def checks(plan: Plan) -> Iterator[Check]:
    """A check for each bound."""
    yield Check("limit/chat-text", _chat_text)
    yield Check("limit/display-name", _display_name)
    yield Check("limit/room-name", _room_name)
    yield Check("limit/message-bytes", _message_bytes)
    yield Check("limit/message-burst", _message_burst, alone=True, extra=20.0)
    yield Check("limit/entering", comes_too_often)
    yield Check("limit/people", _people, connections=plan.bound("people") + 4)
    yield Check("limit/presenters", _presenters, connections=plan.bound("presenters") + 4, media=True)
    yield Check("limit/views", _views, connections=plan.bound("views") // 2 + 5, media=True)
    yield Check("limit/candidates", _candidates, media=True)
    yield Check("limit/ref", _ref)
    yield Check("limit/sdp", _sdp, media=True)
    for message in plan.spec.messages:
        for field in plan.spec.fields(message).values():
            if field.name not in ("ref", "sdp") and field.longest() is not None:
                yield Check(f"limit/field/{message}.{field.name}", partial(_longest, message=message, field=field))


def check_malformed(reply: dict[str, object], path: str, message: str | None = None) -> None:
    """Check that the reply names this field, and the right message if it names one. Raises `Failed`."""
    if (reply["type"], reply.get("code"), reply.get("path")) != ("error", "malformed", path):
        raise Failed(f"error {{code: malformed, path: {path}}}", shown(reply))
    if message is not None and reply.get("message") not in (None, message):
        raise Failed(f"error {{code: malformed, path: {path}}} with no message or {message}", shown(reply))


async def _chat_text(scene: Scene) -> None:
    """Characters are counted, not bytes or UTF-16 units."""
    most = scene.plan.limit("chatText")
    place = await bring(scene, "waiting")
    await place.room.chat(place.ada, "x" * most)
    if 4 * most + 200 < scene.plan.limit("messageBytes"):
        await place.room.chat(place.ada, _ASTRAL * most)
    check_malformed(await place.ada.ask("chat", text="x" * (most + 1)), "$.text")
    check_malformed(await place.ada.ask("chat", text=""), "$.text")


async def _display_name(scene: Scene) -> None:
    most = scene.plan.limit("displayName")
    place = await bring(scene, "waiting")
    await place.room.rename(place.ada, "x" * most)
    await place.room.rename(place.ada, _ASTRAL * most)
    check_malformed(await place.ada.ask("rename", name="x" * (most + 1)), "$.name")
    late = await scene.connect("Late")
    check_malformed(await late.ask("join", room=place.room.name, name="x" * (most + 1)), "$.name")
    late.name = "y" * most
    await place.room.join(late)


async def _room_name(scene: Scene) -> None:
    ada = await scene.connect("Ada")
    name = scene.room_name()
    check_malformed(await ada.ask("join", room=name.ljust(65, "x")), "$.room")
    check_malformed(await ada.ask("join", room=""), "$.room")
    await Room(scene, name.ljust(64, "x")).join(ada)


async def _message_bytes(scene: Scene) -> None:
    most = scene.plan.limit("messageBytes")
    ada = await scene.connect("Ada")
    message = ada.message("ping")
    await ada.send_text(json.dumps(message).ljust(most))
    reply = await ada.next("pong")
    if (reply["type"], reply.get("ref")) != ("pong", message["ref"]):
        raise Failed(f"pong to a message of {most} bytes", shown(reply))
    await ada.send_text(json.dumps(ada.message("ping")).ljust(most + 1))
    expected = scene.spec.close_codes["message_too_big"]
    if await ada.closed() != expected:
        raise Failed(f"closed with {expected} after {most + 1} bytes", f"closed with {ada.left}")


async def _message_burst(scene: Scene) -> None:
    """So many messages at once are answered.

    If more and more are sent at once, the sender gets an error and is closed.
    """
    burst = scene.plan.limit("messageBurst")
    most = 20 * burst
    ada = await scene.connect("Ada")
    pings = [ada.message("ping") for _ in range(burst)]
    await ada.send_message(*pings)
    for ping in pings:
        reply = await ada.next("pong")
        if (reply["type"], reply.get("ref")) != ("pong", ping["ref"]):
            raise Failed(f"pong to #{ping['ref']}, one of {burst} at once", shown(reply))
    for _ in range(most // burst):
        await ada.send_message(*(ada.message("ping") for _ in range(burst)))
    while (reply := await ada.next("error with code rate_limited"))["type"] == "pong":
        pass
    steps.check_code(reply, "rate_limited")
    expected = scene.spec.close_codes["policy_violation"]
    if await ada.closed() != expected:
        raise Failed(f"closed with {expected}", f"closed with {ada.left}")
    scene.record.lines[4:-2] = [f"… {len(scene.record.lines) - 6} more …"]


async def _people(scene: Scene) -> None:
    await (room := await bounds.full_room(scene)).chat(room.members[0])


async def _presenters(scene: Scene) -> None:
    await (room := await bounds.presenting_room(scene)).chat(room.members[0])


async def _views(scene: Scene) -> None:
    room, _ = await bounds.many_views(scene)
    await room.chat(room.members[0])


async def _candidates(scene: Scene) -> None:
    """As many candidates as the server keeps, before the endpoint can be ready. None is refused."""
    bound = scene.plan.limit("candidates")
    if bound > scene.plan.limit("messageBurst") - 20:
        raise NotReachable(f"{bound} candidates are more than limits.messageBurst allows at once")
    codes = await bounds.candidates_at_once(scene, bound)
    if codes:
        raise Failed(f"{bound} candidates taken", f"errors with {sorted(set(codes))}")


async def _ref(scene: Scene) -> None:
    """Numbers from 0 to 2^53-1 and texts of 1 to 64 characters are repeated unchanged. Nothing else is a ref."""
    ada = await scene.connect("Ada")
    for ref in (0, 1, _MAX_INT, "x", "x" * 64, _ASTRAL * 64, 'quoted " \\ \n'):
        await ada.send_message({"type": "ping", "ref": ref})
        reply = await ada.next("pong")
        if reply["type"] != "pong" or reply.get("ref") != ref:
            raise Failed(f"pong with ref {ref!r}", shown(reply))
    await ada.send_message({"type": "ping"})
    reply = await ada.next("pong")
    if reply["type"] != "pong" or reply.get("ref") is not None:
        raise Failed("pong without a ref", shown(reply))
    none: tuple[Any, ...] = (-1, _MAX_INT + 1, 1.5, "", "x" * 65, True, [], {})
    for bad in none:
        await ada.send_message({"type": "ping", "ref": bad})
        reply = await ada.next("error with code malformed")
        check_malformed(reply, "$.ref")
        if reply.get("ref") is not None:
            raise Failed("an error without a ref", shown(reply))


async def _sdp(scene: Scene) -> None:
    """A description of the greatest length is read, and answered or refused as a description.

    A longer one is malformed.
    """
    most = scene.spec.fields("publish")["sdp"].longest()
    if most is None:
        raise NeverReachable("the schema of publish sets no bound of sdp")
    if most + 1000 > scene.plan.limit("messageBytes") or 2 * most > scene.plan.limit("messageBytes"):
        raise NotReachable(f"an offer of {most} characters is no message of limits.messageBytes")
    place = await bring(scene, "waiting")
    peer = await scene.peer("sendonly")
    line = "a=x-padding:" + 60 * "x" + "\r\n"
    long = peer.offer + line * ((most - len(peer.offer)) // len(line) - 1)
    long += "a=x-padding:".ljust(most - len(long) - 2, "x") + "\r\n"
    ref = await place.ada.send("publish", source="camera", sdp=long)
    reply = (await place.ada.gather(ref))[ref]
    if reply["type"] != "answer":
        steps.check_code(reply, "sdp_invalid")
    await place.ada.flush()
    await place.bob.flush()
    check_malformed(await place.ada.ask("publish", source="screen", sdp=long + "x"), "$.sdp")


async def _longest(scene: Scene, *, message: str, field: Field) -> None:
    """A message of the greatest length is understood, whatever its result is. One more character is refused."""
    ada = await scene.connect("Ada")
    if message not in scene.spec.pair("connected", None).allowed:
        # The message is not legal here. An error that says so shows that it was understood.
        understood = await ada.ask(message, **_with(scene, ada, message, field, 0))
        steps.check_code(understood, "illegal_in_state")
    elif message != "join":
        steps.check_code(await ada.ask(message, **_with(scene, ada, message, field, 0)), "session_unknown")
    check_malformed(await ada.ask(message, **_with(scene, ada, message, field, 1)), f"$.{field.name}")


def _with(scene: Scene, client: Client, message: str, field: Field, more: int) -> dict[str, object]:
    length = (field.longest() or 0) + more
    return {**steps.sample(scene, client, message, "nobody.camera"), field.name: "x" * length}
