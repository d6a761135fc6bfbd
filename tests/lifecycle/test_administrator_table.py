"""Given the administrator's machine, tests what the admin API may do in a room, and whom it must find."""

from __future__ import annotations

import pytest

from roomfsm.lifecycle.administrator import ADMINISTRATOR
from roomfsm.lifecycle.seat import SeatFacts
from roomfsm.protocol.errors import ErrorCode, Refusal
from roomfsm.protocol.roles import Role

DOES = [
    ("kickPerson", ["kick"], ErrorCode.NO_SUCH_PARTICIPANT),
    ("banPerson", ["ban"], ErrorCode.NO_SUCH_PARTICIPANT),
    ("unbanPerson", ["unban"], ErrorCode.NOT_BANNED),
    ("giveRole", ["set role"], ErrorCode.NO_SUCH_PARTICIPANT),
    ("lockRoom", ["lock"], None),
    ("unlockRoom", ["unlock"], None),
    ("clearRoomChat", ["clear chat"], None),
    ("configureRoom", ["configure"], None),
]


def test_every_operation_is_listed_here() -> None:
    assert [operation for operation, _, _ in DOES] == list(ADMINISTRATOR.triggers)


@pytest.mark.parametrize(("operation", "effects", "refusal"), DOES)
def test_an_administrator_needs_no_role_but_must_name_somebody_who_is_there(
    operation: str, effects: list[str], refusal: ErrorCode | None
) -> None:
    model = ADMINISTRATOR.new()
    step = ADMINISTRATOR.fire(model, operation, SeatFacts(role=Role.VIEWER))
    assert (list(step.effects), step.moved) == (effects, False)
    if refusal is None:
        ADMINISTRATOR.fire(model, operation, SeatFacts(found=False))
        return
    with pytest.raises(Refusal) as refused:
        ADMINISTRATOR.fire(model, operation, SeatFacts(found=False))
    assert refused.value.code is refusal
