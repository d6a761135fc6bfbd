"""The OpenAPI 3.1 document of the admin API, read off its operations."""

from __future__ import annotations

import inspect
import re
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import msgspec

from roomfsm import __version__
from roomfsm.protocol.errors import ErrorCode
from roomfsm.web.api.operations import Operation
from roomfsm.web.api.problems import CONTENT_TYPE, STATUS, ApiCode, ProblemDetails

type Json = dict[str, Any]

_REF = "#/components/schemas/{name}"
_PARAMETERS = {
    "server": "the id of a media server",
    "room": "the room's name, in any spelling that stands for the same room",
    "person": "the id of a person (`id` in the list of people)",
}

_DESCRIPTION = """The admin API of roomfsm. It exists if the server has an --admin-token, which every request must
show: `Authorization: Bearer TOKEN`. A request that is refused gets problem details (RFC 9457) with a `code`. The
front door answers a request that breaks a rule of HTTP, or one of its limits, by itself and in plain text
(docs/settings.md)."""


def openapi(operations: Sequence[Operation], prefix: str) -> Json:
    """The document. `prefix` is the path of the API on this server, for browsers."""
    structs = [kind for one in operations for kind in (one.query, one.body, one.answer) if kind is not None] + [
        ProblemDetails
    ]
    _, schemas = msgspec.json.schema_components(structs, ref_template=_REF)
    schemas = msgspec.json.decode(msgspec.json.encode(schemas))
    for schema in schemas.values():
        if "description" in schema:
            schema["description"] = inspect.cleandoc(schema["description"])
    schemas["ProblemDetails"]["properties"]["code"]["enum"] = sorted(str(code) for code in STATUS)
    paths: dict[str, Json] = defaultdict(dict)
    for operation in operations:
        paths[operation.path][operation.method.lower()] = _operation(operation, schemas)
    # A query is a list of parameters, and no schema of its own.
    for operation in operations:
        if operation.query is not None:
            schemas.pop(operation.query.__name__, None)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "roomfsm admin API",
            "version": __version__,
            "description": _DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": prefix}],
        "security": [{"token": []}],
        "paths": dict(paths),
        "components": {
            "schemas": dict(sorted(schemas.items())),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(operation: Operation, schemas: Json) -> Json:
    described: Json = {
        "operationId": operation.id,
        "summary": operation.summary,
        "parameters": [*_path_parameters(operation.path), *_query_parameters(operation, schemas)],
        "responses": _responses(operation),
    }
    if operation.body is not None:
        required = bool(schemas[operation.body.__name__].get("required"))
        described["requestBody"] = {
            "required": required,
            "content": {kind: {"schema": _reference(operation.body)} for kind in _body_types(operation)},
        }
    return described


def _body_types(operation: Operation) -> list[str]:
    # The server takes any content type. This is what RFC 7396 section 4 calls a merge patch.
    return ["application/json", *(["application/merge-patch+json"] if operation.method == "PATCH" else [])]


def _path_parameters(path: str) -> list[Json]:
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "description": _PARAMETERS[name],
            "schema": {"type": "string"},
        }
        for name in re.findall(r"{(\w+)}", path)
    ]


def _query_parameters(operation: Operation, schemas: Json) -> list[Json]:
    if operation.query is None:
        return []
    properties = schemas[operation.query.__name__]["properties"]
    return [
        {"name": name, "in": "query", "required": False, "schema": schema} for name, schema in properties.items()
    ]


def _responses(operation: Operation) -> Json:
    answer: Json = {"description": operation.status.phrase}
    if operation.answer is not None:
        answer["content"] = {"application/json": {"schema": _reference(operation.answer)}}
    responses: Json = {str(int(operation.status)): answer}
    by_status: dict[str, list[ApiCode | ErrorCode]] = defaultdict(list)
    for code in dict.fromkeys((*operation.always, ApiCode.INTERNAL)):
        by_status[str(int(STATUS[code]))].append(code)
    for status, codes in sorted(by_status.items()):
        responses[status] = {
            "description": "\n\n".join(f"`{code}`: {code.explanation}" for code in codes),
            "content": {
                CONTENT_TYPE: {
                    "schema": {
                        "allOf": [
                            _reference(ProblemDetails),
                            {"properties": {"code": {"enum": [str(code) for code in codes]}}},
                        ]
                    }
                }
            },
        }
    return responses


def _reference(kind: type[msgspec.Struct]) -> Json:
    return {"$ref": _REF.format(name=kind.__name__)}
