"""Reads transport-wide feedback (section 3.1 of its draft), for tests."""

import struct
from collections.abc import Iterator


def _symbols(chunks: Iterator[int], count: int) -> list[int]:
    found: list[int] = []
    while len(found) < count:
        chunk = next(chunks)
        if not chunk & 0x8000:
            found += [chunk >> 13 & 3] * (chunk & 0x1FFF)
        elif chunk & 0x4000:
            found += [chunk >> shift & 3 for shift in range(12, -1, -2)]
        else:
            found += [chunk >> shift & 1 for shift in range(13, -1, -1)]
    return found[:count]


def read_feedback(feedback: bytes) -> tuple[int, int, list[float | None]]:
    """Count of the feedback, number of its first packet, and when each came: seconds, None if it did not."""
    first, kind, words = struct.unpack_from("!BBH", feedback)
    assert (first >> 6, first & 0x1F, kind, 4 * (words + 1)) == (2, 15, 205, len(feedback))
    body = feedback[: len(feedback) - feedback[-1]] if first & 0x20 else feedback
    base, count = struct.unpack_from("!HH", body, 12)
    reference, number = int.from_bytes(body[16:19], signed=True), body[19]
    offset = 20

    def chunks() -> Iterator[int]:
        nonlocal offset
        while True:
            offset += 2
            yield int.from_bytes(body[offset - 2 : offset])

    times: list[float | None] = []
    kinds = _symbols(chunks(), count)
    now = reference * 0.064
    for kind in kinds:
        if kind == 0:
            times.append(None)
            continue
        now += int.from_bytes(body[offset : offset + kind], signed=kind == 2) * 0.00025
        offset += kind
        times.append(now)
    assert offset == len(body)
    return number, base, times
