"""What a viewer that comes late begins with: the last keyframe and all that followed it, as if it were sent now.

A source may say nothing for minutes, because its picture does not change: slides, a drawn canvas. Its last picture
is in the ring, and browsers make no new keyframe of a picture that nobody draws again, so a viewer that comes now
must be given the old packets. Their timestamps are old, too. A browser plays frames as far apart as their
timestamps are: it would show the keyframe of a minute ago, then wait a minute for the next frame. So the frames of
a replay are moved together, a millisecond apart, and the newest of them to just before now. It still lies before
whatever the source sends next, so that the viewer plays on without a jump.
"""

from collections.abc import Sequence
from typing import NamedTuple

from roomfsm.mediaserver.rtp.ring import KeptPacket

_FRAME_STEP = 0.001
"""Seconds between two replayed frames."""
_MARGIN = 0.25
"""Seconds by which the newest frame stays behind now: the source's next may come earlier than its timestamp says,
and must still be the later one."""


class Replay(NamedTuple):
    """The packets of a replay in their order, and when they were sent, in seconds."""

    packets: list[KeptPacket]
    time: float

    @property
    def span(self) -> tuple[int, int]:
        """The extended numbers of the first packet and the last."""
        return self.packets[0].extended, self.packets[-1].extended

    def as_sent(self, kept: KeptPacket) -> KeptPacket:
        """A packet of the ring as it was replayed, if it was."""
        index = kept.extended - self.packets[0].extended
        return self.packets[index] if 0 <= index < len(self.packets) else kept


def catch_up(kept: Sequence[KeptPacket], silence: float, now: float, clock_rate: int) -> Replay:
    """The packets from a keyframe to the newest, none missing, with the timestamps that they are replayed with.

    `silence`: seconds since the newest came. `clock_rate`: of the timestamps, in Hz.
    """
    step = round(_FRAME_STEP * clock_rate)
    follower = kept[-1].timestamp
    timestamp = follower + round(max(0.0, silence - _MARGIN) * clock_rate)
    packets = []
    for packet in reversed(kept):
        if packet.timestamp != follower:
            timestamp -= min(step, (follower - packet.timestamp) & 0xFFFFFFFF)
            follower = packet.timestamp
        packets.append(KeptPacket(packet.extended, timestamp & 0xFFFFFFFF, now, packet.packet))
    packets.reverse()
    return Replay(packets, now)
