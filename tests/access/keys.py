"""Keys of each algorithm for tests of tokens, made once: an RSA key takes long."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from joserfc.jwk import ECKey, Key, OctKey, OKPKey, RSAKey

ALGORITHMS = ("HS256", "RS256", "ES256", "EdDSA")
SECRET = "correct-horse-battery-staple-and-more"


@cache
def key_of(algorithm: str, kid: str | None = None) -> Key:
    """A private key for this algorithm; another one for each `kid`."""
    parameters: Any = None if kid is None else {"kid": kid}
    match algorithm:
        case "HS256":
            return OctKey.generate_key(256, parameters)
        case "RS256":
            return RSAKey.generate_key(2048, parameters)
        case "ES256":
            return ECKey.generate_key("P-256", parameters)
        case _:
            return OKPKey.generate_key("Ed25519", parameters)


def as_json(key: Key, *, private: bool) -> str:
    """The key as a JWK."""
    return json.dumps(key.as_dict(private=private))


def pem_of(algorithm: str, *, private: bool) -> str:
    """The key of this algorithm, which is not HS256, as a PEM."""
    key = key_of(algorithm)
    assert not isinstance(key, OctKey)
    return key.as_pem(private=private).decode()


def key_set(*keys: Key | dict[str, Any]) -> str:
    """A JWK set of the public parts, as an application publishes it."""
    return json.dumps({"keys": [key if isinstance(key, dict) else key.as_dict(private=False) for key in keys]})
