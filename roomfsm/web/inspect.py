"""The addresses of the inspector: its pages and their feeds, diagrams, journals, and closing a room."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from http import HTTPStatus
from urllib.parse import quote

import msgspec
from quart import Blueprint, Request, Response, abort, jsonify, redirect, request
from quart.typing import ResponseReturnValue

from roomfsm.documents.page_tables import FILES, page_table
from roomfsm.documents.svg import svg
from roomfsm.documents.svg_style import css
from roomfsm.door.answers import content_policy
from roomfsm.lifecycle.describe import MACHINES
from roomfsm.protocol.names import is_room_name
from roomfsm.rooms.directory import Directory
from roomfsm.rooms.inspection import look_at, look_at_server
from roomfsm.rooms.room import Room
from roomfsm.web.access import Access
from roomfsm.web.feed import Feed
from roomfsm.web.others import Others
from roomfsm.web.settings import WebSettings

_MAX_REASON = 200


def create_inspector(
    directory: Directory,
    settings: WebSettings,
    access: Access,
    page: Callable[[str, int], Awaitable[Response]],
    others: Others,
) -> Blueprint:
    """Create everything below `/inspect`. `page` answers with a file of the page and a status.

    `others` knows the rooms of other nodes.
    """
    inspector = Blueprint("inspect", __name__, url_prefix="/inspect")
    feed = Feed(directory, settings, others)
    # The page of all rooms follows the server, too, and must count as one watcher.
    feed_of_server = Feed(directory, settings, others)

    @inspector.before_request
    async def judge() -> Response | None:
        remembered = access.remember(request)
        if remembered is not None:
            return remembered
        refusal = access.refusal(request)
        if refusal is None or refusal.status_code != HTTPStatus.UNAUTHORIZED or not _is_for_people(request):
            return refusal
        return await page("inspect-token.html", HTTPStatus.UNAUTHORIZED)

    @inspector.after_request
    async def out_of_frames(response: Response) -> Response:
        # Whatever pages may show rooms in a frame, none may lead an administrator's clicks.
        response.headers["Content-Security-Policy"] = content_policy()
        return response

    @inspector.get("")
    @inspector.get("/")
    async def rooms_page() -> Response:
        return await page("inspect.html", 200)

    @inspector.get("/<name>")
    async def room_page(name: str) -> Response:
        # The page explains why there can be no such room.
        return await page("inspect.html", 200 if is_room_name(name) else 404)

    @inspector.get("/<name>/")
    async def room_page_with_a_slash(name: str) -> ResponseReturnValue:
        return redirect(f"../{quote(name)}", 308)

    @inspector.get("/assets/<machine>.svg")
    async def diagram(machine: str) -> Response:
        if machine not in MACHINES and machine not in FILES:
            abort(404)
        table = page_table(machine) if machine in FILES else MACHINES[machine]
        return _fresh(svg(table, standalone=False), "image/svg+xml")

    @inspector.get("/assets/diagram.css")
    async def stylesheet() -> Response:
        return _fresh(css(), "text/css")

    @inspector.get("/api/rooms")
    async def rooms() -> Response:
        return _json(await feed.glances())

    @inspector.get("/api/rooms/<name>")
    async def room(name: str) -> Response:
        return _json(look_at(_existing(directory, name)))

    @inspector.get("/api/rooms/<name>/journal")
    async def journal(name: str) -> Response:
        lines = _existing(directory, name).journal.lines()
        response = _fresh(lines, "application/jsonl")
        response.headers["Content-Disposition"] = f"attachment; filename*=UTF-8''{quote(name)}.journal.jsonl"
        return response

    @inspector.get("/api/feed")
    async def rooms_feed() -> Response:
        return _stream(feed, feed.rooms())

    @inspector.get("/api/server")
    async def server() -> Response:
        return _json(look_at_server(directory.life, others.look_at_node()))

    @inspector.get("/api/server/feed")
    async def server_feed() -> Response:
        return _stream(feed_of_server, feed_of_server.server())

    @inspector.get("/api/rooms/<name>/feed")
    async def room_feed(name: str) -> Response:
        return _stream(feed, feed.room(name))

    @inspector.post("/api/rooms/<name>/close")
    async def close(name: str) -> tuple[Response, int]:
        reason = _reason_in(await request.get_data())
        if not isinstance(reason, str) or not 1 <= len(reason) <= _MAX_REASON or not reason.isprintable():
            wanted = f'{{"reason": "…"}} with one line of 1 to {_MAX_REASON} characters, or nothing'
            return jsonify(error=f"the body must be {wanted}"), 400
        if not await directory.close_room(name, reason):
            return jsonify(error="there is no such room"), 404
        return jsonify(closing=True), 202

    return inspector


def _is_for_people(asked: Request) -> bool:
    """Whether a browser asks for a page. Otherwise a script or another program asks for data."""
    return asked.method in ("GET", "HEAD") and "text/html" in asked.headers.get("Accept", "")


def _reason_in(body: str | bytes) -> object:
    """The `reason` in a JSON body, whatever its type is; None if the body is not a JSON object."""
    try:
        said = msgspec.json.decode(body) if body else {}
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return said.get("reason", "administrator") if isinstance(said, dict) else None


def _existing(directory: Directory, name: str) -> Room:
    room = directory.find(name)
    if room is None:
        abort(404)
    return room


def _json(value: object) -> Response:
    return _fresh(msgspec.json.encode(value), "application/json")


def _fresh(body: str | bytes | AsyncIterator[bytes], content_type: str) -> Response:
    return Response(body, content_type=content_type, headers={"Cache-Control": "no-store"})


def _stream(feed: Feed, events: AsyncIterator[bytes]) -> Response:
    if feed.full:
        return Response(
            "The limit of watching pages is reached (--inspect-watchers).\n", 503, content_type="text/plain"
        )
    response = _fresh(events, "text/event-stream")
    # Otherwise nginx would keep the events until they fill a page of memory.
    response.headers["X-Accel-Buffering"] = "no"
    # The answer goes on for as long as the page is open.
    response.timeout = None
    return response
