"""The way to the Redis server that has the data: where it is now, and connections to it.

All keys have one hash tag (`roomfsm.store.redis_keys`). So in a Cluster, too, they are on one server at a time,
its *primary*, and the rest of the program needs to know of no other. With Sentinels or a Cluster, each new
connection asks anew which server that is. All that are named in the address are asked at once, and what most of
them say is tried first, because one that was cut off may not know yet what the others have decided. The server
itself is asked, too, whether it is the primary.

An established connection stays with its server, so whoever uses it opens another one if the server refuses
something because it is the primary no longer (`is_elsewhere`), or says nothing.
"""

from __future__ import annotations

import logging
import ssl
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import trio
from coredis.connection import BaseConnection, TCPConnection, TCPLocation
from coredis.exceptions import AuthenticationError, AuthorizationError, MovedError, ReadOnlyError, RedisError
from coredis.exceptions import ConnectionError as NotConnected

from roomfsm.store.redis_address import Host, Kind, Login, RedisAddress, is_yes
from roomfsm.store.redis_keys import OWNER

# coredis logs each connection that cannot be made, with its traceback. Whoever wants one says that in plain words.
logging.getLogger("coredis").setLevel(logging.CRITICAL)

_ASKING = 1.0
"""Seconds in which a Sentinel, or a server of a Cluster, must say where the primary is."""
_CONNECTING = 5.0
"""Seconds in which a connection must be made, with all that is asked before."""
_MOST_ASKED = 20
"""So many servers of a large Cluster are asked at a time."""


@dataclass(frozen=True, slots=True)
class Found:
    """What those who were asked have said."""

    primaries: Sequence[Host]
    """The servers that may be the primary, the likeliest first. There is at least one."""
    faults: Sequence[str]
    """Who has not answered as they should, and why."""
    replicas: int | None = None
    """How many servers would take over if the primary failed; None if that is not for anybody here to say."""


@dataclass(frozen=True, slots=True)
class _Answer:
    """What one Sentinel, or one server of a Cluster, has said. `primary` is None if it knows of none."""

    primary: Host | None
    replicas: int
    others: Sequence[Host] = ()


class Way:
    """Finds the primary, and opens connections to it."""

    def __init__(self, address: RedisAddress) -> None:
        """Raises `OSError` if the address names a certificate that cannot be read."""
        self.address = address
        self._tls = _context(address) if address.tls else None
        self._others: Sequence[Host] = ()
        """The servers that a Cluster had when it was asked last, if those of the address are gone."""

    async def connect(self, nursery: trio.Nursery) -> BaseConnection:
        """A connection to the primary, which lives in this nursery until it is invalidated or fails.

        Raises `RedisError`, `OSError` or `trio.TooSlowError`.
        """
        with trio.fail_after(_CONNECTING):
            faults: list[RedisError] = []
            for host in (await self.find()).primaries:
                try:
                    return await self._connect_to(host, nursery)
                except (AuthenticationError, AuthorizationError) as error:
                    faults.append(AuthenticationError(f"{host} {reason_of(error)}"))
                except RedisError as error:
                    faults.append(error)
            raise faults[-1]

    async def _connect_to(self, host: Host, nursery: trio.Nursery) -> BaseConnection:
        connection = self._connection(host, self.address.login, self.address.database)
        done = False
        try:
            await nursery.start(connection.run)
            await self._make_sure(connection, host)
            done = True
        finally:
            if not done:
                connection.invalidate()
        return connection

    async def find(self) -> Found:
        """Where the primary is. Raises `RedisError` if those who should know do not answer, or know of none."""
        if self.address.kind is Kind.SERVER:
            return Found(self.address.hosts, ())
        try:
            return await self._ask_all(self.address.hosts)
        except NotConnected:
            if not self._others:
                raise
            return await self._ask_all(self._others)

    async def _ask_all(self, all_hosts: Sequence[Host]) -> Found:
        hosts = all_hosts[:_MOST_ASKED]
        answers: dict[Host, _Answer] = {}
        faults: dict[Host, Exception] = {}
        async with trio.open_nursery() as nursery:

            async def ask(host: Host) -> None:
                try:
                    with trio.fail_after(_ASKING):
                        answers[host] = await self._ask(host)
                except (RedisError, OSError, trio.TooSlowError) as error:
                    faults[host] = error
                said = Counter(answer.primary for answer in answers.values() if answer.primary is not None)
                if said and 2 * max(said.values()) > len(hosts):
                    # The rest cannot change what most of them say.
                    nursery.cancel_scope.cancel()

            for host in hosts:
                nursery.start_soon(ask, host)
        return self._judged(answers, faults)

    def _judged(self, answers: dict[Host, _Answer], faults: dict[Host, Exception]) -> Found:
        told = [f"{host}: {reason_of(error)}" for host, error in faults.items()]
        said = Counter(answer.primary for answer in answers.values() if answer.primary is not None)
        if said:
            primaries = [host for host, _ in said.most_common()]
            first = [answer for answer in answers.values() if answer.primary == primaries[0]]
            self._others = max((answer.others for answer in first), key=len)
            return Found(primaries, told, max(answer.replicas for answer in first))
        if answers:
            if self.address.kind is Kind.SENTINEL:
                told.append(f"the Sentinels know no service that is called {self.address.service}")
            else:
                told.append("no server of the Cluster has the slot of the rooms")
        if not answers and any(map(_is_refusal, faults.values())):
            raise AuthenticationError("; ".join(told))
        raise NotConnected("; ".join(told))

    async def _ask(self, host: Host) -> _Answer:
        sentinel = self.address.kind is Kind.SENTINEL
        async with trio.open_nursery() as nursery:
            connection = self._connection(host, self.address.sentinel_login if sentinel else self.address.login)
            try:
                await nursery.start(connection.run)
                ask = partial(connection.create_request, decode=False)
                answer = await (_ask_sentinel(ask, self.address.service) if sentinel else _ask_cluster(ask, host))
            except RedisError as error:
                fault = error
            else:
                return answer
            finally:
                nursery.cancel_scope.cancel()
        raise fault

    async def _make_sure(self, connection: BaseConnection, host: Host) -> None:
        """Raises `RedisError` if this server is no primary."""
        match self.address.kind:
            case Kind.SENTINEL:
                role: Any = await connection.create_request(b"ROLE", decode=False)
                if role[0] != b"master":
                    raise NotConnected(f"{host} is no primary yet, or no longer ({role[0].decode()})")
            case Kind.CLUSTER:
                # Whoever has not this slot refuses.
                await connection.create_request(b"EXISTS", OWNER, decode=False)

    def _connection(self, host: Host, login: Login, database: int = 0) -> BaseConnection:
        return TCPConnection(
            TCPLocation(host.name, host.port),
            username=login.user,
            password=login.password,
            db=database,
            ssl_context=self._tls,
        )


