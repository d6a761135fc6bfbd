"""A viewer that cannot decode what its presenter sends is told so in words, where Kurento would transcode."""

from tests.mediaserver.kurento_client import open_client, open_server
from tests.mediaserver.peer import H264_TYPE, VP8_TYPE, open_test_peer

REASON = (
    "no common video codec: the source sends H264 (constrained baseline, packetization mode 1), "
    "the viewer takes VP8"
)


async def test_its_offer_is_refused_and_it_may_offer_again() -> None:
    async with (
        open_server() as server,
        open_client(server.url) as client,
        open_test_peer("sendonly", video=[H264_TYPE]) as presenter,
        open_test_peer("recvonly", video=[VP8_TYPE]) as viewer,
        open_test_peer("recvonly", video=[VP8_TYPE, H264_TYPE]) as able,
    ):
        pipeline = await client.pipeline()
        source, sink = await client.endpoint(pipeline), await client.endpoint(pipeline)
        await client.invoke(source, "processOffer", offer=presenter.offer)
        await client.invoke(source, "connect", sink=sink)
        assert await client.invoke_error(sink, "processOffer", offer=viewer.offer) == (40205, REASON)
        assert "H264" in await client.invoke(sink, "processOffer", offer=able.offer)


async def test_if_it_was_negotiated_before_the_presenter_it_gets_an_error_event_of_kurentos_shape() -> None:
    async with (
        open_server() as server,
        open_client(server.url) as client,
        open_test_peer("sendonly", video=[H264_TYPE]) as presenter,
        open_test_peer("recvonly", video=[VP8_TYPE]) as viewer,
    ):
        pipeline = await client.pipeline()
        source, sink = await client.endpoint(pipeline), await client.endpoint(pipeline)
        await client.call("subscribe", object=sink, type="Error")
        await client.invoke(source, "connect", sink=sink)
        await client.invoke(sink, "processOffer", offer=viewer.offer)
        await client.invoke(source, "processOffer", offer=presenter.offer)
        (event,) = client.events("Error")
        assert int(event["data"].pop("timestampMillis")) > 0
        assert event == {
            "data": {
                "description": REASON,
                "errorCode": 6,
                "source": sink,
                "tags": [],
                "type": "STREAM_ERROR_CODEC_NOT_FOUND",
            },
            "object": sink,
            "type": "Error",
        }
