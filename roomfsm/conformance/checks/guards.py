"""Every refusal of a guard, and every error that a message's effect can fail with."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from functools import partial

from roomfsm.conformance.checks import files, seats, steps
from roomfsm.conformance.checks.bounds import (
    too_many_candidates,
    too_many_people,
    too_many_presenters,
    too_many_views,
)
from roomfsm.conformance.checks.rows import by_administrator
from roomfsm.conformance.checks.steps import bring
from roomfsm.conformance.outcome import Failed, Message, NeverReachable, NotReachable
from roomfsm.conformance.scene import Check, Plan, Scene
from roomfsm.conformance.stage import Leg, Room, Stream
from roomfsm.conformance.wire import Client, Expected

type Play = Callable[[Scene], Awaitable[None]]

_NO_SDP = "this is no session description"
_ANYWHERE = ("malformed", "unknown_message", "illegal_in_state", "rate_limited")
"""Codes that any message may get. They have checks of their own."""
_ELSEWHERE = {
    "server_full": "needs as many rooms as the server may have",
    "too_many_rooms": "needs as many rooms as the server may have",
    "server_closing": "needs the server's end",
    "room_closed": "needs the instant between a room's end and its people's dismissal",
    "token_expired": "needs a key of the server's tokens",
    "password_wrong": "needs a room with a password",
    "media_unavailable": "needs the media server's absence",
    "media_full": "needs media servers that can carry no more",
    "media_failed": "needs a fault of the media server",
    "store_unavailable": "needs the store's failure",
}
_EACH = 4.0
"""Additional seconds for each person who must be in a room first, and for that person's streams and views."""
_SPARE = 20
"""The number of messages of a connection's burst that are reserved for other messages than the flood."""
_COMINGS = 10
"""How often a visitor enters a room and leaves it at once."""
_VISITORS = 8
"""How many visitors enter one room again and again."""
_FLOODS = 5
"""The number of attempts to have a message refused after a flood."""
_RESTARTS = 30
"""How often a view is restarted at once."""
_ROUNDS = 20
"""The number of attempts at a race before the check counts as not reachable."""


def checks(plan: Plan) -> Iterator[Check]:
    """A check for each code that a message may get."""
    seen = set()
    for row in plan.spec.rows:
        for code in row.codes:
            key = (row.trigger, code)
            if key not in seen:
                seen.add(key)
                name = f"guard/{row.machine}/{row.trigger}/{code}"
                yield Check(name, by_administrator) if row.machine == "administrator" else _check(plan, name, *key)
    for message, codes in plan.spec.errors.items():
        for code in codes:
            if code not in _ANYWHERE and (message, code) not in seen:
                yield _check(plan, f"error/{message}/{code}", message, code)


def _check(plan: Plan, name: str, trigger: str, code: str) -> Check:
    media = trigger in ("publish", "unpublish", "endStream", "view", "unview", "adjust", "candidate", "restart")
    more = {
        "room_full": plan.bound("people"),
        "too_many_presenters": plan.bound("presenters"),
        "too_many_views": plan.bound("views") // 2,
        "lobby_full": seats.LOBBY,
    }
    play = partial(_play, trigger=trigger, code=code)
    # So many people have to join, publish and view before the refusal. Each adds to the time limit.
    people = more.get(code, 0)
    if (trigger, code) == ("join", "rate_limited"):
        return Check(name, play, connections=6 + _VISITORS, extra=_EACH * _VISITORS)
    return Check(name, play, media=media, connections=6 + people, extra=_EACH * people)


async def _play(scene: Scene, *, trigger: str, code: str) -> None:
    play = _PLAYS.get((trigger, code))
    if play is None:
        raise NeverReachable(_ELSEWHERE.get(code) or f"the kit knows no way to {code}")
    await steps.bystander(scene)
    await play(scene)


async def _already_in_room(scene: Scene) -> None:
    """A person cannot switch to the present room, however its name is written."""
    place = await bring(scene, "waiting")
    for name in (place.room.name, place.room.name.upper()):
        steps.check_code(await place.ada.ask("switch", room=name), "already_in_room")
    await place.room.chat(place.ada)


async def _switch_to_full(scene: Scene) -> None:
    """The person stays in the room."""
    full = await too_many_people(scene)
    place = await bring(scene, "waiting")
    steps.check_code(await place.ada.ask("switch", room=full.name), "room_full")
    await place.room.chat(place.ada)


