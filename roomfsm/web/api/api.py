"""The addresses of the admin API, and who may use them.

Without an `--admin-token` there is no API: its addresses answer 404, as any other that does not exist.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import cache
from http import HTTPStatus
from typing import Any

import msgspec
import trio
from quart import Blueprint, Request, Response, abort, request
from werkzeug.exceptions import HTTPException

from roomfsm.access.guesses import Guesses
from roomfsm.hosts import bound_key
from roomfsm.log import get_logger
from roomfsm.protocol.errors import ErrorCode, Refusal
from roomfsm.web.access import bearer_of, same_secret
from roomfsm.web.api.handlers import Handlers, Parts
from roomfsm.web.api.openapi import openapi
from roomfsm.web.api.operations import Operation
from roomfsm.web.api.problems import ELSEWHERE, ApiCode, Problem
from roomfsm.web.others import ElsewhereError

PATH = "/api/v1"
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
_BEARER = {"WWW-Authenticate": 'Bearer realm="roomfsm admin API"'}
_LONGEST_WAIT = 30.0
"""The longest time for which an address that has guessed wrong must wait, in seconds. It is short, because an
administrator may share the address."""
_log = get_logger(__name__)


@dataclass(slots=True)
class AdminAccess:
    """Judges requests to the API by its token, which can be changed while the server runs.

    Wrong tokens are counted by the address of the client. After some, the address has to wait before it may try
    another one. The right token is never refused, because others may use the same address, and because it is too
    long to be guessed.
    """

    token: str | None
    _guesses: Guesses = field(default_factory=lambda: Guesses(free=10, longest=_LONGEST_WAIT))

    def judge(self, request: Request) -> None:
        """Raises `Problem` unless the request may be answered."""
        assert self.token is not None
        given, now = bearer_of(request), trio.current_time()
        if given is None:
            raise Problem(ApiCode.UNAUTHORIZED, headers=_BEARER)
        address = bound_key(request.remote_addr or "")
        if same_secret(given, self.token):
            self._guesses.right(address, PATH)
            return
        wait = self._guesses.wait(address, PATH, now)
        if wait > 0:
            # It is rounded up, because whoever comes back too early is refused again.
            seconds = math.ceil(wait)
            raise Problem(
                ErrorCode.RATE_LIMITED,
                f"There were too many wrong tokens: try again in {seconds} s.",
                headers={"Retry-After": str(seconds)},
            )
        self._guesses.wrong(address, PATH, now)
        _log.warning("wrong admin token", address=address)
        raise Problem(ApiCode.UNAUTHORIZED, headers=_BEARER)


def create_api(parts: Parts, access: AdminAccess, path_prefix: str = "") -> Blueprint:
    """Everything below `/api/v1`. `path_prefix` is what browsers have before it (`--path-prefix`)."""
    api = Blueprint("api", __name__, url_prefix=PATH)
    operations = Handlers(parts).operations()

    @cache
    def document() -> bytes:
        return msgspec.json.encode(openapi(operations, f"{path_prefix}{PATH}"))

    @api.before_request
    async def judge() -> None:
        if access.token is None:
            abort(404)
        # The document is the same on every server, and no secret.
        if request.path != f"{PATH}/openapi.json":
            access.judge(request)

    @api.errorhandler(Problem)
    async def problem(error: Problem) -> Response:
        return error.response()

    @api.errorhandler(Refusal)
    async def refusal(error: Refusal) -> Response:
        return Problem.of(error).response()

    @api.errorhandler(ElsewhereError)
    async def elsewhere(error: ElsewhereError) -> Response:
        return Response(b"", int(HTTPStatus.MISDIRECTED_REQUEST), headers={ELSEWHERE: error.node})

    @api.errorhandler(Exception)
    async def mistake(error: Exception) -> Response:
        if isinstance(error, HTTPException):
            # Quart answers these by itself: the body is too large, or was not sent in time.
            raise error
        # The boundary: a mistake in one operation must not look like anything else.
        _log.error("admin api failed", path=request.path, exc_info=error)
        return Problem(ApiCode.INTERNAL).response()

    @api.get("/openapi.json")
    async def openapi_document() -> Response:
        return Response(document(), content_type="application/json")

    methods: dict[str, list[str]] = defaultdict(list)
    methods["/openapi.json"].append("GET")
    for operation in operations:
        methods[operation.path].append(operation.method)
        api.add_url_rule(_rule(operation.path), operation.id, _answering(operation), methods=[operation.method])
    for number, (path, known) in enumerate(methods.items()):
        others = [method for method in METHODS if method not in known]
        api.add_url_rule(_rule(path), f"others{number}", _not_allowed(known), methods=others)

    @api.route("/", defaults={"rest": ""}, methods=METHODS, strict_slashes=False)
    @api.route("/<path:rest>", methods=METHODS)
    async def nothing(rest: str) -> Response:  # noqa: ARG001 (Quart's)
        raise Problem(ApiCode.NO_SUCH_ADDRESS)

    return api


def _rule(path: str) -> str:
    return path.replace("{", "<").replace("}", ">")


def _answering(operation: Operation) -> Callable[..., Awaitable[Response]]:
    async def answer(**at: str) -> Response:
        answered: Any = await operation.call(request, at)
        headers = {"Cache-Control": "no-store"}
        if answered is None:
            return Response(b"", int(operation.status), headers=headers)
        body = msgspec.json.encode(answered)
        return Response(body, int(operation.status), headers=headers, content_type="application/json")

    return answer


def _not_allowed(known: list[str]) -> Callable[..., Awaitable[Response]]:
    async def refuse(**_: str) -> Response:
        raise Problem(ApiCode.METHOD_NOT_ALLOWED, headers={"Allow": ", ".join(known)})

    return refuse
