"""Every row of the machines of a seat, of a person's sound, and of a room's door: what moderators do."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from functools import partial

import trio

from roomfsm.conformance.checks import steps
from roomfsm.conformance.checks.bounds import full_room
from roomfsm.conformance.checks.steps import Place, bring
from roomfsm.conformance.outcome import Failed, Message, NeverReachable, NotReachable, shown
from roomfsm.conformance.scene import Check, Plan, Scene
from roomfsm.conformance.spec import Row
from roomfsm.conformance.stage import Room
from roomfsm.conformance.wire import Client

type Play = Callable[[Scene, Place], Awaitable[None]]

MODERATORS = (
    *("mute", "unmute", "kick", "ban", "unban", "setRole", "lock", "unlock", "clearChat", "closeRoom"),
    *("admit", "deny", "configure"),
)
"""The messages that only a moderator may send."""
NAMING = ("lowerHand", "mute", "unmute", "kick", "ban", "setRole", "admit", "deny")
"""The messages that name a person in the room, or in its lobby."""
BAN = 2.0
"""The seconds of a ban whose end the kit waits for."""
LOBBY = 8
"""How many people the kit lets wait in a lobby, to find its bound."""
MESSAGES = ("raiseHand", "lowerHand", "media", "speaking", "react", "deleteLine", *MODERATORS)


def checks(plan: Plan) -> Iterator[Check]:
    """A check for each row of the three machines."""
    for row in plan.spec.rows:
        if row.machine in ("seat", "door", "sound"):
            extra = plan.options.patience if (row.trigger, row.source) == ("departed", "away") else 0.0
            yield Check(f"row/{row.key}", partial(_row, row=row), steps.path_of_row(plan.spec, row), extra=extra)


async def moderates(place: Place, message: str) -> None:
    """Let Ada, who moderates the room, send a legal message of this kind, and check who is told."""
    room, ada, bob = place.room, place.ada, place.bob
    if room.streams:
        # Bob presents, and would take his streams with him.
        bob = await room.enter("Cyd")
    match message:
        case "raiseHand":
            await room.raise_hand(ada)
            await room.raise_hand(bob)
        case "lowerHand":
            await room.raise_hand(bob)
            await room.lower_hand(ada, bob)
            await room.lower_hand(bob, bob)
        case "media":
            await room.media(bob, True, True)
            await room.media(bob, False, True)
            await room.speak(ada)
            await room.media(ada, False)
        case "speaking":
            await room.speak(ada)
            await room.speak(bob)
            await room.speak(ada, False)
            await room.speak(bob, False)
        case "react":
            await room.react(ada, "heart")
            await room.react(bob, "applause")
        case "mute":
            await room.speak(bob)
            await room.mute(ada, bob)
            await room.media(bob, True)
            await room.mute(ada, bob, hold=True)
            steps.check_code(await bob.ask("media", microphone=True, camera=True), "muted")
        case "unmute":
            await room.mute(ada, bob, hold=True)
            await room.unmute(ada, bob)
            await room.media(bob, True)
            await room.speak(bob)
            await room.mute(ada, bob)
            await room.unmute(ada, bob)
        case "kick":
            await room.put_out(ada, bob, "kick")
            await room.join(bob)
        case "ban":
            await room.put_out(ada, bob, "ban")
            # As often as it is tried.
            for _ in range(2):
                steps.check_code(await bob.ask("join", room=room.name), "banned")
        case "unban":
            await room.put_out(ada, bob, "ban")
            await room.unban(ada, bob)
            await room.join(bob)
        case "setRole":
            for role in ("viewer", "moderator", "presenter"):
                await room.set_role(ada, bob, role)
        case "admit" | "deny" | "configure":
            await _decides_on_the_lobby(place, message)
        case "lock":
            await room.lock(ada)
            await may_not_enter(place, "locked")
        case "unlock":
            await room.lock(ada)
            await room.unlock(ada)
            await room.enter("Cyd")
        case "clearChat":
            await room.chat(bob)
            await room.clear_chat(ada)
            cyd = await room.enter("Cyd")
            await room.chat(cyd)
        case "deleteLine":
            for speaker, deletes in ((bob, bob), (bob, ada), (ada, ada)):
                await room.delete_line(deletes, await room.chat(speaker))
            kept = await room.chat(bob)
            await room.enter("Dan")
            await room.delete_line(ada, kept)
        case "closeRoom":
            await room.close_as(ada)
        case _:
            raise NeverReachable(f"the kit does not know {message}")


async def _decides_on_the_lobby(place: Place, message: str) -> None:
    """Whoever waits learns nothing of the room, and nobody but the moderators learns who waits."""
    room, ada = place.room, place.ada
    await room.configure(ada, lobby=True)
    cyd, dan, eve = [await room.scene.connect(name) for name in ("Cyd", "Dan", "Eve")]
    for client in (cyd, dan, eve):
        await room.knock(client)
    await room.chat(ada)
    match message:
        case "admit":
            await room.admit(ada, cyd)
            await room.admit(ada, dan, eve)
            await room.chat(cyd)
        case "deny":
            await room.deny(ada, cyd)
            await room.deny(ada, dan, eve)
            await room.knock(cyd)
        case "configure":
            await room.deny(ada, cyd, dan, eve)
            await room.configure(ada, lobby=False)
            await room.join(cyd)


async def while_knocking(scene: Scene, place: Place | None, cyd: Client, message: str) -> None:
    """Check that the message is legal while Cyd waits in the lobby."""
    assert place is not None
    match message:
        case "leave":
            await place.room.give_up(cyd)
            await Room(scene).join(cyd)
        case "ping":
            steps.check_type(await cyd.ask("ping"), "pong")
        case _:
            raise NeverReachable(f"the kit does not know {message}")
    for client in place.room.members:
        await client.quiet()


async def may_not_enter(place: Place, code: str) -> None:
    """Check that a newcomer is refused, by `join` and by `switch`, and that nobody in the room is told."""
    cyd = await place.room.scene.connect("Cyd")
    steps.check_code(await cyd.ask("join", room=place.room.name), code)
    await Room(place.room.scene).join(cyd)
    steps.check_code(await cyd.ask("switch", room=place.room.name), code)
    await place.room.chat(place.ada)


async def _row(scene: Scene, *, row: Row) -> None:
    await steps.bystander(scene)
    place = await bring(scene, "waiting")
    if row.machine == "door":
        await _door(scene, place, row)
    elif row.machine == "sound":
        await _sound(place, row)
    elif row.trigger in MESSAGES:
        await moderates(place, row.trigger)
    else:
        play = _PLAYS.get((row.trigger, row.source))
        if play is None:
            raise NeverReachable(f"nothing that the kit can do from outside is {row.trigger} while {row.source}")
        await play(scene, place)
    if place.room.state == "closing":
        return
    for client in place.room.members:
        if not client.gone:
            await place.room.chat(client)


async def _door(scene: Scene, place: Place, row: Row) -> None:
    room, ada = place.room, place.ada
    if row.source == "locked":
        await room.lock(ada)
    match row.trigger:
        case "lock":
            await room.lock(ada)
            await may_not_enter(place, "locked")
        case "unlock":
            await room.unlock(ada)
            await room.enter("Cyd")
        case "deserted":
            await room.leave(place.bob)
            await room.leave(ada)
            await room.join(place.bob)
        case _:
            raise NeverReachable(f"the kit does not know {row.trigger}")


async def _sound(place: Place, row: Row) -> None:
    room, ada, bob = place.room, place.ada, place.bob
    if row.source != "audible":
        await room.mute(ada, bob, hold=row.source == "held")
    match row.trigger:
        case "muted" | "held":
            await room.mute(ada, bob, hold=row.trigger == "held")
        case "unmuted":
            await room.unmute(ada, bob)
        case "microphone_on":
            await room.media(bob, True)
            await room.speak(bob)
        case _:
            raise NeverReachable(f"the kit does not know {row.trigger}")


async def _lost(scene: Scene, place: Place) -> None:
    await place.room.speak(place.ada)
    await place.room.speak(place.bob)
    await place.room.lose(place.bob)


async def _found(scene: Scene, place: Place) -> None:
    await place.room.lose(place.bob)
    await place.room.resume(place.bob)


async def _found_seated(scene: Scene, place: Place) -> None:
    await place.room.resume(place.bob)


async def _departed(scene: Scene, place: Place) -> None:
    await place.room.leave(place.bob)


async def _departed_away(scene: Scene, place: Place) -> None:
    window = float(scene.plan.welcome.get("resumeWindow", 0))
    if window > scene.plan.options.patience:
        raise NotReachable(f"a resume window of {window:g} s is longer than --patience")
    await place.room.lose(place.bob)
    await place.room.left(place.bob, "disconnected")


async def _admitted(scene: Scene, place: Place) -> None:
    await _decides_on_the_lobby(place, "admit")


async def _denied(scene: Scene, place: Place) -> None:
    await _decides_on_the_lobby(place, "deny")


async def _departed_knocking(scene: Scene, place: Place) -> None:
    await place.room.configure(place.ada, lobby=True)
    cyd = await scene.connect("Cyd")
    await place.room.knock(cyd)
    await place.room.give_up(cyd)


async def _put_out(scene: Scene, place: Place, how: str, *, away: bool) -> None:
    if away:
        await place.room.lose(place.bob)
    await place.room.put_out(place.ada, place.bob, how)


async def _promoted(scene: Scene, place: Place) -> None:
    """The person who has been in the room longest becomes a moderator, and may do what a moderator may."""
    cyd = await place.room.enter("Cyd")
    await place.room.leave(place.ada)
    steps.check_code(await cyd.ask("lock"), "not_permitted")
    await place.room.lock(place.bob)


async def _relieved(scene: Scene, place: Place) -> None:
    raise NeverReachable("needs a key of the server's tokens")


async def _promoted_away(scene: Scene, place: Place) -> None:
    await place.room.lose(place.bob)
    await place.room.leave(place.ada)
    back = await place.room.resume(place.bob)
    await place.room.lock(back)


_PLAYS: dict[tuple[str, str], Play] = {
    ("lost", "seated"): _lost,
    ("found", "seated"): _found_seated,
    ("found", "away"): _found,
    ("departed", "seated"): _departed,
    ("departed", "away"): _departed_away,
    ("kicked", "seated"): partial(_put_out, how="kick", away=False),
    ("banned", "seated"): partial(_put_out, how="ban", away=False),
    ("kicked", "away"): partial(_put_out, how="kick", away=True),
    ("banned", "away"): partial(_put_out, how="ban", away=True),
    ("admitted", "knocking"): _admitted,
    ("denied", "knocking"): _denied,
    ("departed", "knocking"): _departed_knocking,
    ("promoted", "seated"): _promoted,
    ("promoted", "away"): _promoted_away,
    ("relieved", "seated"): _relieved,
    ("relieved", "away"): _relieved,
}


# Refusals of the guards


async def not_permitted(scene: Scene, *, message: str) -> None:
    """Bob is no moderator. Nobody is told that he tried, and nothing has happened."""
    place = await bring(scene, "waiting")
    role = "moderator"
    fields = steps.sample(scene, place.ada, message, "")
    if message == "publish":
        await place.room.set_role(place.ada, place.bob, "viewer")
        fields, role = {"source": "camera", "sdp": (await scene.peer("sendonly")).offer}, "presenter"
    elif "participant" in fields:
        fields["participant"] = place.ada.me
    reply = await place.bob.ask(message, **fields)
    steps.check_code(reply, "not_permitted")
    _names_role(reply, role)
    await place.room.chat(place.ada)
    await place.room.enter("Cyd")


async def muted(scene: Scene, *, message: str) -> None:
    """Bob cannot claim to be heard while a moderator mutes him. Nobody is told that he tried."""
    place = await bring(scene, "waiting")
    room, ada, bob = place.room, place.ada, place.bob
    if message == "speaking":
        await room.media(bob, False)
        steps.check_code(await bob.ask("speaking", speaking=True), "muted")
        await room.media(bob, True)
        await room.mute(ada, bob)
        steps.check_code(await bob.ask("speaking", speaking=True), "muted")
    else:
        await room.mute(ada, bob, hold=True)
        steps.check_code(await bob.ask("media", microphone=True, camera=False), "muted")
        # The camera is nobody's concern.
        await room.media(bob, False, True)
    await room.chat(ada)
    await room.unmute(ada, bob)
    await room.media(bob, True)


async def not_ones_line(scene: Scene) -> None:
    """Bob deletes neither a line of Ada's nor one that Cyd said, and both are still there."""
    place = await bring(scene, "waiting")
    cyd = await place.room.enter("Cyd")
    for speaker in (place.ada, cyd):
        line = await place.room.chat(speaker)
        reply = await place.bob.ask("deleteLine", line=line)
        steps.check_code(reply, "not_permitted")
        _names_role(reply, "moderator")
        await place.room.chat(cyd, answers=line)