async def _token_invalid(scene: Scene, message: str) -> None:
    """A text that is no token gets nobody in, and who has a room stays there."""
    place = await bring(scene, "waiting")
    if message == "switch":
        steps.check_code(await place.ada.ask("switch", room=scene.room_name(), token="x.y.z"), "token_invalid")
        await place.room.chat(place.ada)
    else:
        stranger = await scene.connect("Eve")
        steps.check_code(await stranger.ask("join", room=place.room.name, token="x.y.z"), "token_invalid")


async def _join_full(scene: Scene) -> None:
    await too_many_people(scene)


async def _presenters(scene: Scene) -> None:
    await too_many_presenters(scene)


async def _views(scene: Scene) -> None:
    await too_many_views(scene)


async def _already_publishing(scene: Scene) -> None:
    place = await bring(scene, "broadcasting")
    again = await scene.peer("sendonly")
    reply = await place.bob.ask("publish", source="camera", sdp=again.offer)
    steps.check_code(reply, "already_publishing")
    # A stream from another source is allowed.
    await place.room.publish(place.bob, "screen")


async def _no_such(scene: Scene, message: str) -> None:
    place = await bring(scene, "broadcasting")
    for stream in (f"{place.bob.me}.screen", "nobody.camera"):
        fields = steps.sample(scene, place.ada, message, stream) | {"stream": stream}
        if "sdp" in fields:
            fields["sdp"] = (await scene.peer("recvonly")).offer
        steps.check_code(await place.ada.ask(message, **fields), "no_such_stream")
    await place.room.chat(place.ada)


async def _not_your_stream(scene: Scene) -> None:
    place = await bring(scene, "broadcasting")
    cyd = await place.room.enter("Cyd")
    # A moderator has another message for it.
    for other in (cyd, place.ada):
        steps.check_code(await other.ask("unpublish", stream=place.stream.id), "not_your_stream")
    await place.room.view(cyd, place.stream)
    steps.check_code(await cyd.ask("unpublish", stream=place.stream.id), "not_your_stream")
    await place.room.chat(cyd)


async def _own_stream(scene: Scene) -> None:
    place = await bring(scene, "broadcasting")
    peer = await scene.peer("recvonly")
    reply = await place.bob.ask("view", stream=place.stream.id, sdp=peer.offer)
    steps.check_code(reply, "own_stream")
    await place.room.chat(place.bob)


async def _already_viewing(scene: Scene) -> None:
    place = await bring(scene, "broadcasting")
    view = await place.room.view(place.ada, place.stream)
    reply = await place.ada.ask("view", stream=place.stream.id, sdp=view.peer.offer)
    steps.check_code(reply, "already_viewing")
    await place.room.chat(place.ada)


async def _not_viewing(scene: Scene, message: str) -> None:
    place = await bring(scene, "broadcasting")
    fields = steps.sample(scene, place.ada, message, place.stream.id)
    steps.check_code(await place.ada.ask(message, **fields), "not_viewing")
    if message == "unview":
        # A presenter cannot end a view of the own stream either, because there is none.
        steps.check_code(await place.bob.ask(message, **fields), "not_viewing")
    await place.room.chat(place.ada)


async def _session_unknown(scene: Scene) -> None:
    ada = await scene.connect("Ada")
    steps.check_code(await ada.ask("resume", token="nobody-has-this-token"), "session_unknown")
    # The session continues as if it had not asked.
    await Room(scene).join(ada)


async def _publish_no_sdp(scene: Scene) -> None:
    """The stream starts and fails. Everybody sees both, and the presenter is told why."""
    place = await bring(scene, "waiting")
    room, bob = place.room, place.bob
    ref = await bob.send("publish", source="camera", sdp=_NO_SDP)
    stream = Stream(f"{bob.me}.camera", bob, await scene.peer("sendonly"))
    await room.started(stream)
    row = room.machine.row("stream_failed", "broadcasting", "waiting")
    ended = Expected("streamEnded", {"stream": stream.id, "reason": "failed", "ref": None})
    state = Expected("roomState", {"state": "waiting"})
    error = Expected("error", {"code": "sdp_invalid", "message": "publish", "stream": stream.id, "ref": ref})
    assert row is not None
    await bob.expect_in_any_order(error, ended, state)
    await place.ada.expect(ended, state)
    room.state = "waiting"
    room.streams.clear()
    await room.publish(bob)


async def _view_no_sdp(scene: Scene) -> None:
    place = await bring(scene, "broadcasting")
    ref = await place.ada.send("view", stream=place.stream.id, sdp=_NO_SDP)
    view = Leg(place.stream.id, place.ada, await scene.peer("recvonly"))
    await place.room.viewed(place.stream, view)
    place.stream.views.clear()
    changed = Expected("streamChanged", {"stream": place.stream.info(), "view": None, "ref": None})
    error = Expected("error", {"code": "sdp_invalid", "message": "view", "stream": view.id, "ref": ref})
    await place.ada.expect_in_any_order(error, changed)
    await place.bob.expect(changed)
    await place.room.view(place.ada, place.stream)


