"""Every row of the session's table: connections lost, resumed, taken over and said goodbye to."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from functools import partial

import trio

from roomfsm.conformance.checks import seats, steps
from roomfsm.conformance.checks.cells import accepted
from roomfsm.conformance.checks.steps import bring
from roomfsm.conformance.outcome import Failed, NeverReachable, NotReachable, shown
from roomfsm.conformance.scene import Check, Plan, Scene
from roomfsm.conformance.spec import Row
from roomfsm.conformance.stage import Room
from roomfsm.conformance.wire import Client

type Play = Callable[[Scene, Row], Awaitable[None]]

_GOODBYES = {1000: (1000).to_bytes(2), 1001: (1001).to_bytes(2), 1005: b""}
"""The close codes of a client that will not come back, and the payloads of the close frames."""


def checks(plan: Plan) -> Iterator[Check]:
    """A check for each row of the session's machine, and for each goodbye; and one of how long a ban holds."""
    messages = plan.spec.machines["session"].messages
    for row in plan.spec.rows:
        if row.machine == "session":
            window = plan.options.patience if row.trigger == "expire" else 0.0
            publishing = ("publish", "unpublish", "view", "unview", "adjust", "candidate", "restart")
            yield Check(
                f"row/{row.key}",
                partial(_row, row=row),
                steps.path_of_row(plan.spec, row),
                extra=window,
                media=row.trigger in messages and row.trigger in publishing,
            )
    for code in _GOODBYES:
        yield Check(f"session/goodbye/{code}", partial(_goodbye, code=code))
    yield Check("session/no-goodbye/1006", _no_goodbye)
    yield Check("session/own-token", _own_token)
    yield Check("session/token-chain", _token_chain)
    if "ban" in plan.spec.messages:
        yield Check("seat/ban-ends", seats.ban_ends, extra=seats.BAN)


async def _row(scene: Scene, *, row: Row) -> None:
    if row.trigger == "moved":
        raise NeverReachable("needs several servers with one set of rooms")
    play = _to_the_lobby if row.dest == "knocking" else _PLAYS.get((row.trigger, row.source))
    if row.source not in {pair.session for pair in scene.spec.legality} and play is None:
        raise NeverReachable(f"nobody outside can keep a session {row.source}")
    if play is None and row.trigger in scene.spec.machines["session"].messages:
        play = _message
    if play is None:
        raise NeverReachable(f"nothing that the kit can do from outside is {row.trigger} while {row.source}")
    await steps.bystander(scene)
    await play(scene, row)


async def _message(scene: Scene, row: Row) -> None:
    """The message is legal, either in no room or in a room in the simplest state."""
    if row.source == "connected":
        await accepted(scene, await scene.connect("Ada"), None, row.trigger)
        return
    pair = next(pair for pair in scene.spec.legality if pair.session == row.source and row.trigger in pair.allowed)
    place = await bring(scene, str(pair.room))
    await accepted(scene, place.ada, place, row.trigger)


async def unknown(scene: Scene, token: str) -> None:
    """Check that nobody can resume with this token. Raises `Failed`."""
    late = await scene.connect("Late")
    steps.check_code(await late.ask("resume", token=token), "session_unknown")
    await late.quiet()


async def _resume(scene: Scene, row: Row) -> None:
    """The session that asked is gone.

    Its connection belongs to the resumed session, which is the only one in the room.
    """
    place = await bring(scene, "waiting")
    await place.room.lose(place.bob)
    back = await place.room.resume(place.bob)
    await place.room.chat(back)


async def _reattach_away(scene: Scene, row: Row) -> None:
    place = await bring(scene, "waiting")
    for _ in range(2):
        await place.room.lose(place.bob)
        await place.room.chat(place.ada, "meanwhile")
        place.bob = await place.room.resume(place.bob)
        await place.room.chat(place.bob)


async def _reattach_joined(scene: Scene, row: Row) -> None:
    """The earlier connection is closed with the code that gives the reason."""
    place = await bring(scene, "waiting")
    back = await place.room.resume(place.bob)
    code = await place.bob.closed()
    expected = scene.spec.close_codes["resumed_elsewhere"]
    if code != expected:
        raise Failed(f"the older connection closed with {expected}", f"closed with {code}")
    await place.room.chat(back)


async def _lost_joined(scene: Scene, row: Row) -> None:
    place = await bring(scene, "waiting")
    await place.room.lose(place.bob)


async def _lost_connected(scene: Scene, row: Row) -> None:
    ada = await scene.connect("Ada")
    await ada.cut()
    await unknown(scene, ada.welcome["resumeToken"])


async def _dismissed_joined(scene: Scene, row: Row) -> None:
    place = await bring(scene, "closing")
    await until_out(scene, place.ada)
    await Room(scene).join(place.ada)


async def until_out(scene: Scene, client: Client) -> None:
    """Wait until the room removes a client. The time limit of the check limits the wait."""
    while True:
        ref = await client.send("chat", text="are we still here?")
        reply = (await client.gather(ref))[ref]
        if steps.out_of_closing(scene, reply):
            return
        steps.check_code(reply, "illegal_in_state")
        await trio.sleep(0.05)


async def _dismissed_away(scene: Scene, row: Row) -> None:
    place = await bring(scene, "waiting")
    await place.room.lose(place.bob)
    await place.room.close()
    await until_out(scene, place.ada)
    await unknown(scene, place.bob.welcome["resumeToken"])


