"""What watching a busy room costs the server: CPU with and without inspector pages that follow it.

`uv run python -m tests.bench.inspector [--people 100] [--rate 20] [--watchers 10] [--seconds 10]`. `roomfsm serve`
runs in a process of its own; people are plain sockets in this one, who chat at a steady rate that everybody hears;
watchers are HTTP connections that read the room's feed. The reference is the same room without watchers.
"""

from __future__ import annotations

import argparse
import socket
import time
from contextlib import ExitStack

from tests.bench.crowd import Crowd, client_frame, crowd_at
from tests.bench.processes import Measured, pin, room_server

_BATCH = 50
_TOKEN = "a-token-of-the-benchmark"
_FEED = (
    f"GET /inspect/api/rooms/room0/feed HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {_TOKEN}\r\n\r\n"
).encode()


class Watcher:
    """One inspector page, as far as the server sees it."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.sendall(_FEED)
        self.bytes = len(self.socket.recv(1 << 20))
        self.socket.setblocking(False)

    def read(self) -> None:
        try:
            while data := self.socket.recv(1 << 20):
                self.bytes += len(data)
        except BlockingIOError:
            return


def _busy(server: Measured, crowd: Crowd, rate: float, seconds: float, watchers: list[Watcher]) -> float:
    """Let the first seat chat on schedule; the server's CPU in percent of one core."""
    said = client_frame("chat", text="x" * 100)
    before, begin = server.cpu(), time.perf_counter()
    for index in range(int(rate * seconds)):
        crowd.seats[0].send(said)
        crowd.listen(max(0.0, begin + (index + 1) / rate - time.perf_counter()), lambda _seat, _message: False)
        for watcher in watchers:
            watcher.read()
    return (server.cpu() - before) / (time.perf_counter() - begin) * 100


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=100)
    parser.add_argument("--rate", type=float, default=20.0, help="chat messages a second")
    parser.add_argument("--watchers", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    pin(1)
    with room_server(f"--inspect-token={_TOKEN}") as server, crowd_at(server.port) as crowd:
        for _ in range(0, arguments.people, _BATCH):
            crowd.join(crowd.connect_websockets(min(_BATCH, arguments.people)))
        crowd.settle()
        print(f"{len(crowd.seats)} people, {arguments.rate:g} messages a second to all of them, one room")
        print("watchers  CPU %  more than without  kB/s a watcher")
        for _ in range(arguments.rounds):
            alone = _busy(server, crowd, arguments.rate, arguments.seconds, [])
            with ExitStack() as stack:
                watchers = [Watcher(server.port) for _ in range(arguments.watchers)]
                for watcher in watchers:
                    stack.callback(watcher.socket.close)
                watched = _busy(server, crowd, arguments.rate, arguments.seconds, watchers)
                received = sum(w.bytes for w in watchers) / len(watchers) / arguments.seconds / 1000
            print(f"{0:8} {alone:6.2f}")
            print(f"{len(watchers):8} {watched:6.2f} {watched - alone:18.2f} {received:15.1f}")


if __name__ == "__main__":
    main()
