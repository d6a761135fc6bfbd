"""Reads policies from the tables `[room."pattern"]` of the settings file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from roomfsm.access.passwords import hash_fault
from roomfsm.access.patterns import room_pattern
from roomfsm.access.policy import Enter, Policy, PolicyFault
from roomfsm.protocol.names import NameFault
from roomfsm.protocol.roles import Role

MAX_POLICIES = 1000
"""The most tables. Each room that is opened is compared with them in their order."""


MAX_FAULTS = 20
"""The most faults that one message names."""


class TableFault(ValueError):
    """A table is wrong. The message names the table and its key, and says what to do."""


class _Table(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """The keys of a table are the fields of `Policy`, except that the password's hash is called `password`."""

    enter: Enter = Enter.ANYONE
    password: str | None = None
    invited: tuple[Annotated[str, Meta(min_length=1, max_length=255)], ...] = ()
    role: Role = Role.PRESENTER
    lobby: bool = False
    locked: bool = False
    listed: bool = True
    files: bool = True
    max_people: Annotated[int, Meta(ge=1, le=1_000_000_000)] | None = None
    max_presenters: Annotated[int, Meta(ge=1, le=1_000_000_000)] | None = None
    linger: Annotated[float, Meta(ge=0, le=1_000_000_000)] | None = None
    first_moderates: bool = True


def read_policies(tables: object) -> tuple[tuple[str, Policy], ...]:
    """The patterns with their policies, in the order of the file. Raises `TableFault`."""
    if not isinstance(tables, Mapping) or not all(isinstance(table, Mapping) for table in tables.values()):
        raise TableFault('[room]: policies are tables, each with the pattern of its rooms: [room."board-*"]')
    if len(tables) > MAX_POLICIES:
        raise TableFault(f"[room]: there are more than {MAX_POLICIES} policies")
    policies: list[tuple[str, Policy]] = []
    faults: list[str] = []
    for pattern, table in tables.items():
        try:
            policies.append(_read(pattern, table))
        except TableFault as fault:
            faults.append(str(fault))
    if faults:
        raise TableFault(_together(faults))
    return tuple(policies)


def _together(faults: list[str]) -> str:
    more = len(faults) - MAX_FAULTS
    return "; ".join(faults[:MAX_FAULTS]) + (f"; and {more} more" if more > 0 else "")


def _read(pattern: str, table: Mapping[str, Any]) -> tuple[str, Policy]:
    """Raises `TableFault`, which names everything that is wrong with the table."""
    where = f'[room."{pattern}"]'
    faults: list[str] = []
    try:
        checked = room_pattern(pattern)
    except NameFault as fault:
        checked = pattern
        faults.append(
            f"{where}: no room can have such a name. {fault} In a pattern, * stands for any characters, and ? for"
            " one"
        )
    unknown = [repr(key) for key in table if key not in _Table.__struct_fields__]
    if unknown:
        no_keys = f"{unknown[0]} is not a key" if len(unknown) == 1 else f"{', '.join(unknown)} are not keys"
        faults.append(f"{where}: {no_keys} of a policy, which are: {', '.join(_Table.__struct_fields__)}")
    for key in _Table.__struct_fields__:
        wrong = _fault(key, table[key]) if key in table else None
        if wrong is not None:
            faults.append(f"{where} {key} {wrong}")
    if faults:
        raise TableFault(_together(faults))
    fields = msgspec.structs.asdict(msgspec.convert(dict(table), _Table))
    password = fields.pop("password")
    try:
        return checked, Policy(password_hash=password, **fields)
    except PolicyFault as contradiction:
        key = "password" if contradiction.key == "password_hash" else contradiction.key
        raise TableFault(f"{where} {key}: {contradiction}") from None


def _fault(key: str, value: object) -> str | None:
    """What is wrong with one key alone; None if nothing is."""
    try:
        msgspec.convert({key: value}, _Table)
    except msgspec.ValidationError as error:
        return f"is {_WORDS.get(key, str(error).split(' - at ')[0])}"
    # The text is not repeated, because it may be the password.
    return hash_fault(value) if key == "password" and isinstance(value, str) else None


_SWITCH = "true or false"
_WORDS = {
    "enter": "one of " + ", ".join(f'"{way}"' for way in Enter),
    "password": "the text that `roomfsm password` prints",
    "invited": 'a list of the subjects of tokens, such as ["ada", "bob"]',
    "role": "one of " + ", ".join(f'"{role}"' for role in Role),
    "lobby": _SWITCH,
    "locked": _SWITCH,
    "listed": _SWITCH,
    "files": _SWITCH,
    "max_people": "a whole number from 1",
    "max_presenters": "a whole number from 1",
    "linger": "a number of seconds from 0",
    "first_moderates": _SWITCH,
}
