"""Given 200 cycles of publishing, viewing and leaving, the ledger of the real media server is 0 during and after.

`pytest -s` prints the figures.
"""

from __future__ import annotations

import time
from itertools import count
from pathlib import Path

import trio

from tests.mediaserver.peer import open_test_peer
from tests.metrics.scrape import TOKEN, Scraped, read
from tests.processes import LOADED
from tests.protocol_client import Client, open_client
from tests.serving import UNMETERED
from tests.system.program import Program, running

CYCLES, PAIRS = 200, 10
WIDE = {
    **UNMETERED,
    "message_burst": 10**6,
    "message_rate": 1e6,
    "entries_per_address": 1e6,
    "entries_burst_per_address": 10**6,
    "linger": 0.05,
}


async def meet(number: int, ada: Client, bob: Client, offers: tuple[str, str]) -> None:
    """Two cycles: each of the two publishes, and views the other. They end in three ways: one stream and view
    after the other, by leaving while somebody still views, and by leaving while a view is not answered yet.
    """
    room, (publish, view) = f"room-{number}", offers
    await ada.join(room)
    await bob.join(room)
    for one in (ada, bob):
        assert (await one.ask("publish", source="camera", sdp=publish))["type"] == "answer"
    for one, other in ((ada, bob), (bob, ada)):
        if number % 3:
            assert (await one.ask("view", stream=f"{other.me}.camera", sdp=view))["type"] == "answer"
        else:
            await one.send("view", stream=f"{other.me}.camera", sdp=view)
    if number % 3 == 1:
        for one, other in ((ada, bob), (bob, ada)):
            await one.ask("unview", stream=f"{other.me}.camera")
            await one.ask("unpublish", stream=f"{one.me}.camera")
    for one in (ada, bob):
        await one.ask("leave")
        one.seen.clear()
        one._passed.clear()


async def page_of(program: Program) -> Scraped:
    """The metrics with a ledger: a media server on a busy machine does not always say in time what it holds."""
    with trio.fail_after(LOADED):
        while True:
            page = await trio.to_thread.run_sync(read, f"{program.address}metrics", TOKEN)
            if page("roomfsm_media_stock_taken") == 1:
                return page


def check(page: Scraped) -> None:
    assert page("roomfsm_media_ledger") == 0, page.text


async def test_the_ledger_is_zero_during_and_after_hundreds_of_cycles(tmp_path: Path) -> None:
    wide = [f"--{name.replace('_', '-')}={value}" for name, value in WIDE.items()]
    with running(tmp_path, f"--metrics-token={TOKEN}", *wide) as program:
        began, numbers, busiest = time.monotonic(), count(1), 0.0

        async def pair(done: trio.Event) -> None:
            async with open_client(program.url) as ada, open_client(program.url) as bob:
                while (number := next(numbers)) <= CYCLES // 2:
                    await meet(number, ada, bob, offers)
            done.set()

        async with open_test_peer("sendonly") as camera, open_test_peer("recvonly") as display:
            offers = camera.offer, display.offer
            ends = [trio.Event() for _ in range(PAIRS)]
            async with trio.open_nursery() as nursery:
                for end in ends:
                    nursery.start_soon(pair, end)
                while not all(end.is_set() for end in ends):
                    page = await page_of(program)
                    check(page)
                    busiest = max(busiest, page("roomfsm_media_objects_reported", type="WebRtcEndpoint"))
                    await trio.sleep(2)
        assert busiest > 0
        with trio.fail_after(60):
            while (page := await page_of(program))("roomfsm_media_objects_held") != 0:
                check(page)
        check(page)
        print(
            f"\n{CYCLES} cycles in {time.monotonic() - began:.1f} s, at most {busiest:.0f} endpoints at a scrape"
        )
        assert page("roomfsm_media_objects_reported") == 0
        assert page("roomfsm_media_calls_total", method="create", outcome="ok") >= 2 * CYCLES
        assert page("roomfsm_transitions_total", machine="stream", trigger="answered") == CYCLES
        assert page("roomfsm_transitions_total", machine="stream", trigger="end") == CYCLES
        # Some leave before the room has heard that they want to view.
        assert CYCLES / 2 < page("roomfsm_transitions_total", machine="view", trigger="end") <= CYCLES
        assert page("roomfsm_join_seconds_count", message="join") == CYCLES
