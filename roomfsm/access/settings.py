"""Settings of tokens. The policies of rooms are tables of the settings file (`tables`)."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import urlsplit

from roomfsm import ranges
from roomfsm.ranges import Count, SecondsOrZero, SettingsError

_LOOPBACK = "localhost", "127.0.0.1", "::1"


@dataclass(frozen=True, slots=True)
class AccessSettings:
    """Which tokens are valid, and whether everybody needs one. Raises `SettingsError`."""

    token_key: tuple[str, ...] = field(
        default=(),
        metadata={
            "help": "A key of the tokens that people show to enter: a shared secret, a file with a secret, a PEM, "
            "a JWK or a JWK set, or the https:// address of a JWK set (docs/access.md).",
            "secret": True,
            "live": True,
        },
    )
    require_token: bool = field(
        default=False,
        metadata={"help": "Whether nobody may enter any room without a token.", "live": True},
    )
    token_audience: tuple[str, ...] = field(
        default=(),
        metadata={
            "help": "What the claim aud of a token must contain. Without this setting, tokens with that claim are "
            "refused.",
            "live": True,
        },
    )
    token_leeway: SecondsOrZero = field(
        default=30.0,
        metadata={
            "help": "How many seconds the clock of whoever issues tokens may differ from the server's.",
            "zero": True,
            "live": True,
        },
    )
    max_token_length: Count = field(
        default=8192, metadata={"help": "The most characters of a token.", "live": True}
    )

    def __post_init__(self) -> None:
        ranges.check(self)
        for text in self.token_key:
            _check_key(text)
        if self.require_token and not self.token_key:
            raise SettingsError("--require-token: without a --token-key no token is valid, so nobody could enter")

    @property
    def key_texts(self) -> tuple[str, ...]:
        """The keys that are given as such."""
        return tuple(text for text in self.token_key if not is_address(text))

    @property
    def key_addresses(self) -> tuple[str, ...]:
        """The addresses of key sets."""
        return tuple(text for text in self.token_key if is_address(text))


def is_address(text: str) -> bool:
    """Whether a key is given by the address of a key set."""
    return text.startswith(("https://", "http://"))


def _check_key(text: str) -> None:
    """Raises `SettingsError`."""
    if is_address(text):
        try:
            parts = urlsplit(text)
            host, port = parts.hostname, parts.port
        except ValueError as error:
            raise SettingsError(f"--token-key: {text}: {error}") from None
        if not host or port == 0 or not (text.isascii() and text.isprintable()) or " " in text:
            raise SettingsError(f"--token-key: {text} is not the address of a key set")
        if "@" in parts.netloc or parts.fragment:
            raise SettingsError("--token-key: the address of a key set has no name, no password and no fragment")
        if parts.scheme == "http" and host not in _LOOPBACK:
            raise SettingsError(
                f"--token-key: {text}: anybody on the way could exchange the keys; the address must be https://"
            )
        return
    # It is imported here, because most servers have no such keys, and it takes long.
    from roomfsm.access.keys import KeyFault, read_keys

    try:
        read_keys(text)
    except KeyFault as fault:
        raise SettingsError(f"--token-key: {fault}") from None
