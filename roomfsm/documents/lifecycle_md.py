"""The document of the lifecycle machines: docs/lifecycle.md."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from roomfsm.documents.page_tables import page_tables
from roomfsm.lifecycle.describe import MACHINES, describe, describe_legality
from roomfsm.lifecycle.legality import MESSAGE_TYPES
from roomfsm.lifecycle.table import Audience, Table
from roomfsm.protocol.errors import ErrorCode

type Json = dict[str, Any]

_HEAD = """\
# The lifecycle machines

This page is generated from the tables in `roomfsm/lifecycle/` by `uv run python -m roomfsm.documents`. To change
it, change the tables. The running server uses the same tables, so the page says what the server does; a test
makes sure that the page is up to date.

A machine is in one **state** at a time. A **trigger** may move it to another state. A trigger is a client's
message (`join`), or something that the server notices (*expire*). A transition is taken if all its **guards**
hold; then its **effects** are carried out in the given order. A state may **own** a resource. The resource is
opened when the machine enters the state and released when it leaves the state, so nothing is left behind.

If a message has no transition in the present state, the answer is the error `illegal_in_state`, with the state and
the messages that are allowed instead. If a guard does not hold, the answer is an error with the guard's code. In
both cases the state stays the same, and the session and the room continue. Guards without a code only choose
between transitions.

In the diagrams, client messages are **bold** and things that the server notices are *italic*. Triggers that do
not change the state stand inside it. `roomfsm diagram MACHINE` draws the diagrams, also as Mermaid, Graphviz or
JSON.
"""

_MATRIX_KEY = """\
✓ legal · ✓ or a code: legal, but gets that error if a guard does not hold · – gets the error `illegal_in_state` ·
an empty column: no message reaches the machine in that state
"""


_PAGE = """\
## The page's machines

