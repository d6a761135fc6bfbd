"""kurento.compose.yml parses, and says what the README says of it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from roomfsm.settings import all_settings

COMPOSE = Path(__file__).parents[2] / "kurento.compose.yml"


def test_it_parses() -> None:
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


def test_it_names_settings_that_there_are() -> None:
    known = {setting.variable for setting in all_settings()}
    text = COMPOSE.read_text(encoding="utf-8")
    named = {line.split(":")[0].strip() for line in text.splitlines() if line.strip().startswith("ROOMFSM_")}
    assert named
    assert named <= known
