"""The files for production do what docs/deploy.md says, and show the same as it does."""

from __future__ import annotations

import ipaddress
import os
import re
import shutil
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import pytest
import trio
import yaml

from roomfsm.access.keys import read_keys
from roomfsm.access.passwords import hash_password
from roomfsm.access.tokens import TokenRules, verify
from roomfsm.alike import differences, fingerprint
from roomfsm.check.access import check_policies
from roomfsm.settings import all_settings, load
from tests.conftest import make_certificate
from tests.processes import LOADED

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "docs" / "deploy"
COMPOSE = ROOT / "compose.production.yml"
COMPOSE_NODES = ROOT / "compose.nodes.yml"
UNIT = ROOT / "docs" / "roomfsm.service"
SOCKET_UNIT = ROOT / "docs" / "roomfsm.socket"
ENOUGH = {"ROOMS_HOST": "rooms.example.org", "PUBLIC_ADDRESS": "203.0.113.7", "TURN_SECRET": "north wind"}
ENOUGH_FOR_NODES = {
    **ENOUGH,
    "INSPECT_TOKEN": "the-right-token-of-all",
    "CERTIFICATE": "/etc/ssl/rooms.pem",
    "ADMIN_TOKEN": "an-administrators-token",
}


def tool(name: str, package: str) -> str:
    program = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        if os.environ.get("CI") == "true":
            pytest.fail(f"no {name}: apt-get install {package}")
        pytest.skip(f"no {name}: apt-get install {package}")
    return program


