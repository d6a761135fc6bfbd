"""Browsers' offers, the answers to them, and offers that nobody should write."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roomfsm.mediaserver.base.errors import NoCommonCodec, SdpError
from roomfsm.mediaserver.base.kinds import MediaKind
from roomfsm.mediaserver.ice.lite import Credentials
from roomfsm.mediaserver.rtp.extensions import ABS_SEND_TIME, AUDIO_LEVEL, MID, TRANSPORT_CC
from roomfsm.mediaserver.sdp.answer import LocalEnd, accept, write_answer
from roomfsm.mediaserver.sdp.codec import Codec, matching_codec, pinned_codec
from roomfsm.mediaserver.sdp.description import Direction, parse_offer
from tests.examples import examples

OFFERS = Path(__file__).parent / "offers"
LOCAL = LocalEnd(
    "sha-256 AA:BB",
    ("candidate:1 1 UDP 1 192.0.2.1 5000 typ host",),
    {MediaKind.AUDIO: 10, MediaKind.VIDEO: 20},
    "cname",
    "stream",
    0,
    30,
)
LONG = "1" * 5000


def offer(name: str) -> str:
    return (OFFERS / f"{name}.sdp").read_text()


def answer(text: str, sources: dict[MediaKind, Codec] | None = None, local: LocalEnd = LOCAL) -> str:
    parsed = parse_offer(text)
    agreement = accept(parsed, sources or {}, {})
    credentials = [Credentials(f"ufrag{index}", "password") for index, _ in enumerate(agreement.transports)]
    return write_answer(parsed, agreement, local, credentials)


def section(text: str, media: str) -> list[str]:
    """The lines of the answer's first m-line of this media."""
    _, _, rest = text.partition(f"m={media} ")
    return f"m={media} {rest.partition('m=')[0]}".split("\r\n")


def h264(payload_type: int, profile: str, mode: str = "1") -> Codec:
    parameters = f"level-asymmetry-allowed=1;packetization-mode={mode};profile-level-id={profile}"
    return Codec(payload_type, "H264", 90000, "", parameters, ())


def vp9(payload_type: int, parameters: str = "") -> Codec:
    return Codec(payload_type, "VP9", 90000, "", parameters, ())


def av1(payload_type: int, parameters: str = "") -> Codec:
    return Codec(payload_type, "AV1", 90000, "", parameters, ())


VP8 = Codec(96, "VP8", 90000, "", "", ())


# Publishers


def test_a_chromium_publisher_is_asked_for_opus_and_its_first_video_codec_alone() -> None:
    text = answer(offer("chromium_publisher"))
    assert section(text, "audio")[0] == "m=audio 9 UDP/TLS/RTP/SAVPF 111"
    video = section(text, "video")
    assert video[0] == "m=video 9 UDP/TLS/RTP/SAVPF 96 97"
    assert {"a=recvonly", "a=mid:1", "a=rtcp-mux", "a=rtcp-rsize", "a=setup:passive"} <= set(video)
    assert [line for line in video if line.startswith("a=rtcp-fb")] == [
        "a=rtcp-fb:96 nack",
        "a=rtcp-fb:96 nack pli",
        "a=rtcp-fb:96 ccm fir",
        "a=rtcp-fb:96 goog-remb",
        "a=rtcp-fb:96 transport-cc",
    ]
    assert {"a=rtpmap:97 rtx/90000", "a=fmtp:97 apt=96"} <= set(video)
    assert [line for line in video if line.startswith(("a=ssrc", "a=msid", "a=extmap"))] == [
        f"a=extmap:3 {TRANSPORT_CC}"
    ]
    assert [line for line in section(text, "audio") if line.startswith("a=extmap")] == [
        f"a=extmap:1 {AUDIO_LEVEL}",
        f"a=extmap:3 {TRANSPORT_CC}",
    ]


def test_the_session_part_says_bundle_and_ice_lite() -> None:
    lines = answer(offer("chromium_publisher")).split("\r\n")
    assert lines[0] == "v=0"
    assert "a=group:BUNDLE 0 1" in lines
    assert "a=ice-lite" in lines
    assert lines.count("a=candidate:1 1 UDP 1 192.0.2.1 5000 typ host") == 2