async def _expire(scene: Scene, row: Row) -> None:
    window = float(scene.plan.welcome.get("resumeWindow", 0))
    if window > scene.plan.options.patience:
        raise NotReachable(f"a resume window of {window:g} s is longer than --patience")
    place = await bring(scene, "waiting")
    await place.room.lose(place.bob)
    await place.room.left(place.bob, "disconnected")
    await unknown(scene, place.bob.welcome["resumeToken"])


async def _to_the_lobby(scene: Scene, row: Row) -> None:
    """Somebody who switches to a room with a lobby leaves the old room, and hears no more of it."""
    place, cyd = await steps.knocking(scene)
    if row.trigger == "ping":
        await seats.while_knocking(scene, place, cyd, "ping")
    if row.trigger != "switch":
        return
    old = Room(scene)
    await old.enter("Dan")
    eve = await old.enter("Eve")
    await place.room.knock(eve, "switch")
    await old.left(eve, "switched")
    await old.chat(old.members[0])
    await place.room.admit(place.ada, eve)


async def _leave_knocking(scene: Scene, row: Row) -> None:
    place, cyd = await steps.knocking(scene)
    await seats.while_knocking(scene, place, cyd, "leave")


async def _admitted(scene: Scene, row: Row) -> None:
    place, cyd = await steps.knocking(scene)
    await place.room.admit(place.ada, cyd)
    await place.room.chat(cyd)


async def _dismissed_knocking(scene: Scene, row: Row) -> None:
    """By a moderator, or because the room closes."""
    place, cyd = await steps.knocking(scene)
    await place.room.deny(place.ada, cyd)
    await Room(scene).join(cyd)


async def _lost_knocking(scene: Scene, row: Row) -> None:
    """There is no seat that could be resumed."""
    place, cyd = await steps.knocking(scene)
    await (cyd.cut() if row.trigger == "lost" else cyd.bye())
    await place.room.give_up(cyd, how=row.trigger)
    await unknown(scene, cyd.welcome["resumeToken"])


async def _reattach_knocking(scene: Scene, row: Row) -> None:
    """There is no seat that could be resumed. The person is in no room now, and may knock again."""
    place, cyd = await steps.knocking(scene)
    again = await scene.connect("Cyd again")
    steps.check_code(await again.ask("resume", token=cyd.welcome["resumeToken"]), "ended")
    await cyd.closed()
    await place.room.give_up(cyd, how=row.trigger)
    again.me = cyd.me
    await Room(scene).join(again)


async def _bye_connected(scene: Scene, row: Row) -> None:
    ada = await scene.connect("Ada")
    await ada.bye()
    await unknown(scene, ada.welcome["resumeToken"])


async def _bye_joined(scene: Scene, row: Row) -> None:
    place = await bring(scene, "waiting")
    await place.bob.bye()
    await place.room.left(place.bob, "left")
    await unknown(scene, place.bob.welcome["resumeToken"])


async def _goodbye(scene: Scene, *, code: int) -> None:
    place = await bring(scene, "waiting")
    bob = place.bob
    scene.record.sent(bob.label, f"closes with {code}")
    await bob.say_goodbye(_GOODBYES[code])
    await place.room.left(bob, "left")
    await unknown(scene, bob.welcome["resumeToken"])


async def _no_goodbye(scene: Scene) -> None:
    """Any other close code is not a goodbye, so the seat is kept."""
    place = await bring(scene, "waiting")
    await place.bob.say_goodbye((4999).to_bytes(2))
    told = await place.ada.next("participantChanged")
    if told["type"] != "participantChanged" or not told["participant"].get("away"):
        raise Failed("participantChanged {away: true}", shown(told))
    await place.room.resume(place.bob)


async def _own_token(scene: Scene) -> None:
    """A session cannot resume itself, nor a session that is in no room."""
    ada, bob = await scene.connect("Ada"), await scene.connect("Bob")
    for token in (ada.welcome["resumeToken"], bob.welcome["resumeToken"]):
        steps.check_code(await ada.ask("resume", token=token), "session_unknown")
    await Room(scene).join(ada)


async def _token_chain(scene: Scene) -> None:
    """From then on, the token of the new connection resumes the session."""
    place = await bring(scene, "waiting")
    for _ in range(3):
        await place.room.lose(place.bob)
        place.bob = await place.room.resume(place.bob)
    if len({client.welcome["resumeToken"] for client in scene.clients}) != len(scene.clients):
        raise Failed("a token of its own in each welcome", "the same token twice")


_PLAYS: dict[tuple[str, str], Play] = {
    ("resume", "connected"): _resume,
    ("reattach", "away"): _reattach_away,
    ("reattach", "joined"): _reattach_joined,
    ("reattach", "knocking"): _reattach_knocking,
    ("resumed", "resuming"): _reattach_away,
    ("lost", "joined"): _lost_joined,
    ("lost", "connected"): _lost_connected,
    ("dismissed", "joined"): _dismissed_joined,
    ("dismissed", "away"): _dismissed_away,
    ("expire", "away"): _expire,
    ("leave", "knocking"): _leave_knocking,
    ("admitted", "knocking"): _admitted,
    ("dismissed", "knocking"): _dismissed_knocking,
    ("lost", "knocking"): _lost_knocking,
    ("bye", "knocking"): _lost_knocking,
    ("bye", "connected"): _bye_connected,
    ("bye", "joined"): _bye_joined,
}
