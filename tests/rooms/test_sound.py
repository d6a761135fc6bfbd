"""Given people in a room, when they speak or are muted, then everybody knows, and the media server obeys."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from roomfsm.kurento.events import DtlsConnectionState, SessionResumed
from roomfsm.protocol.client import Media, Mute, Publish, RaiseHand, SetRole, Speaking, Unmute, Unpublish, View
from roomfsm.protocol.fields import Source
from roomfsm.protocol.roles import Role
from roomfsm.testing import FakeMedia, Person
from tests.rooms.house import OFFER, SMALL, dtls, house, people, publish, settle

SETTINGS = replace(SMALL, max_people=9, speaking_interval=0.5)
ON, OFF = Media(microphone=True, camera=True, ref=1), Media(microphone=False, camera=True)


def told_of(person: Person, about: Person) -> dict[str, Any]:
    """What the person was told last about another one, or oneself."""
    known = [
        message["participant"]
        for message in person.all("participantChanged")
        if message["participant"]["id"] == about.participant_id
    ]
    told: dict[str, Any] = known[-1]
    return told


def heard(person: Person) -> list[list[str]]:
    """All lists of speakers that the person was told."""
    return [message["participants"] for message in person.all("speaking")]


def refused(person: Person) -> str | None:
    errors = person.all("error")
    return errors[-1]["code"] if errors else None


async def test_everybody_and_newcomers_know_who_has_microphone_and_camera_on(autojump_clock: MockClock) -> None:
    async with house(SETTINGS) as (directory, _):
        ada, bob = await people(directory, "Ada", "Bob")
        assert "microphone" not in bob.last("joined")["participants"][0]
        await bob.say(ON)
        await settle()
        for person in (ada, bob):
            assert (told_of(person, bob)["microphone"], told_of(person, bob)["camera"]) == (True, True)
        assert bob.last("participantChanged")["ref"] == 1
        await bob.say(OFF)
        await settle()
        assert (told_of(ada, bob)["microphone"], told_of(ada, bob)["camera"]) == (False, True)
        (cyd,) = await people(directory, "Cyd")
        (known,) = [one for one in cyd.last("joined")["participants"] if one["name"] == "Bob"]
        assert (known["microphone"], known["camera"]) == (False, True)


async def test_who_speaks_is_told_in_one_message_and_not_too_often(autojump_clock: MockClock) -> None:
    async with house(SETTINGS) as (directory, _):
        ada, bob, cyd = await people(directory, "Ada", "Bob", "Cyd")
        began = trio.current_time()
        for _ in range(40):
            for person in (bob, cyd):
                for speaking in (True, False, True):
                    await person.say(Speaking(speaking=speaking))
            await ada.say(Speaking(speaking=bool(len(heard(ada)) % 2)))
            await trio.sleep(0.1)
        await trio.sleep(1)
        seconds = trio.current_time() - began
        lists = heard(ada)
        assert 2 < len(lists) <= seconds / 0.5 + 1
        assert lists == heard(bob)
        assert set(lists[-1]) >= {bob.participant_id, cyd.participant_id}
        # A newcomer knows it from the beginning.
        (dan,) = await people(directory, "Dan")
        assert dan.last("joined")["speaking"] == lists[-1]
        # Nothing of this is in the journal, which has more important things to keep.
        assert b'"trigger":"speaking"' not in ada.sits_in.journal.lines()


async def test_whoever_changes_nothing_makes_nobody_hear_of_it(autojump_clock: MockClock) -> None:
    async with house(SETTINGS) as (directory, _):
        ada, bob = await people(directory, "Ada", "Bob")
        await bob.say(Speaking(speaking=False))
        await trio.sleep(2)
        assert heard(ada) == []
        await bob.say(Speaking(speaking=True))
        await settle()
        # The first change is told at once.
        assert heard(ada) == [[bob.participant_id]]
        await bob.say(Speaking(speaking=False))
        await bob.say(Speaking(speaking=True))
        await trio.sleep(2)
        assert heard(ada) == [[bob.participant_id]]


async def test_nobody_speaks_who_is_muted_or_away_or_gone(autojump_clock: MockClock) -> None:
    async with house(SETTINGS) as (directory, _):
        ada, bob, cyd, dan = await people(directory, "Ada", "Bob", "Cyd", "Dan")
        everybody = [person.participant_id for person in (bob, cyd, dan)]

        async def ends(*, remain: list[str]) -> None:
            await trio.sleep(1)
            assert heard(ada)[-1] == remain

        for person in (bob, cyd, dan):
            await person.say(Speaking(speaking=True))
        await ends(remain=everybody)
        await bob.vanish()
        await ends(remain=everybody[1:])
        await bob.come_back()
        assert bob.last("joined")["speaking"] == everybody[1:]
        await cyd.say(OFF)
        await ends(remain=everybody[2:])
        await cyd.say(Speaking(speaking=True))
        await settle()
        assert refused(cyd) == "muted"
        await ada.say(Mute(participant=dan.participant_id))
        await ends(remain=[])
        await dan.say(Speaking(speaking=True))
        await settle()
        assert refused(dan) == "muted"
        await bob.say(Speaking(speaking=True))
        await ends(remain=everybody[:1])
        await bob.leave()
        (eve,) = await people(directory, "Eve")
        assert "speaking" not in eve.last("joined")


async def test_what_the_media_server_hears_counts_and_not_what_a_client_claims(
    autojump_clock: MockClock,
) -> None:
    async with house(SETTINGS) as (directory, media):
        media.hears = True
        ada, bob = await people(directory, "Ada", "Bob")
        bobs = [bob.participant_id]

        async def told(*, speak: list[str]) -> None:
            await trio.sleep(1)
            assert heard(ada)[-1] == speak

        # Nobody hears Bob yet but his client.
        await bob.say(Speaking(speaking=True))
        await told(speak=bobs)
        await bob.say(publish())
        await told(speak=[])
        assert bob.last("answer")["hears"] is True
        endpoint = media.endpoints[0]
        assert "follow speech" in endpoint.calls
        await bob.say(Speaking(speaking=True))
        await trio.sleep(1)
        assert heard(ada)[-1] == []
        assert refused(bob) is None
        endpoint.speaks(True)
        await told(speak=bobs)
        await bob.say(Speaking(speaking=False))
        await trio.sleep(1)
        assert heard(ada)[-1] == bobs
        (cyd,) = await people(directory, "Cyd")
        assert cyd.last("joined")["speaking"] == bobs
        # Whoever is muted does not speak, whatever comes from the microphone.
        await ada.say(Mute(participant=bob.participant_id))
        await told(speak=[])
        await ada.say(Unmute(participant=bob.participant_id))
        await told(speak=bobs)
        await bob.say(OFF)
        await told(speak=[])
        await bob.say(ON)
        await told(speak=bobs)
        # Bob is heard without a connection to the server, too.
        await bob.vanish()
        await bob.come_back()
        assert bob.last("joined")["speaking"] == bobs
        assert heard(ada)[-1] == bobs
        # After a time without the media server it is asked.
        endpoint.speaking = False
        endpoint.happens(SessionResumed())
        await told(speak=[])
        assert b'"trigger":"speech"' not in ada.sits_in.journal.lines()
        endpoint.speaks(True)
        await told(speak=bobs)
        await bob.say(Unpublish(stream=bob.stream()))
        await told(speak=[])
        await bob.say(Speaking(speaking=True))
        await told(speak=bobs)


async def test_the_sound_of_a_shared_screen_is_nobodys_speech(autojump_clock: MockClock) -> None:
    async with house(SETTINGS) as (directory, media):
        media.hears = True
        ada, bob = await people(directory, "Ada", "Bob")
        await bob.say(Publish(source=Source.SCREEN, sdp=OFFER))
        await settle()
        assert "hears" not in bob.last("answer")
        assert "follow speech" not in media.endpoints[0].calls
        await bob.say(Speaking(speaking=True))
        await settle()
        assert heard(ada) == [[bob.participant_id]]


async def watched(directory: Any) -> tuple[Person, Person, Person]:
    """Ada moderates, Bob presents, and Cyd watches him."""
    ada, bob, cyd = await people(directory, "Ada", "Bob", "Cyd")
    await bob.say(publish())
    await settle()
    await cyd.say(View(stream=bob.stream(), sdp=OFFER))
    await settle()
    return ada, bob, cyd


def connections(media: FakeMedia) -> list[str]:
    """What the first endpoint, Bob's, was connected to."""
    return [call for call in media.endpoints[0].calls if "connect" in call]