async def _ended(scene: Scene, message: str) -> None:
    """A request for a stream or view is answered even if the stream or view ends before."""
    place = await bring(scene, "broadcasting")
    won = False
    for _ in range(_ROUNDS):
        peer = await scene.peer("sendonly" if message == "publish" else "recvonly")
        own = f"{place.ada.me}.camera"
        if message == "publish":
            asked = place.ada.message("publish", source="camera", sdp=peer.offer)
            after = place.ada.message("unpublish", stream=own)
        else:
            asked = place.ada.message("view", stream=place.stream.id, sdp=peer.offer)
            after = place.ada.message("unview", stream=place.stream.id)
        await place.ada.send_message(asked, after)
        replies = await place.ada.gather(asked["ref"], after["ref"])
        reply = replies[asked["ref"]]
        if reply["type"] == "error":
            steps.check_code(reply, "ended")
            won = True
        else:
            steps.check_type(reply, "answer")
        steps.check_type(replies[after["ref"]], str(scene.spec.replies[after["type"]]))
        await place.ada.flush()
        if won:
            break
    await place.bob.flush()
    if not won:
        raise NotReachable(f"the answer came first in {_ROUNDS} tries")


async def _restart_refused(scene: Scene) -> None:
    """What is no offer restarts nothing, and the stream and the view go on."""
    place = await bring(scene, "broadcasting")
    view = await place.room.view(place.ada, place.stream)
    for leg in (place.stream, view):
        reply = await leg.client.ask("restart", stream=leg.id, sdp=_NO_SDP)
        steps.check_code(reply, "restart_refused")
        await place.room.connect(leg)
    await place.room.chat(place.bob)


async def _restarted_too_often(scene: Scene) -> None:
    """Who restarts one view again and again is finally refused, and the stream and the view go on."""
    place = await bring(scene, "broadcasting")
    view = await place.room.view(place.ada, place.stream)
    asked = [place.ada.message("restart", stream=view.id, sdp=_NO_SDP) for _ in range(_RESTARTS)]
    await place.ada.send_message(*asked)
    codes = {one.get("code") for one in (await place.ada.gather(*(one["ref"] for one in asked))).values()}
    if not codes <= {"restart_refused", "rate_limited"}:
        raise Failed("restart_refused or rate_limited", str(codes))
    if "rate_limited" not in codes:
        raise NotReachable(f"a view may be restarted more than {_RESTARTS} times at once")
    await place.room.connect(view)
    await place.room.chat(place.bob)


async def _restart_ended(scene: Scene) -> None:
    """A restart is answered even if the view ends before."""
    place = await bring(scene, "broadcasting")
    for _ in range(_ROUNDS):
        view = await place.room.view(place.ada, place.stream)
        asked = place.ada.message("restart", stream=view.id, sdp=view.peer.restart())
        after = place.ada.message("unview", stream=view.id)
        await place.ada.send_message(asked, after)
        replies = await place.ada.gather(asked["ref"], after["ref"])
        reply = replies[asked["ref"]]
        steps.check_type(replies[after["ref"]], "streamChanged")
        place.stream.views.clear()
        await place.ada.flush()
        await place.bob.flush()
        if reply["type"] == "error":
            steps.check_code(reply, "ended", "restart_refused")
            if reply["code"] == "ended":
                return
        else:
            steps.check_type(reply, "answer")
    raise NotReachable(f"the answer came first in {_ROUNDS} tries")


