"""Given somebody who views a stream, when the picture is not seen, then the media server sends only the sound."""

from __future__ import annotations

from dataclasses import replace

from trio.testing import MockClock

from roomfsm.kurento.events import MediaType
from roomfsm.protocol.client import Adjust, Mute, Unmute, View
from roomfsm.protocol.fields import Size
from roomfsm.rooms.directory import Directory
from roomfsm.testing import FakeMedia, Person
from tests.rooms.house import OFFER, SMALL, house, people, publish, settle

SETTINGS = replace(SMALL, max_people=9)


def connections(media: FakeMedia) -> list[str]:
    """What the endpoint of the stream was asked to connect and disconnect."""
    return [call for call in media.endpoints[0].calls if "connect" in call]


def told(viewer: Person) -> list[str]:
    """The states of the own view that the viewer was told."""
    return [message["view"] for message in viewer.all("streamChanged") if "view" in message]


async def watched(
    directory: Directory, media: FakeMedia, size: Size = Size.LARGE
) -> tuple[Person, Person, Person]:
    """Ada moderates, Bob presents, and Cyd views it."""
    ada, bob, cyd = await people(directory, "Ada", "Bob", "Cyd")
    await bob.say(publish())
    await settle()
    await cyd.say(View(stream=bob.stream(), sdp=OFFER, size=size))
    await settle()
    media.endpoints[1].connects()
    await settle()
    return ada, bob, cyd


async def test_a_picture_that_is_not_seen_is_not_sent_and_the_sound_is(autojump_clock: MockClock) -> None:
    async with house(SETTINGS) as (directory, media):
        ada, bob, cyd = await watched(directory, media)
        media.endpoints[1].flows(True)
        await settle()
        before = len(ada.all("streamChanged"))
        await cyd.say(Adjust(stream=bob.stream(), size=Size.NONE, ref=7))
        await settle()
        assert cyd.last("streamChanged")["ref"] == 7
        assert told(cyd) == ["live", "paused"]
        assert connections(media) == ["connect 1", "disconnect 1 VIDEO"]
        # That no picture comes is what the viewer wants, and no news to anybody.
        media.endpoints[1].flows(False)
        await settle()
        assert told(cyd) == ["live", "paused"]
        assert len(ada.all("streamChanged")) == before

        # It begins again over the same connection, with a keyframe.
        keyframes = media.endpoints[1].calls.count("keyframe")
        await cyd.say(Adjust(stream=bob.stream(), size=Size.LARGE))
        await settle()
        assert connections(media)[2:] == ["connect 1 VIDEO"]
        media.endpoints[1].flows(True)
        await settle()
        assert told(cyd)[2:] == ["negotiating", "live"]
        assert media.endpoints[1].calls.count("keyframe") == keyframes + 1


async def test_a_keyframe_is_asked_for_even_if_the_media_server_saw_no_pause(autojump_clock: MockClock) -> None:
    async with house(SETTINGS) as (directory, media):
        _, bob, cyd = await watched(directory, media)
        media.endpoints[1].flows(True)
        media.endpoints[1].flowing.add(MediaType.VIDEO)
        await settle()
        keyframes = media.endpoints[1].calls.count("keyframe")
        for size in (Size.NONE, Size.LARGE):
            await cyd.say(Adjust(stream=bob.stream(), size=size))
            await settle()
        assert told(cyd) == ["live", "paused", "negotiating", "live"]
        assert media.endpoints[1].calls.count("keyframe") == keyframes + 1


async def test_a_view_can_begin_without_the_picture(autojump_clock: MockClock) -> None:
    async with house(SETTINGS) as (directory, media):
        ada, bob, cyd = await watched(directory, media, Size.NONE)
        assert connections(media) == ["connect 1 AUDIO"]
        assert told(cyd) == ["paused"]
        # The presenter's sound is another matter.
        await ada.say(Mute(participant=bob.participant_id))
        await settle()
        await ada.say(Unmute(participant=bob.participant_id))
        await settle()
        await cyd.say(Adjust(stream=bob.stream(), size=Size.LARGE))
        await settle()
        assert connections(media)[1:] == ["disconnect 1 AUDIO", "connect 1 AUDIO", "connect 1 VIDEO"]


async def test_the_newest_wish_counts_however_often_it_changes(autojump_clock: MockClock) -> None:
    async with house(SETTINGS) as (directory, media):
        _, bob, cyd = await people(directory, "Ada", "Bob", "Cyd")
        await bob.say(publish())
        await settle()
        media.answering.shut()
        await cyd.say(View(stream=bob.stream(), sdp=OFFER))
        await settle()
        for size in (Size.NONE, Size.LARGE, Size.NONE):
            await cyd.say(Adjust(stream=bob.stream(), size=size))
        await settle()
        assert connections(media) == ["connect 1"]
        media.answering.open()
        await settle()
        assert connections(media)[1:] == ["disconnect 1 VIDEO"]
        for size in (Size.LARGE, Size.NONE) * 20:
            await cyd.say(Adjust(stream=bob.stream(), size=size))
        await settle()
        calls = connections(media)
        assert len(calls) % 2 == 0, "what was connected last is disconnected"
        assert calls[-1] == "disconnect 1 VIDEO"


async def test_a_picture_that_is_wanted_again_at_once_is_live_again(autojump_clock: MockClock) -> None:
    """The media server has disconnected nothing by then, so it reports no flow unless it is asked."""
    async with house(SETTINGS) as (directory, media):
        _, bob, cyd = await watched(directory, media)
        media.endpoints[1].flows(True)
        media.endpoints[1].flowing = {MediaType.VIDEO}
        await settle()
        for size in (Size.NONE, Size.LARGE):
            await cyd.say(Adjust(stream=bob.stream(), size=size))
        await settle()
        assert connections(media) == ["connect 1"]
        assert told(cyd)[-1] == "live"
