"""A presenter in three layers, made of the test peer, for viewers that are not ours."""

from __future__ import annotations

from collections.abc import Collection

import trio

from roomfsm.mediaserver.rtp.extensions import RID
from tests.mediaserver.forwarding.test_simulcast import RID_ID, SIZES, Encoder
from tests.mediaserver.peer import TestPeer

LAYERS = tuple(SIZES)
"""The rids, the smallest layer first."""
_LINES = (
    *(f"a=rid:{rid} send" for rid in LAYERS),
    f"a=simulcast:send {';'.join(LAYERS)}",
    f"a=extmap:{RID_ID} {RID}",
)
_INTERVAL = 0.02
_KEYFRAMES = 10
"""Every so many frames one is a keyframe, so that nobody needs to ask for one."""


def layered_offer(client: TestPeer) -> str:
    """The offer of a peer that sends video, with the layers. The m-line of video is the last."""
    return client.offer + "".join(f"{line}\r\n" for line in _LINES)


async def present(client: TestPeer, active: Collection[str] = LAYERS) -> None:
    """Send the pictures of the active layers, which the caller may change, until this is cancelled."""
    encoders = {rid: Encoder(rid, index) for index, rid in enumerate(LAYERS)}
    frame = 0
    while True:
        for rid in sorted(active):
            encoders[rid].keyframe = frame % _KEYFRAMES == 0
            for packet in encoders[rid].frame(frame * _INTERVAL):
                client.protect_and_send(packet)
        frame += 1
        await trio.sleep(_INTERVAL)
