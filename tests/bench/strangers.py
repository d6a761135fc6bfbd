"""What honest people notice of a stranger's attack: time until all have heard a line, who is cut or kept out.

`uv run python -m tests.bench.strangers [--people 100] [--seconds 6]`. `roomfsm serve` runs in a process of its
own. The stranger is a thread of this one, with plain sockets and bounded loops.
"""

from __future__ import annotations

import argparse
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from tests.bench.crowd import Crowd, Seat, client_frame, crowd_at
from tests.bench.processes import Measured, room_server

_SAID = b"honest"


def _stranger(port: int) -> Seat:
    seat = Seat(port)
    seat.send(
        f"GET /ws HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
        "Sec-WebSocket-Protocol: roomfsm.v1\r\n\r\n".encode()
    )
    seat.socket.setblocking(True)
    seat.socket.settimeout(10)
    seat.socket.recv(65_536)
    return seat


def _drain(seat: Seat) -> None:
    with suppress(OSError):
        while seat.socket.recv(65_536):
            pass


def _talk(port: int, frames: list[bytes], interval: float) -> None:
    """Join the honest people's room and send these, whatever comes back."""
    seat = _stranger(port)
    reader = threading.Thread(target=_drain, args=(seat,), daemon=True)
    reader.start()
    with suppress(OSError):
        seat.socket.sendall(client_frame("join", room="room0", name="Stranger"))
        for frame in frames:
            seat.socket.sendall(frame)
            time.sleep(interval)
    seat.socket.close()


def _long_lines(port: int, _seconds: float) -> None:
    texts = ("\x01" * 4000, '"' * 4000)
    _talk(port, [client_frame("chat", text=text) for text in texts for _ in range(240)], 0)


def _renames(port: int, seconds: float) -> None:
    _talk(port, [client_frame("rename", name=f"S{n}") for n in range(int(seconds * 100))], 0.01)


def _switches(port: int, seconds: float) -> None:
    frames = [client_frame("switch", room=f"stranger{n}") for n in range(min(999, int(seconds * 100)))]
    _talk(port, frames, 0.01)


def _resets(port: int, seconds: float) -> None:
    """Join and reset, 17 times a second."""
    for _ in range(int(seconds * 17)):
        with suppress(OSError):
            seat = _stranger(port)
            seat.socket.sendall(client_frame("join", room="room0", name="Ghost"))
            seat.socket.recv(4096)
            seat.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            seat.socket.close()
        time.sleep(1 / 17)


ATTACKS: dict[str, Callable[[int, float], None]] = {
    "none": lambda _port, seconds: time.sleep(seconds),
    "480 long lines": _long_lines,
    "100 renames/s": _renames,
    "100 switches/s": _switches,
    "17 resets/s": _resets,
}


@contextmanager
def _attack(attack: Callable[[int, float], None], port: int, seconds: float) -> Iterator[threading.Thread]:
    thread = threading.Thread(target=attack, args=(port, seconds), daemon=True)
    thread.start()
    yield thread
    thread.join(60)


def _round(crowd: Crowd, alive: set[Seat], speaker: Seat) -> tuple[list[float], int]:
    """The speaker says something; seconds until each has heard it, and how many are cut meanwhile."""
    began, missing, heard, cut = time.perf_counter(), set(alive), [], 0
    speaker.send(client_frame("chat", text=_SAID.decode()))
    while missing and time.perf_counter() - began < 10:
        for key, _ in crowd._selector.select(0.1):
            seat = key.data
            try:
                messages = seat.receive()
            except (ConnectionError, BlockingIOError):
                crowd._selector.unregister(seat.socket)
                alive.discard(seat)
                missing.discard(seat)
                cut += 1
                continue
            if seat in missing and any(_SAID in message for message in messages):
                heard.append(time.perf_counter() - began)
                missing.discard(seat)
    return heard, cut + len(missing)


def _measure(server: Measured, people: int, seconds: float, name: str) -> None:
    with crowd_at(server.port) as crowd:
        crowd.join(crowd.connect_websockets(people))
        crowd.settle()
        alive, times, cut = set(crowd.seats), [], 0
        cpu, began = server.cpu(), time.perf_counter()
        with _attack(ATTACKS[name], server.port, seconds) as attack:
            while attack.is_alive() or time.perf_counter() - began < seconds:
                heard, lost = _round(crowd, alive, crowd.seats[0])
                times += heard
                cut += lost
                time.sleep(0.2)
        cpu = (server.cpu() - cpu) / (time.perf_counter() - began)
        # Somebody who comes now: into this room, and into one of his own.
        comes = [_outcome(server.port, room) for room in ("room0", "another")]
    times.sort()
    p50, p95 = (times[len(times) * q // 100] * 1e3 for q in (50, 95)) if times else (0.0, 0.0)
    print(f"{name:16} {p50:8.1f} {p95:8.1f} {cut:6} {cpu * 100:8.0f}   {comes[0]:12} {comes[1]}", flush=True)


def _outcome(port: int, room: str) -> str:
    seat = _stranger(port)
    seat.socket.sendall(client_frame("join", room=room, name="Newcomer"))
    with suppress(OSError):
        while data := seat.socket.recv(65_536):
            for word in (b'"joined"', b"room_full", b"server_full", b"rate_limited"):
                if word in data:
                    seat.socket.close()
                    return word.decode().strip('"')
    return "nothing"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=6.0)
    arguments = parser.parse_args()
    print("attack             p50 ms   p95 ms    cut  % of core   joins it     opens another")
    for name in ATTACKS:
        with room_server() as server:
            _measure(server, arguments.people, arguments.seconds, name)


if __name__ == "__main__":
    main()
