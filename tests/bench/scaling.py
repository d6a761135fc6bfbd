"""How many servers so many people need, and what is exhausted first: plain arithmetic, and a simulation.

`uv run python -m tests.bench.scaling [--svg docs/scaling.svg]` prints both. Every cost is measured, and
docs/scaling.md says by which benchmark. The model adds up. In the simulation, on Trio's
`MockClock`, single lines of chat queue at room servers and at Redis, with the costs as service times. It finds how
long people wait when one of them is nearly busy.
"""

from __future__ import annotations

import argparse
import math
import random
from dataclasses import dataclass
from pathlib import Path

import trio
from trio.testing import MockClock

from tests.bench.scaling_plot import plot

US = 1e-6
KIB = 1024


@dataclass(frozen=True, slots=True)
class Costs:
    """Seconds of one core, bytes, or counts."""

    line: float = 1600 * US
    """A line that is kept, without its deliveries, on a server that is not busy: it has a commit of its own."""
    delivery: float = 15 * US
    """A line to one more person."""
    visit: float = 7600 * US
    """Somebody comes and leaves, in a room of 20, who are told of it."""
    bus: float = 850 * US
    """A message from node to node, both ends together, alone. One of fifty costs 22 µs."""
    session: int = 33 * KIB
    """Memory of a person who is in a room."""
    take_up: float = 1900 * US
    """A room that comes back from the store."""
    redis_line: float = 165 * US
    """Redis's own time for a line that is kept."""
    redis_visit: float = 340 * US
    redis_bus: float = 58 * US
    """Redis's own time for a message between nodes: added, read and trimmed."""
    line_commands: float = 5.6
    """Commands of Redis, with those in its scripts."""
    visit_commands: float = 13.0
    bus_commands: float = 2.0
    line_bytes: int = 374
    """To and from Redis."""
    visit_bytes: int = 690
    bus_bytes: int = 620
    redis_person: int = 1100
    """Memory in Redis of a person and its share of the room."""
    redis_history: int = 11_000
    """Memory in Redis of a room's hundred newest lines."""
    round_trip: float = 0.5e-3
    """To Redis and back, in one data centre."""
    packet_few: float = 19 * US
    """A packet to one of 10 viewers of a stream, at the media server."""
    packet_many: float = 6.7 * US
    """A packet to one of 200."""


COSTS = Costs()
BUSY = 0.5
"""How busy a core may be in plans: what waits for it then waits as long as it works."""
VIEWS, RELAYS = 250, 8
"""The defaults of `--views-per-media-server` and `--relays-per-media-server`."""


@dataclass(frozen=True, slots=True)
class People:
    """What people do. The rates are per second."""

    rooms: int
    in_room: int
    lines: float = 0.1
    """How many lines of chat are said in each room."""
    stay: float = 1800.0
    """Seconds in a room."""
    presenters: int = 2
    """In each room; all others see them, and they see each other."""
    stream: float = 500e3
    """Bit/s of a stream, picture and sound."""
    packets: float = 107.0
    """How many packets a stream has each second: 57 carry the picture and 50 the sound."""

    @property
    def people(self) -> int:
        return self.rooms * self.in_room

    @property
    def views(self) -> int:
        return self.rooms * self.presenters * (self.in_room - 1)


@dataclass(frozen=True, slots=True)
class Spent:
    """What the room servers and Redis do in a second, or in a run if the numbers are those of a run."""

    cores: float
    """Seconds of one core, of all room servers together."""
    redis: float
    """Seconds of Redis's one core."""
    commands: float
    traffic: float
    """Bytes to and from Redis."""
    bus: float
    """Messages between nodes."""


def other_nodes(in_room: int, nodes: int) -> float:
    """How many nodes besides a room's own have some of its people, if these come to any node by chance."""
    return (nodes - 1) * (1 - (1 - 1 / nodes) ** in_room)


def spent(in_room: int, nodes: int, lines: float, told: float, visits: float, costs: Costs = COSTS) -> Spent:
    """What so many lines, deliveries and visits cost.

    A person whose websocket is at another node than the room costs a message for each thing that it says, and for
    each that it alone is told: five for a visit. Each node with such people gets a message for what the room tells
    everybody: that somebody has come, and has left, and each line.
    """
    remote, others = (nodes - 1) / nodes, other_nodes(in_room, nodes)
    bus = lines * (remote + others) + visits * (5 * remote + 2 * others)
    return Spent(
        cores=lines * costs.line + told * costs.delivery + visits * costs.visit + bus * costs.bus,
        redis=lines * costs.redis_line + visits * costs.redis_visit + bus * costs.redis_bus,
        commands=lines * costs.line_commands + visits * costs.visit_commands + bus * costs.bus_commands,
        traffic=lines * costs.line_bytes + visits * costs.visit_bytes + bus * costs.bus_bytes,
        bus=bus,
    )


