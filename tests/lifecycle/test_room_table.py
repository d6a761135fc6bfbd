"""Given a room's state, when a trigger comes, then these are the state and the effects, for every row."""

from __future__ import annotations

import msgspec
import pytest

from roomfsm.lifecycle.room import ROOM, RoomEffect, RoomFacts
from roomfsm.lifecycle.table import STAYS
from roomfsm.protocol.errors import ErrorCode, IllegalInState, Refusal

PEOPLE = RoomFacts(people=2, max_people=9)
NOBODY = RoomFacts(people=0)
STREAMS = RoomFacts(people=2, streams=1, max_people=9)
OWN = RoomFacts(people=2, streams=1, stream_exists=True, own_stream=True)
OWN_LAST = RoomFacts(people=2, streams=0, stream_exists=True, own_stream=True)
MODERATED = RoomFacts(people=2, streams=1, stream_exists=True, moderator=True)
MODERATED_LAST = RoomFacts(people=2, streams=0, stream_exists=True, moderator=True)
OTHERS = RoomFacts(people=2, streams=1, stream_exists=True, views=1)
VIEWED = RoomFacts(people=2, streams=1, stream_exists=True, viewing=True)
KNOCKS = RoomFacts(people=1, must_knock=True)
WAITED = RoomFacts(knocks=True, in_lobby=1)

MOVES = [
    ("empty", "join", PEOPLE, "waiting", ["admit"]),
    ("waiting", "join", PEOPLE, "waiting", ["make way", "admit"]),
    ("broadcasting", "join", STREAMS, "broadcasting", ["make way", "admit"]),
    ("broadcasting", "join", PEOPLE, "waiting", ["make way", "admit"]),
    ("waiting", "leave", PEOPLE, "waiting", ["dismiss"]),
    ("waiting", "leave", NOBODY, "empty", ["dismiss"]),
    ("broadcasting", "leave", STREAMS, "broadcasting", ["dismiss"]),
    ("broadcasting", "leave", PEOPLE, "waiting", ["dismiss"]),
    ("broadcasting", "leave", NOBODY, "empty", ["dismiss"]),
    ("closing", "leave", NOBODY, "closing", ["dismiss"]),
    ("closing", "leave", PEOPLE, "closing", ["dismiss"]),
    ("waiting", "switch", PEOPLE, "waiting", []),
    ("broadcasting", "switch", PEOPLE, "broadcasting", []),
    *[(state, "join", KNOCKS, state, ["knock"]) for state in ("empty", "waiting", "broadcasting")],
    *[(state, "leave", WAITED, state, ["give up"]) for state in ("empty", "waiting", "broadcasting")],
    ("empty", "expire", WAITED, "empty", []),
    ("empty", "vacate", WAITED, "empty", []),
    ("waiting", "seat_asked", PEOPLE, "waiting", []),
    ("broadcasting", "seat_asked", PEOPLE, "broadcasting", []),
    ("empty", "administered", NOBODY, "empty", []),
    ("waiting", "administered", PEOPLE, "waiting", []),
    ("broadcasting", "administered", STREAMS, "broadcasting", []),
    ("waiting", "away", PEOPLE, "waiting", ["mark away"]),
    ("broadcasting", "away", PEOPLE, "broadcasting", ["mark away"]),
    ("closing", "away", PEOPLE, "closing", ["mark away"]),
    ("waiting", "back", PEOPLE, "waiting", ["welcome back"]),
    ("broadcasting", "back", PEOPLE, "broadcasting", ["welcome back"]),
    ("closing", "back", PEOPLE, "closing", ["welcome back"]),
    ("waiting", "rename", PEOPLE, "waiting", ["rename"]),
    ("broadcasting", "rename", PEOPLE, "broadcasting", ["rename"]),
    ("waiting", "chat", PEOPLE, "waiting", ["say"]),
    ("broadcasting", "chat", PEOPLE, "broadcasting", ["say"]),
    ("waiting", "sendFile", PEOPLE, "waiting", ["expect file"]),
    ("broadcasting", "sendFile", PEOPLE, "broadcasting", ["expect file"]),
    ("waiting", "file_arrived", PEOPLE, "waiting", ["say file"]),
    ("broadcasting", "file_arrived", PEOPLE, "broadcasting", ["say file"]),
    ("waiting", "publish", PEOPLE, "broadcasting", ["open stream"]),
    ("broadcasting", "publish", STREAMS, "broadcasting", ["open stream"]),
    ("broadcasting", "unpublish", OWN, "broadcasting", ["end stream"]),
    ("broadcasting", "unpublish", OWN_LAST, "waiting", ["end stream"]),
    ("broadcasting", "endStream", MODERATED, "broadcasting", ["end stream"]),
    ("broadcasting", "endStream", MODERATED_LAST, "waiting", ["end stream"]),
    ("broadcasting", "view", OTHERS, "broadcasting", ["open view"]),
    ("broadcasting", "adjust", VIEWED, "broadcasting", ["adjust view"]),
    ("broadcasting", "unview", VIEWED, "broadcasting", ["end view"]),
    ("broadcasting", "candidate", OWN, "broadcasting", ["pass candidate"]),
    ("broadcasting", "candidate", VIEWED, "broadcasting", ["pass candidate"]),
    ("broadcasting", "restart", OWN, "broadcasting", ["restart connection"]),
    ("broadcasting", "restart", VIEWED, "broadcasting", ["restart connection"]),
    ("broadcasting", "stream_failed", STREAMS, "broadcasting", ["end stream"]),
    ("broadcasting", "stream_failed", PEOPLE, "waiting", ["end stream"]),
    ("broadcasting", "revoked", STREAMS, "broadcasting", ["end stream"]),
    ("broadcasting", "revoked", PEOPLE, "waiting", ["end stream"]),
    ("broadcasting", "view_failed", STREAMS, "broadcasting", ["end view"]),
    ("broadcasting", "media_lost", STREAMS, "waiting", ["lose media"]),
    ("empty", "expire", NOBODY, "closing", []),
    ("empty", "vacate", NOBODY, "closing", []),
    ("empty", "close", NOBODY, "closing", ["turn away", "tell closing", "end streams"]),
    ("waiting", "close", PEOPLE, "closing", ["turn away", "tell closing", "end streams"]),
    ("broadcasting", "close", STREAMS, "closing", ["turn away", "tell closing", "end streams"]),
    ("empty", "hand_over", NOBODY, "closed", ["turn away", "leave media"]),
    ("waiting", "hand_over", PEOPLE, "closed", ["turn away", "leave media"]),
    ("broadcasting", "hand_over", STREAMS, "closed", ["turn away", "leave media"]),
    ("closing", "drained", RoomFacts(people=0, notice=True), "closed", []),
    ("closing", "drained", RoomFacts(people=2), "closed", []),
    *[
        (state, "disowned", RoomFacts(people=2, held=1, notice=True), "closed", ["send on"])
        for state in ("empty", "waiting", "broadcasting", "closing")
    ],
]