def test_a_firefox_offer_has_its_fingerprint_at_the_session_level() -> None:
    parsed = parse_offer(offer("firefox_publisher"))
    assert [item.fingerprints[0][0] for item in parsed.sections] == ["sha-256", "sha-256"]
    assert [item.ufrag for item in parsed.sections] == ["c8b3f1d2", "c8b3f1d2"]
    text = answer(offer("firefox_publisher"))
    assert section(text, "audio")[0] == "m=audio 9 UDP/TLS/RTP/SAVPF 109"
    assert section(text, "video")[0] == "m=video 9 UDP/TLS/RTP/SAVPF 120 124"
    assert "a=sendrecv" in section(text, "video")
    assert "a=extmap:4 http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time" in section(text, "video")


def test_a_publisher_that_prefers_h264_is_asked_for_the_variant_most_can_decode() -> None:
    codecs = [h264(102, "42001f"), h264(104, "42001f", "0"), h264(108, "42e01f"), VP8]
    assert pinned_codec(codecs).payload_type == 108


def test_a_publisher_is_asked_to_start_with_a_rate_for_the_whole_picture() -> None:
    video = section(answer(offer("chromium_publisher")), "video")
    assert "a=fmtp:96 x-google-start-bitrate=1000" in video
    limited = LocalEnd("f", (), {}, "c", "s", 800, 30)
    h264_first = offer("chromium_publisher").replace("96 VP8/", "96 H264/")
    video = section(answer(h264_first, local=limited), "video")
    assert [line.partition(" ")[2] for line in video if "start-bitrate" in line] == [
        "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f;x-google-start-bitrate=800"
    ]
    assert "start-bitrate" not in answer(offer("chromium_viewer"))


def test_a_bandwidth_limit_is_told_to_the_publisher_for_video() -> None:
    limited = LocalEnd("f", (), {}, "c", "s", 800, 30)
    text = answer(offer("chromium_publisher"), local=limited)
    assert "b=AS:800" in section(text, "video")
    assert "b=AS:800" not in section(text, "audio")
    assert "b=AS" not in answer(offer("chromium_viewer"), local=replace(LOCAL, receive_bandwidth=800))
    assert "b=AS" not in answer(offer("chromium_publisher"))


def test_a_publisher_is_asked_for_what_the_viewers_that_wait_can_decode() -> None:
    codecs = [av1(45), vp9(98), VP8, h264(108, "42e01f")]
    waiting = [[VP8, h264(102, "42e01f")], [h264(126, "42e01f"), VP8], [vp9(121), VP8]]
    assert pinned_codec(codecs).name == "AV1"
    assert pinned_codec(codecs, waiting[:2]).name == "VP8"
    assert pinned_codec(codecs, waiting).name == "VP8"
    assert pinned_codec(codecs, [[h264(126, "42e01f")]]).name == "H264"


# Viewers


def test_a_viewer_without_a_source_may_get_any_codec() -> None:
    video = section(answer(offer("chromium_viewer")), "video")
    codecs = ["96", "98", "100", "35", "37", "102", "104", "108", "114", "116", "39", "41", "43", "45", "47"]
    repairs = ["97", "99", "101", "36", "38", "103", "107", "109", "115", "117", "40", "42", "44", "46", "48"]
    assert video[0].split()[3:] == codecs + repairs
    assert {
        "a=ssrc-group:FID 20 30",
        "a=ssrc:30 cname:cname",
        "a=sendonly",
        "a=ssrc:20 cname:cname",
        "a=ssrc:20 msid:stream stream-video",
        "a=msid:stream stream-video",
        f"a=extmap:2 {ABS_SEND_TIME}",
        f"a=extmap:3 {TRANSPORT_CC}",
        f"a=extmap:4 {MID}",
    } <= set(video)
    audio = section(answer(offer("chromium_viewer")), "audio")
    assert {f"a=extmap:1 {AUDIO_LEVEL}", f"a=extmap:4 {MID}", "a=ssrc:10 cname:cname"} <= set(audio)
    assert not [line for line in audio if "rtx" in line or "FID" in line]


def test_a_viewer_of_a_known_source_is_told_that_codec_alone() -> None:
    source = h264(126, "42e01f")
    video = section(answer(offer("chromium_viewer"), {MediaKind.VIDEO: source}), "video")
    assert video[0] == "m=video 9 UDP/TLS/RTP/SAVPF 108 109"
    assert "a=fmtp:108 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f" in video


