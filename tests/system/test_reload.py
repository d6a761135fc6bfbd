"""Given a running server, SIGHUP makes it read its certificate and settings again. Wrong ones change nothing."""

from __future__ import annotations

import os
import pty
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
import trio
from trio.testing import MockClock

from roomfsm.certificates import CertificateError, read_certificate
from roomfsm.reload import merge, reload
from roomfsm.settings import ServerSettings, Settings, all_settings, load
from tests.conftest import make_certificate
from tests.protocol_client import open_client
from tests.system.program import Program, running

PATIENCE = 60.0


def until(holds: Callable[[], bool], program: Program) -> None:
    """Wait for the effect of the signal."""
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert program.process.poll() is None, program.log.read_text()
        assert time.monotonic() < deadline, program.log.read_text()
        time.sleep(0.02)


def hang_up(program: Program, said: str = "were read again") -> None:
    """Send the signal, and wait until the log says that it was handled."""
    before = program.log.read_text().count(said)
    program.process.send_signal(signal.SIGHUP)
    until(lambda: program.log.read_text().count(said) > before, program)


def shown_certificate(port: int) -> bytes | None:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with (
        socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as raw,
        context.wrap_socket(raw, server_hostname="localhost") as sock,
    ):
        return sock.getpeercert(binary_form=True)


