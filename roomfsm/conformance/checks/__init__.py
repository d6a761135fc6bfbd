"""The checks, by group."""

from __future__ import annotations

from roomfsm.conformance.checks import (
    cells,
    fields,
    files,
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
    """All checks for this specification, in the order of the report: those with a common first word together."""
    modules = (cells, rows, seats, legs, files, sessions, guards, races, limits, fields, order, websocket)
    checks = [check for module in modules for check in module.checks(plan)]
    groups = list(dict.fromkeys(check.group for check in checks))
    return sorted(checks, key=lambda check: groups.index(check.group))
