"""A robot that joins a room, watches the first stream there, and counts its packets and frames.

    uv run --extra peer python examples/robot.py ws://localhost:8080/ws blue --packets 1000

It needs `roomfsm[peer]`, which `--extra peer` brings in a checkout. docs/protocol.md describes the messages.
"""

import argparse
import json
import sys

import trio
from trio_websocket import WebSocketConnection, open_websocket_url

from roomfsm.peer import Peer, open_peer


class Robot:
    """One connection to a room server, and one WebRTC peer that watches."""

    def __init__(self, websocket: WebSocketConnection, peer: Peer) -> None:
        self.websocket = websocket
        self.peer = peer
        self.stream: str | None = None  # the id of the stream that is watched

    async def send(self, message_type: str, **fields: object) -> None:
        await self.websocket.send_message(json.dumps({"type": message_type, **fields}))

    async def take_part(self, room: str, packets: int) -> None:
        """Join, watch the first stream that there is, and return when so many packets came or the stream ended."""
        await self.send("join", room=room, name="Robot")
        async with trio.open_nursery() as nursery:
            while True:
                match json.loads(await self.websocket.get_message()):
                    case {"type": "joined", "streams": [{"id": stream}, *_]} | {
                        "type": "streamStarted",
                        "stream": {"id": stream},
                    } if self.stream is None:
                        self.stream = stream
                        await self.send("view", stream=stream, sdp=self.peer.offer)
                    case {"type": "joined"}:
                        print(f"waiting until somebody presents in {room}", file=sys.stderr, flush=True)
                    case {"type": "answer", "sdp": answer}:
                        self.peer.take_answer(answer)
                        candidate = {"candidate": self.peer.candidate, "sdpMid": "0", "sdpMLineIndex": 0}
                        await self.send("candidate", stream=self.stream, **candidate)
                        nursery.start_soon(self.count, packets, nursery.cancel_scope)
                    case {"type": "candidate", "candidate": line}:
                        self.peer.add_candidate(line)
                    case {"type": "streamEnded", "stream": self.stream} | {"code": "ended", "stream": self.stream}:
                        print("the stream has ended", flush=True)
                        nursery.cancel_scope.cancel()
                    case {"type": "error", "code": code, "detail": detail}:
                        raise RuntimeError(f"the server refused: {code}, {detail}")

    async def count(self, packets: int, done: trio.CancelScope) -> None:
        """Count what comes. A packet with the marker is the last of its frame (RFC 7741 section 4.1)."""
        await self.peer.connect()
        audio = video = frames = 0
        while audio + video < packets:
            packet = await self.peer.receive_rtp()
            if packet.payload_type == self.peer.payload_types["vp8"]:
                video, frames = video + 1, frames + packet.marker
            else:
                audio += 1
        print(f"{self.stream}: {audio} packets of audio, {video} of video, {frames} frames", flush=True)
        done.cancel()


async def main(url: str, room: str, packets: int) -> None:
    async with open_websocket_url(url, subprotocols=["roomfsm.v1"]) as websocket, open_peer("recvonly") as peer:
        await Robot(websocket, peer).take_part(room, packets)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Watch the first stream of a room.")
    parser.add_argument("url", help="such as ws://localhost:8080/ws")
    parser.add_argument("room")
    parser.add_argument("--packets", type=int, default=1000, help="how many to count before leaving")
    trio.run(main, *vars(parser.parse_args()).values())