async def no_such_line(scene: Scene, *, message: str) -> None:
    """Neither a line that nobody said, nor one that was deleted, can be named."""
    place = await bring(scene, "waiting")
    line = await place.room.chat(place.bob)
    await place.room.delete_line(place.ada, line)
    kept = await place.room.chat(place.bob)
    for number in (line, kept + 1):
        fields = {"line": number} if message == "deleteLine" else {"text": "what?", "replyTo": number}
        steps.check_code(await place.ada.ask(message, **fields), "no_such_line")
    await place.room.clear_chat(place.ada)
    fields = {"line": kept} if message == "deleteLine" else {"text": "what?", "replyTo": kept}
    steps.check_code(await place.ada.ask(message, **fields), "no_such_line")
    await place.room.chat(place.ada)


async def not_whispered(scene: Scene, *, code: str) -> None:
    """A private line that cannot be told to its person is told to nobody."""
    place = await bring(scene, "waiting")
    cyd = await place.room.enter("Cyd")
    to = place.ada.me
    if code == "no_such_participant":
        await place.room.leave(cyd)
        steps.check_code(await place.ada.ask("chat", text="psst", to="nobody"), code)
        to = cyd.me
    elif code == "participant_away":
        await place.room.lose(cyd)
        to = cyd.me
    steps.check_code(await place.ada.ask("chat", text="psst", to=to), code)
    await place.room.chat(place.bob)


