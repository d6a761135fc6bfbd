"""Given the audio levels of packets (RFC 6464), when they rise and fall, then somebody speaks or is silent."""

from __future__ import annotations

import math
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roomfsm.mediaserver.base.kinds import MediaKind
from roomfsm.mediaserver.base.settings import EngineSettings
from roomfsm.mediaserver.forwarding.speech import Speech
from roomfsm.mediaserver.forwarding.track import Track
from roomfsm.mediaserver.sdp.codec import Codec
from tests.mediaserver.forwarding.test_track import Recorder

SETTINGS = EngineSettings()
BEGINS, GOES_ON, PAUSE = (
    SETTINGS.speech_level,
    SETTINGS.speech_level + SETTINGS.speech_margin,
    SETTINGS.speech_pause,
)
PACKET = 1 / 64
"""Seconds of sound in a packet."""
PAUSED = math.ceil(PAUSE / PACKET)
"""After so many packets the pause is over."""
SILENCE = 127
VOICE = 0x80
"""The bit by which some browsers say that a packet has a voice."""
WORD = (90, 60, 38, 25, 22, 24, 31, 47, 44, 29, 26, 35, 52, 70, 95)
"""The levels of a spoken word between noises of a quiet room."""
LEVEL_ID = 3
OPUS = Codec(111, "opus", 48000, "", "", ())


def changes(levels: Iterable[int], speech: Speech | None = None) -> list[tuple[int, bool]]:
    """After which packets somebody began or ceased to speak."""
    speech = speech or Speech(SETTINGS)
    return [(index, speech.speaks) for index, level in enumerate(levels) if speech.heard(level, index * PACKET)]


@pytest.mark.parametrize("flag", [0, VOICE])
def test_speech_begins_with_the_first_loud_packet_and_ends_after_a_pause(flag: int) -> None:
    quiet = [SILENCE] * 100
    told = changes([level | flag for level in (*quiet, *WORD, *quiet)])
    began = 100 + next(index for index, level in enumerate(WORD) if level <= BEGINS)
    last = 100 + max(index for index, level in enumerate(WORD) if level <= GOES_ON)
    assert told == [(began, True), (last + PAUSED, False)]


def test_pauses_between_words_do_not_end_it() -> None:
    between = [SILENCE] * (PAUSED - len(WORD))
    assert [speaks for _, speaks in changes((*WORD, *between) * 20)] == [True]


def test_a_voice_near_the_threshold_does_not_flutter() -> None:
    near = [BEGINS + (1 if index % 3 else -1) for index in range(1000)]
    assert changes(near) == [(0, True)]
    # What only goes on never begins.
    assert changes([GOES_ON, BEGINS + 1] * 500) == []


def test_digital_silence_is_never_speech_whatever_the_settings() -> None:
    speech = Speech(EngineSettings(speech_level=126, speech_margin=126))
    assert [speaks for _, speaks in changes([126, *[SILENCE] * 100], speech)] == [True, False]


@given(st.lists(st.integers(0, 255), max_size=500))
def test_it_never_changes_more_often_than_the_pause_allows(levels: list[int]) -> None:
    told = changes(levels)
    assert [speaks for _, speaks in told] == [index % 2 == 0 for index in range(len(told))]
    ends = [index for index, speaks in told if not speaks]
    begins = [index for index, speaks in told if speaks]
    assert all(end - begin >= PAUSED for begin, end in zip(begins, ends, strict=False))


class Sender:
    """A browser that sends sound with levels to a track, which it has told the id of the extension or not."""

    def __init__(self, level_id: int) -> None:
        self.recorder = Recorder()
        self.track = Track(MediaKind.AUDIO, self.recorder, self.recorder)
        self.track.negotiated(OPUS, level_id)
        self.number = 0

    def send(self, level: int | None, *, number: int | None = None) -> None:
        """Send a packet, with its level if there is one."""
        if number is None:
            self.number = number = self.number + 1
        extension = b"" if level is None else b"\xbe\xde\0\1" + bytes((LEVEL_ID << 4, level, 0, 0))
        head = (
            bytes((0x90 if extension else 0x80, 111)) + number.to_bytes(2) + (number * 960).to_bytes(4) + bytes(4)
        )
        assert self.track.receive(head + extension + bytes(20), self.recorder.time) is None
        self.recorder.time += PACKET


def test_a_track_tells_whether_its_user_speaks() -> None:
    sender = Sender(LEVEL_ID)
    for level in (SILENCE, *WORD, *[SILENCE] * PAUSED):
        sender.send(level)
    assert sender.recorder.speech == [True, False]


def test_speech_ends_without_packets_too() -> None:
    sender = Sender(LEVEL_ID)
    sender.send(20)
    sender.recorder.time += PAUSE / 2
    sender.track.check_flow(sender.recorder.time)
    assert sender.recorder.speech == [True]
    sender.recorder.time += PAUSE / 2
    sender.track.check_flow(sender.recorder.time)
    assert sender.recorder.speech == [True, False]


def test_packets_without_levels_say_nothing_but_that_it_is_over() -> None:
    sender = Sender(LEVEL_ID)
    sender.send(20)
    for _ in range(PAUSED):
        sender.send(None)
        sender.track.check_flow(sender.recorder.time)
    assert sender.recorder.speech == [True, False]


def test_a_level_that_was_not_agreed_on_says_nothing() -> None:
    sender = Sender(0)
    sender.send(20)
    assert sender.recorder.speech == []


def test_a_packet_that_comes_late_says_nothing() -> None:
    sender = Sender(LEVEL_ID)
    sender.send(SILENCE)
    sender.number += 1
    sender.send(SILENCE)
    sender.send(10, number=2)
    assert sender.recorder.speech == []
