"""Given the settings, the program prints every address at which it can be reached."""

from __future__ import annotations

from pathlib import Path

import pytest

from roomfsm.addresses import addresses_to_open
from roomfsm.settings import SettingsError, load


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ({}, ["http://localhost:8080/"]),
        ({"host": ("127.0.0.1", "::1")}, ["http://localhost:8080/"]),
        ({"host": ("192.0.2.7", "::1")}, ["http://localhost:8080/", "http://192.0.2.7:8080/"]),
        ({"host": ("2001:db8::7",)}, ["http://[2001:db8::7]:8080/"]),
        ({"host": ("rooms.lan",), "path_prefix": "/rooms"}, ["http://rooms.lan:8080/rooms/"]),
    ],
)
def test_each_address_is_printed_once_with_this_machines_first(
    flags: dict[str, object], expected: list[str]
) -> None:
    assert addresses_to_open(load(flags, {}), 8080) == expected


def test_every_interface_is_named() -> None:
    first, *others = addresses_to_open(load({"host": ("::", "0.0.0.0")}, {}), 80)
    assert first == "http://localhost:80/"
    assert len(set(others)) == len(others)
    assert not any(wrong in address for address in others for wrong in ("0.0.0.0", "[::]", "127.0.0.1", "fe80"))


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        *(({"host_name": (name,)}, "--host-name") for name in ("http://a", "a:80", "10.0.0.1", "a b", "")),
        *(
            ({"path_prefix": path}, "--path-prefix")
            for path in ("rooms", "/", "/rooms/", "//a", "/a//b", "/..", "/a?")
        ),
        *(
            ({"frame_ancestors": (origin,)}, "--frame-ancestors")
            for origin in (
                "portal.example",
                "https://a/b",
                "https://a; script-src *",
                "'self'",
                "https://a b",
                "none",
            )
        ),
        ({"kurento": ("ws://user:password@media:8888/kurento",)}, "--kurento-secret"),
        ({"kurento_secret": "x" * 15}, "--kurento-secret"),
    ],
)
def test_a_wrong_setting_is_named(flags: dict[str, object], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        load(flags, {})


def test_host_names_are_kept_in_the_form_that_browsers_send() -> None:
    assert load({"host_name": ("Bücher.Example.",)}, {}).door.host_name == ("xn--bcher-kva.example",)


def test_a_single_host_may_be_written_as_a_text_in_the_file(tmp_path: Path) -> None:
    file = tmp_path / "roomfsm.toml"
    file.write_text('host = "::1"\n')
    assert load({}, {}, file).server.host == ("::1",)