@dataclass(frozen=True, slots=True)
class Need:
    """What all of them need."""

    nodes: int
    redis_core: float
    """The share of Redis's one core. With more than 1 it cannot be done."""
    redis_commands: float
    redis_memory: float
    """Bytes."""
    redis_bits: float
    memory: float
    """Bytes, of all room servers."""
    media_cores: float
    media_servers: int
    media_bits: float
    """Bit/s that go out to viewers."""


def need(people: People, costs: Costs = COSTS) -> Need:
    """The servers for these people, none of which is more than half busy."""
    lines = people.rooms * people.lines
    visits = people.people / people.stay
    nodes = 1
    while True:
        does = spent(people.in_room, nodes, lines, lines * people.in_room, visits, costs)
        wanted = max(1, math.ceil(does.cores / BUSY))
        if wanted <= nodes:
            break
        nodes = wanted
    packet = costs.packet_few if people.in_room <= 20 else costs.packet_many
    media_cores = people.views * people.packets * packet
    return Need(
        nodes=nodes,
        redis_core=does.redis,
        redis_commands=does.commands,
        redis_memory=people.rooms * (costs.redis_history + people.in_room * costs.redis_person),
        redis_bits=8 * does.traffic,
        memory=people.people * costs.session * (2 - 1 / nodes),
        media_cores=media_cores,
        media_servers=max(math.ceil(media_cores / BUSY), math.ceil(people.views / VIEWS)),
        media_bits=people.views * people.stream,
    )


@dataclass(frozen=True, slots=True)
class Tree:
    """The media servers of one stream."""

    servers: int
    depth: int
    """Relays between the presenter's server and the last viewer."""


def tree(viewers: int, views: int = VIEWS, relays: int = RELAYS) -> Tree:
    """How a stream reaches so many viewers. A relay takes the place of a view at the server where it begins."""
    servers = max(1, math.ceil((viewers - 1) / (views - 1)))
    depth, reached, level = 0, 1, 1
    while reached < servers:
        level *= relays
        reached += level
        depth += 1
    return Tree(servers, depth)


class Station:
    """A core that does one thing after the other."""

    def __init__(self) -> None:
        self._free = 0.0
        self.busy = 0.0
        """Seconds of work that it was given."""

    def take(self, seconds: float) -> float:
        """Give the core work of about so many seconds (spread exponentially). Returns when it will be done."""
        took = random.expovariate(1 / seconds) if seconds else 0.0
        self._free = max(self._free, trio.current_time()) + took
        self.busy += took
        return self._free

    async def work(self, seconds: float) -> None:
        """Wait for the core, and use it."""
        await trio.sleep_until(self.take(seconds))


@dataclass(frozen=True, slots=True)
class Seen:
    """What one simulation has shown."""

    people: int
    nodes: int
    node_busy: float
    redis_busy: float
    median: float
    """Seconds from saying a line to the last person who is told."""
    p99: float


