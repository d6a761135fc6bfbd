"""The machine of the server that the rooms are part of, with a tally of what it has done so far."""

from __future__ import annotations

from collections.abc import Callable

import trio

from roomfsm.lifecycle.server import SERVER, ServerFacts
from roomfsm.lifecycle.table import Model, Step
from roomfsm.log import get_logger
from roomfsm.protocol.errors import Refusal
from roomfsm.rooms.journal import Tally

_NO_FACTS = ServerFacts()


class ServerLife(Model):
    """One server's machine. The inspector shows the states and moves in its `tally`."""

    def __init__(self) -> None:
        super().__init__(SERVER.initial)
        self.tally = Tally()
        self.leave: dict[str, Callable[[], None]] = {}
        """What ends a resource when the machine leaves the last state that owns it, by the resource's name."""
        self._began = trio.current_time()
        self.tally.enter(None, self.state, 0.0)

    @property
    def age(self) -> float:
        """Seconds since the server began to start."""
        return trio.current_time() - self._began

    def fire(self, trigger: str, facts: ServerFacts = _NO_FACTS) -> Step:
        """Move the machine. Raises `Refusal`."""
        step = SERVER.fire(self, trigger, facts)
        if step.moved:
            self.tally.moves[trigger, step.source, step.dest] += 1
            self.tally.enter(None, step.dest, self.age)
            get_logger(__name__).info("server", trigger=trigger, source=step.source, dest=step.dest)
        for resource in step.left:
            if (end := self.leave.get(resource)) is not None:
                end()
        return step

    def refusal(self, trigger: str, facts: ServerFacts = _NO_FACTS) -> Refusal | None:
        """Fire the trigger. Returns None if the machine took it, and otherwise why it refused."""
        try:
            self.fire(trigger, facts)
        except Refusal as refusal:
            return refusal
        return None
