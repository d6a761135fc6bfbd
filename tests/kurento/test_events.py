"""Events: from Kurento's JSON to structs, and through the bounded channel to their reader."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing

from roomfsm.kurento import EventOverflow, IceCandidate, MediaServerLost, MediaType
from roomfsm.kurento.errors import UnknownEvent
from roomfsm.kurento.events import (
    DtlsConnectionState,
    DtlsConnectionStateChange,
    EndpointEvent,
    Error,
    EventChannel,
    IceCandidateFound,
    IceGatheringDone,
    MediaFlowOutStateChanged,
    MediaFlowState,
    SessionResumed,
    decode,
)


def notification(kind: str, **data: Any) -> dict[str, Any]:
    common = {"source": "p/e", "tags": [], "timestampMillis": "1795392211108", "type": kind}
    return {"value": {"type": kind, "object": "p/e", "data": common | data}}


def candidate(number: int) -> IceCandidateFound:
    return IceCandidateFound(IceCandidate(f"candidate:{number}", "0", 0))


def flow(media_type: MediaType, state: MediaFlowState) -> MediaFlowOutStateChanged:
    return MediaFlowOutStateChanged(media_type, state)


VIDEO_ON = flow(MediaType.VIDEO, MediaFlowState.FLOWING)
VIDEO_OFF = flow(MediaType.VIDEO, MediaFlowState.NOT_FLOWING)
AUDIO_ON = flow(MediaType.AUDIO, MediaFlowState.FLOWING)


async def drain(channel: EventChannel) -> list[EndpointEvent]:
    channel.close()
    with trio.fail_after(60):
        return [event async for event in channel]


def test_a_timestamp_is_a_number_in_a_string() -> None:
    object_id, event = decode(notification("IceGatheringDone"))
    assert (object_id, event) == ("p/e", IceGatheringDone(source="p/e", timestamp_millis=1795392211108))


def test_the_type_of_an_error_is_not_the_type_of_its_event() -> None:
    params = notification("Error", description="Couldn't connect", errorCode=10)
    params["value"]["data"]["type"] = "RESOURCE_ERROR_WRITE"
    _, event = decode(params)
    assert isinstance(event, Error)
    assert (event.type, event.error_code) == ("RESOURCE_ERROR_WRITE", 10)


@pytest.mark.parametrize(
    "params",
    [
        None,
        {},
        {"value": 5},
        {"value": {"type": "IceGatheringDone"}},
        notification("ElementConnected"),
        notification("MediaFlowOutStateChanged", mediaType="SMELL", state="FLOWING"),
        notification("IceCandidateFound"),
    ],
)
def test_what_is_no_known_event_is_refused(params: dict[str, Any] | None) -> None:
    with pytest.raises(UnknownEvent):
        decode(params)


async def test_events_come_in_their_order() -> None:
    channel = EventChannel(8)
    sent: list[EndpointEvent] = [candidate(1), VIDEO_ON, VIDEO_OFF, candidate(2), VIDEO_ON]
    for event in sent:
        channel.put(event)
    assert await drain(channel) == sent


async def test_a_waiting_reader_gets_the_next_event() -> None:
    channel = EventChannel(1)
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:

            async def read() -> None:
                for _ in range(3):
                    assert await channel.receive() == candidate(1)
                    channel.put(candidate(1))

            nursery.start_soon(read)
            channel.put(candidate(1))


async def test_at_the_bound_states_that_a_later_event_replaces_are_merged() -> None:
    channel = EventChannel(5)
    sent: list[EndpointEvent] = [VIDEO_ON, candidate(1), AUDIO_ON, VIDEO_OFF, candidate(2), VIDEO_ON]
    for event in sent:
        channel.put(event)
    assert await drain(channel) == [candidate(1), AUDIO_ON, VIDEO_OFF, candidate(2), VIDEO_ON]


async def test_states_of_different_things_are_not_merged() -> None:
    encoder = DtlsConnectionStateChange("1", "enc", DtlsConnectionState.CLOSED)
    decoder = DtlsConnectionStateChange("1", "dec", DtlsConnectionState.CLOSED)
    sent: list[EndpointEvent] = [SessionResumed(), encoder, decoder, SessionResumed(), VIDEO_ON, AUDIO_ON]
    channel = EventChannel(5)
    for event in sent:
        channel.put(event)
    assert await drain(channel) == sent[1:]


async def test_up_to_the_bound_no_candidate_is_dropped_and_beyond_it_the_reader_is_told() -> None:
    channel = EventChannel(3)
    for number in range(3):
        channel.put(candidate(number))
    channel.put(candidate(3))
    with trio.fail_after(60):
        for _ in range(2):
            with pytest.raises(EventOverflow):
                await channel.receive()


async def test_a_full_channel_holds_exactly_its_bound() -> None:
    channel = EventChannel(3)
    for number in range(3):
        channel.put(candidate(number))
    assert await drain(channel) == [candidate(number) for number in range(3)]


async def test_a_broken_channel_wakes_its_reader_at_once() -> None:
    channel = EventChannel(3)
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:

            async def read() -> None:
                with pytest.raises(MediaServerLost):
                    await channel.receive()

            nursery.start_soon(read)
            await trio.testing.wait_all_tasks_blocked()
            channel.put(candidate(1))
            channel.break_off(MediaServerLost("ws://media.test", "gone"))
            channel.put(candidate(2))


async def test_a_closed_channel_ends_after_what_is_left() -> None:
    channel = EventChannel(3)
    channel.put(candidate(1))
    await channel.aclose()
    channel.put(candidate(2))
    assert await drain(channel) == [candidate(1)]
    with pytest.raises(trio.EndOfChannel):
        await channel.receive()
