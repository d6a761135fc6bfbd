"""A sender of a stream with three layers and of sound, and a viewer behind a bottleneck, on virtual time.

The sender picks the highest layer that fits the estimate, and probes. The viewer sends transport-wide feedback as
browsers do. Nothing here is a socket: `virtual_path` has the time and the links.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import NamedTuple

from roomfsm.mediaserver.base.kinds import PictureSize
from roomfsm.mediaserver.base.settings import EngineSettings
from roomfsm.mediaserver.forwarding.shared_path import SharedPath
from roomfsm.mediaserver.rtp.transport_feedback import parse_feedback, write_feedback
from tests.mediaserver.forwarding.virtual_path import AUDIO_INTERVAL, OVERHEAD, Link, World

LAYERS = (90_000, 400_000, 1_500_000)
"""bit/s of the picture."""
AUDIO = 8 * (80 + OVERHEAD) / AUDIO_INTERVAL
"""bit/s on the wire: Opus of 32 kbit/s, 50 packets a second."""
MARGIN = 1.05
"""A layer begins if the estimate is so many times its bitrate with sound, and ends if the estimate is less than
that bitrate."""
FPS = 30
KEYFRAME = 6
"""A keyframe is as large as so many frames."""
KEYFRAME_INTERVAL = 10.0
PACKET = 1100
PADDING = 280
"""Bytes of a packet with padding, on the wire."""
STEP = 0.05
FEEDBACK = 0.05
"""Seconds between two feedbacks: Chromium's with more than 200 kbit/s."""


def needed(layer: int, margin: float = MARGIN) -> int:
    """The bitrate at which a layer fits. -1 is sound without a picture."""
    return round(((LAYERS[layer] if layer >= 0 else 0) + AUDIO) * margin)


