"""Given a secret, tests that webhooks are signed as Standard Webhooks says, by its own library for Python."""

from __future__ import annotations

import base64
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook as Verifier
from standardwebhooks import WebhookVerificationError

from roomfsm.ranges import SettingsError
from roomfsm.webhooks.settings import WebhookSettings
from roomfsm.webhooks.signature import secret_of, signed
from tests.webhooks.receiver import OTHER, SECRET


@given(st.dictionaries(st.text(), st.text()))
def test_the_library_of_the_standard_verifies_it(said: dict[str, str]) -> None:
    import json

    body = json.dumps(said).encode()
    headers = dict(signed("msg_1", int(time.time()), body, [secret_of(OTHER), secret_of(SECRET)]))
    # A receiver may know either secret while one replaces the other.
    assert Verifier(SECRET).verify(body, headers) == Verifier(OTHER).verify(body, headers) == said
    for wrong in (body + b" ", b"{}" if said else b"[]"):
        with pytest.raises(WebhookVerificationError):
            Verifier(SECRET).verify(wrong, headers)


def test_the_example_of_the_specification() -> None:
    secret = secret_of("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    headers = dict(signed("msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}', [secret]))
    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


@pytest.mark.parametrize(
    ("secret", "why"),
    [
        ("a-secret-without-the-prefix", "begins with whsec_"),
        ("whsec_!!!!", "is not base64"),
        ("whsec_" + base64.b64encode(b"x" * 23).decode(), "not 23"),
        ("whsec_" + base64.b64encode(b"x" * 65).decode(), "not 65"),
    ],
)
def test_a_secret_that_is_none_is_refused_and_not_repeated(secret: str, why: str) -> None:
    with pytest.raises(SettingsError, match=f"--webhook-secret: .*{why}") as refused:
        WebhookSettings(webhook=("https://h/",), webhook_secret=(secret,))
    assert secret.removeprefix("whsec_") not in str(refused.value)


def test_a_secret_of_the_shortest_and_the_longest_length_is_taken() -> None:
    for length in (24, 64):
        assert secret_of("whsec_" + base64.b64encode(b"x" * length).decode()) == b"x" * length


@pytest.mark.parametrize(
    "url",
    [
        "ftp://h/",
        "h",
        "https://",
        "https://h:0/",
        "https://h:99999/",
        "https://u:p@h/",
        "https://h/#x",
        "https://h/ x",
    ],
)
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(SettingsError, match="--webhook: "):
        WebhookSettings(webhook=(url,), webhook_secret=(SECRET,))


@pytest.mark.parametrize(
    "url",
    [
        "ftp://h/a-secret",
        "https://h:0/a-secret",
        "https://h:99999/a?a-secret",
        "https://a-secret@h",
        "https://u:a-secret/ss@h/x",
        "https://u:pa/a-secret@h/x",
        "https://h:a-secret/",
        "h/a-secret",
    ],
)
def test_what_may_be_a_secret_in_an_address_is_not_in_the_error(url: str) -> None:
    with pytest.raises(SettingsError) as told:
        WebhookSettings(webhook=(url,), webhook_secret=(SECRET,))
    assert "a-secret" not in str(told.value)


def test_webhooks_without_a_secret_are_refused() -> None:
    with pytest.raises(SettingsError, match="without a --webhook-secret"):
        WebhookSettings(webhook=("https://h/",))
    with pytest.raises(SettingsError, match="twice"):
        WebhookSettings(webhook=("https://h/", "https://h/"), webhook_secret=(SECRET,))
