"""Given a real TURN server (coturn) that shares our secret, our credentials work until they expire.

`test_other_network.py` sends media through it.
"""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

from roomfsm.signaling.ice_servers import time_limited_credentials
from tests.coturn import SECRET, coturn, program_of_coturn


def allocates(port: int, username: str, password: str) -> bool:
    """Whether coturn's own client gets a relay address and its data back through it."""
    command = [program_of_coturn("turnutils_uclient"), "-y", "-c", "-n", "1", "-u", username, "-w", password]
    done = subprocess.run(
        [*command, "-p", str(port), "127.0.0.1"], capture_output=True, text=True, timeout=60, check=False
    )
    return done.returncode == 0 and "Total lost packets 0" in done.stdout + done.stderr


def test_the_turn_server_accepts_our_credential_and_refuses_an_expired_one(tmp_path: Path) -> None:
    with coturn(tmp_path, "127.0.0.1") as port:
        now = int(time.time())
        assert allocates(port, *time_limited_credentials(SECRET, "p4c1f0e2b9a7d3568", now + 600))
        assert not allocates(port, *time_limited_credentials(SECRET, "p4c1f0e2b9a7d3568", now - 1))
        assert not allocates(port, *time_limited_credentials("south wind", "p4c1f0e2b9a7d3568", now + 600))
        username, password = time_limited_credentials(SECRET, "p4c1f0e2b9a7d3568", now - 1)
        assert not allocates(port, username.replace(str(now - 1), str(now + 600)), password)
