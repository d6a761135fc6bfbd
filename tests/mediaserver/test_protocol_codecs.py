"""A viewer that cannot decode what its presenter sends is told so in words, where Kurento would transcode."""

from roomfsm.conformance.sdp import VP8_TYPE, PayloadType
from tests.mediaserver import answering
from tests.mediaserver.kurento_client import open_client, open_server
from tests.mediaserver.peer import H264_TYPE, open_test_peer

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


async def test_an_offer_to_it_is_not_made_if_nothing_we_offer_fits() -> None:
    high = PayloadType(102, "H264/90000", "packetization-mode=1;profile-level-id=640c1f")
    async with (
        open_server() as server,
        open_client(server.url) as client,
        open_test_peer("sendonly", video=[high]) as presenter,
    ):
        pipeline = await client.pipeline()
        source, sink = await client.endpoint(pipeline), await client.endpoint(pipeline)
        await client.invoke(source, "processOffer", offer=presenter.offer)
        await client.invoke(source, "connect", sink=sink)
        code, reason = await client.invoke_error(sink, "generateOffer")
        assert (code, reason[:62]) == (40204, "no common video codec: the source sends H264 (high, packetizat")


async def test_its_answer_is_refused_if_the_presenter_chose_a_codec_meanwhile() -> None:
    async with (
        open_server() as server,
        open_client(server.url) as client,
        open_test_peer("sendonly", video=[H264_TYPE]) as presenter,
        open_test_peer("recvonly") as viewer,
    ):
        pipeline = await client.pipeline()
        source, sink = await client.endpoint(pipeline), await client.endpoint(pipeline)
        await client.invoke(source, "connect", sink=sink)
        offer = await client.invoke(sink, "generateOffer")
        await client.invoke(source, "processOffer", offer=presenter.offer)
        answer = answering.write_answer(viewer, offer, direction="recvonly", setup="active", codec="VP8")
        assert await client.invoke_error(sink, "processAnswer", answer=answer) == (40206, REASON)
        answer = answering.write_answer(viewer, offer, direction="recvonly", setup="active", codec="H264")
        await client.invoke(sink, "processAnswer", answer=answer)


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
