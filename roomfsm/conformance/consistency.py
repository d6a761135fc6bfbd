"""Checks that the document's tables agree with each other.

If they did not, checks would be left out without notice.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

type Json = dict[str, Any]

AUDIENCES = ("asker", "others", "owner", "moderators", "all")
"""The audiences that the kit knows."""


def contradictions(own: Json, received: Collection[str], sent: Collection[str]) -> Iterator[str]:
    """Texts about what is wrong in `x-roomfsm`. `received` and `sent` are the server's message types."""
    for name, machine in own["machines"].items():
        yield from _in_machine(name, machine, sent)
    seen = set()
    for pair in own["legality"]:
        states = (pair["session"], pair["room"])
        if states in seen:
            yield f"legality speaks twice of {_named(pair)}"
        seen.add(states)
        yield from _in_pair(pair, own["machines"], received)


def of_replies(replies: dict[str, str | None], sent: Collection[str]) -> Iterator[str]:
    """Texts about replies that the server never sends."""
    for message, reply in replies.items():
        if reply is not None and reply not in sent:
            yield f"the message {message} is answered by {reply}, which is no message that a server sends"


def _in_machine(name: str, machine: Json, sent: Collection[str]) -> Iterator[str]:
    if machine["name"] != name:
        yield f"the machine {name} is called {machine['name']} within"
    states = _names(machine["states"])
    triggers, effects = _names(machine["triggers"]), _names(machine["effects"])
    if machine["initial"] not in states:
        yield f"the {name} begins as {machine['initial']}, which is none of its states"
    for row in machine["transitions"]:
        shown = f"the {name}'s transition {row['from']} —{row['trigger']}→ {row['to']}"
        for end in ("from", "to"):
            if row[end] not in states:
                yield f"{shown}: {row[end]} is none of its states"
        if row["trigger"] not in triggers:
            yield f"{shown}: {row['trigger']} is none of its triggers"
        for effect in row["effects"]:
            if effect not in effects:
                yield f"{shown}: the effect '{effect}' is not described"
    for effect in machine["effects"]:
        yield from _told(f"the {name}'s effect '{effect['name']}'", effect["tells"], sent)
    yield from _told(f"a move of the {name}", machine["movesTell"], sent)


def _told(by: str, tells: list[Json], sent: Collection[str]) -> Iterator[str]:
    for tell in tells:
        if tell["message"] not in sent:
            yield f"{by} tells {tell['message']}, which is no message that a server sends"
        if tell["to"] not in AUDIENCES:
            yield f"{by} tells {tell['message']} to '{tell['to']}'; it may be to {', '.join(AUDIENCES)}"


def _in_pair(pair: Json, machines: Json, received: Collection[str]) -> Iterator[str]:
    where = _named(pair)
    at = {"session": pair["session"]} | ({} if pair["room"] is None else {"room": pair["room"]})
    unknown = [name for name, state in at.items() if state not in _names(machines[name]["states"])]
    for name in unknown:
        yield f"legality speaks of a {name} that is {at[name]}, which is none of its states"
    if unknown:
        return
    for message in (*pair["allowed"], *pair["refused"]):
        if message not in received:
            yield f"legality speaks of {message} in {where}, which is no message that a client sends"
    for message in received:
        if message in pair["allowed"]:
            if message in pair["refused"]:
                yield f"legality both allows and refuses {message} in {where}"
            for name, state in at.items():
                # The session must know every message; the room knows only some of them.
                knows = name == "session" or message in _names(machines[name]["triggers"])
                if knows and not _has_row(machines[name], message, state):
                    yield f"legality allows {message} in {where}, but the {name} has no transition of it there"
        elif message in pair["refused"]:
            yield from _refused(pair, message, at, machines)
        else:
            yield f"legality neither allows nor refuses {message} in {where}"


def _refused(pair: Json, message: str, at: dict[str, str], machines: Json) -> Iterator[str]:
    name, state = pair["refused"][message]["machine"], pair["refused"][message]["state"]
    refuses = f"legality says that {message} in {_named(pair)} is refused by the {name} that is {state}"
    if name not in machines:
        yield f"{refuses}, but there is no machine {name}"
    elif at.get(name) != state:
        yield f"{refuses}, but the {name} is {at.get(name, 'not there')}"
    elif _has_row(machines[name], message, state):
        yield f"{refuses}, but it has a transition of it there"


def _named(pair: Json) -> str:
    room = "no room" if pair["room"] is None else f"a room that is {pair['room']}"
    return f"a session that is {pair['session']} in {room}"


def _names(items: list[Json]) -> set[str]:
    return {item["name"] for item in items}


def _has_row(machine: Json, trigger: str, state: str) -> bool:
    return any((row["trigger"], row["from"]) == (trigger, state) for row in machine["transitions"])