async def simulate(people: People, seconds: float, costs: Costs = COSTS) -> Seen:
    """Let people say lines and come for so many seconds, with as many nodes as the model says."""
    nodes = [Station() for _ in range(need(people, costs).nodes)]
    redis = Station()
    delays: list[float] = []
    others = round(other_nodes(people.in_room, len(nodes)))
    began = trio.current_time()

    async def across(to: list[Station]) -> None:
        """Send a message to each of these nodes. They go to Redis together."""
        await redis.work(len(to) * costs.redis_bus)
        await trio.sleep(costs.round_trip)
        await trio.sleep_until(max(node.take(costs.bus) for node in to))

    async def line() -> None:
        start = trio.current_time()
        home, edge = random.choice(nodes), random.choice(nodes)
        if edge is not home:
            await across([home])
        await home.work(costs.line)
        await redis.work(costs.redis_line)
        await trio.sleep(costs.round_trip)
        await home.work(people.in_room * costs.delivery)
        if others:
            await across(random.choices(nodes, k=others))
        delays.append(trio.current_time() - start)

    async def visit() -> None:
        home = random.choice(nodes)
        await home.work(costs.visit)
        await redis.work(costs.redis_visit)
        if others:
            await across([home] * 3 + random.choices(nodes, k=2 * others))

    async with trio.open_nursery() as nursery:
        lines, visits = people.rooms * people.lines, people.people / people.stay
        while trio.current_time() - began < seconds:
            await trio.sleep(random.expovariate(lines + visits))
            nursery.start_soon(line if random.random() * (lines + visits) < lines else visit)
    took = trio.current_time() - began
    delays.sort()
    return Seen(
        people.people,
        len(nodes),
        sum(node.busy for node in nodes) / len(nodes) / took,
        redis.busy / took,
        delays[len(delays) // 2],
        delays[int(0.99 * len(delays))],
    )


@dataclass(frozen=True, slots=True)
class Return:
    """After a node's death, in seconds from then on."""

    rooms: float
    people: float


async def death(lost: People, others: int, lease: float = 4.0, costs: Costs = COSTS) -> Return:
    """A node with these people dies. So many others share its rooms, and its people come back."""
    nodes = [Station() for _ in range(others)]
    redis = Station()
    # The others are busy with what is theirs, so all work takes longer by that.
    slower = 1 / (1 - BUSY)
    back = {"rooms": 0.0, "people": 0.0}
    began = trio.current_time()

    async def room() -> None:
        home = random.choice(nodes)
        await redis.work(costs.redis_visit)
        await home.work(costs.take_up * slower)
        back["rooms"] = trio.current_time() - began

    async def person() -> None:
        # A page tries again after pauses of up to five seconds.
        await trio.sleep(random.uniform(0, 5))
        home = random.choice(nodes)
        await home.work(costs.visit * slower)
        await redis.work(costs.redis_visit)
        back["people"] = trio.current_time() - began

    await trio.sleep(1.3 * lease)
    async with trio.open_nursery() as nursery:
        for _ in range(lost.rooms):
            nursery.start_soon(room)
        for _ in range(lost.people):
            nursery.start_soon(person)
    return Return(back["rooms"], back["people"])


async def through_tree(viewers: int, packets: int, costs: Costs = COSTS) -> tuple[int, float, float]:
    """Send packets of a stream down the tree. Returns the servers, and the median and greatest delay, seconds."""
    shape = tree(viewers)
    servers = [Station() for _ in range(shape.servers)]
    delays: list[float] = []

    async def pass_on(number: int, sent: float) -> None:
        below = [
            child for child in range(RELAYS * number + 1, RELAYS * number + RELAYS + 1) if child < len(servers)
        ]
        # The relays are among the views, and a view's turn comes when those before it have theirs.
        await servers[number].work((VIEWS / 2) * costs.packet_many)
        for child in below:
            nursery.start_soon(pass_on, child, sent)
        await servers[number].work((VIEWS / 2) * costs.packet_many)
        delays.append(trio.current_time() - sent)

    async with trio.open_nursery() as nursery:
        for _ in range(packets):
            nursery.start_soon(pass_on, 0, trio.current_time())
            await trio.sleep(1 / 107)
    delays.sort()
    return len(servers), delays[len(delays) // 2], delays[-1]


STEPS = (1_000, 3_000, 6_000, 10_000, 13_000, 16_000, 20_000)
"""Rooms with ten people each."""
SECONDS = 2.0
"""The length of each simulation. If more is asked for than can be done, all grows as long as it lasts."""


async def _all() -> list[Seen]:
    print("people     nodes  node busy  Redis busy  line told, median  p99")
    seen = []
    for rooms in STEPS:
        one = await simulate(People(rooms, 10), SECONDS)
        seen.append(one)
        print(
            f"{one.people:9,}  {one.nodes:5}  {one.node_busy:9.0%}  {one.redis_busy:10.0%}"
            f"  {1e3 * one.median:14.1f} ms  {1e3 * one.p99:.1f} ms"
        )
    for others in (1, 2, 9):
        found = await death(People(1_000, 10), others)
        print(
            f"a node of 10,000 people dies, {others} others: rooms are back after {found.rooms:.1f} s, "
            f"people after {found.people:.1f} s"
        )
    for viewers in (1_000, 10_000, 100_000, 1_000_000):
        servers, median, most = await through_tree(viewers, 10)
        print(
            f"{viewers:9,} viewers: {servers:5} media servers, {tree(viewers).depth} hops, "
            f"{1e3 * median:.1f} ms (the last {1e3 * most:.1f})"
        )
    return seen


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--svg", type=Path, help="write the plot to this file")
    svg: Path | None = parser.parse_args().svg
    random.seed(1)
    for people in (People(1_000, 10), People(10_000, 10), People(400, 250, presenters=1)):
        print(people, need(people), sep="\n")
    print(tree(1_000_000))
    seen = trio.run(_all, clock=MockClock(autojump_threshold=0))
    if svg is not None:
        svg.write_text(plot(seen))


if __name__ == "__main__":
    main()