class LayeredSender:
    """A media server with one viewer.

    Its sound is numbered as the picture is, so that the estimate is about both. If it shares its `path` with
    others, sound is as in the product: it is not numbered, and only one of them has it (`speaks`).
    """

    def __init__(
        self,
        world: World,
        down: Link,
        up: Link,
        *,
        feedback: float = FEEDBACK,
        path: SharedPath | None = None,
        speaks: bool = True,
    ) -> None:
        self.world, self.down, self.up = world, down, up
        self._numbers_sound = path is None
        path = path or SharedPath(EngineSettings())
        self.estimator, self.claim = path.estimator.open_transport(), path.open_claim()
        self.layer = 0
        """The layer that is sent; -1 if no picture is."""
        self.highest = len(LAYERS) - 1
        """The highest layer that the viewer wants."""
        self.estimates: list[tuple[float, int | None]] = []
        self.layers: list[tuple[float, int]] = []
        self.sound: list[tuple[float, float]] = []
        """When each packet of sound was sent that arrived, and how long it took."""
        self.said: list[float] = []
        """When each packet of sound was sent, lost ones included."""
        self.padding: list[tuple[float, int]] = []
        """When padding was sent, and its bytes."""
        self.deaf = False
        """Whether the viewer's feedback is lost."""
        self.stalled_until = 0.0
        """The sender does nothing until then."""
        self._late: list[Callable[[], None]] = []
        self._key_at = 0.0
        self._arrivals: dict[int, float] = {}
        self._highest = self._told = -1
        self._count = 0
        if speaks:
            world.every(AUDIO_INTERVAL, self._awake(self._speak))
        world.every(1 / FPS, self._awake(self._frame))
        world.every(STEP, self._awake(self._decide))
        world.every(feedback, self._tell)

    def _awake(self, action: Callable[[], None]) -> Callable[[], None]:
        def act() -> None:
            if self.world.time < self.stalled_until:
                self._late.append(action)
            else:
                late, self._late = self._late, []
                for one in late:
                    if one != self._decide:
                        one()
                action()

        return act

    # The sender

    def _send(self, size: int, arrived: Callable[[float], None] | None = None) -> None:
        now = self.world.time
        number = self.estimator.number(size, now)

        def deliver() -> None:
            self._receive(number)
            if arrived is not None:
                arrived(self.world.time)

        self.down.send(size, deliver)

    def _send_apart(self, size: int, arrived: Callable[[float], None]) -> None:
        self.down.send(size, lambda: arrived(self.world.time))

    def _speak(self) -> None:
        sent = self.world.time
        self.said.append(sent)
        send = self._send if self._numbers_sound else self._send_apart
        send(80 + OVERHEAD, lambda now: self.sound.append((sent, now - sent)))

    def _frame(self) -> None:
        now = self.world.time
        if self.layer < 0:
            return
        size = LAYERS[self.layer] / FPS / 8 * self.world.random.uniform(0.7, 1.2)
        if now >= self._key_at:
            size *= KEYFRAME
            self._key_at = now + KEYFRAME_INTERVAL
        count = -int(-size // PACKET)
        each = round(size / count)
        spacing = min(0.005, 0.8 / FPS / count)
        for index in range(count):
            self.world.at(now + index * spacing, lambda: self._send(each))

    def _decide(self) -> None:
        now = self.world.time
        estimate = self.estimator.bitrate(now)
        self.estimates.append((now, estimate))
        layer = self.layer
        if estimate is not None:
            up, stay = self._fitting(estimate, MARGIN), self._fitting(estimate, 1.0)
            layer = up if up > layer else min(layer, stay)
        layer = min(layer, self.highest)
        self.claim.least, self.claim.taken = self._needed(0, 1.0), self._needed(layer, 1.0) if layer >= 0 else 0.0
        if layer != self.layer:
            self.layer, self._key_at = layer, now
        self.layers.append((now, layer))
        if layer < self.highest and (padding := self.estimator.probe(now, self._lacks(layer))):
            self.padding.append((now, padding))
            count = -(-padding // PADDING)
            for _ in range(count):
                self._send(round(padding / count))

    def _needed(self, layer: int, margin: float) -> int:
        return needed(layer, margin) if self._numbers_sound else round(LAYERS[layer] * margin)

    def _lacks(self, layer: int) -> int:
        """What the path must carry for the layer after that one."""
        reserved = self.claim.reserved() if layer >= 0 else self.claim.reserved_for_least()
        return round(reserved + self._needed(layer + 1, MARGIN))

    def _fitting(self, estimate: int, margin: float) -> int:
        """The highest layer that fits; -1 if none does."""
        fitting = -1
        if self._needed(0, margin) <= estimate - self.claim.reserved_for_least(estimate):
            fitting = 0
        for layer in range(1, len(LAYERS)):
            if self._needed(layer, margin) <= estimate - self.claim.reserved(estimate):
                fitting = max(fitting, layer)
        return fitting

    # The viewer

    def _receive(self, number: int) -> None:
        if self._highest < 0:
            self._highest, self._told = number, number - 1
        extended = self._highest + (number - self._highest + 0x8000 & 0xFFFF) - 0x8000
        self._highest = max(self._highest, extended)
        self._arrivals[extended] = self.world.time

    def _tell(self) -> None:
        if not self._arrivals:
            return
        arrivals, self._arrivals = self._arrivals, {}
        first, end = min(self._told + 1, min(arrivals)), max(arrivals) + 1
        self._told = max(self._told, end - 1)
        first = max(first, end - 480)
        packet = write_feedback(
            1, 2, first & 0xFFFF, self._count & 0xFF, [arrivals.get(n) for n in range(first, end)]
        )
        self._count += 1
        self.up.send(len(packet), self._awake(lambda: self._heed(packet)))

    def _heed(self, packet: bytes) -> None:
        if self.deaf:
            return
        self.estimator.feedback(parse_feedback(packet), self.world.time)

    # What became of it

    def reaches(self, layer: int, after: float) -> float:
        """Seconds after that time until the layer is sent."""
        return next((when for when, one in self.layers if when >= after and one >= layer), float("inf")) - after

    def falls_to(self, layer: int, after: float) -> float:
        return next((when for when, one in self.layers if when >= after and one <= layer), float("inf")) - after

    def share(self, begin: float, end: float, layer: int) -> float:
        """The share of that time in which a layer was sent, or a higher one."""
        sent = [one for when, one in self.layers if begin <= when < end]
        return sum(one >= layer for one in sent) / len(sent)

    def delays(self, begin: float, end: float) -> list[float]:
        """How much longer than the shortest each packet of sound took."""
        shortest = min(took for _, took in self.sound)
        return [took - shortest for sent, took in self.sound if begin <= sent < end]

    def lost_sound(self, begin: float, end: float) -> float:
        said = sum(begin <= sent < end for sent in self.said)
        return 1 - sum(begin <= sent < end for sent, _ in self.sound) / said

    def queue_gone(self, after: float, limit: float = 0.05) -> float:
        """Seconds after that time until sound is delayed by less than `limit` again."""
        shortest = min(took for _, took in self.sound)
        late = [(sent, took - shortest) for sent, took in self.sound if sent >= after + 0.1]
        return next((sent for sent, took in late if took < limit), float("inf")) - after

    def changes(self, begin: float, end: float) -> int:
        """How often the layer changed."""
        sent = [one for when, one in self.layers if begin <= when < end]
        return sum(before != after for before, after in pairwise(sent))


class Download:
    """A TCP connection (Reno) that always has something to send, over the same link."""

    def __init__(self, world: World, link: Link, begin: float, end: float) -> None:
        self._world, self._link, self._end = world, link, end
        self._window, self._threshold = 10.0, 1e9
        self._next = self._acknowledged = 0
        self._recovered = 0
        self._timeout = 0.0
        self.octets = 0
        world.at(begin, self._fill)
        world.every(0.1, self._watch)

    def _fill(self) -> None:
        while self._next - self._acknowledged < self._window and self._world.time < self._end:
            number = self._next
            self._next += 1
            self._timeout = self._world.time + 1.0
            self._link.send(1500, lambda n=number: self._arrived(n))  # type: ignore[misc]

    def _arrived(self, number: int) -> None:
        self.octets += 1500
        self._world.at(self._world.time + self._link.delay, lambda: self._acknowledge(number))

    def _acknowledge(self, number: int) -> None:
        """With selective acknowledgements: whatever is missing before it was lost."""
        if number > self._acknowledged and number >= self._recovered:
            self._window = self._threshold = max(2.0, self._window / 2)
            self._recovered = self._next
        elif self._window < self._threshold:
            self._window += 1
        else:
            self._window += 1 / self._window
        self._acknowledged = max(self._acknowledged, number + 1)
        self._fill()

    def _watch(self) -> None:
        if self._next > self._acknowledged and self._world.time > self._timeout:
            self._window, self._acknowledged = 2.0, self._next
        if self._timeout > 0:
            self._fill()


def percentile(values: Sequence[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))] if values else 0.0


class Course(NamedTuple):
    """What the path is like. `rates` has a bitrate from each time on, in bit/s."""

    rates: Sequence[tuple[float, float]]
    queue: float = 0.3
    delay: float = 0.02
    jitter: float = 0.0
    loss: float = 0.0
    feedback_loss: float = 0.0
    feedback: float = FEEDBACK
    """Seconds between two feedbacks."""


def play_shared(
    course: Course,
    views: Sequence[PictureSize],
    seconds: float,
    seed: int = 1,
    prepare: Callable[[Sequence[LayeredSender]], object] | None = None,
) -> tuple[LayeredSender, ...]:
    """Let one participant view several pictures over such a path. Sound comes with the first one."""
    world = World(seed)
    down, up = _links(world, course)
    path = SharedPath(EngineSettings())
    senders = tuple(
        LayeredSender(world, down, up, feedback=course.feedback, path=path, speaks=not index)
        for index in range(len(views))
    )
    for sender, size in zip(senders, views, strict=True):
        sender.claim.size = size
        sender.highest = 0 if size is PictureSize.SMALL else len(LAYERS) - 1
    if prepare is not None:
        prepare(senders)
    world.run(seconds)
    return senders


def _links(world: World, course: Course) -> tuple[Link, Link]:
    """The way to the viewer, and the way back."""
    down = Link(
        world,
        rate=course.rates[0][1],
        queue=course.queue,
        delay=course.delay,
        jitter=course.jitter,
        loss=course.loss,
    )
    for time, rate in course.rates[1:]:
        world.at(time, partial(down.change_rate, rate))
    return down, Link(world, delay=course.delay, jitter=course.jitter, loss=course.feedback_loss)


def play(
    course: Course, seconds: float, seed: int = 1, prepare: Callable[[LayeredSender], object] | None = None
) -> LayeredSender:
    """Let somebody view over such a path. `prepare` adds what else happens."""
    world = World(seed)
    down, up = _links(world, course)
    sender = LayeredSender(world, down, up, feedback=course.feedback)
    if prepare is not None:
        prepare(sender)
    world.run(seconds)
    return sender
