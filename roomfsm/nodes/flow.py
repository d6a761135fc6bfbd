"""How much may be on its way between two nodes: a sender spends credit, and the receiver gives it back."""

from __future__ import annotations

import trio


class Credit:
    """How many parts may be sent now. It is over when what they belong to is."""

    def __init__(self, parts: int) -> None:
        self._parts = parts
        self._lot = trio.lowlevel.ParkingLot()
        self.over = False

    async def take(self) -> bool:
        """Wait until one more part may be sent. Returns False if none may be sent any more."""
        while not self._parts and not self.over:
            await self._lot.park()
        if self.over:
            return False
        self._parts -= 1
        return True

    def give(self, parts: int = 1) -> None:
        """So many more parts may be sent."""
        self._parts += parts
        self._lot.unpark(count=parts)

    def end(self) -> None:
        """Nothing may be sent any more."""
        self.over = True
        self._lot.unpark_all()
