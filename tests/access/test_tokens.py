"""Given a token, keys and a time, it grants something, or it is said why it does not."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import warnings
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roomfsm.access.grant import Grant
from roomfsm.access.keys import TokenKey, read_keys, read_public_key_set
from roomfsm.access.tokens import TokenExpired, TokenInvalid, TokenRules, UnknownKey, sign, verify
from roomfsm.protocol.roles import Role
from tests.access.keys import ALGORITHMS, SECRET, as_json, key_of, key_set, pem_of

NOW = 1_800_000_000.0
RULES = TokenRules()
CLAIMS = {"sub": "ada-7", "name": "Ada", "room": "board-*", "role": "moderator", "exp": NOW + 60}


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def by_hand(header: object, claims: object, secret: str = SECRET) -> str:
    """A token that no library would make. It is signed by HS256, and what is not bytes becomes JSON."""
    parts = [part if isinstance(part, bytes) else json.dumps(part).encode() for part in (header, claims)]
    signed = ".".join(map(b64, parts))
    return f"{signed}.{b64(hmac.digest(secret.encode(), signed.encode(), hashlib.sha256))}"


HS256 = {"alg": "HS256"}
KEYS = read_keys(SECRET)


def token(**claims: Any) -> str:
    """A well signed token with these claims besides the usual ones. None leaves a claim out."""
    merged = {name: value for name, value in {**CLAIMS, **claims}.items() if value is not None}
    return by_hand(HS256, merged)


@cache
def private(algorithm: str, kid: str | None = None) -> TokenKey:
    (key,) = read_keys(as_json(key_of(algorithm, kid), private=True))
    return key


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_token_grants_what_its_claims_say(algorithm: str) -> None:
    key = private(algorithm)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        grant = verify(sign(key, CLAIMS), [key], RULES, NOW)
    assert grant == Grant(room="board-*", role=Role.MODERATOR, subject="ada-7", name="Ada", expires=NOW + 60)
    assert grant.is_for("Board-2")
    assert not grant.is_for("blue")


@pytest.mark.parametrize("algorithm", ALGORITHMS[1:])
def test_the_public_key_verifies_what_the_private_key_signed(algorithm: str) -> None:
    (signer,) = read_keys(pem_of(algorithm, private=True))
    verifiers = read_keys(pem_of(algorithm, private=False))
    assert verify(sign(signer, CLAIMS), verifiers, RULES, NOW).subject == "ada-7"


def test_the_newer_name_of_eddsa_is_understood() -> None:
    key = private("EdDSA")
    signed = f"{b64(b'{"alg":"Ed25519"}')}.{b64(json.dumps(CLAIMS).encode())}"
    signature = key.jwk.private_key.sign(signed.encode())  # type: ignore[union-attr, call-arg]
    assert verify(f"{signed}.{b64(signature)}", [key], RULES, NOW).name == "Ada"


def test_a_token_of_which_little_is_said_makes_a_viewer_without_a_name() -> None:
    assert verify(token(sub=None, name=None, role=None), KEYS, RULES, NOW) == Grant(
        room="board-*", role=Role.VIEWER, subject=None, name=None, expires=NOW + 60
    )


def test_claims_that_nobody_asked_for_are_ignored() -> None:
    assert verify(token(iss="https://example.org", jti="1", iat=NOW, admin={"a": [1]}), KEYS, RULES, NOW)


def test_a_name_is_brought_into_its_form() -> None:
    assert verify(token(name="  Ada   Lovelace "), KEYS, RULES, NOW).name == "Ada Lovelace"


@pytest.mark.parametrize(
    ("claims", "now", "raised"),
    [
        ({"exp": NOW}, NOW + 29.9, None),
        ({"exp": NOW}, NOW + 30, TokenExpired),
        ({"nbf": NOW}, NOW - 30, None),
        ({"nbf": NOW}, NOW - 30.1, TokenInvalid),
        # The time of issue is information only (RFC 7519 section 4.1.6).
        ({"iat": NOW + 1000}, NOW, None),
    ],
)
def test_the_clocks_may_differ_by_the_leeway(
    claims: dict[str, float], now: float, raised: type[Exception] | None
) -> None:
    text = token(**claims)
    if raised is None:
        verify(text, KEYS, RULES, now)
        return
    with pytest.raises(TokenInvalid) as refused:
        verify(text, KEYS, RULES, now)
    assert type(refused.value) is raised
    assert "2027-01-15 08:00:00 UTC" in str(refused.value)


@pytest.mark.parametrize(
    ("audience", "aud", "valid"),
    [
        ((), None, True),
        ((), "rooms", False),
        (("rooms",), None, False),
        (("rooms",), "rooms", True),
        (("rooms",), ["others", "rooms"], True),
        (("rooms", "more"), "more", True),
        (("rooms",), "room", False),
        (("rooms",), "Rooms", False),
        (("rooms",), [], False),
        ((), [], True),
    ],
)
def test_a_token_is_for_an_audience(audience: tuple[str, ...], aud: Any, valid: bool) -> None:
    rules = TokenRules(audience=audience)
    if valid:
        verify(token(aud=aud), KEYS, rules, NOW)
    else:
        with pytest.raises(TokenInvalid, match="another audience"):
            verify(token(aud=aud), KEYS, rules, NOW)


def test_a_token_may_be_as_long_as_the_rules_say() -> None:
    text = token()
    verify(text, KEYS, TokenRules(max_length=len(text)), NOW)
    with pytest.raises(TokenInvalid, match=f"at most {len(text) - 1} characters"):
        verify(text, KEYS, TokenRules(max_length=len(text) - 1), NOW)


# --- Which key


def test_a_key_that_the_token_names_is_the_only_one_tried() -> None:
    old, new = private("ES256", "old"), private("ES256", "new")
    text = sign(new, CLAIMS)
    assert verify(text, [old, new], RULES, NOW)
    # Signed by the new key in the old one's name.
    header, rest = b64(json.dumps({"alg": "ES256", "kid": "old"}).encode()), text.partition(".")[2]
    with pytest.raises(TokenInvalid, match="signature"):
        verify(f"{header}.{rest}", [old, new], RULES, NOW)


def test_keys_without_an_id_are_tried_for_every_token() -> None:
    keys = [*read_keys("another-secret-of-at-least-32-bytes"), private("RS256", "one"), *KEYS]
    assert verify(by_hand({**HS256, "kid": "whatever"}, CLAIMS), keys, RULES, NOW)
    assert verify(by_hand(HS256, CLAIMS), keys, RULES, NOW)


def test_a_token_that_names_no_key_is_tried_with_every_key_of_its_algorithm() -> None:
    keys = [private("HS256", "one"), private("HS256", "two")]
    nameless = TokenKey("HS256", None, keys[1].jwk)
    assert verify(sign(nameless, CLAIMS), keys, RULES, NOW)


def test_a_token_of_a_key_that_is_not_known_yet_is_told_from_a_forged_one() -> None:
    published = read_public_key_set(key_set(key_of("RS256", "old")))
    rotated = sign(private("RS256", "new"), CLAIMS)
    with pytest.raises(UnknownKey):
        verify(rotated, published, RULES, NOW)
    with pytest.raises(UnknownKey):
        verify(rotated, [], RULES, NOW)
    both = read_public_key_set(key_set(key_of("RS256", "old"), key_of("RS256", "new")))
    assert verify(rotated, both, RULES, NOW)


def test_without_keys_no_token_is_valid() -> None:
    with pytest.raises(TokenInvalid):
        verify(token(), [], RULES, NOW)


# --- Forged


def test_a_token_that_says_that_it_is_not_signed_is_refused() -> None:
    claims = b64(json.dumps(CLAIMS).encode())
    for name in ("none", "None", "NONE", "nOnE", ""):
        header = b64(json.dumps({"alg": name}).encode())
        for key in (*KEYS, private("RS256"), private("EdDSA")):
            for signature in ("", "AAAA"):
                with pytest.raises(TokenInvalid, match="signature is not one of the keys"):
                    verify(f"{header}.{claims}.{signature}", [key], RULES, NOW)


@pytest.mark.parametrize("algorithm", ALGORITHMS[1:])
def test_a_public_key_is_never_a_shared_secret(algorithm: str) -> None:
    public = pem_of(algorithm, private=False)
    for secret in (public, public.strip(), as_json(key_of(algorithm), private=False)):
        forged = by_hand(HS256, CLAIMS, secret)
        with pytest.raises(TokenInvalid, match="signature is not one of the keys"):
            verify(forged, read_keys(public), RULES, NOW)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_no_key_verifies_a_token_of_another_algorithm(algorithm: str) -> None:
    key = private(algorithm)
    _, payload, signature = sign(key, CLAIMS).split(".")
    for name in ("HS256", "HS384", "HS512", "RS256", "RS512", "PS256", "ES256", "ES384", "EdDSA", "ES256K", "x"):
        if name != algorithm:
            header = b64(json.dumps({"alg": name}).encode())
            with pytest.raises(TokenInvalid, match="signature is not one of the keys"):
                verify(f"{header}.{payload}.{signature}", [key], RULES, NOW)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_token_that_was_changed_is_refused(algorithm: str) -> None:
    key = private(algorithm)
    header, payload, signature = sign(key, CLAIMS).split(".")
    other = b64(json.dumps({**CLAIMS, "role": "moderator", "room": "*"}).encode())
    foreign = sign(private(algorithm, "somebody else's"), CLAIMS).split(".")[2]
    changed = ("B" if signature[0] != "B" else "C") + signature[1:]
    for forged in (
        f"{header}.{other}.{signature}",
        f"{header}.{payload}.{foreign}",
        f"{header}.{payload}.{changed}",
        f"{header}.{payload}.{signature[:-4]}",
        f"{header}.{payload}.",
        f"{header}.{payload}.{b64(bytes(64))}",
        f"{b64(json.dumps({'alg': key.algorithm, 'typ': 'x'}).encode())}.{payload}.{signature}",
    ):
        with pytest.raises(TokenInvalid, match="signature is not one of the keys"):
            verify(forged, [key], RULES, NOW)


# --- Malformed

NO_TOKENS: dict[str, tuple[Callable[[], str], str]] = {
    "nothing": (lambda: "", "three parts"),
    "two parts": (lambda: "a.b", "three parts"),
    "four parts": (lambda: token() + ".x", "three parts"),
    "five parts, as an encrypted token has": (lambda: "a.b.c.d.e", "three parts"),
    "only dots": (lambda: "..", "header is not"),
    "other letters": (lambda: token() + "é", "three parts"),
    "a header that is no base64url": (lambda: "!." + token().partition(".")[2], "header is not"),
    "a header that is no JSON": (lambda: by_hand(b"alg", CLAIMS), "header is not"),
    "a header that is a list": (lambda: by_hand([], CLAIMS), "header is not"),
    "a header without an algorithm": (lambda: by_hand({}, CLAIMS), "header is not"),
    "an algorithm that is a number": (lambda: by_hand({"alg": 7}, CLAIMS), "header is not"),
    "an algorithm that is a list": (lambda: by_hand({"alg": ["HS256"]}, CLAIMS), "header is not"),
    "a key id that is a number": (lambda: by_hand({**HS256, "kid": 7}, CLAIMS), "header is not"),
    "a deep header": (lambda: by_hand(b'{"alg":"HS256","x":' + b"[" * 400 + b"]" * 400, CLAIMS), "three parts"),
    "a long header": (lambda: by_hand({**HS256, "x": "x" * 1000}, CLAIMS), "three parts"),
    "an extension": (lambda: by_hand({**HS256, "crit": ["exp"], "exp": 1}, CLAIMS), "extension"),
    "an unencoded payload": (lambda: by_hand({**HS256, "crit": ["b64"], "b64": False}, CLAIMS), "extension"),
    "claims that are no JSON": (lambda: by_hand(HS256, b"exp"), "claims are not JSON"),
    "claims that are no text": (lambda: by_hand(HS256, b'{"exp": "\xff"}'), "claims are"),
    "claims that are a list": (lambda: by_hand(HS256, [1]), "claims are wrong"),
    "claims that are nothing": (lambda: by_hand(HS256, b""), "claims are not JSON"),
    "claims with something after them": (lambda: by_hand(HS256, b"{} {}"), "claims are"),
    "1 MB": (lambda: token(x="x" * 1_000_000), "at most 8192 characters"),
    "1 MB of dots": (lambda: "." * 1_000_000, "at most 8192 characters"),
}


@pytest.mark.parametrize("what", NO_TOKENS)
def test_what_is_no_token_is_refused(what: str) -> None:
    make, words = NO_TOKENS[what]
    with pytest.raises(TokenInvalid, match=words) as refused:
        verify(make(), KEYS, RULES, NOW)
    assert type(refused.value) is TokenInvalid


@pytest.mark.parametrize(
    ("claims", "words"),
    [
        ({"exp": None}, "required field `exp`"),
        ({"room": None}, "required field `room`"),
        ({"exp": "1800000060"}, r"\$\.exp"),
        ({"exp": True}, r"\$\.exp"),
        ({"exp": [NOW]}, r"\$\.exp"),
        ({"exp": 10**400}, r"\$\.exp"),
        ({"exp": 1e20}, "exp is not a number of seconds"),
        # In milliseconds.
        ({"exp": (NOW + 60) * 1000}, "exp is not a number of seconds"),
        ({"exp": -1}, "exp is not a number of seconds"),
        ({"nbf": "now"}, r"\$\.nbf"),
        ({"nbf": -1e308}, "nbf is not a number of seconds"),
        ({"iat": {}}, r"\$\.iat"),
        ({"iat": 1e308}, "iat is not a number of seconds"),
        ({"jti": 7}, r"\$\.jti"),
        ({"sub": 7}, r"\$\.sub"),
        ({"sub": ""}, r"\$\.sub"),
        ({"sub": "x" * 256}, r"\$\.sub"),
        ({"aud": 7}, r"\$\.aud"),
        ({"aud": ["rooms", 7]}, r"\$\.aud"),
        ({"role": "admin"}, r"\$\.role"),
        ({"role": "Moderator"}, r"\$\.role"),
        ({"role": ["moderator"]}, r"\$\.role"),
        ({"room": ["blue"]}, r"\$\.room"),
        ({"room": ""}, "no name or pattern"),
        ({"room": "a b"}, "no name or pattern"),
        ({"room": "[a-z]"}, "no name or pattern"),
        ({"room": "x" * 65}, "no name or pattern"),
        ({"name": 7}, r"\$\.name"),
        ({"name": " "}, "cannot be the name of a person"),
        ({"name": "x" * 65}, "cannot be the name of a person"),
        ({"name": "a\u202eb"}, "cannot be the name of a person"),
    ],
)
def test_a_claim_of_a_wrong_kind_is_named(claims: dict[str, Any], words: str) -> None:
    with pytest.raises(TokenInvalid, match=words):
        verify(token(**claims), KEYS, RULES, NOW)


@pytest.mark.parametrize("claims", [b'{"exp":NaN,"room":"a"}', b'{"exp":Infinity,"room":"a"}', b'{"exp":1e999}'])
def test_a_number_that_is_none_is_refused(claims: bytes) -> None:
    with pytest.raises(TokenInvalid, match="claims are"):
        verify(by_hand(HS256, claims), KEYS, RULES, NOW)


def test_deep_claims_are_read_or_refused_but_never_end_the_program() -> None:
    deep = b'{"exp":%d,"room":"a","x":%s%s}' % (NOW + 60, b"[" * 2500, b"]" * 2500)
    verify(by_hand(HS256, deep), KEYS, RULES, NOW)
    unclosed = b'{"room":' * 700_000
    with pytest.raises(TokenInvalid):
        verify(by_hand(HS256, unclosed), KEYS, TokenRules(max_length=10_000_000), NOW)


@given(st.one_of(st.text(), st.lists(st.text("aZ09-_=. \n{}\"'é"), min_size=3, max_size=3).map(".".join)))
def test_no_text_is_a_token_by_chance(text: str) -> None:
    with pytest.raises(TokenInvalid):
        verify(text, [*KEYS, private("ES256"), private("EdDSA")], RULES, NOW)


@given(st.binary(max_size=200), st.sampled_from(ALGORITHMS))
def test_no_bytes_are_a_signature_by_chance(signature: bytes, algorithm: str) -> None:
    key = private(algorithm)
    signed = sign(key, CLAIMS).rpartition(".")[0]
    with pytest.raises(TokenInvalid):
        verify(f"{signed}.{b64(signature)}", [key], RULES, NOW)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from([*CLAIMS, "nbf", "iat", "aud", "jti"]), JSON))
def test_whatever_the_claims_are_they_grant_something_or_are_refused(claims: dict[str, object]) -> None:
    for text in (by_hand(HS256, claims), by_hand(HS256, {**CLAIMS, **claims})):
        try:
            grant = verify(text, KEYS, RULES, NOW)
        except TokenInvalid:
            continue
        assert grant.expires > NOW - RULES.leeway
