"""Given media servers in processes of their own, a client of Kurento's protocol links them, and one is killed."""

from __future__ import annotations

import signal
from contextlib import AsyncExitStack

import trio

from tests.mediaserver.kurento.test_protocol_media import create
from tests.mediaserver.kurento_client import PATIENCE, Client, open_client
from tests.mediaserver.peer import VP8_KEYFRAME, TestPeer, open_test_peer
from tests.processes import media_server_program


async def play(peer: TestPeer) -> None:
    for number in range(100_000):
        peer.send_rtp(VP8_KEYFRAME, timestamp=900 * number)
        await trio.sleep(0.01)


class Server:
    """A client of one media server, and a pipeline."""

    def __init__(self, client: Client, pipeline: str) -> None:
        self.client = client
        self.pipeline = pipeline

    async def pass_candidates(self, endpoint: str, other: Server, to: str) -> None:
        await self.client.call("subscribe", object=endpoint, type="IceCandidateFound")
        await self.client.call("subscribe", object=endpoint, type="IceGatheringDone")
        await self.client.invoke(endpoint, "gatherCandidates")
        await self.client.event("IceGatheringDone", source=endpoint)
        for event in self.client.events("IceCandidateFound"):
            if event["data"]["source"] == endpoint:
                await other.client.invoke(to, "addIceCandidate", candidate=event["data"]["candidate"])

    async def link_to(self, child: Server, source: str) -> tuple[str, str]:
        """Send the media of `source` to another server. Returns the endpoints at both ends."""
        ours = await create(self.client, "WebRtcEndpoint", self.pipeline, sendonly=True)
        theirs = await child.client.endpoint(child.pipeline)
        for server, endpoint in ((self, ours), (child, theirs)):
            await server.client.call("subscribe", object=endpoint, type="MediaStateChanged")
        await self.client.invoke(ours, "setMaxVideoSendBandwidth", maxVideoSendBandwidth=0)
        await self.client.invoke(source, "connect", sink=ours)
        offer = await self.client.invoke(ours, "generateOffer")
        await self.client.invoke(
            ours, "processAnswer", answer=await child.client.invoke(theirs, "processOffer", offer=offer)
        )
        await self.pass_candidates(ours, child, theirs)
        await child.pass_candidates(theirs, self, ours)
        await self.client.event("MediaStateChanged", source=ours, newState="CONNECTED")
        await child.client.event("MediaStateChanged", source=theirs, newState="CONNECTED")
        return ours, theirs


async def test_a_chain_of_three_and_a_new_link_when_the_middle_is_killed(media_server: str) -> None:
    """It takes ten seconds, because nobody says goodbye and the silence is what is tested."""
    async with AsyncExitStack() as stack:
        stack.enter_context(trio.fail_after(PATIENCE))
        middle_url, process = stack.enter_context(media_server_program())
        last_url, _ = stack.enter_context(media_server_program())
        servers = []
        for url in (media_server, middle_url, last_url):
            client = await stack.enter_async_context(open_client(url))
            servers.append(Server(client, await client.pipeline()))
        first, middle, last = servers
        publisher = await first.client.endpoint(first.pipeline)
        ada = await stack.enter_async_context(open_test_peer("sendonly"))
        await ada.accept(await first.client.invoke(publisher, "processOffer", offer=ada.offer))
        nursery = await stack.enter_async_context(trio.open_nursery())
        stack.callback(nursery.cancel_scope.cancel)
        nursery.start_soon(play, ada)
        to_middle, at_middle = await first.link_to(middle, publisher)
        _, at_last = await middle.link_to(last, at_middle)
        viewer = await last.client.endpoint(last.pipeline)
        await last.client.invoke(at_last, "connect", sink=viewer)
        ben = await stack.enter_async_context(open_test_peer("recvonly"))
        await ben.accept(await last.client.invoke(viewer, "processOffer", offer=ben.offer))
        while (await ben.receive_rtp()).payload != VP8_KEYFRAME:
            pass

        process.send_signal(signal.SIGKILL)
        await first.client.event("MediaStateChanged", source=to_middle, newState="DISCONNECTED")
        await last.client.event("MediaStateChanged", source=at_last, newState="DISCONNECTED")
        await first.client.call("release", object=to_middle)
        await last.client.call("release", object=at_last)
        ben.received_rtp()
        _, at_last = await first.link_to(last, publisher)
        await last.client.invoke(at_last, "connect", sink=viewer)
        while (await ben.receive_rtp()).payload != VP8_KEYFRAME:
            pass
        assert ben.refused == 0
