"""What one message to a thousand websockets costs: the server's CPU a delivery, and the time until received.

`uv run python -m tests.bench.fanout [--people 1000] [--messages 200] [--interval 0.05]`. `roomfsm serve` runs in a
process of its own, the room's people are plain sockets in this one; the reference is measured in this same run: a
loop of `socket.send` of as long a frame to as many sockets.
"""

from __future__ import annotations

import argparse
import socket
import time
from dataclasses import dataclass

from roomfsm.signaling.frames import text_frame
from tests.bench.crowd import PATIENCE, Crowd, Seat, client_frame, crowd_at
from tests.bench.processes import Measured, bare_server, pin, room_server

PAYLOAD = 200
"""Bytes of the message that everybody gets."""

_ENVELOPE = 110
"""Bytes of it around what was said."""
_BATCH = 50
_WARM_UP = 20
"""Messages sent before those that are measured."""


@dataclass(frozen=True, slots=True)
class Result:
    cpu: float
    """µs of the server a delivery."""
    p50: float
    """ms from sending to having read it."""
    p99: float
    worst: float


def measure_said(server: Measured, crowd: Crowd, said: bytes, messages: int, interval: float) -> Result:
    """Let the first seat send `said` on schedule, and see it come to all the seats each time."""
    latencies: list[float] = []

    def say() -> None:
        missing = set(crowd.seats)
        sent = time.perf_counter()

        def on_message(seat: Seat, message: bytes) -> bool:
            assert abs(len(message) - PAYLOAD) < 4, message
            latencies.append(time.perf_counter() - sent)
            missing.remove(seat)
            return not missing

        crowd.seats[0].send(said)
        assert crowd.listen(PATIENCE, on_message), f"{len(missing)} deliveries are missing"

    for _ in range(_WARM_UP):
        say()
    latencies.clear()
    before, begin = server.cpu(), time.perf_counter()
    for index in range(messages):
        time.sleep(max(0.0, begin + index * interval - time.perf_counter()))
        say()
    cpu = server.cpu() - before
    latencies.sort()
    return Result(
        cpu / len(latencies) * 1e6,
        latencies[len(latencies) // 2] * 1e3,
        latencies[len(latencies) * 99 // 100] * 1e3,
        latencies[-1] * 1e3,
    )


def measure(people: int, messages: int, interval: float) -> Result:
    """The room server."""
    with room_server() as server, crowd_at(server.port) as crowd:
        for _ in range(0, people, _BATCH):
            crowd.join(crowd.connect_websockets(_BATCH))
        crowd.settle()
        said = client_frame("chat", text="x" * (PAYLOAD - _ENVELOPE))
        return measure_said(server, crowd, said, messages, interval)


def reference(people: int, messages: int, interval: float) -> Result:
    """The loop of sends."""
    with bare_server(_send_to_all, people) as server, crowd_at(server.port) as crowd:
        crowd.connect(people)
        return measure_said(server, crowd, b"go", messages, interval)


def _send_to_all(listener: socket.socket, people: int) -> None:
    sockets = [listener.accept()[0] for _ in range(people)]
    frame = text_frame(bytes(PAYLOAD))
    while sockets[0].recv(64):
        for peer in sockets:
            peer.send(frame)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=1000)
    parser.add_argument("--messages", type=int, default=200)
    parser.add_argument("--interval", type=float, default=0.05, help="seconds between messages")
    arguments = parser.parse_args()
    pin(1)
    bare = reference(arguments.people, arguments.messages, arguments.interval)
    ours = measure(arguments.people, arguments.messages, arguments.interval)
    print(f"{arguments.people} people, {arguments.messages} messages of {PAYLOAD} bytes")
    print("               µs/delivery  x reference  p50 ms  p99 ms  worst ms")
    for name, result in (("bare send loop", bare), ("roomfsm", ours)):
        print(
            f"{name:14} {result.cpu:12.2f} {result.cpu / bare.cpu:12.2f} {result.p50:7.2f} {result.p99:7.2f}"
            f" {result.worst:9.2f}"
        )


if __name__ == "__main__":
    main()