async def test_a_muted_person_is_asked_and_the_sound_stops_until_the_microphone_is_on(
    autojump_clock: MockClock,
) -> None:
    async with house(SETTINGS) as (directory, media):
        ada, bob, cyd = await watched(directory)
        await bob.say(ON)
        await ada.say(Mute(participant=bob.participant_id, ref=4))
        await settle()
        assert bob.last("muted") == {"type": "muted", "by": ada.participant_id}
        assert (ada.all("muted"), cyd.all("muted")) == ([], [])
        assert ada.last("participantChanged")["ref"] == 4
        assert told_of(cyd, bob)["sound"] == told_of(bob, bob)["sound"] == "muted"
        assert connections(media) == ["connect 1", "disconnect 1 AUDIO"]
        # Whoever comes later gets the picture alone.
        (dan,) = await people(directory, "Dan")
        assert [one.get("sound") for one in dan.last("joined")["participants"]] == [None, "muted", None, None]
        await dan.say(View(stream=bob.stream(), sdp=OFFER))
        await settle()
        assert connections(media)[2:] == ["connect 2 VIDEO"]
        await bob.say(ON)
        await settle()
        assert sorted(connections(media)[3:]) == ["connect 1 AUDIO", "connect 2 AUDIO"]
        assert "sound" not in told_of(dan, bob)


