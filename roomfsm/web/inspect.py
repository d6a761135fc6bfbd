"""The inspector's addresses: who may look, and an administrator's way to close a room."""

from __future__ import annotations

from quart import Blueprint, Response, jsonify, request

from roomfsm.rooms.directory import Directory
from roomfsm.web.access import Access
from roomfsm.web.settings import WebSettings

_MAX_REASON = 200


def create_inspector(directory: Directory, settings: WebSettings) -> Blueprint:
    """Everything below `/inspect`."""
    inspector = Blueprint("inspect", __name__, url_prefix="/inspect")
    access = Access(settings.inspect_token)

    @inspector.before_request
    async def judge() -> Response | None:
        remembered = access.remember(request)
        return access.refusal(request) if remembered is None else remembered

    @inspector.post("/api/rooms/<name>/close")
    async def close(name: str) -> tuple[Response, int]:
        body = await request.get_json(silent=True, force=True)
        reason = body.get("reason", "administrator") if isinstance(body, dict) else "administrator"
        if not isinstance(reason, str) or not 1 <= len(reason) <= _MAX_REASON:
            return jsonify(error=f"the reason is a text of 1 to {_MAX_REASON} characters"), 400
        if not await directory.close_room(name, reason):
            return jsonify(error="there is no such room"), 404
        return jsonify(closing=True), 202

    return inspector
