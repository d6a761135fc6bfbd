"""Checks a message against its JSON Schema in the AsyncAPI document."""

from __future__ import annotations

from functools import cache
from typing import Any

import jsonschema

from roomfsm.documents.asyncapi import document

DOCUMENT = document()


@cache
def _validator(schema: str) -> Any:
    return jsonschema.Draft7Validator({**DOCUMENT, "$ref": f"#/components/schemas/{schema}"})


def is_valid(value: dict[str, Any], schema: str) -> bool:
    """Whether the value fits the document's schema of that name."""
    return bool(_validator(schema).is_valid(value))
