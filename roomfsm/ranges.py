"""The ranges of settings: types that state them, and the check that every settings object makes of itself.

A settings class is a frozen dataclass. Each of its numbers has one of the types below, and its `__post_init__`
calls `check`. So a value that is out of its range is refused whoever makes the object: a command, a program that
uses roomfsm as a library, or `dataclasses.replace`. Without that, a port of 70000 would not fail: the system takes
it modulo 65536.
"""

from __future__ import annotations

import dataclasses
import operator
import re
from collections.abc import Hashable
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from msgspec import Meta

MAX_PORT = 65_535
MAX_WORKERS = 64
MIN_SECRET = 16
"""The fewest characters of a secret. A shorter one could be guessed."""
SECRET_RULE = f"a secret has at least {MIN_SECRET} letters, digits and signs, no spaces"

MANY = 1_000_000_000
"""The upper end of ranges that have no other. So the product of any two settings still fits into 64 bits, which a
JSON number in `welcome` and a socket option must."""
_MUCH = 1_000_000_000_000

Count = Annotated[int, Meta(ge=1, le=MANY)]
CountOrZero = Annotated[int, Meta(ge=0, le=MANY)]
Bytes = Annotated[int, Meta(ge=1, le=_MUCH)]
BytesOrZero = Annotated[int, Meta(ge=0, le=_MUCH)]
Seconds = Annotated[float, Meta(gt=0, le=MANY)]
SecondsOrZero = Annotated[float, Meta(ge=0, le=MANY)]
Rate = Annotated[float, Meta(gt=0, le=MANY)]
"""So many in a second."""
Share = Annotated[float, Meta(gt=0, le=1)]
Port = Annotated[int, Meta(ge=0, le=MAX_PORT)]
"""A port to listen on. 0 lets the system choose one."""

Workers = Annotated[int, Meta(ge=1, le=MAX_WORKERS)]
"""Processes of the embedded media server that forward media."""

_WORDS = {
    int: "a whole number",
    float: "a number",
    bool: "True or False",
    str: "text",
    NoneType: "None",
}


class SettingsError(ValueError):
    """A setting is unknown, or its value has a wrong type or is out of range.

    The message names the setting and, if it was read from somewhere, where it was given.
    """


def check(settings: Any) -> None:
    """Check the type and the range of each field of a settings object. Raises `SettingsError`."""
    for name, kind in kinds(type(settings)).items():  # type: ignore[arg-type]  # mypy: no class is hashable
        wrong = fault(kind, getattr(settings, name))
        if wrong is not None:
            raise SettingsError(f"{name} {wrong}")


def fault(kind: Any, value: Any) -> str | None:
    """What is wrong with a value of this kind, to be read after the name of the setting; None if nothing is."""
    bare, bounds = split(kind)
    if not _is_a(bare, value):
        return f"must be {_in_words(bare)}, not {value!r}"
    if bounds is None:
        return None
    # Each comparison is one that must hold, because none holds for `nan`.
    for end, holds, words in (
        (bounds.le, operator.le, "at most"),
        (bounds.lt, operator.lt, "below"),
        (bounds.ge, operator.ge, "at least"),
        (bounds.gt, operator.gt, "above"),
    ):
        if end is not None and not holds(value, end):
            return f"is {words} {end:.15g}, not {value}"
    return None


def split(kind: Any) -> tuple[Any, Meta | None]:
    """The bare type of a field, and the range of its numbers if it has one."""
    if get_origin(kind) is not Annotated:
        return kind, None
    bare, bounds = get_args(kind)
    assert isinstance(bounds, Meta)
    return bare, bounds


@cache
def kinds(settings: Hashable) -> dict[str, Any]:
    """The types of the fields of a settings class, with their ranges."""
    assert isinstance(settings, type)
    hints = get_type_hints(settings, include_extras=True)
    return {item.name: hints[item.name] for item in dataclasses.fields(settings)}


def is_secret(text: str) -> bool:
    """Whether it may be a secret or token: see `SECRET_RULE`."""
    return re.fullmatch(rf"[!-~]{{{MIN_SECRET},}}", text) is not None


def has_ports(first: int, count: int) -> bool:
    """Whether there are so many ports from the first one on."""
    return first + count <= MAX_PORT + 1


def _is_a(kind: Any, value: Any) -> bool:
    if isinstance(kind, UnionType):
        return any(_is_a(one, value) for one in get_args(kind))
    if get_origin(kind) is tuple:
        return isinstance(value, tuple) and all(_is_a(get_args(kind)[0], item) for item in value)
    if kind in (int, float) and isinstance(value, bool):
        return False
    return isinstance(value, (int, float) if kind is float else kind)


def _in_words(kind: Any) -> str:
    if isinstance(kind, UnionType):
        return " or ".join(map(_in_words, get_args(kind)))
    if get_origin(kind) is tuple:
        return f"a tuple of {_in_words(get_args(kind)[0])}"
    return _WORDS.get(kind) or str(kind.__name__)
