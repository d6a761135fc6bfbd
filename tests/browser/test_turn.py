"""Given a real TURN server (coturn) that shares our secret, our credentials work, and media pass through it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from roomfsm.signaling.ice_servers import time_limited_credentials
from tests.browser.conftest import new_person
from tests.browser.test_broadcast import broadcasts, decodes
from tests.ports import reserved_port
from tests.processes import started
from tests.system.program import running

SECRET = "north wind"
RELAY_ONLY = """
const Native = RTCPeerConnection;
window.RTCPeerConnection = class extends Native {
  constructor(configuration) { super({ ...configuration, iceTransportPolicy: 'relay' }); }
};"""
TYPES = """async () => {
  const types = [];
  for (const [, peer] of window.roomfsm.peerConnections()) {
    const stats = await peer.getStats();
    for (const report of stats.values())
      if (report.type === 'transport' && report.selectedCandidatePairId)
        types.push(stats.get(stats.get(report.selectedCandidatePairId).localCandidateId).candidateType);
  }
  return types;
}"""


def program_of_coturn(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        if os.environ.get("CI") == "true":
            pytest.fail(f"no {name}: apt-get install coturn")
        pytest.skip(f"no {name}: apt-get install coturn")
    return path


@pytest.fixture(scope="module")
def turn_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Run coturn on the loopback, to which it would not relay by default."""
    folder = tmp_path_factory.mktemp("coturn")
    with reserved_port() as port, (folder / "log").open("w") as log:
        command = [
            *(program_of_coturn("turnserver"), "-n", "--use-auth-secret", f"--static-auth-secret={SECRET}"),
            *("--realm=rooms.example", "--listening-ip=127.0.0.1", "--relay-ip=127.0.0.1"),
            *(f"--listening-port={port}", "--allow-loopback-peers", "--no-tls", "--no-dtls", "--no-cli"),
            *("--log-file=stdout", f"--pidfile={folder / 'pid'}", f"--userdb={folder / 'db'}"),
        ]
        with started(command, stdout=log, stderr=log) as process:
            while not answers(port):
                assert process.poll() is None, (folder / "log").read_text()
                time.sleep(0.05)
            yield port


def answers(port: int) -> bool:
    """Whether the server answers a STUN binding request (RFC 8489 section 5)."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(0.5)
        sock.connect(("127.0.0.1", port))
        try:
            sock.send(bytes.fromhex("000100002112a442") + bytes(12))
            return bool(sock.recv(2000))
        except OSError:
            return False


def allocates(port: int, username: str, password: str) -> bool:
    """Whether coturn's own client gets a relay address and its data back through it."""
    command = [program_of_coturn("turnutils_uclient"), "-y", "-c", "-n", "1", "-u", username, "-w", password]
    done = subprocess.run(
        [*command, "-p", str(port), "127.0.0.1"], capture_output=True, text=True, timeout=60, check=False
    )
    return done.returncode == 0 and "Total lost packets 0" in done.stdout + done.stderr


def test_the_turn_server_accepts_our_credential_and_refuses_an_expired_one(turn_port: int) -> None:
    now = int(time.time())
    assert allocates(turn_port, *time_limited_credentials(SECRET, "p4c1f0e2b9a7d3568", now + 600))
    assert not allocates(turn_port, *time_limited_credentials(SECRET, "p4c1f0e2b9a7d3568", now - 1))
    assert not allocates(turn_port, *time_limited_credentials("south wind", "p4c1f0e2b9a7d3568", now + 600))
    username, password = time_limited_credentials(SECRET, "p4c1f0e2b9a7d3568", now - 1)
    assert not allocates(turn_port, username.replace(str(now - 1), str(now + 600)), password)


@pytest.mark.browser
def test_browsers_that_may_only_use_a_relay_see_each_other(
    browser: Browser, turn_port: int, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text(SECRET + "\n")
    options = (f"--turn-uri=turn:127.0.0.1:{turn_port}?transport=udp", f"--turn-secret=file:{secret}")
    with running(tmp_path, *options) as program:

        def open_page(name: str) -> Page:
            page = new_person(browser, name, RELAY_ONLY).new_page()
            page.goto(program.address.rstrip("/") + "/r/blue")
            return page

        ada, bob = open_page("Ada"), open_page("Bob")
        broadcasts(ada)
        decodes(bob)
        types = [page.evaluate(TYPES) for page in (ada, bob)]
        for page in (ada, bob):
            page.context.close()
    assert types == [["relay"], ["relay"]]
