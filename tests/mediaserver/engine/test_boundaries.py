"""An unexpected exception affects only what it concerns. It is logged and counted, and others' media go on."""

from __future__ import annotations

import errno
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import structlog
import trio

from roomfsm.jsonrpc import Response
from roomfsm.mediaserver.base import boundary
from roomfsm.mediaserver.base.boundary import Boundary
from roomfsm.mediaserver.base.kinds import MediaKind
from roomfsm.mediaserver.base.settings import EngineSettings
from roomfsm.mediaserver.engine.engine import Engine, Peer
from roomfsm.mediaserver.kurento.limits import Limits
from roomfsm.mediaserver.kurento.methods import Methods
from roomfsm.mediaserver.kurento.registry import Objects
from roomfsm.mediaserver.kurento.server import ClientSocket
from roomfsm.mediaserver.rtp import rtcp
from roomfsm.mediaserver.workers.workers import open_workers
from roomfsm.peer import VIDEO_SSRC
from tests.mediaserver.forwarding.test_relay import open_way
from tests.mediaserver.kurento_client import Client, open_client, open_server
from tests.mediaserver.observer import RecordingObserver
from tests.mediaserver.peer import VP8_DELTA, VP8_KEYFRAME, open_test_peer
from tests.mediaserver.stage import Joined, join, open_stage

PATIENCE = 180.0
VIDEO = MediaKind.VIDEO


class Unforeseen(Exception):
    """An exception that nobody catches by name."""


def sabotage(monkeypatch: pytest.MonkeyPatch, victim: object, name: str) -> list[str]:
    """Make a method of this object raise. The list has an entry for each time that it did."""
    kind = type(victim)
    original = getattr(kind, name)
    raised: list[str] = []

    def broken(self: object, *arguments: Any, **named: Any) -> Any:
        if self is victim:
            raised.append(name)
            raise Unforeseen(name)
        return original(self, *arguments, **named)

    monkeypatch.setattr(kind, name, broken)
    return raised


@dataclass(frozen=True, slots=True)
class Room:
    """A presenter with two viewers, one of whom will have a fault, and another presenter with a viewer."""

    engine: Engine
    presenter: Joined
    bad: Joined
    good: Joined
    other_presenter: Joined
    other: Joined

    async def others_are_served(self) -> None:
        """Check that a new picture reaches the viewers who are not concerned."""
        for presenter, viewer in ((self.presenter, self.good), (self.other_presenter, self.other)):
            timestamp = 90_000 * (1 + len(presenter.client.sent))
            presenter.client.send_rtp(VP8_KEYFRAME, timestamp=timestamp)
            mark = timestamp.to_bytes(8)
            presenter.client.send_rtp(VP8_DELTA + mark, timestamp=timestamp + 3000)
            while not (await viewer.client.receive_rtp()).payload.endswith(mark):
                pass


@asynccontextmanager
async def open_room(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Room]:
    monkeypatch.setattr("tests.mediaserver.stage.PATIENCE", PATIENCE)
    async with (
        open_stage() as engine,
        join(engine, "sendonly") as presenter,
        join(engine, "sendonly") as other_presenter,
        join(engine, "recvonly", presenter.peer) as bad,
        join(engine, "recvonly", presenter.peer) as good,
        join(engine, "recvonly", other_presenter.peer) as other,
    ):
        room = Room(engine, presenter, bad, good, other_presenter, other)
        await room.others_are_served()
        yield room


def ask_nothing(room: Room) -> None:
    """The engine calls this by itself."""


def send_stun(room: Room) -> None:
    room.bad.client.check()


def viewer_reports(room: Room) -> None:
    room.bad.client.send_rtcp(rtcp.receiver_report(1, ()))


def viewer_asks(room: Room) -> None:
    ours = room.engine.ssrcs[VIDEO]
    room.bad.client.send_rtcp(rtcp.receiver_report(1, ()) + rtcp.pli(1, ours))


def viewer_sends(room: Room) -> None:
    room.bad.client.send_rtp(VP8_DELTA, payload_type=96)


def viewer_handshakes(room: Room) -> None:
    room.bad.client.send(bytes((22,)) + bytes(40))


def presenter_reports(room: Room) -> None:
    report = rtcp.SenderReport(VIDEO_SSRC, 1 << 32, 0, 1, 1)
    room.presenter.client.send_rtcp(rtcp.sender_report(VIDEO_SSRC, report))


def presenter_loses(room: Room) -> None:
    room.presenter.client.send_rtp(VP8_DELTA, timestamp=1, lose=True)
    room.presenter.client.send_rtp(VP8_DELTA, timestamp=2)


