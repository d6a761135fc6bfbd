"""A WebRTC peer of another implementation (libdatachannel), as a program of its own.

`python -m tests.mediaserver.libdatachannel_peer publish|view|watch|answer`: prints its offer as a JSON string,
reads the answer as one, then sends VP8 keyframes until its input ends, or prints the first RTP packet it gets
(hexadecimal), or with `watch` all of them.
With `answer` it reads an offer to publish, prints its answer, then its candidates, and then such a packet. It is a
process, and without callbacks, because the binding can deadlock on the GIL.
"""

import json
import os
import struct
import sys
import threading
import time
from collections.abc import Callable

from libdatachannel.libdatachannel_ext import Configuration, Description, PeerConnection, Track

from tests.mediaserver.peer import VP8_KEYFRAME

SSRC = 4242
STEP = 0.01
"""Seconds between two looks: the binding's own notifications are the callbacks that this does without."""


def wait_for(condition: Callable[[], object]) -> None:
    while not condition():
        time.sleep(STEP)


def negotiate(direction: Description.Direction) -> tuple[PeerConnection, Track]:
    configuration = Configuration()
    configuration.bind_address = "127.0.0.1"
    connection = PeerConnection(configuration)
    video = Description.Video("video", direction)
    video.add_vp8_codec(96)
    if direction is Description.Direction.SendOnly:
        video.add_ssrc(SSRC, "cname", "stream", "track")
    track = connection.add_track(video)
    connection.set_local_description()
    wait_for(lambda: connection.gathering_state() == PeerConnection.GatheringState.Complete)
    print(json.dumps(str(connection.local_description())), flush=True)
    answer = json.loads(sys.stdin.readline())
    connection.set_remote_description(Description(answer, Description.Type.Answer))
    wait_for(track.is_open)
    return connection, track


def publish() -> None:
    connection, track = negotiate(Description.Direction.SendOnly)
    ended = threading.Event()

    def await_end() -> None:
        sys.stdin.read()
        ended.set()

    threading.Thread(target=await_end, daemon=True).start()
    number = 0
    while not ended.wait(STEP):
        header = struct.pack("!BBHII", 0x80, 0xE0, number & 0xFFFF, number * 900, SSRC)
        track.send(header + VP8_KEYFRAME)
        number += 1
    connection.close()


def view() -> None:
    connection, track = negotiate(Description.Direction.RecvOnly)
    show_first(track)
    sys.stdin.read()
    connection.close()


def watch() -> None:
    _, track = negotiate(Description.Direction.RecvOnly)

    def end() -> None:
        sys.stdin.read()
        os._exit(0)

    threading.Thread(target=end, daemon=True).start()
    while True:
        show_first(track)


def show_first(track: Track) -> None:
    while True:
        wait_for(track.available_amount)
        packet = track.receive()
        if isinstance(packet, bytes) and not 192 <= packet[1] <= 223:
            print(json.dumps(packet.hex()), flush=True)
            return


def answer() -> None:
    configuration = Configuration()
    configuration.bind_address = "127.0.0.1"
    connection = PeerConnection(configuration)
    video = Description.Video("1", Description.Direction.RecvOnly)
    video.add_vp8_codec(96)
    track = connection.add_track(video)
    connection.set_remote_description(Description(json.loads(sys.stdin.readline()), Description.Type.Offer))
    wait_for(lambda: connection.gathering_state() == PeerConnection.GatheringState.Complete)
    lines = str(connection.local_description()).splitlines()
    candidates = [line.removeprefix("a=") for line in lines if line.startswith("a=candidate")]
    print(json.dumps("\r\n".join(line for line in lines if "candidate" not in line) + "\r\n"), flush=True)
    print(json.dumps(candidates[0]), flush=True)
    show_first(track)
    sys.stdin.read()
    connection.close()


if __name__ == "__main__":
    {"publish": publish, "view": view, "watch": watch, "answer": answer}[sys.argv[1]]()
