"""Feedback of any content to the estimate of a path: it stays within its range, and probes stay small.

A browser that lies only harms itself: it gets a layer that its path does not carry.
"""

from __future__ import annotations

from roomfsm.mediaserver.base.settings import EngineSettings
from roomfsm.mediaserver.forwarding.bandwidth import constants
from roomfsm.mediaserver.forwarding.bandwidth.estimator import PathEstimator
from roomfsm.mediaserver.rtp.transport_feedback import TransportFeedback

_MAX_STEPS = 60
_MAX_PORTION = 0.05 * constants.MAX_BITRATE / 8
"""No portion of a probe is more than what the fastest path carries in 50 ms."""


def estimator(data: bytes) -> None:
    """`data`: steps of 8 bytes: packets are sent, a probe is due, or feedback comes about the last packets sent.

    The first byte says what is done and on which of two transports, the second how much later; the others are
    sizes, numbers and times.
    """
    settings = EngineSettings()
    path = PathEstimator(settings)
    transports = [path.open_transport(), path.open_transport()]
    sent, now = [0, 0], 1000.0
    for start in range(0, min(len(data), 8 * _MAX_STEPS), 8):
        step = data[start : start + 8].ljust(8, b"\0")
        action, now = step[0], now + step[1] / 256
        transport, newest = transports[action & 1], sent[action & 1]
        if action < 110:
            for _ in range(step[2] % 40):
                newest = transport.number(step[3] * 6 + 1, now)
        elif action < 140:
            octets = transport.probe(now, int.from_bytes(step[2:5]))
            assert 0 <= octets <= _MAX_PORTION
            if octets:
                newest = transport.number(octets, now)
        else:
            count, step_of_time = step[2] % 60, int.from_bytes(step[3:5], signed=True) >> (action & 7)
            arrivals = [
                None if step[5] >> number % 8 & 1 else number * step_of_time + step[6] for number in range(count)
            ]
            base = newest - count + 1 + (step[7] - 0x100 if action & 8 else 0)
            reference = int(now * 1000 / 64) + (step[7] << 16 if action & 16 else 0)
            transport.feedback(TransportFeedback(base & 0xFFFF, reference & 0xFFFFFF, start & 0xFF, arrivals), now)
        sent[action & 1] = newest
        known = path.bitrate(now)
        assert known is None or settings.min_path_estimate <= known <= constants.MAX_BITRATE