def status(port: int, host: str) -> int:
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as sock:
        sock.sendall(f"GET /health/live HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        return int(sock.makefile("rb").readline().split()[1])


def test_a_renewed_certificate_is_used_and_a_wrong_one_is_not(tmp_path: Path, media_server: str) -> None:
    old, new = make_certificate(tmp_path / "old"), make_certificate(tmp_path / "new")
    pem, key = tmp_path / "cert.pem", tmp_path / "key.pem"

    def install(certificate: Path | str, its_key: Path) -> None:
        if isinstance(certificate, Path):
            shutil.copy(certificate, pem)
        else:
            pem.write_text(certificate)
        shutil.copy(its_key, key)

    install(*old)
    # A busy machine may take long until what is kept open sends its first request.
    options = (f"--certfile={pem}", f"--keyfile={key}", f"--kurento={media_server}", "--head-timeout=600")
    with running(tmp_path, *options) as program:
        first = shown_certificate(program.port)
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with (
            socket.create_connection(("127.0.0.1", program.port)) as raw,
            context.wrap_socket(raw) as kept,
        ):
            for wrong in ("no certificate", new[0]):
                install(wrong, old[1])
                hang_up(program, "the one before stays in force")
                assert shown_certificate(program.port) == first
            pem.unlink()
            hang_up(program, "the one before stays in force")
            assert shown_certificate(program.port) == first
            install(*new)
            hang_up(program)
            second = shown_certificate(program.port)
            assert second not in (None, first)
            # What was open goes on.
            kept.sendall(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert b"200" in kept.recv(1000)
        assert program.end() == 0
    assert "Traceback" not in program.log.read_text()


async def test_a_fault_of_ours_in_reading_changes_nothing() -> None:
    class Unchanged:
        settings: Settings | None = None

        def apply(self, settings: Settings) -> None:
            self.settings = settings

        async def renew_certificate(self, settings: Settings) -> str | None:
            return None

    def read() -> Settings:
        raise RuntimeError("a fault of ours")

    before, unchanged = Settings(), Unchanged()
    assert await reload(before, read, unchanged) == before == unchanged.settings


async def test_a_disk_that_is_gone_does_not_delay_the_server(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, autojump_clock: MockClock
) -> None:
    pem, key = make_certificate(tmp_path / "made")
    settings = Settings(server=ServerSettings(certfile=str(pem), keyfile=str(key)))
    comes_back = threading.Event()
    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", lambda _: comes_back.wait(PATIENCE) and b"")
        with pytest.raises(CertificateError, match="no answer in 5 s"):
            await read_certificate(settings)
    comes_back.set()


def test_live_settings_change_and_the_others_are_named(tmp_path: Path, media_server: str) -> None:
    config, secret = tmp_path / "roomfsm.toml", tmp_path / "secret"
    secret.write_text("x" * 16)

    def write(**values: object) -> None:
        lines = [f'kurento = ["{media_server}"]', f'inspect_token = "file:{secret}"']
        config.write_text("\n".join([*lines, *(f"{name} = {value}" for name, value in values.items())]))

    async def turn_servers(program: Program) -> list[object]:
        async with open_client(program.url) as ada:
            servers: list[object] = (await ada.join("blue")).get("iceServers", [])
            return servers

    def opens(program: Program, token: str) -> bool:
        with socket.create_connection(("127.0.0.1", program.port), timeout=PATIENCE) as sock:
            lines = ("GET /inspect HTTP/1.1", "Host: localhost", f"Authorization: Bearer {token}", "", "")
            sock.sendall("\r\n".join(lines).encode())
            return b"200" in sock.recv(20)

    write()
    with running(tmp_path, f"--config={config}") as program:
        assert status(program.port, "rooms.example") == 421
        assert trio.run(turn_servers, program) == []
        secret.write_text("y" * 16)
        write(
            host_name='["rooms.example"]',
            turn_uri='["turn:t.example"]',
            turn_secret='"north"',
            max_people=7,
            linger=1.5,
            log_level='"debug"',
        )
        hang_up(program)
        assert status(program.port, "rooms.example") == 200
        assert trio.run(turn_servers, program) != []
        assert (opens(program, "x" * 16), opens(program, "y" * 16)) == (False, True)
        log = program.log.read_text()
        assert all(flag in log for flag in ("--host-name", "--turn-uri", "--max-people", "--linger", "next start"))
        assert "north" not in log
        count = program.log.read_text().count("were read again")
        for wrong in ("host_name = [", "colour = 1", "host_name = ['a b']", "log_level = 'loud'", "turn_ttl = 1"):
            config.write_text(wrong)
            hang_up(program, "those before stay in force")
        config.unlink()
        hang_up(program, "those before stay in force")
        assert program.log.read_text().count("were read again") == count, "nothing was read"
        assert status(program.port, "rooms.example") == 200
        write()
        hang_up(program)
        assert status(program.port, "rooms.example") == 421
        assert program.end() == 0
    assert "Traceback" not in program.log.read_text()


def test_the_signal_ends_nothing_and_people_do_not_notice_it(tmp_path: Path) -> None:
    async def main(program: Program) -> None:
        async with open_client(program.url) as ada:
            await ada.join("blue")
            main = psutil.Process(program.process.pid)
            children = main.children(recursive=True)
            assert children
            for process in (*children, main, main, main):
                process.send_signal(signal.SIGHUP)
            assert (await ada.ask("ping"))["type"] == "pong"
            await trio.to_thread.run_sync(hang_up, program)
            assert (await ada.ask("chat", text="still here"))["line"]["text"] == "still here"
            assert main.children(recursive=True) == children

    with running(tmp_path, "--media-workers=2") as program:
        trio.run(main, program)
        program.process.send_signal(signal.SIGHUP)
        assert program.end() == 0
    assert "Traceback" not in program.log.read_text()
    assert "died" not in program.log.read_text()


def test_the_server_goes_on_when_its_terminal_is_closed(media_server: str) -> None:
    """Its log goes to a terminal that is gone, so every line would fail to be written."""
    ours, theirs = pty.openpty()
    command = [
        sys.executable,
        "-m",
        "roomfsm",
        "serve",
        "--port=0",
        f"--kurento={media_server}",
        "--log-level=debug",
    ]

    def take_terminal() -> None:
        os.setsid()
        import fcntl
        import termios

        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    process = subprocess.Popen(
        command,
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=theirs,
        text=True,
        preexec_fn=take_terminal,
    )
    os.close(theirs)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        port = int(line.partition("localhost:")[2].partition("/")[0])
        os.close(ours)
        for host, expected in (("localhost", 200), ("evil.example", 421), ("localhost", 200)):
            assert status(port, host) == expected
        process.send_signal(signal.SIGHUP)
        assert status(port, "localhost") == 200
        assert process.poll() is None
    finally:
        process.terminate()
        assert process.wait(PATIENCE) == 0


def test_every_live_setting_is_taken_and_no_other() -> None:
    now = Settings()
    new = load({"host_name": ("a.example",), "allow_origin": ("https://a",), "max_people": "3", "port": "9"}, {})
    merged, changed, waiting = merge(now, new)
    assert (changed, waiting) == (["--allow-origin", "--host-name"], ["--port", "--max-people"])
    assert merged.door.host_name == ("a.example",)
    assert (merged.server.port, merged.rooms.max_people) == (now.server.port, now.rooms.max_people)
    assert merge(now, now) == (now, [], [])
    assert {setting.name for setting in all_settings() if setting.live} >= {
        "certfile",
        "inspect_token",
        "log_level",
    }


@pytest.mark.parametrize("turned", ["on", "off"])
def test_tls_can_be_turned_on_and_off_only_at_the_start(tmp_path: Path, media_server: str, turned: str) -> None:
    pem, key = make_certificate(tmp_path / "made")
    config = tmp_path / "roomfsm.toml"
    plain, secure = f'kurento = ["{media_server}"]\n', f'certfile = "{pem}"\nkeyfile = "{key}"\n'
    config.write_text(plain if turned == "on" else plain + secure)
    with running(tmp_path, f"--config={config}") as program:
        config.write_text(plain + secure if turned == "on" else plain)
        hang_up(program, "next start only")
        if turned == "on":
            assert status(program.port, "localhost") == 200
        else:
            assert shown_certificate(program.port) is not None


def test_what_can_change_only_together_with_something_else_waits() -> None:
    """Without its secret, the webhook's address would not be valid; and the address cannot change."""
    now = load({"webhook": ("https://h.example/",), "webhook_secret": ("whsec_" + "QUJD" * 8,)}, {})
    merged, changed, waiting = merge(now, load({}, {}))
    assert merged == now
    assert (changed, sorted(waiting)) == ([], ["--webhook", "--webhook-secret"])
