"""Transport-wide feedback says when each packet came, in the format of the draft."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roomfsm.mediaserver.rtp.transport_cc import Feedback
from roomfsm.mediaserver.rtp.transport_feedback import write_feedback
from tests.mediaserver.rtp.transport_cc_reader import read_feedback

EXTENSION_ID = 3
PAYLOAD_TYPE = 96
MEDIA_SSRC = 77


def packet(number: int, payload_type: int = PAYLOAD_TYPE) -> bytes:
    header = struct.pack("!BBHII", 0x90, payload_type, 0, 0, MEDIA_SSRC)
    return header + b"\xbe\xde\0\1" + bytes((EXTENSION_ID << 4 | 1,)) + number.to_bytes(2) + b"\0" + b"payload"


@given(
    st.lists(st.none() | st.floats(100, 101), min_size=1, max_size=480).filter(
        lambda times: any(time is not None for time in times)
    )
)
def test_each_time_is_exact_to_a_quarter_of_a_millisecond(times: list[float | None]) -> None:
    feedback = write_feedback(1, 2, 65000, 9, times)
    assert len(feedback) < 1200
    number, base, told = read_feedback(feedback)
    assert (number, base) == (9, 65000)
    assert [time is None for time in told] == [time is None for time in times]
    # Each delta is taken from what was told before, so that nothing adds up.
    assert [time for time in told if time is not None] == pytest.approx(
        [time for time in times if time is not None], abs=0.00013
    )


def test_a_steady_stream_takes_two_bytes_for_all_its_states() -> None:
    feedback = write_feedback(1, 2, 0, 0, [100 + index / 1000 for index in range(100)])
    assert len(feedback) == 20 + 2 + 100 + 2


class Sender:
    """Collects the feedback of a record."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.feedback = Feedback(1, self.sent.append, lambda: self.now)
        self.now = 0.0
        self.feedback.extensions[PAYLOAD_TYPE] = EXTENSION_ID

    def received(self, packet: bytes, now: float) -> bool:
        self.now = now
        return self.feedback.received(packet, now)

    def told(self) -> list[tuple[int, int, list[float | None]]]:
        told = [read_feedback(feedback) for feedback in self.sent]
        self.sent.clear()
        return told


def test_the_first_feedback_comes_at_once_and_the_next_a_tenth_of_a_second_later() -> None:
    sender = Sender()
    assert sender.received(packet(10), 100.0)
    assert not sender.feedback.attend(100.0)
    assert sender.received(packet(13), 100.01)
    assert sender.feedback.attend(100.05), "not yet due"
    assert not sender.feedback.attend(100.1)
    assert sender.told() == [
        (0, 10, [pytest.approx(100.0)]),
        (1, 11, [None, None, pytest.approx(100.01, abs=0.0002)]),
    ]
    assert not sender.feedback.attend(100.2), "nothing to tell"
    assert sender.sent == []


def test_a_late_packet_is_reported_after_it_was_reported_as_lost() -> None:
    sender = Sender()
    for number, now in ((0xFFFF, 100.0), (1, 100.2), (0, 100.3), (2, 100.4)):
        sender.received(packet(number), now)
        sender.feedback.attend(now)
    assert [(base, [time is not None for time in times]) for _, base, times in sender.told()] == [
        (0xFFFF, [True]),
        (0, [False, True]),
        (0, [True]),
        (2, [True]),
    ]


def test_after_a_great_jump_the_record_begins_again() -> None:
    sender = Sender()
    sender.received(packet(10), 100.0)
    sender.received(packet(30000), 100.0)
    sender.feedback.attend(100.0)
    assert [base for _, base, _ in sender.told()] == [30000]


def test_many_packets_need_several_feedbacks_that_each_fit_into_a_datagram() -> None:
    sender = Sender()
    for number in range(1000):
        sender.received(packet(number), 100 + number % 2 * 0.07)
    sender.feedback.attend(101.0)
    assert max(map(len, sender.sent)) < 1200
    assert [(base, len(times)) for _, base, times in sender.told()] == [(0, 480), (480, 480), (960, 40)]


def test_packets_without_a_number_are_not_reported() -> None:
    sender = Sender()
    assert not sender.received(packet(10, payload_type=111), 100.0)
    bare = packet(10)[:12] + b"\xbe\xde\0\1\x10\0\0\0payload"
    assert not sender.received(bare, 100.0)