async def does_not_end_streams(scene: Scene) -> None:
    """Bob is no moderator, and ends neither a stream of Ada's nor one of his own in this way."""
    place = await bring(scene, "broadcasting")
    for stream in (await place.room.publish(place.ada), place.stream):
        reply = await place.bob.ask("endStream", stream=stream.id)
        steps.check_code(reply, "not_permitted")
        _names_role(reply, "moderator")
    await place.room.chat(place.ada)


def _names_role(reply: Message, role: str) -> None:
    if reply.get("role") != role:
        raise Failed(f"an error that names the role {role}", shown(reply))


async def no_such_participant(scene: Scene, *, message: str) -> None:
    """Neither somebody who has left nor somebody who never was there can be named."""
    place = await bring(scene, "waiting")
    cyd = await place.room.enter("Cyd")
    await place.room.leave(cyd)
    for person in (cyd.me, "nobody"):
        fields = {**steps.sample(scene, place.ada, message, ""), "participant": person}
        steps.check_code(await place.ada.ask(message, **fields), "no_such_participant")
    await place.room.chat(place.ada)


async def yourself(scene: Scene, *, message: str) -> None:
    """A moderator cannot do it to oneself."""
    place = await bring(scene, "waiting")
    fields = {**steps.sample(scene, place.ada, message, ""), "participant": place.ada.me}
    steps.check_code(await place.ada.ask(message, **fields), "yourself")
    await place.room.chat(place.ada)


