"""The names to which a server answers, so that no page can rebind its own name to us.

A browser's same-origin policy compares names. The owner of `evil.example` can make that name point to 127.0.0.1,
or to an address in somebody's network, after the page has been loaded. The page can then talk to the server there
as its own origin, and `Origin` equals `Host` (DNS rebinding). Only the name in `Host` shows this. So a server
answers only to names that it was told are its own, and to hosts that cannot be rebound: IP addresses, for which no
DNS is asked, and names below `localhost`, which always mean the browser's own machine (RFC 6761 section 6.3).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection
from functools import lru_cache
from urllib.parse import urlsplit

_AUTHORITY = re.compile(r"(?:\[(?P<literal>[0-9A-Fa-f:.]+)\]|(?P<name>[^\s\[\]:/?#@\\]+))(?::[0-9]{0,5})?")
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
_MAX_NAME = 253
_MAX_AUTHORITY = _MAX_NAME + len(":65535")
_MAX_PORT = 65_535
_IPV6_SITE = 64
"""The bits of an IPv6 address that identify a site. Every site has at least 2^64 addresses (RFC 6177)."""
ANY = "*"
"""Used instead of a name, this allows every name."""


def host_of(authority: str) -> str | None:
    """The host of `HOST[:PORT]` (RFC 9110 section 7.2): an address, or a name in lower case and ASCII.

    None if it is neither. An IPv6 address has no brackets, and a name no dot at its end.
    """
    # This leaves room for a dot at the end, and for letters of other scripts, which take up to four bytes.
    return None if len(authority) > 4 * _MAX_AUTHORITY else _host_of(authority)


@lru_cache(maxsize=256)
def _host_of(authority: str) -> str | None:
    match = _AUTHORITY.fullmatch(authority)
    if match is None:
        return None
    literal = match["literal"]
    if literal is not None:
        return str(ipaddress.IPv6Address(literal)) if is_address(literal) and ":" in literal else None
    return normal_name(match["name"])


def host_and_port(text: str) -> tuple[str, int | None]:
    """The host and port of `HOST[:PORT]`.

    An IPv6 address with a port is in brackets. Raises `ValueError` for anything else.
    """
    if is_address(text):
        return text, None
    host = host_of(text)
    _, colon, digits = text.rpartition("]")[2].rpartition(":")
    port = int(digits or "0") if colon and host is not None else None
    # A name that ends with a number is a mistyped address (WHATWG URL section 3.5).
    mistyped = host is not None and not is_address(host) and host.rpartition(".")[2].isdecimal()
    if host is None or mistyped or (port is not None and not 1 <= port <= _MAX_PORT):
        raise ValueError(f"{text} is not like 203.0.113.7, rooms.example.org or rooms.example.org:40000")
    return host, port


def normal_name(name: str) -> str | None:
    """A host name as browsers send it: lower case, ASCII (RFC 5890), no dot at the end.

    None if it is not a host name.
    """
    try:
        ascii_name = name.removesuffix(".").encode("idna").decode("ascii").lower()
    except UnicodeError:
        return None
    if len(ascii_name) > _MAX_NAME or not all(map(_LABEL.fullmatch, ascii_name.split("."))):
        return None
    return ascii_name


def host_setting(text: str) -> str | None:
    """A name from the settings in the form for `answers_to`; None if it is not a name."""
    if text == ANY:
        return text
    wildcard, name = ("*.", text[2:]) if text.startswith("*.") else ("", text)
    normal = normal_name(name)
    return None if normal is None or is_address(normal) else wildcard + normal


def is_address(text: str) -> bool:
    """Whether it is an IP address as in a URL, with IPv6 without brackets."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return "%" not in text


@lru_cache(maxsize=1024)
def plain(address: str) -> str:
    """The address, in IPv4's form if it is an IPv4 address that was mapped to IPv6 (RFC 4291 section 2.5.5.2)."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return address
    mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
    return str(mapped or ip)


@lru_cache(maxsize=1024)
def bound_key(address: str) -> str:
    """The key for limits "per address": an IPv4 address, or the /64 network of an IPv6 address."""
    try:
        ip = ipaddress.ip_address(plain(address))
    except ValueError:
        return address
    if isinstance(ip, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((ip.packed, _IPV6_SITE), strict=False))
    return str(ip)


def is_loopback_name(host: str) -> bool:
    """Whether the host (see `host_of`) is a name of the machine on which the browser runs."""
    return host == "localhost" or host.endswith(".localhost")


def answers_to(authority: str, names: Collection[str]) -> bool:
    """Whether a request for `authority` (a `Host` header, `:authority`, or that of an absolute target) is for us.

    `names` are our own names in the form of `normal_name`. `*.example.org` means every name with one more label,
    and `*` every name.
    """
    host = host_of(authority)
    if host is None:
        return False
    if is_address(host) or is_loopback_name(host) or ANY in names or host in names:
        return True
    _, dot, parent = host.partition(".")
    return bool(dot) and f"*.{parent}" in names


def media_server_fault(url: str) -> str | None:
    """What is wrong with a text as the address of a media server; None if nothing is."""
    if not re.fullmatch(r"wss?://[^/?#\s][^#\s]*", url):
        return f"not a ws:// or wss:// address: {url}"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        return f"{url}: {error}"
    if not host or port == 0:
        return f"no {'port' if host else 'host'} in the address: {url}"
    if "@" in parts.netloc:
        # It is not repeated, because it may have a password.
        return "no name or password in the address: --kurento-secret takes the secret"
    return None
