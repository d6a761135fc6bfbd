"""Given rooms with policies, whoever has the token or knows the password gets in, and others are told why not."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from argon2 import PasswordHasher

from roomfsm.access import passwords
from roomfsm.access.keys import read_keys
from roomfsm.access.policy import Enter, Policy
from roomfsm.access.tokens import sign
from roomfsm.protocol.roles import Role
from roomfsm.server import open_server
from tests.access.keys import SECRET
from tests.protocol_client import Wire, open_client
from tests.serving import Served, settings

HASH = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash("open sesame")
POLICIES = (
    ("staff-*", Policy(enter=Enter.TOKEN)),
    ("board", Policy(enter=Enter.INVITED, invited=("ada", "bob"))),
    ("lecture", Policy(enter=Enter.PASSWORD, password_hash=HASH, listed=False)),
    ("small", Policy(max_people=1)),
    ("talk", Policy(role=Role.VIEWER, first_moderates=False)),
    ("closed", Policy(locked=True)),
    ("seminar", Policy(enter=Enter.PASSWORD, password_hash=HASH, lobby=True, first_moderates=False)),
)


def token(**claims: Any) -> str:
    (key,) = read_keys(SECRET)
    return sign(key, {"room": "*", "exp": time.time() + 3600, **claims})


@asynccontextmanager
async def serving(media_server: str, **changes: Any) -> AsyncIterator[Served]:
    changes = {"token_key": (SECRET,)} | changes
    async with open_server(dataclasses.replace(settings(media_server, **changes), policies=POLICIES)) as running:
        yield Served(running)


def name_of(joined: Wire) -> str:
    assert joined["type"] == "joined", joined
    return str(next(person["name"] for person in joined["participants"] if person["id"] == joined["you"]))


@pytest.mark.parametrize(
    ("room", "brought", "code"),
    [
        ("blue", {}, None),
        ("blue", {"token": {}}, None),
        ("staff-1", {"token": {"room": "Staff-*"}}, None),
        ("STAFF-1", {}, "token_invalid"),
        ("staff-1", {"token": {"room": "staff-2"}}, "token_invalid"),
        ("staff-1", {"token": {"exp": 1}}, "token_expired"),
        ("staff-1", {"password": "open sesame"}, "token_invalid"),
        ("board", {"token": {"sub": "bob"}}, None),
        ("board", {"token": {"sub": "eve"}}, "token_invalid"),
        ("board", {"token": {}}, "token_invalid"),
        ("lecture", {"password": "open sesame"}, None),
        ("lecture", {"token": {}}, None),
        ("lecture", {}, "password_wrong"),
        ("lecture", {"password": "open Sesame"}, "password_wrong"),
        # Who shows a token is told that it is not valid, even where none is needed.
        ("blue", {"token": {"room": "red"}}, "token_invalid"),
        ("lecture", {"token": {"exp": 1}, "password": "open sesame"}, "token_expired"),
    ],
)
async def test_a_room_is_entered_by_what_its_policy_asks_for(
    media_server: str, room: str, brought: dict[str, Any], code: str | None
) -> None:
    if "token" in brought:
        brought = brought | {"token": token(**brought["token"])}
    async with serving(media_server) as server, open_client(server.url) as ada:
        reply = await ada.ask("join", room=room, **brought)
        assert reply.get("code") == code, reply
        # The same holds for somebody who comes from another room, and stays there if refused.
        async with open_client(server.url) as bob:
            await bob.join("red")
            reply = await bob.ask("switch", room=room, **brought)
            assert reply.get("code") == code, reply
            assert (await bob.ask("chat", text="hello"))["type"] == "chat"


async def test_the_refusal_says_what_is_wrong_with_the_token(media_server: str) -> None:
    async with serving(media_server) as server, open_client(server.url) as ada:
        for shown, words in (
            ("nonsense", "three parts"),
            (token() + "x", "signature"),
            (token(role="king"), "role"),
            (token(nbf=4e9), "not valid before 2096"),
            (token(room="red"), "for other rooms"),
        ):
            refused = await ada.ask("join", room="blue", token=shown)
            assert refused["code"] == "token_invalid"
            assert words in refused["detail"]
            assert shown not in str(refused)


async def test_a_server_without_keys_knows_no_token(media_server: str) -> None:
    async with serving(media_server, token_key=()) as server, open_client(server.url) as ada:
        refused = await ada.ask("join", room="blue", token=token())
        assert (refused["code"], "no keys" in refused["detail"]) == ("token_invalid", True)
        await ada.join("blue")


async def test_where_a_token_is_required_nobody_enters_without_one(media_server: str) -> None:
    async with serving(media_server, require_token=True) as server, open_client(server.url) as ada:
        for room, password in (("blue", None), ("lecture", "open sesame")):
            refused = await ada.ask("join", room=room, **({"password": password} if password else {}))
            assert refused["code"] == "token_invalid"
        assert (await ada.ask("join", room="lecture", token=token()))["type"] == "joined"


async def test_the_token_gives_the_name_unless_the_person_chooses_one(media_server: str) -> None:
    async with serving(media_server) as server:
        for fields, name in (
            ({"token": token(name="Ada")}, "Ada"),
            ({"token": token(name="Ada"), "name": "Countess"}, "Countess"),
            ({"token": token()}, "Guest"),
        ):
            async with open_client(server.url) as ada:
                assert name_of(await ada.ask("join", room="blue", **fields)) == name


async def test_a_token_is_kept_for_the_rooms_that_it_is_for(media_server: str) -> None:
    async with serving(media_server) as server, open_client(server.url) as ada:
        await ada.ask("join", room="staff-1", token=token(room="staff-*"))
        assert (await ada.ask("switch", room="staff-2"))["type"] == "joined"
        assert (await ada.ask("switch", room="board"))["code"] == "token_invalid"
        assert (await ada.ask("switch", room="blue"))["type"] == "joined"
        assert (await ada.ask("switch", room="staff-3"))["type"] == "joined"


async def test_wrong_passwords_are_slowed_down(media_server: str) -> None:
    async with serving(media_server) as server, open_client(server.url) as ada:
        # The delay is not over before the last guess, however slow the machine is.
        server.running.registry.entrance._passwords._guesses._first = 300.0
        codes = [(await ada.ask("join", room="lecture", password=str(n)))["code"] for n in range(6)]
        assert codes == ["password_wrong"] * 5 + ["rate_limited"]
        # The other rooms, and people with a token, do not have to wait.
        assert (await ada.ask("join", room="lecture", token=token()))["type"] == "joined"


async def test_a_token_or_password_appears_neither_in_the_journal_nor_in_the_log(
    media_server: str, capfd: pytest.CaptureFixture[str]
) -> None:
    async with (
        serving(media_server) as server,
        open_client(server.url) as ada,
        open_client(server.url) as bob,
        open_client(server.url) as eve,
    ):
        # Rooms that are open record who was refused.
        await ada.ask("join", room="board", token=token(sub="ada"))
        await bob.ask("join", room="lecture", password="open sesame")
        shown = token(sub="eve")
        await eve.ask("join", room="board", token=shown)
        await eve.ask("join", room="lecture", password="a wrong word")
        told = "".join(str(list(room.journal.since(0))) for room in server.running.directory.rooms())
        assert "hasToken" in told
        assert "knowsPassword" in told
    said = told + "".join(capfd.readouterr())
    assert not [secret for secret in (shown, "a wrong word", "open sesame") if secret in said]


async def test_a_policy_bounds_its_room_and_keeps_it_off_the_list(media_server: str) -> None:
    async with serving(media_server) as server, open_client(server.url) as ada, open_client(server.url) as bob:
        await ada.join("small")
        assert (await bob.ask("join", room="small"))["code"] == "room_full"
        assert (await bob.ask("join", room="lecture", password="open sesame"))["type"] == "joined"
        assert [room.name for room in server.running.directory.summaries()] == ["small"]


def role_of(joined: Wire) -> str:
    assert joined["type"] == "joined", joined
    return str(
        next(person.get("role", "presenter") for person in joined["participants"] if person["id"] == joined["you"])
    )


async def test_the_token_gives_the_role_and_the_policy_that_of_the_others(media_server: str) -> None:
    async with serving(media_server) as server:
        for brought, role in (
            ({}, "viewer"),
            ({"token": token(role="presenter")}, "presenter"),
            ({"token": token(role="moderator")}, "moderator"),
            # A token that says nothing of the role makes a viewer.
            ({"token": token()}, "viewer"),
        ):
            async with open_client(server.url) as ada:
                assert role_of(await ada.ask("join", room="talk", **brought)) == role


async def test_a_viewer_may_not_present_and_is_told_which_role_may(media_server: str) -> None:
    async with serving(media_server) as server, open_client(server.url) as ada:
        await ada.join("talk")
        refused = await ada.ask("publish", source="camera", sdp="v=0")
        assert (refused["code"], refused["role"]) == ("not_permitted", "presenter")


async def test_without_a_policy_the_first_who_enters_moderates_unless_the_token_says_viewer(
    media_server: str,
) -> None:
    async with serving(media_server) as server, open_client(server.url) as ada, open_client(server.url) as bob:
        assert role_of(await ada.ask("join", room="blue", token=token(role="presenter"))) == "moderator"
        assert role_of(await bob.ask("join", room="blue")) == "presenter"
        await ada.ask("leave")
        await bob.ask("leave")
        assert role_of(await ada.ask("join", room="red", token=token(role="viewer"))) == "viewer"


async def test_a_room_that_is_locked_by_its_policy_takes_only_moderators(media_server: str) -> None:
    async with serving(media_server) as server, open_client(server.url) as ada, open_client(server.url) as bob:
        for _ in range(2):
            assert (await bob.ask("join", room="closed"))["code"] == "locked"
            assert role_of(await ada.ask("join", room="closed", token=token(role="moderator"))) == "moderator"
            await ada.ask("leave")


async def test_a_ban_of_somebody_with_a_token_is_for_the_tokens_subject(media_server: str) -> None:
    async with serving(media_server) as server, open_client(server.url) as ada, open_client(server.url) as eve:
        await ada.ask("join", room="blue", token=token(role="moderator"))
        joined = await eve.ask("join", room="blue", token=token(sub="eve"))
        assert (await ada.ask("ban", participant=joined["you"]))["type"] == "participantLeft"
        async with open_client(server.url) as again, open_client(server.url) as bob:
            assert (await again.ask("join", room="blue", token=token(sub="eve")))["code"] == "banned"
            # Others of the address may enter.
            assert (await bob.ask("join", room="blue", token=token(sub="bob")))["type"] == "joined"


async def test_new_keys_and_policies_hold_for_whoever_enters_then(media_server: str) -> None:
    async with serving(media_server) as server, open_client(server.url) as ada, open_client(server.url) as bob:
        await ada.ask("join", room="staff-1", token=token())
        other = "another-secret-of-at-least-32-bytes"
        server.running.apply(
            dataclasses.replace(
                settings(media_server, token_key=(other,)), policies=(("blue", Policy(enter=Enter.TOKEN)),)
            )
        )
        assert (await bob.ask("join", room="blue", token=token()))["code"] == "token_invalid"
        assert (await bob.ask("join", room="staff-1"))["type"] == "joined"
        assert (await ada.ask("chat", text="still here"))["type"] == "chat"


async def test_who_comes_back_while_a_switch_lets_them_wait_can_knock_again(
    media_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The password is being checked, in a thread, when the session is resumed over another connection."""
    began, may_end = threading.Event(), threading.Event()

    def is_password(password: str, password_hash: str) -> bool:
        began.set()
        return may_end.wait(30) and real(password, password_hash)

    real = passwords.is_password
    monkeypatch.setattr("roomfsm.signaling.password_check.is_password", is_password)
    async with serving(media_server) as server, open_client(server.url) as ada, open_client(server.url) as again:
        await ada.ask("join", room="blue")
        await ada.send("switch", room="seminar", password="open sesame")
        assert await trio.to_thread.run_sync(began.wait, 30)
        ref = await again.send("resume", token=ada.welcome["resumeToken"])
        may_end.set()
        assert (await again.expect(ref=ref))["code"] == "ended"
        await again.send("join", room="seminar", password="open sesame")
        assert (await again.expect("knocking"))["room"] == "seminar"


async def test_a_moderators_rules_leave_what_people_need_to_enter_to_the_settings(media_server: str) -> None:
    async with serving(media_server) as server, open_client(server.url) as ada, open_client(server.url) as bob:
        await ada.ask("join", room="hall")
        await ada.ask("configure", role="viewer")
        running = settings(media_server, token_key=(SECRET,))
        closed = (("hall", Policy(enter=Enter.PASSWORD, password_hash=HASH)), *POLICIES)
        server.running.apply(dataclasses.replace(running, policies=closed))
        assert (await bob.ask("join", room="hall"))["code"] == "password_wrong"
        joined = await bob.ask("join", room="hall", password="open sesame")
        assert joined["newcomers"] == "viewer"