async def not_banned(scene: Scene) -> None:
    """Somebody in the room is not banned, and neither is somebody who was let in again."""
    place = await bring(scene, "waiting")
    steps.check_code(await place.ada.ask("unban", participant=place.bob.me), "not_banned")
    await place.room.put_out(place.ada, place.bob, "ban")
    await place.room.unban(place.ada, place.bob)
    steps.check_code(await place.ada.ask("unban", participant=place.bob.me), "not_banned")
    await place.room.chat(place.ada)


async def banned(scene: Scene, *, message: str) -> None:
    """Neither the session nor another one of its address may enter. Other rooms let both in."""
    place = await bring(scene, "waiting")
    await place.room.put_out(place.ada, place.bob, "ban")
    again: Client = await scene.connect("Bob again")
    for client in (place.bob, again):
        if message == "switch":
            await Room(scene).join(client)
        steps.check_code(await client.ask(message, room=place.room.name), "banned")
    await place.room.chat(place.ada)


async def locked(scene: Scene) -> None:
    """A locked room lets nobody in. Somebody whose connection was lost may come back."""
    place = await bring(scene, "waiting")
    await place.room.lock(place.ada)
    await may_not_enter(place, "locked")
    await place.room.lose(place.bob)
    await place.room.resume(place.bob)


