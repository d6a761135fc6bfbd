"""What both stores do alike."""

from __future__ import annotations

import pytest

from roomfsm.store.interface import Append, Forget, Past, Remember, SetAside, Snapshot, StoreCode, StoreError
from tests.store.conftest import Open


async def test_what_is_appended_is_read_again(opens: Open) -> None:
    async with opens() as store:
        await store.commit([Append("blue", 0, (b"one", b"two"), {b"\x00token": True}), Append("red", 0, (b"1",))])
        await store.commit([Append("blue", 2, (b"\xffthree",))])
    async with opens() as store:
        assert await store.rooms() == ["blue", "red"]
        assert await store.read("blue") == Past(None, 0, (b"one", b"two", b"\xffthree"))
        assert (await store.read("blue")).next == 3
        assert await store.read("green") == Past(None, 0, ())
        assert await store.room_of(b"\x00token") == "blue"
        assert await store.room_of(b"another") is None


async def test_a_snapshot_replaces_what_was_before_it(opens: Open) -> None:
    async with opens() as store:
        await store.commit([Append("blue", 0, (b"one", b"two"), {b"t1": True, b"t2": True})])
        await store.commit([Snapshot("blue", 2, b"all", (b"t2", b"t3")), Append("blue", 2, (b"three",))])
        assert await store.read("blue") == Past(b"all", 2, (b"three",))
        assert [await store.room_of(token) for token in (b"t1", b"t2", b"t3")] == [None, "blue", "blue"]


async def test_a_room_that_is_forgotten_leaves_nothing(opens: Open) -> None:
    async with opens() as store:
        await store.commit([Append("blue", 0, (b"one",), {b"t": True}), Append("red", 0, (b"1",))])
        await store.commit([Forget("blue")])
        assert await store.rooms() == ["red"]
        assert await store.read("blue") == Past(None, 0, ())
        assert await store.room_of(b"t") is None
        await store.commit([Append("blue", 0, (b"anew",))])
        assert await store.read("blue") == Past(None, 0, (b"anew",))


async def test_a_token_belongs_to_the_room_that_had_it_last(opens: Open) -> None:
    """Somebody who goes from room to room takes the token along, and the old room gives it up a moment later."""
    async with opens() as store:
        await store.commit([Append("blue", 0, (b"came",), {b"t": True})])
        await store.commit([Append("red", 0, (b"came",), {b"t": True})])
        await store.commit([Append("blue", 1, (b"left",), {b"t": False})])
        assert await store.room_of(b"t") == "red"
        await store.commit([Forget("blue")])
        assert await store.room_of(b"t") == "red"
        await store.commit([Append("red", 1, (b"left",), {b"t": False})])
        assert await store.room_of(b"t") is None


@pytest.mark.parametrize(
    ("write", "code"),
    [
        (Append("blue", 3, (b"a gap",)), StoreCode.CONFLICT),
        (Append("blue", 1, (b"again",)), StoreCode.TAKEN),
        (Snapshot("blue", 1, b"older"), StoreCode.TAKEN),
    ],
)
async def test_events_with_other_numbers_than_the_next_are_refused(
    opens: Open, write: Append | Snapshot, code: StoreCode
) -> None:
    async with opens() as store:
        await store.commit([Append("blue", 0, (b"one", b"two"))])
        with pytest.raises(StoreError) as raised:
            await store.commit([Append("red", 0, (b"with it",)), write])
        assert raised.value.code is code
        assert "'blue'" in raised.value.detail
        # All or nothing.
        assert await store.rooms() == ["blue"]
        assert await store.read("blue") == Past(None, 0, (b"one", b"two"))


async def test_a_snapshot_mends_a_store_that_has_lost_events(opens: Open) -> None:
    async with opens() as store:
        await store.commit([Append("blue", 0, (b"one", b"two"))])
        await store.commit([Snapshot("blue", 7, b"all")])
        assert await store.read("blue") == Past(b"all", 7, ())


async def test_a_room_that_is_set_aside_makes_place_and_is_kept_for_the_operator(opens: Open) -> None:
    async with opens() as store:
        await store.commit([Snapshot("blue", 5, b"all"), Append("blue", 5, (b"odd",), {b"t": True})])
        await store.commit([SetAside("blue", "event 5 does not fit")])
        assert await store.rooms() == []
        assert await store.room_of(b"t") is None
        await store.commit([Append("blue", 0, (b"anew",))])
        (aside,) = await store.aside()
        assert (aside.room, aside.why) == ("blue", "event 5 does not fit")
        # Nobody, to be set aside, is nothing.
        await store.commit([SetAside("green", "nothing")])
        await store.commit([SetAside("blue", "once more")])
    async with opens() as store:
        assert [one.why for one in await store.aside() if one.room == "blue"] == [
            "event 5 does not fit",
            "once more",
        ]


async def test_a_thousand_events_of_hundreds_of_rooms_are_one_commit(opens: Open) -> None:
    async with opens() as store:
        await store.commit([Append(f"room {n:03}", 0, (b"x" * 200,) * 50, {b"%d" % n: True}) for n in range(300)])
        assert len(await store.rooms()) == 300
        assert (await store.read("room 299")).next == 50
        assert await store.room_of(b"299") == "room 299"


async def test_a_value_of_the_server_is_remembered_until_it_is_replaced_or_forgotten(opens: Open) -> None:
    async with opens() as store:
        assert await store.remembered("here") is None
        await store.commit([Remember("here", b"\x00one"), Append("blue", 0, (b"one",)), Remember("there", b"")])
        assert await store.remembered("there") == b""
    async with opens() as store:
        assert await store.remembered("here") == b"\x00one"
        await store.commit([Remember("here", b"two")])
        assert await store.remembered("here") == b"two"
        await store.commit([Remember("here", None), Remember("nothing", None)])
        assert await store.remembered("here") is None
        # It is no room, and no room is it.
        await store.commit([Remember("blue", b"of the server"), Forget("blue")])
        assert await store.remembered("blue") == b"of the server"
        assert await store.rooms() == []


async def test_nothing_is_remembered_if_another_write_is_refused(opens: Open) -> None:
    async with opens() as store:
        with pytest.raises(StoreError):
            await store.commit([Remember("here", b"one"), Append("blue", 3, (b"a gap",))])
        assert await store.remembered("here") is None