def _floods(scene: Scene) -> Iterator[int]:
    """How many messages to send at once, and then again, so that the allowance for messages to everybody is used
    up.

    That allowance grows while a busy server answers them. So they are as many as the connection may send.
    """
    told, burst = scene.plan.limit("toldBurst"), scene.plan.limit("messageBurst")
    yield max(burst - _SPARE, _SPARE)
    for _ in range(2 * told // _SPARE + 2):
        yield _SPARE


async def _rate_limited(scene: Scene, message: str) -> None:
    """A person who sends too much to everybody is refused. Nobody else notices, and the session continues.

    On a busy machine the server may pause just before the message, and then has a budget for it again.
    """
    for _ in range(_FLOODS):
        reply = await _flood(scene, message)
        if reply is None or reply.get("code") == "rate_limited":
            return
    assert reply is not None
    steps.check_code(reply, "rate_limited")


async def _flood(scene: Scene, message: str) -> Message | None:
    """Send too much, and then the message. Returns its reply; None if the flood was of such messages."""
    place = await bring(scene, "broadcasting" if message == "view" else "waiting")
    fields = steps.sample(scene, place.ada, message, f"{place.bob.me}.camera")
    if "sdp" in fields:
        fields["sdp"] = (await scene.peer("recvonly" if message == "view" else "sendonly")).offer
    heard: list[str] = []
    refused, last = False, None
    for count in _floods(scene):
        said = [place.ada.message("chat", text=f"line {number}") for number in range(count)]
        # There are so many lines that the last ones are refused, however slowly they are answered.
        floods = refused or count > 2 * scene.plan.limit("toldBurst")
        asked = [place.ada.message(message, **fields)] if floods else []
        # What gets no reply unless it is refused comes before the last line, which gets one.
        replied = scene.spec.replies[message] is not None
        await place.ada.send_message(*(*said, *asked) if replied else (*said[:-1], *asked, said[-1]))
        replies = await place.ada.gather(*(one["ref"] for one in (*said, *(asked if replied else ()))))
        for one in said:
            reply = replies[one["ref"]]
            if reply["type"] == "chat":
                heard.append(one["text"])
            else:
                steps.check_code(reply, "rate_limited")
                refused = True
        if asked:
            if message != "chat" and refused:
                last = replies.get(asked[0]["ref"], {"type": "no refusal"})
            break
    if not refused:
        raise Failed("rate_limited beyond limits.toldBurst lines of chat at once", f"{len(heard)} lines were said")
    await place.ada.flush()
    if last is not None and last.get("code") != "rate_limited":
        # What they are told a little later is nobody's concern.
        for client in (place.ada, place.bob):
            await client.drop()
        return last
    told = [one["line"]["text"] for one in await place.bob.flush() if one["type"] == "chat"]
    if told[: len(heard)] != heard:
        raise Failed(f"Bob hears the {len(heard)} lines that were not refused", f"he hears {len(told)}")
    await place.room.leave(place.ada)
    return last


async def comes_too_often(scene: Scene) -> None:
    """A session that enters rooms again and again is finally refused, and the session continues."""
    place, newcomer = await bring(scene, "waiting"), await scene.connect("Eve")
    for count in _floods(scene):
        if await _come_and_go(newcomer, place.room, count // 2):
            steps.check_type(await newcomer.ask("ping"), "pong")
            await place.ada.flush()
            await place.bob.flush()
            return
    raise Failed("rate_limited for one who comes again and again", "all of it was let in")


async def _room_entered_too_often(scene: Scene) -> None:
    """A room that people enter again and again finally refuses them, and other rooms do not.

    Each session enters far less often than its own allowance lets it, and the one that is refused is let into
    another room. So what is met is the room's budget, which no limit tells.
    """
    place = await bring(scene, "waiting")
    # To enter a room uses more of a session's allowance than to say a line of chat does.
    each = max(1, scene.plan.limit("toldBurst") // (4 * _COMINGS)) * _COMINGS
    for number in range(_VISITORS):
        visitor = await scene.connect(f"Eve {number}")
        for _ in range(each // _COMINGS):
            refused = await _come_and_go(visitor, place.room, _COMINGS)
            await place.ada.flush()
            await place.bob.flush()
            if not refused:
                continue
            reply = await visitor.ask("join", room=scene.room_name())
            if reply["type"] == "error":
                raise NotReachable("other rooms refuse them, too: another limit is met before the room's")
            steps.check_type(reply, "joined")
            await visitor.flush()
            await place.room.chat(place.ada)
            return
    raise NotReachable(f"people may enter a room more than {_VISITORS * each} times at once")


async def _come_and_go(client: Client, room: Room, times: int) -> bool:
    """Enter a room and leave it so many times at once. Return whether that was refused as too often."""
    comings = [(client.message("join", room=room.name), client.message("leave")) for _ in range(times)]
    asked = [message for coming in comings for message in coming]
    await client.send_message(*asked)
    replies = await client.gather(*(message["ref"] for message in asked))
    for join, leave in comings:
        reply = replies[join["ref"]]
        if reply["type"] == "error":
            steps.check_code(reply, "rate_limited")
            # The last of the others may have let it in again.
            await client.flush()
            return True
        steps.check_type(reply, "joined")
        steps.check_type(replies[leave["ref"]], "participantLeft")
    return False


_PLAYS: dict[tuple[str, str], Play] = {
    ("join", "already_in_room"): _already_in_room,
    ("switch", "already_in_room"): _already_in_room,
    ("join", "token_invalid"): partial(_token_invalid, message="join"),
    ("switch", "token_invalid"): partial(_token_invalid, message="switch"),
    ("join", "room_full"): _join_full,
    ("switch", "room_full"): _switch_to_full,
    ("publish", "too_many_presenters"): _presenters,
    ("publish", "already_publishing"): _already_publishing,
    ("unpublish", "no_such_stream"): partial(_no_such, message="unpublish"),
    ("endStream", "no_such_stream"): partial(_no_such, message="endStream"),
    ("view", "no_such_stream"): partial(_no_such, message="view"),
    ("unview", "no_such_stream"): partial(_no_such, message="unview"),
    ("adjust", "no_such_stream"): partial(_no_such, message="adjust"),
    ("candidate", "no_such_stream"): partial(_no_such, message="candidate"),
    ("restart", "no_such_stream"): partial(_no_such, message="restart"),
    ("unpublish", "not_your_stream"): _not_your_stream,
    ("view", "own_stream"): _own_stream,
    ("view", "already_viewing"): _already_viewing,
    ("view", "too_many_views"): _views,
    ("unview", "not_viewing"): partial(_not_viewing, message="unview"),
    ("adjust", "not_viewing"): partial(_not_viewing, message="adjust"),
    ("candidate", "not_viewing"): partial(_not_viewing, message="candidate"),
    ("restart", "not_viewing"): partial(_not_viewing, message="restart"),
    ("restart", "restart_refused"): _restart_refused,
    ("restart", "ended"): _restart_ended,
    ("restart", "rate_limited"): _restarted_too_often,
    ("candidate", "too_many_candidates"): too_many_candidates,
    **{
        (message, "rate_limited"): partial(_rate_limited, message=message)
        for message in ("chat", "sendFile", "rename", "publish", "view")
    },
    **{(message, "rate_limited"): partial(_rate_limited, message=message) for message in seats.MESSAGES},
    **{
        (message, "not_permitted"): partial(seats.not_permitted, message=message)
        for message in ("publish", "lowerHand", *seats.MODERATORS)
    },
    **{
        (message, "no_such_participant"): partial(seats.no_such_participant, message=message)
        for message in seats.NAMING
    },
    **{
        (message, "yourself"): partial(seats.yourself, message=message)
        for message in ("kick", "ban", "setRole", "mute")
    },
    **{(message, "muted"): partial(seats.muted, message=message) for message in ("media", "speaking")},
    **{
        ("chat", code): partial(seats.not_whispered, code=code)
        for code in ("no_such_participant", "yourself", "participant_away")
    },
    ("sendFile", "no_files"): files.no_files,
    ("sendFile", "file_too_large"): files.too_large,
    ("sendFile", "files_full"): files.full,
    **{
        ("sendFile", code): partial(files.not_told, code=code)
        for code in ("no_such_participant", "yourself", "participant_away", "no_such_line")
    },
    **{
        (trigger, "file_incomplete"): partial(files.incomplete, trigger=trigger)
        for trigger in ("put", "file_arrived")
    },
    **{
        ("file_arrived", code): partial(files.not_taken, code=code)
        for code in ("no_files", "no_such_participant", "participant_away")
    },
    ("chat", "no_such_line"): partial(seats.no_such_line, message="chat"),
    ("deleteLine", "no_such_line"): partial(seats.no_such_line, message="deleteLine"),
    ("deleteLine", "not_permitted"): seats.not_ones_line,
    ("endStream", "not_permitted"): seats.does_not_end_streams,
    ("unban", "not_banned"): seats.not_banned,
    ("admit", "room_full"): seats.room_full,
    ("join", "lobby_full"): partial(seats.lobby_full, message="join"),
    ("switch", "lobby_full"): partial(seats.lobby_full, message="switch"),
    **{(message, "denied"): partial(seats.denied, message=message) for message in ("join", "switch")},
    **{(message, "ended"): partial(seats.ended, message=message) for message in ("join", "switch")},
    ("join", "banned"): partial(seats.banned, message="join"),
    ("switch", "banned"): partial(seats.banned, message="switch"),
    ("join", "locked"): seats.locked,
    ("switch", "locked"): seats.locked,
    ("join", "rate_limited"): _room_entered_too_often,
    ("resume", "session_unknown"): _session_unknown,
    ("publish", "sdp_invalid"): _publish_no_sdp,
    ("view", "sdp_invalid"): _view_no_sdp,
    ("publish", "ended"): partial(_ended, message="publish"),
    ("view", "ended"): partial(_ended, message="view"),
}
