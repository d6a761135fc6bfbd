"""A room server in the test's own process, on a free port of the loopback, over a real media server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import fields
from typing import Any

from roomfsm.access.settings import AccessSettings
from roomfsm.door.settings import DoorSettings
from roomfsm.files.settings import FileSettings
from roomfsm.nodes.settings import NodeSettings
from roomfsm.rooms.settings import RoomSettings
from roomfsm.server import End, Running, open_server
from roomfsm.settings import ServerSettings, Settings
from roomfsm.signaling.settings import SignalingSettings
from roomfsm.store.settings import NOWHERE, StoreSettings
from roomfsm.web.settings import WebSettings
from roomfsm.webhooks.settings import WebhookSettings
from tests.processes import LOADED

UNMETERED: dict[str, Any] = {
    "told_rate": 1e9,
    "told_bytes": 1e9,
    "room_told_rate": 1e9,
    "room_told_bytes": 1e9,
    "told_rate_per_address": 1e9,
    "told_bytes_per_address": 1e9,
}
"""Changes with which anybody may have as much told to everybody as the message rate allows."""


_PARTS: tuple[type[Any], ...] = (
    ServerSettings,
    DoorSettings,
    RoomSettings,
    SignalingSettings,
    WebSettings,
    AccessSettings,
    WebhookSettings,
    FileSettings,
    StoreSettings,
    NodeSettings,
)


def settings(*kurento: str, **changes: Any) -> Settings:
    """Settings with some changed, whichever part they belong to. `kurento` are the media servers."""
    parts: dict[type[Any], dict[str, Any]] = {
        ServerSettings: {"kurento": kurento, "port": 0},
        # Nobody is late on a busy machine, neither a store nor a client that does not answer pings at all.
        SignalingSettings: {"heartbeat_timeout": 10 * LOADED},
        StoreSettings: {"store_deadline": LOADED} | ({} if "store" in changes else {"data": NOWHERE}),
    }
    for name, value in changes.items():
        (part,) = (p for p in _PARTS if name in {f.name for f in fields(p)})
        parts.setdefault(part, {})[name] = value
    return Settings(
        server=ServerSettings(**parts[ServerSettings]),
        door=DoorSettings(**parts.get(DoorSettings, {})),
        rooms=RoomSettings(**parts.get(RoomSettings, {})),
        signaling=SignalingSettings(**parts[SignalingSettings]),
        web=WebSettings(**parts.get(WebSettings, {})),
        access=AccessSettings(**parts.get(AccessSettings, {})),
        files=FileSettings(**parts.get(FileSettings, {})),
        webhooks=WebhookSettings(**parts.get(WebhookSettings, {})),
        store=StoreSettings(**parts[StoreSettings]),
        nodes=NodeSettings(**parts.get(NodeSettings, {})),
    )


class Served:
    """A running server and its addresses."""

    def __init__(self, running: Running, scheme: str = "ws") -> None:
        self.running = running
        self.port = running.port
        self.url = f"{scheme}://127.0.0.1:{running.port}/ws"


@asynccontextmanager
async def serving(*kurento: str, **changes: Any) -> AsyncIterator[Served]:
    """Run a server; leaving drains it, as the change `end` says, if there is one."""
    end: End | None = changes.pop("end", None)
    async with open_server(settings(*kurento, **changes), end=end) as running:
        yield Served(running, "wss" if "certfile" in changes else "ws")
