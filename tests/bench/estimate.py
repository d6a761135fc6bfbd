"""How the estimate of a viewer's path follows the path: a simulation, and what the arithmetic costs.

`uv run python -m tests.bench.estimate [--seeds 10] [--plots FOLDER]`. A sender of three layers (90, 400 and
1500 kbit/s) and sound, as in `tests.mediaserver.forwarding.layered_path`. Every figure is a median over the seeds,
and the worst in brackets. Only the costs at the end are measured and depend on how busy the machine is.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from roomfsm.mediaserver.base.settings import EngineSettings
from roomfsm.mediaserver.forwarding.bandwidth.estimator import PathEstimator
from roomfsm.mediaserver.rtp import rtcp
from roomfsm.mediaserver.rtp.transport_feedback import TransportFeedback, write_feedback
from tests.bench.estimate_plot import plot
from tests.mediaserver.forwarding.layered_path import Course, Download, LayeredSender, percentile, play

SECONDS = 60.0
BEGIN, END = 20.0, 40.0
"""Between these times the path is worse, if it changes."""
MBIT = 1_000_000


class Scene(NamedTuple):
    name: str
    course: Course
    prepare: Callable[[LayeredSender], object] | None = None


def _changing(before: float, between: float, queue: float = 0.3, jitter: float = 0.0, loss: float = 0.0) -> Course:
    return Course([(0, before), (BEGIN, between), (END, before)], queue=queue, jitter=jitter, loss=loss)


def _download(sender: LayeredSender) -> None:
    Download(sender.world, sender.down, BEGIN, END)


def _pause(sender: LayeredSender) -> None:
    sender.world.at(BEGIN, lambda: setattr(sender, "stalled_until", BEGIN + 1))


SCENES = (
    *(
        Scene(f"{rate} kbit/s", Course([(0, 1000 * rate)]))
        for rate in (100, 200, 300, 500, 1000, 1650, 2000, 5000)
    ),
    Scene("5 Mbit/s, 0.3 from 20 to 40 s", _changing(5 * MBIT, 300_000)),
    Scene("2 Mbit/s, 0.1 from 20 to 40 s", _changing(2 * MBIT, 100_000)),
    Scene("5, 0.3 Mbit/s, queue of 1 s", _changing(5 * MBIT, 300_000, queue=1.0)),
    Scene("5, 0.3 Mbit/s, queue of 50 ms", _changing(5 * MBIT, 300_000, queue=0.05)),
    Scene("5, 0.3 Mbit/s, jitter of ±20 ms", _changing(5 * MBIT, 300_000, jitter=0.04)),
    Scene("5, 0.3 Mbit/s, 2 % lost", _changing(5 * MBIT, 300_000, loss=0.02)),
    Scene("5 Mbit/s, a third of feedback lost", Course([(0, 5 * MBIT)], feedback_loss=0.33)),
    Scene("5 Mbit/s, round trip of 200 ms", Course([(0, 5 * MBIT)], delay=0.1)),
    Scene("4 Mbit/s, a download 20 to 40 s", Course([(0, 4 * MBIT)]), _download),
    Scene("2 Mbit/s, we pause 1 s", Course([(0, 2 * MBIT)]), _pause),
)


def _figures(sender: LayeredSender) -> list[float]:
    """In the order of the table's columns."""
    delays = sender.delays(3, SECONDS - 1)
    return [
        sender.reaches(2, 0),
        sender.falls_to(0, BEGIN),
        sender.queue_gone(BEGIN),
        sender.reaches(2, END),
        *(100 * sender.share(3, SECONDS, layer) for layer in (0, 1, 2)),
        1000 * percentile(delays, 0.95),
        1000 * max(delays),
        100 * sender.lost_sound(3, SECONDS - 1),
        8 * sum(octets for _, octets in sender.padding) / SECONDS / 1000,
    ]


def _row(scene: Scene, seeds: int) -> str:
    runs = [_figures(play(scene.course, SECONDS, seed, scene.prepare)) for seed in range(seeds)]
    changes = len(scene.course.rates) > 1
    cells = []
    for index, values in enumerate(zip(*runs, strict=True)):
        middle, worst = statistics.median(values), (min if 4 <= index <= 6 else max)(values)
        if (index in (1, 2, 3) and not changes) or middle == float("inf"):
            cells.append("-")
        else:
            form = "{:.1f} ({:.1f})" if index in (0, 1, 2, 3, 9) else "{:.0f} ({:.0f})"
            cells.append(form.format(middle, worst))
    return f"| {scene.name} | " + " | ".join(cells) + " |"


def _costs() -> str:
    """The median times to read a feedback about twelve packets, to take it, and to give one number."""
    estimator = PathEstimator(EngineSettings()).open_transport()
    now, count, rounds = 100.0, 12, 1000
    numbered, read, taken = [], [], []
    for index in range(rounds):
        begin = time.perf_counter()
        for _ in range(count):
            estimator.number(1000, now)
        numbered.append((time.perf_counter() - begin) / count)
        packet = write_feedback(
            1, 2, index * count & 0xFFFF, index & 0xFF, [now + one / 300 for one in range(count)]
        )
        now += 0.05
        begin = time.perf_counter()
        (feedback,) = rtcp.parse(packet)
        read.append(time.perf_counter() - begin)
        assert isinstance(feedback, TransportFeedback)
        begin = time.perf_counter()
        estimator.feedback(feedback, now)
        taken.append(time.perf_counter() - begin)
    number, reading, taking = (1e6 * statistics.median(values) for values in (numbered, read, taken))
    return (
        f"A number takes {number:.2f} µs. A feedback about {count} packets takes {reading:.1f} µs to be read and "
        f"{taking:.1f} µs to be taken."
    )


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--seeds", type=int, default=10)
    arguments.add_argument("--plots", type=Path, help="a folder for one SVG of each scene")
    given = arguments.parse_args()
    print(
        "| path | best layer after s | falls after s | queue gone after s | best again after s | picture % ",
        end="",
    )
    print("| ≥ 400k % | 1500k % | sound late, p95 ms | most ms | sound lost % | padding kbit/s |")
    print("|---" * 12 + "|")
    for scene in SCENES:
        print(_row(scene, given.seeds), flush=True)
        if given.plots:
            given.plots.mkdir(parents=True, exist_ok=True)
            name = "".join(letter if letter.isalnum() else "-" for letter in scene.name.lower())
            sender = play(scene.course, SECONDS, prepare=scene.prepare)
            (given.plots / f"{name}.svg").write_text(plot(scene.name, scene.course, sender, SECONDS))
    print(_costs())


if __name__ == "__main__":
    main()