def is_elsewhere(error: Exception) -> bool:
    """Whether a server refuses something because it is not, or not any more, the primary."""
    # A script of an older Redis gets the refusal of its command inside another error.
    return isinstance(error, (MovedError, ReadOnlyError)) or "READONLY" in str(error)


async def _ask_sentinel(ask: Any, service: str) -> _Answer:
    where: Any = await ask(b"SENTINEL", b"GET-MASTER-ADDR-BY-NAME", service)
    if where is None:
        return _Answer(None, 0)
    replicas: Any = await ask(b"SENTINEL", b"REPLICAS", service)
    return _Answer(Host(where[0].decode(), int(where[1])), sum(map(_is_up, replicas)))


def _is_up(replica: Any) -> bool:
    if not isinstance(replica, dict):
        replica = dict(zip(replica[::2], replica[1::2], strict=True))
    return not {b"s_down", b"o_down", b"disconnected"} & set(replica[b"flags"].split(b","))


async def _ask_cluster(ask: Any, asked: Host) -> _Answer:
    slot: Any = await ask(b"CLUSTER", b"KEYSLOT", OWNER)
    primary, replicas = None, 0
    others: dict[Host, None] = {}
    for first, last, *servers in await ask(b"CLUSTER", b"SLOTS"):
        # A server that does not know its own address has the one at which it was asked.
        hosts = [Host((name or b"").decode() or asked.name, port) for name, port, *_ in servers]
        others |= dict.fromkeys(hosts)
        if first <= slot <= last:
            primary, replicas = hosts[0], len(hosts) - 1
    return _Answer(primary, replicas, tuple(others))


def _is_refusal(error: Exception) -> bool:
    return isinstance(error, (AuthenticationError, AuthorizationError))


def reason_of(error: Exception) -> str:
    """Why Redis cannot be used, for people."""
    if isinstance(error, trio.TooSlowError):
        return "no answer in time"
    text = str(error) or type(error).__name__
    if _is_refusal(error):
        return f"refuses the user or the password: {text}"
    # coredis says there what the system, or TLS, has said.
    return f"{text} ({error.__cause__})" if isinstance(error, NotConnected) and error.__cause__ else text


def _context(address: RedisAddress) -> ssl.SSLContext:
    options = address.options
    authorities = options.get("ssl_ca_certs")
    context = ssl.create_default_context()
    if authorities:
        # Either a file or a folder of them.
        folder = Path(authorities).is_dir()
        context.load_verify_locations(None if folder else authorities, authorities if folder else None)
    if "ssl_certfile" in options:
        context.load_cert_chain(options["ssl_certfile"], options.get("ssl_keyfile"))
    # Certificates of Redis servers often name no host, and Sentinels and a Cluster name servers by numbers.
    context.check_hostname = is_yes(options.get("ssl_check_hostname", "false"))
    if options.get("ssl_cert_reqs") == "none":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
