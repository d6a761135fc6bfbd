"""A token says who a person is, and which role the person has in which rooms. It is a signed JWT (RFC 7519, 7515).

A token comes from a stranger. So its length is checked before anything of it is decoded, its header is used only
to find the keys, and its claims are read only after a key has verified the signature. `keys` says why the header
cannot choose the algorithm.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from joserfc.errors import JoseError, UnsupportedAlgorithmError
from joserfc.jws import JWSRegistry, deserialize_compact, serialize_compact
from msgspec import Meta

from roomfsm.access.grant import Grant
from roomfsm.access.keys import NAMES, TokenKey
from roomfsm.access.patterns import room_pattern
from roomfsm.protocol.names import NameFault, display_name
from roomfsm.protocol.roles import Role

_MAX_HEADER = 680
"""The longest header, in characters of base64url: 510 bytes, which is what joserfc accepts."""
_LAST_SECOND = 253_402_300_799
"""The last second of the year 9999. Who gives times in milliseconds by mistake is beyond it."""


class TokenInvalid(Exception):
    """The token is forged, not valid yet, not for this server, or no token. The message says so to people."""


class TokenExpired(TokenInvalid):
    """The token was valid once."""


class UnknownKey(TokenInvalid):
    """The token names a key that is not known. A newer key set may have it."""


@dataclass(frozen=True, slots=True)
class TokenRules:
    """What is demanded of tokens."""

    audience: tuple[str, ...] = ()
    """The names of this server in the claim `aud`. Without them, a token for an audience is refused (RFC 7519
    section 4.1.3)."""
    leeway: float = 30.0
    """How many seconds the clock of the token's issuer may differ from ours."""
    max_length: int = 8192
    """The most characters of a token."""


class _Header(msgspec.Struct):
    """What is read of the header (RFC 7515 section 4.1)."""

    alg: str
    kid: str | None = None
    crit: Any = None


class _Claims(msgspec.Struct):
    """What is read of the claims. Others are ignored, as RFC 7519 section 4 demands."""

    exp: float
    room: str
    role: Role = Role.VIEWER
    sub: Annotated[str, Meta(min_length=1, max_length=255)] | None = None
    name: str | None = None
    nbf: float | None = None
    iat: float | None = None
    jti: str | None = None
    aud: str | list[str] | None = None


class _OneAlgorithm(JWSRegistry):
    """Knows the algorithm of one key, under each of its names."""

    def __init__(self, algorithm: str) -> None:
        super().__init__(strict_check_header=False)
        self._names = NAMES[algorithm]

    def get_alg(self, name: str) -> Any:
        """Its own would warn of EdDSA, because the name Ed25519 is newer. The tokens of today have the old one."""
        if name not in self._names:
            raise UnsupportedAlgorithmError(name)
        return self.algorithms[name]


_REGISTRIES = {algorithm: _OneAlgorithm(algorithm) for algorithm in NAMES}


def verify(token: str, keys: Sequence[TokenKey], rules: TokenRules, now: float) -> Grant:
    """What the token grants. `now` is in seconds since 1970.

    Raises `TokenInvalid`, or one of its kinds.
    """
    if len(token) > rules.max_length:
        raise TokenInvalid(f"A token has at most {rules.max_length} characters.")
    claims = _claims(_payload(token, keys))
    if now >= claims.exp + rules.leeway:
        raise TokenExpired(f"The token expired at {_moment(claims.exp)}.")
    if claims.nbf is not None and now < claims.nbf - rules.leeway:
        raise TokenInvalid(f"The token is not valid before {_moment(claims.nbf)}.")
    audience = [claims.aud] if isinstance(claims.aud, str) else claims.aud
    if not set(rules.audience) & set(audience or ()) and (rules.audience or audience):
        raise TokenInvalid("The token is for another audience (aud).")
    try:
        room = room_pattern(claims.room)
    except NameFault as fault:
        raise TokenInvalid(f"The token's room is no name or pattern of rooms. {fault}") from None
    try:
        name = None if claims.name is None else display_name(claims.name)
    except NameFault as fault:
        raise TokenInvalid(f"The token's name cannot be the name of a person. {fault}") from None
    return Grant(room, claims.role, claims.sub, name, claims.exp)


def sign(key: TokenKey, claims: dict[str, Any]) -> str:
    """A token with these claims. The key must be one that can sign."""
    header = {"alg": key.algorithm, "typ": "JWT"}
    if key.kid is not None:
        header["kid"] = key.kid
    return serialize_compact(header, msgspec.json.encode(claims), key.jwk, registry=_REGISTRIES[key.algorithm])


def _payload(token: str, keys: Sequence[TokenKey]) -> bytes:
    """The bytes of the claims, if one of the keys has signed them."""
    header = _header(token)
    for key in keys:
        if header.alg not in NAMES[key.algorithm]:
            continue
        if None not in (header.kid, key.kid) and header.kid != key.kid:
            continue
        try:
            return deserialize_compact(token, key.jwk, registry=_REGISTRIES[key.algorithm]).payload
        except (JoseError, ValueError):
            # Forged, or signed by another of the keys.
            continue
    if header.kid is not None and all(header.kid != key.kid for key in keys):
        raise UnknownKey("The token is signed by a key that this server does not know.")
    raise TokenInvalid("The token's signature is not one of the keys of this server.")


def _header(token: str) -> _Header:
    encoded, _, rest = token.partition(".")
    if rest.count(".") != 1 or not token.isascii() or len(encoded) > _MAX_HEADER:
        raise TokenInvalid("This is no token: a token is three parts of base64url with dots between them.")
    try:
        header = msgspec.json.decode(base64.urlsafe_b64decode(encoded + "=="), type=_Header)
    except (binascii.Error, msgspec.DecodeError, RecursionError):
        raise TokenInvalid("The token's header is not one of a JWT.") from None
    if header.crit is not None:
        raise TokenInvalid("The token's header demands an extension (crit) that this server does not know.")
    return header


def _claims(payload: bytes) -> _Claims:
    try:
        claims = msgspec.json.decode(payload, type=_Claims)
    except msgspec.ValidationError as error:
        raise TokenInvalid(f"The token's claims are wrong: {error}.") from None
    except (msgspec.DecodeError, RecursionError):
        raise TokenInvalid("The token's claims are not JSON.") from None
    for name in ("exp", "nbf", "iat"):
        value = getattr(claims, name)
        if value is not None and not 0 <= value <= _LAST_SECOND:
            raise TokenInvalid(f"The token's {name} is not a number of seconds since 1970.")
    return claims


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
