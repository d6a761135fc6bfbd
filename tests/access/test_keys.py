"""Given a text, it is one key or several for tokens, or it is said why not."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st
from joserfc.errors import SecurityWarning
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

from roomfsm.access.keys import MAX_KEYS, KeyFault, read_keys, read_public_key_set
from tests.access.keys import ALGORITHMS, SECRET, as_json, key_of, key_set, pem_of


def test_a_text_that_is_nothing_else_is_a_shared_secret() -> None:
    (key,) = read_keys(f"{SECRET}\n")
    assert (key.algorithm, key.kid, key.can_sign) == ("HS256", None, True)


@pytest.mark.parametrize("algorithm", ALGORITHMS[1:])
@pytest.mark.parametrize("private", [True, False])
def test_a_pem_is_a_key_of_the_algorithm_of_its_type(algorithm: str, private: bool) -> None:
    (key,) = read_keys(pem_of(algorithm, private=private))
    assert (key.algorithm, key.can_sign) == (algorithm, private)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_jwk_is_a_key_of_the_algorithm_of_its_type(algorithm: str) -> None:
    (key,) = read_keys(as_json(key_of(algorithm, "today"), private=True))
    assert (key.algorithm, key.kid, key.can_sign) == (algorithm, "today", True)


def test_a_certificate_is_the_public_key_in_it() -> None:
    private = key_of("ES256")
    assert isinstance(private, ECKey)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "issuer")])
    day = datetime(2026, 1, 1, tzinfo=UTC)
    certificate = (
        x509.CertificateBuilder(name, name, private.public_key, 1, day, day + timedelta(days=1))
        .sign(private.private_key, hashes.SHA256())  # type: ignore[arg-type]
        .public_bytes(Encoding.PEM)
    )
    (key,) = read_keys(certificate.decode())
    assert (key.algorithm, key.can_sign) == ("ES256", False)


def test_a_set_gives_the_keys_that_can_verify_tokens() -> None:
    rsa, ec = key_of("RS256", "one"), key_of("ES256", "two")
    others: list[dict[str, Any]] = [
        {"kty": "new", "kid": "of a type to come"},
        {**key_of("RS256", "for encryption").as_dict(private=False), "use": "enc"},
        {**key_of("RS256", "for encryption").as_dict(private=False), "key_ops": ["encrypt"]},
        {**key_of("RS256", "for encryption").as_dict(private=False), "key_ops": [["verify"]]},
        {**key_of("RS256", "of another algorithm").as_dict(private=False), "alg": "PS256"},
        {"kty": "RSA", "kid": "without its numbers"},
        ECKey.generate_key("P-384").as_dict(private=False),
        OKPKey.generate_key("X25519").as_dict(private=False),
    ]
    keys = read_public_key_set(key_set(*others, rsa, ec))
    assert [(key.algorithm, key.kid, key.can_sign) for key in keys] == [
        ("RS256", "one", False),
        ("ES256", "two", False),
    ]


def test_a_secret_in_a_set_that_everybody_can_read_is_left_out() -> None:
    secret, public = key_of("HS256", "secret"), key_of("EdDSA", "public")
    assert [key.kid for key in read_public_key_set(key_set(secret, public))] == ["public"]
    with pytest.raises(KeyFault, match="cannot hold a secret"):
        read_public_key_set(key_set(secret))
    assert [key.kid for key in read_keys(key_set(secret, public))] == ["secret", "public"]


@pytest.mark.parametrize("name", ["EdDSA", "Ed25519"])
def test_both_names_of_eddsa_are_understood(name: str) -> None:
    (key,) = read_keys(json.dumps({**key_of("EdDSA").as_dict(private=False), "alg": name}))
    assert key.algorithm == "EdDSA"


def test_a_key_set_holds_up_to_a_bound_of_keys() -> None:
    jwk = key_of("EdDSA").as_dict(private=False)
    assert len(read_keys(key_set(*[dict(jwk)] * MAX_KEYS))) == MAX_KEYS
    with pytest.raises(KeyFault, match=f"more than {MAX_KEYS} keys"):
        read_keys(key_set(*[dict(jwk)] * (MAX_KEYS + 1)))


def _encrypted() -> str:
    key = key_of("ES256")
    assert isinstance(key, ECKey)
    native = key.private_key
    assert native is not None
    encryption = BestAvailableEncryption(b"password")
    return native.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption).decode()


def _short_rsa() -> str:
    with pytest.warns(SecurityWarning):
        return as_json(RSAKey.generate_key(1024), private=True)


FAULTS: dict[str, tuple[Callable[[], str], str]] = {
    "too short a secret": (lambda: "x" * 31, "at least 32 bytes"),
    "an empty text": (lambda: "", "at least 32 bytes"),
    "too short a secret in a JWK": (lambda: as_json(OctKey.generate_key(248), private=True), "at least 32 bytes"),
    "an empty secret in a JWK": (lambda: '{"kty": "oct", "k": ""}', "lacks a part"),
    "too short an RSA key": (_short_rsa, "at least 2048 bits"),
    "a curve of another algorithm": (lambda: as_json(ECKey.generate_key("P-521"), private=True), "P-256"),
    "a PEM of another curve": (lambda: ECKey.generate_key("P-384").as_pem().decode(), "P-256"),
    "a PEM of another type": (lambda: OKPKey.generate_key("X25519").as_pem().decode(), "RSA, EC"),
    "a PEM that is cut off": (lambda: pem_of("ES256", private=True)[:100], "can be read"),
    "an encrypted PEM": (_encrypted, "is encrypted"),
    "no JSON": (lambda: '{"kty":', "not JSON"),
    "deep JSON": (lambda: '{"keys":' * 200_000, "not JSON"),
    "other JSON": (lambda: '{"port": 8080}', "neither a JWK"),
    "keys that are no list": (lambda: '{"keys": 7}', "neither a JWK"),
    "an empty set": (lambda: '{"keys": []}', "no key that can verify"),
    "a set of something else": (lambda: '{"keys": [1, null, "x"]}', "no key that can verify"),
    "a type that is a list": (lambda: '{"kty": ["RSA"]}', "none of these types"),
    "a JWK that lacks a part": (lambda: '{"kty": "RSA", "n": "AQAB"}', "lacks a part"),
    "a JWK with a number as a part": (lambda: '{"kty": "RSA", "n": 7, "e": "AQAB"}', "lacks a part"),
    "a point that is not on the curve": (
        lambda: '{"kty": "EC", "crv": "P-256", "x": "AQAB", "y": "AQAB"}',
        "lacks a part",
    ),
    "an unknown curve": (lambda: '{"kty": "EC", "crv": "P-1", "x": "AQAB", "y": "AQAB"}', "lacks a part"),
    "a key for another algorithm": (
        lambda: json.dumps({**key_of("RS256").as_dict(private=False), "alg": "HS256"}),
        "used for RS256",
    ),
}


@pytest.mark.parametrize("what", FAULTS)
def test_what_is_no_key_is_refused_and_not_repeated(what: str) -> None:
    make, words = FAULTS[what]
    text = make()
    with pytest.raises(KeyFault, match=words) as refused:
        read_keys(text)
    assert len(text) < 20 or text not in str(refused.value)


@given(
    st.dictionaries(
        st.sampled_from(["kty", "k", "n", "e", "d", "crv", "x", "y", "use", "alg", "kid", "key_ops"]),
        st.one_of(
            st.sampled_from(["oct", "RSA", "EC", "OKP", "P-256", "Ed25519", "AQAB", "sig", "", "é", "A" * 43]),
            st.none(),
            st.integers(),
            st.lists(st.sampled_from(["verify", "", "x"]), max_size=2),
        ),
    )
)
def test_whatever_a_jwk_holds_it_is_a_key_or_a_fault(jwk: dict[str, object]) -> None:
    for text in (json.dumps(jwk), json.dumps({"keys": [jwk]})):
        try:
            keys = read_keys(text)
        except KeyFault:
            continue
        assert len(keys) == 1
