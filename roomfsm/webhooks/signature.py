"""Signs webhooks by the scheme of Standard Webhooks 1.0 (https://www.standardwebhooks.com), with HMAC-SHA256."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable

PREFIX = "whsec_"
MIN_BYTES, MAX_BYTES = 24, 64
"""How long a secret is, by the specification."""


def secret_of(text: str) -> bytes:
    """The bytes of a secret in the form `whsec_` and base64. Raises `ValueError`, without the secret in it."""
    if not text.startswith(PREFIX):
        raise ValueError(f"a secret begins with {PREFIX}")
    try:
        secret = base64.b64decode(text.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(f"what follows {PREFIX} is not base64") from None
    if not MIN_BYTES <= len(secret) <= MAX_BYTES:
        raise ValueError(f"what follows {PREFIX} stands for {MIN_BYTES} to {MAX_BYTES} bytes, not {len(secret)}")
    return secret


def signed(message_id: str, timestamp: int, body: bytes, secrets: Iterable[bytes]) -> list[tuple[str, str]]:
    """The headers of one attempt to send a webhook at `timestamp` (seconds since 1970).

    There is a signature for each secret, so that a receiver that knows one of them can verify it.
    """
    content = b".".join((message_id.encode(), str(timestamp).encode(), body))
    signatures = (
        "v1," + base64.b64encode(hmac.digest(secret, content, hashlib.sha256)).decode() for secret in secrets
    )
    return [
        ("webhook-id", message_id),
        ("webhook-timestamp", str(timestamp)),
        ("webhook-signature", " ".join(signatures)),
    ]
