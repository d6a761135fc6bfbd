"""Issues tokens, for `roomfsm token` and the admin API: the claims of a token, and the key that signs it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from roomfsm.protocol.roles import Role

if TYPE_CHECKING:
    from roomfsm.access.keys import TokenKey

MAX_TTL = 3650 * 86_400
"""The longest life of a token that this server issues, in seconds."""


def signing_key(texts: Iterable[str]) -> TokenKey | None:
    """The first key that can sign, among those of the settings; None if there is none. Raises `KeyFault`."""
    # It is imported here, because most servers issue no tokens, and it takes long.
    from roomfsm.access.keys import read_keys

    return next((key for text in texts for key in read_keys(text) if key.can_sign), None)


def claims(
    room: str,
    role: Role,
    *,
    name: str | None,
    subject: str | None,
    audience: str | None,
    now: int,
    seconds: int,
) -> dict[str, Any]:
    """The claims of a token that is valid for so many seconds from `now` on (seconds since 1970)."""
    given = {
        "sub": subject,
        "name": name,
        "room": room,
        "role": role,
        "aud": audience,
        "iat": now,
        "exp": now + seconds,
    }
    return {claim: value for claim, value in given.items() if value is not None}