async def test_who_is_held_is_heard_again_only_by_a_moderator(autojump_clock: MockClock) -> None:
    async with house(SETTINGS) as (directory, media):
        ada, bob, cyd = await watched(directory)
        await ada.say(Mute(participant=bob.participant_id, hold=True))
        await bob.say(ON)
        await settle()
        assert bob.last("muted") == {"type": "muted", "by": ada.participant_id, "hold": True}
        assert refused(bob) == "muted"
        assert told_of(cyd, bob)["sound"] == "held"
        # A new stream has no sound either, and neither leaving the connection nor another role ends it.
        await bob.say(Publish(source=Source.SCREEN, sdp=OFFER))
        await settle()
        await cyd.say(View(stream=bob.stream(Source.SCREEN), sdp=OFFER))
        await bob.vanish()
        await bob.come_back()
        await settle()
        assert media.endpoints[2].calls[-1] == "connect 3 VIDEO"
        await bob.say(ON)
        await cyd.say(Unmute(participant=bob.participant_id))
        await settle()
        assert (refused(bob), refused(cyd)) == ("muted", "not_permitted")
        await ada.say(Unmute(participant=bob.participant_id))
        await settle()
        assert media.endpoints[2].calls[-1] == "connect 3 AUDIO"
        assert connections(media) == ["connect 1", "disconnect 1 AUDIO", "connect 1 AUDIO"]
        await bob.say(ON)
        await settle()
        assert told_of(cyd, bob)["microphone"] is True


async def test_a_moderator_who_is_held_ends_it_as_a_moderator_may(autojump_clock: MockClock) -> None:
    async with house(SETTINGS) as (directory, _):
        ada, bob = await people(directory, "Ada", "Bob")
        await ada.say(Mute(participant=ada.participant_id))
        await settle()
        assert refused(ada) == "yourself"
        await ada.say(Mute(participant=bob.participant_id, hold=True))
        await ada.say(SetRole(participant=bob.participant_id, role=Role.MODERATOR))
        await bob.say(Unmute(participant=bob.participant_id))
        await settle()
        assert refused(bob) is None
        assert "sound" not in told_of(ada, bob)


async def test_a_view_that_begins_while_its_presenter_is_muted_ends_without_sound(
    autojump_clock: MockClock,
) -> None:
    async with house(SETTINGS) as (directory, media):
        ada, bob, cyd = await people(directory, "Ada", "Bob", "Cyd")
        await bob.say(publish())
        await settle()
        media.answering.shut()
        await cyd.say(View(stream=bob.stream(), sdp=OFFER))
        await settle()
        # The endpoints are connected, and the offer has no answer yet.
        assert connections(media) == ["connect 1"]
        for message in (
            Mute(participant=bob.participant_id),
            Unmute(participant=bob.participant_id),
            Mute(participant=bob.participant_id),
        ):
            await ada.say(message)
        await settle()
        media.answering.open()
        await settle()
        assert connections(media)[-1] == "disconnect 1 AUDIO"


@pytest.mark.parametrize("how", ["leave", "fails"])
async def test_a_view_that_has_just_ended_needs_no_sound(how: str, autojump_clock: MockClock) -> None:
    async with house(SETTINGS) as (directory, media):
        ada, bob, cyd = await watched(directory)
        if how == "leave":
            await cyd.leave()
        else:
            media.endpoints[1].happens(dtls(DtlsConnectionState.CLOSED))
        await ada.say(Mute(participant=bob.participant_id))
        await ada.say(RaiseHand())
        await settle()
        assert told_of(ada, bob)["sound"] == "muted"
