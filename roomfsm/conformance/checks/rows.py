"""Every row of the room's table. Each is caused, and all messages to all people are checked."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from functools import partial

import trio

from roomfsm.conformance.checks import bounds, files, steps
from roomfsm.conformance.checks.cells import leave_closing
from roomfsm.conformance.checks.sessions import until_out
from roomfsm.conformance.checks.steps import Place, bring
from roomfsm.conformance.outcome import Failed, Message, NeverReachable, NotReachable
from roomfsm.conformance.scene import Check, Plan, Scene
from roomfsm.conformance.spec import Row
from roomfsm.conformance.stage import Room, person
from roomfsm.conformance.wire import Client, Expected

type Play = Callable[[Scene, Row], Awaitable[None]]

_OF_MEDIA = (
    *("publish", "unpublish", "endStream", "view", "unview", "adjust", "candidate", "restart"),
    *("stream_failed", "revoked", "view_failed"),
)
_EXPIRY_TRIES = (0.2, 0.5, 1.0, 2.0, 3.0)


def checks(plan: Plan) -> Iterator[Check]:
    """A check for each row of the room's machine, and for each row of machines that only the server itself
    moves.
    """
    for row in plan.spec.rows:
        if row.machine not in ("room", "seat", "door", "sound", "stream", "view", "session", "file"):
            play = by_administrator if row.machine in ("administrator", "mediaServer") else _own_doing
            yield Check(f"row/{row.key}", play, steps.path_of_row(plan.spec, row))
        if row.machine == "room":
            makes_way = (row.trigger, row.source, row.dest) == ("join", "broadcasting", "waiting")
            yield Check(
                f"row/{row.key}",
                partial(_row, row=row),
                steps.path_of_row(plan.spec, row),
                media=row.trigger in _OF_MEDIA or "broadcasting" in (row.source, row.dest),
                extra=plan.options.patience if row.trigger == "expire" else 0.0,
                connections=2 * len(_EXPIRY_TRIES)
                if row.trigger == "expire"
                else 6 + (plan.bound("people") if makes_way else 0),
            )


async def _own_doing(scene: Scene) -> None:
    raise NeverReachable("needs the server's start or end")


async def by_administrator(_scene: Scene, *_: object, **__: object) -> None:
    """Only who has the token of the server's own admin API can do it."""
    raise NeverReachable("needs the server's administrator")


async def _row(scene: Scene, *, row: Row) -> None:
    play = _PLAYS.get(row.trigger)
    if play is None:
        raise NeverReachable(f"nothing that the kit can do from outside is {row.trigger}")
    await steps.bystander(scene)
    await play(scene, row)


async def _join(scene: Scene, row: Row) -> None:
    if row.source == "broadcasting" and row.dest == "waiting":
        await bounds.presenter_makes_way(scene)
        return
    if row.source != "empty":
        place = await bring(scene, row.source)
        await place.room.enter("Cyd")
        return
    room = Room(scene)
    ada = await room.enter("Ada")
    # The room is empty again, or is a new one by now. A newcomer may see a difference only in the chat.
    await room.leave(ada)
    await room.enter("Bob")


async def _leave(scene: Scene, row: Row) -> None:
    if row.source == "closing":
        place = await bring(scene, row.source)
        await leave_closing(scene, place, place.bob)
    elif row.dest == "empty":
        room = Room(scene)
        ada = await room.enter("Ada")
        if row.source == "broadcasting":
            await room.publish(ada)
        await room.leave(ada)
    else:
        place = await bring(scene, row.source)
        await place.room.enter("Cyd")
        if row.source == row.dest == "broadcasting":
            # The person publishes and views, and both end.
            await place.room.publish(place.ada)
            await place.room.view(place.ada, place.stream)
            await place.room.leave(place.ada)
        else:
            await place.room.leave(place.bob)


async def _switch(scene: Scene, row: Row) -> None:
    place = await bring(scene, row.source)
    other = Room(scene)
    await other.enter("Dan")
    await place.room.switch(place.ada, other)
    await place.room.chat(place.bob)
    await other.chat(place.ada)


async def _seat_asked(scene: Scene, row: Row) -> None:
    place = await bring(scene, row.source)
    await place.room.raise_hand(place.ada)


async def _away(scene: Scene, row: Row) -> None:
    place = await bring(scene, row.source)
    if row.source == "closing":
        await _lose_in_closing(scene, place)
    else:
        await place.room.lose(place.bob)


