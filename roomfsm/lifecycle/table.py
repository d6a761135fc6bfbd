"""What a lifecycle table is made of, and how a model is moved through one by `transitions`.

This package follows four rules. A machine is one literal `Table`. Only `Table.fire` and `Table.follow` move a
model's state. A table knows nothing of sockets, tasks or time, only the facts that it is given. An effect only
names what must be done; others carry it out. So guards, refusals, diagrams and documents can all be read off the
rows, and every machine can be tested by plain function calls.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from itertools import product
from typing import Any

from transitions import EventData, Machine

from roomfsm.protocol.errors import ErrorCode, IllegalInState, NotPermitted, Refusal
from roomfsm.protocol.roles import Role

STAYS = "="
"""A row with this destination leaves the state as it is."""


@dataclass(frozen=True, slots=True)
class State:
    """A state. `owns` names the resources whose scopes are entered with it, and left with it.

    If two states own the same resource, a transition from one to the other leaves it as it is. `told_as` is the
    name that the protocol's messages use for the state, if that is not `name`. It lets us split a state in two
    without a change of the protocol.
    """

    name: str
    meaning: str
    owns: tuple[str, ...] = ()
    final: bool = False
    told_as: str | None = None

    @property
    def told(self) -> str:
        """The state's name in the protocol's messages."""
        return self.told_as or self.name

    @property
    def owned(self) -> str:
        """The names of the resources that the state owns, in one line; empty if there are none."""
        return ", ".join(self.owns)


@dataclass(frozen=True, slots=True)
class Guard[Facts]:
    """A condition on the facts.

    A guard with a `code` refuses the trigger if it does not hold. A guard without one only chooses between rows.
    `role` is the least role for which the guard holds, if the role decides.
    """

    name: str
    holds: Callable[[Facts], bool]
    code: ErrorCode | None = None
    role: Role | None = None


class Audience(StrEnum):
    """Which people of a room a message goes to. The documents print the `explanation`."""

    explanation: str

    def __new__(cls, value: str, explanation: str) -> Audience:
        member = str.__new__(cls, value)
        member._value_ = value
        member.explanation = explanation
        return member

    ASKER = (
        "asker",
        "the person whose message or connection caused this; this copy carries the `ref`, if there was one",
    )
    OTHERS = "others", "everybody in the room except the asker"
    ALL = "all", "everybody in the room; the asker's copy carries the `ref`, if there was one"
    OWNER = "owner", "the person whose stream, view or seat it is, or to whom a private line of chat is said"
    MODERATORS = "moderators", "the moderators of the room; the asker's copy carries the `ref`, if there was one"


@dataclass(frozen=True, slots=True)
class Tell:
    """A message, and who gets it. `when` is the condition on which it is sent, if it is not always sent."""

    message: str
    to: Audience
    when: str | None = None


class Effect(StrEnum):
    """What a transition asks others to do.

    `meaning` says it in words. `tells` lists the messages that are sent, in order. `may_fail` lists the codes of
    the `error` that the asker may get later instead of the expected result.
    """

    meaning: str
    tells: tuple[Tell, ...]
    may_fail: tuple[ErrorCode, ...]

    def __new__(
        cls, value: str, meaning: str, tells: tuple[Tell, ...] = (), may_fail: tuple[ErrorCode, ...] = ()
    ) -> Effect:
        member = str.__new__(cls, value)
        member._value_ = value
        member.meaning = meaning
        member.tells = tells
        member.may_fail = may_fail
        return member


@dataclass(frozen=True, slots=True)
class Row[Facts]:
    """In any of `sources`, any of `triggers` leads to `dest` and causes `effects`, if all `guards` hold."""

    triggers: tuple[str, ...]
    sources: tuple[str, ...]
    dest: str
    guards: tuple[Guard[Facts], ...] = ()
    effects: tuple[Effect, ...] = ()

    def dest_from(self, source: str) -> str:
        """The state that the row leads to from `source`."""
        return source if self.dest == STAYS else self.dest


class Model:
    """Something whose life follows a table. Only the table's `fire` and `follow` change its `state`."""

    def __init__(self, initial: str) -> None:
        self.state = initial


@dataclass(frozen=True, slots=True)
class Step:
    """What one trigger does by one row: the states before and after, and the effects to carry out, in order.

    `entered` names the resources that only the state after it owns, and `left` those that only the state before
    it owns. `told_anew` says that the protocol has another name for the new state than for the old one.
    """

    trigger: str
    source: str
    dest: str
    effects: tuple[Effect, ...]
    moved: bool
    told_anew: bool
    entered: tuple[str, ...]
    left: tuple[str, ...]


