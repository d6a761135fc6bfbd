"""Given no media server, when somebody presents, then the page says so for as long as it holds, and heals."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import OpenPage
from tests.browser.test_broadcast import decodes
from tests.system.program import Program, running

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def port() -> int:
    """A free TCP port, at which a test starts a media server."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory, port: int) -> Iterator[Program]:
    """A room server that waits for a media server."""
    with running(tmp_path_factory.mktemp("server"), f"--kurento=ws://127.0.0.1:{port}/kurento") as program:
        yield program


def test_the_reason_stays_until_a_media_server_is_there(open_page: OpenPage, port: int) -> None:
    ada, bob = open_page("/r/away", "Ada"), open_page("/r/away", "Bob")
    ada.clock.install()
    ada.get_by_test_id("start-camera").click()
    reason = ada.get_by_test_id("notice").filter(has_text="Your camera does not reach the room.")
    expect(reason).to_contain_text(
        "No media server can be reached at the moment. The page tries again.", timeout=20_000
    )
    # Longer than any notice is shown that tells of something past; the page's patience for an answer ends, too.
    for _ in range(4):
        ada.clock.fast_forward(20_000)
        expect(reason).to_contain_text("The page tries again.")
    command = [sys.executable, "-m", "roomfsm.mediaserver", "--exit-with-parent", "--media-host=127.0.0.1"]
    with subprocess.Popen([*command, f"--port={port}"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        assert str(port) in json.loads(server.stdout.readline())["url"]
        decodes(bob)
        expect(reason).to_have_count(0)
        server.stdin.close()
