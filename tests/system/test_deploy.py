"""The files for production do what docs/deploy.md says, and show the same as it does."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from roomfsm.settings import all_settings, load

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "docs" / "deploy"
COMPOSE = ROOT / "compose.production.yml"
UNIT = ROOT / "docs" / "roomfsm.service"
ENOUGH = {"ROOMS_HOST": "rooms.example.org", "PUBLIC_ADDRESS": "203.0.113.7", "TURN_SECRET": "north wind"}


def tool(name: str, package: str) -> str:
    program = shutil.which(name)
    if program is None:
        if os.environ.get("CI") == "true":
            pytest.fail(f"no {name}: apt-get install {package}")
        pytest.skip(f"no {name}: apt-get install {package}")
    return program


def compose(**environment: str) -> subprocess.CompletedProcess[str]:
    """`docker-compose config`, which fills in the environment. Newer ones leave out what no profile asks for."""
    return subprocess.run(
        [tool("docker-compose", "docker-compose"), "-f", str(COMPOSE), "config"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={"PATH": os.environ["PATH"], "COMPOSE_PROFILES": "kurento", **environment},
    )


@pytest.mark.parametrize(
    ("language", "file"),
    [("nginx", "nginx.conf"), ("haproxy", "haproxy.cfg"), ("caddyfile", "Caddyfile"), ("ini", "turnserver.conf")],
)
def test_the_document_shows_the_files_that_the_tests_run(language: str, file: str) -> None:
    document = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
    (shown,) = re.findall(rf"```{language}\n(.*?)```", document, re.DOTALL)
    assert shown == (DEPLOY / file).read_text(encoding="utf-8")


def test_compose_for_production_fits_together() -> None:
    done = compose(**ENOUGH)
    assert done.returncode == 0, done.stderr
    services = yaml.safe_load(done.stdout)["services"]
    assert set(services) == {"caddy", "coturn", "roomfsm", "kurento"}
    assert services["kurento"]["profiles"] == ["kurento"], "it starts only if it is asked for"
    room_server = services["roomfsm"]["environment"]
    assert {name for name in room_server if name.startswith("ROOMFSM_")} <= {
        one.variable for one in all_settings()
    }
    # The room server takes these settings, and whoever reaches it is a proxy on the same machine.
    settings = load({}, {name: value for name, value in room_server.items() if value})
    assert settings.server.host == ("127.0.0.1",)
    assert settings.door.trusted_proxy == ("127.0.0.1",)
    assert settings.door.host_name == (services["caddy"]["environment"]["ROOMS_HOST"],)
    assert str(settings.server.port) == str(services["caddy"]["environment"]["ROOMFSM_PORT"])
    assert len(settings.signaling.turn_uri) == 2
    assert settings.server.kurento == ()
    grace = services["roomfsm"]["stop_grace_period"]
    minutes, seconds = re.fullmatch(r"(?:(\d+)m)?(?:(\d+)s)?", grace).groups()  # type: ignore[union-attr]
    assert 60 * int(minutes or 0) + int(seconds or 0) >= settings.server.drain + 10 > 10
    # Media servers and TURN servers share no ports.
    relays = {line for line in services["coturn"]["command"] if line.startswith("--min-port")}
    assert relays == {"--min-port=50000"}
    assert int(services["kurento"]["environment"]["KMS_MAX_PORT"]) < 50_000
    for missing in ENOUGH:
        refused = compose(**{name: value for name, value in ENOUGH.items() if name != missing})
        assert refused.returncode != 0
        assert missing in refused.stderr


def test_coturn_has_the_same_options_with_and_without_docker() -> None:
    lines = (DEPLOY / "turnserver.conf").read_text(encoding="utf-8").splitlines()
    recipe = {line for line in lines if line and not line.startswith("#")}
    services = yaml.safe_load(compose(**ENOUGH).stdout)["services"]
    used = {option.removeprefix("--") for option in services["coturn"]["command"]}
    assert used - recipe == {"static-auth-secret=north wind", "external-ip=203.0.113.7", "log-file=stdout"}
    assert recipe - used == {"static-auth-secret=REPLACE-ME"}


def test_the_systemd_unit_is_well_formed_and_hardened(tmp_path: Path) -> None:
    analyze = tool("systemd-analyze", "systemd")
    # It is told what systemd on this machine can check without running: the unit, with a program that is there.
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text(encoding="utf-8").replace("/opt/roomfsm/bin/roomfsm", "/bin/true"))
    verified = subprocess.run(
        [analyze, "verify", "--man=no", str(unit)], capture_output=True, text=True, check=False, timeout=60
    )
    assert UNIT.name not in verified.stderr, verified.stderr
    judged = subprocess.run(
        [analyze, "security", "--offline=true", "--no-pager", "--threshold=20", str(unit)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert judged.returncode == 0, judged.stdout[-300:] + judged.stderr
    assert "Overall exposure level" in judged.stdout


def test_the_systemd_unit_waits_for_longer_than_its_settings_drain() -> None:
    document = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
    drain = re.search(r"^drain = (\d+)$", document, re.MULTILINE)
    stop = re.search(r"^TimeoutStopSec=(\d+)$", UNIT.read_text(encoding="utf-8"), re.MULTILINE)
    assert drain is not None
    assert stop is not None
    assert int(stop[1]) >= int(drain[1]) + 10