@dataclass(frozen=True)
class Table[Facts]:
    """A machine: its states, the first being the initial one, and its rows.

    `meaning` says whose life the table describes. `causes` says what fires each trigger that is not a client's
    message. `moves_tell` lists the messages that go out after the effects whenever the state that clients see has
    changed. `run_by` says where the machine runs: it notices those triggers and carries out the effects.
    """

    name: str
    meaning: str
    states: tuple[State, ...]
    rows: tuple[Row[Facts], ...]
    causes: Mapping[str, str] = field(default_factory=dict)
    moves_tell: tuple[Tell, ...] = ()
    run_by: str = "the server"

    @property
    def initial(self) -> str:
        """The name of the state that a new model is in."""
        return self.states[0].name

    @cached_property
    def triggers(self) -> tuple[str, ...]:
        """All triggers, in the order in which the rows name them first."""
        return tuple(dict.fromkeys(t for row in self.rows for t in row.triggers))

    def state(self, name: str) -> State:
        """The state of that name. Raises `KeyError`."""
        return self._states[name]

    def legal(self, state: str) -> tuple[str, ...]:
        """The triggers that have a row in `state`, guards aside, in the table's order."""
        return tuple(t for t in self.triggers if self.rows_of(state, t))

    def rows_of(self, state: str, trigger: str) -> tuple[Row[Facts], ...]:
        """The rows that answer `trigger` in `state`, in the order in which they are tried."""
        return self._index.get((state, trigger), ())

    def new(self) -> Model:
        """A model in the initial state."""
        return Model(self.initial)

    def check(self, model: Model, trigger: str) -> None:
        """Raises `IllegalInState` if the state of `model` has no row for the trigger."""
        if not self.rows_of(model.state, trigger):
            state = self.state(model.state)
            raise IllegalInState(trigger, self.name, state.told, self.legal(state.name))

    def fire(self, model: Model, trigger: str, facts: Facts) -> Step:
        """Move `model` by `trigger`; it takes about 10 µs.

        Raises `IllegalInState` if the state has no row for the trigger, or `Refusal` with the code of the first
        guard that does not hold. Then nothing has moved.
        """
        self.check(model, trigger)
        source = model.state
        attempt = self._attempt(model, trigger, facts)
        if attempt.step is not None:
            return attempt.step
        guard = attempt.refused_by
        if guard is None or guard.code is None:
            raise AssertionError(f"{self.name}: no row of {trigger} in {source} fits {facts}")
        raise Refusal(guard.code) if guard.role is None else NotPermitted(guard.role)

    def follow(self, model: Model, trigger: str, facts: Callable[[], Facts]) -> Step | None:
        """Move `model` by a trigger that nobody sends, but that the facts themselves bring about.

        Returns None if the facts do not bring it about. UML calls such a transition a completion transition
        (UML 2.5.1 section 14.2.3.8.3). `facts` is called only if the state has a row for the trigger.
        """
        if not self.rows_of(model.state, trigger):
            return None
        return self._attempt(model, trigger, facts()).step

    def _attempt(self, model: Model, trigger: str, facts: Facts) -> _Attempt[Facts]:
        attempt = _Attempt(facts)
        self._machine.events[trigger].trigger(model, attempt=attempt)
        return attempt

    @cached_property
    def _states(self) -> dict[str, State]:
        return {state.name: state for state in self.states}

    @cached_property
    def _index(self) -> dict[tuple[str, str], tuple[Row[Facts], ...]]:
        index: dict[tuple[str, str], list[Row[Facts]]] = {}
        for row in self.rows:
            for source, trigger in product(row.sources, row.triggers):
                index.setdefault((source, trigger), []).append(row)
        return {key: tuple(rows) for key, rows in index.items()}

    def _step(self, row: Row[Facts], trigger: str, source: str) -> Step:
        before, after = self.state(source), self.state(row.dest_from(source))
        return Step(
            trigger,
            source,
            after.name,
            row.effects,
            moved=before is not after,
            told_anew=before.told != after.told,
            entered=tuple(resource for resource in after.owns if resource not in before.owns),
            left=tuple(resource for resource in before.owns if resource not in after.owns),
        )

    @cached_property
    def _machine(self) -> Machine:
        return Machine(
            model=None,
            states=[state.name for state in self.states],
            initial=self.initial,
            transitions=[
                {
                    "trigger": trigger,
                    "source": source,
                    "dest": row.dest,
                    "conditions": _conditions(row.guards),
                    "after": _remember(self._step(row, trigger, source)),
                }
                for row in self.rows
                for source, trigger in product(row.sources, row.triggers)
            ],
            auto_transitions=False,
            send_event=True,
        )


@dataclass(slots=True)
class _Attempt[Facts]:
    """One trigger on its way through `transitions`: the facts that the conditions look at, and the result.

    `transitions` only says whether a condition held. So the conditions themselves note here why they failed, and
    `fire` need not look at the rows a second time to explain a refusal.
    """

    facts: Facts
    step: Step | None = None
    """What the row that was taken does."""
    refused_by: Guard[Facts] | None = None
    """The first guard that does not hold and has a code."""


def _conditions(guards: tuple[Guard[Any], ...]) -> list[Callable[[EventData], bool]]:
    """The guards of a row as one condition, because `transitions` takes longer for each than a guard does."""

    def condition(event: EventData) -> bool:
        attempt = event.kwargs["attempt"]
        facts = attempt.facts
        for guard in guards:
            if not guard.holds(facts):
                if guard.code is not None and attempt.refused_by is None:
                    attempt.refused_by = guard
                return False
        return True

    return [condition] if guards else []


def _remember(step: Step) -> Callable[[EventData], None]:
    def remember(event: EventData) -> None:
        event.kwargs["attempt"].step = step

    return remember
