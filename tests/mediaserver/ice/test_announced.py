"""Given an address to announce, browsers are told the address, the port, and the name's present address."""

from __future__ import annotations

import socket
from typing import Any

import pytest
import trio
import trio.testing

from roomfsm.hosts import host_and_port
from roomfsm.mediaserver.ice.announced import LOOK_UP_INTERVAL, UnknownName, follow, look_up, shifted
from roomfsm.mediaserver.program import AddressError, MediaServerSettings, run
from roomfsm.settings import SettingsError, load
from tests.mediaserver.kurento_client import PATIENCE, open_client
from tests.mediaserver.peer import open_test_peer


class Names(trio.abc.HostnameResolver):
    """A DNS of the test's own."""

    def __init__(self, **names: list[str]) -> None:
        self.names = names
        self.fault: int | None = None
        self.asked = 0

    async def getaddrinfo(self, host: Any, port: Any, family: int = 0, type: int = 0, *_: int) -> list[Any]:  # noqa: A002 (the library's name)
        self.asked += 1
        if self.fault is not None:
            raise socket.gaierror(self.fault, "it is down")
        return [
            (socket.AF_INET6 if ":" in address else socket.AF_INET, type, 17, "", (address, port or 0))
            for address in self.names[host.decode()]
        ]

    async def getnameinfo(self, sockaddr: Any, flags: int) -> tuple[str, str]:
        raise NotImplementedError


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("203.0.113.7", "203.0.113.7", None),
        ("203.0.113.7:40000", "203.0.113.7", 40000),
        ("2001:db8::5", "2001:db8::5", None),
        ("[2001:db8::5]", "2001:db8::5", None),
        ("[2001:db8::5]:1", "2001:db8::5", 1),
        ("Rooms.example.org", "rooms.example.org", None),
        ("rooms.example.org:65535", "rooms.example.org", 65535),
        ("localhost:1", "localhost", 1),
    ],
)
def test_a_host_and_a_port_are_read_separately(text: str, host: str, port: int | None) -> None:
    assert host_and_port(text) == (host, port)


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":1",
        "host:",
        "host:0",
        "host:65536",
        "host:x",
        "a b",
        "http://a",
        "a/b",
        "256.1.1.1",
        "1.2.3",
        "[::1",
        "*",
    ],
)
def test_a_text_that_is_no_host_and_port_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"rooms\.example\.org:40000"):
        host_and_port(text)
    with pytest.raises(SettingsError, match="--announced-address"):
        load({"announced_address": (text,)}, {})


def test_each_worker_announces_a_port_of_its_own() -> None:
    assert shifted(("203.0.113.7:40000", "[2001:db8::5]:9", "203.0.113.8"), 2) == (
        "203.0.113.7:40002",
        "[2001:db8::5]:11",
        "203.0.113.8",
    )
    load({"announced_address": ("203.0.113.7:65534",), "media_workers": "2"}, {})
    with pytest.raises(SettingsError, match="--media-workers"):
        load({"announced_address": ("203.0.113.7:65535",), "media_workers": "2"}, {})


async def test_a_host_name_means_all_its_addresses_with_ipv4_first() -> None:
    names = Names(**{"rooms.example": ["2001:db8::5", "203.0.113.7"]})
    trio.socket.set_custom_hostname_resolver(names)
    announced = ("rooms.example:40000", "198.51.100.1", "198.51.100.1")
    assert await look_up(announced) == ("203.0.113.7:40000", "[2001:db8::5]:40000", "198.51.100.1")
    names.fault = socket.EAI_NONAME
    with pytest.raises(UnknownName, match=r"rooms\.example"):
        await look_up(announced)
    names.fault = socket.EAI_AGAIN
    with pytest.raises(OSError, match=r"rooms\.example"):
        await look_up(announced)


async def test_a_changed_address_of_a_name_is_followed_and_an_outage_changes_nothing(
    autojump_clock: trio.testing.MockClock,
) -> None:
    names = Names(**{"rooms.example": ["203.0.113.7"]})
    trio.socket.set_custom_hostname_resolver(names)
    told: list[tuple[str, ...]] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(follow, ("rooms.example",), ("203.0.113.7",), told.append)
        await trio.sleep(LOOK_UP_INTERVAL * 1.5)
        assert (names.asked, told) == (1, [])
        names.fault = socket.EAI_AGAIN
        await trio.sleep(LOOK_UP_INTERVAL)
        names.fault = socket.EAI_NONAME
        await trio.sleep(LOOK_UP_INTERVAL)
        assert (names.asked, told) == (3, [])
        names.fault = None
        names.names["rooms.example"] = ["203.0.113.9"]
        await trio.sleep(LOOK_UP_INTERVAL * 2)
        assert told == [("203.0.113.9",)]
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("workers", [1, 2])
async def test_browsers_are_told_the_names_present_address(monkeypatch: pytest.MonkeyPatch, workers: int) -> None:
    monkeypatch.setattr("roomfsm.mediaserver.ice.announced.LOOK_UP_INTERVAL", 0.05)
    names = Names(**{"rooms.example": ["203.0.113.7"]})
    trio.socket.set_custom_hostname_resolver(names)
    settings = MediaServerSettings(
        port=0, media_host="127.0.0.1", announced_addresses=("rooms.example:40000",), workers=workers
    )
    async with trio.open_nursery() as nursery:
        ready = await nursery.start(run, settings)
        async with open_client(ready.url) as client:
            pipeline = await client.pipeline()

            async def told() -> set[str]:
                """The addresses and ports of as many endpoints as there are workers."""
                found = set()
                for _ in range(workers):
                    endpoint = await client.endpoint(pipeline)
                    async with open_test_peer("sendonly") as peer:
                        answer = await client.invoke(endpoint, "processOffer", offer=peer.offer)
                    lines = [line.split() for line in answer.splitlines() if line.startswith("a=candidate:")]
                    found |= {f"{line[4]}:{line[5]}" for line in lines}
                return found

            ports = range(40000, 40000 + workers)
            assert await told() == {f"203.0.113.7:{port}" for port in ports}
            names.names["rooms.example"] = ["203.0.113.9"]
            with trio.fail_after(PATIENCE):
                while await told() != {f"203.0.113.9:{port}" for port in ports}:
                    pass
        nursery.cancel_scope.cancel()


async def test_an_unknown_name_is_an_error_but_an_outage_of_dns_is_not() -> None:
    names = Names()
    trio.socket.set_custom_hostname_resolver(names)
    settings = MediaServerSettings(port=0, media_host="127.0.0.1", announced_addresses=("rooms.example",))
    names.fault = socket.EAI_NONAME
    with pytest.RaisesGroup(
        pytest.RaisesExc(AddressError, match="no host rooms.example .see --announced-address")
    ):
        async with trio.open_nursery() as nursery:
            await nursery.start(run, settings)
    names.fault = socket.EAI_AGAIN
    async with trio.open_nursery() as nursery:
        await nursery.start(run, settings)
        nursery.cancel_scope.cancel()
