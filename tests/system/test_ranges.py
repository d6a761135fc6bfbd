"""Given any settings, when a value is out of its range, then it is refused by name, whoever gives it."""

from __future__ import annotations

import dataclasses
import math
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, get_type_hints

import pytest

from roomfsm.access.settings import AccessSettings
from roomfsm.door.settings import DoorSettings
from roomfsm.files.settings import FileSettings
from roomfsm.kurento.settings import KurentoSettings
from roomfsm.media_server_child import ChildSettings
from roomfsm.mediaserver.base.settings import EngineSettings
from roomfsm.mediaserver.kurento.limits import Limits
from roomfsm.mediaserver.program import MediaServerSettings
from roomfsm.nodes.settings import BusSettings, NodeSettings
from roomfsm.protocol.server import IceServer
from roomfsm.ranges import kinds, split
from roomfsm.rooms.settings import RoomSettings
from roomfsm.settings import ServerSettings, Settings, SettingsError, all_settings, load
from roomfsm.signaling.settings import SignalingSettings
from roomfsm.store.settings import StoreSettings
from roomfsm.supervise import Patience
from roomfsm.web.settings import WebSettings
from roomfsm.webhooks.settings import WebhookSettings

CLASSES: list[type[Any]] = [
    AccessSettings,
    BusSettings,
    ChildSettings,
    DoorSettings,
    EngineSettings,
    FileSettings,
    KurentoSettings,
    Limits,
    MediaServerSettings,
    NodeSettings,
    Patience,
    RoomSettings,
    ServerSettings,
    SignalingSettings,
    StoreSettings,
    WebSettings,
    WebhookSettings,
]
PARTS = set(get_type_hints(Settings).values())
SOURCES = Path(__file__).parents[2] / "roomfsm"
NUMBERS = [
    pytest.param(kind, name, id=f"{kind.__name__}.{name}")
    for kind in CLASSES
    for name, hint in get_type_hints(kind).items()
    if hint in (int, float)
]


def edges(settings: type[Any], name: str) -> tuple[list[float], list[float]]:
    """The values of a number at the ends of its range, and those just beyond them."""
    kind, bounds = split(kinds(settings)[name])  # type: ignore[arg-type]
    assert bounds is not None, "no range"
    inside, outside = [], []
    for closed, opened, out in ((bounds.ge, bounds.gt, -math.inf), (bounds.le, bounds.lt, math.inf)):
        end = opened if closed is None else closed
        assert end is not None, "no end"
        beyond: float = math.nextafter(end, out) if kind is float else end + math.copysign(1, out)
        last = end if closed is not None else math.nextafter(end, -out)
        inside.append(kind(last))
        outside.append(kind(end if closed is None else beyond))
    return inside, outside


def test_every_class_of_settings_is_known_here() -> None:
    found = {
        name
        for file in SOURCES.rglob("*.py")
        for name in re.findall(r"^class (\w*(?:Settings|Limits|Patience))\b", file.read_text(), re.MULTILINE)
    }
    # The parts of one object, a message of the protocol, and the arguments of a request.
    assert found - {"Settings", "BandwidthLimits"} == {kind.__name__ for kind in CLASSES}


@pytest.mark.parametrize(("settings", "name"), NUMBERS)
def test_a_number_is_accepted_up_to_the_ends_of_its_range_and_refused_beyond(
    settings: type[Any], name: str
) -> None:
    inside, outside = edges(settings, name)
    for value in inside:
        assert getattr(settings(**{name: value}), name) == value
    for wrong in (*outside, -1e300, -1, math.nan, math.inf, 10**30, True, "1", None):
        with pytest.raises(SettingsError, match=rf"^{name} "):
            settings(**{name: wrong})
        with pytest.raises(SettingsError, match=rf"^{name} "):
            dataclasses.replace(settings(), **{name: wrong})


@pytest.mark.parametrize("setting", [s for s in all_settings() if isinstance(s.default, int | float)], ids=str)
def test_a_number_of_the_command_line_or_the_environment_is_refused_with_its_place(setting: Any) -> None:
    if isinstance(setting.default, bool):
        return
    (part,) = (kind for kind in CLASSES if kind in PARTS and setting.name in get_type_hints(kind))
    inside, outside = edges(part, setting.name)
    alone = {"turn_ttl": {"turn_uri": ("turn:a",), "turn_secret": "s"}}.get(setting.name, {})
    for value in inside:
        assert getattr(getattr(load({setting.name: str(value), **alone}, {}), setting.part), setting.name) == value
    for wrong in (*outside, "nan", "inf", "-inf", "-1", "1e30"):
        with pytest.raises(SettingsError, match=rf"^{setting.flag}:? "):
            load({setting.name: str(wrong)}, {})
        with pytest.raises(SettingsError, match=rf"^{setting.variable}:? "):
            load({}, {setting.variable: str(wrong)})


