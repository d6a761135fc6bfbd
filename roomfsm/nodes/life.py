"""The machine of this node, with a tally and a journal of what it has done so far."""

from __future__ import annotations

from collections import deque

import msgspec
import trio

from roomfsm.lifecycle.node import NODE
from roomfsm.lifecycle.table import Model, Step
from roomfsm.rooms.journal import Tally

KEPT = 50
"""So many entries of the journal are kept, the newest."""


class NodeEntry(msgspec.Struct, frozen=True, rename="camel"):
    """One step of the machine. `at` is in seconds since the node began to start."""

    at: float
    trigger: str
    source: str
    dest: str
    effects: tuple[str, ...]


class NodeLife(Model):
    """One node's machine. The inspector shows it, and what it has done."""

    def __init__(self) -> None:
        super().__init__(NODE.initial)
        self.tally = Tally()
        self.journal: deque[NodeEntry] = deque(maxlen=KEPT)
        """What has moved the machine or had an effect, the oldest first. Of beats there are too many."""
        self._began = trio.current_time()
        self.tally.enter(None, self.state, 0.0)

    @property
    def age(self) -> float:
        """Seconds since the node began to start."""
        return trio.current_time() - self._began

    def fire(self, trigger: str) -> Step:
        """Move the machine."""
        step = NODE.fire(self, trigger, None)
        self.tally.moves[trigger, step.source, step.dest] += 1
        if step.moved:
            self.tally.enter(None, step.dest, self.age)
        if step.moved or step.effects:
            effects = tuple(str(effect) for effect in step.effects)
            self.journal.append(NodeEntry(round(self.age, 3), trigger, step.source, step.dest, effects))
        return step
