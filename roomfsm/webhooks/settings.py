"""Settings of webhooks: where they go, how they are signed, and how long a receiver that fails is tried."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from roomfsm import ranges
from roomfsm.ranges import Count, Seconds, SettingsError
from roomfsm.webhooks.signature import secret_of


@dataclass(frozen=True, slots=True)
class WebhookSettings:
    """Where webhooks go, and how. Times are in seconds. Raises `SettingsError`."""

    webhook: tuple[str, ...] = field(
        default=(),
        metadata={"help": "The https:// or http:// address that is told what happens (docs/webhooks.md)."},
    )
    webhook_secret: tuple[str, ...] = field(
        default=(),
        metadata={
            "help": "A secret by which webhooks are signed: whsec_ and the base64 of 24 to 64 bytes. If there are "
            "several, each signs, so that a secret can be replaced by another one.",
            "secret": True,
            "live": True,
        },
    )
    webhook_timeout: Seconds = field(
        default=10.0, metadata={"help": "How many seconds a receiver may take to answer one webhook."}
    )
    webhook_retry: Seconds = field(
        default=600.0,
        metadata={
            "help": "For how many seconds a webhook is tried again if the receiver fails. Then it is dropped."
        },
    )
    webhook_queue: Count = field(
        default=10_000,
        metadata={"help": "How many webhooks may wait for one receiver. Beyond that, new ones drop."},
    )
    webhook_room_queue: Count = field(
        default=1000,
        metadata={
            "help": "How many of them may be about one room, so that one room cannot take the place of all."
        },
    )
    webhook_connections: Count = field(
        default=16, metadata={"help": "How many webhooks are sent to one receiver at a time."}
    )

    def __post_init__(self) -> None:
        ranges.check(self)
        for url in self.webhook:
            _check(url)
            if self.webhook.count(url) > 1:
                raise SettingsError(f"--webhook: the same address twice: {shown(url)}")
        for secret in self.webhook_secret:
            try:
                secret_of(secret)
            except ValueError as fault:
                raise SettingsError(f"--webhook-secret: {fault}") from None
        if self.webhook and not self.webhook_secret:
            raise SettingsError("--webhook: without a --webhook-secret nobody could know that webhooks are ours")


def _check(url: str) -> None:
    """Raises `SettingsError`."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        # Its words would show parts of the address.
        raise SettingsError("--webhook: an address whose host or port cannot be read") from None
    if (
        parts.scheme not in ("https", "http")
        or not host
        or port == 0
        or not url.isascii()
        or not url.isprintable()
    ):
        raise SettingsError(f"--webhook: {shown(url)} is no https:// or http:// address")
    if "@" in parts.netloc or parts.fragment or " " in url:
        raise SettingsError("--webhook: an address has no name, no password, no fragment and no space")


def shown(url: str) -> str:
    """The address of a receiver as logs and reports show it: without the path and the query, which may be secrets.

    Some services name who may post by a path that only they and their customer know.
    """
    start, slashes, rest = url.partition("://")
    if not slashes:
        return "an address without ://"
    if "@" in rest:
        # A password may stand before it, and may have slashes.
        return f"{start}://…"
    host = re.split(r"[/?#\\]", rest, maxsplit=1)[0]
    return f"{start}://{host}" + ("/…" if len(rest) > len(host) + 1 else "")
