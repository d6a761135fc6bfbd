"""Decides which address a client has. All limits and log lines use this address.

If there is a proxy in front of us, every connection comes from the proxy, and a header says which client the proxy
asks for. Anybody can write such a header, so the server believes it only from peers that the settings name. Each
proxy appends the address from which it got the request, so the list is read from its end. An entry is true if a
trusted proxy wrote it. The first entry that is not a trusted proxy is the client. Entries before it may be forged.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping, Sequence

from roomfsm.hosts import plain

type Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_WITH_PORT = re.compile(r"\[(?P<v6>[^\]]*)\](:\d*)?|(?P<v4>\d+\.\d+\.\d+\.\d+):\d*")
"""An address that a port may follow (RFC 7239 section 6, and the X-Forwarded-For of some proxies)."""
_FOR = re.compile(r'(?:^|;)\s*for\s*=\s*(?:"(?P<quoted>[^"\\]*)"|(?P<token>[^;"\s]*))\s*(?=;|$)', re.IGNORECASE)
"""The parameter `for` of one element of `Forwarded` (RFC 7239 section 4)."""


def client_address(peer: str, headers: Mapping[str, str], trusted: Sequence[Network] = ()) -> str:
    """The address of the client: the `peer` of the connection, or the address for which a trusted proxy asks.

    `headers` are the headers of the request by lower-case names; if a name came more than once, its values are
    joined by commas. The function reads `X-Forwarded-For` or, if that is missing, `Forwarded` (RFC 7239). It stops
    at an entry that is not an address, and returns the address of the proxy that wrote the entry.
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


def is_in(address: str, networks: Sequence[Network]) -> bool:
    """Whether the address is in one of the networks. False for a text that is not an address."""
    if not networks:
        return False
    try:
        ip = ipaddress.ip_address(plain(address))
    except ValueError:
        return False
    return any(ip in network for network in networks)


def networks_of(texts: Iterable[str]) -> tuple[Network, ...]:
    """Read networks in the form of the settings: `10.0.0.0/8`, or a single address. Raises `ValueError`."""
    return tuple(ipaddress.ip_network(text, strict=False) for text in texts)


def _hops(headers: Mapping[str, str]) -> list[str]:
    """The entries that proxies wrote. The last one is from the nearest proxy."""
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
