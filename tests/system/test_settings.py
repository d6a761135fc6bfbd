"""Given a file, an environment and flags, the last of them wins, and the documentation is up to date."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from roomfsm.protocol.server import IceServer
from roomfsm.settings import Settings, SettingsError, all_settings, load, markdown_table

ROOT = Path(__file__).parents[2]


def test_without_arguments_the_defaults_hold() -> None:
    assert load({}, {}) == Settings()


def test_a_flag_beats_the_environment_beats_the_file(tmp_path: Path) -> None:
    file = tmp_path / "roomfsm.toml"
    file.write_text('port = 1\nlinger = 2\nmax_people = 3\nkurento = ["ws://a:1/kurento"]\n')
    settings = load({"port": "11"}, {"ROOMFSM_PORT": "10", "ROOMFSM_LINGER": "9.5"}, file)
    assert (settings.server.port, settings.rooms.linger, settings.rooms.max_people) == (11, 9.5, 3)
    assert settings.server.kurento == ("ws://a:1/kurento",)


@pytest.mark.parametrize(("text", "value"), [("true", True), ("false", False), ("1", True), ("0", False)])
def test_a_switch_is_true_or_false(text: str, value: bool) -> None:
    assert load({"journal_bodies": text}, {}).rooms.journal_bodies is value
    with pytest.raises(SettingsError, match="true or false"):
        load({"journal_bodies": "perhaps"}, {})


def test_stun_and_turn_servers_can_be_given_in_every_way(tmp_path: Path) -> None:
    turn = IceServer(urls=("turn:t.example:3478",), username="ada", credential="s3cret")
    stun = IceServer(urls=("stun:s.example:3478",))
    as_text = ("stun:s.example:3478", "turn:t.example:3478|ada|s3cret")
    file = tmp_path / "roomfsm.toml"
    file.write_text(
        'ice_servers = ["stun:s.example:3478",'
        ' {urls = ["turn:t.example:3478"], username = "ada", credential = "s3cret"}]'
    )
    for settings in (
        load({"ice_servers": as_text}, {}),
        load({}, {"ROOMFSM_ICE_SERVERS": ", ".join(as_text)}),
        load({}, {}, file),
    ):
        assert settings.signaling.ice_servers == (stun, turn)


@pytest.mark.parametrize("text", ["colour = 1", "port = 'x'", "port = [", "port = -1", "kurento = 7"])
def test_a_bad_file_is_refused_and_named(tmp_path: Path, text: str) -> None:
    file = tmp_path / "roomfsm.toml"
    file.write_text(text)
    with pytest.raises(SettingsError, match=r"roomfsm\.toml"):
        load({}, {}, file)


LISTS = {
    "host": "127.0.0.2",
    "kurento": "ws://a:1/kurento",
    "announced_address": "203.0.113.7",
    "host_name": "rooms.example.org",
    "trusted_proxy": "127.0.0.1",
    "allow_origin": "https://rooms.example.org",
    "frame_ancestors": "https://portal.example.org",
    "turn_uri": "turn:t.example",
    "ice_servers": "stun:s.example:3478",
    "token_key": "a-shared-secret-of-at-least-32-bytes",
    "token_audience": "us",
    "webhook": "https://app.example.org/hooks",
    "webhook_secret": f"whsec_{'QUJD' * 8}",
}
"""A value of each setting that takes several, and what it needs besides."""
NEEDS: dict[str, tuple[str, str]] = {
    "turn_uri": ("turn_secret", "north wind"),
    "webhook": ("webhook_secret", LISTS["webhook_secret"]),
}


@pytest.mark.parametrize("name", [setting.name for setting in all_settings() if setting.repeatable])
def test_one_value_needs_no_list(tmp_path: Path, name: str) -> None:
    file = tmp_path / "roomfsm.toml"
    needed = f'{NEEDS[name][0]} = "{NEEDS[name][1]}"' if name in NEEDS else ""
    file.write_text(f'{name} = "{LISTS[name]}"\n{needed}')
    alone = load({}, {}, file)
    file.write_text(f'{name} = ["{LISTS[name]}"]\n{needed}')
    assert alone == load({}, {}, file)
    assert alone != Settings()


def test_one_secret_is_read_from_its_file(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(f"{LISTS['token_key']}\n")
    file = tmp_path / "roomfsm.toml"
    file.write_text(f'token_key = "file:{tmp_path}/key"')
    assert load({}, {}, file).access.token_key == (LISTS["token_key"],)
    file.write_text('ice_servers = {urls = ["stun:s.example:3478"]}')
    assert load({}, {}, file).signaling.ice_servers == (IceServer(urls=("stun:s.example:3478",)),)


def test_a_trusted_proxy_is_an_address_or_a_network() -> None:
    given = ("10.0.0.0/8", "2001:db8::/32", "127.0.0.1")
    assert load({"trusted_proxy": given}, {}).door.trusted_proxy == given
    for wrong in ("proxy.example", "10.0.0.0/33", ""):
        with pytest.raises(SettingsError, match="--trusted-proxy"):
            load({"trusted_proxy": (wrong,)}, {})


def test_every_setting_has_a_name_of_its_own_and_a_help_text() -> None:
    names = [setting.name for setting in all_settings()]
    assert len(set(names)) == len(names)
    assert all(setting.help for setting in all_settings())


def test_the_documentation_shows_the_settings_as_they_are() -> None:
    """If this fails, run `uv run roomfsm settings` and put its table into docs/settings.md."""
    assert markdown_table() in (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"port": "70000"}, "--port is at most 65535, not 70000"),
        ({"media_port": "70000"}, "--media-port is at most 65535, not 70000"),
        ({"media_workers": "400"}, "--media-workers is at most 64, not 400"),
        (
            {"media_port": "65534", "media_workers": "3"},
            "--media-port: each of the 3 --media-workers needs a port, and from 65534 on there are 2",
        ),
        (
            {"kurento": ("ws://host:99999/kurento",)},
            "--kurento: ws://host:99999/kurento: Port out of range",
        ),
        ({"kurento": ("ws://[::1/kurento",)}, "--kurento: ws://[::1/kurento: Invalid IPv6 URL"),
        ({"kurento": ("ws://host:none/kurento",)}, "--kurento: ws://host:none/kurento: Port could not be cast"),
        ({"kurento": ("ws://:8888/kurento",)}, "--kurento: no host in the address: ws://:8888/kurento"),
        ({"kurento": ("ws://host:0/kurento",)}, "--kurento: no port in the address: ws://host:0/kurento"),
        ({"kurento": ("ws://a b/kurento",)}, "--kurento: not a ws:// or wss:// address: ws://a b/kurento"),
        ({"kurento": ("ws://h/kurento\n",)}, "--kurento: not a ws:// or wss:// address"),
        ({"kurento": ("ws://h/kurento#1",)}, "--kurento: not a ws:// or wss:// address"),
        ({"kurento": ("ws://h/k", "ws://h/k")}, "--kurento: the same media server twice: ws://h/k"),
    ],
)
def test_only_the_wrong_setting_is_named_before_anything_is_started(flags: dict[str, object], said: str) -> None:
    with pytest.raises(SettingsError) as refused:
        load(flags, {})
    assert str(refused.value).startswith(said)


@pytest.mark.parametrize(
    ("flags", "fault"),
    [
        ({"data": "/var/lib/rooms", "store": "redis://127.0.0.1"}, "--data and --store"),
        ({"data": ""}, "--data"),
        ({"store": "http://127.0.0.1"}, "redis://HOST"),
        ({"store": "redis://"}, "redis://HOST"),
        ({"store": "redis://h:0"}, "redis://HOST"),
        ({"store": "redis://h:99999"}, "cannot be read"),
        ({"store": "redis://[::1"}, "cannot be read"),
        ({"store": "redis://ada:open-sesame@h/rooms"}, "number of the database"),
    ],
)
def test_a_wrong_place_for_the_rooms_is_refused_without_its_password(flags: dict[str, str], fault: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(fault)) as error:
        load(flags, {})
    assert "open-sesame" not in str(error.value)


@pytest.mark.parametrize("name", ["a", "A.b_c-9", "n" * 64])
def test_a_name_among_servers_that_share_rooms(name: str) -> None:
    assert load({"node": name, "store": "redis://127.0.0.1", "inspect": False}, {}).nodes.node == name


@pytest.mark.parametrize("name", ["", "n" * 65, "ada/1", "a b", "ädä", "ada\n"])
def test_another_name_among_servers_is_refused(name: str) -> None:
    with pytest.raises(SettingsError, match="--node: a name has 1 to 64"):
        load({"node": name, "store": "redis://127.0.0.1"}, {})


@pytest.mark.parametrize("place", [{}, {"data": "/var/lib/rooms"}, {"data": "none"}])
def test_servers_share_rooms_in_a_redis_only(place: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match=r"--node: .* --store"):
        load({"node": "ada", **place}, {})


def test_servers_that_share_rooms_share_the_inspectors_token() -> None:
    """Each would make another one, and the inspector of a room may be asked at any of them."""
    shared = {"node": "ada", "store": "redis://127.0.0.1"}
    with pytest.raises(SettingsError, match=r"--node: .* --inspect-token, .*\(--inspect=false"):
        load(shared, {})
    assert load({**shared, "inspect_token": "the-right-token-of-all"}, {}).web.inspect


NODE = {"node": "ada", "store": "redis://127.0.0.1", "inspect": False}


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("10.0.0.7:8888", ("10.0.0.7", 8888)),
        ("[2001:db8::7]:1", ("2001:db8::7", 1)),
        ("ada.lan:65535", ("ada.lan", 65535)),
    ],
)
def test_an_embedded_media_server_is_shared_at_one_address(address: str, expected: tuple[str, int]) -> None:
    assert load({"share_media_server": address, **NODE}, {}).server.media_server_address == expected
    assert load(NODE, {}).server.media_server_address == ("127.0.0.1", 0)


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"share_media_server": "10.0.0.7"}, "has no port"),
        ({"share_media_server": "10.0.0.7:0"}, "is not like"),
        ({"share_media_server": "10.0.0.7:65536"}, "is not like"),
        ({"share_media_server": "0.0.0.0:8888"}, "is every address"),
        ({"share_media_server": "[::]:8888"}, "is every address"),
        ({"share_media_server": "a b:8888"}, "is not like"),
        ({"share_media_server": "10.0.0.7:8888", "kurento": ("ws://h/kurento",)}, "--kurento names others"),
        ({"share_media_server": "10.0.0.7:8888", "node": None}, "only servers with --node"),
    ],
)
def test_a_media_server_that_cannot_be_shared_is_refused(more: dict[str, Any], why: str) -> None:
    with pytest.raises(SettingsError, match=f"--share-media-server.*{why}"):
        load({name: value for name, value in {**NODE, **more}.items() if value is not None}, {})
