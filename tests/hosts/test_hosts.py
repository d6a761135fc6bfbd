"""Given the server's names, a request for a host is answered only if no foreign DNS name can have led it here."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roomfsm.hosts import answers_to, host_of, host_setting


@pytest.mark.parametrize(
    "authority",
    [
        *(
            "localhost",
            "localhost:8080",
            "LocalHost",
            "localhost.",
            "rooms.localhost:1",
            "127.0.0.1",
            "127.9.9.9:80",
        ),
        *("[::1]", "[::1]:8080", "192.168.1.5:8080", "203.0.113.7", "[2001:db8::5]:443", "[::ffff:127.0.0.1]"),
    ],
)
def test_addresses_and_loopback_names_need_no_setting(authority: str) -> None:
    assert answers_to(authority, ())


@pytest.mark.parametrize(
    "authority",
    [
        *("evil.example", "evil.example:8080", "localhost.evil.example", "notlocalhost", "127.0.0.1.evil.example"),
        *(
            "",
            " ",
            ":8080",
            "[",
            "[]",
            "[::1",
            "::1",
            "[127.0.0.1]",
            "[::1%25eth0]",
            "127.1",
            "0x7f.0.0.1",
            "2130706433",
        ),
        *(
            "a..b",
            ".",
            "-",
            "localhost:port",
            "localhost:123456",
            "user@localhost",
            "localhost/x",
            "localhost?",
            "\xff",
        ),
        *(
            "localhost\\evil.example",
            "127.0.0.1 evil.example",
            "127.0.0.1,evil.example",
            "localhost\x00",
            "a" * 300,
        ),
    ],
)
def test_other_names_and_texts_that_are_no_host_are_refused(authority: str) -> None:
    assert not answers_to(authority, ("rooms.example.org",))


@pytest.mark.parametrize(
    ("name", "authority", "answered"),
    [
        ("rooms.example.org", "rooms.example.org", True),
        ("rooms.example.org", "ROOMS.example.org.:8443", True),
        ("rooms.example.org", "x.rooms.example.org", False),
        ("Rooms.Example.ORG.", "rooms.example.org", True),
        ("bücher.example", "xn--bcher-kva.example", True),
        ("*.example.org", "a.example.org", True),
        ("*.example.org", "a.b.example.org", False),
        ("*.example.org", "example.org", False),
        ("media_1", "media_1:8888", True),
        ("*", "anything.example", True),
        ("*", "no host", False),
    ],
)
def test_a_name_of_ours_is_accepted_in_the_form_that_browsers_send(
    name: str, authority: str, answered: bool
) -> None:
    setting = host_setting(name)
    assert setting is not None
    assert answers_to(authority, (setting,)) is answered


@pytest.mark.parametrize(
    "text", ["", ".", "a b", "http://a", "a:80", "10.0.0.1", "[::1]", "::1", "a..b", "**", "*.", "a" * 64]
)
def test_a_text_that_is_no_name_is_no_valid_setting(text: str) -> None:
    assert host_setting(text) is None


@given(st.text(max_size=80))
def test_no_text_breaks_the_parser(text: str) -> None:
    host = host_of(text)
    assert answers_to(text, ()) is (host is not None and answers_to(f"[{host}]" if ":" in host else host, ()))
    host_setting(text)
