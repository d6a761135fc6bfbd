"""Says which names are allowed.

The page has no rules of its own and asks here, so it always agrees with `join`.
"""

from __future__ import annotations

from collections.abc import Callable

from quart import Blueprint, Response, jsonify, request

from roomfsm.protocol.names import NameFault, display_name, made_room_name, room_key

MAX_ASKED = 256
"""The most characters that are examined. A longer text is refused at once."""


def create_naming() -> Blueprint:
    """The addresses `/api/room-name?name=…` and `/api/display-name?name=…`.

    The answer has `name`, the name as the server keeps it and shows it to others, and for a room also its `key`.
    Or it has `fault`, an English sentence that says why the text cannot be a name, and the `code` of the
    reason with the `values` that its sentence names, for programs with sentences of their own (`NameFault`).
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
        response = jsonify(fault=str(fault), code=fault.code, values=fault.values)
    response.headers["Cache-Control"] = "no-store"
    return response
