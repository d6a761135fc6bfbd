"""Sessions recorded with a real Kurento 7.3, replayed: the same answers and events, but for listed differences."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import pytest
import trio

from roomfsm.mediaserver.base.settings import EngineSettings
from roomfsm.mediaserver.kurento.limits import Limits
from tests.mediaserver.kurento.differences import DIFFERENCES, Kind
from tests.mediaserver.kurento.recorded import Replayer, open_replayer

PATIENCE = 180.0
"""Seconds that one replay may take."""

type Act = Callable[[Replayer], None]


def browser(number: int, act: str) -> Act:
    """What the browser of that number's offer does."""
    return lambda replayer: getattr(list(replayer.browsers.values())[number], act)()


@dataclass(frozen=True)
class Recording:
    """`replies`: how many there are to compare. The rest is as in :func:`open_replayer`."""

    name: str
    replies: int
    limits: Limits = field(default_factory=Limits)
    engine: EngineSettings = field(default_factory=lambda: EngineSettings(host="127.0.0.1"))
    cache_time: float = 0.0
    browsers: bool = False
    actions: Mapping[str, Act] = field(default_factory=dict)


RECORDINGS = (
    Recording("01_ping_connect_servermanager", 54),
    Recording(
        "02_session_webrtc_media",
        85,
        browsers=True,
        actions={"peer of the late viewer closes (browser tab closed): pc3.close()": browser(2, "leave")},
    ),
    Recording("03_errors", 175),
    Recording("05_drop_and_gc_period240", 49, limits=Limits(collector_period=2.0)),
    Recording(
        "06_peer_vanishes",
        46,
        engine=EngineSettings(host="127.0.0.1", peer_silence=2.5, flow_timeout=1.0),
        browsers=True,
        actions={"SIGKILL publisher": browser(0, "vanish"), "SIGKILL viewer": browser(1, "vanish")},
    ),
    Recording("08_request_cache_and_session_binding", 68, limits=Limits(request_cache_time=1.0), cache_time=1.0),
    Recording("15_no_session", 24),
    Recording("17_keyframes_remb_close", 35),
)


@pytest.mark.parametrize("recording", RECORDINGS, ids=lambda recording: recording.name)
async def test_a_recording_is_answered_as_recorded_except_for_the_listed_differences(recording: Recording) -> None:
    number = recording.name[:2]
    listed = {(one.where, one.kind) for one in DIFFERENCES if one.transcript == number}
    with trio.fail_after(PATIENCE):
        async with open_replayer(
            engine=recording.engine,
            limits=recording.limits,
            ignored_events=[where for where, kind in listed if kind is Kind.EVENTS],
            cache_time=recording.cache_time,
            browsers=recording.browsers,
        ) as replayer:
            await replayer.play(f"{recording.name}.jsonl", recording.actions)
    new = {where: pair for where, pair in replayer.found.items() if where not in listed}
    assert not new, "\n".join(
        f"{where}\n  recorded {one}\n  ours     {other}" for where, (one, other) in new.items()
    )
    gone = listed - replayer.found.keys()
    assert not gone, "no difference any more"
    assert replayer.compared == recording.replies
