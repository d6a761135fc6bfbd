"""Given two nodes, when one passes requests on to the other, then they arrive as they were, and bounded."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import h11
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from roomfsm.door.conversation import BodyBound, ServeHttp
from roomfsm.door.conversation import Exchange as HttpExchange
from roomfsm.door.judge import RequestHead
from roomfsm.door.settings import DoorSettings
from roomfsm.nodes.exchange import Exchange
from roomfsm.nodes.flow import Credit
from roomfsm.nodes.messages import Answer, AnswerPart, BodyPart, Gone, Request
from roomfsm.web.across import Across
from roomfsm.web.links import PART, UNDER_WAY, WINDOW
from roomfsm.web.others import Heard, Others
from roomfsm.web.settings import WebSettings
from tests.nodes.memory_bus import MemoryBus

ROOM = "/inspect/api/rooms/green"
IN_PARTS = ((b"host", b"rooms.example"), (b"transfer-encoding", b"chunked"))


class Client:
    """A client's request at the front door of the edge. Implements `HttpExchange`."""

    def __init__(
        self,
        method: str = "GET",
        target: str = ROOM,
        fields: tuple[tuple[bytes, bytes], ...] = ((b"host", b"rooms.example"),),
        address: str = "192.0.2.7",
    ) -> None:
        self.head = RequestHead(method, target, "1.1", fields)
        self.secure = True
        self.client = (address, 50_000)
        self.server = ("198.51.100.1", 443)
        self.to_bring, self._body = trio.open_memory_channel[bytes | None](10_000)
        self.reads = Credit(10_000)
        """How many parts of the answer the client reads."""
        self.asked = 0
        """How often a part of the body was asked for."""
        self.status = 0
        self.headers: dict[str, str] = {}
        self.body = bytearray()
        self.over = trio.Event()
        """Set when the whole answer has come."""

    @property
    def whole(self) -> bool:
        return self.over.is_set()

    def bring(self, *parts: bytes | None) -> None:
        """Send parts of the body. An empty one is its end; with None the client goes."""
        for part in parts:
            self.to_bring.send_nowait(part)

    async def receive(self) -> bytes | None:
        self.asked += 1
        if not self.head.has_body and self.asked == 1:
            return b""
        return await self._body.receive()

    async def send(self, event: h11.Response | h11.Data | h11.EndOfMessage) -> None:
        await self.reads.take()
        match event:
            case h11.Response():
                self.status = event.status_code
                self.headers = {name.decode(): value.decode() for name, value in event.headers}
            case h11.Data():
                self.body += event.data
            case _:
                self.over.set()


class Rooms:
    """All rooms are at node two."""

    async def of_room(self, room: str) -> str | None:
        return "two"

    async def known_room(self, room: str) -> str | None:
        return "two"

    async def give_back(self, room: str) -> None:
        """Every room has a node."""


class Pair:
    """Node one, which is asked, and node two, which answers by `serve`."""

    def __init__(self, nursery: trio.Nursery, settings: WebSettings, door: DoorSettings) -> None:
        self.nursery = nursery
        self.buses: dict[str, MemoryBus] = {}
        self.serve: ServeHttp = answer("Two says hello.")
        self.across: dict[str, Across] = {}
        self.here = 0
        """How many requests node one has answered."""
        for node, serve in (("one", self._serve_one), ("two", self._serve_two)):
            exchange = Exchange(MemoryBus(node, self.buses))
            across = Across(Others(1.0), None, serve, _bound_of, settings, door)
            handler = across.cross(nursery, exchange, Rooms(), lambda: ["two"])
            nursery.start_soon(exchange.run, handler)
            self.across[node] = across

    async def _serve_one(self, exchange: HttpExchange) -> None:
        self.here += 1
        await answer("One says hello.")(exchange)

    async def _serve_two(self, exchange: HttpExchange) -> None:
        await self.serve(exchange)

    async def ask(self, client: Client) -> Client:
        await self.across["one"].serve(client)
        return client

    def begin(self, client: Client) -> Client:
        """Ask, and do not wait for the answer."""
        self.nursery.start_soon(self.ask, client)
        return client

    def count(self, sender: str, to: str, kind: type[Any]) -> int:
        """How many messages of this kind, which are no ends, a node has sent."""
        messages = self.buses[sender].messages_to(to)
        return sum(isinstance(one, kind) and getattr(one, "data", b"x") != b"" for one in messages)


