"""Checks the STUN and TURN servers that browsers are told of: whether they answer, and take the credentials.

A relay address is asked for (Allocate, RFC 8656 section 7) as a browser would. The client for that is aioice,
which comes with `roomfsm[peer]`: it speaks TURN over UDP, TCP and TLS, and is kept up by others. It runs on
asyncio, so each server is asked in a thread with a loop of its own.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import secrets
import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass

import trio

from roomfsm.check.findings import Finding, fault, ok, warning
from roomfsm.interfaces import is_open_to_others
from roomfsm.settings import Settings
from roomfsm.signaling.ice_servers import time_limited_credentials

_NAME = "turn"
_WITHIN = 4.0
"""Seconds that a server has to answer."""
_CREDENTIALS_FOR = 60
"""Seconds that the credentials of the check are valid."""
_URI = re.compile(
    r"(?P<scheme>stuns?|turns?):(\[(?P<v6>[^\]]+)\]|(?P<host>[^:?]+))(:(?P<port>\d+))?(\?transport=(?P<by>\w+))?"
)
_BINDING = bytes.fromhex("000100002112a442")
"""The head of a Binding request without attributes (RFC 8489 section 5). A transaction id follows."""
_ANSWERED = 0x0101
_RETRY = 0.5
"""Seconds until a datagram without an answer is sent again (RFC 8489 section 6.2.1)."""


@dataclass(frozen=True, slots=True)
class _Server:
    """One address of a STUN or TURN server, and the credentials for it."""

    uri: str
    scheme: str
    host: str
    port: int
    transport: str
    username: str | None = None
    credential: str | None = None
    by_secret: bool = False


async def check_turn(settings: Settings) -> list[Finding]:
    """Ask each STUN server for our address, and each TURN server for a relay address."""
    servers = list(_servers(settings))
    if not servers:
        if not is_open_to_others(settings.server.host) and not settings.door.host_name:
            return [ok(_NAME, "none: it is not needed on this machine")]
        mend = "set up a TURN server: --turn-uri and --turn-secret (docs/deploy.md)"
        return [warning(_NAME, "none, so that people whose network blocks UDP get no media", mend)]
    found: dict[str, Finding] = {}

    async def ask(server: _Server) -> None:
        with trio.move_on_after(2 * _WITHIN):
            found[server.uri] = await (_bind(server) if server.scheme == "stun" else _allocate(server))

    async with trio.open_nursery() as nursery:
        for server in servers:
            nursery.start_soon(ask, server)
    return [found.get(server.uri, _silent(server)) for server in servers]


def _servers(settings: Settings) -> Iterator[_Server]:
    signaling = settings.signaling
    for known in signaling.ice_servers:
        for uri in known.urls:
            yield _parsed(uri, known.username, known.credential)
    if signaling.turn_secret is not None:
        end = int(time.time()) + _CREDENTIALS_FOR
        username, credential = time_limited_credentials(signaling.turn_secret, "check", end)
        for uri in signaling.turn_uri:
            yield _parsed(uri, username, credential, by_secret=True)


def _parsed(uri: str, username: str | None, credential: str | None, by_secret: bool = False) -> _Server:
    match = _URI.fullmatch(uri)
    assert match is not None  # The settings took it.
    scheme = match["scheme"]
    tls = scheme.endswith("s")
    # The default ports and transports of RFC 7064 and RFC 7065.
    return _Server(
        uri,
        scheme,
        match["v6"] or match["host"],
        int(match["port"] or (5349 if tls else 3478)),
        match["by"] or ("tcp" if tls else "udp"),
        username,
        credential,
        by_secret,
    )


def _silent(server: _Server) -> Finding:
    way = server.transport.upper()
    return fault(
        _NAME, f"{server.uri} does not answer", f"start it, and open {way} port {server.port} in its firewall"
    )


async def _bind(server: _Server) -> Finding:
    try:
        found = await trio.socket.getaddrinfo(server.host, server.port, type=trio.socket.SOCK_DGRAM)
    except OSError as error:
        return fault(_NAME, f"{server.uri}: {error.strerror or error}", "correct its name")
    request = _BINDING + secrets.token_bytes(12)
    for family, kind, protocol, _, address in found:
        with trio.move_on_after(_WITHIN / len(found)), trio.socket.socket(family, kind, protocol) as sock:
            try:
                await sock.connect(address)
                while True:
                    await sock.send(request)
                    with trio.move_on_after(_RETRY):
                        reply = await sock.recv(2048)
                        if int.from_bytes(reply[:2]) == _ANSWERED and reply[4:20] == request[4:]:
                            return ok(_NAME, f"{server.uri} answers")
            except OSError:
                continue
    return _silent(server)


async def _allocate(server: _Server) -> Finding:
    if server.scheme == "stuns" or (server.scheme == "turns" and server.transport == "udp"):
        return warning(_NAME, f"{server.uri} was not checked (DTLS, or STUN over TLS)", "try it with a browser")
    try:
        import aioice  # noqa: F401
    except ModuleNotFoundError:
        mend = "install roomfsm[peer] for this check"
        return warning(_NAME, f"{server.uri} was not checked: aioice is not installed", mend)
    return await trio.to_thread.run_sync(
        lambda: asyncio.run(_ask_for_a_relay_address(server)), abandon_on_cancel=True
    )


class _Deleted(asyncio.DatagramProtocol):
    """Learns when the allocation has been given back."""

    def __init__(self) -> None:
        self.over = asyncio.Event()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 (asyncio's)
        self.over.set()


async def _ask_for_a_relay_address(server: _Server) -> Finding:
    from aioice import stun, turn

    try:
        async with asyncio.timeout(_WITHIN):
            transport, protocol = await turn.create_turn_endpoint(
                _Deleted,
                (server.host, server.port),
                username=server.username,
                password=server.credential,
                ssl=ssl.create_default_context() if server.scheme == "turns" else None,
                transport=server.transport,
            )
    except (TimeoutError, stun.TransactionTimeout):
        return _silent(server)
    except stun.TransactionFailed as error:
        return _refused(server, *error.response.attributes.get("ERROR-CODE", (0, "without a reason")))
    except ssl.SSLError as error:
        return fault(_NAME, f"{server.uri}: its certificate is not trusted: {error}", "give it one for its name")
    except OSError as error:
        return fault(_NAME, f"{server.uri}: {error.strerror or error}", "start it, or correct its address")
    relay = transport.get_extra_info("sockname")
    transport.close()
    try:
        async with asyncio.timeout(1.0):
            await protocol.over.wait()
    except TimeoutError:
        pass  # The allocation ends by itself, in ten minutes.
    return _relays(server, relay[0])


def _refused(server: _Server, code: int, reason: str) -> Finding:
    said = f"{server.uri} refuses the credentials: {code} {reason}"
    if code != 401:
        return fault(_NAME, said, "look into its log")
    if server.by_secret:
        mend = "give both the same secret (coturn: use-auth-secret, static-auth-secret), and both the right time"
        return fault(_NAME, said, mend)
    return fault(_NAME, said, "correct the user name and the credential in --ice-servers")


def _relays(server: _Server, relay: str) -> Finding:
    address = ipaddress.ip_address(relay)
    try:
        asked: ipaddress.IPv4Address | ipaddress.IPv6Address | None = ipaddress.ip_address(server.host)
    except ValueError:
        asked = None
    if address.is_private and (asked is None or not asked.is_private):
        mend = "tell the TURN server its public address (coturn: external-ip)"
        return warning(_NAME, f"{server.uri} relays at {relay}, which only its own network can reach", mend)
    return ok(_NAME, f"{server.uri} accepts the credentials, and relays at {relay}")
