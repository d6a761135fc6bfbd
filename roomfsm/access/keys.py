"""The keys of tokens: a shared secret, a public or private key (PEM), a JWK or a JWK set (RFC 7517).

A key fixes the one algorithm for which it is used, by its type alone. What the header of a token says cannot
change that. So the two classic attacks find nothing to work on: a token with `"alg": "none"` matches no key, and
neither does a token that was signed by HS256 with a server's RSA public key as the secret (RFC 8725 section 3.1).

The library is joserfc, because it reads every kind of key into an object that knows its type and its private part,
and because it refuses to use a public key as a secret.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key
from cryptography.x509 import load_pem_x509_certificate
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, Key, OctKey, OKPKey, RSAKey

MIN_SECRET_BYTES = 32
"""The shortest secret of HS256 (RFC 7518 section 3.2)."""
MIN_RSA_BITS = 2048
"""The shortest RSA key of RS256 (RFC 7518 section 3.3)."""
MAX_KEYS = 32
"""The most keys of one set. A token that names no key is tried with each of them."""
NAMES = {"HS256": ("HS256",), "RS256": ("RS256",), "ES256": ("ES256",), "EdDSA": ("EdDSA", "Ed25519")}
"""The algorithms, each with its names (RFC 7518 section 3.1, RFC 8037 section 3.1, RFC 9864 section 2.2)."""

_PEM = "-----BEGIN "
_LIBRARY_ERRORS = JoseError, ValueError, TypeError, UnsupportedAlgorithm, KeyError


class KeyFault(ValueError):
    """The text is no key for tokens. The message is a sentence for people and never contains the key."""


@dataclass(frozen=True, slots=True)
class TokenKey:
    """A key, and the algorithm for which alone it is used."""

    algorithm: str
    """One of `NAMES`."""
    kid: str | None
    """The key's id, if it has one (RFC 7517 section 4.5)."""
    jwk: Key

    @property
    def can_sign(self) -> bool:
        """Whether it can sign tokens. A public key can only verify them."""
        try:
            self.jwk.check_key_op("sign")
        except JoseError:
            return False
        return True


def read_keys(text: str) -> tuple[TokenKey, ...]:
    """The keys in `text`, which is a PEM, a JWK, a JWK set, or else a shared secret. Raises `KeyFault`."""
    text = text.strip()
    if _PEM in text:
        return (_of_pem(text),)
    if text.startswith("{"):
        return _of_json(text, secrets=True)
    secret = text.encode()
    _check_secret(secret)
    return (TokenKey("HS256", None, OctKey.import_key(secret)),)


def read_public_key_set(text: str) -> tuple[TokenKey, ...]:
    """The keys of a JWK set that everybody can read. A secret in it is no secret, and is left out.

    Raises `KeyFault`.
    """
    return _of_json(text, secrets=False)


def _of_pem(text: str) -> TokenKey:
    """The key in a PEM, or in the certificate in it."""
    pem = text.encode()
    try:
        native: Any
        if "PRIVATE KEY" in text:
            native = load_pem_private_key(pem, password=None)
        elif "CERTIFICATE" in text:
            native = load_pem_x509_certificate(pem).public_key()
        else:
            native = load_pem_public_key(pem)
    except TypeError:
        raise KeyFault("The private key is encrypted, and there is nobody to ask for its password.") from None
    except _LIBRARY_ERRORS:
        raise KeyFault("The PEM holds no private key, public key or certificate that can be read.") from None
    if isinstance(native, rsa.RSAPrivateKey | rsa.RSAPublicKey):
        return _checked(RSAKey(native, native))
    if isinstance(native, ec.EllipticCurvePrivateKey | ec.EllipticCurvePublicKey):
        return _checked(ECKey(native, native))
    if isinstance(native, ed25519.Ed25519PrivateKey | ed25519.Ed25519PublicKey):
        return _checked(OKPKey(native, native))
    raise KeyFault("The key is of none of these types: RSA, EC (P-256), Ed25519.")


def _of_json(text: str, *, secrets: bool) -> tuple[TokenKey, ...]:
    try:
        document = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        raise KeyFault("The text begins like a JWK or a JWK set, but it is not JSON.") from None
    if not isinstance(document, dict) or not ("kty" in document or isinstance(document.get("keys"), list)):
        raise KeyFault('The JSON is neither a JWK (with "kty") nor a JWK set (with "keys").')
    if "kty" in document:
        return (_of_jwk(document, secrets=secrets),)
    if len(document["keys"]) > MAX_KEYS:
        raise KeyFault(f"The JWK set has more than {MAX_KEYS} keys.")
    keys: list[TokenKey] = []
    faults: list[str] = []
    # A set may also hold keys for other purposes (RFC 7517 section 5).
    for item in document["keys"]:
        try:
            keys.append(_of_jwk(item, secrets=secrets))
        except KeyFault as fault:
            faults.append(str(fault))
    if not keys:
        why = f" About the first: {faults[0]}" if faults else ""
        raise KeyFault(f"The JWK set has no key that can verify tokens.{why}")
    return tuple(keys)


_TYPES: Mapping[str, type[OctKey | RSAKey | ECKey | OKPKey]] = {
    "oct": OctKey,
    "RSA": RSAKey,
    "EC": ECKey,
    "OKP": OKPKey,
}


def _of_jwk(jwk: object, *, secrets: bool) -> TokenKey:
    kind = _TYPES.get(str(jwk.get("kty"))) if isinstance(jwk, dict) else None
    if kind is None or not isinstance(jwk, dict):
        raise KeyFault("The key is of none of these types: oct, RSA, EC, OKP.")
    if kind is OctKey and not secrets:
        raise KeyFault("A set that everybody can read cannot hold a secret (oct).")
    operations = jwk.get("key_ops")
    if jwk.get("use", "sig") != "sig" or (
        isinstance(operations, list) and "sign" not in operations and "verify" not in operations
    ):
        raise KeyFault("The key is not for signatures.")
    algorithm = jwk.get("alg")
    try:
        with warnings.catch_warnings():
            # It warns about short secrets, which `_checked` refuses.
            warnings.simplefilter("ignore")
            key = kind.import_key({name: value for name, value in jwk.items() if name != "alg"})
    except _LIBRARY_ERRORS:
        raise KeyFault("The JWK lacks a part of its key, or a part is wrong.") from None
    checked = _checked(key)
    if algorithm is not None and algorithm not in NAMES[checked.algorithm]:
        raise KeyFault(f"The key is for another algorithm, but one of its type is used for {checked.algorithm}.")
    return checked


def _checked(key: Key) -> TokenKey:
    """The key with its algorithm, if it is good for one of ours. Raises `KeyFault`."""
    match key:
        case OctKey():
            _check_secret(key.raw_value)
            algorithm = "HS256"
        case RSAKey():
            if key.raw_value.key_size < MIN_RSA_BITS:
                raise KeyFault(f"An RSA key for tokens has at least {MIN_RSA_BITS} bits.")
            algorithm = "RS256"
        case ECKey():
            if key.curve_name != "P-256":
                raise KeyFault("An EC key for tokens is one of the curve P-256.")
            algorithm = "ES256"
        case _:
            if key.curve_name != "Ed25519":
                raise KeyFault("An OKP key for tokens is one of the curve Ed25519.")
            algorithm = "EdDSA"
    return TokenKey(algorithm, key.kid, key)


def _check_secret(secret: bytes) -> None:
    if len(secret) < MIN_SECRET_BYTES:
        raise KeyFault(f"A shared secret for tokens has at least {MIN_SECRET_BYTES} bytes.")
