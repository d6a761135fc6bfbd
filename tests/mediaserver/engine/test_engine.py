"""The engine on real time: what it releases, what it does at once, and when it sleeps."""

import gc
import itertools

import pytest
import trio
import trio.testing
from OpenSSL import SSL
from trio.testing import MockClock

from roomfsm.mediaserver.base.kinds import MediaKind
from roomfsm.mediaserver.base.settings import EngineSettings
from roomfsm.mediaserver.dtls.state import DtlsState
from roomfsm.mediaserver.engine import memory
from roomfsm.mediaserver.engine.engine import Engine, open_engine
from roomfsm.mediaserver.rtp import rtcp
from tests.mediaserver.peer import VP8_KEYFRAME
from tests.mediaserver.stage import PATIENCE, Joined, join, open_stage

# After the handshake


async def until_settled(engine: Engine, monkeypatch: pytest.MonkeyPatch, *joined: Joined) -> None:
    """Let these peers send SRTP, and wait until the state of their handshakes has been released."""
    freed, done = itertools.count(1), trio.Event()

    def memory_freed() -> None:
        if next(freed) == len(joined):
            done.set()

    monkeypatch.setattr(engine, "memory_freed", memory_freed)
    for one in joined:
        one.client.send_rtcp(rtcp.receiver_report(1, ()))
    await done.wait()


def openssl_objects() -> int:
    gc.collect()
    return sum(isinstance(item, SSL.Connection) for item in gc.get_objects())


async def test_goodbyes_work_after_openssls_state_has_been_released(monkeypatch: pytest.MonkeyPatch) -> None:
    async with (
        open_stage(handshake_linger=0.1, report_interval=0.05) as engine,
        join(engine, "sendonly") as publisher,
        join(engine, "recvonly", publisher.peer) as viewer,
    ):
        before = openssl_objects()
        await until_settled(engine, monkeypatch, publisher, viewer)
        assert openssl_objects() == before - 2
        publisher.client.send_rtp(VP8_KEYFRAME)
        await viewer.client.receive_rtp()
        viewer.client.close_notify()
        await viewer.observer.wait_for("media", False)
        assert ("dtls", DtlsState.CLOSED) in viewer.observer.told
        publisher.peer.close()
        await publisher.client.closed.wait()


async def test_openssls_state_is_kept_for_peers_without_srtp_or_in_the_handshake() -> None:
    """A peer that misses some of our last messages repeats its own, and only OpenSSL can repeat ours."""
    async with (
        open_stage(handshake_linger=0.1, report_interval=PATIENCE) as engine,
        join(engine, "sendonly") as silent,
    ):
        before, now = openssl_objects(), engine.now()
        transport = silent.peer._transports[0].transport
        transport.settle(now + 1)
        assert openssl_objects() == before
        silent.client.send_rtp(VP8_KEYFRAME)
        await silent.observer.wait_for("receiving", MediaKind.VIDEO, True)
        transport.receive_dtls(b"\x16", now + 10)
        transport.settle(now + 10.09)
        assert openssl_objects() == before
        transport.settle(now + 10.11)
        assert openssl_objects() == before - 1


async def test_freed_memory_is_returned_once_for_all_peers_that_settle_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given_back: list[float] = []
    now = 0.0
    monkeypatch.setattr(memory, "give_back", lambda: given_back.append(now))
    async with open_stage(handshake_linger=5.0, report_interval=PATIENCE) as engine:
        begin = engine.now()
        for settled, after in ((2, 0.0), (0, 0.5), (1, 4.5), (2, 5.0), (0, 10.0)):
            for _ in range(settled):
                engine.memory_freed()
            now = begin + after
            engine._tick(now)
        assert given_back == [begin, begin + 5.0]


async def test_after_a_pause_of_the_process_the_sockets_are_read_before_anybody_seems_silent(
    monkeypatch: pytest.MonkeyPatch, mock_clock: MockClock
) -> None:
    rounds: list[float] = []
    monkeypatch.setattr(Engine, "_tick", lambda _, now: rounds.append(now))
    async with open_stage(report_interval=0.5):
        await trio.testing.wait_all_tasks_blocked()
        for step in (0.5, 0.5, 2, 0.5, 2, 2, 0.5):
            mock_clock.jump(step)
            await trio.testing.wait_all_tasks_blocked()
    # Of two pauses one after the other, only the first is left out.
    assert rounds == [0.5, 1, 3.5, 7.5, 8]


# Nothing to do, or not much


async def test_a_keyframe_is_asked_for_at_once_even_if_nothing_is_received() -> None:
    async with (
        open_stage(report_interval=PATIENCE) as engine,
        join(engine, "sendonly") as publisher,
        join(engine, "recvonly") as viewer,
    ):
        publisher.client.send_rtp(VP8_KEYFRAME)
        await publisher.observer.wait_for("receiving", MediaKind.VIDEO, True)
        for joined in (publisher, viewer):
            joined.client.stop_checks()
        await trio.testing.wait_all_tasks_blocked(0.1)
        publisher.peer.request_keyframe()
        await publisher.client.receive_feedback(rtcp.KeyframeRequest)


async def test_an_idle_engine_wakes_only_for_its_reports(autojump_clock: trio.testing.MockClock) -> None:
    steps = 0

    class Counted(trio.abc.Instrument):
        def before_task_step(self, task: trio.lowlevel.Task) -> None:
            nonlocal steps
            steps += 1

    async with open_engine(EngineSettings(host="127.0.0.1", report_interval=1.0)):
        await trio.testing.wait_all_tasks_blocked()
        trio.lowlevel.add_instrument(counted := Counted())
        await trio.sleep(10.5)
        trio.lowlevel.remove_instrument(counted)
    assert 10 <= steps <= 12
