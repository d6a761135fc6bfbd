"""Given a media server's offer and what a presenter sends, then the offer of the relay has these codecs alone."""

from __future__ import annotations

import json
import re
from pathlib import Path

from roomfsm.kurento.relay_offer import narrowed

RECORDED = Path(__file__).parent / "transcripts"


def of_kurento(recorded: str, words: str) -> str:
    """The first description of a real Kurento that has these words."""
    for line in (RECORDED / recorded).read_text(encoding="utf-8").splitlines():
        message = json.loads(line).get("msg")
        result = message.get("result") if isinstance(message, dict) else None
        if isinstance(result, dict) and words in str(result.get("value")):
            return str(result["value"])
    raise AssertionError("it was not recorded")


def payloads(sdp: str) -> dict[str, list[str]]:
    return {kind: found.split() for kind, found in re.findall(r"^m=(\w+) \S+ \S+ ([\d ]+)", sdp, re.MULTILINE)}


def test_kurentos_offer_has_the_codecs_that_it_answered_to_the_presenter_and_in_that_order() -> None:
    offer = of_kurento("15_no_session.jsonl", "a=setup:actpass")
    assert payloads(offer) == {"audio": ["96", "0", "8"], "video": ["102", "103", "104", "105"]}
    # VP8, and H264 of two profiles.
    answer = of_kurento("02_session_webrtc_media.jsonl", "a=setup:active")
    found = narrowed(offer, answer)
    names = dict(re.findall(r"^a=rtpmap:(\d+) (\w+)", found, re.MULTILINE))
    assert payloads(found) == {"audio": ["96"], "video": ["104", "105"]}
    assert names == {"96": "opus", "104": "VP8", "105": "H264"}
    assert not re.search(r"^a=(rtcp-fb|fmtp):(102|103)", found, re.MULTILINE)
    # All other lines are as they were.
    gone = set(offer.splitlines()) - set(found.splitlines())
    assert all(re.match(r"m=|a=(rtpmap|rtcp-fb|fmtp):(102|103)", line) for line in gone)
    h264_first = answer.replace("SAVPF 97 99 101", "SAVPF 99 97 101")
    assert payloads(narrowed(offer, h264_first)) == {"audio": ["96"], "video": ["105", "104"]}


OFFER = """v=0\r
m=audio 9 UDP/TLS/RTP/SAVPF 111 63\r
a=rtpmap:111 opus/48000/2\r
a=rtpmap:63 red/48000/2\r
a=fmtp:63 111/111\r
m=video 9 UDP/TLS/RTP/SAVPF 96 97 102 103 99\r
a=rtpmap:96 VP8/90000\r
a=rtpmap:97 rtx/90000\r
a=fmtp:97 apt=96\r
a=rtpmap:102 H264/90000\r
a=fmtp:102 packetization-mode=1;profile-level-id=42e01f\r
a=rtpmap:103 rtx/90000\r
a=fmtp:103 rtx-time=200;apt=102\r
a=rtpmap:99 ulpfec/90000\r
"""


def test_what_repeats_a_codec_goes_with_it_and_other_repairs_stay() -> None:
    h264 = "v=0\r\nm=audio 9 X/Y 0\r\nm=video 9 UDP/TLS/RTP/SAVPF 120\r\na=rtpmap:120 H264/90000\r\n"
    found = narrowed(OFFER, h264)
    assert payloads(found) == {"audio": ["111", "63"], "video": ["102", "103", "99"]}
    assert "apt=96" not in found
    assert "rtx-time=200;apt=102" in found


def test_redundant_audio_is_where_the_presenter_has_it() -> None:
    audio = "v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF {}\r\na=rtpmap:63 red/48000/2\r\na=rtpmap:111 opus/48000/2\r\n"
    for order, expected in (("63 111", ["63", "111"]), ("111 63", ["111", "63"])):
        assert payloads(narrowed(OFFER, audio.format(order)))["audio"] == expected
    only_red = "v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 63\r\na=rtpmap:63 red/48000/2\r\n"
    assert narrowed(OFFER, only_red) == OFFER


def test_an_offer_that_has_none_of_the_codecs_stays_as_it_is() -> None:
    av1 = "v=0\r\nm=video 9 UDP/TLS/RTP/SAVPF 45\r\na=rtpmap:45 AV1/90000\r\n"
    assert narrowed(OFFER, av1) == OFFER
    assert narrowed(OFFER, "") == OFFER
    assert narrowed("", OFFER) == ""
