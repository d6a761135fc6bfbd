"""Checks addresses and ports: where the server listens, where media arrive, and what stands in front of it."""

from __future__ import annotations

import errno
import ipaddress
import secrets
import socket
import ssl
from collections.abc import AsyncIterator, Iterator

import trio

from roomfsm.check.findings import Finding, fault, ok, warning
from roomfsm.door.client_address import networks_of
from roomfsm.door.listeners import ListenError, open_listeners
from roomfsm.hosts import ANY, host_and_port, is_address
from roomfsm.interfaces import Ip, addresses_of_this_machine, all_addresses, is_open_to_others
from roomfsm.settings import Settings

_PROBE = 1.0
"""Seconds for a datagram from this machine to come back to it."""
_ANSWER = 2.0
"""Seconds for a server at our port to say what it is."""
_OWN_PATHS = ("r", "ws", "api", "client", "health", "inspect")
"""The first parts of this server's own paths. A prefix like one of them would be taken for it."""
_WIDE_V4, _WIDE_V6 = 8, 16
"""The shortest prefixes of networks that somebody's own machines may be in."""


async def check_port(settings: Settings) -> list[Finding]:
    """Whether the TCP port is free, or a server of ours has it already."""
    server = settings.server
    where = f"{', '.join(server.host)}, port {server.port}"
    try:
        async with open_listeners(server.host, server.port):
            return [ok("tcp", f"{where} is free")]
    except ListenError as error:
        if await _is_roomfsm(settings):
            return [ok("tcp", f"{where}: a room server listens there already")]
        return [fault("tcp", str(error), "end the program that uses the port, or choose another --port or --host")]


