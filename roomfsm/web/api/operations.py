"""What an operation of the admin API is, and how a request becomes a call of it.

The list of operations is the truth of the API: the addresses are made from it, and so is the OpenAPI document
(`openapi`), so that the two agree. It is our own small generator and not quart-schema, because the bodies are
msgspec structures, whose JSON Schemas msgspec makes and the AsyncAPI document uses already, and because every
refusal must have a code here that the document names.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import msgspec
from quart import Request

from roomfsm.protocol.codec import fault_of
from roomfsm.protocol.errors import ErrorCode
from roomfsm.web.api.problems import ApiCode, Problem


@dataclass(frozen=True, slots=True)
class Call:
    """One request of an operation: the parameters of its address, those of its query, and its body."""

    at: Mapping[str, str]
    query: Any
    body: Any


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation.

    `query` and `body` are msgspec structures, or None; a body of which every field has a default may be left out.
    `answer` is the structure of the answer, or None if it has no body. `refusals` are the codes that this
    operation gives beside those that every operation may give (`ALWAYS`).
    """

    id: str
    method: str
    path: str
    summary: str
    do: Callable[[Call], Awaitable[Any]]
    query: type[msgspec.Struct] | None = None
    body: type[msgspec.Struct] | None = None
    answer: type[msgspec.Struct] | None = None
    status: HTTPStatus = HTTPStatus.OK
    refusals: tuple[ApiCode | ErrorCode, ...] = ()

    @property
    def always(self) -> tuple[ApiCode | ErrorCode, ...]:
        """All codes that the operation gives, those of every operation included."""
        reads = self.query is not None or self.body is not None or "{" in self.path
        own = (ErrorCode.MALFORMED,) if reads else ()
        of_room = (ApiCode.NODE_SILENT, ErrorCode.STORE_UNAVAILABLE) if "{room}" in self.path else ()
        large = (ApiCode.TOO_LARGE,) if self.body is not None else ()
        return (ApiCode.UNAUTHORIZED, ErrorCode.RATE_LIMITED, *own, *large, *of_room, *self.refusals)

    async def call(self, request: Request, at: Mapping[str, str]) -> Any:
        """Answer a request. Raises `Problem`, and the errors of `do`."""
        query = None if self.query is None else _query(request, self.query)
        body = None if self.body is None else _body(await request.get_data(), self.body)
        return await self.do(Call(at, query, body))


def _query(request: Request, kind: type[msgspec.Struct]) -> Any:
    given: dict[str, str] = {}
    for name, value in request.args.items(multi=True):
        if name in given:
            raise Problem(ErrorCode.MALFORMED, f"the parameter {name[:64]} is there twice", path=name[:64])
        given[name] = value
    try:
        return msgspec.convert(given, kind, strict=False)
    except msgspec.ValidationError as error:
        path, detail = fault_of(str(error))
        raise Problem(ErrorCode.MALFORMED, detail, path=path.removeprefix("$.")) from error


def _body(data: bytes | str, kind: type[msgspec.Struct]) -> Any:
    try:
        return msgspec.json.decode(data or b"{}", type=kind)
    except msgspec.ValidationError as error:
        path, detail = fault_of(str(error))
        raise Problem(ErrorCode.MALFORMED, detail, path=path) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Problem(ErrorCode.MALFORMED, f"not JSON: {error}") from error
