"""A viewer that cannot decode what its presenter sends is told so in words, where Kurento would transcode."""

import re

import pytest

from roomfsm.peer import VP8_TYPE, PayloadType
from tests.mediaserver import answering
from tests.mediaserver.kurento_client import open_client, open_server
from tests.mediaserver.peer import H264_TYPE, open_test_peer

REASON = (
    "no common video codec: the source sends H264 (constrained baseline, packetization mode 1), "
    "the viewer takes VP8"
)


async def test_a_viewer_without_the_codec_is_refused_and_may_offer_again() -> None:
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


async def test_a_viewer_is_offered_the_very_variant_that_its_presenter_sends() -> None:
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
        offer = await client.invoke(sink, "generateOffer")
        assert "profile-level-id=640c1f" in offer
        assert not {"VP8/90000", "VP9/90000", "AV1/90000", "profile-level-id=42e01f"} & set(
            re.split(r"[\s;]", offer)
        )


async def test_a_viewers_answer_is_refused_if_the_presenters_codec_does_not_fit() -> None:
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


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("connected_first", [False, True])
async def test_a_viewer_without_any_codec_of_ours_is_told_when_there_is_a_presenter(
    workers: int, connected_first: bool
) -> None:
    h263 = PayloadType(34, "H263/90000", "")
    async with (
        open_server(workers=workers) as server,
        open_client(server.url) as client,
        open_test_peer("sendonly") as presenter,
        open_test_peer("recvonly", video=[h263]) as viewer,
    ):
        pipeline = await client.pipeline()
        source, sink = await client.endpoint(pipeline), await client.endpoint(pipeline)
        await client.call("subscribe", object=sink, type="Error")
        answer = await client.invoke(sink, "processOffer", offer=viewer.offer)
        assert "m=video 0 " in answer
        if connected_first:
            await client.invoke(source, "connect", sink=sink)
            await client.invoke(source, "processOffer", offer=presenter.offer)
        else:
            await client.invoke(source, "processOffer", offer=presenter.offer)
            assert client.events("Error") == []
            await client.invoke(source, "connect", sink=sink, mediaType="AUDIO")
            assert client.events("Error") == []
            await client.invoke(source, "connect", sink=sink)
        (event,) = client.events("Error")
        assert (event["object"], event["data"]["errorCode"]) == (sink, 6)
        assert event["data"]["description"] == (
            "no common video codec: the source sends VP8, the viewer takes nothing that this server passes on"
        )


async def test_the_same_is_true_for_an_answer_to_our_offer() -> None:
    async with (
        open_server() as server,
        open_client(server.url) as client,
        open_test_peer("sendonly") as presenter,
        open_test_peer("recvonly") as viewer,
    ):
        pipeline = await client.pipeline()
        source, sink = await client.endpoint(pipeline), await client.endpoint(pipeline)
        await client.call("subscribe", object=sink, type="Error")
        offer = await client.invoke(sink, "generateOffer")
        answer = answering.write_answer(viewer, offer, direction="recvonly", setup="active", codec="VP8")
        await client.invoke(sink, "processAnswer", answer=answer.replace("VP8/90000", "H263/90000"))
        await client.invoke(source, "processOffer", offer=presenter.offer)
        await client.invoke(source, "connect", sink=sink)
        (event,) = client.events("Error")
        assert event["data"]["description"].startswith("no common video codec: the source sends VP8")


async def test_a_browser_that_wants_no_video_is_told_nothing() -> None:
    async with (
        open_server() as server,
        open_client(server.url) as client,
        open_test_peer("sendonly") as presenter,
        open_test_peer("recvonly", video=[PayloadType(34, "H263/90000", "")]) as viewer,
    ):
        pipeline = await client.pipeline()
        source = await client.endpoint(pipeline)
        await client.invoke(source, "processOffer", offer=presenter.offer)
        session, audio, video = viewer.offer.replace("m=", "\0m=").split("\0")
        for refusal in (
            video.replace("a=recvonly", "a=sendonly"),
            video.replace("a=recvonly", "a=inactive"),
            video.replace("m=video 9 ", "m=video 0 "),
            "",
        ):
            sink = await client.endpoint(pipeline)
            await client.call("subscribe", object=sink, type="Error")
            await client.invoke(sink, "processOffer", offer=session + audio + refusal)
            await client.invoke(source, "connect", sink=sink)
        assert client.events("Error") == []


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
