"""The life of the server that the rooms are part of: its machine."""

from __future__ import annotations

from roomfsm.lifecycle.server import SERVER, ServerFacts
from roomfsm.lifecycle.table import Model, Step
from roomfsm.log import get_logger
from roomfsm.protocol.errors import Refusal

_NO_FACTS = ServerFacts()


class ServerLife(Model):
    """One server's machine."""

    def __init__(self) -> None:
        super().__init__(SERVER.initial)

    def fire(self, trigger: str, facts: ServerFacts = _NO_FACTS) -> Step:
        """Move the machine. Raises `Refusal`."""
        step = SERVER.fire(self, trigger, facts)
        if step.moved:
            get_logger(__name__).info("server", trigger=trigger, source=step.source, dest=step.dest)
        return step

    def refusal(self, trigger: str, facts: ServerFacts = _NO_FACTS) -> Refusal | None:
        """Why the machine refuses the trigger; None if it does not, and then it took it."""
        try:
            self.fire(trigger, facts)
        except Refusal as refusal:
            return refusal
        return None
