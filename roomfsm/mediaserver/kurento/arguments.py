"""Reads the arguments of a request by name and type, with Kurento's conversions and messages.

Kurento reads JSON with jsoncpp's `isConvertibleTo`. Null converts to every type, numbers and booleans convert to
text, and a whole number or a boolean converts to an integer. Text converts to no other type.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any

from roomfsm.mediaserver.kurento.errors import MarshallError, ParameterError

MAX_INTEGER = 2**31 - 1


def as_text(value: Any) -> str | None:
    """The text to which jsoncpp converts a scalar; None if it cannot convert it."""
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case str():
            return value
        case int() | float():
            return str(value)
        case _:
            return None


def as_integer(value: Any) -> int | None:
    """The 32-bit integer to which jsoncpp converts a scalar; None if it cannot convert it."""
    if value is None:
        return 0
    if isinstance(value, int | float) and -MAX_INTEGER - 1 <= value <= MAX_INTEGER:
        return int(value)
    return None


def as_number(value: Any) -> float | None:
    """The double to which jsoncpp converts a scalar; None if it cannot convert it."""
    if value is None:
        return 0.0
    return float(value) if isinstance(value, int | float) else None


def as_boolean(value: Any) -> bool | None:
    return bool(value) if value is None or isinstance(value, bool | int | float) else None


class Params:
    """The members of a request's `params`. A missing or wrong member gets the error -32000."""

    def __init__(self, members: Mapping[str, Any]) -> None:
        self.members = members

    def text(self, name: str) -> str:
        if name not in self.members:
            raise ParameterError(f"'{name}' parameter is required")
        value = as_text(self.members[name])
        if value is None:
            raise ParameterError(f"'{name}' parameter should be a string")
        return value

    def items(self, name: str) -> list[Any]:
        if name not in self.members:
            raise ParameterError(f"'{name}' parameter is required")
        value = self.members[name]
        if not isinstance(value, list):
            raise ParameterError(f"'{name}' parameter should be an array")
        return value


class Arguments:
    """The arguments of a constructor or an operation. A missing or wrong argument gets the error 40001.

    `given` is the JSON value as it came (None if it was missing), and `name` is its name in error messages.
    """

    def __init__(self, given: Any, name: str) -> None:
        self._given = given
        self._name = name

    def __len__(self) -> int:
        return len(self._given) if isinstance(self._given, dict) else 0

    def __contains__(self, name: str) -> bool:
        return isinstance(self._given, dict) and name in self._given

    def text(self, name: str) -> str:
        return self._checked(as_text(self._get(name)), name, "string")

    def integer(self, name: str) -> int:
        return self._checked(as_integer(self._get(name)), name, "integer")

    def boolean(self, name: str) -> bool:
        return self._checked(as_boolean(self._get(name)), name, "boolean")

    def enumeration[E: Enum](self, name: str, type_: type[E]) -> E:
        text = self.text(name)
        try:
            return type_(text)
        except ValueError as error:
            raise MarshallError(f"Invalid value for '{type_.__name__}'") from error

    def structure(self, name: str) -> Structure:
        value = self._get(name)
        return Structure(self._checked(value if isinstance(value, dict) else None, name, "object"))

    def _get(self, name: str) -> Any:
        """The member, or `_MISSING`, which converts to no type, if it is missing."""
        if self._given is None:
            raise MarshallError(f"'{self._name}' is required")
        if not isinstance(self._given, dict):
            raise MarshallError(f"'{self._name}' should be an object")
        return self._given.get(name, _MISSING)

    @staticmethod
    def _checked[T](value: T | None, name: str, type_: str) -> T:
        if value is None:
            raise MarshallError(f"'{name}' parameter should be a {type_}")
        return value


class Structure:
    """A structured argument, such as an IceCandidate."""

    def __init__(self, members: Mapping[str, Any]) -> None:
        self._members = members

    def __contains__(self, name: str) -> bool:
        return name in self._members

    def text(self, name: str) -> str:
        return self._checked(as_text(self._members.get(name, _MISSING)), name, "string")

    def integer(self, name: str) -> int:
        return self._checked(as_integer(self._members.get(name, _MISSING)), name, "integer")

    def number(self, name: str) -> float:
        return self._checked(as_number(self._members.get(name, _MISSING)), name, "double")

    def boolean(self, name: str, default: bool) -> bool:
        return self._checked(as_boolean(self._members.get(name, default)), name, "boolean")

    @staticmethod
    def _checked[T](value: T | None, name: str, type_: str) -> T:
        if value is None:
            raise MarshallError(f"'{name}' property should be a {type_}")
        return value


class _Missing:
    """Represents a missing member, because None represents null."""


_MISSING = _Missing()