def _bound_of(head: RequestHead) -> BodyBound | None:
    return BodyBound(10_000_000, 60.0) if head.target.startswith("/files/") else None


@asynccontextmanager
async def pair(door: DoorSettings | None = None, **web: Any) -> AsyncIterator[Pair]:
    with trio.fail_after(600):
        async with trio.open_nursery() as nursery:
            yield Pair(nursery, WebSettings(**web), door or DoorSettings())
            nursery.cancel_scope.cancel()


def answer(*parts: str | bytes) -> ServeHttp:
    """Answers each request so, whatever it is."""

    async def serve(exchange: HttpExchange) -> None:
        await exchange.send(h11.Response(status_code=203, headers=[("X-Said", "so")]))
        for part in parts:
            await exchange.send(h11.Data(part.encode() if isinstance(part, str) else part))
        await exchange.send(h11.EndOfMessage())

    return serve


async def never(_: HttpExchange) -> None:
    await trio.sleep_forever()


def silent(client: Client) -> bool:
    """Whether the client was told that the other node does not answer."""
    assert (client.status, client.whole) == (503, True), client.status
    assert client.headers["retry-after"] == "5"
    assert client.headers["content-type"] == "application/problem+json"
    return bool(json.loads(client.body)["code"] == "node_silent")


async def until(holds: Callable[[], object]) -> None:
    while not holds():
        await wait_all_tasks_blocked(0.001)


@pytest.mark.parametrize(
    "target",
    [
        ROOM,
        f"{ROOM}/journal?x=1",
        "/api/v1/rooms/Gr%C3%BCn",
        "/api/v1/rooms/green/people/p1/kick",
        "/files/two.abcdefgh",
    ],
)
async def test_a_request_arrives_as_it_was(target: str) -> None:
    async with pair() as nodes:
        came: list[HttpExchange] = []

        async def serve(exchange: HttpExchange) -> None:
            came.append(exchange)
            assert [await exchange.receive() for _ in range(3)] == [b"ab", b"c", b""]
            await answer("a", b"", "bc")(exchange)

        nodes.serve = serve
        client = Client("POST", target, IN_PARTS)
        client.bring(b"ab", b"c", b"")
        await nodes.ask(client)
        (exchange,) = came
        assert (exchange.head, exchange.secure) == (client.head, True)
        assert (exchange.client, exchange.server) == (client.client, client.server)
        assert (client.status, client.headers["x-said"], bytes(client.body)) == (203, "so", b"abc")
        assert client.whole
        assert nodes.here == 0


@pytest.mark.parametrize(
    "target", ["/", "/api/rooms", "/api/v1/rooms", "/files/abcdefgh", "/files/three.abc", "*"]
)
async def test_what_belongs_to_no_other_node_is_answered_here(target: str) -> None:
    async with pair() as nodes:
        assert (await nodes.ask(Client(target=target))).body == b"One says hello."
        assert nodes.buses["one"].sent == []


async def test_a_slow_reader_holds_back_its_answer_and_no_other() -> None:
    async with pair() as nodes:
        content = bytes(range(256)) * 64 * 1024
        nodes.serve = answer(content)
        slow = Client()
        slow.reads = Credit(0)
        nodes.begin(slow)
        await until(lambda: nodes.count("two", "one", AnswerPart))
        await wait_all_tasks_blocked()
        assert nodes.count("two", "one", AnswerPart) == WINDOW
        assert (await nodes.ask(Client())).body == content
        # The head, and one part.
        slow.reads.give(2)
        await until(lambda: slow.body)
        await wait_all_tasks_blocked()
        assert nodes.count("two", "one", AnswerPart) == WINDOW + 1 + len(content) // PART
        slow.reads.give(10_000)
        await slow.over.wait()
        assert slow.body == content
        assert max(len(data) for _, data in nodes.buses["two"].sent) < PART + 100


