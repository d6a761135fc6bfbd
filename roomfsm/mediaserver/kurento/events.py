"""Events in the form in which Kurento sends them, and the subscriptions to them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from roomfsm import jsonrpc

MEDIA_OBJECT_EVENTS = frozenset({"Error"})
SERVER_MANAGER_EVENTS = MEDIA_OBJECT_EVENTS | {"ObjectCreated", "ObjectDestroyed"}
MEDIA_PIPELINE_EVENTS = MEDIA_OBJECT_EVENTS
MEDIA_ELEMENT_EVENTS = MEDIA_OBJECT_EVENTS | {
    "ElementConnected",
    "ElementDisconnected",
    "MediaFlowInStateChanged",
    "MediaFlowOutStateChanged",
    "MediaTranscodingStateChanged",
}
SESSION_ENDPOINT_EVENTS = MEDIA_ELEMENT_EVENTS | {"MediaSessionStarted", "MediaSessionTerminated"}
BASE_RTP_ENDPOINT_EVENTS = SESSION_ENDPOINT_EVENTS | {"ConnectionStateChanged", "MediaStateChanged"}
WEBRTC_ENDPOINT_EVENTS = BASE_RTP_ENDPOINT_EVENTS | {
    "DataChannelClosed",
    "DataChannelOpened",
    "DtlsConnectionStateChange",
    "IceCandidateFound",
    "IceComponentStateChanged",
    "IceGatheringDone",
    "LayersWanted",
    "MediaPausedStateChanged",
    "NewCandidatePairSelected",
    "SpeakingStateChanged",
}

UNTYPED_EVENTS = frozenset({"ObjectCreated", "ObjectDestroyed"})
"""Events whose `data` has no `type` (as recorded with Kurento 7.3)."""


def encode_event(
    source: str, type_: str, data: Mapping[str, Any], tags: list[dict[str, str]], timestamp_millis: int
) -> str:
    """The `onEvent` notification. `timestampMillis` is a text."""
    body: dict[str, Any] = {
        **data,
        "source": source,
        "tags": tags,
        "timestampMillis": str(timestamp_millis),
    }
    if type_ not in UNTYPED_EVENTS:
        # The data of an Error has the error's own type.
        body.setdefault("type", type_)
    value = {"data": body, "object": source, "type": type_}
    return jsonrpc.encode(jsonrpc.Notification("onEvent", {"value": value}))


class Subscriptions:
    """The subscriptions to the events of one object.

    A session that subscribed twice to a type gets each event once, until it has cancelled both subscriptions.
    """

    def __init__(self) -> None:
        self._by_id: dict[str, tuple[str, str]] = {}

    def __len__(self) -> int:
        return len(self._by_id)

    def add(self, subscription_id: str, type_: str, session_id: str) -> None:
        self._by_id[subscription_id] = (type_, session_id)

    def remove(self, subscription_id: str) -> None:
        """Forget one subscription. As in Kurento, it is no error if it is unknown."""
        self._by_id.pop(subscription_id, None)

    def remove_session(self, session_id: str) -> None:
        self._by_id = {key: value for key, value in self._by_id.items() if value[1] != session_id}

    def clear(self) -> None:
        self._by_id.clear()

    def sessions(self, type_: str) -> Iterator[str]:
        """The sessions that have subscribed to this type, each once."""
        return iter({session_id: None for wanted, session_id in self._by_id.values() if wanted == type_})
