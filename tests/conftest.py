"""What every test runs under: websockets that survive a ping while they close, and one embedded media server."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator

import pytest
import structlog

from roomfsm.jsonrpc.websocket import mend_websockets

# What fails shows what it expected; the log of ten thousand rooms would hide it.
structlog.configure(logger_factory=structlog.ReturnLoggerFactory())

# Without it a test whose websocket is pinged while it closes can end half-way and pass.
mend_websockets()


@pytest.fixture(scope="session")
def media_server() -> Iterator[str]:
    """The address of a real embedded media server, in its own process, for all tests that only need one."""
    command = [sys.executable, "-m", "roomfsm.mediaserver", "--exit-with-parent", "--port=0"]
    process = subprocess.Popen(
        [*command, "--media-host=127.0.0.1"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    with process:
        assert process.stdout is not None
        assert process.stdin is not None
        yield json.loads(process.stdout.readline())["url"]
        process.stdin.close()
        process.wait(timeout=10)
