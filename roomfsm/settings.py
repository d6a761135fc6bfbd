"""The settings: one frozen object, read from a TOML file, the environment and the command line, in that order."""

from __future__ import annotations

import dataclasses
import ipaddress
import logging
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_type_hints

import msgspec

from roomfsm import ranges
from roomfsm.access.policy import Policy
from roomfsm.access.settings import AccessSettings
from roomfsm.access.settings import is_address as is_web_address
from roomfsm.access.tables import TableFault, read_policies
from roomfsm.door.settings import DoorSettings
from roomfsm.files.settings import FileSettings
from roomfsm.hosts import host_and_port, host_setting, is_address, media_server_fault
from roomfsm.nodes.settings import NodeSettings
from roomfsm.protocol.server import IceServer
from roomfsm.ranges import MAX_PORT, SECRET_RULE, Count, Port, SecondsOrZero, Workers, has_ports, is_secret
from roomfsm.ranges import SettingsError as SettingsError
from roomfsm.rooms.settings import RoomSettings
from roomfsm.signaling.settings import SignalingSettings
from roomfsm.store.settings import StoreSettings
from roomfsm.web.settings import WebSettings
from roomfsm.webhooks.settings import WebhookSettings

ENVIRONMENT_PREFIX = "ROOMFSM_"


SECRET_FILE = "file:"
"""The prefix of a value that names the file with the secret."""

_CREDENTIALS = Path("/run/credentials")
"""Where systemd gives a unit its credentials (systemd.exec(5), LoadCredential)."""

_ALONE = "127.0.0.1"
"""Where the embedded media server listens, at a port that the system chooses, if nobody else may use it."""
_ANYWHERE = ("0.0.0.0", "::")
_COLLECTOR = re.compile(r"https?://[^/?#@\s]+(/[^?#@\s]*)?")
"""The form of `--otlp-endpoint`."""

SELF_SIGNED = "self-signed"
"""The value of `--tls`."""

POLICIES = "room"
"""The name of the tables with policies in the TOML file: `[room."pattern"]`."""

