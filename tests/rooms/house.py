"""Rooms with a media pool in memory, and the helpers that tests of rooms share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from trio.testing import wait_all_tasks_blocked

from roomfsm.access.policy import Policies, Policy
from roomfsm.kurento.events import (
    DtlsConnectionState,
    DtlsConnectionStateChange,
    MediaFlowInStateChanged,
    MediaFlowOutStateChanged,
    MediaFlowState,
    MediaType,
)
from roomfsm.protocol.client import Publish, View
from roomfsm.protocol.fields import Source
from roomfsm.rooms.directory import Directory, open_directory
from roomfsm.rooms.settings import RoomSettings
from roomfsm.testing import FakeMedia, Person

settle = wait_all_tasks_blocked
ANYBODY = Policy()
SMALL = RoomSettings(
    max_rooms=3, max_people=3, max_presenters=2, max_views=2, chat_history=3, candidate_buffer=3, linger=30
)
OFFER = "v=0\r\na=ice-ufrag:u1\r\n"


@asynccontextmanager
async def house(
    settings: RoomSettings = SMALL, policy: Policy = ANYBODY
) -> AsyncIterator[tuple[Directory, FakeMedia]]:
    media = FakeMedia()
    async with open_directory(media.pool, settings, policies=Policies(default=policy)) as directory:
        yield directory, media
    assert media.open == []
    assert media.pipelines == []


async def people(directory: Directory, *names: str, room: str = "blue") -> list[Person]:
    persons = [Person(directory, name) for name in names]
    for person in persons:
        await person.join(room)
    return persons


async def presenter_and_viewer(directory: Directory) -> tuple[Person, Person]:
    """Ada, who presents her camera, and Bob, who views it; the media server has answered both."""
    ada, bob = await people(directory, "Ada", "Bob")
    await ada.say(publish())
    await bob.say(View(stream=ada.stream(), sdp=OFFER))
    await settle()
    return ada, bob


def publish(source: Source = Source.CAMERA, ref: int = 1, sdp: str = OFFER) -> Publish:
    return Publish(source=source, sdp=sdp, ref=ref)


def flow_out(state: MediaFlowState) -> MediaFlowOutStateChanged:
    return MediaFlowOutStateChanged(media_type=MediaType.VIDEO, state=state)


def flow_in(state: MediaFlowState) -> MediaFlowInStateChanged:
    return MediaFlowInStateChanged(media_type=MediaType.VIDEO, state=state)


def dtls(state: DtlsConnectionState) -> DtlsConnectionStateChange:
    return DtlsConnectionStateChange(stream_id="0", component_id="1", state=state)
