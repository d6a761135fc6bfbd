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
        ("a lite agent", "sdp_invalid", r"line \d+ \(a=ice-lite\)"),
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
