"""The program from outside: it starts with one command, ends on a signal, and names a wrong setting."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest
import trio

from roomfsm.protocol.errors import CloseCode
from tests.mediaserver.peer import open_test_peer
from tests.processes import LOADED
from tests.protocol_client import open_client
from tests.system.program import Program, running


def roomfsm(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "roomfsm", *arguments],
        capture_output=True,
        text=True,
        timeout=2 * LOADED,
        check=False,
        env={**os.environ, **environment},
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_server_ends_within_5_seconds_even_if_clients_do_not_read(
    tmp_path: Path, number: signal.Signals
) -> None:
    with running(tmp_path) as program:
        children = psutil.Process(program.process.pid).children()
        deaf = socket.create_connection(("127.0.0.1", program.port))
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        # A browser that asks for the page's files again and again, and reads none of them.
        with deaf:
            deaf.settimeout(0.2)
            request = b"GET /client/style.css HTTP/1.1\r\nHost: localhost\r\n\r\n"
            try:
                for _ in range(100_000):
                    deaf.sendall(request)
            except TimeoutError:
                pass

            async def main() -> float:
                async with open_client(program.url) as ada, open_test_peer("sendonly") as peer:
                    await ada.join("blue")
                    assert (await ada.ask("publish", source="camera", sdp=peer.offer))["type"] == "answer"
                    began = time.monotonic()
                    program.process.send_signal(number)
                    assert (await ada.expect("closing", scope="server"))["reason"] == "shutdown"
                    assert await ada.closed() == CloseCode.GOING_AWAY
                    return began

            began = trio.run(main)
            assert program.process.wait(LOADED) == 0
            assert time.monotonic() - began < 12  # On an idle machine five.
        assert not [child for child in children if child.is_running() and child.status() != "zombie"]
        assert "Traceback" not in program.log.read_text()


def test_a_second_ctrl_c_does_not_interrupt_the_shutdown(tmp_path: Path) -> None:
    with running(tmp_path) as program:
        for _ in range(3):
            program.process.send_signal(signal.SIGINT)
        assert program.process.wait(LOADED) == 0
        assert "Traceback" not in program.log.read_text()


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_sigterm_gives_people_time_and_a_second_signal_takes_it(
    second: signal.Signals, tmp_path: Path, media_server: str
) -> None:
    async def main(program: Program) -> None:
        async with open_client(program.url) as ada:
            await ada.join("blue")
            program.process.send_signal(signal.SIGTERM)
            assert (await ada.expect("closing"))["seconds"] == 3000
            # The server goes on until the next signal comes.
            assert (await ada.ask("chat", text="still here"))["type"] == "chat"
            assert program.process.poll() is None
            program.process.send_signal(second)
            assert "seconds" not in await ada.expect("closing", scope="server")
            assert await ada.closed() == 1001

    with running(tmp_path, "--drain=3000", f"--kurento={media_server}") as program:
        trio.run(main, program)
        assert program.process.wait(LOADED) == 0
        assert "Traceback" not in program.log.read_text()


def test_a_drain_ends_by_itself_and_ctrl_c_starts_none(tmp_path: Path, media_server: str) -> None:
    async def main(program: Program, number: signal.Signals) -> list[object]:
        async with open_client(program.url) as ada:
            await ada.join("blue")
            program.process.send_signal(number)
            told = await ada.expect("closing", scope="server")
            closings = [told.get("seconds")]
            if told.get("seconds"):
                closings.append((await ada.expect("closing", scope="server")).get("seconds"))
            assert await ada.closed() == 1001
            return closings

    for number, drain, closings in (
        (signal.SIGTERM, "0.2", [1, None]),
        (signal.SIGINT, "3000", [None]),
        (signal.SIGTERM, "0", [None]),
    ):
        with running(tmp_path, f"--drain={drain}", f"--kurento={media_server}") as program:
            assert trio.run(main, program, number) == closings
            assert program.process.wait(LOADED) == 0
    # All of them write to one log, and only the first gives people time.
    assert program.log.read_text().count("draining, another signal ends it now") == 1


def test_the_connection_to_the_media_server_uses_kurentos_protocol(tmp_path: Path, media_server: str) -> None:
    """`roomfsm mediaserver` alone, and `roomfsm serve --kurento ws://…` against it."""

    async def main(program: Program) -> None:
        async with open_client(program.url) as ada, open_test_peer("sendonly") as peer:
            await ada.join("blue")
            answer = await ada.ask("publish", source="camera", sdp=peer.offer)
            with trio.fail_after(60):
                await peer.accept(answer["sdp"])
                peer.send_rtp(b"\x10\x00\x00\x9d\x01\x2a" + bytes(20))
                assert (await ada.expect("streamChanged"))["stream"]["state"] == "live"

    with running(tmp_path, f"--kurento={media_server}") as program:
        assert psutil.Process(program.process.pid).children() == []
        trio.run(main, program)


def test_a_media_server_that_dies_is_started_again_and_the_presenter_is_asked_again(tmp_path: Path) -> None:
    async def main(program: Program) -> None:
        (child,) = psutil.Process(program.process.pid).children()
        async with (
            open_client(program.url) as ada,
            open_client(program.url) as bob,
            open_test_peer("sendonly") as first,
            open_test_peer("sendonly") as second,
        ):
            await ada.join("blue")
            await bob.join("blue")
            await ada.ask("publish", source="camera", sdp=first.offer)
            child.kill()
            assert (await bob.expect("streamEnded"))["reason"] in ("media_lost", "media_unavailable")
            assert (await bob.expect("roomState", state="waiting"))["streams"] == 0
            answer = await ada.ask("publish", source="camera", sdp=second.offer)
            while answer["type"] != "answer":
                # Refused as long as no media server is ready, never left without an answer.
                assert answer["code"] == "media_unavailable"
                answer = await ada.ask("publish", source="camera", sdp=second.offer)
            with trio.fail_after(60):
                await second.accept(answer["sdp"])

    with running(tmp_path) as program:
        trio.run(main, program)
        assert "Traceback" not in program.log.read_text()


def test_a_port_in_use_is_reported_in_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = roomfsm("serve", f"--port={port}")
    assert done.returncode == 2
    why = f"cannot listen on 127.0.0.1, port {port}: Address already in use (see --host and --port)"
    assert done.stderr.splitlines()[1:] == [f"roomfsm: {why}"]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_media_port_in_use_is_reported_in_one_line(workers: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        options = ("--media-host=127.0.0.1", f"--media-port={port}", f"--media-workers={workers}")
        done = roomfsm("serve", "--port=0", *options)
    assert done.returncode == 2
    last = done.stderr.splitlines()[-1]
    ports = f"UDP port {port}" if workers == 1 else f"UDP ports {port} to {port + 1}"
    assert last.startswith(f"roomfsm: media server: cannot serve media on 127.0.0.1, {ports}: ")
    assert last.endswith("Address already in use (see --media-host and --media-port)")
    assert "Traceback" not in done.stderr


def test_a_journal_file_that_cannot_be_written_is_reported_in_one_line(media_server: str) -> None:
    done = roomfsm("serve", "--port=0", f"--kurento={media_server}", "--journal-file=/nowhere/rooms.jsonl")
    assert done.returncode == 2
    assert "cannot write the journal file /nowhere/rooms.jsonl: No such file" in done.stderr
    assert "Traceback" not in done.stderr


def test_no_media_server_is_started_if_the_journal_file_is_wrong(tmp_path: Path) -> None:
    done = roomfsm("serve", "--port=0", f"--journal-file={tmp_path}")
    assert done.returncode == 2
    _, line = done.stderr.splitlines()
    assert line.startswith(f"roomfsm: cannot write the journal file {tmp_path}: not a regular file")


def test_an_ordinary_end_logs_no_warning(tmp_path: Path) -> None:
    with running(tmp_path, "--log-format=json") as program:
        assert program.end() == 0
    entries = [json.loads(line) for line in program.log.read_text().splitlines()]
    assert [entry["event"] for entry in entries if entry["level"] in ("warning", "error")] == []
    assert "server ends" in [entry["event"] for entry in entries]


def media_server_of(program: int) -> psutil.Process | None:
    """Wait until it is that program. If it stopped between fork and exec, its parent's thread would stop."""
    for child in psutil.Process(program).children():
        with suppress(psutil.Error):  # Another child, which has ended meanwhile.
            if "roomfsm.mediaserver" in child.cmdline():
                return child
    return None


