"""Every message in every state of the room, over a real websocket: accepted or refused as the table says."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from trio_websocket import ConnectionClosed

from roomfsm.lifecycle.legality import MESSAGE_TYPES, allowed
from roomfsm.lifecycle.room import ROOM
from tests.mediaserver.peer import open_test_peer
from tests.protocol_client import Client, Wire, open_client
from tests.serving import proxied, serving

FIELDS: dict[str, dict[str, Any]] = {
    "join": {"room": "other"},
    "leave": {},
    "switch": {"room": "other"},
    "rename": {"name": "Countess"},
    "chat": {"text": "hello"},
    "publish": {"source": "screen"},
    "unpublish": {"stream": "own"},
    "view": {"stream": "other"},
    "unview": {"stream": "viewed"},
    "candidate": {"stream": "own", "candidate": "candidate:1 1 udp 1 127.0.0.1 9 typ host", "sdpMid": "0"},
    "ping": {},
    "resume": {"token": "unknown"},
}
REPLIES = {
    "join": "joined",
    "leave": "participantLeft",
    "switch": "joined",
    "rename": "participantChanged",
    "chat": "chat",
    "publish": "answer",
    "unpublish": "streamEnded",
    "view": "answer",
    "unview": "streamChanged",
    "ping": "pong",
}
"""A candidate gets no reply unless refused; to resume needs a token, which has tests of its own."""

OFFERS: dict[str, str] = {}


@pytest.fixture
async def offers() -> AsyncIterator[None]:
    async with open_test_peer("sendonly") as presenter, open_test_peer("recvonly") as viewer:
        OFFERS.update(publish=presenter.offer, view=viewer.offer)
        yield


@asynccontextmanager
async def in_state(state: str, media_server: str) -> AsyncIterator[Client]:
    """Ada, whose room is in `state`: she presents a camera, Bob presents two streams, she views one of them."""
    async with (
        proxied(media_server) as proxy,
        serving(proxy.url, closing_deadline=30.0) as server,
        open_client(server.url) as ada,
        open_client(server.url) as bob,
    ):
        if state != "empty":
            await ada.join("blue")
        if state in ("broadcasting", "closing"):
            await bob.join("blue", "Bob")
            await bob.ask("publish", source="camera", sdp=OFFERS["publish"])
            await bob.ask("publish", source="screen", sdp=OFFERS["publish"])
            await ada.ask("publish", source="camera", sdp=OFFERS["publish"])
            await ada.ask("view", stream=f"{bob.me}.screen", sdp=OFFERS["view"])
            NAMES.update(own=f"{ada.me}.camera", other=f"{bob.me}.camera", viewed=f"{bob.me}.screen")
        async with trio.open_nursery() as nursery:
            if state == "closing":
                proxy.hold()
                nursery.start_soon(server.running.directory.close_rooms, "drain")
                await ada.expect("closing")
            yield ada
            proxy.let_go()


NAMES = {"own": "own", "other": "other", "viewed": "viewed"}


async def say(client: Client, message: str) -> Wire | None:
    """The reply, if there is one before that of a ping sent right after."""
    fields = dict(FIELDS[message])
    if "stream" in fields:
        fields["stream"] = NAMES[fields["stream"]]
    if message in OFFERS:
        fields["sdp"] = OFFERS[message]
    if message != "candidate":
        return await client.ask(message, **fields)
    ref = await client.send(message, **fields)
    # One room handles one message after the other: by the second reply a refusal of the first is here.
    await client.ask("chat", text="mark")
    return next((seen for seen in client.seen if seen.get("ref") == ref), None)


@pytest.mark.parametrize("state", [state.name for state in ROOM.states])
@pytest.mark.parametrize("message", MESSAGE_TYPES)
async def test_cell(state: str, message: str, media_server: str, offers: None) -> None:
    with trio.fail_after(60):
        async with in_state(state, media_server) as ada:
            session, room = ("connected", None) if state == "empty" else ("joined", state)
            legal = allowed(session, room)
            reply = await say(ada, message)
            if message == "resume" and message in legal:
                assert reply is not None
                assert reply["code"] == "session_unknown"
            elif message in legal:
                assert (reply or {}).get("type") == REPLIES.get(message), reply
            else:
                assert reply is not None
                assert reply["code"] == "illegal_in_state"
                assert reply["message"] == message
                assert tuple(reply["allowed"]) == legal
                machine = "room" if message in ROOM.triggers and room and message != "join" else "session"
                assert (reply["machine"], reply["state"]) == (
                    (machine, room) if machine == "room" else (machine, session)
                )
            # The session goes on, whatever was refused.
            assert (await ada.ask("ping"))["type"] == "pong"


async def test_join_is_refused_while_the_room_closes_and_works_again_after(
    media_server: str, offers: None
) -> None:
    with trio.fail_after(60):
        async with (
            proxied(media_server) as proxy,
            serving(proxy.url, closing_deadline=30.0) as server,
            open_client(server.url) as ada,
            open_client(server.url) as bob,
        ):
            await ada.join("blue")
            await ada.ask("publish", source="camera", sdp=OFFERS["publish"])
            async with trio.open_nursery() as nursery:
                proxy.hold()
                nursery.start_soon(server.running.directory.close_rooms, "drain")
                await ada.expect("closing")
                refused = await bob.ask("join", room="blue")
                assert (refused["machine"], refused["state"]) == ("room", "closing")
                assert refused["allowed"] == ["join", "ping", "resume"]
                proxy.let_go()
            assert (await bob.ask("join", room="blue"))["state"] == "waiting"
            assert (await ada.ask("join", room="blue"))["type"] == "joined"


async def test_a_message_to_a_room_that_is_gone_is_answered(media_server: str) -> None:
    with trio.fail_after(60):
        async with serving(media_server) as server, open_client(server.url) as ada:
            await ada.join("blue")
            await server.running.directory.close_rooms("drain")
            assert (await ada.expect("closing"))["reason"] == "drain"
            refused = await ada.ask("chat", text="anyone?")
            assert (refused["machine"], refused["state"]) == ("session", "connected")
    with pytest.raises(ConnectionClosed):
        await ada.send("ping")
