"""Given receivers that fail in every way, tests that webhooks arrive in order, and that nobody waits for them."""

from __future__ import annotations

import random
import time
from collections import defaultdict
from typing import Any

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from roomfsm.webhooks import delivery
from roomfsm.webhooks.delivery import Webhooks, open_webhooks
from roomfsm.webhooks.settings import WebhookSettings
from tests.processes import LOADED
from tests.webhooks.receiver import (
    OTHER,
    SECRET,
    Behave,
    Receiver,
    answering,
    endless_body,
    endless_headers,
    endless_informational,
    hang_up,
    nonsense,
    receiving,
    silent,
    verified,
)


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """A webhook that failed is tried again soon."""
    monkeypatch.setattr(delivery, "_FIRST_PAUSE", 0.01)
    monkeypatch.setattr(delivery, "_LONGEST_PAUSE", 0.05)


def to(receiver: Receiver, **changes: Any) -> WebhookSettings:
    return WebhookSettings(**{"webhook": (receiver.url,), "webhook_secret": (SECRET,), **changes})


def put(webhooks: Webhooks, number: int, room: str = "blue") -> None:
    for receiver in webhooks.receivers:
        receiver.put("roomOpened", room, {"number": number})


def numbers(receiver: Receiver) -> list[int]:
    return [event["data"]["number"] for event in receiver.events]


async def test_a_webhook_arrives_signed() -> None:
    async with receiving() as receiver, open_webhooks(to(receiver, webhook_secret=(OTHER, SECRET))) as webhooks:
        put(webhooks, 1)
        await receiver.until(1)
        (got,) = receiver.got
        assert verified(got, SECRET) == verified(got, OTHER) == got.event
        assert (got.target, got.event["type"], got.event["data"]) == (
            "/hooks?of=rooms",
            "roomOpened",
            {"number": 1},
        )
        assert got.headers["content-type"] == "application/json"
        assert abs(int(got.headers["webhook-timestamp"]) - time.time()) < 60


BAD: list[Behave] = [
    answering(500),
    answering(404),
    answering(429),
    answering(301, [("Location", "http://127.0.0.1:1/")]),
    hang_up,
    nonsense,
    endless_headers,
]


@pytest.mark.parametrize("behave", BAD)
async def test_a_receiver_that_fails_is_tried_again_with_the_same_webhook(behave: Behave) -> None:
    async with receiving(behave, behave) as receiver, open_webhooks(to(receiver)) as webhooks:
        put(webhooks, 1)
        put(webhooks, 2)
        await receiver.until(4)
        assert numbers(receiver) == [1, 1, 1, 2]
        first, second, third, _ = receiver.got
        assert first.headers["webhook-id"] == second.headers["webhook-id"] == third.headers["webhook-id"]
        assert first.body == second.body == third.body
        assert verified(third) == third.event


@pytest.mark.parametrize("behave", [silent, endless_informational])
async def test_a_receiver_that_does_not_answer_in_time_is_tried_again(behave: Behave) -> None:
    async with receiving(behave) as receiver, open_webhooks(to(receiver, webhook_timeout=0.2)) as webhooks:
        put(webhooks, 1)
        await receiver.until(2)


async def test_the_body_of_an_answer_is_not_read() -> None:
    async with receiving(endless_body) as receiver, open_webhooks(to(receiver)) as webhooks:
        put(webhooks, 1)
        put(webhooks, 2)
        await receiver.until(2)
        assert numbers(receiver) == [1, 2]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_are_never_followed(status: int) -> None:
    async with receiving() as inside:
        redirect = answering(status, [("Location", inside.url)])
        async with receiving(redirect, redirect) as receiver, open_webhooks(to(receiver)) as webhooks:
            put(webhooks, 1)
            await receiver.until(3)
        assert inside.got == []


async def test_a_receiver_that_is_not_there_is_tried_until_it_is() -> None:
    async with receiving() as gone:
        pass
    async with open_webhooks(to(gone)) as webhooks:
        put(webhooks, 1)
        put(webhooks, 2)
        with trio.fail_after(60):
            (to_it,) = webhooks.receivers
            async with trio.open_nursery() as nursery:
                back = Receiver()
                listeners = await trio.open_tcp_listeners(gone.port, host="127.0.0.1")
                nursery.start_soon(trio.serve_listeners, back.serve, listeners)
                await back.until(2)
                nursery.cancel_scope.cancel()
        assert numbers(back) == [1, 2]
        assert to_it.dropped == 0


async def test_what_was_tried_for_long_enough_is_dropped_and_the_next_says_so() -> None:
    async with (
        receiving(*[answering(500)] * 1000) as receiver,
        open_webhooks(to(receiver, webhook_retry=0.2)) as webhooks,
    ):
        put(webhooks, 1)
        (to_it,) = webhooks.receivers
        with trio.fail_after(60):
            while to_it.dropped == 0:  # noqa: ASYNC110 (nobody tells)
                await trio.sleep(0.01)
        receiver.behaves.clear()
        before = len(receiver.got)
        put(webhooks, 2)
        await receiver.until(before + 1)
        assert (receiver.events[-1]["data"], receiver.events[-1]["dropped"]) == ({"number": 2}, 1)
        with trio.fail_after(60):
            while to_it.waiting:  # noqa: ASYNC110 (nobody tells)
                await trio.sleep(0.01)
        assert (to_it.delivered, to_it.dropped) == (1, 1)