@pytest.mark.parametrize(
    ("settings", "wrong", "said"),
    [
        (ServerSettings, {"port": 70000}, "port is at most 65535, not 70000"),
        (ServerSettings, {"port": "8080"}, "port must be a whole number, not '8080'"),
        (ServerSettings, {"host": "0.0.0.0"}, "host must be a tuple of text, not '0.0.0.0'"),
        (ServerSettings, {"host": ()}, "--host: there is no address to listen on"),
        (ServerSettings, {"certfile": "cert.pem"}, "HTTPS needs both"),
        (ServerSettings, {"media_host": "localhost"}, "--media-host: 'localhost' is not an IP address"),
        (ServerSettings, {"media_port": 65535, "media_workers": 2}, "--media-port: each of the 2"),
        (ServerSettings, {"media_tcp_port": 65535, "media_workers": 2}, "--media-tcp-port: 65535 leaves too few"),
        (
            ServerSettings,
            {"media_tcp_port": 443, "announced_tcp_port": 65535, "media_workers": 2},
            "--announced-tcp-port: 65535 leaves too few",
        ),
        (ServerSettings, {"port": 443, "media_tcp_port": 443}, "--media-tcp-port: the page has TCP port 443"),
        (ServerSettings, {"announced_address": ("a:65535",), "media_workers": 2}, "--announced-address: a:65535"),
        (ServerSettings, {"announced_address": ("10.0.0",)}, "--announced-address: 10.0.0 is not like"),
        (ServerSettings, {"kurento": ("http://h/kurento",)}, "--kurento: not a ws://"),
        (
            ServerSettings,
            {"kurento": ("ws://a:1", "ws://a:2"), "max_media_servers": 1},
            "--kurento: there are more",
        ),
        (ServerSettings, {"kurento_secret": "x" * 15}, "--kurento-secret: a secret has at least 16"),
        (ServerSettings, {"log_level": "loud"}, "--log-level"),
        (ServerSettings, {"log_format": "xml"}, "--log-format"),
        (DoorSettings, {"allow_origin": ("h",)}, "--allow-origin: h is neither"),
        (DoorSettings, {"host_name": ("http://h",)}, "--host-name"),
        (DoorSettings, {"frame_ancestors": ("h",)}, "--frame-ancestors"),
        (DoorSettings, {"path_prefix": "rooms"}, "--path-prefix"),
        (DoorSettings, {"trusted_proxy": ("10.0.0.0/33",)}, "--trusted-proxy"),
        (SignalingSettings, {"ice_servers": (IceServer(urls=("http://h",)),)}, "--ice-servers: http://h"),
        (SignalingSettings, {"ice_servers": ("stun:h",)}, "ice_servers must be a tuple of IceServer"),
        (SignalingSettings, {"turn_uri": ("turn:h",)}, "TURN credentials need both"),
        (SignalingSettings, {"turn_uri": ("h",), "turn_secret": "s"}, "--turn-uri: h is not like"),
        (WebSettings, {"inspect_token": "x" * 15}, "--inspect-token: a secret has at least 16"),
        (WebSettings, {"admin_token": "x" * 15}, "--admin-token: a secret has at least 16"),
        (WebhookSettings, {"webhook": ("https://h/",)}, "--webhook: without a --webhook-secret"),
        (WebSettings, {"inspect": 1}, "inspect must be True or False, not 1"),
        (MediaServerSettings, {"media_port": 65535, "workers": 2}, "--media-port: each of the 2 --workers"),
        (MediaServerSettings, {"media_tcp_port": 65535, "workers": 2}, "--media-tcp-port: 65535 leaves too few"),
        (MediaServerSettings, {"announced_tcp_port": 65535, "workers": 2}, "--announced-tcp-port: 65535 leaves"),
        (MediaServerSettings, {"announced_addresses": ("a:65535",), "workers": 2}, "--announced-address: a:65535"),
        (MediaServerSettings, {"host_names": ("http://h",)}, "--host-name: not a host name: 'http://h'"),
        (MediaServerSettings, {"secret": "x" * 15}, "the secret cannot be used: a secret has at least 16"),
        (EngineSettings, {"nack_ring": 1000}, "nack_ring must be a power of two, not 1000"),
    ],
)
def test_other_values_that_cannot_be_used_are_refused_as_well(
    settings: type[Any], wrong: dict[str, Any], said: str
) -> None:
    with pytest.raises(SettingsError) as refused:
        settings(**wrong)
    assert str(refused.value).startswith(said)


def test_page_and_media_may_have_the_same_tcp_port_at_two_addresses() -> None:
    ServerSettings(host=("192.0.2.1",), media_host="192.0.2.2", port=443, media_tcp_port=443)
    for host, media_host in (("192.0.2.1", "::"), ("0.0.0.0", "192.0.2.2"), ("::1", "::1")):
        with pytest.raises(SettingsError):
            ServerSettings(host=(host,), media_host=media_host, port=443, media_tcp_port=443)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ("--port 65536", "--port"),
        ("--media-port 65535 --workers 2", "--media-port"),
        ("--media-tcp-port 65535 --workers 2", "--media-tcp-port"),
        ("--workers 65", "--workers"),
        ("--announced-address a:65535 --workers 2", "--announced-address"),
        ("--collector-period nan", "collector"),
        ("--collector-period inf", "--collector-period"),
        ("--max-sessions 0", "--max-sessions"),
        ("--max-objects 1000000001", "--max-objects"),
        ("--host-name http://h", "--host-name"),
    ],
)
def test_the_media_server_refuses_an_option_that_is_out_of_its_range(options: str, named: str) -> None:
    command = [sys.executable, "-m", "roomfsm", "mediaserver", *options.split()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 2
    assert named in done.stderr
    assert "Traceback" not in done.stderr
