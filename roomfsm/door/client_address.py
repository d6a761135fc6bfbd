"""Whose request it is: the one place that decides which address a client is known, bounded and logged by.

A proxy in front of us is the peer of every connection and says in a header for whom it asks. Anybody can write
such a header, so it is believed only from peers that the settings name. Each proxy appends the address that it
was asked from, so the list is read from its end: as long as the one who wrote an entry is trusted, the entry is
true. The first that is no trusted proxy is the client; whatever stands before it may be made up.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

type Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_IPV6_SITE = 64
"""Bits of an IPv6 address that tell sites apart: everybody has 2^64 addresses below their own (RFC 6177)."""
_WITH_PORT = re.compile(r"\[(?P<v6>[^\]]*)\](:\d*)?|(?P<v4>\d+\.\d+\.\d+\.\d+):\d*")
"""How an address is written where a port may follow it (RFC 7239 section 6, and some proxies' X-Forwarded-For)."""
_FOR = re.compile(r'(?:^|;)\s*for\s*=\s*(?:"(?P<quoted>[^"\\]*)"|(?P<token>[^;"\s]*))\s*(?=;|$)', re.IGNORECASE)
"""The parameter `for` of one element of `Forwarded` (RFC 7239 section 4)."""


def client_address(peer: str, headers: Mapping[str, str], trusted: Sequence[Network] = ()) -> str:
    """The address of the client who asks: the `peer` of the connection, or whom a trusted proxy asks for.

    `headers` are those of the request, by lower-case names; of a name that came more than once the values are
    joined by commas. `X-Forwarded-For` is read, or `Forwarded` (RFC 7239) where there is none. At an entry that is
    no address the reading ends: then the proxy that wrote it is all that is known of the client.
    """
    client = plain(peer)
    if not trusted:
        return client
    for entry in reversed(_hops(headers)):
        if not is_in(client, trusted):
            break
        hop = _address(entry)
        if hop is None:
            break
        client = hop
    return client


@lru_cache(maxsize=1024)
def plain(address: str) -> str:
    """An IPv4 address that came in IPv6's clothes (RFC 4291 section 2.5.5.2) as IPv4; others as they are."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return address
    mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
    return str(mapped or ip)


@lru_cache(maxsize=1024)
def bound_key(address: str) -> str:
    """What bounds "for an address" are counted by: an IPv4 address, or the /64 network of an IPv6 address."""
    try:
        ip = ipaddress.ip_address(plain(address))
    except ValueError:
        return address
    if isinstance(ip, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((ip.packed, _IPV6_SITE), strict=False))
    return str(ip)


def is_in(address: str, networks: Sequence[Network]) -> bool:
    """Whether the address lies in one of the networks; what is no address lies in none."""
    if not networks:
        return False
    try:
        ip = ipaddress.ip_address(plain(address))
    except ValueError:
        return False
    return any(ip in network for network in networks)


def networks_of(texts: Iterable[str]) -> tuple[Network, ...]:
    """Networks as the settings write them: `10.0.0.0/8`, or one address. Raises `ValueError`."""
    return tuple(ipaddress.ip_network(text, strict=False) for text in texts)


def _hops(headers: Mapping[str, str]) -> list[str]:
    """The entries that proxies wrote, the nearest last."""
    if "x-forwarded-for" in headers:
        return [entry.strip() for entry in headers["x-forwarded-for"].split(",")]
    if "forwarded" not in headers:
        return []
    found = (_FOR.search(element) for element in headers["forwarded"].split(","))
    return [(match["quoted"] or match["token"] or "") if match else "" for match in found]


def _address(entry: str) -> str | None:
    match = _WITH_PORT.fullmatch(entry)
    text = (match["v6"] or match["v4"] or "") if match else entry
    try:
        return plain(str(ipaddress.ip_address(text)))
    except ValueError:
        return None
