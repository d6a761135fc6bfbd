"""Join and leave many times in this process, and print the resident kB after each round as a JSON list.

`python -m tests.mediaserver.joins ROUNDS JOINS`: one publisher stays, the viewers come and go, half of them by
close_notify, half without a word but for the owner's `close`.
"""

import gc
import json
import os
import sys
from pathlib import Path

import trio

from roomfsm.mediaserver.base.settings import EngineSettings
from roomfsm.mediaserver.engine.engine import open_engine
from tests.mediaserver.peer import VP8_KEYFRAME
from tests.mediaserver.stage import PATIENCE, join


def resident() -> int:
    """kB."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024


async def run(rounds: int, joins: int) -> list[int]:
    sizes = []
    async with open_engine(EngineSettings(host="127.0.0.1")) as engine, join(engine, "sendonly") as publisher:
        for round_ in range(rounds):
            for index in range(joins):
                with trio.fail_after(PATIENCE):
                    async with join(engine, "recvonly", publisher.peer) as viewer:
                        timestamp = (round_ * joins + index) * 3000
                        publisher.client.send_rtp(VP8_KEYFRAME, timestamp=timestamp)
                        await viewer.client.receive_rtp()
                        if index % 2:
                            viewer.client.close_notify()
                            await viewer.observer.wait_for("media", False)
                        viewer.peer.close()
            assert engine.peers == len(engine.by_ufrag) == len(engine.by_address) == 1
            assert not engine.handshaking
            sizes.append(resident())
    return sizes


if __name__ == "__main__":
    print(json.dumps(trio.run(run, int(sys.argv[1]), int(sys.argv[2]))))
