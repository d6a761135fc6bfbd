"""Addresses that browsers are told instead of our own, for example because of a NAT.

An announced address is `HOST[:PORT]`. The host is an IP address or a name. A name is looked up when the media
server starts and then regularly, so that browsers that connect later get its new address. The port is needed if
the NAT maps our port to another one.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Sequence

import trio

from roomfsm.hosts import host_and_port, is_address
from roomfsm.log import get_logger

LOOK_UP_INTERVAL = 30.0
"""Seconds between two look-ups of the names."""
_LOOK_UP_TIMEOUT = 5.0

log = get_logger(__name__)


class UnknownName(Exception):
    """A name does not exist. The message says which one."""


def join(host: str, port: int | None) -> str:
    """Make a text from a host and a port, the reverse of `host_and_port`."""
    if port is None:
        return host
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def shifted(addresses: Sequence[str], by: int) -> tuple[str, ...]:
    """The same addresses with ports that are higher by this number, because each worker has a port of its own."""
    parts = [host_and_port(address) for address in addresses]
    return tuple(join(host, None if port is None else port + by) for host, port in parts)


async def look_up(announced: Sequence[str]) -> tuple[str, ...]:
    """The announced addresses, with names replaced by their IP addresses. Each appears once.

    Raises `UnknownName`, or `OSError` if there is no answer now.
    """
    found: dict[str, None] = {}
    for host, port in map(host_and_port, announced):
        for address in [host] if is_address(host) else await _addresses_of(host):
            found[join(address, port)] = None
    return tuple(found)


async def _addresses_of(name: str) -> list[str]:
    try:
        with trio.fail_after(_LOOK_UP_TIMEOUT):
            infos = await trio.socket.getaddrinfo(name, None, type=socket.SOCK_DGRAM)
    except trio.TooSlowError:
        raise OSError(f"{name}: no answer in {_LOOK_UP_TIMEOUT:g} s") from None
    except socket.gaierror as error:
        if error.errno == socket.EAI_NONAME:
            raise UnknownName(f"there is no host {name}") from error
        raise OSError(f"{name}: {error.strerror}") from error
    # IPv4 addresses come first, as with our own addresses.
    addresses = [ipaddress.ip_address(str(address[0]).partition("%")[0]) for *_, address in infos]
    return [str(address) for address in sorted(addresses, key=lambda address: address.version)]


async def follow(
    announced: Sequence[str], known: tuple[str, ...], announce: Callable[[tuple[str, ...]], None]
) -> None:
    """Look the names up regularly, and call `announce` when the addresses have changed.

    Without an answer they stay as they are.
    """
    while any(not is_address(host_and_port(text)[0]) for text in announced):
        await trio.sleep(LOOK_UP_INTERVAL)
        try:
            found = await look_up(announced)
        except (OSError, UnknownName) as error:
            log.warning("announced address not looked up, the one before stays", error=str(error))
            continue
        if found != known:
            log.info("announced address changed", addresses=found, before=known)
            announce(found)
            known = found
    await trio.sleep_forever()
