"""Tests the budgets that the clients of one address share, and when an address is forgotten."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from roomfsm.protocol.errors import ErrorCode, Refusal
from roomfsm.rooms.allowance import Cost, Meter
from roomfsm.signaling.addresses import Address, Addresses
from roomfsm.signaling.settings import SignalingSettings

SECONDS = 5.0
SETTINGS = SignalingSettings(entries_per_address=2.0, entries_burst_per_address=4)


def addresses() -> Addresses[str]:
    return Addresses(SETTINGS, SECONDS)


async def test_an_address_may_enter_up_to_its_burst_and_then_at_its_rate(autojump_clock: MockClock) -> None:
    address: Address[str] = addresses().of("192.0.2.1")
    for _ in range(4):
        address.may_enter()
    for seconds in (0.0, 0.49):
        await trio.sleep(seconds)
        with pytest.raises(Refusal) as refused:
            address.may_enter()
        assert refused.value.code is ErrorCode.RATE_LIMITED
    await trio.sleep(0.02)
    address.may_enter()
    with pytest.raises(Refusal):
        address.may_enter()


async def test_an_address_is_idle_when_no_past_use_counts_any_more(autojump_clock: MockClock) -> None:
    address: Address[str] = addresses().of("192.0.2.1")
    assert address.is_idle(trio.current_time())
    address.sessions.add("one")
    assert not address.is_idle(trio.current_time())
    address.sessions.clear()
    address.may_enter()
    assert not address.is_idle(trio.current_time())
    await trio.sleep(0.5)
    assert address.is_idle(trio.current_time())
    for share in (address.share, address.names):
        cost, now = Cost(1.0, 1.0), trio.current_time()
        assert share.has_place(cost, Meter(), now)
        share.use("p1", address.key, cost, now)
        assert not address.is_idle(trio.current_time())
        await trio.sleep(2 * SECONDS)
        assert address.is_idle(trio.current_time())


async def test_checking_names_has_a_budget_apart_from_sending(autojump_clock: MockClock) -> None:
    address: Address[str] = addresses().of("192.0.2.1")
    assert address.share is not address.names
    assert address.share.rates == address.names.rates


async def test_idle_addresses_are_forgotten_at_a_hundred_and_then_at_twice_as_many(
    autojump_clock: MockClock,
) -> None:
    known = addresses()
    for number in range(100):
        address = known.of(f"{number}")
        assert known.of(f"{number}") is address
        if number < 80:
            address.sessions.add("one")
    assert len(known) == 100
    known.of("100")
    assert len(known) == 81, "twenty were idle"
    kept = known.of("5")
    for number in range(200, 279):
        known.of(f"{number}")
    assert len(known) == 160
    known.of("300")
    assert len(known) == 81
    assert known.of("5") is kept
