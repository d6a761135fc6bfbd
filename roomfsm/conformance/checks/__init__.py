"""The checks, by group."""

from __future__ import annotations

from roomfsm.conformance.checks import (
    cells,
    fields,
    guards,
    legs,
    limits,
    order,
    races,
    rows,
    seats,
    sessions,
    websocket,
)
from roomfsm.conformance.scene import Check, Plan


def all_checks(plan: Plan) -> list[Check]:
    """All checks for this specification, in the order of the report."""
    groups = (cells, rows, seats, legs, sessions, guards, races, limits, fields, order, websocket)
    return [check for group in groups for check in group.checks(plan)]