async def test_what_does_not_fit_is_dropped_and_the_next_says_how_much() -> None:
    gate = trio.Event()

    async def slow(stream: trio.SocketStream, got: Any) -> None:
        await gate.wait()
        await answering(204)(stream, got)

    async with (
        receiving(otherwise=slow) as receiver,
        open_webhooks(to(receiver, webhook_queue=5, webhook_room_queue=3)) as webhooks,
    ):
        (to_it,) = webhooks.receivers
        for number in range(10):
            put(webhooks, number)
        assert (to_it.waiting, to_it.dropped) == (3, 7)
        # The room is at its limit, and another one has its place. Then all are at the limit.
        for number in range(3):
            put(webhooks, number, "red")
        assert (to_it.waiting, to_it.dropped) == (5, 8)
        gate.set()
        await receiver.until(5)
        # Those that arrive had nothing missing before them. The next of each room has.
        assert not [event for event in receiver.events if "dropped" in event]
        for number, room, missing in ((97, "blue", 7), (98, "red", 1), (99, "blue", None)):
            with trio.fail_after(60):
                while to_it.waiting:  # noqa: ASYNC110 (nobody tells)
                    await trio.sleep(0.01)
            put(webhooks, number, room)
            await receiver.until(number - 91)
            assert receiver.events[-1].get("dropped") == missing


async def test_the_first_that_arrives_says_how_many_were_given_up_before_it() -> None:
    async with (
        receiving(*[answering(500)] * 1000) as receiver,
        open_webhooks(to(receiver, webhook_retry=0.5)) as webhooks,
    ):
        (to_it,) = webhooks.receivers
        for number in range(4):
            put(webhooks, number)
        with trio.fail_after(60):
            while to_it.dropped < 3:  # noqa: ASYNC110 (nobody tells)
                await trio.sleep(0.001)
        receiver.behaves.clear()
        put(webhooks, 4)
        with trio.fail_after(60):
            while to_it.waiting:  # noqa: ASYNC110 (nobody tells)
                await trio.sleep(0.01)
        assert receiver.events[-1]["data"]["number"] == 4
        told = {event["data"]["number"]: event.get("dropped", 0) for event in receiver.events}
        # The fourth has arrived or was given up; either way nothing is missing that nobody tells.
        assert told[4] in (0, 4)
        assert to_it.dropped + to_it.delivered == 5


async def test_no_more_connections_than_the_setting_says() -> None:
    async with receiving() as receiver, open_webhooks(to(receiver, webhook_connections=3)) as webhooks:
        for number in range(100):
            put(webhooks, number, f"room-{number % 20}")
        await receiver.until(100)
        assert receiver.most_connections <= 3


async def test_one_receiver_that_is_dead_does_not_keep_the_others_waiting() -> None:
    async with receiving(otherwise=silent) as dead, receiving() as alive:
        both = WebhookSettings(webhook=(dead.url, alive.url), webhook_secret=(SECRET,))
        async with open_webhooks(both) as webhooks:
            for number in range(20):
                put(webhooks, number)
            await alive.until(20)
            assert numbers(alive) == list(range(20))


@settings(deadline=None, max_examples=15)
@given(st.randoms(use_true_random=False), st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=30))
def test_the_webhooks_of_each_room_arrive_in_their_order_however_the_receiver_fails(
    chance: random.Random, rooms: list[str]
) -> None:
    async def main() -> None:
        bad = [chance.choice([*BAD, answering(200), answering(204)]) for _ in range(40)]
        async with receiving(*bad) as receiver, open_webhooks(to(receiver)) as webhooks:
            for number, room in enumerate(rooms):
                put(webhooks, number, room)
                if chance.random() < 0.3:
                    await trio.lowlevel.checkpoint()
            (to_it,) = webhooks.receivers
            with trio.fail_after(60):
                while to_it.waiting:  # noqa: ASYNC110 (nobody tells)
                    await trio.sleep(0.01)
            assert (to_it.dropped, to_it.delivered) == (0, len(rooms))
            first_seen: dict[str, list[int]] = defaultdict(list)
            for number in dict.fromkeys(numbers(receiver)):
                first_seen[rooms[number]].append(number)
            assert all(seen == sorted(seen) for seen in first_seen.values())

    trio.run(main)


async def test_the_end_waits_a_moment_for_what_waits_and_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    # What waits for nobody in vain is sent at once. On a busy machine that may take more than the last second.
    usual = delivery._LAST_SENDING
    monkeypatch.setattr(delivery, "_LAST_SENDING", LOADED)
    async with receiving() as receiver:
        async with open_webhooks(to(receiver)) as webhooks:
            put(webhooks, 1)
        assert numbers(receiver) == [1]
    # It is no other way when the server is cancelled.
    async with receiving() as receiver:
        with trio.CancelScope() as server:
            async with open_webhooks(to(receiver)) as webhooks:
                server.cancel()
                put(webhooks, 1)
    assert numbers(receiver) == [1]
    monkeypatch.setattr(delivery, "_LAST_SENDING", usual)
    async with receiving(otherwise=silent) as dead:
        with trio.fail_after(30):
            async with open_webhooks(to(dead, webhook_timeout=3600.0)) as webhooks:
                put(webhooks, 1)
                await dead.until(1)
