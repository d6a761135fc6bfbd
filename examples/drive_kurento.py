"""Drive a media server from Trio with `roomfsm.kurento` alone: one peer sends to another, and events are printed.

    uv run roomfsm mediaserver &         # or a real Kurento
    uv run --extra peer python examples/drive_kurento.py ws://127.0.0.1:8888/kurento

Both peers are `roomfsm.peer`s here, which need `roomfsm[peer]`: `--extra peer` brings it in a checkout. In your
program they are browsers, and their offers and candidates come by your own signalling.
"""

import argparse

import trio

from roomfsm.kurento import (
    BandwidthLimits,
    IceCandidate,
    IceCandidateFound,
    WebRtcEndpoint,
    open_media_pool,
)
from roomfsm.peer import Peer, open_peer


async def watch_events(name: str, endpoint: WebRtcEndpoint, peer: Peer) -> None:
    """Pass the media server's candidates to the peer, and print all other events. Ends with the endpoint."""
    async for event in endpoint.events:
        if isinstance(event, IceCandidateFound):
            peer.add_candidate(event.candidate.candidate)
        else:
            print(f"{name}: {type(event).__name__} {getattr(event, 'state', '')}".rstrip(), flush=True)


async def connect(endpoint: WebRtcEndpoint, peer: Peer) -> None:
    """What signalling does between a browser and its endpoint: offer, answer, candidates."""
    peer.take_answer(await endpoint.process_offer(peer.offer))
    await endpoint.gather_candidates()
    await endpoint.add_ice_candidate(IceCandidate(peer.candidate, "0", 0))
    await peer.connect()


async def main(url: str, packets: int) -> None:
    async with (
        open_media_pool([url]) as pool,
        pool.pipeline({"program": "drive_kurento"}) as pipeline,
        pipeline.endpoint(BandwidthLimits()) as source,
        pipeline.endpoint(BandwidthLimits()) as sink,
        open_peer("sendonly") as sender,
        open_peer("recvonly") as receiver,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(watch_events, "sender", source, sender)
        nursery.start_soon(watch_events, "receiver", sink, receiver)
        await source.connect(sink)
        with trio.fail_after(30):
            await connect(source, sender)
            await connect(sink, receiver)
            sender.play("audio", "video")
            for _ in range(packets):
                await receiver.receive_rtp()
        print(f"{packets} packets went through {pipeline.server_url}", flush=True)
        nursery.cancel_scope.cancel()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Send test media through a Kurento media server.")
    parser.add_argument("url", help="such as ws://127.0.0.1:8888/kurento")
    parser.add_argument("--packets", type=int, default=100, help="how many to wait for")
    arguments = parser.parse_args()
    trio.run(main, arguments.url, arguments.packets)
