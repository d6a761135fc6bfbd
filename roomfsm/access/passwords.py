"""Passwords of rooms, kept as Argon2id hashes (RFC 9106) in the PHC string format.

To check a password takes some 20 ms and 19 MiB, which is the point of Argon2. So who calls `hash_password` or
`is_password` does it in a thread. Each hash carries its parameters, and `hash_password` takes those of the OWASP
Password Storage Cheat Sheet: RFC 9106 recommends 64 MiB and four threads, which the media on the same machine need
more.
"""

from __future__ import annotations

import base64
import re

_MAX_MEMORY_KIB = 1_048_576
_MAX_PASSES = 100
_MAX_LANES = 64

_HASH = re.compile(
    r"\$argon2id\$v=19\$m=([0-9]{1,10}),t=([0-9]{1,10}),p=([0-9]{1,10})"
    r"\$([A-Za-z0-9+/]{11,86})\$([A-Za-z0-9+/]{16,172})"
)


def hash_fault(text: str) -> str | None:
    """What is wrong with a text as the hash of a password, to be read after its name; None if nothing is."""
    match = _HASH.fullmatch(text)
    if match is None or not all(map(_is_base64, match.groups()[3:])):
        return "is no Argon2id hash: `roomfsm password` makes one of a password"
    memory, passes, lanes = map(int, match.groups()[:3])
    # The lower bounds are those of RFC 9106 section 3.1.
    if not (1 <= lanes <= _MAX_LANES and 1 <= passes <= _MAX_PASSES and 8 * lanes <= memory <= _MAX_MEMORY_KIB):
        return (
            f"has parameters out of their range: t is 1 to {_MAX_PASSES}, p is 1 to {_MAX_LANES}, and m is 8 p to"
            f" {_MAX_MEMORY_KIB}"
        )
    return None


def hash_password(password: str) -> str:
    """The hash of a password, with a salt of its own. It takes some 20 ms."""
    # It is imported here, because the settings check hashes, and must be read quickly.
    from argon2 import PasswordHasher

    return PasswordHasher(memory_cost=19_456, time_cost=2, parallelism=1).hash(password)


def is_password(password: str, password_hash: str) -> bool:
    """Whether the password is that of the hash, which `hash_fault` has nothing against.

    It takes some 20 ms, or as long as the parameters in the hash say.
    """
    from argon2 import PasswordHasher
    from argon2.exceptions import VerificationError

    try:
        return PasswordHasher().verify(password_hash, password)
    except VerificationError:
        return False


def _is_base64(text: str) -> bool:
    """Whether it is base64 without padding, and has no bits left over, as Argon2's own reader demands."""
    if len(text) % 4 == 1:
        return False
    return base64.b64encode(base64.b64decode(text + "==")).rstrip(b"=") == text.encode()
