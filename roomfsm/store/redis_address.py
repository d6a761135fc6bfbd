"""The address of a Redis, as `--store` has it: one server, servers that Sentinels watch, or a Cluster.

    redis://[USER:PASSWORD@]HOST[:PORT][/NUMBER]
    redis+sentinel://[USER:PASSWORD@]HOST[:PORT][,HOST[:PORT]…]/SERVICE[/NUMBER]
    redis+cluster://[USER:PASSWORD@]HOST[:PORT][,HOST[:PORT]…]

`rediss` instead of `redis` is with TLS. User and password are those of the servers with the data. What else there
is to say comes as options, after a question mark (`OPTIONS`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from urllib.parse import parse_qsl, unquote

OPTIONS = (
    "db",
    "sentinel_username",
    "sentinel_password",
    "ssl_ca_certs",
    "ssl_certfile",
    "ssl_keyfile",
    "ssl_cert_reqs",
    "ssl_check_hostname",
)
"""The options. `db` is another way to say the number of the database."""

_CERT_REQS = ("none", "optional", "required")
_YES, _NO = ("true", "yes", "1"), ("false", "no", "0")


class Kind(StrEnum):
    """Who says which server has the data. The value is what the scheme of the address ends with."""

    SERVER = ""
    """The address itself."""
    SENTINEL = "+sentinel"
    """Sentinels, whose addresses are given."""
    CLUSTER = "+cluster"
    """The servers of a Cluster, some of whose addresses are given."""


_PORTS = {Kind.SERVER: 6379, Kind.SENTINEL: 26379, Kind.CLUSTER: 6379}
_PARTS = re.compile(r"(?P<scheme>[^:/?#]+)://(?P<where>[^/?#]*)(?P<path>/[^?#]*)?(?:\?(?P<options>[^#]*))?")
_HOST = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.%]+)\]|(?P<name>[^\[\]:]+))(?::(?P<port>[0-9]{1,5}))?")
_FORM = {
    Kind.SERVER: "redis://HOST[:PORT][/NUMBER]",
    Kind.SENTINEL: "redis+sentinel://HOST[:PORT][,HOST[:PORT]…]/SERVICE[/NUMBER]",
    Kind.CLUSTER: "redis+cluster://HOST[:PORT][,HOST[:PORT]…]",
}
_TLS = "or with rediss instead of redis, with TLS"


class AddressError(ValueError):
    """An address that cannot be read, and why. It does not repeat the address, which may have a password in it."""


@dataclass(frozen=True, slots=True)
class Host:
    """Where one server listens."""

    name: str
    port: int

    def __str__(self) -> str:
        return f"[{self.name}]:{self.port}" if ":" in self.name else f"{self.name}:{self.port}"


@dataclass(frozen=True, slots=True)
class Login:
    """A user and a password, or nothing."""

    user: str | None = None
    password: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """Made by :func:`read_address`."""

    kind: Kind
    tls: bool
    hosts: tuple[Host, ...]
    login: Login
    """What the servers with the data want."""
    service: str
    """What the Sentinels call the servers that they watch; empty if there are no Sentinels."""
    database: int
    options: Mapping[str, str] = field(repr=False)
    place: str
    """The address without what is secret in it."""

    @property
    def sentinel_login(self) -> Login:
        """What the Sentinels want."""
        return Login(self.options.get("sentinel_username"), self.options.get("sentinel_password"))


def read_address(url: str) -> RedisAddress:
    """Raises `AddressError`."""
    parts = _PARTS.fullmatch(url)
    if parts is None:
        raise AddressError(f"the address of a Redis is {_FORM[Kind.SERVER]}, {_TLS}")
    scheme, path = parts["scheme"].lower(), parts["path"] or ""
    first, plus, kind_name = scheme.partition("+")
    if first not in ("redis", "rediss") or plus + kind_name not in tuple(Kind):
        raise AddressError(f"the address of a Redis is one of {', '.join(_FORM.values())}, {_TLS}")
    kind = Kind(plus + kind_name)
    who, _, where = parts["where"].rpartition("@")
    user, _, password = who.partition(":")
    hosts = tuple(_host(one, kind) for one in where.split(","))
    if kind is Kind.SERVER and len(hosts) > 1:
        raise AddressError(f"several hosts are those of Sentinels or of a Cluster: {_FORM[Kind.SENTINEL]}")
    options = _options(parts["options"] or "", kind)
    service, number = _path(path, kind)
    return RedisAddress(
        kind,
        first == "rediss",
        hosts,
        Login(unquote(user) or None, unquote(password) or None),
        service,
        _database(options.get("db", number), kind),
        options,
        f"{scheme}://{where}{path}",
    )


def shown(url: str) -> str:
    """The address without what is secret in it."""
    try:
        return read_address(url).place
    except AddressError:
        return "what --store names"


def _host(text: str, kind: Kind) -> Host:
    found = _HOST.fullmatch(text)
    if found is None:
        raise AddressError(f"the address cannot be read: after the password comes {_FORM[kind]}")
    port = int(found["port"] or _PORTS[kind])
    if not 0 < port < 65536:
        raise AddressError(f"the address cannot be read: {port} is no port, in {_FORM[kind]}")
    return Host(found["v6"] or unquote(found["name"]), port)


def _path(path: str, kind: Kind) -> tuple[str, str]:
    """The service, and the number of the database, which is empty if it is not given."""
    if kind is not Kind.SENTINEL:
        return "", unquote(path.removeprefix("/"))
    service, _, number = path.removeprefix("/").partition("/")
    if not service:
        raise AddressError(f"what the Sentinels call the service comes after their addresses: {_FORM[kind]}")
    return unquote(service), number


def _database(number: str, kind: Kind) -> int:
    if number and not (number.isascii() and number.isdigit()):
        raise AddressError(f"what comes at the end is the number of the database: {_FORM[kind]}")
    database = int(number or "0")
    if kind is Kind.CLUSTER and database:
        raise AddressError("a Cluster has one database only, which has the number 0")
    return database


def _options(text: str, kind: Kind) -> Mapping[str, str]:
    options = dict(parse_qsl(text, keep_blank_values=True))
    for name, value in options.items():
        if name not in OPTIONS or (name.startswith("sentinel_") and kind is not Kind.SENTINEL):
            raise AddressError(f"the address of a Redis has no option {name!r}; there are {', '.join(OPTIONS)}")
        if name == "ssl_cert_reqs" and value not in _CERT_REQS:
            raise AddressError(f"{name} is one of {', '.join(_CERT_REQS)}")
        if name == "ssl_check_hostname" and value not in (*_YES, *_NO):
            raise AddressError(f"{name} is true or false")
    return options


def is_yes(value: str) -> bool:
    """What the value of an option that is true or false means."""
    return value in _YES
