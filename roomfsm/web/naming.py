"""What may be a name. The page has no rules of its own and asks here: it cannot differ from what `join` says."""

from __future__ import annotations

from collections.abc import Callable

from quart import Blueprint, Response, jsonify, request

from roomfsm.protocol.names import NameFault, display_name, made_room_name, room_key

MAX_ASKED = 256
"""Characters that are looked at; a longer text is no name and costs nothing."""


def create_naming() -> Blueprint:
    """`/api/room-name?name=…` and `/api/display-name?name=…`.

    The answer has `name`, as it is kept and told to others, and of a room its `key`; or `fault`, a sentence for
    people that says why it can be no name.
    """
    naming = Blueprint("naming", __name__)

    @naming.get("/api/room-name")
    async def room() -> Response:
        return _answer(_room)

    @naming.get("/api/display-name")
    async def person() -> Response:
        return _answer(_person)

    return naming


def _room(text: str) -> dict[str, str]:
    name = made_room_name(text)
    return {"name": name, "key": room_key(name)}


def _person(text: str) -> dict[str, str]:
    return {"name": display_name(text)}


def _answer(judge: Callable[[str], dict[str, str]]) -> Response:
    try:
        response = jsonify(judge(request.args.get("name", "")[:MAX_ASKED]))
    except NameFault as fault:
        response = jsonify(fault=str(fault))
    response.headers["Cache-Control"] = "no-store"
    return response