@pytest.mark.parametrize(("state", "trigger", "facts", "dest", "effects"), MOVES)
def test_given_a_state_and_facts_when_the_trigger_fires_then_the_table_leads_there(
    state: str, trigger: str, facts: RoomFacts, dest: str, effects: list[str]
) -> None:
    room = ROOM.new()
    room.state = state
    step = ROOM.fire(room, trigger, facts)
    assert (step.source, step.dest, room.state) == (state, dest, dest)
    assert list(step.effects) == effects
    assert step.moved == (state != dest)


REFUSED = [
    ("waiting", "join", RoomFacts(people=10, max_people=9), ErrorCode.ROOM_FULL),
    ("empty", "join", RoomFacts(people=1, max_people=0), ErrorCode.ROOM_FULL),
    ("waiting", "join", RoomFacts(people=3, max_people=9, member=True), ErrorCode.ALREADY_IN_ROOM),
    ("waiting", "publish", RoomFacts(presenters=2, max_presenters=1), ErrorCode.TOO_MANY_PRESENTERS),
    ("broadcasting", "publish", RoomFacts(publishing=True), ErrorCode.ALREADY_PUBLISHING),
    ("broadcasting", "join", RoomFacts(people=10, max_people=9, streams=1), ErrorCode.ROOM_FULL),
    ("broadcasting", "join", RoomFacts(people=10, max_people=9), ErrorCode.ROOM_FULL),
    ("empty", "join", RoomFacts(banned=True), ErrorCode.BANNED),
    ("waiting", "join", RoomFacts(banned=True, locked=True), ErrorCode.BANNED),
    ("broadcasting", "join", RoomFacts(streams=1, banned=True), ErrorCode.BANNED),
    ("waiting", "join", RoomFacts(locked=True, people=10, max_people=9), ErrorCode.LOCKED),
    ("broadcasting", "join", RoomFacts(streams=1, locked=True), ErrorCode.LOCKED),
    ("waiting", "join", RoomFacts(must_knock=True, locked=True), ErrorCode.LOCKED),
    ("waiting", "join", RoomFacts(must_knock=True, people=10, max_people=9), ErrorCode.ROOM_FULL),
    ("empty", "join", RoomFacts(must_knock=True, in_lobby=2, lobby_full=True), ErrorCode.LOBBY_FULL),
    ("broadcasting", "join", RoomFacts(must_knock=True, in_lobby=9, lobby_full=True), ErrorCode.LOBBY_FULL),
    ("waiting", "publish", RoomFacts(presenter=False), ErrorCode.NOT_PERMITTED),
    ("broadcasting", "publish", RoomFacts(presenter=False, publishing=True), ErrorCode.NOT_PERMITTED),
    ("empty", "join", RoomFacts(within_rates=False), ErrorCode.RATE_LIMITED),
    ("waiting", "join", RoomFacts(within_rates=False), ErrorCode.RATE_LIMITED),
    ("broadcasting", "join", RoomFacts(streams=1, within_rates=False), ErrorCode.RATE_LIMITED),
    ("waiting", "chat", RoomFacts(within_rates=False), ErrorCode.RATE_LIMITED),
    ("broadcasting", "chat", RoomFacts(within_rates=False), ErrorCode.RATE_LIMITED),
    ("waiting", "rename", RoomFacts(within_rates=False), ErrorCode.RATE_LIMITED),
    ("waiting", "publish", RoomFacts(within_rates=False), ErrorCode.RATE_LIMITED),
    ("broadcasting", "publish", RoomFacts(within_rates=False), ErrorCode.RATE_LIMITED),
    ("broadcasting", "view", RoomFacts(stream_exists=True, within_rates=False), ErrorCode.RATE_LIMITED),
    ("broadcasting", "unpublish", RoomFacts(), ErrorCode.NO_SUCH_STREAM),
    ("broadcasting", "unpublish", RoomFacts(stream_exists=True), ErrorCode.NOT_YOUR_STREAM),
    ("broadcasting", "unpublish", RoomFacts(stream_exists=True, moderator=True), ErrorCode.NOT_YOUR_STREAM),
    ("broadcasting", "endStream", RoomFacts(moderator=True), ErrorCode.NO_SUCH_STREAM),
    ("broadcasting", "endStream", RoomFacts(stream_exists=True), ErrorCode.NOT_PERMITTED),
    ("broadcasting", "endStream", RoomFacts(own_stream=True, stream_exists=True), ErrorCode.NOT_PERMITTED),
    *[
        (state, "sendFile", facts, code)
        for state in ("waiting", "broadcasting")
        for facts, code in (
            (RoomFacts(takes_files=False, file_fits=False), ErrorCode.NO_FILES),
            (RoomFacts(file_fits=False, files_have_place=False), ErrorCode.FILE_TOO_LARGE),
            (RoomFacts(files_have_place=False), ErrorCode.FILES_FULL),
            (RoomFacts(files_have_place=False, within_rates=False), ErrorCode.RATE_LIMITED),
        )
    ],
    *[
        (state, "file_arrived", facts, code)
        for state in ("waiting", "broadcasting")
        for facts, code in (
            (RoomFacts(file_is_whole=False), ErrorCode.FILE_INCOMPLETE),
            (RoomFacts(takes_files=False, addressee_there=False), ErrorCode.NO_FILES),
            (RoomFacts(addressee_there=False), ErrorCode.NO_SUCH_PARTICIPANT),
            (RoomFacts(addressee_away=True), ErrorCode.PARTICIPANT_AWAY),
        )
    ],
    *[
        (state, trigger, RoomFacts(keeps=False, streams=1), ErrorCode.STORE_UNAVAILABLE)
        for trigger in ("join", "chat", "sendFile", "file_arrived")
        for state in ("waiting", "broadcasting")
    ],
    ("empty", "join", RoomFacts(keeps=False, must_knock=True), ErrorCode.STORE_UNAVAILABLE),
    *[
        (state, trigger, facts, code)
        for trigger in ("chat", "sendFile")
        for state in ("waiting", "broadcasting")
        for facts, code in (
            (RoomFacts(addressee_there=False), ErrorCode.NO_SUCH_PARTICIPANT),
            (RoomFacts(addressee_away=True), ErrorCode.PARTICIPANT_AWAY),
            (RoomFacts(to_oneself=True), ErrorCode.YOURSELF),
            (RoomFacts(line_exists=False), ErrorCode.NO_SUCH_LINE),
        )
    ],
    ("broadcasting", "view", RoomFacts(), ErrorCode.NO_SUCH_STREAM),
    ("broadcasting", "view", RoomFacts(stream_exists=True, own_stream=True), ErrorCode.OWN_STREAM),
    ("broadcasting", "view", RoomFacts(stream_exists=True, viewing=True), ErrorCode.ALREADY_VIEWING),
    ("broadcasting", "view", RoomFacts(stream_exists=True, views=2, max_views=1), ErrorCode.TOO_MANY_VIEWS),
    ("empty", "join", RoomFacts(people=1, has_token=False), ErrorCode.TOKEN_INVALID),
    ("waiting", "join", RoomFacts(people=1, has_token=False), ErrorCode.TOKEN_INVALID),
    ("broadcasting", "join", RoomFacts(people=1, has_token=False, streams=1), ErrorCode.TOKEN_INVALID),
    ("empty", "join", RoomFacts(people=1, knows_password=False), ErrorCode.PASSWORD_WRONG),
    ("waiting", "join", RoomFacts(people=1, knows_password=False), ErrorCode.PASSWORD_WRONG),
    ("empty", "vacate", RoomFacts(reserved=True), ErrorCode.SERVER_FULL),
    ("broadcasting", "adjust", RoomFacts(), ErrorCode.NO_SUCH_STREAM),
    ("broadcasting", "adjust", RoomFacts(stream_exists=True), ErrorCode.NOT_VIEWING),
    ("broadcasting", "unview", RoomFacts(), ErrorCode.NO_SUCH_STREAM),
    ("broadcasting", "unview", RoomFacts(stream_exists=True), ErrorCode.NOT_VIEWING),
    ("broadcasting", "candidate", RoomFacts(), ErrorCode.NO_SUCH_STREAM),
    ("broadcasting", "candidate", RoomFacts(stream_exists=True), ErrorCode.NOT_VIEWING),
    ("broadcasting", "restart", RoomFacts(), ErrorCode.NO_SUCH_STREAM),
    ("broadcasting", "restart", RoomFacts(stream_exists=True), ErrorCode.NOT_VIEWING),
    *[
        ("broadcasting", "restart", msgspec.structs.replace(own, **{fact: False}), ErrorCode.RATE_LIMITED)
        for own in (OWN, VIEWED)
        for fact in ("restart_fits", "restart_due")
    ],
]


