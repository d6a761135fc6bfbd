"""Given a connection to Redis that fails, in whatever way, nothing is sent twice, and Redis is found again."""

from __future__ import annotations

import pytest
import trio

from roomfsm.store import redis_client
from roomfsm.store.interface import Append, Past, StoreCode, StoreError
from roomfsm.store.redis import open_redis
from roomfsm.store.redis_client import RedisClient, Script, open_client
from tests.mediaserver.tcp_relay import Relay, open_relay
from tests.ports import reserved_port
from tests.processes import LOADED


def way_through(relay: Relay) -> str:
    return relay.url.replace("ws://", "redis://")


async def fails(client: RedisClient) -> StoreCode:
    with pytest.raises(StoreError) as raised:
        await client.request(b"PING")
    return raised.value.code


async def until_answered(client: RedisClient) -> None:
    with trio.fail_after(LOADED):
        while True:
            try:
                with trio.move_on_after(0.5):
                    await client.request(b"PING")
                    return
            except StoreError:
                await trio.sleep(0.01)


async def test_a_commit_whose_answer_is_lost_is_not_sent_again(redis: str) -> None:
    async with (
        open_relay(redis) as relay,
        open_redis(way_through(relay), "me") as store,
        open_client(redis) as client,
    ):
        await store.commit([Append("unanswered", 0, (b"one",))])
        relay.hold_answers()

        async def commit() -> None:
            with pytest.raises(StoreError) as raised:
                await store.commit([Append("unanswered", 1, (b"two",))])
            assert raised.value.code is StoreCode.UNREACHABLE

        async with trio.open_nursery() as nursery:
            nursery.start_soon(commit)
            with trio.fail_after(LOADED):
                while await client.request(b"LLEN", "{roomfsm}:events:unanswered") < 2:  # noqa: ASYNC110 - Redis has no event
                    await trio.sleep(0.01)
            relay.cut()
            relay.release_answers()
        assert await store.read("unanswered") == Past(None, 0, (b"one", b"two"))


async def test_requests_of_many_tasks_share_one_connection(redis: str) -> None:
    async with open_relay(redis) as relay, open_client(way_through(relay)) as client:
        echo = Script("return ARGV[1]")

        async def ask(number: int) -> None:
            assert await client.run(echo, [], [number]) == str(number).encode()

        async with trio.open_nursery() as nursery:
            for number in range(100):
                nursery.start_soon(ask, number)
        assert relay.accepted == 1


async def test_a_script_that_redis_has_forgotten_is_sent_again(redis: str) -> None:
    async with open_client(redis) as client:
        script = Script("return redis.call('INCR', '{roomfsm}:count')")
        first = await client.run(script, [], [])
        await client.request(b"SCRIPT", b"FLUSH")
        assert await client.run(script, [], []) == first + 1


async def test_a_request_that_is_cancelled_disturbs_no_other(redis: str) -> None:
    async with open_relay(redis) as relay, open_client(way_through(relay)) as client:
        await client.request(b"PING")
        relay.hold_answers()
        with trio.CancelScope() as scope:
            scope.cancel()
            await client.request(b"PING")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.request, b"PING")
            relay.release_answers()
        assert await client.request(b"ECHO", "mine") == b"mine"
        assert relay.accepted == 1


async def test_a_connection_on_which_redis_is_silent_is_given_up(
    redis: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_client, "_SILENCE", 0.1)
    async with open_relay(redis) as relay, open_client(way_through(relay)) as client:
        await client.request(b"PING")
        # The machine at the other end is gone: this connection will never have an answer.
        relay.hold_answers()
        began = trio.current_time()
        while trio.current_time() < began + 0.2:
            # Even those who have little patience find that out.
            with trio.move_on_after(0.02):
                await client.request(b"PING")
        relay.release_answers()
        await until_answered(client)
        assert relay.accepted > 1


async def test_redis_is_found_again_however_often_it_was_not_there(redis: str) -> None:
    with reserved_port() as port:
        async with open_client(f"redis://127.0.0.1:{port}") as client:
            for _ in range(100):
                assert await fails(client) is StoreCode.UNREACHABLE
            (listener,) = await trio.open_tcp_listeners(port, host="127.0.0.1")
            relay = Relay(redis, listener)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(trio.serve_listeners, relay.serve, [listener])
                await until_answered(client)
                nursery.cancel_scope.cancel()
