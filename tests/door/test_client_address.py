"""Given a peer, the proxies' headers and the trusted proxies, the client has this address."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roomfsm.door.client_address import client_address, networks_of
from roomfsm.hosts import bound_key

PROXIES = networks_of(["10.0.0.0/8", "127.0.0.1", "2001:db8:ffff::/48"])


@pytest.mark.parametrize(
    ("peer", "forwarded_for", "client"),
    [
        ("203.0.113.7", "198.51.100.1", "203.0.113.7"),  # whoever writes it is not trusted
        ("10.1.2.3", "198.51.100.1", "198.51.100.1"),
        ("10.1.2.3", "192.0.2.9, 198.51.100.1", "198.51.100.1"),  # the client made up what stands before it
        ("10.1.2.3", "198.51.100.1, 10.9.9.9", "198.51.100.1"),  # two trusted proxies
        ("10.1.2.3", "192.0.2.9, 198.51.100.1, 10.9.9.9, 127.0.0.1", "198.51.100.1"),
        ("10.1.2.3", "10.7.7.7, 10.9.9.9", "10.7.7.7"),  # nobody but trusted ones
        ("::ffff:10.1.2.3", "198.51.100.1", "198.51.100.1"),
        ("10.1.2.3", "::ffff:198.51.100.1", "198.51.100.1"),
        ("10.1.2.3", "198.51.100.1:4711", "198.51.100.1"),
        ("10.1.2.3", "[2001:db8::5]:4711", "2001:db8::5"),
        ("2001:db8:ffff::1", "2001:db8::5", "2001:db8::5"),
        ("10.1.2.3", "198.51.100.1, nonsense", "10.1.2.3"),
        ("10.1.2.3", "nonsense, 198.51.100.1", "198.51.100.1"),
        ("10.1.2.3", "", "10.1.2.3"),
        ("10.1.2.3", ",,,", "10.1.2.3"),
        ("10.1.2.3", "198.51.100.1,", "10.1.2.3"),
        ("10.1.2.3", "unknown", "10.1.2.3"),
        ("10.1.2.3", "198.51.100.256", "10.1.2.3"),
        ("10.1.2.3", "127.1", "10.1.2.3"),
    ],
)
def test_x_forwarded_for_is_read_from_its_end_while_the_writers_are_trusted(
    peer: str, forwarded_for: str, client: str
) -> None:
    assert client_address(peer, {"x-forwarded-for": forwarded_for}, PROXIES) == client


@pytest.mark.parametrize(
    ("forwarded", "client"),
    [
        ("for=198.51.100.1", "198.51.100.1"),
        ('For="[2001:db8:cafe::17]:4711"', "2001:db8:cafe::17"),
        ("for=192.0.2.60;proto=http;by=203.0.113.43", "192.0.2.60"),
        ("for=192.0.2.43, for=198.51.100.17", "198.51.100.17"),
        ("proto=https; for=192.0.2.43, for=10.9.9.9", "192.0.2.43"),
        ("for=_gazonk", "10.1.2.3"),
        ("for=unknown", "10.1.2.3"),
        ("by=192.0.2.43", "10.1.2.3"),
        ("for=", "10.1.2.3"),
    ],
)
def test_forwarded_is_read_if_there_is_no_x_forwarded_for(forwarded: str, client: str) -> None:
    assert client_address("10.1.2.3", {"forwarded": forwarded}, PROXIES) == client
    both = {"forwarded": forwarded, "x-forwarded-for": "198.51.100.200"}
    assert client_address("10.1.2.3", both, PROXIES) == "198.51.100.200"


def test_without_a_trusted_proxy_the_peer_is_the_client() -> None:
    said = {"x-forwarded-for": "198.51.100.1", "forwarded": "for=198.51.100.1"}
    assert client_address("127.0.0.1", said) == "127.0.0.1"


@given(st.text(max_size=100), st.sampled_from(["x-forwarded-for", "forwarded"]))
def test_whatever_the_header_contains_an_address_is_found(said: str, name: str) -> None:
    assert bound_key(client_address("10.1.2.3", {name: said}, PROXIES))


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:db8:0:0:ffff::1", "2001:db8::/64"),
        ("2001:db8:0:1::1", "2001:db8:0:1::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("no address", "no address"),
    ],
)
def test_an_ipv6_site_counts_as_one_address(address: str, key: str) -> None:
    assert bound_key(address) == key
