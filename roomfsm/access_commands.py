"""The commands `roomfsm token` and `roomfsm password`: what an operator needs to let people in."""

from __future__ import annotations

import os
import re
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import click
import msgspec

from roomfsm.access.passwords import hash_password
from roomfsm.access.patterns import room_pattern
from roomfsm.addresses import addresses_to_open
from roomfsm.protocol.fields import MAX_PASSWORD
from roomfsm.protocol.names import NameFault, display_name
from roomfsm.protocol.roles import Role
from roomfsm.settings import CONFIG_VARIABLE, Settings, SettingsError, load

_EXIT_USAGE = 2
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}
_MAX_TTL = 3650 * 86_400


class _Failed(click.ClickException):
    exit_code = _EXIT_USAGE

    def show(self, file: Any = None) -> None:  # noqa: ARG002 (click's)
        click.echo(f"roomfsm: {self.message}", err=True)


class _Ttl(click.ParamType[float]):
    """A time such as 2h, 30m, 7d or 90s."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        match = re.fullmatch(r"([0-9]{1,9})([smhd]?)", str(value))
        seconds = int(match[1]) * _UNITS[match[2]] if match else 0
        if not 1 <= seconds <= _MAX_TTL:
            self.fail(f"{value!r} is no time such as 2h, 30m, 7d or 90s, up to 3650d", param, ctx)
        return seconds


@click.command()
@click.option("--room", required=True, help="The room's name, or a pattern such as board-* for several rooms.")
@click.option(
    "--role",
    type=click.Choice([str(role) for role in Role]),
    default=str(Role.PRESENTER),
    show_default=True,
    help="The person's role in the room.",
)
@click.option("--name", help="The person's display name. Without it people choose their own.")
@click.option(
    "--subject", help="Who the person is to you, such as an account's id. Bans and invitations go by it."
)
@click.option(
    "--ttl", type=_Ttl(), default="2h", show_default=True, help="How long one can enter with it: 30m, 2h, 7d."
)
@click.option(
    "--url", help="The server's address, such as https://rooms.example.org/, if it is not that of the settings."
)
@click.option(
    "--token-key", multiple=True, help="The key, instead of that of the settings. file:PATH reads it from a file."
)
@click.option("--config", type=click.Path(dir_okay=False, path_type=Path), help="The TOML file with settings.")
def token(
    room: str,
    role: str,
    name: str | None,
    subject: str | None,
    ttl: float,
    url: str | None,
    token_key: tuple[str, ...],
    config: Path | None,
) -> None:
    """Print a token that lets one person enter a room, and the link that carries it.

    It is signed by the first --token-key of the server's settings that can sign: a shared secret, or a private
    key (PEM or JWK). The settings are read as `roomfsm serve` reads them.
    """
    try:
        room = room_pattern(room)
        name = None if name is None else display_name(name)
    except NameFault as fault:
        raise _Failed(str(fault)) from None
    if subject is not None and not 1 <= len(subject) <= 255:
        raise _Failed("--subject has 1 to 255 characters")
    settings = _settings(token_key, config)
    signed = _sign(settings, room, msgspec.convert(role, Role), name, subject, int(ttl))
    if set(room) & set("*?"):
        click.echo(signed)
        click.echo("(It is for several rooms. Add #token= and the token to the address of one.)", err=True)
    else:
        link = f"{_address(settings, url)}r/{quote(room)}#token={signed}"
        click.echo(f"{signed}\n{link}")


@click.command()
def password() -> None:
    """Print the hash of a room's password, for the settings file.

    It asks for the password twice. If the standard input is no terminal, its first line is the password.
    """
    if sys.stdin.isatty():
        text = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    else:
        text = sys.stdin.readline().removesuffix("\n")
    if not 1 <= len(text) <= MAX_PASSWORD:
        raise _Failed(f"a password has 1 to {MAX_PASSWORD} characters")
    click.echo(hash_password(text))


def _settings(token_key: tuple[str, ...], config: Path | None) -> Settings:
    flags = {"token_key": token_key} if token_key else {}
    named = os.environ.get(CONFIG_VARIABLE)
    try:
        return load(flags, os.environ, config or (Path(named) if named else None))
    except SettingsError as error:
        raise _Failed(str(error)) from None


def _sign(settings: Settings, room: str, role: Role, name: str | None, subject: str | None, seconds: int) -> str:
    # They are imported here, because they take longer than all the rest.
    from roomfsm.access.issue import claims, signing_key
    from roomfsm.access.tokens import sign

    key = signing_key(settings.access.key_texts)
    if key is not None:
        audience = next(iter(settings.access.token_audience), None)
        now = int(time.time())
        return sign(
            key, claims(room, role, name=name, subject=subject, audience=audience, now=now, seconds=seconds)
        )
    if not settings.access.token_key:
        raise _Failed(
            "there is no key: set --token-key (or ROOMFSM_TOKEN_KEY, or token_key in the file of --config) to a"
            " shared secret or to a file with a private key, here and for the server"
        )
    raise _Failed(
        "none of the keys of --token-key can sign, because they are public: tokens are issued by the application"
        " that has the private key"
    )


def _address(settings: Settings, url: str | None) -> str:
    """The server's address, ending with a slash."""
    if url is None:
        name = next((name for name in settings.door.host_name if "*" not in name), None)
        if name is None:
            return addresses_to_open(settings, settings.server.port)[0]
        # A name of its own means a proxy with a certificate, or one here.
        port = f":{settings.server.port}" if settings.server.https else ""
        return f"https://{name}{port}{settings.door.path_prefix}/"
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.netloc or parts.query or parts.fragment:
        raise _Failed(f"--url: {url} is no address such as https://rooms.example.org/")
    return url.removesuffix("/") + "/"
