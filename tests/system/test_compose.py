"""kurento.compose.yml can be parsed, does what the README says, and is closed to strangers."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from roomfsm.kurento.link import OLDEST
from roomfsm.settings import all_settings

COMPOSE = Path(__file__).parents[2] / "kurento.compose.yml"


@pytest.fixture(scope="module")
def services() -> Any:
    """The services as they are in the file, without replaced variables."""
    return yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))["services"]


def test_the_compose_file_can_be_parsed() -> None:
    program = shutil.which("docker-compose")
    if program is None:
        if os.environ.get("CI") == "true":
            pytest.fail("no docker-compose: apt-get install docker-compose")
        pytest.skip("no docker-compose")
    done = subprocess.run(
        [program, "-f", str(COMPOSE), "config"], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert "kurento/kurento-media-server:7" in done.stdout
    assert "network_mode: host" in done.stdout
    # Filled in: with nothing set, a STUN port is there, and the media server is not root.
    assert re.search(r"KMS_STUN_PORT: ['\"]?3478", done.stdout)
    assert re.search(r"KMS_UID: ['\"]?10001", done.stdout)


def test_the_compose_file_names_existing_settings() -> None:
    known = {setting.variable for setting in all_settings()}
    text = COMPOSE.read_text(encoding="utf-8")
    named = {line.split(":")[0].strip() for line in text.splitlines() if line.strip().startswith("ROOMFSM_")}
    assert named
    assert named <= known


def test_the_control_port_is_open_to_this_machine_only(services: Any) -> None:
    (mount,) = services["kurento"]["volumes"]
    source, target, mode = mount.split(":")
    assert (target, mode) == ("/etc/kurento/kurento.conf.json", "ro")
    websocket = json.loads((COMPOSE.parent / source).read_text(encoding="utf-8"))["mediaServer"]["net"][
        "websocket"
    ]
    assert websocket["address"] == "127.0.0.1"
    # It is where the room server looks for it.
    url = urlsplit(services["roomfsm"]["environment"]["ROOMFSM_KURENTO"])
    assert (url.hostname, url.port, url.path) == (
        websocket["address"],
        websocket["port"],
        "/" + websocket["path"],
    )
    assert "ports" not in services["kurento"], "host networking publishes nothing, and nothing is to be published"


def test_the_media_server_has_room_for_its_viewers_and_is_not_root(services: Any) -> None:
    kurento = services["kurento"]
    assert kurento["ulimits"]["nofile"] * 0.8 / 16 > 1000, "viewers: 16 files each, up to 80 %"
    assert kurento["ulimits"]["nproc"] * 0.8 / 7 > 1000, "viewers: 7 threads each, up to 80 %"
    assert re.fullmatch(r"\$\{KMS_UID:-[1-9]\d*\}", kurento["environment"]["KMS_UID"])
    for name in ("KMS_NETWORK_INTERFACES", "KMS_EXTERNAL_IPV4", "KMS_STUN_IP", "KMS_TURN_URL"):
        assert kurento["environment"][name] == f"${{{name}:-}}"


def test_the_image_is_new_enough(services: Any) -> None:
    version = re.search(r":-(\d+)\.(\d+)\.(\d+)\}", services["kurento"]["image"])
    assert version is not None
    assert tuple(map(int, version.groups())) >= OLDEST


def checked(services: Any, port: int) -> tuple[bool, float]:
    """Whether the health check finds a media server at the port, and how many seconds that took."""
    kind, command = services["kurento"]["healthcheck"]["test"]
    assert kind == "CMD-SHELL"
    command = command.replace("$$", "$").replace(":8888/", f":{port}/")
    begun = time.monotonic()
    done = subprocess.run(["sh", "-c", command], check=False, timeout=30)
    return done.returncode == 0, time.monotonic() - begun


def test_the_health_check_says_whether_there_is_a_media_server(services: Any, media_server: str) -> None:
    assert checked(services, urlsplit(media_server).port or 0)[0]
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        assert not checked(services, nobody.getsockname()[1])[0]


def test_the_health_check_ends_if_nobody_answers(services: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        healthy, seconds = checked(services, silent.getsockname()[1])
    assert not healthy
    assert seconds < 20
    limit = services["kurento"]["healthcheck"]["timeout"]
    assert int(limit.removesuffix("s")) > 2, "curl's own end comes first"
