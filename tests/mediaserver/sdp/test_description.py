"""Reading a description line by line: the edges of what is accepted, and what is ignored."""

import pytest

from roomfsm.mediaserver.base.errors import SdpError
from roomfsm.mediaserver.rtp.extensions import ABS_SEND_TIME, MAX_ID, MID
from roomfsm.mediaserver.sdp.codec import Codec
from roomfsm.mediaserver.sdp.description import Line, MediaSection, parse_offer

BAD_FINGERPRINT = "a=fingerprint:sha-256 AA"


def read(formats: str, *lines: str, media: str = "video") -> MediaSection:
    """The only m-line of a description."""
    text = "\n".join(("v=0", f"m={media} 9 UDP/TLS/RTP/SAVPF {formats}", *lines))
    (section,) = parse_offer(text).sections
    return section


def opus(*lines: str, formats: str = "111 63") -> Codec:
    """The only codec of an audio m-line with opus and these lines."""
    (codec,) = read(formats, "a=rtpmap:111 opus/48000/2", *lines, media="audio").codecs
    return codec


@pytest.mark.parametrize(("length", "end"), [(58, ")"), (59, "…)")])
def test_an_error_shows_sixty_characters_of_a_line(length: int, end: str) -> None:
    shown = str(Line(7, "a", "x" * length))
    assert shown == f"line 7 (a={'x' * 58}{end}"


def test_a_text_before_v_0_makes_it_no_description() -> None:
    with pytest.raises(SdpError, match="the first line is not v=0"):
        parse_offer("s=-\nv=0\nm=audio 9 UDP/TLS/RTP/SAVPF 111")
    assert parse_offer("\n \r\n\t\nv=0").sections == ()


@pytest.mark.parametrize("line", ["a", "ab", "1=x", "=x", "ä=x"])
def test_a_line_is_a_letter_and_a_value(line: str) -> None:
    assert f"line 3 is not of the form x=value: {line!r}" == read("96", line).fault


@pytest.mark.parametrize(
    ("number", "agreed"),
    [("0", None), ("1", 1), (str(MAX_ID), MAX_ID), (str(MAX_ID + 1), None), ("2/sendonly", None)],
)
def test_an_extension_has_an_id_of_the_one_byte_form(number: str, agreed: int | None) -> None:
    section = read("96", f"a=extmap:{number} {MID}", f"a=extmap:5 {ABS_SEND_TIME} with attributes")
    assert section.extensions.get(MID) == agreed
    assert section.extensions[ABS_SEND_TIME] == 5


def test_four_useless_fingerprints_are_reported() -> None:
    for count, told in ((3, 3), (4, 4), (5, 4)):
        assert len(read("96", *[BAD_FINGERPRINT] * count).fingerprint_faults) == told
    assert read("96", BAD_FINGERPRINT).fingerprint_faults == [
        f"line 3 ({BAD_FINGERPRINT}): a digest of sha-256 has 32 bytes"
    ]


def test_a_codec_at_another_clock_rate_does_not_hide_the_next() -> None:
    lines = ("a=rtpmap:96 VP8/8000", "a=rtpmap:97 H263/90000", "a=rtpmap:98 VP8/90000")
    assert [codec.payload_type for codec in read("95 96 97 98", *lines).codecs] == [98]


@pytest.mark.parametrize(
    ("formats", "codecs", "fault"),
    [
        ("96 127", [96, 127], ""),
        ("96 128 97", [96], "line 4 (a=rtpmap:128 VP8/90000): the payload type is not a number up to 127"),
        ("96 95 97", [96, 97], ""),
        ("63 96", [63, 96], ""),
        (
            "64 95",
            [],
            "line 4 (a=rtpmap:95 VP8/90000): packets of this payload type cannot be told from RTCP "
            "(RFC 5761 section 4)",
        ),
    ],
)
def test_a_payload_type_is_one_that_packets_can_have(formats: str, codecs: list[int], fault: str) -> None:
    section = read(formats, *(f"a=rtpmap:{number} VP8/90000" for number in formats.split()))
    assert [codec.payload_type for codec in section.codecs] == codecs
    assert section.fault == fault


def test_audio_with_redundancy_has_its_payload_type_behind_or_before() -> None:
    red = ("a=rtpmap:63 red/48000/2", "a=fmtp:63 111/111")
    behind = opus(*red)
    assert (behind.red, behind.prefers_red) == (63, False)
    before = opus(*red, formats="63 111")
    assert (before.red, before.prefers_red) == (63, True)


@pytest.mark.parametrize(
    "lines",
    [
        (),
        ("a=fmtp:63 111/111",),
        ("a=rtpmap:63 red/8000", "a=fmtp:63 111/111"),
        ("a=rtpmap:63 red/48000/2",),
        ("a=rtpmap:63 red/48000/2", "a=fmtp:63 111/0"),
        ("a=rtpmap:63 red/48000/2", "a=fmtp:63 0/0"),
    ],
    ids=["no line", "another codec", "telephone", "of nothing", "of two codecs", "of another codec"],
)
def test_redundancy_is_only_for_opus(lines: tuple[str, ...]) -> None:
    codec = opus(*lines)
    assert (codec.red, codec.prefers_red) == (None, False)


def test_redundant_packets_cannot_look_like_rtcp() -> None:
    assert opus("a=rtpmap:95 red/48000/2", "a=fmtp:95 111/111", formats="111 95").red is None


def test_only_the_first_redundancy_of_a_codec_counts() -> None:
    lines = [f"a=rtpmap:{number} red/48000/2\na=fmtp:{number} 111/111" for number in (62, 63)]
    assert opus(*lines, formats="111 63 62").red == 63
