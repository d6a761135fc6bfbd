"""Whether a message is what its JSON Schema in the AsyncAPI document asks for."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import jsonschema

from roomfsm.documents.asyncapi import document
from roomfsm.protocol.fields import ECMA_PATTERNS

_PYTHON_PATTERNS = {ecma: python for python, ecma in ECMA_PATTERNS.items()}


def _pattern(_validator: Any, regex: str, instance: Any, _schema: Any) -> Iterator[jsonschema.ValidationError]:
    """JSON Schema's `pattern` by the Python expression of the same meaning: Python has no `\\p{L}`."""
    if isinstance(instance, str) and not re.search(_PYTHON_PATTERNS[regex], instance):
        yield jsonschema.ValidationError(f"{instance!r} does not match {regex}")


_Validator: Any = jsonschema.validators.extend(  # type: ignore[no-untyped-call]
    jsonschema.Draft7Validator, {"pattern": _pattern}
)


@cache
def _validator(schema: str) -> Any:
    return _Validator({**document(), "$ref": f"#/components/schemas/{schema}"})


def is_valid(value: dict[str, Any], schema: str) -> bool:
    """Whether the value is what the document's schema of that name asks for."""
    return bool(_validator(schema).is_valid(value))
