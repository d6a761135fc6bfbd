"""What a check has found: one line, and how to mend it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum

from roomfsm.settings import Settings


class Outcome(StrEnum):
    """How good what was found is."""

    OK = "ok"
    WARNING = "warning"
    """It works for some people, or may stop working."""
    FAULT = "fault"
    """The server does not start with it, or nobody can use it."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report."""

    check: str
    outcome: Outcome
    what: str
    mend: str = ""
    """What to do about it. Empty if nothing needs to be done."""


type Check = Callable[[Settings], Awaitable[list[Finding]]]


def ok(check: str, what: str) -> Finding:
    """All is well."""
    return Finding(check, Outcome.OK, what)


def warning(check: str, what: str, mend: str) -> Finding:
    """Something that works for some people only, or not for long."""
    return Finding(check, Outcome.WARNING, what, mend)


def fault(check: str, what: str, mend: str) -> Finding:
    """Something that does not work."""
    return Finding(check, Outcome.FAULT, what, mend)
