"""The room server refuses an offer that cannot be served, with the media server's words."""

from __future__ import annotations

import re

import pytest

from tests.mediaserver.peer import open_test_peer
from tests.mediaserver.sdp.sdp_variants import OTHER_FINGERPRINT, VARIANTS
from tests.protocol_client import open_client
from tests.serving import serving


@pytest.mark.parametrize(
    ("variant", "code", "words"),
    [
        ("setup:holdconn", "sdp_invalid", r"line \d+ \(a=setup:holdconn\): the DTLS role must be"),
        ("only unknown codecs of both", "media_failed", r"m=audio.*PCMU.*m=video.*theora"),
    ],
)
async def test_a_client_is_told_which_line_of_its_offer_is_wrong(
    media_server: str, variant: str, code: str, words: str
) -> None:
    change, _ = VARIANTS[variant]
    async with (
        serving(media_server) as served,
        open_client(served.url) as ada,
        open_test_peer("sendonly") as camera,
    ):
        await ada.join("blue")
        await ada.send("publish", source="camera", sdp=change(camera.offer))
        error = await ada.expect("error", code=code)
        assert re.search(words, error["detail"])
        # The next offer is served.
        assert (await ada.ask("publish", source="camera", sdp=camera.offer))["type"] == "answer"


@pytest.mark.parametrize("line", ["a=ice-lite", " \ta=ice-lite ", "a=ice-lite:x"])
async def test_a_lite_agent_is_refused_because_the_media_server_would_have_to_check_its_addresses(
    media_server: str, line: str
) -> None:
    async with (
        serving(media_server) as served,
        open_client(served.url) as ada,
        open_test_peer("sendonly") as camera,
    ):
        await ada.join("blue")
        for session in (True, False):
            offer = camera.offer.replace("t=0 0\r\n", f"t=0 0\r\n{line}\r\n") if session else camera.offer + line
            await ada.send("publish", source="camera", sdp=offer)
            error = await ada.expect("error", code="sdp_invalid")
            number = 1 + offer.split("\n").index(line + "\r" * session)
            assert error["detail"] == f"line {number} (a=ice-lite): people must be full ICE agents"


async def test_a_stream_with_a_wrong_certificate_ends_at_once(media_server: str) -> None:
    async with (
        serving(media_server) as served,
        open_client(served.url) as ada,
        open_test_peer("sendonly") as camera,
    ):
        await ada.join("blue")
        offer = re.sub("a=fingerprint[^\r]*", OTHER_FINGERPRINT, camera.offer)
        camera.take_answer((await ada.ask("publish", source="camera", sdp=offer))["sdp"])
        await camera.reach()
        camera.start_dtls()
        ended = await ada.expect("streamEnded")
        assert ended["reason"] == "failed"
