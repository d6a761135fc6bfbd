"""Given a room with a password, it is checked in a thread, and who guesses wrongly has to wait."""

from __future__ import annotations

import pytest
import trio
from argon2 import PasswordHasher
from trio.testing import MockClock

from roomfsm.access import passwords
from roomfsm.access.guesses import Guesses
from roomfsm.protocol.errors import ErrorCode, Refusal
from roomfsm.signaling.password_check import PasswordCheck

HASH = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash("open sesame")
OTHER = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash("another word")


@pytest.fixture
def clock() -> MockClock:
    """Stands still, so that the delays pass only when a test says so."""
    return MockClock()


async def guess(
    check: PasswordCheck, password: str, address: str = "here", room: str = "blue"
) -> bool | ErrorCode:
    try:
        return await check.is_right(password, HASH, address, room)
    except Refusal as refusal:
        return refusal.code


async def test_the_password_is_right_or_wrong_also_after_it_was_right_once(clock: MockClock) -> None:
    check = PasswordCheck(Guesses())
    for _ in range(2):
        assert await guess(check, "open sesamE") is False
        assert await guess(check, "open sesame") is True
    assert await check.is_right("another word", OTHER, "here", "red")
    assert not await check.is_right("open sesame", OTHER, "here", "red")


async def test_wrong_passwords_make_the_address_wait_for_that_room(clock: MockClock) -> None:
    check = PasswordCheck(Guesses(free=2, first=8))
    assert [await guess(check, "x") for _ in range(3)] == [False, False, "rate_limited"]
    # Even the right one is not heard now, because whoever guesses would learn that it is right.
    assert await guess(check, "open sesame") is ErrorCode.RATE_LIMITED
    assert await guess(check, "open sesame", address="there") is True
    assert await guess(check, "open sesame", room="red") is True
    for already, left in ((0.0, 8), (0.6, 8), (7.0, 1)):
        clock.jump(already)
        # The rest is rounded up: it is never "0 s", after which it would still be too early.
        with pytest.raises(Refusal, match=f"try again in {left} s"):
            await check.is_right("x", HASH, "here", "blue")
    clock.jump(0.5)
    assert await guess(check, "open sesame") is True
    assert await guess(check, "x") is False


async def test_many_guesses_at_a_time_are_no_more_guesses(clock: MockClock) -> None:
    check = PasswordCheck(Guesses(free=3), threads=1)
    answers: list[bool | ErrorCode] = []

    async def guessed(number: int) -> None:
        answers.append(await guess(check, f"guess {number}"))

    async with trio.open_nursery() as nursery:
        for number in range(1000):
            nursery.start_soon(guessed, number)
    assert answers.count(False) == 3
    assert answers.count(ErrorCode.RATE_LIMITED) == 997


async def test_a_crowd_that_knows_the_password_is_checked_once(
    clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked = 0

    def is_password(password: str, password_hash: str) -> bool:
        nonlocal checked
        checked += 1
        return real(password, password_hash)

    real = passwords.is_password
    monkeypatch.setattr("roomfsm.signaling.password_check.is_password", is_password)
    check = PasswordCheck(Guesses(), threads=1)
    async with trio.open_nursery() as nursery:
        for _ in range(500):
            nursery.start_soon(guess, check, "open sesame")
    assert checked == 1


async def test_who_has_to_wait_too_long_for_a_thread_is_told_so(clock: MockClock) -> None:
    check = PasswordCheck(Guesses(), threads=1, deadline=10)
    async with trio.open_nursery() as nursery, check.limiter:

        async def refused() -> None:
            with pytest.raises(Refusal, match="Too many people") as caught:
                await check.is_right("open sesame", HASH, "here", "blue")
            assert caught.value.code is ErrorCode.RATE_LIMITED

        nursery.start_soon(refused)
        await trio.testing.wait_all_tasks_blocked()
        clock.jump(10)


async def test_who_knows_the_password_does_not_wait_for_those_who_guess(clock: MockClock) -> None:
    check = PasswordCheck(Guesses(), threads=1)
    assert await guess(check, "open sesame")
    async with check.limiter:
        assert await guess(check, "open sesame", address="there")
        assert await guess(check, "x", address="elsewhere") is False