async def _back(scene: Scene, row: Row) -> None:
    place = await bring(scene, row.source)
    if row.source != "closing":
        await place.room.lose(place.bob)
        await place.room.resume(place.bob)
        return
    back = await scene.connect("Bob")
    await _lose_in_closing(scene, place)
    ref = await back.send("resume", token=place.bob.welcome["resumeToken"])
    reply = await back.next("the reply to resume")
    if steps.out_of_closing(scene, reply) or reply.get("code") == "session_unknown":
        raise NotReachable(steps.TOO_SOON)
    joined: Message = {"room": place.room.name, "state": "closing", "resumed": True, "ref": ref}
    if not Expected("joined", joined).fits(reply):
        raise Failed(str(Expected("joined", joined)), str(reply))
    place.room.replace(place.bob, back)
    for client in place.room.members:
        await client.expect(Expected("participantChanged", {"participant": person(back)}))


async def _lose_in_closing(scene: Scene, place: Place) -> None:
    """Cut Bob's connection, and check that Ada is told. Raises `NotReachable` if the room removed her before."""
    await place.bob.cut()
    told = Expected("participantChanged", {"participant": person(place.bob, away=True), "ref": None})
    while True:
        ref = await place.ada.send("chat", text="are we still here?")
        message = await place.ada.next(str(told))
        if told.fits(message):
            message = await place.ada.next("the reply to chat")
            if message.get("ref") != ref:
                raise Failed("the reply to chat", str(message))
            return
        if message.get("ref") != ref:
            raise Failed(f"{told} or the reply to chat", str(message))
        if steps.out_of_closing(scene, message):
            raise NotReachable(steps.TOO_SOON)
        await trio.sleep(0.05)


async def _rename(scene: Scene, row: Row) -> None:
    place = await bring(scene, row.source)
    await place.room.rename(place.ada, "Countess")


async def _chat(scene: Scene, row: Row) -> None:
    place = await bring(scene, row.source)
    await place.room.chat(place.ada)
    line = await place.room.chat(place.bob, "שלום 👩‍👩‍👧 é")
    await place.room.chat(place.ada, answers=line)
    cyd = await place.room.enter("Cyd")
    await place.room.whisper(place.bob, cyd)
    await place.room.whisper(cyd, place.bob, answers=line)
    # A private line is not kept for anybody.
    await place.room.enter("Dan")


async def _send_file(scene: Scene, row: Row) -> None:
    files.needs_files(scene)
    place = await bring(scene, row.source)
    await place.room.send_file(place.ada, "notes.txt", b"abc")
    await place.room.send_file(place.bob, "empty.txt", b"", to=place.ada)


async def _publish(scene: Scene, row: Row) -> None:
    place = await bring(scene, row.source)
    await place.room.publish(place.ada)


async def _unpublish(scene: Scene, row: Row) -> None:
    place = await bring(scene, row.source)
    if row.dest == row.source:
        await place.room.publish(place.ada)
    await place.room.unpublish(place.stream)


async def _end_stream(scene: Scene, row: Row) -> None:
    place = await bring(scene, row.source)
    if row.dest == row.source:
        await place.room.publish(place.ada)
    await place.room.end_stream(place.ada, place.stream)


async def _view(scene: Scene, row: Row) -> None:
    place = await bring(scene, row.source)
    cyd = await place.room.enter("Cyd")
    await place.room.view(place.ada, place.stream)
    await place.room.view(cyd, place.stream)


async def _unview(scene: Scene, row: Row) -> None:
    place = await bring(scene, row.source)
    await place.room.unview(place.stream, await place.room.view(place.ada, place.stream))


async def _adjust(scene: Scene, row: Row) -> None:
    place = await bring(scene, row.source)
    view = await place.room.view(place.ada, place.stream)
    for size in ("none", "none", "large", "large"):
        await place.room.adjust(view, size)
    await place.room.chat(place.bob)


async def _candidate(scene: Scene, row: Row) -> None:
    place = await bring(scene, row.source)
    await place.room.pass_candidate(place.stream)
    await place.room.pass_candidate(await place.room.view(place.ada, place.stream))
    await place.room.chat(place.ada)
    await place.room.chat(place.bob)


async def _restart(scene: Scene, row: Row) -> None:
    """The media go on over the new path, and nobody else hears of it."""
    place = await bring(scene, row.source)
    view = await place.room.view(place.ada, place.stream)
    for leg in (place.stream, view):
        await place.room.restart(leg)
    await place.room.connect(view)
    await place.room.restart(view)
    await place.room.chat(place.bob)


async def _stream_failed(scene: Scene, row: Row) -> None:
    place = await bring(scene, row.source)
    stream = place.stream
    if row.dest == row.source:
        await place.room.publish(place.ada)
    await place.room.connect(stream)
    stream.peer.close_notify()
    await place.room.ended(stream, "stream_failed", "failed")