@pytest.mark.parametrize(("state", "trigger", "facts", "code"), REFUSED)
def test_given_these_facts_the_guard_refuses_with_its_code(
    state: str, trigger: str, facts: RoomFacts, code: ErrorCode
) -> None:
    room = ROOM.new()
    room.state = state
    with pytest.raises(Refusal) as refused:
        ROOM.fire(room, trigger, facts)
    assert refused.value.code is code
    assert room.state == state


def test_a_room_is_over_when_it_is_closed_but_not_before() -> None:
    """The room's task stops when its state is final. If it were final too soon, nothing would be released."""
    assert [state.name for state in ROOM.states if state.final] == ["closed"]


def test_a_room_may_be_filled_exactly_to_its_bounds() -> None:
    room = ROOM.new()
    ROOM.fire(room, "join", RoomFacts(people=9, max_people=9))
    ROOM.fire(room, "publish", RoomFacts(presenters=3, max_presenters=3))
    ROOM.fire(room, "view", RoomFacts(stream_exists=True, views=4, max_views=4))
    assert room.state == "broadcasting"


@pytest.mark.parametrize("state", [state.name for state in ROOM.states])
@pytest.mark.parametrize("trigger", ROOM.triggers)
def test_a_trigger_without_a_row_is_illegal_and_moves_nothing(state: str, trigger: str) -> None:
    if (state, trigger) in {(move[0], move[1]) for move in MOVES}:
        assert trigger in ROOM.legal(state)
        return
    room = ROOM.new()
    room.state = state
    with pytest.raises(IllegalInState) as refused:
        ROOM.fire(room, trigger, PEOPLE)
    assert (refused.value.machine, refused.value.state) == ("room", ROOM.state(state).told)
    assert room.state == state
    assert trigger not in refused.value.allowed


@pytest.mark.parametrize(
    ("state", "facts"),
    [
        ("waiting", NOBODY),
        ("closing", RoomFacts(people=0, held=1)),
        ("closing", RoomFacts(people=1, notice=True)),
        ("closed", NOBODY),
    ],
)
def test_a_room_closes_by_itself_only_when_the_facts_permit_it(state: str, facts: RoomFacts) -> None:
    room = ROOM.new()
    room.state = state
    assert ROOM.follow(room, "drained", lambda: facts) is None
    assert room.state == state


def test_every_row_of_the_table_has_a_case_in_this_file() -> None:
    tried = {(state, trigger, dest) for state, trigger, _, dest, _ in MOVES}
    rows = {
        (source, trigger, source if row.dest == STAYS else row.dest)
        for row in ROOM.rows
        for source in row.sources
        for trigger in row.triggers
    }
    assert tried == rows


def test_every_effect_belongs_to_a_row() -> None:
    assert {effect for row in ROOM.rows for effect in row.effects} == set(RoomEffect)


def test_every_guard_with_a_code_has_a_case_in_this_file() -> None:
    codes = {guard.code for row in ROOM.rows for guard in row.guards if guard.code is not None}
    assert codes == {code for *_, code in REFUSED}