@pytest.mark.parametrize(
    ("level", "profile"),
    [
        ("42001f", "baseline"),
        ("42801f", "baseline"),
        ("42401f", "constrained baseline"),
        ("42e01f", "constrained baseline"),
        ("4d001f", "main"),
        ("4d401f", "main"),
        ("4d801f", "constrained baseline"),
        ("58001f", "extended"),
        ("58801f", "constrained baseline"),
        ("64001f", "high"),
        ("64e01f", "high"),
        ("f4001f", "high 4:4:4"),
        ("7a001f", "7a001f"),
        ("4x001f", "4x001f"),
        ("42", "42"),
    ],
)
def test_an_h264_profile_is_told_by_its_number_and_constraints(level: str, profile: str) -> None:
    assert h264(1, level).h264_profile == profile


def test_h264_without_a_level_is_of_the_baseline_profile() -> None:
    assert Codec(1, "H264", 90000, "", "packetization-mode=1", ()).h264_profile == "baseline"


@pytest.mark.parametrize(
    ("source", "offered", "chosen"),
    [
        (VP8, [h264(1, "42e01f"), VP8], 96),
        (h264(9, "42e01f"), [h264(1, "42001f"), h264(2, "42e01f")], 2),
        (h264(9, "42e034"), [h264(1, "42e01f")], 1),
        (h264(9, "42001f"), [h264(1, "42e01f")], 1),
        (h264(9, "42e01f"), [h264(1, "4d001f")], 1),
        (h264(9, "42e01f", "0"), [h264(1, "42e01f", "1")], 1),
        (h264(9, "42e01f", "1"), [h264(1, "42e01f", "0")], None),
        (h264(9, "64001f"), [h264(1, "42e01f")], None),
        (VP8, [h264(1, "42e01f")], None),
        (vp9(9), [VP8, vp9(1, "profile-id=2"), vp9(2, "profile-id=0")], 2),
        (vp9(9, "profile-id=2"), [vp9(2)], None),
        (av1(9, "level-idx=5;profile=0;tier=0"), [av1(1, "profile=1"), av1(2)], 2),
        (av1(9), [vp9(1)], None),
    ],
)
def test_the_payload_type_for_a_viewer_fits_the_source(
    source: Codec, offered: list[Codec], chosen: int | None
) -> None:
    match = matching_codec(offered, source)
    assert (match.payload_type if match else None) == chosen


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (
            h264(9, "64001f"),
            "no common video codec: the source sends H264 (high, packetization mode 1), the viewer takes VP8, "
            "VP9, VP9 (profile 1), AV1",
        ),
        (vp9(9, "profile-id=2"), "the source sends VP9 (profile 2)"),
    ],
)
def test_a_viewer_that_cannot_decode_its_source_is_told_so(source: Codec, reason: str) -> None:
    text = offer("chromium_viewer").replace("H264", "H263").replace("profile-id=2", "profile-id=1")
    text = text.replace("profile-id=3", "profile-id=1").replace("profile=1", "profile=0")
    with pytest.raises(NoCommonCodec, match=re.escape(reason)):
        answer(text, {MediaKind.VIDEO: source})


def test_a_viewer_that_offers_no_video_misses_none() -> None:
    text = offer("chromium_viewer")
    audio = text.partition("m=video")[0].replace("BUNDLE 0 1", "BUNDLE 0")
    assert "m=video" not in answer(audio, {MediaKind.VIDEO: VP8})
    inactive = text.replace("a=recvonly", "a=inactive")
    assert "a=inactive" in section(answer(inactive, {MediaKind.VIDEO: h264(9, "64001f")}), "video")


@pytest.mark.parametrize(
    ("name", "payload_type"), [("97", 97), ("x", None), ("-1", None), ("128", None), ("64", None), ("95", None)]
)
def test_a_retransmission_stream_has_a_payload_type_that_packets_can_have(
    name: str, payload_type: int | None
) -> None:
    lines = ("a=rtpmap:96 VP8/90000", "a=rtcp-fb:96 nack", f"a=rtpmap:{name} rtx/90000", f"a=fmtp:{name} apt=96")
    text = f"v=0\nm=video 9 UDP/TLS/RTP/SAVPF 96 {name}\n" + "\n".join(lines)
    assert [codec.rtx for codec in parse_offer(text).sections[0].codecs] == [payload_type]


