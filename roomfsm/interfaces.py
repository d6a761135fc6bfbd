"""The addresses of this machine's network interfaces."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable

import ifaddr

from roomfsm.hosts import is_address

type Ip = ipaddress.IPv4Address | ipaddress.IPv6Address


def addresses_of_this_machine() -> list[Ip]:
    """The addresses at which other machines may reach this one: no loopback and no link-local ones.

    A browser cannot open a link-local IPv6 address, because a URL has no place for the interface.
    """
    return [ip for ip in all_addresses() if not ip.is_loopback and not ip.is_link_local]


def all_addresses() -> list[Ip]:
    """Every address of every interface."""
    return [
        ipaddress.ip_address(ip.ip if isinstance(ip.ip, str) else ip.ip[0])
        for adapter in ifaddr.get_adapters()
        for ip in adapter.ips
    ]


def outward_address(version: int = 4) -> Ip | None:
    """The address from which this machine reaches the rest of the world; None if it has no route to it.

    The system chooses the address when a UDP socket is connected, and sends nothing for that.
    """
    family, far = {4: (socket.AF_INET, "192.0.2.1"), 6: (socket.AF_INET6, "2001:db8::1")}[version]
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.connect((far, 9))
            return ipaddress.ip_address(sock.getsockname()[0])
    except OSError:
        return None


def is_open_to_others(hosts: Iterable[str]) -> bool:
    """Whether other machines can reach a server that listens on these addresses and names."""
    return not all(host == "localhost" or (is_address(host) and _is_loopback(host)) for host in hosts)


def _is_loopback(host: str) -> bool:
    return ipaddress.ip_address(host).is_loopback
