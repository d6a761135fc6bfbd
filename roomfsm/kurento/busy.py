"""How busy a media server is: its processor by its own word, and what we have added to it since.

Several room servers may use the same media servers, and none sees what the others have there. What they have in
common is the processor that it costs.
"""

from __future__ import annotations

from dataclasses import dataclass

from roomfsm.kurento.objects import MANAGER
from roomfsm.kurento.visit import Visit

_MEASURED = 500
"""Milliseconds of a measurement. The connection of the visit is not served meanwhile."""
_LEAST = 0.25
"""The percent that a new endpoint counts for at least, until the next measurement."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What a media server said: the percent of all its cores in use, when we had so many endpoints there."""

    percent: float
    endpoints: int

    def now(self, endpoints: int) -> float:
        """The percent that it may be now that we have so many endpoints there.

        Those that came since the measurement count like those that were there, or a little if there were none.
        """
        each = max(_LEAST, self.percent / self.endpoints if self.endpoints else 0.0)
        return max(0.0, self.percent + each * (endpoints - self.endpoints))


async def measure(visit: Visit, endpoints: int) -> Measured | None:
    """Ask a media server how busy it is; None if it does not say it. Raises the errors of `Visit`."""
    used = await visit.invoke(MANAGER, "getUsedCpu", {"interval": _MEASURED})
    cores = await visit.invoke(MANAGER, "getCpuCount")
    if not isinstance(used, int | float) or not isinstance(cores, int) or cores < 1:
        return None
    return Measured(used / cores, endpoints)
