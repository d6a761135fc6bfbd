"""Tests which lines of chat a room keeps, and which words of a media server about an offer it passes on."""

from __future__ import annotations

import msgspec
import pytest

from roomfsm.rooms.chat import ChatHistory
from roomfsm.rooms.offer_words import about_offer

LINE = ("p1", "Ada", "hello", 1000)


def test_lines_are_numbered_and_the_oldest_are_dropped_first() -> None:
    history = ChatHistory(3, 10_000)
    assert [history.add(*LINE).seq for _ in range(3)] == [1, 2, 3]
    assert [line.seq for line in history.lines()] == [1, 2, 3]
    history.add(*LINE)
    assert [line.seq for line in history.lines()] == [2, 3, 4]


@pytest.mark.parametrize(("spare", "kept"), [(0, [1, 2]), (-1, [2])])
def test_the_kept_lines_take_no_more_bytes_than_the_bound(spare: int, kept: list[int]) -> None:
    """The bytes of the lines, each with the comma behind it."""
    size = len(msgspec.json.encode(ChatHistory(1, 10_000).add(*LINE))) + 1
    history = ChatHistory(9, 2 * size + spare)
    for _ in range(2):
        history.add(*LINE)
    assert [line.seq for line in history.lines()] == kept


def test_a_line_that_is_longer_than_the_bound_is_not_kept() -> None:
    history = ChatHistory(9, 100)
    assert history.add("p1", "Ada", "x" * 200, 1000).seq == 1
    assert history.lines() == ()
    history.add("p1", "A", "x", 1)
    assert [line.seq for line in history.lines()] == [2]


def test_a_line_that_is_deleted_leaves_its_place_in_the_bounds() -> None:
    history = ChatHistory(3, 10_000, 4)
    for _ in range(3):
        history.add(*LINE)
    history.delete(2)
    history.add(*LINE)
    assert [line.seq for line in history.lines()] == [1, 3, 4]
    assert [history.speaker_of(seq) for seq in range(6)] == [None, "p1", None, "p1", "p1", None]
    history.add(*LINE)
    assert [history.speaker_of(seq) for seq in (1, 5)] == [None, "p1"]
    history.delete(5)
    size = history._bytes
    assert [line.seq for line in history.lines()] == [3, 4]
    assert size == sum(len(msgspec.json.encode(line)) + 1 for line in history.lines())
    history.clear()
    assert history.speaker_of(4) is None
    assert history.add(*LINE).seq == 6


OFFER = "o=alpha9 10.1.2.3\ns=line 3 (a=q\nc=IN IP4 10.4.5.6"


@pytest.mark.parametrize(
    "words",
    [
        "line 1 (o=alpha9 10.1.2) is wrong",
        "line 3 (c=IN IP4 10.4.5…) is wrong",
        "line 2 (s=line 3 (a=q) and line 3 (c=IN IP4 10.4.5) differ",
        "line 1 (o=alpha9 10.1.2) and line 3 (c=IN IP4 10.4.5) differ",
    ],
)
def test_a_media_server_may_cut_the_line_of_the_offer_that_it_quotes(words: str) -> None:
    assert about_offer(words, OFFER) == words


@pytest.mark.parametrize(
    "words",
    [
        "line 0 (c=IN IP4 10.4.5) is wrong",
        "line 2 (c=IN IP4 10.4.5) is wrong",
        "line 4 (c=IN IP4 10.4.5) is wrong",
        "line 3 (c=IN IP4 10.4.9) is wrong",
        "10.9.9.9 says: line 1 (o=alpha9 10.1.2) is wrong",
        "line 1 (o=alpha9 10.1.2) says 10.9.9.9",
        "line 1 (o=alpha9 10.1.2) of 10.9.9.9 and line 3 (c=IN IP4 10.4.5) differ",
    ],
)
def test_the_words_around_a_quoted_line_must_not_name_anything_internal(words: str) -> None:
    assert about_offer(words, OFFER) is None