The page has tables of its own, beside the scripts that ask them: `client/wire/link-table.js`,
`client/room/page-table.js`, `client/media/media-table.js` and `client/media/device-table.js`, which
`client/wire/machine.js` interprets. The page reads off them which buttons are enabled, and when it connects,
enters a room or publishes again. A trigger that has no transition in the present state changes nothing. The server
does not know these states.
"""


def lifecycle_md() -> str:
    """The whole document."""
    contents = [f"- [{table.name}](#{table.name.lower()}): {table.meaning}" for table in MACHINES.values()]
    contents.append(
        "- [A client's messages](#a-clients-messages): which are legal in which states, according to all machines"
    )
    pages = page_tables().values()
    contents.append("- [The page's machines](#the-pages-machines): the states of the page in the browser")
    contents += [f"  - [{table.name}](#{table.name.lower()}): {table.meaning}" for table in pages]
    server = (*map(_machine, MACHINES.values()), _together())
    parts = [_HEAD, "\n".join(contents) + "\n", *server, _PAGE, *map(_machine, pages), _words()]
    return "\n".join(parts)


def _machine(table: Table[Any]) -> str:
    machine = describe(table)
    messages = {trigger["name"] for trigger in machine["triggers"] if trigger["message"]}
    return "\n".join(
        filter(
            None,
            [
                f"## {table.name}\n",
                f"{table.meaning}\n",
                f"![The states of a {table.name} and its transitions](lifecycle/{table.name}.svg)\n",
                "### States\n",
                _table(("state", "meaning", "owns", ""), _states(machine)),
                "### Transitions\n",
                _table(("trigger", "from", "to", "guards", "effects"), _transitions(machine, messages)),
                _effects(machine),
                f"### What {table.run_by} notices\n",
                _table(
                    ("trigger", "when"),
                    ([f"*{t['name']}*", t["cause"]] for t in machine["triggers"] if not t["message"]),
                ),
                _messages(machine) if messages else "",
            ],
        )
    )


def _messages(machine: Json) -> str:
    heads = ("message", *(state["name"] for state in machine["states"]))
    return "\n".join(["### Messages\n", _MATRIX_KEY, _table(heads, _matrix(machine))])


def _states(machine: Json) -> Iterator[list[str]]:
    for state in machine["states"]:
        first = "initial" if state["name"] == machine["initial"] else ""
        yield [state["name"], state["meaning"], state["owns"] or "", "final" if state["final"] else first]


def _transitions(machine: Json, messages: set[str]) -> Iterator[list[str]]:
    """One row for all sources from which a trigger does the same."""
    merged: dict[tuple[str, ...], list[str]] = {}
    for row in machine["transitions"]:
        name = _trigger(row["trigger"], messages)
        to = "stays" if row["to"] == row["from"] else row["to"]
        guards = ", ".join(guard["name"] + _code(guard["code"]) for guard in row["guards"])
        merged.setdefault((name, to, guards, ", ".join(row["effects"])), []).append(row["from"])
    for (trigger, to, guards, effects), sources in merged.items():
        yield [trigger, ", ".join(sources), to, guards, effects]


def _trigger(name: str, messages: set[str]) -> str:
    return f"`{name}`" if name in messages else f"*{name}*"


def _code(code: str | None) -> str:
    return f" (else `{code}`)" if code else ""


def _effects(machine: Json) -> str:
    if not machine["effects"]:
        return ""
    rows = (
        [effect["name"], effect["meaning"], "; ".join(map(_tell, effect["tells"])), _codes(effect["mayFail"])]
        for effect in machine["effects"]
    )
    always = "; ".join(map(_tell, machine["movesTell"]))
    return "\n".join(
        [
            "### Effects\n",
            _table(
                ("effect", "what is done", "messages that go out, in order", "errors that may follow later"), rows
            ),
            *(
                [f"Whenever the state that clients see changes, the server also sends: {always}.\n"]
                if always
                else []
            ),
        ]
    )


def _tell(tell: Json) -> str:
    when = f" ({tell['when']})" if tell["when"] else ""
    to = tell["to"] if tell["to"] == Audience.ALL else f"the {tell['to']}"
    return f"`{tell['message']}` to {to}{when}"


def _codes(codes: Iterable[str]) -> str:
    return " ".join(f"`{code}`" for code in codes)


def _matrix(machine: Json) -> Iterator[list[str]]:
    for trigger in machine["triggers"]:
        if not trigger["message"]:
            continue
        cells = []
        for state in machine["states"]:
            rows = [
                row
                for row in machine["transitions"]
                if (row["from"], row["trigger"]) == (state["name"], trigger["name"])
            ]
            codes = dict.fromkeys(guard["code"] for row in rows for guard in row["guards"] if guard["code"])
            refused = "–" if trigger["name"] in state["illegal"] else ""
            cells.append((f"✓ or {_codes(codes)}" if codes else "✓") if rows else refused)
        yield [f"`{trigger['name']}`", *cells]


def _together() -> str:
    pairs = describe_legality()
    heads = [pair["session"] + (f", room {pair['room']}" if pair["room"] else "") for pair in pairs]

    def cell(message: str, pair: Json) -> str:
        by = pair["refused"].get(message)
        return f"– ({by['machine']})" if by else "✓"

    rows = ([f"`{message}`", *(cell(message, pair) for pair in pairs)] for message in MESSAGE_TYPES)
    return "\n".join(
        [
            "## A client's messages\n",
            "A message must be legal for the sender's session and, in a room, also for the room. If it is not, the"
            " machine in brackets refuses it. This table does not consider guards.\n",
            _table(("message", *heads), rows),
        ]
    )


def _words() -> str:
    codes: set[str] = set()
    for machine in map(describe, MACHINES.values()):
        codes |= {guard["code"] for row in machine["transitions"] for guard in row["guards"]}
        codes |= {code for effect in machine["effects"] for code in effect["mayFail"]}
    return "\n".join(
        [
            "## Explanation of the words above\n",
            _table(("who is told", ""), ([to.value, to.explanation] for to in Audience)),
            _table(("code", ""), ([f"`{code}`", code.explanation] for code in ErrorCode if code in codes)),
        ]
    )


def _table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    heads = list(heads)
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)