def presenter_sends(room: Room) -> None:
    room.presenter.client.send_rtp(VP8_DELTA, timestamp=3)


def transport(peer: Peer) -> object:
    return peer._transports[0].transport


FAULTS: list[tuple[Callable[[Room], object], str, Callable[[Room], None]]] = [
    (lambda room: transport(room.bad.peer), "receive_stun", send_stun),
    (lambda room: transport(room.bad.peer), "receive_dtls", viewer_handshakes),
    (lambda room: transport(room.bad.peer), "receive_rtcp", viewer_reports),
    (lambda room: transport(room.bad.peer), "receive_rtp", viewer_sends),
    (lambda room: room.bad.peer, "rtcp_received", viewer_reports),
    (lambda room: room.bad.peer, "tick", ask_nothing),
    (lambda room: room.bad.peer, "send_rtcp", presenter_reports),
    (lambda room: room.bad.peer._sinks[VIDEO], "bitrate", ask_nothing),
    (lambda room: room.presenter.peer.track(VIDEO), "attend", presenter_loses),
    (lambda room: room.presenter.peer.track(VIDEO), "check_flow", ask_nothing),
]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: str(fault[1]))
async def test_a_fault_of_one_peer_does_not_stop_the_others_media(
    monkeypatch: pytest.MonkeyPatch, fault: tuple[Callable[[Room], object], str, Callable[[Room], None]]
) -> None:
    find, name, provoke = fault
    async with open_room(monkeypatch) as room:
        before = sum(boundary.faults.values())
        raised = sabotage(monkeypatch, find(room), name)
        while not raised:
            provoke(room)
            await trio.sleep(0.02)
        await room.others_are_served()
        assert sum(boundary.faults.values()) - before >= len(raised)
        assert room.engine.stats().faults == boundary.faults


@pytest.mark.parametrize(
    "spoil",
    [
        lambda sink: setattr(sink, "address", None),
        lambda sink: setattr(sink, "address", ("127.0.0.1", -1)),
        lambda sink: setattr(sink, "handle", object()),
        lambda sink: setattr(sink, "tag_length", None),
    ],
    ids=["no address", "a wrong address", "no keys", "no tag"],
)
async def test_a_viewer_to_whom_nothing_can_be_sent_costs_the_others_no_packet(
    monkeypatch: pytest.MonkeyPatch, spoil: Callable[[Any], None]
) -> None:
    async with open_room(monkeypatch) as room:
        before = boundary.faults["sending to one browser"]
        spoil(room.bad.peer._sinks[VIDEO])
        for _ in range(3):
            await room.others_are_served()
        assert boundary.faults["sending to one browser"] > before


