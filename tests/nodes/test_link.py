"""Given a link between two nodes, when entries are lost, doubled or late, then both ends learn of each loss."""

from __future__ import annotations

from collections import deque

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from roomfsm.nodes.counts import RECEIVED, SENT, NodeCounts
from roomfsm.nodes.link import Entry, Link
from roomfsm.nodes.settings import BusSettings


def ends() -> tuple[Link, Link]:
    return Link("a/1", BusSettings()), Link("b/2", BusSettings())


def written(link: Link) -> Entry:
    """The entry that is due, which Redis has then."""
    assert link.due
    entry = link.entry()
    link.confirmed(entry)
    return entry


def test_what_is_sent_together_is_one_entry_and_comes_in_order() -> None:
    ada, bob = ends()
    assert not ada.send(b"one")
    assert not ada.send(b"two")
    assert bob.receive(written(ada)) == (False, [b"one", b"two"])
    assert not ada.due
    ada.send(b"three")
    assert bob.receive(written(ada)) == (False, [b"three"])


def test_what_is_repeated_with_more_is_taken_once() -> None:
    ada, bob = ends()
    ada.send(b"one")
    first = ada.entry()
    ada.send(b"two")
    assert bob.receive(first) == (False, [b"one"])
    assert bob.receive(written(ada)) == (False, [b"two"])
    assert bob.receive(first) == (False, [])


def test_a_late_confirmation_confirms_nothing_of_a_later_link() -> None:
    ada, bob = ends()
    ada.send(b"old")
    old = ada.entry()
    bob.send(b"lost")
    written(bob)
    bob.send(b"found missing")
    assert ada.receive(written(bob)) == (True, ())
    ada.told()
    ada.send(b"new")
    ada.confirmed(old)
    assert bob.receive(written(ada)) == (True, [b"new"])


def test_a_gap_breaks_the_link_for_both_once_and_it_begins_anew() -> None:
    ada, bob = ends()
    ada.send(b"lost")
    written(ada)
    ada.send(b"after")
    assert bob.receive(written(ada)) == (True, ())
    assert ada.receive(written(bob)) == (True, [])
    for link in (ada, bob):
        link.told()
    ada.send(b"new")
    bob.send(b"hello")
    assert bob.receive(written(ada)) == (False, [b"new"])
    assert ada.receive(written(bob)) == (False, [b"hello"])


def test_what_passes_breaks_and_is_lost_is_counted_for_the_link_and_for_all() -> None:
    counts = NodeCounts()
    ada, bob = Link("a/1", BusSettings(), counts), Link("b/2", BusSettings())
    for message in (b"come", b"lost", b"after"):
        ada.send(message)
        assert ada.under_way == (1, len(message)) or message == b"after"
        entry = written(ada)
        if message != b"lost":
            bob.receive(entry)
        if message == b"come":
            ada.tick()
            bob.receive(written(ada))
            ada.receive(written(bob))
    assert ada.receive(written(bob)) == (True, [])
    assert ada.under_way == (0, 0)
    for each in (ada.counts, counts):
        assert (each.messages[SENT], each.bytes[SENT], each.messages[RECEIVED]) == (3, 13, 0)
        assert (each.broken, each.lost) == (1, 2)
    # The other end broke it: of its own messages, nothing was on its way.
    assert (bob.counts.messages[RECEIVED], bob.counts.bytes[RECEIVED]) == (1, 4)
    assert (bob.counts.broken, bob.counts.lost) == (1, 0)


def test_what_comes_late_from_a_link_that_is_broken_is_dropped() -> None:
    ada, bob = ends()
    ada.send(b"one")
    old = written(ada)
    ada.send(b"lost")
    written(ada)
    ada.tick()
    assert bob.receive(written(ada)) == (True, ())
    assert bob.receive(old) == (False, ())
    ada.receive(written(bob))
    ada.told()
    ada.send(b"new")
    assert bob.receive(written(ada)) == (False, [b"new"])


