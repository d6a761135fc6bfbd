"""The order of messages: it is the same for everybody in a room, and replies come in the order of the requests."""

from __future__ import annotations

from collections.abc import Iterator

import trio

from roomfsm.conformance.outcome import Failed, Message
from roomfsm.conformance.scene import Check, Plan, Scene
from roomfsm.conformance.stage import Room
from roomfsm.conformance.wire import Client

_SPEAKERS = 4
_LINES = 10


def checks(plan: Plan) -> Iterator[Check]:
    """A check for each promise of order."""
    yield Check("order/chat", _chat)
    yield Check("order/replies", _replies)
    yield Check("order/chat-history", _history)


async def _chat(scene: Scene) -> None:
    """If several people speak at once, everybody gets the lines in the same order, numbered without gaps."""
    room = Room(scene)
    for number in range(_SPEAKERS):
        await room.enter(f"Speaker {number}")
    heard: dict[Client, list[Message]] = {}

    async def speak(client: Client) -> None:
        await client.send_message(*(client.message("chat", text=str(number)) for number in range(_LINES)))
        heard[client] = [(await client.next("chat"))["line"] for _ in range(_SPEAKERS * _LINES)]

    async with trio.open_nursery() as nursery:
        for client in room.members:
            nursery.start_soon(speak, client)
    for client, lines in heard.items():
        numbers = [line["seq"] for line in lines]
        if numbers != list(range(1, _SPEAKERS * _LINES + 1)):
            raise Failed(f"seq from 1 without gaps at {client.label}", f"{numbers}")
        for other, theirs in heard.items():
            if theirs != lines:
                raise Failed(f"the same lines in the same order at {client.label} and {other.label}", "others")
        for speaker in room.members:
            said = [line["text"] for line in lines if line["participant"] == speaker.me]
            if said != [str(number) for number in range(_LINES)]:
                raise Failed(f"the lines of {speaker.label} in the order in which they were said", f"{said}")


async def _replies(scene: Scene) -> None:
    """Requests to a room are answered in order, including those that are refused."""
    room = Room(scene)
    ada = await room.enter("Ada")
    asked: list[Message] = []
    for number in range(6):
        asked += [
            ada.message("chat", text=str(number)),
            ada.message("rename", name=f"Ada {number}"),
            ada.message("unview", stream="nobody.camera"),
        ]
    await ada.send_message(*asked)
    wanted = [message["ref"] for message in asked]
    came = [(await ada.next("a reply")).get("ref") for _ in asked]
    if came != wanted:
        raise Failed(f"replies with refs {wanted}", f"{came}")


async def _history(scene: Scene) -> None:
    """A newcomer gets the earlier lines of chat in order."""
    room = Room(scene)
    ada = await room.enter("Ada")
    for number in range(5):
        await room.chat(ada, f"line {number}")
    late = await scene.connect("Late")
    joined = await late.ask("join", room=room.name)
    lines = [(line["seq"], line["text"]) for line in joined.get("chat", [])]
    if lines != [(number + 1, f"line {number}") for number in range(5)]:
        raise Failed("the five lines of chat so far", f"{lines}")
    await ada.flush()