@contextmanager
def starting(folder: Path, log: Path) -> Iterator[tuple[subprocess.Popen[str], psutil.Process]]:
    """A server whose media server hangs while it starts, and that media server."""
    command = [sys.executable, "-m", "roomfsm", "serve", "--port=0", "--media-host=127.0.0.1"]
    with log.open("w") as stderr:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, text=True, cwd=folder)
    child = None
    with process:
        try:
            deadline = time.monotonic() + LOADED
            while (child := media_server_of(process.pid)) is None:
                assert time.monotonic() < deadline, log.read_text()
                # No oftener: looking takes the processor from the server that is to start.
                time.sleep(0.02)
            child.suspend()
            yield process, child
        finally:
            process.kill()
            if child is not None:
                with suppress(psutil.NoSuchProcess):
                    child.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_during_the_start_ends_it_with_0_and_leaves_nothing(
    tmp_path: Path, number: signal.Signals
) -> None:
    """Even a media server that hangs during the start must not delay the end."""
    with starting(tmp_path, tmp_path / "log") as (process, child):
        process.send_signal(number)
        began = time.monotonic()
        assert process.wait(LOADED) == 0
        assert time.monotonic() - began < 12
        psutil.wait_procs([child], LOADED)
        assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE
    assert "Traceback" not in (tmp_path / "log").read_text()