def test_if_both_break_it_at_once_neither_learns_of_it_twice() -> None:
    ada, bob = ends()
    for link in (ada, bob):
        link.send(b"lost")
        written(link)
        link.send(b"after")
    from_ada, from_bob = written(ada), written(bob)
    assert ada.receive(from_bob) == (True, ())
    assert bob.receive(from_ada) == (True, ())
    assert ada.receive(written(bob)) == (False, [])
    assert bob.receive(written(ada)) == (False, [])


def test_the_loss_of_the_last_message_is_found_by_a_question() -> None:
    ada, bob = ends()
    ada.send(b"lost")
    written(ada)
    assert not ada.due
    ada.tick()
    assert bob.receive(written(ada)) == (True, ())
    assert ada.receive(written(bob)) == (True, [])


def test_nobody_asks_when_everything_was_taken() -> None:
    ada, bob = ends()
    ada.send(b"one")
    bob.receive(written(ada))
    ada.tick()
    bob.receive(written(ada))
    ada.receive(written(bob))
    for link in (ada, bob):
        link.tick()
        assert not link.due


def test_whoever_broke_it_asks_until_the_other_end_has_answered() -> None:
    ada, bob = ends()
    ada.send(b"lost")
    written(ada)
    ada.tick()
    bob.receive(written(ada))
    for _ in range(3):
        written(bob)  # and lost
        bob.tick()
    assert ada.receive(written(bob)) == (True, [])
    assert bob.receive(written(ada)) == (False, [])
    bob.tick()
    assert not bob.due


def test_what_is_sent_before_the_user_knows_of_a_break_is_dropped() -> None:
    ada, bob = ends()
    ada.send(b"lost")
    written(ada)
    ada.tick()
    bob.receive(written(ada))
    bob.send(b"for the old link")
    assert ada.receive(written(bob)) == (True, [])
    bob.told()
    bob.send(b"for the new link")
    assert ada.receive(written(bob)) == (False, [b"for the new link"])


def test_an_end_that_has_taken_what_was_never_sent_breaks_it() -> None:
    ada, bob = ends()
    ada.send(b"one")
    bob.receive(written(ada))
    bob.send(b"to one who knows nothing of the link")
    assert Link("a/1", BusSettings()).receive(written(bob)) == (True, ())


@pytest.mark.parametrize(
    ("settings", "fits"),
    [(BusSettings(bus_queue=3), [b"1", b"2", b"3"]), (BusSettings(bus_queue_bytes=6), [b"12", b"", b"1234"])],
)
def test_one_message_more_than_may_be_under_way_breaks_it(settings: BusSettings, fits: list[bytes]) -> None:
    ada, bob = Link("a/1", settings), Link("b/2", settings)
    for _ in range(2):
        for message in fits:
            assert not ada.send(message)
        assert bob.receive(written(ada)) == (False, fits)
        # It was over half full, so that it has asked what was taken.
        ada.receive(written(bob))
    for message in fits:
        assert not ada.send(message)
    assert ada.send(b"1")
    assert bob.receive(written(ada)) == (True, [])


def test_a_large_message_ends_an_entry() -> None:
    ada, bob = ends()
    large = bytes(1_048_576)
    for message in (b"small", large, b"next", b"last"):
        ada.send(message)
    assert bob.receive(written(ada)) == (False, [b"small", large])
    assert bob.receive(written(ada)) == (False, [b"next", b"last"])


