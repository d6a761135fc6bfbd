"""The Quart application: the page's files, the list of rooms for the start page, and health."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import asdict
from http import HTTPStatus
from itertools import chain
from urllib.parse import quote

import msgspec
from quart import Blueprint, Response, abort, jsonify, redirect, request
from quart.typing import ResponseReturnValue
from quart_trio import QuartTrio

from roomfsm.documents.page_tables import client_folder
from roomfsm.kurento.pool import MediaPool
from roomfsm.lifecycle.server import ServerFacts
from roomfsm.protocol.names import NameFault, is_room_name, made_room_name
from roomfsm.rooms.directory import Directory, RoomSummary
from roomfsm.web.access import Access
from roomfsm.web.files import ClientFiles
from roomfsm.web.inspect import create_inspector
from roomfsm.web.metrics import METRICS_PATH
from roomfsm.web.naming import create_naming
from roomfsm.web.others import Others
from roomfsm.web.settings import WebSettings

_SUMMARIES = "summaries"
"""What nodes ask each other about."""


def create_app(
    directory: Directory,
    pool: MediaPool,
    session_count: Callable[[], int],
    settings: WebSettings,
    access: Access,
    metrics: Blueprint,
    files: Blueprint,
    api: Blueprint,
    has_api: Callable[[], bool],
    others: Others,
) -> QuartTrio:
    """Create the application for these running parts.

    `access` decides who may inspect them, `metrics` is what `create_metrics` has made, `files` what `create_files`
    has, and `api` the admin API. `has_api` says whether that exists now. `others` knows
    the rooms of other nodes.
    """
    app = _new_app()
    app.register_blueprint(metrics)
    app.register_blueprint(files)
    # A redirect from "//" to "/" would contain our own address, and would lose a proxy's TLS and prefix.
    app.url_map.merge_slashes = False
    own_files = ClientFiles(client_folder(), access.path_prefix)

    async def page(file: str = "index.html", status: int = 200) -> Response:
        # A 404 page is always sent in full, because a browser would show nothing if its body were missing.
        response = await own_files.page(file, conditional=status == HTTPStatus.OK)
        if status != HTTPStatus.OK:
            response.status_code = status
        return response

    @app.get("/inspect/api/access")
    async def inspector_access() -> Response:
        # This address is below /inspect, because browsers send the token's cookie only there. Everybody may ask,
        # so that the start page can.
        is_open = settings.inspect and access.refusal(request) is None
        # The inspector offers to administer if there is an API for that, which asks for a token of its own.
        response = jsonify(open=is_open, api=True) if is_open and has_api() else jsonify(open=is_open)
        response.headers["Cache-Control"] = "no-store"
        return response

    others.answers[_SUMMARIES] = lambda: msgspec.json.encode(directory.summaries())

    if settings.inspect:
        app.register_blueprint(create_inspector(directory, settings, access, page, others))

    app.register_blueprint(create_naming())
    app.register_blueprint(api)

    @app.errorhandler(404)
    async def not_found(_: Exception) -> Response:
        # People may mistype a room's address, so the page explains the mistake. Programs get plain text.
        if request.path.startswith("/client/"):
            # The file may come with the next version, or be at another server behind the same proxy.
            response = _nothing()
            response.headers["Cache-Control"] = "no-store"
            return response
        if request.path.startswith(("/api/", "/health/", "/inspect/api/", METRICS_PATH)):
            return _nothing()
        return await page(status=404)

    @app.get("/")
    async def start_page() -> Response:
        return await page()

    def asked_query() -> str:
        """The query of the request with its question mark, for redirects."""
        return f"?{query}" if (query := request.query_string.decode("ascii", "ignore")) else ""

    @app.get("/r/<name>")
    async def room(name: str) -> ResponseReturnValue:
        if is_room_name(name):
            return await page()
        try:
            # The start page makes names from typed text in the same way.
            return redirect(quote(made_room_name(name)) + asked_query(), 308)
        except NameFault:
            return await page(status=404)

    @app.get("/r/<name>/")
    async def room_with_a_slash(name: str) -> ResponseReturnValue:
        # The address is relative, so that it is right under any path that a proxy uses.
        return redirect(f"../{quote(name)}{asked_query()}", 308)

    @app.get("/client/<path:name>")
    async def client_file(name: str) -> Response:
        response = await own_files.file(name)
        if response is None:
            abort(404)
        return response

    @app.get("/api/rooms")
    async def rooms() -> Response:
        heard = await others.hear(_SUMMARIES, list[RoomSummary])
        summaries = sorted(chain(directory.summaries(), *heard.answers), key=RoomSummary.order)
        missing = {"missing": len(heard.missing)} if heard.missing else {}
        response = jsonify(rooms=[asdict(summary) for summary in summaries], **missing)
        response.headers["Cache-Control"] = "no-store"
        return response

    @app.get("/health/live")
    async def live() -> tuple[Response, int]:
        is_live = directory.life.refusal("live") is None
        response = jsonify(live=is_live)
        # A page of another origin that gets no websocket finds out whether the server is there.
        response.headers["Access-Control-Allow-Origin"] = "*"
        return response, 200 if is_live else 503

    @app.get("/health/ready")
    async def ready() -> tuple[Response, int]:
        facts = ServerFacts(media_reachable=pool.ready(), store_keeps=directory.keeps)
        refusal = directory.life.refusal("ready", facts)
        servers = [
            {
                "number": server.number,
                "connected": server.connected,
                "problem": server.problem,
                "version": server.version,
                "pipelines": server.pipelines,
                "endpoints": server.endpoints,
            }
            # Media servers are named by their place in the settings, because not everybody who asks may know the
            # addresses.
            for server in pool.servers
        ]
        body = jsonify(
            ready=refusal is None,
            state=directory.life.state,
            problem=None if refusal is None else refusal.code.explanation,
            rooms=len(directory),
            sessions=session_count(),
            mediaServers=servers,
        )
        return body, 200 if refusal is None else 503

    return app


def create_metrics_app(metrics: Blueprint) -> QuartTrio:
    """Create the application of a port that serves the metrics and nothing else."""
    app = _new_app()
    app.register_blueprint(metrics)

    @app.errorhandler(404)
    async def not_found(_: Exception) -> Response:
        return _nothing()

    return app


def _new_app() -> QuartTrio:
    app = QuartTrio(__name__, static_folder=None)
    # Without this, Quart would add a handler and a thread if the program has not configured logging.
    app.logger = logging.getLogger(app.name)
    return app


def _nothing() -> Response:
    return Response("There is nothing at this address.\n", 404, content_type="text/plain")