async def test_a_group_that_cannot_be_written_costs_the_others_no_packet(monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_room(monkeypatch) as room:
        # A viewer that has moved from another source is in a group of its own.
        room.other_presenter.peer.connect(room.bad.peer)
        await room.others_are_served()
        room.presenter.peer.connect(room.bad.peer)
        await room.others_are_served()
        group = room.bad.peer._sinks[VIDEO].group
        assert group is not None
        assert group is not room.good.peer._sinks[VIDEO].group
        raised = sabotage(monkeypatch, group, "rewrite")
        await room.others_are_served()
        assert raised


@pytest.mark.parametrize(
    ("find", "event"),
    [
        (lambda room: room.bad.observer, "sending_changed"),
        (lambda room: room.presenter.observer, "receiving_changed"),
    ],
    ids=["a viewer's", "the presenter's"],
)
async def test_an_observer_that_raises_when_media_flow_again_costs_nobody_a_packet(
    monkeypatch: pytest.MonkeyPatch, find: Callable[[Room], object], event: str
) -> None:
    async with open_room(monkeypatch) as room:
        room.presenter.peer.track(VIDEO)._set_flowing(False)
        raised = sabotage(monkeypatch, find(room), event)
        await room.others_are_served()
        assert raised


async def test_closing_one_that_fails_closes_it_and_all_others(monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_room(monkeypatch) as room:
        raised = sabotage(monkeypatch, transport(room.bad.peer), "close")
        room.bad.peer.close()
        assert raised
        assert room.engine.peers == 4
        await room.others_are_served()


async def test_a_mirror_that_raises_costs_no_other_packet_from_its_worker(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async with open_way(tmp_path, VIDEO) as way:
        raised = sabotage(monkeypatch, way.mirror, "sender_report")
        report = rtcp.SenderReport(VIDEO_SSRC, 1 << 32, 0, 1, 1)
        way.publisher.send_rtp(VP8_KEYFRAME)
        assert (await way.viewer.receive_rtp()).payload == VP8_KEYFRAME
        way.publisher.send_rtcp(rtcp.sender_report(VIDEO_SSRC, report))
        way.publisher.send_rtp(VP8_DELTA)
        while (await way.viewer.receive_rtp()).payload != VP8_DELTA:
            pass
        assert raised


async def test_a_report_that_cannot_be_taken_leaves_the_worker_and_its_peers_alive(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tests.mediaserver.stage.PATIENCE", PATIENCE)
    with trio.fail_after(PATIENCE):
        async with (
            open_workers(EngineSettings(host="127.0.0.1"), 1) as workers,
            join(workers, "sendonly") as presenter,
            join(workers, "recvonly", presenter.peer) as viewer,
        ):
            doomed = RecordingObserver()
            raised = sabotage(monkeypatch, doomed, "ice_state_changed")
            peer = workers.open_peer(doomed)
            async with open_test_peer("recvonly") as client:
                await client.accept(peer.process_offer(client.offer))
            assert raised
            presenter.client.send_rtp(VP8_KEYFRAME)
            assert (await viewer.client.receive_rtp()).payload == VP8_KEYFRAME
            assert workers.workers[0].starts == 1


@pytest.mark.parametrize("victim", ["packet_info.several_addresses", "memory.give_back"])
async def test_a_fault_in_looking_after_addresses_or_memory_ends_nobodys_media(
    monkeypatch: pytest.MonkeyPatch, victim: str
) -> None:
    """The system is asked for the addresses, which fails if no file descriptor is left."""
    asked: list[None] = []

    def fail() -> bool:
        asked.append(None)
        raise OSError(errno.EMFILE, "Too many open files")

    async with open_stage(report_interval=0.02, handshake_linger=0.0) as engine:
        monkeypatch.setattr(engine, "_tells_addresses", True)  # As on all addresses.
        monkeypatch.setattr("roomfsm.mediaserver.engine.engine._ADDRESSES_INTERVAL", 0.0)
        monkeypatch.setattr(f"roomfsm.mediaserver.engine.{victim}", fail)
        with trio.fail_after(PATIENCE):
            while len(asked) < 3:
                engine.memory_freed()
                await trio.sleep(0.02)
        async with join(engine, "sendonly") as presenter, join(engine, "recvonly", presenter.peer) as viewer:
            presenter.client.send_rtp(VP8_KEYFRAME)
            assert (await viewer.client.receive_rtp()).payload == VP8_KEYFRAME


# Requests


@asynccontextmanager
async def open_broadcast(
    limits: Limits | None = None,
) -> AsyncIterator[tuple[str, Client, str, Callable[[], Awaitable[None]]]]:
    """The server's address, a client of it, its pipeline, and what checks that another client's media flow."""
    with trio.fail_after(PATIENCE):
        async with (
            open_server(limits) as server,
            open_client(server.url) as client,
            open_client(server.url) as bystander,
            open_test_peer("sendonly") as presenter,
            open_test_peer("recvonly") as viewer,
        ):
            pipeline = await bystander.pipeline()
            source, sink = await bystander.endpoint(pipeline), await bystander.endpoint(pipeline)
            await bystander.invoke(source, "connect", sink=sink)
            for endpoint, peer in ((source, presenter), (sink, viewer)):
                await peer.accept(await bystander.invoke(endpoint, "processOffer", offer=peer.offer))

            async def flows() -> None:
                presenter.send_rtp(VP8_KEYFRAME, timestamp=90_000 * len(presenter.sent))
                while (await viewer.receive_rtp()).payload != VP8_KEYFRAME:
                    pass
                assert (await bystander.request("ping"))["result"]["value"] == "pong"

            await flows()
            yield server.url, client, await client.pipeline(), flows


@pytest.mark.parametrize(
    ("owner", "name", "operation"),
    [
        (Peer, "process_offer", "processOffer"),
        (Peer, "gather_candidates", "gatherCandidates"),
        (Peer, "generate_offer", "generateOffer"),
    ],
)
async def test_a_request_that_raises_is_answered_40003_and_media_flow_on(
    monkeypatch: pytest.MonkeyPatch, owner: type, name: str, operation: str
) -> None:
    async with open_broadcast() as (_, client, pipeline, flows):
        endpoint = await client.endpoint(pipeline)
        arguments = {"offer": "v=0"} if operation == "processOffer" else {}
        if operation == "gatherCandidates":
            async with open_test_peer("recvonly") as peer:
                await client.invoke(endpoint, "processOffer", offer=peer.offer)

        def broken(self: object, *arguments: object) -> None:
            raise Unforeseen(name)

        with monkeypatch.context() as patched:
            patched.setattr(owner, name, broken)
            code, message = await client.invoke_error(endpoint, operation, **arguments)
        assert code == 40003
        assert message == "Unexpected error: Unforeseen, see the media server's log"
        await flows()
        assert await client.invoke(pipeline, "getName") == pipeline


async def test_in_a_transaction_a_fault_is_the_error_of_one_operation(monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_broadcast() as (_, client, pipeline, flows):
        endpoint = await client.endpoint(pipeline)
        monkeypatch.setattr(Peer, "generate_offer", _raise)
        operations = [
            {"id": 0, "method": "describe", "params": {"object": endpoint}},
            {"id": 1, "method": "invoke", "params": {"object": endpoint, "operation": "generateOffer"}},
        ]
        done, failed = await client.call("transaction", operations=operations)
        assert "result" in done
        assert failed["error"]["code"] == 40003
        await flows()


async def test_an_object_whose_end_raises_is_gone_nevertheless(monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_broadcast() as (_, client, pipeline, flows):
        endpoint = await client.endpoint(pipeline)
        with monkeypatch.context() as patched:
            patched.setattr(Peer, "close", _raise)
            assert (await client.error("release", object=endpoint))[0] == 40003
        assert (await client.error("describe", object=endpoint))[0] == 40101
        await flows()


async def test_a_reply_that_cannot_be_written_ends_nobodys_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_broadcast() as (_, client, pipeline, flows):
        monkeypatch.setattr(Methods, "_write", _raise)
        assert (await client.error("describe", object=pipeline))[0] == 40003
        monkeypatch.undo()
        await flows()


async def test_if_a_clients_connection_raises_only_that_one_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_broadcast() as (url, _, _, flows):
        with monkeypatch.context() as patched:
            patched.setattr(ClientSocket, "serve", _raise_later)
            async with open_client(url) as doomed:
                await doomed.closed()
        await flows()


async def test_an_event_that_cannot_be_delivered_to_one_reaches_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with open_broadcast() as (url, client, pipeline, flows):
        async with open_client(url) as deaf:
            for one in (deaf, client):
                await one.call("subscribe", object="manager_ServerManager", type="ObjectCreated")
            raised: list[str] = []
            original = ClientSocket.push

            def push(self: ClientSocket, text: str) -> None:
                if not raised:
                    raised.append(text)
                    raise Unforeseen
                original(self, text)

            monkeypatch.setattr(ClientSocket, "push", push)
            await client.endpoint(pipeline)
            with trio.fail_after(PATIENCE):
                while not any(one.events("ObjectCreated") for one in (client, deaf)):  # noqa: ASYNC110
                    await trio.sleep(0.01)
            assert raised
        await flows()


async def test_after_a_round_of_the_collector_that_raises_others_follow(monkeypatch: pytest.MonkeyPatch) -> None:
    rounds: list[None] = []

    def collect(self: Objects) -> None:
        rounds.append(None)
        raise Unforeseen

    monkeypatch.setattr(Objects, "collect", collect)
    async with open_broadcast(Limits(collector_period=0.02)) as (_, _, _, flows):
        with trio.fail_after(PATIENCE):
            while len(rounds) < 3:  # noqa: ASYNC110
                await trio.sleep(0.01)
        await flows()


def test_a_fault_is_logged_with_its_cause_once_a_second() -> None:
    entries: list[Any] = []
    boundary_of_this_test = Boundary("a test")

    def keep(_logger: Any, _name: str, entry: Any) -> Any:
        entries.append(entry)
        raise structlog.DropEvent

    before = structlog.get_config()
    structlog.configure(processors=[keep], cache_logger_on_first_use=False)
    try:
        for _ in range(1000):
            with boundary_of_this_test:
                raise Unforeseen("the cause")
    finally:
        structlog.configure(**before)
    assert 1 <= len(entries) <= 3
    assert entries[0]["what"] == "a test"
    assert "Unforeseen: the cause" in entries[0]["exception"]
    assert boundary.faults["a test"] == 1000


async def test_a_boundary_lets_cancellation_pass() -> None:
    with trio.move_on_after(0) as scope:
        with Boundary("a test"):
            await trio.sleep_forever()
        pytest.fail("it was swallowed")
    assert scope.cancelled_caught


def _raise(*_arguments: object, **_named: object) -> Response:
    raise Unforeseen


async def _raise_later(*_arguments: object) -> int:
    await trio.lowlevel.checkpoint()
    raise Unforeseen
