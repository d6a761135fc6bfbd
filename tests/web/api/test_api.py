"""Given the admin API, tests each of its operations over a socket, and what it refuses and how it says so."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any, cast

import pytest
import trio
from openapi_spec_validator import OpenAPIV31SpecValidator
from quart import Request
from trio.testing import MockClock

from roomfsm.access.guesses import Guesses
from roomfsm.access.keys import read_keys
from roomfsm.access.passwords import hash_password
from roomfsm.access.tokens import TokenRules, verify
from roomfsm.lifecycle.administrator import ADMINISTRATOR
from roomfsm.lifecycle.media_server import MEDIA_SERVER
from roomfsm.settings import SettingsError, load
from roomfsm.web.api.api import AdminAccess
from roomfsm.web.api.problems import Problem
from tests.processes import LOADED
from tests.protocol_client import Client, open_client
from tests.serving import serving
from tests.web.api.administrator import PATH, TOKEN, Administrator
from tests.web.http import get

SECRET = "a-shared-secret-of-at-least-32-bytes"
ADMIN = {"admin_token": TOKEN}


async def test_the_document_is_a_valid_one_and_every_operation_is_called(media_server: str) -> None:
    async with serving(media_server, **ADMIN, token_key=(SECRET,)) as server, open_client(server.url) as ada:
        admin = Administrator(server)
        document = await admin.document()
        OpenAPIV31SpecValidator(document).validate()
        await _every_operation(admin, ada, server.url)
        described = {
            operation["operationId"] for path in document["paths"].values() for operation in path.values()
        }
        assert {name for name, status in admin.called if status < 300} == described


async def _every_operation(admin: Administrator, ada: Client, url: str) -> None:
    created = {"name": "Board", "policy": {"maxPeople": 5, "linger": 60}}
    status, room = await admin.call("POST", "/rooms", created)
    assert (status, room["room"]["state"], room["policy"]["maxPeople"]) == (201, "empty", 5)
    await ada.join("board")
    await _acts_on_people(admin, ada, url)
    assert (await admin.call("PUT", "/rooms/board/lock", {"locked": True}))[1] == {"locked": True}
    assert (await admin.call("PUT", "/rooms/board/lock", {"locked": False}))[1] == {"locked": False}
    status, room = await admin.call("PUT", "/rooms/board/policy", {"role": "viewer"})
    assert (status, room["policy"]["role"], room["policy"]["maxPeople"]) == (200, "viewer", None)
    status, room = await admin.call("PATCH", "/rooms/board/policy", {"linger": 90})
    assert (status, room["policy"]["role"], room["policy"]["linger"]) == (200, "viewer", 90)
    assert (await admin.call("DELETE", "/rooms/board/chat"))[0] == 204
    assert (await admin.get("/server"))["people"] == 1
    assert (await admin.get("/rooms"))["rooms"][0]["name"] == "Board"
    assert (await admin.get("/rooms/BOARD"))["ownPolicy"]
    assert (await admin.get("/policies"))["policies"] == []
    assert (await admin.call("POST", "/explain", {"room": "board"}))[1]["role"] == "viewer"
    assert (await admin.call("POST", "/tokens", {"room": "board"}))[0] == 201
    with trio.fail_after(LOADED):
        while not (await admin.get("/media-servers"))["mediaServers"][0]["connected"]:
            pass
    status, added = await admin.call("POST", "/media-servers", {"url": "ws://127.0.0.1:9/kurento"})
    assert status == 201
    media_server = f"/media-servers/{added['id']}"
    for action in ("drain", "use", "drain"):
        assert (await admin.call("POST", f"{media_server}/{action}"))[0] == 200
    assert (await admin.get(media_server))["state"] == "drained"
    assert (await admin.call("DELETE", media_server))[0] == 204
    assert (await admin.call("POST", "/rooms/board/close", {"reason": "tea"}))[0] == 202
    closing = await ada.expect("closing")
    assert (closing["scope"], closing["reason"]) == ("room", "tea")


async def _acts_on_people(admin: Administrator, ada: Client, url: str) -> None:
    for number, (how, body) in enumerate((("kick", None), ("ban", {"seconds": 60.5}))):
        async with open_client(url) as bob:
            joined = await bob.join("board", f"Bob {number}")
            me = joined["you"]
            await ada.expect("participantJoined")
            assert (await admin.call("PUT", f"/rooms/board/people/{me}/role", {"role": "moderator"}))[0] == 204
            people = (await admin.get("/rooms/board/people"))["people"]
            assert [(one["name"], one["role"]) for one in people] == [
                ("Ada", "moderator"),
                (f"Bob {number}", "moderator"),
            ]
            assert (await admin.call("POST", f"/rooms/board/people/{me}/{how}", body))[0] == 204
            left = await ada.expect("participantLeft")
            assert left["reason"] == {"kick": "kicked", "ban": "banned"}[how]
            assert (await bob.expect("participantLeft"))["reason"] == left["reason"]
    (ban,) = (await admin.get("/rooms/board"))["bans"]
    assert ban["name"] == "Bob 1"
    assert abs(ban["until"] / 1000 - time.time() - 60.5) < 60
    assert (await admin.call("DELETE", f"/rooms/board/bans/{ban['participant']}"))[0] == 204


async def test_the_tables_have_the_names_of_the_operations(media_server: str) -> None:
    async with serving(media_server, **ADMIN) as server:
        paths = (await Administrator(server).document())["paths"]
        operations = {operation["operationId"] for path in paths.values() for operation in path.values()}
        # One operation locks and unlocks.
        assert set(ADMINISTRATOR.triggers) - {"unlockRoom"} <= operations
        nobodys = {"choose", "chooseAlias", "emptied", "listed", "unlisted"}
        assert set(MEDIA_SERVER.triggers) - nobodys <= operations


# Who may


async def test_without_a_token_in_the_settings_there_is_no_api(media_server: str) -> None:
    async with serving(media_server) as server:
        for target in ("", "/", "/openapi.json", "/rooms", "/server", "/none"):
            known = {"Authorization": "Bearer None"}
            reply = await get(server, PATH + target, headers=known, stranger=True)
            assert (reply.status, reply.headers["content-type"]) == (404, "text/plain")
        assert (await get(server, f"{PATH}/rooms", "POST", b"{}", stranger=True)).status == 404


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer"},
        {"Authorization": f"Bearer {TOKEN}x"},
        {"Authorization": TOKEN},
        {"Authorization": f"Basic {TOKEN}"},
        {"Cookie": f"roomfsm-inspect={TOKEN}"},
    ],
)
async def test_whoever_does_not_know_the_token_gets_nothing(media_server: str, headers: dict[str, str]) -> None:
    async with serving(media_server, **ADMIN) as server:
        for method, target in (("GET", "/rooms"), ("POST", "/rooms"), ("GET", "/none"), ("DELETE", "/server")):
            reply = await get(server, PATH + target, method, headers=headers, stranger=True)
            assert (reply.status, reply.headers["content-type"]) == (401, "application/problem+json")
            assert reply.headers["www-authenticate"].startswith("Bearer ")
        assert (await get(server, f"{PATH}/rooms?token={TOKEN}", stranger=True)).status == 401


async def test_the_token_of_the_inspector_is_not_that_of_the_api(media_server: str) -> None:
    async with serving(media_server, **ADMIN) as server:
        status, _ = await Administrator(server, server.running.inspect_token).call("GET", "/rooms")
        assert status == 401
        known = {"Authorization": f"Bearer {TOKEN}"}
        assert (await get(server, "/inspect/api/rooms", headers=known, stranger=True)).status == 401


async def test_guesses_of_the_token_are_bounded(media_server: str) -> None:
    async with serving(media_server, **ADMIN) as server:
        # The delay is not over before the last guess, however slow the machine is.
        server.running.admin._guesses._first = 300.0
        guesser, admin = Administrator(server, "not-the-token-at-all"), Administrator(server)
        statuses = [(await guesser.call("GET", "/rooms"))[0] for _ in range(20)]
        assert statuses[:10] == [401] * 10
        assert 429 in statuses
        status, problem = await guesser.call("GET", "/rooms")
        assert (status, problem["code"]) == (429, "rate_limited")
        # The administrator may have the same address.
        assert (await admin.call("GET", "/rooms"))[0] == 200


async def test_a_wait_is_rounded_up_so_that_it_is_never_nothing(autojump_clock: MockClock) -> None:
    access = AdminAccess(TOKEN, Guesses(free=0, first=0.4))
    request = cast(Request, SimpleNamespace(headers={"Authorization": "Bearer wrong"}, remote_addr="192.0.2.1"))
    with pytest.raises(Problem, match="token"):
        access.judge(request)
    with pytest.raises(Problem, match="again in 1 s") as refused:
        access.judge(request)
    assert refused.value.headers["Retry-After"] == "1"


async def test_requests_without_a_token_are_no_guesses(media_server: str) -> None:
    async with serving(media_server, **ADMIN) as server:
        stranger = Administrator(server, None)
        assert {(await stranger.call("GET", "/rooms"))[0] for _ in range(30)} == {401}
        assert (await Administrator(server).call("GET", "/rooms"))[0] == 200


def test_a_token_that_can_be_guessed_is_refused() -> None:
    assert load({"admin_token": "x" * 16}, {}).web.admin_token == "x" * 16
    with pytest.raises(SettingsError, match="--admin-token: a secret has at least 16"):
        load({"admin_token": "x" * 15}, {})


# What is refused

HASH = hash_password("open sesame")

WRONG: list[tuple[str, str, Any, int, str, str | None]] = [
    ("GET", "/none", None, 404, "no_such_address", None),
    ("GET", "/", None, 404, "no_such_address", None),
    ("PATCH", "/rooms", None, 405, "method_not_allowed", None),
    ("GET", "/rooms?limit=0", None, 400, "malformed", "limit"),
    ("GET", "/rooms?limit=1001", None, 400, "malformed", "limit"),
    ("GET", "/rooms?limit=many", None, 400, "malformed", "limit"),
    ("GET", "/rooms?limit=1&limit=2", None, 400, "malformed", "limit"),
    ("GET", "/rooms?other=1", None, 400, "malformed", "other"),
    ("GET", "/rooms/blue/people?after=x", None, 400, "malformed", "after"),
    ("GET", "/rooms/none", None, 404, "no_such_room", None),
    ("GET", "/rooms/none/people", None, 404, "no_such_room", None),
    ("POST", "/rooms/none/close", None, 404, "no_such_room", None),
    ("PUT", "/rooms/none/lock", {"locked": True}, 404, "no_such_room", None),
    ("DELETE", "/rooms/none/chat", None, 404, "no_such_room", None),
    ("POST", "/rooms/none/people/p1/kick", None, 404, "no_such_room", None),
    ("POST", "/rooms/blue/people/p1/kick", None, 404, "no_such_participant", None),
    ("POST", "/rooms/blue/people/p1/ban", None, 404, "no_such_participant", None),
    ("PUT", "/rooms/blue/people/p1/role", {"role": "viewer"}, 404, "no_such_participant", None),
    ("DELETE", "/rooms/blue/bans/p1", None, 404, "not_banned", None),
    ("POST", "/rooms/blue/people/p1/ban", {"seconds": 0}, 400, "malformed", "$.seconds"),
    ("PUT", "/rooms/blue/people/p1/role", {"role": "king"}, 400, "malformed", "$.role"),
    ("PUT", "/rooms/blue/people/p1/role", None, 400, "malformed", "$.role"),
    ("POST", "/rooms", {"name": "Blue"}, 409, "room_exists", "$.name"),
    ("POST", "/rooms", {"name": "a b"}, 400, "malformed", "$.name"),
    ("POST", "/rooms", {"name": "x" * 65}, 400, "malformed", "$.name"),
    ("POST", "/rooms", {"name": "red", "other": 1}, 400, "malformed", "$.other"),
    ("POST", "/rooms", ["red"], 400, "malformed", "$"),
    ("POST", "/rooms", {"name": "red", "policy": {"enter": "password"}}, 400, "malformed", "$.policy.password"),
    ("POST", "/rooms", {"name": "red", "policy": {"password": "x"}}, 400, "malformed", "$.policy.enter"),
    (
        "POST",
        "/rooms",
        {"name": "red", "policy": {"passwordHash": "x"}},
        400,
        "malformed",
        "$.policy.passwordHash",
    ),
    ("POST", "/rooms", {"name": "red", "policy": {"enter": "invited"}}, 400, "malformed", "$.policy.invited"),
    ("POST", "/rooms", {"name": "red", "policy": {"maxPeople": 0}}, 400, "malformed", "$.policy.maxPeople"),
    ("POST", "/rooms", {"name": "red", "policy": {"linger": -1}}, 400, "malformed", "$.policy.linger"),
    (
        "PUT",
        "/rooms/blue/policy",
        {"enter": "password", "password": "x", "passwordHash": HASH},
        400,
        "malformed",
        "$.passwordHash",
    ),
    ("PATCH", "/rooms/none/policy", {"role": "viewer"}, 404, "no_such_room", None),
    ("PATCH", "/rooms/blue/policy", {"other": 1}, 400, "malformed", "$.other"),
    ("PATCH", "/rooms/blue/policy", {"maxPeople": 0}, 400, "malformed", "$.maxPeople"),
    ("PATCH", "/rooms/blue/policy", {"enter": "password"}, 400, "malformed", "$.password"),
    ("PATCH", "/rooms/blue/policy", {"password": "x"}, 400, "malformed", "$.enter"),
    ("PATCH", "/rooms/blue/policy", {"passwordHash": "x"}, 400, "malformed", "$.passwordHash"),
    ("PATCH", "/rooms/blue/policy", {"passwordHash": ""}, 400, "malformed", "$.passwordHash"),
    ("PATCH", "/rooms/blue/policy", {"password": "x", "passwordHash": HASH}, 400, "malformed", "$.passwordHash"),
    ("PATCH", "/rooms/blue/policy", {"enter": "invited"}, 400, "malformed", "$.invited"),
    ("PATCH", "/rooms/blue/policy", {"invited": ["ada"]}, 400, "malformed", "$.enter"),
    ("POST", "/rooms/blue/close", {"reason": ""}, 400, "malformed", "$.reason"),
    ("POST", "/rooms/blue/close", {"reason": "x" * 201}, 400, "malformed", "$.reason"),
    ("POST", "/rooms/blue/close", {"reason": "a\nb"}, 400, "malformed", "$.reason"),
    ("POST", "/tokens", {"room": "blue"}, 409, "no_signing_key", None),
    ("POST", "/tokens", {"room": "a b"}, 400, "malformed", "$.room"),
    ("POST", "/tokens", {"room": "blue", "name": "\u2800"}, 400, "malformed", "$.name"),
    ("POST", "/tokens", {"room": "blue", "ttl": 0}, 400, "malformed", "$.ttl"),
    ("POST", "/explain", {"room": ".."}, 400, "malformed", "$.room"),
]


async def test_every_refusal_has_a_code_and_says_what_is_wrong(media_server: str) -> None:
    async with serving(media_server, **ADMIN) as server, open_client(server.url) as ada:
        admin = Administrator(server)
        await ada.join("blue")
        for method, path, body, status, code, where in WRONG:
            answered = await admin.call(method, path, body)
            problem = answered[1]
            assert (answered[0], problem["code"], problem.get("path")) == (status, code, where), (path, problem)
        for raw in (b"{", b"\xff", b"[" * 100_000, b"7", b'{"name":"red"} x'):
            status, problem = await admin.call("POST", "/rooms", raw=raw)
            assert (status, problem["code"]) == (400, "malformed")
        # Nothing of all that has changed anything.
        assert (await ada.ask("ping"))["type"] == "pong"
        assert [room["name"] for room in (await admin.get("/rooms"))["rooms"]] == ["blue"]


async def test_a_closing_room_refuses_with_its_state(media_server: str) -> None:
    async with (
        serving(media_server, **ADMIN, closing_notice=60.0) as server,
        open_client(server.url) as ada,
    ):
        admin = Administrator(server)
        await ada.join("blue")
        await admin.call("POST", "/rooms/blue/close")
        await ada.expect("closing")
        status, problem = await admin.call("PUT", "/rooms/blue/lock", {"locked": True})
        assert (status, problem["code"], problem["machine"], problem["state"]) == (
            409,
            "illegal_in_state",
            "room",
            "closing",
        )
        await ada.ask("leave")


async def test_a_full_or_closing_server_opens_no_room(media_server: str) -> None:
    async with serving(media_server, **ADMIN, max_rooms=1) as server:
        admin = Administrator(server)
        assert (await admin.call("POST", "/rooms", {"name": "one"}))[0] == 201
        status, problem = await admin.call("POST", "/rooms", {"name": "two"})
        assert (status, problem["code"]) == (503, "server_full")
        server.running.directory.life.fire("drain")
        status, problem = await admin.call("POST", "/rooms", {"name": "two"})
        assert (status, problem["code"]) == (503, "server_closing")


# Lists


async def test_lists_come_in_pages(media_server: str) -> None:
    async with serving(media_server, **ADMIN) as server:
        admin = Administrator(server)
        names = [f"room-{number:02}" for number in range(7)]
        for name in reversed(names):
            await admin.call("POST", "/rooms", {"name": name})
        seen: list[str] = []
        after = ""
        while True:
            page = await admin.get(f"/rooms?limit=3{after}")
            assert page["total"] == 7
            seen += [room["name"] for room in page["rooms"]]
            if page["next"] is None:
                break
            after = f"&after={page['next']}"
        assert seen == names
        async with open_client(server.url) as ada, open_client(server.url) as bob:
            await ada.join("room-01")
            await bob.join("room-01", "Bob")
            page = await admin.get("/rooms/room-01/people?limit=1")
            assert ([one["name"] for one in page["people"]], page["total"]) == (["Ada"], 2)
            page = await admin.get(f"/rooms/room-01/people?limit=1&after={page['next']}")
            assert ([one["name"] for one in page["people"]], page["next"]) == (["Bob"], None)


# Access


async def test_a_room_is_opened_with_a_password_that_nobody_sees_again(media_server: str) -> None:
    async with serving(media_server, **ADMIN) as server, open_client(server.url) as ada:
        admin = Administrator(server)
        policy = {"enter": "password", "password": "open sesame"}
        _, room = await admin.call("POST", "/rooms", {"name": "cave", "policy": policy})
        assert "sesame" not in str(room)
        assert "argon2" not in str(room)
        assert (await ada.ask("join", room="cave"))["code"] == "password_wrong"
        assert (await ada.ask("join", room="cave", password="open sesame"))["type"] == "joined"
        await ada.ask("leave")
        await admin.call("PUT", "/rooms/cave/policy", {"enter": "password", "passwordHash": HASH, "locked": True})
        assert (await ada.ask("join", room="cave", password="open sesame"))["code"] == "locked"


async def test_a_change_of_the_policy_keeps_what_it_does_not_name(media_server: str) -> None:
    async with serving(media_server, **ADMIN) as server, open_client(server.url) as ada:
        admin = Administrator(server)
        policy = {"enter": "password", "password": "open sesame", "firstModerates": False, "maxPeople": 3}
        await admin.call("POST", "/rooms", {"name": "cave", "policy": policy})
        _, room = await admin.call("PATCH", "/rooms/cave/policy", {"role": "viewer", "linger": 3600})
        told = room["policy"]
        assert (told["enter"], told["firstModerates"], told["maxPeople"]) == ("password", False, 3)
        assert (told["role"], told["linger"]) == ("viewer", 3600)
        assert (await ada.ask("join", room="cave"))["code"] == "password_wrong"
        assert (await admin.call("PATCH", "/rooms/cave/policy", {"password": "another"}))[0] == 200
        assert (await ada.ask("join", room="cave", password="open sesame"))["code"] == "password_wrong"
        # A password is not taken away by the way.
        status, problem = await admin.call("PATCH", "/rooms/cave/policy", {"enter": "anyone"})
        assert (status, problem["path"]) == (400, "$.enter")
        assert '"password": null' in problem["detail"]
        assert (await ada.ask("join", room="cave", password="another"))["type"] == "joined"
        # null stands for the default, and an empty change changes nothing.
        opened = {"enter": None, "password": None, "maxPeople": None}
        _, room = await admin.call("PATCH", "/rooms/cave/policy", opened)
        assert (room["policy"]["enter"], room["policy"]["maxPeople"]) == ("anyone", None)
        assert (await admin.call("PATCH", "/rooms/cave/policy"))[1]["policy"] == room["policy"]


async def test_changes_of_the_policy_at_the_same_time_are_all_kept(media_server: str) -> None:
    async with serving(media_server, **ADMIN) as server:
        admin = Administrator(server)
        await admin.document()
        await admin.call("POST", "/rooms", {"name": "cave"})
        asked = ({"enter": "password", "password": "x"}, {"lobby": True}, {"role": "viewer"}, {"maxPeople": 7})
        async with trio.open_nursery() as nursery:
            for change in asked:
                nursery.start_soon(admin.call, "PATCH", "/rooms/cave/policy", change)
        policy = (await admin.get("/rooms/cave"))["policy"]
        assert (policy["enter"], policy["lobby"], policy["role"], policy["maxPeople"]) == (
            "password",
            True,
            "viewer",
            7,
        )


async def test_whoever_waits_in_a_lobby_is_counted_as_waiting(media_server: str) -> None:
    async with (
        serving(media_server, **ADMIN) as server,
        open_client(server.url) as ada,
        open_client(server.url) as bob,
    ):
        admin = Administrator(server)
        await admin.call("POST", "/rooms", {"name": "board", "policy": {"lobby": True}})
        await ada.join("board")
        await bob.send("join", room="board", name="Bob")
        await bob.expect("knocking")
        room = (await admin.get("/rooms/board"))["room"]
        assert (room["people"], room["waiting"]) == (1, 1)


async def test_an_issued_token_lets_its_bearer_in(media_server: str) -> None:
    async with (
        serving(media_server, **ADMIN, token_key=(SECRET,), require_token=True, token_audience=("us",)) as server,
        open_client(server.url) as ada,
    ):
        admin = Administrator(server)
        asked = {"room": "board-*", "role": "moderator", "name": "Ada", "subject": "ada@example.org", "ttl": 60}
        _, told = await admin.call("POST", "/tokens", asked)
        grant = verify(told["token"], read_keys(SECRET), TokenRules(("us",)), time.time())
        assert (grant.subject, grant.name, grant.expires) == ("ada@example.org", "Ada", told["expires"])
        assert told["path"] is None
        assert (await ada.ask("join", room="board-1", token=told["token"]))["type"] == "joined"
        _, told = await admin.call("POST", "/tokens", {"room": "Räume"})
        assert told["path"] == f"/r/R%C3%A4ume#token={told['token']}"


async def test_it_explains_what_somebody_would_get(media_server: str) -> None:
    async with serving(media_server, **ADMIN, token_key=(SECRET,)) as server, open_client(server.url) as ada:
        admin = Administrator(server)
        invited = {"enter": "invited", "invited": ["ada"], "firstModerates": False}
        await admin.call("POST", "/rooms", {"name": "board", "policy": invited})

        async def explained(**asked: Any) -> tuple[str | None, str | None]:
            _, told = await admin.call("POST", "/explain", {"room": "board", **asked})
            return told["role"], None if told["refusal"] is None else told["refusal"]["code"]

        tokens = {
            subject: (
                await admin.call("POST", "/tokens", {"room": "board", "role": "viewer", "subject": subject})
            )[1]["token"]
            for subject in ("ada", "bob")
        }
        assert await explained() == (None, "token_invalid")
        assert await explained(token=tokens["bob"]) == (None, "token_invalid")
        assert await explained(token=tokens["ada"]) == ("viewer", None)
        assert await explained(token="forged") == (None, "token_invalid")
        assert await explained(room="other") == ("moderator", None)
        await admin.call("PUT", "/rooms/board/policy", {"enter": "password", "password": "x", "maxPeople": 1})
        assert await explained() == (None, "password_wrong")
        assert await explained(knowsPassword=True) == ("moderator", None)
        assert (await ada.ask("join", room="board", password="x"))["type"] == "joined"
        assert await explained(knowsPassword=True) == (None, "room_full")
        # Nobody has heard of all that.
        assert (await ada.ask("ping"))["type"] == "pong"


async def test_the_policies_of_the_settings_are_listed_without_passwords(media_server: str) -> None:
    from roomfsm.access.policy import Enter, Policies, Policy

    async with serving(media_server, **ADMIN) as server:
        policy = Policy(enter=Enter.PASSWORD, password_hash=HASH, max_people=3)
        server.running.directory.policies = Policies([("board-*", policy)])
        told = await Administrator(server).get("/policies")
        assert [(one["pattern"], one["policy"]["maxPeople"]) for one in told["policies"]] == [("board-*", 3)]
        assert "argon2" not in str(told)
