"""Given a media server's machine, tests when broadcasts may begin there, and when it may be taken away."""

from __future__ import annotations

import pytest

from roomfsm.lifecycle.media_server import MEDIA_SERVER, MediaServerFacts
from roomfsm.protocol.errors import IllegalInState

MOVES = [
    ("in use", "choose", "in use"),
    ("in use", "drainMediaServer", "draining"),
    ("in use", "useMediaServer", "in use"),
    ("draining", "drainMediaServer", "draining"),
    ("draining", "useMediaServer", "in use"),
    ("draining", "emptied", "drained"),
    ("drained", "drainMediaServer", "drained"),
    ("drained", "useMediaServer", "in use"),
    ("drained", "removeMediaServer", "removed"),
    ("in use", "chooseAlias", "in use"),
    ("leaving", "chooseAlias", "leaving"),
    *[(state, "unlisted", "leaving") for state in ("in use", "draining", "drained")],
    ("leaving", "listed", "in use"),
    ("leaving", "emptied", "removed"),
]


@pytest.mark.parametrize(("state", "trigger", "dest"), MOVES)
def test_given_a_state_the_trigger_leads_there(state: str, trigger: str, dest: str) -> None:
    model = MEDIA_SERVER.new()
    model.state = state
    assert MEDIA_SERVER.fire(model, trigger, MediaServerFacts()).dest == dest


@pytest.mark.parametrize("state", [state.name for state in MEDIA_SERVER.states])
@pytest.mark.parametrize("trigger", MEDIA_SERVER.triggers)
def test_everything_else_is_illegal(state: str, trigger: str) -> None:
    if (state, trigger) in {(source, known) for source, known, _ in MOVES}:
        return
    model = MEDIA_SERVER.new()
    model.state = state
    with pytest.raises(IllegalInState):
        MEDIA_SERVER.fire(model, trigger, MediaServerFacts())


def test_a_media_server_is_drained_when_nothing_is_there_any_more() -> None:
    model = MEDIA_SERVER.new()
    MEDIA_SERVER.fire(model, "drainMediaServer", MediaServerFacts(pipelines=1))
    assert MEDIA_SERVER.follow(model, "emptied", lambda: MediaServerFacts(pipelines=1)) is None
    assert MEDIA_SERVER.follow(model, "emptied", MediaServerFacts) is not None
    assert model.state == "drained"


def test_a_media_server_that_nobody_names_goes_when_nothing_is_there_and_nothing_can_come() -> None:
    model = MEDIA_SERVER.new()
    MEDIA_SERVER.fire(model, "unlisted", MediaServerFacts(pipelines=1))
    assert MEDIA_SERVER.follow(model, "emptied", lambda: MediaServerFacts(pipelines=1)) is None
    assert MEDIA_SERVER.follow(model, "emptied", lambda: MediaServerFacts(expected=True)) is None
    assert MEDIA_SERVER.follow(model, "emptied", MediaServerFacts) is not None
    assert model.state == "removed"
