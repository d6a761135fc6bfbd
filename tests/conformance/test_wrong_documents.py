"""Given a document that is no specification or contradicts itself, the kit says why, and exits with code 2."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest

from roomfsm.conformance.outcome import CannotRun
from roomfsm.conformance.spec import Spec
from roomfsm.documents.asyncapi import document as our_document
from tests.conformance.kit import run_kit
from tests.conformance.test_cannot_run import told

type Document = dict[str, Any]
type Change = Callable[[Document], object]


def document() -> Document:
    """Our own document, from its file."""
    of: Document = msgspec.json.decode(msgspec.json.encode(our_document()))
    return of


def machine(of: Document, name: str) -> Any:
    return of["x-roomfsm"]["machines"][name]


def rows(of: Document, name: str, trigger: str, source: str) -> list[Any]:
    """The machine's transitions of that trigger in that state."""
    return [row for row in machine(of, name)["transitions"] if (row["trigger"], row["from"]) == (trigger, source)]


def without(of: Document, name: str, trigger: str, source: str) -> None:
    found = rows(of, name, trigger, source)
    machine(of, name)["transitions"] = [row for row in machine(of, name)["transitions"] if row not in found]


def pair(of: Document, room: str | None) -> Any:
    """The messages that are legal in a room in that state."""
    return next(pair for pair in of["x-roomfsm"]["legality"] if pair["room"] == room)


def effect(of: Document, name: str) -> Any:
    return next(effect for effect in machine(of, "room")["effects"] if effect["name"] == name)


def own(name: str) -> Change:
    return lambda of: of["x-roomfsm"].pop(name)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda of: of.pop("asyncapi"), "it has no `asyncapi` (the version of AsyncAPI)"),
        (lambda of: of.update(asyncapi="2.6.0"), '`asyncapi` must begin with "3.", not "2.6.0"'),
        (lambda of: of.pop("x-roomfsm"), "it has no `x-roomfsm` (the machines)"),
        (lambda of: of.update({"x-roomfsm": 7}), "`x-roomfsm` must be an object, not 7"),
        (own("version"), "`x-roomfsm` has no `version`"),
        (lambda of: of["x-roomfsm"].update(version=2), "`x-roomfsm.version` must be 1, not 2"),
        (own("legality"), "`x-roomfsm` has no `legality` (what is allowed when)"),
        (lambda of: of["x-roomfsm"].update(legality=[]), "`x-roomfsm.legality` must not be empty"),
        (lambda of: of["x-roomfsm"]["machines"].pop("view"), "`x-roomfsm.machines` has no `view`"),
        (
            lambda of: rows(of, "stream", "end", "live")[0].pop("effects"),
            "has no `effects`",
        ),
        (
            lambda of: of["channels"]["signalling"].pop("bindings"),
            "`channels.signalling` has no `bindings`",
        ),
        (
            lambda of: of["components"]["messages"]["Join"].pop("x-roomfsm-reply"),
            "`components.messages.Join` has no `x-roomfsm-reply`",
        ),
        (
            lambda of: of["components"]["schemas"].pop("Welcome"),
            "refers to `#/components/schemas/Welcome`, which is not there",
        ),
        (
            lambda of: of["components"]["schemas"].update(Welcome={"$ref": "#/components/schemas/Welcome"}),
            "refers to `#/components/schemas/Welcome`, which is not there",
        ),
        (
            lambda of: of["components"]["schemas"]["Welcome"].update(type="thing"),
            "`components.schemas.Welcome` is no JSON Schema",
        ),
        (
            lambda of: of["components"]["schemas"]["Welcome"].update(pattern="("),
            "`components.schemas.Welcome` is no JSON Schema",
        ),
    ],
)
def test_a_document_that_is_no_specification_is_refused(change: Change, words: str) -> None:
    of = document()
    change(of)
    with pytest.raises(CannotRun) as error:
        Spec(of, "my.json")
    assert str(error.value).startswith("my.json: ")
    assert words in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("keyword", ["$schema", "$dynamicRef", "$ref", "$id"])
