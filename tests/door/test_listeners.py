"""Given several addresses, the door listens on each of them, IPv4 and IPv6, at one port."""

from __future__ import annotations

import socket

import pytest
import trio

from roomfsm.door.listeners import ListenError, open_listeners
from tests.ports import reserved_port


async def addresses(*hosts: str) -> tuple[set[str], set[int]]:
    """The addresses that are listened on, after a connection to each of them."""
    async with open_listeners(hosts, 0) as listeners:
        names = [listener.socket.getsockname() for listener in listeners]
        for name in names:
            async with await trio.open_tcp_stream(name[0], name[1]):
                pass
    return {name[0] for name in names}, {name[1] for name in names}


@pytest.mark.parametrize(
    ("hosts", "expected"),
    [
        (("127.0.0.1",), {"127.0.0.1"}),
        (("0.0.0.0", "::"), {"0.0.0.0", "::"}),
        (("::", "0.0.0.0"), {"0.0.0.0", "::"}),
        (("127.0.0.1", "::1", "127.0.0.2"), {"127.0.0.1", "::1", "127.0.0.2"}),
        (("127.0.0.1", "127.0.0.1"), {"127.0.0.1"}),
    ],
)
async def test_all_addresses_are_listened_on_at_one_port(hosts: tuple[str, ...], expected: set[str]) -> None:
    listening, ports = await addresses(*hosts)
    assert listening == expected
    assert len(ports) == 1


async def test_ipv4_and_ipv6_wildcards_are_one_address_each() -> None:
    async with open_listeners(["0.0.0.0", "::"], 0) as (four, six):
        assert six.socket.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
        assert four.socket.getsockname()[1] == six.socket.getsockname()[1]


async def test_a_host_name_means_all_its_addresses() -> None:
    listening, ports = await addresses("localhost", "127.0.0.1")
    assert "127.0.0.1" in listening
    assert len(ports) == 1


@pytest.mark.parametrize("host", ["192.0.2.1", "nowhere.invalid", "2001:db8::1"])
async def test_an_address_that_cannot_be_used_is_named_and_nothing_stays_open(host: str) -> None:
    with reserved_port() as port:
        with pytest.raises(ListenError, match=f"cannot listen on {host}, port {port}: "):
            async with open_listeners(["127.0.0.1", host], port):
                pass
        async with open_listeners(["127.0.0.1"], port):
            pass


async def test_a_port_in_use_is_named() -> None:
    async with open_listeners(["127.0.0.1"], 0) as (taken,):
        port = taken.socket.getsockname()[1]
        with pytest.raises(ListenError, match=r"127\.0\.0\.1"):
            async with open_listeners(["::1", "127.0.0.1"], port):
                pass
