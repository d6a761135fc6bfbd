"""Whether a package exports all that its users meet: each type that an annotation of something exported names."""

from __future__ import annotations

import dataclasses
import inspect
import typing
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import msgspec


def missing(package: ModuleType) -> set[str]:
    """The names of the types of roomfsm that a user of the package meets, and that it does not export."""
    exported = {name: getattr(package, name) for name in package.__all__}
    return {one.__name__ for value in exported.values() for one in met_at(value)} - set(exported)


def met_at(value: Any) -> set[Any]:
    """All types of roomfsm that the annotations of something exported name."""
    if isinstance(value, typing.TypeAliasType):
        return {one for one in _named_in(value) if is_ours(one)}
    annotated = [inspect.unwrap(function) for function in _functions_of(value)]
    if _is_data(value):
        annotated.append(value)
    hints = [hint for one in annotated for hint in typing.get_type_hints(one).values()]
    return {one for hint in hints for one in _named_in(hint) if is_ours(one)}


def is_ours(value: Any) -> bool:
    """Whether it is a type that roomfsm defines."""
    is_type = isinstance(value, type | typing.TypeAliasType)
    return is_type and str(getattr(value, "__module__", "")).partition(".")[0] == "roomfsm"


def _is_data(value: Any) -> bool:
    is_struct = inspect.isclass(value) and issubclass(value, msgspec.Struct)
    return is_struct or (inspect.isclass(value) and dataclasses.is_dataclass(value))


def _functions_of(value: Any) -> Iterator[Any]:
    """The function itself, or what can be called on the objects of a class, by its public name."""
    if inspect.isfunction(value):
        yield value
    elif inspect.isclass(value):
        # Its users make only data and errors themselves; the other objects are handed out by a scope.
        made = _is_data(value) or issubclass(value, Exception)
        for name, member in vars(value).items():
            if not name.startswith("_") or (name == "__init__" and made):
                function = member.fget if isinstance(member, property) else getattr(member, "__func__", member)
                if inspect.isfunction(function):
                    yield function


def _named_in(annotation: Any) -> Iterator[Any]:
    """Every type in an annotation, aliases and what they stand for among them."""
    yield annotation
    if isinstance(annotation, typing.TypeAliasType):
        yield from _named_in(annotation.__value__)
    for argument in typing.get_args(annotation):
        yield from _named_in(argument)
