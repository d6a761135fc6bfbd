"""The memory of replies: how long, how much (recordings 08, 09)."""

from trio.testing import MockClock

from roomfsm.jsonrpc import Response
from roomfsm.mediaserver.kurento.limits import Limits
from roomfsm.mediaserver.kurento.sessions import ReplyCache


async def test_a_reply_is_remembered_for_request_cache_time(mock_clock: MockClock) -> None:
    cache = ReplyCache(Limits(request_cache_time=20))
    reply = Response(2, {"value": "pong"})
    cache.put(reply, 100)
    mock_clock.jump(19.9)
    assert cache.get(2) is reply
    mock_clock.jump(0.1)
    assert cache.get(2) is None


async def test_beyond_request_cache_size_the_oldest_replies_are_forgotten() -> None:
    cache = ReplyCache(Limits(request_cache_size=300))
    replies = [Response(id_, {}) for id_ in range(4)]
    for reply in replies:
        cache.put(reply, 100)
    assert [cache.get(id_) for id_ in range(4)] == [None, *replies[1:]]
    cache.put(Response(9, {}), 301)
    assert [cache.get(id_) for id_ in (1, 2, 3, 9)] == [None] * 4


async def test_a_second_reply_to_an_id_replaces_the_first(mock_clock: MockClock) -> None:
    """Two sockets of one session can be served the same id at once."""
    cache = ReplyCache(Limits(request_cache_size=300, request_cache_time=20))
    cache.put(Response(1, "first"), 100)
    cache.put(Response(2, "other"), 100)
    mock_clock.jump(10)
    for _ in range(5):
        cache.put(Response(1, "second"), 100)
    assert (cache.get(1), cache.get(2)) == (Response(1, "second"), Response(2, "other"))
    mock_clock.jump(10)
    assert (cache.get(1), cache.get(2)) == (Response(1, "second"), None)


async def test_a_text_and_a_number_with_the_same_digits_are_one_id() -> None:
    cache = ReplyCache(Limits())
    reply = Response("7", {})
    cache.put(reply, 1)
    assert cache.get(7) is reply
    assert cache.get(8) is None