def compose(file: Path = COMPOSE, /, **environment: str) -> subprocess.CompletedProcess[str]:
    """`docker-compose config`, which fills in the environment. Newer ones leave out what no profile asks for."""
    return subprocess.run(
        [tool("docker-compose", "docker-compose"), "-f", str(file), "config"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={"PATH": os.environ["PATH"], "COMPOSE_PROFILES": "kurento", **environment},
    )


def shown(language: str) -> str:
    """The one block of docs/deploy.md that begins with that line."""
    document = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
    (block,) = re.findall(rf"```{language}\n(.*?)```", document, re.DOTALL)
    return str(block)


@pytest.mark.parametrize(
    ("language", "file"),
    [
        ("nginx", "nginx.conf"),
        ("nginx private", "nginx-private.conf"),
        ("haproxy", "haproxy.cfg"),
        ("haproxy media", "haproxy-media.cfg"),
        ("caddyfile", "Caddyfile"),
        ("caddyfile private", "Caddyfile-private"),
        ("ini", "turnserver.conf"),
        ("toml", "roomfsm.toml"),
    ],
)
def test_the_document_shows_the_files_that_the_tests_run(language: str, file: str) -> None:
    assert shown(language) == (DEPLOY / file).read_text(encoding="utf-8")


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


def test_compose_for_nodes_fits_together() -> None:
    done = compose(COMPOSE_NODES, **ENOUGH_FOR_NODES)
    assert done.returncode == 0, done.stderr
    services = yaml.safe_load(done.stdout)["services"]
    names = set(services) - {"nginx", "redis", "coturn"}
    assert names == {"one", "two", "three"}
    environments = {name: services[name]["environment"] for name in names}
    nodes = {
        name: load({}, {key: str(value) for key, value in given.items() if value})
        for name, given in environments.items()
    }
    for name, settings in nodes.items():
        assert settings.nodes.node == name
        assert settings.store.store == "redis://127.0.0.1:6379"
        assert settings.door.trusted_proxy == ("127.0.0.1",)
        # Nothing that all nodes must have alike differs.
        assert {tuple(differences(settings, fingerprint(other))) for other in nodes.values()} == {()}
        assert int(services[name]["stop_grace_period"].removesuffix("s")) >= settings.server.drain + 10
    media = sorted(settings.server.media_port for settings in nodes.values())
    assert all(b - a > 1 for a, b in pairwise(media)), "workers need the ports that follow"
    # Whatever the proxy names is a node, and each node is named.
    recipe = (DEPLOY / "nginx-nodes.conf.template").read_text(encoding="utf-8")
    named = {int(port) for port in re.findall(r"server 127\.0\.0\.1:(\d+);", recipe)}
    assert named == {settings.server.port for settings in nodes.values()}
    # What Redis is told is what `roomfsm check` asks for.
    redis = " ".join(services["redis"]["command"])
    assert "--appendonly yes" in redis
    assert "--maxmemory-policy noeviction" in redis
    assert "--bind 127.0.0.1" in redis
    for missing in ENOUGH_FOR_NODES.keys() - {"ADMIN_TOKEN"}:
        given = {name: value for name, value in ENOUGH_FOR_NODES.items() if name != missing}
        refused = compose(COMPOSE_NODES, **given)
        assert refused.returncode != 0
        assert missing in refused.stderr


def test_the_proxy_for_nodes_is_the_one_that_is_tested() -> None:
    """`tests/conformance/on_nodes.py` runs nginx.conf with a line for each node."""
    recipe = (DEPLOY / "nginx.conf").read_text(encoding="utf-8")
    of_nodes = (DEPLOY / "nginx-nodes.conf.template").read_text(encoding="utf-8")
    one = re.compile(r"    # [^\n]*\n(?:    server 127\.0\.0\.1:\d+;\n)+")
    assert one.sub("SERVERS", of_nodes.replace("${ROOMS_HOST}", "rooms.example.org")) == one.sub("SERVERS", recipe)


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
    socket_unit = tmp_path / SOCKET_UNIT.name
    socket_unit.write_text(SOCKET_UNIT.read_text(encoding="utf-8"))
    verified = subprocess.run(
        [analyze, "verify", "--man=no", str(unit), str(socket_unit)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert "roomfsm" not in verified.stderr, verified.stderr
    judged = subprocess.run(
        [analyze, "security", "--offline=true", "--no-pager", "--threshold=20", str(unit)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert judged.returncode == 0, judged.stdout[-300:] + judged.stderr
    assert "Overall exposure level" in judged.stdout


def test_the_systemd_unit_lets_a_server_see_the_media_server_of_the_run_before() -> None:
    lines = UNIT.read_text(encoding="utf-8").splitlines()
    assert "KillMode=process" in lines
    assert not {"PrivateUsers=yes", "ProtectProc=invisible"} <= set(lines), "hidepid hides other user namespaces"


def test_the_systemd_unit_waits_for_longer_than_its_settings_drain() -> None:
    document = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
    drain = re.search(r"^drain = (\d+)$", document, re.MULTILINE)
    stop = re.search(r"^TimeoutStopSec=(\d+)$", UNIT.read_text(encoding="utf-8"), re.MULTILINE)
    assert drain is not None
    assert stop is not None
    assert int(stop[1]) > int(drain[1]) + 10
    (grace,) = re.findall(r"terminationGracePeriodSeconds: (\d+)", document)
    assert int(grace) > int(drain[1]) + 10


def operator(script: str, home: Path, **replaced: str) -> str:
    """What a script of the document prints, with its folders below `home` and our program in the place of /opt."""
    changes = {
        "/opt/roomfsm/bin/roomfsm": f"{sys.executable} -m roomfsm",
        "/etc/roomfsm": str(home / "roomfsm"),
        "/etc/systemd/system": str(home),
        "systemctl": ": systemctl",
        **replaced,
    }
    for written, meant in changes.items():
        script = script.replace(written, meant)
    done = subprocess.run(["sh", "-ec", script], capture_output=True, text=True, check=False, timeout=LOADED)
    assert done.returncode == 0, (script, done.stdout, done.stderr)
    return done.stdout


def test_an_operator_writes_secrets_checks_the_settings_and_makes_links(tmp_path: Path) -> None:
    operator(shown("sh secrets"), tmp_path)
    folder = tmp_path / "roomfsm"
    secrets = {file.name for file in folder.iterdir()}
    assert all(file.stat().st_mode & 0o077 == 0 for file in folder.iterdir())
    # The unit gives itself each secret that the settings name, once its lines are enabled.
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text(encoding="utf-8"))
    operator(shown("sh enable"), tmp_path)
    enabled = re.findall(r"^LoadCredential=(.*):/etc/roomfsm/(.*)$", unit.read_text(), re.MULTILINE)
    recipe = (DEPLOY / "roomfsm.toml").read_text(encoding="utf-8")
    named = re.findall(r"file:/run/credentials/roomfsm\.service/([\w-]+)", recipe)
    assert {name for name, _ in enabled} == {file for _, file in enabled} == set(named) == secrets
    config = folder / "roomfsm.toml"
    # Nothing of these is on this machine, and other tests use the ports.
    config.write_text(
        "port = 0\n" + re.sub(r"(?m)^(media_port|announced_address|turn_\w+|webhook) = .*$", "", recipe)
    )
    # The check is made on a machine without the unit's credentials; a developer's own service has them.
    if Path("/run/credentials/roomfsm.service").exists():
        pytest.skip("a real unit runs here")
    outside = subprocess.run(
        [sys.executable, "-m", "roomfsm", "check", f"--config={config}"],
        capture_output=True,
        text=True,
        check=False,
        timeout=LOADED,
    )
    assert outside.returncode == 1
    assert "only inside the unit of systemd; docs/deploy.md" in outside.stdout
    if not may_mount():
        pytest.skip("mount namespaces need root")
    told = operator(shown("sh check"), tmp_path)
    assert re.search(r"^ok +settings", told)
    assert re.search(r"^ok +policies +each of the 3 can apply", told, re.MULTILINE), told
    assert not Path("/run/credentials/roomfsm.service").exists()
    token, token_of_pupil, link = operator(shown("sh token"), tmp_path).splitlines()
    assert link == f"https://rooms.example.org/r/class-7b#token={token_of_pupil}"
    keys = read_keys((folder / "token-key").read_text())
    grants = [verify(one, keys, TokenRules(()), time.time()) for one in (token, token_of_pupil)]
    assert [(grant.role, grant.name) for grant in grants] == [("moderator", "Ms Lovelace"), ("presenter", None)]


def may_mount() -> bool:
    done = subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False, timeout=LOADED)
    return done.returncode == 0


def test_the_settings_of_a_school_are_all_right(tmp_path: Path) -> None:
    text = (DEPLOY / "roomfsm.toml").read_text(encoding="utf-8")
    secrets = {"webhook-secret": f"whsec_{'QUJD' * 8}"}
    for name in re.findall(r"/run/credentials/roomfsm\.service/([\w-]+)", text):
        (tmp_path / name).write_text(secrets.get(name, "a-secret-of-at-least-thirty-two-bytes"))
    file = tmp_path / "roomfsm.toml"
    # A room with a password, too, as the comment in it says.
    hashed = hash_password("open sesame")
    lines = text.replace("$argon2id$…", hashed)
    lines = re.sub(r"(?m)^#(?=\[|\w)", "", lines)
    file.write_text(lines.replace("/run/credentials/roomfsm.service", str(tmp_path)))
    settings = load({}, {}, file)
    assert [pattern for pattern, _ in settings.policies] == ["class-*", "assembly", "parents-*", "*"]
    (finding,) = trio.run(check_policies, settings)
    assert finding.outcome == "ok", finding


def test_the_proxies_take_what_keeps_the_api_private(tmp_path: Path) -> None:
    certificate = tmp_path / "rooms.pem"
    certificate.write_bytes(b"".join(file.read_bytes() for file in make_certificate(tmp_path)))
    recipe = (DEPLOY / "nginx.conf").read_text(encoding="utf-8").replace("/etc/ssl/rooms.pem", str(certificate))
    private = (DEPLOY / "nginx-private.conf").read_text(encoding="utf-8")
    both = recipe.replace("    location / {", f"{private}\n    location / {{")
    assert both != recipe
    (tmp_path / "nginx.conf").write_text(f"pid {tmp_path}/pid; events {{}} http {{ {both} }}")
    nginx = ["nginx", "-t", "-p", str(tmp_path), "-e", str(tmp_path / "log"), "-c", str(tmp_path / "nginx.conf")]
    caddyfile = ["caddy", "validate", "--adapter", "caddyfile", "--config", str(DEPLOY / "Caddyfile-private")]
    for command in (nginx, caddyfile):
        program = tool(command[0], command[0])
        done = subprocess.run(
            [program, *command[1:]],
            capture_output=True,
            text=True,
            check=False,
            timeout=LOADED,
            env={**os.environ, "HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path)},
        )
        assert done.returncode == 0, done.stderr


PRIVATE = ["::1", "::ffff:10.0.0.1", "64:ff9b::a00:1", "fc00::1", "fdff::1", "fe80::1", "10.1.2.3", "127.0.0.1"]


@pytest.mark.parametrize("address", PRIVATE)
def test_coturn_relays_to_no_private_network_of_either_family(address: str) -> None:
    text = (DEPLOY / "turnserver.conf").read_text(encoding="utf-8")
    ranges = [one.split("-") for one in re.findall(r"^denied-peer-ip=(.*)$", text, re.MULTILINE)]
    peer = ipaddress.ip_address(address)
    denied = [tuple(map(ipaddress.ip_address, one)) for one in ranges]
    assert any(first.version == peer.version and int(first) <= int(peer) <= int(last) for first, last in denied)
