"""An administrator in a test: calls operations of the API, and holds every answer against the OpenAPI document."""

from __future__ import annotations

import json
import re
from typing import Any

from jsonschema import Draft202012Validator

from tests.serving import Served
from tests.web.http import Reply, get

TOKEN = "an-admin-token-for-tests"
PATH = "/api/v1"

type Json = dict[str, Any]


class Administrator:
    """Calls the API of one server. `called` has the operations that were called, each with its status."""

    def __init__(self, server: Served, token: str | None = TOKEN) -> None:
        self._server = server
        self._token = token
        self._document: Json = {}
        self.called: set[tuple[str, int]] = set()

    async def document(self) -> Json:
        """The OpenAPI document."""
        if not self._document:
            reply = await get(self._server, f"{PATH}/openapi.json", stranger=True)
            assert reply.status == 200, reply.body
            self._document = json.loads(reply.body)
        return self._document

    async def call(self, method: str, path: str, body: Any = None, *, raw: bytes | None = None) -> tuple[int, Any]:
        """The status and the body of the answer, which is as the document says."""
        headers = {} if self._token is None else {"Authorization": f"Bearer {self._token}"}
        content = raw if raw is not None else b"" if body is None else json.dumps(body).encode()
        reply = await get(self._server, PATH + path, method, content, headers, stranger=True)
        return reply.status, await self._checked(method, path, reply)

    async def get(self, path: str) -> Any:
        """The body of a good answer to a GET."""
        status, body = await self.call("GET", path)
        assert status == 200, body
        return body

    async def _checked(self, method: str, path: str, reply: Reply) -> Any:
        document = await self.document()
        operation = _operation(document, method, path.partition("?")[0])
        assert reply.headers.get("cache-control") == "no-store"
        if operation is None:
            assert reply.headers["content-type"] == "application/problem+json"
            _valid(document, {"$ref": "#/components/schemas/ProblemDetails"}, json.loads(reply.body))
            return json.loads(reply.body)
        self.called.add((operation["operationId"], reply.status))
        described = operation["responses"].get(str(reply.status))
        assert described is not None, (operation["operationId"], reply.status, reply.body)
        if "content" not in described:
            assert reply.body == b""
            return None
        ((content_type, content),) = described["content"].items()
        assert reply.headers["content-type"] == content_type
        body = json.loads(reply.body)
        _valid(document, content["schema"], body)
        if content_type == "application/problem+json":
            assert body["status"] == reply.status
        return body


def _operation(document: Json, method: str, path: str) -> Json | None:
    for known, methods in document["paths"].items():
        pattern = re.sub(r"\\{\w+\\}", "[^/]+", re.escape(known))
        if re.fullmatch(pattern, path) and method.lower() in methods:
            found: Json = methods[method.lower()]
            return found
    return None


def _valid(document: Json, schema: Json, body: Any) -> None:
    Draft202012Validator({**schema, "components": document["components"]}).validate(body)