def test_without_nack_there_is_no_retransmission_stream() -> None:
    text = offer("chromium_viewer").replace("a=rtcp-fb:96 nack\n", "")
    video = section(answer(text, {MediaKind.VIDEO: VP8}), "video")
    assert video[0] == "m=video 9 UDP/TLS/RTP/SAVPF 96"
    assert not [line for line in video if "FID" in line]


# What is not served


def test_a_data_channel_is_refused_and_the_media_beside_it_is_not() -> None:
    data = "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:2\r\na=sctp-port:5000\r\n"
    text = answer(offer("chromium_publisher").replace("BUNDLE 0 1", "BUNDLE 0 1 2") + data)
    assert section(text, "application")[0] == "m=application 0 UDP/DTLS/SCTP webrtc-datachannel"
    assert "a=group:BUNDLE 0 1\r\n" in text
    assert section(text, "video")[0].startswith("m=video 9 ")


def test_a_second_video_is_refused() -> None:
    text = offer("chromium_publisher")
    video = "m=video" + text.partition("m=video")[2].replace("a=mid:1", "a=mid:2")
    lines = answer(text.replace("BUNDLE 0 1", "BUNDLE 0 1 2") + video).split("\r\n")
    assert [line.split()[1] for line in lines if line.startswith("m=")] == ["9", "9", "0"]


def test_media_offered_on_the_bundles_transport_alone_is_served() -> None:
    text = (
        offer("chromium_publisher").replace("m=video 9", "m=video 0").replace("a=mid:1", "a=mid:1\na=bundle-only")
    )
    lines = answer(text).split("\r\n")
    assert [line.split()[1] for line in lines if line.startswith("m=")] == ["9", "9"]
    lines = answer(text.replace("a=bundle-only\n", "")).split("\r\n")
    assert [line.split()[1] for line in lines if line.startswith("m=")] == ["9", "0"]


def test_without_bundle_each_media_has_a_transport_of_its_own() -> None:
    lines = answer(offer("chromium_publisher").replace("a=group:BUNDLE 0 1\n", "")).split("\r\n")
    assert [line.split()[1] for line in lines if line.startswith("m=")] == ["9", "9"]
    assert [line for line in lines if line.startswith("a=ice-ufrag")] == [
        "a=ice-ufrag:ufrag0",
        "a=ice-ufrag:ufrag1",
    ]
    assert not [line for line in lines if line.startswith("a=group")]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("VP8/90000", "VP8/1000"),
        ("m=audio 9 UDP/TLS/RTP/SAVPF", "m=audio 9 TCP/MSRP"),
        ("opus/48000/2", "speex/48000/2"),
    ],
)
def test_media_that_cannot_be_served_is_refused(old: str, new: str) -> None:
    text = offer("chromium_publisher").replace(old, new)
    text = "\n".join(line for line in text.split("\n") if not re.search("H264|VP9|AV1", line))
    assert "m=audio 0" in answer(text) or "m=video 0" in answer(text)


@pytest.mark.parametrize(("mid", "lines"), [("a=mid:0", ["a=mid:0"]), ("a=x-mid:0", [])])
def test_an_m_line_that_is_refused_keeps_its_mid(mid: str, lines: list[str]) -> None:
    text = offer("chromium_publisher").replace("a=mid:0", mid).replace("a=group:BUNDLE 0 1", "a=group:BUNDLE 1")
    text = re.sub("m=audio 9 [^ ]+ .*", "m=audio 9 TCP/MSRP 111 x", text)
    assert section(answer(text), "audio") == [
        "m=audio 0 TCP/MSRP 111 x",
        "c=IN IP4 0.0.0.0",
        "a=inactive",
        *lines,
        "",
    ]


def test_v_0_alone_gets_an_answer_without_media() -> None:
    assert answer("v=0").split("\r\n")[0] == "v=0"
    assert "m=" not in answer("v=0")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "v=0"),
        ("hello", "v=0"),
        ("v=1", "v=0"),
        ("v=0\nrubbish", "line 2"),
        ("v=0\nm=audio", "line 2"),
        ("v=0\nm=audio port UDP/TLS/RTP/SAVPF 111", "port"),
        ("v=0\nm=audio 9 UDP/TLS/RTP/SAVPF 111\na=rtcp-mux\na=rtpmap:111", "line 4"),
        ("v=0\nm=audio 9 RTP/SAVPF 300\na=rtcp-mux\na=rtpmap:300 opus/48000/2", "line 4 .* payload type"),
        (
            f"v=0\nm=audio 9 RTP/AVP {LONG}\na=rtcp-mux\na=rtpmap:{LONG} opus/48000",
            "line 4 .* payload type",
        ),
        ("v=0\nm=audio 9 X 1\na=mid:0\nm=video 9 X 1\na=mid:0", "same mid"),
        (offer("chromium_publisher").replace("a=ice-ufrag", "a=x-ufrag"), "ICE credentials"),
        (offer("chromium_publisher").replace("a=fingerprint:sha-256", "a=fingerprint:md5"), "fingerprint"),
        (offer("chromium_publisher").replace("setup:actpass", "setup:holdconn"), "holdconn"),
    ],
)
def test_a_bad_offer_is_an_error_that_says_why(text: str, reason: str) -> None:
    with pytest.raises(SdpError, match=reason):
        answer(text)