async def _revoked(scene: Scene, row: Row) -> None:
    """Somebody who may not present any more loses the streams."""
    place = await bring(scene, row.source)
    if row.dest == row.source:
        await place.room.publish(place.ada)
    ref = await place.ada.send("setRole", participant=place.bob.me, role="viewer")
    stream = place.stream
    changed = Expected("participantChanged", {"participant": {"id": place.bob.me, "role": "viewer"}})
    reply = Expected("participantChanged", {**changed.fields, "ref": ref})
    ended = Expected("streamEnded", {"stream": stream.id, "reason": "moderator", "ref": None})
    moved = [Expected("roomState", {"state": row.dest})] if row.dest != row.source else []
    await place.ada.expect(reply, ended, *moved)
    await place.bob.expect(changed, ended, *moved)
    again = await scene.peer("sendonly")
    steps.check_code(await place.bob.ask("publish", source="camera", sdp=again.offer), "not_permitted")


async def _view_failed(scene: Scene, row: Row) -> None:
    place = await bring(scene, row.source)
    view = await place.room.view(place.ada, place.stream)
    await place.room.connect(view)
    view.peer.close_notify()
    await place.room.view_ended(place.stream, view, "view_failed")


async def _media_lost(scene: Scene, row: Row) -> None:
    raise NeverReachable("needs the media server's death")


async def _expire(scene: Scene, row: Row) -> None:
    """Rooms are left, and entered again after more and more time. A room that expired has forgotten its chat."""
    forgot = trio.Event()

    async def room_after(seconds: float) -> None:
        room = Room(scene)
        ada = await room.enter("Ada")
        await room.chat(ada, "before")
        await room.leave(ada)
        await trio.sleep(seconds)
        joined = await ada.ask("join", room=room.name)
        if joined["type"] == "joined" and joined["chat"] == []:
            forgot.set()
        await ada.flush()

    waits = [wait for wait in _EXPIRY_TRIES if wait < scene.plan.options.patience] + [scene.plan.options.patience]
    async with trio.open_nursery() as nursery:
        for wait in waits:
            nursery.start_soon(room_after, wait)
    if not forgot.is_set():
        raise NotReachable(f"an empty room stays longer than --patience {scene.plan.options.patience:g} s")


async def _vacate(scene: Scene, row: Row) -> None:
    raise NeverReachable("needs as many rooms as the server may have")


async def _close(scene: Scene, row: Row) -> None:
    if row.source != "empty":
        place = await bring(scene, row.source)
        await place.room.close()
        return
    room = Room(scene)
    ada = await room.enter("Ada")
    await room.chat(ada, "before")
    await room.leave(ada)
    await room.close_unseen()
    await _forgotten(room, ada)


async def _disowned(scene: Scene, row: Row) -> None:
    raise NeverReachable("needs another server that takes the room")


async def _hand_over(scene: Scene, row: Row) -> None:
    raise NeverReachable("needs the server to be restarted")


async def _drained(scene: Scene, row: Row) -> None:
    """Everybody is removed, and the name can be used for a new room."""
    place = await bring(scene, row.source)
    await until_out(scene, place.ada)
    await place.bob.flush()
    await Room(scene, place.room.name).join(place.ada)


async def _forgotten(room: Room, client: Client) -> None:
    """Check that the entered room is a new one of that name."""
    while True:
        joined = await client.ask("join", room=room.name)
        if joined["type"] == "error" and (joined.get("machine"), joined.get("state")) == ("room", "closing"):
            await trio.sleep(0.05)
            continue
        steps.check_type(joined, "joined")
        if joined["chat"]:
            raise Failed("a new room, without the old one's chat", f"chat {joined['chat']}")
        await client.expect(Expected("roomState", {"state": "waiting"}))
        return


_PLAYS: dict[str, Play] = {
    "join": _join,
    "leave": _leave,
    "switch": _switch,
    "seat_asked": _seat_asked,
    "administered": by_administrator,
    "away": _away,
    "back": _back,
    "rename": _rename,
    "chat": _chat,
    "sendFile": _send_file,
    "file_arrived": _send_file,
    "publish": _publish,
    "unpublish": _unpublish,
    "endStream": _end_stream,
    "view": _view,
    "unview": _unview,
    "adjust": _adjust,
    "candidate": _candidate,
    "restart": _restart,
    "stream_failed": _stream_failed,
    "revoked": _revoked,
    "view_failed": _view_failed,
    "media_lost": _media_lost,
    "expire": _expire,
    "vacate": _vacate,
    "close": _close,
    "disowned": _disowned,
    "hand_over": _hand_over,
    "drained": _drained,
}