def test_a_hangup_during_the_start_interrupts_nothing(tmp_path: Path) -> None:
    with starting(tmp_path, tmp_path / "log") as (process, child):
        for _ in range(3):
            process.send_signal(signal.SIGHUP)
        child.resume()
        assert process.stdout is not None
        assert "roomfsm is at http" in process.stdout.readline()
        process.terminate()
        assert process.wait(LOADED) == 0


@pytest.mark.parametrize(
    ("arguments", "environment", "said"),
    [
        (["--port", "many"], {}, "--port"),
        (["--port", "70000"], {}, "--port"),
        (["--max-people", "-1"], {}, "--max-people"),
        (["--kurento", "http://x"], {}, "--kurento"),
        (["--heartbeat", "nan"], {}, "--heartbeat"),
        (["--heartbeat", "0"], {}, "--heartbeat"),
        (["--announced-address", "foo.example/x"], {}, "--announced-address"),
        (["--allow-origin", "rooms.example.org"], {}, "--allow-origin"),
        (["--ice-servers", "garbage"], {}, "--ice-servers"),
        (["--ice-servers", "turn:x"], {}, "--ice-servers"),
        ([], {"ROOMFSM_PROT": "1"}, "ROOMFSM_PROT"),
        (["--certfile", "x.pem"], {}, "--keyfile"),
        (["--certfile", "x.pem", "--keyfile", "y.pem"], {}, "x.pem"),
        (["--config", "/nowhere.toml"], {}, "/nowhere.toml"),
        ([], {"ROOMFSM_LINGER": "soon"}, "ROOMFSM_LINGER"),
        ([], {"ROOMFSM_LOG_FORMAT": "xml"}, "log_format"),
        (["--log-level", "loud"], {}, "log_level"),
        (["--unheard-of"], {}, "--unheard-of"),
    ],
)
def test_a_bad_setting_is_named_without_a_traceback(
    arguments: list[str], environment: dict[str, str], said: str
) -> None:
    done = roomfsm("serve", *arguments, **environment)
    assert done.returncode == 2, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_without_arguments_the_program_serves_and_has_help() -> None:
    assert "mediaserver" in roomfsm("--help").stdout
    assert roomfsm("--version").stdout.startswith("roomfsm")
    assert roomfsm("--port", "many").returncode == 2
    assert roomfsm("dance").returncode == 2
