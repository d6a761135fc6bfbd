"""Debian's redis-server on a port of its own, which keeps nothing after the test."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.ports import reserved_port
from tests.processes import started, until_listening


def needs_redis() -> None:
    """Skip the test where there is no Redis, but not in CI."""
    if shutil.which("redis-server") is None:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)("no Redis: apt-get install redis-server")


@contextmanager
def redis_server(folder: Path, *arguments: str, port: int | None = None) -> Iterator[str]:
    """A running Redis, by its URL. It writes nothing to the disk unless the arguments say so."""
    needs_redis()
    if port is None:
        with reserved_port() as free, redis_server(folder, *arguments, port=free) as url:
            yield url
        return
    log = folder / "redis.log"
    settings = [
        "--save",
        "",
        "--appendonly",
        "no",
        "--bind",
        "127.0.0.1",
        "--dir",
        str(folder),
        "--shutdown-timeout",
        "0",
    ]
    command = ["redis-server", "--port", str(port), *settings, *arguments]
    with (
        log.open("w") as file,
        started(command, stdout=file, stderr=subprocess.STDOUT) as process,
    ):
        until_listening(port, process, log)
        yield f"redis://127.0.0.1:{port}/0"
