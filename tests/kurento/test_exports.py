"""A program that uses `roomfsm.kurento` finds there all that it calls, matches on and catches."""

from __future__ import annotations

import dataclasses
import inspect
import typing
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from roomfsm import kurento
from roomfsm.kurento import errors, events

EXPORTED = {name: getattr(kurento, name) for name in kurento.__all__}


def functions_of(value: Any) -> Iterator[Any]:
    """The function itself, or what can be called on the objects of a class, by its public name."""
    if inspect.isfunction(value):
        yield value
    elif inspect.isclass(value):
        # Only data and errors are made by their users; what else there is, a scope hands out.
        is_data = dataclasses.is_dataclass(value) or issubclass(value, msgspec.Struct | Exception)
        for name, member in vars(value).items():
            if not name.startswith("_") or (name == "__init__" and is_data):
                member = member.fget if isinstance(member, property) else member
                member = getattr(member, "__func__", member)
                if inspect.isfunction(member):
                    yield member


def named_in(annotation: Any) -> Iterator[Any]:
    """Every type in an annotation, aliases among them."""
    yield annotation
    if isinstance(annotation, typing.TypeAliasType):
        yield from named_in(annotation.__value__)
    for argument in typing.get_args(annotation):
        yield from named_in(argument)


def met_at(value: Any) -> set[Any]:
    """All types of this package that the annotations of something exported name."""
    hints = [*functions_of(value)]
    if dataclasses.is_dataclass(value) or (inspect.isclass(value) and issubclass(value, msgspec.Struct)):
        hints.append(value)
    if isinstance(value, typing.TypeAliasType):
        return {one for one in named_in(value) if is_ours(one)}
    annotations = [hint for one in hints for hint in typing.get_type_hints(inspect.unwrap(one)).values()]
    return {one for annotation in annotations for one in named_in(annotation) if is_ours(one)}


def is_ours(value: Any) -> bool:
    return getattr(value, "__module__", "").startswith("roomfsm") and hasattr(value, "__name__")


@pytest.mark.parametrize("name", sorted(EXPORTED))
def test_whatever_an_annotation_names_is_exported(name: str) -> None:
    assert {one.__name__ for one in met_at(EXPORTED[name])} <= set(EXPORTED)


def test_annotations_are_found_at_all() -> None:
    assert met_at(kurento.MediaPool.pipeline) == {kurento.MediaPipeline}
    assert kurento.Owner in met_at(kurento.open_media_pool)
    assert kurento.NewCandidatePairSelected in met_at(kurento.EndpointEvent)


def test_every_event_and_every_state_that_it_tells_is_exported() -> None:
    for event in {**events.SUBSCRIBED, **events.OPTIONAL, "SessionResumed": events.SessionResumed}.values():
        assert EXPORTED[event.__name__] is event
        for state in typing.get_type_hints(event).values():
            assert not is_ours(state) or EXPORTED[state.__name__] is state


def test_every_error_that_reaches_a_program_is_exported() -> None:
    def all_of(base: type[Exception]) -> Iterator[type[Exception]]:
        for one in base.__subclasses__():
            yield one
            yield from all_of(one)

    # A link tells these from one another and opens a new connection: they do not leave the package.
    inner = {errors.ConnectionLost, errors.ConnectionRefused, errors.ConnectionSilent}
    raised = {one for one in all_of(errors.MediaServerError) if one.__module__.startswith("roomfsm.kurento")}
    assert inner <= raised
    assert {one.__name__ for one in raised - inner} <= set(EXPORTED)
    assert inner.isdisjoint(EXPORTED.values())


def test_what_is_exported_is_sorted_and_says_what_it_is() -> None:
    assert kurento.__all__ == sorted(set(kurento.__all__))
    assert kurento.__doc__ is not None
    for name in ("open_media_pool", "process_offer", "async for event in endpoint.events"):
        assert name in kurento.__doc__
