"""The packets with which a late viewer begins: the last keyframe and everything after it, as if they were sent
now.

A source may send nothing for minutes if its picture does not change, for example slides or a drawn canvas. Its
last picture is in the ring. Browsers make no new keyframe of a picture that nobody draws again, so a late viewer
must get the old packets. Their timestamps are old, too. A browser plays frames at the distance of their
timestamps. It would show the keyframe of a minute ago, and then wait a minute for the next frame. So the frames of
a replay are moved to a distance of a millisecond, and the newest one to just before now. It still comes before the
next frame of the source, so the viewer continues without a jump.
"""

from collections.abc import Sequence
from typing import NamedTuple

from roomfsm.mediaserver.rtp.ring import KeptPacket

_FRAME_STEP = 0.001
"""Seconds between two replayed frames."""
_MARGIN = 0.25
"""The newest frame gets a time that is so many seconds before now. The source's next frame may come earlier than
its timestamp says, and must still be later than this one."""


class Replay(NamedTuple):
    """The packets of a replay in order, and the time in seconds when they were sent."""

    packets: list[KeptPacket]
    time: float

    @property
    def span(self) -> tuple[int, int]:
        """The extended numbers of the first and the last packet."""
        return self.packets[0].extended, self.packets[-1].extended

    def packet(self, extended: int) -> KeptPacket | None:
        """The packet with an extended number; None if the replay has none."""
        index = extended - self.packets[0].extended
        return self.packets[index] if 0 <= index < len(self.packets) else None

    def as_sent(self, kept: KeptPacket) -> KeptPacket:
        """A packet of the ring in the form in which it was replayed.

        A packet that was not replayed is returned unchanged.
        """
        return self.packet(kept.extended) or kept


def catch_up(kept: Sequence[KeptPacket], silence: float, now: float, clock_rate: int) -> Replay:
    """The packets from a keyframe to the newest one, with the timestamps for the replay. None may be missing.

    `silence` is the time in seconds since the newest packet came. `clock_rate` is that of the timestamps, in Hz.
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