CONFIG_VARIABLE = ENVIRONMENT_PREFIX + "CONFIG"
"""The environment variable with the name of the TOML file, like `--config`."""


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """The addresses at which the server listens, and its media servers. Raises `SettingsError`."""

    host: tuple[str, ...] = field(
        default=("127.0.0.1",),
        metadata={
            "help": "The address to listen on. 0.0.0.0 means every IPv4 interface, and :: every IPv6 interface."
        },
    )
    port: Port = field(default=8080, metadata={"help": "The TCP port to listen on. 0 picks a free one."})
    certfile: str | None = field(
        default=None,
        metadata={"help": "The file with the TLS certificate chain (PEM). It turns on HTTPS.", "live": True},
    )
    keyfile: str | None = field(
        default=None, metadata={"help": "The file with the private key (PEM) of the certificate.", "live": True}
    )
    tls: str | None = field(
        default=None,
        metadata={
            "help": "self-signed turns on HTTPS with a certificate that the server makes for the names and "
            "addresses of this machine, so that phones in the same network may use their cameras. Browsers warn "
            "of it once.",
            "live": True,
        },
    )
    kurento: tuple[str, ...] = field(
        default=(),
        metadata={
            "help": "The address of a Kurento media server (7.1.0 or newer), such as ws://host:8888/kurento. "
            "Without this setting the server starts the embedded media server."
        },
    )
    kurento_secret: str | None = field(
        default=None,
        metadata={
            "help": "The secret that the media servers of --kurento ask for (see `roomfsm mediaserver "
            "--secret-file`).",
            "secret": True,
        },
    )
    max_media_servers: Count = field(
        default=100,
        metadata={"help": "How many media servers the server has at most, those of the admin API included."},
    )
    media_host: str = field(
        default="::",
        metadata={
            "help": "The address of the embedded media server for media. :: means every interface, IPv4 and IPv6."
        },
    )
    media_port: Port = field(
        default=0, metadata={"help": "The UDP port of the embedded media server. 0 picks a free one."}
    )
    media_tcp_port: Port = field(
        default=0,
        metadata={
            "help": "The TCP port of the embedded media server, for browsers whose network lets no UDP through. "
            "It may have the number of --media-port. 0 means none."
        },
    )
    media_workers: Workers = field(
        default=1,
        metadata={
            "help": "The number of processes that forward media in the embedded media server. Each uses ports "
            "of its own, from --media-port and --media-tcp-port on."
        },
    )
    media_linger: SecondsOrZero = field(
        default=10.0,
        metadata={
            "help": "How many seconds the embedded media server goes on if the server dies or is restarted by "
            "SIGTERM, so that a server that is started again takes it over. It needs a place where rooms are kept "
            "(--data or --store), and Linux. 0 ends it with the server."
        },
    )
    announced_address: tuple[str, ...] = field(
        default=(),
        metadata={
            "help": "The address or host name at which browsers reach the embedded media server, if it is not "
            "this machine's own, for example because of a NAT. Add :PORT if the port differs, too."
        },
    )
    announced_tcp_port: Port = field(
        default=0,
        metadata={
            "help": "The TCP port at which browsers reach the embedded media server, if it is not "
            "--media-tcp-port, for example because a proxy shares port 443 between the page and media. 0 means "
            "that it is."
        },
    )
    share_media_server: str | None = field(
        default=None,
        metadata={
            "help": "HOST:PORT, an address of this machine at which the embedded media server serves the other "
            "servers with one set of rooms (--node), too: any room may have its media there, and rooms that move "
            "keep their pictures. Only these servers learn its secret. The connections are not encrypted, so the "
            "network between the servers must be private."
        },
    )
    log_level: str = field(
        default="info", metadata={"help": "How much is logged: debug, info, warning or error.", "live": True}
    )
    log_format: str = field(
        default="console", metadata={"help": "How log lines are written: console or json.", "live": True}
    )

    otlp_endpoint: str | None = field(
        default=None,
        metadata={
            "help": "The address of an OpenTelemetry collector (OTLP over HTTP), such as http://127.0.0.1:4318. "
            "Traces of joins, streams and views are sent there. It needs roomfsm[tracing]."
        },
    )
    drain: SecondsOrZero = field(
        default=0.0,
        metadata={
            "help": "How many seconds people get after SIGTERM to come to an end. They are told how many are "
            "left; no room is opened, and /health/ready says no. The server closes earlier if nobody is left, "
            "and at once on a second signal."
        },
    )

    def __post_init__(self) -> None:
        ranges.check(self)
        if self.log_level.upper() not in logging.getLevelNamesMapping():
            raise SettingsError(f"--log-level (log_level): {self.log_level} is not debug, info, warning or error")
        if self.log_format not in ("console", "json"):
            raise SettingsError(f"--log-format (log_format): {self.log_format} is neither console nor json")
        if (self.certfile is None) != (self.keyfile is None):
            raise SettingsError("HTTPS needs both --certfile and --keyfile, but only one of them is set")
        if self.tls not in (None, SELF_SIGNED):
            raise SettingsError(f"--tls: {self.tls!r} is not {SELF_SIGNED}; a certificate goes to --certfile")
        if self.tls is not None and self.certfile is not None:
            raise SettingsError(
                "--tls self-signed makes a certificate, and --certfile names another one: use one of them"
            )
        if not self.host:
            raise SettingsError("--host: there is no address to listen on")
        if not has_ports(self.media_port, self.media_workers):
            raise SettingsError(
                f"--media-port: each of the {self.media_workers} --media-workers needs a port,"
                f" and from {self.media_port} on there are {MAX_PORT + 1 - self.media_port}"
            )
        if not has_ports(self.media_tcp_port, self.media_workers):
            raise SettingsError(
                f"--media-tcp-port: {self.media_tcp_port} leaves too few ports for the --media-workers"
            )
        if not has_ports(self.announced_tcp_port, self.media_workers):
            raise SettingsError(
                f"--announced-tcp-port: {self.announced_tcp_port} leaves too few ports for the --media-workers"
            )
        if self.media_tcp_port and self.media_tcp_port == self.port and self._hosts_overlap:
            raise SettingsError(
                f"--media-tcp-port: the page has TCP port {self.port} (--port) already; a proxy can share one"
                " port between them (--announced-tcp-port)"
            )
        if not is_address(self.media_host):
            raise SettingsError(f"--media-host: {self.media_host!r} is not an IP address")
        for address in self.announced_address:
            try:
                _, port = host_and_port(address)
            except ValueError as error:
                raise SettingsError(f"--announced-address: {error}") from None
            if port is not None and not has_ports(port, self.media_workers):
                raise SettingsError(f"--announced-address: {address} leaves too few ports for the --media-workers")
        _check_shared(self)
        if self.otlp_endpoint is not None and not _COLLECTOR.fullmatch(self.otlp_endpoint):
            # The value is not repeated, because it may have a password.
            raise SettingsError(
                "--otlp-endpoint is not an address such as http://127.0.0.1:4318 (a password goes to the "
                "environment variable OTEL_EXPORTER_OTLP_HEADERS)"
            )
        _check_kurento(self.kurento)
        if len(self.kurento) > self.max_media_servers:
            raise SettingsError(f"--kurento: there are more than --max-media-servers {self.max_media_servers}")
        if self.kurento_secret is not None and not is_secret(self.kurento_secret):
            raise SettingsError(f"--kurento-secret: {SECRET_RULE}")

    @property
    def _hosts_overlap(self) -> bool:
        """Whether the page and media may be at the same address."""
        return self.media_host in (*self.host, *_ANYWHERE) or not set(self.host).isdisjoint(_ANYWHERE)

    @property
    def media_server_address(self) -> tuple[str, int]:
        """The host and port at which the embedded media server serves Kurento's protocol."""
        host, port = host_and_port(self.share_media_server or _ALONE)
        return host, port or 0

    @property
    def https(self) -> bool:
        """Whether the server speaks HTTPS by itself."""
        return self.certfile is not None or self.tls is not None


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings of the room server."""

    server: ServerSettings = field(default_factory=ServerSettings)
    door: DoorSettings = field(default_factory=DoorSettings)
    signaling: SignalingSettings = field(default_factory=SignalingSettings)
    rooms: RoomSettings = field(default_factory=RoomSettings)
    web: WebSettings = field(default_factory=WebSettings)
    access: AccessSettings = field(default_factory=AccessSettings)
    files: FileSettings = field(default_factory=FileSettings)
    store: StoreSettings = field(default_factory=StoreSettings)
    nodes: NodeSettings = field(default_factory=NodeSettings)
    webhooks: WebhookSettings = field(default_factory=WebhookSettings)
    policies: tuple[tuple[str, Policy], ...] = ()
    """The policies of rooms, each with the pattern of their names. They are tables of the settings file."""

    def __post_init__(self) -> None:
        if self.nodes.node is not None and self.store.store is None:
            raise SettingsError("--node: servers share their rooms in a Redis, so give its address by --store")
        if self.nodes.node is not None and self.web.inspect and self.web.inspect_token is None:
            raise SettingsError(
                "--node: the inspector's token must be the same at all servers, so give it by --inspect-token, or "
                "turn the inspector off (--inspect=false)"
            )
        if self.server.share_media_server is not None and self.nodes.node is None:
            raise SettingsError("--share-media-server: only servers with --node share anything")


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting: its name in TOML, from which its flag and environment variable follow."""

    name: str
    part: str
    type: Any
    """With the range of its numbers (`roomfsm.ranges`)."""
    default: Any
    help: str
    secret: bool
    """Whether it is a secret, which never appears in logs. `file:PATH` reads it from a file."""
    live: bool
    """Whether it can change at run time (`roomfsm.reload`)."""

    @property
    def flag(self) -> str:
        """Its name on the command line."""
        return "--" + self.name.replace("_", "-")

    @property
    def variable(self) -> str:
        """Its name in the environment."""
        return ENVIRONMENT_PREFIX + self.name.upper()

    @property
    def repeatable(self) -> bool:
        """Whether it can have several values.

        They are a list in TOML, where a single one may stand without its list, and separated by commas in the
        environment.
        """
        return isinstance(self.default, tuple)


