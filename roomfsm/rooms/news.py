"""News for the people of a room: encoded once, however many they are."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from roomfsm.protocol.client import message_type
from roomfsm.protocol.codec import Outgoing
from roomfsm.protocol.fields import Ref
from roomfsm.protocol.server import ServerMessage
from roomfsm.rooms.participant import Participant


def tell(
    people: Iterable[Participant],
    message: ServerMessage,
    replied: Participant | None = None,
    *,
    ref: Ref | None = None,
    merge: str | None = None,
) -> None:
    """Tell all of them; the one whose message this replies to gets its `ref` back.

    `merge` names what the news are about, where a newer one of the same type makes an older one worthless.
    """
    outgoing = Outgoing(message, None if merge is None else f"{message_type(message)} {merge}")
    for participant in people:
        if participant is replied and ref is not None:
            participant.send(msgspec.structs.replace(message, ref=ref))
        else:
            participant.deliver(outgoing)
