"""How many bytes the files take, and how many they may.

A place is kept from the moment in which a file is announced, for as many bytes as were announced, so that files
that arrive at the same time cannot take more than there is. Nobody may take all of it: what one person has in a
room, and what one address has on the server, must also fit into the place that is free (dynamic thresholds,
Choudhury and Hahne 1998; `roomfsm.rooms.allowance` uses them, too). So whoever sends as much as possible stops at
half, and the rest is there for others.

Whoever leaves a room and comes back is another person, but the files of before are still there. So half of what an
address has in a room must fit as well: people of one address stop at two thirds, and one of them who has taken
half leaves something to the others.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

_LEAST = 65_536
"""What a file takes at least. So there is a bound on the number of files, too."""


@dataclass(frozen=True, slots=True)
class Claim:
    """The place of one file: for which room, person and address, and how many bytes."""

    room: str
    person: str
    address: str
    size: int

    @property
    def cost(self) -> int:
        """What it takes of the places."""
        return max(self.size, _LEAST)


@dataclass(slots=True)
class Places:
    """The places of one server. Sizes are in bytes."""

    most: int
    most_of_room: int
    taken: int = 0
    _of: Counter[tuple[str, ...]] = field(default_factory=Counter)
    """What rooms take, people and addresses in a room, and addresses."""

    def fit(self, claim: Claim) -> bool:
        """Whether there is a place for it, in its room and on the server."""
        room, person, neighbours, address = (self._of[holder] for holder in _holders(claim))
        in_room = room + max(person, neighbours // 2) + claim.cost <= self.most_of_room
        return in_room and self.taken + address + claim.cost <= self.most

    def take(self, claim: Claim) -> None:
        """Keep a place. `fit` must just have allowed it."""
        self._count(claim, claim.cost)

    def give_back(self, claim: Claim) -> None:
        """Give back a place that was taken."""
        self._count(claim, -claim.cost)

    def _count(self, claim: Claim, cost: int) -> None:
        self.taken += cost
        for holder in _holders(claim):
            self._of[holder] += cost
            if not self._of[holder]:
                del self._of[holder]


def _holders(claim: Claim) -> tuple[tuple[str, ...], ...]:
    room, person, address = claim.room, claim.person, claim.address
    return ("room", room), ("person", room, person), ("neighbours", room, address), ("address", address)