def all_settings() -> Iterator[Setting]:
    """Every setting, in the order of the documentation."""
    for name, part_type in _parts().items():
        types = get_type_hints(part_type, include_extras=True)
        for item in dataclasses.fields(part_type):
            yield Setting(
                item.name,
                name,
                types[item.name],
                item.default,
                item.metadata["help"],
                item.metadata.get("secret", False),
                item.metadata.get("live", False),
            )


def load(flags: Mapping[str, Any], environment: Mapping[str, str], file: Path | None = None) -> Settings:
    """The settings from the TOML `file`.

    The environment overrides them, and `flags` (by name) override the environment. Raises `SettingsError`.
    """
    known = {setting.name: setting for setting in all_settings()}
    variables = {setting.variable for setting in known.values()} | {CONFIG_VARIABLE}
    for variable in environment:
        if variable.startswith(ENVIRONMENT_PREFIX) and variable not in variables:
            raise SettingsError(f"{variable} is not a setting (see `roomfsm settings`)")
    values: dict[str, Any] = {}
    policies: tuple[tuple[str, Policy], ...] = ()
    if file is not None:
        tables = _read_toml(file)
        try:
            policies = read_policies(tables.pop(POLICIES, {}))
        except TableFault as fault:
            raise SettingsError(f"{file}: {fault}") from None
        for name, value in tables.items():
            if name not in known:
                raise SettingsError(f"{file}: {name!r} is not a setting (see `roomfsm settings`)")
            values[name] = _convert(known[name], value, f"{file}: {name}")
    for setting in known.values():
        text = environment.get(setting.variable)
        if text:
            raw: Any = [part.strip() for part in text.split(",")] if setting.repeatable else text
            values[setting.name] = _convert(setting, raw, setting.variable)
    for name, value in flags.items():
        values[name] = _convert(known[name], value, known[name].flag)
    parts: dict[str, Any] = {}
    for part, part_type in _parts().items():
        own = {name: value for name, value in values.items() if known[name].part == part}
        parts[part] = part_type(**own)
    settings = Settings(**parts, policies=policies)
    for flag, pem in (("--certfile", settings.server.certfile), ("--keyfile", settings.server.keyfile)):
        if pem is not None and not Path(pem).is_file():
            raise SettingsError(f"{flag}: there is no file {pem}")
    return settings