async def _is_roomfsm(settings: Settings) -> bool:
    host = settings.server.host[0]
    if is_address(host) and ipaddress.ip_address(host).is_unspecified:
        host = "::1" if ":" in host else "127.0.0.1"
    with trio.move_on_after(_ANSWER):
        try:
            stream: trio.abc.Stream = await trio.open_tcp_stream(host, settings.server.port)
            if settings.server.https:
                context = ssl.create_default_context()
                context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
                stream = trio.SSLStream(stream, context)
            async with stream:
                await stream.send_all(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                answer = b""
                while data := await stream.receive_some(4096):
                    answer += data
                    if b'"live"' in answer:
                        return True
        except (OSError, trio.BrokenResourceError):
            return False
    return False


async def check_media_port(settings: Settings) -> list[Finding]:
    """Whether the ports of the embedded media server can be used, and those for UDP are reached from this
    machine.
    """
    server = settings.server
    if server.kurento:
        return []
    findings: list[Finding] = []
    if server.media_port == 0 and is_open_to_others(server.host):
        findings.append(
            warning(
                "udp",
                "the system chooses another port at each start, which no firewall or NAT can let through",
                "--media-port 40000, and open that UDP port",
            )
        )
    for offset in range(server.media_workers):
        findings.append(await _try_media_port(settings, server.media_port and server.media_port + offset))
        if server.media_port == 0:
            break
    if server.media_tcp_port:
        ports = range(server.media_tcp_port, server.media_tcp_port + server.media_workers)
        findings += [await _try_media_tcp_port(settings, port) for port in ports]
    return findings


async def _try_media_tcp_port(settings: Settings, port: int) -> Finding:
    host = settings.server.media_host
    try:
        _bound(host, port, socket.SOCK_STREAM).close()
    except OSError as error:
        if error.errno == errno.EADDRINUSE and await _is_roomfsm(settings):
            return ok("udp", f"TCP port {port} is in use, and a room server runs already")
        mend = "end the program that uses it, or choose another --media-tcp-port or --media-host"
        return fault("udp", f"{host}, TCP port {port}: {error.strerror}", mend)
    return ok("udp", f"TCP port {port} can be used for media, too")


async def _try_media_port(settings: Settings, port: int) -> Finding:
    try:
        sock = _bound(settings.server.media_host, port)
    except OSError as error:
        if error.errno == errno.EADDRINUSE and await _is_roomfsm(settings):
            return ok("udp", f"port {port} is in use, and a room server runs already")
        mend = "end the program that uses it, or choose another --media-port or --media-host"
        return fault("udp", f"{settings.server.media_host}, port {port}: {error.strerror}", mend)
    with sock:
        port = sock.getsockname()[1]
        lost = [str(ip) for ip in _own_media_addresses(settings) if not await _comes_back(sock, str(ip), port)]
    if lost:
        mend = "open the port in this machine's firewall"
        return fault("udp", f"port {port} is not reached at {', '.join(lost)} from this machine", mend)
    return ok("udp", f"port {port} can be used, and is reached from this machine")


def _bound(host: str, port: int, kind: int = socket.SOCK_DGRAM) -> trio.socket.SocketType:
    """A socket as the media server opens it. Raises `OSError`."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, kind)
    try:
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if host == "::" else 1)
        if kind == socket.SOCK_STREAM:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
    except OSError:
        sock.close()
        raise
    return trio.socket.from_stdlib_socket(sock)


def _own_media_addresses(settings: Settings) -> list[Ip]:
    """The addresses of this machine at which media arrive."""
    host = ipaddress.ip_address(settings.server.media_host)
    if not host.is_unspecified:
        return [host]
    found = [ip for ip in addresses_of_this_machine() if host.version == 6 or ip.version == 4]
    return found or [ipaddress.ip_address("127.0.0.1")]


async def _comes_back(sock: trio.socket.SocketType, address: str, port: int) -> bool:
    """Whether a datagram that is sent to the address arrives at our socket."""
    token = secrets.token_bytes(16)
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with trio.move_on_after(_PROBE), trio.socket.socket(family, socket.SOCK_DGRAM) as sender:
        try:
            await sender.sendto(token, (address, port))
            while True:
                if (await sock.recv(2048)) == token:
                    return True
        except OSError:
            return False
    return False


async def check_announced(settings: Settings) -> list[Finding]:
    """Whether browsers can reach the embedded media server at the addresses that they are told."""
    server = settings.server
    if server.kurento:
        if server.announced_address:
            mend = "set Kurento's externalIPv4 instead (docs/kurento.md)"
            return [warning("announced", "--announced-address is for the embedded media server only", mend)]
        return []
    if server.announced_address:
        return [await _look_at_announced(text) for text in server.announced_address]
    told = _own_media_addresses(settings)
    if not is_open_to_others(server.host) or any(ip.is_global for ip in told):
        return [ok("announced", f"browsers send media to {', '.join(map(str, told))}")]
    mend = "for people elsewhere: --announced-address with the public address of this network"
    return [warning("announced", f"only this network reaches media at {', '.join(map(str, told))}", mend)]


async def _look_at_announced(text: str) -> Finding:
    host, _ = host_and_port(text)
    try:
        found = await trio.socket.getaddrinfo(host, None, type=socket.SOCK_DGRAM)
    except OSError as error:
        return fault(
            "announced", f"{host} has no address: {error.strerror or error}", "correct --announced-address"
        )
    addresses = list(
        dict.fromkeys(ipaddress.ip_address(str(address[0]).partition("%")[0]) for *_, address in found)
    )
    shown = host if is_address(host) else f"{host} ({', '.join(map(str, addresses))})"
    useless = [ip for ip in addresses if ip.is_unspecified or ip.is_multicast]
    if useless:
        return fault(
            "announced", f"nobody can send media to {shown}", "--announced-address takes a public address"
        )
    own = set(all_addresses())
    if all(ip.is_loopback for ip in addresses):
        mend = "--announced-address takes an address at which other machines reach this one"
        return warning("announced", f"only this machine reaches {shown}", mend)
    if all(ip in own for ip in addresses):
        return ok("announced", f"{shown} is this machine's own")
    if any(ip.is_global for ip in addresses):
        return ok(
            "announced", f"{shown} is not this machine's own: a NAT must pass its UDP port on to this machine"
        )
    mend = "correct it, unless a router of your network passes its UDP port on to this machine"
    return warning("announced", f"{shown} is a private address of another machine", mend)


async def check_front(settings: Settings) -> list[Finding]:
    """Whether the settings fit a proxy in front of the server."""
    return [*_proxies(settings), *_prefix(settings), *[finding async for finding in _names(settings)]]


def _proxies(settings: Settings) -> Iterator[Finding]:
    door = settings.door
    for network in networks_of(door.trusted_proxy):
        if network.prefixlen < (_WIDE_V4 if network.version == 4 else _WIDE_V6):
            mend = "name the proxy's own address"
            yield fault("proxy", f"--trusted-proxy {network}: anybody may forge an address", mend)
        elif network.is_global and network.num_addresses > 256:
            mend = "name the proxy's own address, unless all of that network are your proxies"
            yield warning("proxy", f"--trusted-proxy {network} trusts {network.num_addresses} addresses", mend)
        else:
            yield ok("proxy", f"{network} may say for whom it asks")
    if not door.trusted_proxy and not is_open_to_others(settings.server.host):
        if door.host_name or door.path_prefix:
            mend = "--trusted-proxy 127.0.0.1 if your proxy runs on this machine"
            yield warning("proxy", "behind a proxy all people would share the limits of one address", mend)
        else:
            yield ok("proxy", "none is trusted")
    elif not door.trusted_proxy:
        yield ok("proxy", "none is trusted: browsers connect directly")


def _prefix(settings: Settings) -> Iterator[Finding]:
    prefix = settings.door.path_prefix
    if not prefix:
        return
    if prefix.split("/")[1] in _OWN_PATHS:
        yield fault("prefix", f"--path-prefix {prefix} begins like a path of this server", "choose another one")
    else:
        yield ok("prefix", f"the pages are below {prefix}/")


async def _names(settings: Settings) -> AsyncIterator[Finding]:
    door = settings.door
    for name in door.host_name:
        if name == ANY:
            mend = "name the server: --host-name rooms.example.org"
            yield warning(
                "name", "every name is answered, so that a page may rebind its name to this server", mend
            )
        elif not name.startswith("*"):
            try:
                found = await trio.socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
            except OSError as error:
                mend = "add it to your DNS, or correct --host-name"
                yield warning("name", f"{name} has no address here: {error.strerror or error}", mend)
            else:
                addresses = dict.fromkeys(str(address[0]) for *_, address in found)
                yield ok("name", f"{name} is at {', '.join(addresses)}")
