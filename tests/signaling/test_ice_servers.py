"""Given STUN and TURN servers, when somebody connects, then credentials are sent only after the join."""

from __future__ import annotations

import time
from typing import Any

import pytest
import trio

from roomfsm.protocol.server import IceServer
from roomfsm.settings import SettingsError, load
from roomfsm.signaling.ice_servers import (
    for_participants,
    for_strangers,
    time_limited_credentials,
)
from roomfsm.signaling.ice_uris import is_stun_uri, is_turn_uri
from roomfsm.signaling.settings import SignalingSettings
from tests.mediaserver.tcp_relay import open_relay
from tests.protocol_client import Wire, open_client
from tests.serving import serving

STUN = IceServer(urls=("stun:s.example:3478",))
STATIC = IceServer(urls=("turn:old.example:3478",), username="ada", credential="s3cret")
LIMITED: dict[str, Any] = {
    "turn_uri": ("turn:t.example:3478", "turns:t.example:443?transport=tcp"),
    "turn_secret": "north",
}


def test_the_credentials_are_made_as_turn_rest_says() -> None:
    """The expected value was computed with `openssl dgst -sha1 -hmac north`, as coturn's documentation says."""
    assert time_limited_credentials("north", "ada", 1_767_225_600) == (
        "1767225600:ada",
        "cnpw5st64Td+vhG5dCx/X9lhxLc=",
    )


def test_a_stranger_gets_no_credentials() -> None:
    settings = SignalingSettings(ice_servers=(STUN, STATIC), **LIMITED)
    assert for_strangers(settings) == (STUN,)
    static, old, limited = for_participants(settings, "p1", 1000.5)
    assert (static, old) == (STUN, STATIC)
    assert limited.urls == LIMITED["turn_uri"]
    assert limited.username == "44200:p1"


@pytest.mark.parametrize(
    ("uri", "stun", "turn"),
    [
        ("stun:s.example", True, False),
        ("stuns:s.example:5349", True, False),
        ("stun:[2001:db8::1]:3478", True, False),
        ("stun:s.example?transport=udp", False, False),
        ("turn:t.example", False, True),
        ("turn:192.0.2.1:3478?transport=udp", False, True),
        ("turns:[2001:db8::1]:443?transport=tcp", False, True),
        ("turn:t.example?transport=sctp", False, False),
        ("turn:t.example?transport=tcp&x=1", False, False),
        ("turn://t.example", False, False),
        ("turn:user@t.example", False, False),
        ("turn:", False, False),
        ("turn:t.example:port", False, False),
        ("http://t.example", False, False),
    ],
)
def test_a_uri_is_accepted_exactly_if_browsers_accept_it(uri: str, stun: bool, turn: bool) -> None:
    assert (is_stun_uri(uri), is_turn_uri(uri)) == (stun, turn)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"turn_uri": ("turn:t.example",)}, "--turn-secret"),
        ({"turn_secret": "north"}, "--turn-uri"),
        ({"turn_uri": ("turn:t.example",), "turn_secret": "file:/nowhere"}, "/nowhere"),
        ({"turn_uri": ("stun:t.example",), "turn_secret": "north"}, "--turn-uri"),
        ({**LIMITED, "turn_ttl": "59"}, "--turn-ttl"),
        ({**LIMITED, "turn_ttl": "2592001"}, "--turn-ttl"),
        ({"ice_servers": ("stun:s.example?transport=udp",)}, "--ice-servers"),
    ],
)
def test_a_wrong_setting_is_named(flags: dict[str, object], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        load(flags, {})


@pytest.mark.parametrize("ttl", ["60", "2592000"])
def test_the_lifetime_of_credentials_has_bounds(ttl: str) -> None:
    assert load({**LIMITED, "turn_ttl": ttl}, {}).signaling.turn_ttl == float(ttl)


def credentials(message: Wire) -> Wire:
    """The time-limited credentials, which are those of the last server."""
    found: Wire = message["iceServers"][-1]
    assert found["urls"] == list(LIMITED["turn_uri"])
    assert (found["username"], found["credential"]) == time_limited_credentials(
        "north", found["username"].partition(":")[2], int(found["username"].partition(":")[0])
    )
    return found


def ends_in(found: Wire) -> float:
    return int(found["username"].partition(":")[0]) - time.time()


async def test_a_person_who_joins_or_resumes_or_switches_gets_new_credentials(media_server: str) -> None:
    settings = {"ice_servers": (STUN, STATIC), "turn_ttl": 600.0, **LIMITED}
    async with serving(media_server, **settings) as server:
        async with open_client(server.url) as zoe:
            assert zoe.welcome["iceServers"] == [{"urls": ["stun:s.example:3478"]}]
            assert "s3cret" not in str(zoe.welcome)
            assert "iceServers" not in await zoe.ask("ping")
        async with open_relay(f"ws://127.0.0.1:{server.port}/ws") as relay, open_client(server.url) as bob:
            async with open_client(relay.url) as ada:
                joined = await ada.join("blue")
                assert joined["iceServers"][1]["credential"] == "s3cret"
                assert 500 < ends_in(credentials(joined)) <= 600
                assert ada.me in credentials(joined)["username"]
                assert "iceServers" not in await ada.ask("ping")
                token = ada.welcome["resumeToken"]
                relay.cut()
            resumed = await bob.ask("resume", token=token)
            assert ends_in(credentials(resumed)) > 500
            switched = await bob.ask("switch", room="green")
            assert ends_in(credentials(switched)) > 500


async def test_a_ping_brings_new_credentials_after_half_of_their_lifetime(media_server: str) -> None:
    async with serving(media_server, turn_ttl=6000.0, **LIMITED) as server, open_client(server.url) as ada:
        (session,) = set(server.running.registry._by_token.values())
        assert "iceServers" not in await ada.ask("ping")
        await ada.join("blue")
        assert 2900 < session._renew_at - trio.current_time() <= 3000
        for _ in range(2):
            assert "iceServers" not in await ada.ask("ping")
            session._renew_at = trio.current_time()
            assert ends_in(credentials(await ada.ask("ping"))) > 5900
        await ada.ask("leave")
        session._renew_at = trio.current_time()
        assert "iceServers" not in await ada.ask("ping")


async def test_somebody_who_waits_in_a_lobby_gets_no_credentials(media_server: str) -> None:
    async with serving(media_server, **LIMITED) as server, open_client(server.url) as ada:
        await ada.join("blue")
        await ada.ask("configure", lobby=True)
        async with open_client(server.url) as bob:
            await bob.send("join", room="blue", ref="b")
            await bob.expect(type="knocking")
            assert "iceServers" not in await bob.ask("ping")
            await ada.ask("admit")
            assert ends_in(credentials(await bob.expect(type="joined"))) > 0