def test_nothing_is_fetched_that_a_document_refers_to(keyword: str) -> None:
    of = document()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        address = f"http://127.0.0.1:{listener.getsockname()[1]}/schema"
        of["components"]["schemas"]["Welcome"].update({keyword: address})
        with suppress(CannotRun):
            Spec(of)
        with pytest.raises(BlockingIOError):
            listener.accept()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda of: machine(of, "stream").update(initial="asleep"),
            "the stream begins as asleep, which is none of its states",
        ),
        (
            lambda of: rows(of, "room", "close", "waiting")[0].update(to="shut"),
            "the room's transition waiting —close→ shut: shut is none of its states",
        ),
        (
            lambda of: rows(of, "room", "chat", "waiting")[0].update({"from": "idle"}),
            "the room's transition idle —chat→ waiting: idle is none of its states",
        ),
        (
            lambda of: rows(of, "room", "close", "waiting")[0].update(trigger="shut"),
            "the room's transition waiting —shut→ closing: shut is none of its triggers",
        ),
        (
            lambda of: rows(of, "room", "chat", "waiting")[0].update(effects=["shout"]),
            "the room's transition waiting —chat→ waiting: the effect 'shout' is not described",
        ),
        (
            lambda of: effect(of, "say")["tells"][0].update(message="said"),
            "the room's effect 'say' tells said, which is no message that a server sends",
        ),
        (
            lambda of: effect(of, "say")["tells"][0].update(to="everybody"),
            "the room's effect 'say' tells chat to 'everybody'; "
            "it may be to asker, others, owner, moderators, all",
        ),
        (
            lambda of: machine(of, "room")["movesTell"][0].update(message="moved"),
            "a move of the room tells moved, which is no message that a server sends",
        ),
        (
            lambda of: machine(of, "room").update(name="hall"),
            "the machine room is called hall within",
        ),
        (
            lambda of: without(of, "room", "chat", "waiting"),
            "legality allows chat in a session that is joined in a room that is waiting, "
            "but the room has no transition of it there",
        ),
        (
            lambda of: without(of, "session", "ping", "connected"),
            "legality allows ping in a session that is connected in no room, "
            "but the session has no transition of it there",
        ),
        (
            lambda of: pair(of, "waiting")["allowed"].remove("chat"),
            "legality neither allows nor refuses chat in a session that is joined in a room that is waiting",
        ),
        (
            lambda of: pair(of, "waiting")["allowed"].append("view"),
            "legality both allows and refuses view in a session that is joined in a room that is waiting",
        ),
        (
            lambda of: pair(of, "waiting")["allowed"].append("dance"),
            "legality speaks of dance in a session that is joined in a room that is waiting, "
            "which is no message that a client sends",
        ),
        (
            lambda of: (
                pair(of, "waiting")["allowed"].remove("chat"),
                pair(of, "waiting")["refused"].update(chat={"machine": "room", "state": "waiting"}),
            ),
            "legality says that chat in a session that is joined in a room that is waiting is refused by the room "
            "that is waiting, but it has a transition of it there",
        ),
        (
            lambda of: pair(of, "waiting")["refused"]["view"].update(state="closing"),
            "is refused by the room that is closing, but the room is waiting",
        ),
        (
            lambda of: pair(of, None)["refused"]["chat"].update(machine="room", state="empty"),
            "is refused by the room that is empty, but the room is not there",
        ),
        (
            lambda of: pair(of, "waiting")["refused"]["view"].update(machine="hall"),
            "but there is no machine hall",
        ),
        (
            lambda of: pair(of, "waiting").update(room="idle"),
            "legality speaks of a room that is idle, which is none of its states",
        ),
        (
            lambda of: of["x-roomfsm"]["legality"].append(pair(of, "waiting")),
            "legality speaks twice of a session that is joined in a room that is waiting",
        ),
        (
            lambda of: of["components"]["messages"]["Join"].update({"x-roomfsm-reply": "welcomed"}),
            "the message join is answered by welcomed, which is no message that a server sends",
        ),
    ],
)
def test_a_specification_that_contradicts_itself_is_refused(change: Change, words: str) -> None:
    of = document()
    change(of)
    with pytest.raises(CannotRun) as error:
        Spec(of, "my.json")
    first, *told_of = str(error.value).split("\n  ")
    assert first == "my.json contradicts itself:"
    assert any(line.endswith(words) for line in told_of), told_of


def test_of_many_contradictions_the_first_few_are_told() -> None:
    of = document()
    machine(of, "room")["effects"] = []
    with pytest.raises(CannotRun) as error:
        Spec(of)
    lines = str(error.value).split("\n")
    assert len(lines) == 12
    assert lines[-1].startswith("  … ")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, ": No such file"),
        (b"", ": not JSON (line 1, column 1)"),
        (b'{\n "a": }', ": not JSON (line 2, column 7)"),
        (b'"\xff"', ": not JSON (no UTF-8 at byte 1)"),
        (b"[" * 100_000, ": nested too deeply"),
        (b"[]", ": it must be an object, not a list"),
    ],
)
async def test_a_file_without_a_specification_is_refused(
    content: bytes | None, words: str, tmp_path: Path
) -> None:
    file = tmp_path / "spec.json"
    if content is not None:
        file.write_bytes(content)
    told(await run_kit(tmp_path, "ws://127.0.0.1:9/ws", f"--spec={file}"), f"{file}{words}")


async def test_a_contradiction_ends_the_program_before_it_connects(tmp_path: Path) -> None:
    of = document()
    without(of, "room", "chat", "waiting")
    file = tmp_path / "spec.json"
    file.write_bytes(msgspec.json.encode(of))
    run = await run_kit(tmp_path, "ws://127.0.0.1:9/ws", f"--spec={file}")
    assert (run.code, run.out, run.report) == (2, "", {})
    assert "contradicts itself" in run.err
    assert "Traceback" not in run.err
