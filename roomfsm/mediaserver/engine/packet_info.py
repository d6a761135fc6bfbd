"""Makes answers leave from the address that the browser contacted (IP_PKTINFO, IPV6_PKTINFO; RFC 3542 section 6).

The engine has one socket for all addresses. By default the system sends from the address that its route to the
other side prefers. If that is not the address that the browser contacted (a second address on the network, a
floating one, another uplink), browsers drop the answer, because for ICE it comes from somebody else (RFC 8445
section 7.2.5.2.1). So the engine reads the address to which a check was sent, and sends everything for that
browser from there.

Both steps cost time, so they are left out if they make no difference. The address is read only if the machine has
several addresses, and set only if the route would choose another one. Asking the system for its route takes a
socket, and browsers send a check about every second, so the result is remembered for some seconds.
"""

import functools
import ipaddress
import socket
import struct
import sys
from collections.abc import Iterable

import ifaddr

from roomfsm.mediaserver.ice.lite import Address, Control

ANCILLARY = 64
"""The bytes that are reserved for the control message of one datagram."""
_ROUTE_LIFE = 5.0
"""Seconds after which the system is asked again, because routes and addresses change."""
_MAX_ROUTES = 4096
"""The most routes that are remembered."""
_PROBE_PORT = 9
"""Any port will do, because routes do not depend on it."""
_IN_PKTINFO = struct.Struct("=i4s4s")
"""The structure has the interface, the local address, and the address in the header (ip(7))."""
_IN6_PKTINFO = struct.Struct("=16sI")
"""The structure has the address and the interface (RFC 3542 section 6)."""


def enable(sock: socket.socket) -> bool:
    """Make the system report the address to which each datagram was sent. Returns whether it can.

    A socket that is bound to one address does not need this, because its answers leave from there anyway.
    """
    bound = ipaddress.ip_address(sock.getsockname()[0].partition("%")[0])
    if sys.platform != "linux" or not bound.is_unspecified:
        return False
    try:
        if sock.family == socket.AF_INET6:
            # This includes IPv4, with addresses of the form ::ffff:192.0.2.1.
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
        else:
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_PKTINFO, 1)
    except OSError:
        return False
    return True


def several_addresses() -> bool:
    """Whether other machines can reach this one by more than one IPv4 address, or more than one IPv6 address."""
    found = [
        ipaddress.ip_address(ip.ip if isinstance(ip.ip, str) else ip.ip[0])
        for adapter in ifaddr.get_adapters()
        for ip in adapter.ips
    ]
    versions = [ip.version for ip in found if not (ip.is_loopback or ip.is_link_local)]
    return len(versions) > len(set(versions))


def asked_address(ancillary: Iterable[tuple[int, int, bytes]]) -> bytes:
    """The address to which a datagram was sent, packed in the form of the socket's family; empty if it is not
    known.
    """
    for level, type_, data in ancillary:
        if level == socket.IPPROTO_IPV6 and type_ == socket.IPV6_PKTINFO:
            return data[:16]
        if level == socket.IPPROTO_IP and type_ == socket.IP_PKTINFO:
            return data[4:8]
    return b""


def plain(asked: bytes) -> str:
    """The address as text; empty if there is none.

    An IPv4 address has IPv4's form even if an IPv6 socket reported it.
    """
    if not asked:
        return ""
    address = ipaddress.ip_address(asked)
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)


def control(asked: bytes, remote: Address, now: float) -> Control:
    """Control messages that make datagrams to `remote` leave from the address that it contacted; empty if they do
    so anyway.
    """
    if not asked:
        return ()
    host, scope = remote[0], remote[3] if len(remote) == 4 else 0
    if _route_source(host, scope, len(asked), int(now // _ROUTE_LIFE)) == asked:
        return ()
    if len(asked) == 4:
        return ((socket.IPPROTO_IP, socket.IP_PKTINFO, _IN_PKTINFO.pack(0, asked, bytes(4))),)
    return ((socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, _IN6_PKTINFO.pack(asked, scope)),)


@functools.lru_cache(_MAX_ROUTES)
def _route_source(host: str, scope: int, size: int, period: int) -> bytes:
    """The address of `size` bytes from which the system would send; empty if there is no route. Sends nothing.

    `period` is a number that changes when the remembered result is too old.
    """
    del period
    family = socket.AF_INET if size == 4 else socket.AF_INET6
    remote: Address = (host, _PROBE_PORT) if family == socket.AF_INET else (host, _PROBE_PORT, 0, scope)
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            if family == socket.AF_INET6:
                probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            probe.connect(remote)
            return socket.inet_pton(family, probe.getsockname()[0].partition("%")[0])
    except OSError:
        return b""
