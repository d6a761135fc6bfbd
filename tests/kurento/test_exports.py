"""A program that uses `roomfsm.kurento` finds everything there that it calls, matches on and catches."""

from __future__ import annotations

import typing
from collections.abc import Iterator

from roomfsm import kurento
from roomfsm.kurento import errors, events
from tests.exports import is_ours, met_at, missing


def test_whatever_an_annotation_names_is_exported() -> None:
    assert missing(kurento) == set()


def test_annotations_are_found_at_all() -> None:
    assert met_at(kurento.MediaPool) == {
        kurento.MediaPipeline,
        kurento.MediaServerStatus,
        kurento.PipelinePlace,
        kurento.Stock,
        kurento.Traffic,
    }
    met = {kurento.BandwidthLimits, kurento.PipelinePlace, kurento.WebRtcEndpoint}
    assert met_at(kurento.MediaPipeline) == met
    assert met_at(kurento.open_media_pool) == {kurento.KurentoSettings, kurento.MediaPool, kurento.Owner}
    assert kurento.NewCandidatePairSelected in met_at(kurento.EndpointEvent)


def test_every_event_and_every_state_that_it_tells_is_exported() -> None:
    for event in {**events.SUBSCRIBED, **events.OPTIONAL, "SessionResumed": events.SessionResumed}.values():
        assert getattr(kurento, event.__name__) is event
        for state in typing.get_type_hints(event).values():
            assert not is_ours(state) or getattr(kurento, state.__name__) is state


def test_every_error_that_reaches_a_program_is_exported() -> None:
    def all_of(base: type[Exception]) -> Iterator[type[Exception]]:
        for one in base.__subclasses__():
            yield one
            yield from all_of(one)

    # A link tells these from one another and opens a new connection: they do not leave the package.
    inner = {errors.ConnectionLost, errors.ConnectionRefused, errors.ConnectionSilent}
    raised = {one for one in all_of(errors.MediaServerError) if one.__module__.startswith("roomfsm.kurento")}
    assert inner <= raised
    assert {one.__name__ for one in raised - inner} <= set(kurento.__all__)
    assert not {one.__name__ for one in inner} & set(kurento.__all__)


def test_the_package_shows_how_it_is_used() -> None:
    assert kurento.__doc__ is not None
    for name in ("open_media_pool", "process_offer", "async for event in endpoint.events"):
        assert name in kurento.__doc__