async def test_a_slow_node_holds_back_the_body() -> None:
    async with pair() as nodes:
        takes, taken = trio.Event(), bytearray()

        async def serve(exchange: HttpExchange) -> None:
            taken.extend(await exchange.receive() or b"")
            await takes.wait()
            while data := await exchange.receive():
                taken.extend(data)
            await answer("taken")(exchange)

        nodes.serve = serve
        parts = [bytes([number % 256]) * 1000 for number in range(300)]
        client = Client("PUT", "/files/two.abcdefgh", IN_PARTS)
        client.bring(*parts, b"")
        nodes.begin(client)
        await until(lambda: len(taken))
        await wait_all_tasks_blocked()
        # One part is taken, and that gives room for another one.
        assert nodes.count("one", "two", BodyPart) == WINDOW + 1
        takes.set()
        await client.over.wait()
        assert bytes(taken) == b"".join(parts)
        assert client.body == b"taken"


async def test_so_much_and_no_more_is_on_its_way_to_a_node() -> None:
    async with pair() as nodes:
        nodes.serve = answer(bytes(WINDOW * PART))
        # What node two says is held up, as by a Redis that is away.
        nodes.buses["one"].flows = trio.Event()
        clients = [nodes.begin(Client()) for _ in range(UNDER_WAY // WINDOW + 3)]
        await until(lambda: nodes.count("two", "one", AnswerPart) >= UNDER_WAY)
        await wait_all_tasks_blocked()
        assert nodes.count("two", "one", AnswerPart) == UNDER_WAY
        nodes.buses["one"].flows.set()
        for client in clients:
            await client.over.wait()
            assert len(client.body) == WINDOW * PART


async def test_when_the_client_goes_the_other_node_learns_it() -> None:
    async with pair() as nodes:
        gone = trio.Event()

        async def serve(exchange: HttpExchange) -> None:
            await exchange.send(h11.Response(status_code=200, headers=[]))
            async with trio.open_nursery() as nursery:

                @nursery.start_soon
                async def talk() -> None:
                    await exchange.send(h11.Data(bytes(10 * WINDOW * PART)))

                while await exchange.receive() is not None:
                    pass
            gone.set()

        nodes.serve = serve
        client = Client()
        client.reads = Credit(0)
        nodes.begin(client)
        await until(lambda: nodes.count("two", "one", AnswerPart) == WINDOW)
        client.bring(None)
        await gone.wait()
        await nodes.buses["one"].until_sent(Gone)
        assert not client.whole


async def test_the_front_doors_objection_to_a_body_is_the_answer() -> None:
    async with pair() as nodes:
        client = Client("POST", ROOM, IN_PARTS)
        client.bring(b"too much", None)
        ended = trio.Event()

        async def serve(exchange: HttpExchange) -> None:
            assert await exchange.receive() == b"too much"
            assert await exchange.receive() is None
            ended.set()

        nodes.serve = serve
        await nodes.ask(client)
        await ended.wait()
        # The conversation sends it now.
        assert client.status == 0


async def test_a_body_that_nobody_wants_is_not_read() -> None:
    async with pair() as nodes:
        client = Client("PUT", "/files/two.abcdefgh", IN_PARTS)
        assert (await nodes.ask(client)).body == b"Two says hello."
        assert client.asked == 0


@pytest.mark.parametrize("begun", [False, True])
async def test_the_answer_when_the_link_breaks(begun: bool) -> None:
    async with pair() as nodes:
        over, reached = trio.Event(), trio.Event()

        async def serve(exchange: HttpExchange) -> None:
            if begun:
                await exchange.send(h11.Response(status_code=200, headers=[]))
                await exchange.send(h11.Data(b"half of it"))
            reached.set()
            while await exchange.receive() is not None:
                pass
            # Nobody hears that any more.
            await answer(bytes(10 * WINDOW * PART))(exchange)
            over.set()

        nodes.serve = serve
        client = nodes.begin(Client())
        await reached.wait()
        await until(lambda: client.body or not begun)
        nodes.buses["one"].break_off("two")
        await over.wait()
        await wait_all_tasks_blocked()
        if begun:
            assert (client.status, bytes(client.body), client.whole) == (200, b"half of it", False)
        else:
            assert silent(client)
        nodes.serve = answer("Here again.")
        assert (await nodes.ask(Client())).body == b"Here again."


@pytest.mark.parametrize(("node", "other"), [("one", "two"), ("two", "one")])
async def test_what_one_node_has_lost_the_other_one_gives_up(node: str, other: str) -> None:
    async with pair() as nodes:
        over, reached = trio.Event(), trio.Event()

        async def serve(exchange: HttpExchange) -> None:
            reached.set()
            while await exchange.receive() is not None:
                pass
            over.set()

        nodes.serve = serve
        client = nodes.begin(Client())
        await reached.wait()
        # As if a message was not understood.
        passage = nodes.across[node]._passage
        assert passage is not None
        passage.lose(other)
        await over.wait()
        await client.over.wait()
        assert silent(client)


async def test_a_link_that_breaks_under_full_load_carries_as_much_as_before() -> None:
    async with pair() as nodes:
        nodes.serve = answer(bytes(2 * WINDOW * PART))
        nodes.buses["one"].flows = trio.Event()
        lost = [nodes.begin(Client()) for _ in range(UNDER_WAY)]
        await until(lambda: nodes.count("two", "one", AnswerPart) >= UNDER_WAY)
        nodes.buses["one"].break_off("two")
        nodes.buses["one"].flows.set()
        await until(lambda: all(client.whole or client.status == 203 for client in lost))
        for client in [nodes.begin(Client()) for _ in range(UNDER_WAY)]:
            await client.over.wait()
            assert len(client.body) == 2 * WINDOW * PART


async def test_a_node_that_fails_to_answer() -> None:
    async with pair() as nodes:

        async def serve(_: HttpExchange) -> None:
            raise RuntimeError("a mistake")

        nodes.serve = serve
        assert silent(await nodes.ask(Client()))
        assert (await nodes.ask(Client("HEAD"))).body == b""


async def test_a_node_that_says_nothing_is_waited_for_so_long(autojump_clock: MockClock) -> None:
    async with pair(node_answer_timeout=7.0) as nodes:
        nodes.serve = never
        began = trio.current_time()
        assert silent(await nodes.ask(Client()))
        assert trio.current_time() - began == pytest.approx(7.0, abs=0.5)
        await nodes.buses["one"].until_sent(Gone)


async def test_only_the_time_of_the_other_node_counts(autojump_clock: MockClock) -> None:
    async with pair(node_answer_timeout=7.0) as nodes:

        async def serve(exchange: HttpExchange) -> None:
            for part in (b"a", b"b", b""):
                assert await exchange.receive() == part
                await trio.sleep(5)
            await exchange.send(h11.Response(status_code=200, headers=[]))
            await trio.sleep(100)
            await exchange.send(h11.EndOfMessage())

        nodes.serve = serve
        client = nodes.begin(Client("POST", ROOM, IN_PARTS))
        for part in (b"a", b"b", b""):
            # The front door has a deadline for the client.
            await trio.sleep(50)
            client.bring(part)
        await client.over.wait()
        assert client.status == 200


async def test_a_node_answers_so_many_requests_at_a_time() -> None:
    async with pair(node_requests=3) as nodes:
        goes_on, there = trio.Event(), 0

        async def serve(exchange: HttpExchange) -> None:
            nonlocal there
            there += 1
            await goes_on.wait()
            await answer("at last")(exchange)

        nodes.serve = serve
        clients = [nodes.begin(Client()) for _ in range(3)]
        await until(lambda: there == 3)
        one_too_many = await nodes.ask(Client())
        assert (one_too_many.status, one_too_many.headers["retry-after"]) == (503, "5")
        goes_on.set()
        for client in clients:
            await client.over.wait()
        assert (await nodes.ask(Client())).body == b"at last"
        assert there == 4


@pytest.mark.parametrize(("target", "fits"), [(ROOM, False), ("/files/two.abcdefgh", True)])
async def test_bodies_of_other_nodes_take_so_much_memory(target: str, fits: bool) -> None:
    door = DoorSettings(max_bodies_bytes=3000, max_bodies_bytes_per_address=2000)
    async with pair(door) as nodes:

        async def serve(exchange: HttpExchange) -> None:
            while data := await exchange.receive():
                pass
            if data is not None:
                await answer("whole")(exchange)

        nodes.serve = serve
        for size, whole in ((2000, True), (2001, fits), (2000, True)):
            client = Client("POST", target, IN_PARTS)
            client.bring(bytes(1000), bytes(size - 1000), b"")
            await nodes.ask(client)
            assert client.whole
            assert client.status == (203 if whole else 503), size


async def test_a_room_that_is_always_elsewhere() -> None:
    async with pair() as nodes:

        async def serve(exchange: HttpExchange) -> None:
            assert [await exchange.receive(), await exchange.receive()] == [b'{"name": "x"}', b""]
            await exchange.send(h11.Response(status_code=421, headers=[("Roomfsm-Node", "two")]))
            await exchange.send(h11.Data(b"not to be seen"))
            await exchange.send(h11.EndOfMessage())

        nodes.serve = serve
        nodes._serve_one = serve  # type: ignore[method-assign]
        nodes.across["one"]._serve_here = serve
        client = Client("POST", "/api/v1/rooms", IN_PARTS)
        client.bring(b'{"name": "x"}', b"")
        assert silent(await nodes.ask(client))
        assert nodes.count("one", "two", Request) == 2


async def test_what_a_node_may_not_send_ends_the_request() -> None:
    async with pair() as nodes:
        nodes.serve = never
        slow = Client()
        slow.reads = Credit(0)
        nodes.begin(slow)
        await nodes.buses["one"].until_sent(Request)
        (number,) = (one.number for one in nodes.buses["one"].messages_to("two") if isinstance(one, Request))
        handler = nodes.across["one"]._passage
        assert handler is not None
        for sender, left in (("three", 1), ("two", 0)):
            handler.handle(sender, Answer(number, 200, ()))
            # One part more than there is room for.
            for _ in range(WINDOW + 3):
                handler.handle(sender, AnswerPart(number, b"x"))
            assert len(handler.asking) == left


async def test_what_others_have_is_asked_for_once_in_a_second(autojump_clock: MockClock) -> None:
    others, asked = Others(0.5), list[str]()

    async def ask(node: str, about: str) -> bytes | None:
        asked.append(node)
        if node == "late":
            await trio.sleep(0.6)
        elif node == "slow":
            await trio.sleep(0.4)
        said = {"gone": None, "new": b'{"of": "another version"}'}
        return said.get(node, f'"{about} of {node}"'.encode())

    assert await others.hear("rooms", str) == Heard()
    others.meet(Rooms(), lambda: ["two", "slow", "late", "gone", "new"], ask)
    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(others.hear, "rooms", str)
    heard = await others.hear("rooms", str)
    assert heard.answers == ["rooms of slow", "rooms of two"]
    assert heard.missing == ["gone", "late", "new"]
    assert sorted(asked) == ["gone", "late", "new", "slow", "two"]
    await others.hear("numbers", str)
    await trio.sleep(0.9)
    await others.hear("numbers", str)
    assert len(asked) == 10
    await trio.sleep(0.2)
    await others.hear("numbers", str)
    assert len(asked) == 15