def _parts() -> dict[str, Any]:
    """The classes of the parts of the settings, by their names."""
    return {name: kind for name, kind in get_type_hints(Settings).items() if dataclasses.is_dataclass(kind)}


def _check_kurento(urls: tuple[str, ...]) -> None:
    """Raises `SettingsError`."""
    for url in urls:
        fault = media_server_fault(url)
        if fault is not None:
            raise SettingsError(f"--kurento: {fault}")
        if urls.count(url) > 1:
            raise SettingsError(f"--kurento: the same media server twice: {url}")


def _check_shared(server: ServerSettings) -> None:
    """Raises `SettingsError`."""
    shared = server.share_media_server
    if shared is None:
        return
    if server.kurento:
        raise SettingsError("--share-media-server is for the embedded media server, and --kurento names others")
    try:
        host, port = host_and_port(shared)
    except ValueError as error:
        raise SettingsError(f"--share-media-server: {error}") from None
    if port is None:
        raise SettingsError(f"--share-media-server: {shared} has no port, such as {shared}:8888")
    if is_address(host) and ipaddress.ip_address(host).is_unspecified:
        raise SettingsError(f"--share-media-server: {host} is every address, and others must be told one")


def markdown_table() -> str:
    """The settings as a table for `docs/settings.md`."""
    rows = ["| flag | environment | TOML | default | what |", "|---|---|---|---|---|"]
    for setting in all_settings():
        default = _show(setting.default)
        repeat = " May be repeated." if setting.repeatable else ""
        in_file = f" `{SECRET_FILE}PATH` reads it from a file." if setting.secret else ""
        live = " ↻" if setting.live else ""
        what = setting.help + repeat + in_file + live
        what = what.replace("|", "\\|")
        rows.append(f"| `{setting.flag}` | `{setting.variable}` | `{setting.name}` | {default} | {what} |")
    return "\n".join(rows) + "\n"


