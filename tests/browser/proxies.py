"""Debian's proxies in front of the program, each with its file of `docs/deploy`, on free ports."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.ports import reserved_port
from tests.processes import started, until_listening

_RECIPES = Path(__file__).parents[2] / "docs" / "deploy"
_HAPROXY = Path("/etc/haproxy/haproxy.cfg")
"""Debian's own settings, whose defaults the recipe needs."""

PROXIES = ("nginx", "haproxy", "caddy")


def _recipe(file: str, server_port: int, port: int, certificate: Path, further: Sequence[int] = ()) -> str:
    """The recipe, with the test's ports and certificate, and a line for each further server."""
    line = "server 127.0.0.1:8080;"
    changes = {
        line: "".join(f"server 127.0.0.1:{one};" for one in (server_port, *further)),
        "127.0.0.1:8080": f"127.0.0.1:{server_port}",
        "rooms.example.org": "localhost",
        "listen 443": f"listen 127.0.0.1:{port}",
        "bind :443": f"bind 127.0.0.1:{port}",
        "/etc/ssl/rooms.pem": str(certificate),
    }
    text = rest = (_RECIPES / file).read_text(encoding="utf-8")
    for written, meant in changes.items():
        text, rest = text.replace(written, meant), rest.replace(written, "")
    # What is put in may have any number in it: a port, a folder.
    assert "443" not in rest
    return text


def _write(
    proxy: str, folder: Path, server_port: int, port: int, certificate: Path, further: Sequence[int]
) -> list[str]:
    """Write the proxy's settings. Returns the command that runs it in the foreground."""
    assert proxy == "nginx" or not further
    config = folder / f"{proxy}.conf"
    if proxy == "nginx":
        recipe = _recipe("nginx.conf", server_port, port, certificate, further)
        kept = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        folders = "".join(f"{name}_temp_path {folder}/{name};" for name in kept)
        user = "user root;" if os.getuid() == 0 else ""
        events = "worker_connections 4096;"
        frame = f"{user} pid {folder}/pid; events {{ {events} }} http {{ access_log off; {folders}\n{recipe}}}"
        config.write_text(frame)
        return [
            "nginx",
            "-p",
            str(folder),
            "-e",
            str(folder / "error.log"),
            "-c",
            str(config),
            "-g",
            "daemon off;",
        ]
    if proxy == "haproxy":
        recipe = _recipe("haproxy.cfg", server_port, port, certificate)
        defaults = _HAPROXY.read_text()
        config.write_text(f"{defaults[defaults.index('defaults') :]}\n{recipe}")
        return ["haproxy", "-db", "-f", str(config)]
    # Its file is used as it is: the environment says what differs.
    options = "{\n admin off\n auto_https disable_redirects\n skip_install_trust\n}\n"
    config.write_text(f"{options}import {_RECIPES / 'Caddyfile'}\n")
    return ["caddy", "run", "--adapter", "caddyfile", "--config", str(config)]


def path_to(proxy: str) -> str:
    """The `PATH` on which the proxy is found. Where it is not installed, the test is skipped, or fails in CI."""
    path = f"{os.environ['PATH']}:/usr/sbin"
    if shutil.which(proxy, path=path) is None:
        if os.environ.get("CI") == "true":
            pytest.fail(f"no {proxy}: apt-get install {proxy}")
        pytest.skip(f"no {proxy}")
    return path


@contextmanager
def proxied(
    proxy: str, folder: Path, server_port: int, certificate: Path, further: Sequence[int] = ()
) -> Iterator[str]:
    """Run a proxy in front of the server at `server_port`, or of several that it takes in turns (nginx only).

    Yields the address for browsers, without a slash.
    """
    path = path_to(proxy)
    folder.mkdir()
    log = folder / "log"
    own = {"HOME": str(folder), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
    with reserved_port() as port, log.open("w") as output:
        for_caddy = {"ROOMS_HOST": f"localhost:{port}", "ROOMFSM_PORT": str(server_port)}
        environment = {**os.environ, **own, **for_caddy, "PATH": path}
        command = _write(proxy, folder, server_port, port, certificate, further)
        with started(command, stdout=output, stderr=output, env=environment) as process:
            until_listening(port, process, log)
            yield f"https://localhost:{port}"