class Side:
    """An end with its user, and the stream of what comes to it."""

    def __init__(self, name: str) -> None:
        self.link = Link(name, BusSettings(bus_queue=5))
        self.stream: list[Entry] = []
        self.read = 0
        self.flying: Entry | None = None
        """An entry whose result is not known yet."""
        self.late: list[Entry] = []
        """Entries that were given up, and may come into the other stream at any time."""
        self.came: deque[bytes | None] = deque()
        """What the user has not taken. None is a break."""
        self.age = 0
        """Breaks that the user knows of."""
        self.said = 0
        """Messages of this age."""
        self.heard: list[tuple[int, int]] = []
        """The age of the sender and the number of each message of this age."""
        self.ages: list[tuple[int, int]] = []
        """Its own age, and that of the other user whom it heard in it."""

    def send(self) -> None:
        if self.link.send(b"%d %d" % (self.age, self.said)):
            self.came.append(None)
        self.said += 1

    def read_on(self, count: int) -> None:
        for entry in self.stream[self.read : self.read + count]:
            broken, messages = self.link.receive(entry)
            if broken:
                self.came.append(None)
            self.came.extend(messages)
            self.read += 1

    def take(self) -> None:
        message = self.came.popleft()
        if message is None:
            self.link.told()
            self.age, self.said, self.heard = self.age + 1, 0, []
            return
        age, number = map(int, message.split())
        assert number == len(self.heard), "lost, doubled or out of order"
        self.heard.append((age, number))
        if number == 0:
            assert all(age > other for _, other in self.ages), "from before the break"
            self.ages.append((self.age, age))
        assert self.ages[-1] == (self.age, age)


class Course(RuleBasedStateMachine):
    """Two users who send to each other, on the worst of ways."""

    def __init__(self) -> None:
        super().__init__()
        self.sides = (Side("a/1"), Side("b/2"))
        self.harmed = False

    which = st.sampled_from([0, 1])

    @rule(which=which)
    def send(self, which: int) -> None:
        # What does not fit breaks the link, as a loss does.
        side = self.sides[which]
        before = len(side.came)
        side.send()
        self.harmed |= len(side.came) > before

    @rule(which=which, lands=st.booleans())
    def write(self, which: int, lands: bool) -> None:
        side, other = self.sides[which], self.sides[1 - which]
        if side.flying is None and side.link.due:
            side.flying = side.link.entry()
            (other.stream if lands else side.late).append(side.flying)

    @rule(which=which, known=st.booleans())
    def result(self, which: int, known: bool) -> None:
        side = self.sides[which]
        if side.flying is not None:
            if known and not any(entry is side.flying for entry in side.late):
                side.link.confirmed(side.flying)
            side.flying = None

    @rule(which=which)
    @precondition(lambda self: any(side.late for side in self.sides))
    def land_late(self, which: int) -> None:
        side, other = self.sides[which], self.sides[1 - which]
        if side.late:
            other.stream.append(side.late.pop(0))

    @rule(which=which, count=st.integers(1, 3))
    def read(self, which: int, count: int) -> None:
        self.sides[which].read_on(count)

    @rule(which=which, back=st.integers(1, 5))
    def read_again(self, which: int, back: int) -> None:
        self.sides[which].read = max(0, self.sides[which].read - back)

    @rule(which=which)
    def lose(self, which: int) -> None:
        side = self.sides[which]
        self.harmed |= side.read < len(side.stream)
        del side.stream[side.read :]

    @rule(which=which)
    def tick(self, which: int) -> None:
        self.sides[which].link.tick()

    @rule(which=which)
    def take(self, which: int) -> None:
        if self.sides[which].came:
            self.sides[which].take()

    @invariant()
    def those_who_hear_each_other_know_of_the_same_breaks(self) -> None:
        ada, bob = self.sides
        heard_by_bob = {age: own for own, age in bob.ages}
        for own, age in ada.ages:
            assert heard_by_bob.get(own, age) == age

    @invariant()
    def nothing_breaks_by_itself(self) -> None:
        assert self.harmed or not any(side.age or None in side.came for side in self.sides)

    def teardown(self) -> None:
        """When nothing goes wrong any more, everything arrives."""
        self._settle()
        for side in self.sides:
            side.send()
        self._settle()
        for side, other in (self.sides, self.sides[::-1]):
            assert side.heard
            assert side.heard[-1] == (other.age, other.said - 1)
            side.link.tick()
            assert not side.link.due

    def _settle(self) -> None:
        for _ in range(6):
            for side, other in (self.sides, self.sides[::-1]):
                side.link.tick()
                while side.link.due:
                    entry = side.link.entry()
                    other.stream.append(entry)
                    side.link.confirmed(entry)
                other.read_on(len(other.stream))
                while other.came:
                    other.take()


TestCourse = Course.TestCase
