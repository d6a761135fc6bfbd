"""The addresses under which browsers find a running server, for the line that it prints."""

from __future__ import annotations

import ipaddress

import ifaddr

from roomfsm.hosts import is_address
from roomfsm.settings import Settings


def addresses_to_open(settings: Settings, port: int) -> list[str]:
    """The addresses to open in a browser, each ending with a slash. The first is for a browser on this machine."""
    hosts: dict[str, None] = {}
    for host in settings.server.host:
        hosts |= dict.fromkeys(_hosts_at(host))
    if settings.server.certfile is not None:
        hosts |= dict.fromkeys(name for name in settings.door.host_name if "*" not in name)
    scheme = "http" if settings.server.certfile is None else "https"
    ordered = sorted(hosts, key=lambda host: host != "localhost")
    return [f"{scheme}://{_in_url(host)}:{port}{settings.door.path_prefix}/" for host in ordered]


def _hosts_at(listening: str) -> list[str]:
    if not is_address(listening):
        return [listening]
    address = ipaddress.ip_address(listening)
    if address.is_unspecified:
        return ["localhost", *_of_this_machine(address.version)]
    return ["localhost"] if listening in ("127.0.0.1", "::1") else [str(address)]


def _of_this_machine(version: int) -> list[str]:
    found = [
        ipaddress.ip_address(ip.ip if isinstance(ip.ip, str) else ip.ip[0])
        for adapter in ifaddr.get_adapters()
        for ip in adapter.ips
    ]
    return [str(ip) for ip in found if ip.version == version and not ip.is_loopback and not ip.is_link_local]


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host