def _show(default: Any) -> str:
    if isinstance(default, tuple):
        default = ", ".join(default)
    return f"`{default}`" if default not in (None, "") else "–"


def _read_toml(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"{file}: {error.strerror}") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"{file}: {error}") from error


def _read_secret(file: Path, where: str) -> str:
    try:
        return file.read_text(encoding="utf-8").strip()
    except OSError as error:
        why = error.strerror or str(error)
        if file.is_relative_to(_CREDENTIALS):
            why += " (it exists only inside the unit of systemd; docs/deploy.md says how to check outside of it)"
        raise SettingsError(f"{where}: {file}: {why}") from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"{where}: {file}: {error}") from error


def _of_file(value: Any, where: str) -> Any:
    """The secret in the file that the value names; or the value itself if it names none."""
    if isinstance(value, str) and value.startswith(SECRET_FILE):
        return _read_secret(Path(value.removeprefix(SECRET_FILE)), where)
    return value


def _convert(setting: Setting, value: Any, where: str) -> Any:
    if setting.repeatable and isinstance(value, str | dict):
        value = [value]
    if setting.name == "ice_servers" and isinstance(value, list | tuple):
        value = [_ice_server(item) if isinstance(item, str) else item for item in value]
    if setting.name == "host_name" and isinstance(value, list | tuple):
        value = [(host_setting(name) or name) if isinstance(name, str) else name for name in value]
    if setting.name == "token_key" and isinstance(value, list | tuple):
        value = [_token_key(item, where) if isinstance(item, str) else item for item in value]
    if setting.secret:
        value = (
            [_of_file(item, where) for item in value]
            if isinstance(value, list | tuple)
            else _of_file(value, where)
        )
    kind, _ = ranges.split(setting.type)
    try:
        converted = msgspec.convert(value, kind, strict=False)
    except msgspec.ValidationError as error:
        wanted = {int: "a whole number", float: "a number", bool: "true or false"}.get(kind)
        raise SettingsError(f"{where}: {f'{value!r} is not {wanted}' if wanted else error}") from error
    wrong = ranges.fault(setting.type, converted)
    if wrong is not None:
        raise SettingsError(f"{where} {wrong}")
    return converted


def _ice_server(text: str) -> IceServer:
    url, _, rest = text.partition("|")
    username, _, credential = rest.partition("|")
    return IceServer(urls=(url,), username=username or None, credential=credential or None)


_KEY_FILES = ".pem", ".key", ".pub", ".crt", ".cert", ".json", ".jwk", ".jwks", ".txt"
"""How names of files with keys end. A secret that looks like that is more likely a mistyped name of a file."""


def _token_key(text: str, where: str) -> str:
    """The key that `text` is, or that is in the file that it names. The address of a key set stays as it is."""
    if is_web_address(text) or text.startswith("{") or "\n" in text:
        return text
    if text.startswith(SECRET_FILE):
        return _read_secret(Path(text.removeprefix(SECRET_FILE)), where)
    try:
        is_file = Path(text).is_file()
    except OSError:
        # It is too long for the name of a file.
        is_file = False
    if is_file or text.startswith(("/", "./", "../", "~")) or text.endswith(_KEY_FILES):
        return _read_secret(Path(text).expanduser(), where)
    # It is imported here, because most servers have no such keys, and it takes long.
    from roomfsm.access.keys import MIN_SECRET_BYTES

    if len(text.encode()) < MIN_SECRET_BYTES:
        # It is not repeated, because it may be a secret.
        raise SettingsError(
            f"{where}: no file has that name, so it was taken as a shared secret, and such a secret has at least"
            f" {MIN_SECRET_BYTES} bytes: correct the name of the file (file:PATH), or use a longer secret"
        )
    return text
