"""Tests the table of offers with the functions that answer, and with the real server and peers that connect."""

import re

import pytest
import trio

from roomfsm.mediaserver.base.errors import NoCommonCodec, SdpError
from roomfsm.mediaserver.base.kinds import MediaKind
from roomfsm.mediaserver.ice.lite import Credentials
from roomfsm.mediaserver.sdp.answer import LocalEnd, accept, write_answer
from roomfsm.mediaserver.sdp.description import parse_offer
from roomfsm.peer import AUDIO_SSRC
from roomfsm.peer.sdp import OPUS_TYPE, VP8_TYPE, write_offer
from tests.mediaserver.kurento_client import PATIENCE, open_client, open_server
from tests.mediaserver.peer import OPUS, VP8_KEYFRAME, open_test_peer
from tests.mediaserver.sdp.sdp_variants import NO_CODEC, VARIANTS, Change, Expected, Refused, Served

OFFER = write_offer("sendonly", [OPUS_TYPE], [VP8_TYPE], "ufra", "p" * 22, bytes(range(32)))
LOCAL = LocalEnd("sha-256 AA", (), {MediaKind.AUDIO: 1, MediaKind.VIDEO: 2}, "cname", "stream", 0, 3)


def served(answer: str) -> list[str]:
    """The served media of each m-line, or `-` if it is refused."""
    lines = [line.split() for line in answer.split("\r\n") if line.startswith("m=")]
    return ["-" if line[1] == "0" else line[0].removeprefix("m=") for line in lines]


def check_answer(answer: str, expected: Served) -> None:
    assert served(answer) == expected.media.split()
    lines = answer.split("\r\n")
    assert len({line for line in lines if line.startswith("a=ice-ufrag")}) == expected.transports
    for pattern in expected.lines:
        assert [line for line in lines if re.fullmatch(pattern, line)], (pattern, answer)
    for pattern in expected.absent:
        assert not [line for line in lines if re.fullmatch(pattern, line)], (pattern, answer)


@pytest.mark.parametrize("name", VARIANTS)
def test_an_offer_is_answered_or_refused_as_the_table_says(name: str) -> None:
    change, expected = VARIANTS[name]
    offer = change(OFFER)
    assert offer != OFFER or name == "as it is", "the change changes nothing"
    if isinstance(expected, Refused):
        with pytest.raises(NoCommonCodec if expected.code == NO_CODEC else SdpError, match=expected.words):
            accept(parse_offer(offer), {}, {})
        return
    parsed = parse_offer(offer)
    agreement = accept(parsed, {}, {})
    credentials = [Credentials(f"ours{index}", "p" * 22) for index, _ in enumerate(agreement.transports)]
    check_answer(write_answer(parsed, agreement, LOCAL, credentials), expected)


@pytest.mark.parametrize("name", VARIANTS)
async def test_the_server_does_what_the_table_says_and_served_media_arrive(name: str) -> None:
    """A refused endpoint takes the plain offer afterwards."""
    change, expected = VARIANTS[name]
    with trio.fail_after(2 * PATIENCE):
        await put_to_server(change, expected)


async def put_to_server(change: Change, expected: Expected) -> None:
    async with (
        open_server() as server,
        open_client(server.url) as client,
        open_test_peer("sendonly") as peer,
    ):
        endpoint = await client.endpoint(await client.pipeline())
        await client.call("subscribe", object=endpoint, type="MediaFlowOutStateChanged")
        if isinstance(expected, Refused):
            code, message = await client.invoke_error(endpoint, "processOffer", offer=change(peer.offer))
            assert code == expected.code
            assert re.search(expected.words, message)
            await client.invoke(endpoint, "processOffer", offer=peer.offer)
            return
        answer = await client.invoke(endpoint, "processOffer", offer=change(peer.offer))
        check_answer(answer, expected)
        if expected.transports != 1:
            return
        peer.take_answer(answer)
        await peer.connect()
        kinds = [kind for kind in expected.media.split() if kind != "-"]
        sections = {section.media: section for section in parse_offer(answer).sections if section.codecs}
        for kind in kinds:
            if not sections[kind].direction.receives:
                continue
            number = sections[kind].codecs[0].payload_type
            if kind == "audio":
                peer.send_rtp(OPUS, ssrc=AUDIO_SSRC, payload_type=number)
            else:
                peer.send_rtp(VP8_KEYFRAME, payload_type=number)
            await client.event("MediaFlowOutStateChanged", mediaType=kind.upper(), state="FLOWING")
        assert peer.refused == 0
