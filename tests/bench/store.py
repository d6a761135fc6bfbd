"""What it costs that rooms are kept: a line of chat, a join, a line to three hundred, with the store and without.

`uv run python -m tests.bench.store [--rounds 3]`. `roomfsm serve` runs in a process of its own, once with a store
and once without, in turns; the people are plain sockets in this process. The medians of the rounds are compared.
Also: how long a server needs at its start for a thousand rooms.
"""

from __future__ import annotations

import argparse
import re
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

import trio

from roomfsm.protocol.roles import Role
from roomfsm.protocol.server import ChatLine
from roomfsm.rooms import durable
from roomfsm.store.interface import Append
from roomfsm.store.sqlite import open_sqlite
from tests.bench import fanout, join
from tests.bench.crowd import PATIENCE, Seat, client_frame, crowd_at
from tests.bench.processes import Measured, pin, room_server
from tests.system.program import running

_UNMETERED = tuple(
    f"--{name}=1000000000"
    for name in (
        *("told-rate", "told-bytes", "room-told-rate", "room-told-bytes"),
        *("told-rate-per-address", "told-bytes-per-address", "message-rate", "message-burst"),
    )
)
_ROOMS = 100
_LINES = 100
"""Each person, who is alone in a room, says so many lines."""
_PEOPLE = 300
_STORED = 1000

type Serve = Callable[[], AbstractContextManager[Measured]]


def lines(serve: Serve) -> float:
    """µs of the server's CPU a line of chat, from the frame that came to the frame that went."""
    with serve() as server, crowd_at(server.port) as crowd:
        crowd.join(crowd.connect_websockets(_ROOMS), _ROOMS)
        crowd.settle()
        said = client_frame("chat", text="x" * 90)

        def say(count: int) -> None:
            left = dict.fromkeys(crowd.seats, count)
            for seat in crowd.seats:
                seat.send(said)

            def on_message(seat: Seat, _: bytes) -> bool:
                left[seat] -= 1
                if left[seat]:
                    seat.send(said)
                else:
                    del left[seat]
                return not left

            assert crowd.listen(PATIENCE, on_message)

        say(10)
        before = server.cpu()
        say(_LINES)
        return (server.cpu() - before) / (_ROOMS * _LINES) * 1e6


def alone(serve: Serve) -> float:
    """ms until one person, and nobody else does anything, has the own line back: the median."""
    with serve() as server, crowd_at(server.port) as crowd:
        crowd.join(crowd.connect_websockets(1))
        took: list[float] = []
        for _ in range(500):
            began = time.perf_counter()
            crowd.seats[0].send(client_frame("chat", text="x"))
            assert crowd.listen(PATIENCE, lambda _seat, _message: True)
            took.append((time.perf_counter() - began) * 1e3)
        return statistics.median(took)


def joins(serve: Serve) -> float:
    """µs of the server's CPU a join, in rooms of 25."""
    return join.measure(serve(), 500, 20).join * 1e3


def to_many(serve: Serve) -> float:
    """µs of the server's CPU a delivery, of a line to three hundred people."""
    with serve() as server, crowd_at(server.port) as crowd:
        for _ in range(0, _PEOPLE, 50):
            crowd.join(crowd.connect_websockets(50))
        crowd.settle()
        said = client_frame("chat", text="x" * 90)
        return fanout.measure_said(server, crowd, said, 200, 0.01).cpu


def start(folder: Path) -> float:
    """Seconds that the rooms take at the start, as the log says."""

    async def fill() -> None:
        async with open_sqlite(folder / "data") as store:
            for number in range(_STORED):
                events = [durable.encode(event) for event in _events(number)]
                await store.commit([Append(f"room{number}", 0, tuple(events))])

    trio.run(fill)
    with running(folder, "--kurento=ws://127.0.0.1:9/kurento", f"--data={folder / 'data'}") as program:
        found = re.search(r"rooms came back .*seconds=([\d.]+)", program.log.read_text())
        assert found is not None
        return float(found.group(1))


def _events(number: int) -> list[durable.Durable]:
    """A room with three people who have said fifty lines."""
    told: list[durable.Durable] = [durable.Opened(f"room{number}")]
    for person in range(3):
        me = f"p{number}-{person}"
        told.append(
            durable.Sat(
                person=me,
                name=f"Person {person}",
                role=Role.PRESENTER,
                given=Role.PRESENTER,
                address="192.0.2.1",
                at=1_800_000_000_000,
                tokens=(me.encode(),),
            )
        )
    for seq in range(1, 51):
        line = ChatLine(seq=seq, participant=me, name="Person 2", text="x" * 90, at=1_800_000_000_000)
        told.append(durable.Said(line))
    return told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    rounds: int = parser.parse_args().rounds
    pin(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        print("                              off       on   on / off")
        for what, measure in (
            ("a line of chat, µs", lines),
            ("a join, µs", joins),
            (f"a delivery to {_PEOPLE}, µs", to_many),
            ("a line when idle, ms", alone),
        ):
            found: dict[str, list[float]] = {"off": [], "on": []}
            for number in range(rounds):
                data = f"--data={folder / f'{measure.__name__}{number}'}"
                found["off"].append(measure(partial(room_server, *_UNMETERED)))
                found["on"].append(measure(partial(room_server, *_UNMETERED, data)))
            off, on = statistics.median(found["off"]), statistics.median(found["on"])
            print(f"{what:25} {off:8.2f} {on:8.2f} {on / off:10.2f}", flush=True)
        print(f"{_STORED} rooms at the start: {start(folder):.2f} s")


if __name__ == "__main__":
    main()
