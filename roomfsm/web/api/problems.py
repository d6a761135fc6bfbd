"""What the admin API refuses, and how it says so: as problem details (RFC 9457), each with a code.

The codes are those of roomfsm.v1 where the tables refuse, and a few more for what only HTTP has.
"""

from __future__ import annotations

from enum import StrEnum
from http import HTTPStatus

import msgspec
from quart import Response

from roomfsm.protocol.errors import ErrorCode, IllegalInState, Refusal

CONTENT_TYPE = "application/problem+json"
ELSEWHERE = "Roomfsm-Node"
"""The header of an answer with status 421, which names the node that is to be asked."""
_TYPE = "urn:roomfsm:problem:"


class ApiCode(StrEnum):
    """Why the API refuses, beside the codes of roomfsm.v1."""

    explanation: str

    def __new__(cls, value: str, explanation: str) -> ApiCode:
        member = str.__new__(cls, value)
        member._value_ = value
        member.explanation = explanation
        return member

    UNAUTHORIZED = "unauthorized", "The request has no token of the API, or a wrong one."
    NO_SUCH_ADDRESS = "no_such_address", "The API has nothing at this address."
    METHOD_NOT_ALLOWED = "method_not_allowed", "The API has this address, but not with this method."
    TOO_LARGE = "too_large", "The body of the request is too large."
    NO_SUCH_ROOM = "no_such_room", "No room of this name is open."
    ROOM_EXISTS = "room_exists", "A room of this name is open already."
    NO_SUCH_MEDIA_SERVER = "no_such_media_server", "The server knows no media server with this id."
    MEDIA_SERVER_EXISTS = "media_server_exists", "The server uses the media server at this address already."
    TOO_MANY_MEDIA_SERVERS = (
        "too_many_media_servers",
        "The server has as many media servers as --max-media-servers allows.",
    )
    NO_SIGNING_KEY = (
        "no_signing_key",
        "The server has no key that can sign tokens: none of --token-key is a shared secret or a private key.",
    )
    NODE_SILENT = "node_silent", "The server that is to answer does not. Try again in a moment."
    INTERNAL = "internal", "The server made a mistake, which is in its log."


STATUS: dict[ApiCode | ErrorCode, HTTPStatus] = {
    ApiCode.UNAUTHORIZED: HTTPStatus.UNAUTHORIZED,
    ApiCode.NO_SUCH_ADDRESS: HTTPStatus.NOT_FOUND,
    ApiCode.METHOD_NOT_ALLOWED: HTTPStatus.METHOD_NOT_ALLOWED,
    ApiCode.TOO_LARGE: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    ApiCode.NO_SUCH_ROOM: HTTPStatus.NOT_FOUND,
    ApiCode.ROOM_EXISTS: HTTPStatus.CONFLICT,
    ApiCode.NO_SUCH_MEDIA_SERVER: HTTPStatus.NOT_FOUND,
    ApiCode.MEDIA_SERVER_EXISTS: HTTPStatus.CONFLICT,
    ApiCode.TOO_MANY_MEDIA_SERVERS: HTTPStatus.CONFLICT,
    ApiCode.NO_SIGNING_KEY: HTTPStatus.CONFLICT,
    ApiCode.NODE_SILENT: HTTPStatus.SERVICE_UNAVAILABLE,
    ApiCode.INTERNAL: HTTPStatus.INTERNAL_SERVER_ERROR,
    ErrorCode.MALFORMED: HTTPStatus.BAD_REQUEST,
    ErrorCode.RATE_LIMITED: HTTPStatus.TOO_MANY_REQUESTS,
    ErrorCode.ILLEGAL_IN_STATE: HTTPStatus.CONFLICT,
    ErrorCode.ROOM_CLOSED: HTTPStatus.CONFLICT,
    ErrorCode.NO_SUCH_PARTICIPANT: HTTPStatus.NOT_FOUND,
    ErrorCode.NOT_BANNED: HTTPStatus.NOT_FOUND,
    ErrorCode.SERVER_FULL: HTTPStatus.SERVICE_UNAVAILABLE,
    ErrorCode.SERVER_CLOSING: HTTPStatus.SERVICE_UNAVAILABLE,
    ErrorCode.STORE_UNAVAILABLE: HTTPStatus.SERVICE_UNAVAILABLE,
}
"""The status of the answer by its code. The API gives no other codes."""


class ProblemDetails(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel", kw_only=True):
    """Why a request was refused (RFC 9457).

    `code` is for programs, and `detail` for people. `path` is the field of the body, or the parameter, that is
    wrong. `machine` and `state` say which machine refused in which state.
    """

    type: str
    title: str
    status: int
    detail: str
    code: str
    path: str | None = None
    machine: str | None = None
    state: str | None = None


class WrongPolicy(Refusal):
    """A change would make a policy that contradicts itself. `path` names the field of the request."""

    def __init__(self, detail: str, path: str) -> None:
        super().__init__(ErrorCode.MALFORMED, detail)
        self.path = path


class Problem(Exception):
    """A request is refused."""

    def __init__(
        self,
        code: ApiCode | ErrorCode,
        detail: str | None = None,
        *,
        path: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(detail or code.explanation)
        self.code, self.path, self.headers = code, path, headers or {}
        self.machine: str | None = None
        self.state: str | None = None

    @classmethod
    def of(cls, refusal: Refusal) -> Problem:
        """What a table refused."""
        problem = cls(refusal.code, str(refusal), path=refusal.path if isinstance(refusal, WrongPolicy) else None)
        if isinstance(refusal, IllegalInState):
            problem.machine, problem.state = refusal.machine, refusal.state
        return problem

    @property
    def status(self) -> HTTPStatus:
        """The status of the answer."""
        return STATUS[self.code]

    def content(self) -> bytes:
        """The body of the answer."""
        details = ProblemDetails(
            type=_TYPE + self.code,
            title=self.code.explanation,
            status=int(self.status),
            detail=str(self),
            code=str(self.code),
            path=self.path,
            machine=self.machine,
            state=self.state,
        )
        return msgspec.json.encode(details)

    def response(self) -> Response:
        """The answer to the request."""
        headers = {"Cache-Control": "no-store", **self.headers}
        return Response(self.content(), int(self.status), headers=headers, content_type=CONTENT_TYPE)
