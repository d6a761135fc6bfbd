"""A real TURN server, coturn from Debian, set as docs/deploy/turnserver.conf says."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.ports import reserved_port
from tests.processes import started

SECRET = "north wind"
RECIPE = Path(__file__).parents[1] / "docs" / "deploy" / "turnserver.conf"


def program_of_coturn(name: str) -> str:
    """The path of one of its programs. Without it, the test is skipped, or fails in CI."""
    path = shutil.which(name)
    if path is None:
        if os.environ.get("CI") == "true":
            pytest.fail(f"no {name}: apt-get install coturn")
        pytest.skip(f"no {name}: apt-get install coturn")
    return path


@contextmanager
def coturn(folder: Path, address: str, media: str | None = None, within: tuple[str, ...] = ()) -> Iterator[int]:
    """Run coturn at this address, relaying to the media server at `media` (by default the same address).

    `within` is the command that enters the network where it runs. Gives the port.
    """
    turnserver = program_of_coturn("turnserver")
    with reserved_port() as port, (folder / "coturn.log").open("w") as log:
        config = folder / "turnserver.conf"
        text = RECIPE.read_text(encoding="utf-8")
        for written, meant in {
            "listening-port=3478": f"listening-port={port}\nlistening-ip={address}\nrelay-ip={address}",
            "static-auth-secret=REPLACE-ME": f"static-auth-secret={SECRET}",
            "allowed-peer-ip=203.0.113.7": f"allowed-peer-ip={media or address}",
        }.items():
            assert text.count(written) == 1, written
            text = text.replace(written, meant)
        # Only a test relays to the loopback.
        own = f"\nallow-loopback-peers\nlog-file=stdout\npidfile={folder / 'pid'}\nuserdb={folder / 'db'}\n"
        assert not re.search(r"203\.0\.113", re.sub(r"(?m)^#.*", "", text))
        config.write_text(text + own)
        with started([*within, turnserver, "-c", config], stdout=log, stderr=log) as process:
            while not answers(address, port, within):
                assert process.poll() is None, (folder / "coturn.log").read_text()
                time.sleep(0.05)
            yield port


_ASK = """
import socket, sys
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
    sock.settimeout(0.5)
    sock.connect((sys.argv[1], int(sys.argv[2])))
    sock.send(bytes.fromhex("000100002112a442") + bytes(12))
    sock.recv(2000)
"""


def answers(address: str, port: int, within: tuple[str, ...]) -> bool:
    """Whether the server answers a STUN binding request (RFC 8489 section 5) in its network."""
    command = [*within, sys.executable, "-c", _ASK, address, str(port)]
    return subprocess.run(command, capture_output=True, check=False, timeout=60).returncode == 0