def test_directions_are_the_other_sides_reversed() -> None:
    assert Direction.SENDONLY.reversed() is Direction.RECVONLY
    assert Direction.SENDRECV.reversed() is Direction.SENDRECV
    assert not Direction.INACTIVE.reversed().sends


@pytest.mark.parametrize("allowed", Direction)
@pytest.mark.parametrize("direction", Direction)
def test_a_limited_direction_is_what_both_allow(direction: Direction, allowed: Direction) -> None:
    limited = direction.limited_to(allowed)
    assert limited.sends == (direction.sends and allowed.sends)
    assert limited.receives == (direction.receives and allowed.receives)


@examples(200)
@given(st.data())
def test_no_damage_to_an_offer_breaks_the_parser(data: st.DataObject) -> None:
    lines = offer(data.draw(st.sampled_from(["chromium_publisher", "firefox_publisher"]))).split("\n")
    for _ in range(data.draw(st.integers(1, 5))):
        index = data.draw(st.integers(0, len(lines) - 1))
        line = lines[index]
        cut = data.draw(st.integers(0, len(line)))
        lines[index] = line[:cut] + data.draw(st.text(max_size=8)) + line[cut + data.draw(st.integers(0, 4)) :]
    try:
        text = answer("\n".join(lines))
    except (SdpError, NoCommonCodec):
        return
    assert text.startswith("v=0\r\n")


# What one offer can cost


def test_one_m_line_more_than_64_is_an_error() -> None:
    line = "m=audio 9 UDP/TLS/RTP/SAVPF 111\n"
    assert len(parse_offer("v=0\n" + line * 64).sections) == 64
    with pytest.raises(SdpError, match="more than 64 m-lines"):
        parse_offer("v=0\n" + line * 65)


def test_fingerprints_for_all_m_lines_are_not_copied_by_the_thousand() -> None:
    fingerprints = f"a=fingerprint:sha-256 {'AA' * 32}\n" * 5000
    (section,) = parse_offer(f"v=0\n{fingerprints}m=audio 9 UDP/TLS/RTP/SAVPF 111\n{fingerprints}").sections
    assert len(section.fingerprints) == 32


def test_a_payload_type_said_twice_is_one() -> None:
    text = "v=0\nm=video 9 UDP/TLS/RTP/SAVPF " + "96 " * 5000 + "\na=rtpmap:96 VP8/90000\n"
    assert len(parse_offer(text).sections[0].codecs) == 1
    assert parse_offer(text).sections[0].formats == ("96",)


def test_audio_is_repaired_where_the_browser_offers_it() -> None:
    text = offer("chromium_viewer")
    repaired = text.replace("a=rtcp-fb:111 transport-cc", "a=rtcp-fb:111 transport-cc\na=rtcp-fb:111 nack")
    assert repaired != text
    for offered, agreed in ((text, False), (repaired, True)):
        assert ("a=rtcp-fb:111 nack" in section(answer(offered), "audio")) is agreed


def test_redundant_audio_is_told_of_with_what_it_repeats() -> None:
    text = offer("chromium_viewer")
    assert "a=rtpmap:63 red/48000/2" in text
    audio = section(answer(text), "audio")
    assert audio[0] == "m=audio 9 UDP/TLS/RTP/SAVPF 111 63"
    assert {"a=rtpmap:63 red/48000/2", "a=fmtp:63 111/111"} <= set(audio)
    plain = section(answer(text.replace("red/48000/2", "red/8000")), "audio")
    assert plain[0] == "m=audio 9 UDP/TLS/RTP/SAVPF 111"
    assert not [line for line in plain if ":63 " in line or "red/" in line]
