"""What waits for a slow TCP connection, what goes first, and what is lost."""

from roomfsm.mediaserver.engine.send_queue import SendQueue

LIFE, MOST = 1.0, 100


class Stage:
    def __init__(self) -> None:
        self.lost = 0
        self.queue = SendQueue(LIFE, MOST, self._count)

    def _count(self, packets: int) -> None:
        self.lost += packets

    def all(self, now: float) -> bytes:
        data = self.queue.take(now)
        self.queue.sent(len(data))
        assert not self.queue
        return data


def test_sound_goes_before_the_picture_and_each_line_keeps_its_order() -> None:
    stage = Stage()
    for frame, picture in ((b"v1", True), (b"a1", False), (b"v2", True), (b"a2", False)):
        stage.queue.put(frame, 0.0, picture=picture)
    assert stage.all(0.1) == b"a1a2v1v2"
    assert stage.lost == 0


def test_a_packet_that_was_begun_is_sent_whole_before_anything_else() -> None:
    stage = Stage()
    stage.queue.begin(b"-half")
    stage.queue.put(b"a1", 0.0, picture=False)
    assert stage.queue.take(9.0) == b"-half"
    stage.queue.sent(2)
    assert stage.queue.take(9.0) == b"alf"


def test_the_whole_picture_is_lost_when_its_oldest_packet_has_waited_too_long() -> None:
    stage = Stage()
    stage.queue.put(b"v1", 0.0, picture=True)
    stage.queue.put(b"v2", LIFE, picture=True)
    assert stage.lost == 0
    stage.queue.put(b"v3", LIFE + 0.01, picture=True)
    assert stage.lost == 2
    assert stage.all(LIFE + 0.02) == b"v3"


def test_sound_that_has_waited_too_long_is_lost_alone() -> None:
    stage = Stage()
    stage.queue.put(b"a1", 0.0, picture=False)
    stage.queue.put(b"a2", 0.5, picture=False)
    assert stage.all(LIFE + 0.01) == b"a2"
    assert stage.lost == 1


def test_beyond_the_bytes_the_picture_is_lost_first_and_then_the_oldest_sound() -> None:
    stage = Stage()
    stage.queue.put(b"v" * 60, 0.0, picture=True)
    stage.queue.put(b"a" * 40, 0.0, picture=False)
    assert stage.lost == 0
    stage.queue.put(b"b" * 30, 0.0, picture=False)
    assert stage.lost == 1
    stage.queue.put(b"c" * 50, 0.0, picture=False)
    assert stage.lost == 2
    assert stage.all(0.0) == b"b" * 30 + b"c" * 50


def test_what_was_taken_needs_no_room_any_more() -> None:
    stage = Stage()
    for _ in range(3):
        stage.queue.put(b"v" * MOST, 0.0, picture=True)
        assert stage.all(0.0) == b"v" * MOST
    assert stage.lost == 0