async def room_full(scene: Scene) -> None:
    """Nobody is admitted to a full room. The person goes on waiting."""
    room = await full_room(scene)
    ada, last = room.members[0], room.members[-1]
    await room.configure(ada, lobby=True)
    await room.leave(last)
    cyd, dan = [await scene.connect(name) for name in ("Cyd", "Dan")]
    await room.knock(cyd)
    await room.knock(dan)
    await room.admit(ada, cyd)
    steps.check_code(await ada.ask("admit", participant=dan.me), "room_full")
    await room.leave(cyd)
    await room.admit(ada, dan)


async def lobby_full(scene: Scene, *, message: str) -> None:
    """The lobby has a bound. Somebody who waits no longer makes place."""
    place, cyd = await steps.knocking(scene)
    late = await scene.connect("Late")
    if message == "switch":
        await Room(scene).join(late)
    for number in range(LOBBY):
        ref = await late.send(message, room=place.room.name)
        reply = await late.next("knocking, or a refusal")
        if reply["type"] == "error":
            steps.check_code(reply, "lobby_full")
            await place.room.give_up(cyd)
            await place.room.knock(late, message)
            return
        steps.check_type(reply, "knocking")
        await place.ada.flush()
        place.room.lobby[late.me] = late, ref
        late = await scene.connect(f"Visitor {number}")
        if message == "switch":
            await Room(scene).join(late)
    raise NotReachable(f"more than {LOBBY} people may wait in a lobby")


async def _wants_to_enter(scene: Scene, message: str) -> tuple[Place, Client]:
    """A room with a lobby, in which Dan waits, who has asked by this message."""
    place, _ = await steps.knocking(scene)
    dan = await scene.connect("Dan")
    if message == "switch":
        await Room(scene).join(dan)
    await place.room.knock(dan, message)
    return place, dan


async def denied(scene: Scene, *, message: str) -> None:
    """Somebody who is denied is in no room, and may knock again, unless a moderator denies for a time."""
    place, dan = await _wants_to_enter(scene, message)
    await place.room.deny(place.ada, dan)
    await place.room.knock(dan)
    await place.room.deny(place.ada, dan, seconds=60)
    steps.check_code(await dan.ask("join", room=place.room.name), "banned")
    await Room(scene).join(dan)


async def ended(scene: Scene, *, message: str) -> None:
    """Somebody who leaves the lobby gets an answer to the message by which the person came."""
    place, dan = await _wants_to_enter(scene, message)
    await place.room.give_up(dan)
    await Room(scene).join(dan)


async def ban_ends(scene: Scene) -> None:
    """A ban holds as long as the moderator said, and not much longer."""
    place = await bring(scene, "waiting")
    began = trio.current_time()
    await place.room.put_out(place.ada, place.bob, "ban", seconds=BAN)
    while True:
        ref = await place.bob.send("join", room=place.room.name, name=place.bob.name)
        reply = await place.bob.next("joined, or that Bob is banned")
        if reply["type"] == "joined":
            break
        steps.check_code(reply, "banned")
        if reply.get("ref") != ref:
            raise Failed(f"the reply to join, with ref {ref}", shown(reply))
        await trio.sleep(BAN / 8)
    if trio.current_time() < began + BAN:
        raise Failed(f"a ban of {BAN:g} s", f"Bob was let in {trio.current_time() - began:.1f} s later")
    await place.ada.flush()
