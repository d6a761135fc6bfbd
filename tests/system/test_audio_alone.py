"""A presenter with a microphone only is heard, by a media server that refuses what the real Kurento refuses."""

from __future__ import annotations

from contextlib import AsyncExitStack

import trio

from roomfsm.peer import AUDIO_SSRC
from tests.mediaserver.peer import OPUS, open_test_peer
from tests.protocol_client import open_client
from tests.serving import serving
from tests.system.cycles import PATIENCE, connect


async def test_a_stream_of_audio_alone_is_heard_and_its_view_goes_on(media_server: str) -> None:
    async with AsyncExitStack() as stack:
        served = await stack.enter_async_context(serving(media_server))
        ada, bob = [await stack.enter_async_context(open_client(served.url)) for _ in range(2)]
        microphone = await stack.enter_async_context(open_test_peer("sendonly"))
        speaker = await stack.enter_async_context(open_test_peer("recvonly"))
        await ada.join("blue")
        await bob.join("blue")
        stream = f"{ada.me}.camera"
        await connect(microphone, await ada.ask("publish", source="camera", sdp=microphone.offer))
        await connect(speaker, await bob.ask("view", stream=stream, sdp=speaker.offer))
        with trio.fail_after(PATIENCE):
            heard = False
            while not heard:
                microphone.send_rtp(OPUS, ssrc=AUDIO_SSRC)
                with trio.move_on_after(0.05):
                    await speaker.receive_rtp()
                    heard = True
        # "live" is told after the connection is up, which is when a keyframe used to be asked for.
        live = await bob.expect("streamChanged", view="live")
        assert live["stream"]["id"] == stream
        assert (await bob.ask("chat", text="I hear you"))["type"] == "chat"
        assert [m for m in bob.seen if m["type"] == "error" or m.get("view") == "ended"] == []
