"""A room's record: it notes the durable events, and holds back what the room tells until they are kept.

Whatever the room notes in a turn it notes before it tells anybody. From then on everything that it tells waits
until the store has committed that, in the order in which it was told (`roomfsm.rooms.writer`). So whoever is told
something may rely on it. A room that has noted nothing since the last commit tells at once.

If several servers share the store, a room may turn out to be another server's. Then its record is *disowned*: it
notes and tells nothing any more, and what was held back is never told.

`Record` itself is that of a room that is not kept: it notes nothing, and tells at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from roomfsm.protocol.codec import Outgoing
from roomfsm.rooms.durable import Durable
from roomfsm.store.interface import Past

NO_PAST = Past(None, 0, ())

type Ear = Callable[[Outgoing], None]
type Describe = Callable[[], Iterable[Durable]]
"""Gives the shortest list of events that make a room as it is now."""


class Hearer(Protocol):
    """Somebody who is told something."""

    @property
    def participant_id(self) -> str:
        """Who it is."""

    @property
    def ear(self) -> Ear | None:
        """What sends a message over the connection that there is now; None if there is none."""

    def hear(self, outgoing: Outgoing) -> None:
        """Send a message to the browser."""


class NotOurs(Exception):
    """The room is another server's, so nobody knows what became of what was noted."""


class Record:
    """The record of a room that is not kept."""

    @property
    def disowned(self) -> bool:
        """Whether the room is another server's."""
        return False

    def on_disowned(self, learn: Callable[[], None]) -> None:
        """Have this called if the room turns out to be another server's."""

    @property
    def keeps(self) -> bool:
        """Whether what is noted now will be kept. If not, the room must promise nothing."""
        return True

    @property
    def full(self) -> bool:
        """Whether so much waits for the store that the room has to wait, too."""
        return False

    def describe_by(self, describe: Describe) -> None:
        """Have snapshots made by this function."""

    def restore(self, tokens: Mapping[str, tuple[bytes, ...]]) -> None:
        """Take over the hashes of the tokens by which people of a room that came back come back."""

    def note(self, event: Durable) -> None:
        """Note that a table has let this happen."""

    def tokens_of(self, person: str) -> tuple[bytes, ...]:  # noqa: ARG002 (nobody comes back)
        """The hashes of the tokens that bring this person back, as far as that was noted."""
        return ()

    def tell(self, hearer: Hearer, outgoing: Outgoing) -> None:
        """Tell somebody something, once everything is kept that was noted before."""
        hearer.hear(outgoing)

    def end(self, *, forget: bool) -> None:
        """Note nothing more. The room has ended (`forget`), or it comes back when the server does."""

    def set_aside(self, why: str) -> None:
        """Note nothing more, because the room has failed. What is kept of it is for the operator."""

    async def until_kept(self) -> None:
        """Returns when everything is kept that was noted before, or when it is clear that it is not.

        Raises `NotOurs`.
        """

    async def until_not_full(self) -> None:
        """Returns when the room may go on."""


UNRECORDED = Record()


class Records(Protocol):
    """What gives each room its record."""

    @property
    def keeps(self) -> bool:
        """Whether what rooms promise now will be kept."""

    def record(self, key: str, past: Past = NO_PAST) -> Record:
        """The record of the room with this key, of which the store has this past."""


class KeepsNothing:
    """What gives rooms their records on a server without a store. Implements `Records`."""

    @property
    def keeps(self) -> bool:
        """Nothing was ever promised."""
        return True

    def record(self, key: str, past: Past = NO_PAST) -> Record:  # noqa: ARG002 (nothing is kept)
        return UNRECORDED


NOTHING_KEPT = KeepsNothing()
