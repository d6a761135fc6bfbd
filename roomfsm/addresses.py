"""The addresses under which browsers find a running server, for the line that it prints."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from urllib.parse import urlsplit

from roomfsm.hosts import is_address
from roomfsm.interfaces import addresses_of_this_machine, outward_address
from roomfsm.settings import Settings


def addresses_to_open(settings: Settings, port: int) -> list[str]:
    """The addresses to open in a browser, each ending with a slash. The first is for a browser on this machine."""
    hosts: dict[str, None] = {}
    for host in settings.server.host:
        hosts |= dict.fromkeys(_hosts_at(host))
    if settings.server.https:
        hosts |= dict.fromkeys(name for name in settings.door.host_name if "*" not in name)
    scheme = "https" if settings.server.https else "http"
    ordered = sorted(hosts, key=lambda host: host != "localhost")
    return [f"{scheme}://{_in_url(host)}:{port}{settings.door.path_prefix}/" for host in ordered]


def _hosts_at(listening: str) -> list[str]:
    if not is_address(listening):
        return [listening]
    address = ipaddress.ip_address(listening)
    if address.is_unspecified:
        found = addresses_of_this_machine()
        return ["localhost", *(str(ip) for ip in found if ip.version == address.version)]
    return ["localhost"] if listening in ("127.0.0.1", "::1") else [str(address)]


def address_for_phones(addresses: Sequence[str]) -> str | None:
    """The one of the `addresses_to_open` that a phone in the same network can open; None if there is none.

    A machine may have many addresses (of containers, for example). The one by which it reaches other networks
    is most likely to be in the network of the phone.
    """
    outward = [str(address) for address in map(outward_address, (4, 6)) if address is not None]

    def rank(address: str) -> tuple[bool, bool]:
        host = urlsplit(address).hostname or ""
        return host not in outward, ":" in host

    reachable = [address for address in addresses if is_address(urlsplit(address).hostname or "")]
    return min(reachable, key=rank, default=None)


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host
