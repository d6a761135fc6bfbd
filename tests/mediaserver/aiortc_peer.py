"""A WebRTC peer of another implementation (aiortc), as a program of its own: it runs on asyncio.

`python -m tests.mediaserver.aiortc_peer publish|view`: prints its offer as a JSON string, reads the answer as one.
Then it sends a picture and silence until its input ends, or prints how many frames it has decoded of each kind and
the width of the picture, as `{"audio": 12, "video": 10, "width": 320}`.
"""

import asyncio
import json
import sys

from aiortc import MediaStreamTrack, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import AudioStreamTrack, MediaStreamError, VideoStreamTrack


async def main(role: str) -> None:
    connection = RTCPeerConnection()
    decoded = {"audio": 0, "video": 0, "width": 0}
    tasks: set[asyncio.Task[None]] = set()
    if role == "publish":
        connection.addTransceiver(AudioStreamTrack(), direction="sendonly")
        connection.addTransceiver(VideoStreamTrack(), direction="sendonly")
    else:
        for kind in ("audio", "video"):
            connection.addTransceiver(kind, direction="recvonly")

    async def count(track: MediaStreamTrack) -> None:
        try:
            while True:
                frame = await track.recv()
                decoded[track.kind] += 1
                decoded["width"] = getattr(frame, "width", decoded["width"])
                print(json.dumps(decoded), flush=True)
        except MediaStreamError:
            return

    connection.on("track", lambda track: tasks.add(asyncio.ensure_future(count(track))))
    await connection.setLocalDescription(await connection.createOffer())
    print(json.dumps(connection.localDescription.sdp), flush=True)
    answer = json.loads(await asyncio.to_thread(sys.stdin.readline))
    await connection.setRemoteDescription(RTCSessionDescription(answer, "answer"))
    await asyncio.to_thread(sys.stdin.read)
    await connection.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
