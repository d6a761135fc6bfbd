"""A link to one media server for tests that look below the pool."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from roomfsm.kurento import KurentoSettings
from roomfsm.kurento.link import Link


@asynccontextmanager
async def open_link(
    url: str, settings: KurentoSettings
) -> AsyncIterator[tuple[Link, trio.MemoryReceiveChannel[bool]]]:
    """A connected link, and the later changes of its `connected`. The link is closed at the end of the scope."""
    announce, changes = trio.open_memory_channel[bool](10)
    link = Link(url, settings, lambda: announce.send_nowait(link.connected))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(link.run)
        try:
            assert await changes.receive()
            yield link, changes
        finally:
            # A failing test must end it too: cancellation does not.
            await link.close()
